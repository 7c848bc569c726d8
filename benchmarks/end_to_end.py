"""python -m benchmarks.end_to_end [CRAWL] [--workers N]: pages/s and MB/s per step, peak memory per process.

Each command is run as its own process; its children's peak is asked of the kernel, the pool's workers are watched by
reading /proc ten times a second. By default on the real pages beside the checkout, or else on the sample.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
REAL = ROOT.parent / "shared" / "data" / "web" / "realweb.warc.gz"
SAMPLE = ROOT / "examples" / "sample" / "sample.warc.gz"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("crawl", nargs="?", type=Path, default=REAL if REAL.exists() else SAMPLE)
    parser.add_argument("--workers", type=int, default=len(os.sched_getaffinity(0)))
    parser.add_argument("--size", type=int, default=16_000, help="pieces of the vocabulary")
    parser.add_argument("--steps", type=int, default=30, help="training steps (tiny model)")
    names = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        measure(names, Path(folder))


def measure(names: argparse.Namespace, folder: Path) -> None:
    out, model = folder / "out", folder / "model"
    workers = ["--workers", str(names.workers)]
    small = ["--item-bytes", "4MiB"]
    commands = {
        "extract": ["pipeline", "extract", names.crawl, "--output", out, *workers, *small],
        "select": ["pipeline", "select", out, *workers],
        "select again": ["pipeline", "select", out, *workers, "--threshold", "min_words=21"],
        "tokenizer train": ["tokenizer", "train", out, "--size", names.size],
        "tokenize": ["pipeline", "tokenize", out, *workers],
        "pretrain": ["trainer", "pretrain", out / "tokens", "--output", model, "--size", "tiny", "--sequence", 128,
                     "--batch", 16, "--steps", names.steps],
    }  # fmt: skip
    print(f"{names.crawl.name}, {names.crawl.stat().st_size / 1e6:.1f} MB, {names.workers} workers\n")
    print(f"{'step':<16} {'seconds':>8} {'pages/s':>8} {'MB/s':>7}  {'of':<24} {'peak MB: main':>13} {'worker':>7}")
    for step, command in commands.items():
        seconds, peak, worker = run([str(c) for c in command])
        books = json.loads((out / "documents" / "books.json").read_text())
        amount, unit = work(step, books, out)
        speed = f"{amount / 1e6 / seconds:7.1f}" if amount else f"{'-':>7}"
        print(f"{step:<16} {seconds:>8.1f} {books['documents'] / seconds:>8.0f} {speed}  {unit:<24} "
              f"{peak / 1e6:>13.0f} {worker / 1e6:>7.0f}")  # fmt: skip


def work(step: str, books: dict, out: Path) -> tuple[float, str]:
    """Bytes that a step's speed is of, and what they are."""
    if step == "extract":
        return books["page_bytes"], "bytes of pages, inflated"
    if step.startswith("tokeniz"):
        return books["characters"], "characters of documents"
    return 0, "-"


def run(command: list[str]) -> tuple[float, float, float]:
    """(wall seconds, peak bytes of the process, largest peak of a child)."""
    begun = time.perf_counter()
    process = subprocess.Popen([sys.executable, "-m", *command, "--quiet"], cwd=ROOT, stdout=subprocess.DEVNULL)
    peaks: dict[int, int] = {}
    stop = threading.Event()
    watch = threading.Thread(target=_watch, args=(process.pid, peaks, stop))
    watch.start()
    code = process.wait()
    stop.set()
    watch.join()
    if code:
        raise SystemExit(f"{' '.join(command)}: exit code {code}")
    main = peaks.pop(process.pid, 0)
    return time.perf_counter() - begun, main, max(peaks.values(), default=0)


def _watch(pid: int, peaks: dict[int, int], stop: threading.Event) -> None:
    while not stop.wait(0.1):
        for number in [pid, *_children(pid)]:
            peaks[number] = max(peaks.get(number, 0), _peak(number))


def _children(pid: int) -> list[int]:
    found: list[int] = []
    for task in Path(f"/proc/{pid}/task").glob("*/children"):
        try:
            found += map(int, task.read_text().split())
        except OSError:
            continue
    return found


def _peak(pid: int) -> int:
    try:
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    except OSError:
        return 0
    return next((int(line.split()[1]) * 1024 for line in lines if line.startswith("VmHWM")), 0)


if __name__ == "__main__":
    main()
