"""HTML -> the blocks of text of a page and the tree they hang in.

The page is read once, by `_blocks.c`: it makes the blocks that Lexbor's tree has (on 1,016 real pages 99.9 % of 237,000
are equal, and the rest differ where code keeps its indents) in an eighth of the time, and no markup is too much for it.
"""

import functools
import html
import html.entities
from dataclasses import dataclass

import numpy as np

from pipeline import _blocks, words

BUCKETS = _blocks.BUCKETS
"""Words of class, id, role and the like are known by their hash only."""
TAGS = tuple(_blocks.TAGS.split(" "))
"""Elements that end a block of text; the place is the tag's number. Names that HTML doesn't know have number 0."""
TAG = {name: number for number, name in enumerate(TAGS)}


def bucket(word: str) -> int:
    """The hash of a word of a class or id: FNV-1a over its UTF-8, its halves mixed."""
    value = 2166136261
    for byte in word.encode():
        value = (value ^ byte) * 16777619 & 0xFFFFFFFF
    return (value ^ value >> 15) % BUCKETS


CHARACTERS, TOKENS, DIGITS, SIGNS, COMMAS, ENDS, UPPER, LINKED, LINKS = range(9)
"""Columns of `Tree.counts`: code points; words (characters in scripts without spaces); code points by class, and
in links; links that begin."""


@dataclass(frozen=True, slots=True)
class Tree:
    """Nodes in document order, each before those inside it; blocks in document order. All arrays are int32.

    nodes: (nodes, 5): parent, kind, tag, first, last; the blocks first..last-1 are inside it. Node 0 is its own parent.
    words, starts: the hashes (below BUCKETS) of the words of every kind of node, and where each kind's begin.
    blocks: (blocks, 13): its node, where its text begins and ends, whether it ends like a sentence, the counts above.
    texts: of the blocks. Spaces are folded and <br> is a line end; in <pre> lines stay as they are.
    tokens: uint32, hashes of the words of all blocks, one block after another. by_title, by_description, by_json:
    hashes of the words that the page tells of itself elsewhere, 0 behind each text.
    """

    nodes: np.ndarray
    words: np.ndarray
    starts: np.ndarray
    blocks: np.ndarray
    texts: list[str]
    title: str
    tokens: np.ndarray
    by_title: np.ndarray
    by_description: np.ndarray
    by_json: np.ndarray

    @property
    def parent(self) -> np.ndarray:
        return self.nodes[:, 0]

    @property
    def kind(self) -> np.ndarray:
        return self.nodes[:, 1]

    @property
    def tag(self) -> np.ndarray:
        return self.nodes[:, 2]

    @property
    def owner(self) -> np.ndarray:
        return self.blocks[:, 0]

    @property
    def counts(self) -> np.ndarray:
        return self.blocks[:, 4:]


def read(data: bytes) -> Tree:
    """The blocks of a page. data: in UTF-8, whatever it holds."""
    nodes, block, text, kind_words, starts, title, *hashes = _blocks.read(data, characters(), *_references())
    tokens, by_title, by_description, by_json = (np.frombuffer(h, np.uint32) for h in hashes)
    blocks = np.frombuffer(block, np.int32).reshape(-1, 13)
    return Tree(
        nodes=np.frombuffer(nodes, np.int32).reshape(-1, 5),
        words=np.frombuffer(kind_words, np.int32),
        starts=np.frombuffer(starts, np.int32),
        blocks=blocks,
        texts=[text[start:stop].decode() for start, stop in blocks[:, 1:3].tolist()],
        title=" ".join(html.unescape(title.decode("utf-8", "replace")).split()),
        tokens=tokens,
        by_title=by_title,
        by_description=by_description,
        by_json=by_json,
    )


@functools.cache
def _references() -> tuple[bytes, np.ndarray]:
    """HTML's named character references, sorted: name, NUL, value, NUL; where each begins."""
    values = html.entities.html5
    pairs = [name.encode() + b"\0" + values[name].encode() + b"\0" for name in sorted(values)]
    starts = np.zeros(len(pairs), np.int32)
    np.cumsum([len(pair) for pair in pairs[:-1]], out=starts[1:])
    return b"".join(pairs), starts


_LETTER, _DIGIT, _SIGN, _COMMA, _END, _UPPER, _UNSPACED, _INSIDE = (1 << k for k in range(8))


@functools.cache
def characters() -> np.ndarray:
    """(0x110000,) uint32: the bits of each code point, 0 for white space, and above them its small letter."""
    bits = words.classes()
    inside = bits & (words.LETTER | words.MARK | words.DIGIT) != 0
    table = np.where(bits & words.LETTER != 0, _LETTER, 0) | np.where(bits & words.DIGIT != 0, _DIGIT, 0)
    table |= np.where(inside, _INSIDE, 0) | np.where(bits & words.UNSPACED != 0, _UNSPACED, 0)
    table |= np.where(inside | (bits & words.SPACE != 0), 0, _SIGN)
    for character in ",，、،;；:：":
        table[ord(character)] |= _COMMA
    for character in words.TERMINALS + "…":
        table[ord(character)] |= _END
    small = np.arange(len(table), dtype=np.uint32)
    for point in range(0x1E944):
        letter = chr(point).lower()
        if len(letter) == 1 and ord(letter) != point:
            small[point] = ord(letter)
            table[point] |= _UPPER if point < 0x530 else 0
    return table.astype(np.uint32) | small << np.uint32(8)
