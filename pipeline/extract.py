"""extract: one item of a crawl file -> one part of documents. Reads each record once, rejects nothing for quality."""

import datetime
import os
from collections.abc import Iterator
from dataclasses import astuple, fields
from importlib.metadata import version
from typing import IO

import pyarrow as pa
import pyarrow.parquet as pq
import xxhash

from corpus import document, settings, storage
from corpus.document import DOCUMENT, Reason, Signals
from pipeline import (
    charset,
    cluster,
    content,
    duplicates,
    hints,
    language,
    personal,
    signals,
    tables,
    text,
    warc,
    zawgyi,
)
from pipeline.items import Item, no_tick
from pipeline.page import Dropped, Page, of_record, of_row

FLUSH_DOCUMENTS, FLUSH_CHARACTERS = 4096, 1 << 25
"""A row group is written when it has so many documents or so much text, which bounds the memory of an item."""
_LIBRARIES = (
    *("resiliparse", "ftfy", "chardet", "chardetng-py", "fasttext-community", "google-re2"),
    *("numpy", "pyarrow", "regex"),
)
_SOURCES = (
    "../corpus/document.py", "_block_features.c", "_blocks.c", "_duplicates.c", "_hints.c", "_language.c",
    "_signals.c", "_text.c", "_words.c", "block_features.py", "blocks.py", "charset.py", "content.py", "duplicates.py",
    "extract.py", "fasttext_file.py", "hints.py", "html.h", "http.py", "language.py", "language_model.py",
    "languages.tsv", "main_text.py", "models/content.npz", "mojibake.py", "native.h", "page.py", "personal.py",
    "phrases.tsv", "sections.py", "signals.py", "spans.h", "stop_words.tsv", "stopwords.py", "tables.py", "text.py",
    "told.h", "tree.h", "warc.py", "words.py", "zawgyi.py",
)  # fmt: skip
_DAMAGES = 100
_EXAMPLES = 3


def fingerprint(item: Item, extract: settings.Extract, model: str) -> str:
    """What a part depends on: the item, the settings, the language model's digest, code and libraries."""
    return settings.fingerprint(astuple(item), configuration(extract, model))


def configuration(extract: settings.Extract, model: str) -> dict:
    """Everything but the input that decides the bytes of a part, by name."""
    values = {k: v for k, v in settings.substance(extract).items() if k not in ("language_model", "item_bytes")}
    versions = {name: version(name) for name in (*_LIBRARIES, *content.libraries(extract.extractor))}
    code = settings.code(os.path.dirname(__file__), *_SOURCES)
    own = {"language_model": model, "version": settings.VERSION, "format": document.FORMAT, "code": code}
    return {**values, **own, **versions}


def run(
    item: Item,
    extract: settings.Extract,
    folder: str,
    limit: int | None = None,
    model: str = "",
    tick=no_tick,
    skip: frozenset[int] = frozenset(),
    planned: dict | None = None,
) -> dict:
    """Make the part of `item` in `folder`, unless it is there; returns its receipt. `model`: digest of the language
    model. `skip`: numbers of records that are booked as crashed. `planned`: the configuration where the run was
    started; another one here is refused. Errors of the disk are raised, those of the input go into the receipt."""
    path = storage.join(folder, item.part)
    mark = settings.fingerprint(fingerprint(item, extract, model), limit)
    if (receipt := read_receipt(path, mark)) is not None:
        return {**receipt, "skipped": 1}
    part = _Part(item)
    identifier = language.load(extract.language_model)
    if planned is not None:
        cluster.check_worker(planned, configuration(extract, identifier.digest))
    with storage.writing(path) as temporary, _writer(temporary) as writer:
        for number, entry in enumerate(_entries(item, extract, part)):
            if limit is not None and part.documents >= limit:
                break
            tick(number)
            part.book(number, entry, lambda e: make(e, item, extract, identifier), skip)
            if len(part.rows) >= FLUSH_DOCUMENTS or part.waiting >= FLUSH_CHARACTERS:
                writer.write_table(part.flush())
        writer.write_table(part.flush())
        values = document.metadata(fingerprint="" if part.failure else mark, receipt=part.receipt(mark))
        writer.add_key_value_metadata({k.decode(): v.decode() for k, v in values.items()})
    return part.receipt(mark)


def _writer(path: str) -> pq.ParquetWriter:
    repeated = ["source_file", "language", "charset", "charset_source", "page_language", "page_date", "robots"]
    return pq.ParquetWriter(path, DOCUMENT, compression="zstd", compression_level=3, use_dictionary=repeated)


