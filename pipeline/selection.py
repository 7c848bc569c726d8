"""Signals -> Reasons, by Thresholds. Over columns of many documents at once.

Adding a rule means a field in Thresholds, a line in RULES and a Reason.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from typing import Any

import numpy as np

from corpus.document import Reason, Signals
from pipeline import language
from pipeline.columns import Labels
from pipeline.columns import labels as as_labels

Columns = Mapping[str, np.ndarray]
"""Column name -> (documents,) values; strings as objects."""


@dataclass(frozen=True)
class Thresholds:
    """What a document must keep to. Gopher = arXiv:2112.11446, FineWeb = arXiv:2406.17557; ours = DESIGN.md."""

    min_language_score: float = 0.0  # ours; 0: each language's own cut (languages.tsv)
    min_words: int = 20  # Gopher has 50; short pages of small languages are worth keeping
    max_words: int = 100_000  # Gopher
    min_mean_word_length: float = 2.0  # Gopher has 3, for English; Korean and Vietnamese words are shorter
    max_mean_word_length: float = 14.0  # Gopher has 10, for English; Finnish and Turkish words are longer
    max_symbols_per_word: float = 0.1  # Gopher
    min_letter_words: float = 0.7  # Gopher has 0.8 with another definition of word
    max_bullet_lines: float = 0.9  # Gopher
    max_cut_lines: float = 0.3  # Gopher
    min_ended_lines: float = 0.05  # FineWeb has 0.12; many scripts end fewer lines with a mark
    max_repeated_lines: float = 0.3  # Gopher
    max_repeated_line_characters: float = 0.2  # Gopher
    max_repeated_words: float = 0.3  # ours, for runs of five words; Gopher's range is 0.15 to 0.10


COLUMNS = ("language", "language_score", *(f.name for f in fields(Signals)))
"""What the rules read."""

_NO_LANGUAGE = ("und_", "zxx_")
_UNSPACED = ("Hans", "Hant", "Hani", "Jpan", "Thai", "Laoo", "Khmr", "Mymr", "Tibt", "Yiii")
_UNMARKED = ("Thai", "Laoo")


def _spaced(columns: Columns) -> np.ndarray:
    """Whether the script puts spaces between words."""
    return _by_label(columns["language"], lambda label: label.partition("_")[2] not in _UNSPACED)


def _marked(columns: Columns) -> np.ndarray:
    """Whether the script has marks that end a sentence."""
    return _by_label(columns["language"], lambda label: label.partition("_")[2] not in _UNMARKED)


def _by_label(labels: np.ndarray | Labels, function: Callable) -> np.ndarray:
    """function(label) for each document, called once per distinct label."""
    found = labels if isinstance(labels, Labels) else as_labels(labels)
    return found.map(function)


def _cut(label: str) -> float:
    row = language.languages().get(label)
    return row.cut if row else 0.5


@dataclass(frozen=True)
class Rule:
    """A document fails where `fails` says so, or where a column lies outside its limits and `applies` holds.

    limits: pairs of a column and a field of Thresholds; min_... is the least that passes, max_... the most.
    """

    limits: tuple[tuple[str, str], ...] = ()
    applies: Callable[[Columns], np.ndarray] | None = None
    fails: Callable[[Columns, Thresholds], np.ndarray] | None = None

    def __call__(self, columns: Columns, thresholds: Thresholds) -> np.ndarray:
        """(documents,) bool: who fails."""
        if self.fails is not None:
            return self.fails(columns, thresholds)
        outside = np.zeros(len(columns["words"]), bool)
        for column, name in self.limits:
            limit = getattr(thresholds, name)
            outside |= columns[column] < limit if name.startswith("min_") else columns[column] > limit
        return outside if self.applies is None else outside & self.applies(columns)


def _unsure(columns: Columns, thresholds: Thresholds) -> np.ndarray:
    cut = thresholds.min_language_score or _by_label(columns["language"], _cut).astype(np.float32)
    return columns["language_score"] < cut


RULES: dict[Reason, Rule] = {
    Reason.NO_LANGUAGE: Rule(fails=lambda c, t: _by_label(c["language"], lambda label: label[:4] in _NO_LANGUAGE)),
    Reason.UNSURE_LANGUAGE: Rule((("language_score", "min_language_score"),), fails=_unsure),
    Reason.TOO_SHORT: Rule((("words", "min_words"),)),
    Reason.TOO_LONG: Rule((("words", "max_words"),)),
    Reason.WORD_LENGTH: Rule(
        (("mean_word_length", "min_mean_word_length"), ("mean_word_length", "max_mean_word_length")), _spaced
    ),
    Reason.SYMBOLS: Rule((("symbols_per_word", "max_symbols_per_word"),)),
    Reason.FEW_LETTERS: Rule((("letter_words", "min_letter_words"),)),
    Reason.BULLETS: Rule((("bullet_lines", "max_bullet_lines"),)),
    Reason.CUT_LINES: Rule((("cut_lines", "max_cut_lines"),)),
    Reason.LOOSE_LINES: Rule((("ended_lines", "min_ended_lines"),), _marked),
    Reason.REPEATED_LINES: Rule(
        (("repeated_lines", "max_repeated_lines"), ("repeated_line_characters", "max_repeated_line_characters"))
    ),
    Reason.REPEATED_WORDS: Rule((("repeated_words", "max_repeated_words"),)),
    Reason.PLACEHOLDER: Rule(fails=lambda c, t: c["placeholder"].astype(bool)),
}


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
        value = np.float32(self.value)  # columns are compared as float32
        return bool(value < np.float32(self.limit) if self.least else value > np.float32(self.limit))


def comparisons(reason: Reason, row: Mapping[str, Any], thresholds: Thresholds) -> list[Comparison]:
    """What a rule compares in one document (a row by column name); [] where it compares nothing."""
    rule = RULES.get(reason, Rule())
    if rule.applies is not None and not rule.applies({"language": np.array([row["language"]], object)})[0]:
        return []
    found = []
    for column, name in rule.limits:
        limit = getattr(thresholds, name)
        if name == "min_language_score":
            limit = limit or _cut(row["language"])
        found.append(Comparison(column, row[column], limit, name.startswith("min_")))
    return found


WISHES: dict[str, tuple[Reason, str]] = {
    "robots": (Reason.ROBOTS, "noindex"),
    "noai": (Reason.NOAI, "noai"),
    "tdm": (Reason.TDM, "tdm_reserved"),
}
"""What a page may ask for, as settings name it -> the reason to reject it, and the column that tells."""


def columns_read(respect: tuple[str, ...]) -> list[str]:
    """The columns that `judge` needs."""
    return [*COLUMNS, *(WISHES[wish][1] for wish in respect)]


def judge(
    columns: Columns, thresholds: Thresholds, wanted: tuple[str, ...] = (), respect: tuple[str, ...] = ()
) -> np.ndarray:
    """(documents,) uint32 bit sets of every rule that fails. `wanted`: labels to keep, () = all; `respect`: names of
    WISHES that count."""
    bits = np.zeros(len(columns["words"]), np.uint32)
    for reason, column in (WISHES[wish] for wish in respect):
        bits |= np.where(columns[column].astype(bool), np.uint32(reason.bit), np.uint32(0))
    for reason, rule in RULES.items():
        bits |= np.where(rule(columns, thresholds), np.uint32(reason.bit), np.uint32(0))
    if wanted:
        other = _by_label(columns["language"], lambda label: label not in wanted)
        bits |= np.where(other, np.uint32(Reason.OTHER_LANGUAGE.bit), np.uint32(0))
    return bits


def verdicts(bits: np.ndarray) -> np.ndarray:
    """(documents,) uint8: 0 = kept, else the first failing Reason in the order of the funnel."""
    first = np.zeros(len(bits), np.uint8)
    for reason in sorted((r for r in Reason if not r.is_drop), reverse=True):
        first[(bits & np.uint32(reason.bit)) != 0] = reason
    return first
