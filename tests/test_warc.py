"""Crawl bytes -> records: each container trait on a small file of our own, real and hostile files, damage anywhere."""

import gzip
import io
import json
import zlib
from itertools import pairwise
from pathlib import Path

import pytest
import zstandard
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.warc import ZSTD_DICTIONARY, Damage, Reader, Record


def block(number: int, body: bytes = b"", kind: str = "resource", extra: str = "", end: str = "\r\n") -> bytes:
    """One uncompressed record; its body says its number unless one is given."""
    body = body or f"the body of page {number} ".encode() * (5 + number)
    head = ["WARC/1.0", f"WARC-Type: {kind}", f"WARC-Target-URI: http://good.example/{number}",
            f"Content-Length: {len(body)}"]  # fmt: skip
    return end.join([*head, *([extra] if extra else []), "", ""]).encode() + body + (end * 2).encode()


def member(*blocks: bytes) -> bytes:
    return gzip.compress(b"".join(blocks), mtime=0)


def frame(*blocks: bytes) -> bytes:
    return zstandard.ZstdCompressor().compress(b"".join(blocks))


def read(data: bytes, start: int = 0, stop: int | None = None, limit: int = 16 << 20) -> list[Record | Damage]:
    return list(Reader(io.BytesIO(data), len(data), start, stop, limit))


def records(entries) -> list[Record]:
    return [e for e in entries if isinstance(e, Record)]


def damages(entries) -> list[Damage]:
    return [e for e in entries if isinstance(e, Damage)]


def pages(entries) -> list[str]:
    return [r.headers.get("warc-target-uri", "").rpartition("/")[2] for r in records(entries)]


ARC = (
    b"filedesc://x.arc 0.0.0.0 20200101000000 text/plain 76\n1 0 Test\n"
    b"URL IP-address Archive-date Content-type Archive-length\n" + b"\n" * 12
)
ARC_PAGE = b"http://good.example/1 127.0.0.1 20200102030405 text/html 21\nHTTP/1.0 200 OK\r\n\r\nhi\n"
CLEAN = {
    "a member a record": (b"".join(member(block(k)) for k in range(3)), 3),
    "all in one member": (member(*(block(k) for k in range(3))), 3),
    "two a member": (member(block(0), block(1)) + member(block(2)), 3),
    "a record over two members": (gzip.compress(block(0)[:150]) + gzip.compress(block(0)[150:]) + member(block(1)), 2),
    "empty members around": (gzip.compress(b"") * 50 + member(block(0)) + gzip.compress(b"") * 3 + member(block(1)), 2),
    "plain": (b"".join(block(k) for k in range(3)), 3),
    "plain, line ends of one byte": (b"".join(block(k, end="\n") for k in range(3)), 3),
    "plain, no blank lines between": (b"".join(block(k)[:-4] for k in range(3)), 3),
    "plain, many blank lines between": (b"\r\n\r\n".join([block(0), b"\r\n" * 9000, block(1)]), 2),
    "plain, a byte order mark": (b"\xef\xbb\xbf" + block(0) + block(1), 2),
    "plain, then gzip": (block(0) + member(block(1)), 2),
    "zstd, a frame a record": (b"".join(frame(block(k)) for k in range(3)), 3),
    "zstd, all in one frame": (frame(*(block(k) for k in range(3))), 3),
    "zstd, a skippable frame between": (frame(block(0)) + b"\x50\x2a\x4d\x18\x03\0\0\0abc" + frame(block(1)), 2),
    "ARC": (ARC + ARC_PAGE, 2),
    "ARC in gzip": (gzip.compress(ARC) + gzip.compress(ARC_PAGE), 2),
    "nothing": (b"", 0),
    "only an empty member": (gzip.compress(b""), 0),
}


@pytest.mark.parametrize("name", CLEAN)
def test_each_sound_container_gives_all_its_records_and_no_damage(name):
    data, count = CLEAN[name]
    entries = read(data)
    assert damages(entries) == []
    assert len(entries) == count
    assert not any(r.truncated for r in entries)
    if "ARC" not in name:
        assert [r.body for r in entries] == [block(k).split(b"\r\n\r\n")[1] for k in range(count)]


