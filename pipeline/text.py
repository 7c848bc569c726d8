"""str -> clean str: encoding damage repaired, one Unicode form, no invisible characters, tidy white space.

Good text is never touched: quotes, ligatures and full-width forms stay. `clean(clean(x)) == clean(x)`.
"""

import functools
import unicodedata

import numpy as np
import regex

from pipeline import mojibake, words

MAX_MARKS = 32
"""Combining marks in a row that are kept: to normalise a longer run takes quadratic time."""
PIECE = 10_000
"""Characters of a line that are repaired at once."""
MAX_ROUNDS = 8
"""Text can be damaged several times over; what is not at rest after so many repairs stays as it is."""

_JOINER, _JUNK, _SPACE, _LINE_END, _MARK, _WHITE = (1 << k for k in range(26, 32))
"""What is to be done with a code point: bits of `_table` above those of mojibake.table. _WHITE: a space or '\\n'."""
_MARKS = regex.compile(rf"([\p{{M}}]{{{MAX_MARKS}}})[\p{{M}}]+")

_Read = tuple[np.ndarray, np.ndarray]
"""(characters,) code points of a text and their bits."""


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
    table[[0x0A, 0x20]] = _WHITE
    table[[0x180E, 0x200C, 0x200D]] = _JOINER
    return table | mojibake.table()


def _read(text: str) -> _Read:
    """Errors: UnicodeEncodeError for halves of surrogate pairs."""
    points = np.frombuffer(text.encode("utf-32-le"), "<u4")
    return points, _table().take(points)


def clean(text: str) -> str:
    """Web text as it was meant: see the module. Halves of surrogate pairs are joined where two belong together, else
    dropped. Lines end in '\\n', are stripped, at most one in a row is empty."""
    try:
        read = _read(text)
    except UnicodeEncodeError:
        return clean(text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "ignore"))
    if "\r\n" in text:
        text = text.replace("\r\n", "\n")
        read = _read(text)
    sound: set[str] = set()
    tidied = False
    for _ in range(MAX_ROUNDS):
        before = text
        text = _repaired(text, read, sound)
        if text != before:
            read = _read(text)
        elif tidied:  # tidying what is tidy changes nothing
            break
        text, tidied = _tidied(text, read), True
        if text == before:
            break
        read = _read(text)
    return text


def repair(text: str, sound: set[str]) -> str:
    """Lines with encoding damage repaired (ftfy). `sound`: pieces that were looked at and found sound; added to."""
    return _repaired(text, _read(text), sound)


def _repaired(text: str, read: _Read, sound: set[str]) -> str:
    if text.isascii():
        return text
    points, bits = read
    places = mojibake.suspects(points, bits)
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
    return _tidied(text, _read(text))


def _tidied(text: str, read: _Read) -> str:
    points, bits = read
    present = int(np.bitwise_or.reduce(bits)) if len(bits) else 0
    if changed := bool(present & (_JUNK | _SPACE | _LINE_END)):
        keep = bits & _JUNK == 0
        points = np.where(bits & _SPACE, 32, np.where(bits & _LINE_END, 10, points))[keep]
        bits = bits[keep]
    if present & _JOINER and len(idle := _idle_joiners(points, bits)):
        changed, points, bits = True, np.delete(points, idle), np.delete(bits, idle)
    white = (bits & (_WHITE | _SPACE | _LINE_END)) != 0
    if len(surplus := _surplus(white, points)):
        changed, keep = True, np.ones(len(points), bool)
        keep[surplus] = False
        points, bits = points[keep], bits[keep]
    if changed:
        text = words.decode(points)
    if not text.isascii():
        text = _cut_marks(text, bits) if present & _MARK else text
        normal = unicodedata.normalize("NFC", text)
        if present & _MARK and normal != text:  # some marks come apart in NFC
            normal = _cut_marks(normal, _read(normal)[1])
        text = normal
    return text


def _idle_joiners(points: np.ndarray, bits: np.ndarray) -> np.ndarray:
    """Places of joiners that shape nothing: beside no letter (or emoji) of a script that has use for them, or behind
    another joiner."""
    places = np.flatnonzero(bits & _JOINER)
    before, after = np.where(places > 0, points[places - 1], 0), points[np.minimum(places + 1, len(points) - 1)]
    again = np.concatenate(([False], np.diff(places) == 1))
    return places[again | ~(_joined()[before] | _joined()[after])]


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


def _surplus(white: np.ndarray, points: np.ndarray) -> np.ndarray:
    """Places of white space that goes: all of a run at either end, spaces beside line ends or other spaces, line ends
    behind two. white: (characters,) whether it is ' ' or '\\n'."""
    pairs = white[:-1] & white[1:]
    if not len(white) or not (white[0] or white[-1] or pairs.any()):
        return np.zeros(0, np.int64)
    inner = np.concatenate((white[:1], pairs)) | np.concatenate((pairs, white[-1:]))
    inner[0], inner[-1] = white[0], white[-1]
    white = np.flatnonzero(inner)
    begins = np.concatenate(([True], np.diff(white) != 1))
    run = np.cumsum(begins) - 1
    ends = points[white] == 10
    count = np.cumsum(ends)
    before = (count - ends)[begins]  # line ends before each run
    goes = np.where(ends, count - before[run] > 2, ~begins | (np.bincount(run, ends) > 0)[run])
    goes |= (run == 0) & (white[0] == 0)
    goes |= (run == run[-1]) & (white[-1] == len(points) - 1)
    return white[goes]


def _cut_marks(text: str, bits: np.ndarray) -> str:
    run = bits & _MARK != 0
    for step in (1, 2, 4, 8, 16, 1):  # in the end: whether MAX_MARKS + 1 in a row begin here
        run = run[:-step] & run[step:]
        if not run.any():
            return text
    return _MARKS.sub(r"\1", text)
