"""Texts -> batches of padded ids; and from ids back to characters."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import torch
from torch import Tensor

from trainer.stream import CLS, PAD, SEP

STRIDE = 128  # tokens by which the windows of a long text overlap


class Vocabulary(Protocol):
    """The part of tokenizer.vocabulary.Vocabulary that is used here."""

    digest: str
    size: int

    def encode(self, texts: list[str]) -> tuple[np.ndarray, np.ndarray]: ...
    def piece(self, id: int, /) -> str: ...


@dataclass(frozen=True)
class Row:
    """One input. tokens with [CLS] and [SEP]; second: where the second segment begins, or the length. example: its
    number; first: token of the second segment (of a long text) that stands first here."""

    tokens: np.ndarray
    second: int
    example: int = 0
    first: int = 0


@dataclass(frozen=True)
class Inputs:
    """All (B, S) long: ids; 1 where there is a token; places; segments."""

    tokens: Tensor
    sequences: Tensor
    positions: Tensor
    types: Tensor


def encode(vocabulary: Vocabulary, texts: Sequence[str]) -> list[np.ndarray]:
    """Ids of each text, without special ones."""
    ids, lengths = vocabulary.encode(list(texts))
    return np.split(ids.astype(np.int64), np.cumsum(lengths)[:-1]) if len(lengths) else []


def row(one: np.ndarray, two: np.ndarray | None, length: int, example: int = 0) -> Row:
    """[CLS] one [SEP] two [SEP], at most `length` tokens; the longer of the two gives way."""
    if two is None:
        tokens = np.concatenate([[CLS], one[: length - 2], [SEP]])
        return Row(tokens, len(tokens), example)
    room = length - 3
    keep = min(len(one), max(room - len(two), room // 2))
    one, two = one[:keep], two[: room - keep]
    return Row(np.concatenate([[CLS], one, [SEP], two, [SEP]]), len(one) + 2, example)


def windows(one: np.ndarray, two: np.ndarray, length: int, example: int = 0) -> Iterator[Row]:
    """A short text beside each window of a long one; windows overlap by STRIDE tokens."""
    one = one[: max(1, length // 3)]
    room = length - 3 - len(one)
    step = max(1, room - min(STRIDE, room // 2))
    first = 0
    while True:
        part = two[first : first + room]
        yield Row(np.concatenate([[CLS], one, [SEP], part, [SEP]]), len(one) + 2, example, first)
        if first + room >= len(two):
            return
        first += step


def inputs(rows: Sequence[Row], device: torch.device | str = "cpu") -> Inputs:
    """Rows padded to the longest of them."""
    length = max(len(r.tokens) for r in rows)
    tokens, types = (np.full((len(rows), length), fill, np.int64) for fill in (PAD, 0))
    sequences = np.zeros((len(rows), length), np.int64)
    for b, r in enumerate(rows):
        tokens[b, : len(r.tokens)] = r.tokens
        sequences[b, : len(r.tokens)] = 1
        types[b, r.second : len(r.tokens)] = 1
    positions = np.broadcast_to(np.arange(length), tokens.shape) * sequences
    return Inputs(*(torch.from_numpy(a).to(device) for a in (tokens, sequences, positions, types)))


def by_length(rows: Sequence[Row], size: int) -> list[list[int]]:
    """Numbers of the rows in batches of alike length, so that there is little padding."""
    numbers = sorted(range(len(rows)), key=lambda n: (len(rows[n].tokens), n))
    return [numbers[at : at + size] for at in range(0, len(numbers), size)]


def offsets(vocabulary: Vocabulary, ids: np.ndarray, text: str) -> list[tuple[int, int]]:
    """(first character, end) of each id in the text whose encoding `ids` is the beginning of. A piece that begins
    with a space covers it; an id that is one byte of a character covers that character."""
    place = _bytes(text)
    found, at = [], 0
    for id in ids:
        piece = vocabulary.piece(int(id))
        if len(piece) == 6 and piece.startswith("<0x"):
            length = 1
        else:
            length = len(piece.replace("\u2581", " ").encode())
        end = min(at + length, len(place))
        found.append((place[min(at, len(place) - 1)], place[max(at, end - 1)] + 1) if end > at else (len(text),) * 2)
        at = end
    return found


def _bytes(text: str) -> list[int]:
    """The character of each byte of a text as SentencePiece sees it: with a space before it, two characters for
    U+2581 and U+10FFFD, and a space behind a newline that something follows (see tokenizer.vocabulary)."""
    found = [0]
    for k, c in enumerate(text):
        count = len(c.encode()) if c not in "\u2581\U0010fffd" else 5
        if c == "\n" and text[k + 1 : k + 2] not in ("", "\n"):
            count += 1
        found += [k] * count
    return found
