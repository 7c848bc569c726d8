"""python -m benchmarks.duplicates --peer PYTHON [--documents 50000]: near-duplicates beside datatrove's MinHash stages.

Documents are drawn from real sentences in languages of Latin script (shared data beside the checkout); 30 % are copies
of others with a share of their words changed, from none to a third. Both sides: 5-word shingles, 112 values. CPU
seconds of the whole way, signatures counted, start-up too; PYTHON is one with datatrove[io,processing]==0.10.1. Truth:
the Jaccard similarity of word shingles, of a sample of documents with all others; pairs of .75 are duplicates.
"""

import argparse
import json
import lzma
import random
import re
import resource
import struct
import subprocess
import sys
import tempfile
import time
from collections import Counter, defaultdict
from pathlib import Path

import numpy as np
import pyarrow as pa

ROOT = Path(__file__).resolve().parents[1]
TEXT = ROOT.parent / "shared" / "data" / "language" / "train-text.tsv.xz"
SAMPLE, DUPLICATE = 4000, 0.75

PEER = """
import sys
from datatrove.executor import LocalPipelineExecutor as Run
from datatrove.pipeline.dedup import (MinhashDedupSignature, MinhashDedupBuckets, MinhashDedupCluster,
                                      MinhashDedupFilter)
from datatrove.pipeline.dedup.minhash import MinhashConfig
from datatrove.pipeline.readers import JsonlReader
from datatrove.pipeline.writers.jsonl import JsonlWriter
from datatrove.utils.hashing import HashConfig
source, work = sys.argv[1:]
config = MinhashConfig(hash_config=HashConfig(precision=64))
def run(*steps, tasks=1):
    Run(pipeline=list(steps), tasks=tasks, workers=1, skip_completed=False).run()
run(JsonlReader(source), MinhashDedupSignature(work + "/signatures", config=config))
run(MinhashDedupBuckets(work + "/signatures", work + "/buckets", config=config), tasks=14)
run(MinhashDedupCluster(work + "/buckets", work + "/remove", config=config, save_cluster_id=True))
run(JsonlReader(source), MinhashDedupFilter(work + "/remove"), JsonlWriter(work + "/kept"))
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--peer", help="a Python that has datatrove; without it only ours is measured")
    parser.add_argument("--documents", type=int, default=50_000)
    parser.add_argument("--seed", type=int, default=0, help="of the documents; the bands were chosen by those of 0")
    parser.add_argument("--ours", nargs=2, help=argparse.SUPPRESS)
    names = parser.parse_args()
    if names.ours:
        ours(*map(Path, names.ours))
        return
    with tempfile.TemporaryDirectory() as folder:
        compare(names, Path(folder))


def compare(names: argparse.Namespace, folder: Path) -> None:
    texts = documents(names.documents, names.seed)
    source = folder / "source"
    source.mkdir()
    with open(source / "documents.jsonl", "w", encoding="utf-8") as file:
        file.writelines(json.dumps({"text": t, "id": str(k)}) + "\n" for k, t in enumerate(texts))
    size = sum(len(t.encode()) for t in texts) / 1e6
    print(f"{len(texts):,} documents, {size:.1f} MB, {np.mean([len(t.split()) for t in texts]):.0f} words each\n")
    commands = {"ours": [sys.executable, "-m", "benchmarks.duplicates", "--ours", str(source), str(folder / "ours")]}
    if names.peer:
        commands["datatrove 0.10.1"] = [names.peer, "-c", PEER, str(source), str(folder / "theirs")]
    truth = similar(texts)
    print(f"{'':<20} {'CPU s':>8} {'wall s':>8} {'docs/s':>8} {'precision':>9} {'recall':>7} {'removed':>8}")
    for name, command in commands.items():
        begun, before = time.perf_counter(), used()
        subprocess.run(command, check=True, cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        wall, cpu = time.perf_counter() - begun, used() - before
        clusters = ours_found(folder / "ours") if name == "ours" else theirs_found(folder / "theirs", len(texts))
        precision, recall = judged(clusters, truth)
        removed = len(texts) - len(set(clusters))
        print(f"{name:<20} {cpu:>8.1f} {wall:>8.1f} {len(texts) / cpu:>8.0f} {precision:>9.4f} {recall:>7.4f} "
              f"{removed:>8,}", flush=True)  # fmt: skip


def used() -> float:
    children = resource.getrusage(resource.RUSAGE_CHILDREN)
    return children.ru_utime + children.ru_stime


# --- documents and truth ------------------------------------------------------------------------------------------


def documents(count: int, seed: int) -> list[str]:
    order = random.Random(seed)
    sentences = defaultdict(list)
    with lzma.open(TEXT, "rt", encoding="utf-8") as file:
        for line in file:
            label, _, text = line.rstrip("\n").split("\t")
            if label.endswith("_Latn"):
                sentences[label].append(text)
    labels = sorted(k for k, v in sentences.items() if len(v) > 300)
    found: list[str] = []
    for k in range(count):
        if k > 100 and order.random() < 0.3:
            words = found[order.randrange(k)].split(" ")
            for _ in range(int(len(words) * order.choice([0.0, 0.005, 0.02, 0.04, 0.06, 0.1, 0.3]))):
                words[order.randrange(len(words))] = order.choice(words)
            found.append(" ".join(words))
        else:
            label = order.choice(labels)
            found.append("\n".join(order.choices(sentences[label], k=order.randint(5, 40))))
    return found


def similar(texts: list[str]) -> tuple[set[int], dict[tuple[int, int], float]]:
    """(a sample of documents, similarity of each pair of one of them and any other that share shingles, from .5)."""
    words = re.compile(r"\w+")
    sets, index = [], defaultdict(list)
    for k, text in enumerate(texts):
        found = words.findall(text.lower())
        sets.append({hash(tuple(found[i : i + 5])) for i in range(max(1, len(found) - 4))})
        for shingle in sets[k]:
            index[shingle].append(k)
    sample = set(random.Random(1).sample(range(len(texts)), min(SAMPLE, len(texts))))
    pairs = {}
    for a in sample:
        shared = Counter(b for shingle in sets[a] for b in index[shingle] if b != a)
        for b, n in shared.items():
            if (s := n / (len(sets[a]) + len(sets[b]) - n)) >= 0.5:
                pairs[a, b] = s
    return sample, pairs


def judged(clusters: list[int], truth: tuple[set[int], dict]) -> tuple[float, float]:
    """(precision, recall) of pairs in one cluster, of those with a document of the sample."""
    sample, pairs = truth
    members = defaultdict(list)
    for k, cluster in enumerate(clusters):
        members[cluster].append(k)
    said = {(a, b) for a in sample for b in members[clusters[a]] if a != b}
    true = {p for p, s in pairs.items() if s >= DUPLICATE}
    return len(said & true) / max(1, len(said)), len(said & true) / max(1, len(true))


# --- both sides ---------------------------------------------------------------------------------------------------


def ours(source: Path, out: Path) -> None:
    """Signatures, as extract makes them, into columns; then select."""
    from benchmarks.select import fixed, mixed, write
    from corpus.document import MINHASHES, SIGNALS
    from pipeline import duplicates, items, report
    from pipeline.__main__ import main as pipeline

    texts = [json.loads(line)["text"] for line in open(source / "documents.jsonl", encoding="utf-8")]  # noqa: SIM115
    hashes = [duplicates.word_hashes(t) for t in texts]
    signatures = np.frombuffer(b"".join(duplicates.signature(h) for h in hashes), np.uint8)
    rows = np.arange(len(texts), dtype=np.uint64)
    ones = ("letter_words", "ended_lines")
    values = {f.name: pa.array(np.full(len(texts), int(f.name in ones))).cast(f.type) for f in SIGNALS}
    values |= {
        "id": fixed(np.stack([rows, rows], 1), 16),
        "crawl_time": pa.array(np.zeros(len(texts), np.int64)).cast(pa.timestamp("s", "UTC")),
        "language": pa.array(["eng_Latn"] * len(texts)),
        "language_score": pa.array(np.ones(len(texts), np.float32)),
        "text_hash": pa.array(np.array([duplicates.text_hash(t) for t in texts], np.uint64)),
        "url_hash": pa.array(mixed(rows, 1)),
        "site_hash": pa.array(mixed(rows, 2)),
        "minhash": fixed(signatures.reshape(len(texts), -1), 4 * MINHASHES),
        "words": pa.array(np.array([len(h) for h in hashes], np.uint32)),
        "characters": pa.array(np.array([len(t) for t in texts], np.uint32)),
        "mean_word_length": pa.array(np.full(len(texts), 5, np.float32)),
    }
    item = items.Item("documents.jsonl", 1, "", 0, 1)
    receipt = write(out / "documents" / item.part, item.part, values)
    items.write_plan(str(out / "documents"), [item])
    (out / "documents" / "books.json").write_text(json.dumps(receipt))
    (out / "settings.toml").write_text("[extract]\n")
    report.write = lambda path: path
    (out / "none.toml").write_text("[thresholds]\n")
    options = ["--workers", "1", "--site-lines", "0", "--thresholds", str(out / "none.toml"), "--quiet"]
    raise SystemExit(pipeline(["select", str(out), *options]))


def ours_found(out: Path) -> list[int]:
    import pyarrow.parquet as pq

    (part,) = out.glob("selection/part-*")
    return pq.read_table(part, columns=["cluster"])["cluster"].to_pylist()


def theirs_found(work: Path, count: int) -> list[int]:
    """A cluster for each document; those in none have their own."""
    found = list(range(count))
    for path in work.glob("remove/*.clusters"):
        for document, cluster in struct.iter_unpack("<2I", path.read_bytes()):
            found[document] = count + cluster
    return found


if __name__ == "__main__":
    main()
