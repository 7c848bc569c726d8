"""Builds sample.warc.gz, sample.warc.wet.gz and planted.json from texts/, designs/ and interface.toml.

    python examples/sample/make_sample.py [FOLDER]

The same bytes at every run (and with every zlib that packs alike). README.md tells what is planted.
"""

import hashlib
import json
import sys
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import pages
import plants
from pages import DESIGNS, Article, Dress, Words
from records import Exchange, crawl_time, member, visible_text, warc_members, warcinfo, wet_member

HERE = Path(__file__).parent

CHARSETS = {  # article: what its page is written in, what it says it is, and where it says so
    "rus_Cyrl/2": ("windows-1251", "windows-1251", "header"),
    "rus_Cyrl/3": ("koi8-r", "koi8-r", "meta"),
    "deu_Latn/2": ("windows-1252", "windows-1252", "meta"),
    "deu_Latn/3": ("iso-8859-1", "iso-8859-1", "header"),
    "fra_Latn/3": ("windows-1252", "windows-1252", "header"),
    "jpn_Jpan/1": ("shift_jis", "Shift_JIS", "meta"),
    "jpn_Jpan/2": ("euc-jp", "EUC-JP", "header"),
    "cmn_Hans/1": ("gbk", "gb2312", "meta"),
    "kor_Kore/1": ("euc-kr", "EUC-KR", "header"),
    "arb_Arab/1": ("windows-1256", "windows-1256", "meta"),
    "ell_Grek/1": ("iso-8859-7", "iso-8859-7", "header"),
    "tha_Thai/1": ("windows-874", "windows-874", "meta"),
    "tur_Latn/1": ("iso-8859-9", "iso-8859-9", "header"),
    "pol_Latn/1": ("iso-8859-2", "iso-8859-2", "meta"),
    "heb_Hebr/1": ("windows-1255", "windows-1255", "header"),
    "rus_Cyrl/1": ("windows-1251", "", ""),
    "fra_Latn/1": ("iso-8859-1", "", ""),
    "jpn_Jpan/3": ("shift_jis", "", ""),
    "cmn_Hans/2": ("gbk", "", ""),
    "kor_Kore/2": ("euc-kr", "", ""),
    "ell_Grek/2": ("iso-8859-7", "", ""),
    "rus_Cyrl/4": ("windows-1251", "iso-8859-1", "header"),
    "kor_Kore/3": ("utf-8", "euc-kr", "meta"),
}
CODECS = {"windows-874": "cp874"}  # where Python knows a charset by another name only
MOJIBAKE = ("deu_Latn/4", "fra_Latn/4", "spa_Latn/2", "por_Latn/2", "tur_Latn/2", "rus_Cyrl/6")
ROBOTS = {"eng_Latn/3": "noindex", "deu_Latn/5": "noai, noimageai", "vie_Latn/2": "noindex, nofollow"}
PERSONAL = {  # comments that give an address away; the IP addresses belong to public name servers
    "eng_Latn/2": ("Write to ellen.marsh@lamps.example.org, she keeps the old logs.", "My page is down: ping 8.8.8.8!"),
    "fra_Latn/5": ("Commandes : fromages.perrin@cave.example.net", "Le serveur 9.9.9.9 ne répond plus."),
    "pol_Latn/2": (
        "Proszę pisać: marek+targ@poczta.example.org",
        "Adres 2620:fe::fe nie odpowiada, 149.112.112.112 tak.",
    ),
}
TRUNCATED, CUT_MEMBER, PLAIN_TEXT = "eng_Latn/4", "fin_Latn/3", "por_Latn/5"
ENCODED = ("por_Latn/3", "kor_Kore/4")
DUPLICATES = ("eng_Latn/5", "deu_Latn/6", "rus_Cyrl/5", "cmn_Hans/4", "arb_Arab/2", "hin_Deva/3")
TWICE = ("eng_Latn/6", "fra_Latn/6", "jpn_Jpan/5", "ell_Grek/4")
VARIANTS = {"eng_Latn/7": "http", "deu_Latn/7": "tracking", "spa_Latn/4": "www", "vie_Latn/3": "session"}
REPRINTED = ("eng_Latn/8", "deu_Latn/8", "rus_Cyrl/7", "cmn_Hans/5", "pol_Latn/3")
REWRITTEN = ("fra_Latn/7", "tur_Latn/3", "spa_Latn/5")
REVISITED = "heb_Hebr/2"
BARE = (  # pages without an article: kind, what draws it, whose words, path
    ("boilerplate", plants.login, "eng_Latn", "login"),
    ("boilerplate", plants.login, "rus_Cyrl", "user/login"),
    ("boilerplate", plants.cookie_wall, "deu_Latn", "zustimmung"),
    ("boilerplate", plants.empty_search, "fra_Latn", "recherche?q=xyzzy"),
    ("boilerplate", plants.empty_search, "cmn_Hans", "search?q=xyzzy"),
    ("boilerplate", plants.menu, "spa_Latn", "mapa-web"),
    ("spam", plants.keywords, "eng_Latn", "watches-cheap"),
    ("spam", plants.keywords, "spa_Latn", "relojes-baratos"),
    ("spam", plants.repeated_lines, "deu_Latn", "angebot"),
    ("spam", plants.repeated_lines, "hin_Deva", "offer"),
    ("spam", plants.link_list, "rus_Cyrl", "links.html"),
    ("spam", plants.link_list, "jpn_Jpan", "links.html"),
    ("lorem-ipsum", plants.lorem, "eng_Latn", "new-page"),
    ("numbers", plants.numbers, "", "gauge_07.tsv.html"),
    ("code", plants.code, "", "interpolate.js.html"),
    ("short", plants.short, "eng_Latn", "hello"),
    ("script-only", plants.script_only, "", "app/"),
)