def read_receipt(path: str, mark: str | None = None) -> dict | None:
    """The receipt in a part's metadata; None if there is no such part or (with `mark`) it was made otherwise."""
    values = read_part_metadata(path)
    return values.get("receipt") if values and mark in (None, values.get("fingerprint")) else None


def read_part_metadata(path: str) -> dict | None:
    """The metadata of a documents or selection part; None if it is not there or not whole."""
    try:
        with storage.open_read(path) as file:
            footer = pq.ParquetFile(file).metadata
    except (OSError, pa.ArrowInvalid):
        return None
    return document.read_metadata(pa.schema([], metadata=footer.metadata))


class _Part:
    """The rows and the books of a part in the making."""

    def __init__(self, item: Item):
        self.item = item
        self.rows: list[tuple] = []
        self.records = self.documents = self.page_bytes = self.characters = self.truncated = self.lost = 0
        self.drops: dict[str, int] = {}
        self.pii: dict[str, int] = {}
        self.examples: dict[str, list] = {}
        self.languages: dict[str, dict[str, int]] = {}
        self.damages: list[list] = []
        self.failure = ""
        self.end = self.read = self.waiting = 0

    def book(self, number: int, entry, make_row, skip: frozenset[int]) -> None:
        """Each entry becomes one row or one drop."""
        self.records += 1
        self.read += not isinstance(entry, warc.Damage)
        try:
            if number in skip:
                raise Dropped(Reason.CRASHED, "the process died or ran out of its limits on this record")
            row, masked = make_row(entry)
        except Dropped as drop:
            self._drop(entry, drop)
            return
        self.rows.append(row)
        self.documents += 1
        name, characters = row[_LANGUAGE], row[_CHARACTERS]
        counts = self.languages.setdefault(name, {"documents": 0, "characters": 0})
        counts["documents"] += 1
        counts["characters"] += characters
        self.characters += characters
        self.waiting += characters
        self.truncated += row[_TRUNCATED]
        for kind, count in masked.items():
            self.pii[kind] = self.pii.get(kind, 0) + count

    def _drop(self, entry, drop: Dropped) -> None:
        name = drop.reason.name
        self.drops[name] = self.drops.get(name, 0) + 1
        examples = self.examples.setdefault(name, [])
        if len(examples) < _EXAMPLES:
            url = entry.headers.get("warc-target-uri", "") if isinstance(entry, warc.Record) else ""
            offset = entry.start if isinstance(entry, warc.Damage) else getattr(entry, "offset", 0)
            examples.append([url[:300], storage.redact(self.item.path), offset, drop.detail[:200]])

    def flush(self) -> pa.Table:
        columns = list(zip(*self.rows, strict=True)) or [()] * len(DOCUMENT)
        table = pa.Table.from_arrays(
            [pa.array(c, f.type) for c, f in zip(columns, DOCUMENT, strict=True)], schema=DOCUMENT
        )
        self.rows, self.waiting = [], 0
        return table

    def receipt(self, mark: str) -> dict:
        path = storage.redact(self.item.path)
        damages = ([[0, max(0, self.item.size), self.failure]] if self.failure else []) + self.damages
        failure = {"path": path, "lost_bytes": self.lost, "damage": damages}
        return {
            "parts": 1,
            "digest": xxhash.xxh3_128_hexdigest(f"{self.item.part}{mark}".encode()),
            "records": self.records,
            "documents": self.documents,
            "drops": self.drops,
            "bytes": self.end,
            "page_bytes": self.page_bytes,
            "characters": self.characters,
            "truncated": self.truncated,
            "pii": self.pii,
            "lost_bytes": self.lost,
            "languages": self.languages,
            "examples": self.examples,
            "failures": [failure] if damages else [],
            "files": {path: self.read},
            "counts": {self.item.part: self.documents},
        }


_NAMES = DOCUMENT.names
_LANGUAGE, _CHARACTERS, _TRUNCATED = (_NAMES.index(n) for n in ("language", "characters", "truncated"))


Entry = warc.Record | warc.Damage | tables.Row


def _entries(item: Item, extract: settings.Extract, part: _Part) -> Iterator[Entry]:
    """The records, damages or rows of an item, with its bytes booked. What the input cannot give is the part's
    `failure`, never an exception: an error of the output must not be taken for one."""
    try:
        if item.size < 0 and not storage.is_remote(item.path):
            raise OSError(0, item.tag)
        with storage.open_read(item.path) as file:
            yield from _rows(item, file, part) if tables.is_table(item.path) else _records(item, file, extract, part)
    except OSError as error:
        part.failure = error.strerror or str(error)


