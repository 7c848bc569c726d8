"""Requests for removal: a list of document ids, URLs and sites, matched by their hashes alone."""

import functools
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np
import xxhash

from corpus import storage
from corpus.terminal import UserError
from pipeline import clusters, duplicates, survivors

_COUNTS = np.dtype("<u8")
COLUMNS = ("id", "url_hash", "site_hash")


@dataclass(frozen=True)
class Removal:
    """ids: the first halves of ids; urls, sites: hashes; each sorted, each once."""

    ids: np.ndarray
    urls: np.ndarray
    sites: np.ndarray

    @property
    def digest(self) -> str:
        return xxhash.xxh3_128_hexdigest(self.pack())

    def pack(self) -> bytes:
        lengths = np.array([len(self.ids), len(self.urls), len(self.sites)], _COUNTS)
        return b"".join(a.tobytes() for a in (lengths, self.ids, self.urls, self.sites))

    def removes(self, columns: Mapping[str, np.ndarray]) -> np.ndarray:
        """(documents,) bool, from COLUMNS."""
        gone = clusters.among(survivors.id_half(columns["id"], 0), self.ids)
        gone |= clusters.among(columns["url_hash"], self.urls)
        return gone | clusters.among(columns["site_hash"], self.sites)


def parse(lines: Iterable[str]) -> Removal:
    """A request a line: an id (32 hexadecimal digits), a URL (with a path, or a scheme), or a site (a host; 'www.' does
    not count). Empty lines and those that begin with '#' are none."""
    ids, urls, sites = set(), set(), set()
    for line in (x.strip() for x in lines):
        if not line or line.startswith("#"):
            continue
        if len(line) == 32 and all(c in "0123456789abcdefABCDEF" for c in line):
            ids.add(int(line[:16], 16))
        elif "/" in line.partition("://")[2] or "/" in line or "?" in line:
            forms = [line] if "://" in line else [line, f"http://{line}"]
            urls |= {duplicates.url_hash(form) for form in forms}
        else:
            sites.add(duplicates.site_hash(f"http://{line}"))
    return Removal(*(np.array(sorted(found), np.uint64) for found in (ids, urls, sites)))


def load(paths: Iterable[str]) -> Removal:
    """The requests of all lists. Errors: UserError for a list that cannot be read."""
    lines: list[str] = []
    for path in paths:
        try:
            lines += storage.read(path).decode().splitlines()
        except (OSError, UnicodeDecodeError) as error:
            raise UserError(
                f"{path}: {getattr(error, 'strerror', None) or error}; name a list that can be read"
            ) from None
    return parse(lines)


@functools.cache
def made(path: str, digest: str) -> Removal:
    """The requests packed at `path`, once a process. digest: which those are."""
    data = storage.read(path)
    lengths = np.frombuffer(data, _COUNTS, 3)
    bounds = np.concatenate(([3], 3 + np.cumsum(lengths))).astype(int)
    values = np.frombuffer(data, "<u8")
    return Removal(*(values[bounds[k] : bounds[k + 1]] for k in range(3)))
