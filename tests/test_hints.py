"""What pages say about themselves: each hint, each place it may stand in, and what must not be taken for one."""

import datetime
import time

import pytest

from pipeline.hints import Hints, hints, read_date

URL = "https://site.example/a/b.html"


def head(inner: str, attributes: str = "") -> str:
    return f"<!doctype html><html {attributes}><head><title>T</title>{inner}</head><body><p>text</p></body></html>"


def test_a_page_without_hints_has_none():
    assert hints(head(""), {}, URL) == Hints()
    assert hints("", {}, URL) == Hints()


@pytest.mark.parametrize(
    ("page", "headers", "want"),
    [
        (head("", "lang='de-AT' class=x"), {"content-language": "en"}, "de-AT"),
        (head("", "xml:lang=fr"), {}, "fr"),
        (head("<meta http-equiv=Content-Language content=pl>"), {"content-language": "en"}, "pl"),
        (head(""), {"content-language": " en, de "}, "en, de"),
        (head("", 'lang=""'), {"content-language": "en"}, "en"),
    ],
)
def test_language(page, headers, want):
    assert hints(page, headers, URL).language == want


@pytest.mark.parametrize(
    ("page", "headers", "want"),
    [
        (head('<META NAME="Robots" CONTENT="NoIndex, follow">'), {}, ("noindex, follow", True, False, False)),
        (head("<meta content=none name=robots>"), {}, ("none", True, False, False)),
        (head("<meta name='robots' content='noai, noimageai'/>"), {}, ("noai, noimageai", False, True, True)),
        (head(""), {"x-robots-tag": "CCBot: noindex"}, ("ccbot: noindex", True, False, False)),
        (
            head("<meta name=robots content=noai>"),
            {"x-robots-tag": "noimageai"},
            ("noimageai, noai", False, True, True),
        ),
        (head("<meta name=robots content='index, max-image-preview:none, max-snippet: 0'>"), {}, None),
        (head("<meta name=description content=noindex><meta name=other content='noai'>"), {}, None),
        (head("<!-- <meta name=robots content=noindex> -->"), {}, None),
        (head("<script>x='<meta name=robots content=noindex>'</script>"), {}, None),
        (head("") + "<meta name=robots content=noindex>", {}, None),
    ],
)
def test_robots(page, headers, want):
    found = hints(page, headers, URL)
    if want is None:
        assert (found.noindex, found.noai, found.noimageai) == (False, False, False)
    else:
        assert (found.robots, found.noindex, found.noai, found.noimageai) == want


def test_tdm_reservation():
    assert hints(head('<meta name="tdm-reservation" content="1">'), {}).tdm_reserved
    assert hints("", {"tdm-reservation": "1"}).tdm_reserved
    assert not hints(head('<meta name="tdm-reservation" content="0">'), {"tdm-reservation": "0"}).tdm_reserved


@pytest.mark.parametrize(
    ("link", "want"),
    [
        ('<link rel="canonical" href="https://site.example/x?a=1&amp;b=2">', "https://site.example/x?a=1&b=2"),
        ("<link href=../c rel='Canonical nofollow'>", "https://site.example/c"),
        ("<link rel=canonical href='//other.example/'>", "https://other.example/"),
        ("<link rel=canonical href='javascript:alert(1)'>", ""),
        ("<link rel=canonical href='http://[broken'>", ""),
        ("<link rel=alternate href=/x>", ""),
    ],
)
def test_canonical(link, want):
    assert hints(head(link), {}, URL).canonical == want


@pytest.mark.parametrize(
    ("page", "want"),
    [
        (head("<meta property='article:published_time' content='2024-05-06T07:08:09+02:00'>"), "2024-05-06"),
        (head('<script type="application/ld+json">{"datePublished" : "2023-12-31"}</script>'), "2023-12-31"),
        (head("<meta itemprop=datePublished content=20220203>"), "2022-02-03"),
        (head("<meta name=DC.date content='5 March 2021'>"), "2021-03-05"),
        (head("") + "<time class=x datetime='2020-02-29 10:00'>then</time>", "2020-02-29"),
        (head("<meta name=date content=soon>") + "<time datetime='10:00'>", None),
        (head("<meta name=date content=2024-02-30>"), None),
    ],
)
def test_date(page, want):
    assert hints(page, {}, URL).date == (datetime.date.fromisoformat(want) if want else None)


@pytest.mark.parametrize(
    ("written", "want"),
    [
        ("2024/01/02", "2024-01-02"),
        ("20240102T101112Z", "2024-01-02"),
        ("Tue, 02 Jan 2024 10:11:12 GMT", "2024-01-02"),
        ("January 2nd, 2024", None),
        ("Jan. 2, 2024", "2024-01-02"),
        ("1704153600", None),
        ("1704153600000", None),
        ("0001-01-01T00:00:00Z", None),
        ("2 Foo 2024", None),
    ],
)
def test_read_date(written, want):
    assert read_date(written) == (datetime.date.fromisoformat(want) if want else None)


@pytest.mark.parametrize(
    "bait",
    [
        *("<meta ", "<meta name=", '<meta "', "<!--", "<script>", "<time datetime ", "<time datetime=", "<link rel='"),
        *("</head", '"datePublished":', "<html lang=", "<meta name=robots content='noindex'>"),
    ],
)
def test_hostile_pages_take_bounded_time(bait):
    start = time.process_time()
    hints(bait * (4_000_000 // len(bait)), {}, URL)
    assert time.process_time() - start < 2
