"""Labelled texts -> a model of a task: classes of texts and pairs, scores, tags of words, answers to questions."""

import json
import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from corpus import storage
from corpus.settings import Finetune
from corpus.terminal import DONE, Progress, UserError
from trainer import checkpoint, head, prediction, task, texts, tuning
from trainer.head import Body, Task, TaskModel
from trainer.prediction import Prepared
from trainer.stream import key
from trainer.task import Example
from trainer.texts import Vocabulary, low, placed
from trainer.tuning import Course, Outcome
from trainer.world import choose

METRICS, PREDICTIONS = "metrics.json", "predictions.jsonl"


@dataclass(frozen=True)
class Data:
    """test may be empty."""

    train: list[Example]
    dev: list[Example]
    test: list[Example]

    @property
    def languages(self) -> list[str]:
        """Those that are trained on."""
        return sorted({e.language for e in self.train})

    @property
    def judges(self) -> list[Example]:
        """Those that choose the best: of the languages that are trained on, if there are any."""
        trained = set(self.languages)
        return [e for e in self.dev if e.language in trained] or self.dev


def layer_of(name: str, made: TaskModel) -> int:
    """How far below the head a weight stands, in modules; shared ones are one."""
    encoder = made.body.encoder
    count = max(len(encoder.attentions), len(encoder.feed_forwards))
    for kind in ("attentions.", "feed_forwards."):
        if f"encoder.{kind}" in name:
            return count - int(name.split(kind)[1].split(".")[0])
    return 0 if name.startswith("head.") else count + 1


def balance(prepared: Prepared) -> Tensor:
    """Weights of labels that make up for their frequencies, 1 on average over the examples."""
    flat = np.concatenate([np.atleast_1d(t) for t in prepared.targets])
    counts = np.bincount(flat[flat >= 0], minlength=len(prepared.task.labels)).clip(1)
    return torch.tensor(counts.sum() / (np.count_nonzero(counts) * counts), dtype=torch.float32)


def course(
    body: Body, data: tuple[Prepared, Prepared], settings: Finetune, vocabulary: Vocabulary, seed: int,
    device: torch.device, *, weights: Tensor | None = None,
) -> Course:  # fmt: skip
    """A run. data: training and development, of which the languages that are trained on decide, if there are any; the
    others must not choose what is called zero-shot. weights: of the labels."""
    train, dev = data
    torch.manual_seed(key(seed, 11) >> 1)
    made = placed(TaskModel(body, train.task), device)
    shares = None if weights is None else weights.to(device)
    count, per_epoch = len(train.rows), math.ceil(len(train.rows) / settings.examples)
    return Course(
        made, lambda numbers: _loss(made, train, numbers, shares), count, settings.examples, per_epoch,
        max(1, round(settings.epochs * per_epoch)), settings.tuning_rate, seed,
        judge=lambda: score(made, dev, vocabulary), scale=lambda n: settings.layer_decay ** layer_of(n, made),
    )  # fmt: skip


def _loss(made: TaskModel, train: Prepared, numbers: Sequence[int], weights: Tensor | None) -> Tensor:
    """Of some rows, packed, since half of a batch of random texts is padding."""
    device = texts.device_of(made)
    inputs, places = texts.packed([train.rows[n] for n in numbers], device, width=int(made.head.whole))
    wanted = prediction.target(train, numbers, places.shape[1]).to(device)
    with low(device):
        logits = made.head(texts.unpacked(made.body(inputs), places))
    if made.task.kind == "answer":
        logits = logits.float().masked_fill((places < 0).unsqueeze(-1), -torch.inf)
    return prediction.loss(made.task, logits, wanted, weights)


def score(made: nn.Module, dev: Prepared, vocabulary: Vocabulary) -> float:
    """The mean over the languages of the figure that decides."""
    predicted = prediction.predict(made.eval(), dev, vocabulary)
    found = prediction.by_language(dev.task, dev.examples, predicted)
    return float(np.mean([next(iter(f.values())) for f in found.values()]))


