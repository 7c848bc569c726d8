"""Articles dressed as web pages: seven designs (`designs/*.html`) in the words of 19 languages (`interface.toml`)."""

import html
import re
import tomllib
import unicodedata
from dataclasses import dataclass, replace
from pathlib import Path
from string import Template
from urllib.parse import quote

HERE = Path(__file__).parent
DESIGNS = ("news", "blog", "forum", "shop", "docs", "table", "wiki")
_TEMPLATES = {name: Template((HERE / "designs" / f"{name}.html").read_text("utf-8")) for name in DESIGNS}
_SITE = {"news": 0, "table": 0, "blog": 1, "shop": 1, "forum": 2, "docs": 2, "wiki": 2}  # which of a language's hosts
_DOMAINS = ("example.com", "example.net", "example.org")

Words = dict[str, str | list[str]]


@dataclass(frozen=True)
class Article:
    """One text of `texts/<label>.txt`; `number` is its place in the file, from 1."""

    label: str
    number: int
    title: str
    paragraphs: tuple[str, ...]


@dataclass(frozen=True)
class Dress:
    """What a page wears around its article besides its design."""

    charset: str = ""  # named in a <meta>, "" for none
    robots: str = ""  # content of <meta name="robots">
    comments: tuple[str, ...] = ()  # instead of the usual ones


def read_articles(folder: Path) -> dict[str, list[Article]]:
    """The articles by label ("eng_Latn"), labels in alphabetical order."""
    return {path.stem: list(_articles(path)) for path in sorted(folder.glob("*.txt"))}


def _articles(path: Path):
    chapters = re.split(r"^# ", path.read_text("utf-8"), flags=re.MULTILINE)[1:]
    for number, chapter in enumerate(chapters, 1):
        title, *paragraphs = [part.strip() for part in chapter.split("\n") if part.strip()]
        yield Article(path.stem, number, title, tuple(paragraphs))


def read_words() -> dict[str, Words]:
    """The interface words by label."""
    return tomllib.loads((HERE / "interface.toml").read_text("utf-8"))


def host(words: Words, design: str) -> str:
    """A host under a reserved name (RFC 2606), one of three per language."""
    place = _SITE[design]
    return f"{words['hosts'][place]}.{_DOMAINS[place]}"


def address(article: Article, words: Words, design: str, serial: int) -> str:
    """The page's URL, in the manner of its design."""
    slug = _slug(article.title)
    path = {
        "news": f"2024/05/{article.number + 9:02}/{slug}.html",
        "blog": f"archive/{slug}/",
        "forum": f"viewtopic.php?f={article.number}&t={serial}",
        "shop": f"p/{serial}-{slug}",
        "docs": f"handbook/4.2/chapter-{serial}.html",
        "table": f"pages/text{serial}.htm",
        "wiki": f"wiki/{quote(article.title.replace(' ', '_'))}",
    }[design]
    return f"https://{host(words, design)}/{path}"


def _slug(title: str) -> str:
    """Lower-case ASCII where the title has a Latin base, else percent-encoded UTF-8."""
    plain = unicodedata.normalize("NFKD", title.lower()).encode("ascii", "ignore").decode()
    words = re.findall(r"[a-z0-9]+", plain)
    if len("".join(words)) > len(title) / 2:
        return "-".join(words)
    return quote("-".join(title.split()))


def garbled(article: Article) -> Article:
    """The article as it looks when its UTF-8 was taken for windows-1252 once."""
    return replace(article, title=mojibake(article.title), paragraphs=tuple(map(mojibake, article.paragraphs)))


_CP1252 = [bytes([byte]).decode("cp1252", "ignore") or chr(byte) for byte in range(256)]


def mojibake(text: str) -> str:
    """UTF-8 read as windows-1252; its five undefined bytes become C1 controls, as browsers have it."""
    return "".join(_CP1252[byte] for byte in text.encode())


