"""The token shard and the manifest: schema, writer, reader, checksums.

A shard is an Arrow IPC *file* of one record batch, one row a document: `tokens: list<uint16 | uint32>`, `part`,
`row` (the document's address). It is not compressed, so that it maps into memory without a copy: the values buffer
of `tokens` is the flat array of all tokens, its offsets are the documents' boundaries. Shards are pure in language,
copies and split. The manifest is written last; a folder without one is not finished.
"""

import dataclasses
import json
import os
from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np
import pyarrow as pa

from corpus import storage
from corpus.document import FORMAT
from corpus.terminal import UserError

MANIFEST = "manifest.json"


class ShardError(UserError):
    """A shard or manifest that cannot be used: place, fact and fix in one line."""


@dataclass(frozen=True)
class ShardInfo:
    """One line of the manifest. `path` is relative to the tokens folder."""

    path: str
    language: str
    copies: int  # an epoch sees each of its windows so often
    validation: bool
    documents: int
    tokens: int
    bytes: int
    checksum: str  # XXH3-128 of the file


@dataclass(frozen=True)
class Manifest:
    """What a tokens folder holds. Tokens are ids of the vocabulary with this digest."""

    vocabulary: str  # SHA-256 of spm.model
    vocabulary_size: int
    fingerprint: str
    shards: tuple[ShardInfo, ...] = ()
    books: dict = field(default_factory=dict)

    @property
    def dtype(self) -> np.dtype:
        return token_type(self.vocabulary_size)

    def languages(self, validation: bool = False) -> dict[str, int]:
        """Tokens per language as they lie on disk, one of the two splits."""
        amounts: dict[str, int] = {}
        for shard in self.shards:
            if shard.validation == validation:
                amounts[shard.language] = amounts.get(shard.language, 0) + shard.tokens
        return amounts


def token_type(vocabulary_size: int) -> np.dtype:
    """uint16 while all ids fit, else uint32."""
    return np.dtype(np.uint16 if vocabulary_size <= 1 << 16 else np.uint32)


def schema(dtype: np.dtype, metadata: dict[bytes, bytes] | None = None) -> pa.Schema:
    return pa.schema(
        [
            pa.field("tokens", pa.list_(pa.field("item", pa.from_numpy_dtype(dtype), nullable=False))),
            pa.field("part", pa.uint32()),
            pa.field("row", pa.uint32()),
        ],
        metadata=metadata,
    )


def batch(tokens: np.ndarray, lengths: np.ndarray, parts: np.ndarray, rows: np.ndarray) -> pa.RecordBatch:
    """The record batch of a shard. tokens: flat (n,), uint16 or uint32; lengths, parts, rows: (documents,)."""
    if len(tokens) >= 1 << 31:
        raise ShardError(f"a shard of {len(tokens):,} tokens; Arrow lists end at 2^31, lower --shard-tokens")
    offsets = np.zeros(len(lengths) + 1, np.int32)
    np.cumsum(lengths, out=offsets[1:])
    plan = schema(tokens.dtype)
    values = pa.Array.from_buffers(plan.field("tokens").type.value_type, len(tokens), [None, pa.py_buffer(tokens)])
    column = pa.Array.from_buffers(
        plan.field("tokens").type, len(lengths), [None, pa.py_buffer(offsets)], children=[values]
    )
    return pa.record_batch([column, pa.array(parts, pa.uint32()), pa.array(rows, pa.uint32())], schema=plan)


@dataclass(frozen=True)
class Shard:
    """A mapped shard: views into the file, nothing is copied.

    tokens: (n,) uint16 or uint32. offsets: (documents + 1,) int32, document d is tokens[offsets[d]:offsets[d + 1]].
    parts, rows: (documents,) uint32.
    """

    tokens: np.ndarray
    offsets: np.ndarray
    parts: np.ndarray
    rows: np.ndarray


def flat(column: pa.ListArray) -> tuple[np.ndarray, np.ndarray]:
    """(values, offsets) of a token column that is not sliced, as views."""
    return column.values.to_numpy(zero_copy_only=True), column.offsets.to_numpy(zero_copy_only=True)


