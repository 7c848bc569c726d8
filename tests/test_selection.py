"""Signals -> Reasons, winners of clusters, copies."""

import dataclasses
from collections import Counter
from dataclasses import fields

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from corpus.document import Reason, rejections
from pipeline import language
from pipeline.selection import (
    COLUMNS,
    CONTESTANT,
    RULES,
    Thresholds,
    comparisons,
    draw,
    judge,
    settle,
    uniform,
    verdicts,
)

SOUND = {
    "language": "eng_Latn", "language_score": 0.99, "characters": 3000, "words": 500, "lines": 20,
    "mean_word_length": 5.0, "symbols_per_word": 0.0, "letter_words": 0.95, "digit_characters": 0.02,
    "bullet_lines": 0.0, "cut_lines": 0.0, "ended_lines": 0.8, "short_lines": 0.1, "repeated_lines": 0.0,
    "repeated_line_characters": 0.0, "repeated_words": 0.0, "placeholder": False,
}  # fmt: skip


def columns(*documents: dict) -> dict[str, np.ndarray]:
    rows = [{**SOUND, **d} for d in documents]
    kinds = {"language": object, "words": np.uint32, "characters": np.uint32, "lines": np.uint32, "placeholder": bool}
    return {name: np.array([r[name] for r in rows], kinds.get(name, np.float32)) for name in COLUMNS}


def reasons(document: dict, thresholds=None, wanted=()) -> list[Reason]:
    return rejections(int(judge(columns(document), thresholds or Thresholds(), wanted)[0]))


def test_a_sound_document_passes_every_rule():
    assert reasons({}) == []
    assert set(COLUMNS) == set(SOUND)


STEP = 1e-5
T = Thresholds()
LIMITS = [  # column, the last value that passes, the first that does not, reason
    ("words", T.min_words, T.min_words - 1, Reason.TOO_SHORT),
    ("words", T.max_words, T.max_words + 1, Reason.TOO_LONG),
    ("mean_word_length", T.min_mean_word_length, T.min_mean_word_length - STEP, Reason.WORD_LENGTH),
    ("mean_word_length", T.max_mean_word_length, T.max_mean_word_length + STEP, Reason.WORD_LENGTH),
    ("symbols_per_word", T.max_symbols_per_word, T.max_symbols_per_word + STEP, Reason.SYMBOLS),
    ("letter_words", T.min_letter_words, T.min_letter_words - STEP, Reason.FEW_LETTERS),
    ("bullet_lines", T.max_bullet_lines, T.max_bullet_lines + STEP, Reason.BULLETS),
    ("cut_lines", T.max_cut_lines, T.max_cut_lines + STEP, Reason.CUT_LINES),
    ("ended_lines", T.min_ended_lines, T.min_ended_lines - STEP, Reason.LOOSE_LINES),
    ("repeated_lines", T.max_repeated_lines, T.max_repeated_lines + STEP, Reason.REPEATED_LINES),
    ("repeated_line_characters", T.max_repeated_line_characters, T.max_repeated_line_characters + STEP,
     Reason.REPEATED_LINES),
    ("repeated_words", T.max_repeated_words, T.max_repeated_words + STEP, Reason.REPEATED_WORDS),
    ("placeholder", False, True, Reason.PLACEHOLDER),
    ("language", "eng_Latn", "und_Latn", Reason.NO_LANGUAGE),
    ("language", "eng_Latn", "zxx_Zyyy", Reason.NO_LANGUAGE),
]  # fmt: skip


@pytest.mark.parametrize(("column", "passes", "fails", "reason"), LIMITS)
def test_each_rule_at_both_sides_of_its_threshold(column, passes, fails, reason):
    assert reason not in reasons({column: passes})
    assert reason in reasons({column: fails})
    if column != "language":
        assert reasons({column: passes}) == []
        assert reasons({column: fails}) == [reason]


def test_every_rule_and_every_threshold_is_tried():
    tried = {reason for *_, reason in LIMITS} | {Reason.UNSURE_LANGUAGE}
    assert set(RULES) == tried
    named = {name for rule in RULES.values() for _, name in rule.limits}
    assert named == {f.name for f in fields(Thresholds)}


