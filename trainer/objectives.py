"""What the model learns: fill in masked tokens, find the replaced ones, tell swapped segments.

All losses are sums with the counts beside them, so that any split of a batch over processes gives the same mean.
"""

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from trainer.masking import Masks
from trainer.model import Electra, see
from trainer.stream import PAD, Windows

LOGITS = 1 << 25  # values of rows x vocabulary that exist at one time (128 MiB in fp32)
BINS = 256  # of the histogram of discriminator logits, from -EDGE to EDGE
EDGE = 12.0

SUMS = (
    "fill_loss", "filled", "fill_hits", "find_loss", "tokens", "replaced", "found", "alarms", "order_loss", "pairs",
    "order_hits",
)  # fmt: skip
"""What a tally counts, in nats and places: masked places, replaced tokens, replaced and found, called replaced, ..."""

NAMED = len(SUMS)


@dataclass(frozen=True)
class Batch:
    """Windows with masks as tensors of one device; shapes as in stream.Windows and masking.Masks."""

    tokens: Tensor
    inputs: Tensor
    sequences: Tensor
    positions: Tensor
    types: Tensor
    chosen: Tensor
    noise: Tensor
    pairs: Tensor
    swapped: Tensor

    @staticmethod
    def of(windows: Windows, masks: Masks, device: torch.device) -> "Batch":
        def move(array, kind):
            tensor = torch.from_numpy(array)
            if device.type == "cuda":
                tensor = tensor.pin_memory()
            return tensor.to(device, non_blocking=True).to(kind)

        long = torch.long
        return Batch(
            tokens=move(windows.tokens, long),
            inputs=move(masks.inputs, long),
            sequences=move(windows.sequences, long),
            positions=move(windows.positions, long),
            types=move(windows.types, long),
            chosen=move(masks.chosen, long),
            noise=move(masks.noise, torch.int32),
            pairs=move(windows.pairs, long),
            swapped=move(windows.swapped, torch.float32),
        )

    def counts(self) -> Tensor:
        """(3,) float64: masked places, tokens that are no padding, sequences with two segments."""
        values = [len(self.chosen), int((self.sequences > 0).sum()), len(self.pairs)]
        return torch.tensor(values, dtype=torch.float64, device=self.tokens.device)


def _scramble(bits: Tensor) -> Tensor:
    """int32 -> int32, a bijection whose output looks random (32-bit finalizer with the constants found by C. Wellons
    by search, public domain); the same on every device."""
    bits = (bits ^ (bits >> 16 & 0xFFFF)) * 0x7FEB352D
    bits = (bits ^ (bits >> 15 & 0x1FFFF)) * (0x846CA68B - (1 << 32))
    return bits ^ (bits >> 16 & 0xFFFF)


def gumbel(noise: Tensor, size: int) -> Tensor:
    """(R,) int32 seeds -> (R, size) fp32 standard Gumbel noise, a function of (seed, column) alone."""
    columns = _scramble(torch.arange(1, size + 1, dtype=torch.int32, device=noise.device))
    bits = _scramble(noise[:, None] ^ columns)
    # Small uniforms are large noise: kept exact down to 2^-32, since the winner comes from there.
    uniform = ((bits & 0x7FFFFFFF).float() + 0.5) * 2.0**-31
    return -torch.log(-torch.log1p(-uniform.clamp(max=1 - 2.0**-24)))


def sample(logits: Tensor, noise: Tensor, allowed: Tensor) -> Tensor:
    """A token a row from softmax(logits) over the allowed ones, by Gumbel-max in fp32 (log 0 is -inf, not a NaN).

    logits: (R, V). noise: (R,) int32. allowed: (V,) bool. Returns (R,) int64."""
    scores = logits.float() + gumbel(noise, logits.shape[1])
    return scores.masked_fill(~allowed, -torch.inf).argmax(1)


