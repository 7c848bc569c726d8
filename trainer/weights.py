"""How often each language comes, over the steps of a run: shares that stay, or change along points; caps on epochs."""

import itertools
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np

from trainer.order import key, permute

BLOCK = 1 << 16
"""Samples in which the shares hold exactly."""

Shares = Mapping[str, float]


def apportion(weights: Shares, block: int = BLOCK) -> dict[str, int]:
    """Whole samples per language in a block, by largest remainders; each that has a share gets at least one."""
    exact = {k: w * block for k, w in sorted(weights.items())}
    counts = {k: max(1, int(v)) if v > 0 else 0 for k, v in exact.items()}
    order = sorted(exact, key=lambda k: (int(exact[k]) - exact[k], k))
    for k in order[: max(0, block - sum(counts.values()))]:
        counts[k] += 1
    while sum(counts.values()) > block:
        counts[max(counts, key=lambda k: (counts[k], k))] -= 1
    return counts


@dataclass(frozen=True)
class Weights:
    """Shares of the languages at points of a run, in a line between them. points: (sample, shares), ascending; before
    the first and after the last they stay. epochs: no language is to be seen more often in a run; 0: no matter."""

    points: tuple[tuple[int, Shares], ...]
    epochs: float = 0.0

    @property
    def languages(self) -> list[str]:
        return sorted({k for _, shares in self.points for k in shares})

    @property
    def is_constant(self) -> bool:
        return len(self.points) == 1

    def at(self, sample: int) -> dict[str, float]:
        """The shares at a sample, of sum 1."""
        found = {k: float(np.interp(sample, *self._line(k))) for k in self.languages}
        total = sum(found.values())
        return {k: v / total for k, v in found.items()}

    def _line(self, language: str) -> tuple[list[int], list[float]]:
        return [at for at, _ in self.points], [shares.get(language, 0.0) for _, shares in self.points]

    def mean(self, samples: int) -> dict[str, float]:
        """The shares over the whole of a run."""
        middles = (np.arange(256) + 0.5) * samples / 256
        each = [self.at(int(m)) for m in middles]
        return {k: float(np.mean([shares[k] for shares in each])) for k in self.languages}


def parse(text: str, batch: int, shares: Callable[[str], Shares]) -> Weights | None:
    """A setting: 'W', or 'W/STEP:W/STEP:W' for shares that change in a line between the steps; 'epochs=4' behind it,
    after a space, is the cap. '': None.

    shares: what makes a W into shares, mixture.parse_weights. batch: samples of a step. Errors: ValueError.
    """
    if not text:
        return None
    text, cap, epochs = text.strip().partition(" epochs=")
    if cap and (not epochs.replace(".", "", 1).isdecimal() or float(epochs) <= 0):
        raise ValueError(f"epochs={epochs} is no cap")
    first, *rest = text.split("/")
    points = [(0, dict(shares(first)))]
    for part in rest:
        step, colon, weights = part.partition(":")
        if not colon or not step.strip().isdecimal():
            raise ValueError(f"{part!r} is not STEP:WEIGHTS")
        points.append((int(step) * batch, dict(shares(weights))))
    if any(a >= b for (a, _), (b, _) in itertools.pairwise(points)):
        raise ValueError("the steps do not ascend")
    return Weights(tuple(points), float(epochs or 0))


def capped(weights: Weights, windows: Mapping[str, int], samples: int) -> Weights:
    """Weights with which no language is seen more often in `samples` than they allow; the others take what it leaves,
    in their proportions. windows: of an epoch of each language. Unchanged if all languages are at their cap."""
    limits = {k: weights.epochs * windows[k] / samples for k in weights.languages}
    if not weights.epochs or sum(limits.values()) <= 1:
        return weights
    for _ in range(100):
        mean = weights.mean(samples)
        factors = {k: min(1.0, limits[k] / v) if v else 1.0 for k, v in mean.items()}
        if min(factors.values()) > 0.9999:
            break
        free = {k: v for k, v in mean.items() if factors[k] == 1.0 and v < limits[k]}
        points = tuple((at, _scaled(shares, factors, free)) for at, shares in weights.points)
        weights = Weights(points, weights.epochs)
    return weights


def _scaled(shares: Shares, factors: Shares, free: Shares) -> dict[str, float]:
    """Shares times factors; what that leaves goes to the free languages, in the proportions that they have here, or
    else in those that they have over the run."""
    there = {k: shares.get(k, 0.0) for k in free}
    takers = there if sum(there.values()) else dict(free)
    found = {k: v * factors[k] for k, v in shares.items()}
    left = sum(shares.values()) - sum(found.values())
    for k, v in takers.items():
        found[k] = found.get(k, 0.0) + left * v / sum(takers.values())
    return found


class Pattern:
    """Which language each sample is of, and the how-manieth of it: exact in every block, in a seeded order."""

    def __init__(self, weights: Weights, seed: int):
        self.weights, self.seed = weights, seed
        self.languages = weights.languages
        self._before = (0, np.zeros(len(self.languages), np.int64))
        self._last: tuple[int, tuple[np.ndarray, np.ndarray]] = (-1, (np.zeros(0), np.zeros(0)))

    def sizes(self, block: int) -> np.ndarray:
        """(languages,) samples of each language in a block."""
        counts = apportion(self.weights.at(block * BLOCK + BLOCK // 2))
        return np.array([counts[k] for k in self.languages], np.int64)

    def before(self, block: int) -> np.ndarray:
        """(languages,) samples of each language in all blocks before this one: the state of a run, made again from the
        position. Constant shares: at once. Others: 30 us for each of the blocks in between."""
        if self.weights.is_constant:
            return block * self.sizes(0)
        at, sums = self._before if self._before[0] <= block else (0, np.zeros_like(self._before[1]))
        for number in range(at, block):
            sums = sums + self.sizes(number)
        self._before = (block, sums)
        return sums

    def block(self, number: int) -> tuple[np.ndarray, np.ndarray]:
        """For each sample of a block its language (index into `languages`) and how many samples of that language came
        before it in all. Both (BLOCK,) int64. The last one is kept: batches go through a block in order."""
        if self._last[0] != number:
            sizes = self.sizes(number)
            places = permute(np.arange(BLOCK), BLOCK, key(self.seed, number, 1))
            which = np.repeat(np.arange(len(sizes)), sizes)[places]
            before = np.empty(BLOCK, np.int64)
            before[np.argsort(which, kind="stable")] = np.arange(BLOCK) - np.repeat(np.cumsum(sizes) - sizes, sizes)
            self._last = (number, (which, before + self.before(number)[which]))
        return self._last[1]

    def at(self, index: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """(language, number within it) of samples: (n,) int64 each."""
        blocks = index // BLOCK
        if len(index) and blocks[0] == blocks[-1] and (blocks == blocks[0]).all():
            which, own = self.block(int(blocks[0]))
            return which[index % BLOCK], own[index % BLOCK]
        found = np.empty((2, len(index)), np.int64)
        for number in np.unique(blocks).tolist():
            rows = blocks == number
            found[:, rows] = [values[index[rows] % BLOCK] for values in self.block(number)]
        return found[0], found[1]
