"""In which order windows come: formulas, so that nothing is shuffled, stored or searched for on resuming."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from trainer import _windows

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


def keys(*values: np.ndarray | int) -> np.ndarray:
    """`key` of each place of arrays (and of integers, which count for every place), uint64."""
    state = np.zeros(1, np.uint64)
    for value in values:
        array = np.atleast_1d(np.asarray(value & _FULL if isinstance(value, int) else value)).astype(np.uint64)
        state = scramble(state + (array + np.uint64(1)) * np.uint64(_GOLDEN))
    return state


def permute(index: np.ndarray, count: np.ndarray | int, seed: np.ndarray | int) -> np.ndarray:
    """Where a seeded permutation of range(count) sends each index, in O(1) memory. count, seed: one for all or one
    for each.

    A six-round Feistel network over the next even power of two; results beyond `count` are sent on until they fall
    inside (cycle walking), at most four rounds on average. index: (n,) int64, each below its count.
    """
    index = np.ascontiguousarray(index, np.int64)
    counts = np.full(len(index), count, np.int64) if isinstance(count, int) else count.astype(np.int64)
    seeds = np.full(len(index), seed & _FULL, np.uint64) if isinstance(seed, int) else seed.astype(np.uint64)
    return np.frombuffer(_windows.permute(index, counts, seeds), np.int64)


@dataclass(frozen=True)
class Places:
    """Windows before they are read: `length` slots of a shard's ring from `begin`. All (n,) int64; shard: number in
    the stream."""

    shard: np.ndarray
    begin: np.ndarray
    length: np.ndarray

    def __len__(self) -> int:
        return len(self.shard)

    def __getitem__(self, some) -> "Places":
        """Of some windows: a slice, a mask or an array of indices."""
        return Places(self.shard[some], self.begin[some], self.length[some])


class Sized(Protocol):
    """What is known of a shard without opening it."""

    @property
    def copies(self) -> int: ...


def ring_windows(total: int, width: int) -> int:
    """Windows of a pass over a ring; the last one overlaps the first if `width` does not divide `total`."""
    return -(-total // width)


class Pool:
    """The windows of some shards, put in order anew in each epoch.

    numbers: of the shards in the stream. slots: of each shard. width: slots of a window; 0: a window for each slot.
    together: at most so many shards are mixed at a time: where there are more, an epoch puts the shards in an order
    and goes through them by groups. A pass (copy, epoch) over a shard begins at another slot.
    """

    def __init__(
        self, infos: Sequence[Sized], numbers: Sequence[int], slots: Sequence[int], width: int, seed: int,
        together: int = 256,
    ):  # fmt: skip
        self.numbers, self.width, self.seed, self.together = np.array(numbers, np.int64), width, seed, together
        self.slots = np.array(slots, np.int64)
        self.single = np.array([ring_windows(s, width) if width else s for s in slots], np.int64)
        self.sizes = self.single * np.array([i.copies for i in infos], np.int64)
        self.windows = int(self.sizes.sum())
        self._last: tuple[int, np.ndarray, np.ndarray] = (-1, self.numbers, self.numbers)

    def epoch(self, number: int) -> tuple[np.ndarray, np.ndarray]:
        """(the pool's shards in their order, where the windows of each end). The last one asked for is kept."""
        if self._last[0] != number:
            order = np.arange(len(self.slots))
            if len(order) > self.together:
                order = permute(order, len(order), key(self.seed, number, 5))
            self._last = (number, order, np.cumsum(self.sizes[order]))
        return self._last[1:]

    def places(self, index: np.ndarray) -> Places:
        """index: (n,) int64, the how-manieth sample of this pool."""
        epochs, inside = np.divmod(index, self.windows)
        if len(index) and epochs.min() == epochs.max():
            return self._within(int(epochs[0]), inside)
        found = Places(*np.empty((3, len(index)), np.int64))
        for epoch in np.unique(epochs).tolist():
            rows = np.flatnonzero(epochs == epoch)
            _set(found, rows, self._within(epoch, inside[rows]))
        return found

    def groups(self, epoch: int) -> tuple[np.ndarray, np.ndarray]:
        """Where each group of shards that are mixed begins and ends among the epoch's windows."""
        _, ends = self.epoch(epoch)
        stops = ends[np.minimum(np.arange(self.together, len(ends) + self.together, self.together), len(ends)) - 1]
        return np.concatenate([[0], stops[:-1]]), stops

    def _within(self, epoch: int, inside: np.ndarray) -> Places:
        order, ends = self.epoch(epoch)
        passes = np.array([key(self.seed, epoch)], np.uint64)
        if len(order) <= self.together:
            base, count = np.zeros(1, np.int64), np.array([self.windows], np.int64)
            seeds = np.array([key(self.seed, epoch, 0)], np.uint64)  # as `keys`, which takes 40 µs for one
            return _placed(self, order, ends, inside, base, count, seeds, passes)
        begins, stops = self.groups(epoch)
        group = np.searchsorted(stops, inside, "right")
        base = begins[group]
        seeds, passes = keys(self.seed, epoch, group), np.repeat(passes, len(group))
        return _placed(self, order, ends, inside - base, base, stops[group] - base, seeds, passes)

    def ahead(self, sample: int) -> list[int]:
        """Numbers of the shards in the group of a sample of this pool, and in the next one, in their order."""
        epoch, inside = divmod(sample, self.windows)
        found: list[int] = []
        for _ in range(2):
            order, _ = self.epoch(epoch)
            _, stops = self.groups(epoch)
            group = int(np.searchsorted(stops, inside, "right"))
            found += self.numbers[order[group * self.together : (group + 1) * self.together]].tolist()
            epoch, inside = (epoch, int(stops[group])) if group + 1 < len(stops) else (epoch + 1, 0)
        return list(dict.fromkeys(found))


class Together:
    """Several pools of which some samples are wanted at a time: what is one formula for all of them is one pass."""

    def __init__(self, pools: Sequence[Pool]):
        self.pools = pools
        self.seeds = np.array([p.seed for p in pools], np.uint64)
        self.windows = np.array([p.windows for p in pools], np.int64)
        self.bases = np.cumsum(self.windows) - self.windows
        self.mixed = np.array([len(p.slots) <= p.together for p in pools])  # whose epoch is one group
        self.numbers, self.slots, self.single, self.sizes = (
            np.concatenate([getattr(p, name) for p in pools]) for name in ("numbers", "slots", "single", "sizes")
        )
        self.ends, self.order = np.cumsum(self.sizes), np.arange(len(self.sizes))
        self.width = pools[0].width

    def places(self, which: np.ndarray, own: np.ndarray) -> Places:
        """which: (n,) pools. own: (n,) the how-manieth sample of its pool each is."""
        found = Places(*np.empty((3, len(own)), np.int64))
        easy = self.mixed[which]
        for number in np.unique(which[~easy]).tolist():
            rows = np.flatnonzero(which == number)
            _set(found, rows, self.pools[number].places(own[rows]))
        if easy.all():
            return self._places(which, own)
        rows = np.flatnonzero(easy)
        _set(found, rows, self._places(which[rows], own[rows]))
        return found

    def _places(self, which: np.ndarray, own: np.ndarray) -> Places:
        """As Pool.places, for pools whose epoch is one group."""
        windows, seeds = self.windows[which], self.seeds[which]
        epochs, inside = np.divmod(own, windows)
        passes = keys(seeds, epochs)
        grouped = scramble(passes + np.uint64(_GOLDEN))  # keys(seeds, epochs, 0)
        return _placed(self, self.order, self.ends, inside, self.bases[which], windows, grouped, passes)


def _placed(
    pool: Pool | Together, order: np.ndarray, ends: np.ndarray, inside: np.ndarray, base: np.ndarray,
    count: np.ndarray, seeds: np.ndarray, passes: np.ndarray,
) -> Places:  # fmt: skip
    """Window `inside` of a stretch of `count` windows from `base`, as a permutation with the seed has it, in the shard
    where it lies. A pass over a shard begins at a slot that (seed, epoch: `passes`, shard, copy) draws. Without a width
    each slot is a window, and the length a number that the pass draws: (shard, slot, number)."""
    found = _windows.places(
        np.ascontiguousarray(inside), base, count, seeds, passes, ends, order, pool.sizes, pool.single, pool.numbers,
        pool.slots, pool.width,
    )  # fmt: skip
    return Places(*np.frombuffer(found, np.int64).reshape(3, -1))


def _set(found: Places, rows: np.ndarray, some: Places) -> None:
    found.shard[rows], found.begin[rows], found.length[rows] = some.shard, some.begin, some.length


def together(sizes: dict[str, list[int]], files: int, room: int) -> int:
    """Shards of each pool that may be mixed at a time, so that all pools together have at most `files` open and, with
    the next group of each, `room` bytes on the disk. sizes: pool -> bytes of its shards. At least 1."""
    most = max(len(s) for s in sizes.values())
    for count in range(most, 1, -1):
        taken = [sorted(s, reverse=True)[: count if len(s) <= count else 2 * count] for s in sizes.values()]
        if sum(min(len(s), count) for s in sizes.values()) <= files and sum(map(sum, taken)) <= room:
            return count
    return 1
