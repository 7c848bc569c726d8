"""The loop that fine-tuning and contrast share: passes over examples that can be stopped and go on where they were.

A step is a function of the weights, the moments, the seed and the step's number, so a run that was stopped and goes on
ends with the same bytes (on the CPU) as one that was not. Until all is done, what is saved lies in OUTPUT/unfinished.
"""

import json
import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from corpus import settings as settings_of
from corpus import storage
from corpus.terminal import Progress, StepError, UserError, say
from trainer import checkpoint, plan
from trainer import optimizer as optimizers
from trainer.checkpoint import State
from trainer.cost import held, is_memory
from trainer.loop import Stop
from trainer.optimizer import Optimizer
from trainer.stream import key, permute
from trainer.texts import device_of

WARMUP, DECAY = 0.1, 0.01
PATIENCE = 3  # looks at the development set without a better one, in the second half of a run
FOLDER, IDENTITY = checkpoint.UNFINISHED, "run.json"
OTHERS = ("model", "train", "dev", "test")
"""What an identity holds beside settings: digests."""


@dataclass(frozen=True)
class Course:
    """A run with one seed. loss: of some of `count` examples, by their numbers, with its graph. size: of them in a
    step. judge: how good the model is now, more is better; none: the last weights are the best. rate: the peak
    learning rate, of which each weight gets its `scale`, by its name."""

    made: nn.Module
    loss: Callable[[Sequence[int]], Tensor]
    count: int
    size: int
    per_epoch: int
    steps: int
    rate: float
    seed: int
    judge: Callable[[], float] | None = None
    scale: Callable[[str], float] = lambda _: 1.0

    def numbers(self, step: int) -> list[int]:
        """The examples of a step, each once in an epoch."""
        epoch, at = divmod(step, self.per_epoch)
        places = np.arange(at * self.size, min((at + 1) * self.size, self.count))
        return permute(places, self.count, key(self.seed, 12, epoch)).tolist()


@dataclass(frozen=True)
class Outcome:
    """A run that is over: the checkpoint of its best weights, their figure on the development set, all looks (epoch,
    figure)."""

    seed: int
    best: float
    epoch: float
    place: Path
    looks: list[tuple[float, float]]

    @property
    def weights(self) -> dict[str, Tensor]:
        return checkpoint.load(self.place, checkpoint.MODEL)


def learn(
    course: Callable[[int], Course], seeds: Sequence[int], output: str, bar: Progress
) -> tuple[list[Outcome], int]:
    """Runs with some seeds, which save in `output`; those that are over are not done again. course: of a seed. (the
    runs that are over, exit code: 0 or that of the signal that ended it). Errors: as `tune`."""
    found: list[Outcome] = []
    with Stop() as stop:
        for seed in seeds:
            try:
                outcome = tune(course(seed), f"{output}/{FOLDER}/seed-{seed}", stop, bar)
            except StepError:
                discard(output)  # it would come to the same again
                raise
            found += [outcome] if outcome else []
            if stop.number:
                break
    bar.finish()
    if stop.number:
        say(f"{output}: stopped and saved; run the same command again to go on from here")
    return found, 128 + stop.number if stop.number else 0


def tune(course: Course, folder: str, stop: Stop, bar: Progress) -> Outcome | None:
    """Learn on from what `folder` holds, to the end or to a signal (None). Saved after each epoch, with a look at the
    development set, and at a signal. The last checkpoint of a run that is over holds the best weights, and no more.
    Errors: StepError if the loss is no number, UserError if there is too little memory."""
    adam = Optimizer(course.made, DECAY, scale=course.scale)
    step, looks = _resume(course, adam, folder)
    bar.total -= step
    while not _over(course, step, looks):
        _step(course, adam, step)
        step += 1
        bar.advance(1)
        if step % course.per_epoch == 0 or step == course.steps:
            epoch = step / course.per_epoch
            looks.append((epoch, course.judge() if course.judge else epoch))
            _save(course, adam, folder, step, looks)
        elif stop.number:
            _save(course, adam, folder, step, looks)
        if stop.number and not _over(course, step, looks):
            return None
    bar.total -= course.steps - step
    epoch, value = _best(looks)
    return Outcome(course.seed, value, epoch, checkpoint.chosen(folder), looks)


def _best(looks: Sequence[tuple[float, float]]) -> tuple[float, float]:
    """The first of the best."""
    return max(looks, key=lambda look: look[1])


