"""HTML -> main text and hints; bounds on what a parser is given."""

import contextlib
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from corpus.terminal import UserError
from pipeline import content
from pipeline.content import TooComplex, check, extract

PARAGRAPHS = [
    "The old bridge joins both sides of the village, and on warm evenings the children play beside the river.",
    "When the water rises in spring, the fishermen move their boats to the meadow behind the mill and wait.",
    "Nobody remembers who built it, but every family has a story about the night on which it was finished.",
]
PAGE = f"""<!doctype html><html lang="en-GB"><head><title> The bridge &amp; the mill </title>
<meta name="Robots" content="NOINDEX, noai"><meta name="googlebot" content="nosnippet"><meta name="author" content="X">
<style>p {{ color: red }}</style><script>var hidden = "<p>never shown</p>";</script></head><body>
<nav><ul><li><a href="/">Home</a></li><li><a href="/news">News</a></li><li><a href="/about">About us</a></li></ul></nav>
<main><article><h1>The bridge</h1>{"".join(f"<p>{p}</p>" for p in PARAGRAPHS)}
<ul><li>First of all, the stones were carried up.</li><li>Second of all, the arch was closed.</li></ul></article></main>
<aside class="sidebar"><a href="/x">Subscribe to our newsletter</a></aside>
<footer>Copyright, imprint, privacy policy</footer></body></html>"""


def test_the_main_content_without_what_is_around_it():
    found = extract(PAGE)
    for paragraph in PARAGRAPHS:
        assert paragraph in found.text
    for word in ("Home", "newsletter", "imprint", "never shown", "color"):
        assert word not in found.text
    assert found.text.index(PARAGRAPHS[0]) < found.text.index(PARAGRAPHS[1]) < found.text.index(PARAGRAPHS[2])


def test_all_of_the_text_when_asked_for():
    found = extract(PAGE, "text")
    for word in (*PARAGRAPHS, "the arch was closed", "Home", "newsletter", "imprint"):
        assert word in found.text
    assert "never shown" not in found.text
    assert "color" not in found.text


def test_comments_go_when_told_to_but_for_posts_of_a_forum():
    said = "".join(f"<li class=comment><p>Reader {k}: {PARAGRAPHS[k % 3].lower()}</p></li>" for k in range(6))
    page = PAGE.replace("</article>", f"</article><ol id=comments>{said}</ol>")
    assert "Reader" in extract(page, "text").text
    kept = extract(page, "own-uncommented").text
    assert PARAGRAPHS[2] in kept
    assert "Reader" not in kept
    body = "<body class='phpbb forum topic viewtopic thread postbody posts'>"
    forum = page.replace("<body>", body).replace("<li class=comment>", "<li class='comment post postbody forum topic'>")
    assert extract(forum, "own-uncommented").text == extract(forum).text


def test_a_page_that_is_all_navigation_gives_its_whole_text_by_resiliparse():
    found = extract("<html><body><nav><a href=/>Only a menu</a></nav></body></html>", "resiliparse")
    assert "Only a menu" in found.text


@pytest.mark.parametrize("extractor", ["own", "resiliparse", "text"])
def test_title(extractor):
    assert extract(PAGE, extractor).title == "The bridge & the mill"


@pytest.mark.parametrize("html", ["", " ", "text only", "<p>", "<html></html>", "<title>", "<!--", "<", "\ufffd\0"])
def test_a_title_that_is_not_there_is_empty(html):
    assert extract(html).title == ""


def test_an_extractor_that_is_not_installed_is_the_users_mistake(monkeypatch):
    monkeypatch.setattr(content.importlib.util, "find_spec", lambda name: None)
    assert content.libraries("own") == []
    with pytest.raises(UserError, match=r"crawlmill\[trafilatura\]"):
        content.libraries("trafilatura")


def test_trafilatura_where_it_is_installed():
    pytest.importorskip("trafilatura", reason="the extra 'trafilatura' is not installed")
    assert PARAGRAPHS[1] in extract(PAGE, "trafilatura").text
    assert content.libraries("trafilatura") == ["trafilatura"]


def test_paragraphs_are_lines_of_their_own():
    lines = [line for line in extract(PAGE).text.splitlines() if line.strip()]
    assert PARAGRAPHS[1] in lines


def test_characters_of_all_scripts_survive():
    text = "Ελληνικά, русский, 日本語, العربية, हिन्दी, 𝔘𝔫𝔦𝔠𝔬𝔡𝔢 👩‍👩‍👧 and e\u0301"
    assert text in extract(f"<html><body><article><p>{text * 3}</p></article></body></html>").text


# --- bounds: each accepts on one side and refuses on the other -------------------------------------------------------


def nested(tag: str, depth: int) -> bytes:
    return f"<{tag}>".encode() * depth + b"x" + f"</{tag}>".encode() * depth


def attributes(count: int) -> bytes:
    return b"<p " + b" ".join(b"attribute%d=x" % k for k in range(count)) + b">x</p>"


