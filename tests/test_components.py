"""Edges to components, in one process and by rounds over ranges."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline import components as stars
from pipeline.components import EDGE, components

U64 = np.uint64


def edge(table: np.ndarray) -> np.ndarray:
    found = np.zeros(len(table), EDGE)
    found["a"], found["b"] = table[:, 0], table[:, 1]
    return found


def least_labels(edges) -> dict[int, int]:
    """Brute force: the smallest document that can be reached."""
    label = {d: d for e in edges for d in e}
    changed = True
    while changed:
        changed = False
        for a, b in edges:
            least = min(label[a], label[b])
            changed |= label[a] != least or label[b] != least
            label[a] = label[b] = least
    return label


EDGES = st.lists(st.tuples(st.integers(0, 40), st.integers(0, 40)), max_size=50)


@given(EDGES, st.integers(1, 4))
def test_components_are_what_can_be_reached(edges, blocks):
    table = np.array(edges, U64).reshape(-1, 2)
    documents, labels = components(map(edge, np.array_split(table, blocks)))
    assert dict(zip(documents.tolist(), labels.tolist(), strict=True)) == least_labels(edges)
    assert documents.tolist() == sorted(documents.tolist())


def test_components_of_no_pairs():
    for nothing in ([], [np.zeros(0, EDGE)]):
        documents, labels = components(nothing)
        assert len(documents) == len(labels) == 0


@pytest.mark.parametrize("shape", ["chain", "star", "chain backwards", "chain shuffled"])
def test_long_components(shape):
    """100,000 documents in one component, in few rounds: seconds, not hours."""
    import time

    count = 100_000
    names = np.arange(count, dtype=U64) << U64(20)
    if shape == "chain backwards":
        names = names[::-1].copy()
    if shape == "chain shuffled":
        names = np.random.default_rng(0).permutation(names)
    edges = np.stack([names[:-1], names[1:]], 1)
    if shape == "star":
        edges = np.stack([np.full(count, names[count // 2]), names], 1)
    begun = time.process_time()
    documents, labels = components([edge(edges)])
    assert time.process_time() - begun < 10
    assert len(documents) == count
    assert set(labels.tolist()) == {int(names.min())}


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 2**32), st.integers(2, 3000), st.floats(0.1, 2))
def test_components_equal_those_of_scipy(seed, count, density):
    graph = pytest.importorskip("scipy.sparse.csgraph")
    sparse = pytest.importorskip("scipy.sparse")
    order = np.random.default_rng(seed)
    edges = order.integers(0, count, (max(1, int(count * density)), 2)).astype(U64)
    documents, labels = components([edge(edges)])
    matrix = sparse.coo_matrix((np.ones(len(edges)), (edges[:, 0], edges[:, 1])), (count, count))
    _, theirs = graph.connected_components(matrix, directed=False)
    least = np.full(count, count)
    np.minimum.at(least, theirs, np.arange(count))
    assert np.array_equal(labels, least[theirs[documents]].astype(U64))


def rounds(table: np.ndarray, ranges: int) -> tuple[dict[int, int], int]:
    """(labels by rounds of stars, each range on its own; how many rounds)."""

    def deliver(pieces: list) -> list[np.ndarray]:
        arrived: list[list[np.ndarray]] = [[] for _ in range(ranges)]
        for place, values in pieces:
            arrived[place].append(values)
        return [np.concatenate(a) if a else np.zeros(0, EDGE) for a in arrived]

    boxes = deliver(stars.both_ways(edge(table), ranges))
    before, count = None, 0
    while True:
        count += 1
        boxes = deliver([p for b in boxes for p in stars.to_a(stars.large_star(b), ranges)])
        tables = [stars.small_star(b) for b in boxes]
        now = sum(map(stars.digest, tables)) % 2**64
        boxes = deliver([p for t in tables for p in stars.both_ways(t, ranges)])
        if now == before:
            break
        before = now
    ties = np.unique(np.concatenate(tables))
    return {int(c): int(c) for c in ties["b"]} | {int(a): int(b) for a, b in ties}, count


@given(EDGES, st.integers(1, 5))
def test_rounds_of_stars_give_the_same(edges, ranges):
    """Whatever the ranges; documents tied to none but themselves have no label."""
    table = np.array([e for e in edges if e[0] != e[1]], U64).reshape(-1, 2)
    assert rounds(table, ranges)[0] == least_labels(table.tolist())


@pytest.mark.parametrize("shape", ["chain", "shuffled", "star"])
def test_few_rounds(shape):
    count = 3000
    names = np.arange(count, dtype=U64)
    if shape != "chain":
        names = np.random.default_rng(0).permutation(names)
    table = np.stack([names[:-1] if shape != "star" else np.full(count - 1, names[0]), names[1:]], 1)
    labels, needed = rounds(table, 3)
    assert set(labels.values()) == {0}
    assert len(labels) == count
    assert needed <= 16


def test_sizes():
    labels = stars.labelled(np.array([1, 2, 5, 7], U64), np.array([1, 1, 5, 5], U64))
    assert labels.tolist() == [(1, 1, 2), (2, 1, 2), (5, 5, 2), (7, 5, 2)]
