"""Which document of a cluster is kept, and how often it is seen for its copies."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from corpus.document import Reason
from pipeline.survivors import CONTESTANT, id_half, rehydrated, settle

BASE = {"cluster": 1, "passes": True, "length": 100, "time": 0, "url": 1, "text": 1}


def contestants(*rows: dict) -> np.ndarray:
    table = np.zeros(len(rows), CONTESTANT)
    for k, row in enumerate(rows):
        for name, value in {**BASE, "address": k, "id": identity(k), **row}.items():
            table[name][k] = value
    return table


def identity(number: int) -> bytes:
    return number.to_bytes(16, "big")


ORDER = [  # better first
    {"passes": True, "favoured": 1, "quality": 0.0, "length": 1, "time": 0, "id": identity(9)},
    {"passes": True, "quality": 0.9, "length": 1, "time": 0, "id": identity(9)},
    {"passes": True, "length": 9, "time": 9, "id": identity(1)},
    {"passes": True, "length": 9, "time": 9, "id": identity(2)},
    {"passes": True, "length": 9, "time": 9, "id": identity(1 << 70)},
    {"passes": True, "length": 9, "time": 8, "id": identity(0)},
    {"passes": True, "length": 8, "time": 99, "id": identity(0)},
    {"passes": False, "favoured": 1, "quality": 1.0, "length": 4_000_000_000, "time": 99, "id": identity(0)},
]


@pytest.mark.parametrize("better", range(len(ORDER) - 1))
@pytest.mark.parametrize("turned", [False, True])
def test_passing_then_corpus_then_quality_then_length_then_date_then_id(better, turned):
    pair = ORDER[better : better + 2]
    found = settle(contestants(*(reversed(pair) if turned else pair)))
    assert found[["address", "winner"]].tolist() == [(0, 1) if turned else (1, 0)]


def test_the_date_may_lie_before_1970():
    assert settle(contestants({"time": -5}, {"time": -4}))["winner"].tolist() == [1]


def test_a_cluster_in_which_none_passes_has_no_winner():
    assert len(settle(contestants({"passes": False}, {"passes": False}))) == 0


def test_nobody_competes():
    assert len(settle(np.zeros(0, CONTESTANT))) == 0


def test_equal_ids_do_not_make_two_winners():
    found = settle(contestants({"id": identity(5)}, {"id": identity(5)}, {"id": identity(5)}))
    assert found[["address", "winner"]].tolist() == [(1, 0), (2, 0)]


@pytest.mark.parametrize(("loser", "reason"), [
    ({"url": 7, "text": 7}, Reason.SAME_URL),
    ({"url": 8, "text": 7}, Reason.SAME_TEXT),
    ({"url": 8, "text": 8}, Reason.NEAR_DUPLICATE),
])  # fmt: skip
def test_why_a_loser_lost(loser, reason):
    found = settle(contestants({"length": 200, "url": 7, "text": 7}, loser))
    assert found["reason"].tolist() == [reason]


CONTEST = st.lists(
    st.fixed_dictionaries({
        "cluster": st.integers(0, 3), "passes": st.booleans(), "length": st.integers(0, 2),
        "time": st.integers(-1, 1), "url": st.integers(0, 2), "text": st.integers(0, 2),
    }), min_size=1, max_size=25,
)  # fmt: skip


@settings(max_examples=200, deadline=None)
@given(CONTEST, st.randoms())
def test_never_by_order_of_arrival(rows, order):
    rows = [{**r, "address": k * 3 + 1, "id": identity(k * 7919 % 101)} for k, r in enumerate(rows)]
    found = settle(contestants(*rows))
    shuffled = list(rows)
    order.shuffle(shuffled)
    assert np.array_equal(settle(contestants(*shuffled)), found)
    lost = dict(zip(found["address"].tolist(), found["winner"].tolist(), strict=True))
    for cluster in {r["cluster"] for r in rows}:
        inside = [r for r in rows if r["cluster"] == cluster]
        passing = [r for r in inside if r["passes"]]
        best = min(passing, key=lambda r: (-r["length"], -r["time"], r["id"]), default=None)
        for r in inside:
            assert lost.get(r["address"]) == (best["address"] if best and best is not r else None)


def test_halves_of_ids_are_in_the_order_of_their_bytes():
    ids = np.frombuffer(identity(5 << 64 | 7) + identity(1), "V16")
    assert id_half(ids, 0).tolist() == [5, 0]
    assert id_half(ids, 1).tolist() == [7, 1]


def test_rehydration_is_as_published():
    sizes = np.array([1, 2, 3, 4, 5, 99, 100, 999, 1000, 10**6], np.uint32)
    assert rehydrated(sizes).tolist() == [1, 2, 3, 3, 5, 5, 8, 8, 1, 1]
