"""Edges between documents -> connected components, each named by its smallest address.

In one process where the edges fit; else by alternating large and small stars over the key exchange (Kiveris et al.,
Connected Components in MapReduce and Beyond, SoCC 2014): each round keeps the components and brings every document
nearer to the smallest of its own, until all edges point to it. Both give the same labels.
"""

from collections.abc import Iterable

import numpy as np

from pipeline import exchange
from pipeline.exchange import Pieces

EDGE = np.dtype([("a", "<u8"), ("b", "<u8")])
"""Two documents of one component; in an edge on its way, `a` is the document whose range it goes to."""

LABEL = np.dtype([("address", "<u8"), ("cluster", "<u8"), ("size", "<u4")])
"""A document of a component of two or more: the smallest address there, and how many there are."""


def edges(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """(n,) EDGE, sorted, each once, without loops."""
    different = a != b
    table = np.zeros(int(different.sum()), EDGE)
    table["a"], table["b"] = a[different], b[different]
    return unique(table)


def unique(table: np.ndarray) -> np.ndarray:
    """EDGEs sorted by a, then b, each once."""
    if not len(table):
        return table
    table = table[np.lexsort((table["b"], table["a"]))]
    fresh = np.ones(len(table), bool)
    fresh[1:] = (table["a"][1:] != table["a"][:-1]) | (table["b"][1:] != table["b"][:-1])
    return table[fresh]


def components(found: Iterable[np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    """(documents, labels): every document that has an edge, sorted, and the smallest address of its component.

    Rounds of smallest labels with pointer jumping; the number of rounds grows with the logarithm of the longest chain.
    """
    ends = [np.stack([e["a"], e["b"]]) for e in found]
    edge = np.concatenate(ends, axis=1) if ends else np.empty((2, 0), np.uint64)
    documents, index = np.unique(edge, return_inverse=True)
    index = index.reshape(2, -1)
    labels = np.arange(len(documents))
    while True:
        least = np.minimum(labels[index[0]], labels[index[1]])
        before = labels.copy()
        np.minimum.at(labels, index[0], least)
        np.minimum.at(labels, index[1], least)
        np.minimum.at(labels, before, labels)  # the old label of a document learns its new one
        labels = labels[labels]
        if np.array_equal(labels, before):
            return documents, documents[labels]


def labelled(documents: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """(n,) LABEL from the documents of whole components and the smallest address of each."""
    table = np.zeros(len(documents), LABEL)
    _, index, sizes = np.unique(labels, return_inverse=True, return_counts=True)
    table["address"], table["cluster"] = documents, labels
    table["size"] = sizes[index] if len(documents) else 0
    return table


def group_starts(values: np.ndarray) -> np.ndarray:
    """Where each run of equal values starts."""
    return np.flatnonzero(np.concatenate(([True], values[1:] != values[:-1]))) if len(values) else np.empty(0, np.int64)


# --- rounds over the exchange --------------------------------------------------------------------------------------


def both_ways(table: np.ndarray, ranges: int) -> Pieces:
    """Edges to the ranges of both their ends."""
    back = np.zeros(len(table), EDGE)
    back["a"], back["b"] = table["b"], table["a"]
    return to_a(np.concatenate([table, back]), ranges)


def to_a(table: np.ndarray, ranges: int) -> Pieces:
    """Edges to the range of their a."""
    return exchange.split(table, exchange.place_of(exchange.mix(table["a"]), ranges), ranges)


def _groups(table: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(EDGEs by a, each once; the smallest of a and its neighbours, for each edge)."""
    table = unique(table)
    starts = group_starts(table["a"])
    least = np.minimum(table["b"][starts], table["a"][starts])  # neighbours ascend
    return table, np.repeat(least, np.diff(np.append(starts, len(table))))


def large_star(table: np.ndarray) -> np.ndarray:
    """Edges both ways, of whole neighbourhoods -> each neighbour larger than a document is tied to the smallest of the
    neighbourhood. Result: a is the larger end."""
    table, least = _groups(table)
    larger = table["b"] > table["a"]
    return edges(table["b"][larger], least[larger])


def small_star(table: np.ndarray) -> np.ndarray:
    """Edges whose a is the larger end, of whole neighbourhoods -> the smaller neighbours of a document, and itself, are
    tied to the smallest of them. Result: a is the larger end."""
    table, least = _groups(table)
    return edges(np.concatenate([table["b"], table["a"]]), np.concatenate([least, least]))


def digest(table: np.ndarray) -> int:
    """A sum over edges that tells whether a round changed any, however they lie in ranges."""
    with np.errstate(over="ignore"):
        return int(exchange.mix(exchange.mix(table["a"]) + table["b"]).sum(dtype=np.uint64))
