"""Burmese in the Zawgyi encoding -> Unicode.

Zawgyi puts glyphs into the Myanmar block as a typewriter would: the vowel e and the medial ra stand before the
consonant that they follow in speech, U+1039 is the visible killer (asat), medials sit one place lower, and the upper
half of the block, which Unicode gives to Shan, Mon and Karen, holds stacked consonants and variants of shape. Text is
told by what cannot stand so in one encoding or the other, line by line; a line without such signs follows the whole.
"""

import unicodedata

import regex

BURMESE = "mya_Mymr"
"""The label that text in either encoding gets; Shan, Mon and Karen have no Zawgyi."""

_STACKED = {
    0x1060: "\u1000", 0x1061: "\u1001", 0x1062: "\u1002", 0x1063: "\u1003", 0x1065: "\u1005", 0x1066: "\u1006",
    0x1067: "\u1006", 0x1068: "\u1007", 0x1069: "\u1008", 0x106C: "\u100b", 0x106D: "\u100c", 0x1070: "\u100f",
    0x1071: "\u1010", 0x1072: "\u1010", 0x1073: "\u1011", 0x1074: "\u1011", 0x1075: "\u1012", 0x1076: "\u1013",
    0x1077: "\u1014", 0x1078: "\u1015", 0x1079: "\u1016", 0x107A: "\u1017", 0x107B: "\u1018", 0x1093: "\u1018",
    0x107C: "\u1019", 0x1085: "\u101c",
}  # fmt: skip
"""Glyphs of consonants that stand under another one."""
_KINZI = "\u1004\u103a\u1039"
_MARKS = {
    **{code: "\u1039" + below for code, below in _STACKED.items()},
    0x1033: "\u102f", 0x1034: "\u1030", 0x1039: "\u103a", 0x103A: "\u103b", 0x107D: "\u103b", 0x103B: "\u103c",
    0x107E: "\u103c", 0x107F: "\u103c", 0x1080: "\u103c", 0x1081: "\u103c", 0x1082: "\u103c", 0x1083: "\u103c",
    0x1084: "\u103c", 0x103C: "\u103d", 0x103D: "\u103e", 0x1087: "\u103e", 0x1088: "\u103e\u102f",
    0x1089: "\u103e\u1030", 0x108A: "\u103d\u103e", 0x1064: _KINZI, 0x108B: _KINZI + "\u102d",
    0x108C: _KINZI + "\u102e",
    0x108D: _KINZI + "\u1036", 0x108E: "\u102d\u1036", 0x105A: "\u102b\u103a", 0x1094: "\u1037", 0x1095: "\u1037",
    0x1096: "\u1039\u1010\u103d",
}  # fmt: skip
"""Signs around a consonant."""
_BASES = {
    0x106A: "\u1009", 0x106B: "\u100a", 0x108F: "\u1014", 0x1090: "\u101b", 0x1086: "\u103f",
    0x106E: "\u100d\u1039\u100d", 0x106F: "\u100d\u1039\u100e", 0x1091: "\u100f\u1039\u100d",
    0x1092: "\u100b\u1039\u100c", 0x1097: "\u100b\u1039\u100b",
}  # fmt: skip
"""Consonants in another shape, and pairs of them in one glyph."""
_ORDER = "\u103b\u103c\u103d\u103e\u1031\u102d\u102e\u1032\u102f\u1030\u102b\u102c\u103a\u1036\u1037\u1038"
"""The signs in the order in which Unicode stores them, behind stacked consonants."""

_BASE = "\u1000-\u102a\u103f\u104e\u1040-\u1049\u106a\u106b\u106e\u106f\u1086\u108f-\u1092\u1097"
_BEFORE = "\u1031\u103b\u107e-\u1084"
_MARK = (
    "[\u102b-\u1030\u1032-\u103a\u103c\u103d\u105a\u1060-\u1069\u106c\u106d\u1070-\u107d\u1085\u1087-\u108e"
    "\u1093-\u1096]"
)
_SYLLABLE = regex.compile(rf"([{_BEFORE}]*)([{_BASE}])((?:{_MARK}|\u1031(?={_MARK}))*)")
"""What stands before a consonant, the consonant, what follows; also an e typed behind it."""
_LETTER = (
    "\u1000-\u102a\u103f\u1050-\u1055\u105a-\u105d\u1061\u1065\u1066\u106e-\u1070\u1075-\u1081\u108e\ua9e0-\ua9fe"
    "\uaa60-\uaa7a"
)
"""Consonants and independent vowels of all languages of the script, in Unicode."""
_IS_ZAWGYI = regex.compile(
    rf"\u1039(?![{_LETTER}])|(?<![{_LETTER}\u1039\u103a-\u103e\u105e-\u1060\u1082])[\u1031\u103b](?=[{_LETTER}])"
)
"""A killer with nothing under it; a vowel e or medial before its consonant."""
_IS_UNICODE = regex.compile(rf"\u1031(?![{_BASE}{_BEFORE}])|\u103b[\u102b-\u1032\u1036-\u1038\u103a\u103c-\u103e]")
"""A vowel e with no consonant behind it; a medial ya with its vowel."""
SURE = 2
"""Signs that one line needs against what the whole text says."""
_LOOSE = regex.compile(rf"(?<=[\u1000-\u109f]) (?={_MARK})")
"""A space between a consonant and its sign."""
_LIKE_DIGITS = (
    (regex.compile(r"(?<![\u1040-\u1049])\u1040(?=[\u1000-\u102a])"), "\u101d"),
    (regex.compile(r"\u1044(?=\u1004\u103a\u1038)"), "\u104e"),
)
"""Letters that are typed as the digits that look like them."""


def balance(text: str) -> int:
    """Signs of Zawgyi less signs of Unicode."""
    return len(_IS_ZAWGYI.findall(text)) - len(_IS_UNICODE.findall(text))


def convert(text: str) -> str:
    """Text with its lines in Zawgyi converted; all else as it stands."""
    lines = text.split("\n")
    balances = [balance(line) for line in lines]
    others = max(-SURE, min(SURE, sum(balances)))
    return "\n".join(_converted(x) if b + others > 0 else x for x, b in zip(lines, balances, strict=True))


def _converted(line: str) -> str:
    new = _SYLLABLE.sub(_syllable, _LOOSE.sub("", line))
    for digit, letter in _LIKE_DIGITS:
        new = digit.sub(letter, new)
    return unicodedata.normalize("NFC", new)


def _syllable(match: regex.Match) -> str:
    before, base, after = match.groups()
    signs = "".join(_MARKS.get(ord(sign), sign) for sign in before + after)
    base = _BASES.get(ord(base), base)
    kinzi = _KINZI if _KINZI in signs else ""
    signs = signs.replace(_KINZI, "")
    stacked = regex.findall(r"\u1039.", signs)
    signs = regex.sub(r"\u1039.", "", signs)
    if base == "\u1025" and "\u103a" in signs:  # a letter u with killer is nya
        base = "\u1009"
    if base == "\u1025" and "\u102e" in signs:
        base, signs = "\u1026", signs.replace("\u102e", "")
    for short, long in ("\u102d\u102e", "\u102f\u1030"):  # typed over each other
        signs = signs.replace(short, "") if long in signs else signs
    if base == "\u1040" and signs:
        base = "\u101d"
    return kinzi + base + "".join(dict.fromkeys(stacked)) + "".join(sign for sign in _ORDER if sign in signs)