class _Fill(torch.autograd.Function):
    """Cross entropy of tied logits and a sample from them, a few rows at a time; the gradient is made on the way, so
    that no more than LOGITS values of rows x vocabulary ever exist."""

    @staticmethod
    def forward(ctx, rows, table, bias, targets, noise, allowed, wanted):
        grads = [torch.zeros_like(t, dtype=torch.float32) for t in (rows, table, bias)] if wanted else []
        losses, samples, hits = [], [], []
        step = max(1, LOGITS // len(table))
        for start in range(0, len(rows), step):
            now = slice(start, start + step)
            logits = (rows[now] @ table.T).float() + bias
            samples.append(sample(logits, noise[now], allowed))
            hits.append(logits.argmax(1) == targets[now])
            log_p = logits.log_softmax(1)
            losses.append(-log_p.gather(1, targets[now, None]).squeeze(1))
            if wanted:
                delta = log_p.exp_()
                delta[torch.arange(len(delta), device=delta.device), targets[now]] -= 1
                grads[0][now] = delta @ table
                grads[1] += (delta.T @ rows[now]).float()
                grads[2] += delta.sum(0)
        ctx.save_for_backward(*grads)
        sampled = torch.cat(samples) if samples else targets.clone()
        hit = torch.cat(hits) if hits else targets.bool()
        ctx.mark_non_differentiable(sampled, hit)
        return torch.cat(losses).sum() if losses else bias.new_zeros(()), sampled, hit

    @staticmethod
    def backward(ctx, scale, *_):
        return (*(scale * g for g in ctx.saved_tensors), None, None, None, None)


def fill(rows: Tensor, table: Tensor, bias: Tensor, targets: Tensor, noise: Tensor, allowed: Tensor):
    """Generator's loss (sum of -log p(target), nats), samples (R,) int64 and hits (R,) bool.

    rows: (R, E), table: (V, E), bias: (V,); the samples carry no gradient."""
    return _Fill.apply(rows, table, bias, targets, noise, allowed, torch.is_grad_enabled())


def find(logits: Tensor, replaced: Tensor, real: Tensor) -> Tensor:
    """Discriminator's loss (arXiv:2003.10555, section 2): sum of binary cross entropies in nats over all tokens that
    are no padding, [CLS] and [SEP] too. All (B, S); replaced, real: bool."""
    losses = functional.binary_cross_entropy_with_logits(logits.float(), replaced.float(), reduction="none")
    return losses.masked_fill(~real, 0.0).sum()


def order(logits: Tensor, swapped: Tensor) -> Tensor:
    """Sentence-order loss (arXiv:1909.11942): sum of binary cross entropies in nats; the negative example is the same
    two segments swapped. Both (P,)."""
    return functional.binary_cross_entropy_with_logits(logits.float(), swapped, reduction="sum")


class Pretraining(nn.Module):
    """The model with its objectives: Batch -> (loss, tally).

    weights: of filling in, finding, order. allowed: (V,) bool, what the generator may sample."""

    def __init__(self, model: Electra, weights: tuple[float, float, float], allowed: Tensor):
        super().__init__()
        self.model, self.weights = model, weights
        self.register_buffer("allowed", allowed, persistent=False)
        self.allowed: Tensor

    def forward(self, batch: Batch, counts: Tensor) -> tuple[Tensor, Tensor]:
        """counts: (3,) as Batch.counts, over all processes: the loss is each sum through its count, so the losses of
        all processes add up to the mean over the whole batch. The tally is float64, see `tally`."""
        model, mask = self.model, see(batch.sequences)
        embedded = model.embeddings(batch.inputs, batch.positions, batch.types)
        states = model.generator(embedded, mask).flatten(0, 1)
        rows = model.filled(states.index_select(0, batch.chosen))
        targets = batch.tokens.view(-1)[batch.chosen]
        fill_loss, sampled, hits = fill(
            rows, model.embeddings.tokens.weight, model.generator_bias, targets, batch.noise, self.allowed
        )
        corrupted = batch.tokens.view(-1).index_copy(0, batch.chosen, sampled).view_as(batch.tokens)
        replaced = corrupted != batch.tokens  # a sample that is the original token counts as real
        states = model.discriminator(model.embeddings(corrupted, batch.positions, batch.types), mask)
        logits, real = model.replaced(states), batch.sequences > 0
        find_loss = find(logits, replaced, real)
        order_loss, order_hits = self._order(states, batch)
        losses = (fill_loss, find_loss, order_loss)
        total = sum(w * s / n.clamp(min=1).float() for w, s, n in zip(self.weights, losses, counts, strict=True))
        sums = _sums(losses, hits, logits.detach(), replaced, real, order_hits, batch)
        return total, sums

    def _order(self, states: Tensor, batch: Batch) -> tuple[Tensor, Tensor]:
        """Loss and hits of the sentence order."""
        if self.model.order_head is None:
            zero = states.new_zeros(())
            return zero, zero
        logits = self.model.order_head(states.flatten(0, 1).index_select(0, batch.pairs))
        return order(logits, batch.swapped), ((logits > 0) == (batch.swapped > 0)).sum()


@torch.no_grad()
def _sums(losses, hits, logits, replaced, real, order_hits, batch) -> Tensor:
    """The tally of a batch, float64: SUMS, then the histograms of the logits of real and of replaced tokens."""
    called = (logits > 0) & real
    pairs = torch.tensor(len(batch.pairs), device=logits.device)
    chosen = torch.tensor(len(batch.chosen), device=logits.device)
    named = [
        losses[0], chosen, hits.sum(), losses[1], real.sum(), replaced.sum(), (called & replaced).sum(), called.sum(),
        losses[2], pairs, order_hits,
    ]  # fmt: skip
    place = ((logits.float() + EDGE) * (BINS / (2 * EDGE))).nan_to_num(0).clamp(0, BINS - 1).long()
    place = (place + BINS * replaced)[real]
    histogram = torch.zeros(2 * BINS, dtype=torch.int64, device=logits.device)
    histogram.index_add_(0, place, torch.ones_like(place))
    return torch.cat([torch.stack([n.double() for n in named]), histogram.double()])


def empty(device: torch.device) -> Tensor:
    """A tally of nothing."""
    return torch.zeros(NAMED + 2 * BINS, dtype=torch.float64, device=device)


def area(real: Tensor, replaced: Tensor) -> float | None:
    """Area under the ROC curve from two histograms (BINS,): the chance that a replaced token gets a higher logit than
    a real one, ties counted half. None without both kinds."""
    below = real.cumsum(0) - real
    pairs = float(real.sum() * replaced.sum())
    return float((replaced * (below + real / 2)).sum()) / pairs if pairs else None


def figures(tally: Tensor, weights: tuple[float, float, float]) -> dict[str, float | None]:
    """A tally as the means that a log line holds; None where there was nothing to count."""
    values = tally.tolist()
    s = dict(zip(SUMS, values[:NAMED], strict=True))

    def ratio(a: str, b: str) -> float | None:
        return s[a] / s[b] if s[b] else None

    means = ratio("fill_loss", "filled"), ratio("find_loss", "tokens"), ratio("order_loss", "pairs")
    histograms = tally[NAMED:].view(2, BINS).cpu()
    return {
        "loss": sum(w * (m or 0.0) for w, m in zip(weights, means, strict=True)),
        "generator_loss": means[0],
        "generator_accuracy": ratio("fill_hits", "filled"),
        "discriminator_loss": means[1],
        "replaced_share": ratio("replaced", "tokens"),
        "precision": ratio("found", "alarms"),
        "recall": ratio("found", "replaced"),
        "auc": area(histograms[0], histograms[1]),
        "order_loss": means[2],
        "order_accuracy": ratio("order_hits", "pairs"),
    }


assert PAD == 0  # sequences number 0 and token 0 both mean padding
