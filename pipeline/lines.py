"""Lines that a site repeats (menus, notices, footers): marked by hashes alone, left out where text is read.

After CCNet (arXiv:1911.00359) and C4, but per site; over the whole corpus, as they do, if `corpus_lines` asks for it. A
line counts once a page, and of a cluster of duplicates only one page counts, so that copies of an article do not take
its own lines away. Sites of few pages are not looked at.

  sites -> busy        the sites with more than `site_lines` pages
  lines -> common      their lines that stand on more than so many of the pages; once for each scope
  mark                 which lines of which documents those are, kept for each run
"""

import os
from collections.abc import Collection

import numpy as np

from corpus import settings, storage
from pipeline import arrays, clusters, exchange
from pipeline.exchange import Pieces
from pipeline.runs import Job, Run, of_part

HASH = np.dtype("<u8")
SITE, CORPUS = "site", "corpus"
"""Scopes: where the pages stand that repeat a line."""
COLUMN = "line_hashes"
MOST_LOST = 0.8
"""A page is rejected that loses more of its lines."""
BYTES_PER_DOCUMENT = 320
"""Bytes of the hashes of a page's lines, about."""
MOST = 1 << 16
"""Lines of a page beyond this are never marked; numbers of lines take two bytes."""


def scopes(select: settings.Select) -> list[str]:
    """The scopes in which repeated lines are looked for."""
    return [scope for scope in (SITE, CORPUS) if _most(select, scope)]


def _most(select: settings.Select, scope: str) -> int:
    return select.site_lines if scope == SITE else select.corpus_lines


def leave_out(text: str, numbers: Collection[int]) -> str:
    """The text without the lines of these numbers, counted from 0 over lines that are not empty."""
    if not len(numbers):
        return text
    gone, number, kept = set(numbers), -1, []
    for line in text.split("\n"):
        number += bool(line.strip())
        if not (line.strip() and number in gone):
            kept.append(line)
    return "\n".join(kept).strip("\n")


# --- sites --------------------------------------------------------------------------------------------------------


def _counted(run: Run, job: Job, part: int, rows: int) -> np.ndarray:
    """(rows,) bool: the documents that are counted, one of each cluster."""
    counted = np.ones(rows, bool)
    places, entries = of_part(clusters.of_run(run, job), part)
    counted[places] = entries["cluster"] == entries["address"]
    return counted


def sites(run: Run, job: Job) -> tuple[Pieces, dict]:
    """The site of each counted document of a run."""
    found = [np.zeros(0, HASH)]
    for k, part in enumerate(run.parts):
        site = arrays.read(job.part(run, part), ["site_hash"])["site_hash"]
        found.append(site[_counted(run, job, run.first + k, len(site))])
    return _by_hash(np.sort(np.concatenate(found)), job), {}


def _by_hash(values: np.ndarray, job: Job) -> Pieces:
    return exchange.split(values, exchange.place_of(values, job.ranges), job.ranges)


def busy(place: int, job: Job) -> tuple[Pieces, dict]:
    """The sites of one range that have more pages than a line may have, to the runs that hold some of them."""
    return _back("sites", place, job, SITE)


def common(place: int, job: Job, scope: str) -> tuple[Pieces, dict]:
    """The lines of one range that stand on more pages than they may, to the runs that hold some of them."""
    return _back(f"lines-{scope}", place, job, scope)


def _back(label: str, place: int, job: Job, scope: str) -> tuple[Pieces, dict]:
    """The hashes that occur more often in a range than the scope allows, to each run that has them."""
    slices = [(run, np.frombuffer(data, HASH)) for run, data in exchange.slices(job.work(), label, place)]
    if not slices:
        return [], {}
    values = np.sort(np.concatenate([v for _, v in slices]))
    most = _most(job.settings, scope)
    frequent = np.unique(values[most:][values[most:] == values[: max(0, len(values) - most)]])
    pieces = [(run, own) for run, v in slices if len(own := np.unique(v[clusters.among(v, frequent)]))]
    return pieces, {"hashes": len(frequent)}


# --- lines --------------------------------------------------------------------------------------------------------


def lines(run: Run, job: Job, scope: str) -> tuple[Pieces, dict]:
    """The lines of a run's pages (of SITE those on busy sites), each once a page. All keys of their lines are kept for
    `mark`."""
    sites_ = np.sort(exchange.inbox(job.work(), "busy", run.number, HASH)) if scope == SITE else None
    found, kept = [np.zeros(0, HASH)], []
    for k, part in enumerate(run.parts):
        keys, counts = _keys(job.part(run, part), sites_)
        counted = np.repeat(_counted(run, job, run.first + k, len(counts)), counts)
        found.append(_once_a_page(keys, counts, counted))
        kept += [np.array([len(counts)], "<u8"), counts.astype("<u4"), keys]
    exchange.scratch(job.work(f"keys-{scope}", f"run-{run.number}"), [a.tobytes() for a in kept])
    return _by_hash(np.sort(np.concatenate(found)), job), {}


