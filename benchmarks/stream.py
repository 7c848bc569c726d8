"""Readers of tokens beside each other: python -m benchmarks.stream [--tokens 200M] [--folder F] [--only NAME ...]

The same made-up documents (log-normal, 600 tokens on average, uint16) in the format of each reader, then batches of 256
windows of 512 tokens in random order, as int64. Each reader in a process of its own: millions of tokens per CPU-second
(all threads), seconds to the first batch (imports included), seconds to a batch in the middle, memory that is not the
page cache. Readers that are not installed are left out.
"""

import argparse
import importlib.util
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa

from corpus import shards

BATCH, WIDTH, VOCABULARY, LANGUAGES, SHARDS = 256, 512, 64_000, 25, 100
SECONDS = 6.0  # of CPU that a reader is given
ENDS = np.arange(VOCABULARY) % 25 == 0  # so many pieces end a sentence

Batches = Iterator[np.ndarray]


def documents(tokens: int) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """(tokens, lengths) of each shard."""
    for number in range(SHARDS):
        rng = np.random.default_rng(number)
        lengths = np.maximum(4, rng.lognormal(np.log(600) - 0.5, 1.0, tokens // SHARDS // 600)).astype(np.int64)
        yield rng.integers(5, VOCABULARY, lengths.sum()).astype(np.uint16), lengths


def languages() -> list[str]:
    return [f"l{chr(97 + k)}x_Latn" for k in range(LANGUAGES)]


# --- writing --------------------------------------------------------------------------------------------------------


def write_ours(folder: Path, tokens: int) -> None:
    infos = []
    for number, (flat, lengths) in enumerate(documents(tokens)):
        language = languages()[number % LANGUAGES]
        path = folder / language / f"x1-{number:05d}.arrow"
        path.parent.mkdir(parents=True, exist_ok=True)
        record = shards.batch(flat, lengths, np.zeros(len(lengths)), np.arange(len(lengths)))
        with pa.OSFile(str(path), "wb") as sink, pa.ipc.new_file(sink, record.schema) as writer:
            writer.write_batch(record)
        facts = len(lengths), len(flat), path.stat().st_size, shards.checksum(str(path))
        infos.append(shards.ShardInfo(str(path.relative_to(folder)), language, 1, False, *facts))
    shards.write_manifest(str(folder), shards.Manifest("0" * 64, VOCABULARY, "f", tuple(infos)))


def blocks(tokens: int) -> Iterator[np.ndarray]:
    """(n, WIDTH) of each shard; what does not fill a block is left out."""
    for flat, _ in documents(tokens):
        yield flat[: len(flat) // WIDTH * WIDTH].reshape(-1, WIDTH)


def write_flat(folder: Path, tokens: int) -> None:
    with open(folder / "tokens.bin", "wb") as file:
        for some in blocks(tokens):
            some.tofile(file)


def litdata_tokens(item: tuple[int, int]):
    import torch

    tokens, number = item
    for k, (flat, _) in enumerate(documents(tokens)):
        if k == number:
            yield torch.from_numpy(flat.astype(np.int32))


def write_litdata(folder: Path, tokens: int) -> None:
    import litdata

    litdata.optimize(
        litdata_tokens, [(tokens, k) for k in range(SHARDS)], str(folder / "data"), num_workers=1,
        chunk_size=WIDTH * 4096, item_loader=litdata.TokensLoader(), verbose=False,
    )  # fmt: skip


def write_mds(folder: Path, tokens: int) -> None:
    from streaming import MDSWriter

    with MDSWriter(out=str(folder / "data"), columns={"tokens": f"ndarray:uint16:{WIDTH}"}) as writer:
        for some in blocks(tokens):
            for row in some:
                writer.write({"tokens": row})


def write_webdataset(folder: Path, tokens: int) -> None:
    import webdataset

    for number, some in enumerate(blocks(tokens)):
        with webdataset.TarWriter(str(folder / f"{number:05d}.tar")) as writer:
            for k, row in enumerate(some):
                writer.write({"__key__": f"{number}-{k}", "bin": row.tobytes()})


def write_datasets(folder: Path, tokens: int) -> None:
    import datasets

    kind = datasets.Features({"tokens": datasets.Sequence(datasets.Value("uint16"), length=WIDTH)})
    made = datasets.Dataset.from_generator(
        lambda: ({"tokens": row} for some in blocks(tokens) for row in some), features=kind, cache_dir=str(folder / "c")
    )
    made.save_to_disk(str(folder / "data"))


# --- reading: batches from batch number `start` ---------------------------------------------------------------------


def read_flat(folder: Path, start: int) -> Batches:
    rows = np.memmap(folder / "tokens.bin", np.uint16, "r").reshape(-1, WIDTH)
    order = np.random.default_rng(0).permutation(len(rows))
    for at in range(start * BATCH, len(rows) - BATCH, BATCH):
        yield rows[order[at : at + BATCH]].astype(np.int64)


def stream(folder: Path, **options):
    from trainer.stream import Stream

    return Stream(str(folder), shards.read_manifest(str(folder)), WIDTH, ENDS, **options)


def read_plain(folder: Path, start: int) -> Batches:
    found = stream(folder, layout="plain")
    for number in range(start, found.everything.windows // BATCH):
        yield found.plain(np.arange(number * BATCH, (number + 1) * BATCH)).astype(np.int64)


def read_packed(folder: Path, start: int) -> Batches:
    found = stream(folder, weights={k: 1 / (n + 1) for n, k in enumerate(languages())})
    for number in range(start, 1 << 40):
        windows = found.batch(np.arange(number * BATCH, (number + 1) * BATCH))
        assert len(windows.pairs)
        yield windows.tokens.astype(np.int64)


def read_litdata(folder: Path, start: int) -> Batches:
    import litdata

    data = litdata.StreamingDataset(
        str(folder / "data"), item_loader=litdata.TokensLoader(block_size=WIDTH), shuffle=True
    )
    loader = litdata.StreamingDataLoader(data, batch_size=BATCH, num_workers=0)
    if start:
        loader.load_state_dict(_litdata_state(data, start))
    for batch in loader:
        yield batch.long().numpy()


def _litdata_state(data, start: int) -> dict:
    """What its loader would have saved after `start` batches."""
    state = data.state_dict(start * BATCH, 0, BATCH)
    return {"dataset": state, "current_epoch": 1, "latest_worker_idx": 0, "num_samples_yielded": start * BATCH}


def read_mds(folder: Path, start: int) -> Batches:
    from streaming import StreamingDataLoader, StreamingDataset

    data = StreamingDataset(local=str(folder / "data"), shuffle=True, batch_size=BATCH, num_canonical_nodes=1)
    loader = StreamingDataLoader(data, batch_size=BATCH, num_workers=0)
    if start:
        loader.load_state_dict(data.state_dict(start * BATCH, True))
    for batch in loader:
        yield batch["tokens"].numpy().astype(np.int64)


def read_webdataset(folder: Path, start: int) -> Batches:
    import webdataset

    urls = sorted(map(str, folder.glob("*.tar")))
    rows = webdataset.WebDataset(urls, shardshuffle=len(urls), seed=0).shuffle(1000)
    held, number = [], 0
    for row in rows:
        held.append(np.frombuffer(row["bin"], np.uint16))
        if len(held) == BATCH:
            if number >= start:  # it cannot begin elsewhere
                yield np.stack(held).astype(np.int64)
            held, number = [], number + 1


def read_datasets(folder: Path, start: int) -> Batches:
    import datasets

    data = datasets.load_from_disk(str(folder / "data")).with_format("numpy")
    order = np.random.default_rng(0).permutation(len(data))
    for at in range(start * BATCH, len(data) - BATCH, BATCH):
        yield np.stack(data[order[at : at + BATCH].tolist()]["tokens"]).astype(np.int64)


READERS: dict[str, tuple[str, Callable[[Path, int], None], Callable[[Path, int], Batches]]] = {
    "numpy memmap, gather": ("numpy", write_flat, read_flat),
    "ours, plain": ("numpy", write_ours, read_plain),
    "ours, ids, weights, pairs": ("numpy", write_ours, read_packed),
    "LitData": ("litdata", write_litdata, read_litdata),
    "HF datasets, index list": ("datasets", write_datasets, read_datasets),
    "WebDataset": ("webdataset", write_webdataset, read_webdataset),
    "MosaicML Streaming": ("streaming", write_mds, read_mds),
}


# --- measuring ------------------------------------------------------------------------------------------------------


def anonymous() -> float:
    """MB of this process's memory that are no pages of files."""
    with open("/proc/self/status") as file:
        return next(int(line.split()[1]) for line in file if line.startswith("RssAnon")) / 1000


def cpu() -> float:
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(u.ru_utime + u.ru_stime for u in used)


def measure(name: str, folder: Path, tokens: int) -> dict[str, float]:
    """In a process of its own."""
    _, _, read = READERS[name]
    begun = time.monotonic()
    batches = read(folder, 0)
    next(batches)
    first = time.monotonic() - begun
    for _ in range(5):
        next(batches)
    used, count, peak = cpu(), 0, 0.0
    for batch in batches:
        count += batch.size
        if count % (BATCH * WIDTH * 64) == 0:
            peak = max(peak, anonymous())
        if cpu() - used > SECONDS:
            break
    rate = count / (cpu() - used) / 1e6
    begun = time.monotonic()
    middle = next(read(folder, tokens // WIDTH // BATCH // 2), None)
    resumed = time.monotonic() - begun if middle is not None else float("nan")
    return {"rate": rate, "first": first, "middle": resumed, "memory": max(peak, anonymous())}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tokens", type=int, default=200_000_000)
    parser.add_argument("--folder", type=Path, default=None)
    parser.add_argument("--only", nargs="*", default=list(READERS))
    parser.add_argument("--one", default="")
    names = parser.parse_args()
    if names.one:
        print(json.dumps(measure(names.one, names.folder, names.tokens)))
        return
    print(f"{'reader':26} {'Mtok/CPU-s':>10} {'of memmap':>9} {'first s':>8} {'middle s':>8} {'MB':>6}")
    base = 0.0
    with tempfile.TemporaryDirectory(dir=names.folder) as scratch:
        for name in names.only:
            library, write, _ = READERS[name]
            if importlib.util.find_spec(library) is None:
                continue
            folder = Path(scratch, write.__name__)
            if not folder.exists():
                folder.mkdir()
                write(folder, names.tokens)
            command = [sys.executable, "-m", "benchmarks.stream", "--one", name, "--folder", str(folder)]
            child = subprocess.run(
                [*command, "--tokens", str(names.tokens)], capture_output=True, text=True,
                env={**os.environ, "OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1"},
            )  # fmt: skip
            if child.returncode:
                print(f"{name:26} failed: {child.stderr.strip().splitlines()[-1][:80]}")
                continue
            f = json.loads(child.stdout.splitlines()[-1])
            base = base or f["rate"]
            told = f"{f['rate']:10.1f} {f['rate'] / base:9.3f} {f['first']:8.2f} {f['middle']:8.2f} {f['memory']:6.0f}"
            print(f"{name:26} {told}", flush=True)


if __name__ == "__main__":
    main()
