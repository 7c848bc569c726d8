"""python -m benchmarks.gpu.pretrain [--size base] [--vocabulary 64000]: tokens/s and MFU of pretraining on one GPU.

Each variant is the trainer's own step (stream and masks included, made ahead by a thread) or the usual recipe of
Hugging Face's modules on padded rows; the same documents, whose lengths are log-normal (mean 204 tokens) or so long
that they fill windows (--long). Predictions were written down before any GPU was seen. MFU: the operations of the
model (trainer/cost.py) through what the maker names for the chip. All variants draw the same weights and read the same
batches, so losses of one shape have to agree. A variant takes some 25 s on an H200, most of it compiling.

On a CPU: --device cpu --size tiny --steps 2, all variants but `compiled, flex`.
"""

import argparse
import itertools
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch

from benchmarks import hugging_electra, synthetic
from benchmarks.gpu.attention import milliseconds, wait
from benchmarks.train_step import rows
from corpus.settings import Pretrain
from trainer import cost, loop, plan
from trainer import model as models
from trainer.objectives import Batch, Pretraining, seen
from trainer.run import Run
from trainer.tally import SUMS
from trainer.world import World

OFF = {"compile": "off"}
VARIANTS = {  # name: (kind of attention, changes of settings, prediction in words)
    "eager, dense mask": ("dense", OFF, "20 % MFU: masks of S x S and unfused gelu and norms"),
    "eager, fastest attention": ("", OFF, "25 %: no masks to read"),
    "compiled, fp32 states": ("", {}, "34 %: states are read twice, as fp32 and as bf16"),
    "compiled, not recorded": ("", {}, "37 %: gelu, bias and norm fused, states in bf16"),
    "compiled": ("", {}, "37 %; after a first try found Python's launches in the way: 35 to 38 %, small 16 %"),
    "compiled, flex": ("flex", {}, "35 %: whole blocks of 128 x 128 where documents are shorter"),
    "compiled, muon": ("", {"optimizer": "muon"}, "35 %: Newton-Schulz of shared layers costs little"),
    "compiled, own layers": ("", {"shape": "share=none"}, "36 %: the same products, more to update"),
}
PEER = "Hugging Face, padded"
STRETCHES = 3  # of --steps each; the one in the middle counts
WARM = 12  # steps that do not count: kernels are compiled and chosen, batches of all shapes come


def main(arguments: list[str] | None = None) -> dict[str, float]:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--size", default="base")
    parser.add_argument("--vocabulary", type=int, default=64_000)
    parser.add_argument("--length", type=int, default=512)
    parser.add_argument("--batch", type=int, default=128)
    parser.add_argument("--steps", type=int, default=16)
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--variants", nargs="*", default=list(VARIANTS))
    parser.add_argument("--long", action="store_true", help="documents that fill windows")
    parser.add_argument("--profile", type=Path, help="a file to write where the time of `compiled` goes")
    names = parser.parse_args(arguments)
    device = torch.device(names.device)
    place = torch.cuda.get_device_name(device) if device.type == "cuda" else "CPU"
    shape = f"{names.size}, {names.batch} x {names.length}, vocabulary {names.vocabulary:,}"
    print(f"{shape}, {'long' if names.long else 'short'} documents, {place}, torch {torch.__version__}")
    if device.type == "cuda":
        print(f"products of 8192 x 8192 bf16 matrices: {products(device) / 1e12:.0f} TFLOP/s")
    print(f"{'':26} {'tokens/s':>10} {'spread':>6} {'MFU':>6} {'peak GB':>8} {'loss':>8} {'warm s':>7}  prediction")
    found = {}
    with tempfile.TemporaryDirectory() as folder:
        count = (names.steps + WARM) * names.batch * names.length + 100_000
        tokens = synthetic.write(Path(folder), names.vocabulary, count, length=8 * names.length * names.long)
        for name in names.variants:
            found[name] = ours(name, names, tokens, f"{folder}/model")
        planned = plan.plan(tokens, settings(names, {"shape": "share=none"}), synthetic.Vocabulary(names.vocabulary))
        found[PEER] = theirs(planned, names, device)
    best = max(v for n, v in found.items() if n != PEER)
    print(f"the best of ours: {best / found[PEER]:.2f} times the usual recipe")
    return found


def settings(names: argparse.Namespace, changes: dict) -> Pretrain:
    values = {"size": names.size, "sequence": names.length, "batch": names.batch, "device": names.device,
              "objectives": "mlm=1,rtd=50"}  # fmt: skip
    return Pretrain(**{**values, **changes})


def products(device: torch.device) -> float:
    """Operations per second of large matrix products."""
    one, two = torch.randn(2, 8192, 8192, device=device, dtype=torch.bfloat16).unbind()
    return 2 * 8192**3 / (milliseconds(lambda: one @ two, device, 20) / 1e3)


