"""Hashes, MinHash, URLs. Golden values are pinned: a change of any of them makes every corpus stale."""

import hashlib
import random

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from corpus.document import MINHASHES
from pipeline import duplicates
from pipeline.duplicates import BANDS, ROWS, SHINGLE, band_keys, normalize_url

WORDS = ["the", "quick", "brown", "fox", "jumps", "over", "the", "lazy", "dog", "and", "runs", "away"]


def shingles(words: list[str] | np.ndarray) -> np.ndarray:
    """The definition: distinct hashes of all runs of SHINGLE words (of all words at once if there are fewer)."""
    hashes = words if isinstance(words, np.ndarray) else duplicates.word_hashes(" ".join(words))
    if not len(hashes):
        return hashes
    width = min(SHINGLE, len(hashes))
    total = np.zeros(len(hashes) - width + 1, np.uint64)
    for k in range(width):
        total += hashes[k : len(hashes) - width + 1 + k] * duplicates._POSITIONS[k]
    return np.unique(total ^ total >> np.uint64(29))


def slow_signature(hashes: np.ndarray) -> bytes:
    """The definition of a signature."""
    least = np.full(MINHASHES, 0xFFFFFFFF, np.uint32)
    for value in shingles(hashes):
        hashed = (value * duplicates._FACTORS + duplicates._OFFSETS) >> np.uint64(32)
        np.minimum(least, hashed.astype(np.uint32), out=least)
    return least.astype("<u4").tobytes()


def signature(words: list[str]) -> bytes:
    return duplicates.signature(duplicates.word_hashes(" ".join(words)))


def test_golden_hashes():
    assert duplicates.text_hash("text") == 5145922347574273553
    assert duplicates.url_hash("https://www.example.org/a") == 2679483879469947298
    assert duplicates.site_hash("https://www.example.org/a") == 4627260942063550277
    assert shingles(WORDS)[:2].tolist() == [661687038232219140, 951843861405528131]


def test_golden_signatures():
    found = signature(WORDS)
    assert found[:16].hex() == "e59096027686ac28d1d58404fc244238"
    assert hashlib.sha256(found).hexdigest() == "4044493b8fd45c1c37a3c1fd6b5ff712e7096f481294c6a735a06880966a2921"
    assert signature(["one"])[:8].hex() == "bb6e7ae6f87a7cc8"
    keys = band_keys(np.frombuffer(found, "<u4").reshape(1, -1))
    assert keys[0, :3].tolist() == [5188371484591122455, 11733717372784269050, 15105037703262285992]


# --- MinHash --------------------------------------------------------------------------------------------------------


def runs(words: list[str]) -> set:
    """The shingles as Python knows them."""
    width = min(SHINGLE, len(words))
    return {tuple(words[k : k + width]) for k in range(len(words) - width + 1)} if words else set()


def jaccard(a: list[str], b: list[str]) -> float:
    a, b = runs(a), runs(b)
    return len(a & b) / len(a | b)


@given(st.lists(st.sampled_from("abcdef"), max_size=40))
def test_as_many_shingles_as_distinct_runs_of_words(words):
    assert len(shingles(words)) == len(runs(words))


def test_the_order_of_words_counts():
    assert set(shingles(list("abcde"))) != set(shingles(list("edcba")))
    assert set(shingles(["ab", "c", "d", "e", "f"])) != set(shingles(["a", "bc", "d", "e", "f"]))


@pytest.mark.parametrize("count", range(SHINGLE + 2))
def test_short_texts_have_a_signature_of_their_own(count):
    words = WORDS[:count]
    assert len(signature(words)) == 4 * MINHASHES
    assert signature(words) == signature(list(words))
    if count:
        assert duplicates.similarity(signature(words), signature(["other", *words[1:]])) < 1
    else:
        assert signature(words) == b"\xff" * 4 * MINHASHES


def test_case_does_not_count():
    assert signature(WORDS) == signature([w.upper() for w in WORDS])


def test_repetition_does_not_count():
    """The shingles are a set: a text three times over has those of its seams more."""
    words = [f"w{k}" for k in range(400)]
    assert duplicates.similarity(signature(words * 3), signature(words)) > 0.95


@given(st.lists(st.integers(0, 2**64 - 1), max_size=300))
def test_signatures_are_those_of_the_definition(hashes):
    values = np.array(hashes, np.uint64)
    assert duplicates.signature(values) == slow_signature(values)


