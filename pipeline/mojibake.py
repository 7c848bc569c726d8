"""Lines whose encoding is damaged (UTF-8 once read as something else), found by the shape of their code points.

ftfy repairs such lines well but looks at 1 MB/s; nearly all text is sound. So a table tells which characters are UTF-8
lead and continuation bytes misread in one of the encodings that ftfy undoes, and only lines in which they stand as
UTF-8 would have them are handed over. A false alarm costs time, nothing else: ftfy decides.
"""

import functools

import numpy as np

from pipeline import _text, words

ENCODINGS = (
    "latin-1", "cp1252", "cp1250", "cp1254", "cp1257", "iso8859-2", "cp437", "mac-roman", "cp1251", "cp1253",
)  # fmt: skip
_PAIRS = 0b11_1000_0000
"""mac-roman, cp1251, cp1253: here sound text has many single pairs ('l’été', 'Він'), so two must follow each other."""
_CYRILLIC, _NOT_LATIN = 0b01_0000_0000, 0b11_0000_0000
_LATIN_1 = 0b11  # latin-1 and cp1252
_SINGLE, _CONTROL, _LOST, _EVERY = 1 << 10, 1 << 11, 1 << 12, 0b111_1111_1111
"""Bits beside those of the ten encodings; _LOST: a continuation that became a space or a question mark."""
_BITS = 13
_SPACED, _QUESTIONED = 1 << 13, 1 << 14  # of leads: _LOST may follow
_BEFORE_SPACE, _BEFORE_QUESTION = [0xC2, 0xC3, 0xC5, 0xCE, 0xD0, 0xD9], [0xC2, 0xC3]
_AROUND_SPACE = [0xE0, 0xE1, 0xE2, 0xE3, 0xF0]
"""Leads of 2 and of 3 or 4 bytes in Latin-1 behind which ftfy makes a space a no-break space again."""
_SINGLE_MAC = "¬√ƒ≈∆◊"  # leads of Mac Roman that no letter follows in sound text

_LEADS_2, _LEADS_3, _LEADS_4, _TAILS = (0xC2, 0xE0), (0xE0, 0xF0), (0xF0, 0xF5), (0x80, 0xC0)


def _misread(byte: int, encoding: str) -> str:
    """The character that a byte becomes; bytes without one stay C1 controls, as browsers do it."""
    return bytes([byte]).decode(encoding, "ignore") or chr(byte)


@functools.cache
def _tables() -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Four (0x10000,) uint16 tables, a bit for each encoding: leads of 2 and of 3 or 4 bytes, continuations, and
    continuations that are no letters."""
    leads_2, leads_3, tails = (np.zeros(0x10000, np.uint16) for _ in range(3))
    for place, encoding in enumerate(ENCODINGS):
        for table, span in ((leads_2, _LEADS_2), (leads_3, _LEADS_3), (leads_3, _LEADS_4), (tails, _TAILS)):
            for byte in range(*span):
                table[ord(_misread(byte, encoding))] |= 1 << place
    tails[0xA0] &= 0xFFFF ^ _NOT_LATIN  # good Russian sets dashes behind no-break spaces
    for sign in _SINGLE_MAC:
        leads_2[ord(sign)] |= _SINGLE
    tails |= np.where(tails >> ENCODINGS.index("mac-roman") & 1, _SINGLE, 0).astype(np.uint16)
    tails[0xFFFD] = _EVERY  # what a lossy decoder left of a byte
    letters = words.classes()[:0x10000] & words.LETTER != 0
    signs = np.where(letters, 0, tails).astype(np.uint16)
    signs[[ord(sign) for sign in "ЂЋЃЌЉЊЏђҐ"]] |= _CYRILLIC
    leads_2[_BEFORE_SPACE] |= _SPACED
    leads_2[_BEFORE_QUESTION] |= _QUESTIONED
    leads_3[_AROUND_SPACE] |= _SPACED
    return leads_2, leads_3, tails, signs


@functools.cache
def table() -> np.ndarray:
    """(0x110000,) uint32: what each code point can be, leads << 13 | continuations, so that one look-up and one AND of
    neighbours tell where something may be wrong. A C1 control is a lead that everything continues."""
    leads_2, leads_3, tails, _ = _tables()
    packed = np.full(0x110000, _CONTROL, np.uint32)
    leads = (leads_2 | leads_3) & _EVERY
    packed[:0x10000] |= leads.astype(np.uint32) << np.uint32(_BITS) | tails
    packed[0x80:0xA0] |= _CONTROL << _BITS
    packed[[*_BEFORE_SPACE, *_AROUND_SPACE]] |= _LOST << _BITS
    packed[[0x20, 0x3F]] |= _LOST
    return packed


def suspects(points: np.ndarray) -> np.ndarray:
    """Places in `words.codes(text)` at which a misread UTF-8 sequence or a C1 control may stand, ascending. The table
    finds candidates; the characters around each, from the one before it to the third behind it, decide."""
    return np.frombuffer(_text.suspects(points, table(), *_tables()), np.int64)
