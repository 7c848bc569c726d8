"""Amounts met to a document, smaller ones inside larger ones."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from pipeline import quotas

DOCUMENTS = st.lists(st.tuples(st.integers(0, 2), st.integers(0, 2**40), st.integers(0, 500)), max_size=60)
NAMES = ("a", "b", "c")


def taken(rows, wanted: dict[int, int]) -> np.ndarray:
    """(n,) bool: what the cuts of `wanted` amounts take, found as select finds it."""
    labels = np.array([r[0] for r in rows], np.int64)
    where = quotas.places(np.array([r[1] for r in rows], np.uint64), 5)
    amounts = np.array([r[2] for r in rows], np.int64)
    sums = quotas.histogram(labels, where, amounts, NAMES)
    cuts, borders = {}, {}
    for label, amount in wanted.items():
        one = quotas.border(sums.get(NAMES[label], {}), amount)
        if one is None:
            cuts[label] = quotas.ALL
        else:
            borders[label] = one
    found = quotas.on_border(labels, where, amounts, borders)
    for label, one in borders.items():
        cuts[label], _ = quotas.cut(found[found["label"] == label], one)
    return quotas.below(labels, where, cuts, 0)


@given(DOCUMENTS, st.integers(0, 3000))
def test_an_amount_is_met_to_a_document(rows, amount):
    chosen = taken(rows, dict.fromkeys(range(3), amount))
    for label in range(3):
        mine = [k for k, r in enumerate(rows) if r[0] == label]
        got = sum(rows[k][2] for k in mine if chosen[k])
        whole = sum(rows[k][2] for k in mine)
        assert got <= amount
        if got < min(amount, whole):
            places = quotas.places(np.array([rows[k][1] for k in mine], np.uint64), 5).tolist()
            left = [(p, rows[k][2]) for p, k in zip(places, mine, strict=True) if not chosen[k]]
            nearest = min(p for p, _ in left)
            assert got + sum(n for p, n in left if p == nearest) > amount, "the next place would be too much"


@given(DOCUMENTS, st.integers(0, 3000), st.integers(0, 3000))
def test_a_smaller_amount_is_a_part_of_a_larger_one(rows, less, more):
    less, more = sorted((less, more))
    a, b = (taken(rows, dict.fromkeys(range(3), amount)) for amount in (less, more))
    assert not (a & ~b).any()


def test_a_language_without_a_cut_takes_the_default():
    labels, where = np.array([0, 1, 1]), np.array([5, 5, 50], np.uint64)
    assert quotas.below(labels, where, {1: 10}, 0).tolist() == [False, True, False]
    assert quotas.below(labels, where, {1: 10}, quotas.ALL).tolist() == [True, True, False]


def test_places_are_spread_and_depend_on_the_seed():
    found = quotas.places(np.arange(100_000, dtype=np.uint64), 0)
    assert abs((found < np.uint64(1 << 63)).mean() - 0.5) < 0.01
    assert (found != quotas.places(np.arange(100_000, dtype=np.uint64), 1)).all()
