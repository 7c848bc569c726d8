"""Orders are bijections that look random, keep to their groups, and show every window as often as its copies say."""

from dataclasses import dataclass

import numpy as np
import pytest

from trainer import _windows, order
from trainer.order import Pool, Together


@dataclass(frozen=True)
class Info:
    copies: int


def feistel(index: int, count: int, seed: int) -> int:
    """The definition, in Python."""
    half = ((count - 1).bit_length() + 1) // 2 or 1
    while True:
        left, right = index >> half, index & (1 << half) - 1
        for k in range(6):
            mixed = order.scramble(np.array([right + order.key(seed, k) & order._FULL], np.uint64))
            left, right = right, left ^ int(mixed[0]) & (1 << half) - 1
        index = left << half | right
        if index < count:
            return index


@pytest.mark.parametrize("count", [1, 2, 3, 7, 64, 1000, 4097])
def test_permutation_is_a_bijection(count):
    found = order.permute(np.arange(count), count, 7)
    assert sorted(found) == list(range(count))


def test_permutation_looks_random():
    """Mean displacement of a uniform permutation is a third of the length; neighbours do not stay together."""
    count = 30_000
    found = order.permute(np.arange(count), count, 3)
    assert abs(np.abs(found - np.arange(count)).mean() / count - 1 / 3) < 0.01
    assert abs(np.corrcoef(found, np.arange(count))[0, 1]) < 0.02
    assert (np.abs(np.diff(found)) < 10).mean() < 0.002
    assert (found == order.permute(np.arange(count), count, 4)).sum() < 10


def test_key_equals_scramble():
    values = np.array([(5 + 1) * 0x9E3779B97F4A7C15 & (1 << 64) - 1], np.uint64)
    assert order.key(5) == int(order.scramble(values)[0])


@pytest.mark.parametrize("count", [1, 2, 5, 100, 1 << 40])
def test_permutation_equals_its_definition(count):
    index = np.unique(np.linspace(0, count - 1, 20).astype(np.int64))
    assert order.permute(index, count, 9).tolist() == [feistel(int(i), count, 9) for i in index]


def test_permutation_takes_a_count_and_a_seed_for_each():
    counts, seeds = np.array([3, 3, 70]), np.array([1, 2, 2], np.uint64)
    found = order.permute(np.array([2, 2, 69]), counts, seeds)
    assert found.tolist() == [feistel(2, 3, 1), feistel(2, 3, 2), feistel(69, 70, 2)]


@pytest.mark.parametrize("index", [[3], [-1]])
def test_permutation_refuses_what_is_out_of_range(index):
    with pytest.raises(ValueError, match="outside"):
        order.permute(np.array(index), 3, 0)
    with pytest.raises(ValueError, match="bytes"):
        _windows.permute(np.zeros(2, np.int64), np.ones(1, np.int64), np.zeros(2, np.uint64))


def test_keys_are_key_of_each_place():
    found = order.keys(7, np.array([0, 5, 1 << 40]), 3)
    assert found.tolist() == [order.key(7, v, 3) for v in (0, 5, 1 << 40)]


def shards(count: int, seed: int = 0) -> tuple[list[Info], list[int], list[int]]:
    """(copies, numbers, slots) of some shards."""
    rng = np.random.default_rng(seed)
    return (
        [Info(int(c)) for c in rng.integers(1, 4, count)],
        list(range(10, 10 + count)),
        rng.integers(50, 900, count).tolist(),
    )


@pytest.mark.parametrize("together", [1, 3, 4, 20, 256])
def test_every_window_of_a_shard_comes_as_often_as_its_copies(together):
    """Slots are seen evenly: each pass over a ring sees all of them, the seam twice."""
    infos, numbers, slots = shards(20)
    pool = Pool(infos, numbers, slots, 50, 3, together)
    for epoch in (0, 1):
        places = pool.places(np.arange(pool.windows) + epoch * pool.windows)
        for info, number, total in zip(infos, numbers, slots, strict=True):
            own = places[places.shard == number]
            seen = np.zeros(total, int)
            for begin in own.begin.tolist():
                seen[np.arange(begin, begin + 50) % total] += 1
            assert len(own) == info.copies * order.ring_windows(total, 50)
            assert seen.min() >= info.copies
            assert seen.sum() - info.copies * total < info.copies * 50