@pytest.mark.parametrize("field", [f.name for f in fields(Thresholds) if f.name != "min_language_score"])
def test_each_threshold_moves_its_rule(field):
    """What just passes fails once the threshold is a little stricter, and the other way round."""
    column, passes, fails, reason = next(
        row for row in LIMITS
        if (row[0], field) in RULES[row[3]].limits and (row[1] == getattr(T, field))
    )  # fmt: skip
    step = 1 if column == "words" else STEP
    strict = getattr(T, field) + (step if field.startswith("min_") else -step)
    loose = getattr(T, field) - (step if field.startswith("min_") else -step)
    assert reasons({column: passes}, Thresholds(**{field: strict})) == [reason]
    assert reasons({column: fails}, Thresholds(**{field: loose})) == []


def test_the_language_score_is_held_against_the_cut_of_its_language(monkeypatch):
    table = language.languages()
    strict = {**table, "fin_Latn": dataclasses.replace(table["fin_Latn"], cut=0.8)}
    monkeypatch.setattr(language, "languages", lambda: strict)
    for label, cut in [("fin_Latn", 0.8), ("eng_Latn", table["eng_Latn"].cut)]:
        unsure = [Reason.UNSURE_LANGUAGE in reasons({"language": label, "language_score": s})
                  for s in (cut, cut - 0.001)]  # fmt: skip
        assert unsure == [False, True], label
    assert Reason.UNSURE_LANGUAGE in reasons({"language": "qqq_Latn", "language_score": 0.49})
    assert Reason.UNSURE_LANGUAGE not in reasons({"language": "qqq_Latn", "language_score": 0.51})


def test_one_cut_for_all_languages():
    strict = Thresholds(min_language_score=0.9)
    assert reasons({"language_score": 0.9}, strict) == []
    assert reasons({"language_score": 0.89}, strict) == [Reason.UNSURE_LANGUAGE]


@pytest.mark.parametrize("label", ["jpn_Jpan", "cmn_Hans", "yue_Hant", "tha_Thai", "khm_Khmr", "mya_Mymr", "bod_Tibt"])
def test_word_length_means_nothing_without_spaces(label):
    assert Reason.WORD_LENGTH not in reasons({"language": label, "mean_word_length": 1.0})
    assert Reason.WORD_LENGTH in reasons({"language": "kor_Hang", "mean_word_length": 1.0})


def test_wanted_languages():
    assert reasons({}, wanted=("fin_Latn",)) == [Reason.OTHER_LANGUAGE]
    assert reasons({}, wanted=("fin_Latn", "eng_Latn")) == []


def test_all_reasons_are_kept_and_the_first_is_the_verdict():
    bits = judge(columns({"words": 3, "placeholder": True, "language": "und_Latn"}, {}), Thresholds())
    assert rejections(int(bits[0])) == [Reason.NO_LANGUAGE, Reason.TOO_SHORT, Reason.PLACEHOLDER]
    assert verdicts(bits).tolist() == [Reason.NO_LANGUAGE, 0]
    every = np.array([r.bit for r in Reason if not r.is_drop], np.uint32)
    assert verdicts(every).tolist() == [r for r in Reason if not r.is_drop]


def test_no_documents():
    empty = {k: v[:0] for k, v in columns({}).items()}
    assert judge(empty, Thresholds(), ("eng_Latn",)).tolist() == []
    assert settle(np.zeros(0, CONTESTANT)).tolist() == []
    assert draw(np.zeros(0, "V16"), np.zeros(0, object), {}, 0).tolist() == []


def test_what_is_compared_is_what_is_judged():
    """comparisons() tells of each rule what judge() decides by."""
    documents = [{column: value} for column, passes, fails, _ in LIMITS for value in (passes, fails)]
    documents += [{"language_score": 0.1}, {"language": "jpn_Jpan", "mean_word_length": 1.0}]
    for document in documents:
        row = {**SOUND, **document}
        failed = set(reasons(document))
        for reason in RULES:
            found = comparisons(reason, row, Thresholds())
            if found:
                assert any(c.fails for c in found) == (reason in failed), (document, reason)
    assert comparisons(Reason.WORD_LENGTH, {**SOUND, "language": "jpn_Jpan"}, T) == []
    assert comparisons(Reason.SAME_URL, SOUND, T) == []


# --- winners --------------------------------------------------------------------------------------------------------


def contestants(*rows: dict) -> np.ndarray:
    table = np.zeros(len(rows), CONTESTANT)
    for k, row in enumerate(rows):
        values = {"cluster": 1, "address": k, "passes": True, "length": 100, "time": 1000, "url": k, "text": k, **row}
        for name, value in values.items():
            table[k][name] = np.void(value) if name == "id" else value
    return table


def identity(number: int) -> bytes:
    return number.to_bytes(16, "big")


