"""Clusters of duplicates, from keys alone: maps over runs of parts and over ranges of keys, with exchanges between.

exact -> twins      equal URLs and texts; of equal texts one goes on
bands -> pairs      documents that agree in a band of their MinHash signatures
lend -> prove       the signatures of a pair meet; those that resemble each other are joined
edges -> components -> a table for each run, kept under the fingerprint of what it depends on
"""

import json
import os

import numpy as np

from corpus import document, settings, storage
from corpus.document import MINHASHES
from pipeline import arrays, components, duplicates, exchange
from pipeline.components import EDGE, LABEL
from pipeline.exchange import Pieces
from pipeline.runs import Job, Run, addresses

KEY = np.dtype([("key", "<u8"), ("address", "<u8")])
SKETCH = np.dtype(f"V{MINHASHES}")
LOAN = np.dtype([("a", "<u8"), ("b", "<u8"), ("sketch", SKETCH)])
KEYS_PER_DOCUMENT = duplicates.BANDS
_URL, _TEXT = (int(x) for x in duplicates._splitmix(2, 5))
_KIND = np.uint64(1)  # the lowest bit of an exact key: 0 URL, 1 text
_BLOCK = 1 << 14


def _pack(keys: list[np.ndarray], owners: list[np.ndarray], job: Job) -> Pieces:
    packed = np.zeros(sum(map(len, keys)), KEY)
    if keys:
        packed["key"], packed["address"] = np.concatenate(keys), np.concatenate(owners)
    return exchange.split(packed, exchange.place_of(packed["key"], job.ranges), job.ranges)


def _to_runs(table: np.ndarray, field: str, job: Job) -> Pieces:
    return exchange.split(table, job.run_of(table[field]), len(job.firsts))


