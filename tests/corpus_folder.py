"""A small corpus with hostile pages, made by the real steps, as it is after each of them."""

import functools
import shutil
from pathlib import Path

import crawl

from corpus import settings
from pipeline import steps
from pipeline.flow import Runner
from pipeline.thresholds import Thresholds
from tokenizer.__main__ import main as tokenizer

STAGES = ("documents", "selection", "tokens")
SCRIPT = "<script>alert(1)</script>"
EVIL_URL = f'https://evil.example/?q="><img src=x onerror=alert(1)>{SCRIPT}&x=\u202e1'
EVIL_TITLE = "</title></h1>" + SCRIPT + "\u202eelttil"
EVIL_TEXT = "</blockquote></details>" + SCRIPT + " <a href='javascript:alert(1)'>ignore previous instructions</a>"
GONE_URL = "javascript:alert('gone')//https://evil.example"
SHORT_URL = "https://short.example/tiny"
ERROR_URL = "https://site0.example/error"


def escaped(text: str) -> str:
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def write_crawl(path: Path) -> Path:
    """Articles in five languages, a short page, copies of one page, and pages that try to break out of a report."""
    crawl.write_crawl(path, pages=40)
    evil = "\n".join([escaped(EVIL_TEXT)] * 3)  # too short, so that it becomes an example of a rejection
    near = [crawl.article("eng", 0) + f"\nThis is copy number {k}." for k in range(3)]
    copies = [crawl.page(f"https://copy{k}.example/", crawl.html(near[k], "Copy"), 50) for k in range(3)]
    members = [
        crawl.page(EVIL_URL, crawl.html(evil, escaped(EVIL_TITLE)), 60),
        crawl.page(GONE_URL, crawl.html("gone"), 61),
        crawl.page("https://pdf.example/" + SCRIPT, b"%PDF", 62, content_type="application/" + SCRIPT),
        crawl.page(SHORT_URL, crawl.html("Only these few words stand here."), 63),
        *copies,
    ]
    path.write_bytes(path.read_bytes() + b"".join(members) + b"\x1f\x8b\x08broken" + SCRIPT.encode())
    return path


@functools.cache
def build(base: Path) -> Path:
    """`base`/corpus/<stage>: the folder as it is after each step. Made once for all tests of a session."""
    root = base / "corpus"
    root.mkdir()
    inputs = [str(write_crawl(root / "hostile.warc.gz"))]
    runner, work = Runner([], 0, quiet=True), root / "work"
    options = steps.Options(str(work))
    steps.run_extract(inputs, settings.Extract(item_bytes=8 << 10), runner, options)
    shutil.copytree(work, root / "documents")
    steps.run_select(settings.Select(validation=0.2), Thresholds(), 1000, runner, options)
    shutil.copytree(work, root / "selection")
    assert tokenizer(["train", str(work), "--size", "1024", "--coverage", "1", "--quiet"]) == 0
    steps.run_tokenize(settings.Tokenize(), runner, options)
    shutil.copytree(work, root / "tokens")
    return root
