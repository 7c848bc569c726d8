"""What a model sees of each block of a page: numbers from the block, its neighbours, the nodes above it, the page.

All are exact (counts, ratios of counts, sums of whole-number weights), so that every machine computes the same. Text
is counted by classes of characters, never by words of a language.
"""

import functools

import numpy as np

from pipeline import blocks as _blocks
from pipeline import words
from pipeline.blocks import TAG, Tree

(
    CHARACTERS,
    TOKENS,
    DIGITS,
    SIGNS,
    COMMAS,
    ENDS,
    UPPER,
    LINKED,
    LINKS,
    ONE,
    LONG,
    GOOD,
    IN_P,
    IN_LI,
    IN_CELL,
    IN_HEAD,
) = range(16)
"""Columns of what is counted in a block and summed over the blocks inside a node."""
LONG_TOKENS = 20
PATHS = 3
"""Word scores of a path: learnt from all pages, from articles and documentation, from the others."""
LEVELS = 5
"""Nodes above a block that it is described by."""

_LETTER, _DIGIT, _SIGN, _COMMA, _END, _UPPER, _UNSPACED, _INSIDE = (1 << k for k in range(8))


@functools.cache
def _classes() -> np.ndarray:
    """(0x110000,) uint8: the bits of each code point."""
    bits = words.classes()
    inside = bits & (words.LETTER | words.MARK | words.DIGIT) != 0
    table = np.where(bits & words.LETTER != 0, _LETTER, 0) | np.where(bits & words.DIGIT != 0, _DIGIT, 0)
    table |= np.where(inside, _INSIDE, 0) | np.where(bits & words.UNSPACED != 0, _UNSPACED, 0)
    table |= np.where(inside | (bits & words.SPACE != 0), 0, _SIGN)
    for character in ",，、،;；:：":
        table[ord(character)] |= _COMMA
    for character in words.TERMINALS + "…":
        table[ord(character)] |= _END
    for point in range(0x530):
        if chr(point).isupper():
            table[point] |= _UPPER
    return table.astype(np.uint8)


def counts(texts: list[str]) -> tuple[np.ndarray, np.ndarray]:
    """(blocks, columns up to UPPER) int64 and whether each block ends like a sentence. texts: tidy and not empty."""
    bits = _classes()[words.codes("\n".join(texts))]
    sizes = np.fromiter(map(len, texts), np.int64, len(texts))
    starts = np.zeros(len(texts), np.int64)
    np.cumsum(sizes[:-1] + 1, out=starts[1:])
    inside = bits & _INSIDE != 0
    begins = inside.copy()
    begins[1:] &= ~inside[:-1] | (bits[1:] & _UNSPACED != 0)
    result = np.empty((len(texts), UPPER + 1), np.int64)
    result[:, CHARACTERS] = sizes
    result[:, TOKENS] = np.add.reduceat(begins, starts, dtype=np.int64)
    for column, bit in ((DIGITS, _DIGIT), (SIGNS, _SIGN), (COMMAS, _COMMA), (ENDS, _END), (UPPER, _UPPER)):
        result[:, column] = np.add.reduceat(bits & bit != 0, starts, dtype=np.int64)
    return result, bits[starts + sizes - 1] & _END != 0


_COUNTED = "p h1 h2 h3 li td article section form noscript pre dd blockquote button"
"""Tags whose number says something about the page."""
_GROUP = np.zeros(len(TAG), np.int64)
"""Tag -> 1 paragraph, 2 list item, 3 table cell, 4 heading, 0 other."""
for _names, _value in (("p pre blockquote", 1), ("li dt dd", 2), ("td th caption", 3), ("h1 h2 h3 h4 h5 h6", 4)):
    for _name in _names.split():
        _GROUP[TAG[_name]] = _value


class Page:
    """The tree of a page as arrays, and the sums over its nodes."""

    def __init__(self, tree: Tree, texts: list[str]):
        self.parent, self.kind, self.tag = (np.array(x, np.int64) for x in (tree.parent, tree.kind, tree.tag))
        self.first, self.last = np.array(tree.first, np.int64), np.array(tree.last, np.int64)
        self.owner = np.array(tree.owner, np.int64)
        self.counts, self.ends = block_counts(tree, texts, _GROUP[self.tag[self.owner]])
        total = np.zeros((len(texts) + 1, self.counts.shape[1]), np.int64)
        np.cumsum(self.counts, axis=0, out=total[1:])
        self.total = total
        self.sums = total[self.last] - total[self.first]


