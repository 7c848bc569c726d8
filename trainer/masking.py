"""Which tokens the generator has to fill in: whole words, drawn without replacement, in exact number.

Everything random is a hash of (seed, sample index, place), so a window gets the same masks in whichever batch and
process it stands. (The reference implementation of ELECTRA draws with replacement; a place drawn twice with two
samples then gets the mean of two token ids. Not so here.)
"""

import itertools
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from trainer.stream import MASK, key, scramble

HIDDEN = 0.85  # share of the chosen tokens that become [MASK]; the others stay (ELECTRA, arXiv:2003.10555)
LONGEST = 8  # pieces; a longer run without a word start (URL, digits) is cut, or it could never be chosen

STOPS = 0.55  # chance that a run of words ends behind a word
CROP = 0.1  # share of a sequence that its second view leaves out

UNSPACED = ("CJK", "HIRAGANA", "KATAKANA", "THAI", "LAO", "KHMER", "MYANMAR", "TIBETAN", "JAVANESE", "BALINESE")
"""How Unicode names the letters of scripts that put no spaces between words."""


@dataclass(frozen=True)
class Masks:
    """inputs: (B, S) int32, the tokens with [MASK]. chosen: (R,) int64, flat places b * S + s, ascending.
    noise: (R,) int32, seeds of the generator's samples at these places."""

    inputs: np.ndarray
    chosen: np.ndarray
    noise: np.ndarray


def word_starts(word_start: np.ndarray, pieces: Sequence[str]) -> np.ndarray:
    """word_start, and in scripts without spaces every piece: its segmentation comes nearest to words there.

    word_start: (vocabulary,) bool, the piece begins with a space. pieces: their texts."""
    unspaced = [any(unicodedata.name(c, "").startswith(UNSPACED) for c in p if c.isalpha()) for p in pieces]
    return word_start | np.array(unspaced, bool)