def noted(article: Article, words: Words) -> Article:
    """The article with a note below: a near duplicate."""
    return replace(article, paragraphs=(*article.paragraphs, str(words["note"])))


def revised(article: Article, words: Words) -> Article:
    """The article with its last sentence replaced by a note: a near duplicate."""
    *first, last = article.paragraphs
    sentences = re.findall(r".+?(?:[.!?]+(?=\s|$)|[。！？]+|$)", last)
    kept = "".join(sentences[:-1]).strip() or last
    return replace(article, paragraphs=(*first, f"{kept} {words['note']}"))


def render(article: Article, words: Words, design: str, serial: int, neighbours: list[Article], dress: Dress) -> str:
    """One HTML page. `neighbours`: articles of the same language that its links name."""
    page = _furniture(words, design, article.number, serial)
    page |= _body(article, words, dress, article.number)
    page["related_items"] = "".join(f'<li><a href="/{i}">{_esc(n.title)}</a></li>' for i, n in enumerate(neighbours, 1))
    page["charset_meta"] = f'<meta charset="{dress.charset}">\n' if dress.charset else ""
    page["extra_meta"] = f'<meta name="robots" content="{dress.robots}">\n' if dress.robots else ""
    return _TEMPLATES[design].substitute(page)


def _furniture(words: Words, design: str, number: int, serial: int) -> dict[str, str]:
    """Everything on the page that is not the article."""
    page = {key: _esc(value) for key, value in words.items() if isinstance(value, str)}
    topics, day = words["topics"], f"2024-0{number % 4 + 1}-{serial % 27 + 1:02}"
    page["dir"] = f' dir="{words["dir"]}"' if "dir" in words else ""
    page["site"] = _esc(words["names"][_SITE[design]])
    page["topic"] = _esc(topics[number % len(topics)])
    page["topic_items"] = "".join(f'<li><a href="/t{i}">{_esc(topic)}</a></li>' for i, topic in enumerate(topics))
    page["author"], page["names_other"] = _esc(words["authors"][number % 2]), _esc(words["authors"][(number + 1) % 2])
    page |= {"day": day, "date": f"{day}T08:15:00Z", "number": str(serial), "amount": f"{serial % 30 + 4}.90"}
    return page | {"section": f"t{number % len(topics)}", "section_number": str(number)}


def _body(article: Article, words: Words, dress: Dress, number: int) -> dict[str, str]:
    """The article as each of the designs sets it."""
    texts = [_esc(paragraph) for paragraph in article.paragraphs]
    marked = [f"<p>{text}</p>" for text in texts]
    said = dress.comments or (words["said"][number % 4], words["said"][(number + 1) % 4])
    people = [_esc(name) for name in words["authors"]]
    posts = [*texts, *(_esc(comment) for comment in said)]
    return {
        "title": _esc(article.title),
        "paragraphs": "\n".join(marked),
        "first_paragraph": marked[0],
        "other_paragraphs": "\n".join(marked[1:]),
        "broken_lines": "\n".join(f"{text}<BR><BR>" for text in posts[: len(texts) + len(dress.comments)]),
        "posts": "\n".join(_post(people[i % 2], text, words, i) for i, text in enumerate(posts)),
        "comment_items": "\n".join(_comment(people[i % 2], text, words) for i, text in enumerate(map(_esc, said))),
    }


def _post(person: str, text: str, words: Words, place: int) -> str:
    head = f'<p class="author"><b>{person}</b> {_esc(words["wrote"])}: 2024-03-{place + 4:02} 1{place}:27</p>'
    return f'<div class="post">{head}<div class="content">{text}</div><div class="sig">#{place + 1}</div></div>'


def _comment(person: str, text: str, words: Words) -> str:
    return f'<li class="comment"><cite>{person}</cite><p>{text}</p><a href="#respond">{_esc(words["reply"])}</a></li>'


def _esc(text) -> str:
    return html.escape(str(text), quote=False)
