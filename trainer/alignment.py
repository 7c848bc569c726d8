"""Linear maps between the sentence vectors of two languages: from pairs, or from nothing but the two sets."""

import json
import os
from dataclasses import dataclass

import numpy as np
import torch
from safetensors import SafetensorError
from safetensors.numpy import load_file, save_file
from torch import nn
from torch.nn import functional

from corpus import storage
from corpus.terminal import UserError
from trainer import retrieval
from trainer.retrieval import unit

FILE, LABELS = "alignment.safetensors", "alignment.json"

# Of adversarial training (arXiv:1710.04087), with a smaller judge and a stronger pull towards rotations, since there
# are hundreds of sentences here, not tens of thousands of words.
WIDTH, INPUT_DROPOUT, SMOOTHING, RATE, TURNS, BETA = 256, 0.1, 0.1, 0.1, 3, 0.01
EPOCHS, STEPS, SIZE = 5, 100, 64
REFINEMENTS = 5


@dataclass(frozen=True)
class Map:
    """Vectors of a language x into the space of y: unit(x - mean) @ weight lies beside unit(y - other).

    mean, other: (H,). weight: (H, H)."""

    mean: np.ndarray
    other: np.ndarray
    weight: np.ndarray

    def apply(self, x: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Both sides where they can be compared."""
        return unit(x - self.mean) @ self.weight, unit(y - self.other)


def prepared(x: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Both sides centred, of length 1, and their means."""
    mean, other = x.mean(0), y.mean(0)
    return unit(x - mean), unit(y - other), mean, other


def procrustes(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """The rotation W for which x W comes nearest to y."""
    u, _, v = np.linalg.svd(x.T.astype(np.float64) @ y)
    return (u @ v).astype(np.float32)


def least_squares(x: np.ndarray, y: np.ndarray, penalty: float = 1.0) -> np.ndarray:
    """The matrix W for which x W comes nearest to y, with a small penalty, since pairs may be fewer than dimensions."""
    x = x.astype(np.float64)
    return np.linalg.solve(x.T @ x + penalty * np.eye(x.shape[1]), x.T @ y).astype(np.float32)


def fit(x: np.ndarray, y: np.ndarray, method: str, seed: int = 0) -> Map:
    """method: procrustes, least-squares (x[k] and y[k] are translations), adversarial (they need not be)."""
    a, b, mean, other = prepared(x, y)
    if method == "adversarial":
        weight = adversarial(a, b, seed)
    else:
        weight = procrustes(a, b) if method == "procrustes" else least_squares(a, b)
    return Map(mean, other, weight)


def criterion(x: np.ndarray, y: np.ndarray) -> float:
    """How well a map fits without knowing translations: the mean cosine of each vector and the one that CSLS takes for
    its translation."""
    best = retrieval.csls(x, y).argmax(1)
    return float((unit(x) * unit(y)[best]).sum(1).mean())


def mutual(x: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Numbers of the pairs that choose each other by CSLS."""
    scores = retrieval.csls(x, y)
    forth, back = scores.argmax(1), scores.argmax(0)
    ours = np.flatnonzero(back[forth] == np.arange(len(x)))
    return ours, forth[ours]


def refine(x: np.ndarray, y: np.ndarray, weight: np.ndarray) -> np.ndarray:
    """Procrustes on the pairs that choose each other, again and again while the criterion rises."""
    best, value = weight, criterion(x @ weight, y)
    for _ in range(REFINEMENTS):
        ours, theirs = mutual(x @ weight, y)
        if len(ours) < 2:
            break
        weight = procrustes(x[ours], y[theirs])
        now = criterion(x @ weight, y)
        if now > value:
            best, value = weight, now
    return best


def axes(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """The rotation that lays the principal axes of x over those of y, by variance, turned as their skewness says."""

    def basis(v: np.ndarray) -> np.ndarray:
        found = np.linalg.eigh(v.T.astype(np.float64) @ v)[1][:, ::-1]
        return found * np.where(((v @ found) ** 3).sum(0) < 0, -1, 1)

    return (basis(x) @ basis(y).T).astype(np.float32)


def adversarial(x: np.ndarray, y: np.ndarray, seed: int = 0) -> np.ndarray:
    """A map that keeps a judge from telling mapped x from y, then refined. It begins with what the criterion likes
    better: no map at all (both languages come from one encoder), or the axes laid over each other. The epoch is chosen
    by the criterion too, so no translation is ever looked at."""
    torch.manual_seed(seed)
    width = x.shape[1]
    judge = nn.Sequential(nn.Dropout(INPUT_DROPOUT), nn.Linear(width, WIDTH), nn.LeakyReLU(0.2),
                          nn.Linear(WIDTH, WIDTH), nn.LeakyReLU(0.2), nn.Linear(WIDTH, 1))  # fmt: skip
    starts = (np.eye(width, dtype=np.float32), axes(x, y))
    best = max(starts, key=lambda w: criterion(x @ w, y))
    value, weight = criterion(x @ best, y), nn.Parameter(torch.from_numpy(best.copy()))
    ours, theirs = (torch.from_numpy(np.ascontiguousarray(v * np.sqrt(width), np.float32)) for v in (x, y))
    rate = RATE
    for _ in range(EPOCHS):
        for _ in range(STEPS):
            for _ in range(TURNS):
                _turn(judge, weight, ours, theirs, list(judge.parameters()), rate, swapped=False)
            _turn(judge, weight, ours, theirs, [weight], rate, swapped=True)
            with torch.no_grad():
                weight.copy_((1 + BETA) * weight - BETA * weight @ weight.T @ weight)
        now = criterion(x @ weight.detach().numpy(), y)
        if now > value:
            best, value = weight.detach().numpy().copy(), now
        rate *= 0.5
    return refine(x, y, best)


def _turn(judge, weight, ours, theirs, learners, rate: float, *, swapped: bool) -> None:
    """One step of plain gradient descent of the judge, or, with labels swapped, of the map."""
    rows = [v[torch.randint(len(v), (SIZE,))] for v in (ours, theirs)]
    logits = judge(torch.cat([rows[0] @ weight, rows[1]])).squeeze(1)
    labels = torch.cat([torch.full((SIZE,), SMOOTHING), torch.full((SIZE,), 1 - SMOOTHING)])
    loss = functional.binary_cross_entropy_with_logits(logits, 1 - labels if swapped else labels)
    for tensor, gradient in zip(learners, torch.autograd.grad(loss, learners), strict=True):
        with torch.no_grad():
            tensor -= rate * gradient


def save(folder: str, maps: dict[str, Map], layer: int, method: str) -> None:
    tensors = {f"{name}.{part}": np.ascontiguousarray(getattr(m, part)) for name, m in maps.items()
               for part in ("mean", "other", "weight")}  # fmt: skip
    save_file(tensors, f"{folder}/{FILE}")
    told = {
        "layer": layer,
        "method": method,
        "pairs": sorted(maps),
        "use": "unit(x - mean) @ weight beside unit(y - other)",
    }
    storage.write(f"{folder}/{LABELS}", json.dumps(told, indent=1) + "\n")


def load(folder: str) -> tuple[dict[str, Map], int]:
    """The maps that lie in a folder, by pair of languages, and the layer whose states they map; none: ({}, 0). Errors:
    UserError."""
    if not os.path.exists(f"{folder}/{FILE}"):
        return {}, 0
    try:
        tensors, told = load_file(f"{folder}/{FILE}"), json.loads(storage.read(f"{folder}/{LABELS}"))
        maps = {n: Map(*(tensors[f"{n}.{part}"] for part in ("mean", "other", "weight"))) for n in told["pairs"]}
        return maps, int(told["layer"])
    except (OSError, ValueError, KeyError, SafetensorError) as error:
        raise UserError(f"{folder}/{FILE}: not readable ({error}); align again") from None
