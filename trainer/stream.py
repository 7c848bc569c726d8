"""Token shards -> windows, in an order that is a formula: no shuffle buffer, no index file, no shared memory.

The position in the stream is one integer, the global sample index. It alone decides which window comes (a seeded
bijection, so resuming costs nothing and any number of processes sees the same global batches) and which masks and
samples it gets (masking.py).

A shard is looked at as a ring of slots: every document has OVERHEAD slots for its special tokens, then its tokens.
A window covers `sequence - OVERHEAD` slots, so that the document that was cut by the window's left edge finds room
for special tokens too: no token is ever lost. Each pass over a shard (copies, epochs) starts at another slot.
"""

import bisect
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from corpus import storage
from corpus.shards import Manifest, Shard, ShardError, ShardInfo
from corpus.terminal import UserError
from trainer import _windows, order, store, weights
from trainer.order import Places, Pool
from trainer.order import key as key
from trainer.order import permute as permute
from trainer.order import scramble as scramble
from trainer.weights import BLOCK as BLOCK
from trainer.weights import Weights, capped

PAD, UNK, CLS, SEP, MASK = range(5)  # as tokenizer.vocabulary.SPECIALS has them

OVERHEAD = 3  # [CLS] A [SEP] B [SEP]

LAYOUTS = ("packed", "document", "plain")
"""packed: documents one after the other, none sees another, no padding but where one is cut. document: one window a
document and epoch, of a long one a stretch drawn anew each time. plain: tokens alone, as they lie, `plain()`."""


@dataclass(frozen=True)
class Span:
    """A run of tokens of one document that stands in a window, led back to the document's address."""

    path: str  # shard
    document: int  # in the shard
    part: int
    row: int
    start: int  # token in the document
    stop: int


@dataclass(frozen=True)
class Windows:
    """A batch of windows; B windows of S tokens. A window holds one sequence or several, each with a [CLS] of its own
    and positions from 0; sequences do not see each other.

    tokens, positions: (B, S) int32. sequences: (B, S) int16, number of the sequence in its window from 1, 0 is
    padding. types: (B, S) int8, 1 in a second segment. pairs: (P,) int64, flat places b * S + s of the [CLS] of each
    sequence with two segments. swapped: (P,) bool, whether its segments changed places.
    """

    tokens: np.ndarray
    sequences: np.ndarray
    positions: np.ndarray
    types: np.ndarray
    pairs: np.ndarray
    swapped: np.ndarray
    languages: tuple[str, ...]


def slots(info: ShardInfo) -> int:
    return info.tokens + OVERHEAD * info.documents


def pieces(offsets: np.ndarray, begin: int, length: int) -> list[tuple[int, int, int]]:
    """(document, first token, end) in the shard's flat array for `length` slots of the ring from `begin`."""
    total = int(offsets[-1]) + OVERHEAD * (len(offsets) - 1)
    if begin + length > total:
        return pieces(offsets, begin, total - begin) + pieces(offsets, 0, begin + length - total)
    found = []
    document = bisect.bisect_right(range(len(offsets)), begin, key=lambda d: int(offsets[d]) + OVERHEAD * d) - 1
    while document < len(offsets) - 1:
        shift = OVERHEAD * (document + 1)  # token t of this document lies in slot t + shift
        first = max(int(offsets[document]), begin - shift)
        end = min(int(offsets[document + 1]), begin + length - shift)
        if end > first:
            found.append((document, first, end))
        if int(offsets[document + 1]) + shift >= begin + length:
            break
        document += 1
    return found


