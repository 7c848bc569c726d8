"""Attention among the tokens of a sequence, several sequences to a window: three kernels with one result.

dense: scaled_dot_product_attention with a mask of all pairs, runs everywhere. flex: FlexAttention with a block mask.
varlen: flash attention over the run lengths of the sequences, no padding and no mask (CUDA, half precision). `fastest`
tries the quick ones against dense on the device at hand and takes the first that agrees.
"""

import functools
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional
from torch.nn.attention.flex_attention import BlockMask, create_block_mask, flex_attention

from corpus.terminal import say

KINDS = ("varlen", "flex", "dense")


class Runs(NamedTuple):
    """ends: (n + 1,) int32, where runs of tokens of a flattened batch begin and end, from 0; empty runs fill it up to
    a length that stays the same from batch to batch. longest: an upper bound."""

    ends: Tensor
    longest: int


Sight = Tensor | BlockMask | Runs


def see(sequences: Tensor, kind: str = "dense", most: int = 0) -> Sight:
    """(B, S) numbers of the sequences in a window, 0 for padding -> who sees whom; dense: (B, 1, S, S) bool.

    Padding sees padding, so that no row of the softmax is empty; nobody looks at the result. most: see `runs`, which
    wants it."""
    if kind == "flex":
        batch, length = sequences.shape

        def alike(b, _, q, k):
            return sequences[b, q] == sequences[b, k]

        return create_block_mask(alike, batch, None, length, length, device=sequences.device)
    if kind == "varlen":
        return runs(sequences, most)
    return sequences[:, None, :, None] == sequences[:, None, None, :]


def count_runs(sequences: np.ndarray) -> int:
    """How many sequences and stretches of padding a batch (B, S) has."""
    return len(sequences) + int(np.count_nonzero(np.diff(sequences)))


def rounded(count: int, digits: int) -> int:
    """Up to a number of so many binary digits before its zeros, at least 1: with 1 a power of two, with 4 an eighth
    more at most, with 6 a thirty-second."""
    zeros = max(0, (count - 1).bit_length() - digits)
    return max(1, -(-count >> zeros) << zeros)


def rooms(most: int) -> int:
    """For so many runs: an eighth more at most, or up to a multiple of 64. Kernels visit empty ones too, 9 % longer if
    those are more than half; finer numbers are more shapes, each recorded for itself."""
    return max(rounded(most, 4), -(-most // 64) * 64)


def runs(sequences: Tensor, most: int) -> Runs:
    """The run lengths of a batch that has at most so many; room for few more, since a kernel visits the empty ones too.
    Without waiting for the device."""
    (batch, length), room = sequences.shape, rooms(most)
    begins = torch.ones_like(sequences, dtype=torch.bool)
    begins[:, 1:] = sequences[:, 1:] != sequences[:, :-1]
    begins = begins.flatten()
    places = torch.arange(batch * length, dtype=torch.int32, device=sequences.device)
    ends = torch.full((room + 1,), batch * length, dtype=torch.int32, device=sequences.device)
    number = torch.where(begins, begins.cumsum(0) - 1, room)
    return Runs(ends.scatter_(0, number, places.masked_fill_(~begins, batch * length)), length)


@functools.cache
def _compiled():
    return torch.compile(flex_attention, dynamic=False)


def attend(query: Tensor, key: Tensor, value: Tensor, sight: Sight) -> Tensor:
    """All (B, S, heads, width)."""
    if isinstance(sight, Runs):
        from torch.nn.attention.varlen import varlen_attn

        one, two, three = (t.flatten(0, 1) for t in (query, key, value))
        mixed = varlen_attn(one, two, three, sight.ends, sight.ends, sight.longest, sight.longest)
        assert isinstance(mixed, Tensor)
        return mixed.view_as(query)
    query, key, value = (t.transpose(1, 2) for t in (query, key, value))
    if isinstance(sight, BlockMask):
        kernel = _compiled() if query.is_cuda and not torch.compiler.is_compiling() else flex_attention
        return kernel(query, key, value, block_mask=sight).transpose(1, 2)
    return functional.scaled_dot_product_attention(query, key, value, attn_mask=sight).transpose(1, 2)


def fastest(device: torch.device, precision: torch.dtype, heads: int = 2, width: int = 64) -> str:
    """The first of KINDS that runs on `device` and gives what dense gives, gradients too."""
    if device.type != "cuda":
        return "dense"
    generator = torch.Generator(device).manual_seed(0)
    sequences = torch.arange(256, device=device).expand(2, -1) // 48 + 1
    inputs = torch.randn(3, 2, 256, heads, width, generator=generator, device=device).to(precision)
    expected = _tried(inputs, sequences, "dense")
    for kind in KINDS[:-1]:
        try:
            if all(
                torch.allclose(a, b, atol=5e-2) for a, b in zip(_tried(inputs, sequences, kind), expected, strict=True)
            ):
                return kind
            say(f"attention: {kind} differs from dense on this GPU and is not used")
        except (RuntimeError, ImportError, NotImplementedError) as error:
            say(f"attention: no {kind} on this GPU ({str(error).splitlines()[0][:80]})")
    return "dense"


def _tried(inputs: Tensor, sequences: Tensor, kind: str) -> tuple[Tensor, Tensor]:
    with torch.enable_grad():
        inputs = inputs.clone().requires_grad_()
        query, key, value = inputs.unbind()
        found = attend(query, key, value, see(sequences, kind, sequences.numel()))
        found.float().square().sum().backward()
    assert inputs.grad is not None
    return found.detach().float(), inputs.grad.float()
