"""The token shard: mapped without a copy, readable by others, every damage found."""

import dataclasses
import json
import os
import random
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from corpus import shards
from corpus.document import FORMAT
from corpus.shards import (
    Manifest,
    ShardError,
    ShardInfo,
    batch,
    checksum,
    open_shard,
    read_manifest,
    token_type,
    verify,
)
from corpus.terminal import UserError


def write_shard(path, documents: list[list[int]], dtype=np.uint16) -> str:
    os.makedirs(os.path.dirname(path), exist_ok=True)
    tokens = np.array([t for d in documents for t in d], dtype)
    count = len(documents)
    record = batch(tokens, np.array([len(d) for d in documents], int), np.arange(count) + 3, np.arange(count) * 2)
    with pa.OSFile(str(path), "wb") as file, pa.ipc.new_file(file, record.schema) as writer:
        writer.write_batch(record)
    return str(path)


def info(folder, path: str, **values) -> ShardInfo:
    full = os.path.join(folder, path)
    shard = ShardInfo(path, "eng_Latn", 1, False, 3, 6, os.path.getsize(full), checksum(full))
    return dataclasses.replace(shard, **values)


@pytest.fixture
def folder(tmp_path):
    """A tokens folder with three shards and its manifest."""
    made = []
    for path, language in (("eng_Latn/x1-0.arrow", "eng_Latn"), ("eng_Latn/x1-1.arrow", "eng_Latn"),
                           ("fin_Latn/x3-0.arrow", "fin_Latn")):  # fmt: skip
        write_shard(tmp_path / path, [[k % 900 for k in range(n)] for n in (400, 0, 700)])
        made.append(info(tmp_path, path, language=language, copies=3 if "x3" in path else 1, tokens=1100))
    made[1] = dataclasses.replace(made[1], validation=True)
    shards.write_manifest(str(tmp_path), Manifest("digest", 64_000, "print", tuple(made), {"kept": 9}))
    return str(tmp_path)


# --- the shard ------------------------------------------------------------------------------------------------------

DOCUMENTS = st.lists(st.lists(st.integers(0, 65_535), max_size=20), max_size=12)


@given(DOCUMENTS, st.sampled_from([np.uint16, np.uint32]))
def test_what_was_written_is_read(tmp_path_factory, documents, dtype):
    path = write_shard(tmp_path_factory.mktemp("shard") / "s.arrow", documents, dtype)
    shard = open_shard(path)
    assert shard.tokens.dtype == dtype
    found = [shard.tokens[a:b].tolist() for a, b in zip(shard.offsets[:-1], shard.offsets[1:], strict=True)]
    assert found == documents
    assert shard.parts.tolist() == [k + 3 for k in range(len(documents))]
    assert shard.rows.tolist() == [k * 2 for k in range(len(documents))]


def test_a_shard_is_mapped_and_nothing_is_copied(tmp_path):
    """The arrays lie inside the file's pages, and opening allocates next to nothing."""
    path = write_shard(tmp_path / "s.arrow", [list(range(60_000))] * 40)
    before = pa.total_allocated_bytes()
    shard = open_shard(path)
    assert pa.total_allocated_bytes() - before < 100_000
    with open("/proc/self/maps") as maps:
        ranges = [line.split()[0].split("-") for line in maps if path in line]
    assert ranges
    for array in (shard.tokens, shard.offsets, shard.parts, shard.rows):
        begin = array.ctypes.data
        assert any(int(a, 16) <= begin and begin + array.nbytes <= int(b, 16) for a, b in ranges)
        assert not array.flags.writeable


def test_the_same_documents_are_the_same_bytes(tmp_path):
    documents = [[1, 2, 3], [], [4] * 500]
    one, two = (write_shard(tmp_path / n, documents) for n in ("a.arrow", "b.arrow"))
    assert checksum(one) == checksum(two)
    assert checksum(one) != checksum(write_shard(tmp_path / "c.arrow", [[1, 2, 4], [], [4] * 500]))


def test_the_layout_of_a_batch():
    record = batch(np.array([5, 6, 7], np.uint16), np.array([2, 0, 1]), np.array([1, 1, 2]), np.array([0, 4, 9]))
    record.validate(full=True)
    assert record.schema.equals(shards.schema(np.dtype(np.uint16)))
    assert record.to_pydict() == {"tokens": [[5, 6], [], [7]], "part": [1, 1, 2], "row": [0, 4, 9]}
    tokens, offsets = shards.flat(record.column("tokens"))
    assert tokens.tolist() == [5, 6, 7]
    assert offsets.tolist() == [0, 2, 2, 3]


