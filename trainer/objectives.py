"""What the model learns: fill in masked tokens, find the replaced ones, tell swapped segments.

All losses are sums with the counts beside them, so that any split of a batch over processes gives the same mean.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from trainer import tally as tallies
from trainer.attention import count_runs, rooms, rounded, see
from trainer.filling import fill
from trainer.masking import Masks
from trainer.model import Electra
from trainer.stream import PAD, Windows
from trainer.tally import COUNTS


@dataclass(frozen=True)
class Batch:
    """Windows with masks as tensors of one device; shapes as in stream.Windows and masking.Masks.

    starts: (C,) flat places of the [CLS] of each sequence. chosen, pairs and starts may end in places that are none,
    -1. crops: (B, S) bool, what a second look at each sequence leaves out. language: (B,), number of the window's
    language. weight: (B,) fp32, its weight in the loss. seen: (B,) fp64, pairs of tokens that see each other. runs: how
    many sequences and stretches of padding there are at most."""

    tokens: Tensor
    inputs: Tensor
    sequences: Tensor
    positions: Tensor
    types: Tensor
    chosen: Tensor
    noise: Tensor
    pairs: Tensor
    swapped: Tensor
    starts: Tensor
    crops: Tensor
    language: Tensor
    weight: Tensor
    seen: Tensor
    runs: int

    @staticmethod
    def of(
        windows: Windows, masks: Masks, device: torch.device, *, crops: np.ndarray | None = None,
        language: np.ndarray | None = None, weight: np.ndarray | None = None, even: bool = False,
    ) -> "Batch":  # fmt: skip
        """crops: see masking.crop. language: (B,) int, weight: (B,) float, of the windows; absent: none, 0, 1. even:
        with places that are none and a number of runs that is rounded up, so that few shapes come about."""

        def move(array, kind, nothing=None, digits=1):
            if even and nothing is not None:
                array = np.pad(array, (0, rounded(len(array), digits) - len(array)), constant_values=nothing)
            return sent(torch.from_numpy(np.ascontiguousarray(array)), device).to(kind)

        long, count = torch.long, len(windows.tokens)
        runs = count_runs(windows.sequences)
        return Batch(
            tokens=move(windows.tokens, long),
            inputs=move(masks.inputs, long),
            sequences=move(windows.sequences, long),
            positions=move(windows.positions, long),
            types=move(windows.types, long),
            chosen=move(masks.chosen, long, -1, 6),
            noise=move(masks.noise, torch.int32, 0, 6),
            pairs=move(windows.pairs, long, -1),
            swapped=move(windows.swapped, torch.float32, 0),
            starts=move(np.flatnonzero((windows.positions == 0) & (windows.sequences > 0)), long, -1),
            crops=move(np.zeros(windows.tokens.shape, bool) if crops is None else crops, torch.bool),
            language=move(np.zeros(count, np.int64) if language is None else language, long),
            weight=move(np.ones(count, np.float32) if weight is None else weight, torch.float32),
            seen=move(seen(windows.sequences), torch.float64),
            runs=rooms(runs) if even else runs,
        )

    def window(self, places: Tensor) -> Tensor:
        """The window of each flat place, of one that is none the first."""
        return places.clamp(min=0) // self.tokens.shape[1]

    def segments(self) -> tuple[Tensor, Tensor, Tensor]:
        """Places (P,) of the [CLS] and of both [SEP]s of the sequences with two segments."""
        begin, window = self.pairs.clamp(min=0), self.window(self.pairs)
        own = self.sequences[window] == self.sequences.flatten()[begin][:, None]
        first = (own & (self.types[window] == 0)).sum(1)
        return begin, begin + first - 1, begin + own.sum(1) - 1

    def counts(self) -> Tensor:
        """(5,) float64, see COUNTS: places that the losses are means over, each with its language's weight."""
        weight = self.weight.double()
        places = [self.chosen, None, self.pairs, self.starts, self.starts]
        tokens = ((self.sequences > 0).sum(1) * weight).sum()
        return torch.stack([tokens if p is None else (weight[self.window(p)] * (p >= 0)).sum() for p in places])


def sent(tensor: Tensor, device: torch.device) -> Tensor:
    """Of the processor's memory -> on the device, without waiting for what that still has to do."""
    return tensor.pin_memory().to(device, non_blocking=True) if device.type == "cuda" else tensor.to(device)


