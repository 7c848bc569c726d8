"""The compiled half writes what the plain definition here writes, and hostile numbers are errors."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from trainer import _windows, stream
from trainer.stream import CLS, OVERHEAD, SEP

SIZE, STOP, LINE, TRIES = 64, 5, 6, 16
ENDS = np.isin(np.arange(SIZE), [STOP, LINE]).astype(np.uint8)


def cuts(tokens: np.ndarray) -> tuple[int, int, int] | None:
    """Of the places behind sentences that end in the same tokens the widest three: two, and between them that nearest
    to the middle, in the middle half; the earlier ones of equals. None: none there, or fewer than 32 tokens."""
    ends = ENDS[tokens].astype(bool)
    found = (np.flatnonzero(ends[:-1] & ~ends[1:]) + 1).tolist()
    if len(tokens) < 32:
        return None
    kinds: dict = {}
    for at in found:
        begin = at
        while begin and ends[begin - 1]:
            begin -= 1
        kinds.setdefault(tuple(tokens[begin:at].tolist()), []).append(at)
    sets = [
        (last - first, -first, -abs(2 * middle - 2 * first - (last - first) // 2 * 2), -middle, (first, middle, last))
        for places in kinds.values() for first in set(places) & set(found[:TRIES]) for middle in places
        for last in places[-1:]
        if first < middle < last and first + (last - first) // 4 <= middle <= last - (last - first) // 4
    ]  # fmt: skip
    return max(sets)[-1] if sets else None


def window(tokens: np.ndarray, offsets: np.ndarray, begin: int, length: int, coin: int, order: bool, width: int):
    """(tokens, sequences, positions, types, pairs) of one window."""
    row = np.zeros((4, width), np.int64)
    at, pairs = 0, []
    for number, (_, first, end) in enumerate(stream.pieces(offsets, begin, length)):
        cut = cuts(tokens[first:end])
        swapped = bool(cut and order and coin >> (number % 64) & 1)
        head, one, two, tail = np.split(tokens[first:end], cut or [end - first] * 3)
        one, two = (two, one) if swapped else (one, two)
        parts = [np.r_[head, one], np.r_[two, tail]] if cut else [head]
        text = [CLS]
        kinds = [0]
        for kind, part in enumerate(parts):
            text += [*part.tolist(), SEP]
            kinds += [kind] * (len(part) + 1)
        pairs += [[at, int(swapped)]] if cut else []
        stop = at + len(text)
        row[:, at:stop] = text, [number + 1] * len(text), range(len(text)), kinds
        at = stop
    return row, pairs


def filled(tokens, offsets, begins, lengths, coins, order, width, ends=ENDS, rows=None):
    count = len(begins)
    out = [np.zeros((count, width), kind) for kind in (np.int32, np.int16, np.int32, np.int8)]
    pairs = _windows.fill(
        tokens, tokens.itemsize, offsets, ends, np.arange(count) if rows is None else rows, np.array(begins, np.int64),
        np.array(lengths, np.int64), np.array(coins, np.uint64), order, width, count, *out,
    )  # fmt: skip
    return out, np.frombuffer(pairs, np.int64).reshape(-1, 2).tolist()


@given(
    st.lists(st.integers(0, 150), min_size=1, max_size=12), st.integers(0, 1 << 32),
    st.sampled_from([16, 64, 100, 300]), st.sampled_from([np.uint16, np.uint32]), st.booleans(),
)  # fmt: skip
@settings(max_examples=300, deadline=None)
def test_windows_are_those_of_the_definition(lengths, seed, width, kind, order):
    rng = np.random.default_rng(seed)
    offsets = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int32)
    tokens = rng.integers(7, SIZE, offsets[-1]).astype(kind)
    tokens[rng.random(len(tokens)) < 0.1] = STOP
    tokens[rng.random(len(tokens)) < 0.06] = LINE
    total = int(offsets[-1]) + OVERHEAD * len(lengths)
    covered = min(width - OVERHEAD, total)
    begins, coins = rng.integers(0, total, 4), rng.integers(0, 1 << 63, 4).astype(np.uint64)
    out, pairs = filled(tokens, offsets, begins, [covered] * 4, coins, order, width)
    expected = []
    for b in range(4):
        row, found = window(tokens, offsets, int(begins[b]), covered, int(coins[b]), order, width)
        assert [o[b].tolist() for o in out] == row.tolist()
        expected += [[b * width + at, swapped] for at, swapped in found]
    assert pairs == expected


def test_form_does_not_tell_the_order():
    """Before the seams stand the same tokens, whether the segments changed places or not."""
    rng = np.random.default_rng(0)
    tokens = rng.integers(7, SIZE, 20_000).astype(np.uint16)
    tokens[rng.random(len(tokens)) < 0.05] = STOP
    tokens[rng.random(len(tokens)) < 0.05] = LINE
    begins, offsets = np.arange(0, 19_000, 131), np.array([0, len(tokens)], np.int32)
    count = len(begins)
    both = [filled(tokens, offsets, begins, [125] * count, [coin] * count, True, 128) for coin in (0, 1)]
    (kept, pairs), (moved, others) = both
    assert [at for at, _ in pairs] == [at for at, _ in others]
    assert len(pairs) > 100
    seen = set()
    for at, _ in pairs:
        ends = [row.ravel()[at : at + 128].tolist() for row in (kept[0], moved[0])]
        seams = [e[e.index(SEP) - 1] for e in ends]
        assert seams[0] == seams[1]
        assert sorted(ends[0]) == sorted(ends[1])
        seen |= set(seams)
    assert seen == {STOP, LINE}


def test_tokens_beyond_the_vocabulary_end_no_sentence():
    tokens = np.full(100, 60_000, np.uint16)
    _, pairs = filled(tokens, np.array([0, 100], np.int32), [0], [103], [0], True, 106)
    assert pairs == []


SOUND = {
    "tokens": np.full(100, 7, np.uint16), "offsets": np.array([0, 40, 100], np.int32), "begins": [0], "lengths": [50],
    "coins": [0], "order": True, "width": 53,
}  # fmt: skip


@pytest.mark.parametrize("change", [
    {"begins": [-1]}, {"begins": [106]}, {"begins": [1 << 62], "lengths": [1 << 62]},
    {"lengths": [-1]}, {"lengths": [107]}, {"lengths": [1 << 62]}, {"width": 40},
    {"rows": np.array([1])}, {"rows": np.array([-1])},
    {"offsets": np.array([0, 40, 90], np.int32), "begins": [95]}, {"offsets": np.array([0, 99, 40], np.int32)},
    {"offsets": np.array([0, -5, 100], np.int32)}, {"offsets": np.array([0, 1 << 30, 100], np.int32)},
    {"offsets": np.zeros(0, np.int32)}, {"coins": [0, 0]}, {"lengths": [50, 50]}, {"rows": np.array([0, 0])},
    {"tokens": np.zeros(0, np.uint16)},
])  # fmt: skip
def test_numbers_that_do_not_fit_are_errors(change):
    filled(**SOUND)
    try:
        filled(**{**SOUND, **change})
    except ValueError:
        return
    assert "offsets" in change, "only documents that are not looked at may be out of order"


def test_arrays_of_another_size_are_errors():
    out = [np.zeros((1, 53), kind) for kind in (np.int32, np.int16, np.int32, np.int8)]
    for k in range(4):
        wrong = [o[:, :-1].copy() if n == k else o for n, o in enumerate(out)]
        with pytest.raises(ValueError, match="bytes"):
            _windows.fill(
                SOUND["tokens"], 2, SOUND["offsets"], ENDS, np.zeros(1, np.int64), np.zeros(1, np.int64),
                np.full(1, 50), np.zeros(1, np.uint64), True, 53, 1, *wrong,
            )  # fmt: skip


def test_rows_are_gathered_round_the_rings():
    shards = (np.arange(10, dtype=np.uint16), np.arange(100, 103, dtype=np.uint16))
    out = np.zeros((3, 7), np.uint16)
    _windows.gather(shards, 2, np.array([0, 1, 0]), np.array([2, 2, 8]), 7, out)
    assert out.tolist() == [[2, 3, 4, 5, 6, 7, 8], [102, 100, 101, 102, 100, 101, 102], [8, 9, 0, 1, 2, 3, 4]]


@pytest.mark.parametrize(("which", "begin", "rows", "size"), [
    (2, 0, 1, 2), (-1, 0, 1, 2), (0, 10, 1, 2), (0, -1, 1, 2), (0, 0, 2, 2), (0, 0, 1, 0), (0, 0, 1, 4), (1, 0, 1, 2),
])  # fmt: skip
def test_rows_outside_of_shards_are_errors(which, begin, rows, size):
    shards = (np.arange(10, dtype=np.uint16), np.zeros(0, np.uint16))
    with pytest.raises(ValueError, match=r"outside|bytes|no windows"):
        _windows.gather(shards, size, np.full(rows, which), np.full(rows, begin), 7, np.zeros((1, 7), np.uint16))