@pytest.mark.parametrize("packed", [False, True])
def test_the_dictionary_of_a_zstd_file_is_used(packed):
    samples = [block(k % 40, b"a sentence that many pages share, number %d" % k) for k in range(400)]
    words = zstandard.train_dictionary(2048, samples)
    raw = words.as_bytes()
    stored = zstandard.ZstdCompressor().compress(raw) if packed else raw
    compressor = zstandard.ZstdCompressor(dict_data=words)
    frames = b"".join(compressor.compress(s) for s in samples[:5])
    data = ZSTD_DICTIONARY + len(stored).to_bytes(4, "little") + stored + frames
    assert [r.body for r in read(data)] == [b"a sentence that many pages share, number %d" % k for k in range(5)]
    half = len(data) - len(frames) // 2
    assert read(data, 0, half) + read(data, half) == read(data)
    entries = read(frames)
    assert len(entries) == 1, "without its dictionary nothing can be read, and that is said"
    assert "zstd" in entries[0].reason


def test_places_of_records():
    """offset and length are the member's place, index the place in it, so that each record can be fetched alone."""
    alone, two = member(block(0)), member(block(1), block(2))
    data = alone + two + member(block(3))
    found = [(r.offset, r.length, r.index) for r in read(data)]
    last = len(alone) + len(two)
    assert found == [(0, len(alone), 0), (len(alone), 0, 0), (len(alone), 0, 1), (last, len(data) - last, 0)]
    plain = block(0) + block(1)
    assert [r.offset for r in read(plain)] == [0, len(block(0))]
    assert read(data[found[3][0] :][: found[3][1]])[0].body == read(data)[3].body


def test_fields_are_compared_without_case_and_unfolded():
    head = (b"warc/1.1\r\nwarc-TYPE:\tRESPONSE\r\nWARC-Target-URI:  http://x.example/\r\n"
            b"X-Long: one\r\n\ttwo\r\n three\r\ncontent-length: 2\r\nX-Long: again\r\n\r\nhi\r\n\r\n")  # fmt: skip
    record = read(gzip.compress(head))[0]
    assert record.type == "response"
    assert record.headers["x-long"] == "one two three", "the first of several fields counts"
    assert record.body == b"hi"


def test_an_arc_record_gets_the_fields_of_a_warc_record():
    header, page = read(ARC + ARC_PAGE)
    assert header.type == "warcinfo"
    assert page.type == "response"
    assert page.headers["warc-target-uri"] == "http://good.example/1"
    assert page.headers["warc-date"] == "2020-01-02T03:04:05Z"
    assert page.body == b"HTTP/1.0 200 OK\r\n\r\nhi"


def test_a_body_is_kept_up_to_the_limit_and_its_size_told():
    data = member(block(0, b"x" * 300_000)) + member(block(1))
    first, second = read(data, limit=1000)
    assert (len(first.body), first.size, first.truncated) == (1000, 300_000, False)
    assert second.body.startswith(b"the body of page 1")
    whole = read(data, limit=300_000)[0]
    assert len(whole.body) == 300_000


