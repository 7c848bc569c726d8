"""Cleaning of text: repairs, one form, and the law that cleaning twice changes nothing."""

import gzip
import itertools
import json
import lzma
import re
import time
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline import mojibake, text, words

MOJIBAKE = Path(__file__).resolve().parents[2] / "shared" / "data" / "encoding" / "mojibake.json.gz"

RAW = "ÃÂâ€\x80\x81\x9d\xa0™œ©РС‚ѓµіїΞ½√©┬á¬ \n\u0344\u0301\u200b\u200c\r\u2028\ufffd\ud83d\ude00a\uac00\u11a8"
PARTS = st.one_of(
    st.text(max_size=12),
    st.text(st.sampled_from(RAW), max_size=24),
    st.builds(
        lambda s, e: s.encode("utf-8", "ignore").decode(e, "replace"),
        st.text(st.sampled_from("éüß“”…дияΩ好"), min_size=1, max_size=8),
        st.sampled_from(["latin-1", "cp1252", "cp1251", "cp1250", "cp1253", "mac-roman", "cp437"]),
    ),
)  # fmt: skip


@settings(max_examples=400, deadline=None)
@given(st.lists(PARTS, max_size=5).map("".join))
def test_cleaning_twice_is_cleaning_once(raw):
    once = text.clean(raw)
    assert text.clean(once) == once
    once.encode()  # no lone surrogates


@pytest.mark.skipif(not MOJIBAKE.exists(), reason="shared/data is not here")
def test_golden_mojibake():
    """All cases that are expected to pass do; the known failures of the repair stay known."""
    cases = json.loads(gzip.decompress(MOJIBAKE.read_bytes()))
    wrong = [
        case["label"]
        for case in cases
        if case["expect"] == "pass"
        and text.clean(case["original"]) != text.tidy(case.get("fixed-encoding", case["fixed"]))
    ]
    assert len(cases) == 71
    assert wrong == []


@pytest.mark.parametrize(
    ("raw", "want"),
    [
        ("schÃ¶n â€“ ganz", "schön – ganz"),
        ("РїСЂРёРІРµС‚", "привет"),
        ("huet sГ¤in Effort", "huet säin Effort"),
        ("«L’été, ﬁn…» ＡＢＣ", "«L’été, ﬁn…» ＡＢＣ"),  # good text
        ("e\u0301te\u0301", "été"),
        ("a\u00a0\u2003b\tc   d", "a b c d"),
        ("  a  \r\n\r\n\n\n b\u2028c\rd ", "a\n\nb\nc\nd"),
        ("\ufeffa\u200b\u00ad\x00\x07\ufffe\U0001ffff\ud800b", "ab"),
        ("\ud83d\ude00", "😀"),
        ("می\u200cخواهم", "می\u200cخواهم"),
        ("PDF\u200cها و ۲۰\u200cم", "PDF\u200cها و ۲۰\u200cم"),
        ("क्\u200dष श्\u200cर", "क्\u200dष श्\u200cर"),
        ("👩\u200d👩\u200d👧 ❤\ufe0f\u200d🔥", "👩\u200d👩\u200d👧 ❤\ufe0f\u200d🔥"),
        ("ᠮᠣᠩᠭᠣᠯ\u180eᠠ", "ᠮᠣᠩᠭᠣᠯ\u180eᠠ"),
        ("Auf\u200clage a\u200d\n\u200cb 字\u200d字 می\u200c\u200cخ", "Auflage a\nb 字字 می\u200cخ"),
        ("\u202eabc\u202c \u2066x\u2069 שלום\u200f! \u200eمرحبا\u061c", "abc x שלום! مرحبا"),
        ("a\u3164\u2800b", "a b"),
        ("10Â km maÂ goed", "10\u00a0km ma\u00a0goed".replace("\u00a0", " ")),
        ("x\x93y\x94", "x“y”"),
        ("", ""),
        (" \n\u200b\n ", ""),
    ],
)
def test_clean(raw, want):
    assert text.clean(raw) == want


def test_long_runs_of_marks_are_cut_before_they_cost_time():
    raw = "a" + "\u0301\u0316" * 200_000 + "b"
    start = time.process_time()
    assert text.clean(raw) == "á" + "\u0316" + text.clean(raw)[2:]
    assert len(text.clean(raw)) <= text.MAX_MARKS + 2
    assert time.process_time() - start < 3


@pytest.mark.parametrize(
    "raw",
    [
        " " * 4_000_000 + "a",
        "Ã©" * 20_000,
        "a \n" * 300_000,
        "@." * 500_000,
        "1." * 500_000,
        "\n " * 2_000_000,
        "Ã " * 20_000,
    ],
)
def test_hostile_text_takes_bounded_time(raw):
    start = time.process_time()
    text.clean(raw)
    assert time.process_time() - start < 5