class Stream:
    """The windows of one split of a tokens folder, local or remote.

    sentence_end: (vocabulary,) bool. A sequence of SHORTEST_PAIR (32) tokens or more is cut in two behind a sentence
    end, near the middle. order: in half of these sequences what is before and behind the cut changes places; the first
    and the last sentences, which the window may have cut, do not. The three places are those farthest apart behind
    which sentences end in the same tokens, so that no seam tells. weights: language -> share of the samples, or
    Weights; None or empty: every window of every copy once an epoch. samples: of the whole run, for caps on epochs.
    files, room: see store.Store; where not all shards are had at a time, they are mixed in groups. Errors: ShardError,
    UserError.
    """

    def __init__(
        self,
        folder: str,
        manifest: Manifest,
        sequence: int,
        sentence_end: np.ndarray,
        *,
        seed: int = 0,
        weights: Mapping[str, float] | Weights | None = None,
        samples: int = 0,
        validation: bool = False,
        order: bool = True,
        layout: str = "packed",
        files: int = store.FILES,
        room: int = store.ROOM,
    ):
        self.folder, self.sequence, self.seed, self.order, self.layout = folder, sequence, seed, order, layout
        self.sentence_end = np.ascontiguousarray(sentence_end, np.uint8)
        self.infos = sorted((s for s in manifest.shards if s.validation == validation and s.tokens), key=_path)
        self.size = manifest.vocabulary_size
        _check(folder, self.infos, sequence, validation)
        self.weights = weights if isinstance(weights, Weights) else Weights(((0, weights),)) if weights else None
        self.width = sequence if layout == "plain" else sequence - OVERHEAD
        self.store = store.Store(folder, self.infos, self.size, files, room)
        self._languages = np.array([i.language for i in self.infos])
        if self.weights and samples:
            self.weights = capped(self.weights, {k: p.windows for k, p in self.pools.items()}, samples)
        self._tokens: tuple[np.ndarray, ...] | None = None  # of all shards, once all are open for good

    @cached_property
    def pools(self) -> dict[str, Pool]:
        """One pool a language."""
        members = {k: np.flatnonzero(self._languages == k).tolist() for k in sorted(set(self._languages.tolist()))}
        most = self._together({k: [self.infos[n].bytes for n in some] for k, some in members.items()})
        return {k: self._pool(some, key(self.seed, n), most) for n, (k, some) in enumerate(members.items())}

    @cached_property
    def everything(self) -> Pool:
        return self._pool(range(len(self.infos)), self.seed, self._together({"": [i.bytes for i in self.infos]}))

    def _together(self, sizes: dict[str, list[int]]) -> int:
        return order.together(sizes, self.store.files, self.store.room if self.store.remote else 1 << 62)

    def _pool(self, numbers: Sequence[int], seed: int, most: int) -> Pool:
        infos = [self.infos[n] for n in numbers]
        if self.layout == "document":
            return Pool(infos, numbers, [i.documents for i in infos], 0, seed, most)
        return Pool(
            infos, numbers, [i.tokens if self.layout == "plain" else slots(i) for i in infos], self.width, seed, most
        )

    @cached_property
    def pattern(self) -> weights.Pattern:
        assert self.weights is not None
        return weights.Pattern(self.weights, self.seed)

    @cached_property
    def _weighted(self) -> order.Together:
        return order.Together([self.pools[k] for k in self.pattern.languages])

    def places(self, index: np.ndarray) -> Places:
        """index: (n,) int64 global sample indices."""
        if self.weights is None:
            found = self.everything.places(index)
            ends = [(self.everything, int(index[-1]))] if len(index) else []
        else:
            which, own = self.pattern.at(index)
            found = self._weighted.places(which, own)
            last = dict(zip(which.tolist(), own.tolist(), strict=True)) if self.store.remote else {}
            ends = [(self._weighted.pools[pool], sample) for pool, sample in sorted(last.items())]
        if self.store.remote:
            self._fetch(np.unique(found.shard).tolist(), ends)
        elif not self.store.is_checked:
            self.store.prefetch(np.unique(found.shard).tolist())
        return found

    def _fetch(self, now: list[int], ends: list[tuple[Pool, int]]) -> None:
        """Bring the shards of a batch, then those of the group in which each pool stands, then of the next groups."""
        each = [pool.ahead(sample) for pool, sample in ends]
        longest = max(map(len, each), default=0)
        after = [some[k] for k in range(longest) for some in each if k < len(some)]
        self.store.prefetch(dict.fromkeys(now + after))

    def shard(self, number: int) -> Shard:
        """The mapped shard; its checksum is compared when it is used for the first time."""
        return self.store.shard(number)

    def batch(self, index: np.ndarray) -> Windows:
        """The windows of these samples."""
        return self.windows(self.places(index), order.keys(self.seed, index, 2))

    def windows(self, places: Places, coins: Sequence[int] | np.ndarray) -> Windows:
        """The windows at these places; a sequence's segments change places by a bit of its window's coin."""
        shape = (len(places), self.sequence)
        kinds = (np.int32, np.int16, np.int32, np.int8)
        tokens, sequences, positions, types = (np.zeros(shape, kind) for kind in kinds)
        flips = np.array(coins, np.uint64)
        found = [np.zeros((0, 2), np.int64)]
        for number in np.unique(places.shard).tolist():
            rows = np.flatnonzero(places.shard == number)
            shard = self.shard(number)
            begins, lengths = self._slots(shard, places[rows])
            made = _windows.fill(
                shard.tokens, shard.tokens.itemsize, shard.offsets, self.sentence_end, rows, begins, lengths,
                flips[rows], self.order, self.sequence, len(places),
                tokens, sequences, positions, types,
            )  # fmt: skip
            found.append(np.frombuffer(made, np.int64).reshape(-1, 2))
        pairs = np.concatenate(found)
        pairs = pairs[np.argsort(pairs[:, 0])]
        languages = tuple(self._languages[places.shard].tolist())
        return Windows(tokens, sequences, positions, types, pairs[:, 0], pairs[:, 1].astype(bool), languages)

    def _slots(self, shard: Shard, places: Places) -> tuple[np.ndarray, np.ndarray]:
        """(begins, lengths) in the shard's ring. With one window a document, places hold a document and a number."""
        if self.layout != "document":
            return places.begin, places.length
        first, tokens = shard.offsets[places.begin].astype(np.int64), np.diff(shard.offsets)[places.begin]
        length = np.minimum(tokens, self.width)
        drawn = order.keys(places.length, places.begin) % (tokens - length + 1).astype(np.uint64)
        return first + OVERHEAD * (places.begin + 1) + drawn.astype(np.int64), length.astype(np.int64)

    def plain(self, index: np.ndarray) -> np.ndarray:
        """Tokens as they lie, (B, sequence) uint16 or uint32; nothing tells where documents end. Layout `plain`."""
        places = self.places(index)
        which = places.shard
        if self._tokens is None and self.store.is_whole:
            self._tokens = tuple(self.shard(number).tokens for number in range(len(self.infos)))
        tokens = self._tokens
        if tokens is None:
            numbers, which = np.unique(places.shard, return_inverse=True)
            tokens = tuple(self.shard(number).tokens for number in numbers.tolist())
        kind = tokens[0].dtype if tokens else np.dtype(np.uint16)
        found = np.empty((len(index), self.sequence), kind)
        _windows.gather(tokens, kind.itemsize, which, places.begin, self.sequence, found)
        return found

    def trace(self, index: int) -> list[Span]:
        """From which documents the window of a sample is, in the order in which they stand in it."""
        return self.spans(self.places(np.array([index])))

    def spans(self, places: Places) -> list[Span]:
        """The same for one place."""
        shard, path = self.shard(int(places.shard[0])), self.infos[int(places.shard[0])].path
        begins, lengths = self._slots(shard, places)
        return [
            Span(path, d, int(shard.parts[d]), int(shard.rows[d]), a - int(shard.offsets[d]), b - int(shard.offsets[d]))
            for d, a, b in pieces(shard.offsets, int(begins[0]), int(lengths[0]))
        ]


def _path(info: ShardInfo) -> str:
    return info.path


def _check(folder: str, infos: Sequence[ShardInfo], sequence: int, validation: bool) -> None:
    """Names and sizes of local shards; contents are checked on first use."""
    if sequence < 16:
        raise UserError(f"--sequence: {sequence} tokens are no window; give 16 or more")
    split = "validation" if validation else "training"
    if not infos:
        raise UserError(f"{folder}: no {split} shards; run python -m pipeline tokenize on more documents")
    tokens = sum(i.tokens for i in infos)
    if not validation and tokens < sequence:
        raise UserError(f"{folder}: {tokens} tokens do not fill a window of {sequence}; lower --sequence or add text")
    for info in infos if not storage.is_remote(folder) else []:
        path = storage.join(folder, info.path)
        size = os.path.getsize(path) if os.path.exists(path) else -1
        if size != info.bytes:
            found = "missing" if size < 0 else f"{size} bytes instead of {info.bytes}"
            raise ShardError(f"{path}: {found}; tokenize again")
