"""Lists of domains and URLs that are not wanted: lines -> sorted hashes; URLs -> whether they stand there.

A domain stands for all hosts below it; an address with a path stands for all that lies below that. All suffixes of a
URL's host and all beginnings of its path are hashed at once: a polynomial over its bytes, whose value for any piece is
a difference of two sums. A million entries take 8 MB, and no entry but its hash is kept.
"""

import functools
import gzip
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import islice

import numpy as np
import xxhash

from corpus import storage
from corpus.terminal import UserError
from pipeline import duplicates

CHUNK = 1024
"""URLs, or lines of a list, that are looked at in one go."""
MAX_URL = 1024
"""Characters of a URL, or of a line, that are looked at."""

_FILTER_BITS, _7 = 23, np.uint64(7)
_FILES = ("domains", "urls")
"""Names of the files in a category of a UT1 list."""
_LOCAL = re.compile(r"(?:0\.0\.0\.0|127\.0\.0\.1|::1?)\s+")
_SCHEME = re.compile(r"\s*(?:[a-z]+:)?//", re.IGNORECASE)
_PLAIN = re.compile(r"(?:https?://)?(?:www\.)?([a-z0-9._-]+(?:/.*)?)").fullmatch
_HOST = re.compile(r"(?:[^/?#@]*@)?([^/?#:@]*)(?::\d*)?")

_BYTES = duplicates._splitmix(256, 6)
_BASE = int(duplicates._splitmix(1, 7)[0]) | 1
_INVERSE = pow(_BASE, -1, 1 << 64)


@dataclass(frozen=True)
class Blocklist:
    """hashes: (entries,) uint64, ascending, without repetition."""

    hashes: np.ndarray

    @property
    def digest(self) -> str:
        """What a selection depends on: the content, not the paths."""
        return xxhash.xxh3_128_hexdigest(self.hashes.tobytes())

    @functools.cached_property
    def _filter(self) -> np.ndarray:
        """A bit for each beginning of a hash, packed: most keys are told from the list by it, in the cache."""
        bits = np.zeros(1 << _FILTER_BITS, bool)
        for k in range(0, len(self.hashes), 1 << 16):
            bits[self.hashes[k : k + (1 << 16)] >> np.uint64(64 - _FILTER_BITS)] = True
        return np.packbits(bits, bitorder="little")

    def blocks(self, urls: Iterable[str]) -> np.ndarray:
        """(urls,) bool: whose host, one above it, or a beginning of whose path is listed."""
        rest = iter(urls)
        found = [np.zeros(0, bool)]
        while chunk := list(islice(rest, CHUNK)):
            found.append(self._blocks(chunk))
        return np.concatenate(found)

    def _blocks(self, urls: list[str]) -> np.ndarray:
        result = np.zeros(len(urls), bool)
        rows, keys = _pieces([_bare(url) for url in urls])
        maybe = (
            self._filter[keys >> np.uint64(64 - _FILTER_BITS + 3)] >> (keys >> np.uint64(64 - _FILTER_BITS) & _7)
        ) & 1
        rows, keys = rows[maybe != 0], keys[maybe != 0]
        if len(keys):
            places = np.minimum(np.searchsorted(self.hashes, keys), len(self.hashes) - 1)
            result[rows[self.hashes[places] == keys]] = True
        return result


def load(paths: Iterable[str]) -> Blocklist:
    """Files of one domain or address a line, or folders of UT1's form (categories with files `domains` and `urls`).
    Errors: UserError."""
    packed = bytearray()  # grows without a second copy of all
    for path in paths:
        before = len(packed)
        for file in _files(path):
            for hashes in _hashes(_lines(file)):
                packed += hashes.tobytes()
        if len(packed) == before:
            raise UserError(f"{path}: no domain in it; give --url-blocklist a list with one domain or URL a line")
    hashes = np.frombuffer(packed, np.uint64)
    hashes.sort()
    new = np.ones(len(hashes), bool)
    np.not_equal(hashes[1:], hashes[:-1], out=new[1:])
    return Blocklist(hashes if new.all() else hashes[new])


@functools.lru_cache(1)
def made(path: str, digest: str) -> Blocklist:
    """A list from the file of its hashes (little-endian uint64), read once a process. digest: of the list, so that
    another one in its place is read anew."""
    return Blocklist(np.frombuffer(storage.read(path), "<u8"))


def _files(path: str) -> list[str]:
    """The files of a list. A folder holds those of UT1's names, at any depth."""
    below = [p for p in storage.list_files(path) if p != path]
    if not below:
        return [path]
    named = [p for p in below if p.rpartition("/")[2].removesuffix(".gz") in _FILES]
    if not named:
        raise UserError(f"{path}: no file named domains or urls below it; give --url-blocklist the files themselves")
    return sorted(named)