def seen(sequences: np.ndarray) -> np.ndarray:
    """(B, S) numbers of sequences, 0 is padding -> (B,) pairs of tokens of one sequence."""
    most = int(sequences.max(initial=0)) + 1
    flat = sequences + most * np.arange(len(sequences))[:, None]
    lengths = np.bincount(flat.reshape(-1), minlength=most * len(sequences)).reshape(-1, most)[:, 1:]
    return (lengths.astype(np.float64) ** 2).sum(1)


def find(logits: Tensor, replaced: Tensor, real: Tensor) -> Tensor:
    """Discriminator's loss (arXiv:2003.10555, section 2): binary cross entropies in nats of all tokens, 0 where there
    is padding; [CLS] and [SEP] count too. All (B, S); replaced, real: bool."""
    losses = functional.binary_cross_entropy_with_logits(logits.float(), replaced.float(), reduction="none")
    return losses.masked_fill(~real, 0.0)


def order(logits: Tensor, swapped: Tensor) -> Tensor:
    """Sentence-order losses (arXiv:1909.11942): binary cross entropies in nats; the negative example is the same two
    segments swapped. All (P,)."""
    return functional.binary_cross_entropy_with_logits(logits.float(), swapped, reduction="none")


def contrast(one: Tensor, two: Tensor) -> tuple[Tensor, Tensor]:
    """Sequence-contrast losses (arXiv:2102.08473, section 3.2) and hits, both (C,): of all second views, which belongs
    to the same sequence, and the other way round; cosine similarity, temperature 1, mean of both directions.

    one, two: (C, H), states of the [CLS] of the same sequences in two views; the rest of the micro-batch of this
    process are the negative examples."""
    scores = functional.normalize(one.float(), dim=1) @ functional.normalize(two.float(), dim=1).T
    same = torch.arange(len(one), device=one.device)
    losses = (functional.cross_entropy(s, same, reduction="none") for s in (scores, scores.T))
    return torch.stack(list(losses)).mean(0), scores.argmax(1) == same


class _Reverse(torch.autograd.Function):
    """The identity whose gradient is turned round (arXiv:1505.07818)."""

    @staticmethod
    def forward(ctx, states):
        return states.view_as(states)

    @staticmethod
    def backward(ctx, gradient):
        return -gradient


def adversary(head: nn.Module, states: Tensor, language: Tensor) -> tuple[Tensor, Tensor]:
    """Losses and hits (C,) of a classifier that learns to tell the language from states (C, H), while what is below
    learns to keep it from that."""
    logits = head(_Reverse.apply(states)).float()
    return functional.cross_entropy(logits, language, reduction="none"), logits.argmax(1) == language


class Part(NamedTuple):
    """What an objective gives: its loss (a weighted sum); (n, k) fp64, the sums that tally.SUMS lists from its loss on,
    unweighted; (n,), the windows that they belong to."""

    loss: Tensor
    sums: Tensor
    window: Tensor

    @staticmethod
    def of(losses: Tensor, hits: Tensor, batch: Batch, places: Tensor) -> "Part":
        """losses, hits: (n,), of the flat places (n,)."""
        window, real = batch.window(places), places >= 0
        losses = losses.masked_fill(~real, 0.0)
        return Part((losses * batch.weight[window]).sum(), _sums(losses, real, hits & real), window)


def _sums(*columns: Tensor) -> Tensor:
    return torch.stack([c.detach().double() for c in columns], 1)


