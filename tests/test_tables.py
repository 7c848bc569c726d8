"""JSON Lines and Parquet -> rows: what is broken is said by row, or by file."""

import contextlib
import gzip
import io
import json

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import zstandard
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.tables import Row, is_table, kind, rows

LINES = [
    {"text": "first", "url": "https://x.example/1", "date": "2026-01-02", "id": 7},
    {"content": "second", "uri": "https://x.example/2", "timestamp": "2026", "id": "b"},
    {"text": "third ü 日本"},
]
EXPECTED = [
    Row("first", "https://x.example/1", "2026-01-02", "7", 0),
    Row("second", "https://x.example/2", "2026", "b", 79),
    Row("third ü 日本", "", "", "", 163),
]


def lines_of(values, ascii=False) -> bytes:
    return b"".join(json.dumps(v, ensure_ascii=ascii).encode() + b"\n" for v in values)


def read(data: bytes, name: str = "x.jsonl") -> list[Row]:
    return list(rows(io.BytesIO(data), name))


@pytest.mark.parametrize(("name", "expected"), [
    ("a.jsonl", "jsonl"), ("A.NDJSON", "jsonl"), ("a.jsonl.gz", "jsonl"), ("https://x/a.jsonl.zst", "jsonl"),
    ("a.parquet", "parquet"), ("a.warc.gz", ""), ("a.json", ""), ("jsonl", ""), ("a.jsonl.bak", ""),
])  # fmt: skip
def test_tables_are_known_by_their_names(name, expected):
    assert kind(name) == expected
    assert is_table(name) == bool(expected)


@pytest.mark.parametrize(("name", "pack"), [
    ("x.jsonl", bytes),
    ("x.jsonl.gz", gzip.compress),
    ("x.jsonl.gz", lambda d: gzip.compress(d[:50]) + gzip.compress(d[50:])),
    ("x.jsonl.zst", zstandard.ZstdCompressor().compress),
    ("x.jsonl.zst", lambda d: zstandard.compress(d[:50]) + zstandard.compress(d[50:])),
], ids=["plain", "gzip", "two members", "zstd", "two frames"])  # fmt: skip
def test_lines_however_they_are_packed(name, pack):
    assert read(pack(lines_of(LINES)), name) == EXPECTED


def test_empty_lines_are_passed_over_and_the_last_needs_no_end():
    data = b"\n  \n" + lines_of(LINES[:1]).rstrip()
    assert [(r.text, r.offset) for r in read(data)] == [("first", 4)]
    assert read(b"") == []


@pytest.mark.parametrize(("line", "error"), [
    (b"{broken", "no JSON object"),
    (b"[1, 2]", "no JSON object"),
    (b'"text"', "no JSON object"),
    (b"12", "no JSON object"),
    (b"null", "no JSON object"),
    (b"[" * 100_000, "no JSON object"),
    (b'{"text": "\xff"}', "no JSON object"),
    (b'{"title": "x"}', "no text field"),
    (b'{"text": null}', "the text is no string"),
    (b'{"text": ["a"]}', "the text is no string"),
    (b'{"text": 5}', "the text is no string"),
    (b'{"text": ""}', ""),
])  # fmt: skip
def test_a_broken_line_is_told_and_the_next_one_read(line, error):
    first, second = read(line + b"\n" + lines_of(LINES[:1]))
    assert (first.text, first.error, first.offset) == ("", error, 0)
    assert (second.text, second.error, second.offset) == ("first", "", len(line) + 1)


def test_halves_of_surrogate_pairs_are_left_out():
    """JSON can write them, no file can hold them."""
    row = read(rb'{"text": "a\ud800b \ud83d\ude00", "url": "http://x/\udfff"}')[0]
    assert (row.text, row.url) == ("ab 😀", "http://x/")


@pytest.mark.parametrize(("name", "pack"), [
    ("x.jsonl.gz", gzip.compress),
    ("x.jsonl.zst", zstandard.ZstdCompressor().compress),
    ("x.parquet", None),
], ids=["gzip", "zstd", "parquet"])  # fmt: skip
@pytest.mark.parametrize("damage", ["cut", "flip", "other"])
def test_a_damaged_file_is_an_os_error(name, pack, damage):
    """And nothing else, since whoever reads the file books that as its failure."""
    data = pack(lines_of(LINES * 500)) if pack else parquet({"text": ["some text"] * 5000}, compression="zstd")
    middle = len(data) // 2
    data = {"cut": data[:middle], "other": b"<html>503</html>" * 20,
            "flip": data[:middle] + bytes([data[middle] ^ 0xFF]) + data[middle + 1 :]}[damage]  # fmt: skip
    if damage == "flip" and name != "x.jsonl.gz":  # neither zstd nor Parquet promises to see it
        with contextlib.suppress(OSError):
            read(data, name)
        return
    with pytest.raises(OSError, match=r"\w"):
        read(data, name)


# --- Parquet --------------------------------------------------------------------------------------------------------


def parquet(columns: dict, **options) -> bytes:
    out = io.BytesIO()
    pq.write_table(pa.table(columns), out, **options)
    return out.getvalue()


def test_parquet_rows_are_numbered():
    data = parquet({"id": [1, 2, 3], "url": ["u", None, "w"], "content": ["a", "b", None], "n": [0.5] * 3})
    assert read(data, "x.parquet") == [Row("a", "u", "", "1", 0), Row("b", "", "", "2", 1), Row("", "w", "", "3", 2)]


def test_parquet_in_many_batches():
    data = parquet({"text": [f"t{k}" for k in range(2500)]}, row_group_size=700)
    found = read(data, "x.parquet")
    assert [r.text for r in found] == [f"t{k}" for k in range(2500)]
    assert [r.offset for r in found] == list(range(2500))


@pytest.mark.parametrize("type", [pa.large_string(), pa.dictionary(pa.int32(), pa.string())])
def test_parquet_strings_of_other_kinds(type):
    assert read(parquet({"text": pa.array(["a", "b"]).cast(type)}), "x.parquet")[1].text == "b"


def test_parquet_without_text():
    with pytest.raises(OSError, match="no text column among id, title"):
        read(parquet({"title": ["x"], "id": [1]}), "x.parquet")
    with pytest.raises(OSError, match="the column text holds int64"):
        read(parquet({"text": [1]}), "x.parquet")


@settings(max_examples=150, deadline=None)
@given(
    st.lists(
        st.one_of(st.binary(max_size=30), st.sampled_from([b'{"text":', b'"a"}', b"\n", b'{"text": "x"}\n'])),
        max_size=12,
    )
)
def test_no_line_raises(pieces):
    data = b"".join(pieces)
    found = read(data)
    assert len(found) == sum(bool(line.strip()) for line in io.BytesIO(data))
    for row in found:
        row.text.encode()
        assert data[row.offset : row.offset + 1]