@settings(max_examples=300, deadline=None)
@given(st.lists(PARTS, max_size=5).map("".join))
def test_what_is_tidy_stays(raw):
    """Without it a second look at sound text would have to tidy it again."""
    once = text.tidy(raw.encode("utf-8", "ignore").decode())
    assert text.tidy(once) == once


@settings(max_examples=300, deadline=None)
@given(st.text(st.sampled_from(" \n\u00a0ab\u200b\u2028"), max_size=30))
def test_white_space_as_told_by_expressions(raw):
    plain = raw.replace("\u200b", "").replace("\u00a0", " ").replace("\u2028", "\n")
    want = re.sub("\n{3,}", "\n\n", re.sub(" ?\n ?", "\n", re.sub(" {2,}", " ", plain))).strip(" \n")
    assert text.clean(raw) == want


LANGUAGE = Path(__file__).resolve().parents[2] / "shared" / "data" / "language"


@pytest.mark.skipif(not LANGUAGE.exists(), reason="shared/data is not here")
@pytest.mark.parametrize(
    "encoding", ["utf-8", "latin-1", "cp1252", "cp1250", "cp1251", "cp1253", "cp437", "mac-roman", "iso8859-2"]
)
def test_no_repair_of_ftfy_is_missed(encoding):
    """Every 150th text of all languages, as it is and misread; the whole of shared/data: benchmarks/text.py."""
    import ftfy

    with lzma.open(LANGUAGE / "train-text.tsv.xz", "rt", encoding="utf-8") as file:
        rows = [line.rstrip("\n").split("\t")[-1] for line in itertools.islice(file, 1, None, 150)]
    lines = [row.encode().decode(encoding, "replace") for row in rows]
    config = ftfy.TextFixerConfig(explain=False)
    assert text.repair("\n".join(lines), set()).split("\n") == [ftfy.fix_encoding(line, config) for line in lines]


def test_only_suspicious_lines_are_found():
    good = "Він сказав: «дії партії», l’été, Příští čtvrtek, Größe “é” СССР» NAÏVE"
    assert mojibake.suspects(words.codes(good)).tolist() == []
    line = "ab\nschÃ¶n"
    assert mojibake.suspects(words.codes(line)).tolist() == [6]


def plain_suspects(points: np.ndarray) -> list[int]:
    """The definition with arrays: what `mojibake.suspects` must equal."""
    packed = mojibake.table()[points]
    places = np.flatnonzero(
        (packed[:-1] >> np.uint32(mojibake._BITS)) & packed[1:] & np.uint32((1 << mojibake._BITS) - 1)
    )
    if len(points) and 0x80 <= points[-1] < 0xA0:
        places = np.append(places, len(points) - 1)
    around = places + np.arange(-1, 4)[:, None]
    inside = (around >= 0) & (around < len(points))
    before, first, second, third, fourth = np.where(inside, np.minimum(points.take(around, mode="clip"), 0xFFFF), 0)
    leads_2, leads_3, tails, signs = mojibake._tables()
    pairs = leads_2[first] & tails[second]
    found = (first >= 0x80) & (first < 0xA0)
    found |= pairs & ~np.uint16(mojibake._PAIRS) != 0
    found |= pairs & leads_2[third] & tails[fourth] != 0
    latin = is_ascii_letter(before) | is_ascii_letter(third)  # no Cyrillic or Greek pair stands beside one
    found |= (pairs & np.uint16(mojibake._NOT_LATIN) != 0) & latin
    found |= (second == 0x20) & (leads_2[first] & mojibake._SPACED != 0)
    found |= (second == 0x3F) & (leads_2[first] & mojibake._QUESTIONED != 0)
    lost = leads_3[first] & mojibake._SPACED != 0
    lost_2, lost_3 = lost & (second == 0x20), lost & (third == 0x20) & (second > 0x7F) | (third == 0x3F)
    triples = (
        leads_3[first] & (tails[second] | mojibake._LATIN_1 * lost_2) & (tails[third] | mojibake._LATIN_1 * lost_3)
    )
    triples &= (signs[second] | signs[third]) | ~np.uint16(
        mojibake._CYRILLIC
    )  # Ukrainian has 'дії' in every other line
    return places[found | (triples != 0)].tolist()


def is_ascii_letter(points: np.ndarray) -> np.ndarray:
    return ((points | 0x20) - ord("a")).astype(np.uint32) < 26


@settings(max_examples=400, deadline=None)
@given(st.lists(PARTS, min_size=1, max_size=5).map("".join).filter(bool))
def test_suspects_equal_the_definition(raw):
    points = words.codes(raw)
    assert mojibake.suspects(points).tolist() == plain_suspects(points)
