"""log.jsonl: one line per `log_every` steps, one per validation, one of all languages per checkpoint.

Lines that come after the checkpoint from which a run goes on are dropped. TensorBoard's files hold the same figures.
"""

import json
import os
import time

import numpy as np

from corpus import storage
from corpus.terminal import UserError
from trainer import cost
from trainer import optimizer as optimizers
from trainer.run import Run

FILE, BOARD = "log.jsonl", "tensorboard"
SPEED = ("tokens_per_second", "mfu", "memory")
"""Figures that differ from run to run."""


class Log:
    """latest: the last figures of training."""

    def __init__(self, run: Run, tensorboard: bool = False):
        self.run, self.path = run, f"{run.output}/{FILE}"
        self.timed, self.begun = self._count(run.tally, "read"), time.monotonic()
        self.latest: dict = {}
        self.board = _board(run) if tensorboard and run.world.first else None
        if run.world.first:
            lines = storage.read(self.path).decode().splitlines() if os.path.exists(self.path) else []
            kept = [line for line in lines if _step_of(line) <= run.state.step]
            storage.write(self.path, "".join(line + "\n" for line in kept))

    def _count(self, tally, name: str) -> float:
        return float(tally[:, self.run.goal.sums.index(name)].sum())

    def training(self) -> None:
        """A line of the sums since the last one."""
        run, s = self.run, self.run.settings
        run.settle()
        tally, norm = run.gather(), float(run.norm)
        self.latest = run.figures(tally)
        tokens, seen = self._count(tally, "read"), self._count(tally, "seen")
        rate = (tokens - self.timed) / max(1e-9, time.monotonic() - self.begun)
        self._write(
            split="training",
            sample=run.state.sample,
            **self.latest,
            learning_rate=s.learning_rate * optimizers.rate(run.state.step - 1, s.steps, s.warmup, s.cooldown),
            gradient_norm=norm if np.isfinite(norm) else None,
            skipped=run.state.skipped,
            tokens_per_second=round(rate, 1),
            mfu=self._mfu(rate, seen / max(1.0, tokens)),
            memory=cost.memory(run.world.device),
        )
        if run.world.first:
            run.since += tally
        run.tally.zero_()
        self.timed, self.begun = 0.0, time.monotonic()

    def _mfu(self, rate: float, attended: float) -> float | None:
        """tokens/s x operations per token / what all processes' devices could do."""
        run, peak = self.run, cost.peak(self.run.world.device)
        work = run.goal.operations(attended, run.state.step)
        return round(rate * work / (peak * run.world.size), 4) if peak else None

    def languages(self) -> None:
        """A line of the training figures of each language since the last such line."""
        tally = self.run.gather("since")
        self._write(split="languages", languages=self.run.by_language(tally))
        self.run.since.zero_()

    def validation(self) -> bool:
        """A line of a validation; returns whether it was the best so far."""
        began, run = time.monotonic(), self.run
        tally = run.validate()
        found = run.figures(tally)
        self._write(split="validation", **found, languages=run.by_language(tally))
        better = not run.state.best_step or found["loss"] < run.state.best_loss
        if better:
            run.state.best_step, run.state.best_loss = run.state.step, found["loss"]
        self.begun += time.monotonic() - began
        return better

    def _write(self, **values) -> None:
        if not self.run.world.first:
            return
        with open(self.path, "a") as file:
            file.write(json.dumps({"step": self.run.state.step, **values}, allow_nan=False) + "\n")
        if self.board:
            for name, value in _flat(values):
                self.board.add_scalar(f"{values['split']}/{name}", value, self.run.state.step)
            self.board.flush()


def _flat(values: dict, before: str = ""):
    """(name, number) of nested figures."""
    for name, value in values.items():
        if isinstance(value, dict):
            yield from _flat(value, f"{before}{name}/" if name != "languages" else before)
        elif isinstance(value, int | float):
            yield before + name, value


def _board(run: Run):
    """Errors: UserError."""
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError:
        raise UserError("--tensorboard: the package tensorboard is not installed; pip install tensorboard") from None
    return SummaryWriter(f"{run.output}/{BOARD}", purge_step=run.state.step + 1)


def _step_of(line: str) -> float:
    try:
        return json.loads(line)["step"]
    except (ValueError, KeyError, TypeError):  # a line that a killed run left half-written
        return float("inf")
