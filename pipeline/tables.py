"""Text that others have already extracted: JSON Lines and Parquet -> rows (Wikipedia dumps, older corpora)."""

import io
import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import IO

TEXT, URL, TIME, IDENTITY = ("text", "content"), ("url", "uri"), ("date", "timestamp", "crawl_time"), ("id",)


@dataclass(slots=True)
class Row:
    """One text. `offset`: byte of the (decompressed) line, or number of the Parquet row."""

    text: str = field(repr=False)
    url: str
    time: str
    identity: str
    offset: int
    error: str = ""


def is_table(path: str) -> bool:
    return kind(path) != ""


def kind(path: str) -> str:
    """'jsonl', 'parquet' or '' (a crawl file), by the name."""
    name = path.lower().removesuffix(".gz").removesuffix(".zst")
    if name.endswith((".jsonl", ".ndjson")):
        return "jsonl"
    return "parquet" if name.endswith(".parquet") else ""


def rows(file: IO[bytes], path: str) -> Iterator[Row]:
    """The rows of a whole file; a line that is no JSON object with a text comes with `error`. Errors: OSError."""
    return _parquet(file) if kind(path) == "parquet" else _json_lines(_decompressed(file, path))


def _decompressed(file: IO[bytes], path: str) -> IO[bytes]:
    if path.lower().endswith(".gz"):
        import gzip

        return gzip.open(file, "rb")  # type: ignore[return-value]
    if path.lower().endswith(".zst"):
        import zstandard

        return io.BufferedReader(zstandard.ZstdDecompressor().stream_reader(file, read_across_frames=True), 1 << 20)
    return file


def _json_lines(file: IO[bytes]) -> Iterator[Row]:
    offset = 0
    for line in file:
        if line.strip():
            yield _row(line, offset)
        offset += len(line)


def _row(line: bytes, offset: int) -> Row:
    try:
        value = json.loads(line)
        text = _first(value, TEXT)
    except (ValueError, AttributeError, RecursionError):
        return Row("", "", "", "", offset, "no JSON object")
    if not text:
        return Row("", "", "", "", offset, "no text field" if not any(k in value for k in TEXT) else "")
    return Row(text, _first(value, URL), _first(value, TIME), _first(value, IDENTITY), offset)


def _first(value: dict, names: tuple[str, ...]) -> str:
    found = next((value[n] for n in names if value.get(n) is not None), "")
    return found if isinstance(found, str) else str(found)


def _parquet(file: IO[bytes]) -> Iterator[Row]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        table = pq.ParquetFile(file)
    except pa.ArrowInvalid as error:
        raise OSError(str(error).splitlines()[0]) from None
    names = set(table.schema_arrow.names)
    columns = [next((n for n in group if n in names), None) for group in (TEXT, URL, TIME, IDENTITY)]
    if columns[0] is None:
        raise OSError(f"no text column among {', '.join(sorted(names))}")
    number = 0
    for batch in table.iter_batches(1000, columns=[c for c in columns if c]):
        values = [batch.column(c).to_pylist() if c else [""] * len(batch) for c in columns]
        for text, url, time, identity in zip(*values, strict=True):
            yield Row(text or "", str(url or ""), str(time or ""), str(identity or ""), number)
            number += 1
