"""Page bytes -> str. The bytes decide: BOM, strict UTF-8, UTF-16 pattern; a label counts only if it is a WHATWG
label, decodes strictly and is not contradicted; then a detector; nothing undecodable is guessed at.

Labels are those of the WHATWG Encoding Standard; a page's label is never given to Python's codec registry.
"""

import re
from typing import NamedTuple

import numpy as np
from chardetng_py import EncodingDetector

_BOMS = ((b"\xef\xbb\xbf", "utf-8"), (b"\xff\xfe", "utf-16le"), (b"\xfe\xff", "utf-16be"))

_ENCODINGS = {  # WHATWG name: (Python codec, labels)
    "utf-8": ("utf-8", "utf8 utf-8 unicode-1-1-utf-8 unicode11utf8 x-unicode20utf8"),
    "ibm866": ("cp866", "866 cp866 csibm866 ibm866"),
    "iso-8859-2": ("iso8859-2", "iso-8859-2 iso8859-2 iso88592 iso_8859-2 latin2 l2 csisolatin2 iso-ir-101"),
    "iso-8859-3": ("iso8859-3", "iso-8859-3 iso8859-3 latin3 l3"),
    "iso-8859-4": ("iso8859-4", "iso-8859-4 iso8859-4 latin4 l4"),
    "iso-8859-5": ("iso8859-5", "iso-8859-5 iso8859-5 cyrillic csisolatincyrillic iso-ir-144"),
    "iso-8859-6": ("iso8859-6", "iso-8859-6 iso8859-6 arabic asmo-708 ecma-114 csisolatinarabic iso-ir-127"),
    "iso-8859-7": ("iso8859-7", "iso-8859-7 iso8859-7 iso88597 greek greek8 ecma-118 elot_928 csisolatingreek"),
    "iso-8859-8": (
        "iso8859-8",
        "iso-8859-8 iso8859-8 hebrew visual logical iso-8859-8-i iso-8859-8-e csisolatinhebrew",
    ),
    "iso-8859-10": ("iso8859-10", "iso-8859-10 iso8859-10 latin6 l6"),
    "iso-8859-13": ("iso8859-13", "iso-8859-13 iso8859-13 iso885913"),
    "iso-8859-14": ("iso8859-14", "iso-8859-14 iso8859-14 iso885914"),
    "iso-8859-15": ("iso8859-15", "iso-8859-15 iso8859-15 iso885915 iso_8859-15 latin9 l9 csisolatin9"),
    "iso-8859-16": ("iso8859-16", "iso-8859-16"),
    "koi8-r": ("koi8-r", "koi8-r koi koi8 koi8_r cskoi8r"),
    "koi8-u": ("koi8-u", "koi8-u koi8-ru"),
    "macintosh": ("mac-roman", "macintosh mac x-mac-roman csmacintosh"),
    "windows-874": ("cp874", "windows-874 dos-874 iso-8859-11 iso8859-11 iso885911 tis-620"),
    "windows-1250": ("cp1250", "windows-1250 cp1250 x-cp1250"),
    "windows-1251": ("cp1251", "windows-1251 cp1251 x-cp1251"),
    "windows-1252": (
        "cp1252",
        "windows-1252 cp1252 x-cp1252 iso-8859-1 iso8859-1 iso88591 iso_8859-1 latin1 l1 "
        "ascii us-ascii ansi_x3.4-1968 cp819 ibm819 iso-ir-100 csisolatin1 iso_8859-1:1987",
    ),
    "windows-1253": ("cp1253", "windows-1253 cp1253 x-cp1253"),
    "windows-1254": ("cp1254", "windows-1254 cp1254 x-cp1254 iso-8859-9 iso8859-9 iso88599 latin5 l5 csisolatin5"),
    "windows-1255": ("cp1255", "windows-1255 cp1255 x-cp1255"),
    "windows-1256": ("cp1256", "windows-1256 cp1256 x-cp1256"),
    "windows-1257": ("cp1257", "windows-1257 cp1257 x-cp1257"),
    "windows-1258": ("cp1258", "windows-1258 cp1258 x-cp1258"),
    "x-mac-cyrillic": ("mac-cyrillic", "x-mac-cyrillic x-mac-ukrainian"),
    "gbk": ("gb18030", "gbk gb2312 gb_2312-80 gb_2312 chinese csgb2312 x-gbk iso-ir-58 csiso58gb231280"),
    "gb18030": ("gb18030", "gb18030"),
    "big5": ("big5hkscs", "big5 big5-hkscs cn-big5 csbig5 x-x-big5"),
    "euc-jp": ("euc_jp", "euc-jp x-euc-jp cseucpkdfmtjapanese"),
    "iso-2022-jp": ("iso2022_jp", "iso-2022-jp csiso2022jp"),
    "shift_jis": ("cp932", "shift_jis shift-jis sjis ms_kanji ms932 windows-31j x-sjis csshiftjis"),
    "euc-kr": ("cp949", "euc-kr korean ks_c_5601-1987 ks_c_5601-1989 ksc5601 ksc_5601 windows-949 cseuckr iso-ir-149"),
    "utf-16be": ("utf-16-be", "utf-16be unicodefffe"),
    "utf-16le": ("utf-16-le", "utf-16le utf-16 unicode ucs-2 iso-10646-ucs-2 csunicode unicodefeff"),
}
_LABELS = {label: name for name, (_, labels) in _ENCODINGS.items() for label in labels.split()}

