"""Sentence vectors, and whether a sentence's translation is found among many."""

from collections.abc import Callable, Sequence

import numpy as np
import torch
from torch import Tensor

from trainer import texts
from trainer.head import Body
from trainer.texts import Inputs, Vocabulary

NEIGHBOURS = 4  # of margins (arXiv:1811.01136); CSLS has 10
LENGTH = 128  # tokens of a sentence


def middle(layers: int) -> int:
    """The layer whose states make sentence vectors: two thirds up."""
    return max(1, round(layers * 2 / 3))


@torch.inference_mode()
def vectors(
    body: Body | Callable, vocabulary: Vocabulary, sentences: Sequence[str], layer: int = 0
) -> np.ndarray:  # fmt: skip
    """(sentences, H) fp32: the mean of the states of all tokens but [CLS] and [SEP]. layer: 0 for the middle one;
    what is no Body gives only its last."""
    rows = [texts.row(ids, None, LENGTH) for ids in texts.encode(vocabulary, sentences)]

    def mean(inputs: Inputs) -> Tensor:
        states = body(inputs, layer or middle(body.tower.layers)) if isinstance(body, Body) else body(inputs)
        inner = ((inputs.sequences > 0) & (inputs.tokens > 4)).unsqueeze(-1)
        return (states * inner).sum(1) / inner.sum(1).clamp(min=1)

    found = np.zeros((0, 0), np.float32)
    for numbers, means in texts.computed(body, rows, mean):
        found = found if found.size else np.zeros((len(rows), means.shape[1]), np.float32)
        found[numbers] = means.numpy()
    return found


def unit(values: np.ndarray) -> np.ndarray:
    """Rows of length 1."""
    return values / np.maximum(np.linalg.norm(values, axis=1, keepdims=True), 1e-9)


def nearest(scores: np.ndarray, count: int, axis: int) -> np.ndarray:
    """The mean of the `count` best cosines of each row (axis 1) or column (axis 0)."""
    count = min(count, scores.shape[axis])
    return -np.partition(-scores, count - 1, axis).take(range(count), axis).mean(axis)


def margin(x: np.ndarray, y: np.ndarray, count: int = NEIGHBOURS) -> np.ndarray:
    """(n, m): each cosine through the mean of both sides' nearest ones, so that hubs do not win."""
    scores = unit(x) @ unit(y).T
    return scores / ((nearest(scores, count, 1)[:, None] + nearest(scores, count, 0)[None]) / 2)


def csls(x: np.ndarray, y: np.ndarray, count: int = 10) -> np.ndarray:
    """(n, m): twice the cosine less both sides' mean nearest ones (arXiv:1710.04087)."""
    scores = unit(x) @ unit(y).T
    return 2 * scores - nearest(scores, count, 1)[:, None] - nearest(scores, count, 0)[None]


def hits(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """x[k] and y[k] translate each other: (n, 2) bool, whether each finds the other, from x and from y, by margin."""
    scores = margin(x, y)
    own = np.arange(len(x))
    return np.stack([scores.argmax(1) == own, scores.argmax(0) == own], 1)
