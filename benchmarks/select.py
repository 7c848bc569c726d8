"""python -m benchmarks.select [--documents 1M,3M,10M] [--lines]: select on synthetic keys and signals.

Documents without text: skewed languages and sites, planted clusters (equal texts, equal URLs, near-duplicates of .7 to
1, accidents of one band), lines that sites repeat. Time of each select, peak memory per process (asked of the kernel),
bytes read and written (of /proc/PID/io, all processes together), what was found of what was planted.
"""

import argparse
import json
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from corpus import document, settings
from corpus.document import DOCUMENT, MINHASHES, SIGNALS
from pipeline import items, lines, thresholds

ROOT = Path(__file__).resolve().parents[1]
PER_PART = 25_000
COPIED = 0.3  # share of the documents that are copies of others
LINES = 30


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--documents", default="1M,3M,10M")
    parser.add_argument("--lines", action="store_true", help="with lines that sites repeat")
    parser.add_argument("--corpus-lines", action="store_true", help="and those that the corpus repeats")
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--memory", default="1GiB")
    parser.add_argument("--folder", type=Path, help="where the corpus is made; kept")
    names = parser.parse_args()
    print(f"{'documents':>10} {'step':<22} {'seconds':>8} {'CPU s':>7} {'peak MB: main':>13} {'worker':>7} "
          f"{'read MB':>8} {'written':>8}  found")  # fmt: skip
    for count in names.documents.split(","):
        with tempfile.TemporaryDirectory() as scratch:
            measure(settings.parse(count, "--documents", int), names, names.folder or Path(scratch))


def measure(count: int, names: argparse.Namespace, folder: Path) -> None:
    out = folder / f"out-{count}{'-lines' if names.lines else ''}"
    if not (out / "documents" / "books.json").exists():
        make(out, count, names.lines)
    shutil.rmtree(out / "selection", ignore_errors=True)
    command = ["select", str(out), "--workers", str(names.workers), "--memory", names.memory, "--validation", "0.01"]
    command += ["--thresholds", str(rules(out / "rules.toml"))]
    command += ["--site-lines", "10" if names.lines else "0"]
    command += ["--corpus-lines", "10"] if names.corpus_lines else []
    steps = {
        "first": [],
        "other thresholds": ["--threshold", "min_words=90"],
        "other mixture": ["--weights", "alpha=0.3"],
    }
    for step, more in steps.items():
        figures = run([*command, *more])
        told = found(out) if step == "first" else ""
        seconds, processor = figures["seconds"], figures["cpu"]
        main_, worker, read, written = (figures[k] / 1e6 for k in ("main", "worker", "read", "written"))
        print(f"{count:>10,} {step:<22} {seconds:>8.1f} {processor:>7.1f} {main_:>13.0f} {worker:>7.0f} {read:>8.0f} "
              f"{written:>8.0f}  {told}", flush=True)  # fmt: skip


def rules(path: Path) -> Path:
    """As many rules as the preset `ours` has, loose enough for made-up signals."""
    limits = {name: 0 if name.startswith("min_") else 60 for name in thresholds.preset("ours").limits}
    limits |= {"min_words": 20, "max_words": 10**9, "max_bullet_lines": 0.2, "max_cut_lines": 0.25}
    path.write_text("\n".join(["[thresholds]", *(f"{name} = {value}" for name, value in limits.items())]))
    return path


# --- the corpus ---------------------------------------------------------------------------------------------------


