"""A record of a crawl file or a row of a table -> Page: text, or bytes with their header, on the way to a document."""

import os
from dataclasses import dataclass, field

from corpus import settings
from corpus.document import Reason
from pipeline import http, tables, warc
from pipeline.items import Item


class Dropped(Exception):
    """A record that yields no document, with the reason."""

    def __init__(self, reason: Reason, detail: str = ""):
        super().__init__(detail)
        self.reason, self.detail = reason, detail


@dataclass(slots=True)
class Page:
    """A record on its way to a document: either its text is given, or HTML or plain bytes with their header."""

    url: str
    time: str
    identity: str
    offset: int
    length: int
    index: int
    text: str | None = None
    data: bytes = b""
    is_html: bool = False
    headers: dict[str, str] = field(default_factory=dict)
    truncated: bool = False


def of_row(row: tables.Row, item: Item) -> Page:
    if row.error:
        raise Dropped(Reason.BROKEN_RECORD, row.error)
    identity = f"{row.identity}|{row.url}|{row.time}" if row.identity or row.url else ""
    url = row.url or f"{os.path.basename(item.path)}#{row.identity or row.offset}"
    return Page(url, row.time, identity, row.offset, 0, 0, row.text)


def of_record(record: warc.Record, extract: settings.Extract) -> Page:
    headers = record.headers
    page = Page(
        _bare(headers.get("warc-target-uri", "")),
        headers.get("warc-date", ""),
        headers.get("warc-record-id", ""),
        record.offset,
        record.length,
        record.index,
    )
    page.truncated = record.truncated or "warc-truncated" in headers
    if record.type == "revisit":
        raise Dropped(Reason.REVISIT)
    if record.type == "conversion":
        page.text = record.body[: extract.max_page_bytes].decode("utf-8", "replace")
        page.truncated |= record.size > extract.max_page_bytes
        return page
    if record.type not in ("response", "resource"):
        raise Dropped(Reason.OTHER_RECORD, record.type)
    if record.size > extract.max_page_bytes + (64 << 10):
        raise Dropped(Reason.TOO_LARGE, f"{record.size} bytes")
    if record.type == "resource":
        page.data, kind = record.body, headers.get("content-type", "")
    else:
        kind = _read_response(page, record, extract)
    page.is_html = _is_html(kind, page)
    page.headers = {**page.headers, "content-type": kind}
    return page


def _bare(uri: str) -> str:
    """A URI without the angle brackets that some writers put around it."""
    return uri[1:-1] if uri[:1] == "<" and uri[-1:] == ">" else uri


def _read_response(page: Page, record: warc.Record, extract: settings.Extract) -> str:
    """Undo the HTTP envelope; returns the content type."""
    if "http" not in page.url[:5].lower():
        raise Dropped(Reason.NOT_HTML, page.url[:60])
    try:
        response = http.parse(record.body, extract.max_page_bytes)
    except http.TooLarge as error:
        raise Dropped(Reason.TOO_LARGE, str(error)) from None
    except http.Undecodable as error:
        raise Dropped(Reason.UNDECODABLE, str(error)) from None
    if response.status and response.status not in (200, 203, 206):
        raise Dropped(Reason.HTTP_ERROR, str(response.status))
    page.data, page.headers = response.body, response.headers
    page.truncated |= response.truncated
    return response.headers.get("content-type", "") or record.headers.get("warc-identified-payload-type", "")


def _is_html(kind: str, page: Page) -> bool:
    """HTML or plain text by the declared type, by a look at the bytes where none is declared. Errors: Dropped."""
    kind = kind.partition(";")[0].strip().lower()
    if page.url.endswith("/robots.txt"):
        raise Dropped(Reason.OTHER_RECORD, "robots.txt")
    head = page.data[:1024].lower()
    if kind in ("text/html", "application/xhtml+xml") or ("/" not in kind and b"<" in head):
        return True
    if kind == "text/plain":
        return b"<html" in head or b"<!doctype html" in head
    raise Dropped(Reason.NOT_HTML, kind or "no content type")
