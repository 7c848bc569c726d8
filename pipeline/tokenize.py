"""tokenize: documents, selection and vocabulary -> token shards, by two maps without a shuffle.

encode: a run of documents parts and their selection -> one token part, its batches sorted by language, copies, split.
gather: one shard, planned from the batches of all token parts -> the shard's file. Token parts go when the manifest
stands.
"""

import functools
import os
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from corpus import document, settings, shards, storage
from corpus.shards import ShardInfo
from corpus.terminal import StepError
from pipeline import lines
from pipeline.items import no_tick
from pipeline.runs import Run
from tokenizer.vocabulary import Vocabulary

_SOURCES = (
    "tokenize.py",
    "../corpus/shards.py",
    *(f"../tokenizer/{name}" for name in ("vocabulary.py", "pieces.py", "_pieces.c")),
)
"""What decides the bytes of shards."""

_BATCHES_PER_SHARD = 8
_TEXTS = 1024


@dataclass(frozen=True)
class Job:
    """What the maps of one tokenize need to know. Folders are those of the corpus."""

    folder: str
    vocabulary: str  # path of the vocabulary
    shard_tokens: int
    fingerprint: str

    def path(self, *names: str) -> str:
        return storage.join(self.folder, *names)

    def token_part(self, number: int) -> str:
        return self.path("tokens", "encoded", f"run-{number}.arrow")


@dataclass(frozen=True)
class Piece:
    """A batch of a token part: pure in language, copies and split."""

    language: str
    copies: int
    validation: bool
    run: int
    batch: int
    documents: int
    tokens: int

    @property
    def kind(self) -> tuple[str, bool, int]:
        return self.language, self.validation, self.copies


@dataclass(frozen=True)
class Plan:
    """A shard to be: its path below tokens/ and the pieces it is made of, in order."""

    path: str
    pieces: tuple[Piece, ...]


def fingerprint(selection: str, vocabulary: str, tokenize: settings.Tokenize, runs: int) -> str:
    return settings.fingerprint(
        selection,
        vocabulary,
        tokenize.shard_tokens,
        tokenize.run_documents,
        runs,
        settings.code(os.path.dirname(__file__), *_SOURCES),
        document.FORMAT,
        pa.__version__,
    )


@functools.cache
def load_vocabulary(path: str) -> Vocabulary:
    """Once a process."""
    return Vocabulary.load(path)


# --- encode -------------------------------------------------------------------------------------------------------


def encode(run: Run, job: Job, tick=no_tick) -> dict:
    """Write the token part of a run; returns its receipt with the pieces it holds."""
    path = job.token_part(run.number)
    if (made := _made(path, job)) is not None:
        return {"pieces": {str(run.number): made}, "runs": 1, "skipped": 1}
    vocabulary = load_vocabulary(job.vocabulary)
    kinds: dict[tuple[str, bool, int], _Kind] = {}
    for k, name in enumerate(run.parts):
        for text, key, row in _kept(name, job):
            kinds.setdefault(key, _Kind(vocabulary)).add(text, run.first + k, row)
    pieces: list[list] = []
    with storage.writing(path) as temporary:
        batches = [(key, b) for key in sorted(kinds) for b in kinds[key].batches(job.shard_tokens)]
        for (language, validation, copies), batch in batches:
            tokens = len(batch.column("tokens").values)
            pieces.append([language, copies, validation, run.number, len(pieces), len(batch), tokens])
        metadata = document.metadata(fingerprint=job.fingerprint, pieces=pieces)
        plan = shards.schema(shards.token_type(vocabulary.size), metadata)
        with pa.ipc.new_file(temporary, plan) as writer:
            for _, batch in batches:
                writer.write_batch(batch)
    return {"pieces": {str(run.number): pieces}, "runs": 1}


def _made(path: str, job: Job) -> list | None:
    """The pieces of a token part that is there already, made under the job's fingerprint."""
    try:
        with storage.open_read(path) as file:
            values = document.read_metadata(pa.ipc.open_file(file).schema)
    except (OSError, pa.ArrowInvalid):
        return None
    return values["pieces"] if values.get("fingerprint") == job.fingerprint else None