def _lines(path: str) -> Iterator[str]:
    try:
        with storage.open_read(path) as raw, gzip.open(raw) if path.endswith(".gz") else raw as file:
            for line in file:
                yield line[: 4 * MAX_URL].decode("utf-8", "replace")
    except OSError as error:
        raise UserError(
            f"{path}: {error.strerror or error}; give --url-blocklist files or folders that exist"
        ) from None


def _hashes(lines: Iterator[str]) -> Iterator[np.ndarray]:
    """Hashes of the entries among the lines; comments (#) and empty lines are none."""
    while chunk := list(islice(lines, CHUNK)):
        entries = [_bare(entry).rstrip("/") for line in chunk if (entry := _entry(line))]
        yield _whole([e for e in entries if e])


def _entry(line: str) -> str:
    line = line.strip()
    if line.startswith("#"):
        return ""
    line = _LOCAL.sub("", line, count=1) if line[:1] in "01:" else line  # the form of a hosts file
    return line.partition(" #")[0].strip().removeprefix("*.").removeprefix(".")


def _bare(url: str) -> str:
    """Host and the rest, without scheme, user, port, 'www.'; the host in lower case and ASCII."""
    if match := _PLAIN(url):
        return match[1][:MAX_URL]
    match = _SCHEME.match(url)
    rest = url[match.end() if match else 0 :][:MAX_URL]
    return _odd(rest.replace("\n", " "))


def _odd(rest: str) -> str:
    match = _HOST.match(rest)
    assert match is not None  # all of it may be empty
    host = match[1].lower()
    if not host.isascii():
        import can_ada

        host = can_ada.idna_encode(host).decode() or host
    return (host + rest[match.end() :]).removeprefix("www.")


# --- hashes of pieces of text -------------------------------------------------------------------------------------


_STOPS = np.zeros(256, bool)
_STOPS[list(b"/?#&\n")] = True


@functools.lru_cache(4)
def _powers(base: int, count: int) -> np.ndarray:
    """(count,) uint64: 1, base, base ** 2, ... modulo 2 ** 64. count: a power of two."""
    found = np.ones(1, np.uint64)
    while len(found) < count:
        found = np.concatenate((found, found * np.uint64(pow(base, len(found), 1 << 64))))
    return found


class _Hashed:
    """Texts, and the hash of any piece of them."""

    def __init__(self, texts: list[str]):
        data = np.frombuffer("\n".join([*texts, ""]).encode("utf-8", "surrogatepass"), np.uint8)
        self.data = data
        self.begins = np.concatenate(([0], np.flatnonzero(data == 10) + 1))  # (texts + 1,)
        size = 1 << len(data).bit_length()
        self._sums = np.zeros(len(data) + 1, np.uint64)
        np.cumsum(_BYTES[data] * _powers(_BASE, size)[: len(data)], out=self._sums[1:])
        self._shifts = _powers(_INVERSE, size)

    def row(self, places: np.ndarray) -> np.ndarray:
        """The texts that some bytes belong to."""
        return np.searchsorted(self.begins, places, "right") - 1

    def hashes(self, first: np.ndarray, last: np.ndarray) -> np.ndarray:
        """(pieces,) uint64 of the bytes from `first` up to `last`: equal pieces, equal hashes."""
        z = (self._sums[last] - self._sums[first]) * self._shifts[first]
        z = (z ^ (z >> np.uint64(33))) * np.uint64(0xFF51AFD7ED558CCD)
        return z ^ (z >> np.uint64(33))


def _whole(entries: list[str]) -> np.ndarray:
    texts = _Hashed(entries)
    return texts.hashes(texts.begins[:-1], texts.begins[1:] - 1)


def _pieces(urls: list[str]) -> tuple[np.ndarray, np.ndarray]:
    """(rows, hashes) of all that an entry may be for bare URLs: the host and those above it; the host with each
    beginning of what follows it."""
    texts = _Hashed(urls)
    begins = texts.begins[:-1]
    stops = np.flatnonzero(_STOPS[texts.data])
    host_ends = stops[np.searchsorted(stops, begins)]
    dots = np.flatnonzero(texts.data == ord("."))
    above = texts.row(dots)
    mine = dots < host_ends[above]
    dots, above = dots[mine], above[mine]
    below = texts.row(stops)
    mine = stops > host_ends[below]
    stops, below = stops[mine], below[mine]
    rows = np.concatenate((np.arange(len(urls)), above, below))
    first = np.concatenate((begins, dots + 1, begins[below]))
    return rows, texts.hashes(first, np.concatenate((host_ends, host_ends[above], stops)))
