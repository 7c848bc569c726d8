"""Examples -> inputs and targets; logits -> predictions -> figures, in all and per language."""

import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from corpus.terminal import UserError
from trainer import metrics, texts
from trainer.head import Task
from trainer.task import Example
from trainer.texts import Inputs, Row, Vocabulary

NONE = -100  # target of a token that is not asked for
LONGEST_ANSWER = 48  # tokens

Model = Callable[[Inputs], Tensor]
"""Inputs -> logits as head.Head gives them."""


@dataclass(frozen=True)
class Prepared:
    """rows: one or, of long texts, several for each example. targets: one for each row: a number of a label, a value,
    (S,) numbers of labels, or (first, last) token of the answer, (0, 0) if the row has none."""

    task: Task
    examples: Sequence[Example]
    rows: list[Row]
    targets: list


def prepare(examples: Sequence[Example], task: Task, vocabulary: Vocabulary) -> Prepared:
    """Errors: UserError for labels that the task does not know."""
    if task.kind == "tag":
        return _tagged(examples, task, vocabulary)
    ones = texts.encode(vocabulary, [e.text for e in examples])
    twos = texts.encode(vocabulary, [e.pair for e in examples])
    if task.kind == "answer":
        return _asked(examples, task, vocabulary, ones, twos)
    rows = [
        texts.row(a, b if e.pair else None, task.length, k)
        for k, (e, a, b) in enumerate(zip(examples, ones, twos, strict=True))
    ]
    if task.kind == "score":
        return Prepared(task, examples, rows, [float(e.label) for e in examples])
    return Prepared(task, examples, rows, [_number(e.label, task) for e in examples])


def _number(label: str, task: Task) -> int:
    if label not in task.labels:
        raise UserError(f"label {label!r} is not among those of training ({', '.join(task.labels[:8])}); mend the file")
    return task.labels.index(label)


def _tagged(examples: Sequence[Example], task: Task, vocabulary: Vocabulary) -> Prepared:
    """The first piece of each word has its tag; words beyond the length have none."""
    rows, targets = [], []
    for k, example in enumerate(examples):
        words = texts.encode(vocabulary, example.words)
        ids = np.concatenate(words) if words else np.zeros(0, np.int64)
        row = texts.row(ids, None, task.length, k)
        target = np.full(len(row.tokens), NONE)
        at = 1
        for word, tag in zip(words, example.tags, strict=True):
            if len(word) and at < len(target) - 1:
                target[at] = _number(tag, task)
            at += len(word)
        rows.append(row)
        targets.append(target)
    return Prepared(task, examples, rows, targets)


def _asked(examples, task: Task, vocabulary: Vocabulary, ones, twos) -> Prepared:
    rows: list[Row] = []
    targets: list[tuple[int, int]] = []
    every = _offsets(examples, twos, vocabulary)
    for k, (example, one, two, places) in enumerate(zip(examples, ones, twos, every, strict=True)):
        span = None
        if example.answers:
            answer, first = example.answers[0]
            inside = [t for t, (a, b) in enumerate(places) if a < first + len(answer) and b > first]
            span = (inside[0], inside[-1]) if inside else None
        for row in texts.windows(one, two, task.length, k):
            rows.append(row)
            shift, end = row.second - row.first, len(row.tokens) - 1
            ours = (span[0] + shift, span[1] + shift) if span else (0, 0)
            targets.append(ours if row.second <= ours[0] <= ours[1] < end else (0, 0))
    return Prepared(task, examples, rows, targets)


def _offsets(examples: Sequence[Example], twos: Sequence[np.ndarray], vocabulary: Vocabulary) -> Iterator[list]:
    """texts.offsets of each `pair`, once for questions that follow each other about one text."""
    text, found = "", []
    for example, two in zip(examples, twos, strict=True):
        if example.pair != text:
            text, found = example.pair, texts.offsets(vocabulary, two, example.pair)
        yield found


def target(prepared: Prepared, numbers: Sequence[int], length: int) -> Tensor:
    """The targets of some rows as a tensor; of tags padded to `length`."""
    chosen = [prepared.targets[n] for n in numbers]
    if prepared.task.kind != "tag":
        return torch.tensor(chosen)
    found = torch.full((len(chosen), length), NONE)
    for b, values in enumerate(chosen):
        found[b, : len(values)] = torch.from_numpy(values)
    return found


def loss(task: Task, logits: Tensor, wanted: Tensor, weights: Tensor | None = None) -> Tensor:
    """Mean over the batch; weights: of the labels. For answers the mean of first and last token, each a choice among
    all tokens of the row, the [CLS] standing for 'not here'."""
    logits = logits.float()
    if task.kind == "score":
        return functional.mse_loss(logits.squeeze(1), wanted.float())
    if task.kind == "answer":
        return functional.cross_entropy(logits.transpose(1, 2).flatten(0, 1), wanted.flatten())
    return functional.cross_entropy(logits.flatten(0, -2), wanted.flatten(), weights, ignore_index=NONE)


def predict(model: Model, prepared: Prepared, vocabulary: Vocabulary) -> list:
    """For each example a label, a value, tags, or an answer ('' for none)."""
    outputs: list[np.ndarray] = [np.zeros(0)] * len(prepared.rows)
    with torch.inference_mode():
        for numbers, logits in texts.computed(model, prepared.rows, model):
            for n, values in zip(numbers, logits.numpy(), strict=True):
                outputs[n] = values
    kind, labels = prepared.task.kind, prepared.task.labels
    if kind == "classify":
        return [labels[int(v.argmax())] for v in outputs]
    if kind == "score":
        return [float(v[0]) for v in outputs]
    if kind == "tag":
        return [_tags(e, t, v, labels) for e, t, v in zip(prepared.examples, prepared.targets, outputs, strict=True)]
    return _answers(prepared, outputs, vocabulary)


