"""fastText's model files: fetch one, tell whether it is whole, load it.

The library reads a cut file without a word and then answers nonsense, so the file is walked through first: header,
dictionary and matrices say how long it has to be. (Layout: Args, Dictionary, DenseMatrix, QuantMatrix and
ProductQuantizer `save` of fastText 0.9, file version 12.)
"""

import contextlib
import hashlib
import mmap
import os
import shutil
import struct
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import regex

from corpus import storage
from corpus.terminal import UserError

MAGIC, VERSION = 793712314, 12
_CENTROIDS = 256
_RAW = regex.compile(r"[\p{Lu}\p{N}\p{P}]")


class Damaged(Exception):
    """The file is no whole fastText model; the message says why."""


@dataclass(frozen=True)
class Model:
    """`predict(text + "\\n", k, threshold, "strict")` -> [(probability, label), ...], best first; does not pickle.
    `normalised`: it was trained on lower-case text without digits and punctuation."""

    predict: Callable[[str, int, float, str], list[tuple[float, str]]]
    digest: str
    normalised: bool


class _Walk:
    """A position in the bytes of a model file."""

    def __init__(self, data):
        self.data, self.at = data, 0

    def skip(self, count: int) -> None:
        if count < 0 or self.at + count > len(self.data):
            raise Damaged("it ends too early")
        self.at += count

    def take(self, layout: str) -> tuple:
        start = self.at
        self.skip(struct.calcsize("<" + layout))
        return struct.unpack_from("<" + layout, self.data, start)

    def entries(self, count: int) -> list[bytes]:
        """The dictionary's first words; the position moves behind all `count` entries."""
        kept = []
        for place in range(count):
            end = self.data.find(b"\0", self.at)
            if end < 0:
                raise Damaged("it ends inside its dictionary")
            if place < 20_000:
                kept.append(self.data[self.at : end])
            self.at = end
            self.skip(10)  # the zero byte, a count (int64), a type (int8)
        return kept

    def quantizer(self) -> None:
        dim, *_ = self.take("4i")
        self.skip(dim * _CENTROIDS * 4)

    def matrix(self, quantized: bool) -> None:
        if not quantized:
            rows, columns = self.take("2q")
            self.skip(rows * columns * 4)
            return
        with_norms, rows, _, size = self.take("?2qi")
        self.skip(size)
        self.quantizer()
        if with_norms:
            self.skip(rows)
            self.quantizer()


def examine(data) -> bool:
    """Walk through the bytes of a model; True if it knows only normalised words. Error: Damaged."""
    walk = _Walk(data)
    magic, version = walk.take("2i")
    if magic != MAGIC or not 11 <= version <= VERSION:
        raise Damaged("it is no fastText model")
    arguments = walk.take("12id")
    if arguments[7] != 3:
        raise Damaged("it is no classifier (its kind is not 'supervised')")
    size, words, labels, _, pruned = walk.take("3i2q")
    if labels < 1 or size != words + labels:
        raise Damaged("it has no labels")
    names = walk.entries(size)[:words]
    walk.skip(8 * max(0, pruned))
    walk.matrix(*walk.take("?"))
    walk.matrix(*walk.take("?"))
    if walk.at != len(data):
        raise Damaged(f"{len(data) - walk.at:,} bytes follow its end")
    return not any(_RAW.search(name.decode("utf-8", "replace")) for name in names if name != b"</s>")


def load(path: str) -> Model:
    """The model in a local or remote file. What cannot be read or is not whole is the user's mistake."""
    try:
        with _local(path) as local:
            return _load(local)
    except Damaged as error:
        raise UserError(f"{storage.redact(path)}: not a whole fastText model: {error}; fetch the file again") from None
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise UserError(f"{storage.redact(path)}: {reason}; give a fastText .bin or .ftz file that exists") from None


@contextlib.contextmanager
def _local(path: str) -> Iterator[str]:
    """A local path to the file; a remote one is copied for the time of the block."""
    if not storage.is_remote(path):
        yield path
        return
    with tempfile.TemporaryDirectory() as folder:
        local = os.path.join(folder, "model.bin")
        with storage.open_read(path) as source, open(local, "wb") as target:
            shutil.copyfileobj(source, target, 8 << 20)
        yield local


def _load(path: str) -> Model:
    import fasttext

    with open(path, "rb") as file:
        if os.fstat(file.fileno()).st_size < 8:
            raise Damaged("it ends too early")
        with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
            normalised = examine(data)
            digest = hashlib.sha256(data).hexdigest()
    try:
        predict = fasttext.load_model(path).f.predict
    except ValueError as error:
        raise Damaged(str(error).replace(path, "").strip()) from None
    answer = predict("the quick brown fox\n", 1, 0.0, "strict")
    if len(answer) != 1 or not 0.0 <= answer[0][0] <= 1.001:
        raise Damaged("its answer to a trial is no probability")
    return Model(predict, digest, normalised)