def block_counts(tree: Tree, texts: list[str], group: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(blocks, all columns) int64, ends like a sentence."""
    base, ends = counts(texts)
    result = np.zeros((len(texts), IN_HEAD + 1), np.int64)
    result[:, : UPPER + 1] = base
    linked = np.minimum(np.array(tree.linked, np.int64), base[:, CHARACTERS])
    result[:, LINKED] = linked
    result[:, LINKS] = tree.links
    result[:, ONE] = 1
    tokens = base[:, TOKENS]
    result[:, LONG] = tokens >= LONG_TOKENS
    good = (tokens >= LONG_TOKENS // 2) & (3 * linked < base[:, CHARACTERS])
    result[:, GOOD] = np.where(good, tokens, 0)
    for value, column in ((1, IN_P), (2, IN_LI), (3, IN_CELL), (4, IN_HEAD)):
        result[:, column] = np.where(group == value, tokens, 0)
    return result, ends


def depths_and_paths(parent: np.ndarray, own: np.ndarray) -> np.ndarray:
    """(nodes, k): for each node the sum of `own` over itself and all above; node 0 must have zeros."""
    result, above = own.copy(), parent.copy()
    while above.any():
        result += result[above]
        above = above[above]
    return result


def features(tree: Tree, texts: list[str], weights: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(blocks, FEATURES) float32 and the blocks' tokens, (blocks,) int64. weights: (BUCKETS, PATHS + types) of words:
    how they speak for what is inside their node, and for types of page."""
    page = Page(tree, texts)
    scores = _kind_scores(tree, weights)
    nodes = _node_features(page, scores[page.kind, :PATHS])
    blocks = _block_features(page, nodes)
    shared = np.concatenate([_page_features(tree, page, nodes), scores[:, PATHS:].sum(axis=0)])
    parts = [blocks, _around(page, blocks, nodes)]
    node = page.owner
    for _ in range(LEVELS):
        parts.append(nodes[node])
        node = page.parent[node]
    parts.append(_places(page))
    parts.append(np.broadcast_to(shared, (len(texts), len(shared))))
    return np.concatenate(parts, axis=1, dtype=np.float32), page.counts[:, TOKENS]


def _kind_scores(tree: Tree, weights: np.ndarray) -> np.ndarray:
    """(kinds, PATHS + types) int64: the sum of the weights of the words of each kind of node."""
    kinds = list(tree.kinds)
    sizes = np.fromiter(map(len, kinds), np.int64, len(kinds))
    flat = np.fromiter((word for kind in kinds for word in kind), np.int64, int(sizes.sum()))
    starts = np.zeros(len(kinds), np.int64)
    np.cumsum(sizes[:-1], out=starts[1:])
    scores = np.add.reduceat(weights[flat], starts, axis=0, dtype=np.int64)
    scores[0] = 0
    return scores


def _ratio(part: np.ndarray, whole: np.ndarray) -> np.ndarray:
    return part / np.maximum(whole, 1)


def _node_features(page: Page, own: np.ndarray) -> np.ndarray:
    """(nodes, columns) float64. The first columns are the scores of the path. own: (nodes, PATHS)."""
    sums, kind = page.sums, page.kind
    steps = np.ones((len(own), PATHS + 1), np.int64)
    steps[:, :PATHS] = own
    steps[0] = 0
    path = depths_and_paths(page.parent, steps)
    tokens = sums[:, TOKENS]
    alike = np.bincount(kind)
    alike_tokens = np.bincount(kind, weights=tokens)
    alike_good = np.bincount(kind, weights=sums[:, GOOD])
    pairs = page.parent * len(alike) + kind
    _, back, siblings = np.unique(pairs, return_inverse=True, return_counts=True)
    columns = (
        *path.T,
        *own.T,
        page.tag,
        tokens,
        sums[:, ONE],
        _ratio(tokens, sums[:, ONE]),
        _ratio(sums[:, LINKED], sums[:, CHARACTERS]),
        _ratio(sums[:, GOOD], tokens),
        sums[:, LONG],
        _ratio(tokens, tokens[:1]),
        _ratio(sums[:, COMMAS] + sums[:, ENDS], tokens),
        siblings[back],
        alike[kind],
        _ratio(alike_tokens, alike)[kind],
        _ratio(alike_good, alike_tokens)[kind],
    )
    return np.stack(columns, axis=1)


def _block_features(page: Page, nodes: np.ndarray) -> np.ndarray:
    c = page.counts
    size, tokens = c[:, CHARACTERS], c[:, TOKENS]
    place = np.arange(len(c))
    columns = (
        tokens,
        size,
        _ratio(size, tokens),
        _ratio(c[:, LINKED], size),
        c[:, LINKS],
        _ratio(c[:, DIGITS], size),
        _ratio(c[:, SIGNS], size),
        _ratio(c[:, COMMAS], tokens),
        c[:, ENDS],
        _ratio(c[:, UPPER], size),
        page.ends,
        page.tag[page.owner],
        place - page.first[page.owner],
        place,
        len(c) - place,
        place / len(c),
        page.total[:-1, TOKENS],
        _ratio(page.total[:-1, TOKENS], page.total[-1:, TOKENS]),
        _ratio(page.total[:-1, GOOD], page.total[-1:, GOOD]),
        *nodes[page.owner, :PATHS].T,
    )
    return np.stack(columns, axis=1).astype(np.float64)


def _around(page: Page, blocks: np.ndarray, nodes: np.ndarray) -> np.ndarray:
    """The two blocks before and after, and sums over windows: tokens, link share, tag, path, same owner."""
    count = len(blocks)
    chosen = blocks[:, [0, 3, 11, *range(blocks.shape[1] - PATHS, blocks.shape[1])]]
    padded = np.zeros((count + 4, 3 + PATHS))
    padded[2:-2] = chosen
    owner = np.full(count + 4, -1)
    owner[2:-2] = page.owner
    parts: list[np.ndarray] = [padded[k : k + count] for k in (0, 1, 3, 4)]
    parts += [(owner[k : k + count] == page.owner)[:, None] for k in (1, 3)]
    for reach in (4, 10):
        low = np.maximum(np.arange(count) - reach, 0)
        high = np.minimum(np.arange(count) + reach + 1, count)
        window = page.total[high] - page.total[low]
        parts.append(_ratio(window[:, GOOD], window[:, TOKENS])[:, None])
        parts.append(_ratio(window[:, LINKED], window[:, CHARACTERS])[:, None])
        parts.append(window[:, [GOOD]])
    return np.concatenate(parts, axis=1)


def _places(page: Page) -> np.ndarray:
    """Where blocks stand to the containers that look best: steps up from the container until the block is inside, and
    steps up from the block; for (a) most good text right below, (b) most good minus other text in all."""
    sums = page.sums
    below = np.bincount(page.parent, weights=np.bincount(page.owner, weights=page.counts[:, GOOD], minlength=len(sums)))
    surplus = 2 * sums[:, GOOD] - sums[:, TOKENS]
    parts: list[np.ndarray] = []
    for best in (int(below[: len(sums)].argmax()), int(surplus.argmax())):
        chain = [best]
        while chain[-1]:
            chain.append(int(page.parent[chain[-1]]))
        place = np.arange(len(page.owner))
        firsts, lasts = page.first[chain], page.last[chain]
        up = np.maximum(
            np.searchsorted(-firsts, -place, "left"),
            np.searchsorted(lasts, place, "right"),
        )
        parts += [up, place - firsts[0], place - lasts[0]]
    headings = np.flatnonzero(page.tag[page.owner] == TAG["h1"])
    h1 = headings[0] if len(headings) else -1
    parts.append(np.arange(len(page.owner)) - h1 if h1 >= 0 else np.full(len(page.owner), -9999))
    return np.stack(parts, axis=1)


def _page_features(tree: Tree, page: Page, nodes: np.ndarray) -> np.ndarray:
    t = page.total[-1].astype(np.float64)
    tokens, ones = max(t[TOKENS], 1.0), max(t[ONE], 1.0)
    c = page.counts
    biggest = np.sort(c[:, TOKENS])[::-1]
    score = nodes[page.owner, 0]
    tag = np.bincount(page.tag, minlength=len(TAG))
    groups = [t[k] / tokens for k in (IN_P, IN_LI, IN_CELL, IN_HEAD, GOOD)]
    return np.array(
        [
            t[TOKENS], ones, len(page.tag), t[LINKED] / max(t[CHARACTERS], 1.0), *groups, t[LONG], t[LONG] / ones,
            (t[COMMAS] + t[ENDS]) / tokens, t[DIGITS] / max(t[CHARACTERS], 1.0), biggest[0] / tokens,
            biggest[: 5].sum() / tokens, tokens / ones, np.median(score), score.max(),
            (score * c[:, TOKENS]).sum() / tokens, len(tree.kinds),
            *(tag[TAG[name]] for name in _COUNTED.split()),
            page.sums[:, GOOD][page.tag == TAG["article"]].max(initial=0) / max(t[GOOD], 1.0),
            page.sums[:, GOOD][page.tag == TAG["main"]].max(initial=0) / max(t[GOOD], 1.0),
        ]
    )  # fmt: skip


_PRE = TAG["pre"]


def read(data: bytes) -> tuple[Tree, list[str]]:
    """A page's tree and the texts of its blocks for people."""
    tree = _blocks.read(data)
    return tree, [_blocks.tidy(t, tree.tag[o] == _PRE) or "-" for t, o in zip(tree.texts, tree.owner, strict=True)]
