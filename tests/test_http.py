"""An HTTP response as it lies in a crawl file: codings undone, wrongly declared ones left alone, bombs bounded."""

import gzip
import time
import tracemalloc
import zlib

import brotli
import pytest
import zstandard
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline import http
from pipeline.http import TooLarge, Undecodable, decode, parse, unchunk

LIMIT = 4 << 20
BODY = b"<p>" + bytes(range(32, 127)) * 50 + b"</p>"
RAW_DEFLATE = zlib.compressobj(9, zlib.DEFLATED, -15)
PACKED = {
    "gzip": gzip.compress(BODY, mtime=0),
    "x-gzip": gzip.compress(BODY, mtime=0),
    "deflate": zlib.compress(BODY),
    "br": brotli.compress(BODY),
    "zstd": zstandard.ZstdCompressor().compress(BODY),
}


def response(body: bytes, *fields: str, status: str = "HTTP/1.1 200 OK") -> http.Response:
    return parse("\r\n".join([status, *fields, "", ""]).encode() + body, LIMIT)


# --- the header -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("line", "status"), [
    ("HTTP/1.1 200 OK", 200),
    ("HTTP/1.0 404", 404),
    ("HTTP/2 301", 301),
    ("http/1.1 503 Busy", 503),
    ("HTTP/1.1  200  OK", 200),
    ("HTTP/1.1\t204\tNo", 204),
    ("200 OK", 200),
    ("HTTP/one 200 OK", 200),
    ("HTTP/1.1 abc", 0),
    ("HTTP/1.1", 0),
])  # fmt: skip
def test_status_lines(line, status):
    found = response(b"body", "Content-Type: text/html", status=line)
    assert found.status == status
    assert found.body == b"body"
    assert found.headers == {"content-type": "text/html"}


def test_header_fields():
    """Names in lower case, the first of several kept, robots fields joined, bytes that are no ASCII as Latin-1."""
    block = (b"HTTP/1.1 200 OK\nContent-TYPE:  text/html \nX-A: 1\nX-A: 2\nno colon\n: no name\n"
             b"X-Robots-Tag: noindex\nx-robots-tag: noai\nX-Name: caf\xe9\n\nbody")  # fmt: skip
    found = parse(block, LIMIT)
    assert found.headers == {
        "content-type": "text/html", "x-a": "1", "x-robots-tag": "noindex, noai", "x-name": "café",
    }  # fmt: skip
    assert found.body == b"body"


def test_without_a_status_line_the_block_is_the_body():
    found = parse(b"<!doctype html>\r\n\r\nhello", LIMIT)
    assert (found.status, found.headers, found.body) == (0, {}, b"<!doctype html>\r\n\r\nhello")


def test_a_header_without_an_end():
    assert parse(b"HTTP/1.1 304 Not Modified\r\nETag: x\r\n", LIMIT).status == 304, "a short one has no body"
    with pytest.raises(Undecodable, match="header without an end"):
        parse(b"HTTP/1.1 200 OK\r\n" + b"X: " + b"a" * 8000, LIMIT)
    with pytest.raises(Undecodable, match="header without an end"):
        parse(b"HTTP/1.1 200 OK\r\n" + b"X: a\r\n" * 500_000 + b"\r\nbody", LIMIT)


# --- chunks ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("raw", "body", "cut"), [
    (b"4\r\nWiki\r\n5\r\npedia\r\n0\r\n\r\n", b"Wikipedia", False),
    (b"4\r\nWiki\r\n0\r\nExpires: never\r\nX: y\r\n\r\n", b"Wiki", False),
    (b"4;name=value\r\nWiki\r\n0\r\n\r\n", b"Wiki", False),
    (b"  00004\r\nWiki\r\n0\r\n\r\n", b"Wiki", False),
    (b"4\nWiki\n0\n\n", b"Wiki", False),
    (b"A\r\n0123456789\r\na\r\n0123456789\r\n0\r\n\r\n", b"0123456789" * 2, False),
    (b"0\r\n\r\n", b"", False),
    (b"4\r\nWiki\r\n5\r\npe", b"Wikipe", True),
    (b"4\r\nWiki\r\n", b"Wiki", True),
    (b"4\r\nWiki\r\n5\r\npedia\r\nnonsense that is no size", b"Wikipedia", True),
    (b"<html>not chunked at all</html>", b"<html>not chunked at all</html>", False),
    (b"12 monkeys\r\nis no chunk size", b"12 monkeys\r\nis no chunk size", False),
    (b"FFFFFFFFFFFFFFFF\r\nWiki\r\n0\r\n\r\n", b"FFFFFFFFFFFFFFFF\r\nWiki\r\n0\r\n\r\n", False),
    (b"FFFFFFFF\r\nWiki", b"Wiki", True),
    (b"-4\r\nWiki\r\n0\r\n\r\n", b"-4\r\nWiki\r\n0\r\n\r\n", False),
    (b"", b"", False),
])  # fmt: skip
def test_unchunk(raw, body, cut):
    assert unchunk(raw) == (body, cut)


@given(st.lists(st.binary(min_size=1, max_size=50), max_size=8))
def test_what_was_chunked_comes_back(pieces):
    raw = b"".join(b"%x\r\n%s\r\n" % (len(p), p) for p in pieces) + b"0\r\n\r\n"
    assert unchunk(raw) == (b"".join(pieces), False)


