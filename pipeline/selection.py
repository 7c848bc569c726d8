"""Signals -> Reasons, by Thresholds. Over columns of many documents at once.

Adding a rule means a Reason, a line in RULES and a number in presets.tsv.
"""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from corpus.document import Reason
from pipeline import language, stopwords
from pipeline.arrays import Labels
from pipeline.arrays import labels as as_labels
from pipeline.thresholds import QUALITY, Thresholds

Columns = Mapping[str, np.ndarray]
"""Column name -> (documents,) values; strings as objects."""


_NO_LANGUAGE = ("und_", "zxx_")
_UNSPACED = ("Hans", "Hant", "Hani", "Jpan", "Thai", "Laoo", "Khmr", "Mymr", "Tibt", "Yiii")
_UNMARKED = ("Thai", "Laoo", "Tibt")


_DENSE = ("Hans", "Hant", "Hani", "Jpan")
_CASED = ("Latn", "Cyrl", "Grek", "Armn", "Cher", "Adlm")


def _not_in(scripts: tuple[str, ...]) -> Callable[[str], bool]:
    return lambda label: label.partition("_")[2] not in scripts


def _cut(label: str) -> float:
    row = language.languages().get(label)
    return row.cut if row else 0.5


RULES: dict[Reason, tuple[str, ...]] = {
    Reason.NO_LANGUAGE: (),
    Reason.UNSURE_LANGUAGE: ("min_language_score",),
    Reason.TOO_SHORT: ("min_words", "min_characters", "min_lines", "min_paragraphs"),
    Reason.TOO_LONG: ("max_words", "max_characters", "max_lines", "max_paragraphs"),
    Reason.WORD_LENGTH: ("min_mean_word_length", "max_mean_word_length", "min_longest_word", "max_longest_word"),
    Reason.SYMBOLS: ("max_hashes_per_word", "max_ellipses_per_word"),
    Reason.FEW_LETTERS: ("min_letter_words",),
    Reason.FEW_STOP_WORDS: ("min_stop_words", "min_stop_word_share"),
    Reason.DIGITS: ("max_digit_characters",),
    Reason.UPPER_CASE: ("max_upper_letters",),
    Reason.SIGNS: ("max_punctuation_characters", "min_punctuation_characters", "max_symbol_characters"),
    Reason.MIXED_SCRIPTS: ("max_mixed_words", "max_other_scripts"),
    Reason.BULLETS: ("max_bullet_lines",),
    Reason.CUT_LINES: ("max_cut_lines",),
    Reason.LOOSE_LINES: ("min_ended_lines", "min_prose_lines"),
    Reason.SHORT_LINES: ("max_short_lines", "min_mean_line_length", "min_long_lines", "max_newlines_per_word"),
    Reason.FEW_SENTENCES: ("min_sentences", "min_prose_sentences", "max_mean_sentence_length"),
    Reason.REPEATED_LINES: ("max_repeated_lines", "max_repeated_line_characters"),
    Reason.REPEATED_PARAGRAPHS: ("max_repeated_paragraphs", "max_repeated_paragraph_characters"),
    Reason.TOP_WORDS: ("max_top_2_gram", "max_top_3_gram", "max_top_4_gram", "max_stop_word_share"),
    Reason.REPEATED_WORDS: tuple(f"max_repeated_{n}_grams" for n in range(5, 11)),
    Reason.MONOTONOUS: ("min_distinct_words", "min_compression"),
    Reason.PLACEHOLDER: ("max_placeholder",),
    Reason.CODE: ("max_curly_brackets",),
    Reason.POLICY: ("max_policy_characters",),
    Reason.LINK: ("max_url_depth", "max_url_parameters", "max_url_digits"),
    Reason.QUALITY: (),
}
"""The limits (thresholds.py) that each rule holds a document to; QUALITY has those of the columns quality_..."""

MEANING: dict[str, Callable[[str], bool]] = {
    **dict.fromkeys(("mean_word_length", "longest_word", "distinct_words"), _not_in(_UNSPACED)),
    **dict.fromkeys(
        ("sentences", "mean_sentence_length", "ended_lines", "prose_lines", "prose_sentences"), _not_in(_UNMARKED)
    ),
    **dict.fromkeys(("short_lines", "long_lines", "mean_line_length"), _not_in(_DENSE)),
    **dict.fromkeys(("stop_words", "stop_word_share"), stopwords.known),
    "upper_letters": lambda label: label.partition("_")[2] in _CASED,
}
"""Column -> whether its limits mean something in a language; they never fire where they do not."""


