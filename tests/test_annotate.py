"""Columns beside the documents: aligned, resumable, by any number of workers; quality classifiers; calibration."""

import json
import shutil
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from corpus import storage
from corpus.document import Reason
from corpus.terminal import StepError, UserError
from pipeline import annotate, columns, folder, items, quality
from pipeline.__main__ import main
from tests import crawl

GOOD = ["The committee met in the town hall and talked about the new school for a long time that evening"] * 3
BAD = ["buy cheap shoes online sale discount price offer now click here best deal free shipping"] * 3


def run(*arguments) -> int:
    return main([*map(str, arguments), "--quiet"])


@pytest.fixture(scope="module")
def base(tmp_path_factory) -> Path:
    """A corpus of several parts and a classifier."""
    place = tmp_path_factory.mktemp("annotate")
    crawl.write_crawl(place / "crawl.warc.gz", 30)
    assert run("extract", place / "crawl.warc.gz", "--output", place / "out", "--item-bytes", 9000, "--workers", 1) == 0
    (place / "good.txt").write_text("".join(f"{line} {k}\n" for line in GOOD for k in "abcdefghijklmn"))
    (place / "bad.jsonl").write_text("".join(json.dumps({"text": f"{t} {k}"}) + "\n" for t in BAD for k in range(14)))
    assert (
        run("train-quality", "--good", place / "good.txt", "--bad", place / "bad.jsonl", "--output", place / "q.bin")
        == 0
    )
    return place


@pytest.fixture
def out(base, tmp_path) -> Path:
    shutil.copytree(base / "out", tmp_path / "out")
    return tmp_path / "out"


def test_a_column_is_aligned_and_holds_the_scores(base, out):
    assert run("annotate", out, "--quality-model", f"edu={base}/q.bin", "--workers", 2) == 0
    plan, score = items.read_plan(str(out / "documents")), quality.load(str(base / "q.bin"))
    assert len(plan) > 2
    for item in plan:
        table = columns.read(str(out), item.part, ["quality_edu", "text"])
        assert table.column_names == ["quality_edu", "text"]
        texts = table["text"].to_pylist()
        assert table["quality_edu"].to_pylist() == pytest.approx([score(text) for text in texts], abs=1e-6)
    assert crawl.digests(out, "documents") == crawl.digests(base / "out", "documents"), "the text is not touched"


def test_the_same_bytes_by_slices_and_after_a_loss(base, out, tmp_path):
    model = f"edu={base}/q.bin"
    shutil.copytree(out, tmp_path / "sliced")
    assert run("annotate", out, "--quality-model", model, "--workers", 1) == 0
    for number in (1, 2):
        assert run("annotate", tmp_path / "sliced", "--quality-model", model, "--slice", f"{number}/2") == 0
    assert crawl.digests(tmp_path / "sliced", "columns") == crawl.digests(out, "columns")
    before = crawl.digests(out, "columns")
    parts = sorted((out / "columns" / "quality_edu").glob("*.parquet"))
    parts[0].unlink()
    parts[1].write_bytes(parts[1].read_bytes()[:-10])
    kept = parts[2].stat().st_mtime_ns
    assert run("annotate", out, "--quality-model", model, "--workers", 1) == 0
    assert crawl.digests(out, "columns") == before
    assert parts[2].stat().st_mtime_ns == kept, "what is there is not made again"


def test_extract_makes_the_same_column(base, out, tmp_path):
    model = f"edu={base}/q.bin"
    assert run("annotate", out, "--quality-model", model) == 0
    assert run("extract", base / "crawl.warc.gz", "--output", tmp_path / "at-once", "--item-bytes", 9000,
               "--quality-model", model) == 0  # fmt: skip
    assert crawl.digests(tmp_path / "at-once", "columns") == crawl.digests(out, "columns")


def test_another_model_under_the_same_name_is_refused(base, out, tmp_path, capsys):
    assert run("annotate", out, "--quality-model", f"edu={base}/q.bin") == 0
    (tmp_path / "more.txt").write_text((base / "good.txt").read_text() * 2)
    other = tmp_path / "other.bin"
    assert run("train-quality", "--good", tmp_path / "more.txt", "--bad", base / "bad.jsonl", "--output", other) == 0
    assert run("annotate", out, "--quality-model", f"edu={other}") == 2
    assert "quality_edu: made by another model" in capsys.readouterr().err
    assert run("annotate", out, "--quality-model", f"edu={other}", "--redo") == 0
    assert run("annotate", out, "--quality-model", f"edu={base}/q.bin", "--redo") == 0


