"""The processes that train together, and the device that each computes on."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import Tensor, distributed

from corpus.settings import nearest
from corpus.terminal import UserError


@dataclass(frozen=True)
class World:
    """rank: 0 is the one that writes. size: processes in all."""

    rank: int
    size: int
    device: torch.device

    @property
    def first(self) -> bool:
        return self.rank == 0

    def sum(self, tensor: Tensor) -> Tensor:
        """The sum over all processes, in place."""
        if self.size > 1:
            distributed.all_reduce(tensor)
        return tensor

    def wait(self) -> None:
        """Until all processes are here."""
        self.sum(torch.zeros(1, device=self.device))


def choose(device: str, local_rank: int = 0) -> torch.device:
    """Errors: UserError."""
    if device not in ("auto", "cpu", "cuda"):
        raise UserError(f"--device: {device!r} is no device{nearest(device, ('auto', 'cpu', 'cuda'))}")
    if device == "cuda" and not torch.cuda.is_available():
        raise UserError("--device: cuda, but torch finds no GPU; use --device cpu")
    if device == "cpu" or not torch.cuda.is_available():
        return torch.device("cpu")
    return torch.device("cuda", local_rank)


def leads() -> bool:
    """Whether this process is the one that writes, also where no world is open."""
    return int(os.environ.get("RANK", "0")) == 0


@contextmanager
def opened(device: str) -> Iterator[World]:
    """This process's place in the world that torchrun made, or a world of its own."""
    local = int(os.environ.get("LOCAL_RANK", "0"))
    chosen = choose(device, local)
    if chosen.type == "cuda":
        torch.cuda.set_device(chosen)
    if "WORLD_SIZE" not in os.environ or "RANK" not in os.environ:
        yield World(0, 1, chosen)
        return
    distributed.init_process_group("nccl" if chosen.type == "cuda" else "gloo")
    try:
        yield World(distributed.get_rank(), distributed.get_world_size(), chosen)
        distributed.barrier()  # a process that goes while another still talks to it may be aborted
    finally:
        distributed.destroy_process_group()
