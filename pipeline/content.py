"""HTML -> main text and title, by Resiliparse (Lexbor) behind bounds on what a parser is given.

The bounds are cheap and deterministic: markup that only serves to exhaust a parser (depth, attributes of one tag,
formatting elements left open) is refused before it is parsed, since native code cannot be interrupted.
"""

import re
from dataclasses import dataclass

import numpy as np
from resiliparse.extract.html2text import extract_plain_text
from resiliparse.parse.html import HTMLTree

MAX_DEPTH = 512
MAX_OPEN_FORMATTING = 64
MAX_ATTRIBUTES = 512
MAX_TAGS = 400_000

_LONG_TAG = re.compile(rb"<[a-zA-Z][^<>]{4096,}")
_QUOTED = re.compile(rb"\"[^\"]*\"|'[^']*'")
_TAG = re.compile(rb"<(/?)([a-zA-Z][a-zA-Z0-9]*)")
_VOID = frozenset(b"area base br col embed hr img input link meta param source track wbr path rect circle use".split())
_IMPLIED_END = frozenset(b"p li dt dd td th tr option thead tbody tfoot".split())
# Names (their first three bytes) that cannot nest by themselves: void, or ended by the next one of their kind.
_NEUTRAL = np.array(
    [
        int.from_bytes(n, "big")
        for n in (
            *b"br> br/ img inp met lin hr> hr/ li> td> tr> th> dt> dd> opt sou wbr".split(),
            *(b"br ", b"hr ", b"li ", b"td ", b"tr ", b"th ", b"dt ", b"dd "),
        )
    ]
)
_NEUTRAL_SHORT = np.array([int.from_bytes(n, "big") for n in (b"p>", b"p ")])
_FORMATTING = frozenset(b"a b big code em font i nobr s small strike strong tt u".split())
_RAW = re.compile(
    rb"<(script|style|textarea|title|xmp)\b.*?(?:</\1\s*>|\Z)|<!--.*?(?:-->|\Z)", re.DOTALL | re.IGNORECASE
)


class TooComplex(Exception):
    """Markup beyond a bound; the message says which."""


@dataclass(slots=True)
class Content:
    text: str
    title: str = ""


def extract(html: str, main_content: bool = True) -> Content:
    """The page's text and title; `main_content`: without navigation, side boxes, footers. Errors: TooComplex."""
    data = html.encode("utf-8", "replace")
    check(data)
    tree = HTMLTree.parse_from_bytes(data, "utf-8")
    text = _text(tree, main_content)
    if main_content and not text.strip():
        text = _text(tree, False)
    return Content(text, (tree.title or "").strip())


def _text(tree: HTMLTree, main_content: bool) -> str:
    return extract_plain_text(
        tree,
        preserve_formatting=True,
        main_content=main_content,
        list_bullets=True,
        alt_texts=False,
        links=False,
        form_fields=False,
        noscript=False,
        comments=True,
    )


def check(data: bytes) -> None:
    """Refuse what would exhaust the parser. data: the page in UTF-8. Errors: TooComplex."""
    if _LONG_TAG.search(data):
        _check_attributes(_RAW.sub(b"", data))
    depth, tags = _depth_at_most(data)
    if tags > MAX_TAGS:
        raise TooComplex(f"{tags} tags")
    if depth > MAX_OPEN_FORMATTING:
        _check_structure(_RAW.sub(b"", data))


def _check_attributes(data: bytes) -> None:
    for match in _LONG_TAG.finditer(data):
        count = len(_QUOTED.sub(b" ", match[0]).split())
        if count > MAX_ATTRIBUTES:
            raise TooComplex(f"a tag with {count} attributes")


def _depth_at_most(data: bytes) -> tuple[int, int]:
    """(an upper bound of the depth that is cheap to have, the number of tags): opened minus closed tags."""
    raw = np.frombuffer(data + b"    ", np.uint8) | 0x20  # ASCII letters in lower case, '<' '>' '/' as they are
    at = np.flatnonzero(raw[:-4] == 0x3C)
    closes = raw[at + 1] == 0x2F
    at += closes
    first = raw[at + 1]
    opens = ~closes & (first >= 0x61) & (first <= 0x7A)
    name = (first.astype(np.int32) << 16) | (raw[at + 2].astype(np.int32) << 8) | raw[at + 3]
    counts = ~(np.isin(name, _NEUTRAL) | np.isin(name >> 8, _NEUTRAL_SHORT))
    level = np.cumsum((opens & counts).astype(np.int32) - (closes & counts))
    return (int(level.max() - min(0, int(level.min()))) if len(level) else 0), int(opens.sum())


def _check_structure(data: bytes) -> None:
    """Walk the tags with a stack, as a tree builder would, closing what HTML lets one leave open."""
    stack: list[bytes] = []
    formatting = 0
    for slash, name in _TAG.findall(data):
        name = name.lower()
        if name in _VOID:
            continue
        if slash:
            if name in stack[-64:]:
                while (top := stack.pop()) != name:
                    formatting -= top in _FORMATTING
                formatting -= name in _FORMATTING
            continue
        if stack and name in _IMPLIED_END and stack[-1] == name:
            continue
        stack.append(name)
        formatting += name in _FORMATTING
        if len(stack) > MAX_DEPTH:
            raise TooComplex(f"more than {MAX_DEPTH} elements deep")
        if formatting > MAX_OPEN_FORMATTING:
            raise TooComplex(f"more than {MAX_OPEN_FORMATTING} formatting elements open")
