"""Blocklists: what an entry stands for, the forms of lists, and hashes against a plain reading."""

import gzip
import random
import tracemalloc

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from corpus.terminal import UserError
from pipeline import blocklist


def listed(tmp_path, *lines: str) -> blocklist.Blocklist:
    path = tmp_path / "list.txt"
    path.write_text("\n".join(lines), encoding="utf-8")
    return blocklist.load([str(path)])


@pytest.mark.parametrize(
    ("entry", "blocked", "free"),
    [
        (
            "bad.example",
            ["http://bad.example", "https://www.bad.example/", "https://a.b.bad.example/x", "//bad.example/",
             "https://BAD.Example/x", "https://user:pw@bad.example:8443/x", "http://bad.example?q=1", "bad.example#x"],
            ["https://notbad.example/", "https://bad.example.org/", "https://ok.example/bad.example", "x@y", "",
             "https://ok.example/?u=https://bad.example/", "file#3", "https://example/"],
        ),
        (
            "site.example/blog/spam",
            ["https://site.example/blog/spam", "http://www.site.example/blog/spam/", "site.example/blog/spam/1?x",
             "https://site.example/blog/spam?x=1", "https://site.example:80/blog/spam#top"],
            ["https://site.example/blog", "https://site.example/blog/spammer", "https://a.site.example/blog/spam",
             "https://site.example/Blog/Spam", "https://site.example/x/blog/spam"],
        ),
        ("https://www.Site.example/a.php?id=3", ["http://site.example/a.php?id=3", "http://site.example/a.php?id=3&b"],
         ["http://site.example/a.php", "http://site.example/a.php?id=33"]),
        ("0.0.0.0 tracker.example # why", ["https://tracker.example/"], ["https://0.0.0.0/"]),
        ("*.wild.example", ["https://x.wild.example/", "https://wild.example/"], ["https://mild.example/"]),
        ("bücher.example", ["https://xn--bcher-kva.example/", "https://BÜCHER.example/x"], ["https://bucher.example/"]),
        ("192.0.2.7", ["http://192.0.2.7/"], ["http://192.0.2.70/"]),
    ],
)  # fmt: skip
def test_what_an_entry_stands_for(tmp_path, entry, blocked, free):
    found = listed(tmp_path, "# a comment", "", entry)
    assert len(found.hashes) == 1
    assert found.blocks(blocked).tolist() == [True] * len(blocked)
    assert found.blocks(free).tolist() == [False] * len(free)


def test_odd_urls_do_not_shift_their_neighbours(tmp_path):
    found = listed(tmp_path, "bad.example")
    urls = ["https://ok.example/a\nhttps://bad.example/", "https://bad.example/", "\n", "https://bad.example/\n", "x"]
    assert found.blocks(urls).tolist() == [False, True, False, True, False]


def test_folders_of_categories(tmp_path):
    files = {
        "adult/domains": b"a.example\n",
        "adult/urls": b"b.example/x\n",
        "ads/domains.gz": gzip.compress(b"c.example\n"),
        "ads/usage": b"d.example",
    }
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(text)
    found = blocklist.load([str(tmp_path)])
    assert found.blocks(["a.example", "b.example/x", "b.example", "c.example", "d.example"]).tolist() == [
        True, True, False, True, False]  # fmt: skip


def test_the_digest_is_of_the_content(tmp_path):
    one, other = (
        listed(tmp_path, "a.example", "b.example"),
        listed(tmp_path, "B.example/", "#x", "a.example", "a.example"),
    )
    assert one.digest == other.digest
    assert one.digest != listed(tmp_path, "a.example").digest


@pytest.mark.parametrize("make", [None, "empty", "folder"])
def test_lists_that_are_none(tmp_path, make):
    path = tmp_path / "list"
    if make == "empty":
        path.write_text("# nothing\n\n")
    if make == "folder":
        path.mkdir()
        (path / "readme").write_text("no list")
    with pytest.raises(UserError, match=r"list: .*; give --url-blocklist"):
        blocklist.load([str(path)])


LABELS = st.text(st.sampled_from("ab-"), min_size=1, max_size=3)
HOSTS = st.lists(LABELS, min_size=1, max_size=4).map(".".join)
PATHS = st.lists(LABELS, max_size=3).map(lambda parts: "".join("/" + p for p in parts))


@settings(max_examples=300, deadline=None)
@given(st.lists(st.builds(str.__add__, HOSTS, PATHS), max_size=5), st.lists(st.builds(str.__add__, HOSTS, PATHS)))
def test_as_a_plain_reading_of_the_list(entries, urls):
    """No hash, no numpy: host suffixes and path beginnings looked up in a set."""
    found = blocklist.Blocklist(np.unique(blocklist._whole(entries)) if entries else np.zeros(0, np.uint64))
    want = []
    for url in urls:
        host, *path = url.split("/")
        labels = host.split(".")
        names = [".".join(labels[k:]) for k in range(len(labels))]
        names += ["/".join([host, *path[: k + 1]]) for k in range(len(path))]
        want.append(bool(set(names) & set(entries)))
    assert found.blocks(urls).tolist() == want


def test_memory_of_a_hundred_thousand_entries(tmp_path):
    """A million take under 20 MB (benchmarks/blocklist.py): 8 bytes each, a filter of 1 MiB, and what a chunk needs."""
    rng = random.Random(0)
    path = tmp_path / "domains"
    path.write_text("\n".join(f"{rng.randbytes(6).hex()}.example" for _ in range(100_000)))
    tracemalloc.start()
    found = blocklist.load([str(path)])
    assert found.blocks(["https://x.example/"] * 3000).sum() == 0
    size, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert len(found.hashes) == 100_000
    assert size < 100_000 * 9 + 3_000_000
    assert peak < 15_000_000
