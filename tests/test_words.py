"""Words, lines, sentence ends and scripts over the world's writing systems."""

import numpy as np
import pytest
import regex
from hypothesis import given
from hypothesis import strategies as st

from pipeline import words


@pytest.mark.parametrize(
    ("text", "want"),
    [
        ("Hello, world! don't 3.14 1,000", ["Hello", "world", "don't", "3.14", "1,000"]),
        ("l’eau d'or 'tis end' 5.", ["l’eau", "d'or", "tis", "end", "5"]),
        ("été e\u0301te\u0301", ["été", "e\u0301te\u0301"]),
        ("नमस्ते दुनिया।", ["नमस्ते", "दुनिया"]),
        ("می\u200cخواهم", ["می\u200cخواهم"]),
        ("안녕하세요 세계", ["안녕하세요", "세계"]),
        ("中文ABC字1", ["中", "文", "ABC", "字", "1"]),
        ("データ", ["デ", "ー", "タ"]),
        ("ที่นี่", ["ที่", "นี่"]),
        ("❤️ *** — …", []),
        ("", []),
    ],
)
def test_words(text, want):
    assert words.words(text) == want


@given(st.text())
def test_spans_are_ordered_and_inside(text):
    starts, ends = words.spans(words.codes(text))
    assert (starts < ends).all()
    assert (ends[:-1] <= starts[1:]).all()
    assert len(ends) == 0 or ends[-1] <= len(text)
    assert words.decode(words.codes(text)) == text


def plain_spans(points: np.ndarray) -> tuple[list[int], list[int]]:
    """The definition with arrays: what `spans` must equal."""
    bits = words.classes()[points]
    inside = bits & (words.LETTER | words.MARK | words.DIGIT) != 0
    places = np.flatnonzero(bits & (words.APOSTROPHE | words.POINT))
    places = places[(places > 0) & (places < len(bits) - 1)]
    before, at, after = bits[places - 1], bits[places], bits[places + 1]
    letters = (at & words.APOSTROPHE != 0) & (before & (words.LETTER | words.MARK) != 0) & (after & words.LETTER != 0)
    digits = (at & words.POINT != 0) & (before & after & words.DIGIT != 0)
    inside[places[letters | digits]] = True
    single = bits & (words.UNSPACED | words.MARK) == words.UNSPACED
    starts = inside.copy()
    starts[1:] &= ~inside[:-1] | single[1:] | ((bits[:-1] & words.UNSPACED != 0) & (bits[1:] & words.MARK == 0))
    ends = inside
    ends[:-1] &= ~inside[1:] | starts[1:]
    return np.flatnonzero(starts).tolist(), (np.flatnonzero(ends) + 1).tolist()


@given(st.text() | st.text(st.sampled_from("ab  '’·..,,12٣ ไทยก็漢字かなー नमस्ते한국-_ـא׳\ud800\U0001f600\u0301")))
def test_spans_equal_the_definition(text):
    points = words.codes(text)
    starts, ends = words.spans(points)
    assert (starts.tolist(), ends.tolist()) == plain_spans(points)


def test_spans_refuse_what_is_no_text():
    with pytest.raises(ValueError, match="no code point"):
        words.spans(np.array([0x110000], np.uint32))


@given(st.text(st.characters(categories=["L", "Zs", "Nd"])))
def test_every_letter_and_digit_is_in_a_word(text):
    assert "".join(words.words(text)) == "".join(c for c in text if not c.isspace())


def test_lone_surrogates_are_carried_through():
    assert words.words("a\ud800b") == ["a", "b"]
    assert words.decode(words.codes("a\ud800")) == "a\ud800"


def test_lines():
    assert words.lines(" a \n\n\t\nb c\n") == ["a", "b c"]


@pytest.mark.parametrize(
    ("text", "want"),
    [
        ("Eins. Zwei! 3.14 ist? „Ja.“ Ende", [5, 11, 21, 27]),
        ("今日は。明日も！", [4, 8]),
        ("यह है। वह", [6]),
        ("", []),
    ],
)
def test_sentence_ends(text, want):
    assert words.sentence_ends(text) == want


@pytest.mark.parametrize(
    "line", ["Ende.", "“Yes!”", "Really?)", "終わり。", "है।", "هل هذا؟", "Τι κάνεις;", "ጤና ይስጥልኝ።", "ཡིན།"]
)
def test_ended_lines(line):
    assert words.is_ended(line)


@pytest.mark.parametrize("line", ["Home", "List:", "a; b;", "", "”", "สวัสดี"])
def test_lines_that_are_not_ended(line):
    assert not words.is_ended(line)


