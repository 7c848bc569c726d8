"""Shards as they are needed: mapped from a local folder, or brought from a server into nameless files.

A shard's checksum is compared before its first token is used. At most FILES shards are mapped at a time. What comes
from gs://, s3:// or https:// is written to a file without a name, which the system takes back with the process however
that ends: nothing is left behind, nothing is locked, nothing is shared.
"""

import mmap
import tempfile
import threading
from collections import OrderedDict
from collections.abc import Iterable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor

import pyarrow as pa
import xxhash

from corpus import shards, storage
from corpus.shards import Shard, ShardError, ShardInfo

FILES = 256
"""Shards that are mapped at a time: beyond some 600 mappings systems begin to refuse."""

ROOM = 32 << 30
"""Bytes of local disk that shards from a server may take."""

_FETCHERS = 4
_BLOCK = 4 << 20


class Store:
    """The shards of a tokens folder, by number. vocabulary: ids that there are; a token beyond is an error.

    room: bytes on the disk for shards from a server, of which the least lately used go. Errors: ShardError.
    """

    def __init__(self, folder: str, infos: Sequence[ShardInfo], vocabulary: int, files: int = FILES, room: int = ROOM):
        self.folder, self.infos, self.vocabulary, self.files, self.room = folder, infos, vocabulary, files, room
        self.remote = storage.is_remote(folder)
        self.fetched = 0  # bytes, of all shards that came from the server
        self._open: OrderedDict[int, Future[Shard]] = OrderedDict()  # the least lately used first
        self._sound: set[int] = set()
        self._ready: dict[int, Shard] = {}  # where there is room for all of them, none is ever closed
        self._fits = len(infos) <= files and (not self.remote or sum(i.bytes for i in infos) <= room)
        self._lock = threading.Lock()
        self._pool: ThreadPoolExecutor | None = None

    def shard(self, number: int) -> Shard:
        """A shard, opened if it is not. One that is being fetched is waited for."""
        if (ready := self._ready.get(number)) is not None:
            return ready
        with self._lock:
            future, mine = self._open.get(number), False
            if future is None:
                future, mine = Future(), True
                self._put(number, future)
            self._open.move_to_end(number)
        try:
            if mine:
                future.set_result(self._opened(number))
            shard = future.result()
            if self._fits:
                self._ready[number] = shard
            return shard
        except BaseException as error:
            if mine:
                future.set_exception(error)
            with self._lock:  # so that another try is one
                self._open.pop(number, None)
            raise

    @property
    def is_checked(self) -> bool:
        """Whether the checksums of all shards were compared."""
        return len(self._sound) == len(self.infos)

    @property
    def is_whole(self) -> bool:
        """Whether all shards are open, and stay so."""
        return len(self._ready) == len(self.infos)

    def _put(self, number: int, future: "Future[Shard]") -> None:
        """A shard among the open ones, and others closed to make room; the lock is held."""
        self._open[number] = future
        taken = sum(self.infos[n].bytes for n in self._open) if self.remote else 0
        for other in list(self._open):
            if len(self._open) <= self.files and taken <= self.room:
                break
            if other != number and self._open[other].done():
                taken -= self.infos[other].bytes
                del self._open[other]

    def prefetch(self, numbers: Iterable[int]) -> None:
        """Have shards brought from the server, in this order, while others are used; as many as there is room for. Of a
        local folder, have those read that were not checked yet, several at a time."""
        room = self.room
        wanted: list[int] = []
        for number in numbers:
            if not self.remote and number in self._sound:
                continue
            room -= self.infos[number].bytes if self.remote else 0
            if room < 0 or len(wanted) >= self.files:
                break
            wanted.append(number)
        with self._lock:
            self._pool = self._pool or ThreadPoolExecutor(_FETCHERS, "shards")
            for number in wanted:
                if number not in self._open:
                    self._put(number, self._pool.submit(self._opened, number))
                self._open.move_to_end(number)

    def close(self) -> None:
        """Let go of all shards; what is being fetched is given up after its block."""
        if self._pool:
            self._pool.shutdown(wait=False, cancel_futures=True)
        with self._lock:
            self._open.clear()
            self._ready.clear()

    def _opened(self, number: int) -> Shard:
        path, known = storage.join(self.folder, self.infos[number].path), number in self._sound
        if self.remote:
            shard = shards.from_buffer(pa.py_buffer(self._fetched(number, path)), path, not known)
        else:
            if not known and shards.checksum(path) != self.infos[number].checksum:
                raise ShardError(f"{path}: damaged (checksum differs from the manifest); tokenize again")
            shard = shards.open_shard(path, not known)
        if not known:
            most = int(shard.tokens.max()) if len(shard.tokens) else 0
            if len(shard.tokens) != self.infos[number].tokens or most >= self.vocabulary:
                raise ShardError(f"{path}: does not hold what the manifest says; tokenize again")
            self._sound.add(number)
        return shard

    def _fetched(self, number: int, path: str) -> mmap.mmap:
        """A shard's file, copied from the server and mapped; its checksum is that of the manifest. One that came with
        another is asked for once more: the way may have damaged it, not the server."""
        digest = ""
        for _ in range(2):
            try:
                found, digest = storage.retry(lambda: _copy(path))
            except OSError as error:
                raise ShardError(f"{path}: {error.strerror or error}; look at the server, then go on") from None
            if digest == self.infos[number].checksum:
                break
        else:
            raise ShardError(f"{path}: damaged (checksum differs from the manifest); copy it again, or tokenize")
        self.fetched += self.infos[number].bytes
        return found


def _copy(path: str) -> tuple[mmap.mmap, str]:
    """(a file's bytes in a nameless one, mapped; their XXH3-128)."""
    digest = xxhash.xxh3_128()
    with tempfile.TemporaryFile() as file, storage.open_read(path) as source:
        while block := source.read(_BLOCK):
            digest.update(block)
            file.write(block)
        file.flush()
        return mmap.mmap(file.fileno(), 0, prot=mmap.PROT_READ), digest.hexdigest()
