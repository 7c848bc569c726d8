"""The signals against worked examples and against slow, plain definitions."""

import time

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from corpus.document import Signals
from pipeline import signals, words

TEXT = """Home
- one thing...
* second #tag here…
“A whole sentence, with 12 words.”
Home
12 34 Home"""


def test_worked_example():
    measured = signals.measure(TEXT)
    assert measured.characters == len(TEXT)
    assert (measured.words, measured.lines) == (16, 6)
    assert measured.mean_word_length == sum(map(len, words.words(TEXT))) / 16
    assert measured.symbols_per_word == 3 / 16
    assert measured.letter_words == 13 / 16
    assert measured.digit_characters == 6 / sum(not c.isspace() for c in TEXT)
    assert measured.bullet_lines == 2 / 6
    assert measured.cut_lines == 2 / 6
    assert measured.ended_lines == 1 / 6
    assert measured.short_lines == 5 / 6
    assert measured.repeated_lines == 1 / 6
    assert measured.repeated_line_characters == 4 / sum(map(len, TEXT.split("\n")))
    assert measured.repeated_words == 0
    assert measured.placeholder is False


def test_nothing_has_no_signals():
    assert signals.measure("") == Signals()


@pytest.mark.parametrize("text", ["Lorem Ipsum dolor", "x lorem ipsum"])
def test_placeholder(text):
    assert signals.measure(text).placeholder


def slow_repeated_words(tokens):
    seen, marked = set(), set()
    for place in range(len(tokens) - signals.RUN + 1):
        run = tuple(tokens[place : place + signals.RUN])
        if run in seen:
            marked.update(range(place, place + signals.RUN))
        seen.add(run)
    return len(marked)


@settings(deadline=None)
@given(st.lists(st.sampled_from(["a", "b", "ab", "ba", "中", "été"]), max_size=60))
def test_repeated_words_are_those_of_the_definition(tokens):
    text = " ".join(tokens)
    expected = slow_repeated_words(words.words(text)) / max(1, len(words.words(text)))
    assert signals.measure(text).repeated_words == expected


def test_word_hashes_depend_on_the_word_alone():
    points = words.codes("ab ba ab b aab ab")
    hashes = signals.word_hashes(points, *words.spans(points))
    assert hashes[0] == hashes[2] == hashes[5]
    assert len(set(hashes.tolist())) == 4
    assert hashes.dtype == np.uint64


def test_hashes_are_the_same_everywhere():
    points = words.codes("Straße 中")
    found = signals.word_hashes(points, *words.spans(points)).tolist()
    assert found == [14274253909887528907, 16886744912845756602]


@pytest.mark.parametrize(
    "text",
    ["x" * 16_000_000, "the same line\n" * 500_000, "a\n" * 1_000_000, " " * 16_000_000, "\u0301" * 4_000_000],
    ids=["word", "equal lines", "tiny lines", "spaces", "marks"],
)
def test_hostile_text_takes_bounded_time(text):
    start = time.process_time()
    measured = signals.measure(text)
    assert time.process_time() - start < 8
    assert measured.characters == len(text)
    assert all(0 <= getattr(measured, name) <= 1 for name in ("repeated_words", "repeated_lines", "letter_words"))
