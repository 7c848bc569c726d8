"""What training costs: operations per token, and the share of what a device could do (MFU)."""

import os
import resource

import torch

from corpus.terminal import size
from trainer.model import Config, Tower

PEAK = {  # dense bf16 operations per second, from the makers' data sheets
    "H200": 989e12, "H100": 989e12, "H100 PCIe": 756e12, "A100": 312e12, "L40S": 362e12, "L4": 121e12, "V100": 125e12,
    "4090": 165e12,
}  # fmt: skip


def layers(tower: Tower, attended: float) -> float:
    """Forward operations per token of a tower's layers; attended: mean tokens that a token sees."""
    width, rank = tower.hidden, tower.rank
    linear = 32 * rank * width if rank else 24 * width**2
    return tower.layers * (linear + 4 * attended * width)


def operations(config: Config, attended: float, mask: float, discriminator: bool = True) -> float:
    """Floating-point operations per token of a training step: three times the forward pass of both towers. A product
    of m x k and k x n counts 2mkn; look-ups, norms and the like nothing. mask: share of the tokens to fill in."""
    e, g, d = config.embedding, config.generator, config.discriminator
    total = layers(g, attended) + mask * (2 * g.hidden * e + 2 * e * config.vocabulary)
    total += 2 * e * g.hidden if e != g.hidden else 0
    if discriminator:
        total += layers(d, attended) + 2 * d.hidden**2 + (2 * e * d.hidden if e != d.hidden else 0)
    return 3 * total


def peak(device: torch.device) -> float | None:
    """Operations per second that the device's maker names; None if it is not in the table."""
    if device.type != "cuda":
        return None
    name = torch.cuda.get_device_name(device)
    return next((PEAK[k] for k in sorted(PEAK, key=len, reverse=True) if all(w in name for w in k.split())), None)


def memory(device: torch.device) -> int:
    """Most bytes that this process has held so far, on the GPU if it computes there."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device)
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss << 10


def free(device: torch.device) -> int:
    """Bytes that are left."""
    if device.type == "cuda":
        return torch.cuda.mem_get_info(device)[0]
    return os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")


def is_memory(error: RuntimeError) -> bool:
    """Was there too little of it?"""
    return isinstance(error, torch.OutOfMemoryError) or "allocate memory" in str(error)


def held(device: torch.device) -> str:
    """For sentences like 'too much for ...'."""
    return f"{'the GPU' if device.type == 'cuda' else 'memory'} ({size(free(device))} left)"
