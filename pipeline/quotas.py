"""Amounts met exactly to a document: which hash a language is drawn up to.

Each document has a place in [0, 2^64) that its id and the seed decide. A language takes the documents below its cut;
a smaller amount has a smaller cut, so that its documents are among those of a larger one. The cut is found from sums
over BINS stretches of places and then from the documents of the one stretch in which it lies.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from pipeline import exchange

BINS = 1024
_SHIFT = np.uint64(54)  # 64 bits less log2(BINS)
ALL = 1 << 64
BORDER = np.dtype([("label", "<u2"), ("place", "<u8"), ("amount", "<u8")])
"""A document, or all of one place, on the border."""


def places(hashes: np.ndarray, seed: int) -> np.ndarray:
    """(n,) uint64 hashes -> (n,) uint64 places, the same for the same hash and seed."""
    with np.errstate(over="ignore"):
        return exchange.mix(hashes.astype(np.uint64) + np.uint64(seed) * np.uint64(0x9E3779B97F4A7C15))


def histogram(labels: np.ndarray, where: np.ndarray, amounts: np.ndarray, names: tuple[str, ...]) -> dict:
    """Sums of amounts by label and stretch, {label: {stretch: amount}}, for a receipt."""
    cell = labels.astype(np.int64) * BINS + (where >> _SHIFT).astype(np.int64)
    sums = np.bincount(cell, amounts, len(names) * BINS).astype(np.int64).reshape(-1, BINS)
    found: dict[str, dict[str, int]] = {}
    for label, stretch in zip(*np.nonzero(sums), strict=True):
        found.setdefault(names[label], {})[str(stretch)] = int(sums[label, stretch])
    return found


@dataclass(frozen=True)
class Border:
    """The stretch in which a cut lies, and the amount that is still to be taken from it."""

    stretch: int
    rest: int


def border(sums: Mapping[str, int], amount: int) -> Border | None:
    """Where the cut for `amount` lies, of sums by stretch; None: everything is taken."""
    if amount >= sum(sums.values()):
        return None
    for stretch in range(BINS):
        here = sums.get(str(stretch), 0)
        if here > amount:
            return Border(stretch, amount)
        amount -= here
    raise AssertionError("the sum is larger than the amount")


def on_border(labels: np.ndarray, where: np.ndarray, amounts: np.ndarray, borders: Mapping[int, Border]) -> np.ndarray:
    """(n,) BORDER: the documents that lie on the borders, by label."""
    stretch = np.full(int(labels.max(initial=0)) + 1, -1)
    for label, one in borders.items():
        if label < len(stretch):
            stretch[label] = one.stretch
    mine = stretch[labels] == (where >> _SHIFT).astype(np.int64)
    table = np.zeros(int(mine.sum()), BORDER)
    table["label"], table["place"], table["amount"] = labels[mine], where[mine], amounts[mine]
    return table


def cut(found: np.ndarray, one: Border) -> tuple[int, int]:
    """(the cut, what is taken of the stretch): the most whole places of the stretch whose sum is at most its rest.
    found: (n,) BORDER of one label."""
    start = one.stretch << int(_SHIFT)
    if not len(found):
        return start, 0
    order, index = np.unique(found["place"], return_inverse=True)
    sums = np.cumsum(np.bincount(index, found["amount"]).astype(np.int64))
    count = int(np.searchsorted(sums, one.rest, "right"))
    taken = int(sums[count - 1]) if count else 0
    return (int(order[count]) if count < len(order) else (one.stretch + 1) << int(_SHIFT)), taken


def below(labels: np.ndarray, where: np.ndarray, cuts: Mapping[int, int], default: int) -> np.ndarray:
    """(n,) bool: the documents below the cut of their label; `default` is that of labels without one."""
    count = int(labels.max(initial=0)) + 1
    whole = [cuts.get(k, default) for k in range(count)]
    everything = np.array([c >= ALL for c in whole])
    bound = np.array([min(c, ALL - 1) for c in whole], np.uint64)
    return everything[labels] | (where < bound[labels])