def limits_of(reason: Reason, thresholds: Thresholds) -> list[str]:
    """The limits of a rule that are on somewhere."""
    on = thresholds.names()
    if reason is Reason.QUALITY:
        return [name for name in on if QUALITY.fullmatch(name[4:])]
    if reason is Reason.UNSURE_LANGUAGE:  # without one, each language has its own cut
        return list(RULES[reason])
    return [name for name in RULES.get(reason, ()) if name in on]


def limit_for(name: str, label: str, thresholds: Thresholds) -> float:
    """A limit for documents of a language; nan where it is off or has no meaning. That of the share of stop words is a
    part of the language's usual share, that of the score is the language's own cut if it is 0 or off."""
    meaning = MEANING.get(name[4:])
    if meaning is not None and not meaning(label):
        return math.nan
    limit = thresholds.limit(name, label)
    if name == "min_language_score":
        return limit or _cut(label)
    if limit is None:
        return math.nan
    return limit * stopwords.table()[label].share if name == "min_stop_word_share" else limit


def outside(name: str, values: np.ndarray, limits: np.ndarray) -> np.ndarray:
    """(documents,) bool: which values a limit of that name rejects. Shares are compared as the columns hold them, as
    float32, so that 0.1 is 0.1."""
    if values.dtype.kind == "f":
        limits = limits.astype(values.dtype)
    return values < limits if name.startswith("min_") else values > limits


@dataclass(frozen=True)
class Comparison:
    """One document's value of a column and the limit it is held against; `least`: the limit is the least that passes.
    The limit is that of the document's language, where it depends on it."""

    column: str
    value: float
    limit: float
    least: bool

    @property
    def fails(self) -> bool:
        value = np.array([self.value], np.float32 if isinstance(self.value, float) else None)
        return bool(outside("min_" if self.least else "max_", value, np.array([self.limit]))[0])


def comparisons(reason: Reason, row: Mapping[str, Any], thresholds: Thresholds) -> list[Comparison]:
    """What a rule compares in one document (a row by column name); [] where it compares nothing."""
    found = []
    for name in limits_of(reason, thresholds):
        limit = limit_for(name, row["language"], thresholds)
        if not math.isnan(limit):
            found.append(Comparison(name[4:], row[name[4:]], limit, name.startswith("min_")))
    return found


WISHES: dict[str, tuple[Reason, str]] = {
    "robots": (Reason.ROBOTS, "noindex"),
    "noai": (Reason.NOAI, "noai"),
    "tdm": (Reason.TDM, "tdm_reserved"),
}
"""What a page may ask for, as settings name it -> the reason to reject it, and the column that tells."""


def columns_read(respect: tuple[str, ...], thresholds: Thresholds) -> list[str]:
    """The columns that `judge` needs; words and characters whoever counts."""
    limited = [name[4:] for reason in RULES for name in limits_of(reason, thresholds)]
    return [*dict.fromkeys(["language", "words", "characters", *limited, *(WISHES[wish][1] for wish in respect)])]


def judge(
    columns: Columns, thresholds: Thresholds, wanted: tuple[str, ...] = (), respect: tuple[str, ...] = ()
) -> np.ndarray:
    """(documents,) uint64 bit sets of every rule that fails. `wanted`: labels to keep, () = all; `respect`: names of
    WISHES that count."""
    bits = np.zeros(len(columns["language"]), np.uint64)
    spoken = columns["language"]
    told = spoken if isinstance(spoken, Labels) else as_labels(spoken)
    names, index = told.values, told.index

    def fail(reason: Reason, failing: np.ndarray) -> None:
        np.bitwise_or(bits, np.uint64(reason.bit), out=bits, where=failing)

    for reason, column in (WISHES[wish] for wish in respect):
        fail(reason, columns[column].astype(bool))
    fail(Reason.NO_LANGUAGE, np.array([label[:4] in _NO_LANGUAGE for label in names], bool)[index])
    for reason in RULES:
        for name in limits_of(reason, thresholds):
            limits = np.array([limit_for(name, label, thresholds) for label in names], np.float64)
            fail(reason, outside(name, columns[name[4:]], limits[index]))
    if wanted:
        fail(Reason.OTHER_LANGUAGE, np.array([label not in wanted for label in names], bool)[index])
    return bits


def verdicts(bits: np.ndarray) -> np.ndarray:
    """(documents,) uint8: 0 = kept, else the first failing Reason in the order of the funnel."""
    first = np.zeros(len(bits), np.uint8)
    for reason in sorted((r for r in Reason if not r.is_drop), reverse=True):
        first[(bits & np.uint64(reason.bit)) != 0] = reason
    return first
