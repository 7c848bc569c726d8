"""Small tokens folders and a vocabulary for the tests of the trainer."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa

from corpus import shards
from corpus.settings import Pretrain

SIZE = 512  # ids; 0-4 are the special ones, 5 ends a sentence, the last 12 are spare
STOP = 5
DIGEST = "5" * 64
TOPICS, WORDS = 12, 20  # a topic has so many words of one or two tokens


@dataclass(frozen=True)
class Table:
    word_start: np.ndarray
    sentence_end: np.ndarray
    special: np.ndarray


class Vocabulary:
    """Even ids start a word, odd ones go on with it."""

    digest, size = DIGEST, SIZE

    def table(self) -> Table:
        ids = np.arange(SIZE)
        return Table(ids % 2 == 0, ids == STOP, (ids < 5) | (ids >= SIZE - 12))

    def encode(self, texts):
        raise NotImplementedError

    def piece(self, id: int) -> str:
        return "." if id == STOP else f"\u2581{id}" if id % 2 == 0 else f"+{id}"


TABLE = Vocabulary().table()


def sentence(rng: np.random.Generator, topic: int) -> list[int]:
    """Words of a topic in a chain that mostly goes on in the same way, so that there is something to learn."""
    found, word = [], int(rng.integers(WORDS))
    for _ in range(int(rng.integers(5, 12))):
        first = 6 + 2 * (WORDS * topic + word)
        found += [first, first + 1] if word % 3 == 0 else [first]
        word = (7 * word + 3) % WORDS if rng.random() < 0.9 else int(rng.integers(WORDS))
    return [*found, STOP]


def document(rng: np.random.Generator, tokens: int) -> list[int]:
    found: list[int] = []
    topic = int(rng.integers(TOPICS))
    while len(found) < tokens:
        found += sentence(rng, topic)
    return found


def write_shard(folder: Path, name: str, documents: list[list[int]], language="aaa_Latn", copies=1, validation=False):
    tokens = np.array([t for d in documents for t in d], shards.token_type(SIZE))
    lengths, rows = np.array([len(d) for d in documents]), np.arange(len(documents))
    batch = shards.batch(tokens, lengths, rows // 10, rows % 10)
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    with pa.OSFile(str(path), "wb") as sink, pa.ipc.new_file(sink, batch.schema) as writer:
        writer.write_batch(batch)
    size, digest = path.stat().st_size, shards.checksum(str(path))
    return shards.ShardInfo(name, language, copies, validation, len(documents), len(tokens), size, digest)


def write_folder(folder: Path, tokens: int = 20_000, seed: int = 0, languages=("aaa_Latn", "bbb_Cyrl")) -> str:
    """A tokens folder with two training shards a language (once and three times) and one of validation."""
    rng, infos = np.random.default_rng(seed), []
    for k, language in enumerate(languages):
        for copies, share, validation in ((1, 0.6, False), (3, 0.3, False), (1, 0.1, True)):
            documents, wanted = [], tokens * share / (len(languages) + k)
            while sum(map(len, documents)) < wanted:
                documents.append(document(rng, int(rng.integers(4, 300))))
            name = f"{language}/x{copies}-0.arrow" if not validation else f"validation/{language}-0.arrow"
            infos.append(write_shard(folder, name, documents, language, copies, validation))
    shards.write_manifest(str(folder), shards.Manifest(DIGEST, SIZE, "f", tuple(infos), {}))
    return str(folder)


def quick(**changes) -> Pretrain:
    """Settings of a run of seconds."""
    values = {"size": "tiny", "sequence": 64, "batch": 4, "steps": 12, "save_every": 6, "device": "cpu"}
    return Pretrain(**{**values, **changes})
