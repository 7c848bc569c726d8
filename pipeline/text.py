"""str -> clean str: encoding damage repaired, one Unicode form, no invisible characters, tidy white space.

Good text is never touched: quotes, ligatures and full-width forms stay. `clean(clean(x)) == clean(x)`.
"""

import functools
import unicodedata

import numpy as np
import regex

from pipeline import _text, mojibake, words

MAX_MARKS = 32
"""Combining marks in a row that are kept: to normalise a longer run takes quadratic time."""
PIECE = 10_000
"""Characters of a line that are repaired at once."""
MAX_ROUNDS = 8
"""Text can be damaged several times over; what is not at rest after so many repairs stays as it is."""

_JOINER, _JUNK, _SPACE, _LINE_END, _MARK = (1 << k for k in range(26, 31))
"""What is to be done with a code point: bits of `_table` above those of mojibake.table. _WHITE: a space or '\\n'."""
_MARKS = regex.compile(rf"([\p{{M}}]{{{MAX_MARKS}}})[\p{{M}}]+")


@functools.cache
def _table() -> np.ndarray:
    """(0x110000,) uint32: mojibake.table and, above, what is to be done with each code point."""
    table = np.where(words.classes() & words.MARK != 0, _MARK, 0).astype(np.uint32)
    for place in (0xAD, 0x61C, 0x200B, 0x200E, 0x200F, 0xFEFF):  # soft hyphen, zero widths, directions, BOM
        table[place] = _JUNK
    for start, end in (
        (0x00, 0x20), (0x7F, 0xA0),  # controls
        (0x202A, 0x202F), (0x2060, 0x2070),  # directions, invisible operators
        (0xD800, 0xE000), (0xFDD0, 0xFDF0), (0xFFF9, 0xFFFD),  # surrogates, no characters, annotation
        (0xE0000, 0xE0080),  # tags
    ):  # fmt: skip
        table[start:end] = _JUNK
    table[0xFFFE::0x10000] = table[0xFFFF::0x10000] = _JUNK
    table[[0x09, 0xA0, 0x1680, *range(0x2000, 0x200B), 0x202F, 0x205F, 0x3000]] = _SPACE
    table[[0x2800, 0x3164, 0xFFA0]] = _SPACE  # blanks that count as signs
    table[[0x0B, 0x0C, 0x0D, 0x1C, 0x1D, 0x1E, 0x2028, 0x2029]] = _LINE_END
    table[0x0A] = 0
    table[[0x180E, 0x200C, 0x200D]] = _JOINER
    return table | mojibake.table()


def clean(text: str) -> str:
    """Web text as it was meant: see the module. Halves of surrogate pairs are joined where two belong together, else
    dropped. Lines end in '\\n', are stripped, at most one in a row is empty."""
    if "\r\n" in text:
        text = text.replace("\r\n", "\n")
    try:
        return _at_rest(text)
    except UnicodeEncodeError:
        return _at_rest(text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "ignore"))


def _at_rest(text: str) -> str:
    """Repaired and tidied until neither changes anything. Errors: as _look."""
    sound: set[str] = set()
    for _ in range(MAX_ROUNDS):
        before = text
        suspicious, tidied = _look(text)
        if suspicious and (repaired := repair(text, sound)) != text:
            _, tidied = _look(repaired)
        text = tidied
        if text == before:
            break
    return text


def repair(text: str, sound: set[str]) -> str:
    """Lines with encoding damage repaired (ftfy). `sound`: pieces that were looked at and found sound; added to."""
    points = words.codes(text)
    places = mojibake.suspects(points)
    if not len(places):
        return text
    lines = text.split("\n")
    for number in np.unique(np.searchsorted(np.flatnonzero(points == 10), places)).tolist():
        line = lines[number]
        lines[number] = "".join(_repair(line[k : k + PIECE], sound) for k in range(0, len(line), PIECE))
    return "\n".join(lines)


def _repair(piece: str, sound: set[str]) -> str:
    if piece in sound:
        return piece
    import ftfy

    fixed = ftfy.fix_encoding(piece, _ftfy_settings())
    if fixed == piece:
        sound.add(piece)
    return fixed


@functools.cache
def _ftfy_settings():
    import ftfy

    return ftfy.TextFixerConfig(explain=False)


def tidy(text: str) -> str:
    """Everything but the repair of encodings: characters without meaning, Unicode form, white space."""
    return _look(text)[1]


def _look(text: str) -> tuple[bool, str]:
    """Whether there may be encoding damage; the text tidied. Errors: UnicodeEncodeError for lone surrogates."""
    points = np.frombuffer(text.encode("utf-32-le"), "<u4")
    suspicious, marks, kept = _text.tidy(points, _table(), _joined())
    if kept is not None:
        text = kept.decode("utf-32-le")
    if text.isascii():
        return bool(suspicious), text
    if marks > MAX_MARKS:
        text = _MARKS.sub(r"\1", text)
    if not unicodedata.is_normalized("NFC", text):
        text = unicodedata.normalize("NFC", text)
        if marks > MAX_MARKS // 4:  # some marks come apart in NFC
            text = _MARKS.sub(r"\1", text)
    return bool(suspicious), text


@functools.cache
def _joined() -> np.ndarray:
    """(0x110000,) bool: whether a joiner beside this code point may shape it."""
    table = np.zeros(0x110000, bool)
    for first, last in ((0x600, 0x1100), (0x1780, 0x1D00), (0xA800, 0xAC00), (0xFB50, 0xFE00), (0xFE70, 0xFEFD)):
        table[first:last] = True  # Arabic to Myanmar, Khmer to Vedic, later Brahmic scripts, Arabic forms
    for first, last in ((0x2190, 0x2800), (0x2900, 0x2C00), (0x10A00, 0x12000), (0x1E900, 0x1E960), (0x1F000, 0x20000)):
        table[first:last] = True  # symbols, Brahmic scripts of the second plane, Adlam, emoji
    table[[0x203C, 0x2049, 0x20E3, 0xFE0F]] = True
    return table
