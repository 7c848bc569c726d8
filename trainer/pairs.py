"""Translations as training text: [CLS] a [SEP] b [SEP], several pairs to a window.

Masked and replaced like any text, so that the generator fills a gap with the other language's help (TLM,
arXiv:1901.07291) and the discriminator finds what does not fit the translation (translation RTD, arXiv:2106.16138).
The order of the segments is not asked for.
"""

from collections.abc import Sequence
from typing import Protocol

import numpy as np

from trainer.stream import CLS, PAD, SEP, Windows, key, permute


class Source(Protocol):
    """Where windows come from, by the samples' global indices."""

    def batch(self, index: np.ndarray) -> Windows: ...


class Pairs:
    """rows: (tokens, tokens) of sentences that mean the same. What does not fit a window is cut off, each side to
    half of it."""

    def __init__(self, rows: Sequence[tuple[np.ndarray, np.ndarray]], sequence: int, language: str, seed: int = 0):
        half = (sequence - 3) // 2
        self.rows = [(a[:half], b[:half]) for a, b in rows]
        self.sequence, self.language, self.seed = sequence, language, seed
        self.packed: list[list[int]] = [[]]
        room = sequence
        for number in permute(np.arange(len(rows)), len(rows), key(seed, 7)):
            need = sum(map(len, self.rows[number])) + 3
            if need > room:
                self.packed.append([])
                room = sequence
            self.packed[-1].append(int(number))
            room -= need

    def batch(self, index: np.ndarray) -> Windows:
        count, shape = len(self.packed), (len(index), self.sequence)
        found = Windows(
            np.full(shape, PAD, np.int32), np.zeros(shape, np.int16), np.zeros(shape, np.int32),
            np.zeros(shape, np.int8), np.zeros(0, np.int64), np.zeros(0, bool), (self.language,) * len(index),
        )  # fmt: skip
        for b, i in enumerate(index):
            epoch, inside = divmod(int(i), count)
            window = int(permute(np.array([inside]), count, key(self.seed, 8, epoch))[0])
            at = 0
            for number, row in enumerate(self.packed[window]):
                at = self._write(found, b, at, number, self.rows[row])
        return found

    @staticmethod
    def _write(found: Windows, b: int, at: int, number: int, row: tuple[np.ndarray, np.ndarray]) -> int:
        one, two = row
        end = at + len(one) + len(two) + 3
        found.tokens[b, at:end] = np.concatenate([[CLS], one, [SEP], two, [SEP]])
        found.sequences[b, at:end] = number + 1
        found.positions[b, at:end] = np.arange(end - at)
        found.types[b, at + len(one) + 2 : end] = 1
        return end


class Blend:
    """Samples of `most`, and in a share of the places samples of `some`; none of either is left out."""

    def __init__(self, most: Source, some: Source, share: float):
        self.most, self.some, self.share = most, some, share

    def batch(self, index: np.ndarray) -> Windows:
        before = np.floor(index * self.share).astype(np.int64)
        other = np.floor((index + 1) * self.share).astype(np.int64) > before
        parts = [(self.most, np.flatnonzero(~other), (index - before)[~other])]
        parts.append((self.some, np.flatnonzero(other), before[other]))
        return joined([(source.batch(numbers), rows) for source, rows, numbers in parts if len(rows)], len(index))


def joined(parts: Sequence[tuple[Windows, np.ndarray]], count: int) -> Windows:
    """One batch of several, each with the rows at which its windows are to stand."""
    length = parts[0][0].tokens.shape[1]
    arrays = {}
    for name in ("tokens", "sequences", "positions", "types"):
        first = getattr(parts[0][0], name)
        arrays[name] = np.zeros((count, length), first.dtype)
        for windows, rows in parts:
            arrays[name][rows] = getattr(windows, name)
    languages = [""] * count
    for windows, rows in parts:
        for row, language in zip(rows, windows.languages, strict=True):
            languages[row] = language
    pairs = np.concatenate([rows[w.pairs // length] * length + w.pairs % length for w, rows in parts])
    swapped = np.concatenate([w.swapped for w, _ in parts])
    return Windows(**arrays, pairs=pairs, swapped=swapped, languages=tuple(languages))
