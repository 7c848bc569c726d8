"""HTML -> main text and title, by an extractor of choice.

Our own takes linear time on any markup. The others stand behind bounds that are cheap and deterministic: markup that
only serves to exhaust a parser (depth, attributes of one tag, formatting elements left open) is refused before it is
parsed, since native code cannot be interrupted.
"""

import importlib.util
import re
from dataclasses import dataclass

import numpy as np
from resiliparse.extract.html2text import extract_plain_text
from resiliparse.parse.html import HTMLTree

from corpus.terminal import UserError
from pipeline import blocks, main_text

MAX_DEPTH = 512
MAX_OPEN_FORMATTING = 64
MAX_ATTRIBUTES = 512
MAX_TAGS = 400_000

LONG_TAG = 4096
_LONG_TAG = re.compile(rb"<[a-zA-Z][^<>]{4096,}")
_QUOTED = re.compile(rb"\"[^\"]*\"|'[^']*'")
_TAG = re.compile(rb"<(/?)([a-zA-Z][a-zA-Z0-9]*)")
_VOID = frozenset(b"area base br col embed hr img input link meta param source track wbr path rect circle use".split())
_IMPLIED_END = frozenset(b"p li dt dd td th tr option thead tbody tfoot".split())
_FORMATTING = frozenset(b"a b big code em font i nobr s small strike strong tt u".split())
_NEUTRAL = b"br img input meta link hr li td tr th dt dd option source wbr p".split()
"""Names that cannot nest by themselves: void, or ended by the next one of their kind."""
_RAW = re.compile(
    rb"<(script|style|textarea|title|xmp)\b.*?(?:</\1\s*>|\Z)|<!--.*?(?:-->|\Z)", re.DOTALL | re.IGNORECASE
)


class TooComplex(Exception):
    """Markup beyond a bound; the message says which."""


@dataclass(slots=True)
class Content:
    text: str
    title: str = ""


def extract(html: str | bytes, extractor: str = "own") -> Content:
    """The text and title of a page, decoded or in UTF-8. extractor: own, own-uncommented and trafilatura may find
    nothing to keep; resiliparse gives all of the text then; text: all of the text always. Errors: TooComplex, but
    never by own."""
    data = html if isinstance(html, bytes) else html.encode("utf-8", "replace")
    if extractor in ("own", "own-uncommented"):
        tree = blocks.read(data)
        return Content(main_text.extract(tree, comments=extractor == "own"), tree.title)
    check(data)
    page = HTMLTree.parse_from_bytes(data, "utf-8")
    if extractor == "trafilatura":
        text = _by_trafilatura(data.decode("utf-8", "replace"))
    else:
        text = _text(page, extractor == "resiliparse")
        if extractor == "resiliparse" and not text.strip():
            text = _text(page, False)
    return Content(text, (page.title or "").strip())


def libraries(extractor: str) -> list[str]:
    """The optional packages that an extractor takes. Errors: UserError where one is not installed."""
    if extractor != "trafilatura":
        return []
    if importlib.util.find_spec("trafilatura") is None:
        raise UserError(
            "extract.extractor: trafilatura is not installed; pip install 'crawlmill[trafilatura]' or choose own"
        )
    return ["trafilatura"]


def _by_trafilatura(html: str) -> str:
    import trafilatura

    return trafilatura.extract(html) or ""


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
    at, raw = _tags(data)
    _check_attributes(data, at)
    escaped = (raw[at + 1] == 0x7C) & (raw[at + 2] == 0x2F)  # <\\/a> in a script
    closes, opens = (raw[at + 1] == 0x2F) | escaped, _is_letter(raw[at + 1])
    kinds = _KINDS[_codes(raw, at + closes + escaped)]
    if int(opens.sum()) > MAX_TAGS:
        raise TooComplex(f"{int(opens.sum())} tags")
    depth = _highest(opens & (kinds != _NEITHER), closes & (kinds != _NEITHER))
    formatting = _highest(opens & (kinds == _FORMATS), closes & (kinds == _FORMATS))
    if depth > MAX_DEPTH // _BETWEEN or formatting > MAX_OPEN_FORMATTING:
        _check_structure(_RAW.sub(b"", data))


def _tags(data: bytes) -> tuple[np.ndarray, np.ndarray]:
    """(places of '<', the bytes with ASCII letters in lower case and '<' '>' '/' as they are)."""
    raw = np.frombuffer(data + b"    ", np.uint8) | 0x20
    return np.flatnonzero(raw[:-4] == 0x3C), raw


def _is_letter(codes: np.ndarray) -> np.ndarray:
    return (codes >= 0x61) & (codes <= 0x7A)


def _codes(raw: np.ndarray, at: np.ndarray) -> np.ndarray:
    """21 bits of the three bytes that follow each place."""
    first, second, third = ((raw[at + k] & 127).astype(np.int32) for k in (1, 2, 3))
    return first << 14 | second << 7 | third


def _highest(opens: np.ndarray, closes: np.ndarray) -> int:
    """An upper bound of how many are open at once, cheap to have: opened minus closed, from its lowest point."""
    level = np.cumsum(opens.astype(np.int32) - closes)
    return int(level.max() - min(0, int(level.min()))) if len(level) else 0


def _kinds() -> np.ndarray:
    """_codes -> whether an element of this name formats, cannot nest, or neither is known."""
    kinds = np.zeros(1 << 21, np.uint8)
    ends = [c | 0x20 for c in b"> /\t\n\r\f"]
    for names, kind in ((_NEUTRAL, _NEITHER), (sorted(_FORMATTING), _FORMATS)):
        for name in names:
            for end in ends:
                for last in range(128):
                    head = np.array([0, *[*name, end, last][:3], 0], np.uint8)
                    kinds[_codes(head, np.array([0]))] = kind
    return kinds


_FORMATS, _NEITHER = 1, 2
_BETWEEN = 4
"""Elements that the gate does not count, between two that it does, at most (ul li p: two), and one to spare."""
_KINDS = _kinds()


def _check_attributes(data: bytes, at: np.ndarray) -> None:
    """Tags that go on for long: those that hold too many attributes are refused. Only where a '<' is far from the next
    one, and no '>' follows soon, is there anything to look at."""
    ends = np.append(at[1:], len(data))
    far = np.flatnonzero(ends - at > LONG_TAG)
    for start, stop in zip(at[far].tolist(), ends[far].tolist(), strict=True):
        if data.find(b">", start, start + LONG_TAG) < 0 and _attributes(data[start:stop]) > MAX_ATTRIBUTES:
            break  # a tag, or a script that looks like one
    else:
        return
    for match in _LONG_TAG.finditer(_RAW.sub(b"", data)):
        if (count := _attributes(match[0])) > MAX_ATTRIBUTES:
            raise TooComplex(f"a tag with {count} attributes")


def _attributes(tag: bytes) -> int:
    return len(_QUOTED.sub(b" ", tag).split())


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