_META = re.compile(rb"""<meta[^>]{0,512}?charset\s*=\s*["']?\s*([A-Za-z0-9_.:-]{2,40})""", re.IGNORECASE)
_HTTP = re.compile(r"charset\s*=\s*[\"']?\s*([A-Za-z0-9_.:-]{2,40})", re.IGNORECASE)
_C1 = re.compile("[\x80-\x9f]")
_SURE = {"windows-1251", "windows-1253", "windows-1254", "windows-1255", "windows-1256", "windows-874", "ibm866"}
_SURE |= {"iso-8859-2", "iso-8859-5", "iso-8859-6", "iso-8859-7", "koi8-r", "koi8-u"}
_SURE |= {"shift_jis", "euc-jp", "euc-kr", "gbk", "gb18030", "big5"}
"""What the fast detector is not wrong about, by 2,200 snippets in 33 encodings."""
_MAC = re.compile(rb"[\x80-\x83\x86-\x90\x95\x98\x9a-\x9f]|[\xe0-\xff]\xdf")
_HIGH = re.compile(rb"[\x80-\xff\x1b]")
_BEYOND_ASCII = bytes([0x1B, *range(0x80, 0x100)])
_FEW = 64
"""Bytes beyond ASCII with which no detector tells two East Asian encodings apart."""
_IS_PLAIN = np.isin(np.arange(256), np.frombuffer(b"\n\r\t <>/=.,0123456789", np.uint8))
_SAMPLE = 16 << 10
_DECLARED = re.compile(rb"(charset|coding)([\s\"']*[:=][\s\"']*)([^\s\"'>;]+)", re.IGNORECASE)
_DOUBLE_BYTE = ("gbk", "gb18030", "big5", "euc-kr", "euc-jp")
_EAST_ASIAN = ("", *_DOUBLE_BYTE, "shift_jis", "iso-2022-jp")
_DETECTOR_NAMES = {
    "cp949": "euc-kr",
    "uhc": "euc-kr",
    "johab": "euc-kr",
    "cp932": "shift_jis",
    "shift-jis": "shift_jis",
    "cp874": "windows-874",
    "maccyrillic": "x-mac-cyrillic",
    "mac-cyrillic": "x-mac-cyrillic",
    "macroman": "macintosh",
    "mac-roman": "macintosh",
    "big5hkscs": "big5",
    "euc-jis-2004": "euc-jp",
    "shift-jis-2004": "shift_jis",
    "iso2022-jp": "iso-2022-jp",
    "iso-2022-jp-2": "iso-2022-jp",
    "cp1125": "ibm866",
}


class Decoded(NamedTuple):
    """A page's text, the WHATWG name of its encoding, and who said so: bom, utf-8, pattern, label, detector.
    utf8: the page's own bytes where they are strict UTF-8 without a BOM, else empty."""

    text: str
    charset: str
    source: str
    utf8: bytes = b""


def name_of(label: str) -> str:
    """The WHATWG name for a label; '' if it is none."""
    return _LABELS.get(label.strip().lower(), "")


def decode(data: bytes, content_type: str = "", is_html: bool = True) -> Decoded | None:
    """The text of a page. None: neither label nor detector reads it. `content_type`: the HTTP header's value."""
    for bom, name in _BOMS:
        if data.startswith(bom):
            return Decoded(data[len(bom) :].decode(_ENCODINGS[name][0], "replace"), name, "bom")
    if b"\0" in data[:4096] and (name := _utf16_pattern(data)):
        return Decoded(data.decode(_ENCODINGS[name][0], "replace"), name, "pattern")
    if (found := _utf8(data)) is not None:
        return found
    return _legacy(data, _declared(data, content_type, is_html))


