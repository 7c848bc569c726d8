"""Shares hold exactly, change along their points, and respect caps."""

import numpy as np
import pytest

from corpus import mixture
from trainer import weights
from trainer.weights import BLOCK, Pattern, Weights, apportion, capped, parse

AMOUNTS = {"eng": 1_000_000.0, "fin": 10_000.0, "yor": 100.0}


def shares(text: str):
    return mixture.parse_weights(text, AMOUNTS)


def test_apportion_is_exact_and_gives_each_one():
    counts = apportion({"a": 0.9999999, "b": 0.0000001}, 100)
    assert counts == {"a": 99, "b": 1}
    assert apportion({"a": 1.0, "b": 0.0}, 100) == {"a": 100, "b": 0}
    assert sum(apportion({str(k): 1 / 7 for k in range(7)}, 1000).values()) == 1000


def test_constant_weights():
    found = parse("eng=1,fin=3", 32, shares)
    assert found.is_constant
    assert found.at(10**12) == {"eng": 0.25, "fin": 0.75}
    assert parse("", 32, shares) is None


def test_weights_are_annealed_in_a_line():
    found = parse("eng=1,fin=1/100:eng=1/200:eng=1,fin=3", 10, shares)
    assert found.at(0) == {"eng": 0.5, "fin": 0.5}
    assert found.at(500) == {"eng": 0.75, "fin": 0.25}
    assert found.at(1000) == {"eng": 1.0, "fin": 0.0}
    assert found.at(9999) == {"eng": 0.25, "fin": 0.75}
    assert found.mean(1000)["eng"] == pytest.approx(0.75, abs=0.01)


@pytest.mark.parametrize(
    "text", ["eng=1/fin=1", "eng=1/x:fin=1", "eng=1/5:fin=1/5:eng=1", "deu=1", "eng=1/0:fin=1", "eng=1 epochs=x"]
)
def test_what_is_no_schedule_is_a_mistake(text):
    with pytest.raises(ValueError, match=r"STEP|ascend|no text|no cap"):
        parse(text, 32, shares)


def test_caps_on_epochs_give_the_rest_to_the_others():
    found = capped(parse("alpha=0 epochs=4", 1, shares), {"eng": 1000, "fin": 100, "yor": 10}, 600)
    assert found.at(0)["yor"] == pytest.approx(40 / 600, rel=1e-3)
    assert found.at(0)["eng"] == pytest.approx(found.at(0)["fin"]) == pytest.approx(280 / 600, rel=1e-3)
    tight = capped(parse("alpha=0 epochs=4", 1, shares), {"eng": 1000, "fin": 50, "yor": 10}, 600)
    assert tight.at(0) == pytest.approx({"eng": 360 / 600, "fin": 200 / 600, "yor": 40 / 600}, rel=1e-3)


def test_caps_hold_over_a_schedule():
    found = capped(parse("eng=1/600:yor=1 epochs=4", 1, shares), {"eng": 10_000, "yor": 10}, 600)
    assert found.mean(600)["yor"] * 600 <= 40.1
    assert found.at(0) == pytest.approx({"eng": 1.0, "yor": 0.0})


def test_caps_that_cannot_hold_change_nothing():
    given = parse("alpha=0 epochs=4", 1, shares)
    assert capped(given, {"eng": 1, "fin": 1, "yor": 1}, 1000) is given
    free = parse("alpha=0", 1, shares)
    assert capped(free, {"eng": 1000, "fin": 1, "yor": 1}, 1000) is free


def test_a_pattern_counts_each_language_without_gaps():
    """Also where shares change: a language's samples are numbered 0, 1, 2 ... through all blocks."""
    changing = Weights(((0, {"eng": 0.9, "fin": 0.1}), (3 * BLOCK, {"eng": 0.1, "fin": 0.9})))
    pattern = Pattern(changing, 5)
    which, own = pattern.at(np.arange(4 * BLOCK))
    for number in (0, 1):
        assert own[which == number].tolist() == list(range((which == number).sum()))
    shares_of = [(which[k * BLOCK : (k + 1) * BLOCK] == 1).mean() for k in range(4)]
    assert shares_of == pytest.approx([0.1 + 0.8 / 6, 0.5, 0.9 - 0.8 / 6, 0.9], abs=1e-4)


def test_a_pattern_is_resumed_anywhere():
    changing = Weights(((0, {"eng": 0.9, "fin": 0.1}), (5 * BLOCK, {"eng": 0.1, "fin": 0.9})))
    index = np.arange(4 * BLOCK - 100, 4 * BLOCK + 100)
    begun, resumed = Pattern(changing, 5), Pattern(changing, 5)
    for block in range(5):
        begun.block(block)
    assert np.array_equal(begun.at(index), resumed.at(index))
    assert np.array_equal(begun.at(index - 3 * BLOCK), resumed.at(index - 3 * BLOCK))  # and backwards


def test_languages_are_spread_over_a_block():
    which, _ = Pattern(Weights(((0, {"eng": 0.75, "fin": 0.25}),)), 1).at(np.arange(10_000))
    assert which[:1000].mean() == pytest.approx(0.25, abs=0.05)
    assert weights.BLOCK == 1 << 16
