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
from tokenizer.model_file import BYTE, CONTROL, NORMAL, UNKNOWN
from tokenizer.pruning import GRAIN

UNKNOWN_PENALTY = 10
"""SentencePiece's: so much worse than the worst piece is a character without one."""

MEMO_BYTES = 16 << 20

SPACE = "\u2581"
"""What stands for a space in pieces."""

_HEAD, _UNKNOWN_COST, _NEWLINE = 264, 256, 257  # as in _pieces.c; ids of bytes come first
_STRANGE = re.compile(f"[^{SPACE}\0]{SPACE}|\n[^\0]|[^\0]\n|\0\0")  # in pieces with NUL around each
_TRAINER = {3: model_file.UNIGRAM, 24: 0, 35: 1}
"""Options that a model must have, by their numbers in sentencepiece_model.proto: unigram, the space before a word,
bytes for unknown characters; and of the normalizer: no table, a space before the text, none removed, U+2581."""
_TRAINER_DEFAULTS = {3: model_file.UNIGRAM, 24: 0, 35: 0}
_NORMALIZER = {2: b"", 3: 1, 4: 0, 5: 1}
_NORMALIZER_DEFAULTS = {2: b"", 3: 1, 4: 1, 5: 1}


class Cutter:
    """Cuts texts by one model. Takes `MEMO_BYTES` of memory, and the tree of pieces (4 MB for 64,000)."""

    def __init__(self, table: bytes):
        self._table = table
        self._memo = np.zeros(MEMO_BYTES, np.uint8)

    def encode(self, texts: list[bytes], dtype: np.dtype) -> tuple[np.ndarray, np.ndarray] | None:
        """Ids of all texts, (n,), and ids per text, (texts,) int64; None where one of them is not for us."""
        found = _pieces.encode(self._table, self._memo, texts, dtype.itemsize)
        return found and (np.frombuffer(found[0], dtype), np.frombuffer(found[1], np.int64))


def cutter(spm: Any) -> Cutter | None:
    """For a SentencePieceProcessor of whose model it is known that the ids will be the same; None for others."""
    kinds, trainer, normalizer = model_file.outline(spm.serialized_model_proto())
    ids = [id for id, kind in enumerate(kinds) if kind == NORMAL]
    texts, costs = spm.id_to_piece(ids), np.array(spm.get_score(ids)) * -GRAIN
    bytes_ = [spm.piece_to_id(f"<0x{byte:02X}>") for byte in range(256)]
    known = (
        _has(trainer, _TRAINER_DEFAULTS, _TRAINER)
        and _has(normalizer, _NORMALIZER_DEFAULTS, _NORMALIZER)
        and set(kinds) == {NORMAL, UNKNOWN, CONTROL, BYTE}
        and {kinds[id] for id in bytes_} == {BYTE}
        and {SPACE, "\n"} <= set(texts)
        and not _STRANGE.search("\0".join(["", *texts, ""]))
        and bool(np.all((costs == costs.round()) & (costs > 0) & (costs < (1 << 16) - UNKNOWN_PENALTY * GRAIN)))
    )
    return Cutter(_table(bytes_, ids, texts, costs.astype(np.uint16))) if known else None


def _has(options: Mapping[int, Any], defaults: Mapping[int, Any], wanted: Mapping[int, Any]) -> bool:
    return {**defaults, **{n: v for n, v in options.items() if n in wanted}} == wanted


def _table(bytes_: list[int], ids: list[int], texts: list[str], costs: np.ndarray) -> bytes:
    """The tree of ordinary pieces, as _pieces.c reads it. costs: minus the scores, in sixteenths."""
    head = np.zeros(_HEAD, np.int32)
    head[:256] = bytes_
    head[_UNKNOWN_COST] = costs.max() + UNKNOWN_PENALTY * GRAIN
    head[_NEWLINE] = ids[texts.index("\n")]
    points = np.frombuffer("".join(texts).encode("utf-32-le"), np.uint32)
    return _pieces.table(head, points, np.cumsum([*map(len, texts)], dtype=np.int64), np.array(ids, np.int32), costs)
