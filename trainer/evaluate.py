"""Models on tasks, one table: our folders, Hugging Face folders, ONNX files.

Translations give retrieval in both directions. Labelled texts give the figures of a model that has learned the task;
one that has not is asked what its frozen states tell: a ridge regression on the mean of the middle layer, fitted to the
file's training rows.
"""

import json
import os
from collections.abc import Sequence

import numpy as np
import torch
from torch import nn

from corpus import storage
from corpus.terminal import DONE, Progress, UserError, say
from trainer import alignment, export, metrics, prediction, retrieval, task, texts
from trainer.alignment import Map
from trainer.head import Body, Task, TaskModel
from trainer.metrics import Figures
from trainer.task import Example
from trainer.texts import Vocabulary
from trainer.world import choose

PENALTY = 1.0  # of the ridge regression, for standardized states


def evaluate(models: Sequence[str], data: Sequence[str], *, languages: Sequence[str] = (), split: str = "dev",
             output: str = "", device: torch.device | None = None, quiet: bool = False) -> int:  # fmt: skip
    """Print a table of every model on every file. languages: those that count; output: a JSON file with all figures.
    Errors: UserError."""
    from tokenizer.vocabulary import Vocabulary as Pieces

    found: dict[str, dict[str, dict[str, Figures]]] = {}
    bar = Progress("evaluate", len(models) * len(data), quiet=quiet)
    for model in models:
        made, learned, folder = export.opened(model)
        made = texts.placed(made, device or choose("auto")) if isinstance(made, nn.Module) else made
        vocabulary = Pieces.load(folder)
        for path in data:
            if is_pairs(path):
                place = os.path.dirname(model) if model.endswith(".onnx") else model
                pairs = task.read_pairs(path, languages)
                found.setdefault(path, {})[model] = retrieved(body(made), vocabulary, pairs, *alignment.load(place))
            else:
                found.setdefault(path, {})[model] = _one(made, learned, vocabulary, path, languages, split)
            bar.advance(1)
    bar.finish()
    for path, rows in found.items():
        for model, figures in rows.items():
            print(f"\n{model} on {path}")
            print("\n".join(prediction.table(figures)))
    if output:
        storage.write(output, json.dumps(found, indent=1) + "\n")
    return DONE


def _one(made, learned: Task | None, vocabulary: Vocabulary, path: str, languages, split) -> dict[str, Figures]:
    examples = task.read([path], split, languages)
    if learned:
        prepared = prediction.prepare(examples, learned, vocabulary)
        return prediction.by_language(learned, examples, prediction.predict(made, prepared, vocabulary))
    if task.kind(examples) != "classify":
        raise UserError(
            f"{path}: examples to {task.kind(examples)}, which this model has not learned; finetune it first"
        )
    return frozen(body(made), vocabulary, task.read([path], "train", languages), examples)


def is_pairs(path: str) -> bool:
    """Translations rather than labelled texts?"""
    try:
        task.read([path], "dev")
    except UserError:
        return True  # or neither, which is told when they are read
    return False


def body(made):
    return made.body if isinstance(made, TaskModel) else made


def retrieved(
    made: Body, vocabulary: Vocabulary, pairs: Sequence[tuple[str, str, str]], maps: dict[str, Map], layer: int = 0
) -> dict[str, Figures]:
    """Accuracy of finding the translation, per pair of languages: mean of both directions, and each. maps: those of
    align, of the states of `layer`; they count only where those states can be had."""
    found = {}
    for name in sorted({p for _, _, p in pairs}):
        sides = zip(*((a, b) for a, b, p in pairs if p == name), strict=True)
        x, y = (retrieval.vectors(made, vocabulary, side, layer) for side in sides)
        apart = name in maps and isinstance(made, Body)
        found[name] = retrieval_figures(*(maps[name].apply(x, y) if apart else (x, y)))
    return found


def retrieval_figures(x: np.ndarray, y: np.ndarray) -> Figures:
    rows = retrieval.hits(x, y).astype(float)
    return metrics.summary(
        rows, {"accuracy": lambda r: r.mean(), "forth": lambda r: r[:, 0].mean(), "back": lambda r: r[:, 1].mean()}
    )


def frozen(made: Body, vocabulary: Vocabulary, train: Sequence[Example], dev: Sequence[Example]) -> dict[str, Figures]:
    """Figures of a ridge regression on frozen states, fitted to the training rows of all languages together."""
    if not train:
        say("evaluate: no training rows to fit the states to")
        return {}
    labels = sorted({e.label for e in train})
    known = Task("classify", tuple(labels), retrieval.LENGTH)
    x, y = (_states(made, vocabulary, examples) for examples in (train, dev))
    wanted = np.eye(len(labels))[[labels.index(e.label) for e in train]]
    weights = ridge(x, wanted, x.mean(0), x.std(0) + 1e-6)
    scores = np.c_[(y - x.mean(0)) / (x.std(0) + 1e-6), np.ones(len(y))] @ weights
    return prediction.by_language(known, dev, [labels[k] for k in scores.argmax(1)])


def _states(made: Body, vocabulary: Vocabulary, examples: Sequence[Example]) -> np.ndarray:
    joined = [f"{e.text}\n{e.pair}" if e.pair else e.text for e in examples]
    return retrieval.vectors(made, vocabulary, joined).astype(np.float64)


def ridge(x: np.ndarray, wanted: np.ndarray, mean: np.ndarray, spread: np.ndarray) -> np.ndarray:
    """(features + 1, labels): weights of standardized features and a constant."""
    z = np.c_[(x - mean) / spread, np.ones(len(x))]
    penalty = PENALTY * np.sqrt(len(x)) * np.eye(z.shape[1])
    penalty[-1, -1] = 0
    return np.linalg.solve(z.T @ z + penalty, z.T @ wanted)
