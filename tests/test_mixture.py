"""Amounts per language -> shares, copies, weights."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from corpus.mixture import copies, parse_weights, shares

AMOUNTS = st.dictionaries(st.sampled_from("abcdefg"), st.just(0.0) | st.floats(1e-3, 1e12), min_size=1)
PRESENT = AMOUNTS.filter(lambda a: sum(a.values()) > 1e-6)
ALPHA = st.floats(0, 1)


def test_shares_by_hand():
    assert shares({"a": 16, "b": 1}, 0.5) == pytest.approx({"a": 0.8, "b": 0.2})
    assert shares({"a": 3, "b": 1}, 1) == pytest.approx({"a": 0.75, "b": 0.25})
    assert shares({"a": 3, "b": 1, "c": 0}, 0) == pytest.approx({"a": 0.5, "b": 0.5})


def test_shares_as_the_papers_have_them():
    """XLM-R's alpha 0.3 lifts a language with a thousandth of the text to a share of about a tenth."""
    assert shares({"big": 999, "small": 1}, 0.3)["small"] == pytest.approx(0.112, abs=0.001)


@given(PRESENT, ALPHA)
def test_shares_sum_to_one_and_keep_the_order(amounts, alpha):
    found = shares(amounts, alpha)
    assert sum(found.values()) == pytest.approx(1)
    assert set(found) == {k for k, v in amounts.items() if v > 0}
    for a in found:
        for b in found:
            if amounts[a] < amounts[b]:
                assert found[a] <= found[b] * (1 + 1e-9)


@given(PRESENT)
def test_shares_of_alpha_one_are_those_of_the_text(amounts):
    total = sum(amounts.values())
    assert shares(amounts, 1.0) == pytest.approx({k: v / total for k, v in amounts.items() if v > 0})


@given(PRESENT, ALPHA, st.floats(0.001, 1000))
def test_units_do_not_matter(amounts, alpha, factor):
    scaled = {k: v * factor for k, v in amounts.items()}
    assert shares(scaled, alpha) == pytest.approx(shares(amounts, alpha), rel=1e-6, abs=1e-9)
    assert copies(scaled, alpha, 4) == pytest.approx(copies(amounts, alpha, 4), rel=1e-6)


def test_copies_by_hand():
    assert copies({"a": 16, "b": 4, "c": 1}, 0.5, 3) == pytest.approx({"a": 1, "b": 2, "c": 3})
    assert copies({"a": 16, "b": 4}, 1, 3) == {"a": 1, "b": 1}
    assert copies({"a": 16, "b": 4}, 0, 8) == {"a": 1, "b": 4}
    assert copies({"a": 16, "b": 0}, 0.5, 8) == {"a": 1}
    assert copies({}, 0.5, 8) == {}


@given(PRESENT, ALPHA, st.floats(1, 100))
def test_copies_lie_between_one_and_the_cap(amounts, alpha, cap):
    found = copies(amounts, alpha, cap)
    present = {k: v for k, v in amounts.items() if v > 0}
    assert set(found) == set(present)
    assert all(1 - 1e-9 <= n <= cap for n in found.values())
    assert found[max(present, key=present.get)] == 1


@given(st.dictionaries(st.sampled_from("abcd"), st.floats(1, 1e6), min_size=1), st.floats(0.05, 1))
def test_copies_without_a_cap_give_the_shares(amounts, alpha):
    found = copies(amounts, alpha, 1e30)
    seen = {k: amounts[k] * found[k] for k in amounts}
    total = sum(seen.values())
    assert {k: v / total for k, v in seen.items()} == pytest.approx(shares(amounts, alpha))


def test_weights():
    amounts = {"a": 16.0, "b": 1.0}
    assert parse_weights("", amounts) == {}
    assert parse_weights("alpha=0.5", amounts) == pytest.approx({"a": 0.8, "b": 0.2})
    assert parse_weights("a=1,b=3", amounts) == {"a": 0.25, "b": 0.75}
    assert parse_weights("a=2,b=0", amounts) == {"a": 1.0}


@pytest.mark.parametrize("text", ["c=1", "a=1,c=1", "a=-1,b=2", "a=0", "a", "a=x", "alpha=x", "a=1,,b=2", "a=nan",
                                  "a=inf", "a=1,a=2", "alpha=nan"])  # fmt: skip
def test_weights_that_are_none(text):
    with pytest.raises(ValueError, match=r"\w"):
        parse_weights(text, {"a": 16.0, "b": 1.0})
