"""Token shards -> model: the loop of pretraining.

A step is a function of the weights, the moments and the step's number, so a run that was stopped and goes on ends
with the same bytes (on the CPU) as one that was not.
"""

import collections
import contextlib
import json
import os
import signal
import time
from collections.abc import Generator
from concurrent.futures import Future, ThreadPoolExecutor

import numpy as np
import torch
from torch.nn.parallel import DistributedDataParallel

from corpus import storage
from corpus.terminal import DONE, Progress, StepError, UserError, amount, duration, say
from trainer import checkpoint, model, objectives, optimizer
from trainer.checkpoint import State
from trainer.masking import mask
from trainer.objectives import Batch, Pretraining
from trainer.plan import Plan, claim
from trainer.stream import Windows, key
from trainer.world import World, opened

LOG, VOCABULARY = "log.jsonl", "vocabulary"
VALIDATION = 256  # windows of a validation, shared out evenly among the languages
AHEAD = 3  # batches that are made while the model computes
HOPELESS = 100  # steps in a row without a finite gradient end the run


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


class Run:
    """A run in the making: model, optimizer, state, and the step."""

    def __init__(self, planned: Plan, world: World, output: str):
        self.plan, self.world, self.output, self.settings = planned, world, output, planned.settings
        if self.settings.batch % world.size:
            raise UserError(f"--batch: {self.settings.batch} windows for {world.size} processes; give a multiple")
        seed = torch.Generator().manual_seed(key(self.settings.seed, 0) >> 1)
        self.model = model.Electra(planned.config, seed).to(world.device)
        allowed = torch.from_numpy(~planned.pieces.special).to(world.device)
        self.objective = Pretraining(self.model, planned.weights, allowed)
        self.optimizer = optimizer.make(self.model, self.settings.weight_decay)
        self.state, self.tally = State(), objectives.empty(world.device)
        self._resume()
        self.learner: torch.nn.Module = self.objective
        if world.size > 1:
            self.learner = DistributedDataParallel(self.objective, broadcast_buffers=False)
        if self.settings.compile:
            self.model.generator.compile(dynamic=False)
            self.model.discriminator.compile(dynamic=False)
        low = self.settings.precision == "bf16" or (self.settings.precision == "auto" and world.device.type == "cuda")
        self.precision = torch.bfloat16 if low else torch.float32
        self.failures, self.norm = 0, 0.0

    def _resume(self) -> None:
        found = checkpoint.newest(self.output)
        if not found:
            return
        folder, self.state = found
        self.model.load_state_dict(checkpoint.load(folder, checkpoint.MODEL))
        optimizer.restore(self.optimizer, self.model, checkpoint.load(folder, checkpoint.OPTIMIZER))
        if self.world.first and self.state.tally:
            self.tally = torch.tensor(self.state.tally, dtype=torch.float64, device=self.world.device)

    def batch(self, step: int) -> Batch:
        """This process's share of a global batch."""
        share = self.settings.batch // self.world.size
        index = step * self.settings.batch + self.world.rank * share + np.arange(share)
        return self.masked(self.plan.stream.batch(index), index)

    def masked(self, windows: Windows, index: np.ndarray) -> Batch:
        s, p = self.settings, self.plan
        masks = mask(windows.tokens, index, p.word_start, p.pieces.special, s.mask, s.seed)
        return Batch.of(windows, masks, self.world.device)

    def low(self) -> torch.autocast:
        """The arithmetic of the forward pass."""
        return torch.autocast(self.world.device.type, self.precision, enabled=self.precision is torch.bfloat16)

    def step(self, batch: Batch) -> None:
        """Loss, gradient, update; a gradient that is not finite is skipped and counted."""
        counts = self.world.sum(batch.counts())
        with self.low():
            loss, tally = self.learner(batch, counts)
        (loss * self.world.size).backward()  # processes' gradients are averaged, their losses are parts of one mean
        s = self.settings
        rate = s.learning_rate * optimizer.rate(self.state.step, s.steps, s.warmup)
        self.norm, finite = optimizer.update(self.optimizer, self.model, rate)
        self.state.step += 1
        self.state.sample += s.batch
        self.failures = 0 if finite else self.failures + 1
        self.state.skipped += not finite
        if finite:
            self.tally += tally
        if self.failures >= HOPELESS:
            raise StepError(f"{self.output}: no finite gradient in {HOPELESS} steps; lower --learning-rate")

    def gather(self) -> torch.Tensor:
        """All processes' sums since the last line of the log; from here on the first process holds them."""
        self.world.sum(self.tally)
        whole = self.tally.clone()
        if not self.world.first:
            self.tally.zero_()
        return whole

    def figures(self) -> dict:
        return objectives.figures(self.gather(), self.plan.weights)

    @torch.no_grad()
    def validate(self) -> dict:
        """Figures over the first windows of each language held back, and over all of them together."""
        stream, total, languages = self.plan.validation, objectives.empty(self.world.device), {}
        assert stream is not None
        share = -(-VALIDATION // len(stream.pools))
        for number, (language, pool) in enumerate(stream.pools.items()):
            tally = objectives.empty(self.world.device)
            index = np.arange(min(share, pool.windows))[self.world.rank :: self.world.size]
            places = pool.places(index)
            size = max(1, self.settings.batch // self.world.size)
            for at in range(0, len(index), size):
                ids = index[at : at + size] + (number << 40)
                windows = stream.windows(places[at : at + size], [key(stream.seed, int(i), 4) for i in ids])
                batch = self.masked(windows, ids)
                with self.low():
                    tally += self.objective(batch, batch.counts())[1]
            total += self.world.sum(tally)
            languages[language] = objectives.figures(tally, self.plan.weights)
        return {**objectives.figures(total, self.plan.weights), "languages": languages}

    def save(self) -> None:
        """A checkpoint, by the first process."""
        self.state.tally = self.gather().tolist()
        if self.world.first:
            weights = self.model.state_dict()
            checkpoint.save(self.output, weights, optimizer.moments(self.optimizer, self.model), self.state)
            checkpoint.prune(self.output, self.settings.keep, self.state.best_step)


def batches(run: Run, last: int) -> Generator[Batch, None, None]:
    """The batches from the run's step to step `last`, made ahead by one thread."""
    pool = ThreadPoolExecutor(1)
    try:
        waiting: collections.deque[Future[Batch]] = collections.deque()
        for step in range(run.state.step, last):
            waiting.append(pool.submit(run.batch, step))
            if len(waiting) > AHEAD:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
    finally:
        pool.shutdown(cancel_futures=True)


class Log:
    """log.jsonl, one line per `log_every` steps and per validation; lines after the checkpoint are dropped."""

    def __init__(self, run: Run):
        self.run, self.path = run, f"{run.output}/{LOG}"
        self.timed, self.begun = float(run.tally[objectives.SUMS.index("tokens")]), time.monotonic()
        self.latest: dict = {}
        if run.world.first:
            lines = storage.read(self.path).decode().splitlines() if os.path.exists(self.path) else []
            kept = [line for line in lines if _step_of(line) <= run.state.step]
            storage.write(self.path, "".join(line + "\n" for line in kept))

    def training(self) -> None:
        """A line of the sums since the last one."""
        tally, run = self.run.gather(), self.run
        tokens = float(tally[objectives.SUMS.index("tokens")])
        self.latest = objectives.figures(tally, run.plan.weights)
        s = run.settings
        self._write(
            split="training",
            sample=run.state.sample,
            **self.latest,
            learning_rate=s.learning_rate * optimizer.rate(run.state.step - 1, s.steps, s.warmup),
            gradient_norm=run.norm if np.isfinite(run.norm) else None,
            skipped=run.state.skipped,
            tokens_per_second=round((tokens - self.timed) / max(1e-9, time.monotonic() - self.begun), 1),
        )
        run.tally.zero_()
        self.timed, self.begun = 0.0, time.monotonic()

    def validation(self) -> bool:
        """A line of a validation; returns whether it was the best so far."""
        began, run = time.monotonic(), self.run
        found = run.validate()
        self._write(split="validation", **found)
        better = not run.state.best_step or found["loss"] < run.state.best_loss
        if better:
            run.state.best_step, run.state.best_loss = run.state.step, found["loss"]
        self.begun += time.monotonic() - began
        return better

    def _write(self, **values) -> None:
        if self.run.world.first:
            with open(self.path, "a") as file:
                file.write(json.dumps({"step": self.run.state.step, **values}, allow_nan=False) + "\n")


def _step_of(line: str) -> float:
    try:
        return json.loads(line)["step"]
    except (ValueError, KeyError, TypeError):  # a line that a killed run left half-written
        return float("inf")


def pretrain(planned: Plan, output: str, *, limit: int | None = None, quiet: bool = False, vocabulary: str = "") -> int:
    """Train, or go on training, until all steps (or the first `limit`) are done. vocabulary: file of the vocabulary,
    copied beside the model. Returns the exit code. Errors: UserError, StepError."""
    with opened(planned.settings.device) as world:
        claim(output, planned.identity)
        world.wait()
        if world.first:
            checkpoint.write_config(output, planned.identity)
            if vocabulary:
                storage.write(f"{output}/{VOCABULARY}/{os.path.basename(vocabulary)}", storage.read(vocabulary))
        world.wait()
        run = Run(planned, world, output)
        begun, first = time.monotonic(), run.state.step
        with Stop() as stop:
            log, number = _loop(run, min(limit or planned.settings.steps, planned.settings.steps), stop, quiet)
        if world.first:
            if number:
                say(f"stopped and saved at step {run.state.step:,}; run the same command again to go on from here")
            else:
                print("\n".join(_summary(run, log, run.state.step - first, time.monotonic() - begun)))
        return 128 + number if number else DONE


def _loop(run: Run, last: int, stop: Stop, quiet: bool) -> tuple[Log, int]:
    """Steps up to `last`; returns the log and the number of the signal that ended it early, or 0."""
    s, state, log = run.settings, run.state, Log(run)
    bar = Progress("pretrain", max(0, last - state.step), quiet=quiet or not run.world.first)
    number, saved = 0, state.step if state.step else -1
    with contextlib.closing(batches(run, last)) as made:
        for batch in made:
            run.step(batch)
            if state.step % s.log_every == 0 or state.step == s.steps:
                log.training()
                bar.note = f"loss {log.latest['loss']:.3f}"
            bar.advance(1)
            validates = run.plan.validation and (state.step % s.validate_every == 0 or state.step == s.steps)
            best = bool(validates and log.validation())
            number = _agreed(run.world, stop)
            if best or number or state.step % s.save_every == 0 or state.step == last:
                run.save()
                saved = state.step
            if number:
                break
    bar.finish()
    assert saved == state.step or last == 0
    if not log.latest:
        log.latest = run.figures()
    return log, number


def _agreed(world: World, stop: Stop) -> int:
    """The signal that any process got; all of them stop after the same step."""
    if world.size == 1:
        return stop.number
    heard = int(world.sum(torch.tensor(float(stop.number > 0), device=world.device)))
    return (stop.number or signal.SIGTERM) if heard else 0


def _summary(run: Run, log: Log, steps: int, seconds: float) -> list[str]:
    """Five lines: what was done, what to run next."""
    s, f = run.settings, {k: float("nan") if v is None else v for k, v in log.latest.items()}
    best = f"best at step {run.state.best_step:,}, loss {run.state.best_loss:.3f}"
    return [
        f"{run.output}: step {run.state.step:,} of {s.steps:,}; {steps:,} steps in {duration(seconds)}"
        + (f", {amount(round(steps * s.batch * s.sequence / seconds))} tokens/s" if steps else ""),
        f"generator: loss {f['generator_loss']:.3f} nats (blind guess {np.log(run.plan.config.vocabulary):.3f}), "
        f"accuracy {f['generator_accuracy']:.1%}",
        f"discriminator: loss {f['discriminator_loss']:.4f}, AUC {f['auc']:.3f}, precision {f['precision']:.1%}, "
        f"recall {f['recall']:.1%}, order {f['order_accuracy']:.1%}",
        f"validation: {best}" if run.state.best_step else "validation: none yet",
        f"next: python -m trainer inspect {run.output}",
    ]
