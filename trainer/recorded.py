"""A step's kernels recorded once and started all together (CUDA graphs).

Python starts the 2,500 kernels of a step one by one in 110 ms or more, which is as long as a base model's take an H200,
and longer than a small one's. What is recorded holds for batches of the same shapes; `Batch.of(even=True)` makes few.
"""

import functools
from collections.abc import Callable, Iterable
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from trainer.objectives import Batch

MOST = 32  # shapes whose recordings are kept; a share of masks that changes from step to step goes through many
TRIALS = 2  # runs before a recording, in which kernels are compiled and chosen

Loss = Callable[[Batch, Tensor, Tensor], tuple[Tensor, Tensor]]
Outputs = list[Tensor | None]


class Recording(NamedTuple):
    """play: reads the inputs, overwrites the outputs: gradients of the weights, None for those that have none, and the
    tally."""

    play: Callable[[], None]
    inputs: list[Tensor]
    outputs: Outputs


class Recorded:
    """loss: (batch, counts, weights of the objectives) -> (loss, tally). once: each step is one call, so that gradients
    need not be copied out of what the next call overwrites."""

    def __init__(self, loss: Loss, weights: Iterable[nn.Parameter], once: bool):
        self.loss, self.weights, self.once = loss, [w for w in weights if w.requires_grad], once
        self.kept: dict[tuple, Recording] = {}

    def __call__(self, batch: Batch, counts: Tensor, weights: Tensor) -> Tensor:
        """The tally, until the next call; gradients are added to the weights' `grad`."""
        given = [*tensors(batch), counts, weights]
        shapes = (batch.runs, *(t.shape for t in given))
        if shapes not in self.kept:
            if len(self.kept) == MOST:
                self.kept.clear()
            self.kept[shapes] = self._record(batch, counts, weights)
        made = self.kept[shapes]
        torch._foreach_copy_(made.inputs, given)
        made.play()
        *gradients, tally = made.outputs
        assert tally is not None
        self._add(gradients)
        return tally

    def _record(self, batch: Batch, counts: Tensor, weights: Tensor) -> Recording:
        own = copied(batch)
        inputs = [*tensors(own), counts.clone(), weights.clone()]

        def gradients() -> Outputs:
            loss, tally = self.loss(own, *inputs[-2:])
            return [*torch.autograd.grad(loss, self.weights, allow_unused=True), tally]

        play, outputs = record(gradients)
        return Recording(play, inputs, outputs)

    def _add(self, gradients: Outputs) -> None:
        for weight, gradient in zip(self.weights, gradients, strict=True):
            if gradient is None:
                continue
            if weight.grad is None:
                weight.grad = gradient if self.once else gradient.clone()
            else:
                weight.grad += gradient


@functools.cache
def pool():
    """Memory that all recordings share: one is played at a time, and what comes out of it is used before the next."""
    return torch.cuda.graph_pool_handle()


def record(call: Callable[[], Outputs]) -> tuple[Callable[[], None], Outputs]:
    """(what does again what `call` did on the GPU, its outputs)."""
    aside, main = torch.cuda.Stream(), torch.cuda.current_stream()
    aside.wait_stream(main)
    with torch.cuda.stream(aside):
        for _ in range(TRIALS):
            call()
    main.wait_stream(aside)
    graph = torch.cuda.CUDAGraph()
    # other threads may allocate memory and copy meanwhile: the next batches
    with torch.cuda.graph(graph, pool=pool(), capture_error_mode="thread_local"):
        outputs = call()
    return graph.replay, outputs


def tensors(batch: Batch) -> list[Tensor]:
    return [value for value in vars(batch).values() if isinstance(value, Tensor)]


def copied(batch: Batch) -> Batch:
    values: dict[str, Any] = {n: v.clone() if isinstance(v, Tensor) else v for n, v in vars(batch).items()}
    return Batch(**values)