def test_select_by_a_column(base, out, capsys):
    assert run("select", out, "--threshold", "min_quality_edu=0.5") == 2
    assert "no column quality_edu" in capsys.readouterr().err
    assert run("annotate", out, "--quality-model", f"edu={base}/q.bin") == 0
    values = sorted(v for item in items.read_plan(str(out / "documents"))
                    for v in columns.read(str(out), item.part, ["quality_edu"])["quality_edu"].to_pylist())  # fmt: skip
    cut = values[len(values) // 2]
    assert run("select", out, "--threshold", f"min_quality_edu={cut}") == 0
    corpus = folder.read(str(out))
    assert corpus.selection["failing"]["QUALITY"] == sum(v < cut for v in values)
    row = corpus.row(corpus.selection["examples"]["QUALITY"][0], ["quality_edu", "reasons"])
    assert row["quality_edu"] < cut
    assert row["reasons"] & Reason.QUALITY.bit
    assert run("inspect", out, "--reason", "quality") == 0


def test_a_column_of_other_documents_is_refused(base, out):
    assert run("annotate", out, "--quality-model", f"edu={base}/q.bin") == 0
    part = items.read_plan(str(out / "documents"))[0].part
    path = out / "columns" / "quality_edu" / part
    table = pq.read_table(path)
    pq.write_table(table.slice(1), path)
    with pytest.raises(StepError, match="annotate again"):
        columns.read(str(out), part, ["quality_edu"])
    path.unlink()
    with pytest.raises(UserError, match="no column quality_edu"):
        columns.read(str(out), part, ["quality_edu"])


@pytest.mark.parametrize(("pairs", "words"), [
    (["edu"], "NAME=PATH"), (["=x"], "NAME=PATH"), (["Edu=x"], "NAME=PATH"), (["a=x", "a=y"], "two of one name"),
])  # fmt: skip
def test_mistakes_of_the_flag(pairs, words):
    with pytest.raises(UserError, match=words):
        annotate.quality_columns(pairs)


# --- classifiers ----------------------------------------------------------------------------------------------------


def test_a_classifier_tells_what_it_was_shown(base):
    score = quality.load(str(base / "q.bin"))
    assert score(GOOD[0]) > 0.9 > 0.1 > score(BAD[0])
    assert score("") >= 0
    assert score("BUY, Cheap: shoes!") == score("buy cheap shoes")


def test_same_examples_same_bytes(base, tmp_path):
    texts = list(quality.examples([str(base / "good.txt")])), list(quality.examples([str(base / "bad.jsonl")]))
    found = quality.train(*texts, str(tmp_path / "again.bin"))
    assert found == {"held_back": 10, "right": 1.0, "above": 1.0}
    assert storage.read(str(tmp_path / "again.bin")) == storage.read(str(base / "q.bin"))


def test_examples_are_read_from_lines_json_and_parquet(base, tmp_path):
    import gzip

    import pyarrow as pa

    (tmp_path / "a.txt.gz").write_bytes(gzip.compress(b"one\n\n two \n"))
    pq.write_table(pa.table({"text": ["three"]}), tmp_path / "b.parquet")
    (tmp_path / "c.jsonl").write_text('{"text": "four"}\n')
    paths = [str(tmp_path / name) for name in ("a.txt.gz", "b.parquet", "c.jsonl")]
    assert list(quality.examples(paths)) == ["one", " two ", "three", "four"]


@pytest.mark.parametrize("content", [b"\xff\xfe\xfa", None])
def test_examples_that_cannot_be_read(tmp_path, content):
    path = tmp_path / "x.txt"
    if content:
        path.write_bytes(content)
    with pytest.raises(UserError, match=r"x\.txt: "):
        list(quality.examples([str(path)]))


def test_too_few_examples_and_labels_that_are_not_there(base, tmp_path):
    with pytest.raises(UserError, match="--good: 3 texts"):
        quality.train(GOOD, BAD, str(tmp_path / "x.bin"))
    with pytest.raises(UserError, match="no label 'hq' among"):
        quality.Classifier(f"{base}/q.bin#hq")
    assert quality.Classifier(f"{base}/q.bin#bad")(BAD[0]) > 0.9
