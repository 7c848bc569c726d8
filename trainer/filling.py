"""The generator's loss, gradient and sample in one go, without rows x vocabulary ever being stored.

A row of logits is looked at in blocks. Sums and largest values are taken block by block; a sample is a block, drawn by
the blocks' sums, and a token of it, so that random numbers are needed for a hundredth of the row.
"""

import functools
import math

import torch
from torch import Tensor
from torch.nn import functional

LOGITS = {"cpu": 1 << 25, "cuda": 1 << 26}  # values of rows x vocabulary that exist at one time
BESIDE = 8  # columns beside the rows, the first of ones: the gradient of the bias comes with the table's; 16 bytes
BLOCK = 256  # values of a row: as many as a GPU's block of threads holds in registers, so that each is read once


def blocks(size: int) -> tuple[int, int]:
    """How many blocks a row of so many logits has, of how many values each. Vocabularies are multiples of 64; of an odd
    number each token is a block."""
    width = math.gcd(BLOCK, size)
    return size // width, width


def _scramble_(bits: Tensor) -> Tensor:
    """int32 in place, a bijection whose output looks random (32-bit finalizer with the constants found by C. Wellons
    by search, public domain); the same on every device."""
    for shift, left, factor in ((16, 0xFFFF, 0x7FEB352D), (15, 0x1FFFF, 0x846CA68B - (1 << 32))):
        bits.bitwise_xor_((bits >> shift).bitwise_and_(left)).mul_(factor)
    return bits.bitwise_xor_((bits >> 16).bitwise_and_(0xFFFF))


def columns(size: int, device: torch.device) -> Tensor:
    """(V + B,) int32, what makes the noise of each token, and of each block, its own."""
    return _scramble_(torch.arange(1, size + blocks(size)[0] + 1, dtype=torch.int32, device=device))


def exponential(noise: Tensor, own: Tensor) -> Tensor:
    """(R,) int32 seeds, own: (n,) or (R, n) -> (R, n) fp32 standard exponential noise, a function of (seed, own)."""
    bits = _scramble_(noise[:, None] ^ own)
    # Kept exact down to 2^-32, since the winner comes from the small ones.
    uniform = bits.bitwise_and_(0x7FFFFFFF).float().add_(0.5).mul_(2.0**-31).clamp_(max=1 - 2.0**-24)
    return uniform.neg_().log1p_().neg_()


def first(rates: Tensor, noise: Tensor, own: Tensor, allowed: Tensor) -> Tensor:
    """Of exponential times with such rates which comes first: each of the allowed ones with its share, in fp32. The
    Gumbel-max of ELECTRA's code (log share - log time) without its second logarithm.

    rates: (R, n), of any sum. noise: (R,) int32. own: see `columns`. allowed: (n,) or (R, n) bool. Returns (R,)."""
    return rates.div(exponential(noise, own)).masked_fill_(~allowed, -1.0).argmax(1)


def sample(share: Tensor, rates: Tensor, noise: Tensor, allowed: Tensor, own: Tensor) -> Tensor:
    """A token a row, each of the allowed ones with its share: a block, and in it a token.

    share: (R, B, W), within a block of any sum. rates: (R, B), of the allowed tokens of each block. noise: (R,) int32.
    allowed: (B, W) bool. own: see `columns`. Returns (R,) int64."""
    count, width = allowed.shape
    block = first(rates, noise, own[count * width :], allowed.any(1))
    row = torch.arange(len(noise), device=noise.device)
    own = own[: count * width].unflatten(0, (count, width))
    return block * width + first(share[row, block], noise, own[block], allowed[block])


def _chunk(rows, table, bias, targets, noise, own, allowed, weight):
    """Losses (R,), samples, hits, and weight times softmax (R, V), which is the gradient of the weighted losses in the
    logits but for the targets' own part."""
    logits = (rows @ table.T).float().add_(bias)
    target = logits.gather(1, targets[:, None]).squeeze(1)
    shape = blocks(logits.shape[1])
    values, allowed = logits.unflatten(1, shape), allowed.unflatten(0, shape)
    highest = values.amax(2)
    share, most = values.sub_(highest[:, :, None]).exp_(), highest.amax(1)
    scale = (highest - most[:, None]).exp_()
    level = share.sum(2).mul_(scale).sum(1).log_().add_(most)  # logarithm of the row's sum of exponentials
    sampled = sample(share, (share * allowed).sum(2).mul_(scale), noise, allowed, own)
    scale = highest.sub_(level[:, None]).exp_().mul_(weight[:, None])
    return level - target, sampled, target >= most, share.mul_(scale[:, :, None]).flatten(1).to(table.dtype)


