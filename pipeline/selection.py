"""Signals -> Reasons, by Thresholds; winners of clusters; copies. Over columns of many documents at once.

Adding a rule means a Reason, a line in RULES and a number in presets.tsv.
"""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from corpus.document import Reason
from pipeline import duplicates, language, stopwords
from pipeline.thresholds import QUALITY, Thresholds

Columns = Mapping[str, np.ndarray]
"""Column name -> (documents,) values; strings as objects."""


_NO_LANGUAGE = ("und_", "zxx_")
_UNSPACED = ("Hans", "Hant", "Hani", "Jpan", "Thai", "Laoo", "Khmr", "Mymr", "Tibt", "Yiii")
_UNMARKED = ("Thai", "Laoo", "Tibt")


_DENSE = ("Hans", "Hant", "Hani", "Jpan")
_CASED = ("Latn", "Cyrl", "Grek", "Armn", "Cher", "Adlm")


def _by_label(labels: np.ndarray, function: Callable) -> np.ndarray:
    """function(label) for each document, called once per distinct label."""
    values, index = np.unique(labels.astype(str), return_inverse=True)
    return np.array([function(v) for v in values.tolist()])[index] if len(values) else np.empty(0, bool)


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
    labels, index = np.unique(columns["language"].astype(str), return_inverse=True)
    names = labels.tolist()

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


CONTESTANT = np.dtype(
    [
        ("cluster", "<u8"),
        ("address", "<u8"),
        ("passes", "?"),
        ("length", "<u4"),
        ("time", "<i8"),
        ("id", "V16"),
        ("url", "<u8"),
        ("text", "<u8"),
        ("characters", "<u4"),
        ("label", "<u2"),
    ]
)
"""A document of a cluster, as it competes to be the one that is kept. `label`: place among the run's labels."""

VERDICT = np.dtype([("address", "<u8"), ("winner", "<u8"), ("reason", "u1")])
"""What came out for it: `winner` = own address and reason 0, or another's and why."""


def settle(contestants: np.ndarray) -> np.ndarray:
    """(n,) CONTESTANT of whole clusters -> (n,) VERDICT, sorted by address.

    The winner of a cluster is the longest, then the newest, then the one with the least id among those that pass the
    rules; a cluster in which none passes has no winner (each is its own) - never by order of arrival.
    """
    if not len(contestants):
        return np.zeros(0, VERDICT)
    order = np.lexsort(
        (
            _bytes(contestants["id"], 8),
            _bytes(contestants["id"], 0),
            -contestants["time"],
            -contestants["length"].astype(np.int64),
            ~contestants["passes"],
            contestants["cluster"],
        )
    )
    sorted_ = contestants[order]
    starts = np.flatnonzero(np.concatenate(([True], sorted_["cluster"][1:] != sorted_["cluster"][:-1])))
    best = np.repeat(sorted_[starts], np.diff(np.append(starts, len(sorted_))))
    loses = best["passes"] & (best["address"] != sorted_["address"])
    result = np.zeros(len(sorted_), VERDICT)
    result["address"] = sorted_["address"]
    result["winner"] = np.where(loses, best["address"], sorted_["address"])
    kind = np.where(
        (sorted_["url"] == best["url"]) & (best["url"] != np.uint64(duplicates.NO_URL)),
        Reason.SAME_URL,
        np.where(sorted_["text"] == best["text"], Reason.SAME_TEXT, Reason.NEAR_DUPLICATE),
    )
    result["reason"] = np.where(loses, kind, 0)
    return result[np.argsort(result["address"])]


def _bytes(ids: np.ndarray, start: int) -> np.ndarray:
    """Eight bytes of each 16-byte id as a big-endian number."""
    return np.frombuffer(ids.tobytes(), ">u8").reshape(-1, 2)[:, start // 8].astype(np.uint64)


def draw(ids: np.ndarray, labels: np.ndarray, copies: Mapping[str, float], seed: int) -> np.ndarray:
    """(documents,) uint8: how often an epoch sees each document; its language's copies, rounded by a coin that only
    the document's id and the seed decide. ids: (documents,) V16."""
    wanted = _by_label(labels, lambda label: copies.get(label, 1.0)).astype(np.float64)
    coin = uniform(_bytes(ids, 0), seed)
    return np.minimum(255, np.floor(wanted) + (coin < wanted % 1.0)).astype(np.uint8)


def uniform(hashes: np.ndarray, seed: int) -> np.ndarray:
    """(n,) uint64 -> (n,) float64 in [0, 1), the same for the same hash and seed (Murmur3's finalizer)."""
    with np.errstate(over="ignore"):
        z = hashes.astype(np.uint64) + np.uint64(seed) * np.uint64(0x9E3779B97F4A7C15)
        z = (z ^ (z >> np.uint64(33))) * np.uint64(0xFF51AFD7ED558CCD)
        z = (z ^ (z >> np.uint64(33))) * np.uint64(0xC4CEB9FE1A85EC53)
        z ^= z >> np.uint64(33)
    return (z >> np.uint64(11)).astype(np.float64) / (1 << 53)
