"""Every text of the data beside the checkout, as (file, text): lines of tables, strings of JSON, members of archives,
pages of crawl files as extract gives them."""

import base64
import gzip
import json
import lzma
import tarfile
import tempfile
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

from corpus import settings
from pipeline import extract, items

DATA = Path(__file__).resolve().parents[2] / "shared" / "data"
_CRAWLS = (".warc", ".warc.gz", ".wet.gz", ".arc", ".arc.gz")
_BYTES = frozenset(b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/=")


def texts(one_of: int = 1) -> Iterator[tuple[str, str]]:
    """All, or those whose hash falls on one of so many; no text twice in a row."""
    before = ""
    for path in sorted(p for p in DATA.rglob("*") if p.is_file()):
        for text in _of_file(path):
            if text != before and zlib.crc32(text.encode("utf-8", "replace")) % one_of == 0:
                yield str(path.relative_to(DATA)), text
            before = text


def _of_file(path: Path) -> Iterator[str]:
    if path.name.endswith(_CRAWLS):
        yield from _pages(path)
    elif path.name.endswith((".tar.gz", ".tar.xz")):
        with tarfile.open(path) as archive:
            for member in archive:
                if member.isfile() and (file := archive.extractfile(member)) is not None:
                    yield from _decoded(member.name, file.read())
    elif path.suffix in (".xz", ".gz"):
        data = (lzma.decompress if path.suffix == ".xz" else gzip.decompress)(path.read_bytes())
        yield from _decoded(path.stem, data)
    elif path.suffix in (".json", ".jsonl", ".md", ".py"):
        yield from _decoded(path.name, path.read_bytes())


def _decoded(name: str, data: bytes) -> Iterator[str]:
    text = data.decode("utf-8", "replace")
    if name.endswith(".tsv"):
        yield from text.split("\n")
    elif name.endswith(".jsonl"):
        yield from (string for line in text.splitlines() if line.strip() for string in _strings(json.loads(line)))
    elif name.endswith(".json"):
        yield from _strings(json.loads(text))
    else:
        yield text
        if "\ufffd" in text:
            yield data.decode("latin-1")


def _strings(value: Any) -> Iterator[str]:
    """All strings at any depth; `bytes` in base 64 also as what they stand for."""
    if isinstance(value, str):
        yield value.encode("utf-8", "replace").decode()  # JSON can hold halves of surrogate pairs
    elif isinstance(value, list):
        for one in value:
            yield from _strings(one)
    elif isinstance(value, dict):
        for key, one in value.items():
            yield from _strings(one)
            if key == "bytes" and isinstance(one, str) and _BYTES.issuperset(one.encode()):
                raw = base64.b64decode(one)
                yield from (raw.decode(encoding, "replace") for encoding in ("utf-8", "cp1252", "gb18030"))


def _pages(path: Path) -> Iterator[str]:
    with tempfile.TemporaryDirectory() as folder:
        (item,) = items.plan([str(path)], 1 << 40)
        extract.run(item, settings.Extract(), folder)
        for part in Path(folder).rglob("*.parquet"):
            yield from (text for text in pq.read_table(part, columns=["text"])["text"].to_pylist() if text)
