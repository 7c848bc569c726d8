"""Which of many candidate pieces make a vocabulary: those without which a sample would take the most tokens.

Byte pair encoding proposes (it packs better than the unigram model's own seeds); a piece is then worth what its loss
would cost: how often it is used, times the tokens that would stand in its place. The least worth are taken out in
rounds, since what stood for one piece is used more after it is gone. The pieces that stay get the logarithm of their
share as score, so that the result is a unigram model: text is cut where that is likeliest.
"""

import math
from collections.abc import Callable

import numpy as np

from tokenizer.model_file import NORMAL, Piece

SURPLUS = 1.5
"""Candidates per piece of the vocabulary. Measured at 64,000: 2 and 3 give the same to 0.3 %."""

ROUNDS = 3

GRAIN = 16
"""Scores are multiples of 1 / GRAIN: their sums are exact in any precision, so every implementation cuts alike."""


def choose(pieces: list[Piece], size: int, count: Callable[[list[Piece]], np.ndarray]) -> list[Piece]:
    """At most `size` of the pieces, in their order, with scores.

    `count`: the uses of each piece, (pieces,) int64, when the sample is cut with these pieces. Characters, bytes and
    special pieces stay.
    """
    pieces = scored(pieces, np.arange(len(pieces), 0, -1))  # BPE's order is about that of frequency
    first = len(pieces)
    for done in range(1, ROUNDS + 1):
        uses = count(pieces)
        target = size if done == ROUNDS else round(first * (size / first) ** (done / ROUNDS))
        if target < len(pieces):
            worth = np.where(_stays(pieces), np.inf, uses * losses(pieces))
            kept = np.sort(np.argsort(-worth, kind="stable")[:target])
            pieces, uses = [pieces[k] for k in kept], uses[kept]
        pieces = scored(pieces, uses)
    return scored(pieces, count(pieces))


def _stays(pieces: list[Piece]) -> np.ndarray:
    return np.array([p.kind != NORMAL or len(p.text) == 1 for p in pieces])


def losses(pieces: list[Piece]) -> np.ndarray:
    """(pieces,) int64: how many tokens more a text takes for each use of a piece that is no longer there."""
    known = {p.text for p in pieces if p.kind == NORMAL}
    return np.array([_fewest(p.text, known) - 1 if p.kind == NORMAL else 0 for p in pieces], np.int64)


def _fewest(text: str, known: set[str]) -> int:
    """Tokens that `text` takes without a piece of its own; a character without one is its bytes."""
    fewest = [0]
    for end in range(1, len(text) + 1):
        best = fewest[end - 1] + (1 if len(text) > 1 and text[end - 1] in known else len(text[end - 1].encode()))
        for start in range(end - 1):
            if fewest[start] + 1 < best and end - start < len(text) and text[start:end] in known:
                best = fewest[start] + 1
        fewest.append(best)
    return fewest[-1]


def scored(pieces: list[Piece], uses: np.ndarray) -> list[Piece]:
    """The pieces with the logarithm of their share as score; those never used count as used half a time."""
    total = max(1, int(uses.sum()))
    return [
        p._replace(score=round(math.log(max(0.5, float(n)) / total) * GRAIN) / GRAIN) if p.kind == NORMAL else p
        for p, n in zip(pieces, uses, strict=True)
    ]