BOUNDS = [
    (lambda n: nested("div", n), content.MAX_DEPTH, "deep"),
    (lambda n: nested("section", n), content.MAX_DEPTH, "deep"),
    (lambda n: b"<svg>" * n, content.MAX_DEPTH, "deep"),
    (lambda n: b"<ul><li>" * (n // 2), content.MAX_DEPTH, "deep"),
    (lambda n: nested("font", n), content.MAX_OPEN_FORMATTING, "formatting"),
    (lambda n: b"<b><p>" * n, content.MAX_OPEN_FORMATTING, "formatting"),
    (lambda n: b"<DIV><I>" * n, content.MAX_OPEN_FORMATTING, "formatting"),
    (lambda n: b"<br>" * n, content.MAX_TAGS, "tags"),
    (lambda n: b"<p>x</p>" * n, content.MAX_TAGS, "tags"),
]


@pytest.mark.parametrize(("make", "bound", "named"), BOUNDS)
def test_each_bound_on_both_sides(make, bound, named):
    check(make(bound))
    with pytest.raises(TooComplex, match=named):
        check(make(bound + 2))


def test_the_bound_on_attributes_on_both_sides():
    check(attributes(content.MAX_ATTRIBUTES - 1))  # the tag's name counts as one
    with pytest.raises(TooComplex, match="attributes"):
        check(attributes(content.MAX_ATTRIBUTES + 1))


@pytest.mark.parametrize("data", [
    b"<p>" * 5000,  # ended by the next one
    b"<li>" * 5000,
    b"<tr><td>x" * 5000,
    b"<br><img><hr><input>" * 5000,
    b"<div><b>bold</b></div>" * 5000,
    b"<!-- " + b"<div>" * 5000 + b" -->",
    b"<script>" + b"'<b><div>'" * 5000 + b"</script>",
    b"<textarea>" + b"<div>" * 5000 + b"</textarea>",
    b"a < b and <3 " * 5000,
    b"<a href='" + b"x" * 100_000 + b"'>long</a>",
    b'<img src="data:image/png;base64,' + b"a b=c " * 50_000 + b'">',
    b"</div>" * 5000,
], ids=lambda d: d[:14].decode())  # fmt: skip
def test_what_is_long_but_simple_is_accepted(data):
    check(data)


def test_attributes_inside_a_script_do_not_count():
    check(b"<script>var x = '" + attributes(5000) + b"'</script>")


def test_refusing_costs_little_time():
    """Markup of a page's size that would hang a parser is refused in well under a second of CPU."""
    import time

    begun = time.process_time()
    for data in (
        attributes(120_000),
        nested("div", 300_000),
        b"<font><p>" * 200_000,
        b"<!--" * 700_000,
        b"<" * 3_000_000,
    ):
        try:
            check(data)
        except TooComplex:
            continue
    assert time.process_time() - begun < 5


TAGS = st.sampled_from([b"<div>", b"</div>", b"<b>", b"</b>", b"<p ", b">", b"<!--", b"-->", b"<script>", b"</script",
                        b"<", b"</", b"&amp;", b"'", b"\0", b"\xff", b"<A HREF=", b"<![CDATA["])  # fmt: skip


@settings(max_examples=300, deadline=None)
@given(st.lists(st.one_of(TAGS, st.binary(max_size=6)), max_size=60), st.integers(1, 400))
def test_check_raises_nothing_but_too_complex(pieces, times):
    with contextlib.suppress(TooComplex):
        check(b"".join(pieces) * times)


@settings(max_examples=100, deadline=None)
@given(st.lists(st.one_of(TAGS, st.binary(max_size=6)), max_size=40))
def test_extract_is_total_and_gives_the_same_twice(pieces):
    html = b"".join(pieces).decode("utf-8", "replace")
    assert extract(html) == extract(html)
    extract(html).text.encode()


# --- hostile pages ---------------------------------------------------------------------------------------------------


def hostile_pages() -> list[str]:
    folder = Path(__file__).resolve().parents[2] / "shared" / "data" / "warc" / "hostile"
    return sorted(p.name for p in folder.glob("page-*"))


def test_there_are_hostile_pages_to_read(shared):
    assert len(hostile_pages()) == 47


CHILD = """
import os, resource, sys
from pipeline import charset, content, http, warc
resource.setrlimit(resource.RLIMIT_CPU, (60, 60))
for path in sys.argv[1:]:
    before = resource.getrusage(resource.RUSAGE_SELF)
    with open(path, "rb") as file:
        for record in warc.Reader(file, os.path.getsize(path), limit=5 << 20):
            if record.type != "response":
                continue
            try:
                response = http.parse(record.body, 4 << 20)
                decoded = charset.decode(response.body, response.headers.get("content-type", ""))
                if decoded:
                    content.extract(decoded.text)
            except (http.TooLarge, http.Undecodable, content.TooComplex):
                pass
    after = resource.getrusage(resource.RUSAGE_SELF)
    print(path.rpartition("/")[2], round(after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime, 2))
for line in open("/proc/self/status"):  # not ru_maxrss: it starts at what the parent held when it made the child
    if line.startswith("VmHWM"):
        print("peak", int(line.split()[1]) >> 10)
"""


def test_each_hostile_page_takes_less_than_five_seconds(shared):
    """All in one child: it dies where a parser aborts, and is killed where one hangs."""
    folder = shared / "warc" / "hostile"
    paths = [str(folder / name) for name in hostile_pages()]
    child = subprocess.run([sys.executable, "-c", CHILD, *paths], capture_output=True, text=True, timeout=100)
    lines = dict(line.split() for line in child.stdout.splitlines())
    assert child.returncode == 0, (child.returncode, list(lines)[-1:], child.stderr[-300:])
    assert int(lines.pop("peak")) < 1024, "MiB"
    assert set(lines) == set(hostile_pages())
    assert {name: t for name, t in lines.items() if float(t) > 5} == {}
