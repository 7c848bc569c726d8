"""Corpus folders of documents given as dictionaries, without a crawl; columns are made by the real functions."""

import datetime
import json
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import xxhash

from corpus import document, settings
from corpus.document import DOCUMENT, Reason
from pipeline import duplicates, folder, items, lines, signals, steps
from pipeline.local import Local
from pipeline.thresholds import NONE, Thresholds

LOOSE = NONE
"""Thresholds that nothing fails but what has no language."""


def row(number: int, given: dict) -> dict:
    """A document: text, url, language, day; everything else follows."""
    text = given.get("text", f"text number {number}")
    url = given.get("url", f"https://site{number}.example/{number}")
    measured = signals.measure(text, given.get("language", "eng_Latn"), url)
    values = {
        "id": xxhash.xxh3_128_digest(f"{given.get('name', url)}|{given.get('day', 0)}".encode()),
        "url": url,
        "crawl_time": datetime.datetime(2026, 1, 1, tzinfo=datetime.UTC) + datetime.timedelta(given.get("day", 0)),
        "source_file": "made.warc.gz",
        "source_offset": number,
        "source_length": 1,
        "source_record": 0,
        "lines_in_language": 1.0,
        "charset": "utf-8",
        "charset_source": "input",
        "page_language": "",
        "canonical": "",
        "robots": "",
        "noindex": False,
        "noai": False,
        "noimageai": False,
        "tdm_reserved": False,
        "truncated": False,
        "text": text,
        "title": "",
        "language": given.get("language", "eng_Latn"),
        "language_score": 0.99,
        "text_hash": duplicates.text_hash(text),
        "text_bytes": len(text.encode()),
        "url_hash": duplicates.url_hash(url),
        "site_hash": duplicates.site_hash(url),
        "minhash": duplicates.signature(measured.word_hashes),
        lines.COLUMN: measured.line_hashes.tolist(),
    }
    values |= {name: getattr(measured.signals, name) for name in measured.signals.__slots__}
    return values | {k: v for k, v in given.items() if k in DOCUMENT.names}


def write(path: Path, documents: list[dict], parts: int = 3) -> Path:
    """A corpus folder with the documents in `parts` parts, in their order."""
    schema = DOCUMENT
    cuts = np.array_split(np.arange(len(documents)), parts)
    plan = [items.Item(f"made-{k}.warc.gz", 1, "", 0, 1) for k in range(parts)]
    receipts = []
    for item, numbers in zip(plan, cuts, strict=True):
        rows = [row(int(n), documents[n]) for n in numbers]
        languages: dict[str, dict[str, int]] = {}
        for one in rows:
            mine = languages.setdefault(one["language"], {"documents": 0, "characters": 0})
            mine["documents"] += 1
            mine["characters"] += one["characters"]
        receipts.append(_receipt(item.part, rows, languages))
        columns = [pa.array([r.get(f.name) for r in rows], f.type) for f in schema]
        found = schema.with_metadata(document.metadata(fingerprint=receipts[-1]["digest"], receipt=receipts[-1]))
        (path / "documents").mkdir(parents=True, exist_ok=True)
        pq.write_table(pa.Table.from_arrays(columns, schema=found), path / "documents" / item.part)
    items.write_plan(str(path / "documents"), plan)
    (path / "documents" / "books.json").write_text(json.dumps(items.add_receipts(receipts)))
    (path / "settings.toml").write_text("[extract]\n")
    return path


def _receipt(part: str, rows: list[dict], languages: dict) -> dict:
    digest = xxhash.xxh3_128_hexdigest(b"".join(r["id"] for r in rows))
    return {"parts": 1, "records": len(rows), "documents": len(rows), "drops": {}, "bytes": 0, "page_bytes": 0,
            "characters": sum(r["characters"] for r in rows), "truncated": 0, "pii": {}, "lost_bytes": 0,
            "languages": languages, "examples": {}, "failures": [], "files": {part: len(rows)},
            "counts": {part: len(rows)}, "digest": digest}  # fmt: skip


def select(path: Path, thresholds: Thresholds = LOOSE, runner=None, run_documents: int = 7, **values) -> dict:
    """The books of a selection, by default without resampling or validation."""
    own = settings.Select(**{"weights": "alpha=1", "validation": 0.0, **values})
    return steps.run_select(own, thresholds, run_documents, runner or Local(0, quiet=True), steps.Options(str(path)))


def rows(path: Path, *names: str) -> list[dict]:
    """Columns of all documents, of documents and selection, in the order of the corpus."""
    corpus = folder.read(str(path))
    found = []
    for part, item in enumerate(corpus.plan):
        count = corpus.documents["counts"].get(item.part, 0)
        found += corpus.rows(part, range(count), names) if count else []
    return found


def verdicts(path: Path) -> dict[str, str]:
    """URL -> verdict of the documents, by name; URLs must differ."""
    return {r["url"]: Reason(r["verdict"]).name if r["verdict"] else "" for r in rows(path, "url", "verdict")}
