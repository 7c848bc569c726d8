"""The signals against worked examples, against slow, plain definitions, and by the laws they keep."""

import time
from dataclasses import fields

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from corpus.document import Signals
from pipeline import _signals, duplicates, signals, words
from tests import slow_signals

TEXT = """Home
- one thing...
* second #tag here…
“A whole sentence, with 12 words.” And one more.

HOME
12 34 Home {"""


def test_worked_example():
    found = signals.measure(TEXT, url="https://x.org/a/b12.html?q=1&r").signals
    assert (found.characters, found.words, found.lines, found.paragraphs) == (len(TEXT), 19, 6, 2)
    assert found.mean_word_length == sum(map(len, words.words(TEXT))) / 19
    assert (found.longest_word, found.hashes_per_word, found.ellipses_per_word) == (8, 1 / 19, 2 / 19)
    assert found.newlines_per_word == 6 / 19
    assert (found.letter_words, found.distinct_words) == (16 / 19, 15 / 19)
    assert found.digit_characters == 6 / sum(not c.isspace() for c in TEXT)
    assert found.upper_letters == 8 / 66
    assert (found.curly_brackets, found.sentences, found.prose_sentences) == (1, 4, 2)
    assert (found.bullet_lines, found.cut_lines, found.ended_lines) == (2 / 6, 2 / 6, 1 / 6)
    assert (found.short_lines, found.long_lines, found.prose_lines) == (5 / 6, 0, 1 / 6)
    along = sum(len(line) for line in TEXT.split("\n"))
    assert found.mean_line_length == along / 6
    assert (found.repeated_lines, found.repeated_line_characters) == (1 / 6, 4 / along)
    assert (found.repeated_paragraphs, found.repeated_5_grams, found.top_2_gram) == (0, 0, 0)
    assert (found.url_depth, found.url_parameters, found.url_digits) == (2, 2, 3)


def test_nothing_has_no_signals():
    assert signals.measure("").signals == Signals()
    assert len(signals.measure("\n \n").line_hashes) == 0


@pytest.mark.parametrize("text", ["Lorem Ipsum dolor", "x lorem ipsum", "Home\nlorem  ipsum,"])
def test_placeholder(text):
    assert signals.measure(text).signals.placeholder
    assert not signals.measure(text.replace("m i", "m\ni").replace("m I", "m\nI").replace("m  i", "m\ni")
                               ).signals.placeholder  # fmt: skip


def test_policy_phrases_count_the_lines_they_stand_in():
    found = signals.measure("We use cookies. Read our Privacy Policy now.\nThe sea was calm that day, said the man.")
    assert found.signals.policy_characters == 44 / 84
    assert (found.signals.prose_lines, found.signals.prose_sentences) == (0.5, 1)


@pytest.mark.parametrize(("url", "expected"), [
    ("", (0, 0, 0)), ("https://x.org", (0, 0, 0)), ("https://x.org/", (0, 0, 0)),
    ("https://x99.org/a//b/?q=1&&r=22#f3", (2, 2, 3)), ("https://x.org?a", (0, 1, 0)), ("no url/1", (0, 0, 0)),
])  # fmt: skip
def test_url_features(url, expected):
    assert signals.url_features(url) == expected


# --- as defined -----------------------------------------------------------------------------------------------------

PIECES = st.sampled_from([
    "a", "B", "ab", "the", "Word", "été", "İ", "ς", "Σ", "ß", "中", "的", "国", "カ", "ー", "한", "글", "ก", "ำ", "ไ",
    "ကို", "क्षि", "।", "。", "！", "。」", "؟", ".", "..", "...", "…", "!", "?", ";", "α", "α;",
    "Ա", ":", "Ա:", "ሀ", "ሀ፡፡", "፡", "::", "'", "’", "\"", "”", ")", "*", "_",

    "1", "3.14", "1,000", "٣", "#", "{", "$", "+", "•", "-", "- ", "* ", " ", " ", " ", " ", "\n", "\n", "\n\n", "\t",
    "\u3000", "\u00a0", "lorem ipsum", "Privacy Policy", "JavaScript", "\u0301", "\u200d", "\U0001f600",
    "x" * 31, "\U00020000",
    "\ud800", "𐐀", "𐐨", "\U0010ffff",
])  # fmt: skip
TEXTS = st.lists(PIECES, max_size=80).map("".join)


