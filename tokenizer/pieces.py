"""Texts -> ids of a unigram model, the same as SentencePiece's, for the models that `pruning` makes.

No piece goes over a space or a newline, so that the words between them (a space, or several, and what follows up to the
next) are cut each alone, whatever stands beside them; a word that was cut lately is looked up. A word is cut as
SentencePiece does it: from left to right each piece that begins at a character offers a way to where it ends, and
replaces the one found before if the sum of scores is greater; a character without a piece of its own counts as the
worst score less 10 and becomes its bytes. Scores are multiples of 1/16, so that SentencePiece's sums, in single
precision and begun anew every 100,000, are exact. Words of 65,536 characters and what is no UTF-8 are left to it.
"""

import re
from collections.abc import Mapping
from typing import Any

import numpy as np

from tokenizer import _pieces, model_file
from tokenizer.model_file import BYTE, CONTROL, NORMAL, UNKNOWN, Piece
from tokenizer.pruning import GRAIN

UNKNOWN_PENALTY = 10
"""SentencePiece's: so much worse than the worst piece is a character without one."""

MEMO_BYTES = 16 << 20

SPACE = "\u2581"

_HEAD, _UNKNOWN_COST, _NEWLINE = 264, 256, 257  # as in _pieces.c; ids of bytes come first
_FORM = re.compile(f"{SPACE}+[^{SPACE}\n\0]*|[^{SPACE}\n\0]+|\n")
_TRAINER = {3: model_file.UNIGRAM, 24: 0, 35: 1}
"""Options that a model must have, by their numbers in sentencepiece_model.proto: unigram, the space before a word,
bytes for unknown characters; and of the normalizer: no table, a space before the text, none removed, U+2581."""
_TRAINER_DEFAULTS = {3: model_file.UNIGRAM, 24: 0, 35: 0}
_NORMALIZER = {2: b"", 3: 1, 4: 0, 5: 1}
_NORMALIZER_DEFAULTS = {2: b"", 3: 1, 4: 1, 5: 1}


class Cutter:
    """Cuts texts by one model. Takes `MEMO_BYTES` of memory, and the tree of pieces (4 MB for 64,000)."""

    def __init__(self, pieces: list[Piece]):
        self._table = _table(pieces)
        self._memo = np.zeros(MEMO_BYTES, np.uint8)

    def encode(self, texts: list[bytes], dtype: np.dtype) -> tuple[np.ndarray, np.ndarray] | None:
        """Ids of all texts, (n,), and ids per text, (texts,) int64; None where one of them is not for us."""
        found = _pieces.encode(self._table, self._memo, texts, dtype.itemsize)
        return found and (np.frombuffer(found[0], dtype), np.frombuffer(found[1], np.int64))


def cutter(model: bytes) -> Cutter | None:
    """For a model of which it is known that the ids are SentencePiece's; None for others."""
    pieces, trainer, normalizer = model_file.whole(model)
    plain = _has(trainer, _TRAINER_DEFAULTS, _TRAINER) and _has(normalizer, _NORMALIZER_DEFAULTS, _NORMALIZER)
    return Cutter(pieces) if plain and _is_ours(pieces) else None


def _has(options: Mapping[int, Any], defaults: Mapping[int, Any], wanted: Mapping[int, Any]) -> bool:
    return {**defaults, **{n: v for n, v in options.items() if n in wanted}} == wanted


def _is_ours(pieces: list[Piece]) -> bool:
    texts = {kind: [p.text for p in pieces if p.kind == kind] for kind in {p.kind for p in pieces}}
    costs = np.array([p.score for p in pieces if p.kind == NORMAL]) * -GRAIN
    return (
        texts.keys() == {NORMAL, UNKNOWN, CONTROL, BYTE}
        and set(texts[BYTE]) == {f"<0x{b:02X}>" for b in range(256)}
        and {SPACE, "\n"} <= set(texts[NORMAL])
        and all(map(_FORM.fullmatch, texts[NORMAL]))
        and bool(np.all((costs == costs.round()) & (costs > 0) & (costs < (1 << 16) - UNKNOWN_PENALTY * GRAIN)))
    )


def _table(pieces: list[Piece]) -> bytes:
    """The tree of the pieces, as _pieces.c reads it."""
    ids = np.flatnonzero([p.kind == NORMAL for p in pieces]).astype(np.int32)
    texts = [p.text for p in pieces if p.kind == NORMAL]
    costs = (np.array([p.score for p in pieces if p.kind == NORMAL]) * -GRAIN).astype(np.uint16)
    head = np.zeros(_HEAD, np.int32)
    for id, piece in enumerate(pieces):
        if piece.kind == BYTE:
            head[int(piece.text[3:5], 16)] = id
    head[_UNKNOWN_COST] = costs.max() + UNKNOWN_PENALTY * GRAIN
    head[_NEWLINE] = ids[texts.index("\n")]
    points = np.frombuffer("".join(texts).encode("utf-32-le"), np.uint32)
    return _pieces.table(head, points, np.cumsum([*map(len, texts)], dtype=np.int64), ids, costs)
