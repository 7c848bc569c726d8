"""What a vocabulary is trained on: a sample of a corpus folder or of text files, balanced between languages.

Two passes: the first adds up characters per language, the second reads the text. Whether a document is taken
depends on a hash of its id and the seed, never on its place, so that any order and any cut into parts gives the
same documents. Memory: one row group.
"""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import xxhash

from corpus import mixture, storage
from corpus.terminal import UserError
from tokenizer import texts

HELD_OUT_CHARACTERS, HELD_OUT_SHARE = 20_000, 0.05
"""Text kept from the sample to measure the vocabulary on: of each language so many characters, at most this share."""

REPEATS = 2
"""So often a language with little text may be seen. Measured: 1 leaves weak languages behind, 4 costs others 1 %."""

_PLAN = "items.tsv"
_ROWS = 1024


class Source(NamedTuple):
    """A file of texts; `selection` is the row-aligned file that says which rows are kept, '' if all are."""

    path: str
    selection: str = ""


class Drawn(NamedTuple):
    language: str
    text: str
    held_out: bool  # kept from the sample, to measure on


@dataclass(frozen=True)
class Plan:
    """What to draw. `take`: language -> how often a document goes into the sample, a fraction by chance. `hold`: the
    probability that it is held out."""

    amounts: dict[str, int]  # characters there are
    take: dict[str, float]
    hold: dict[str, float]
    seed: int

    @property
    def characters(self) -> int:
        """Expected characters of the sample."""
        return round(sum(self.amounts[k] * p for k, p in self.take.items()))


def is_corpus(path: str) -> bool:
    return not storage.is_http(path) and storage.exists(storage.join(path, "documents", _PLAN))


def sources(paths: Iterable[str], limit: int | None = None) -> list[Source]:
    """The files that corpus folders, files, folders and globs name, the first `limit` of them. Errors: UserError."""
    found: list[Source] = []
    for path in paths:
        if is_corpus(path):
            found += _parts(path)
        else:
            found += [Source(p) for p in storage.expand(path)]
    return found[:limit]


def _parts(folder: str) -> list[Source]:
    """The documents parts that the plan of a corpus folder lists, with their selection."""
    selection = storage.join(folder, "selection")
    selected = {p.rpartition("/")[2] for p in storage.list_files(selection)}
    if not any(name.startswith("part-") for name in selected):
        raise UserError(f"{selection}: no selection there; run python -m pipeline select {folder}")
    documents = storage.join(folder, "documents")
    rows = storage.read(storage.join(documents, _PLAN)).decode().splitlines()
    names = [row.partition("\t")[0] for row in rows[1:] if row]
    missing = [name for name in names if name not in selected]
    if missing:
        raise UserError(f"{selection}/{missing[0]}: not there; run python -m pipeline select {folder}")
    return [Source(storage.join(documents, name), storage.join(selection, name)) for name in names]


def digests(found: list[Source]) -> list[tuple[str, int, str]]:
    """Name, size and digest of what decides the sample: the selection where there is one (it is bound to its
    documents), else the file itself. Folders are left out of the names, so that a moved corpus is the same."""
    stats = [(s, storage.stat(s.selection or s.path)) for s in found]
    return [(s.path.rpartition("/")[2], stat.size, stat.tag) for s, stat in stats]


def survey(found: list[Source], advance: Callable[[int], None] = lambda count: None) -> dict[str, int]:
    """The first pass: characters of the kept documents per language. `advance(1)` is called after each source."""
    amounts: dict[str, int] = {}
    for source in found:
        for table in _tables(source, ["language", "characters"]):
            sums = table.group_by("language").aggregate([("characters", "sum")])
            for language, count in zip(*(sums.column(n).to_pylist() for n in sums.column_names), strict=True):
                amounts[language] = amounts.get(language, 0) + count
        advance(1)
    if not sum(amounts.values()):
        raise UserError(f"{found[0].path if found else 'input'}: no kept text there or in the other parts; look at it")
    return dict(sorted(amounts.items()))


def plan(amounts: dict[str, int], alpha: float, characters: int, seed: int) -> Plan:
    """A sample of about `characters`, each language with its share by `alpha`; see `budgets`."""
    hold = {k: min(HELD_OUT_SHARE, HELD_OUT_CHARACTERS / v) for k, v in amounts.items() if v}
    there = {k: v * (1 - hold[k]) for k, v in amounts.items() if v}
    wanted = budgets({k: REPEATS * v for k, v in there.items()}, alpha, characters)
    return Plan(amounts, {k: wanted[k] / amounts[k] for k in wanted}, hold, seed)