def _tags(example: Example, wanted: np.ndarray, logits: np.ndarray, labels: Sequence[str]) -> list[str]:
    """One for each word; O for empty words and those beyond the length."""
    found = iter([labels[n] for n in logits[np.flatnonzero(wanted != NONE)].argmax(1)])
    return [next(found, "O") if word else "O" for word in example.words]


def _answers(prepared: Prepared, outputs: Sequence[np.ndarray], vocabulary: Vocabulary) -> list[str]:
    """The best span over all windows of a text, if some question has no answer then only where it beats 'no answer'."""
    best: dict[int, tuple[float, int, int]] = {}
    nothing = dict.fromkeys(range(len(prepared.examples)), np.inf)
    for row, logits in zip(prepared.rows, outputs, strict=True):
        score, first, last = span(logits[: len(row.tokens)], row.second)
        nothing[row.example] = min(nothing[row.example], float(logits[0].sum()))
        shift = row.first - row.second
        best[row.example] = max(best.get(row.example, (-np.inf, 0, 0)), (score, first + shift, last + shift))
    allowed = any(not e.answers for e in prepared.examples)
    twos = texts.encode(vocabulary, [e.pair for e in prepared.examples])
    found = []
    every = _offsets(prepared.examples, twos, vocabulary)
    for k, (example, places) in enumerate(zip(prepared.examples, every, strict=True)):
        score, first, last = best[k]
        given = example.pair[places[first][0] : places[last][1]].strip() if places else ""
        found.append("" if allowed and nothing[k] > score else given)
    return found


def span(logits: np.ndarray, begin: int) -> tuple[float, int, int]:
    """The best (score, first, last token) from `begin` on, the last [SEP] left out. logits: (S, 2)."""
    end = len(logits) - 1
    starts, ends = logits[begin:end, 0], logits[begin:end, 1]
    if not len(starts):
        return -np.inf, begin, begin
    scores = np.triu(starts[:, None] + ends[None, :])
    far = np.triu(np.ones_like(scores, bool)) & ~np.triu(np.ones_like(scores, bool), LONGEST_ANSWER)
    scores = np.where(far, scores, -np.inf)
    first, last = np.unravel_index(scores.argmax(), scores.shape)
    return float(scores[first, last]), begin + int(first), begin + int(last)


def figures(task: Task, examples: Sequence[Example], predicted: Sequence) -> metrics.Figures:
    """The first figure is the one that decides."""
    if task.kind == "classify":
        ours, theirs = ([task.labels.index(x) for x in xs] for xs in (predicted, [e.label for e in examples]))
        return metrics.classification(ours, theirs, len(task.labels))
    if task.kind == "score":
        return metrics.correlation(predicted, [float(e.label) for e in examples])
    if task.kind == "tag":
        return metrics.tagging(predicted, [e.tags for e in examples])
    return metrics.answering(predicted, [[a for a, _ in e.answers] for e in examples])


def by_language(task: Task, examples: Sequence[Example], predicted: Sequence) -> dict[str, metrics.Figures]:
    """Figures of each language, in the order of their names."""
    found = {}
    for language in sorted({e.language for e in examples}):
        rows = [k for k, e in enumerate(examples) if e.language == language]
        found[language] = figures(task, [examples[k] for k in rows], [predicted[k] for k in rows])
    return found


def lines(examples: Sequence[Example], predicted: Sequence) -> str:
    """Predictions as JSON Lines."""
    rows = []
    for e, p in zip(examples, predicted, strict=True):
        wanted = e.label or list(e.tags) or [a for a, _ in e.answers]
        rows.append({"id": e.id, "language": e.language, "predicted": p, "label": wanted})
    return "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)


def table(found: dict[str, metrics.Figures], trained: Sequence[str] = ()) -> list[str]:
    """Lines for the terminal. trained: languages of the training examples; the others are marked."""
    if not found:
        return []
    names = [n for n in next(iter(found.values())) if n not in ("low", "high", "examples")]
    rows = [
        f"{'language':12} {'examples':>8}  "
        + "  ".join(f"{n:>20}" if k == 0 else f"{n:>9}" for k, n in enumerate(names))
    ]
    for language, f in found.items():
        first = f"{f[names[0]]:.3f} ({f['low']:.3f}-{f['high']:.3f})"
        rest = "  ".join(f"{f[n]:>9.3f}" for n in names[1:])
        mark = "  zero-shot" if trained and language not in trained else ""
        rows.append(f"{language or '-':12} {int(f['examples']):>8}  {first:>20}  {rest}{mark}".rstrip())
    for title, some in means(found, trained).items():
        rows.append(f"{'mean of ' + str(len(some)):12} {'':>8}  {np.mean([f[names[0]] for f in some]):>20.3f}  {title}")
    return rows


def means(found: dict[str, metrics.Figures], trained: Sequence[str]) -> dict[str, list[metrics.Figures]]:
    """Languages that were trained on, and the others, where there are several."""
    groups = {"languages": list(found.values())}
    if trained and set(found) - set(trained) and set(found) & set(trained):
        groups = {"trained": [f for n, f in found.items() if n in trained],
                  "zero-shot": [f for n, f in found.items() if n not in trained]}  # fmt: skip
    return {title: some for title, some in groups.items() if len(found) > 1}
