"""select: columns of documents -> verdicts, row for row beside them. Reads no text; only hashed keys meet.

Maps over runs of parts and over ranges of clusters (clusters and lines are made before, by modules of their own):
  judge -> settle     the rules; the best of each cluster among those that pass them
  tally, border       amounts per language, and the documents on the borders of what the mixture takes of each
  apply               one selection part per documents part
"""

import os
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from corpus import document, settings, storage
from corpus.document import SELECTION, Reason
from corpus.terminal import StepError
from pipeline import (
    arrays,
    blocklist,
    books,
    clusters,
    decontamination,
    exchange,
    lines,
    quotas,
    removal,
    selection,
    survivors,
)
from pipeline.arrays import Labels
from pipeline.exchange import Pieces
from pipeline.items import add_receipts
from pipeline.runs import Job, Run, addresses, of_part
from pipeline.survivors import CONTESTANT, VERDICT
from pipeline.thresholds import QUALITY, Thresholds

JUDGED = np.dtype(
    [
        ("bits", "<u8"),  # rules that fail
        ("label", "<u2"),  # place among the job's labels
        ("characters", "<u4"),
        ("amount", "<u4"),  # what a budget counts: characters, or bytes
        ("place", "<u8"),  # in the order in which its language is drawn
        ("site", "<u8"),  # in the order in which sites are held back
        ("cluster", "<u8"),
        ("size", "<u4"),  # of its cluster
        ("winner", "<u8"),
    ]
)
"""What the maps behind `judge` need of a document."""

BLOCKLIST, REMOVED = "blocklist", "removed"
"""Lists in the work folder: read by each process once, in milliseconds."""


@dataclass(frozen=True)
class Draw:
    """What is taken of the languages, by place among the job's labels. whole: copies of every document; cuts: those
    below it have one copy more; held: sites below it are held back, where it is not the setting's share."""

    whole: dict[int, int] = field(default_factory=dict)
    cuts: dict[int, int] = field(default_factory=dict)
    held: dict[int, int] = field(default_factory=dict)


# --- rules --------------------------------------------------------------------------------------------------------


def _needed(job: Job, own: bool) -> list[str]:
    """The columns of documents that are read; of older corpora only what they must have."""
    names = [*selection.columns_read(job.settings.respect, job.thresholds), *_CONTEST, _amount(job), "site_hash"]
    names += ["url"] if BLOCKLIST in job.lists else []
    return names + ([decontamination.COLUMN] if own and decontamination.COLUMN in job.lists else [])


_CONTEST = ["lines", "id", "crawl_time", "url_hash", "text_hash"]


def _amount(job: Job) -> str:
    """The column of what a budget is counted in."""
    return "text_bytes" if job.settings.budget.endswith("bytes") else "characters"


def _bits(table: dict[str, Any], job: Job, lost: np.ndarray) -> np.ndarray:
    """(documents,) uint64 bit sets of the rules that fail, lists and left-out lines among them. lost: lines that are
    left out of each document."""
    bits = selection.judge(table, job.thresholds, job.settings.languages, job.settings.respect)
    if BLOCKLIST in job.lists:
        listed = blocklist.made(job.work(BLOCKLIST), job.lists[BLOCKLIST])
        bits[listed.blocks(table["url"])] |= np.uint64(Reason.BLOCKED.bit)
    if REMOVED in job.lists:
        asked = removal.made(job.work(REMOVED), job.lists[REMOVED])
        bits[asked.removes(table)] |= np.uint64(Reason.REMOVED.bit)
    if decontamination.COLUMN in table:
        bits[table[decontamination.COLUMN] != 0] |= np.uint64(Reason.CONTAMINATED.bit)
    bits[lost > lines.MOST_LOST * table["lines"]] |= np.uint64(Reason.SITE_LINES.bit)
    return bits