def words(tokens: np.ndarray, word_start: np.ndarray, special: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(flat places of the tokens that may be masked, number of the word that each belongs to, from 0).

    tokens: (B, S). A word ends at the next word start, at a special token and at the window's edge."""
    flat = tokens.reshape(-1)
    free = ~special[flat]
    places = np.flatnonzero(free)
    if not len(places):
        return places, places
    starts = word_start[flat[places]] | (np.diff(places, prepend=-2) > 1) | (places % tokens.shape[1] == 0)
    begun = np.maximum.accumulate(np.where(starts, np.arange(len(places)), 0))
    starts |= (np.arange(len(places)) - begun) % LONGEST == 0
    return places, np.cumsum(starts) - 1


def grams(word: np.ndarray, joined: np.ndarray, order: np.ndarray, most: int) -> np.ndarray:
    """Word of each token -> its run of one to `most` words: a run goes on with chance 1 - STOPS, so that lengths
    up to 3 have shares of .55, .25, .20 (ALBERT's 1/n: .55, .27, .18). joined: (words,) bool, the word follows the one
    before it without a gap. order: (words,) uint64, random. Returns numbers of runs from 0, (tokens,)."""
    if most <= 1 or not len(word):
        return word
    starts = ~joined | (order >> np.uint64(40) < np.uint64(STOPS * (1 << 24)))
    count = np.arange(len(starts))
    begun = np.maximum.accumulate(np.where(starts, count, 0))
    starts |= (count - begun) % most == 0
    return (np.cumsum(starts) - 1)[word]


def crop(sequences: np.ndarray, index: np.ndarray, seed: int) -> np.ndarray:
    """(B, S) bool: a tenth of the tokens of each sequence, at its beginning and end, but never its [CLS]: a second
    view keeps a random run of nine tenths (COCO-LM, arXiv:2102.08473). sequences: (B, S), 0 is padding."""
    found = np.zeros(sequences.shape, bool)
    for b, row in enumerate(sequences):
        bounds = np.flatnonzero(np.diff(row, prepend=-1, append=-1))
        for number, (begin, end) in enumerate(itertools.pairwise(bounds)):
            left_out = int((end - begin - 1) * CROP)
            if row[begin] and left_out:
                first = key(seed, int(index[b]), 5, number) % (left_out + 1)
                found[b, begin + 1 : begin + 1 + first] = found[b, end - left_out + first : end] = True
    return found


def draw(lengths: np.ndarray, owner: np.ndarray, order: np.ndarray, wanted: np.ndarray) -> np.ndarray:
    """Words in random order until each window has `wanted` tokens, skipping those that no longer fit.

    lengths, owner (window), order (64 random bits): (words,). wanted: (windows,). Returns (words,) bool. If whole words
    do not add up to the number, the rest is left out or one word more taken, whichever is nearer; at least one word.
    """
    taken = np.zeros(len(lengths), bool)
    left = wanted.copy()
    queue = _queue(order, owner, len(wanted))
    sums = np.cumsum(lengths[queue])
    counts = np.bincount(owner, minlength=len(wanted))
    before = np.concatenate([[0], sums])[np.cumsum(counts) - counts]
    taken[queue[sums - before[owner[queue]] <= wanted[owner[queue]]]] = True
    np.subtract.at(left, owner[taken], lengths[taken])
    queue = queue[~taken[queue]]
    while len(queue := queue[lengths[queue] <= left[owner[queue]]]):
        first = queue[np.unique(owner[queue], return_index=True)[1]]
        taken[first] = True
        left[owner[first]] -= lengths[first]
        queue = queue[~taken[queue]]
    return taken | _one_more(lengths, owner, order, taken, left, wanted)


def _queue(order: np.ndarray, owner: np.ndarray, windows: int) -> np.ndarray:
    """The words by window, those of a window by the first bits of their order and then their number. All three in one
    integer: such are sorted 2.6 times as fast as np.lexsort sorts columns."""
    low = len(order).bit_length()
    middle = 64 - low - windows.bit_length()
    keys = owner.astype(np.uint64) << np.uint64(low + middle)
    keys |= order >> np.uint64(64 - middle) << np.uint64(low)
    keys |= np.arange(len(order), dtype=np.uint64)
    keys.sort()
    return (keys & np.uint64((1 << low) - 1)).astype(np.int64)


def _one_more(lengths, owner, order, taken, left, wanted) -> np.ndarray:
    """The shortest word left in each window, where it comes nearer to the number than leaving it out."""
    more = np.zeros(len(lengths), bool)
    rest = np.flatnonzero(~taken & (left[owner] > 0))
    rest = rest[np.lexsort((order[rest], lengths[rest], owner[rest]))]
    shortest = rest[np.unique(owner[rest], return_index=True)[1]]
    lacking = left[owner[shortest]]
    empty = lacking == wanted[owner[shortest]]
    more[shortest[(lengths[shortest] - lacking < lacking) | empty]] = True
    return more


def mask(
    tokens: np.ndarray, index: np.ndarray, word_start: np.ndarray, special: np.ndarray, share: float, seed: int,
    ngram: int = 1,
) -> Masks:  # fmt: skip
    """tokens: (B, S) windows of the samples `index` (B,). word_start, special: (vocabulary,) bool. ngram: most words
    that are chosen as one; in scripts without spaces a word is a piece, so that runs of pieces are chosen.

    A window gets round(share * its tokens that are not special) chosen tokens, as near as whole words allow."""
    batch, length = tokens.shape
    keys = np.array([key(seed, int(i), 3) for i in index], np.uint64)
    places, word = words(tokens, word_start, special)
    window = places // length
    word = _runs(places, word, keys, length, ngram)
    lengths = np.bincount(word) if len(word) else np.zeros(0, np.int64)
    firsts = np.flatnonzero(np.diff(word, prepend=-1))
    owner = window[firsts]
    order = scramble(keys[owner] + (places[firsts] % length).astype(np.uint64))
    wanted = np.floor(share * np.bincount(window, minlength=batch) + 0.5).astype(np.int64)
    wanted = np.maximum(wanted, (np.bincount(window, minlength=batch) > 0).astype(np.int64))
    chosen = places[draw(lengths, owner, order, wanted)[word]]
    bits = scramble(scramble(keys[chosen // length] + (chosen % length).astype(np.uint64)) + np.uint64(1))
    inputs = tokens.copy()
    hidden = (bits >> np.uint64(40)) < np.uint64(HIDDEN * (1 << 24))
    inputs.reshape(-1)[chosen[hidden]] = MASK
    noise = (bits & np.uint64(0xFFFFFFFF)).astype(np.uint32).view(np.int32)
    return Masks(inputs, chosen, noise)


def _runs(places: np.ndarray, word: np.ndarray, keys: np.ndarray, length: int, ngram: int) -> np.ndarray:
    """Tokens' words -> their runs of words; see grams."""
    if ngram <= 1 or not len(word):
        return word
    firsts = np.flatnonzero(np.diff(word, prepend=-1))
    begin = places[firsts]
    joined = np.r_[False, np.diff(places)[firsts[1:] - 1] == 1] & (begin % length > 0)
    order = scramble(scramble(keys[begin // length] + (begin % length).astype(np.uint64)) + np.uint64(2))
    return grams(word, joined, order, ngram)
