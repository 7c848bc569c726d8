"""Columns of parts as arrays; and how little of a corpus a selection reads."""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from corpus import settings
from pipeline import arrays, steps
from pipeline.flow import Runner
from pipeline.local import Local
from pipeline.thresholds import Thresholds
from tests import key_folder

REAL = Path(__file__).resolve().parents[2] / "shared" / "data" / "web" / "realweb.warc.gz"


@given(st.lists(st.sampled_from(["fin_Latn", "ell_Grek", "und_Zyyy"]), max_size=20))
def test_labels_are_as_an_array_of_strings(given_):
    found = arrays.labels(np.array(given_, object))
    assert found.astype(str).tolist() == given_
    assert len(found) == len(given_)
    assert found.map(lambda label: label.endswith("Latn")).tolist() == [x.endswith("Latn") for x in given_]
    known = ["ell_Grek", "eng_Latn", "fin_Latn", "und_Zyyy"]
    assert found.places(known).tolist() == [known.index(x) for x in given_]
    odd = np.arange(len(given_)) % 2 == 1
    assert found[odd].astype(str).tolist() == given_[1::2]


def test_columns_of_every_kind(tmp_path):
    """In several row groups, with nulls and empty lists."""
    path = key_folder.write(tmp_path / "out", [{"text": "a\nb"}, {"text": "", "day": 3}, {"text": "c"}], 1)
    (part,) = path.glob("documents/part-*")
    table = pq.read_table(part)
    pq.write_table(table, part, row_group_size=1)
    found = arrays.read(str(part), ["id", "crawl_time", "language", "url", "words", "line_hashes", "absent"])
    assert found["id"].tobytes() == b"".join(table["id"].to_pylist())
    assert np.diff(found["crawl_time"]).tolist() == [3 * 86400, -3 * 86400]
    assert found["language"].astype(str).tolist() == ["eng_Latn"] * 3
    assert found["line_hashes.ends"].tolist() == [2, 2, 3]
    assert len(found["line_hashes"]) == 3
    assert "absent" not in found
    pq.write_table(table.slice(0, 0), part)
    empty = arrays.read(str(part), ["id", "crawl_time", "language", "words", "line_hashes"])
    assert [len(v) for v in empty.values()] == [0] * 6


def test_a_part_that_changes_is_read_anew(tmp_path):
    path = key_folder.write(tmp_path / "out", [{"text": "a"}], 1)
    (part,) = path.glob("documents/part-*")
    before = arrays.metadata(str(part))
    key_folder.write(tmp_path / "out", [{"text": "another"}, {"text": "one"}], 1)
    assert arrays.metadata(str(part)) != before
    assert arrays.metadata(str(tmp_path / "none")) == {}


class Counted:
    """A file that counts the bytes that are read of it."""

    total = 0

    def __init__(self, path: str):
        self.file, self.closed = open(path, "rb", buffering=0), False  # noqa: SIM115

    def read(self, count: int = -1) -> bytes:
        data = self.file.read(count)
        Counted.total += len(data)
        return data

    def seek(self, place: int, whence: int = 0) -> int:
        return self.file.seek(place, whence)

    def tell(self) -> int:
        return self.file.tell()

    def close(self) -> None:
        self.file.close()
        self.closed = True


def counted(path: Path, monkeypatch, thresholds: Thresholds) -> float:
    """Bytes that a selection reads of the documents folder, as a share of it."""
    monkeypatch.setattr(arrays, "_open", lambda p: pa.PythonFile(Counted(p), "r"))
    Counted.total = 0
    steps.run_select(settings.Select(), thresholds, 100_000, Local(0, quiet=True), steps.Options(str(path)))
    whole = sum(p.stat().st_size for p in path.glob("documents/part-*"))
    assert Counted.total, "or nothing was counted"
    return Counted.total / whole


@pytest.mark.slow
@pytest.mark.skipif(not REAL.exists(), reason="needs the data beside the checkout")
def test_a_selection_reads_a_small_part_of_real_documents(tmp_path, monkeypatch):
    """At most 35 % the first time, 15 % when only thresholds change; and it takes a tenth of the time of extract."""
    options = steps.Options(str(tmp_path / "out"))
    steps.run_extract([str(REAL)], settings.Extract(), Runner([], 0, quiet=True), options)
    first = counted(tmp_path / "out", monkeypatch, Thresholds())
    again = counted(tmp_path / "out", monkeypatch, Thresholds().changed({"min_words": 21}, "test"))
    assert first <= 0.35
    assert again <= 0.15
    seconds = {k: v["seconds"] for k, v in steps.books.read_times(options.output).items()}
    assert seconds["select"] < 0.1 * seconds["extract"]
    print(f"read {first:.1%}, {again:.1%}; {seconds}")


def test_text_is_never_read(tmp_path, monkeypatch):
    """Neither its column, nor much else: of documents with long texts a selection reads a hundredth."""
    long = "\n".join(f"{k} {np.random.default_rng(k).bytes(3000).hex()}" for k in range(100))
    path = key_folder.write(tmp_path / "out", [{"text": f"{k}{long}"} for k in range(4)], 1)
    assert counted(path, monkeypatch, key_folder.LOOSE) < 0.12
