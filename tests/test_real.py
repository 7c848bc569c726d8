"""The whole way on real crawl files: thousands of pages as the web has them, and files made to break readers."""

import json
from pathlib import Path

import pytest

from pipeline.__main__ import main as pipeline
from tests import crawl
from tokenizer.__main__ import main as tokenizer
from trainer.__main__ import main as trainer

pytestmark = pytest.mark.slow


def run(command, *arguments) -> None:
    assert command([*map(str, arguments), "--quiet"]) == 0


def check_books(out: Path) -> dict:
    documents, selection = crawl.books(out, "documents"), crawl.books(out, "selection")
    assert documents["records"] == documents["documents"] + sum(documents["drops"].values())
    assert selection["documents"] == documents["documents"]
    assert selection["documents"] == selection["kept"] + sum(selection["rejections"].values())
    assert (out / "report.html").stat().st_size < 2_000_000
    return documents


def test_real_pages_all_the_way_to_a_checkpoint(shared, tmp_path):
    out, model = tmp_path / "out", tmp_path / "model"
    run(pipeline, "run", shared / "web" / "realweb.warc.gz", "--output", out, "--item-bytes", "4MiB")
    documents = check_books(out)
    assert documents["documents"] > 1_700
    assert "CRASHED" not in documents["drops"]
    run(tokenizer, "train", out, "--size", 8000, "--sample-characters", "3M")
    run(pipeline, "tokenize", out)
    manifest = json.loads((out / "tokens" / "manifest.json").read_text())
    assert sum(s["documents"] for s in manifest["shards"]) == crawl.books(out, "selection")["kept"]
    assert sum(s["tokens"] for s in manifest["shards"]) == manifest["books"]["tokens"]
    run(trainer, "pretrain", out / "tokens", "--output", model, "--size", "tiny", "--sequence", 128, "--batch", 8,
        "--steps", 60)  # fmt: skip
    lines = [json.loads(line) for line in (model / "log.jsonl").read_text().splitlines()]
    losses = [line["generator_loss"] for line in lines if "generator_loss" in line]
    assert losses[-1] < losses[0]


def test_the_same_pages_as_wet(shared, tmp_path):
    out = tmp_path / "out"
    run(pipeline, "run", shared / "web" / "realweb.warc.wet.gz", "--output", out)
    assert check_books(out)["documents"] == 1_761


def test_broken_and_hostile_files_at_once(shared, tmp_path):
    """The run ends; every file is read or listed with what is wrong; no process died of a page."""
    out = tmp_path / "out"
    folders = [shared / "warc" / "real", shared / "warc" / "hostile"]
    run(pipeline, "run", *folders, "--output", out)
    documents = check_books(out)
    assert "CRASHED" not in documents["drops"]
    listed = {e["path"]: e for e in json.loads((out / "failed_files.json").read_text())}
    assert all(e["damage"] and e["damage"][0][2] for e in listed.values())
    for folder in folders:
        for path in folder.iterdir():
            assert documents["files"][str(path)] > 0 or str(path) in listed, path
    index = json.loads((shared / "warc" / "hostile" / "index.json").read_text())
    assert len(listed) < 60 < len(index)
