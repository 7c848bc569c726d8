"""Texts become ids and lead back to characters."""

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from task_model import TEXT, write_vocabulary

from trainer import texts
from trainer.stream import CLS, SEP


@pytest.fixture(scope="module")
def vocabulary(tmp_path_factory):
    return write_vocabulary(tmp_path_factory.mktemp("vocabulary"))


LINES = [*TEXT.values(), "", " ", "\n", "a\nb\n\nc", "x\u2581y\U0010fffd", "naïve 🙂 e\u0301", "  two  spaces ", "ab\n"]


@pytest.mark.parametrize("text", LINES)
def test_offsets_cover_the_text(vocabulary, text):
    _cover(vocabulary, text)


@given(text=st.text(st.characters(exclude_categories=["Cs"]), max_size=30))
def test_offsets_cover_any_text(vocabulary, text):
    _cover(vocabulary, text)


def _cover(vocabulary, text):
    """In order, without gaps, each id where its characters are."""
    (ids,) = texts.encode(vocabulary, [text])
    found = texts.offsets(vocabulary, ids, text)
    assert len(found) == len(ids)
    at = 0
    for (first, end), id in zip(found, ids, strict=True):
        assert first <= at <= end <= max(len(text), 1)
        piece = vocabulary.piece(int(id)).replace("\u2581", "")
        if piece and len(piece) < 6 and "\u2581" not in text and "\U0010fffd" not in text:
            assert piece in text[first:end]
        at = end
    assert not text or not len(ids) or at == len(text)


def test_pairs_give_way_evenly():
    one, two = np.arange(10, 30), np.arange(40, 100)
    row = texts.row(one, two, 33)
    assert len(row.tokens) == 33
    assert row.tokens[0] == CLS
    assert row.tokens[row.second - 1] == SEP
    assert (row.second - 2, 33 - row.second - 1) == (15, 15)
    short = texts.row(one[:4], two, 33)
    assert short.second - 2 == 4
    assert len(texts.row(one, None, 8).tokens) == 8


def test_windows_hold_every_token_with_an_overlap():
    one, two = np.arange(5), np.arange(100, 1000)
    rows = list(texts.windows(one, two, 384))
    seen = np.concatenate([r.tokens[r.second : -1] for r in rows])
    assert set(two) == set(seen)
    for a, b in itertools.pairwise(rows):
        assert b.first < a.first + len(a.tokens) - a.second - 1
    assert all(len(r.tokens) <= 384 for r in rows)
    assert (rows[1].tokens[rows[1].second] - 100) == rows[1].first


def test_inputs_are_padded():
    x = texts.inputs([texts.row(np.array([7, 8]), np.array([9]), 16, 0), texts.row(np.array([7]), None, 16, 1)])
    assert x.tokens.tolist() == [[2, 7, 8, 3, 9, 3], [2, 7, 3, 0, 0, 0]]
    assert x.types.tolist() == [[0, 0, 0, 0, 1, 1], [0] * 6]
    assert x.sequences.sum(1).tolist() == [6, 3]
