"""python -m benchmarks.gate [GOLD]: the floor under main text, pinned with the digest of the data it was measured on.

F1 of the shipped model on the pages it was made from, so that a change of parser, features or choice is noticed at
once: no measure of quality elsewhere (`python -m benchmarks.content` is), and 20 seconds instead of ten minutes. Speed
as a ratio to Resiliparse's main text on the same pages in the same run. Exit code 1 below a floor.
"""

import argparse
import hashlib
import sys
import time
from pathlib import Path

from benchmarks.content import WEB, own, resiliparse
from corpus import storage
from pipeline import train_content

DATA = "3141c4ba"
F1 = 0.901
"""Measured .9046."""
MOST_TIME = 0.8
"""Times Resiliparse's CPU seconds; measured .47 on a busy machine."""


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("gold", nargs="?", default=str(WEB / "gold-dev.tar.gz"))
    path = parser.parse_args().gold
    if not Path(path).exists():
        print(f"{path}: not there; nothing is measured", file=sys.stderr)
        return 2
    digest = hashlib.sha256(storage.read(path)).hexdigest()
    if not digest.startswith(DATA):
        print(f"{path}: digest {digest[:8]}, the floor was measured on {DATA}", file=sys.stderr)
        return 2
    f1, times = measure(path)
    print(f"F1 {f1:.4f}, floor {F1}; {times:.2f} times resiliparse's time, at most {MOST_TIME}")
    return int(f1 < F1 or times > MOST_TIME)


def measure(path: str) -> tuple[float, float]:
    examples = train_content.read(path)
    total = spent = base = 0.0
    for e in examples:
        html = e.html.decode("utf-8", "replace")
        begun = time.process_time()
        text = own(html)
        between = time.process_time()
        resiliparse(html)
        spent += between - begun
        base += time.process_time() - between
        total += train_content.score(text, e.gold)[0]
    return total / len(examples), spent / base


if __name__ == "__main__":
    sys.exit(main())
