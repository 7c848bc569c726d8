"""select: columns of documents -> verdicts, row for row beside them. Reads no text; only hashed keys meet.

Four maps over runs of parts, with two exchanges of keys between them:
  keys -> pairs (per key range) -> clusters     made once, kept under the fingerprint of what they depend on
  contest -> settle (per cluster range)         the rules, and the best of each cluster among those that pass them
  apply                                         one selection part per documents part
"""

import json
import os
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from corpus import document, mixture, settings, storage
from corpus.document import SELECTION, Reason
from corpus.terminal import StepError
from pipeline import blocklist, books, columns, duplicates, extract, selection
from pipeline.items import add_receipts, no_tick
from pipeline.selection import CONTESTANT, VERDICT, Thresholds

KEY = np.dtype([("key", "<u8"), ("address", "<u8")])
CLUSTERED = np.dtype([("address", "<u8"), ("cluster", "<u8"), ("size", "<u4")])
KEYS_PER_DOCUMENT = 2 + duplicates.BANDS
_URL, _TEXT = (int(x) for x in duplicates._splitmix(2, 5))


@dataclass(frozen=True)
class Run:
    """Consecutive parts of the plan, worth about `run_documents` documents. `first`: number of its first part."""

    number: int
    first: int
    parts: tuple[str, ...]


@dataclass(frozen=True)
class Job:
    """What the maps of one select need to know. Folders are those of the corpus."""

    folder: str
    settings: settings.Select
    thresholds: Thresholds
    ranges: int
    labels: tuple[str, ...]  # all languages of the corpus, sorted
    fingerprint: str
    blocked: str = ""  # digest of the blocklist, '' where there is none

    def path(self, *names: str) -> str:
        return storage.join(self.folder, *names)


def plan_runs(parts: list[str], counts: dict[str, int], run_documents: int) -> list[Run]:
    """Cut the plan into runs, by the documents that the parts hold."""
    runs: list[Run] = []
    first, documents = 0, 0
    for number, part in enumerate(parts):
        documents += counts.get(part, 0)
        if documents >= run_documents or number == len(parts) - 1:
            runs.append(Run(len(runs), first, tuple(parts[first : number + 1])))
            first, documents = number + 1, 0
    return runs