def test_chunks_of_one_byte_take_linear_time():
    begun = time.process_time()
    body, cut = unchunk(b"1\r\na\r\n" * 600_000 + b"0\r\n\r\n")
    assert (len(body), cut) == (600_000, False)
    assert time.process_time() - begun < 5


# --- content codings ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("coding", PACKED)
def test_each_coding_is_undone(coding):
    assert decode(PACKED[coding], coding, LIMIT) == (BODY, False)
    found = response(PACKED[coding], f"Content-Encoding: {coding.upper()}")
    assert (found.body, found.truncated) == (BODY, False)


def test_deflate_without_its_wrapper():
    packer = zlib.compressobj(9, zlib.DEFLATED, -15)
    assert decode(packer.compress(BODY) + packer.flush(), "deflate", LIMIT) == (BODY, False)


@pytest.mark.parametrize("coding", PACKED)
def test_a_cut_body_gives_its_beginning(coding):
    noise = bytes((k * k * 31 + k // 7) % 251 for k in range(300_000))
    packed = {
        "deflate": zlib.compress(noise), "br": brotli.compress(noise, quality=3),
        "zstd": zstandard.ZstdCompressor().compress(noise),
    }.get(coding, gzip.compress(noise))  # fmt: skip
    body, cut = decode(packed[: len(packed) // 2], coding, LIMIT)
    assert cut
    assert noise.startswith(body)
    if coding != "zstd":  # a zstd frame of one block gives nothing before the block is whole
        assert body


@pytest.mark.parametrize("coding", PACKED)
@pytest.mark.parametrize("body", [b"<!doctype html><p>plain</p>", BODY, "слово".encode()])
def test_a_body_that_is_not_in_its_coding_stays_as_it_is(coding, body):
    assert decode(body, coding, LIMIT) == (body, False)


@pytest.mark.parametrize("coding", PACKED)
def test_an_empty_body_is_empty(coding):
    assert decode(b"", coding, LIMIT)[0] == b""


def test_codings_are_undone_from_the_last_to_the_first():
    found = response(gzip.compress(brotli.compress(BODY)), "Content-Encoding: br, gzip")
    assert found.body == BODY


def test_chunked_and_compressed():
    packed = PACKED["gzip"]
    raw = b"%x\r\n%s\r\n0\r\n\r\n" % (len(packed), packed)
    assert response(raw, "Transfer-Encoding: chunked", "Content-Encoding: gzip").body == BODY


@pytest.mark.parametrize("coding", ["identity", "none", "UTF-8", "", " , "])
def test_codings_that_are_none(coding):
    assert response(BODY, f"Content-Encoding: {coding}").body == BODY


def test_an_unknown_coding_is_refused_by_name():
    with pytest.raises(Undecodable, match="sdch"):
        response(BODY, "Content-Encoding: sdch")


# --- bounds ---------------------------------------------------------------------------------------------------------

ZEROS = bytes(1 << 20)


def bomb(coding: str, megabytes: int = 64) -> bytes:
    if coding in ("gzip", "deflate"):
        packer = zlib.compressobj(9, zlib.DEFLATED, 31 if coding == "gzip" else 15)
        return b"".join(packer.compress(ZEROS) for _ in range(megabytes)) + packer.flush()
    if coding == "br":
        slow = brotli.Compressor(quality=4)
        return b"".join(slow.process(ZEROS) for _ in range(megabytes)) + slow.finish()
    packer = zstandard.ZstdCompressor().compressobj()
    return b"".join(packer.compress(ZEROS) for _ in range(megabytes)) + packer.flush()


@pytest.mark.parametrize("coding", ["gzip", "deflate", "br", "zstd"])
@pytest.mark.parametrize("layers", [1, 2])
def test_a_bomb_is_refused_in_bounded_memory(coding, layers):
    body = bomb(coding)
    for _ in range(layers - 1):
        body = gzip.compress(body)
    fields = "Content-Encoding: " + ", ".join([coding, "gzip"][:layers])
    tracemalloc.start()
    with pytest.raises(TooLarge, match="inflates to more than"):
        response(body, fields)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 6 * LIMIT


def test_the_limit_is_exact():
    assert len(parse(b"x" * LIMIT, LIMIT).body) == LIMIT
    with pytest.raises(TooLarge):
        parse(b"x" * (LIMIT + 1), LIMIT)
    for coding in ("gzip", "deflate", "br", "zstd"):
        packed = {"gzip": gzip.compress, "deflate": zlib.compress, "br": brotli.compress,
                  "zstd": zstandard.ZstdCompressor().compress}[coding]  # fmt: skip
        assert decode(packed(b"x" * 5000), coding, 5000) == (b"x" * 5000, False)
        with pytest.raises(TooLarge):
            decode(packed(b"x" * 5001), coding, 5000)


CODINGS = st.sampled_from(["gzip", "deflate", "br", "zstd", "gzip, gzip", "x", "br, deflate"])


@settings(max_examples=300, deadline=None)
@given(st.binary(max_size=300), CODINGS, st.booleans(), st.sampled_from([b"", *(p[:80] for p in PACKED.values())]))
def test_nothing_but_the_named_errors(tail, coding, chunked, head):
    fields = [f"Content-Encoding: {coding}", *(["Transfer-Encoding: chunked"] if chunked else [])]
    try:
        found = response(head + tail, *fields)
    except (Undecodable, TooLarge):
        return
    assert isinstance(found.body, bytes)


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=200))
def test_no_header_raises_anything_else(tail):
    try:
        parse(b"HTTP/1.1 200 OK\r\n" + tail, 1000)
    except (Undecodable, TooLarge):
        return
