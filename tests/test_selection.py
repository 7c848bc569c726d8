"""Signals -> Reasons."""

import dataclasses
from dataclasses import fields

import numpy as np
import pytest

from corpus.document import Reason, rejections
from pipeline import language
from pipeline.selection import COLUMNS, RULES, Thresholds, comparisons, judge, verdicts

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
