"""Text that others have already extracted: JSON Lines and Parquet -> rows (Wikipedia dumps, older corpora)."""

import io
import json
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import IO, Any

TEXT, URL, TIME, IDENTITY = ("text", "content"), ("url", "uri"), ("date", "timestamp", "crawl_time"), ("id",)

_BITE = 512  # bytes of zstd at a time: four can stand for 128 KiB


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
        return io.BufferedReader(_Frames(file), 1 << 20)
    return file


class _Frames(io.RawIOBase):
    """What zstd frames hold, one behind the other. A cut one raises EOFError, as gzip does; zstandard's own reader
    takes it for whole."""

    def __init__(self, file: IO[bytes]):
        self.file, self.packed, self.plain = file, b"", memoryview(b"")
        self.inflater: Any = None

    def readable(self):
        return True

    def readinto(self, buffer):
        while not self.plain:
            self.packed = self.packed or self.file.read(1 << 16)
            if not self.packed:
                if self.inflater is not None:
                    raise EOFError("a zstd frame without its end")
                return 0
            self.plain = memoryview(self._inflate())
        count = min(len(buffer), len(self.plain))
        buffer[:count], self.plain = self.plain[:count], self.plain[count:]
        return count

    def _inflate(self) -> bytes:
        import zstandard

        if self.inflater is None:
            self.inflater = zstandard.ZstdDecompressor().decompressobj()
        bite, self.packed = self.packed[:_BITE], self.packed[_BITE:]
        plain = self.inflater.decompress(bite)
        if self.inflater.eof:
            self.packed, self.inflater = self.inflater.unused_data + self.packed, None
        return plain


def _json_lines(file: IO[bytes]) -> Iterator[Row]:
    import zstandard

    offset = 0
    try:
        for line in file:
            if line.strip():
                yield _row(line, offset)
            offset += len(line)
    except (EOFError, zlib.error, zstandard.ZstdError) as error:
        raise OSError(f"{error}, after {offset} bytes") from None


def _row(line: bytes, offset: int) -> Row:
    try:
        value = json.loads(line)
    except (ValueError, RecursionError):
        value = None
    if not isinstance(value, dict):
        return Row("", "", "", "", offset, "no JSON object")
    text = next((value[n] for n in TEXT if value.get(n) is not None), None)
    if not isinstance(text, str):
        missing = not any(n in value for n in TEXT)
        return Row("", "", "", "", offset, "no text field" if missing else "the text is no string")
    return Row(_sound(text), _first(value, URL), _first(value, TIME), _first(value, IDENTITY), offset)


def _first(value: dict, names: tuple[str, ...]) -> str:
    return _sound(str(next((value[n] for n in names if value.get(n) is not None), "")))


def _sound(text: str) -> str:
    """Without halves of surrogate pairs, which JSON can write and no encoding holds."""
    return text if text.isascii() else text.encode("utf-8", "ignore").decode()


def _parquet(file: IO[bytes]) -> Iterator[Row]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        yield from _parquet_rows(pq.ParquetFile(file))
    except pa.ArrowException as error:
        raise OSError(str(error).splitlines()[0]) from None


def _parquet_rows(table) -> Iterator[Row]:
    names = table.schema_arrow.names
    columns = [next((n for n in group if n in names), None) for group in (TEXT, URL, TIME, IDENTITY)]
    if columns[0] is None:
        raise OSError(f"no text column among {', '.join(sorted(names))}")
    kind = table.schema_arrow.field(columns[0]).type
    if "string" not in str(kind):
        raise OSError(f"the column {columns[0]} holds {kind}, no text")
    number = 0
    for batch in table.iter_batches(1000, columns=[c for c in columns if c]):
        values = [batch.column(c).to_pylist() if c else [None] * len(batch) for c in columns]
        for text, url, time, identity in zip(*([_told(v) for v in column] for column in values), strict=True):
            yield Row(text, url, time, identity, number)
            number += 1


def _told(value: object) -> str:
    return "" if value is None else str(value)
