"""The table model: which language of its script a text is most like, by the n-grams of its words.

Multinomial naive Bayes over hashed n-grams of 1 to 4 characters inside words (edges marked) and whole words. Each
label's counts are smoothed toward the mean over the labels of its script, so that what a label never showed costs it a
constant and only seen pairs are stored: a byte each, in rows that are added up. A text far less like every label
than like the mean of all is in no known language. Whole numbers throughout: every machine gives the same answer.
"""

import contextlib
import functools
import hashlib
import itertools
import json
import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np
import zstandard

from corpus import storage
from pipeline import _language, words

SCRIPTS = ("Zyyy", *sorted({*words.SCRIPTS[1:], "Jpan", "Kore"}))
"""Scripts in the order of their ids in the tables: Zyyy is 0, the others by name, so that the first of equals wins, as
in `words.main_script`."""
STEP = 0.18
"""What 1 in a weight says: a difference of log probability."""
MAX_WEIGHT, BLOCK = 63, 64
"""Bounds of the compiled half: four weights fit in a byte, rows are padded to a multiple of BLOCK."""
POINT = (1 << 21) - 1
"""The bits of `fold` that hold the code point; its script stands above them."""
DECAY = 64
"""Steps of the table of exp(-x) in 1."""
SHARE = 65536
"""A probability of 1 in the compiled half's whole numbers."""


class Ranked(NamedTuple):
    """A row of `rank`. script: number in SCRIPTS of the main one; letters and marks, characters but spaces, signs of
    code; runs of letters, letters of unspaced scripts; features: n-grams; first, second: the two best labels (-1:
    none); share, other: their probabilities; purity: the main script's part of the letters, these three in parts of
    SHARE."""

    script: int
    letters: int
    visible: int
    code: int
    runs: int
    unspaced: int
    features: int
    first: int
    second: int
    share: int
    other: int
    purity: int


FIELDS = Ranked._fields

MAGIC, CHANGE, MAX_BYTES = "crawlmill language model 2", "crawlmill language change 1", 1 << 28
GUEST_LETTERS = 2
"""Letters of any script count for so many Latin ones when it is told which script a text is in: Latin names, brands and
commands stand in texts of all scripts, others seldom in Latin text."""
_ALONE = {"Jpan": "Jpan Hani Hira Kana", "Kore": "Kore Hang Hani", "Hani": "Hani Bopo"}
"""Scripts that are written with the letters of several."""


class Damaged(Exception):
    """The file is no whole table model; the message says why."""


class Terms(NamedTuple):
    """What holds for all scripts. scale, half: a difference of d 256ths over n features is worth
    d * scale / (half + n) / 256 / DECAY in the exponent of a probability; ground: see the compiled half; guest, most:
    no word speaks against a label by more than `most` 256ths beyond what it does against `guest`, whose words stand in
    texts of every language of its script."""

    scale: int
    half: int
    ground: int
    guest: str = ""
    most: int = 0


@dataclass(frozen=True)
class Model:
    """labels: in the order of `rank`'s numbers; tables: (64, 7) int64, a row a script: bit set of the scripts whose
    letters count, offset in weights, log2 of the buckets, length of a row, labels, first label, number of the guest
    among them or -1; biases: (labels, 2) int32, 256ths of a STEP that a feature costs and that a label has from the
    start."""

    labels: tuple[str, ...]
    tables: np.ndarray
    weights: np.ndarray
    biases: np.ndarray
    terms: Terms
    digest: str = ""

    def rank(self, points: np.ndarray, spans: np.ndarray | list[tuple[int, int]]) -> np.ndarray:
        """(texts, len(FIELDS)) int32 about pieces of a text in NFC. points: words.codes(text); spans: (texts, 2)."""
        spans = np.ascontiguousarray(spans, np.int64).reshape(-1, 2)
        tables = (fold(), words.classes(), _weights(), self.tables, self.weights, self.biases, _decay())
        own = (self.terms.scale, self.terms.half, self.terms.ground, self.terms.most)
        raw = _language.rank(points, spans, *tables, *own)
        return np.frombuffer(raw, np.int32).reshape(-1, len(FIELDS))

    def rank_texts(self, texts: Iterable[str]) -> np.ndarray:
        """`rank` of whole texts in NFC."""
        texts = list(texts)
        ends = list(itertools.accumulate(len(text) + 1 for text in texts))
        spans = [(end - len(text) - 1, end - 1) for end, text in zip(ends, texts, strict=True)]
        return self.rank(words.codes("\n".join(texts)), spans)