def _keys(path: str, sites_: np.ndarray | None) -> tuple[np.ndarray, np.ndarray]:
    """(keys of all lines of pages on these sites, how many each page of the part has; 0 on other sites). None: of all
    pages, and the site is no part of the key."""
    if sites_ is None:
        table = arrays.read(path, [COLUMN])
        return exchange.mix(table[COLUMN]), np.diff(table[f"{COLUMN}.ends"], prepend=0)
    site = arrays.read(path, ["site_hash"])["site_hash"]
    looked = clusters.among(site, sites_)
    if not looked.any():
        return np.zeros(0, HASH), np.zeros(len(site), np.int64)
    table = arrays.read(path, [COLUMN])
    counts = np.diff(table[f"{COLUMN}.ends"], prepend=0)
    mine = np.repeat(looked, counts)
    counts = np.where(looked, counts, 0)
    with np.errstate(over="ignore"):
        keys = exchange.mix(table[COLUMN][mine] + np.repeat(exchange.mix(site), counts))
    return keys, counts


def _once_a_page(keys: np.ndarray, counts: np.ndarray, which: np.ndarray) -> np.ndarray:
    """The keys without repetition on a page, of those lines that `which` says."""
    page = np.repeat(np.arange(len(counts), dtype=np.uint64), counts)
    keys, page = keys[which], page[which]
    with np.errstate(over="ignore"):
        own = keys ^ exchange.mix(page + np.uint64(1))
    order = np.argsort(own)
    fresh = np.ones(len(own), bool)
    fresh[1:] = own[order][1:] != own[order][:-1]
    return keys[order[fresh]]


def mark(run: Run, job: Job, tick=None) -> dict:
    """Which lines of a run's documents other pages repeat: kept, part by part: documents, how many each, numbers."""
    found = [_repeated(run, job, scope) for scope in scopes(job.settings)]
    kept, marked = [], 0
    for places in zip(*found, strict=True):
        rows = places[0][0]
        page, number = np.divmod(np.unique(np.concatenate([own for _, own in places])), MOST)
        counts = np.bincount(page, minlength=rows)
        kept += [np.array([rows], "<u8"), counts.astype("<u2"), number.astype("<u2")]
        marked += len(number)
    exchange.scratch(job.path("selection", "lines", f"run-{run.number}"), [a.tobytes() for a in kept])
    return {"marked": marked}


def _repeated(run: Run, job: Job, scope: str) -> list[tuple[int, np.ndarray]]:
    """(documents, page * MOST + number of each line that is repeated) of each part of a run."""
    frequent = np.sort(exchange.inbox(job.work(), f"common-{scope}", run.number, HASH))
    data, at, found = storage.read(job.work(f"keys-{scope}", f"run-{run.number}")), 0, []
    for _ in run.parts:
        (rows,) = np.frombuffer(data, "<u8", 1, at)
        counts = np.frombuffer(data, "<u4", int(rows), at + 8)
        keys = np.frombuffer(data, HASH, int(counts.sum()), at + 8 + counts.nbytes)
        at += 8 + counts.nbytes + keys.nbytes
        which = np.flatnonzero(clusters.among(keys, frequent))
        ends = np.cumsum(counts, dtype=np.int64)
        page = np.searchsorted(ends, which, "right")
        number = which - (ends - counts)[page]
        found.append((int(rows), (page * MOST + number)[number < MOST]))
    return found


def of_run(run: Run, job: Job) -> list[tuple[np.ndarray, np.ndarray]]:
    """For each part of a run: (how many lines of each document are marked, their numbers one after the other)."""
    data, at, found = storage.read(job.path("selection", "lines", f"run-{run.number}")), 0, []
    for _ in run.parts:
        (rows,) = np.frombuffer(data, "<u8", 1, at)
        counts = np.frombuffer(data, "<u2", int(rows), at + 8)
        numbers = np.frombuffer(data, "<u2", int(counts.sum(dtype=np.int64)), at + 8 + counts.nbytes)
        at += 8 + counts.nbytes + numbers.nbytes
        found.append((counts, numbers))
    return found


def fingerprint(marks: str, select: settings.Select) -> str:
    """What marked lines depend on. marks: fingerprint of the clusters."""
    return settings.fingerprint(
        marks, select.site_lines, select.corpus_lines, settings.code(os.path.dirname(__file__), "lines.py")
    )
