"""python -m benchmarks.train_step [--size small] [--rows 16] [--length 128]: a step of pretraining on a CPU.

CPU-seconds of one thread, all variants in turn in one run, median of the rounds. Theirs: Hugging Face's modules, the
usual recipe. Ours on the same padded rows, then on packed windows of the same size, whose tokens are all real. No
dropout anywhere. The order of segments is off, since the recipe has none.
"""

import argparse
import statistics
import tempfile
import time
from pathlib import Path

import numpy as np
import torch

from benchmarks import hugging_electra, synthetic
from corpus.settings import Pretrain
from trainer import plan
from trainer.masking import mask
from trainer.objectives import Batch
from trainer.run import Run
from trainer.stream import CLS, PAD, SEP, Windows
from trainer.world import World

CPU = torch.device("cpu")


def main(arguments: list[str] | None = None) -> dict[str, float]:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--size", default="small")
    parser.add_argument("--rows", type=int, default=16)
    parser.add_argument("--length", type=int, default=128)
    parser.add_argument("--vocabulary", type=int, default=30_592)
    parser.add_argument("--rounds", type=int, default=3)
    names = parser.parse_args(arguments)
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as folder:
        return measure(names, Path(folder))


def measure(names: argparse.Namespace, folder: Path) -> dict[str, float]:
    tokens = synthetic.write(folder, names.vocabulary, 200_000)
    settings = Pretrain(size=names.size, shape="share=none", sequence=names.length, batch=names.rows, device="cpu",
                        objectives="mlm=1,rtd=50")  # fmt: skip
    planned = plan.plan(tokens, settings, synthetic.Vocabulary(names.vocabulary))
    run = Run(planned, World(0, 1, CPU), str(folder / "model"))
    padded = rows(planned, names.rows, names.length)
    theirs = [hugging_electra.Recipe(planned.config, CPU, masked_only) for masked_only in (False, True)]
    ids, attended = (torch.from_numpy(a.astype(np.int64)) for a in (padded.tokens, padded.sequences > 0))
    one, packed = batch(planned, padded), run.batch(0)
    variants = {
        "Hugging Face, logits everywhere": lambda: theirs[0].step(ids, attended),
        "Hugging Face, masked logits only": lambda: theirs[1].step(ids, attended),
        "ours, the same padded rows": lambda: run.step([one]),
        "ours, packed windows": lambda: run.step(packed),
        "of these, stream and masks": lambda: run.batch(1),
    }
    times: dict[str, list[float]] = {name: [] for name in variants}
    for number in range(names.rounds + 1):
        for name, call in variants.items():
            begun = time.process_time()
            call()
            if number:
                times[name].append(time.process_time() - begun)
    real = {"padded": int(attended.sum()), "packed": int((packed[0].sequences > 0).sum())}
    return tell({n: statistics.median(t) for n, t in times.items()}, real, names)


def rows(planned, count: int, length: int) -> Windows:
    """Padded rows as the usual recipe has them: one document each, cut at the length."""
    shard = planned.stream.shard(0)
    tokens, sequences = np.full((count, length), PAD, np.int32), np.zeros((count, length), np.int16)
    for b in range(count):
        ids = shard.tokens[shard.offsets[b] : shard.offsets[b + 1]][: length - 2]
        tokens[b, : len(ids) + 2] = [CLS, *ids, SEP]
        sequences[b, : len(ids) + 2] = 1
    positions = np.broadcast_to(np.arange(length, dtype=np.int32), tokens.shape) * (sequences > 0)
    nothing = np.zeros(0, np.int64)
    return Windows(
        tokens, sequences, positions, np.zeros_like(tokens, np.int8), nothing, nothing > 0, ("und_Latn",) * count
    )


def batch(planned, windows: Windows) -> Batch:
    masks = mask(windows.tokens, np.arange(len(windows.tokens)), planned.word_start, planned.pieces.special, 0.15, 0)
    return Batch.of(windows, masks, CPU)


def tell(seconds: dict[str, float], real: dict[str, int], names: argparse.Namespace) -> dict[str, float]:
    theirs = seconds["Hugging Face, logits everywhere"]
    print(
        f"{names.size}, {names.rows} x {names.length}, vocabulary {names.vocabulary:,}; CPU-seconds a step, one thread"
    )
    print(f"{'':34} {'seconds':>8} {'real tokens/s':>14} {'times as fast':>14}")
    base = real["padded"] / theirs
    for name, value in seconds.items():
        if name.startswith("of these"):
            print(f"{name:34} {value:>8.3f} {value / seconds['ours, packed windows']:>14.1%} of the step")
            continue
        rate = real["packed" if "packed" in name else "padded"] / value
        print(f"{name:34} {value:>8.3f} {rate:>14.0f} {rate / base:>14.2f}")
    ours = seconds["ours, the same padded rows"]
    gain = real["packed"] / seconds["ours, packed windows"] / (real["padded"] / ours)
    print(f"same rows: {theirs / ours:.2f} times the recipe; packing adds {gain:.2f} times (padding was "
          f"{1 - real['padded'] / (names.rows * names.length):.0%})")  # fmt: skip
    return seconds


if __name__ == "__main__":
    main()