def build(parts: dict[str, tuple[list[str], int, np.ndarray, np.ndarray]], terms: Terms) -> Model:
    """A model from, for each script, its labels, log2 of the buckets, (buckets, labels) uint8 weights and (labels, 2)
    int32 biases. A script with one label needs no weights."""
    tables = np.zeros((64, 7), np.int64)
    tables[:, 2] = 1
    tables[:, 6] = -1
    labels: list[str] = []
    rows, offset = [np.zeros(0, np.uint8)], 0
    for script in sorted(parts):
        names, bits, weights, _ = parts[script]
        wide = -(-len(names) // BLOCK) * BLOCK if len(names) > 1 else 0
        guest = names.index(terms.guest) if terms.guest in names else -1
        tables[SCRIPTS.index(script)] = letters_of(script), offset, bits, wide, len(names), len(labels), guest
        if wide:
            rows.append(np.pad(weights, ((0, 0), (0, wide - len(names)))).ravel())
            offset += len(rows[-1])
        labels += names
    biases = np.concatenate([parts[script][3] for script in sorted(parts)]).astype(np.int32)
    return Model(tuple(labels), tables, np.concatenate(rows), biases, terms)


def write(path: str, model: Model) -> str:
    """The model as a file: a line of JSON and the weights without their padding, zstd. Returns its SHA-256."""
    head: dict = {"magic": MAGIC, **model.terms._asdict(), "scripts": {}}
    weights = []
    for script, (_, offset, bits, wide, count, first, _) in zip(SCRIPTS, model.tables.tolist(), strict=False):
        if count:
            names, biases = model.labels[first : first + count], model.biases[first : first + count].tolist()
            head["scripts"][script] = {"labels": names, "bits": bits, "biases": biases}
        if wide:
            weights.append(model.weights[offset : offset + (wide << bits)].reshape(-1, wide)[:, :count].tobytes())
    data = json.dumps(head, separators=(",", ":")).encode() + b"\n" + b"".join(weights)
    data = zstandard.ZstdCompressor(level=16).compress(data)
    storage.write(path, data)
    return hashlib.sha256(data).hexdigest()


def is_model(path: str) -> bool:
    """Whether a file (local or remote) begins like a table model, not like fastText's."""
    with storage.open_read(path) as file:
        return file.read(4) == zstandard.FRAME_HEADER


def write_change(path: str, old: Model, new: Model) -> str:
    """What makes `new` of `old`, which has the same labels: biases and columns of weights that differ, zstd. A model
    that is shipped grows better by a file a twentieth of its size. Returns its SHA-256."""
    biases = [[k, *new.biases[k].tolist()] for k in np.flatnonzero((old.biases != new.biases).any(1)).tolist()]
    pairs = ((k, column(old, k), column(new, k)) for k in range(len(old.labels)))
    columns = {k: after - before for k, before, after in pairs if (after != before).any()}
    head = {"magic": CHANGE, "of": old.digest, "biases": biases, "columns": list(columns)}
    data = json.dumps(head, separators=(",", ":")).encode() + b"\n" + b"".join(c.tobytes() for c in columns.values())
    data = zstandard.ZstdCompressor(level=19).compress(data)
    storage.write(path, data)
    return hashlib.sha256(data).hexdigest()


def changed(model: Model, path: str) -> Model:
    """A model as a file of `write_change` makes it; its digest is one of both files'. Error: Damaged."""
    data = storage.read(path)
    new = replace(model, weights=model.weights.copy(), biases=model.biases.copy())
    with _told():
        head, body = _parted(data, CHANGE)
        if head["of"] != model.digest:
            raise Damaged("it changes another model")
        for number, *bias in head["biases"]:
            new.biases[number] = bias
        for number in head["columns"]:
            weights = column(new, number)
            weights += np.frombuffer(body, np.uint8, len(weights))
            body = body[len(weights) :]
    return replace(
        new, digest=hashlib.sha256(f"{model.digest} {hashlib.sha256(data).hexdigest()}".encode()).hexdigest()
    )


def column(model: Model, number: int) -> np.ndarray:
    """A view of the weights of the number-th label, (buckets,) uint8; empty if it is alone in its script."""
    for _, offset, bits, wide, count, first, _ in model.tables.tolist():
        if first <= number < first + count:
            rows = model.weights[offset : offset + (wide << bits)].reshape(-1, max(1, wide))
            return rows[:, number - first if wide else 0]
    raise IndexError(number)


def read(path: str) -> Model:
    """The model in a file. Error: Damaged."""
    data = storage.read(path)
    with _told():
        head, body = _parted(data, MAGIC)
        parts, at = {}, 0
        for script, part in head["scripts"].items():
            labels, bits = part["labels"], part["bits"]
            size = len(labels) << bits if len(labels) > 1 else 0
            weights = np.frombuffer(body, np.uint8, size, at).reshape(-1, len(labels))
            parts[script] = (labels, bits, weights, np.array(part["biases"], np.int32))
            at += size
        model = build(parts, Terms(*(head[name] for name in Terms._fields)))
    return replace(model, digest=hashlib.sha256(data).hexdigest())


def _parted(data: bytes, magic: str) -> tuple[dict, bytes]:
    """The line of JSON and the rest of a file."""
    line, _, body = zstandard.ZstdDecompressor().decompress(data, MAX_BYTES).partition(b"\n")
    head = json.loads(line)
    if head.get("magic") != magic:
        raise Damaged("it is of another kind or version")
    return head, body


@contextlib.contextmanager
def _told() -> Iterator[None]:
    """What goes wrong with a file's content is Damaged."""
    try:
        yield
    except (zstandard.ZstdError, ValueError, LookupError, TypeError, AttributeError) as error:
        raise Damaged(f"it cannot be read ({type(error).__name__})") from None


@functools.cache
def fold() -> np.ndarray:
    """(0x110000,) uint32: 0 for what is neither letter nor mark, else its lower case and above it its script's id."""
    table = np.zeros(0x110000, np.uint32)
    for first, last in ((0, 0xD800), (0xE000, 0x32400), (0xE0000, 0xE0200)):
        text = words.decode(np.arange(first, last)).replace("İ", "i").replace("Σ", "σ").lower()
        table[first:last] = words.codes(text)
    table[words.classes() & (words.LETTER | words.MARK) == 0] = 0
    ids = np.array([SCRIPTS.index(name) for name in words.SCRIPTS], np.uint32)
    return table | np.where(table != 0, ids[words.scripts()] << np.uint32(21), 0).astype(np.uint32)


@functools.cache
def _weights() -> np.ndarray:
    """What the compiled half knows of scripts: the weight of a letter of each of 64, and the ids of special ones."""
    each = [words.weight(name) * guest_letters(name) if name != "Zyyy" else 0 for name in SCRIPTS]
    special = [SCRIPTS.index(name) for name in ("Hani", "Bopo", "Hira", "Kana", "Hang", "Jpan", "Kore")]
    return np.array(each + [0] * (64 - len(each)) + special, np.int32)


@functools.cache
def _decay() -> np.ndarray:
    """exp(-k / DECAY) in parts of SHARE, as long as it is not nought."""
    return np.array([round(SHARE * math.exp(-k / DECAY)) for k in range(12 * DECAY)], np.uint32)


def guest_letters(script: str) -> int:
    return 1 if script == "Latn" else GUEST_LETTERS


def count_scripts(points: np.ndarray) -> dict[str, int]:
    """`words.count_scripts` with letters weighed by GUEST_LETTERS."""
    return {name: count * guest_letters(name) for name, count in words.count_scripts(points).items()}


def without_noise(text: str) -> str:
    """Text with spaces in place of addresses, users' names, tags and pictographs: they are in no language."""
    return words.decode(np.frombuffer(_language.plain(words.codes(text)), np.uint32))


def script_of(label: str) -> str:
    """The script in whose table a label stands: Han signs are one, simplified or not."""
    return "Hani" if label.endswith(("_Hans", "_Hant")) else label.partition("_")[2]


def letters_of(script: str) -> int:
    """The bit set of the scripts whose letters count in a text of this script; marks of no script always do."""
    return 1 | sum(1 << SCRIPTS.index(name) for name in _ALONE.get(script, script).split())


def features(text: str, script: str, bits: int) -> np.ndarray:
    """(features,) uint32: the buckets of a text's n-grams and words in one script."""
    return np.frombuffer(_language.features(words.codes(text), fold(), letters_of(script), bits), np.uint32)


def census(bits: np.ndarray) -> tuple[int, int, int, int, int]:
    """letters, visible, code, runs, unspaced (see FIELDS) from words.classes() of a text's characters."""
    inside = np.concatenate(([False], bits & (words.LETTER | words.MARK) != 0))
    runs = np.count_nonzero(inside[1:] > inside[:-1])
    counts = (np.count_nonzero(bits & mask) for mask in (words.SPACE, words.CODE, words.UNSPACED))
    spaces, code, unspaced = map(int, counts)
    return int(np.count_nonzero(inside)), len(bits) - spaces, code, int(runs), unspaced