def judge(run: Run, job: Job) -> tuple[Pieces, dict]:
    """A run's documents by the rules, kept in the work folder; the members of clusters go where theirs meet."""
    labels, found, rows = clusters.of_run(run, job), [], []
    marks = lines.of_run(run, job) if "lines" in job.lists and run.number < job.own else None
    judged = []
    shared: list[dict] = []  # documents that share text with evaluation sets, by the sets' bits
    for k, part in enumerate(run.parts):
        table = arrays.of_part(run.folder or job.folder, part, _needed(job, run.number < job.own))
        if decontamination.COLUMN in table:
            bits = [str(bit) for bit in range(64)]
            shared.append({b: n for b, n in decontamination.count(table[decontamination.COLUMN], bits).items() if n})
        lost = marks[k][0] if marks else np.zeros(len(table["words"]), np.uint16)
        own, places, entries = _judged(table, run.first + k, job, lost, labels)
        judged.append(own)
        rows.append(len(own))
        found.append(_contestants(table, own, places, entries, run.number < job.own, job))
    if run.number < job.own:
        exchange.scratch(job.work("judged", f"run-{run.number}"), [j.tobytes() for j in judged])
    packed = np.concatenate(found) if found else np.zeros(0, CONTESTANT)
    where = exchange.place_of(exchange.mix(packed["cluster"]), job.ranges)
    return exchange.split(packed, where, job.ranges), {"contaminated": add_receipts(shared)} if shared else {}


def _judged(table: dict, part: int, job: Job, lost: np.ndarray, labels: np.ndarray):
    """(JUDGED of a part, the rows that stand in clusters, their labels)."""
    own = np.zeros(len(table["words"]), JUDGED)
    own["bits"] = _bits(table, job, lost)
    own["label"] = table["language"].places(job.labels)
    own["characters"], own["amount"] = table["characters"], table[_amount(job)]
    own["place"] = quotas.places(survivors.id_half(table["id"], 0), job.settings.seed)
    own["site"] = quotas.places(table["site_hash"], job.settings.seed + 1)
    own["cluster"] = own["winner"] = addresses(part, len(own))
    own["size"] = 1
    rows, entries = of_part(labels, part)
    own["cluster"][rows], own["size"][rows] = entries["cluster"], entries["size"]
    return own, rows, entries


def _contestants(table: dict, judged: np.ndarray, rows: np.ndarray, entries, own: bool, job: Job) -> np.ndarray:
    these = np.zeros(len(rows), CONTESTANT)
    these["cluster"], these["address"] = entries["cluster"], entries["address"]
    these["passes"] = judged["bits"][rows] == 0
    these["favoured"] = own == (job.settings.older == "loses")
    these["length"] = table["characters"][rows]
    for name in sorted(n for n in table if QUALITY.fullmatch(n)):
        these["quality"] += table[name][rows]
    for name, column in (("time", "crawl_time"), ("id", "id"), ("url", "url_hash"), ("text", "text_hash")):
        these[name] = table[column][rows]
    return these


def settle(place: int, job: Job) -> tuple[Pieces, dict]:
    """The losers of one range of clusters, to their runs."""
    verdicts = survivors.settle(exchange.inbox(job.work(), "judge", place, CONTESTANT))
    runs = job.run_of(verdicts["address"])
    own = runs < job.own
    return exchange.split(verdicts[own], runs[own], len(job.firsts)), {"older": int((~own).sum())}


def outcome(run: Run, job: Job) -> np.ndarray:
    """The JUDGED documents of a run, losers of their clusters among the rejected."""
    judged = np.frombuffer(bytearray(storage.read(job.work("judged", f"run-{run.number}"))), JUDGED)
    verdicts = exchange.inbox(job.work(), "settle", run.number, VERDICT)
    rows = row_numbers(verdicts["address"], judged["winner"])
    judged["winner"][rows] = verdicts["winner"]
    judged["bits"][rows] |= np.uint64(1) << (verdicts["reason"].astype(np.uint64) - np.uint64(32))
    return judged


def row_numbers(wanted: np.ndarray, sorted_: np.ndarray) -> np.ndarray:
    """The places of addresses among ascending ones that hold them all."""
    return np.searchsorted(sorted_, wanted)


# --- amounts ------------------------------------------------------------------------------------------------------


def _weights(judged: np.ndarray, job: Job) -> np.ndarray:
    """(n,) uint8: how often a survivor of a cluster counts."""
    return survivors.rehydrated(judged["size"]) if job.settings.rehydrate else np.ones(len(judged), np.uint8)


def held_back(judged: np.ndarray, job: Job, draw: Draw) -> np.ndarray:
    """(n,) bool: the documents of sites that are held back for validation."""
    return quotas.below(judged["label"], judged["site"], draw.held, int(job.settings.validation * quotas.ALL))


def tally(run: Run, job: Job, draw: Draw, tick=None) -> dict:
    """What passes, by language and stretch: for training, by the places of documents (in their amounts, `training`)
    and for validation, by those of sites (`held`)."""
    judged = outcome(run, job)
    judged = judged[judged["bits"] == 0]
    held = held_back(judged, job, draw)
    amounts = judged["amount"].astype(np.int64)
    rest, mine = ~held, amounts * _weights(judged, job)
    return {
        "training": quotas.histogram(judged["label"][rest], judged["place"][rest], mine[rest], job.labels),
        "held": quotas.histogram(judged["label"][held], judged["site"][held], amounts[held], job.labels),
    }


