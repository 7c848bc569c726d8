"""Burmese in Zawgyi: told from Unicode, converted, and nothing else touched."""

import lzma
from pathlib import Path

import pytest
import regex

from pipeline import zawgyi

DATA = Path(__file__).resolve().parents[2] / "shared" / "data" / "language"
HERE = pytest.mark.skipif(not DATA.exists(), reason="shared/data is not here")

C = "[\u1000-\u102a\u103f\u104e]"
SYLLABLES = regex.compile(
    rf"(?:(?:\u1004\u103a\u1039)?{C}(?:\u1039{C})*\u103b?\u103c?\u103d?\u103e?\u1031?[\u102d\u102e\u1032]?[\u102f\u1030]?"
    r"[\u102b\u102c]?(?:\u1037?\u103a)?\u1036?\u1037?\u1038?|[\u1040-\u104f]\u1038?|[^\u1000-\u109f\ua9e0-\ua9ff\uaa60-\uaa7f])*"
)
"""Text in which every Burmese sign belongs to a syllable of Unicode's order."""


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("ျမန္မာ", "မြန်မာ"),  # ra before its consonant, killer
        ("ေက်ာင္း", "ကျောင်း"),  # e before its consonant, medial ya
        ("ၿမိဳ႕", "မြို့"),  # variants of ra, u and the dot below
        ("အဂၤလိပ္", "အင်္ဂလိပ်"),  # kinzi
        ("ဒုကၡ", "ဒုက္ခ"),  # a stacked consonant
        ("ႏွစ္", "နှစ်"),
        ("သ႑ာန္", "သဏ္ဍာန်"),
        ("၀န္ႀကီး ၄င္း ၂၀၁၀", "ဝန်ကြီး ၎င်း ၂၀၁၀"),
        ("ေတြ႕ခဲ့တယ္၊ OK", "တွေ့ခဲ့တယ်၊ OK"),
    ],
)
def test_words(old, new):
    assert zawgyi.convert(old + " သြားတယ္။") == new + " သွားတယ်။"
    assert SYLLABLES.fullmatch(new)


def test_lines_are_judged_together():
    assert zawgyi.convert("ျမန္မာ သြားတယ္\nက ခ\nabc") == "မြန်မာ သွားတယ်\nက ခ\nabc"


@pytest.mark.parametrize("text", ["", "plain text", "မြန်မာ ကျောင်း ဒုက္ခ အင်္ဂလိပ် မြို့", "တႆး ၵႂၢမ်း ယူႇ"])
def test_unicode_stays(text):
    assert zawgyi.convert(text) == text


def lines(name, label):
    with lzma.open(DATA / name, "rt", encoding="utf-8") as rows:
        return [row.rstrip("\n").split("\t") for row in rows if row.startswith(label + "\t")]


@HERE
def test_ntrex_becomes_burmese():
    old = [row[4] for row in lines("ntrex-dev.tsv.xz", "mya")]
    new = zawgyi.convert("\n".join(old)).split("\n")
    assert sum(bool(SYLLABLES.fullmatch(line)) for line in old) < 0.02 * len(old)
    assert sum(bool(SYLLABLES.fullmatch(line)) for line in new) >= 0.99 * len(new)
    assert zawgyi.convert("\n".join(new)) == "\n".join(new)


@HERE
@pytest.mark.parametrize("label", ["mya_Mymr", "shn_Mymr", "mnw_Mymr"])
def test_clean_text_stays(label):
    texts = [row[2] for row in lines("train-text.tsv.xz", label) if row[1] in ("udhr", "cv")]
    assert len(texts) > 50
    assert [zawgyi.convert(text) for text in texts] == texts