def _groups(packed: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(entries whose key others have too, by key and address; where each group starts, and the end)."""
    order = np.argsort(packed["key"])
    keys = packed["key"][order]
    same = np.zeros(len(keys) + 1, bool)
    np.equal(keys[1:], keys[:-1], out=same[1:-1])
    found = packed[order[same[1:] | same[:-1]]]
    found = found[np.lexsort((found["address"], found["key"]))]
    return found, np.append(components.group_starts(found["key"]), len(found))


# --- equal URLs and texts -----------------------------------------------------------------------------------------


def exact(run: Run, job: Job) -> tuple[Pieces, dict]:
    """The URL and text keys of a run."""
    keys, owners = [], []
    for k, part in enumerate(run.parts):
        table = arrays.read(job.part(run, part), ["url_hash", "text_hash"])
        own = addresses(run.first + k, len(table["text_hash"]))
        named = table["url_hash"] != np.uint64(duplicates.NO_URL)
        keys += [(table["url_hash"] ^ np.uint64(_URL))[named] & ~_KIND, (table["text_hash"] ^ np.uint64(_TEXT)) | _KIND]
        owners += [own[named], own]
    return _pack(keys, owners, job), {}


def twins(place: int, job: Job) -> tuple[Pieces, dict]:
    """The edges of one range of exact keys; to the runs go those whose text has a smaller address too."""
    found, bounds = _groups(exchange.inbox(job.work(), "exact", place, KEY))
    first = np.repeat(found["address"][bounds[:-1]], np.diff(bounds))
    edge = components.edges(found["address"], first)
    _keep_edges(edge, f"exact-{place}", job)
    others = found[(found["key"] & _KIND == _KIND) & (found["address"] != first)]
    return _to_runs(others, "address", job), {"edges": len(edge)}


def _keep_edges(edge: np.ndarray, name: str, job: Job) -> None:
    exchange.scratch(job.work("edges", name), [edge.tobytes()])


# --- near-duplicates ----------------------------------------------------------------------------------------------


def bands(run: Run, job: Job) -> tuple[Pieces, dict]:
    """The band keys of a run's documents, without those whose text stands elsewhere. Their sketches (the low byte of
    each value of the signature) are kept, rows of all parts one after the other."""
    others = np.unique(exchange.inbox(job.work(), "twins", run.number, KEY)["address"])
    keys, owners, sketches = [], [], []
    for k, part in enumerate(run.parts):
        table = arrays.read(job.part(run, part), ["words", "minhash"])
        own = addresses(run.first + k, len(table["words"]))
        signatures = np.frombuffer(table["minhash"], "<u4").reshape(len(own), MINHASHES)
        sketches.append(signatures.astype(np.uint8))
        alone = (table["words"] > 0) & ~among(own, others)
        for start in range(0, len(own), _BLOCK):
            mine = np.flatnonzero(alone[start : start + _BLOCK]) + start
            keys.append(duplicates.band_keys(signatures[mine]).ravel())
            owners.append(np.repeat(own[mine], duplicates.BANDS))
    exchange.scratch(job.work("sketches", f"run-{run.number}"), [s.tobytes() for s in sketches])
    rows = np.array([len(s) for s in sketches], "<u8")
    exchange.scratch(job.work("sketches", f"rows-{run.number}"), [rows.tobytes()])
    return _pack(keys, owners, job), {}


def among(values: np.ndarray, known: np.ndarray) -> np.ndarray:
    """(n,) bool: which values are in sorted `known`."""
    if not len(known):
        return np.zeros(len(values), bool)
    place = np.minimum(np.searchsorted(known, values), len(known) - 1)
    return known[place] == values


_ALL_PAIRS = 4
"""Up to so many documents under one key are compared each with each; of more, each with the first and the one before
it, so that a huge group costs no quadratic time."""


def pairs(place: int, job: Job) -> tuple[Pieces, dict]:
    """The candidate pairs (a < b) of one range of band keys, to the runs of a."""
    found, bounds = _groups(exchange.inbox(job.work(), "bands", place, KEY))
    return _to_runs(candidates(found["address"], bounds), "a", job), {}


def candidates(address: np.ndarray, bounds: np.ndarray) -> np.ndarray:
    """(n,) EDGE, a < b: who is compared, of groups of addresses that lie between bounds, ascending."""
    sizes = np.diff(bounds)
    first, size = np.repeat(bounds[:-1], sizes), np.repeat(sizes, sizes)
    rank = np.arange(len(address)) - first
    chosen = []
    for back in range(1, _ALL_PAIRS):
        mine = np.flatnonzero((rank >= back) & ((size <= _ALL_PAIRS) | (back == 1)))
        chosen.append((address[mine - back], address[mine]))
    mine = np.flatnonzero((rank >= 1) & (size > _ALL_PAIRS))
    chosen.append((address[first[mine]], address[mine]))
    return components.edges(*(np.concatenate(x) for x in zip(*chosen, strict=True)))


class _Sketches:
    """The sketches of a run by address."""

    def __init__(self, run: Run, job: Job):
        rows = np.frombuffer(storage.read(job.work("sketches", f"rows-{run.number}")), "<u8").astype(np.int64)
        self.first, self.starts = run.first, np.concatenate(([0], np.cumsum(rows)))
        path = job.work("sketches", f"run-{run.number}")
        if not self.starts[-1]:
            data = np.zeros(0, np.uint8)
        elif storage.is_remote(path):
            data = np.frombuffer(storage.read(path), np.uint8)
        else:
            data = np.memmap(path, np.uint8, "r")
        self.values = data.reshape(-1, MINHASHES)

    def __getitem__(self, owners: np.ndarray) -> np.ndarray:
        """(n,) addresses -> (n, MINHASHES) uint8."""
        part = (owners >> np.uint64(32)).astype(np.int64) - self.first
        return self.values[self.starts[part] + (owners & np.uint64(0xFFFFFFFF)).astype(np.int64)]


def lend(run: Run, job: Job) -> tuple[Pieces, dict]:
    """The sketches of the smaller documents of candidate pairs, to the runs of the larger ones."""
    table = np.zeros(0, EDGE)
    for _, data in exchange.slices(job.work(), "pairs", run.number):  # a pair may come from every band
        table = components.unique(np.concatenate([table, np.frombuffer(data, EDGE)]))
    loans = np.zeros(len(table), LOAN)
    loans["a"], loans["b"] = table["a"], table["b"]
    loans["sketch"] = _Sketches(run, job)[table["a"]].reshape(-1).view(SKETCH)
    return _to_runs(loans, "b", job), {"candidates": len(table)}


def prove(run: Run, job: Job, tick=None) -> dict:
    """The edges of those pairs, whose larger document lies in the run, that resemble each other."""
    sketches, found, looked = _Sketches(run, job), [np.zeros(0, EDGE)], 0
    for _, data in exchange.slices(job.work(), "lend", run.number):
        loans = np.frombuffer(data, LOAN)
        theirs = np.frombuffer(loans["sketch"].tobytes(), np.uint8).reshape(-1, MINHASHES)
        near = duplicates.resemble(theirs, sketches[loans["b"]])
        found.append(components.edges(loans["b"][near], loans["a"][near]))
        looked += len(loans)
    edge = np.concatenate(found)
    _keep_edges(edge, f"near-{run.number}", job)
    return {"edges": len(edge), "near": len(edge), "compared": looked}


# --- components ---------------------------------------------------------------------------------------------------


def gather(job: Job, runs: list[Run]) -> None:
    """All edges in this process -> a table for each run."""
    found = [np.frombuffer(storage.read(p), EDGE) for p in storage.list_files(job.work("edges"))]
    table = components.labelled(*components.components(found))
    bounds = np.searchsorted(table["address"], np.array([r.first << 32 for r in runs], np.uint64)).tolist()
    for run, low, high in zip(runs, bounds, [*bounds[1:], len(table)], strict=True):
        _keep_table(table[low:high], run, job)


def _keep_table(table: np.ndarray, run: Run, job: Job) -> None:
    storage.write(job.path("selection", "clusters", f"run-{run.number}"), table.tobytes())


def scatter(number: int, job: Job) -> tuple[Pieces, dict]:
    """One file of edges into the rounds."""
    path = storage.list_files(job.work("edges"))[number]
    return components.both_ways(np.frombuffer(storage.read(path), EDGE), job.ranges), {}


def large(place: int, job: Job, source: str) -> tuple[Pieces, dict]:
    """The first half of a round: the edges of a range, both ways -> to the ranges of their larger ends."""
    table = components.large_star(exchange.inbox(job.work(), source, place, EDGE))
    return components.to_a(table, job.ranges), {}


def small(place: int, job: Job) -> tuple[Pieces, dict]:
    """The second half: -> both ways again; `digest` tells when nothing changes any more."""
    table = components.small_star(exchange.inbox(job.work(), "large", place, EDGE))
    return components.both_ways(table, job.ranges), {"digest": f"{components.digest(table):x}"}


def count(place: int, job: Job, source: str) -> tuple[Pieces, dict]:
    """Finished stars of a range of centres -> labels, to the runs of their documents."""
    table = components.unique(exchange.inbox(job.work(), source, place, EDGE))
    table = table[table["b"] > table["a"]]  # a is a centre: of its star it is the smallest
    centres = np.unique(table["a"])
    labels = components.labelled(np.concatenate([centres, table["b"]]), np.concatenate([centres, table["a"]]))
    return _to_runs(labels, "address", job), {}


def settle(run: Run, job: Job, tick=None) -> dict:
    table = exchange.inbox(job.work(), "count", run.number, LABEL)
    _keep_table(table[np.argsort(table["address"])], run, job)
    return {}


def of_run(run: Run, job: Job) -> np.ndarray:
    """(n,) LABEL: the documents of a run that stand in clusters, by address."""
    return np.frombuffer(storage.read(job.path("selection", "clusters", f"run-{run.number}")), LABEL)


# --- what is kept -------------------------------------------------------------------------------------------------


def fingerprint(sources: list, near_duplicates: bool) -> str:
    """What the clusters depend on: the documents of all corpora (digests and the plans' order), the kinds of keys."""
    names = ("clusters.py", "components.py", "duplicates.py", "exchange.py")
    code = settings.code(os.path.dirname(__file__), *names)
    return settings.fingerprint(sources, near_duplicates, code, document.FORMAT)


def kept(folder: str, kind: str, mark: str) -> bool:
    """Whether `kind` (clusters, lines) made under this fingerprint lies there."""
    try:
        return json.loads(storage.read(storage.join(folder, "selection", kind, "made.json")))["from"] == mark
    except (OSError, ValueError, KeyError, TypeError):
        return False


def keep(folder: str, kind: str, mark: str, receipt: dict) -> None:
    values = {"from": mark, **{k: v for k, v in receipt.items() if k in ("candidates", "near", "marked")}}
    storage.write(storage.join(folder, "selection", kind, "made.json"), json.dumps(values, sort_keys=True) + "\n")
