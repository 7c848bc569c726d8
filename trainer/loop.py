"""The loop: steps, lines of the log, validations and checkpoints, until all is done or someone wants it to stop.

A step is a function of the weights, the moments and the step's number, so a run that was stopped and goes on ends
with the same bytes (on the CPU) as one that was not.
"""

import collections
import contextlib
import os
import signal
import time
from collections.abc import Callable, Generator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor

import torch

from corpus.terminal import DONE, Progress, say
from trainer import checkpoint
from trainer.goal import Make
from trainer.log import Log
from trainer.objectives import Batch
from trainer.plan import Plan, claim
from trainer.run import Run
from trainer.world import World, opened

AHEAD = 3  # batches that are made while the model computes
AGREE = 8


class Stop:
    """Remembers SIGTERM and Ctrl-C, so that the step is finished and saved; a second one ends at once."""

    def __init__(self):
        self.number = 0

    def __enter__(self) -> "Stop":
        self.before = {n: signal.signal(n, self._note) for n in (signal.SIGINT, signal.SIGTERM)}
        return self

    def _note(self, number, frame):
        if self.number:
            os._exit(128 + number)
        self.number = number

    def __exit__(self, *_) -> None:
        for number, handler in self.before.items():
            signal.signal(number, handler)


def batches(run: Run, last: int) -> Generator[list[Batch], None, None]:
    """The batches from the run's step to step `last`, made ahead by one thread."""
    pool = ThreadPoolExecutor(1)
    try:
        waiting: collections.deque[Future[list[Batch]]] = collections.deque()
        for step in range(run.state.step, last):
            waiting.append(pool.submit(run.batch, step))
            if len(waiting) > AHEAD:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
    finally:
        pool.shutdown(cancel_futures=True)


def train(
    planned: Plan, output: str, make: Make, told: Callable[[Run, Log, int, float], Sequence[str]], *,
    limit: int | None = None, quiet: bool = False, vocabulary: str = "", tensorboard: bool = False,
) -> int:  # fmt: skip
    """Train, or go on training, until all steps (or the first `limit`) are done. told: the lines to print then, of the
    run, its log, and the steps and seconds that it took. vocabulary: folder of the vocabulary, copied beside the model.
    Returns the exit code. Errors: UserError, StepError."""
    with opened(planned.settings.device) as world:
        claim(output, planned.identity)
        world.wait()
        if world.first:
            checkpoint.write_config(output, planned.identity)
            if vocabulary:
                checkpoint.copy_vocabulary(vocabulary, output)
        world.wait()
        run = Run(planned, world, output, make)
        begun, first = time.monotonic(), run.state.step
        with Stop() as stop:
            log = Log(run, tensorboard)
            number = _loop(run, log, min(limit or planned.settings.steps, planned.settings.steps), stop, quiet)
        if world.first:
            if number:
                say(f"stopped and saved at step {run.state.step:,}; run the same command again to go on from here")
            else:
                print("\n".join(told(run, log, run.state.step - first, time.monotonic() - begun)))
        return 128 + number if number else DONE


def _loop(run: Run, log: Log, last: int, stop: Stop, quiet: bool) -> int:
    """Steps up to `last`; returns the number of the signal that ended it early, or 0."""
    s, state = run.settings, run.state
    bar = Progress(run.goal.name, max(0, last - state.step), quiet=quiet or not run.world.first)
    number = 0
    with contextlib.closing(batches(run, last)) as made:
        for batch in made:
            run.step(batch)
            if state.step % s.log_every == 0 or state.step == s.steps:
                log.training()
                bar.note = f"loss {log.latest['loss']:.3f}"
            bar.advance(1)
            number = _agreed(run.world, stop, state.step)
            if state.step % s.save_every == 0 or state.step == s.steps:
                log.languages()
                if run.plan.validation:
                    log.validation()
                run.save()
            elif number or state.step == last:
                run.save()
            if number:
                break
    bar.finish()
    if not log.latest:
        log.latest = run.figures(run.gather())
    return number


def _agreed(world: World, stop: Stop, step: int) -> int:
    """The signal that any process got; all of them stop after the same step. Several ask each other every AGREE steps,
    since an answer is waited for, and a GPU with it."""
    if world.size == 1:
        return stop.number
    if step % AGREE:
        return 0
    heard = int(world.sum(torch.tensor(float(stop.number > 0), device=world.device)))
    return (stop.number or signal.SIGTERM) if heard else 0
