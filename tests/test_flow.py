"""The steps through Beam: same bytes for any workers, order, restart and back end; what is stale is done again."""

import contextlib
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from pipeline.__main__ import main
from tests import crawl

ITEMS = ["--item-bytes", "3000"]


def run(*arguments: str) -> int:
    return main([*map(str, arguments), "--quiet"])


@pytest.fixture(scope="module")
def crawls(tmp_path_factory) -> list[Path]:
    folder = tmp_path_factory.mktemp("crawls")
    return [crawl.write_crawl(folder / f"part-{k}.warc.gz", 24, 100 * k) for k in range(3)]


@pytest.fixture(scope="module")
def first(crawls, tmp_path_factory) -> Path:
    """The corpus that one worker makes."""
    out = tmp_path_factory.mktemp("one") / "out"
    assert run("run", *crawls, "--output", out, "--workers", 1, *ITEMS) == 0
    return out


def test_books_balance_and_text_meets_no_shuffle(first):
    documents, selection = crawl.books(first, "documents"), crawl.books(first, "selection")
    assert documents["records"] == 3 * (1 + 24 * 2 + 3)
    assert documents["records"] == documents["documents"] + sum(documents["drops"].values())
    assert documents["drops"] == {"OTHER_RECORD": 3 * 25, "HTTP_ERROR": 3}
    assert documents["documents"] == selection["documents"] == 3 * 26
    assert selection["documents"] == selection["kept"] + sum(selection["rejections"].values())
    assert selection["rejections"]["SAME_URL"] >= 3
    assert len(documents["counts"]) >= 8, "the tests of distribution need at least 8 items"


@pytest.mark.parametrize("how", [
    ["--workers", "2"],
    ["--workers", "3", "--memory", "20000"],
    ["--workers", "2", "--exchange", "beam", "--memory", "50000"],
    ["--workers", "2", "--memory", "50000", "--", "--direct_runner_bundle_repeat=2"],
])  # fmt: skip
def test_same_bytes_for_any_way_of_running(first, crawls, tmp_path, how):
    out = tmp_path / "out"
    shuffled = random.Random(len(how)).sample(crawls, len(crawls))
    assert main(["run", *map(str, shuffled), "--output", str(out), *ITEMS, "--quiet", *how]) == 0
    assert crawl.digests(out) == crawl.digests(first)


def test_slices_make_the_same_documents(first, crawls, tmp_path):
    out = tmp_path / "out"
    for number in (1, 2, 3):
        assert run("extract", *crawls, "--output", out, "--slice", f"{number}/3", "--workers", 2, *ITEMS) == 0
    assert run("select", out) == 0
    assert crawl.digests(out, "documents") == crawl.digests(first, "documents")
    assert crawl.digests(out, "selection") == crawl.digests(first, "selection")


def kill_after(seconds: float, command: list[str]) -> None:
    process = subprocess.Popen(command, stderr=subprocess.DEVNULL, start_new_session=True)
    time.sleep(seconds)
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def test_killed_at_any_moment_and_resumed(first, crawls, tmp_path):
    out = tmp_path / "out"
    command = [sys.executable, "-m", "pipeline", "run", *map(str, crawls), "--output", str(out), *ITEMS, "--quiet"]
    begun = time.monotonic()
    subprocess.run([*command[:-3], *ITEMS, "--quiet"], check=True)
    whole = time.monotonic() - begun
    shutil.rmtree(out)
    for share in (0.5, 0.6, 0.7, 0.8, 0.9):
        kill_after(whole * share, command)
        names = [p.name for p in out.rglob("*.parquet")] if out.exists() else []
        assert all(n.startswith(("part-", ".writing-")) for n in names)
    subprocess.run(command, check=True)
    assert crawl.digests(out) == crawl.digests(first)


