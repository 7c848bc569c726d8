"""python -m benchmarks.gpu.attention [--device cuda]: milliseconds of each kernel of attention on packed documents.

Windows of 512 tokens that hold documents of log-normal length (mean 204 tokens), heads of 64: 128 windows and 12 heads
as base has them, 256 and 4 as small, 256 and 1 as small's generator. Forward alone, and with the gradients; how far the
outputs are from the first kernel's (norm of the difference through the norm). A minute on a GPU, compiling included.
"""

import argparse
import time
from collections.abc import Callable, Sequence

import numpy as np
import torch
from torch import Tensor

from benchmarks import synthetic
from trainer.attention import KINDS, attend, count_runs, see

SHAPES = ((128, 12), (256, 4), (256, 1))
LENGTH, WIDTH = 512, 64


def main(arguments: list[str] | None = None) -> list[tuple[str, float, float]]:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--kinds", nargs="*", choices=KINDS, default=KINDS)
    parser.add_argument("--windows", type=int, default=0, help="instead of 128, 256, 256")
    names = parser.parse_args(arguments)
    device, found = torch.device(names.device), []
    print(f"{'windows':>7} {'heads':>5} {'runs':>5}  {'kernel':8} {'forward':>8} {'both ms':>8} {'differs':>8}")
    for windows, heads in SHAPES:
        found += measured(names.kinds, names.windows or windows, heads, device)
    return found


def sequences(windows: int) -> np.ndarray:
    """(B, S) numbers of the documents, from 1 in each window."""
    lengths = synthetic.lengths_of(np.random.default_rng(0), windows * LENGTH // 8)
    owner = np.repeat(np.arange(len(lengths)), lengths)[: windows * LENGTH].reshape(windows, LENGTH)
    return owner - owner[:, :1] + 1


def measured(kinds: Sequence[str], windows: int, heads: int, device: torch.device) -> list[tuple[str, float, float]]:
    numbers = sequences(windows)
    runs = count_runs(numbers)
    seen = torch.from_numpy(numbers).to(device)
    kind = torch.bfloat16 if device.type == "cuda" else torch.float32
    given = torch.randn(3, windows, LENGTH, heads, WIDTH, device=device, dtype=kind, requires_grad=True)
    first, found = None, []
    for name in kinds:
        sight = see(seen, name, runs)

        def forward(sight=sight) -> Tensor:
            return attend(*given.unbind(), sight)

        def both(forward=forward) -> None:
            forward().float().square().sum().backward()
            given.grad = None

        with torch.no_grad():
            out = forward().float()
            alone = milliseconds(forward, device)
        first = out if first is None else first
        found.append((name, alone, milliseconds(both, device)))
        differs = float((out - first).norm() / first.norm())
        print(f"{windows:>7} {heads:>5} {runs:>5}  {name:8} {alone:>8.3f} {found[-1][2]:>8.3f} {differs:>8.1e}")
    return found


def milliseconds(call: Callable[[], object], device: torch.device, times: int = 10) -> float:
    """The mean after two calls that do not count."""
    for turn in range(times + 2):
        if turn == 2:
            wait(device)
            begun = time.perf_counter()
        call()
    wait(device)
    return 1e3 * (time.perf_counter() - begun) / times


def wait(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize()


if __name__ == "__main__":
    main()
