"""The main text of a page: each block gets a chance by a model of trees, and the blocks are kept whose text would have
the best F1 if those chances were right. Only whole numbers are added up: every machine keeps the same blocks."""

import functools
import io
import math
import os
from dataclasses import dataclass, fields

import numpy as np

from pipeline import _block_features, block_features
from pipeline.blocks import TAG, Tree, bucket

DEPTH = 6
"""Levels of each tree; shallower ones are filled up."""
UNIT = 256
"""Leaves are whole numbers of this part of a log odd, chances of one in UNIT squared."""
LEAST = 0.2
"""Expected F1 below which nothing is kept."""
TYPES = ("article", "service", "forum", "listing", "documentation", "collection", "product")
"""Types of page that a model knows, in the order of the last columns of its weights."""
_COMMENTS = [bucket(w) for w in ("comment", "comments", "commentlist", "commentary", "disqus", "respond", "kommentare")]
MODEL = os.path.join(os.path.dirname(__file__), "models", "content.npz")


@dataclass(frozen=True)
class Model:
    """weights: (BUCKETS, PATHS + types) int16 and text_weights: (TEXT_BUCKETS,) int16, see block_features. feature
    int32, threshold float32: (trees, 2**DEPTH - 1), the nodes of each tree by level; a block goes right where its
    feature is larger. leaf: (trees, 2**DEPTH) int32, UNITs of log odds."""

    weights: np.ndarray
    text_weights: np.ndarray
    feature: np.ndarray
    threshold: np.ndarray
    leaf: np.ndarray

    def score(self, tree: Tree) -> np.ndarray:
        """(blocks,) int64: UNITs of log odds."""
        trees = block_features.Trees(self.feature, self.threshold, self.leaf, DEPTH)
        return block_features.score(tree, self.weights, self.text_weights, trees)

    def save(self) -> bytes:
        file = io.BytesIO()
        np.savez_compressed(file, allow_pickle=False, **vars(self))
        return file.getvalue()


@functools.cache
def load() -> Model:
    """The shipped model."""
    with np.load(MODEL, allow_pickle=False) as file:
        return Model(**{field.name: file[field.name] for field in fields(Model)})


@functools.cache
def _chances() -> np.ndarray:
    """(16 * UNIT + 1,) int64: chances in UNIT ** 2 of log odds from -8 to 8."""
    return np.array([round(UNIT**2 / (1 + math.exp(-k / UNIT))) for k in range(-8 * UNIT, 8 * UNIT + 1)])


def choose(score: np.ndarray, tree: Tree) -> tuple[np.ndarray, float]:
    """(blocks,) bool and the F1 expected: the likeliest blocks, as many as give the best F1; none below LEAST."""
    keep, expected = _block_features.choose(score, tree.blocks, _chances(), UNIT**2)
    return np.frombuffer(keep, bool) & (expected >= LEAST), expected


def extract(tree: Tree, model: Model | None = None, comments: bool = True) -> str:
    """The main text of a page, by the shipped model or another. comments: with what readers wrote under it."""
    if not tree.texts:
        return ""
    model = model or load()
    keep, _ = choose(model.score(tree), tree)
    if not comments and not is_forum(tree, model):
        keep = keep & ~is_comment(tree, int(keep.argmax()))
    return render(tree, np.flatnonzero(keep).tolist())


def is_forum(tree: Tree, model: Model) -> bool:
    """Whether the words of a page's nodes speak for a forum before all other types of page."""
    types = model.weights[tree.words, block_features.PATHS :].sum(axis=0, dtype=np.int64)
    return int(types.argmax()) == TYPES.index("forum")


def is_comment(tree: Tree, first: int) -> np.ndarray:
    """(blocks,) bool: in a node that calls itself comments, below the block where the main text begins."""
    says = np.logical_or.reduceat(np.isin(tree.words, _COMMENTS), tree.starts)[tree.kind]
    inside = np.zeros(len(tree.blocks) + 1, np.int64)
    for start, stop in tree.nodes[says & (tree.nodes[:, 3] > first), 3:].tolist():
        inside[start] += 1
        inside[stop] -= 1
    return np.cumsum(inside[:-1]) > 0


def render(tree: Tree, kept: list[int]) -> str:
    """The blocks as lines: an item of a list after a bullet, a row of a table on one line, `pre` as it stands."""
    parent, tag, owner = tree.parent.tolist(), tree.tag.tolist(), tree.owner.tolist()
    lines: list[str] = []
    row = item = title = -1
    for block in kept:
        above = _item_and_row(parent, tag, owner[block])
        text = tree.texts[block]
        if title >= 0 and text == tree.texts[title] and lines:
            continue
        if tag[owner[block]] == TAG["h1"] and title < 0:
            title = block
        if above[1] >= 0 and above[1] == row and "\n" not in text:
            lines[-1] += " | " + text
        elif above[0] >= 0 and above[0] != item:
            lines.append("• " + text)
        else:
            lines.append(text)
        item, row = above
    return "\n".join(lines)


_LI, _TR = TAG["li"], TAG["tr"]
_NEAR = 40
"""Nodes above a block that are looked at."""


def _item_and_row(parent: list[int], tag: list[int], node: int) -> tuple[int, int]:
    """The innermost list item and table row that a node is in; -1 where there is none."""
    item = row = -1
    for _ in range(_NEAR):
        if tag[node] == _LI and item < 0:
            item = node
        elif tag[node] == _TR:
            row = node
        if not node or row >= 0:
            break
        node = parent[node]
    return item, row