def border(run: Run, job: Job, draw: Draw, borders: dict[int, quotas.Border], of: str) -> tuple[Pieces, dict]:
    """The documents on borders. of: 'training' or 'held'."""
    judged = outcome(run, job)
    judged = judged[judged["bits"] == 0]
    held = held_back(judged, job, draw)
    judged = judged[held if of == "held" else ~held]
    amounts = judged["amount"].astype(np.int64) * (1 if of == "held" else _weights(judged, job))
    found = quotas.on_border(judged["label"], judged["site" if of == "held" else "place"], amounts, borders)
    return [(0, found)] if len(found) else [], {}


# --- apply --------------------------------------------------------------------------------------------------------


def apply(run: Run, job: Job, draw: Draw, write: bool = True, tick=None) -> dict:
    """Write the selection parts of a run; returns their summed receipt. Not `write`: the receipt alone."""
    judged, start = outcome(run, job), 0
    total: dict[str, Any] = {}
    marks = lines.of_run(run, job) if "lines" in job.lists else None
    for k, part in enumerate(run.parts):
        source = arrays.metadata(job.part(run, part))
        if not source:
            raise StepError(f"{part}: changed while it was read; run select again")
        rows = source["receipt"]["documents"]
        mine = judged[start : start + rows]
        start += rows
        made = _decide(mine, job, draw, marks[k] if marks else None)
        of = Labels(job.labels, mine["label"])
        receipt = books.of_selection(of, mine["characters"], made, run.first + k, job.settings.seed)
        metadata = document.metadata(fingerprint=job.fingerprint, aligned=source["fingerprint"], receipt=receipt)
        if write:
            _write_part(job.path("selection", part), made, metadata)
        total = add_receipts([total, receipt])
    return total


def _decide(judged: np.ndarray, job: Job, draw: Draw, marks) -> dict[str, Any]:
    bits = judged["bits"].copy()
    passes = bits == 0
    validation = passes & held_back(judged, job, draw)
    whole = np.array([draw.whole.get(k, 1) for k in range(len(job.labels))], np.int64)
    drawn = whole[judged["label"]] + quotas.below(judged["label"], judged["place"], draw.cuts, 0)
    times = np.where(passes, np.minimum(255, drawn * _weights(judged, job)), 0)
    times = np.where(validation, 1, times).astype(np.uint8)
    bits[passes & (times == 0)] |= np.uint64(Reason.NOT_DRAWN.bit)
    return {
        "verdict": selection.verdicts(bits),
        "reasons": bits,
        "cluster": judged["cluster"],
        "cluster_size": judged["size"],
        "winner": judged["winner"],
        "copies": times,
        "validation": validation,
        "lines_out": marks or (np.zeros(len(bits), np.uint16), np.zeros(0, np.uint16)),
    }


def _write_part(path: str, made: dict[str, Any], metadata: dict[bytes, bytes]) -> None:
    counts, numbers = made["lines_out"]
    ends = np.concatenate(([0], np.cumsum(counts, dtype=np.int64))).astype(np.int32)
    left_out = pa.ListArray.from_arrays(pa.array(ends), pa.array(numbers, pa.uint16()))
    arrays = [left_out if f.name == "lines_out" else pa.array(made[f.name], f.type) for f in SELECTION]
    table = pa.Table.from_arrays(arrays, schema=SELECTION.with_metadata(metadata))
    with storage.writing(path) as temporary:
        pq.write_table(table, temporary, compression="zstd")


# --- fingerprints -------------------------------------------------------------------------------------------------


def fingerprint(marks: str, select: settings.Select, thresholds: Thresholds, lists: dict[str, str]) -> str:
    """What a selection depends on. marks: fingerprint of clusters and lines; lists: digests of lists, which count
    instead of their paths."""
    sources = (
        "select.py",
        "selection.py",
        "thresholds.py",
        "stop_words.tsv",
        "survivors.py",
        "quotas.py",
        "blocklist.py",
        "removal.py",
        "languages.tsv",
    )
    code = settings.code(os.path.dirname(__file__), *sources, "../corpus/mixture.py", "choice.py")
    values = {**settings.substance(select), "url_blocklist": "", "remove": "", "against": ""}
    return settings.fingerprint(marks, values, lists, thresholds.table(), code)