def _over(course: Course, step: int, looks: Sequence[tuple[float, float]]) -> bool:
    """Small models begin with epochs at the majority, so nothing is given up in the first half."""
    worse = len(looks) - 1 - looks.index(_best(looks)) if looks else 0
    return step >= course.steps or (worse >= PATIENCE and 2 * step >= course.steps)


def _step(course: Course, adam: Optimizer, step: int) -> None:
    torch.manual_seed(key(course.seed, 16, step) >> 1)
    course.made.train()
    numbers = course.numbers(step)
    try:
        course.loss(numbers).backward()
        _, finite = adam.update(course.rate * optimizers.rate(step, course.steps, WARMUP))
    except RuntimeError as error:
        if not is_memory(error):
            raise
        finite = None
    if finite is None:
        raise UserError(_too_little(course, adam, numbers))
    if not finite:
        raise StepError("the loss is no number any more; lower --tuning-rate")


def _too_little(course: Course, adam: Optimizer, numbers: Sequence[int]) -> str:
    """What to do about too little memory: how many of the examples do is found by trying."""
    place, count = held(device_of(course.made)), len(numbers)
    while count > 1:
        count //= 2
        adam.clear()
        try:
            course.loss(numbers[:count]).backward()
        except RuntimeError as error:
            if not is_memory(error):
                raise
            continue
        return f"--examples: {len(numbers)} at a time are too much for {place}; {count} fit: --examples {count}"
    return f"--examples: not even one fits {place}; take --device cpu, or a smaller --length"


def _resume(course: Course, adam: Optimizer, folder: str) -> tuple[int, list[tuple[float, float]]]:
    """(step, looks) of the newest checkpoint, whose weights the model takes."""
    found = checkpoint.newest(folder)
    if not found:
        return 0, []
    place, state = found
    saved = checkpoint.load(place, checkpoint.OPTIMIZER)
    course.made.load_state_dict(checkpoint.load(place, checkpoint.MODEL))
    adam.restore(saved)
    return state.step, [(epoch, value) for epoch, value in saved["looks"].tolist()]


def _save(course: Course, adam: Optimizer, folder: str, step: int, looks: Sequence[tuple[float, float]]) -> None:
    """A checkpoint; beside it the best stays, until the run is over."""
    best = round(_best(looks)[0] * course.per_epoch) if looks else 0
    weights, kept = course.made.state_dict(), {"looks": torch.tensor(looks, dtype=torch.float64).reshape(-1, 2)}
    over = _over(course, step, looks)
    if over and best != step:
        weights = checkpoint.load(checkpoint.chosen(folder), checkpoint.MODEL)
    state = State(step=step) if over else State(step=step, best_step=best)
    checkpoint.save(folder, weights, kept if over else kept | adam.moments(), state)
    checkpoint.prune(folder, 1, state.best_step)


def identity(settings, model: str, sets: Mapping[str, Iterable], **more) -> dict:
    """What tells one run from another. model: its folder. sets: examples by name. more: settings besides."""
    digests = {name: settings_of.fingerprint([_plain(e) for e in rows]) for name, rows in sets.items()}
    return {"settings": settings_of.substance(settings) | more, "model": checkpoint.digest(model), **digests}


def _plain(example) -> list:
    return list(example if isinstance(example, tuple) else vars(example).values())


def claim(output: str, identity: dict) -> bool:
    """See that `output` is empty or of the same run, and mark it; whether that run is finished. One that has saved
    nothing yet holds nobody to it. Errors: UserError."""
    begun = Path(output, FOLDER, IDENTITY)
    saved = begun.exists() and any(checkpoint.listed(str(p)) for p in begun.parent.iterdir())
    done = not begun.exists() and os.path.exists(f"{output}/{checkpoint.CONFIG}") and checkpoint.read_config(output)
    old = json.loads(begun.read_bytes()) if saved else done and done.get("run")
    if not old:
        if not begun.exists():
            checkpoint.claim_empty(output)
        storage.write(str(begun), json.dumps(identity, indent=1, sort_keys=True) + "\n")
        return False
    found = plan.difference(old, json.loads(json.dumps(identity)), OTHERS)
    if found:
        raise UserError(f"{output}: a run with {found}; take the same or name another --output")
    return bool(done)


def discard(output: str) -> None:
    """Delete what was saved of a run that is finished, or can never be."""
    storage.remove_folder(f"{output}/{FOLDER}")
