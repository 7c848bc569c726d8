"""Labelled texts -> a model of a task: classes of texts and pairs, scores, tags of words, answers to questions."""

import json
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from corpus import storage
from corpus.settings import Finetune
from corpus.terminal import DONE, Progress, StepError, UserError
from trainer import checkpoint, head, prediction, task, texts
from trainer import optimizer as optimizers
from trainer.head import Body, Task, TaskModel
from trainer.optimizer import Optimizer
from trainer.prediction import Prepared
from trainer.stream import key
from trainer.task import Example
from trainer.texts import Vocabulary

WARMUP, DECAY = 0.1, 0.01
PATIENCE = 3  # looks at the development set without a better one, in the second half of a run
LOOKS = 1.0  # epochs between them
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


@dataclass(frozen=True)
class Outcome:
    """A run with one seed: its best weights, their figure on the development set, all looks."""

    seed: int
    best: float
    epoch: float
    weights: dict[str, Tensor]
    looks: list[tuple[float, float]]


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


def train(
    body: Callable[[], Body], data: tuple[Prepared, Prepared], settings: Finetune, vocabulary: Vocabulary, seed: int,
    device: torch.device, *, weights: Tensor | None = None, bar: Progress | None = None,
) -> Outcome:  # fmt: skip
    """One run. data: training and development, of which the languages that are trained on decide, if there are any;
    the others must not choose what is called zero-shot. Errors: StepError if the loss is no number."""
    train, dev = data
    torch.manual_seed(key(seed, 11) >> 1)
    made = TaskModel(body(), train.task).to(device)
    adam = Optimizer(made, DECAY, scale=lambda n: settings.layer_decay ** layer_of(n, made))
    per_epoch = math.ceil(len(train.rows) / settings.examples)
    steps = max(1, round(settings.epochs * per_epoch))
    look = max(1, round(LOOKS * per_epoch))
    looks: list[tuple[float, float]] = []
    best, kept, worse = -math.inf, {}, 0
    for step, numbers in enumerate(_order(train, settings, seed, steps)):
        _step(made, adam, train, numbers, settings.tuning_rate * optimizers.rate(step, steps, WARMUP), weights, device)
        if bar:
            bar.advance(1)
        if (step + 1) % look == 0 or step + 1 == steps:
            value = score(made, dev, vocabulary, device)
            looks.append(((step + 1) / per_epoch, value))
            worse += 1
            if value > best:
                best, worse = value, 0
                kept = {n: w.detach().cpu().clone() for n, w in made.state_dict().items()}
            if worse >= PATIENCE and 2 * (step + 1) >= steps:  # small models begin with epochs at the majority
                break
    return Outcome(seed, best, next(e for e, v in looks if v == best), kept, looks)


def _order(train: Prepared, settings: Finetune, seed: int, steps: int):
    """Numbers of the rows of each step."""
    random, left = np.random.default_rng(key(seed, 12)), np.zeros(0, np.int64)
    for _ in range(steps):
        if not len(left):
            left = random.permutation(len(train.rows))
        yield left[: settings.examples].tolist()
        left = left[settings.examples :]


def _step(made: TaskModel, adam: Optimizer, train: Prepared, numbers, rate: float, weights, device) -> None:
    made.train()
    inputs = texts.inputs([train.rows[n] for n in numbers], device)
    wanted = prediction.target(train, numbers, inputs.tokens.shape[1]).to(device)
    with torch.autocast(device.type, torch.bfloat16, enabled=device.type == "cuda"):
        logits = made(inputs)
    loss = prediction.loss(train.task, logits, wanted, None if weights is None else weights.to(device))
    if not torch.isfinite(loss):
        raise StepError("the loss is no number any more; lower --tuning-rate")
    loss.backward()
    adam.update(rate)


def score(made: nn.Module, dev: Prepared, vocabulary: Vocabulary, device) -> float:
    """The mean over the languages of the figure that decides."""
    predicted = prediction.predict(made.eval(), dev, vocabulary, device)
    found = prediction.by_language(dev.task, dev.examples, predicted)
    return float(np.mean([next(iter(f.values())) for f in found.values()]))


def finetune(
    model: str, data: Data, output: str, settings: Finetune, vocabulary: Vocabulary, *, seed: int = 0,
    balanced: bool = False, device: torch.device | None = None, quiet: bool = False,
) -> int:  # fmt: skip
    """Learn the task of `data` from a model folder, write the best run to `output`, print its figures. Errors:
    UserError, StepError."""
    checkpoint.claim_empty(output)
    device = device or torch.device("cuda" if torch.cuda.is_available() else "cpu")
    _, config = head.open_body(model)
    if config["vocabulary"] != vocabulary.digest:
        raise UserError(f"{model}: learned with another vocabulary; give the folder's own, or none, with --vocabulary")
    wanted = task_of(data, settings.length, config["model"]["positions"])
    judges = [e for e in data.dev if e.language in data.languages] or data.dev
    sets = prediction.prepare(data.train, wanted, vocabulary), prediction.prepare(judges, wanted, vocabulary)
    weights = balance(sets[0]) if balanced and wanted.kind in ("classify", "tag") else None
    steps = round(settings.epochs * math.ceil(len(sets[0].rows) / settings.examples)) * settings.seeds
    bar = Progress("finetune", steps, quiet=quiet)
    runs = [
        train(lambda: head.open_body(model)[0], sets, settings, vocabulary, s, device,
              weights=weights, bar=bar)
        for s in range(seed, seed + settings.seeds)
    ]  # fmt: skip
    bar.finish()
    best = max(runs, key=lambda r: (r.best, -r.seed))
    made = TaskModel(head.open_body(model)[0], wanted)
    made.load_state_dict(best.weights)
    head.save(output, made, config, best.seed + 1, learned_from=model)
    checkpoint.copy_vocabulary(checkpoint.vocabulary(model), output)
    print("\n".join(_tell(output, made.to(device).eval(), data, runs, best, vocabulary, device)))
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


def rehearse(data: Data, settings: Finetune) -> list[str]:
    """What would be learned, in lines."""
    batches = math.ceil(len(data.train) / settings.examples)
    return [
        f"a task to {task.kind(data.train)}: {len(data.train):,} examples in {len(data.languages)} languages",
        f"development set: {len(data.dev):,} examples in {len({e.language for e in data.dev})} languages",
        f"{round(batches * settings.epochs):,} steps of {settings.examples} examples, or more if texts are long; "
        f"seeds: {settings.seeds}",
    ]


def _tell(output: str, made: TaskModel, data: Data, runs, best: Outcome, vocabulary: Vocabulary, device) -> list[str]:
    """Writes metrics and predictions; the lines that say what came out."""
    found, told = {}, []
    for name, examples in (("dev", data.dev), ("test", data.test)):
        if examples:
            prepared = prediction.prepare(examples, made.task, vocabulary)
            predicted = prediction.predict(made, prepared, vocabulary, device)
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