def _rows(item: Item, file: IO[bytes], part: _Part) -> Iterator[Entry]:
    yield from tables.rows(file, item.path)
    part.end = max(0, item.size)


def _records(item: Item, file: IO[bytes], extract: settings.Extract, part: _Part) -> Iterator[Entry]:
    size = item.size if item.size >= 0 else storage.stat(item.path).size
    size = size if size >= 0 else 1 << 62
    stop = item.start + item.length if item.length >= 0 else size
    reader = warc.Reader(file, size, item.start, stop, extract.max_page_bytes + (64 << 10))
    for entry in reader:
        if isinstance(entry, warc.Damage):
            part.lost += entry.stop - entry.start
            if len(part.damages) < _DAMAGES:
                part.damages.append([entry.start, entry.stop, entry.reason])
        else:
            part.page_bytes += len(entry.body)
        yield entry
    part.end = max(0, reader.end - item.start)


def make(
    entry: warc.Record | warc.Damage | tables.Row,
    item: Item,
    extract: settings.Extract,
    identifier: language.Identifier,
) -> tuple[tuple, dict[str, int]]:
    """(the row of a record in the order of DOCUMENT, how much personal data was masked, by kind). Errors: Dropped."""
    if isinstance(entry, warc.Damage):
        raise Dropped(Reason.BROKEN_RECORD, entry.reason)
    page = of_row(entry, item) if isinstance(entry, tables.Row) else of_record(entry, extract)
    raw, found, told, name, source = _read_text(page, extract)
    clean, title = text.clean(raw), text.clean(found.title)
    masked: dict[str, int] = {}
    if extract.pii == "mask":
        clean, masked = personal.mask(clean)
        title, _ = personal.mask(title)
    if not clean:
        raise Dropped(Reason.EMPTY)
    label = identifier.identify(clean)
    if label.label == zawgyi.BURMESE and (unicode := zawgyi.convert(clean)) != clean:
        clean, title = unicode, zawgyi.convert(title)
        label = identifier.identify(clean)
    url = page.url[:4096]
    identity = page.identity or f"{page.url}|{page.time}|{item.path}|{page.offset}|{page.index}"
    values = signals.measure(clean, label.label, url)
    row = (
        xxhash.xxh3_128_digest(identity.encode("utf-8", "surrogatepass")),
        url,
        _time(page.time),
        storage.redact(item.path),
        page.offset,
        page.length,
        page.index,
        clean,
        title[:500],
        label.label,
        label.score,
        label.lines_in_language,
        label.second,
        label.runner_up,
        label.runner_up_score,
        name,
        source,
        *astuple(told),
        page.truncated,
        duplicates.text_hash(clean),
        len(clean.encode("utf-8", "surrogatepass")),
        duplicates.url_hash(url),
        duplicates.site_hash(url) if url else duplicates.text_hash(clean),
        values.line_hashes,
        duplicates.signature(values.word_hashes),
        *(getattr(values.signals, f.name) for f in fields(Signals)),
    )
    return row, masked


def _read_text(page: Page, extract: settings.Extract) -> tuple[str, content.Content, hints.Hints, str, str]:
    """(text, content, what the page says about itself, charset, who said so). Errors: Dropped."""
    if page.text is not None:
        return page.text, content.Content(""), hints.Hints(), "utf-8", "input"
    if not page.data.strip():
        raise Dropped(Reason.EMPTY)
    decoded = charset.decode(page.data, page.headers.get("content-type", ""), page.is_html)
    if decoded is None:
        raise Dropped(Reason.UNDECODABLE, "no charset fits")
    if not page.is_html:
        return decoded.text, content.Content(""), hints.hints("", page.headers), decoded.charset, decoded.source
    try:
        html = decoded.utf8 or decoded.text.encode("utf-8", "replace")
        found = content.extract(html, extract.extractor)
    except content.TooComplex as error:
        raise Dropped(Reason.TOO_COMPLEX, str(error)) from None
    told = hints.hints(html, page.headers, page.url)
    return found.text, found, told, decoded.charset, decoded.source


def _time(value: str) -> datetime.datetime | None:
    """A WARC-Date or the like (ISO 8601, possibly shortened) as a moment; None if it is none."""
    try:
        moment = datetime.datetime.fromisoformat(value.strip().replace("Z", "+00:00"))
    except ValueError:
        return None
    return moment.replace(microsecond=0) if moment.tzinfo else moment.replace(microsecond=0, tzinfo=datetime.UTC)
