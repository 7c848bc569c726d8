"""Weights of one vocabulary for another: an embedding for each piece.

A piece that both have keeps its row; another gets the mean of the rows of the pieces that the old vocabulary cuts its
text into; ids that are no text (special, spare) keep their number's row, or get the mean of all.
"""

from typing import Protocol

import numpy as np
import torch
from torch import Tensor


class Vocabulary(Protocol):
    """The part of tokenizer.vocabulary.Vocabulary that is used here."""

    size: int

    def encode(self, texts: list[str]) -> tuple[np.ndarray, np.ndarray]: ...
    def piece(self, id: int, /) -> str: ...


SPECIALS = 5  # ids 0 to 4 are the same in all vocabularies
SPACE = "\u2581"
ROWS = ("embeddings.tokens.weight", "generator_bias")
"""Weights with a row for each id, by the ends of their names."""


def sources(theirs: Vocabulary, ours: Vocabulary) -> tuple[np.ndarray, np.ndarray]:
    """(flat ids of theirs, how many of them belong to each id of ours): the rows whose mean an id of ours gets."""
    known = {theirs.piece(i): i for i in range(theirs.size - 1, -1, -1) if theirs.piece(i)}
    found: list[list[int]] = []
    unknown: list[int] = []
    for id in range(ours.size):
        piece = ours.piece(id)
        found.append([id] if id < SPECIALS else [known[piece]] if piece in known else [])
        if piece and not found[-1]:
            unknown.append(id)
    ids, lengths = theirs.encode([ours.piece(i).replace(SPACE, " ").removeprefix(" ") for i in unknown])
    space = known.get(SPACE)
    for id, part in zip(unknown, np.split(ids, np.cumsum(lengths)[:-1]) if unknown else (), strict=True):
        kept = part.tolist()
        if not ours.piece(id).startswith(SPACE) and kept and kept[0] == space:
            kept = kept[1:]  # the space that stands before every text
        found[id] = kept
    return np.array([i for row in found for i in row], np.int64), np.array([len(row) for row in found], np.int64)


def mapped(weights: dict[str, Tensor], theirs: Vocabulary, ours: Vocabulary) -> dict[str, Tensor]:
    """The weights of a model for another vocabulary."""
    ids, counts = sources(theirs, ours)
    owner = torch.from_numpy(np.repeat(np.arange(len(counts)), counts))
    found = dict(weights)
    for name, rows in weights.items():
        if name.endswith(ROWS):
            sums = torch.zeros(len(counts), *rows.shape[1:], dtype=torch.float64)
            sums.index_add_(0, owner, rows.double()[torch.from_numpy(ids)])
            divisor = torch.from_numpy(counts).clamp(min=1).view(-1, *[1] * (rows.ndim - 1))
            mean = rows.double().mean(0)
            empty = torch.from_numpy(counts == 0)
            sums = sums / divisor
            sums[empty] = mean
            found[name] = sums.to(rows.dtype)
    return found
