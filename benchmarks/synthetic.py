"""A tokens folder of random documents and a vocabulary for it, for timing the trainer without a corpus."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa

from corpus import shards

MEAN, SPREAD = 5.0, 0.8  # of the logarithm of a document's tokens: median 148, mean 204


@dataclass(frozen=True)
class Table:
    word_start: np.ndarray
    sentence_end: np.ndarray
    special: np.ndarray


class Vocabulary:
    """Two of three ids start a word, one in fifteen ends a sentence."""

    digest = "0" * 64

    def __init__(self, size: int):
        self.size = size

    def table(self) -> Table:
        ids = np.arange(self.size)
        return Table(ids % 3 > 0, ids % 15 == 7, ids < 5)

    def encode(self, texts: list[str]) -> tuple[np.ndarray, np.ndarray]:
        raise NotImplementedError

    def piece(self, id: int) -> str:
        return f"\u2581{id}" if id % 3 else str(id)


def lengths_of(rng: np.random.Generator, count: int) -> np.ndarray:
    """Of so many documents, in tokens."""
    return np.maximum(8, rng.lognormal(MEAN, SPREAD, count)).astype(np.int64)


def write(folder: Path, size: int, tokens: int, seed: int = 0, length: int = 0) -> str:
    """Documents of log-normal length, or all of `length`, with ids by Zipf's law."""
    rng = np.random.default_rng(seed)
    lengths = np.full(tokens // length, length) if length else lengths_of(rng, tokens // 150)
    lengths = lengths[: np.searchsorted(np.cumsum(lengths), tokens) + 1]
    ids = (rng.zipf(1.2, int(lengths.sum())) % (size - 5) + 5).astype(shards.token_type(size))
    batch = shards.batch(ids, lengths, np.zeros(len(lengths), int), np.arange(len(lengths)))
    path = folder / "und_Latn.arrow"
    with pa.OSFile(str(path), "wb") as sink, pa.ipc.new_file(sink, batch.schema) as writer:
        writer.write_batch(batch)
    info = shards.ShardInfo(path.name, "und_Latn", 1, False, len(lengths), len(ids), path.stat().st_size,
                            shards.checksum(str(path)))  # fmt: skip
    shards.write_manifest(str(folder), shards.Manifest(Vocabulary.digest, size, "f", (info,)))
    return str(folder)
