"""python -m benchmarks.gpu.pretrain [--size base] [--vocabulary 64000]: tokens/s and MFU of pretraining on one GPU.

Each variant is the trainer's own step (stream and masks included, made ahead by a thread) or the usual recipe of
Hugging Face's modules on padded rows; the same documents. Predictions were written down before any GPU was seen.
Under 8 minutes for base on an H200. On a CPU: --device cpu --size tiny --steps 2.
"""

import argparse
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch

from benchmarks import hugging_electra, synthetic
from benchmarks.train_step import rows
from corpus.settings import Pretrain
from trainer import cost, plan, pretrain
from trainer.objectives import Batch
from trainer.run import Run
from trainer.world import World

VARIANTS = {  # name: (kind of attention, changes of settings, prediction in words)
    "eager, dense mask": ("dense", {}, "20 % MFU: masks of S x S and unfused gelu and norms"),
    "eager, fastest attention": ("", {}, "25 %: no masks to read"),
    "compiled": ("", {"compile": True}, "37 %: gelu, bias and norm fused"),
    "compiled, muon": ("", {"compile": True, "optimizer": "muon"}, "35 %: Newton-Schulz of shared layers costs little"),
    "compiled, own layers": ("", {"compile": True, "shape": "share=none"}, "36 %: the same products, more to update"),
}
PEER = "Hugging Face, padded"


def main(arguments: list[str] | None = None) -> dict[str, float]:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--size", default="base")
    parser.add_argument("--vocabulary", type=int, default=64_000)
    parser.add_argument("--length", type=int, default=512)
    parser.add_argument("--batch", type=int, default=128)
    parser.add_argument("--steps", type=int, default=20)
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--variants", nargs="*", default=list(VARIANTS))
    parser.add_argument("--profile", action="store_true", help="where the time of the last variant goes")
    names = parser.parse_args(arguments)
    device = torch.device(names.device)
    place = torch.cuda.get_device_name(device) if device.type == "cuda" else "CPU"
    shape = f"{names.size}, {names.batch} x {names.length}, vocabulary {names.vocabulary:,}"
    print(f"{shape}, {place}, torch {torch.__version__}")
    print(f"{'':26} {'tokens/s':>10} {'MFU':>6} {'peak GB':>8}  prediction")
    found = {}
    with tempfile.TemporaryDirectory() as folder:
        tokens = synthetic.write(Path(folder), names.vocabulary, names.steps * names.batch * names.length + 100_000)
        for name in names.variants:
            kind, changes, prediction = VARIANTS[name]
            run = made(names, tokens, folder, kind, changes)
            found[name] = timed(name, lambda run=run: ours(run, names.steps), run.plan, device, prediction)
            if names.profile and name == names.variants[-1]:
                profile(run)
            del run
        planned = plan.plan(tokens, settings(names, {"shape": "share=none"}), synthetic.Vocabulary(names.vocabulary))
        found[PEER] = timed(PEER, lambda: theirs(planned, names, device), planned, device, "2.5 times slower")
    best = max(v for n, v in found.items() if n != PEER)
    print(f"the best of ours: {best / found[PEER]:.2f} times the usual recipe")
    return found


def settings(names: argparse.Namespace, changes: dict) -> Pretrain:
    values = {"size": names.size, "sequence": names.length, "batch": names.batch, "device": names.device,
              "objectives": "mlm=1,rtd=50"}  # fmt: skip
    return Pretrain(**{**values, **changes})


def made(names: argparse.Namespace, tokens: str, folder: str, kind: str, changes: dict) -> Run:
    planned = plan.plan(tokens, settings(names, changes), synthetic.Vocabulary(names.vocabulary))
    run = Run(planned, World(0, 1, torch.device(names.device)), f"{folder}/model")
    run.objective.sight = kind or run.objective.sight
    return run


def ours(run: Run, steps: int) -> tuple[int, float]:
    """(real tokens, seconds)."""
    waiting = pretrain.batches(run, run.state.step + steps)
    first = next(waiting)
    tokens, begun = 0, time.perf_counter()
    for batch in (first, *waiting):
        run.step(batch)
        tokens += sum(int(b.counts()[1]) for b in batch)
    return tokens, time.perf_counter() - begun


def theirs(planned, names: argparse.Namespace, device: torch.device) -> tuple[int, float]:
    recipe = hugging_electra.Recipe(planned.config, device)
    padded = rows(planned, names.batch, names.length)
    ids, attended = (torch.from_numpy(a.astype(np.int64)).to(device) for a in (padded.tokens, padded.sequences > 0))
    low = torch.autocast(device.type, torch.bfloat16, enabled=device.type == "cuda")
    begun = time.perf_counter()
    for step in range(names.steps + 2):
        if step == 2:
            wait(device)
            begun = time.perf_counter()
        with low:
            loss = recipe.loss(ids, attended)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(recipe.weights, 1.0)
        recipe.adam.step()
        recipe.adam.zero_grad(set_to_none=True)
    wait(device)
    return int(attended.sum()) * names.steps, time.perf_counter() - begun


def wait(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize()


def timed(name: str, call: Callable, planned, device: torch.device, prediction: str) -> float:
    """Prints a row; returns real tokens per second. Ours is called twice: compiling does not count."""
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats()
    if name != PEER:
        call()
    tokens, seconds = call()
    wait(device)
    rate, peak = tokens / seconds, cost.peak(device)
    work = cost.operations(planned.config, 200, 0.15)  # the documents' mean length
    share = f"{rate * work / peak:.1%}" if peak else "-"
    print(f"{name:26} {rate:>10,.0f} {share:>6} {cost.memory(device) / 1e9:>8.2f}  {prediction}", flush=True)
    return rate


def profile(run: Run) -> None:
    """The operations that take most of a step."""
    batch: list[Batch] = run.batch(run.state.step)
    cuda = run.world.device.type == "cuda"
    kinds = [torch.profiler.ProfilerActivity.CPU] + ([torch.profiler.ProfilerActivity.CUDA] if cuda else [])
    with torch.profiler.profile(activities=kinds) as profiled:
        run.step(batch)
        wait(run.world.device)
    order = "self_cuda_time_total" if cuda else "self_cpu_time_total"
    print(profiled.key_averages().table(sort_by=order, row_limit=15, max_name_column_width=40))


if __name__ == "__main__":
    main()