def budgets(amounts: dict[str, float], alpha: float, characters: float) -> dict[str, float]:
    """Characters to take of each language. What a language lacks of its share goes to the others, by their shares."""
    given: dict[str, float] = {}
    open_ones = mixture.shares(amounts, alpha)
    while open_ones:
        left = characters - sum(given.values())
        norm = sum(open_ones.values())
        short = [k for k, share in open_ones.items() if left * share / norm >= amounts[k]]
        if not short:
            return given | {k: left * share / norm for k, share in open_ones.items()}
        given |= {k: amounts[k] for k in short}
        open_ones = {k: share for k, share in open_ones.items() if k not in given}
    return given


def draw(found: list[Source], plan: Plan, advance: Callable[[int], None] = lambda count: None) -> Iterator[Drawn]:
    """The second pass: the texts of the sample, as often as they are taken, and, marked, those held out, in the order
    of the sources."""
    for source in found:
        for table in _tables(source, ["id", "language", "text"]):
            taken, held = _chosen(table, plan)
            some = np.flatnonzero((taken > 0) | held)
            rows = table.select(["language", "text"]).take(pa.array(some))
            times = np.maximum(taken[some], 1).tolist()
            for language, text, out, count in zip(
                *(c.to_pylist() for c in rows.columns), held[some].tolist(), times, strict=True
            ):
                for _ in range(count):
                    yield Drawn(language, text, out)
        advance(1)


def _chosen(table: pa.Table, plan: Plan) -> tuple[np.ndarray, np.ndarray]:
    """(rows,) each: how often in the sample, int64; held out, bool. One hash decides both: texts are held out where it
    is high, taken (once more) where it is low."""
    ids, languages = table.column("id").to_pylist(), table.column("language").to_pylist()
    hashes = np.fromiter((xxhash.xxh3_64_intdigest(i or b"", plan.seed) for i in ids), np.uint64, len(ids))
    place = hashes / 2.0**64
    take = np.array([plan.take.get(k, 0.0) for k in languages])
    hold = np.array([plan.hold.get(k, 0.0) for k in languages])
    free = np.maximum(1 - hold, 1e-9)
    held = place >= free
    return np.where(held, 0, np.ceil((take - place) / free)).astype(np.int64), held


def _tables(source: Source, columns: list[str]) -> Iterator[pa.Table]:
    """The kept rows of a source, `columns` of id, language, characters and text; no nulls but in id."""
    if source.selection:
        yield from _kept(source, columns)
        return
    rows: list[texts.Text] = []
    for row in texts.read(source.path):
        rows.append(row)
        if len(rows) == _ROWS:
            yield _table(rows).select(columns)
            rows = []
    if rows:
        yield _table(rows).select(columns)


def _table(rows: list[texts.Text]) -> pa.Table:
    """Texts that have no id get one from their content."""
    return pa.table(
        {
            "id": pa.array([xxhash.xxh3_128_digest(r.text.encode()) for r in rows], pa.binary()),
            "language": pa.array([r.language for r in rows], pa.string()),
            "characters": pa.array([len(r.text) for r in rows], pa.int64()),
            "text": pa.array([r.text for r in rows], pa.large_string()),
        }
    )


def _kept(source: Source, columns: list[str]) -> Iterator[pa.Table]:
    """Rows of a documents part that are selected and not kept for validation."""
    try:
        with storage.open_read(source.selection) as raw:
            selection = pq.read_table(raw, columns=["copies", "validation"])
        keep = pc.and_(pc.greater(selection["copies"], 0), pc.invert(selection["validation"])).combine_chunks()
        with storage.open_read(source.path) as raw:
            file = pq.ParquetFile(raw)
            if file.metadata.num_rows != len(keep):
                fact = f"{len(keep)} rows for {file.metadata.num_rows} documents"
                raise UserError(f"{source.selection}: {fact}; run python -m pipeline select again")
            start = 0
            for batch in file.iter_batches(_ROWS, columns=columns):
                rows = pa.table(batch).filter(keep.slice(start, len(batch)))
                start += len(batch)
                yield _without_nulls(rows)
    except FileNotFoundError:
        raise UserError(f"{source.path}: listed in {_PLAN} but not there; run python -m pipeline extract") from None
    except (pa.ArrowException, OSError) as error:
        raise UserError(f"{source.path}: {str(error).splitlines()[0]}; run python -m pipeline extract again") from None


def _without_nulls(rows: pa.Table) -> pa.Table:
    """Rows that have all of language, characters and text; a missing language becomes UNKNOWN."""
    for k, name in enumerate(rows.column_names):
        if name == "language":
            rows = rows.set_column(k, name, pc.fill_null(rows[name], texts.UNKNOWN))
        elif name != "id":
            rows = rows.filter(pc.is_valid(rows[name]))
    return rows