def _kept(name: str, job: Job) -> Iterator[tuple[bytes, tuple[str, bool, int], int]]:
    """(text in UTF-8, kind, row) of the selected documents of a part, documents and selection read in lock-step. Texts
    stay the bytes that they are: SentencePiece would encode strings again."""
    with storage.open_read(job.path("selection", name)) as file:
        chosen = pq.ParquetFile(file)
        aligned = document.read_metadata(pa.schema([], metadata=chosen.metadata.metadata)).get("aligned")
        table = chosen.read(["copies", "validation", "lines_out"])
    copies, validation = table["copies"].to_numpy(), table["validation"].to_numpy()
    gone = table["lines_out"].combine_chunks()
    fewer = gone.value_lengths().to_numpy(zero_copy_only=False) > 0
    with storage.open_read(job.path("documents", name)) as file:
        documents = pq.ParquetFile(file)
        made = document.read_metadata(pa.schema([], metadata=documents.metadata.metadata)).get("fingerprint")
        if made != aligned or documents.metadata.num_rows != len(copies):
            raise StepError(f"selection/{name} was made from other documents; run python -m pipeline select again")
        row = 0
        for batch in documents.iter_batches(_TEXTS, columns=["text", "language"], use_threads=False):
            rows = row + np.flatnonzero(copies[row : row + len(batch)])
            kept = batch.take(pa.array(rows - row))
            kinds = kept["language"].to_pylist(), validation[rows].tolist(), copies[rows].tolist()
            texts = kept["text"].cast(pa.binary()).to_pylist()
            for place, text, less, *kind in zip(rows.tolist(), texts, fewer[rows].tolist(), *kinds, strict=True):
                if less:
                    text = lines.leave_out(text.decode(), gone[place].as_py()).encode()
                yield text, tuple(kind), place
            row += len(batch)