def equal(found: Signals, expected: Signals) -> None:
    different = {f.name: (getattr(found, f.name), getattr(expected, f.name)) for f in fields(Signals)
                 if getattr(found, f.name) != getattr(expected, f.name)}  # fmt: skip
    assert different == {}


@settings(max_examples=400)
@given(TEXTS, st.sampled_from(["eng_Latn", "cmn_Hans", "fra_Latn", ""]))
def test_signals_are_those_of_the_definition(text, label):
    equal(signals.measure(text, label).signals, slow_signals.measure(text, label))


@settings(max_examples=200)
@given(st.lists(st.sampled_from(["a", "bb", "c", "\n"]), max_size=80).map(" ".join))
def test_repetition_is_that_of_the_definition(text):
    equal(signals.measure(text).signals, slow_signals.measure(text))


@settings(max_examples=100)
@given(
    st.lists(st.sampled_from("กขค ฃ"), max_size=90).map("".join), st.lists(st.sampled_from("中文字 。"), max_size=60)
)
def test_repetition_in_scripts_without_spaces(thai, han):
    equal(signals.measure(thai).signals, slow_signals.measure(thai))
    equal(signals.measure("".join(han)).signals, slow_signals.measure("".join(han)))
    equal(signals.measure(thai + "".join(han)).signals, slow_signals.measure(thai + "".join(han)))


def test_real_pages_have_the_signals_of_the_definition(shared):
    import lzma

    with lzma.open(shared / "language" / "train-text.tsv.xz", "rt", encoding="utf-8") as file:
        rows = [line.rstrip("\n").split("\t") for line in file][1::400]
    for start in range(0, len(rows), 12):
        text = "\n".join(row[2] for row in rows[start : start + 12])
        label = rows[start][0]
        equal(signals.measure(text, label).signals, slow_signals.measure(text, label))


# --- laws -----------------------------------------------------------------------------------------------------------

LINES = st.lists(st.text("abcde .,'", min_size=1).filter(lambda s: s.strip()), min_size=1, max_size=12)
_OF_ORDER = {"repeated_paragraphs", "repeated_paragraph_characters", "paragraphs", "compression",
             *(f"top_{n}_gram" for n in (2, 3, 4)), *(f"repeated_{n}_grams" for n in range(5, 11))}  # fmt: skip


@given(LINES, st.randoms())
def test_the_order_of_lines_matters_only_where_runs_of_words_do(lines, order):
    before = signals.measure("\n".join(lines)).signals
    order.shuffle(lines)
    after = signals.measure("\n".join(lines)).signals
    for field in fields(Signals):
        if field.name not in _OF_ORDER:
            assert getattr(after, field.name) == pytest.approx(getattr(before, field.name)), field.name


@given(LINES)
def test_a_text_twice_is_all_repetition(lines):
    once, twice = (signals.measure("\n".join(lines * k)).signals for k in (1, 2))
    assert twice.repeated_lines >= 0.5 > 0
    assert twice.repeated_line_characters >= 0.5
    assert twice.repeated_line_characters >= once.repeated_line_characters
    assert twice.distinct_words <= once.distinct_words
    for n in range(5, 11):
        if once.words >= n:
            assert getattr(twice, f"repeated_{n}_grams") == 1


@given(st.lists(st.integers(0, 10**9), unique=True, max_size=60))
def test_where_nothing_repeats_nothing_is_counted(numbers):
    found = signals.measure(" ".join(f"w{n}" for n in numbers)).signals
    assert [getattr(found, name) for name in sorted(_OF_ORDER) if name.endswith(("gram", "grams"))] == [0] * 9
    assert found.distinct_words == (1 if numbers else 0)


@given(TEXTS)
def test_shares_are_shares_and_longer_runs_repeat_less(text):
    found = signals.measure(text).signals
    free = {
        "hashes_per_word",
        "ellipses_per_word",
        "newlines_per_word",
        "mean_word_length",
        "mean_line_length",
        "mean_sentence_length",
    }
    for field in fields(Signals):
        if field.type is float and field.name not in free:
            assert 0 <= getattr(found, field.name) <= 1, field.name
    grams = [getattr(found, f"repeated_{n}_grams") for n in range(5, 11)]
    assert grams == sorted(grams, reverse=True)


