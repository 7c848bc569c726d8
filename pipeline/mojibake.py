"""Lines whose encoding is damaged (UTF-8 once read as something else), found by the shape of their code points.

ftfy repairs such lines well but looks at 1 MB/s; nearly all text is sound. So a table tells which characters are UTF-8
lead and continuation bytes misread in one of the encodings that ftfy undoes, and only lines in which they stand as
UTF-8 would have them are handed over. A false alarm costs time, nothing else: ftfy decides.
"""

import functools

import numpy as np

from pipeline import words

ENCODINGS = (
    "latin-1", "cp1252", "cp1250", "cp1254", "cp1257", "iso8859-2", "cp437", "mac-roman", "cp1251", "cp1253",
)  # fmt: skip
_PAIRS = 0b11_1000_0000
"""mac-roman, cp1251, cp1253: here sound text has many single pairs ('l’été', 'Він'), so two must follow each other."""
_CYRILLIC, _NOT_LATIN = 0b01_0000_0000, 0b11_0000_0000
_SINGLE_MAC = "¬√ƒ≈∆◊"  # leads of Mac Roman that no letter follows in sound text

_LEADS_2, _LEADS_3, _LEADS_4, _TAILS = (0xC2, 0xE0), (0xE0, 0xF0), (0xF0, 0xF5), (0x80, 0xC0)


def _misread(byte: int, encoding: str) -> str:
    """The character that a byte becomes; bytes without one stay C1 controls, as browsers do it."""
    return bytes([byte]).decode(encoding, "ignore") or chr(byte)


@functools.cache
def _tables() -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Four (0x10000,) uint16 tables, a bit for each encoding: leads of 2 and of 3 or 4 bytes, continuations, and
    continuations that are no letters."""
    leads_2, leads_3, tails, signs = (np.zeros(0x10000, np.uint16) for _ in range(4))
    for place, encoding in enumerate(ENCODINGS):
        for table, span in ((leads_2, _LEADS_2), (leads_3, _LEADS_3), (leads_3, _LEADS_4), (tails, _TAILS)):
            for byte in range(*span):
                table[ord(_misread(byte, encoding))] |= 1 << place
    tails[0xA0] &= 0xFFFF ^ _NOT_LATIN  # good Russian sets dashes behind no-break spaces
    for sign in _SINGLE_MAC:
        leads_2[ord(sign)] |= 1 << len(ENCODINGS)
    tails |= (tails >> ENCODINGS.index("mac-roman") & 1) << len(ENCODINGS)
    tails[0xFFFD] = tails.max() | (1 << len(ENCODINGS) + 1) - 1  # what a lossy decoder left of a byte
    letters = words.classes()[:0x10000] & words.LETTER != 0
    signs = np.where(letters, 0, tails).astype(np.uint16)
    signs[[ord(sign) for sign in "ЂЋЃЌЉЊЏђ"]] |= _CYRILLIC
    return leads_2, leads_3, tails, signs


def _is_ascii_letter(points: np.ndarray) -> np.ndarray:
    return ((points | 0x20) - ord("a")).astype(np.uint32) < 26


def suspects(points: np.ndarray) -> np.ndarray:
    """Places in `words.codes(text)` at which a misread UTF-8 sequence or a C1 control may stand, ascending."""
    if len(points) < 1 or points.max() < 0x80:
        return np.zeros(0, np.int64)
    controls = np.flatnonzero((points >= 0x80) & (points < 0xA0))
    short = np.where(points < 0x10000, points, 0)
    leads_2, leads_3, tails, signs = (table[short] for table in _tables())
    pairs = leads_2[:-1] & tails[1:]
    found = [controls, np.flatnonzero(pairs & ~np.uint16(_PAIRS))]
    found.append(np.flatnonzero(pairs[:-2] & pairs[2:]))
    latin = _is_ascii_letter(points)  # no Cyrillic or Greek pair stands beside one
    mixed = pairs & np.uint16(_NOT_LATIN) != 0
    found += [np.flatnonzero(mixed[:-1] & latin[2:]), np.flatnonzero(mixed[1:] & latin[:-2]) + 1]
    triples = leads_3[:-2] & tails[1:-1] & tails[2:]
    triples &= (signs[1:-1] | signs[2:]) | ~np.uint16(_CYRILLIC)  # Ukrainian has 'дії' in every other line
    found.append(np.flatnonzero(triples))
    # A no-break space that became a space: 'Ã ' is a misread 'à'.
    found.append(np.flatnonzero((points[:-1] == 0xC3) & (points[1:] == 0x20)))
    return np.unique(np.concatenate(found))
