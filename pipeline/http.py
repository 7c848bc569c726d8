"""An HTTP response as it lies in a crawl file -> status, headers, page bytes: transfer and content codings undone.

What comes out is bounded, never what goes in: a coding that inflates past the limit raises TooLarge.
RFC 9112 (chunked), RFC 9110 section 8.4 (content codings). Wrongly declared codings leave the body as it stands.
"""

import re
import zlib
from dataclasses import dataclass, field

_MAX_HEADER = 256 << 10
_BITE = 64  # bytes of zstd at a time: four can stand for 128 KiB
_CHUNK_SIZE = re.compile(rb"[ \t]*([0-9a-fA-F]{1,8})[ \t]*(?:;[^\r\n]{0,256})?\r?\n")
_STATUS = re.compile(rb"HTTP/[0-9.]{1,4}[ \t]+(\d{3})|HTTP/\S*[ \t]+(\d{3})\b|(\d{3})[ \t]", re.IGNORECASE)


class Undecodable(Exception):
    """A content coding nobody knows, or a header without an end."""


class TooLarge(Exception):
    """The decoded body is over the limit."""


@dataclass(slots=True)
class Response:
    status: int  # 0 when there is no status line
    headers: dict[str, str] = field(repr=False)  # names in lower case, the first of several kept, robots joined
    body: bytes = field(repr=False)
    truncated: bool = False


def parse(block: bytes, limit: int) -> Response:
    """The response in the content block of a record. Errors: Undecodable, TooLarge."""
    if block[:5].upper() != b"HTTP/" and not re.match(rb"\d{3} ", block):
        return Response(0, {}, _bounded(block, limit))
    end = re.compile(rb"\r?\n\r?\n").search(block, 0, _MAX_HEADER)
    if end is None:
        if len(block) > 4096:
            raise Undecodable("an HTTP header without an end")
        return Response(_status(block), {}, b"")
    headers = _headers(block[: end.start()])
    body, truncated = block[end.end() :], False
    if "chunked" in headers.get("transfer-encoding", "").lower():
        body, truncated = unchunk(body)
    codings = [c.strip().lower() for c in headers.get("content-encoding", "").split(",")]
    for coding in reversed([c for c in codings if c not in ("", "identity", "none", "utf-8")]):
        body, cut = decode(body, coding, limit)
        truncated |= cut
    return Response(_status(block), headers, _bounded(body, limit), truncated)


def _bounded(body: bytes, limit: int) -> bytes:
    if len(body) > limit:
        raise TooLarge(f"more than {limit} bytes")
    return body


def _status(block: bytes) -> int:
    match = _STATUS.match(block)
    return int(match[1] or match[2] or match[3]) if match else 0


def _headers(block: bytes) -> dict[str, str]:
    headers: dict[str, str] = {}
    for line in block.decode("latin-1").split("\n")[1:2000]:
        name, colon, value = line.partition(":")
        name, value = name.strip().lower(), value.strip()
        if not colon or not name:
            continue
        if name == "x-robots-tag" and name in headers:
            headers[name] += ", " + value
        headers.setdefault(name, value)
    return headers


def unchunk(body: bytes) -> tuple[bytes, bool]:
    """(body, whether it was cut short). A body that is not chunked comes back as it stands."""
    pieces: list[bytes] = []
    position = 0
    while match := _CHUNK_SIZE.match(body, position):
        size = int(match[1], 16)
        start = match.end()
        if size == 0:
            return b"".join(pieces), False
        pieces.append(body[start : start + size])
        if start + size > len(body):
            return b"".join(pieces), True
        position = start + size
        if body[position : position + 2] == b"\r\n":
            position += 2
        elif body[position : position + 1] == b"\n":
            position += 1
    if not pieces or position < len(body) - 2:
        return (body, False) if len(pieces) < 2 else (b"".join(pieces), True)
    return b"".join(pieces), True


def decode(body: bytes, coding: str, limit: int) -> tuple[bytes, bool]:
    """(decoded body, whether it was cut short); a body that is not in this coding comes back as it stands."""
    if coding in ("gzip", "x-gzip"):
        return _inflate(body, 31, limit) if body[:2] == b"\x1f\x8b" else (body, False)
    if coding == "deflate":
        wrapped = len(body) > 1 and body[0] & 15 == 8 and (body[0] << 8 | body[1]) % 31 == 0
        return _inflate(body, 15 if wrapped else -15, limit)
    if coding == "br":
        return _unbrotli(body, limit)
    if coding == "zstd":
        return _unzstd(body, limit)
    raise Undecodable(f"content coding {coding[:20]!r}")


def _inflate(body: bytes, window: int, limit: int) -> tuple[bytes, bool]:
    inflater = zlib.decompressobj(window)
    pieces: list[bytes] = []
    count, data = 0, body
    try:
        while data and not inflater.eof:
            pieces.append(inflater.decompress(data, 1 << 20))
            count += len(pieces[-1])
            if count > limit:
                raise TooLarge(f"inflates to more than {limit} bytes")
            data = inflater.unconsumed_tail
    except zlib.error:
        return (b"".join(pieces), True) if count else (body, False)
    return b"".join(pieces), not inflater.eof


def _unbrotli(body: bytes, limit: int) -> tuple[bytes, bool]:
    import brotli

    decoder, out, data = brotli.Decompressor(), bytearray(), body
    try:
        while not decoder.is_finished():
            piece = decoder.process(data, output_buffer_limit=1 << 20)
            out += piece
            if len(out) > limit:
                raise TooLarge(f"inflates to more than {limit} bytes")
            data = b""
            if not piece and decoder.can_accept_more_data():
                break
    except brotli.error:
        return (bytes(out), True) if out else (body, False)
    return bytes(out), not decoder.is_finished()


def _unzstd(body: bytes, limit: int) -> tuple[bytes, bool]:
    import zstandard

    decoder, out = zstandard.ZstdDecompressor().decompressobj(), bytearray()
    try:
        for start in range(0, len(body), _BITE):
            out += decoder.decompress(body[start : start + _BITE])
            if len(out) > limit:
                raise TooLarge(f"inflates to more than {limit} bytes")
            if decoder.eof:
                break
    except zstandard.ZstdError:
        return (bytes(out), True) if out else (body, False)
    return bytes(out), not decoder.eof
