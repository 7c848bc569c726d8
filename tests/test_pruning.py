"""The pieces that stay are those that save the most; scores are exact logarithms; a model is written as it was read."""

import io
import math

import numpy as np
import pytest
import sentencepiece

from tokenizer import model_file, pruning
from tokenizer.model_file import Piece

LINES = [f"the quick brown fox jumps over the lazy dog {k}" for k in range(50)]


@pytest.fixture(scope="module")
def model():
    out = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(LINES), model_writer=out, vocab_size=400, model_type="bpe", byte_fallback=True,
        hard_vocab_limit=False, minloglevel=2, control_symbols=["[MASK]"],
    )  # fmt: skip
    return out.getvalue()


def test_a_model_is_read_as_sentencepiece_reads_it(model):
    spm = sentencepiece.SentencePieceProcessor(model_proto=model)
    pieces = model_file.read(model)
    assert [p.text for p in pieces] == [spm.id_to_piece(i) for i in range(spm.get_piece_size())]
    assert [p.score for p in pieces] == [spm.get_score(i) for i in range(spm.get_piece_size())]
    assert [p.kind == 6 for p in pieces] == [spm.is_byte(i) for i in range(spm.get_piece_size())]
    kinds, trainer, normalizer = model_file.outline(model)
    assert kinds == [p.kind for p in pieces]
    assert (trainer[35], normalizer[1]) == (1, b"nmt_nfkc")


def test_a_model_of_other_pieces_is_a_unigram_model(model):
    """With all scores alike the fewest pieces win, which BPE's merges do not always find."""
    pieces = [p._replace(score=-1.0) if p.kind == model_file.NORMAL else p for p in model_file.read(model)]
    written = model_file.write(model, pieces)
    assert model_file.read(written) == pieces
    spm = sentencepiece.SentencePieceProcessor(model_proto=written)
    old = sentencepiece.SentencePieceProcessor(model_proto=model)
    assert sum(map(len, spm.encode(LINES))) <= sum(map(len, old.encode(LINES)))
    assert spm.decode(spm.encode(LINES[7])) == LINES[7]


@pytest.mark.parametrize("data", [b"\x0a", b"\xff", b"\x0b\x01"])
def test_what_is_no_message_is_an_error(data):
    with pytest.raises(ValueError, match=r"cut off|wire type"):
        model_file.read(data)


def test_what_the_loss_of_a_piece_costs():
    pieces = [Piece(t) for t in ("a", "b", "ab", "abab", "é", "éa", "zz")] + [Piece("<s>", 0, 3)]
    assert pruning.losses(pieces).tolist() == [0, 0, 1, 1, 1, 1, 1, 0]
    assert pruning.losses([Piece("a"), Piece("aaaa"), Piece("人人"), Piece("人")]).tolist() == [0, 3, 1, 2]


def test_the_pieces_that_save_the_most_stay():
    """`count` cuts by the most pieces: uses are fixed here, so that the outcome is known."""
    uses = {"a": 5, "b": 5, "ab": 9, "aba": 4, "bab": 30, "abab": 1}

    def count(pieces):
        return np.array([uses[p.text] for p in pieces])

    chosen = pruning.choose([Piece(t) for t in uses], 4, count)
    assert [p.text for p in chosen] == ["a", "b", "ab", "bab"]
    assert all(p.score * pruning.GRAIN == int(p.score * pruning.GRAIN) for p in chosen)
    assert chosen[3].score == pytest.approx(math.log(30 / 49), abs=0.5 / pruning.GRAIN)


def test_fewer_candidates_than_wanted_all_stay():
    chosen = pruning.choose([Piece("a"), Piece("ab")], 10, lambda some: np.array([0, 3]))
    assert [p.text for p in chosen] == ["a", "ab"]
    assert chosen[0].score < chosen[1].score == 0
