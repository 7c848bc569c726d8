"""str -> words, lines, sentence ends and script, for all writing systems, from one table over the code points.

A word is a run of letters, marks and digits; apostrophes inside a word and '.' and ',' inside a number belong to it.
In scripts that put no space between words (Han, Kana, Thai, ...) each character with its marks counts as a word:
a dictionary segmenter is 50 to 1,000 times slower than all the rest, and thresholds are set per language anyway.
"""

import functools

import numpy as np
import regex

from pipeline import _words

LETTER, MARK, DIGIT, SPACE, UNSPACED, APOSTROPHE, POINT, CODE = (1 << k for k in range(8))
"""Bits of the table: UNSPACED marks letters and marks of scripts without spaces, APOSTROPHE and POINT what may stand
inside a word or number, CODE the signs that program code is full of."""

_NAMES = (
    "Zyyy Latn Cyrl Grek Arab Hebr Deva Beng Guru Gujr Orya Taml Telu Knda Mlym Sinh Thai Laoo Tibt Mymr Khmr Ethi "
    "Geor Armn Hani Hira Kana Bopo Hang Cher Cans Mong Thaa Syrc Tfng Nkoo Olck Yiii Copt Java Bali Sund Vaii Adlm "
    "Mtei Cakm Lana Talu Tale Rohg Lisu Bugi Goth"
)
SCRIPTS = tuple(_NAMES.split())
"""ISO 15924 codes that `script` tells apart; the place is the value in the table of scripts. Zyyy: anything else."""

_WITHOUT_SPACES = "Hani Hira Kana Bopo Thai Laoo Khmr Mymr Tibt Yiii Lana Tale Talu Java"
_WEIGHTS = {"Hani": 3, "Hira": 3, "Kana": 3, "Bopo": 3, "Hang": 2}  # a sign says about as much as so many letters

TERMINALS = "".join(regex.findall(r"\p{Sentence_Terminal}", "".join(map(chr, range(0x20000))))) + "\u0f0d\u0f0e"
"""What ends a sentence, over all scripts."""
STAND_INS = r"(?:(?<=[\u0370-\u03ff\u1f00-\u1fff]);|(?<=[\u0531-\u0587]):|(?<=[\u1200-\u135f])(?:\u1361\u1361|::))"
"""What stands in for such a mark behind a letter: the Greek question mark looks, after NFC, like a semicolon; Armenian
is often typed with a colon, Ethiopic with two colons or word separators."""
CLOSERS = "\"'»«›‹”’“‘)]}」』】）〉》〕］｝〗〙＂＇*_"
"""Quotes and brackets that may follow the end of a sentence."""

_SENTENCE_END = regex.compile(
    rf"(?:(?:[{regex.escape(TERMINALS)}…]+|{STAND_INS})[{regex.escape(CLOSERS)}]*(?=\s|\Z)"
    rf"|[。！？｡।॥]+[{regex.escape(CLOSERS)}]*)"
)
_ENDED = regex.compile(rf"(?:[{regex.escape(TERMINALS)}]|{STAND_INS})\Z")


def codes(text: str) -> np.ndarray:
    """The code points of a text, (characters,) uint32, lone surrogates included."""
    return np.frombuffer(text.encode("utf-32-le", "surrogatepass"), "<u4")


def decode(points: np.ndarray) -> str:
    """The inverse of `codes`."""
    return points.astype("<u4", copy=False).tobytes().decode("utf-32-le", "surrogatepass")


def mark_table(table: np.ndarray, pattern: str, value: int) -> None:
    """Or `value` into the table at every code point that matches, in the planes that hold such characters."""
    for first, last in ((0, 0x32400), (0xE0000, 0xE0200)):
        for match in regex.finditer(f"(?:{pattern})+", decode(np.arange(first, last))):
            table[first + match.start() : first + match.end()] |= value


