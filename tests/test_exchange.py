"""What is sent arrives, whole and in order, through files and through Beam's packing."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline import exchange

VALUES = st.lists(st.integers(0, 2**64 - 1), max_size=40)


@given(VALUES, st.integers(1, 9))
def test_every_value_goes_to_the_range_of_its_key(values, count):
    table = np.array(values, np.uint64)
    places = exchange.place_of(table, count)
    pieces = exchange.split(table, places, count)
    assert sorted(v for _, p in pieces for v in p.tolist()) == sorted(values)
    for place, piece in pieces:
        assert [v * count >> 64 for v in piece.tolist() if (v >> 32) * count >> 32 != place] == []
        assert len(piece)
    assert [p for p, _ in pieces] == sorted({p for p, _ in pieces})


@given(VALUES)
def test_mix_is_one_to_one(values):
    mixed = exchange.mix(np.array(values, np.uint64))
    assert len(set(mixed.tolist())) == len(set(values))


def test_ranges_grow_with_the_entries_and_shrink_with_memory():
    assert exchange.ranges_for(0, 16, 1 << 30) == 1
    assert exchange.ranges_for(160_000_000, 16, 1 << 30) == 10
    assert exchange.ranges_for(10, 16, 0) >= 1


def produced(task: int, count: int) -> tuple[list, dict]:
    """Each task has for each place its own number so many times."""
    return [(p, np.full(task + p, task, np.uint64)) for p in range(count) if task + p], {"tasks": 1}


@pytest.mark.parametrize("element", [8, 24, 1 << 20])
def test_boxes_are_alike_whatever_the_way(tmp_path, monkeypatch, element):
    monkeypatch.setattr(exchange, "ELEMENT", element)
    files, beam = str(tmp_path / "files"), str(tmp_path / "beam")
    chunks: dict[int, list[bytes]] = {}
    for task in (2, 0, 1):
        assert exchange.post(task, produced, "x", files, {"count": 3}) == {"tasks": 1}
        packed, receipt = exchange.produce(task, produced, "x", beam, {"count": 3})
        assert receipt == {"tasks": 1}
        for place, chunk in packed:
            assert len(chunk) <= element + 16
            chunks.setdefault(place, []).insert(0, chunk)
    for place, found in chunks.items():
        assert exchange.arrive(place, found, produced, "x", beam, {}) == {}
    for place in range(3):
        want = [task for task in range(3) for _ in range(task + place)]
        for folder in (files, beam):
            assert exchange.inbox(folder, "x", place, np.dtype("<u8")).tolist() == want
    assert exchange.inbox(files, "x", 9, np.dtype("<u8")).tolist() == []
    assert exchange.inbox(files, "y", 0, np.dtype("<u8")).tolist() == []
