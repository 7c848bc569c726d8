"""Figures against their definitions and worked examples."""

import numpy as np
import pytest

from trainer import metrics


def test_classification():
    found = metrics.classification([0, 0, 1, 2, 2, 1], [0, 1, 1, 2, 0, 1], 3)
    assert found["accuracy"] == pytest.approx(4 / 6)
    f1 = [2 * 1 / 4, 2 * 2 / 5, 2 * 1 / 3]  # 2 hits / (predicted + true), by label
    assert found["macro_f1"] == pytest.approx(np.mean(f1))
    assert found["majority"] == 0.5
    assert found["low"] <= found["accuracy"] <= found["high"]


def test_matthews_is_the_correlation_of_two_classes():
    rng = np.random.default_rng(0)
    rows = rng.integers(2, size=(200, 2))
    rows[:60, 0] = rows[:60, 1]
    assert metrics.matthews(rows, 2) == pytest.approx(np.corrcoef(rows.T)[0, 1])
    assert metrics.matthews(np.array([[1, 0], [1, 1]]), 2) == 0


def test_interval_covers_as_often_as_it_says():
    """Of 200 samples of 60 coins with p = .7 about 95 % of the intervals hold .7."""
    rng = np.random.default_rng(1)
    held = 0
    for k in range(200):
        low, high = metrics.interval((rng.random(60) < 0.7).astype(float), np.mean, seed=k)
        held += low <= 0.7 <= high
    assert 0.88 <= held / 200 <= 0.99


def test_ranks_share_ties():
    assert metrics.ranks(np.array([3.0, 1.0, 3.0, 2.0])).tolist() == [2.5, 0, 2.5, 1]
    found = metrics.correlation([1, 2, 3, 4], [1, 4, 9, 16])
    assert found["spearman"] == pytest.approx(1)
    assert found["pearson"] == pytest.approx(np.corrcoef([1, 2, 3, 4], [1, 4, 9, 16])[0, 1])


@pytest.mark.parametrize(("tags", "spans"), [
    (["B-PER", "I-PER", "O", "B-LOC"], {("PER", 0, 2), ("LOC", 3, 4)}),
    (["I-PER", "I-LOC"], {("PER", 0, 1), ("LOC", 1, 2)}),
    (["B-PER", "B-PER"], {("PER", 0, 1), ("PER", 1, 2)}),
    (["NOUN", "VERB"], {("NOUN", 0, 1), ("VERB", 1, 2)}),
    (["O"], set()),
])  # fmt: skip
def test_spans(tags, spans):
    assert metrics.spans(tags) == spans


def test_tagging():
    found = metrics.tagging([["B-P", "I-P", "O"], ["B-L"]], [["B-P", "O", "O"], ["B-L"]])
    assert (found["precision"], found["recall"], found["f1"]) == (0.5, 0.5, 0.5)
    assert found["accuracy"] == 0.75


@pytest.mark.parametrize(("ours", "theirs", "f1"), [
    ("the Beyoncé!", "Beyoncé", 1.0), ("in Rome", "Rome", 2 / 3), ("北京市", "北京", 4 / 5), ("x", "y", 0.0),
    ("", "", 1.0), ("", "y", 0.0),
])  # fmt: skip
def test_answers(ours, theirs, f1):
    assert metrics.overlap(ours, theirs) == pytest.approx(f1)


def test_the_best_of_several_answers_counts():
    found = metrics.answering(["Rome", ""], [["Milan", "Rome"], []])
    assert found["f1"] == found["exact"] == 1