def ours(name: str, names: argparse.Namespace, tokens: str, output: str) -> float:
    kind, changes, prediction = VARIANTS[name]
    torch.compiler.reset()  # or shapes of earlier variants count towards a limit
    device, fused = torch.device(names.device), models.add
    if name.endswith("fp32 states"):
        models.add = lambda states, change, norm: norm(states + change)
    planned = plan.plan(tokens, settings(names, changes), synthetic.Vocabulary(names.vocabulary))
    run = Run(planned, World(0, 1, device), output)
    objective = run.goal.objective
    assert isinstance(objective, Pretraining)
    objective.sight = kind or objective.sight
    if name.endswith("not recorded"):
        run.recorded = None
    told = timed(name, planned, device, prediction, lambda steps: steps_of(run, steps, device), names.steps)
    if names.profile and name == "compiled":
        names.profile.write_text(profile(run))
    models.add = fused
    return told


def steps_of(run: Run, steps: int, device: torch.device) -> tuple[float, float, float]:
    """(real tokens, seconds, mean loss) of so many steps."""
    waiting = loop.batches(run, run.state.step + steps)
    first = next(waiting)
    run.gather()
    run.tally.zero_()
    wait(device)
    begun = time.perf_counter()
    for batch in itertools.chain([first], waiting):  # not all made before the first step
        run.step(batch)
    wait(device)
    seconds, tally = time.perf_counter() - begun, run.gather()
    return float(tally[:, SUMS.index("read")].sum()), seconds, run.figures(tally)["loss"]


def theirs(planned, names: argparse.Namespace, device: torch.device) -> float:
    recipe = hugging_electra.Recipe(planned.config, device)
    padded = rows(planned, min(names.batch, 128), names.length)  # its logits of 128 windows take 8 GB, and 8, and 8
    ids, attended = (torch.from_numpy(a.astype(np.int64)).to(device) for a in (padded.tokens, padded.sequences > 0))
    low = torch.autocast(device.type, torch.bfloat16, enabled=device.type == "cuda")

    def run(steps: int) -> tuple[float, float, float]:
        begun = time.perf_counter()
        for _ in range(steps):
            with low:
                loss = recipe.loss(ids, attended)
            loss.backward()
            torch.nn.utils.clip_grad_norm_(recipe.weights, 1.0)
            recipe.adam.step()
            recipe.adam.zero_grad(set_to_none=True)
        wait(device)
        return float(attended.sum()) * steps, time.perf_counter() - begun, float(loss.detach())

    padding = 1 - float(attended.float().mean())
    return timed(PEER, planned, device, f"2.5 times slower ({padding:.0%} padding)", run, max(2, names.steps // 2))


def timed(name: str, planned, device: torch.device, prediction: str, call: Callable, steps: int) -> float:
    """Prints a row; returns real tokens per second, those of the stretch in the middle."""
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats()
    begun = time.perf_counter()
    call(min(WARM, steps))
    warm = time.perf_counter() - begun
    tokens, seconds, losses = zip(*(call(steps) for _ in range(STRETCHES)), strict=True)
    rates = [count / long for count, long in zip(tokens, seconds, strict=True)]
    rate, loss, peak = statistics.median(rates), statistics.fmean(losses), cost.peak(device)
    work = cost.operations(planned.config, attended(planned), 0.15)
    share = f"{rate * work / peak:.1%}" if peak else "-"
    held = cost.memory(device) / 1e9
    spread = (max(rates) - min(rates)) / rate
    print(
        f"{name:26} {rate:>10,.0f} {spread:>6.1%} {share:>6} {held:>8.2f} {loss:>8.3f} {warm:>7.1f}  {prediction}",
        flush=True,
    )
    return rate


def attended(planned) -> float:
    """Mean tokens that a token of the first windows sees."""
    sequences = planned.source.batch(np.arange(64)).sequences
    return float(seen(sequences).sum() / (sequences > 0).sum())


def profile(run: Run) -> str:
    """The operations that take most of a step."""
    cuda, step = run.world.device.type == "cuda", run.state.step
    parts: list[list[Batch]] = [run.batch(step), run.batch(step + 1)]
    kinds = [torch.profiler.ProfilerActivity.CPU] + ([torch.profiler.ProfilerActivity.CUDA] if cuda else [])
    with torch.profiler.profile(activities=kinds) as profiled:
        for part in parts:
            run.step(part)
        wait(run.world.device)
    order = "self_cuda_time_total" if cuda else "self_cpu_time_total"
    return profiled.key_averages().table(sort_by=order, row_limit=45, max_name_column_width=90)


if __name__ == "__main__":
    main()