class _Kind:
    """The encoded documents of one language, copies and split."""

    def __init__(self, vocabulary: Vocabulary):
        self.vocabulary = vocabulary
        self.texts: list[bytes] = []
        self.places: list[tuple[int, int]] = []
        self.tokens: list[np.ndarray] = []
        self.lengths: list[np.ndarray] = []

    def add(self, text: bytes, part: int, row: int) -> None:
        self.texts.append(text)
        self.places.append((part, row))
        if len(self.texts) >= _TEXTS:
            self._encode()

    def _encode(self) -> None:
        tokens, lengths = self.vocabulary.encode(self.texts)
        self.tokens.append(tokens)
        self.lengths.append(lengths)
        self.texts = []

    def batches(self, shard_tokens: int) -> Iterator[pa.RecordBatch]:
        """The documents as record batches, each a fraction of a shard, so that shards can be cut between them."""
        if self.texts:
            self._encode()
        tokens, lengths = np.concatenate(self.tokens), np.concatenate(self.lengths)
        ends = np.cumsum(lengths)
        parts, rows = np.array(self.places, np.uint32).T
        step, start = max(1, shard_tokens // _BATCHES_PER_SHARD), 0
        while start < len(lengths):
            begin = ends[start] - lengths[start]
            stop = max(start + 1, int(np.searchsorted(ends, begin + step, "right")))
            yield shards.batch(tokens[begin : ends[stop - 1]], lengths[start:stop], parts[start:stop], rows[start:stop])
            start = stop


# --- gather -------------------------------------------------------------------------------------------------------


def plan_shards(receipt: dict, shard_tokens: int) -> list[Plan]:
    """The shards that the pieces of all token parts make: pure in kind, in the order of the runs, about
    `shard_tokens` each."""
    found = (Piece(*p) for run in receipt.get("pieces", {}).values() for p in run)
    groups: dict[tuple[str, bool, int], list[list[Piece]]] = {}
    for piece in sorted(found, key=lambda p: (p.run, p.batch)):
        some = groups.setdefault(piece.kind, [[]])
        if some[-1] and sum(p.tokens for p in some[-1]) + piece.tokens > shard_tokens:
            some.append([])
        some[-1].append(piece)
    plans = []
    for (language, validation, copies), some in sorted(groups.items()):
        name = "validation" if validation else f"x{copies}"
        plans += [Plan(f"{language}/{name}-{n:05d}.arrow", tuple(g)) for n, g in enumerate(some)]
    return plans


def gather(plan: Plan, job: Job, tick=no_tick) -> dict:
    """Write one shard; returns its line of the manifest as a receipt."""
    path = job.path("tokens", plan.path)
    mark = settings.fingerprint(job.fingerprint, plan.path)
    if _shard_mark(path) != mark:
        _write_shard(plan, job, path, mark)
    with storage.open_read(path) as file:
        file.seek(0, os.SEEK_END)
        size = file.tell()
    first = plan.pieces[0]
    info = ShardInfo(
        plan.path,
        first.language,
        first.copies,
        first.validation,
        sum(p.documents for p in plan.pieces),
        sum(p.tokens for p in plan.pieces),
        size,
        shards.checksum(path),
    )
    return {"shards": {plan.path: {k: [v] for k, v in info.__dict__.items()}}, "tokens": info.tokens}


def _shard_mark(path: str) -> str:
    try:
        with storage.open_read(path) as file:
            return document.read_metadata(pa.ipc.open_file(file).schema).get("fingerprint", "")
    except (OSError, pa.ArrowInvalid):
        return ""


def _write_shard(plan: Plan, job: Job, path: str, mark: str) -> None:
    """The pieces one after the other, as one batch."""
    lengths, parts, rows = [], [], []

    def tokens() -> Iterator[np.ndarray]:
        for piece in plan.pieces:
            batch = _piece(job.token_part(piece.run), piece.batch, job.fingerprint)
            values, offsets = shards.flat(batch.column("tokens"))
            lengths.append(np.diff(offsets))
            parts.append(batch.column("part").to_numpy())
            rows.append(batch.column("row").to_numpy())
            yield values

    with storage.writing(path) as temporary:
        values = next(tokens()) if len(plan.pieces) == 1 else _joined(tokens())
        record = shards.batch(values, *(np.concatenate(x) for x in (lengths, parts, rows)))
        plan_ = record.schema.with_metadata(document.metadata(fingerprint=mark))
        with pa.ipc.new_file(temporary, plan_) as writer:
            writer.write_batch(record.replace_schema_metadata(plan_.metadata))


def _joined(arrays: Iterator[np.ndarray]) -> np.ndarray:
    """One array of several, in a scratch file that is mapped, so that the memory taken does not depend on its size."""
    with tempfile.TemporaryFile() as scratch:
        for values in arrays:
            values.tofile(scratch)
        scratch.flush()
        return np.memmap(scratch, values.dtype, "r") if scratch.tell() else values


def _piece(path: str, number: int, mark: str) -> pa.RecordBatch:
    if storage.is_remote(path):
        return pa.ipc.open_file(storage.open_read(path)).get_batch(number)
    return _mapped(path, mark).get_batch(number)


@functools.lru_cache(maxsize=4)
def _mapped(path: str, mark: str) -> pa.RecordBatchFileReader:
    """A token part with this fingerprint: to read what stands at its end takes longer than to read a batch."""
    return pa.ipc.open_file(pa.memory_map(path))


def manifest(receipt: dict, books: dict, job: Job) -> shards.Manifest:
    """The manifest from the receipts of all shards."""
    vocabulary = load_vocabulary(job.vocabulary)
    found = [ShardInfo(**{k: v[0] for k, v in values.items()}) for _, values in sorted(receipt["shards"].items())]
    return shards.Manifest(vocabulary.digest, vocabulary.size, job.fingerprint, tuple(found), books)


def clear(folder: str, keep: set[str]) -> None:
    """Remove what an earlier tokenize left and this one does not have."""
    tokens = storage.join(folder, "tokens")
    storage.remove(
        p
        for p in storage.list_files(tokens)
        if p.removeprefix(tokens + "/") not in keep and p.endswith((".arrow", shards.MANIFEST))
    )