def test_a_buffer_that_holds_no_hashes_is_refused():
    with pytest.raises(ValueError, match="items of 8 bytes"):
        duplicates._duplicates.signature(b"abc", duplicates._FACTORS, duplicates._OFFSETS, duplicates._POSITIONS)
    with pytest.raises(ValueError, match="offsets"):
        duplicates._duplicates.signature(b"", duplicates._FACTORS, duplicates._OFFSETS[1:], duplicates._POSITIONS)


def test_the_estimate_is_the_jaccard_similarity():
    """Over 60 pairs of every degree: no bias, and a spread as of MINHASHES coins, sqrt(s (1 - s) / MINHASHES)."""
    order = random.Random(0)
    errors = []
    for k in range(60):
        words = [str(order.randrange(10**6)) for _ in range(600)]
        changed = list(words)
        for place in order.sample(range(600), 1 + k * 3):
            changed[place] = str(order.randrange(10**6))
        exact = jaccard(words, changed)
        spread = max(0.02, (exact * (1 - exact) / MINHASHES) ** 0.5)
        errors.append((duplicates.similarity(signature(words), signature(changed)) - exact) / spread)
    assert abs(np.mean(errors)) < 0.4
    assert np.std(errors) < 1.4
    assert max(map(abs, errors)) < 4


def test_bands_find_pairs_as_often_as_the_formula_says():
    """1 - (1 - s^7)^16, within what chance allows in 400 signatures of each similarity."""
    order = np.random.default_rng(1)
    for similarity in (0.5, 0.75, 0.85, 0.95):
        a = order.integers(0, 2**32, (400, MINHASHES), np.uint32)
        b = np.where(order.random(a.shape) < similarity, a, order.integers(0, 2**32, a.shape, np.uint32))
        found = (band_keys(a) == band_keys(b)).any(axis=1).mean()
        assert abs(found - (1 - (1 - similarity**ROWS) ** BANDS)) < 0.08


def test_keys_of_different_bands_never_meet():
    same = np.zeros((1, MINHASHES), np.uint32)
    assert len(set(band_keys(same)[0].tolist())) == BANDS
    assert band_keys(np.zeros((0, MINHASHES), np.uint32)).shape == (0, BANDS)


# --- URLs -----------------------------------------------------------------------------------------------------------

URLS = [
    ("http://www.Example.org:80/A/?b=1&utm_source=x#f", "www.example.org/A?b=1"),
    ("https://example.org", "example.org"),
    ("https://example.org/", "example.org"),
    ("https://example.org/?", "example.org"),
    ("HTTP://example.org/%7Euser/", "example.org/%7Euser"),
    (" https://x.org/a//b/ ", "x.org/a//b"),
    ("https://x.org/a/../b/./c", "x.org/b/c"),
    ("https://bücher.example/ä b", "xn--bcher-kva.example/%C3%A4%20b"),
    ("https://x.org/?utm_medium=a&fbclid=b", "x.org"),
    ("https://x.org/?UTM_Source=q&z", "x.org?z"),
    ("https://x.org/?utm=1&ref=1&gclid", "x.org?utm=1&ref=1"),
    ("https://x.org/?a=1&&b=2&", "x.org?a=1&b=2"),
    ("https://x.org/?b=2&a=1", "x.org?b=2&a=1"),
    ("https://user:secret@x.org/a", "x.org/a"),
    ("http://x.org:8080/", "x.org:8080"),
    ("https://x.org:443/y", "x.org/y"),
    ("https://x.org:80/y", "x.org:80/y"),
    ("http://[::1]:80/", "[::1]"),
    ("", ""),
    ("not a url", "not a url"),
    ("example.org/x", "example.org/x"),
    ("http://x.org/\ud800", "http://x.org/\ud800"),
]


@pytest.mark.parametrize(("url", "expected"), URLS)
def test_urls_meet_under_one_name(url, expected):
    assert normalize_url(url) == expected


@pytest.mark.parametrize(("a", "b", "same"), [
    ("https://www.x.org/a", "http://x.org:8080/b?c", True),
    ("http://[::1]/a", "http://[::1]:99/b", True),
    ("http://[::1]/a", "http://[::2]/a", False),
    ("https://a.x.org/", "https://x.org/", False),
    ("https://x.org?q", "https://X.ORG/#f", True),
])  # fmt: skip
def test_sites(a, b, same):
    assert (duplicates.site_hash(a) == duplicates.site_hash(b)) == same


@given(st.one_of(st.text(max_size=50), st.text("htps:/?#&=.@[]%x1\u00e4 ", max_size=30).map("https://".__add__)))
def test_no_url_raises(url):
    assert 0 <= duplicates.url_hash(url) < 1 << 64
    assert 0 <= duplicates.site_hash(url) < 1 << 64
    assert duplicates.url_hash(url) == duplicates.url_hash(" " + url + "\n")
