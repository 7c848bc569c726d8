"""Files of text -> texts with their languages: plain lines, TSV, JSON lines and Parquet, compressed or not."""

import bz2
import gzip
import io
import json
import lzma
import re
import unicodedata
from collections.abc import Callable, Iterator
from contextlib import closing
from typing import IO, Any, NamedTuple

from corpus import storage
from corpus.terminal import UserError

UNKNOWN = "und"
"""Language of a text for which no file name, column or key gives one."""

_OPENERS: dict[str, Callable[[IO[bytes]], Any]] = {".gz": gzip.open, ".xz": lzma.open, ".bz2": bz2.open}
_LABEL = re.compile(r"[a-z]{3}_[A-Z][a-z]{3}(?![A-Za-z])")


class Text(NamedTuple):
    """A text with its language and, where a table names one, the file it belongs to in a parallel collection."""

    language: str
    text: str
    file: str = ""


def read(path: str) -> Iterator[Text]:
    """The texts of one file that are not empty, in NFC as the pipeline's are. Errors: UserError.

    *.tsv: header line with `text` and, if there, `label` or `language` and `file`. *.jsonl, *.ndjson: objects with
    `text` and, if there, `language`. *.parquet: such columns. Else each line is a text; its language is the label
    that the file's name begins with (eng_Latn.txt), or UNKNOWN.
    """
    name = path.rpartition("/")[2]
    match = _LABEL.match(name)
    default = match[0] if match else UNKNOWN
    try:
        for text in _reader(name)(path, default):
            if text.text.strip():
                yield text._replace(text=unicodedata.normalize("NFC", text.text))
    except UnicodeDecodeError as error:
        raise UserError(f"{path}: not UTF-8 ({error.reason}); convert it") from None
    except (OSError, EOFError, lzma.LZMAError) as error:
        raise UserError(f"{path}: {getattr(error, 'strerror', None) or error}; look at the file") from None


def _reader(name: str) -> Callable[[str, str], Iterator[Text]]:
    inner = re.sub(r"\.(gz|xz|bz2|zst)$", "", name)
    if inner.endswith(".parquet"):
        return _parquet
    if inner.endswith(".tsv"):
        return _tsv
    return _json if inner.endswith((".jsonl", ".ndjson")) else _lines


def _plain_lines(path: str) -> Iterator[str]:
    """Lines without their ends (only \\n ends a line). A stray byte order mark at the start is left out."""
    with storage.open_read(path) as raw, closing(_unpacked(path, raw)) as unpacked:
        for number, line in enumerate(io.TextIOWrapper(unpacked, "utf-8", newline="\n")):
            line = line.rstrip("\r\n")
            yield line.removeprefix("\ufeff") if number == 0 else line


def _unpacked(path: str, raw: IO[bytes]) -> Any:
    suffix = "." + path.rpartition(".")[2]
    if suffix == ".zst":
        import pyarrow as pa

        return pa.CompressedInputStream(raw, "zstd")
    return _OPENERS[suffix](raw) if suffix in _OPENERS else raw


def _lines(path: str, default: str) -> Iterator[Text]:
    for line in _plain_lines(path):
        yield Text(default, line)


def _tsv(path: str, default: str) -> Iterator[Text]:
    lines = _plain_lines(path)
    header = next(lines, "").split("\t")
    place = {name: k for k, name in enumerate(header)}
    if "text" not in place:
        raise UserError(f"{path}: no column `text` in its header line ({', '.join(header)[:80]}); name it there")
    label = place.get("label", place.get("language"))
    for number, line in enumerate(lines, 2):
        cells = line.split("\t")
        if len(cells) != len(header):
            raise UserError(f"{path}: line {number} has {len(cells)} cells, the header {len(header)}; mend the line")
        language = cells[label] if label is not None else default
        yield Text(language, cells[place["text"]], cells[place["file"]] if "file" in place else "")


def _json(path: str, default: str) -> Iterator[Text]:
    for number, line in enumerate(_plain_lines(path), 1):
        if not line.strip():
            continue
        try:
            value = json.loads(line)
            text, language = value["text"], value.get("language") or default
        except (ValueError, KeyError, TypeError, AttributeError):
            raise UserError(f"{path}: line {number} is no JSON object with `text`; mend the line") from None
        if not isinstance(text, str) or not isinstance(language, str):
            raise UserError(f"{path}: line {number}: `text` or `language` is no string; mend the line")
        # half a surrogate pair can be escaped in JSON, but is no text
        yield Text(language, text.encode("utf-8", "replace").decode())


def _parquet(path: str, default: str) -> Iterator[Text]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        with storage.open_read(path) as raw:
            file = pq.ParquetFile(raw)
            names = [n for n in ("text", "language", "label") if n in file.schema_arrow.names][:2]
            if names[:1] != ["text"]:
                raise UserError(f"{path}: no column `text`; rename the one that holds the text")
            for batch in file.iter_batches(1024, columns=names):
                texts = batch.column("text").to_pylist()
                languages = batch.column(names[1]).to_pylist() if len(names) > 1 else [None] * len(texts)
                yield from (Text(k or default, t) for k, t in zip(languages, texts, strict=True) if t)
    except pa.ArrowException as error:
        raise UserError(f"{path}: {str(error).splitlines()[0]}; look at the file") from None