def add_product(total: Tensor, one: Tensor, two: Tensor) -> None:
    """total (m, n), fp32, += one (m, k) @ two (k, n). A GPU adds bf16 up in fp32 anyway; to round it to bf16 and add it
    by itself takes two passes more."""
    if one.dtype is total.dtype:
        total.addmm_(one, two)
    elif one.is_cuda:
        torch.addmm(total, one, two, out_dtype=total.dtype, out=total)
    else:
        total += one @ two


@functools.cache
def _fused():
    return torch.compile(_chunk, dynamic=False)


class _Fill(torch.autograd.Function):
    """Cross entropy of tied logits and a sample from them, a few rows at a time; the gradient is made on the way, so
    that no more than LOGITS values of rows x vocabulary ever exist. On a GPU the rows are filled up to whole chunks
    and each chunk is one compiled function."""

    @staticmethod
    def forward(ctx, rows, table, bias, targets, noise, allowed, weight, wanted):
        width = rows.shape[1]
        of_rows = torch.zeros_like(rows, dtype=torch.float32) if wanted else None
        of_both = table.new_zeros(len(table), width + BESIDE, dtype=torch.float32) if wanted else None
        if torch.is_autocast_enabled(rows.device.type):
            rows, table = (t.to(torch.get_autocast_dtype(rows.device.type)) for t in (rows, table))
        beside = torch.eye(1, BESIDE, dtype=rows.dtype, device=rows.device).expand(len(rows), -1)
        wide, losses, samples, hits = torch.cat([rows, beside], 1), [], [], []
        step, own = max(1, LOGITS[rows.device.type] // len(table)), columns(len(table), table.device)
        quick = rows.is_cuda and len(rows) > 0
        for start in range(0, len(rows), step):
            now = slice(start, start + step)
            few = (rows[now], wide[now], targets[now], noise[now], weight[now])
            real = len(few[0])
            if quick and real < step and start:
                few = tuple(functional.pad(t, (0, 0) * (t.ndim - 1) + (0, step - real)) for t in few)
            states, both, target, seed, share = few
            chunk = _fused() if quick and len(rows) >= step else _chunk
            loss, sampled, hit, delta = chunk(states, table, bias, target, seed, own, allowed, share)
            losses.append(loss[:real])
            samples.append(sampled[:real])
            hits.append(hit[:real])
            if wanted:
                of_rows[now] = (delta @ table)[:real]
                add_product(of_both, delta.T, both)
        if wanted:
            of_rows.addcmul_(table[targets], weight[:, None], value=-1)
            of_both.index_add_(0, targets, wide * -weight[:, None])
            ctx.save_for_backward(of_rows, of_both[:, :width], of_both[:, width])
        if not losses:
            losses, samples, hits = [bias.new_zeros(0)], [targets.clone()], [targets.bool()]
        each, sampled, hit = torch.cat(losses), torch.cat(samples), torch.cat(hits)
        ctx.mark_non_differentiable(each, sampled, hit)
        return (each * weight).sum(), each, sampled, hit

    @staticmethod
    def backward(ctx, scale, *_):
        return (*(scale * g for g in ctx.saved_tensors), None, None, None, None, None)


def fill(rows: Tensor, table: Tensor, bias: Tensor, targets: Tensor, noise: Tensor, allowed: Tensor, weight: Tensor):
    """Generator's loss (sum of -weight log p(target), nats), each row's loss, samples and hits, all (R,).

    rows: (R, E), table: (V, E), bias: (V,); only the sum carries a gradient."""
    return _Fill.apply(rows, table, bias, targets, noise, allowed, weight, torch.is_grad_enabled())
