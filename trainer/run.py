"""A run in the making: what is learned, optimizer, state, and what a step, a validation and a checkpoint are."""

import collections
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext

import numpy as np
import torch

from corpus.terminal import StepError, UserError, say
from trainer import attention, checkpoint
from trainer import optimizer as optimizers
from trainer.checkpoint import State
from trainer.cost import held, is_memory
from trainer.goal import Goal, Make, pretraining
from trainer.masking import crop, mask
from trainer.objectives import Batch, sent
from trainer.optimizer import Optimizer
from trainer.plan import Plan
from trainer.recorded import Recorded
from trainer.stream import Windows, key
from trainer.world import World

VALIDATION = 256  # windows of a validation, shared out evenly among the languages
HOPELESS = 100  # steps in a row without a finite gradient, when the log or a checkpoint asks, end the run
TALLIES = ("tally", "since")
BESIDE = "beside."
"""Before the names of weights that are trained, but no part of the model."""


class Run:
    """tally: sums since the last line of the log, since: those before it since the last lines of the languages; each
    (languages, columns as the goal has them); what other processes counted is in the first one's when gathered.
    skipped: (2,), steps without an update, all and those in a row."""

    def __init__(self, planned: Plan, world: World, output: str, make: Make = pretraining):
        self.plan, self.world, self.output, self.settings = planned, world, output, planned.settings
        s = self.settings
        if s.batch % (world.size * s.accumulate):
            raise UserError(f"--batch: {s.batch} windows for {world.size} processes x {s.accumulate}; give a multiple")
        low = s.precision == "bf16" or (s.precision == "auto" and world.device.type == "cuda")
        self.precision = torch.bfloat16 if low else torch.float32
        self.goal: Goal = make(planned, world.device, attention.fastest(world.device, self.precision))
        self.optimizer = Optimizer(self.goal.trained, s.weight_decay, s.optimizer, rank=world.rank, size=world.size)
        self.state = State()
        self.tally, self.since = (torch.zeros_like(self.goal.tally) for _ in TALLIES)
        self._resume()
        self.recorded: Recorded | None = None
        self.compiled = s.compile == "on" or (s.compile == "auto" and world.device.type == "cuda")
        if self.compiled:
            self._quicken()
        self.norm = torch.zeros((), device=world.device)
        self.skipped = torch.tensor([self.state.skipped, 0], device=world.device)
        self.behind: collections.deque[torch.cuda.Event] = collections.deque()

    def _resume(self) -> None:
        found = checkpoint.newest(self.output)
        if not found:
            return
        folder, self.state = found
        self.goal.kept().load_state_dict(checkpoint.load(folder, checkpoint.MODEL))
        saved = checkpoint.load(folder, checkpoint.OPTIMIZER)
        for name, weight in self.goal.beside().items():
            weight.copy_(saved[BESIDE + name])
        self.optimizer.restore(saved)
        if self.world.first and saved["tally"].shape == self.tally.shape:
            self.tally, self.since = (saved[name].to(self.world.device) for name in TALLIES)
        elif self.world.first:
            say(f"{folder}: an earlier version counted otherwise; figures of the log begin anew")

    def _quicken(self) -> None:
        """Layers are compiled, and on a GPU steps recorded."""
        self.goal.compile()
        if self.world.device.type == "cuda" and self.goal.recordable:
            self.recorded = Recorded(self._loss, self.optimizer.names.values(), self.settings.accumulate == 1)

    def batch(self, step: int) -> list[Batch]:
        """This process's share of a global batch, in as many parts as are accumulated."""
        s = self.settings
        share = s.batch // self.world.size
        index = step * s.batch + self.world.rank * share + np.arange(share)
        hidden = self.plan.mask.at(step)
        parts = np.split(index, s.accumulate)
        even = self.recorded is not None
        return [masked(self.plan, self.plan.source.batch(i), i, hidden, self.world.device, even) for i in parts]

    def low(self) -> torch.autocast:
        """The arithmetic of the forward pass."""
        return torch.autocast(self.world.device.type, self.precision, enabled=self.precision is torch.bfloat16)

    def step(self, parts: Sequence[Batch]) -> None:
        """Loss, gradient, update; a gradient that is not finite is skipped and counted."""
        s, state = self.settings, self.state
        counts = self.world.sum(torch.stack([b.counts() for b in parts]).sum(0))
        weights, tally = self._weights(), torch.zeros_like(self.tally)
        for batch in parts:
            tally += self._backward(batch, counts, weights)
        self.optimizer.gather(self.world.sum)
        rate = s.learning_rate * optimizers.rate(state.step, s.steps, s.warmup, s.cooldown)
        self.norm, finite = self.optimizer.update(rate)
        state.step += 1
        state.sample += s.batch
        self.tally += torch.where(finite, tally, 0.0)
        bad = (~finite).long()
        self.skipped = torch.stack([self.skipped[0] + bad, (self.skipped[1] + 1) * bad])
        self._pace()

    def _pace(self) -> None:
        """On a GPU one step waits while another is computed, so that it never has nothing to do, and no more."""
        if self.world.device.type == "cuda":
            done = torch.cuda.Event(blocking=True)
            done.record()
            self.behind.append(done)
            if len(self.behind) > 1:
                self.behind.popleft().synchronize()

    def settle(self) -> None:
        """Wait for the steps so far, and learn how many were skipped. Errors: StepError."""
        self.state.skipped, row = self.skipped.tolist()
        if row >= HOPELESS:
            raise StepError(f"{self.output}: no finite gradient in {HOPELESS} steps; lower --learning-rate")

    def _weights(self) -> torch.Tensor:
        """Of the losses."""
        return sent(torch.tensor(self.goal.weights(self.state.step)), self.world.device)

    def _loss(self, batch: Batch, counts: torch.Tensor, weights: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """(this process's part of the mean, tally)."""
        with self.low():
            return self.goal.objective(batch, counts, weights)

    def _backward(self, batch: Batch, counts: torch.Tensor, weights: torch.Tensor) -> torch.Tensor:
        """The tally of a part of the batch, whose gradient is added. Errors: UserError if memory does not do."""
        try:
            if self.recorded:
                return self.recorded(batch, counts, weights)
            loss, tally = self._loss(batch, counts, weights)
            loss.backward()
            return tally
        except RuntimeError as error:
            if not is_memory(error) and not self.recorded:
                raise
            reason = "" if is_memory(error) else str(error).splitlines()[0][:80]
        if not reason:
            raise UserError(self._too_little(batch, counts, weights))
        say(f"steps cannot be recorded on this GPU and are slower ({reason})")
        self.recorded = None
        return self._backward(batch, counts, weights)

    def _too_little(self, batch: Batch, counts: torch.Tensor, weights: torch.Tensor) -> str:
        """What to do about too little memory: the largest part of the batch that does is found by trying."""
        count, self.recorded = len(batch.tokens), None
        for windows in (count // k for k in range(2, count + 1) if count % k == 0):
            self.optimizer.clear()
            try:
                self._loss(halves(batch, windows), counts, weights)[0].backward()
            except RuntimeError as error:
                if not is_memory(error):
                    raise
                continue
            parts = self.settings.accumulate * (count // windows)
            fact = f"{count} windows at a time are too much for {held(self.world.device)}"
            return f"--batch: {fact}; {windows} fit: --accumulate {parts}"
        return f"--batch: not even one window fits {held(self.world.device)}; take a smaller --size or --sequence"

    def gather(self, name: str = "tally") -> torch.Tensor:
        """All processes' sums; from here on the first process holds them."""
        tally = self.world.sum(getattr(self, name))
        whole = tally.clone()
        if not self.world.first:
            tally.zero_()
        return whole

    def figures(self, tally: torch.Tensor) -> dict:
        """Of sums over all languages, with the weights of the step that was done last."""
        weights = self.goal.weights(max(0, self.state.step - 1))
        return self.goal.figures(tally.sum(0) if tally.ndim > 1 else tally, weights)

    def by_language(self, tally: torch.Tensor) -> dict[str, dict]:
        """Figures of each language that has any."""
        rows = zip(self.plan.languages, tally, strict=True)
        return {name: self.figures(row) for name, row in rows if row[self.goal.sums.index("read")] > 0}

    def as_written(self) -> AbstractContextManager:
        """Compiled are batches of one shape with gradients; within this nothing is."""
        # torch.compiler is seconds of imports, so it is left alone where nothing was compiled
        return torch.compiler.set_stance("force_eager") if self.compiled else nullcontext()

    @torch.no_grad()
    def validate(self) -> torch.Tensor:
        """Sums over the first windows of each language held back."""
        weights, tally = self._weights(), torch.zeros_like(self.goal.tally)
        most = max(1, self.settings.batch // (self.world.size * self.settings.accumulate))
        with self.as_written():
            for batch in held_out(self.plan, VALIDATION, most, self.world.device, self.world.rank, self.world.size):
                tally += self._loss(batch, batch.counts(), weights)[1]
        return self.world.sum(tally)

    def save(self) -> None:
        """A checkpoint, by the first process. Errors: StepError."""
        self.settle()
        kept = self.optimizer.moments() | {name: self.gather(name) for name in TALLIES}
        kept |= {BESIDE + name: weight for name, weight in self.goal.beside().items()}
        if self.world.first:
            checkpoint.save(self.output, self.goal.kept().state_dict(), kept, self.state)
            checkpoint.prune(self.output, self.settings.keep, self.state.best_step)


def masked(
    planned: Plan, windows: Windows, index: np.ndarray, share: float, device: torch.device, even: bool = False
) -> Batch:
    """index: the windows' samples. share: of the tokens that the generator has to fill in. even: see Batch.of."""
    s, p = planned.settings, planned
    masks = mask(windows.tokens, index, p.word_start, p.pieces.special, share, s.seed, s.ngram)
    language = np.array([p.languages.index(name) for name in windows.languages])
    crops = crop(windows.sequences, index, s.seed) if "contrast" in p.active else None
    weight = p.loss_weights[language]
    return Batch.of(windows, masks, device, crops=crops, language=language, weight=weight, even=even)


def held_out(
    planned: Plan, count: int, size: int, device: torch.device, first: int = 0, step: int = 1
) -> Iterator[Batch]:
    """Batches of up to `size` windows from the validation shards: of each language its share of `count` windows, of
    these every `step`th from `first` on."""
    stream = planned.validation
    assert stream is not None
    share = -(-count // len(stream.pools))
    for number, pool in enumerate(stream.pools.values()):
        index = np.arange(min(share, pool.windows))[first::step]
        places = pool.places(index)
        for at in range(0, len(index), size):
            ids = index[at : at + size] + (number << 40)
            windows = stream.windows(places[at : at + size], [key(stream.seed, int(i), 4) for i in ids])
            yield masked(planned, windows, ids, planned.mask.points[-1][1], device)


def halves(batch: Batch, windows: int) -> Batch:
    """The first windows of a batch."""
    end, values = windows * batch.tokens.shape[1], dict(vars(batch))
    for name in ("tokens", "inputs", "sequences", "positions", "types", "crops", "language", "weight", "seen"):
        values[name] = values[name][:windows]
    for place, *others in (("chosen", "noise"), ("pairs", "swapped"), ("starts",)):
        inside = values[place] < end
        values |= {name: values[name][inside] for name in (*others, place)}
    return Batch(**values)