@functools.cache
def classes() -> np.ndarray:
    """(0x110000,) uint8: the bits of each code point."""
    table = np.zeros(0x110000, np.uint8)
    unspaced = "".join(rf"\p{{sc={name}}}" for name in _WITHOUT_SPACES.split())
    for pattern, value in (
        (r"\p{L}", LETTER),
        (r"[\p{Mn}\p{Mc}\u200c\u200d]", MARK),
        (r"\p{Nd}", DIGIT),
        (r"\s", SPACE),
        (rf"[{unspaced}\u30fc\uff70]", UNSPACED),
        (r"['’·״׳\u05f3\u05f4_]", APOSTROPHE),
        (r"[.,٫٬]", POINT),
        (r"[{}\[\]<>=;_\\|&$#*+^~@`]", CODE),
    ):
        mark_table(table, pattern, value)
    # Variation selectors (and enclosing marks, Me) follow emoji, where they make no word.
    table[0xFE00:0xFE10] = table[0xE0100:0xE01F0] = 0
    table[table & (LETTER | MARK) == 0] &= 0xFF ^ UNSPACED
    return table


@functools.cache
def scripts() -> np.ndarray:
    """(0x110000,) uint8: the place in SCRIPTS of each letter's script, 0 for all that is no letter."""
    table = np.zeros(0x110000, np.uint8)
    for place, name in enumerate(SCRIPTS[1:], 1):
        mark_table(table, rf"\p{{sc={name}}}", place)
    table[classes() & (LETTER | MARK) == 0] = 0
    table[[0x30FC, 0xFF70]] = SCRIPTS.index("Kana")
    return table


def spans(points: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """First character and end of each word in `codes(text)`: two (words,) int64 arrays."""
    starts, ends = _words.spans(points, classes())
    return np.frombuffer(starts, np.int64), np.frombuffer(ends, np.int64)


def words(text: str) -> list[str]:
    """The words of a text in their order."""
    starts, ends = spans(codes(text))
    return [text[start:end] for start, end in zip(starts.tolist(), ends.tolist(), strict=True)]


def lines(text: str) -> list[str]:
    """The lines of a text that are not empty, without white space around them."""
    return [line for raw in text.split("\n") if (line := raw.strip())]


def sentence_ends(text: str) -> list[int]:
    """Where sentences end: the places behind terminal punctuation and the quotes and brackets that follow it.
    A full stop must be followed by white space; abbreviations are not told from ends."""
    return [match.end() for match in _SENTENCE_END.finditer(text)]


def is_ended(line: str) -> bool:
    """Whether a stripped line ends in terminal punctuation of its script."""
    return _ENDED.search(line.rstrip(CLOSERS)) is not None


def count_scripts(points: np.ndarray) -> dict[str, int]:
    """ISO 15924 code -> weighted letters of that script (a Han sign counts as three letters, Hangul as two)."""
    counts = np.bincount(scripts()[points], minlength=len(SCRIPTS))
    counts[0] = 0
    return {SCRIPTS[k]: int(counts[k]) * _WEIGHTS.get(SCRIPTS[k], 1) for k in np.flatnonzero(counts).tolist()}


def weight(script: str) -> int:
    """How many letters of an alphabet a sign of this script stands for."""
    return _WEIGHTS.get(script, 1)


def script(text: str) -> str:
    """ISO 15924 code of the script in which most of the text stands; Zyyy if it has no letters.
    Kana makes it Jpan, Hangul Kore, both with Han among them; Han alone is Hani (the language says Hans or Hant)."""
    return main_script(count_scripts(codes(text)))


def main_script(counts: dict[str, int]) -> str:
    """`script` from the counts of `count_scripts`."""
    together = _merged(counts)
    return max(sorted(together), key=together.__getitem__) if together else "Zyyy"


def script_share(counts: dict[str, int], script: str) -> float:
    """The share of a script (as `main_script` names them) in the letters that `count_scripts` counted."""
    together = _merged(counts)
    return together.get(script, 0) / (sum(together.values()) or 1)


def _merged(counts: dict[str, int]) -> dict[str, int]:
    """Han, Kana, Bopomofo and Hangul put together as Jpan, Kore or Hani; only what occurs."""
    counts = dict(counts)
    han = counts.pop("Hani", 0) + counts.pop("Bopo", 0)
    kana = counts.pop("Hira", 0) + counts.pop("Kana", 0)
    hangul = counts.pop("Hang", 0)
    if kana * 20 >= han and kana >= hangul:  # in Chinese text kana is a rare ornament
        counts["Jpan"], han = kana + han, 0
    elif hangul * 5 >= han:
        counts["Kore"], han = hangul + han, 0
    counts["Hani"] = han
    return {name: count for name, count in counts.items() if count}
