"""Token shards -> windows, in an order that is a formula: no shuffle buffer, no index file, no shared memory.

The position in the stream is one integer, the global sample index. It alone decides which window comes (a seeded
bijection, so resuming costs nothing and any number of processes sees the same global batches) and which masks and
samples it gets (masking.py).

A shard is looked at as a ring of slots: every document has OVERHEAD slots for its special tokens, then its tokens.
A window covers `sequence - OVERHEAD` slots, so that the document that was cut by the window's left edge finds room
for special tokens too: no token is ever lost. Each pass over a shard (copies, epochs) starts at another slot.
"""

import bisect
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from corpus import shards, storage
from corpus.shards import Manifest, Shard, ShardError, ShardInfo
from corpus.terminal import UserError

PAD, UNK, CLS, SEP, MASK = range(5)  # as tokenizer.vocabulary.SPECIALS has them

OVERHEAD = 3  # [CLS] A [SEP] B [SEP]
SHORTEST_PAIR = 32  # tokens; a shorter piece of text is one segment
BLOCK = 1 << 16  # samples in which language weights hold exactly

_GOLDEN = 0x9E3779B97F4A7C15
_FULL = (1 << 64) - 1


def scramble(values: np.ndarray) -> np.ndarray:
    """uint64 -> uint64, a bijection whose output looks random (the finalizer of SplitMix64)."""
    values = (values ^ (values >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    values = (values ^ (values >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return values ^ (values >> np.uint64(31))


def key(*values: int) -> int:
    """A 64-bit key from integers; the same on every machine. `scramble` over Python integers, chained."""
    state = 0
    for value in values:
        state = (state + (value + 1) * _GOLDEN) & _FULL
        state = (state ^ state >> 30) * 0xBF58476D1CE4E5B9 & _FULL
        state = (state ^ state >> 27) * 0x94D049BB133111EB & _FULL
        state ^= state >> 31
    return state


def permute(index: np.ndarray, count: int, seed: int) -> np.ndarray:
    """Where a seeded permutation of range(count) sends each index, in O(1) memory.

    A six-round Feistel network over the next even power of two; results beyond `count` are sent on until they fall
    inside (cycle walking), at most four rounds on average. index: any shape, int64.
    """
    half = np.uint64(((count - 1).bit_length() + 1) // 2 or 1)
    low = np.uint64((1 << int(half)) - 1)
    rounds = [np.uint64(key(seed, r)) for r in range(6)]

    def once(values: np.ndarray) -> np.ndarray:
        left, right = values >> half, values & low
        for constant in rounds:
            left, right = right, left ^ (scramble(right + constant) & low)
        return left << half | right

    values = once(np.asarray(index).astype(np.uint64))
    while (outside := values >= count).any():
        values[outside] = once(values[outside])
    return values.astype(np.int64)


@dataclass(frozen=True)
class Place:
    """A window before it is read: `length` slots of a shard's ring from `begin`."""

    shard: int  # index into the stream's shards
    begin: int
    length: int


@dataclass(frozen=True)
class Span:
    """A run of tokens of one document that stands in a window, led back to the document's address."""

    path: str  # shard
    document: int  # in the shard
    part: int
    row: int
    start: int  # token in the document
    stop: int


@dataclass(frozen=True)
class Windows:
    """A batch of windows; B windows of S tokens. A window holds one sequence or several, each with a [CLS] of its own
    and positions from 0; sequences do not see each other.

    tokens, positions: (B, S) int32. sequences: (B, S) int16, number of the sequence in its window from 1, 0 is
    padding. types: (B, S) int8, 1 in a second segment. pairs: (P,) int64, flat places b * S + s of the [CLS] of each
    sequence with two segments. swapped: (P,) bool, whether its segments changed places.
    """

    tokens: np.ndarray
    sequences: np.ndarray
    positions: np.ndarray
    types: np.ndarray
    pairs: np.ndarray
    swapped: np.ndarray
    languages: tuple[str, ...]


def slots(info: ShardInfo) -> int:
    return info.tokens + OVERHEAD * info.documents


def ring_windows(total: int, width: int) -> int:
    """Windows of a pass over a ring; the last one overlaps the first if `width` does not divide `total`."""
    return -(-total // width)


def pieces(offsets: np.ndarray, begin: int, length: int) -> list[tuple[int, int, int]]:
    """(document, first token, end) in the shard's flat array for `length` slots of the ring from `begin`."""
    total = int(offsets[-1]) + OVERHEAD * (len(offsets) - 1)
    if begin + length > total:
        return pieces(offsets, begin, total - begin) + pieces(offsets, 0, begin + length - total)
    found = []
    document = bisect.bisect_right(range(len(offsets)), begin, key=lambda d: int(offsets[d]) + OVERHEAD * d) - 1
    while document < len(offsets) - 1:
        shift = OVERHEAD * (document + 1)  # token t of this document lies in slot t + shift
        first = max(int(offsets[document]), begin - shift)
        end = min(int(offsets[document + 1]), begin + length - shift)
        if end > first:
            found.append((document, first, end))
        if int(offsets[document + 1]) + shift >= begin + length:
            break
        document += 1
    return found


def split_point(tokens: np.ndarray, sentence_end: np.ndarray) -> int:
    """Where the second segment starts: behind the sentence end nearest to the middle; 0: there is none in the middle
    half, or the text is too short for two segments."""
    count = len(tokens)
    if count < SHORTEST_PAIR:
        return 0
    low = count // 4
    ends = np.flatnonzero(sentence_end[tokens[low : count - low]]) + low + 1
    return int(ends[np.abs(ends - count // 2).argmin()]) if len(ends) else 0


class Pool:
    """The windows of some shards, put in order anew in each epoch."""

    def __init__(self, infos: Sequence[ShardInfo], numbers: Sequence[int], width: int, seed: int):
        self.infos, self.numbers, self.width, self.seed = infos, numbers, width, seed
        self.single = [ring_windows(slots(i), width) for i in infos]
        self.ends = np.cumsum([n * i.copies for n, i in zip(self.single, infos, strict=True)])
        self.windows = int(self.ends[-1])

    def places(self, index: np.ndarray) -> list[Place]:
        """index: (n,) int64, the how-manieth sample of this pool."""
        found = np.empty(len(index), np.int64)
        epochs = index // self.windows
        for epoch in np.unique(epochs):
            now = epochs == epoch
            found[now] = permute(index[now] % self.windows, self.windows, key(self.seed, int(epoch)))
        return [self._place(int(e), int(w)) for e, w in zip(epochs, found, strict=True)]

    def _place(self, epoch: int, window: int) -> Place:
        k = int(np.searchsorted(self.ends, window, "right"))
        copy, inside = divmod(window - (int(self.ends[k - 1]) if k else 0), self.single[k])
        total = slots(self.infos[k])
        start = key(self.seed, epoch, self.numbers[k], copy) % total
        return Place(self.numbers[k], (start + inside * self.width) % total, min(self.width, total))


def apportion(weights: Mapping[str, float], block: int = BLOCK) -> dict[str, int]:
    """Whole samples per language in a block, by largest remainders; each language gets at least one."""
    exact = {k: w * block for k, w in sorted(weights.items())}
    counts = {k: max(1, int(v)) for k, v in exact.items()}
    order = sorted(exact, key=lambda k: (int(exact[k]) - exact[k], k))
    for k in order[: max(0, block - sum(counts.values()))]:
        counts[k] += 1
    while sum(counts.values()) > block:
        counts[max(counts, key=lambda k: (counts[k], k))] -= 1
    return counts


class Stream:
    """The windows of one split of a tokens folder.

    sentence_end: (vocabulary,) bool. weights: language -> share of the samples; empty: every window of every copy
    once an epoch. order: swap the two segments of half of the sequences. Errors: ShardError, UserError.
    """

    def __init__(
        self,
        folder: str,
        manifest: Manifest,
        sequence: int,
        sentence_end: np.ndarray,
        *,
        seed: int = 0,
        weights: Mapping[str, float] | None = None,
        validation: bool = False,
        order: bool = True,
    ):
        self.folder, self.sequence, self.seed, self.order = folder, sequence, seed, order
        self.sentence_end = sentence_end
        self.width = sequence - OVERHEAD
        self.infos = sorted((s for s in manifest.shards if s.validation == validation and s.tokens), key=_path)
        self.size = manifest.vocabulary_size
        self._open: dict[int, Shard] = {}
        _check(folder, self.infos, sequence, validation)
        self.weights = dict(weights or {})
        self._last: tuple[int, tuple[np.ndarray, np.ndarray]] = (-1, (np.zeros(0), np.zeros(0)))

    @cached_property
    def pools(self) -> dict[str, Pool]:
        """One pool a language."""
        return {
            language: Pool(*self._of(language), self.width, key(self.seed, number))
            for number, language in enumerate(sorted({i.language for i in self.infos}))
        }

    @cached_property
    def everything(self) -> Pool:
        return Pool(self.infos, range(len(self.infos)), self.width, self.seed)

    def _of(self, language: str) -> tuple[list[ShardInfo], list[int]]:
        numbers = [n for n, i in enumerate(self.infos) if i.language == language]
        return [self.infos[n] for n in numbers], numbers

    @cached_property
    def counts(self) -> dict[str, int]:
        """Samples of each weighted language in a block."""
        return apportion(self.weights)

    def _pattern(self, block: int) -> tuple[np.ndarray, np.ndarray]:
        """For each sample of a block its language (index into counts) and how many samples of that language came
        before it in all. Both (BLOCK,). The last pattern is kept: batches go through a block in order."""
        if self._last[0] != block:
            sizes = np.array(list(self.counts.values()))
            which = np.repeat(np.arange(len(sizes)), sizes)[permute(np.arange(BLOCK), BLOCK, key(self.seed, block, 1))]
            before = np.empty(BLOCK, np.int64)
            before[np.argsort(which, kind="stable")] = np.arange(BLOCK) - np.repeat(np.cumsum(sizes) - sizes, sizes)
            self._last = (block, (which, before + block * sizes[which]))
        return self._last[1]

    def places(self, index: np.ndarray) -> list[Place]:
        """index: (n,) int64 global sample indices."""
        if not self.weights:
            return self.everything.places(index)
        found: list[Place] = [Place(0, 0, 0)] * len(index)
        for block in np.unique(index // BLOCK):
            rows = np.flatnonzero(index // BLOCK == block)
            which, own = (values[index[rows] % BLOCK] for values in self._pattern(int(block)))
            for k, language in enumerate(self.counts):
                chosen = rows[which == k]
                for row, place in zip(chosen, self.pools[language].places(own[which == k]), strict=True):
                    found[row] = place
        return found

    def shard(self, number: int) -> Shard:
        """The mapped shard; its checksum is compared when it is used for the first time."""
        if number not in self._open:
            info = self.infos[number]
            path = storage.join(self.folder, info.path)
            if shards.checksum(path) != info.checksum:
                raise ShardError(f"{path}: damaged (checksum differs from the manifest); tokenize again")
            shard = shards.open_shard(path)
            if len(shard.tokens) != info.tokens or int(shard.tokens.max()) >= self.size:
                raise ShardError(f"{path}: does not hold what the manifest says; tokenize again")
            self._open[number] = shard
        return self._open[number]

    def batch(self, index: np.ndarray) -> Windows:
        """The windows of these samples."""
        return self.windows(self.places(index), [key(self.seed, int(i), 2) for i in index])

    def windows(self, places: Sequence[Place], coins: Sequence[int]) -> Windows:
        """The windows at these places; a sequence's segments change places by a bit of its window's coin."""
        layouts = [self._layout(place, coin) for place, coin in zip(places, coins, strict=True)]
        pairs = [
            (b * self.sequence + at, s) for b, rows in enumerate(layouts) for at, _, middle, _, s in rows if middle
        ]
        shape = (len(places), self.sequence)
        batch = Windows(
            np.full(shape, PAD, np.int32),
            np.zeros(shape, np.int16),
            np.zeros(shape, np.int32),
            np.zeros(shape, np.int8),
            np.array([at for at, _ in pairs], np.int64),
            np.array([swapped for _, swapped in pairs], bool),
            tuple(self.infos[p.shard].language for p in places),
        )
        for b, (place, layout) in enumerate(zip(places, layouts, strict=True)):
            self._fill(batch, b, self.shard(place.shard).tokens, layout)
        return batch

    def _layout(self, place: Place, coin: int) -> list[tuple[int, int, int, int, bool]]:
        """(where its [CLS] stands, first token, middle or 0, end, swapped) of each sequence of a window."""
        shard, at, found = self.shard(place.shard), 0, []
        for number, (_, first, end) in enumerate(pieces(shard.offsets, place.begin, place.length)):
            middle = split_point(shard.tokens[first:end], self.sentence_end)
            swapped = bool(middle and self.order and coin >> (number % 64) & 1)
            found.append((at, first, middle and first + middle, end, swapped))
            at += end - first + (OVERHEAD if middle else OVERHEAD - 1)
        return found

    @staticmethod
    def _fill(batch: Windows, b: int, tokens: np.ndarray, layout: list[tuple[int, int, int, int, bool]]) -> None:
        """Write the sequences of a layout into row `b`."""
        for number, (begin, first, middle, end, swapped) in enumerate(layout):
            segments = [tokens[first:middle], tokens[middle:end]] if middle else [tokens[first:end]]
            batch.tokens[b, begin], at = CLS, begin + 1
            for kind, segment in enumerate(reversed(segments) if swapped else segments):
                stop = at + len(segment)
                batch.tokens[b, at:stop], batch.tokens[b, stop] = segment, SEP
                batch.types[b, at : stop + 1] = kind
                at = stop + 1
            batch.sequences[b, begin:at] = number + 1
            batch.positions[b, begin:at] = np.arange(at - begin)

    def trace(self, index: int) -> list[Span]:
        """From which documents the window of a sample is, in the order in which they stand in it."""
        (place,) = self.places(np.array([index]))
        shard, path = self.shard(place.shard), self.infos[place.shard].path
        return [
            Span(path, d, int(shard.parts[d]), int(shard.rows[d]), a - int(shard.offsets[d]), b - int(shard.offsets[d]))
            for d, a, b in pieces(shard.offsets, place.begin, place.length)
        ]


def _path(info: ShardInfo) -> str:
    return info.path


def _check(folder: str, infos: Sequence[ShardInfo], sequence: int, validation: bool) -> None:
    """Names and sizes of the shards; contents are checked on first use."""
    if sequence < 16:
        raise UserError(f"--sequence: {sequence} tokens are no window; give 16 or more")
    split = "validation" if validation else "training"
    if not infos:
        raise UserError(f"{folder}: no {split} shards; run python -m pipeline tokenize on more documents")
    tokens = sum(i.tokens for i in infos)
    if not validation and tokens < sequence:
        raise UserError(f"{folder}: {tokens} tokens do not fill a window of {sequence}; lower --sequence or add text")
    for info in infos:
        path = storage.join(folder, info.path)
        size = os.path.getsize(path) if os.path.exists(path) else -1
        if size != info.bytes:
            found = "missing" if size < 0 else f"{size} bytes instead of {info.bytes}"
            raise ShardError(f"{path}: {found}; tokenize again")