def finetune(
    model: str, data: Data, output: str, settings: Finetune, vocabulary: Vocabulary, *, seed: int = 0,
    balanced: bool = False, device: torch.device | None = None, quiet: bool = False,
) -> int:  # fmt: skip
    """Learn the task of `data` from a model folder, write the best run to `output`, print its figures; goes on where
    the same command was stopped. Errors: UserError, StepError."""
    device = device or choose("auto")
    _, config = head.open_body(model)
    if config["vocabulary"] != vocabulary.digest:
        raise UserError(f"{model}: learned with another vocabulary; give the folder's own, or none, with --vocabulary")
    wanted = task_of(data, settings.length, config["model"]["positions"])
    sets = {"train": data.train, "dev": data.dev, "test": data.test}
    identity = tuning.identity(settings, model, sets, seed=seed, balance=balanced)
    if tuning.claim(output, identity):
        print(f"{output}: finished, nothing to do; next: python -m trainer export {output} --output FOLDER")
        return DONE
    train, judges = (prediction.prepare(e, wanted, vocabulary) for e in (data.train, data.judges))
    weights = balance(train) if balanced and wanted.kind in ("classify", "tag") else None
    steps = round(settings.epochs * math.ceil(len(train.rows) / settings.examples)) * settings.seeds
    runs, code = tuning.learn(
        lambda s: course(head.open_body(model)[0], (train, judges), settings, vocabulary, s, device, weights=weights),
        range(seed, seed + settings.seeds), output, Progress("finetune", steps, quiet=quiet),
    )  # fmt: skip
    if code:
        return code
    best = max(runs, key=lambda r: (r.best, -r.seed))
    made = TaskModel(head.open_body(model)[0], wanted)
    made.load_state_dict(best.weights)
    head.save(output, made, config, best.seed + 1, learned_from=model, run=identity)
    checkpoint.copy_vocabulary(checkpoint.vocabulary(model), output)
    told = _tell(output, placed(made, device).eval(), data, runs, best, vocabulary)
    tuning.discard(output)
    print("\n".join(told))
    return DONE


def task_of(data: Data, length: int, positions: int) -> Task:
    """Errors: UserError if the sets are of different kinds or a text cannot be as long."""
    kind = task.kind(data.train)
    for name, examples in (("--dev", data.dev), ("--test", data.test)):
        if examples and task.kind(examples) != kind:
            raise UserError(f"{name}: examples to {task.kind(examples)}, those of training to {kind}; give one task")
    if not 8 <= length <= positions:
        raise UserError(f"--length: {length} tokens; this model takes 8 to {positions}")
    labels: Sequence[str] = ()
    if kind == "classify":
        labels = sorted({e.label for e in data.train})
    elif kind == "tag":
        labels = sorted({t for e in data.train for t in e.tags})
    if kind in ("classify", "tag") and len(labels) < 2:
        raise UserError(f"--train: all examples have the label {', '.join(labels)}; give some with others")
    return Task(kind, tuple(labels), length)


def rehearse(data: Data, settings: Finetune, device: torch.device) -> list[str]:
    """What would be learned, in lines."""
    batches = math.ceil(len(data.train) / settings.examples)
    return [
        f"a task to {task.kind(data.train)}: {len(data.train):,} examples in {len(data.languages)} languages",
        f"development set: {len(data.dev):,} examples in {len({e.language for e in data.dev})} languages",
        f"{round(batches * settings.epochs):,} steps of {settings.examples} examples, or more if texts are long; "
        f"seeds: {settings.seeds}",
        f"device: {device}",
    ]


def _tell(output: str, made: TaskModel, data: Data, runs, best: Outcome, vocabulary: Vocabulary) -> list[str]:
    """Writes metrics and predictions; the lines that say what came out."""
    found, told = {}, []
    for name, examples in (("dev", data.dev), ("test", data.test)):
        if examples:
            prepared = prediction.prepare(examples, made.task, vocabulary)
            predicted = prediction.predict(made, prepared, vocabulary)
            found[name] = prediction.by_language(made.task, examples, predicted)
            storage.write(f"{output}/{name}-{PREDICTIONS}", prediction.lines(examples, predicted))
            told += [f"{name}:", *prediction.table(found[name], data.languages)]
    values = [r.best for r in runs]
    seeds = [{"seed": r.seed, "best": r.best, "epoch": r.epoch, "looks": r.looks} for r in runs]
    storage.write(
        f"{output}/{METRICS}",
        json.dumps({"trained": data.languages, "seeds": seeds, "figures": found}, indent=1, ensure_ascii=False) + "\n",
    )
    spread = f", {len(values)} seeds: mean {np.mean(values):.3f}, from {min(values):.3f} to {max(values):.3f}"
    head_line = f"{output}: {made.task.kind}, {len(data.train):,} examples; best on dev {best.best:.3f} after epoch "
    head_line += f"{best.epoch:.1f}" + (spread if len(values) > 1 else "")
    return [head_line, *told, f"next: python -m trainer export {output} --output FOLDER"]