def make(out: Path, count: int, with_lines: bool) -> None:
    """A corpus folder of documents without text, as extract would leave it."""
    plan = [items.Item(f"synthetic-{k}.warc.gz", 1, "", 0, 1) for k in range(-(-count // PER_PART))]
    receipts = []
    for number, item in enumerate(plan):
        rows = min(PER_PART, count - number * PER_PART)
        columns = part(number, rows, count, with_lines)
        receipts.append(write(out / "documents" / item.part, item.part, columns))
    items.write_plan(str(out / "documents"), plan)
    receipt = items.add_receipts(receipts)
    (out / "documents" / "books.json").write_text(json.dumps(receipt, sort_keys=True))
    (out / "settings.toml").write_text("[extract]\n")


def part(number: int, rows: int, count: int, with_lines: bool) -> dict[str, pa.Array]:
    """Every value is a function of the document's number; a copy's, of its original's."""
    own = np.arange(rows, dtype=np.uint64) + np.uint64(number * PER_PART)
    rng = np.random.default_rng(number)
    source = np.where(rng.random(rows) < COPIED, original(own, rng, count), own)
    copied = source != own
    kind = np.where(copied, rng.choice(4, rows, p=[0.4, 0.2, 0.3, 0.1]), -1)  # text, URL, near, one band
    languages = np.array(LABELS)[rng.choice(len(LABELS), rows, p=SKEW)]
    same_text = kind == 0
    text = mixed(np.where(same_text, source, own), 1)
    url = mixed(np.where(kind == 1, source, own), 2)
    site = mixed(np.floor((own % np.uint64(max(50, count // 20))).astype(float) ** 0.8).astype(np.uint64), 3)
    values: dict[str, pa.Array] = {
        "id": fixed(np.stack([mixed(own, 4), mixed(own, 5)], 1), 16),
        "crawl_time": pa.array((1_700_000_000 + mixed(own, 6) % np.uint64(10**7)).astype(np.int64)).cast(
            pa.timestamp("s", "UTC")
        ),
        "language": pa.array(languages).dictionary_encode().cast(pa.string()),
        "language_score": pa.array(rng.uniform(0.6, 1, rows).astype(np.float32)),
        "text_hash": pa.array(text),
        "url_hash": pa.array(url),
        "site_hash": pa.array(site),
        "minhash": fixed(signatures(own, source, kind), 4 * MINHASHES),
    }
    words = (20 + 2000 * (mixed(text, 12) % np.uint64(1000) / 1000) ** 3).astype(
        np.uint32
    )  # equal texts, equal lengths
    for signal in SIGNALS:
        high = pa.types.is_float32(signal.type)
        drawn = rng.beta(1, 20, rows).astype(np.float32) if high else rng.integers(1, 50, rows).astype(np.uint32)
        values[signal.name] = pa.array(rng.random(rows) < 1e-3) if pa.types.is_boolean(signal.type) else pa.array(drawn)
    values |= {"words": pa.array(words), "characters": pa.array(words * 6), "text_bytes": pa.array(words * 7),
               "mean_word_length": pa.array(rng.normal(5.2, 0.6, rows).astype(np.float32)),
               "letter_words": pa.array((1 - rng.beta(1, 20, rows)).astype(np.float32)),
               "ended_lines": pa.array(rng.uniform(0, 1, rows).astype(np.float32))}  # fmt: skip
    if with_lines:
        values[lines.COLUMN] = line_column(own, site, rng)
    return values


LABELS = [f"l{k:02d}_Latn" for k in range(60)]
SKEW = np.array([1 / (k + 1) ** 1.6 for k in range(60)]) / sum(1 / (k + 1) ** 1.6 for k in range(60))


def original(own: np.ndarray, rng, count: int) -> np.ndarray:
    """Whose copy a document is: of ten, one is of a document that is copied a lot, the first count / 100 times."""
    near = own - np.minimum(own, rng.integers(0, count, len(own), np.uint64)) // np.uint64(2) * np.uint64(2)
    popular = (rng.pareto(1.0, len(own)) * 3).astype(np.uint64) % np.uint64(max(1, count // 50))
    return np.where(rng.random(len(own)) < 0.1, popular, near) // np.uint64(4) * np.uint64(4)


def mixed(values: np.ndarray, seed: int) -> np.ndarray:
    from pipeline.exchange import mix

    with np.errstate(over="ignore"):
        return mix(values * np.uint64(0x9E3779B97F4A7C15) + np.uint64(seed))


def fixed(table: np.ndarray, width: int) -> pa.Array:
    return pa.FixedSizeBinaryArray.from_buffers(pa.binary(width), len(table), [None, pa.py_buffer(table.tobytes())])


def signatures(own: np.ndarray, source: np.ndarray, kind: np.ndarray) -> np.ndarray:
    """Copies of a text have its signature; near ones share .7 to 1 of its values; accidents share their first band."""
    values = np.arange(MINHASHES, dtype=np.uint64)
    with np.errstate(over="ignore"):
        mine = mixed(own[:, None] * np.uint64(MINHASHES) + values, 7).astype(np.uint32)
        theirs = mixed(source[:, None] * np.uint64(MINHASHES) + values, 7).astype(np.uint32)
    agree = (mixed(own, 8) % np.uint64(1000)).astype(float)[:, None] / 1000 * 0.3 + 0.7
    share = mixed(own[:, None] * np.uint64(MINHASHES) + values, 9) % np.uint64(1000) / 1000 < agree
    takes = (kind == 0)[:, None] | ((kind == 2)[:, None] & share) | ((kind == 3)[:, None] & (values < 7))
    return np.where(takes, theirs, mine)


def line_column(own: np.ndarray, site: np.ndarray, rng) -> pa.Array:
    """Each page has lines of its own, and of ten that its site has, some."""
    table = mixed(own[:, None] * np.uint64(LINES) + np.arange(LINES, dtype=np.uint64), 10)
    table[:, :5] = mixed(site[:, None] + np.arange(5, dtype=np.uint64), 11)
    table[:, LINES - 5 :] = mixed(site[:, None] + rng.integers(5, 10, (len(own), 5)).astype(np.uint64), 11)
    ends = np.arange(len(own) + 1, dtype=np.int32) * LINES
    return pa.ListArray.from_arrays(pa.array(ends), pa.array(table.ravel()))


def write(path: Path, name: str, columns: dict[str, pa.Array]) -> dict:
    path.parent.mkdir(parents=True, exist_ok=True)
    rows = len(columns["id"])
    labels = np.array(columns["language"].to_pylist())
    lengths = columns["characters"].to_numpy()
    languages = {
        str(k): {"documents": int((labels == k).sum()), "characters": int(lengths[labels == k].sum())}
        for k in np.unique(labels)
    }
    receipt = {"parts": 1, "records": rows, "documents": rows, "drops": {}, "characters": int(lengths.sum()),
               "bytes": 0, "page_bytes": 0, "truncated": 0, "pii": {}, "lost_bytes": 0, "languages": languages,
               "examples": {},
               "failures": [], "files": {name: rows}, "counts": {name: rows}, "digest": "1"}  # fmt: skip
    order = {f.name: f.type for f in DOCUMENT}
    fields = [pa.field(k, order.get(k, v.type)) for k, v in columns.items()]
    schema = pa.schema(fields, document.metadata(fingerprint=name, receipt=receipt))
    table = pa.table([columns[f.name].cast(f.type) for f in fields], schema=schema)
    pq.write_table(table, path, compression="zstd", row_group_size=4096, use_dictionary=["language"])
    return receipt


def found(out: Path) -> str:
    """Rejections by kind of duplicate, and the largest cluster."""
    books = json.loads((out / "selection" / "books.json").read_text())
    kinds = {k: books["rejections"].get(k, 0) for k in ("SAME_URL", "SAME_TEXT", "NEAR_DUPLICATE")}
    marked = f", {books['lines_out']:,} lines left out" if books["lines_out"] else ""
    return ", ".join(f"{k.lower()} {n:,}" for k, n in kinds.items()) + marked


# --- a command, watched -------------------------------------------------------------------------------------------

STARTED = """import sys, resource
from pipeline import report
report.write = lambda path: path  # no text to show
from pipeline.__main__ import main
code = main(sys.argv[1:])
used = resource.getrusage(resource.RUSAGE_SELF)
held = next(line for line in open("/proc/self/status") if line.startswith("VmHWM"))  # ru_maxrss counts the parent in
print(used.ru_utime + used.ru_stime, int(held.split()[1]) * 1024)
sys.exit(code)
"""


def run(command: list[str]) -> dict[str, float]:
    """Wall and CPU seconds, peak bytes of the command and of the largest of its workers, bytes read and written."""
    begun = time.perf_counter()
    process = subprocess.Popen(
        [sys.executable, "-c", STARTED, *command, "--quiet"], cwd=ROOT, stdout=subprocess.PIPE, text=True
    )
    seen: dict[int, dict[str, float]] = {}
    stop = threading.Event()
    watch = threading.Thread(target=_watch, args=(process.pid, seen, stop))
    watch.start()
    said, _ = process.communicate()
    stop.set()
    watch.join()
    if process.returncode:
        raise SystemExit(f"{' '.join(command)}: exit code {process.returncode}")
    seconds, peak = map(float, said.splitlines()[-1].split())
    workers = [v for k, v in seen.items() if k != process.pid]
    return {
        "seconds": time.perf_counter() - begun,
        "cpu": seconds + sum(v["cpu"] for v in workers),
        "main": peak,
        "worker": max((v["peak"] for v in workers), default=0),
        "read": sum(v["read"] for v in seen.values()),
        "written": sum(v["written"] for v in seen.values()),
    }


def _watch(pid: int, seen: dict, stop: threading.Event) -> None:
    """The kernel's figures of a process and its children, five times a second; the last ones count."""
    while not stop.wait(0.2):
        for child in {pid, *_children(pid)}:
            try:
                status = dict(x.split(":", 1) for x in Path(f"/proc/{child}/status").read_text().splitlines())
                io = dict(x.split(": ") for x in Path(f"/proc/{child}/io").read_text().splitlines())
                times = Path(f"/proc/{child}/stat").read_text().rpartition(")")[2].split()
                seen[child] = {
                    "peak": int(status["VmHWM"].split()[0]) * 1024,
                    "read": int(io["rchar"]),
                    "written": int(io["wchar"]),
                    "cpu": (int(times[11]) + int(times[12])) / 100,
                }
            except (OSError, KeyError, ValueError):
                continue


def _children(pid: int) -> list[int]:
    try:
        return [int(c) for t in Path(f"/proc/{pid}/task").glob("*/children") for c in t.read_text().split()]
    except OSError:
        return []


if __name__ == "__main__":
    main()
