"""What a page says about itself, beside its text: language, wishes of its owner, canonical address, date.

Read from the header of the answer and the tags of the head, not from a tree: it costs little and does not depend on who
extracts the text. Linear in the page, whatever it holds.
"""

import datetime
import html as entities
import re
from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import urljoin

from pipeline import _hints

WINDOW = 1 << 20
"""Bytes of a page that are looked at."""
MAX_URL, MAX_ROBOTS, MAX_LANGUAGE = 2048, 200, 35


@dataclass(frozen=True, slots=True)
class Hints:
    """In the order of the columns of a document."""

    language: str = ""  # <html lang>, else Content-Language; as it stands
    date: datetime.date | None = None  # when it says that it was published
    canonical: str = ""  # <link rel=canonical>, absolute; http and https only
    robots: str = ""  # robots meta tags and X-Robots-Tag, in lower case
    noindex: bool = False  # robots: noindex or none
    noai: bool = False  # robots: noai
    noimageai: bool = False  # robots: noimageai
    tdm_reserved: bool = False  # the TDM Reservation Protocol's tdm-reservation: 1


_ROBOTS = ("robots", "googlebot", "ccbot")
_DIRECTIVE = re.compile(r"(?<![\w-])(noindex|none|noai|noimageai)(?![\w-])")
_LIMIT = re.compile(r"max-[a-z-]+ ?: ?[\w-]+")
"""'max-image-preview: none' is no 'none'."""
_DATES = (
    *("article:published_time", "datepublished", "og:published_time", "date", "dc.date", "dc.date.issued"),
    *("dcterms.date", "dcterms.created", "pubdate", "publishdate", "publish-date", "parsely-pub-date", "sailthru.date"),
)
"""Names of meta tags that tell when a page was published, the surest first."""
_DATE_IN_SCRIPT = re.compile(rb"\"datePublished\"\s*:\s*\"([^\"<>]{4,40})\"")
_TIME = re.compile(rb"<time\s(?:[^<>\"']|\"[^\"<]*\"|'[^'<]*')*?datetime\s*=\s*[\"']?([^\"'<>]{4,40})")


def hints(html: str | bytes, headers: Mapping[str, str], url: str = "") -> Hints:
    """html: the page, decoded or in UTF-8, '' where it is no HTML; headers: of the answer, names in lower case; url:
    the page's."""
    window = (html if isinstance(html, bytes) else html.encode("utf-8", "replace"))[:WINDOW]
    tags = _tags(window)
    metas: dict[str, str] = {}
    robots = [headers.get("x-robots-tag", "")]
    for tag, attributes in tags:
        name = next((attributes[k] for k in ("name", "property", "itemprop") if k in attributes), "").lower()
        if tag != "meta" or not name:
            continue
        content = attributes.get("content", "")
        metas.setdefault(name, content)
        if name in _ROBOTS:
            robots.append(content)
    told = ", ".join(" ".join(r.lower().split()) for r in robots if r.strip())
    wishes = set(_DIRECTIVE.findall(_LIMIT.sub("", told)))
    return Hints(
        language=_language(tags, headers),
        date=_date(metas, window),
        canonical=_canonical(tags, url),
        robots=told[:MAX_ROBOTS],
        noindex=bool(wishes & {"noindex", "none"}),
        noai="noai" in wishes,
        noimageai="noimageai" in wishes,
        tdm_reserved="1" in (headers.get("tdm-reservation", "").strip(), metas.get("tdm-reservation", "").strip()),
    )


def _tags(window: bytes) -> list[tuple[str, dict[str, str]]]:
    """(name, attributes) of the tags in the head that may hold hints."""
    return [
        (
            name,
            {key: (entities.unescape(value) if "&" in value else value).strip() for key, value in attributes.items()},
        )
        for name, attributes in _hints.tags(window)
    ]


def _language(tags: list[tuple[str, dict[str, str]]], headers: Mapping[str, str]) -> str:
    for tag, attributes in tags:
        if tag == "html" and (language := attributes.get("lang") or attributes.get("xml:lang")):
            return language[:MAX_LANGUAGE]
    for tag, attributes in tags:
        if tag == "meta" and attributes.get("http-equiv", "").lower() == "content-language":
            return attributes.get("content", "")[:MAX_LANGUAGE]
    return headers.get("content-language", "").strip()[:MAX_LANGUAGE]


def _canonical(tags: list[tuple[str, dict[str, str]]], url: str) -> str:
    for tag, attributes in tags:
        if tag == "link" and "canonical" in attributes.get("rel", "").lower().split() and attributes.get("href"):
            try:
                found = urljoin(url, attributes["href"])
            except ValueError:
                return ""
            return found if found.lower().startswith(("http://", "https://")) and len(found) <= MAX_URL else ""
    return ""


# --- dates --------------------------------------------------------------------------------------------------------

_MONTHS = ["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"]
_ISO = re.compile(r"\s*(\d{4})[-/.]?(\d{2})[-/.]?(\d{2})(?!\d{1,5}(?:\D|\Z))")
_DAY_MONTH = re.compile(r"(?:[a-z]{3,9},?\s+)?(\d{1,2})\s+([a-z]{3})[a-z]*\.?,?\s+(\d{4})\b", re.IGNORECASE)
_MONTH_DAY = re.compile(r"(?:[a-z]{3,9},?\s+)?([a-z]{3})[a-z]*\.?\s+(\d{1,2}),?\s+(\d{4})\b", re.IGNORECASE)


def _date(metas: Mapping[str, str], window: bytes) -> datetime.date | None:
    """The first statement that can be read as a date: meta tags, then JSON-LD, then a <time>."""
    for name in _DATES[:3]:
        if found := read_date(metas.get(name, "")):
            return found
    place = window.find(b'"datePublished"')
    if (
        place >= 0
        and (match := _DATE_IN_SCRIPT.search(window, place))
        and (found := read_date(match[1].decode("utf-8", "replace")))
    ):
        return found
    for name in _DATES[3:]:
        if found := read_date(metas.get(name, "")):
            return found
    place = window.find(b"<time")
    match = _TIME.search(window, place) if place >= 0 else None
    return read_date(match[1].decode("utf-8", "replace")) if match else None


def read_date(written: str) -> datetime.date | None:
    """A date as pages write it for machines (ISO 8601, HTTP, English); None for what is none, or before 1990."""
    if match := _ISO.match(written):
        year, month, day = (int(g) for g in match.groups())
    elif match := _DAY_MONTH.match(written.strip()):
        year, month, day = int(match[3]), _month(match[2]), int(match[1])
    elif match := _MONTH_DAY.match(written.strip()):
        year, month, day = int(match[3]), _month(match[1]), int(match[2])
    else:
        return None
    try:
        return datetime.date(year, month, day) if 1990 <= year <= 2100 else None
    except ValueError:
        return None


def _month(name: str) -> int:
    """1 to 12; 0 for what is no month."""
    return _MONTHS.index(name.lower()) + 1 if name.lower() in _MONTHS else 0