def ranges_for(documents: int, memory: int) -> int:
    """How many key ranges keep the keys of one range, and their sorting, within `memory` bytes."""
    return max(1, -(-documents * KEYS_PER_DOCUMENT * KEY.itemsize * 4 // max(1, memory)))


def _read(path: str, columns: list[str]) -> pa.Table:
    with storage.open_read(path) as file:
        return pq.ParquetFile(file).read(columns)


def _numpy(table: pa.Table) -> dict[str, np.ndarray]:
    """Columns as arrays: fixed-size binary as V(n), moments as seconds, strings as objects."""
    arrays = {}
    for name in table.column_names:
        column = table.column(name).combine_chunks()
        if pa.types.is_fixed_size_binary(column.type):
            width = column.type.byte_width
            data = column.buffers()[1]
            arrays[name] = np.frombuffer(data or b"", f"V{width}", len(column), column.offset * width if data else 0)
        elif pa.types.is_timestamp(column.type):
            arrays[name] = column.cast(pa.int64()).fill_null(0).to_numpy(zero_copy_only=False)
        else:
            arrays[name] = column.to_numpy(zero_copy_only=False)
    return arrays


def addresses(part: int, rows: int) -> np.ndarray:
    return (np.uint64(part) << np.uint64(32)) | np.arange(rows, dtype=np.uint64)


def _split(keys: np.ndarray, values: np.ndarray, ranges: int) -> list[tuple[int, bytes]]:
    """Packed values by the range that the upper half of their key falls into."""
    place = ((keys >> np.uint64(32)) * np.uint64(ranges)) >> np.uint64(32)
    order = np.argsort(place, kind="stable")
    values, place = values[order], place[order]
    bounds = np.searchsorted(place, np.arange(ranges + 1))
    return [(r, values[bounds[r] : bounds[r + 1]].tobytes()) for r in range(ranges) if bounds[r] < bounds[r + 1]]


# --- clusters -----------------------------------------------------------------------------------------------------


def keys(run: Run, job: Job) -> list[tuple[int, bytes]]:
    """The keys under which a run's documents may meet others, packed (KEY) by key range."""
    found = []
    for k, part in enumerate(run.parts):
        columns = ["url_hash", "text_hash", "words", *(["minhash"] if job.settings.near_duplicates else [])]
        table = _numpy(_read(job.path("documents", part), columns))
        own = addresses(run.first + k, len(table["words"]))
        with np.errstate(over="ignore"):
            named = table["url_hash"] != np.uint64(duplicates.NO_URL)
            found += [((table["url_hash"] ^ np.uint64(_URL))[named], own[named])]
            found += [(table["text_hash"] ^ np.uint64(_TEXT), own)]
        if job.settings.near_duplicates and len(own):
            long = table["words"] >= duplicates.SHINGLE
            signatures = np.frombuffer(table["minhash"].tobytes(), "<u4").reshape(len(own), -1)[long]
            bands = duplicates.band_keys(signatures)
            found += [(bands[:, b], own[long]) for b in range(bands.shape[1])]
    packed = np.zeros(sum(len(a) for _, a in found), KEY)
    packed["key"] = np.concatenate([k for k, _ in found]) if found else []
    packed["address"] = np.concatenate([a for _, a in found]) if found else []
    return _split(packed["key"], packed, job.ranges)


def pairs(number: int, chunks: list[bytes], job: Job, tick=no_tick) -> dict:
    """The pairs of one key range, written to the work folder."""
    packed = np.frombuffer(b"".join(chunks), KEY)
    found = duplicates.pairs(packed["key"], packed["address"])
    storage.write(job.path("selection", "work", f"pairs-{number}"), found.astype("<u8").tobytes())
    return {"pairs": len(found)}


def spill(kind: str, number: int, packed: list[tuple[int, bytes]], job: Job) -> None:
    """The exchange in files: what run `number` has for each range."""
    for place, data in packed:
        storage.write(job.path("selection", "work", f"{kind}-{place}", f"run-{number}"), data)


def spilled(kind: str, place: int, job: Job) -> list[bytes]:
    """What all runs have for a range."""
    return [storage.read(p) for p in storage.list_files(job.path("selection", "work", f"{kind}-{place}"))]


def produce_keys(run: Run, job: Job) -> tuple[list[tuple[int, bytes]], dict]:
    """The exchange through Beam's shuffle."""
    return keys(run, job), {}


def spill_keys(run: Run, job: Job, tick=no_tick) -> dict:
    spill("keys", run.number, keys(run, job), job)
    return {}


def spilled_pairs(number: int, job: Job, tick=no_tick) -> dict:
    return pairs(number, spilled("keys", number, job), job)


def cluster(runs: list[Run], job: Job) -> None:
    """All pairs -> clusters, a file for each run (CLUSTERED, sorted by address); clusters of one are left out."""
    edges = [_of_range(r, job, "pairs", np.dtype("<u8")).reshape(-1, 2) for r in range(job.ranges)]
    members, labels = duplicates.components([e.astype(np.uint64) for e in edges])
    _, index, sizes = np.unique(labels, return_inverse=True, return_counts=True)
    table = np.zeros(len(members), CLUSTERED)
    table["address"], table["cluster"] = members, labels
    table["size"] = sizes[index] if len(members) else 0
    _write_by_run(table, runs, job, "clusters")


def _of_range(number: int, job: Job, kind: str, dtype: np.dtype) -> np.ndarray:
    """What a range gave; a range into which no key fell gave nothing."""
    path = job.path("selection", "work", f"{kind}-{number}")
    return np.frombuffer(storage.read(path) if storage.exists(path) else b"", dtype)


def _write_by_run(table: np.ndarray, runs: list[Run], job: Job, kind: str) -> None:
    bounds = [np.uint64(run.first) << np.uint64(32) for run in runs]
    cuts = [*np.searchsorted(table["address"], np.array(bounds, np.uint64)).tolist(), len(table)]
    for run in runs:
        data = table[cuts[run.number] : cuts[run.number + 1]].tobytes()
        storage.write(job.path("selection", kind, f"run-{run.number}"), data)


def _of_run(run: Run, job: Job, kind: str, dtype: np.dtype) -> np.ndarray:
    return np.frombuffer(storage.read(job.path("selection", kind, f"run-{run.number}")), dtype)


def _of_part(table: np.ndarray, part: int) -> tuple[np.ndarray, np.ndarray]:
    """(rows of the part, their entries) of a table sorted by address."""
    low, high = np.searchsorted(table["address"], np.array([part << 32, (part + 1) << 32], np.uint64))
    return (table["address"][low:high] & np.uint64(0xFFFFFFFF)).astype(np.int64), table[low:high]


# --- rules --------------------------------------------------------------------------------------------------------


def _columns(job: Job, *more: str) -> list[str]:
    """The columns of documents that the rules read, and more."""
    return [*selection.columns_read(job.settings.respect, job.thresholds), *(["url"] if job.blocked else []), *more]


def _judge(table: dict[str, np.ndarray], job: Job) -> np.ndarray:
    """(documents,) uint64 bit sets of the rules that fail, the blocklist among them."""
    bits = selection.judge(table, job.thresholds, job.settings.languages, job.settings.respect)
    if job.blocked:
        listed = blocklist.made(job.path("selection", "work", BLOCKLIST), job.blocked)
        bits[listed.blocks(table["url"])] |= np.uint64(Reason.BLOCKED.bit)
    return bits


BLOCKLIST = "blocklist"
"""The blocklist's hashes in the work folder: read by each process once, in milliseconds."""


# --- contest ------------------------------------------------------------------------------------------------------

_CONTEST = ["id", "crawl_time", "url_hash", "text_hash"]


def contest(run: Run, job: Job) -> tuple[list[tuple[int, bytes]], dict]:
    """The members of clusters as contestants, packed by cluster range; and what passes the rules, per language."""
    clusters = _of_run(run, job, "clusters", CLUSTERED)
    found, amounts = [], np.zeros(len(job.labels), np.int64)
    for k, part in enumerate(run.parts):
        table = _numpy(columns.read(job.folder, part, _columns(job, *_CONTEST)))
        passes = _judge(table, job) == 0
        label = np.searchsorted(np.array(job.labels), table["language"].astype(str))
        np.add.at(amounts, label[passes], table["characters"][passes].astype(np.int64))
        rows, entries = _of_part(clusters, run.first + k)
        these = np.zeros(len(rows), CONTESTANT)
        these["cluster"], these["address"] = entries["cluster"], entries["address"]
        these["passes"], these["label"] = passes[rows], label[rows]
        for name, column in (
            ("length", "characters"),
            ("characters", "characters"),
            ("time", "crawl_time"),
            ("id", "id"),
            ("url", "url_hash"),
            ("text", "text_hash"),
        ):
            these[name] = table[column][rows]
        found.append(these)
    packed = np.concatenate(found) if found else np.zeros(0, CONTESTANT)
    spread = selection.uniform(packed["cluster"], 0) * 2.0**64
    passing = {job.labels[i]: int(n) for i, n in enumerate(amounts) if n}
    return _split(spread.astype(np.uint64), packed, job.ranges), {"passing": passing}


def settle(number: int, chunks: list[bytes], job: Job, tick=no_tick) -> dict:
    """The winners of one cluster range, written to the work folder; what the losers that pass would have added."""
    contestants = np.frombuffer(b"".join(chunks), CONTESTANT)
    verdicts = selection.settle(contestants)
    storage.write(job.path("selection", "work", f"winners-{number}"), verdicts.tobytes())
    ordered = contestants[np.argsort(contestants["address"])]
    lost = ordered[(verdicts["reason"] != 0) & ordered["passes"]]
    amounts = np.bincount(lost["label"], lost["characters"], len(job.labels)).astype(np.int64)
    return {"losing": {job.labels[i]: int(n) for i, n in enumerate(amounts) if n}}


def spill_contest(run: Run, job: Job, tick=no_tick) -> dict:
    packed, receipt = contest(run, job)
    spill("contest", run.number, packed, job)
    return receipt


def spilled_settle(number: int, job: Job, tick=no_tick) -> dict:
    return settle(number, spilled("contest", number, job), job)


def crown(runs: list[Run], job: Job) -> None:
    """Verdicts of all ranges -> a file for each run."""
    found = [_of_range(r, job, "winners", VERDICT) for r in range(job.ranges)]
    table = np.concatenate(found)
    _write_by_run(table[np.argsort(table["address"])], runs, job, "work")


def weigh(receipt: dict, job: Job) -> dict[str, float]:
    """Copies per language, from the amounts that pass the rules less those that lose their cluster."""
    losing = receipt.get("losing", {})
    amounts = {k: v - losing.get(k, 0) for k, v in receipt.get("passing", {}).items()}
    copies = mixture.copies(amounts, job.settings.alpha, job.settings.max_copies)
    total = sum(amounts[k] * c for k, c in copies.items())
    scale = min(1.0, job.settings.budget / total) if job.settings.budget and total else 1.0
    return {k: c * scale for k, c in copies.items()}


# --- apply --------------------------------------------------------------------------------------------------------


def apply(run: Run, job: Job, copies: dict[str, float], tick=no_tick) -> dict:
    """Write the selection parts of a run; returns their summed receipt."""
    clusters = _of_run(run, job, "clusters", CLUSTERED)
    winners = _of_run(run, job, "work", VERDICT)
    total: dict[str, Any] = {}
    for k, part in enumerate(run.parts):
        table = _numpy(columns.read(job.folder, part, _columns(job, "id", "site_hash")))
        decided = _decide(
            table, run.first + k, job, copies, _of_part(clusters, run.first + k), _of_part(winners, run.first + k)
        )
        source = extract.read_part_metadata(job.path("documents", part))
        if not source:
            raise StepError(f"{part}: changed while it was read; run select again")
        receipt = books.of_selection(table, decided, run.first + k)
        metadata = document.metadata(fingerprint=job.fingerprint, aligned=source["fingerprint"], receipt=receipt)
        _write_part(job.path("selection", part), decided, metadata)
        total = add_receipts([total, receipt])
    return total


def _decide(table, part: int, job: Job, copies: dict[str, float], clusters, winners) -> dict[str, np.ndarray]:
    own = addresses(part, len(table["words"]))
    bits = _judge(table, job)
    rows, entries = clusters
    cluster, size = own.copy(), np.ones(len(own), np.uint32)
    cluster[rows], size[rows] = entries["cluster"], entries["size"]
    rows, entries = winners
    winner = own.copy()
    winner[rows] = entries["winner"]
    lost = np.zeros(len(own), np.uint8)
    lost[rows] = entries["reason"]
    for reason in (Reason.SAME_URL, Reason.SAME_TEXT, Reason.NEAR_DUPLICATE):
        bits[lost == reason] |= np.uint64(reason.bit)
    validation = (selection.uniform(table["site_hash"], job.settings.seed + 1) < job.settings.validation) & (bits == 0)
    times = np.where(bits == 0, selection.draw(table["id"], table["language"], copies, job.settings.seed), 0)
    times = np.where(validation, 1, times).astype(np.uint8)
    bits[(bits == 0) & (times == 0)] |= np.uint64(Reason.NOT_DRAWN.bit)
    return {
        "verdict": selection.verdicts(bits),
        "reasons": bits,
        "cluster": cluster,
        "cluster_size": size,
        "winner": winner,
        "copies": times,
        "validation": validation,
    }


def _write_part(path: str, decided: dict[str, np.ndarray], metadata: dict[bytes, bytes]) -> None:
    table = pa.Table.from_arrays(
        [pa.array(decided[f.name], f.type) for f in SELECTION], schema=SELECTION.with_metadata(metadata)
    )
    with storage.writing(path) as temporary:
        pq.write_table(table, temporary, compression="zstd")


# --- fingerprints -------------------------------------------------------------------------------------------------


def cluster_fingerprint(documents: dict, plan: str, near_duplicates: bool) -> str:
    """What the clusters depend on: the documents (their digest and the plan's order) and the kinds of keys."""
    code = settings.code(os.path.dirname(__file__), "select.py", "duplicates.py")
    return settings.fingerprint(documents["digest"], plan, near_duplicates, code, document.FORMAT)


def fingerprint(clusters: str, select: settings.Select, thresholds: Thresholds, blocked: str = "") -> str:
    """What a selection depends on. blocked: digest of the blocklist, which counts instead of its paths."""
    sources = (
        "selection.py",
        "thresholds.py",
        "blocklist.py",
        "languages.tsv",
        "stop_words.tsv",
        "../corpus/mixture.py",
    )
    code = settings.code(os.path.dirname(__file__), *sources)
    values = {**settings.substance(select), "url_blocklist": blocked}
    return settings.fingerprint(clusters, values, thresholds.table(), code)


def kept_clusters(folder: str, mark: str) -> bool:
    """Whether clusters made under this fingerprint lie there."""
    try:
        return json.loads(storage.read(storage.join(folder, "selection", "clusters", "made.json"))) == {"from": mark}
    except (OSError, ValueError):
        return False


def keep_clusters(folder: str, mark: str) -> None:
    storage.write(storage.join(folder, "selection", "clusters", "made.json"), json.dumps({"from": mark}) + "\n")
