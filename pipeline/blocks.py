"""HTML -> the blocks of text of a page and the tree they hang in.

Lexbor builds the tree and writes it out again; what it writes is well formed and escaped, so that one pass over the
pieces between '<' signs reads it: three times as fast as visiting each node from Python, and without recursion.
"""

import functools
import html
import re
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, field

from resiliparse.parse.html import HTMLTree

BUCKETS = 1 << 14
"""Words of class, id, role and the like are known by their hash only."""
MAX_WORDS = 32
"""Words of a tag that count."""

TAGS = (
    "", "body", "div", "section", "article", "main", "header", "footer", "nav", "aside", "p", "h1", "h2", "h3",
    "h4", "h5", "h6", "ul", "ol", "li", "dl", "dt", "dd", "table", "thead", "tbody", "tfoot", "tr", "td", "th",
    "caption", "pre", "blockquote", "figure", "figcaption", "form", "fieldset", "button", "noscript", "details",
    "summary", "address", "center", "head", "hr",
)  # fmt: skip
"""Elements that end a block of text; the place is the tag's number. Names that HTML doesn't know have number 0."""
TAG = {name: number for number, name in enumerate(TAGS)}
_INLINE = (
    "abbr acronym annotation-xml b bdi bdo big cite code data del dfn em font i ins kbd label mark q rp rt rtc ruby s "
    "samp small span strike strong sub sup time tt u nobr picture map meter progress output math mi mo mn mrow msup "
    "msub mfrac msqrt mtext mstyle semantics mover munder mtable mtr mtd object"
)
_VOID = "area base basefont bgsound embed frame img input keygen link param source track wbr"
_SKIPPED = (
    "script style template iframe noembed noframes svg select datalist textarea audio video canvas xmp annotation"
)
_RAW = "script style iframe noembed noframes textarea xmp"

INLINE, OPEN, CLOSE, RULE, LINK, UNLINK, BREAK, SKIP, COMMENT, TITLE, META = range(11)
_PASS = (INLINE, 0, ())


def _fixed() -> dict[str, tuple]:
    """What the pieces mean that need no look at attributes: (action, tag, kind or name)."""
    table: dict[str, tuple] = {"/" + name: (CLOSE, number, ()) for name, number in TAG.items() if name}
    for name in f"{_INLINE} {_VOID}".split():
        table[name] = table["/" + name] = _PASS
    table |= {name: (SKIP, 0, name) for name in _SKIPPED.split()}
    table |= {"/" + name: _PASS for name in _SKIPPED.split()}
    table |= {"br": (BREAK, 0, ()), "hr": (RULE, 0, ()), "a": (LINK, 0, ()), "/a": (UNLINK, 0, ())}
    return table | {
        "title": (TITLE, 0, ()),
        "/title": _PASS,
        "meta": (META, 0, "meta"),
        "html": (META, 0, "html"),
        "/html": (RULE, 0, ()),
        "": _PASS,
    }


_FIXED = _fixed()
_WORD = re.compile(r"[A-Z]?[a-z]+|[A-Z]{2,}")
_MARKS = (' role="', ' itemprop="')
_HIDING = tuple(
    re.compile(pattern)
    for pattern in (r' hidden="', r' aria-hidden="true"', r' style="[^"]*(?:display:\s*none|visibility:\s*hidden)')
)


@dataclass(slots=True)
class Tree:
    """Nodes in document order, each before those inside it; blocks in document order.

    parent, kind, tag, first, last: one number a node; the blocks first..last-1 are inside it. Node 0 is its own parent.
    kinds: the hashes (below BUCKETS) of a tag's words -> number of this kind of node.
    owner, linked, links: one number a block: its node, how many of its characters are links, how many links begin.
    texts: the blocks' texts as they stand, '\\0' for a line break (see `tidy`).
    """

    parent: list[int] = field(default_factory=lambda: [0])
    kind: list[int] = field(default_factory=lambda: [0])
    tag: list[int] = field(default_factory=lambda: [0])
    first: list[int] = field(default_factory=lambda: [0])
    last: list[int] = field(default_factory=lambda: [0])
    owner: list[int] = field(default_factory=list)
    linked: list[int] = field(default_factory=list)
    links: list[int] = field(default_factory=list)
    texts: list[str] = field(default_factory=list)
    title: str = ""
    kinds: dict[tuple[int, ...], int] = field(default_factory=lambda: {(0,): 0})

    def open(self, parent: int, tag: int, kind: int) -> int:
        """A new node; returns its number."""
        self.parent.append(parent)
        self.kind.append(kind)
        self.tag.append(tag)
        self.first.append(len(self.texts))
        self.last.append(len(self.texts))
        return len(self.tag) - 1

    def declare(self, head: str) -> None:
        """Take in what <html> and <meta> say. Words that tell kinds of page apart become kinds without nodes."""
        if head.startswith("html"):
            self.kinds.setdefault(_words("html", head), len(self.kinds))
            return
        name = (attribute(head, "name") or attribute(head, "property")).lower()
        if name in ("og:type", "generator", "twitter:card"):
            words = _WORD.findall(attribute(head, "content")[:200])
            hashes = [_hash(f"={name} {word.lower()}") for word in words[:MAX_WORDS]]
            self.kinds.setdefault((_hash("=" + name), *hashes), len(self.kinds))

    def add(self, text: str, owner: int, linked: int, links: int) -> None:
        """A new block."""
        self.texts.append(text)
        self.owner.append(owner)
        self.linked.append(linked)
        self.links.append(links)

    def close(self, stack: list[int], tag: int) -> None:
        """The innermost open node with this tag ends, and with it those inside."""
        if self.tag[stack[-1]] != tag and tag not in [self.tag[node] for node in stack[1:]]:
            return
        while len(stack) > 1:
            node = stack.pop()
            self.last[node] = len(self.texts)
            if self.tag[node] == tag:
                return


