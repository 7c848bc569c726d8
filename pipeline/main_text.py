"""The main text of a page: each block gets a chance by a model of trees, and the blocks are kept whose text would have
the best F1 if those chances were right. Only whole numbers are added up: every machine keeps the same blocks."""

import functools
import io
import math
import os
from dataclasses import dataclass

import numpy as np

from pipeline import block_features
from pipeline.blocks import TAG, Tree

DEPTH = 6
"""Levels of each tree; shallower ones are filled up."""
UNIT = 256
"""Leaves are whole numbers of this part of a log odd, chances of one in UNIT squared."""
LEAST = 0.2
"""Expected F1 below which nothing is kept."""
MODEL = os.path.join(os.path.dirname(__file__), "models", "content.npz")


@dataclass(frozen=True)
class Model:
    """weights: (BUCKETS,) of the words. feature, threshold: (trees, 2**DEPTH - 1), the nodes of each tree by level; a
    block goes right where its feature is larger. leaf: (trees, 2**DEPTH), UNITs of log odds."""

    weights: np.ndarray
    feature: np.ndarray
    threshold: np.ndarray
    leaf: np.ndarray

    def score(self, table: np.ndarray) -> np.ndarray:
        """(blocks,) int64: UNITs of log odds. table: (blocks, FEATURES) float32."""
        rows, inner = len(table), 2**DEPTH - 1
        columns = np.ascontiguousarray(table.T).ravel()  # one tree after another: neighbours read what is near
        column = (self.feature.astype(np.int64) * rows).ravel()
        threshold = self.threshold.ravel()
        number = np.arange(len(self.feature))[:, None]
        root = number * inner
        node = root + 1 + (table.T[self.feature[:, 0]] > self.threshold[:, :1])
        for _ in range(DEPTH - 1):
            place = column.take(node)
            place += np.arange(rows)
            right = columns.take(place) > threshold.take(node)
            node *= 2
            node += right
            node -= root - 1
        node += number - inner
        return self.leaf.ravel().take(node).sum(axis=0, dtype=np.int64)

    def save(self) -> bytes:
        file = io.BytesIO()
        np.savez_compressed(file, allow_pickle=False, **vars(self))
        return file.getvalue()


@functools.cache
def load() -> Model:
    """The shipped model."""
    with np.load(MODEL, allow_pickle=False) as file:
        return Model(file["weights"], file["feature"], file["threshold"], file["leaf"])


@functools.cache
def _chances() -> np.ndarray:
    """(16 * UNIT + 1,) int64: chances in UNIT ** 2 of log odds from -8 to 8."""
    return np.array([round(UNIT**2 / (1 + math.exp(-k / UNIT))) for k in range(-8 * UNIT, 8 * UNIT + 1)])


def choose(score: np.ndarray, tokens: np.ndarray) -> tuple[np.ndarray, float]:
    """(blocks,) bool and the F1 expected: the likeliest blocks, as many as give the best F1."""
    chance = _chances()[np.clip(score, -8 * UNIT, 8 * UNIT) + 8 * UNIT]
    order = np.argsort(-score, kind="stable")
    right, size = np.cumsum((chance * tokens)[order]), np.cumsum(tokens[order])
    expected = 2 * right / np.maximum(size * UNIT**2 + right[-1], 1)
    best = int(expected.argmax())
    keep = np.zeros(len(score), bool)
    if expected[best] >= LEAST:
        keep[order[: best + 1]] = True
    return keep, float(expected[best])


def extract(tree: Tree, texts: list[str], model: Model | None = None) -> str:
    """The main text of a page, from `block_features.read`, by the shipped model or another."""
    if not texts:
        return ""
    model = model or load()
    table, tokens = block_features.features(tree, texts, model.weights)
    keep, _ = choose(model.score(table), tokens)
    return render(tree, texts, np.flatnonzero(keep).tolist())


def render(tree: Tree, texts: list[str], kept: list[int]) -> str:
    """The blocks as lines: an item of a list after a bullet, a row of a table on one line, `pre` as it stands."""
    lines: list[str] = []
    row = item = title = -1
    for block in kept:
        above = _item_and_row(tree, tree.owner[block])
        text = texts[block]
        if title >= 0 and text == texts[title] and lines:
            continue
        if tree.tag[tree.owner[block]] == TAG["h1"] and title < 0:
            title = block
        if above[1] >= 0 and above[1] == row and "\n" not in text:
            lines[-1] += " | " + text
        elif above[0] >= 0 and above[0] != item:
            lines.append("• " + text)
        else:
            lines.append(text)
        item, row = above
    return "\n".join(lines)


_LI, _TR, _PRE = TAG["li"], TAG["tr"], TAG["pre"]


def _item_and_row(tree: Tree, node: int) -> tuple[int, int]:
    """The innermost list item and table row that a node is in; -1 where there is none."""
    item = row = -1
    while node and row < 0:
        if tree.tag[node] == _LI and item < 0:
            item = node
        elif tree.tag[node] == _TR:
            row = node
        node = tree.parent[node]
    return item, row