class Pretraining(nn.Module):
    """The model with its objectives. allowed: (V,) bool, what the generator may sample. active: the objectives that
    ever have a weight; without all but mlm there is no discriminator. languages: how many tallies. sight: kind of
    attention, see attention.py."""

    def __init__(
        self, model: Electra, allowed: Tensor, active: Sequence[str] = ("mlm", "rtd", "order"), languages: int = 1,
        sight: str = "dense",
    ):  # fmt: skip
        super().__init__()
        self.model, self.active, self.languages, self.sight = model, set(active), languages, sight
        if self.active == {"mlm"}:
            for name, weight in model.named_parameters():
                weight.requires_grad_(not name.startswith(("discriminator", "order_head", "language_head")))
        self.register_buffer("allowed", allowed, persistent=False)
        self.allowed: Tensor

    def forward(self, batch: Batch, counts: Tensor, weights: Sequence[float]) -> tuple[Tensor, Tensor]:
        """(loss, tally). counts: (5,) as Batch.counts, over all processes and parts of a batch: the loss is each sum
        through its count, so the losses of all of them add up to the mean over the whole batch. weights: of the
        objectives, in their order. The tally is float64, (languages, NAMED + 2 BINS)."""
        model, sight = self.model, see(batch.sequences, self.sight, batch.runs)
        embedded = model.embeddings(batch.inputs, batch.positions, batch.types)
        filled, places, sampled = self._fill(model.generator(embedded, sight).flatten(0, 1), batch)
        corrupted = batch.tokens.view(-1).index_copy(0, places, sampled).view_as(batch.tokens)
        replaced = corrupted != batch.tokens  # a sample that is the original token counts as real
        logits, parts = None, [filled, *[_none(filled.loss)] * (len(COUNTS) - 1)]
        if self.active != {"mlm"}:
            states = model.discriminator(model.embeddings(corrupted, batch.positions, batch.types), sight)
            logits = model.replaced(states).float()
            parts = [filled, *self._discriminate(states.flatten(0, 1), logits, replaced, batch)]
        total = sum(w * p.loss / n.clamp(min=1e-6).float() for w, p, n in zip(weights, parts, counts, strict=True))
        return total, tallies.count(parts, logits, replaced, batch, self.languages)

    def _discriminate(self, states: Tensor, logits: Tensor, replaced: Tensor, batch: Batch) -> list[Part]:
        """All objectives but filling in. states: (B * S, H)."""
        nothing = _none(states)
        return [
            self._find(logits, replaced, batch),
            self._order(states, batch) if "order" in self.active else nothing,
            self._contrast(states, batch) if "contrast" in self.active else nothing,
            self._language(states, batch) if "language" in self.active else nothing,
        ]

    def _fill(self, states: Tensor, batch: Batch) -> tuple[Part, Tensor, Tensor]:
        """The place that stands for none is a window's first, a [CLS], which stays what it is."""
        model, window, real = self.model, batch.window(batch.chosen), batch.chosen >= 0
        places = batch.chosen.clamp(min=0)
        rows, targets = model.filled(states.index_select(0, places)), batch.tokens.view(-1)[places]
        table, weight = model.embeddings.tokens.weight, batch.weight[window] * real
        loss, losses, sampled, hits = fill(
            rows, table, model.generator_bias, targets, batch.noise, self.allowed, weight
        )
        sums = _sums(losses * real, real, hits & real)
        return Part(loss, sums, window), places, torch.where(real, sampled, targets)

    def _find(self, logits: Tensor, replaced: Tensor, batch: Batch) -> Part:
        """Sums by window: a place for each token would have the device add up millions of values one by one."""
        real = batch.sequences > 0
        losses, called = find(logits, replaced, real), (logits > 0) & real
        columns = losses, real, replaced & real, called & replaced, called
        window = torch.arange(len(real), device=real.device)
        return Part((losses * batch.weight[:, None]).sum(), _sums(*(c.sum(1) for c in columns)), window)

    def _order(self, states: Tensor, batch: Batch) -> Part:
        if self.model.order_head is None:
            return _none(states)
        logits = self.model.order_head(states, *batch.segments())
        return Part.of(order(logits, batch.swapped), (logits > 0) == (batch.swapped > 0), batch, batch.pairs)

    def _contrast(self, states: Tensor, batch: Batch) -> Part:
        """The second view: the original tokens, of which the sequence sees all but a crop."""
        model, seen = self.model, batch.sequences.masked_fill(batch.crops, 0)
        embedded = model.embeddings(batch.tokens, batch.positions, batch.types)
        again = model.discriminator(embedded, see(seen, self.sight, 3 * batch.runs)).flatten(0, 1)
        losses, hits = contrast(states.index_select(0, batch.starts), again.index_select(0, batch.starts))
        return Part.of(losses, hits, batch, batch.starts)

    def _language(self, states: Tensor, batch: Batch) -> Part:
        if self.model.language_head is None:
            return _none(states)
        language = batch.language[batch.window(batch.starts)]
        states = states.index_select(0, batch.starts.clamp(min=0))
        losses, hits = adversary(self.model.language_head, states, language)
        return Part.of(losses, hits, batch, batch.starts)


def _none(states: Tensor) -> Part:
    """An objective that has nothing to do."""
    window = torch.zeros(0, dtype=torch.long, device=states.device)
    return Part(states.new_zeros((), dtype=torch.float32), window.double()[:, None], window)


assert PAD == 0  # sequences number 0 and token 0 both mean padding