def read(data: bytes) -> Tree:
    """The blocks of a page. data: UTF-8, within the bounds of content.check."""
    page = str(HTMLTree.parse_from_bytes(data, "utf-8"))
    tree = Tree()
    _walk(iter(page.split("<")), tree)
    tree.last[0] = len(tree.texts)
    return tree


def _walk(pieces: Iterator[str], tree: Tree) -> None:
    """Fill the tree. One loop with few calls: this is most of the time that Python takes."""
    seen = dict(_FIXED)
    stack = [0]
    buffer: list[str] = []
    linked = links = inside = 0
    for piece in pieces:
        head, _, text = piece.partition(">")
        what = seen.get(head)
        if what is None:
            what = seen[head] = _meaning(head, tree.kinds)
        action, tag, kind = what
        if action == INLINE:
            pass
        elif action <= RULE:
            if buffer:
                joined = "".join(buffer)
                buffer.clear()
                if not joined.isspace():
                    tree.add(joined, stack[-1], linked, links)
                linked = links = 0
            if action == OPEN:
                stack.append(tree.open(stack[-1], tag, kind))
            elif action == CLOSE:
                tree.close(stack, tag)
        elif action == LINK:
            inside += 1
            links += 1
        elif action == UNLINK:
            inside = max(0, inside - 1)
        elif action == BREAK:
            buffer.append("\0")
        else:
            text = _rare(what, piece, pieces, tree)
        if text:
            buffer.append(text)
            if inside:
                linked += len(text)


def _meaning(head: str, kinds: dict[tuple[int, ...], int]) -> tuple:
    """(action, tag, kind or name) of what stands between '<' and '>'."""
    name = head.partition(" ")[0]
    if name in _FIXED:
        what = _FIXED[name]
        return what if what[0] != META else (META, 0, head)
    if name[0] in "!?":
        return (COMMENT, 0, ()) if name.startswith("!--") else _PASS
    if name[0] == "/":
        return (CLOSE, TAG.get(name[1:], 0), ())
    return (OPEN, TAG.get(name, 0), kinds.setdefault(_words(name, head), len(kinds)))


def attribute(head: str, name: str) -> str:
    """The value of an attribute of a tag; empty where it has none."""
    value = head.partition(f' {name}="')[2].partition('"')[0]
    return html.unescape(value) if "&" in value else value


def _words(name: str, head: str) -> tuple[int, ...]:
    """Hashes of what a tag says about itself: its name, the words of its class and id, its role, whether it hides."""
    names = head.partition(' class="')[2].partition('"')[0]
    if ' id="' in head:
        names += " " + head.partition(' id="')[2].partition('"')[0]
    found = [_hash(name), *map(_hash, _WORD.findall(names[:512]))]
    for mark in _MARKS:
        if mark in head:
            found.append(_hash("=" + head.partition(mark)[2].partition('"')[0][:64]))
    if "hidden" in head or "none" in head:
        found += [_hash("=" + str(kind)) for kind, pattern in enumerate(_HIDING) if pattern.search(head)]
    return tuple(dict.fromkeys(found[:MAX_WORDS]))


@functools.lru_cache(1 << 15)
def _hash(word: str) -> int:
    return zlib.crc32(word.lower().encode("utf-8", "replace")) % BUCKETS


def _rare(what: tuple, piece: str, pieces: Iterator[str], tree: Tree) -> str:
    """Elements that are not read as text; returns the text behind them."""
    action, _, name = what
    text = piece.partition(">")[2]
    if action == META:
        tree.declare(name)
    elif action == TITLE:
        tree.title = tree.title or text
        return ""
    elif action == SKIP:
        return _behind(name, pieces)
    elif "-->" in piece:
        return piece.partition("-->")[2]
    else:
        return next((p.partition("-->")[2] for p in pieces if "-->" in p), "")
    return text


def _behind(name: str, pieces: Iterator[str]) -> str:
    """The text behind the end of an element; what is inside is passed over."""
    depth, nests = 1, name not in _RAW.split()
    for piece in pieces:
        head, _, text = piece.partition(">")
        if head[:1] == "/":
            depth -= head[1:] == name
            if not depth:
                return text
        elif nests and head.startswith(name):
            depth += head.partition(" ")[0] == name
    return ""


_ENTITIES = (("&nbsp;", " "), ("&lt;", "<"), ("&gt;", ">"), ("&amp;", "&"))


def tidy(text: str, keep: bool) -> str:
    """A block's text for people: entities resolved, white space folded; `keep`: line breaks and indents stay."""
    if "&" in text:
        for entity, character in _ENTITIES:
            text = text.replace(entity, character)
    if keep:
        return "\n".join(line.rstrip() for line in text.replace("\0", "\n").strip("\n").split("\n"))
    if "\0" in text:
        return "\n".join(line for part in text.split("\0") if (line := " ".join(part.split())))
    return " ".join(text.split())
