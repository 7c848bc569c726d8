"""annotate: one documents part -> one part of a column beside it, columns/<name>/part-<item>.parquet, row for row.

Reads the text once, batch by batch. A part carries the fingerprint of the documents part that it is aligned with; it is
made again when that, the model, or the code has changed.
"""

import functools
import os
from collections.abc import Callable, Iterable
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import xxhash

from corpus import document, settings, storage
from corpus.terminal import StepError, UserError
from pipeline import columns, decontamination, extract, quality
from pipeline.items import Item, add_receipts, no_tick
from pipeline.thresholds import QUALITY

BATCH = 512
_SOURCES = (
    "annotate.py",
    "bad_words.py",
    "decontamination.py",
    "quality.py",
    "fasttext_file.py",
    "language.py",
    "words.py",
)


@dataclass(frozen=True)
class Column:
    """A column to be made. kind: a name in KINDS; source: what it needs, say the path of a model."""

    name: str
    kind: str
    source: str


@dataclass(frozen=True)
class Maker:
    """What makes a column's values. digest: of all that decides them besides code and text."""

    type: pa.DataType
    digest: str
    values: Callable[[list[str]], list]
    count: Callable[[list], dict[str, int]] = lambda values: {}  # what of the values is told, by name
    sets: tuple[tuple[str, int, int], ...] = ()  # evaluation sets: name, texts, those too short to look for


def _quality(source: str) -> Maker:
    score = quality.load(source)
    label = source.partition("#")[2]
    return Maker(pa.float32(), f"{score.digest}#{label}", lambda texts: [score(text) for text in texts])


@functools.lru_cache(2)
def _contaminated(source: str) -> Maker:
    sets = decontamination.load(source.split("\n"))
    finder = decontamination.Finder(sets)

    def count(values: list) -> dict[str, int]:
        return decontamination.count(np.array(values, np.uint64), sets.names)

    told = tuple((name, sets.texts[name], sets.too_short[name]) for name in sets.names)
    return Maker(pa.uint64(), sets.digest, lambda texts: decontamination.column(texts, finder).tolist(), count, told)


KINDS: dict[str, Callable[[str], Maker]] = {"quality": _quality, "contaminated": _contaminated}
"""How the columns of a kind are made, from their source; called once a process and part."""


def quality_columns(pairs: Iterable[str]) -> list[Column]:
    """NAME=PATH as the flags give them -> columns quality_NAME. Errors: UserError."""
    found = []
    for pair in pairs:
        name, mark, path = pair.partition("=")
        if not (mark and path and QUALITY.fullmatch(f"quality_{name}")):
            raise UserError(f"--quality-model {pair}: write NAME=PATH, NAME of a-z, 0-9 and _, say edu=model.bin")
        found.append(Column(f"quality_{name}", "quality", path))
    if len({column.name for column in found}) < len(found):
        raise UserError("--quality-model: two of one name")
    return found


def contaminated_column(paths: Iterable[str]) -> list[Column]:
    """The column that marks documents which share text with evaluation sets; none without paths."""
    listed = sorted(set(paths))
    return [Column(decontamination.COLUMN, "contaminated", "\n".join(listed))] if listed else []


def digest(column: Column) -> str:
    """What decides the column, besides the documents: its maker and the code."""
    code = settings.code(os.path.dirname(__file__), *_SOURCES)
    return settings.fingerprint(column.name, column.kind, KINDS[column.kind](column.source).digest, code)


def run(item: Item, folder: str, column: Column, made: str, tick=no_tick, skip: frozenset[int] = frozenset()) -> dict:
    """Make the column's part of `item` in the corpus in `folder`, unless it is there; returns its receipt. made: the
    column's digest where the run was started; another one here is refused."""
    path = storage.join(folder, columns.FOLDER, column.name, item.part)
    source = storage.join(folder, "documents", item.part)
    beside = extract.read_part_metadata(source)
    if not beside:
        raise StepError(f"{source}: missing or damaged; run python -m pipeline extract again")
    mark = settings.fingerprint(made, beside["fingerprint"])
    if beside["fingerprint"] and (receipt := extract.read_receipt(path, mark)) is not None:
        return {**receipt, "skipped": 1}
    if digest(column) != made:
        raise StepError(f"{column.name}: the model or the code here is not that of where the run was started")
    return _write(path, source, column, {"fingerprint": mark, "aligned": beside["fingerprint"]}, tick)


def _write(path: str, source: str, column: Column, values: dict, tick: Callable) -> dict:
    """The column of a part, written with `values` as its metadata; its receipt."""
    maker = KINDS[column.kind](column.source)
    schema = pa.schema([pa.field(column.name, maker.type)])
    rows = 0
    counts: dict[str, int] = {}
    with (
        storage.open_read(source) as file,
        storage.writing(path) as temporary,
        pq.ParquetWriter(temporary, schema, compression="zstd") as writer,
    ):
        for batch in pq.ParquetFile(file).iter_batches(BATCH, columns=["text"]):
            tick(rows)
            found = maker.values(batch.column(0).to_pylist())
            counts = add_receipts([counts, maker.count(found)])
            writer.write_table(pa.table([pa.array(found, maker.type)], schema=schema))
            rows += len(found)
        key = f"{os.path.basename(path)}{values['fingerprint']}".encode()
        receipt = {"parts": 1, "digest": xxhash.xxh3_128_hexdigest(key), "documents": rows, "counts": counts}
        metadata = document.metadata(**values, receipt=receipt)
        writer.add_key_value_metadata({k.decode(): v.decode() for k, v in metadata.items()})
    return receipt
