"""text -> Signals: the numbers that rules look at, measured once, judged later (selection.py).

Definitions stand beside the fields in corpus/document.py; the counting is done by _signals.c, in whole numbers, in time
linear in the text. What is said of scripts without spaces: a word is a sign there, and the n-grams are of words of
speech, of two signs in Han and Kana, of four in Thai, Lao, Khmer, Burmese, Tibetan, ..., where such signs are more than
half of the words. Compression is a greedy parse: four or more code points that stand together above cost 3, others 1.

A hash (of a word, a line) is 64 bits of its code points in lower case, the same everywhere; two that are equal by
chance shift a share a little.
"""

import functools
import os
import struct
from typing import NamedTuple

import numpy as np

from corpus.document import Signals
from pipeline import _signals, stopwords, words

BULLETS = "•‣⁃∙●○◦◘■□▪▫◆◇►▶▸▹➤➢➔→★☆✓✔✗❖·・※¤»›"
DASHES = "-–—―*+"
"""Bullets only with a space behind them."""
FULL_STOPS = "。！？｡।॥"
"""Ends of sentences that no space need follow."""

_TRAITS = (
    *("terminal", "full", "closer", "bullet", "dash", "upper", "lower", "punctuation", "symbol", "greek", "dense"),
    *("ellipsis", "stand_in"),
)
_BITS = {name: 1 << (8 + k) for k, name in enumerate(_TRAITS)}
_TOGETHER = ("Hani", "Hira", "Kana", "Bopo", "Hang")
"""Scripts that stand in one word and text."""

_COUNTS = (
    *("visible", "words", "word_characters", "longest_word", "letter_words", "stop_words", "stop_word_tokens"),
    *("distinct_words", "mixed_words", "letters", "main_letters", "uppers", "cased", "digits", "punctuations"),
    *("symbols", "curly", "hashes", "ellipses", "newlines", "lines", "paragraphs", "line_characters", "sentences"),
    *("bullets", "cut", "ended", "short", "long", "prose", "prose_sentences", "policy", "placeholder"),
    *("repeated_lines", "repeated_line_characters", "repeated_paragraphs", "repeated_paragraph_characters"),
    *("top_2", "top_3", "top_4"),
    *("repeated_5", "repeated_6", "repeated_7", "repeated_8", "repeated_9", "repeated_10"),
    "compressed",
)
"""What _signals.c counts, in its order."""
_LAYOUT = struct.Struct(f"={len(_COUNTS)}q")


class Measured(NamedTuple):
    """line_hashes: (lines,) uint64; word_hashes: (words,) uint64."""

    signals: Signals
    line_hashes: np.ndarray
    word_hashes: np.ndarray


def measure(text: str, label: str = "", url: str = "") -> Measured:
    """The signals of a clean text in a language, and the hashes that were needed on the way."""
    points = words.codes(text)
    found, lines, hashes = _signals.measure(
        points, words.classes(), traits(), lower(), stop_table(label), *phrase_tables()
    )
    signals = _shares(dict(zip(_COUNTS, _LAYOUT.unpack(found), strict=True)), len(points))
    signals.url_depth, signals.url_parameters, signals.url_digits = url_features(url)
    return Measured(signals, np.frombuffer(lines, np.uint64), np.frombuffer(hashes, np.uint64))


def _shares(n: dict[str, int], characters: int) -> Signals:
    words, lines, visible = max(1, n["words"]), max(1, n["lines"]), max(1, n["visible"])
    inside, along = max(1, n["word_characters"]), max(1, n["line_characters"])
    return Signals(
        characters=characters,
        words=n["words"],
        lines=n["lines"],
        paragraphs=n["paragraphs"],
        sentences=n["sentences"],
        mean_sentence_length=n["words"] / max(1, n["sentences"]),
        mean_word_length=n["word_characters"] / words,
        longest_word=n["longest_word"],
        hashes_per_word=n["hashes"] / words,
        ellipses_per_word=n["ellipses"] / words,
        newlines_per_word=n["newlines"] / words,
        letter_words=n["letter_words"] / words,
        stop_words=n["stop_words"],
        stop_word_share=n["stop_word_tokens"] / words,
        distinct_words=n["distinct_words"] / words,
        mixed_words=n["mixed_words"] / words,
        other_scripts=1 - n["main_letters"] / n["letters"] if n["letters"] else 0.0,
        upper_letters=n["uppers"] / max(1, n["cased"]),
        digit_characters=n["digits"] / visible,
        punctuation_characters=n["punctuations"] / visible,
        symbol_characters=n["symbols"] / visible,
        curly_brackets=n["curly"],
        mean_line_length=n["line_characters"] / lines,
        bullet_lines=n["bullets"] / lines,
        cut_lines=n["cut"] / lines,
        ended_lines=n["ended"] / lines,
        short_lines=n["short"] / lines,
        long_lines=n["long"],
        prose_lines=n["prose"] / lines,
        prose_sentences=n["prose_sentences"],
        policy_characters=n["policy"] / along,
        placeholder=bool(n["placeholder"]),
        repeated_lines=n["repeated_lines"] / lines,
        repeated_line_characters=n["repeated_line_characters"] / along,
        repeated_paragraphs=n["repeated_paragraphs"] / max(1, n["paragraphs"]),
        repeated_paragraph_characters=n["repeated_paragraph_characters"] / along,
        top_2_gram=n["top_2"] / inside,
        top_3_gram=n["top_3"] / inside,
        top_4_gram=n["top_4"] / inside,
        repeated_5_grams=n["repeated_5"] / inside,
        repeated_6_grams=n["repeated_6"] / inside,
        repeated_7_grams=n["repeated_7"] / inside,
        repeated_8_grams=n["repeated_8"] / inside,
        repeated_9_grams=n["repeated_9"] / inside,
        repeated_10_grams=n["repeated_10"] / inside,
        compression=n["compressed"] / max(1, characters),
    )