def test_more_tokens_than_arrow_counts_in_a_list():
    endless = np.lib.stride_tricks.as_strided(np.zeros(1, np.uint16), (1 << 31,), (0,))
    with pytest.raises(ShardError, match="lower --shard-tokens"):
        batch(endless, np.array([1 << 31]), np.array([0]), np.array([0]))


def test_others_can_read_it(folder):
    dataset = pytest.importorskip("pyarrow.dataset")
    table = dataset.dataset(os.path.join(folder, "eng_Latn"), format="ipc").to_table()
    assert table.num_rows == 6
    assert table.column("tokens").type.value_type == pa.uint16()
    assert sum(map(len, table.column("tokens").to_pylist())) == 2200


@pytest.mark.parametrize("damage", ["cut", "empty", "missing", "text", "two batches", "other columns"])
def test_a_shard_that_cannot_be_used_is_a_mistake_in_one_line(tmp_path, damage):
    path = write_shard(tmp_path / "s.arrow", [[1, 2], [3]])
    whole = Path(path).read_bytes()
    if damage == "missing":
        os.unlink(path)
    elif damage in ("two batches", "other columns"):
        record = open_record(path) if damage == "two batches" else pa.record_batch({"x": [1]})
        with pa.OSFile(path, "wb") as file, pa.ipc.new_file(file, record.schema) as writer:
            for _ in range(2 if damage == "two batches" else 1):
                writer.write_batch(record)
    else:
        with open(path, "wb") as file:
            file.write({"cut": whole[: len(whole) // 2], "empty": b"", "text": b"no shard" * 100}[damage])
    with pytest.raises(ShardError) as mistake:
        open_shard(path)
    assert path in str(mistake.value)
    assert "tokenize again" in str(mistake.value)
    assert "\n" not in str(mistake.value)
    assert isinstance(mistake.value, UserError)


def open_record(path: str) -> pa.RecordBatch:
    with pa.OSFile(path, "rb") as file:
        return pa.ipc.open_file(file).get_batch(0)


@pytest.mark.parametrize(("size", "expected"), [
    (5, np.uint16), (65_535, np.uint16), (65_536, np.uint16), (65_537, np.uint32), (250_000, np.uint32),
])  # fmt: skip
def test_the_type_of_tokens(size, expected):
    assert token_type(size) == expected
    assert Manifest("d", size, "f").dtype == expected


# --- the manifest ---------------------------------------------------------------------------------------------------


def test_a_manifest_is_read_as_it_was_written(folder):
    found = read_manifest(folder)
    assert found.vocabulary_size == 64_000
    assert found.books == {"kept": 9}
    assert [s.path for s in found.shards] == ["eng_Latn/x1-0.arrow", "eng_Latn/x1-1.arrow", "fin_Latn/x3-0.arrow"]
    shards.write_manifest(folder, found)
    assert read_manifest(folder) == found


def test_tokens_by_language_and_split(folder):
    found = read_manifest(folder)
    assert found.languages() == {"eng_Latn": 1100, "fin_Latn": 1100}
    assert found.languages(validation=True) == {"eng_Latn": 1100}


@pytest.mark.parametrize(("change", "fact"), [
    (lambda t: "", "not readable"),
    (lambda t: t[: len(t) // 2], "not readable"),
    (lambda t: "[1]", "not readable"),
    (lambda t: "null", "not readable"),
    (lambda t: t.replace(f'"format": {FORMAT}', '"format": 99'), "another format version"),
    (lambda t: t.replace(f'"format": {FORMAT},', ""), "not readable"),
    (lambda t: t.replace('"tokens"', '"tokenz"'), "not readable"),
    (lambda t: t.replace('"vocabulary_size"', '"size"'), "not readable"),
])  # fmt: skip
def test_a_manifest_that_cannot_be_used(folder, change, fact):
    path = os.path.join(folder, shards.MANIFEST)
    text = Path(path).read_text()
    assert change(text) != text
    with open(path, "w") as file:
        file.write(change(text))
    with pytest.raises(ShardError, match=fact) as mistake:
        read_manifest(folder)
    assert path in str(mistake.value)
    assert "\n" not in str(mistake.value)


def test_no_manifest_no_finished_tokens(tmp_path):
    with pytest.raises(ShardError, match="python -m pipeline tokenize"):
        read_manifest(str(tmp_path))


# --- damage ---------------------------------------------------------------------------------------------------------


def test_a_sound_folder_has_nothing_to_tell(folder):
    assert list(verify(folder, read_manifest(folder))) == []
    assert list(verify(folder, read_manifest(folder), contents=False)) == []


def test_every_flipped_bit_is_found(folder):
    """Also those that Arrow itself reads without a word, which are most of them."""
    manifest = read_manifest(folder)
    order = random.Random(0)
    silent = 0
    for _ in range(50):
        shard = order.choice(manifest.shards)
        path = os.path.join(folder, shard.path)
        place, bit = order.randrange(shard.bytes), 1 << order.randrange(8)
        with open(path, "r+b") as file:
            file.seek(place)
            old = file.read(1)[0]
            file.seek(place)
            file.write(bytes([old ^ bit]))
        assert list(verify(folder, manifest)) == [f"{shard.path}: damaged (checksum differs)"]
        try:
            open_shard(path)
            silent += 1
        except ShardError:
            pass
        with open(path, "r+b") as file:
            file.seek(place)
            file.write(bytes([old]))
    assert list(verify(folder, manifest)) == []
    assert silent > 0, "or the checksums would not be needed"


def test_missing_extra_and_short_shards_are_named(folder):
    manifest = read_manifest(folder)
    os.unlink(os.path.join(folder, "eng_Latn/x1-0.arrow"))
    with open(os.path.join(folder, "fin_Latn/x3-0.arrow"), "r+b") as file:
        file.truncate(100)
    write_shard(os.path.join(folder, "swe_Latn/x1-0.arrow"), [[1]])
    size = manifest.shards[2].bytes
    expected = [
        "swe_Latn/x1-0.arrow: not in the manifest",
        "eng_Latn/x1-0.arrow: missing",
        f"fin_Latn/x3-0.arrow: 100 bytes instead of {size}",
    ]
    assert list(verify(folder, manifest)) == expected
    assert list(verify(folder, manifest, contents=False)) == expected


def test_swapped_shards_are_found(folder):
    one, two = (os.path.join(folder, p) for p in ("eng_Latn/x1-0.arrow", "fin_Latn/x3-0.arrow"))
    write_shard(one, [[7] * 1100, [], []])
    assert os.path.getsize(one) == os.path.getsize(two)
    assert list(verify(folder, read_manifest(folder))) == ["eng_Latn/x1-0.arrow: damaged (checksum differs)"]


def test_the_manifest_is_json_with_sorted_keys(folder):
    text = Path(folder, shards.MANIFEST).read_text()
    values = json.loads(text)
    assert text == json.dumps(values, indent=1, sort_keys=True) + "\n"
    assert values["format"] == FORMAT


# --- other readers --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("reader", ["polars", "polars scan", "duckdb", "datasets", "datasets streaming"])
def test_what_others_read(folder, reader, tmp_path, monkeypatch):
    """Each library, where it is installed, has the same tokens."""
    pytest.importorskip(reader.split()[0])
    path = os.path.join(folder, "fin_Latn/x3-0.arrow")
    expected = [[k % 900 for k in range(n)] for n in (400, 0, 700)]
    if reader.startswith("polars"):
        import polars as pl

        frame = pl.read_ipc(path) if reader == "polars" else pl.scan_ipc(path).collect()
        assert frame["tokens"].to_list() == expected
        assert frame["tokens"].dtype == pl.List(pl.UInt16)
    elif reader == "duckdb":
        import duckdb
        import pyarrow.dataset as ds

        shard = ds.dataset(path, format="ipc")
        sums = duckdb.sql("select part, len(tokens), list_sum(tokens) from shard order by part").fetchall()
        assert sums == [(3, 400, sum(expected[0])), (4, 0, None), (5, 700, sum(expected[2]))]
        assert shard.count_rows() == 3
    else:
        import datasets

        streaming = reader.endswith("streaming")
        monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "cache")
        found = datasets.load_dataset(
            "arrow", data_files=path, split="train", streaming=streaming, cache_dir=str(tmp_path / "cache")
        )
        assert [row["tokens"] for row in found] == expected
