"""Runs of documents parts: the tasks of select and encode; and what the maps of one selection need to know."""

import json
from dataclasses import asdict, dataclass, field

import numpy as np

from corpus import settings, storage
from pipeline.thresholds import Thresholds


@dataclass(frozen=True)
class Run:
    """Consecutive parts, worth about `run_documents` documents. `first`: number of its first part. `folder`: the corpus
    where they lie, '' for the one that is worked on."""

    number: int
    first: int
    parts: tuple[str, ...]
    folder: str = ""


@dataclass(frozen=True)
class Job:
    """What the maps of one select need to know. Folders are those of the corpus."""

    folder: str
    settings: settings.Select
    thresholds: Thresholds
    firsts: tuple[int, ...]  # number of the first part of each run
    own: int  # runs of this corpus; those behind it are of older ones
    ranges: int  # of keys
    labels: tuple[str, ...]  # all languages of the corpus, sorted
    fingerprint: str
    lists: dict[str, str] = field(default_factory=dict)  # digests of lists in the work folder

    def path(self, *names: str) -> str:
        return storage.join(self.folder, *names)

    def work(self, *names: str) -> str:
        return self.path("selection", "work", *names)

    def part(self, run: Run, name: str, folder: str = "documents") -> str:
        return storage.join(run.folder or self.folder, folder, name)

    def run_of(self, addresses: np.ndarray) -> np.ndarray:
        """The number of the run in which each address lies."""
        firsts = np.array(self.firsts, np.uint64)
        return np.searchsorted(firsts, addresses >> np.uint64(32), "right") - 1


def plan_runs(
    parts: list[str], counts: dict[str, int], run_documents: int, folder: str = "", before: tuple[int, int] = (0, 0)
) -> list[Run]:
    """Cut a plan into runs, by the documents that the parts hold. before: runs and parts that were planned before."""
    runs: list[Run] = []
    first, documents = 0, 0
    for number, part in enumerate(parts):
        documents += counts.get(part, 0)
        if documents >= run_documents or number == len(parts) - 1:
            runs.append(Run(before[0] + len(runs), before[1] + first, tuple(parts[first : number + 1]), folder))
            first, documents = number + 1, 0
    return runs


def write_runs(path: str, runs: list[Run]) -> None:
    storage.write(path, json.dumps([asdict(r) for r in runs]))


def read_runs(path: str) -> list[Run]:
    return [Run(**{**r, "parts": tuple(r["parts"])}) for r in json.loads(storage.read(path))]


def read_numbers(path: str) -> list[int]:
    return list(range(json.loads(storage.read(path))))


def addresses(part: int, rows: int) -> np.ndarray:
    return (np.uint64(part) << np.uint64(32)) | np.arange(rows, dtype=np.uint64)


def of_part(table: np.ndarray, part: int) -> tuple[np.ndarray, np.ndarray]:
    """(rows of the part, their entries) of a table sorted by address."""
    low, high = np.searchsorted(table["address"], np.array([part << 32, (part + 1) << 32], np.uint64))
    return (table["address"][low:high] & np.uint64(0xFFFFFFFF)).astype(np.int64), table[low:high]
