"""The key exchange: packed arrays that many tasks write and that meet by destination.

A task's output for one exchange (`label`) is one file, its box: an index, then the data of one destination after the
other. Destinations read their slices out of all boxes. On a cluster the same arrays may travel through Beam's
GroupByKey instead; then a destination's box is written where they arrive, and reads alike. What a destination gets does
not depend on the way, nor on the order of arrival: slices are joined in the order of their sources.
"""

import os
import struct
from collections.abc import Callable, Iterable, Iterator

import numpy as np

from corpus import storage

Pieces = list[tuple[int, np.ndarray]]
"""(destination, packed values), destinations ascending."""

_ENTRY = np.dtype([("place", "<u8"), ("start", "<u8"), ("length", "<u8")])
_SOURCE, _HEAD = struct.Struct("<Q"), struct.Struct("<QQ")
ELEMENT = 8 << 20
"""Bytes of an element on its way through Beam, at most."""


def ranges_for(entries: int, width: int, memory: int) -> int:
    """How many ranges keep the entries of one, `width` bytes each, and their sorting, within `memory` bytes."""
    return max(1, -(-entries * width * 4 // max(1, memory)))


def place_of(hashes: np.ndarray, count: int) -> np.ndarray:
    """(n,) uint64 hashes -> the range, of `count`, into which the upper half of each falls."""
    return (((hashes >> np.uint64(32)) * np.uint64(count)) >> np.uint64(32)).astype(np.uint32)


def mix(values: np.ndarray) -> np.ndarray:
    """(n,) uint64 -> well-spread uint64, one to one (Murmur3's finalizer)."""
    with np.errstate(over="ignore"):
        z = values ^ (values >> np.uint64(33))
        z = z * np.uint64(0xFF51AFD7ED558CCD)
        z ^= z >> np.uint64(33)
        z *= np.uint64(0xC4CEB9FE1A85EC53)
        return z ^ (z >> np.uint64(33))


def split(values: np.ndarray, places: np.ndarray, count: int) -> Pieces:
    """Values by destination, in their order."""
    if count == 1:
        return [(0, values)] if len(values) else []
    narrow = places.astype(np.uint16) if count <= 1 << 16 else places  # sorted by radix
    order = np.argsort(narrow, kind="stable")
    values, narrow = values[order], narrow[order]
    bounds = np.searchsorted(narrow, np.arange(count + 1))
    return [(p, values[bounds[p] : bounds[p + 1]]) for p in range(count) if bounds[p] < bounds[p + 1]]


# --- boxes --------------------------------------------------------------------------------------------------------


def write(path: str, pieces: Iterable[tuple[int, np.ndarray | bytes]]) -> None:
    """A box with its index. Scratch: whole or not there, but not forced onto the disk."""
    data = [(place, _view(v)) for place, v in pieces]
    lengths = np.array([len(d) for _, d in data], np.uint64)
    index = np.zeros(len(data), _ENTRY)
    index["place"], index["length"] = [p for p, _ in data], lengths
    index["start"] = 8 + index.nbytes + np.cumsum(lengths) - lengths
    scratch(path, [_SOURCE.pack(len(data)), index.tobytes(), *(d for _, d in data)])


def _view(values: np.ndarray | bytes) -> memoryview | bytes:
    if isinstance(values, bytes) or not len(values):
        return bytes(values)
    return np.ascontiguousarray(values).view(np.uint8).reshape(-1).data


def scratch(path: str, blocks: Iterable) -> None:
    """Write blocks of bytes one after the other: whole under `path` or not there."""
    if storage.is_remote(path):
        storage.write(path, b"".join(bytes(b) for b in blocks))
        return
    folder, name = os.path.split(path)
    os.makedirs(folder, exist_ok=True)
    temporary = os.path.join(folder, f"{storage.TEMPORARY}{os.getpid()}-{name}")
    with open(temporary, "wb", buffering=0) as file:
        for block in blocks:
            view = memoryview(block)
            while len(view):
                view = view[file.write(view) :]
    os.replace(temporary, path)


def read(path: str, place: int) -> bytes:
    """The data for a place in a box; b'' if there are none."""
    with storage.open_read(path) as file:
        (count,) = _SOURCE.unpack(file.read(8))
        index = np.frombuffer(file.read(count * _ENTRY.itemsize), _ENTRY)
        for entry in index[index["place"] == place]:
            file.seek(int(entry["start"]))
            return file.read(int(entry["length"]))
    return b""


def _box(folder: str, label: str, number: int) -> str:
    return storage.join(folder, label, f"{number:08d}")


def slices(folder: str, label: str, place: int) -> Iterator[tuple[int, bytes]]:
    """(source, data) of what all sources have for a place, by source."""
    arrived = storage.join(folder, label, "arrived", f"{place:08d}")
    if storage.exists(arrived):
        data = storage.read(arrived)
        (count,) = _SOURCE.unpack(data[:8])
        index = np.frombuffer(data, _ENTRY, count, 8)
        yield from ((int(e["place"]), data[int(e["start"]) : int(e["start"] + e["length"])]) for e in index)
        return
    for path in storage.list_files(storage.join(folder, label)):
        if "/arrived/" not in path and (data := read(path, place)):
            yield int(path.rpartition("/")[2]), data


def inbox(folder: str, label: str, place: int, dtype: np.dtype) -> np.ndarray:
    """All that arrived for a place, joined in the order of the sources."""
    found = [np.frombuffer(data, dtype) for _, data in slices(folder, label, place)]
    return np.concatenate(found) if len(found) > 1 else found[0] if found else np.zeros(0, dtype)


# --- through files, and through Beam -------------------------------------------------------------------------------


def post(task, function: Callable, label: str, folder: str, context: dict, tick=None) -> dict:
    """function(task, **context) -> (pieces, receipt), the pieces written to the task's box of `label`."""
    pieces, receipt = function(task, **context)
    write(_box(folder, label, _number(task)), pieces)
    return receipt


def produce(task, function: Callable, label: str, folder: str, context: dict) -> tuple[list, dict]:
    """The same for Beam: (place, source and bytes)."""
    pieces, receipt = function(task, **context)
    packed = []
    for place, values in pieces:
        data = np.ascontiguousarray(values).tobytes()
        starts = range(0, len(data), ELEMENT)
        packed += [(place, _HEAD.pack(_number(task), k) + data[k : k + ELEMENT]) for k in starts]
    return packed, receipt


def arrive(place: int, chunks: list[bytes], function: Callable, label: str, folder: str, context: dict) -> dict:
    """What Beam brought for a place, written as its box."""
    found = sorted((*_HEAD.unpack(c[: _HEAD.size]), k) for k, c in enumerate(chunks))
    pieces = ((source, chunks[k][_HEAD.size :]) for source, _, k in found)
    write(storage.join(folder, label, "arrived", f"{place:08d}"), pieces)
    return {}


def _number(task) -> int:
    return task if isinstance(task, int) else task.number
