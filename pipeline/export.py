"""export: kept text per language as Parquet or JSON Lines, for other tools; left-out lines are removed.

One map: a documents part and its selection -> one file per language and split. The dataset card names them, so that
datasets.load_dataset(FOLDER, LANGUAGE) finds train and validation.
"""

import datetime
import gzip
import json
import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from corpus import document, storage
from corpus.document import DOCUMENT
from corpus.terminal import StepError
from pipeline import lines
from pipeline.items import no_tick

COLUMNS = ("url", "crawl_time", "title", "language", "language_score", "source_file", "source_offset")
EXPORTED = pa.schema(
    [
        pa.field("id", pa.string()),
        pa.field("text", pa.string()),
        *(DOCUMENT.field(name) for name in COLUMNS),
        pa.field("duplicates", pa.uint32()),  # documents in its cluster, itself among them
        pa.field("copies", pa.uint8()),  # how often an epoch sees it
    ]
)
_ROWS = 1024


@dataclass(frozen=True)
class Job:
    """Where documents and selection lie, where text goes, and how."""

    folder: str
    output: str
    form: str
    fingerprint: str  # of the selection

    def path(self, *names: str) -> str:
        return storage.join(self.folder, *names)


def run(part: str, job: Job, tick=no_tick) -> dict:
    """Write the files of a documents part; returns what they hold: files, documents and characters by language."""
    return write(part, kept(part, job.folder), job)


def write(part: str, given: Iterable[dict[str, Any]], job: Job) -> dict:
    """Rows of EXPORTED with `validation` -> a file for each language and split; returns what they hold."""
    found: dict[tuple[str, str], list[dict]] = {}
    for row in given:
        split = "validation" if row.pop("validation") else "train"
        found.setdefault((row["language"], split), []).append(row)
    receipt: dict[str, Any] = {"parts": 1, "documents": 0, "languages": {}, "files": {}}
    for (label, split), rows in sorted(found.items()):
        name = f"{label}/{split}-{part.removeprefix('part-').removesuffix('.parquet')}.{SUFFIX[job.form]}"
        with storage.writing(storage.join(job.output, name)) as temporary:
            WRITE[job.form](temporary, rows)
        counts = receipt["languages"].setdefault(label, {"documents": 0, "characters": 0, split: 0})
        counts["documents"] += len(rows)
        counts[split] = len(rows)
        counts["characters"] += sum(len(r["text"]) for r in rows)
        receipt["documents"] += len(rows)
        receipt["files"][name] = len(rows)
    return receipt


def kept(part: str, folder: str) -> Iterator[dict[str, Any]]:
    """The kept documents of a part as rows of EXPORTED, with `validation`. Errors: StepError where the selection was
    made from another part."""
    chosen = _selection(part, folder)
    with storage.open_read(storage.join(folder, "documents", part)) as file:
        documents = pq.ParquetFile(file)
        made = document.read_metadata(pa.schema([], metadata=documents.metadata.metadata)).get("fingerprint")
        if made != chosen.pop("aligned") or documents.metadata.num_rows != len(chosen["verdict"]):
            raise StepError(f"selection/{part} was made from other documents; run python -m pipeline select again")
        start = 0
        for batch in documents.iter_batches(_ROWS, columns=["id", "text", *COLUMNS]):
            rows = np.flatnonzero(chosen["verdict"][start : start + len(batch)] == 0)
            for k, row in zip(rows.tolist(), batch.take(pa.array(rows)).to_pylist(), strict=True):
                at = start + k
                row["id"] = row["id"].hex()
                row["text"] = lines.leave_out(row["text"], chosen["lines_out"][at].as_py())
                row["duplicates"] = int(chosen["cluster_size"][at])
                row["copies"], row["validation"] = int(chosen["copies"][at]), bool(chosen["validation"][at])
                yield row
            start += len(batch)


def _selection(part: str, folder: str) -> dict[str, Any]:
    with storage.open_read(storage.join(folder, "selection", part)) as file:
        opened = pq.ParquetFile(file)
        table = opened.read(["verdict", "cluster_size", "copies", "validation", "lines_out"])
        aligned = document.read_metadata(pa.schema([], metadata=opened.metadata.metadata)).get("aligned")
    columns = {n: table[n].to_numpy() for n in ("verdict", "cluster_size", "copies", "validation")}
    return {**columns, "lines_out": table["lines_out"].combine_chunks(), "aligned": aligned}


def _parquet(path: str, rows: list[dict]) -> None:
    table = pa.Table.from_pylist(rows, EXPORTED)
    pq.write_table(table, path, compression="zstd", row_group_size=_ROWS * 8)


def _jsonl(path: str, rows: list[dict]) -> None:
    with open(path, "wb") as raw, gzip.GzipFile(fileobj=raw, mode="wb", mtime=0, filename="") as file:
        for row in rows:
            values = {name: row[name] for name in EXPORTED.names}
            file.write(json.dumps(values, ensure_ascii=False, default=_plain).encode() + b"\n")


def _plain(value: object) -> str:
    assert isinstance(value, datetime.datetime)
    return value.strftime("%Y-%m-%dT%H:%M:%SZ")


WRITE = {"parquet": _parquet, "jsonl": _jsonl}
SUFFIX = {"parquet": "parquet", "jsonl": "jsonl.gz"}


def card(receipt: dict, form: str, text: str) -> str:
    """The dataset card of an export: that of the corpus, `text`, with the files that lie here."""
    head, _, body = text.removeprefix("---\n").partition("\n---\n")
    kept_lines = head.partition("\nconfigs:")[0]
    configs = ["configs:"]
    for label, counts in sorted(receipt["languages"].items()):
        configs += [f"- config_name: {label}", "  data_files:"]
        for split in ("train", "validation"):
            if counts.get(split):
                configs += [f"  - split: {split}", f"    path: {label}/{split}-*.{SUFFIX[form]}"]
    body = body.partition("## How to read it")[0].rstrip()
    first = min(receipt["languages"], default="LANGUAGE")
    use = [
        "## How to read it\n",
        "A row is a document: `text` without the lines that its site repeats, where it came from, how many duplicates",
        "it stands for (`duplicates`) and how often an epoch sees it (`copies`).\n",
        "```python",
        "from datasets import load_dataset\n",
        f'load_dataset("PATH/OF/THIS/FOLDER", "{first}", split="train")',
        "```\n",
    ]
    return "\n".join(["---", kept_lines, *configs, "---", body, "", *use])


def stale(output: str, files: set[str]) -> list[str]:
    """Files of an earlier export that this one does not have."""
    found = storage.list_files(output)
    ours = tuple("." + suffix for suffix in SUFFIX.values())
    return [p for p in found if p.endswith(ours) and p.removeprefix(output + "/") not in files]


def foreign(output: str) -> str:
    """A file in the output folder that no export has made; '' if there is none."""
    for path in storage.list_files(output):
        name = os.path.basename(path)
        if name not in ("README.md", "items.tsv", "settings.toml") and not name.endswith(
            tuple("." + s for s in SUFFIX.values())
        ):
            return name
    return ""
