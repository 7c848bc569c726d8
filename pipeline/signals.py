"""text -> Signals: the numbers that rules look at, measured once, judged later (selection.py).

Definitions stand beside the fields in corpus/document.py. Everything is linear in the text but for two sorts (of the
lines' and of the word runs' hashes), so that no page can make it slow; hashes are 64 bits wide, and a collision would
only shift a share a little.
"""

import functools

import numpy as np
import xxhash

from corpus.document import Signals
from pipeline import words

RUN = 5
"""Words in the runs whose repetition is measured (Gopher, arXiv:2112.11446, looks at 5 to 10; 5 sees most)."""
SHORT_LINE = 30
"""Code points; longer lines are hardly ever menu entries."""

BULLETS = frozenset("•‣⁃∙●○◦◘■□▪▫◆◇►▶▸▹➤➢➔→★☆✓✔✗❖·・※¤»›")
DASHES = frozenset("-–—―*+")
"""Bullets only with a space behind them."""
ELLIPSES = ("...", "…")

_MIX = np.uint64(0x9E3779B97F4A7C15)
_STEP = np.uint64(0xD6E8FEB86659FD93)  # odd, so that its powers have inverses modulo 2**64
_PAGE = 1 << 16  # characters for which the powers are kept
_UNSTEP = np.uint64(pow(int(_STEP), -1, 1 << 64))


def measure(text: str) -> Signals:
    """The signals of a clean text."""
    points = words.codes(text)
    bits = words.classes()[points]
    starts, ends = words.spans(points)
    lines = words.lines(text)
    signals = Signals(characters=len(points), words=len(starts), lines=len(lines))
    signals.placeholder = "lorem ipsum" in text.lower()
    _measure_characters(signals, text, bits)
    if len(starts):
        _measure_words(signals, points, bits, starts, ends)
    if lines:
        _measure_lines(signals, lines)
    return signals


def _measure_characters(signals: Signals, text: str, bits: np.ndarray) -> None:
    visible = len(bits) - int(np.count_nonzero(bits & words.SPACE))
    signals.digit_characters = int(np.count_nonzero(bits & words.DIGIT)) / max(1, visible)
    symbols = text.count("#") + sum(text.count(sign) for sign in ELLIPSES)
    signals.symbols_per_word = symbols / max(1, signals.words)


def _measure_words(
    signals: Signals, points: np.ndarray, bits: np.ndarray, starts: np.ndarray, ends: np.ndarray
) -> None:
    count = len(starts)
    signals.mean_word_length = int((ends - starts).sum()) / count
    letters = np.concatenate(([0], np.cumsum(bits & words.LETTER != 0, dtype=np.int32)))
    signals.letter_words = int(np.count_nonzero(letters[ends] > letters[starts])) / count
    signals.repeated_words = repeated_words(word_hashes(points, starts, ends)) / count


def _powers(base: np.uint64, count: int) -> np.ndarray:
    """(count,) uint64: base ** 0, 1, 2, ... modulo 2**64."""
    if count <= _PAGE:
        return _page_powers(base)[:count]
    powers = np.full(count, base, np.uint64)
    powers[0] = 1
    return np.cumprod(powers, out=powers)


@functools.cache
def _page_powers(base: np.uint64) -> np.ndarray:
    powers = np.cumprod(np.full(_PAGE, base, np.uint64))
    return np.concatenate(([np.uint64(1)], powers[:-1]))


def word_hashes(points: np.ndarray, starts: np.ndarray, ends: np.ndarray) -> np.ndarray:
    """(words,) uint64: a hash of each word's code points, the same on every machine.
    The polynomial over the whole text is summed up once; a word is a difference, shifted back to exponent 0."""
    mixed = points * _MIX  # uint64
    mixed ^= mixed >> np.uint64(29)
    mixed *= _powers(_STEP, len(points))
    sums = np.cumsum(mixed, out=mixed)
    hashes = sums[ends - 1] - np.where(starts > 0, sums[starts - 1], np.uint64(0))
    hashes *= _powers(_UNSTEP, len(points))[starts]
    hashes ^= hashes >> np.uint64(31)
    return hashes * _MIX


def repeated_words(hashes: np.ndarray) -> int:
    """How many words stand in a run of RUN words that was seen before."""
    count = len(hashes) - RUN + 1
    if count < 2:
        return 0
    runs = np.zeros(count, np.uint64)
    for place in range(RUN):
        runs = runs * _STEP + hashes[place : place + count]
    runs ^= runs >> np.uint64(32)
    order = np.argsort(runs, kind="stable")
    ranked = runs[order]
    again = order[1:][ranked[1:] == ranked[:-1]]  # stable: the first occurrence comes first
    edges = np.zeros(len(hashes) + 1, np.int32)
    np.add.at(edges, again, 1)
    np.add.at(edges, again + RUN, -1)
    return int(np.count_nonzero(np.cumsum(edges[:-1])))


def _measure_lines(signals: Signals, lines: list[str]) -> None:
    count = len(lines)
    signals.bullet_lines = sum(map(_is_bullet, lines)) / count
    cut = [line.endswith(ELLIPSES) for line in lines]
    signals.cut_lines = sum(cut) / count
    signals.ended_lines = sum(words.is_ended(line) for line, c in zip(lines, cut, strict=True) if not c) / count
    lengths = np.fromiter(map(len, lines), np.int64, count)
    signals.short_lines = int(np.count_nonzero(lengths <= SHORT_LINE)) / count
    again = _seen_before(lines)
    signals.repeated_lines = int(np.count_nonzero(again)) / count
    signals.repeated_line_characters = int(lengths[again].sum()) / int(lengths.sum())


def _is_bullet(line: str) -> bool:
    return line[0] in BULLETS or (line[0] in DASHES and line[1:2] == " ")


def _seen_before(lines: list[str]) -> np.ndarray:
    """(lines,) bool: whether an equal line stands above."""
    hashes = np.fromiter((xxhash.xxh3_64_intdigest(line.encode("utf-8", "surrogatepass")) for line in lines), np.uint64)
    _, first = np.unique(hashes, return_index=True)
    again = np.ones(len(lines), bool)
    again[first] = False
    return again