def open_shard(path: str, validate: bool = True) -> Shard:
    """Map a local shard. `validate`: see whether its offsets are sound, which reads all of them. Errors: ShardError."""
    try:
        source = pa.memory_map(path)
    except (pa.ArrowException, OSError) as error:
        raise ShardError(f"{path}: {str(error).splitlines()[0]}; tokenize again") from None
    return from_buffer(source, path, validate)


def from_buffer(source: pa.NativeFile | pa.Buffer, path: str, validate: bool = True) -> Shard:
    """The shard in a mapped file or a buffer. path: for messages. Errors: ShardError."""
    try:
        table = pa.ipc.open_file(source)
        if table.num_record_batches != 1:
            raise ShardError(f"{path}: {table.num_record_batches} record batches instead of one; tokenize again")
        if table.schema not in (schema(np.dtype(np.uint16)), schema(np.dtype(np.uint32))):
            raise ShardError(f"{path}: not the columns of a token shard; tokenize again")
        record = table.get_batch(0)
        if validate:
            record.validate(full=True)
    except (pa.ArrowException, OSError, UnicodeDecodeError) as error:
        raise ShardError(f"{path}: {str(error).splitlines()[0]}; tokenize again") from None
    tokens, offsets = flat(record.column("tokens"))
    return Shard(tokens, offsets, record.column("part").to_numpy(), record.column("row").to_numpy())


def checksum(path: str) -> str:
    """XXH3-128 of a file's bytes."""
    import xxhash

    digest = xxhash.xxh3_128()
    with storage.open_read(path) as file:
        while block := file.read(4 << 20):
            digest.update(block)
    return digest.hexdigest()


def write_manifest(folder: str, manifest: Manifest) -> None:
    values = {"format": FORMAT, **dataclasses.asdict(manifest)}
    storage.write(storage.join(folder, MANIFEST), json.dumps(values, indent=1, sort_keys=True) + "\n")


def read_manifest(folder: str) -> Manifest:
    """The manifest of a tokens folder. Errors: ShardError."""
    path = storage.join(folder, MANIFEST)
    try:
        values = dict(json.loads(storage.read(path)))
        if values.pop("format") != FORMAT:
            raise ShardError(f"{path}: of another format version; tokenize again")
        shards = tuple(ShardInfo(**s) for s in values.pop("shards"))
        return Manifest(**values, shards=shards)
    except FileNotFoundError:
        raise ShardError(f"{path}: not there, so no finished tokens; run python -m pipeline tokenize") from None
    except (ValueError, KeyError, TypeError) as error:
        raise ShardError(f"{path}: not readable ({error}); tokenize again") from None


def verify(folder: str, manifest: Manifest, contents: bool = True) -> Iterator[str]:
    """What is wrong with a tokens folder, a line each: missing, damaged and extra shards.

    `contents`: read every byte and compare checksums; otherwise only names and sizes.
    """
    for path in sorted(_beyond(folder, {shard.path for shard in manifest.shards})):
        yield f"{path}: not in the manifest"
    for shard in manifest.shards:
        full = storage.join(folder, shard.path)
        try:
            size = _size(full)
            if size not in (shard.bytes, -1):
                yield f"{shard.path}: {size} bytes instead of {shard.bytes}"
            elif contents and checksum(full) != shard.checksum:
                yield f"{shard.path}: damaged (checksum differs)"
        except FileNotFoundError:
            yield f"{shard.path}: missing"


def _beyond(folder: str, expected: set[str]) -> set[str]:
    """Shards in a folder that are not expected; a web server tells of none."""
    if storage.is_http(folder):
        return set()
    return {os.path.relpath(p, folder) for p in storage.list_files(folder) if p.endswith(".arrow")} - expected


def _size(path: str) -> int:
    """Bytes; -1: the server does not tell."""
    return storage.stat(path).size if storage.is_remote(path) else os.path.getsize(path)
