"""Exchanges of a crawl as WARC and WET files (WARC 1.0, one gzip member a record), the same bytes at every run."""

import base64
import hashlib
import struct
import uuid
import zlib
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from html.parser import HTMLParser

START = datetime(2024, 5, 18, 6, 0, 0, tzinfo=UTC)
_BLOCKS = (
    " address article aside blockquote br button caption center dd div dl dt figure footer form h1 h2 h3 h4 h5 h6 head "
    "header hr html label li main nav ol option p pre section select table tbody td th thead title tr ul "
)


@dataclass(frozen=True)
class Exchange:
    """One answer of a server: what was planted (`kind`) and what it says."""

    url: str
    kind: str
    body: bytes
    content_type: str = "text/html"
    status: str = "200 OK"
    headers: tuple[tuple[str, str], ...] = ()  # besides Content-Type and Content-Length
    language: str = ""  # "eng_Latn"; "" where there is none
    charset: str = "utf-8"  # what the body is written in
    text: str = ""  # for the WET file; "" for none
    article: str = ""  # "eng_Latn/3"; "" for a page without one
    design: str = ""
    original: str = ""  # URL of what it repeats
    day: int = 0  # days after the start of the crawl
    cut: int = 0  # bytes of the body the crawler kept, 0 for all
    with_request: bool = False  # request and metadata records stand beside it
    revisit: bool = False  # the crawler saw the payload of `original` again


def member(data: bytes) -> bytes:
    """`data` as one gzip member without time or name; the bytes depend on zlib alone."""
    packer = zlib.compressobj(9, zlib.DEFLATED, -zlib.MAX_WBITS)
    packed = packer.compress(data) + packer.flush()
    return b"\x1f\x8b\x08\0\0\0\0\0\x02\xff" + packed + struct.pack("<II", zlib.crc32(data), len(data))


def crawl_time(exchange: Exchange, place: int) -> datetime:
    """When the `place`-th exchange happened, UTC."""
    return START + timedelta(days=exchange.day, seconds=7 * place)


def warc_members(exchange: Exchange, time: datetime, times: dict[str, datetime]) -> list[bytes]:
    """The records of one exchange, each a gzip member. `times`: URL -> first crawl, for revisits."""
    kind = "revisit" if exchange.revisit else "response"
    record_id = _id(kind, exchange.url, time)
    response = _record(kind, time, record_id, _http_headers(exchange, kind, times), _block(exchange))
    if not exchange.with_request:
        return [response]
    host, _, path = exchange.url.partition("://")[2].partition("/")
    asked = f"GET /{path} HTTP/1.1\r\nHost: {host}\r\nUser-Agent: sample-crawler/1.0\r\nAccept: text/html\r\n\r\n"
    about = f"fetchTimeMs: {len(exchange.body) % 400 + 80}\r\ncharset-detected: {exchange.charset}\r\n"
    target = [("WARC-Target-URI", exchange.url), ("WARC-Concurrent-To", record_id)]
    request = [*target, ("Content-Type", "application/http; msgtype=request")]
    notes = [*target, ("Content-Type", "application/warc-fields")]
    return [
        _record("request", time, _id("request", exchange.url, time), request, asked.encode()),
        response,
        _record("metadata", time, _id("metadata", exchange.url, time), notes, about.encode()),
    ]


def warcinfo(file_name: str, described: str) -> bytes:
    """The first record of a file."""
    fields = f"software: make_sample.py\r\nformat: WARC File Format 1.0\r\ndescription: {described}\r\n"
    headers = [("WARC-Filename", file_name), ("Content-Type", "application/warc-fields")]
    return _record("warcinfo", START, _id("warcinfo", file_name, START), headers, fields.encode())


def wet_member(exchange: Exchange, time: datetime) -> bytes:
    """The conversion record of a page: its whole text, furniture and all, as Common Crawl makes it."""
    headers = [("WARC-Target-URI", exchange.url), ("WARC-Refers-To", _id("response", exchange.url, time))]
    if exchange.language:
        headers.append(("WARC-Identified-Content-Language", exchange.language[:3]))
    block = exchange.text.encode("utf-8", "replace")
    headers += [("WARC-Block-Digest", _digest(block)), ("Content-Type", "text/plain")]
    return _record("conversion", time, _id("conversion", exchange.url, time), headers, block)


def _http_headers(exchange: Exchange, kind: str, times: dict[str, datetime]) -> list[tuple[str, str]]:
    headers = [("WARC-Target-URI", exchange.url), ("WARC-Payload-Digest", _digest(exchange.body))]
    if kind == "revisit":
        headers.append(("WARC-Profile", "http://netpreserve.org/warc/1.0/revisit/identical-payload-digest"))
        headers.append(("WARC-Refers-To-Target-URI", exchange.original))
        headers.append(("WARC-Refers-To-Date", _stamp(times[exchange.original])))
    if exchange.cut:
        headers.append(("WARC-Truncated", "length"))
    return [*headers, ("WARC-IP-Address", "192.0.2.80"), ("Content-Type", "application/http; msgtype=response")]


def _block(exchange: Exchange) -> bytes:
    """HTTP status, headers and body; a revisit has no body, a truncated one only its start."""
    fields = [("Server", "nginx"), ("Content-Type", exchange.content_type), *exchange.headers]
    if not any(name == "Transfer-Encoding" for name, _ in fields):
        fields.append(("Content-Length", str(len(exchange.body))))
    head = f"HTTP/1.1 {exchange.status}\r\n" + "".join(f"{name}: {value}\r\n" for name, value in fields) + "\r\n"
    body = b"" if exchange.revisit else exchange.body[: exchange.cut or None]
    return head.encode() + body


def _record(kind: str, time: datetime, record_id: str, headers: list[tuple[str, str]], block: bytes) -> bytes:
    first = [("WARC-Type", kind), ("WARC-Date", _stamp(time)), ("WARC-Record-ID", record_id)]
    lines = [*first, *headers, ("Content-Length", str(len(block)))]
    head = "WARC/1.0\r\n" + "".join(f"{name}: {value}\r\n" for name, value in lines) + "\r\n"
    return member(head.encode() + block + b"\r\n\r\n")


def _id(kind: str, url: str, time: datetime) -> str:
    return f"<urn:uuid:{uuid.uuid5(uuid.NAMESPACE_URL, f'{kind} {url} {_stamp(time)}')}>"


def _digest(data: bytes) -> str:
    return "sha1:" + base64.b32encode(hashlib.sha1(data).digest()).decode()


def _stamp(time: datetime) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%SZ")


class _Visible(HTMLParser):
    """Collects the text a reader sees; block elements end the line."""

    def __init__(self) -> None:
        super().__init__()
        self.parts: list[str] = []
        self.hidden = ""

    def handle_starttag(self, tag, attrs):
        if tag in ("script", "style"):
            self.hidden = tag
        if f" {tag} " in _BLOCKS:
            self.parts.append("\n")

    def handle_endtag(self, tag):
        if tag == self.hidden:
            self.hidden = ""
        if f" {tag} " in _BLOCKS:
            self.parts.append("\n")

    def handle_data(self, data):
        if not self.hidden:
            self.parts.append(data)


def visible_text(page: str) -> str:
    """All text of an HTML page, one block a line, without empty lines."""
    parser = _Visible()
    parser.feed(page)
    parser.close()
    lines = (line.strip(" \r") for line in "".join(parser.parts).split("\n"))
    return "\n".join(line for line in lines if line)
