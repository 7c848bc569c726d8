"""What a model sees of each block of a page: numbers from the block, its words, its neighbours, the nodes above it, the
page, and from what the page tells of itself elsewhere (title, descriptions, JSON-LD).

All are exact (counts, ratios of counts, sums of whole-number weights), so that every machine computes the same. Text
is counted by classes of characters, never by words of a language; what its words say is learnt. `_block_features.c`
computes them, held equal to the definitions in tests/plain_features.py.
"""

from typing import NamedTuple

import numpy as np

from pipeline import _block_features
from pipeline.blocks import TAG, Tree

PATHS = 3
"""Word scores of a path: learnt from all pages, from articles and documentation, from the others."""
TEXT_BUCKETS = 1 << 15
"""Words of text are known by so many hashes; of a block the first SCORED count."""
SCORED = 60
COUNTED = "p h1 h2 h3 li td article section form noscript pre dd blockquote button"
"""Tags whose number says something about the page."""
GROUPS = ("p pre blockquote", "li dt dd", "td th caption", "h1 h2 h3 h4 h5 h6")
"""Paragraphs, list items, table cells, headings."""


def _tags() -> np.ndarray:
    """What tags mean: h1, article, main; the counted ones; then the number of each tag's group, 0 for none."""
    group = np.zeros(64, np.int32)
    for number, names in enumerate(GROUPS, 1):
        group[[TAG[name] for name in names.split()]] = number
    named = [TAG[name] for name in f"h1 article main {COUNTED}".split()]
    return np.concatenate([np.array(named, np.int32), group])


_TAGS = _tags()


class Trees(NamedTuple):
    """Boosted trees of equal depth. feature int32, threshold float32: (trees, 2**depth - 1), inner nodes by level; a
    block goes right where its feature is larger. leaf: (trees, 2**depth) int32."""

    feature: np.ndarray
    threshold: np.ndarray
    leaf: np.ndarray
    depth: int


def features(tree: Tree, weights: np.ndarray, text_weights: np.ndarray) -> np.ndarray:
    """(blocks, features) float32. weights: (BUCKETS, PATHS + types) int16 of the words of nodes: how they speak for
    what is inside their node, and for types of page. text_weights: (TEXT_BUCKETS,) int16 of the words of text."""
    table = _block_features.features(*_arrays(tree), weights, text_weights, _TAGS)
    return np.frombuffer(table, np.float32).reshape(len(tree.blocks), -1 if len(tree.blocks) else 1)


def score(tree: Tree, weights: np.ndarray, text_weights: np.ndarray, trees: Trees) -> np.ndarray:
    """(blocks,) int64: the sums of leaves that blocks come to, without a table of all features."""
    arrays = (*_arrays(tree), weights, text_weights, _TAGS, trees.feature, trees.threshold, trees.leaf)
    return np.frombuffer(_block_features.score(*arrays, len(trees.feature), trees.depth), np.int64)


def _arrays(tree: Tree) -> tuple[np.ndarray, ...]:
    told = (tree.by_title, tree.by_json, tree.by_description)
    return (tree.nodes, tree.blocks, tree.words, tree.starts, tree.tokens, *told)


def text_buckets(tokens: np.ndarray) -> np.ndarray:
    """Hashes of words -> buckets of `text_weights`."""
    return (tokens ^ tokens >> np.uint32(15)) & np.uint32(TEXT_BUCKETS - 1)
