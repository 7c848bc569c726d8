"""Amounts per language -> shares, copies, weights."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from corpus.mixture import fill, parse_budget, parse_weights, shares, targets

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


def copies(amounts: dict, alpha: float, cap: float) -> dict:
    """How often an epoch sees each language without a budget."""
    found = targets(amounts, shares(amounts, alpha), cap) if any(amounts.values()) else {}
    return {k: v / amounts[k] for k, v in found.items()}


@given(PRESENT, ALPHA, st.floats(0.001, 1000))
def test_units_do_not_matter(amounts, alpha, factor):
    scaled = {k: v * factor for k, v in amounts.items()}
    assert shares(scaled, alpha) == pytest.approx(shares(amounts, alpha), rel=1e-6, abs=1e-9)
    assert copies(scaled, alpha, 4) == pytest.approx(copies(amounts, alpha, 4), rel=1e-6)


def test_copies_by_hand():
    assert copies({"a": 16, "b": 4, "c": 1}, 0.5, 3) == pytest.approx({"a": 1, "b": 2, "c": 3})
    assert copies({"a": 16, "b": 4}, 1, 3) == pytest.approx({"a": 1, "b": 1})
    assert copies({"a": 16, "b": 4}, 0, 8) == pytest.approx({"a": 1, "b": 4})
    assert copies({"a": 16, "b": 0}, 0.5, 8) == {"a": 1}
    assert copies({}, 0.5, 8) == {}


@given(PRESENT, ALPHA, st.floats(1, 100))
def test_copies_lie_between_one_and_the_cap(amounts, alpha, cap):
    found = copies(amounts, alpha, cap)
    present = {k: v for k, v in amounts.items() if v > 0}
    assert set(found) == set(present)
    assert all(1 - 1e-9 <= n <= cap * (1 + 1e-9) for n in found.values())
    assert found[max(present, key=present.get)] == pytest.approx(1)


@given(st.dictionaries(st.sampled_from("abcd"), st.floats(1, 1e6), min_size=1), st.floats(0.05, 1))
def test_copies_without_a_cap_give_the_shares(amounts, alpha):
    found = copies(amounts, alpha, 1e30)
    seen = {k: amounts[k] * found[k] for k in amounts}
    total = sum(seen.values())
    assert {k: v / total for k, v in seen.items()} == pytest.approx(shares(amounts, alpha))


@given(PRESENT, ALPHA, st.floats(1, 10), st.floats(1, 1e12))
def test_a_budget_is_met_unless_all_languages_are_at_their_cap(amounts, alpha, cap, budget):
    found = targets(amounts, shares(amounts, alpha), cap, budget)
    limits = {k: cap * amounts[k] for k in found}
    assert all(found[k] <= limits[k] * (1 + 1e-9) for k in found)
    assert sum(found.values()) == pytest.approx(min(budget, sum(limits.values())), rel=1e-6)
    free = [k for k in found if found[k] < limits[k] * (1 - 1e-9)]
    wanted = shares(amounts, alpha)
    for k in free:  # those that are not at their cap keep the proportions
        assert found[k] / found[free[0]] == pytest.approx(wanted[k] / wanted[free[0]], rel=1e-6)


@given(PRESENT, st.floats(1, 1e12))
def test_more_of_a_budget_is_more_of_each(amounts, budget):
    wanted = shares(amounts, 0.5)
    less, more = (targets(amounts, wanted, 4.0, b) for b in (budget, budget * 1.7))
    assert all(less[k] <= more[k] * (1 + 1e-9) for k in less)


def test_unimax_worked_out_by_hand():
    """Four languages, 100 in all, each at most twice: 2 and 10 take their limits of 4 and 20, the others 38 each."""
    amounts = {"a": 1000.0, "b": 50.0, "c": 10.0, "d": 2.0}
    found = targets(amounts, parse_weights("unimax", amounts), 2, 100)
    assert found == pytest.approx({"a": 38, "b": 38, "c": 20, "d": 4})
    assert fill({"a": 1, "b": 1}, {"a": 5, "b": 5}, 100) == {"a": 5, "b": 5}


def test_explicit_weights_without_a_budget_lose_no_text():
    """English twice as much as Finnish: English once, Finnish as often as that needs."""
    found = targets({"eng": 100, "fin": 25}, {"eng": 2 / 3, "fin": 1 / 3}, 4)
    assert found == pytest.approx({"eng": 100, "fin": 50})


@pytest.mark.parametrize(("text", "want"), [
    ("", ("0", "characters")), ("10G", ("10G", "characters")), ("5M bytes", ("5M", "bytes")),
    (" 2G  tokens ", ("2G", "tokens")),
])  # fmt: skip
def test_budgets(text, want):
    assert parse_budget(text) == want


def test_a_budget_of_something_else():
    with pytest.raises(ValueError, match="'words' is not one of characters, bytes, tokens"):
        parse_budget("10 words")


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
