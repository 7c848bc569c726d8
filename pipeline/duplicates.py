"""Text -> hashes, MinHash and the keys of its bands; what resembles what.

MinHash after Broder (1997), bands after Leskovec, Rajaraman, Ullman, Mining of Massive Datasets, 3.4: two documents
that agree in all rows of a band are candidates. 16 bands of 7 rows find a pair of Jaccard similarity s with
probability 1 - (1 - s^7)^16: .90 at .75, .98 at .8, .12 at .5 (14 of 8, as FineWeb has: .77, .92, .05). Candidates are
compared with the whole signature before they join, so that more bands cost work, not precision.
"""

import re

import numpy as np
import xxhash

from corpus.document import MINHASHES
from pipeline import _duplicates, signals

BANDS, ROWS = 16, 7
SHINGLE = 5
"""Words in a shingle; in scripts written without spaces a word is a character."""

_TRACKING = re.compile(r"^(?:utm_\w+|gclid|fbclid|msclkid|dclid|yclid|mc_cid|mc_eid|igshid|ref_src|_ga|spm)$", re.I)
_PORT = re.compile(r":\d*$")


def _splitmix(count: int, seed: int) -> np.ndarray:
    """`count` uint64 values of the SplitMix64 sequence (Steele, Lea, Flood 2014)."""
    with np.errstate(over="ignore"):
        z = np.uint64(seed) + np.arange(1, count + 1, dtype=np.uint64) * np.uint64(0x9E3779B97F4A7C15)
        z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        return z ^ (z >> np.uint64(31))


_FACTORS = _splitmix(MINHASHES, 1) | np.uint64(1)
_OFFSETS = _splitmix(MINHASHES, 2)
_POSITIONS = _splitmix(SHINGLE, 3) | np.uint64(1)


def text_hash(text: str) -> int:
    """XXH3-64 of the text: equal texts, equal hashes."""
    return xxhash.xxh3_64_intdigest(text.encode("utf-8", "surrogatepass"))


def word_hashes(text: str) -> np.ndarray:
    """(words,) uint64: a hash of each word in lower case (signals.py)."""
    return signals.hash_words(text)


def signature(hashes: np.ndarray) -> bytes:
    """MinHash of the shingles of words, given their hashes, (words,) uint64: MINHASHES little-endian uint32, each the
    minimum of the upper half of (factor * shingle + offset) mod 2^64 over the shingles. A shingle is the sum of the
    hashes of SHINGLE words in a row (of all, if there are fewer), each times that place's factor, x ^ x >> 29 of it.
    No words: all 0xffffffff."""
    return _duplicates.signature(hashes, _FACTORS, _OFFSETS, _POSITIONS)


def similarity(a: bytes, b: bytes) -> float:
    """Estimate of the Jaccard similarity of two documents' shingles from their signatures."""
    return float((np.frombuffer(a, "<u4") == np.frombuffer(b, "<u4")).mean())


def normalize_url(url: str) -> str:
    """The URL under which versions of a page meet: without scheme, default port, fragment, tracking parameters and
    trailing slash; host in lower case. What is no URL comes back stripped."""
    import can_ada

    try:
        parts = can_ada.parse(url.strip())
    except (ValueError, TypeError):  # no URL; halves of surrogate pairs
        return url.strip()
    query = [p for p in parts.search.lstrip("?").split("&") if p and not _TRACKING.match(p.partition("=")[0])]
    path = parts.pathname.rstrip("/")
    return f"{parts.host.lower()}{path}" + ("?" + "&".join(query) if query else "")


NO_URL = xxhash.xxh3_64_intdigest(b"")
"""`url_hash` of documents without a URL; they are no versions of one page."""


def url_hash(url: str) -> int:
    return xxhash.xxh3_64_intdigest(normalize_url(url).encode("utf-8", "surrogatepass"))


def site_hash(url: str) -> int:
    """XXH3-64 of the host without 'www.'."""
    host = _PORT.sub("", normalize_url(url).partition("/")[0].partition("?")[0]).removeprefix("www.")
    return xxhash.xxh3_64_intdigest(host.encode("utf-8", "surrogatepass"))


def band_keys(signatures: np.ndarray) -> np.ndarray:
    """(documents, MINHASHES) uint32 -> (documents, BANDS) uint64 keys; a band's number is part of its keys."""
    rows = signatures.reshape(len(signatures), BANDS, ROWS).astype(np.uint64)
    with np.errstate(over="ignore"):
        keys = np.broadcast_to(_splitmix(BANDS, 4), rows.shape[:2]).copy()
        for r in range(ROWS):
            keys = (keys ^ rows[:, :, r]) * np.uint64(0xFF51AFD7ED558CCD)
            keys ^= keys >> np.uint64(32)
    return keys


SAME = 0.7
"""Documents resemble each other whose signatures agree in so many values, of 1."""


def resemble(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """(pairs, MINHASHES) uint8 twice, the low bytes of whole signatures -> (pairs,) bool. One pair of different values
    in 256 agrees in the low byte; the bound allows for it."""
    bound = MINHASHES * (SAME + (1 - SAME) / 256)
    found = np.zeros(len(a), bool)
    for start in range(0, len(a), 1 << 14):
        block = slice(start, start + (1 << 14))
        found[block] = np.count_nonzero(a[block] == b[block], axis=1) >= bound
    return found
