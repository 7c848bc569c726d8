"""Which document of a cluster is kept. The declared order: quality, length, date, id, among those that pass the rules;
never that of arrival."""

from collections.abc import Iterator

import numpy as np

from corpus.document import Reason
from pipeline import duplicates

CONTESTANT = np.dtype(
    [
        ("cluster", "<u8"),
        ("address", "<u8"),
        ("passes", "?"),
        ("favoured", "u1"),
        ("quality", "<f4"),
        ("length", "<u4"),
        ("time", "<i8"),
        ("id", "V16"),
        ("url", "<u8"),
        ("text", "<u8"),
    ]
)
"""A document of a cluster, as it competes. favoured: of two corpora, the one that wins has 1."""

VERDICT = np.dtype([("address", "<u8"), ("winner", "<u8"), ("reason", "u1")])
"""A document that has lost to `winner`, and why."""


def settle(contestants: np.ndarray) -> np.ndarray:
    """(n,) CONTESTANT of whole clusters -> (m,) VERDICT of those that lose, sorted by address.

    The winner of a cluster is the favoured, the best, the longest, the newest, the one with the least id, among those
    that pass the rules; a cluster in which none passes has no winner, and nobody loses.
    """
    contestants = contestants[np.argsort(contestants["cluster"], kind="stable")]
    if not len(contestants):
        return np.zeros(0, VERDICT)
    cluster = contestants["cluster"]
    starts = np.flatnonzero(np.concatenate(([True], cluster[1:] != cluster[:-1])))
    group = np.repeat(np.arange(len(starts)), np.diff(np.append(starts, len(cluster))))
    alive = contestants["passes"].copy()
    for value in _order(contestants):
        worst = value.min()
        best = np.maximum.reduceat(np.where(alive, value, worst), starts)
        alive &= value == best[group]
    won = np.flatnonzero(alive)  # ids differ, so that one is left; equal ones by the smallest address
    won = won[np.lexsort((contestants["address"][won], group[won]))]
    groups, first = np.unique(group[won], return_index=True)
    place = np.full(len(starts), -1)
    place[groups] = won[first]
    loses = (place[group] >= 0) & (place[group] != np.arange(len(cluster)))
    losers, best = contestants[loses], contestants[place[group[loses]]]
    result = np.zeros(len(losers), VERDICT)
    result["address"], result["winner"] = losers["address"], best["address"]
    result["reason"] = _why(losers, best)
    return result[np.argsort(result["address"])]


def _order(contestants: np.ndarray) -> Iterator[np.ndarray]:
    """What decides, one after the other; more is better."""
    yield contestants["favoured"]
    yield contestants["quality"]
    yield contestants["length"]
    yield contestants["time"]
    yield ~id_half(contestants["id"], 0)
    yield ~id_half(contestants["id"], 1)


def _why(losers: np.ndarray, best: np.ndarray) -> np.ndarray:
    same_url = (losers["url"] == best["url"]) & (best["url"] != np.uint64(duplicates.NO_URL))
    same_text = losers["text"] == best["text"]
    return np.where(same_url, Reason.SAME_URL, np.where(same_text, Reason.SAME_TEXT, Reason.NEAR_DUPLICATE))


def id_half(ids: np.ndarray, half: int) -> np.ndarray:
    """Eight bytes of each 16-byte id as a big-endian number."""
    return np.frombuffer(ids.tobytes(), ">u8").reshape(-1, 2)[:, half].astype(np.uint64)


_REHYDRATED = ((1000, 1), (100, 8), (5, 5), (3, 3), (2, 2))


def rehydrated(sizes: np.ndarray) -> np.ndarray:
    """(n,) sizes of clusters -> how often FineWeb-2 sees their survivors (arXiv:2506.20920): what was copied a few
    times is good, what was copied a thousand times is not. 1, 2, 3, 3, 5 (5-99), 8 (100-999), 1 (1000 and more)."""
    times = np.ones(len(sizes), np.uint8)
    for least, count in reversed(_REHYDRATED):
        times[sizes >= least] = count
    return times
