"""Which documents share text with evaluation sets: runs of 13 words, as GPT-3 (arXiv:2005.14165, appendix C) and C4's
users look for them; of 26 characters in scripts without spaces, where a word is a character.

An evaluation set is a JSON Lines file; every string in a row is a text of it, however deep. Case, punctuation and white
space do not count. Texts shorter than a run but not than SHORT count as a whole: they match where they stand word for
word. Still shorter ones (answers, labels) are left out and counted.
"""

import json
import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import xxhash

from corpus import storage
from corpus.terminal import UserError
from pipeline import clusters, duplicates, words

COLUMN = "contaminated"
SETS = "evaluation_sets"
"""The table of settings.toml that names them."""
RUN, UNSPACED_RUN = 13, 26
SHORT = 8
"""Words of a text that is looked for as a whole; of twice as many characters in scripts without spaces."""
_FACTORS = duplicates._splitmix(UNSPACED_RUN, 6) | np.uint64(1)
_FILTER_BITS = 22


@dataclass(frozen=True)
class Sets:
    """Evaluation sets: `names`; of each width the sorted hashes of runs and, beside them, bit sets of the names that
    have them; texts and those too short to look for, by name. At most 64 sets."""

    names: tuple[str, ...]
    runs: dict[int, tuple[np.ndarray, np.ndarray]]
    texts: dict[str, int]
    too_short: dict[str, int]

    @property
    def digest(self) -> str:
        parts = [repr(self.names).encode()]
        parts += [bytes(a.data) for width in sorted(self.runs) for a in self.runs[width]]
        return xxhash.xxh3_128_hexdigest(b"|".join(parts))


def runs(hashes: np.ndarray, width: int) -> np.ndarray:
    """(words,) uint64 -> (runs,) uint64: a hash of each run of `width` words; none if there are fewer."""
    count = len(hashes) - width + 1
    if count <= 0:
        return np.zeros(0, np.uint64)
    with np.errstate(over="ignore"):
        total = np.full(count, width, np.uint64)
        for k in range(width):
            total += hashes[k : k + count] * _FACTORS[k]
        return total ^ (total >> np.uint64(29))


def _width(text: str, count: int) -> int:
    """The width of the runs of a text of an evaluation set; 0: too short."""
    points = words.codes(text)
    unspaced = np.count_nonzero(words.classes()[points] & words.UNSPACED) > len(points) / 3
    whole, short = (UNSPACED_RUN, 2 * SHORT) if unspaced else (RUN, SHORT)
    return min(whole, count) if count >= short else 0


def load(paths: Iterable[str]) -> Sets:
    """Errors: UserError for a file that is no JSON Lines, or more than 64 of them."""
    found: dict[int, dict[int, int]] = {}
    names, texts, too_short = [], {}, {}
    for number, path in enumerate(sorted(paths)):
        name = os.path.basename(path).partition(".")[0]
        if name in names or number >= 64:
            fact = "two evaluation sets of one name" if name in names else "more than 64 evaluation sets"
            raise UserError(f"{path}: {fact}; rename or join them")
        names.append(name)
        texts[name] = too_short[name] = 0
        for text in _texts(path):
            hashes = _hashes(text)
            width = _width(text, len(hashes))
            texts[name] += 1
            too_short[name] += not width
            table = found.setdefault(width, {}) if width else {}
            for value in runs(hashes, width).tolist() if width else ():
                table[value] = table.get(value, 0) | 1 << number
    packed = {w: _pack(t) for w, t in sorted(found.items())}
    return Sets(tuple(names), packed, texts, too_short)


def _pack(table: dict[int, int]) -> tuple[np.ndarray, np.ndarray]:
    keys = np.array(sorted(table), np.uint64)
    return keys, np.array([table[k] for k in keys.tolist()], np.uint64)


def _texts(path: str) -> Iterator[str]:
    try:
        lines = storage.read(path).decode("utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"{path}: {getattr(error, 'strerror', None) or error}; name a JSON Lines file") from None
    for number, line in enumerate(lines, 1):
        if line.strip():
            try:
                yield from _strings(json.loads(line))
            except (ValueError, RecursionError):
                raise UserError(f"{path}: line {number} is no JSON; name a JSON Lines file") from None


def _strings(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict | list):
        for one in value.values() if isinstance(value, dict) else value:
            yield from _strings(one)


def _hashes(text: str) -> np.ndarray:
    """(words,) uint64"""
    return duplicates.word_hashes(text)


class Finder:
    """Looks for the runs of evaluation sets in texts."""

    def __init__(self, sets: Sets):
        self.sets = sets
        self.filters = {}
        for width, (keys, _) in sets.runs.items():
            table = np.zeros(1 << _FILTER_BITS, bool)
            table[keys >> np.uint64(64 - _FILTER_BITS)] = True
            self.filters[width] = table

    def marks(self, text: str) -> int:
        """The sets with which a text shares a run, as a bit set by the place of their names."""
        return self.marks_of(_hashes(text))

    def marks_of(self, hashes: np.ndarray) -> int:
        """The same from the hashes of its words, (words,) uint64."""
        bits = 0
        for width, (keys, owners) in self.sets.runs.items():
            found = runs(hashes, width)
            found = found[self.filters[width][found >> np.uint64(64 - _FILTER_BITS)]]
            if len(found) and (here := clusters.among(found, keys)).any():
                bits |= int(np.bitwise_or.reduce(owners[np.searchsorted(keys, found[here])]))
        return bits


def column(texts: Sequence[str], finder: Finder) -> np.ndarray:
    """(documents,) uint64: the marks of texts, for a column beside the documents."""
    return np.array([finder.marks(text) for text in texts], np.uint64)


def recorded(sets: Iterable[tuple[str, int, int]]) -> dict[str, list]:
    """Names in the order of their bits, texts, texts too short to look for, as settings.toml keeps them."""
    names, texts, too_short = zip(*sets, strict=True)
    return {"names": list(names), "texts": list(texts), "too_short": list(too_short)}


def named(mark: int, names: Sequence[str]) -> list[str]:
    """The sets of a mark."""
    return [name for k, name in enumerate(names) if mark >> k & 1]


def count(marks: np.ndarray, names: Sequence[str]) -> dict[str, int]:
    """How many documents share text with each set."""
    return {name: int(np.count_nonzero(marks >> np.uint64(k) & np.uint64(1))) for k, name in enumerate(names)}