def test_shards_are_mixed_in_groups_and_in_another_order_each_epoch():
    pool = Pool(*shards(20), 50, 3, 4)
    orders = []
    for epoch in (0, 1):
        begins, stops = pool.groups(epoch)
        assert len(begins) == 5
        places = pool.places(np.arange(pool.windows) + epoch * pool.windows)
        members = [set(places.shard[b:s].tolist()) for b, s in zip(begins, stops, strict=True)]
        assert all(len(m) == 4 for m in members)
        assert set.union(*members) == set(pool.numbers.tolist())
        orders.append(members)
    assert orders[0] != orders[1]


def test_the_shards_that_come_next_are_known():
    pool = Pool(*shards(10), 50, 3, 4)
    begins, stops = pool.groups(0)
    used = [set(pool.places(np.arange(b, s)).shard.tolist()) for b, s in zip(begins, stops, strict=True)]
    assert set(pool.ahead(0)) == used[0] | used[1]
    after = set(pool.places(np.arange(pool.windows, pool.windows + int(pool.groups(1)[1][0]))).shard.tolist())
    assert set(pool.ahead(pool.windows - 1)) == used[2] | after


@pytest.mark.parametrize("mixed", [2, 256])
@pytest.mark.parametrize("width", [0, 50])
def test_several_pools_at_a_time_are_as_each_alone(mixed, width):
    """Some of them in groups, some not."""
    pools = [Pool(*shards(n, n), width, 100 + n, mixed) for n in (1, 2, 5, 3)]
    rng = np.random.default_rng(1)
    which, own = rng.integers(0, 4, 500), rng.integers(0, 5000, 500)
    found = Together(pools).places(which, own)
    for number, pool in enumerate(pools):
        alone, rows = pool.places(own[which == number]), which == number
        assert (found.shard[rows] == alone.shard).all()
        assert (found.begin[rows] == alone.begin).all()
        assert (found.length[rows] == alone.length).all()


def quality(output: np.ndarray) -> tuple[float, float]:
    """(rank correlation with the place on the disk, mean displacement as a share of all)."""
    count = len(output)
    places = np.arange(count)
    return float(np.corrcoef(output, places)[0, 1]), float(np.abs(output - places).mean() / count)


@pytest.mark.parametrize("together", [8, 64])
def test_mixing_in_groups_is_measured(together):
    """64 equal shards, their windows numbered as they lie: the order is a random one of shards, then of windows in a
    group; displacement is near a third whatever the group, since the shards' own order is random too."""
    pool = Pool([Info(1)] * 64, list(range(64)), [5000] * 64, 50, 3, together)
    places = pool.places(np.arange(pool.windows))
    stored = places.shard * 100 + (places.begin - places.begin % 50) // 50
    for part in (slice(None), slice(-pool.windows // 4, None)):  # to the end of the epoch
        correlation, _ = quality(np.argsort(np.argsort(stored[part])))
        assert abs(correlation) < 0.35
    assert abs(quality(np.argsort(np.argsort(stored)))[1] - 1 / 3) < 0.1
    pairs = [np.equal.outer(b, b).sum() - len(b) for b in places.shard[:6400].reshape(100, 64)]
    share = sum(pairs) / (100 * 64 * 63)
    assert share == pytest.approx(1 / together, rel=0.15)  # of the pairs in a batch that are of one shard


def test_how_many_shards_fit():
    assert order.together({"a": [1] * 300}, 256, 1 << 60) == 256
    assert order.together({"a": [1] * 300, "b": [1] * 10}, 256, 1 << 60) == 246
    assert order.together({"a": [10] * 8}, 256, 160) == 8
    assert order.together({"a": [10] * 9}, 256, 80) == 4  # the group and the next
    assert order.together({"a": [10] * 9}, 256, 5) == 1
