"""Texts become ids and lead back to characters."""

import itertools

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from task_model import TEXT, write_vocabulary

from corpus.terminal import UserError
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


def test_packed_rows_are_found_again():
    """Every token is once there, beside its row's, and `places` leads to it."""
    random = np.random.default_rng(0)
    rows = [texts.row(random.integers(9, 99, n), random.integers(9, 99, 3) if n % 2 else None, 40, 0)
            for n in random.integers(1, 36, 30)]  # fmt: skip
    x, places = texts.packed(rows)
    assert int((x.sequences > 0).sum()) == sum(len(r.tokens) for r in rows)
    assert x.tokens.shape[1] == max(len(r.tokens) for r in rows)
    assert x.tokens.numel() < 1.15 * sum(len(r.tokens) for r in rows)
    assert bool((x.tokens[x.sequences == 0] == 0).all())
    for row, place in zip(rows, places, strict=True):
        own = place[place >= 0]
        assert len(own) == len(row.tokens)
        assert x.tokens.flatten()[own].tolist() == row.tokens.tolist()
        assert x.positions.flatten()[own].tolist() == list(range(len(own)))
        assert x.types.flatten()[own].tolist() == [int(k >= row.second) for k in range(len(own))]
        line, number = int(own[0]) // x.tokens.shape[1], x.sequences.flatten()[own[0]]
        assert int((x.sequences[line] == number).sum()) == len(own)
    first = texts.packed(rows, width=1)[1]
    assert first.squeeze(1).tolist() == places[:, 0].tolist()


def test_smaller_batches_where_memory_does_not_do():
    rows = [texts.row(np.full(n % 7 + 1, n + 5), None, 40, 0) for n in range(100)]
    tried = []

    def call(inputs):
        tried.append(len(inputs.tokens))
        if tried[-1] > most:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return inputs.tokens[:, 1]

    most = 20
    found = {}
    for numbers, values in texts.computed(call, rows, call):
        found |= dict(zip(numbers, values.int().tolist(), strict=True))
    assert found == {n: n + 5 for n in range(100)}
    assert tried[:4] == [64, 32, 16, 16]
    most = 0
    with pytest.raises(UserError, match=r"a text of 3 tokens does not fit memory .*; take --device cpu"):
        list(texts.computed(call, rows, call))
    with pytest.raises(RuntimeError, match="another"):
        list(texts.computed(call, rows, lambda _: (_ for _ in ()).throw(RuntimeError("another"))))


def test_a_model_without_room_is_one_line(monkeypatch):
    def full(*_):
        raise torch.OutOfMemoryError("CUDA out of memory")

    monkeypatch.setattr(torch.nn.Module, "to", full)
    with pytest.raises(UserError, match="the model does not fit memory"):
        texts.placed(torch.nn.Linear(1, 1), torch.device("cpu"))
