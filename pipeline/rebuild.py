"""A selection without text, and the text from it: what was kept, where it lies in the crawl, what is left out of it.

`publish` writes a recipe: a table for each documents part, the plan, the settings. `rebuild` reads the crawl again,
makes the pages that the recipe names and no others, and writes what export writes, byte for byte, where the same code
and libraries are at work; each text is held against its hash."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from corpus import settings, storage
from corpus.document import DOCUMENT, SELECTION
from corpus.terminal import StepError, UserError
from pipeline import arrays, export, extract, folder, items, language, lines, tables, warc
from pipeline.items import Item, no_tick
from pipeline.page import Dropped

RECIPE, SETTINGS = "recipe", "settings.toml"
_PLACE = ("id", "source_offset", "source_record", "text_hash")
_CHOICE = ("cluster_size", "copies", "validation", "lines_out")
NAMED = pa.schema([*(DOCUMENT.field(n) for n in _PLACE), *(SELECTION.field(n) for n in _CHOICE)])


def publish(part: str, job: export.Job, tick=no_tick) -> dict:
    """The recipe of one documents part: which of its pages were kept, in their order."""
    documents, chosen = (storage.join(job.folder, name, part) for name in ("documents", "selection"))
    if arrays.metadata(chosen).get("aligned") != arrays.metadata(documents).get("fingerprint"):
        raise StepError(f"selection/{part} was made from other documents; run python -m pipeline select again")
    with storage.open_read(documents) as file, storage.open_read(chosen) as beside:
        table, verdicts = pq.ParquetFile(file).read(list(_PLACE)), pq.ParquetFile(beside).read(["verdict", *_CHOICE])
    kept = pc.equal(verdicts["verdict"], 0)
    columns = [*(table[n] for n in _PLACE), *(verdicts[n] for n in _CHOICE)]
    named = pa.Table.from_arrays(columns, schema=NAMED).filter(kept)
    with storage.writing(storage.join(job.output, RECIPE, part)) as temporary:
        pq.write_table(named, temporary, compression="zstd")
    return {"parts": 1, "documents": named.num_rows, "files": {f"{RECIPE}/{part}": named.num_rows}, "languages": {}}


@dataclass(frozen=True)
class Job:
    """recipe: the folder of a recipe; crawl: where its files lie, '' for where they lay; the rest as in export.Job."""

    recipe: str
    crawl: str
    output: str
    form: str
    own: settings.Extract

    def open_path(self, item: Item) -> str:
        return storage.join(self.crawl, item.path.rpartition("/")[2]) if self.crawl else item.path


def read(recipe: str) -> tuple[list[Item], dict[str, Any], settings.Extract]:
    """(plan, the configuration that it was extracted with, as settings). Errors: UserError."""
    plan = items.read_plan(storage.join(recipe, RECIPE))
    table = folder.settings_of(recipe).get("extract")
    if table is None:
        raise UserError(f"{recipe}/{SETTINGS}: no settings of extract; name a folder that export --format recipe made")
    names = set(settings.kinds(settings.Extract)) - {"language_model"}
    known = {name: table[name] for name in sorted(names & set(table))}
    return plan, table, settings.build(settings.Extract, known, f"{recipe}/{SETTINGS}: extract")


def differences(table: dict[str, Any], own: settings.Extract) -> list[str]:
    """What is not here as it was there: code, models, libraries."""
    here = extract.configuration(own, language.load(own.language_model).digest)
    return [f"{k} was {table[k]}, is {here[k]}" for k in sorted(here) if k in table and table[k] != here[k]]


def run(item: Item, job: Job, tick=no_tick) -> dict:
    """The pages of one item that its recipe names -> files, as export writes them. `otherwise`: texts that differ."""
    with storage.open_read(storage.join(job.recipe, RECIPE, item.part)) as file:
        named = pq.ParquetFile(file).read().to_pylist()
    if not named:
        return {"parts": 1, "documents": 0, "languages": {}, "files": {}, "otherwise": 0, "missing": 0}
    wanted = {(n["source_offset"], n["source_record"]): k for k, n in enumerate(named)}
    rows: dict[int, dict[str, Any]] = {}
    otherwise = 0
    for place, made in _pages(item, job, wanted):
        one = named[place]
        otherwise += made.pop("text_hash") != one["text_hash"] or made["id"] != one["id"]
        text = lines.leave_out(made["text"], one["lines_out"])
        rows[place] = {**made, "id": made["id"].hex(), "text": text, "duplicates": one["cluster_size"],
                       "copies": one["copies"], "validation": one["validation"]}  # fmt: skip
    told = export.write(item.part, (rows[k] for k in sorted(rows)), export.Job("", job.output, job.form, ""))
    return {**told, "otherwise": otherwise, "missing": len(named) - len(rows)}


_NAMES = ("id", "text", "text_hash", *export.COLUMNS)


def _pages(item: Item, job: Job, wanted: dict[tuple[int, int], int]) -> Iterator[tuple[int, dict[str, Any]]]:
    """(place in the recipe, its columns) of the wanted pages of an item."""
    identifier = language.load(job.own.language_model)
    path = job.open_path(item)
    here = Item(path, item.size, item.tag, item.start, item.length)
    part = extract._Part(here)
    for entry in extract._entries(here, job.own, part):
        key = (entry.offset, entry.index) if isinstance(entry, warc.Record) else None
        key = (entry.offset, 0) if isinstance(entry, tables.Row) else key
        if key in wanted:
            try:
                row, _ = extract.make(entry, item, job.own, identifier)
            except Dropped:
                continue
            values = dict(zip(DOCUMENT.names, row, strict=True))
            columns = [pa.array([values[n]], DOCUMENT.field(n).type) for n in _NAMES]
            yield wanted[key], pa.Table.from_arrays(columns, list(_NAMES)).to_pylist()[0]
    if part.failure:
        raise StepError(f"{path}: {part.failure}; name the folder where the crawl's files lie")
