"""Small crawls for tests: pages in several languages, written as WARC members."""

import gzip
import json
import random
from pathlib import Path

SENTENCES = {
    "eng": "The bakery on the corner opens before sunrise and sells warm bread to everyone who walks past it .",
    "deu": "Der Bahnhof liegt am Rand der kleinen Stadt und jeden Morgen warten dort viele Menschen auf ihren Zug .",
    "fra": "Le marché de la place attire chaque samedi des familles qui viennent acheter des légumes et du fromage .",
    "rus": "Старая библиотека стоит на берегу реки и каждый вечер там собираются люди чтобы читать новые книги .",
    "ell": "Η παλιά γέφυρα ενώνει τις δύο πλευρές του χωριού και τα παιδιά παίζουν δίπλα στο ποτάμι κάθε απόγευμα .",
}


def article(language: str, number: int, sentences: int = 14) -> str:
    """A page's text: its language's words in an order that `number` decides, so that no two articles are alike."""
    words = SENTENCES[language].rstrip(" .").split()
    order = random.Random(f"{language}{number}")
    lines = [" ".join([*order.sample(words, len(words)), str(number * 100 + k)]) for k in range(sentences)]
    return "\n".join(line.capitalize() + "." for line in lines)


def html(text: str, title: str = "Title", language: str = "") -> bytes:
    paragraphs = "".join(f"<p>{line}</p>" for line in text.split("\n"))
    menu = "<nav><a href='/'>Home</a> <a href='/about'>About</a></nav>"
    return (
        f"<!doctype html><html lang='{language}'><head><meta charset=utf-8><title>{title}</title></head><body>{menu}"
        f"<article><h1>{title}</h1>{paragraphs}</article><footer>Imprint</footer></body></html>"
    ).encode()


def record(kind: str, url: str, block: bytes, number: int = 0, content_type: str = "", date: str = "") -> bytes:
    """One gzip member with one WARC record."""
    head = [
        "WARC/1.0", f"WARC-Type: {kind}", f"WARC-Record-ID: <urn:test:{kind}:{url}:{number}>",
        f"WARC-Date: {date or f'2026-01-02T03:04:{number % 60:02d}Z'}", f"WARC-Target-URI: {url}",
        f"Content-Length: {len(block)}", f"Content-Type: {content_type or 'application/http; msgtype=response'}",
    ]  # fmt: skip
    data = "\r\n".join(head).encode() + b"\r\n\r\n" + block + b"\r\n\r\n"
    return gzip.compress(data, mtime=0)


def page(url: str, body: bytes, number: int = 0, status: int = 200, content_type: str = "text/html") -> bytes:
    header = f"HTTP/1.1 {status} X\r\nContent-Type: {content_type}\r\n\r\n".encode()
    return record("response", url, header + body, number)


def write_crawl(path: Path, pages: int = 40, first: int = 0) -> Path:
    """A crawl file: `pages` articles over the languages, a request and an error page between, two duplicates."""
    members = [record("warcinfo", "", b"software: test\r\n", first, "application/warc-fields")]
    languages = sorted(SENTENCES)
    for k in range(first, first + pages):
        language = languages[k % len(languages)]
        url = f"https://site{k % 11}.example/{language}/{k}.html"
        members.append(record("request", url, b"GET / HTTP/1.1\r\n\r\n", k, "application/http; msgtype=request"))
        members.append(page(url, html(article(language, k), f"Page {k}", language), k))
    members.append(page("https://site0.example/error", b"<p>gone", 1, 404))
    members.append(page("https://copy.example/a", html(article("eng", first), f"Page {first}", "eng"), 2))
    members.append(page(f"http://site{first % 11}.example/{languages[first % 5]}/{first}.html?utm_source=x",
                        html(article(languages[first % 5], first), f"Page {first}"), 3))  # fmt: skip
    path.write_bytes(b"".join(members))
    return path


def digests(folder: Path, below: str = "") -> dict[str, str]:
    """Relative path -> hash of the bytes, of all files of a corpus folder."""
    import hashlib

    root = folder / below
    return {
        str(p.relative_to(folder)): hashlib.sha256(p.read_bytes()).hexdigest()
        for p in sorted(root.rglob("*"))
        if p.is_file() and p.name not in ("times.json", "report.html")
    }


def books(folder: Path, step: str) -> dict:
    return json.loads((folder / step / "books.json").read_text())