# --- hashes ---------------------------------------------------------------------------------------------------------


def test_word_hashes_depend_on_the_word_alone():
    hashes = signals.measure("ab BA ab b aab AB ΛΌΓΟΣ λόγος").word_hashes
    assert hashes[0] == hashes[2] == hashes[5]
    assert hashes[6] == hashes[7]
    assert len(set(hashes.tolist())) == 5


def test_line_hashes_depend_on_the_line_alone():
    hashes = signals.measure("Home page\n\n  home PAGE  \nother home page\nab ba").line_hashes
    assert hashes[0] == hashes[1]
    assert len(set(hashes.tolist())) == 3
    assert signals.measure("ab ba").line_hashes[0] == hashes[3]


def slow_hash(text: str) -> int:
    total = 0
    for k, character in enumerate(slow_signals.fold(text)):
        value = ord(character) * 0x9E3779B97F4A7C15 % 2**64
        total += (value ^ value >> 29) * pow(0xD6E8FEB86659FD93, k, 2**64)
    total %= 2**64
    return (total ^ total >> 31) * 0x9E3779B97F4A7C15 % 2**64


@given(TEXTS)
def test_hashes_are_those_of_the_definition(text):
    found = signals.measure(text)
    assert found.word_hashes.tolist() == [slow_hash(word) for word in words.words(text)]
    assert found.line_hashes.tolist() == [slow_hash(line) for line in words.lines(text)]
    assert signals.hash_words(text).tolist() == found.word_hashes.tolist()


def test_hashes_are_the_same_everywhere():
    assert signals.hash_words("straße 中").tolist() == [14399624704430413857, 16886744912845756602]


@given(st.dictionaries(st.integers(0, 2**64 - 1), st.integers(1, 99), max_size=40))
def test_tables_hold_what_was_put_in(pairs):
    table = signals.hash_table(list(pairs), list(pairs.values())).reshape(-1, 2).tolist()
    assert {key: value for key, value in table if value} == pairs
    assert len(table) >= 2 * len(pairs)


# --- hostile --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "text",
    ["x" * 4_000_000, "the same line\n" * 250_000, "a\n" * 1_000_000, " " * 4_000_000, "\u0301" * 4_000_000,
     "กขค" * 700_000, "a b " * 500_000, "." * 4_000_000],
    ids=["word", "equal lines", "tiny lines", "spaces", "marks", "signs", "words", "dots"],
)  # fmt: skip
def test_hostile_text_takes_bounded_time(text):
    start = time.process_time()
    found = signals.measure(text)
    duplicates.signature(found.word_hashes)
    assert time.process_time() - start < 6
    assert found.signals.characters == len(text)


def test_buffers_that_do_not_fit_are_refused():
    points = words.codes("a")
    good = [points, words.classes(), signals.traits(), signals.lower(), np.zeros(2, np.uint64), np.zeros(2, np.uint64),
            np.zeros(1, np.uint64)]  # fmt: skip
    assert len(_signals.measure(*good)) == 3
    full = np.ones(4, np.uint64)
    for place, bad in [(0, b"abc"), (0, np.array([0x110000], np.uint32)), (1, b""), (2, b"1234"), (3, b"1"), (4, b""),
                       (4, full), (5, np.zeros(6, np.uint64)), (5, full), (6, b"x")]:  # fmt: skip
        with pytest.raises(ValueError, match=r"buffer|bytes|table|code point"):
            _signals.measure(*good[:place], bad, *good[place + 1 :])


@given(st.lists(st.integers(0, 2**64 - 1), max_size=9), st.lists(st.integers(0, 12), max_size=9))
def test_phrases_that_point_nowhere_do_no_harm(keys, numbers):
    word = int(signals.hash_words("a")[0])
    table = signals.hash_table([word, *keys], [numbers[0] + 1 if numbers else 1] * (1 + len(keys)))
    found = _signals.measure(words.codes("a b a\n" * 3), words.classes(), signals.traits(), signals.lower(), table,
                             table, np.array(numbers, np.uint64))  # fmt: skip
    assert len(found[0]) == 8 * len(signals._COUNTS)