def url_features(url: str) -> tuple[int, int, int]:
    """Parts of the path, parameters of the query, digits in both."""
    rest = url.partition("://")[2].partition("#")[0]
    path, _, query = rest.partition("?")
    _, _, path = path.partition("/")
    depth = sum(1 for part in path.split("/") if part)
    parameters = sum(1 for part in query.split("&") if part)
    return depth, parameters, sum(c.isdigit() for c in path) + sum(c.isdigit() for c in query)


# --- tables -------------------------------------------------------------------------------------------------------


@functools.cache
def traits() -> np.ndarray:
    """(0x110000,) uint32: words.classes(), above them _BITS, in the highest byte the script, 0 for no letter."""
    table = words.classes().astype(np.uint32)
    for name, pattern in (
        ("upper", r"\p{Lu}"),
        ("lower", r"\p{Ll}"),
        ("punctuation", r"\p{P}"),
        ("symbol", r"\p{S}"),
        ("greek", r"[\u0370-\u03ff\u1f00-\u1fff]"),
        ("dense", r"[\p{sc=Hani}\p{sc=Hira}\p{sc=Kana}\p{sc=Bopo}\p{sc=Yiii}\u30fc\uff70]"),
    ):
        words.mark_table(table, pattern, _BITS[name])
    for name, signs in (
        ("terminal", words.TERMINALS),
        ("full", FULL_STOPS),
        ("closer", words.CLOSERS),
        ("ellipsis", "…"),
        ("stand_in", ";:\u1361"),
        ("bullet", BULLETS),
        ("dash", DASHES),
    ):
        table[words.codes(signs)] |= np.uint32(_BITS[name])
    scripts = words.scripts().astype(np.uint32)
    scripts[np.isin(scripts, [words.SCRIPTS.index(name) for name in _TOGETHER])] = words.SCRIPTS.index("Hani")
    return table | scripts << np.uint32(24)


@functools.cache
def lower() -> np.ndarray:
    """(n,) uint32: each code point in lower case, where that is one code point; above n there is no case. A sigma is
    one letter wherever it stands."""
    single = [low if len(low := chr(point).lower()) == 1 else chr(point) for point in range(0x1E980)]
    single[ord("ς")], single[ord("İ")] = "σ", "i"
    return words.codes("".join(single)).copy()


def fold(text: str) -> str:
    """A text in lower case, one code point for one."""
    points, table = words.codes(text), lower()
    cased = points < len(table)
    return words.decode(np.where(cased, table[np.where(cased, points, 0)], points))


def hash_words(text: str) -> np.ndarray:
    """(words,) uint64: the hashes of a text's words."""
    empty = np.zeros(2, np.uint64)
    _, _, hashes = _signals.measure(
        words.codes(text), words.classes(), traits(), lower(), empty, empty, np.zeros(0, np.uint64)
    )
    return np.frombuffer(hashes, np.uint64)


def hash_table(keys: list[int], values: list[int]) -> np.ndarray:
    """(2 * slots,) uint64: an open table of (key, value) pairs, value 0 = free, at most half full; the first value of a
    key counts."""
    size = 2
    while size < 2 * len(keys):
        size *= 2
    table = np.zeros((size, 2), np.uint64)
    for key, value in zip(keys, values, strict=True):
        slot = key & (size - 1)
        while table[slot, 1] and table[slot, 0] != key:
            slot = (slot + 1) & (size - 1)
        if not table[slot, 1]:
            table[slot] = key, value
    return table.ravel()


@functools.cache
def stop_table(label: str) -> np.ndarray:
    """Hash of a stop word of the language -> its place in the list, from 1."""
    listed = stopwords.words_of(label)
    hashes = [hash_words(word).tolist() for word in listed]
    return hash_table([h[0] for h in hashes], list(range(1, len(listed) + 1)))


_KINDS = {"placeholder": 1, "policy": 2}


@functools.cache
def phrases() -> tuple[tuple[str, str], ...]:
    """phrases.tsv: (kind, phrase in lower case)."""
    with open(os.path.join(os.path.dirname(__file__), "phrases.tsv"), encoding="utf-8") as file:
        next(file)
        kinds, found = zip(*(line.rstrip("\n").split("\t") for line in file), strict=True)
    return tuple(zip(kinds, found, strict=True))


@functools.cache
def phrase_tables() -> tuple[np.ndarray, np.ndarray]:
    """phrases.tsv: hash of a phrase's first word -> where in the second array all phrases that begin with it stand, as
    kind, number of words, their hashes; a 0 ends them. Both uint64."""
    groups: dict[int, list[int]] = {}
    for kind, phrase in phrases():
        hashes = hash_words(phrase).tolist()
        groups.setdefault(hashes[0], []).extend([_KINDS[kind], len(hashes), *hashes])
    flat, places = [0], []
    for group in groups.values():
        places.append(len(flat))
        flat += [*group, 0]
    return hash_table(list(groups), places), np.array(flat, np.uint64)