def test_a_dead_worker_is_replaced(first, crawls, tmp_path):
    out = tmp_path / "out"
    command = [sys.executable, "-m", "pipeline", "extract", *map(str, crawls), "--output", str(out), *ITEMS,
               "--workers", "2", "--quiet"]  # fmt: skip
    process = subprocess.Popen(command)
    killed = 0
    while process.poll() is None and killed < 2:
        for child in _children(process.pid):
            if "multiprocessing.spawn" in _command_line(child) and (out / "documents").exists():
                time.sleep(0.05)
                with contextlib.suppress(ProcessLookupError):  # it was done first
                    os.kill(child, signal.SIGKILL)
                    killed += 1
                break
        time.sleep(0.02)
    assert process.wait() == 0
    assert killed, "no worker was seen"
    assert crawl.digests(out, "documents") == crawl.digests(first, "documents")


def _children(pid: int) -> list[int]:
    found = []
    for task in Path(f"/proc/{pid}/task").glob("*/children"):
        try:
            found += map(int, task.read_text().split())
        except OSError:
            continue
    return found


def _command_line(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode()
    except OSError:
        return ""


def stamps(folder: Path) -> dict[str, int]:
    return {p.name: p.stat().st_mtime_ns for p in folder.glob("part-*.parquet")}


def test_only_what_is_stale_is_done_again(crawls, tmp_path):
    inputs, out = tmp_path / "in", tmp_path / "out"
    inputs.mkdir()
    for path in crawls[:2]:
        shutil.copy(path, inputs)
    assert run("run", inputs, "--output", out, *ITEMS) == 0
    before = stamps(out / "documents")
    selected = stamps(out / "selection")

    assert run("run", inputs, "--output", out, *ITEMS) == 0
    assert stamps(out / "documents") == before, "nothing changed, nothing is done"
    assert stamps(out / "selection") == selected

    crawl.write_crawl(inputs / "part-1.warc.gz", 24, 500)  # a changed input
    assert run("run", inputs, "--output", out, *ITEMS) == 0
    after = stamps(out / "documents")
    same = [n for n in before if after.get(n) == before[n]]
    assert same, "the parts of the other file stay"
    assert len(same) < len(before)

    shutil.copy(crawls[2], inputs)  # an added input
    assert run("run", inputs, "--output", out, *ITEMS) == 0
    added = stamps(out / "documents")
    assert all(added[n] == t for n, t in after.items() if n in added)
    assert len(added) > len(after)
    fresh = tmp_path / "fresh"
    assert run("run", inputs, "--output", fresh, *ITEMS) == 0
    assert crawl.digests(out, "selection") == crawl.digests(fresh, "selection")

    (inputs / "part-2.warc.gz").unlink()  # a removed input: its parts are orphans and not read
    documents = stamps(out / "documents")
    assert run("run", inputs, "--output", out, *ITEMS) == 0
    assert stamps(out / "documents") == documents
    assert crawl.books(out, "documents")["documents"] == 2 * 26


def test_new_thresholds_read_keys_only_and_keep_the_clusters(first, tmp_path):
    out = tmp_path / "out"
    shutil.copytree(first, out)
    documents, clusters = stamps(out / "documents"), crawl.digests(out, "selection/clusters")
    made = (out / "selection" / "clusters" / "made.json").stat().st_mtime_ns
    assert run("select", out, "--threshold", "min_words=100000") == 1, "nothing is left: a failure, said so"
    assert run("select", out, "--threshold", "min_words=21") == 0
    assert crawl.books(out, "selection")["failing"].get("TOO_SHORT", 0) == 0
    assert stamps(out / "documents") == documents
    assert crawl.digests(out, "selection/clusters") == clusters
    assert (out / "selection" / "clusters" / "made.json").stat().st_mtime_ns == made
    assert run("select", out) == 0
    assert crawl.digests(out, "selection") == crawl.digests(first, "selection")


def test_other_settings_are_refused_by_name_unless_redone(first, crawls, tmp_path, capsys):
    out = tmp_path / "out"
    shutil.copytree(first, out)
    assert run("extract", *crawls, "--output", out, "--extractor", "text", *ITEMS) == 2
    assert "extractor" in capsys.readouterr().err
    assert run("extract", *crawls, "--output", out, "--extractor", "text", "--redo", *ITEMS) == 0
    ours, theirs = crawl.digests(out, "documents"), crawl.digests(first, "documents")
    assert ours.keys() == theirs.keys()
    assert not [p for p in ours if p.endswith(".parquet") and ours[p] == theirs[p]]