@pytest.mark.parametrize(
    ("text", "want"),
    [
        ("Straße 12", "Latn"),
        ("Привет, world и мир", "Cyrl"),
        ("你好，世界 hello", "Hani"),
        ("日本語のテキスト", "Jpan"),
        ("大韓民國의 헌법", "Kore"),
        ("日本の café に行く", "Jpan"),
        ("สวัสดี", "Thai"),
        ("Ελλάδα", "Grek"),
        ("שלום", "Hebr"),
        ("ⴰⵣⵓⵍ", "Tfng"),
        ("12 — 34", "Zyyy"),
        ("", "Zyyy"),
    ],
)
def test_script(text, want):
    assert words.script(text) == want


def test_share_of_a_script():
    counts = words.count_scripts(words.codes("мир abc"))
    assert counts == {"Cyrl": 3, "Latn": 3}
    assert words.script_share(counts, "Cyrl") == 0.5
    assert words.script_share({}, "Cyrl") == 0.0


def test_tables_know_the_letters_that_python_knows():
    """The two Unicode versions may differ in what is new, not in what is old."""
    classes = words.classes()[:0x3000]
    python = np.array([chr(c).isalpha() for c in range(0x3000)])
    assert np.count_nonzero((classes & words.LETTER != 0) != python) < 40


# --- clean text of every language -----------------------------------------------------------------------------------


def clean_text(shared) -> dict[str, list[str]]:
    """label -> sentences, of NTREX (128 files) and SIB-200 (34 languages)."""
    import json
    import lzma
    from collections import defaultdict

    texts = defaultdict(list)
    with lzma.open(shared / "language" / "ntrex-dev.tsv.xz", "rt", encoding="utf-8") as file:
        next(file)
        for number, line in enumerate(file):
            if number % 9 == 0:
                texts[line.split("\t")[1]].append(line.rstrip("\n").split("\t")[4])
    with lzma.open(shared / "tasks" / "sib200_dev.jsonl.xz", "rt", encoding="utf-8") as file:
        for number, row in enumerate(map(json.loads, file)):
            if number % 9 == 0:
                texts[row["lang"]].append(row["text"])
    return texts


SIGNS = {"Hans", "Hant", "Jpan", "Thai", "Laoo", "Khmr", "Mymr", "Tibt"}
UNMARKED = {"Thai", "Laoo", "Tibt"}


def test_words_of_every_language(shared):
    """Each letter, mark behind one and digit stands in a word; no word ends between a letter and its mark or has a
    space inside; where there are spaces, words are as long as words are."""
    for label, texts in clean_text(shared).items():
        script, lengths, spaced = label.partition("_")[2], [], 0
        for text in texts:
            found = words.words(text)
            assert regex.findall(r"[\p{L}\p{Nd}]", text) == regex.findall(r"[\p{L}\p{Nd}]", "".join(found)), (
                label,
                text,
            )
            assert not any(regex.search(r"\s", word) for word in found), (label, text)
            starts, _ = words.spans(words.codes(text))
            cut = [k for k in starts.tolist() if k and regex.match(r"\p{L}\p{M}", text[k - 1 : k + 1])]
            assert cut == [], (label, text)
            lengths += map(len, found)
            spaced += len(text.split())
        assert len(lengths) >= 0.9 * spaced, label
        if script not in SIGNS:
            assert len(lengths) <= 1.35 * spaced, (label, len(lengths) / spaced)
            assert 2.5 < sum(lengths) / len(lengths) < 12, (label, sum(lengths) / len(lengths))


def test_sentences_of_every_language(shared):
    """Of lines that are a sentence each, most have one end; scripts without marks have none."""
    for label, texts in clean_text(shared).items():
        ends = [len(words.sentence_ends(text)) for text in texts]
        if label.partition("_")[2] not in UNMARKED:
            assert sum(n > 0 for n in ends) > 0.6 * len(ends), (label, sum(n > 0 for n in ends) / len(ends))
            assert sum(ends) < 2.2 * len(ends), (label, sum(ends) / len(ends))


@pytest.mark.parametrize(("text", "ends"), [
    ("Τι κάνεις; Καλά.", [10, 16]), ("What; no. Yes", [9]), ("Բարեւ: Այո։", [6, 11]), ("No: yes", []),
    ("ሰላም፡፡ እሺ።", [5, 9]), ("ሰላም:: እሺ", [5]), ("ሰላም፡እሺ", []), ("a:: b", []), ("Τι; »", [3]),
])  # fmt: skip
def test_stand_ins(text, ends):
    """Signs that stand in for the full stop or the question mark of a script, and nowhere else."""
    assert words.sentence_ends(text) == ends
    assert words.is_ended(text[: ends[0]] if ends else text) == bool(ends)