def _utf8(data: bytes) -> Decoded | None:
    """Strict UTF-8, or UTF-8 with a handful of broken bytes (a page cut in a character, one bad include)."""
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError:
        text = data.decode("utf-8", "replace")
        broken = text.count("\ufffd")
        beyond = len(data) - len(text)  # each multi-byte character read adds at least one
        return Decoded(text, "utf-8", "utf-8") if broken * 20 < beyond else None
    is_escaped = b"\x1b" in data and ("\x1b$" in text or "\x1b(" in text)  # ISO-2022-JP is ASCII too
    return None if is_escaped else Decoded(text, "utf-8", "utf-8", data)


def _utf16_pattern(data: bytes) -> str:
    """UTF-16 without a BOM: white space, digits, markup as a byte and a zero, always in the same order."""
    head = np.frombuffer(data, np.uint8, min(len(data), 4096) & ~1).reshape(-1, 2)
    zero, plain = head == 0, _IS_PLAIN[head]
    le, be = int((plain[:, 0] & zero[:, 1]).sum()), int((plain[:, 1] & zero[:, 0]).sum())
    if max(le, be) * 60 < len(head) or max(le, be) < 4 * min(le, be) or not len(head):
        return ""
    return "utf-16le" if le > be else "utf-16be"


def _declared(data: bytes, content_type: str, is_html: bool) -> list[str]:
    labels = [m[1] for m in [_HTTP.search(content_type)] if m]
    if is_html:
        labels += [m[1].decode("ascii") for m in [_META.search(data[:4096])] if m]
    names = [name_of(label) for label in labels]
    return [n for n in dict.fromkeys(names) if n and not n.startswith("utf-")]


def _strict(data: bytes, name: str) -> str | None:
    try:
        text = data.decode(_ENCODINGS[name][0])
    except UnicodeDecodeError:
        return None
    return None if _C1.search(text) else text


def _legacy(data: bytes, labels: list[str]) -> Decoded | None:
    """Bytes that are no UTF: what the detector says, as long as they decode; a label where it is silent."""
    guess = _guess(data)
    sample = data[:_SAMPLE]
    few = len(sample) - len(sample.translate(None, _BEYOND_ASCII)) < _FEW
    for name in labels:  # text in one byte a character hardly ever reads as these
        believed = name in _DOUBLE_BYTE and (few or guess not in _EAST_ASIAN)
        if believed and (text := _strict(data, name)) is not None:
            return Decoded(text, name, "label")
    if guess and (text := _strict(data, guess)) is not None:
        return Decoded(text, guess, "label" if guess in labels else "detector")
    for name in labels:
        if (text := _strict(data, name)) is not None:
            return Decoded(text, name, "label")
    for name in dict.fromkeys([guess, *labels, "utf-8"]):
        if name:
            text = data.decode(_ENCODINGS[name][0], "replace")
            if text.count("\ufffd") * 50 < len(text):
                return Decoded(text, name, "label" if name in labels else "detector")
    return None


def _guess(data: bytes) -> str:
    """The detectors' answer as a WHATWG name, from 16 kB around the first byte that is not ASCII: the fast one's where
    it is hardly ever wrong, else the slow one's."""
    first = _HIGH.search(data)
    start = max(0, first.start() - 512) if first else 0
    sample = data[start : start + _SAMPLE]
    fast = EncodingDetector()
    fast.feed(sample, last=True)
    found = fast.guess(tld=None, allow_utf8=False).lower()
    name = name_of(_DETECTOR_NAMES.get(found, found))
    if name == "koi8-u" and _strict(sample, "koi8-r") == _strict(sample, name):
        name = "koi8-r"
    return name if name in _SURE and not _could_be_mac(sample, name) else _slow_guess(sample)


def _could_be_mac(sample: bytes, name: str) -> bool:
    """Mac Cyrillic has capitals where windows-1251 has hardly anything, and its small ya as the capital one."""
    return name == "windows-1251" and bool(_MAC.search(sample))


def _slow_guess(sample: bytes) -> str:
    import chardet

    # Half of its time goes into encodings that no page has: those of mainframes and DOS (ibm866 the fast one knows).
    web = chardet.EncodingEra.ALL & ~chardet.EncodingEra.MAINFRAME & ~chardet.EncodingEra.DOS
    sample = _DECLARED.sub(_blank, sample)
    found = (chardet.detect(sample, encoding_era=web)["encoding"] or "").lower().replace("_", "-")
    name = name_of(_DETECTOR_NAMES.get(found, found))
    return "" if name.startswith("utf-") else name


def _blank(declared: re.Match[bytes]) -> bytes:
    """A declaration blanked: this detector believes it, and asks Python's codec registry what it means."""
    return b" " * len(declared[1]) + declared[2] + declared[3]