@pytest.mark.parametrize("pack", [member, frame, lambda b: b], ids=["gzip", "zstd", "plain"])
def test_a_cut_file_gives_what_is_there_marked_truncated(pack):
    whole = pack(block(1, bytes(range(256)) * 400))
    data = pack(block(0)) + whole[: len(whole) * 2 // 3]
    entries = read(data)
    assert pages(entries)[0] == "0"
    assert [d.stop for d in damages(entries)] == [len(data)]
    for record in records(entries)[1:]:
        assert record.truncated
        assert (bytes(range(256)) * 400).startswith(record.body)


BAD_LENGTHS = ["-1", "many", "+0x10", "", "1_0", "٣", "10000000000000000000000000000000"]


@pytest.mark.parametrize("length", BAD_LENGTHS)
@pytest.mark.parametrize("pack", [member, lambda b: b], ids=["gzip", "plain"])
def test_a_length_that_is_none_costs_its_record_only(length, pack):
    bad = block(1).replace(b"Content-Length: 114", f"Content-Length: {length}".encode())
    entries = read(pack(block(0)) + pack(bad) + pack(block(2)))
    whole = [r for r in records(entries) if not r.truncated]
    assert pages(whole) == ["0", "2"]
    if len(whole) < len(records(entries)):  # one that leads past the end of its member, which shows only there
        assert [r.size for r in entries if r.truncated] == [10**31]
    else:
        assert ["Content-Length" in d.reason for d in damages(entries)] == [True]


def test_a_wrong_length_inside_a_member_of_many_is_resynchronised():
    bad = block(1).replace(b"Content-Length: 114", b"Content-Length: 20")
    entries = read(member(block(0), bad, block(2)))
    assert [p for p in pages(entries) if p != "1"] == ["0", "2"]
    assert "ends inside the record" in damages(entries)[0].reason


HEADERS = {
    "a line of 2 MB": b"WARC/1.0\r\nX: " + b"a" * (2 << 20) + b"\r\n\r\n",
    "300,000 lines": b"WARC/1.0\r\n" + b"X: a\r\n" * 300_000 + b"\r\n",
    "no end": b"WARC/1.0\r\nX: a\r\n",
    "no version": b"WARC/one\r\nContent-Length: 0\r\n\r\n",
    "not a record": b"<!doctype html><title>Service Unavailable</title>\n",
}


@pytest.mark.parametrize("name", HEADERS)
def test_a_header_that_is_none_costs_its_member_only(name):
    first = member(block(0))
    bad = gzip.compress(HEADERS[name])
    entries = read(first + bad + member(block(2)))
    assert pages(entries) == ["0", "2"]
    assert [(d.start, d.stop) for d in damages(entries)] == [(len(first), len(first) + len(bad))]


@pytest.mark.parametrize(("data", "named"), [
    (b"\x04\x22\x4d\x18" + bytes(100), "LZ4"),
    (bytes(5000), "zeros"),
    (b"<?xml version='1.0'?><Error>NoSuchKey</Error>", "<?xml"),
    (b"\x1f\x8b", "no record starts here"),
    (gzip.compress(member(block(0))), "neither a WARC nor an ARC header"),
])  # fmt: skip
def test_what_is_no_crawl_file_is_one_named_damage(data, named):
    entries = read(data)
    assert [(d.start, d.stop) for d in entries] == [(0, len(data))]
    assert named in entries[0].reason


# --- ranges ---------------------------------------------------------------------------------------------------------

MEMBERS = [member(block(k, kind="resource" if k % 3 else "request")) for k in range(12)]
STARTS = [sum(map(len, MEMBERS[:k])) for k in range(13)]
DATA = b"".join(MEMBERS)
CONTAINERS = {
    "gzip": DATA,
    "zstd": b"".join(frame(block(k)) for k in range(12)),
    "many a member": b"".join(member(block(k), block(k + 1), block(k + 2)) for k in range(5)),
    "empty members": b"".join(MEMBERS[k] + gzip.compress(b"") * 2 for k in range(6)),
}


def in_ranges(data: bytes, cuts: list[int]) -> list[Record | Damage]:
    bounds = sorted({0, len(data), *(c for c in cuts if 0 < c < len(data))})
    return [e for start, stop in pairwise(bounds) for e in read(data, start, stop)]


@settings(max_examples=60, deadline=None)
@given(st.sampled_from(sorted(CONTAINERS)), st.lists(st.integers(1, len(DATA)), max_size=6))
def test_any_split_into_ranges_gives_the_same_records(name, cuts):
    assert in_ranges(CONTAINERS[name], cuts) == read(CONTAINERS[name])


@st.composite
def damaged(draw):
    """(the file with one damage, members it touches, what was done)."""
    kind = draw(st.sampled_from(["flip", "cut", "insert", "zero"]))
    place = draw(st.integers(0, len(DATA) - 1))
    hit = next(k for k in range(12) if place < STARTS[k + 1])
    if kind == "flip":
        changed = bytes([DATA[place] ^ draw(st.integers(1, 255))])
        return DATA[:place] + changed + DATA[place + 1 :], {hit}, kind
    if kind == "cut":
        return DATA[:place], set(range(hit, 12)), kind
    if kind == "insert":
        junk = draw(st.binary(min_size=1, max_size=300))
        return DATA[:place] + junk + DATA[place:], set() if place == STARTS[hit] else {hit}, kind
    end = min(len(DATA), place + draw(st.integers(1, 400)))
    touched = {k for k in range(12) if STARTS[k] < end and STARTS[k + 1] > place}
    return DATA[:place] + bytes(end - place) + DATA[end:], touched, kind


SOUND = {p: r.body for p, r in zip(pages(read(DATA)), read(DATA), strict=True)}


@settings(max_examples=300, deadline=None)
@given(damaged())
def test_damage_costs_the_members_it_touches_and_is_named(case):
    """Never an exception; every other member comes out as it was; a member that does not is inside a named range."""
    data, touched, kind = case
    entries = read(data)
    found = dict(zip(pages(entries), records(entries), strict=True))
    for k in range(12):
        if k not in touched:
            assert found[str(k)].body == SOUND[str(k)], (k, kind)
    lost = [k for k in touched if str(k) not in found or found[str(k)].body != SOUND[str(k)]]
    whole_members_cut_off = kind == "cut" and len(data) in STARTS
    assert damages(entries) or not lost or whole_members_cut_off
    for damage in damages(entries):
        assert 0 <= damage.start < damage.stop <= len(data)
        assert damage.reason


@settings(max_examples=200, deadline=None)
@given(damaged(), st.lists(st.integers(1, len(DATA)), max_size=4))
def test_damage_is_told_once_whatever_the_ranges(case, cuts):
    data = case[0]
    assert in_ranges(data, cuts) == read(data)


@settings(max_examples=150, deadline=None)
@given(
    st.binary(max_size=400), st.sampled_from([b"", b"\x1f\x8b\x08", b"WARC/1.0\r\n", b"\x28\xb5\x2f\xfd", b"\xef\xbb"])
)
def test_no_bytes_raise(tail, head):
    entries = read(head + tail)
    assert all(isinstance(e, Record | Damage) for e in entries)


def test_a_member_that_inflates_without_end_is_read_in_bounded_memory():
    """300 MB of zeros inside the block of a record: the body is kept up to the limit, the next member is read."""
    import tracemalloc

    packer = zlib.compressobj(9, wbits=31)
    head = b"WARC/1.0\r\nWARC-Type: resource\r\nContent-Length: 314572800\r\n\r\n"
    bomb = packer.compress(head) + b"".join(packer.compress(bytes(1 << 20)) for _ in range(300)) + packer.flush()
    tracemalloc.start()
    entries = read(bomb + member(block(1)), limit=1 << 20)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert [r.size for r in entries] == [314572800, 114]
    assert peak < 16 << 20


# --- real and hostile files -----------------------------------------------------------------------------------------


def read_file(path: Path) -> list[Record | Damage]:
    with open(path, "rb") as file:
        return list(Reader(file, path.stat().st_size))


def letters(entries) -> str:
    """Counts of types as the README of the files writes them: i warcinfo, q request, ..."""
    short = {"warcinfo": "i", "response": "r", "request": "q", "metadata": "m", "resource": "s", "revisit": "v",
             "conversion": "c", "continuation": "n"}  # fmt: skip
    counts: dict[str, int] = {}
    for record in records(entries):
        counts[short.get(record.type, "?")] = counts.get(short.get(record.type, "?"), 0) + 1
    return " ".join(f"{n}{kind}" for kind, n in sorted(counts.items()))


REAL = {  # file: (records by type, of which truncated, damages)
    "bad.arc": ("1i 3r", 0, 0),  # lengths of -1 and "abc"
    "20130729-heritrix-revisit-with-http-headers.warc.gz": ("1v", 0, 0),
    "IAH-blackbook-2008.warc.gz": ("1i 261m 261q 299r", 0, 0),
    "at.warc.gz": ("1i 2q 2r 3s", 0, 0),
    "baconIpsum_chunked_httpTrailors.warc": ("1i 1m 1q 1r 2s", 0, 0),
    "bad_http_chunked_content.warc": ("1r", 0, 0),
    "clipped.warc.gz": ("1r", 1, 1),
    "corrupted-mid-record.warc.gz.open": ("12r", 0, 1),
    "crlf_at_1k_boundary.warc.gz": ("1r", 0, 0),
    "dupes.warc.gz": ("1i 12q 3r 9v", 0, 0),
    "empty.warc.gz.open": ("", 0, 0),
    "example-bad-non-chunked.warc.gz": ("2i 2q 1r 1v", 0, 0),
    "example-digest.warc": ("4q", 0, 0),
    "example-iana.org-chunked.warc": ("1i 1q 1r", 0, 0),
    "example-resource.warc.gz": ("2i 1s", 0, 0),
    "example-space-in-target-uri.warc.gz": ("1i 1s", 0, 0),
    "example-trunc.warc": ("2i 1q 1r", 0, 1),
    "example-url-agnostic-revisit.warc.gz": ("1i 1v", 0, 0),
    "example-wrong-chunks.warc.gz": ("1q 1r", 0, 0),
    "example.arc": ("1i 1r", 0, 0),
    "example.arc.gz": ("1i 1r", 0, 0),
    "example.warc.gz": ("2i 2q 1r 1v", 0, 0),
    "good.warc.gz.open": ("50r", 0, 0),
    "gzip_extra_sl.warc.gz": ("1i", 0, 0),
    "hello-world.warc.gz": ("1i 1m 1q 1r 2s", 0, 0),
    "hello-world2.arc": ("1i 1s", 0, 0),
    "incorrect_content_length.warc": ("3s", 0, 2),
    "invalid-warcfile-duplicate-fields.warc": ("1i", 0, 0),
    "invalid-warcfile-fields-empty.warc": ("", 0, 1),
    "invalid-warcfile-segment-number-continuation.warc": ("2n", 0, 0),
    "invalid-warcrecord-1.warc": ("4i", 0, 2),  # the two without a length are named
    "invalid-warcrecord-3.warc": ("5r", 1, 3),
    "issue-514.warc": ("1i 1m 2q 2r 2s", 0, 0),
    "link-extraction-test.warc": ("1i 9r", 0, 0),
    "missing-status-text.warc": ("1r", 0, 0),
    "missing_header_field.warc": ("1? 2s", 0, 1),
    "multiline_header_values.warc": ("", 0, 1),
    "salam-home.warc": ("1i 1m 1q 1r 2s", 0, 0),
    "short_content_block.warc": ("1q", 1, 1),
    "test.warc.gz": ("10s", 0, 0),
    "text-extraction-test.warc": ("1i 1m 2r", 0, 0),
    "valid-warcfile-fields-warcinfo.warc": ("1i", 0, 0),
    "valid-warcfile-upper-lower-case.warc": ("1i 4r", 0, 0),
    "valid-warcrecorddigests-1.warc": ("7r", 0, 0),
    "variableSizedDates.warc": ("1i 4r", 0, 0),
    "warcfile.warc.gz": ("1i 16m 17q 16r", 0, 0),
    "warcfile.warc.lz4": ("", 0, 1),  # refused by name
    "whirlwind.warc.gz": ("1i 1m 1q 1r", 0, 0),
    "whirlwind.warc.wat.gz": ("1i 1m", 0, 0),
    "whirlwind.warc.wet.gz": ("1c 1i", 0, 0),
}


@pytest.mark.parametrize("name", REAL)
def test_real_files(shared, name):
    entries = read_file(shared / "warc" / "real" / name)
    found = letters(entries), sum(r.truncated for r in records(entries)), len(damages(entries))
    assert found == REAL[name]


def test_no_real_file_is_left_out(shared):
    assert {p.name for p in (shared / "warc" / "real").iterdir()} == set(REAL)


def test_every_good_page_of_the_hostile_files_survives(shared):
    folder = shared / "warc" / "hostile"
    index = json.loads((folder / "index.json").read_text())
    wrong = {}
    for entry in index:
        entries = read_file(folder / entry["file"])
        uris = {r.headers.get("warc-target-uri", "").strip("<>") for r in records(entries)}
        good = {u for u in uris if u.startswith("http://good.example/")}
        nothing = not entries and entry["bytes"] > 0
        if len(good) < entry["good_pages_that_must_survive"] or nothing:
            wrong[entry["file"]] = (entry["good_pages_that_must_survive"], len(good))
    assert len(index) == 119
    assert wrong == {}


def sums(file, total: int, start: int, stop: int) -> list[tuple]:
    return [(r.offset, r.length, r.type, zlib.crc32(r.body)) for r in Reader(file, total, start, stop)]


def test_a_large_file_in_ranges_of_odd_sizes(shared):
    path = shared / "web" / "realweb.warc.gz"
    total = path.stat().st_size
    with open(path, "rb") as file:
        whole = sums(file, total, 0, total)
        assert len(whole) == 1 + 3 * 1763
        for size in (1_000_003, 7_654_321, 20_000_001):
            starts = range(0, total, size)
            assert [r for s in starts for r in sums(file, total, s, min(total, s + size))] == whole


def test_equal_to_fastwarc(shared):
    """Offsets, types, target URIs and bodies of another reader, on a file that both can read."""
    fastwarc = pytest.importorskip("fastwarc")
    path = shared / "web" / "realweb.warc.gz"
    with open(path, "rb") as theirs, open(path, "rb") as ours:
        peer = fastwarc.ArchiveIterator(theirs, parse_http=False)
        for expected, found in zip(peer, Reader(ours, path.stat().st_size), strict=True):
            assert fastwarc.warc.WarcRecordType.__dict__[found.type] == expected.record_type
            assert found.offset == expected.stream_pos
            assert found.headers.get("warc-target-uri") == expected.headers.get("WARC-Target-URI")
            assert found.body == expected.reader.read()