ORDER = [  # better first
    {"passes": True, "length": 9, "time": 9, "id": identity(1)},
    {"passes": True, "length": 9, "time": 9, "id": identity(2)},
    {"passes": True, "length": 9, "time": 9, "id": identity(1 << 70)},
    {"passes": True, "length": 9, "time": 8, "id": identity(0)},
    {"passes": True, "length": 8, "time": 99, "id": identity(0)},
    {"passes": False, "length": 4_000_000_000, "time": 99, "id": identity(0)},
]


@pytest.mark.parametrize("better", range(len(ORDER) - 1))
@pytest.mark.parametrize("turned", [False, True])
def test_passing_then_length_then_date_then_id(better, turned):
    pair = ORDER[better : better + 2]
    best = 1 if turned else 0
    found = settle(contestants(*(reversed(pair) if turned else pair)))
    assert found["winner"].tolist() == [best, best]


def test_the_date_may_lie_before_1970():
    found = settle(contestants({"time": -5}, {"time": -4}))
    assert found["winner"].tolist() == [1, 1]


def test_a_cluster_in_which_none_passes_has_no_winner():
    found = settle(contestants({"passes": False}, {"passes": False}))
    assert found["winner"].tolist() == [0, 1]
    assert found["reason"].tolist() == [0, 0]


@pytest.mark.parametrize(("loser", "reason"), [
    ({"url": 7, "text": 7}, Reason.SAME_URL),
    ({"url": 8, "text": 7}, Reason.SAME_TEXT),
    ({"url": 8, "text": 8}, Reason.NEAR_DUPLICATE),
])  # fmt: skip
def test_why_a_loser_lost(loser, reason):
    found = settle(contestants({"length": 200, "url": 7, "text": 7}, loser))
    assert found["reason"].tolist() == [0, reason]


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
    assert found["address"].tolist() == [r["address"] for r in rows]
    for cluster in {r["cluster"] for r in rows}:
        inside = [r for r in rows if r["cluster"] == cluster]
        passing = [r for r in inside if r["passes"]]
        winners = {int(v["winner"]) for v in found if v["address"] in {r["address"] for r in inside}}
        if passing:
            best = min(passing, key=lambda r: (-r["length"], -r["time"], r["id"]))
            assert winners == {best["address"]}
        else:
            assert winners == {r["address"] for r in inside}


# --- copies ---------------------------------------------------------------------------------------------------------

IDS = np.frombuffer(np.random.default_rng(0).bytes(16 * 20_000), "V16")


def test_draw_meets_its_expectation_and_only_the_two_nearest_numbers():
    labels = np.array(["a", "b", "c", "d"] * 5000, object)
    found = draw(IDS, labels, {"a": 0.25, "b": 1.0, "c": 2.7}, seed=1)
    for label, wanted, values in [("a", 0.25, {0, 1}), ("b", 1, {1}), ("c", 2.7, {2, 3}), ("d", 1, {1})]:
        chosen = found[labels == label]
        assert set(chosen.tolist()) == values
        assert abs(chosen.mean() - wanted) < 0.02


def test_draw_depends_on_id_and_seed_alone():
    labels = np.array(["a"] * len(IDS), object)
    first = draw(IDS, labels, {"a": 0.5}, seed=1)
    order = np.random.default_rng(1).permutation(len(IDS))
    assert np.array_equal(draw(IDS[order], labels, {"a": 0.5}, 1), first[order])
    assert 0.4 < (draw(IDS, labels, {"a": 0.5}, seed=2) == first).mean() < 0.6
    assert (draw(IDS, labels, {"a": 0.6}, seed=1) >= first).all(), "more copies only add documents"


def test_draw_has_a_ceiling_of_one_byte():
    assert draw(IDS[:1], np.array(["a"], object), {"a": 1000.0}, 0).tolist() == [255]


def test_uniform_is_pinned_and_uniform():
    assert uniform(np.array([0, 1, 2], np.uint64), 0).tolist() == [0.0, 0.7044485202539007, 0.22947943964848072]
    assert uniform(np.array([0, 1, 2], np.uint64), 7).tolist() == [
        0.24279104418383668,
        0.7069880720323296,
        0.07184194815767042,
    ]
    found = uniform(np.arange(100_000, dtype=np.uint64), 3)
    assert found.min() >= 0
    assert found.max() < 1
    assert max(abs(n - 10_000) for n in Counter((found * 10).astype(int).tolist()).values()) < 400
