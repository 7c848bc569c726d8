"""str -> clean str: encoding damage repaired, one Unicode form, no invisible characters, tidy white space; and
personal data masked.

Good text is never touched: quotes, ligatures and full-width forms stay. `clean(clean(x)) == clean(x)`.
"""

import functools
import ipaddress
import re
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

EMAIL, IPV4, IPV6 = "email@example.com", "192.0.2.1", "2001:db8::1"
"""What stands for personal data: addresses reserved for examples, so that sentences keep their form."""

_JUNK, _SPACE, _LINE_END, _MARK, _WHITE = (1 << k for k in range(27, 32))
"""What is to be done with a code point: bits of `_table` above those of mojibake.table. _WHITE: a space or '\\n'."""
_MARKS = regex.compile(rf"([\p{{M}}]{{{MAX_MARKS}}})[\p{{M}}]+")
_SPACES = re.compile(" {2,}")
_LINE_SPACES = re.compile(" ?\n ?")
_EMPTY_LINES = re.compile("\n{3,}")

_Read = tuple[np.ndarray, np.ndarray]
"""(characters,) code points of a text and their bits."""


@functools.cache
def _table() -> np.ndarray:
    """(0x110000,) uint32: mojibake.table and, above, what is to be done with each code point."""
    table = np.where(words.classes() & words.MARK != 0, _MARK, 0).astype(np.uint32)
    for place in (0xAD, 0x61C, 0x180E, 0x200B, 0x200E, 0x200F, 0xFEFF):  # soft hyphen, zero widths, directions, BOM
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
    table[[0x0B, 0x0C, 0x0D, 0x1C, 0x1D, 0x1E, 0x2028, 0x2029]] = _LINE_END
    table[[0x0A, 0x20]] = _WHITE
    table[[0x200C, 0x200D]] = 0  # joiners decide how Persian or Hindi words look
    return table | mojibake.table()


def _read(text: str) -> _Read:
    points = words.codes(text)
    return points, _table()[points]


def clean(text: str) -> str:
    """Web text as it was meant: see the module. Lines end in '\\n', are stripped, at most one in a row is empty."""
    text = _joined_surrogates(text)
    if "\r" in text:
        text = text.replace("\r\n", "\n")
    sound: set[str] = set()
    read, tidied = _read(text), False
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


def _joined_surrogates(text: str) -> str:
    """Halves of surrogate pairs joined where two belong together; the others are dropped."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "ignore")
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
    if present & (_JUNK | _SPACE | _LINE_END):
        points = np.where(bits & _SPACE, 32, np.where(bits & _LINE_END, 10, points))[bits & _JUNK == 0]
        text, bits = words.decode(points), _table()[points]
    if not text.isascii():
        text = _cut_marks(text, bits)
        normal = unicodedata.normalize("NFC", text)
        if normal != text:  # some marks come apart in NFC
            bits = _read(normal)[1]
            text = _cut_marks(normal, bits)
    return _tidy_lines(text, bits)


def _cut_marks(text: str, bits: np.ndarray) -> str:
    marks = np.flatnonzero(bits & _MARK)
    if len(marks) > MAX_MARKS and (marks[MAX_MARKS:] - marks[:-MAX_MARKS] == MAX_MARKS).any():
        return _MARKS.sub(r"\1", text)
    return text


def _tidy_lines(text: str, bits: np.ndarray) -> str:
    white = (bits & _WHITE).astype(bool)
    if (white[:-1] & white[1:]).any():
        text = _EMPTY_LINES.sub("\n\n", _LINE_SPACES.sub("\n", _SPACES.sub(" ", text)))
    return text.strip(" \n")


@functools.cache
def _personal():
    """(e-mail, IPv4, IPv6) patterns of RE2, which takes linear time on any text. Each takes in all that looks like one
    address, so that parts of longer numbers are not mistaken for one."""
    import re2

    options = re2.Options()
    options.max_mem = 64 << 20  # the default is too little for the letters of all scripts: it would fall back, slowly
    options.log_errors = False
    return (
        re2.compile(r"[\pL\pN][\pL\pN._%+-]*@[\pL\pN](?:[\pL\pN.-]*[\pL\pN])?\.[\pL]{2,24}", options),
        re2.compile(r"\b[0-9]{1,3}(?:\.[0-9]{1,3}){3,}\b", options),
        re2.compile(r"\b[0-9A-Fa-f]{1,4}(?::[0-9A-Fa-f]{0,4}){2,8}", options),
    )


def mask_personal_data(text: str) -> str:
    """E-mail addresses and public IP addresses of a clean text replaced by EMAIL, IPV4, IPV6."""
    email, ipv4, ipv6 = _personal()
    if "@" in text:
        text = email.sub(EMAIL, text)
    if text.count(".") > 2:
        text = ipv4.sub(lambda match: IPV4 if _is_public(match[0]) else match[0], text)
    if text.count(":") > 1:
        text = ipv6.sub(lambda match: IPV6 if _is_public(match[0]) else match[0], text)
    return text


def _is_public(written: str) -> bool:
    """Whether it is an address that belongs to someone; of IPv6 only 2000::/3 is given out."""
    try:
        address = ipaddress.ip_address(written)
    except ValueError:
        return False
    return address.is_global and (address.version == 4 or int(address) >> 125 == 1)
