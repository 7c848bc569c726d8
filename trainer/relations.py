"""How the tokens of a sequence relate in two models: MiniLMv2's loss (arXiv:2012.15828), its gradient made on the way.

Queries, keys or values of a layer are cut into relation heads, as many for both models whatever their widths; in each
head a token's scaled products with those it sees become a distribution, and the student's is to be the teacher's. The
gradient is known in closed form, so that scores exist for a few heads at a time and are never kept.
"""

import functools
import math
from collections.abc import Sequence

import torch
from torch import Tensor

MOST = 48  # heads
VALUES = {"cpu": 1 << 18, "cuda": 1 << 26}  # heads x tokens x tokens that exist at one time
NEVER = -1e9  # score of what a token does not see


def heads_of(one: int, two: int) -> int:
    """The largest number up to MOST that divides both widths."""
    common = math.gcd(one, two)
    return max(n for n in range(1, MOST + 1) if common % n == 0)


def relate(
    student: Sequence[Tensor], teacher: Sequence[Tensor], heads: int, sequences: Tensor, weight: Tensor
) -> tuple[Tensor, Tensor]:
    """(sum of weight * losses, losses (B, S)); a token's loss is the mean over heads and kinds of KL(teacher ||
    student), nats. Only the sum carries a gradient, to the student alone.

    student, teacher: queries, keys, values or what there is, each (B, S, ...). sequences: (B, S), tokens of the same
    number see each other. weight: (B, S) fp32."""
    share, each = weight / (heads * len(student)), torch.zeros_like(weight)
    total = weight.new_zeros(())
    for ours, theirs in zip(student, teacher, strict=True):
        loss, rows = _Relate.apply(ours.flatten(2), theirs.flatten(2), heads, sequences, share, torch.is_grad_enabled())
        total, each = total + loss, each + rows / len(student)
    return total, each


def _cut(part: Tensor, heads: int) -> Tensor:
    """(B, S, W) -> (B, heads, S, d) fp32, whose products are scaled."""
    split = part.detach().float().unflatten(2, (heads, -1)).transpose(1, 2)
    return split * split.shape[3] ** -0.25


def _blind(sequences: Tensor) -> Tensor:
    """(B, S) -> (B, 1, S, S) fp32, 0 where a token sees another, else NEVER."""
    hidden = sequences[:, None, :, None] != sequences[:, None, None, :]
    return torch.zeros(hidden.shape, device=hidden.device).masked_fill_(hidden, NEVER)


def _steps(windows: int, heads: int, values: int, most: int) -> tuple[int, int]:
    """Windows and heads at a time, divisors of their numbers, so that all steps have one shape and no more than `most`
    values: as many heads as do, and then windows."""

    def fit(count: int, each: int) -> int:
        return max(n for n in range(1, count + 1) if count % n == 0 and (n == 1 or n * each <= most))

    few = fit(heads, values)
    return (fit(windows, heads * values) if few == heads else 1), few


def _chunk(ours, theirs, blind, weight):
    """Losses (n, g, S) of g heads, and the gradient of their weighted sum in `ours`, (n, g, d, S).

    ours: (n, g, S, d). theirs: (n, g, S, D). blind: (n, 1, S, S). weight: (n, 1, S)."""
    one, two = (ours @ ours.mT).add_(blind), (theirs @ theirs.mT).add_(blind)
    mine, aim = one.softmax(3), two.softmax(3)
    # the logarithm of a sum of exponentials is the highest score less the logarithm of its share
    less = (one.amax(3) - mine.amax(3).log()) - (two.amax(3) - aim.amax(3).log())
    lost = torch.linalg.vecdot(two.sub_(one), aim) + less
    delta, turned = mine.sub_(aim).mul_(weight[:, :, :, None]), ours.mT.contiguous()
    return lost, turned @ delta + turned @ delta.mT  # this way round it is five times as fast on a CPU


@functools.cache
def _fused():
    return torch.compile(_chunk, dynamic=False)


class _Relate(torch.autograd.Function):
    """(sum of weight * losses, mean of the losses over heads (B, S)) of one kind; ours, theirs: (B, S, width)."""

    @staticmethod
    def forward(ctx, ours, theirs, heads, sequences, weight, wanted):
        (batch, length), device = sequences.shape, ours.device
        one, two = _cut(ours, heads), _cut(theirs, heads)
        chunk, (windows, few) = (
            _fused() if ours.is_cuda else _chunk,
            _steps(batch, heads, length**2, VALUES[device.type]),
        )
        losses, made = one.new_empty(batch, heads, length), one.new_empty(one.mT.shape)
        with torch.autocast(device.type, enabled=False):
            for now in (slice(at, at + windows) for at in range(0, batch, windows)):
                blind, heavy = _blind(sequences[now]), weight[now, None]
                for some in (slice(at, at + few) for at in range(0, heads, few)):
                    losses[now, some], made[now, some] = chunk(one[now, some], two[now, some], blind, heavy)
        if wanted:
            scale = one.shape[3] ** -0.25
            ctx.save_for_backward((made * scale).permute(0, 3, 1, 2).flatten(2).to(ours.dtype))
        each = losses.mean(1)
        ctx.mark_non_differentiable(each)
        return (losses.sum(1) * weight).sum(), each

    @staticmethod
    def backward(ctx, scale, _):
        return scale * ctx.saved_tensors[0], None, None, None, None, None