@dataclass(frozen=True)
class Catalogue:
    """All that is to be dressed, by label."""

    articles: dict[str, list[Article]]
    words: dict[str, Words]

    def __getitem__(self, key: str) -> Article:
        """The article "eng_Latn/3"; LookupError where the texts have none."""
        label, number = key.split("/")
        return self.articles[label][int(number) - 1]

    def serial(self, article: Article) -> int:
        return 100 * (list(self.articles).index(article.label) + 1) + article.number

    def design(self, article: Article, shift: int = 0) -> str:
        return DESIGNS[(self.serial(article) // 100 * 3 + article.number + shift) % len(DESIGNS)]

    def url(self, article: Article, design: str) -> str:
        return pages.address(article, self.words[article.label], design, self.serial(article))

    def page(self, article: Article, design: str, dress: Dress) -> str:
        siblings = self.articles[article.label]
        neighbours = [siblings[(article.number + i) % len(siblings)] for i in range(3)]
        return pages.render(article, self.words[article.label], design, self.serial(article), neighbours, dress)


def main() -> None:
    folder = Path(sys.argv[1]) if len(sys.argv) > 1 else HERE
    catalogue = Catalogue(pages.read_articles(HERE / "texts"), pages.read_words())
    exchanges = crawl_order(plan(catalogue))
    times = {e.url: crawl_time(e, i) for i, e in reversed(list(enumerate(exchanges))) if not e.day}
    (folder / "sample.warc.gz").write_bytes(warc(exchanges, times))
    (folder / "sample.warc.wet.gz").write_bytes(wet(exchanges))
    text = json.dumps(planted(exchanges), ensure_ascii=False, indent=1, sort_keys=True)
    (folder / "planted.json").write_text(text + "\n", "utf-8")


def plan(catalogue: Catalogue) -> Iterator[Exchange]:
    """Every exchange of the crawl: each article once, then what repeats articles, then what has none."""
    yield from (article_page(catalogue, article) for group in catalogue.articles.values() for article in group)
    yield from repeated_pages(catalogue)
    yield from bare_pages(catalogue)
    yield from other_answers()


def crawl_order(exchanges: Iterator[Exchange]) -> list[Exchange]:
    """Sites mixed, as in a real crawl file; the damaged member last."""
    mixed = sorted(exchanges, key=lambda e: (e.day, hashlib.sha256(f"{e.url} {e.kind}".encode()).digest()))
    return sorted(mixed, key=lambda e: e.kind == "cut-member")


def warc(exchanges: list[Exchange], times) -> bytes:
    members = [warcinfo("sample.warc.gz", "invented pages in 19 languages")]
    for place, exchange in enumerate(exchanges):
        members += warc_members(exchange, crawl_time(exchange, place), times)
    return b"".join(members[:-1]) + members[-1][: len(members[-1]) * 3 // 5]  # a broken upload


def wet(exchanges: list[Exchange]) -> bytes:
    seen = [wet_member(e, crawl_time(e, place)) for place, e in enumerate(exchanges) if e.text]
    return b"".join([warcinfo("sample.warc.wet.gz", "text of sample.warc.gz"), *seen])


def planted(exchanges: list[Exchange]) -> dict[str, dict[str, str | int]]:
    """URL -> what stands there; of two crawls of one URL the later tells, with their number."""
    table: dict[str, dict[str, str | int]] = {}
    for e in exchanges:
        crawls = 1 + int(table.get(e.url, {}).get("crawls", 0))
        facts = {"kind": e.kind, "language": e.language, "charset": e.charset, "article": e.article}
        facts |= {"design": e.design, "of": e.original}
        table[e.url] = {"crawls": crawls} | {name: fact for name, fact in facts.items() if fact}
    return table


def article_page(catalogue: Catalogue, article: Article) -> Exchange:
    """The first page of an article, with the fault that the tables above give it."""
    key = f"{article.label}/{article.number}"
    written, said, where = CHARSETS.get(key, ("utf-8", "UTF-8", ("header", "both", "meta")[article.number % 3]))
    design = catalogue.design(article)
    dress = Dress(said if where in ("meta", "both") else "", ROBOTS.get(key, ""), PERSONAL.get(key, ()))
    html = catalogue.page(pages.garbled(article) if key in MOJIBAKE else article, design, dress)
    body = html.encode(CODECS.get(written, written), "xmlcharrefreplace")
    text = visible_text(body.decode(said or written, "replace") if kind_of(key) == "charset-wrong" else html)
    exchange = Exchange(
        catalogue.url(article, design), kind_of(key), body, "text/html", language=article.label, charset=written,
        text=text, article=key, design=design, with_request=article.number == 1,
    )  # fmt: skip
    if where in ("header", "both"):
        exchange = replace(exchange, content_type=f"text/html; charset={said}")
    return transferred(exchange, article)


def kind_of(key: str) -> str:
    """What is planted on an article's first page."""
    if key in CHARSETS:
        written, said, _ = CHARSETS[key]
        right = (written, "gb2312" if written == "gbk" else written)
        return "charset-unlabelled" if not said else "charset" if said.lower() in right else "charset-wrong"
    tables = {"mojibake": MOJIBAKE, "robots": ROBOTS, "personal-data": PERSONAL, "encoded": ENCODED}
    tables |= {"truncated": (TRUNCATED,), "cut-member": (CUT_MEMBER,), "plain-text": (PLAIN_TEXT,)}
    return next((kind for kind, keys in tables.items() if key in keys), "page")


def transferred(exchange: Exchange, article: Article) -> Exchange:
    """The exchange with what its way through the net did to it."""
    if exchange.kind == "truncated":
        cut = len(exchange.body) * 11 // 20
        return replace(exchange, cut=cut, text=visible_text(exchange.body[:cut].decode("utf-8", "ignore")))
    if exchange.kind == "cut-member":
        return replace(exchange, text="")
    if exchange.kind == "plain-text":
        plain = "\n\n".join([article.title, *article.paragraphs]) + "\n"
        return replace(exchange, body=plain.encode(), text=plain, design="", content_type="text/plain; charset=utf-8")
    if exchange.kind == "encoded":
        coded = (("Content-Encoding", "gzip"), ("Transfer-Encoding", "chunked"))
        return replace(exchange, body=chunked(member(exchange.body)), headers=coded)
    return exchange


def chunked(body: bytes, size: int = 700) -> bytes:
    """HTTP's chunked transfer coding."""
    parts = [body[start : start + size] for start in range(0, len(body), size)]
    return b"".join(b"%x\r\n%b\r\n" % (len(part), part) for part in parts) + b"0\r\n\r\n"


def repeated_pages(catalogue: Catalogue) -> Iterator[Exchange]:
    """Duplicates, exact and near, of articles' first pages; their text stands in the crawl twice."""
    for key in DUPLICATES:
        first = article_page(catalogue, catalogue[key])
        path = first.url.partition("//")[2].partition("/")[2]
        yield again(first, "exact-duplicate", f"https://mirror-{key[:3]}.example/{path}")
    for key in TWICE:
        first, article = article_page(catalogue, catalogue[key]), catalogue[key]
        later = Dress("utf-8", comments=tuple(catalogue.words[article.label]["said"][:3]))
        yield retold(again(first, "crawled-twice", first.url, day=3), catalogue.page(article, first.design, later))
    for key, way in VARIANTS.items():
        first = article_page(catalogue, catalogue[key])
        yield again(first, "url-variant", variant(first.url, way))
    yield from (near_duplicate(catalogue, key) for key in REPRINTED + REWRITTEN)
    first = article_page(catalogue, catalogue[REVISITED])
    yield again(first, "revisit", variant(first.url, "http"), day=3, revisit=True, text="")


def near_duplicate(catalogue: Catalogue, key: str) -> Exchange:
    """A reprint on another host with a note below; or one in another design, its last sentence replaced."""
    article, first = catalogue[key], article_page(catalogue, catalogue[key])
    words = catalogue.words[article.label]
    if key in REPRINTED:
        html = catalogue.page(pages.noted(article, words), first.design, Dress("utf-8"))
        url = f"https://reprint.example/{first.url.partition('//')[2]}"
        return retold(again(first, "near-duplicate", url), html)
    design = catalogue.design(article, 3)
    html = catalogue.page(pages.revised(article, words), design, Dress("utf-8"))
    return retold(again(first, "near-duplicate", catalogue.url(article, design), design=design), html)


def again(first: Exchange, kind: str, url: str, **changes) -> Exchange:
    return replace(first, kind=kind, url=url, original=first.url, with_request=False, **changes)


def retold(exchange: Exchange, html: str) -> Exchange:
    return replace(exchange, body=html.encode(), text=visible_text(html))


def variant(url: str, way: str) -> str:
    """Another way to write the URL of the same page."""
    joint = "&" if "?" in url else "?"
    return {
        "http": url.replace("https://", "http://"),
        "tracking": f"{url}{joint}utm_source=newsletter&utm_medium=email&fbclid=IwAR0x7",
        "www": url.replace("https://", "https://www."),
        "session": f"{url}{joint}PHPSESSID=4f2a90c1d7e8",
    }[way]


def bare_pages(catalogue: Catalogue) -> Iterator[Exchange]:
    """Pages without an article."""
    for kind, draw, label, path in BARE:
        words = catalogue.words[label or "eng_Latn"]
        html = draw(words)
        url = f"https://{words['hosts'][1]}.example/{path}"
        language = "" if kind == "lorem-ipsum" else label
        yield Exchange(url, kind, html.encode(), "text/html; charset=utf-8", language=language, text=visible_text(html))


def other_answers() -> Iterator[Exchange]:
    """Answers that are no page: files, errors, a redirect, robots.txt."""
    site, gone = (
        "https://files.example.com",
        b"<html><head><title>404</title></head><body><h1>Not found</h1></body></html>",
    )
    pdf = b"%PDF-1.4\n1 0 obj<</Type/Catalog/Pages 2 0 R>>endobj\n2 0 obj<</Type/Pages/Count 0/Kids[]>>endobj\n%%EOF\n"
    gif = bytes.fromhex("47494638396101000100800000000000ffffff2c00000000010001000002024401003b")
    answer = {"total": 2, "items": [{"id": 7, "title": "Tea"}, {"id": 9, "title": "Chess"}]}
    yield Exchange(f"{site}/programme.pdf", "pdf", pdf, "application/pdf", charset="")
    yield Exchange(f"{site}/dot.gif", "image", gif, "image/gif", charset="")
    yield Exchange(f"{site}/api/items", "json", json.dumps(answer).encode(), "application/json")
    yield Exchange(f"{site}/missing", "not-found", gone, status="404 Not Found")
    yield Exchange(f"{site}/broken", "server-error", gone.replace(b"404", b"500"), status="500 Internal Server Error")
    moved = (("Location", f"{site}/programme.pdf"),)
    yield Exchange(f"{site}/programme", "redirect", b"", status="301 Moved Permanently", headers=moved)
    yield Exchange(f"{site}/robots.txt", "robots-txt", b"User-agent: *\nDisallow: /private/\n", "text/plain")


if __name__ == "__main__":
    main()
