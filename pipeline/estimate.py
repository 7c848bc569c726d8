"""What a crawl would give and cost: some ranges of its files are extracted, the rest is in proportion to bytes.

Ranges are drawn by seed, a file each, so that every byte is as likely as any other. Each figure is a ratio to bytes
with an interval of 95 % from how the ranges differ (ratio estimator, Student's t). What is not measured here, the speed
of later steps, are rates of the benchmarks (DESIGN.md) and is said to be."""

import math
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow.parquet as pq

from corpus import settings, storage
from corpus.terminal import UserError, amount, duration, size
from pipeline import extract, folder, items, language, quotas
from pipeline.items import Item

SELECT_SECONDS = 25e-6  # CPU a document, with lines; benchmarks.select
TOKENS_A_SECOND = 6e6  # unigram, 64,000 pieces: 25 MB
SELECTION_BYTES = 12  # a document
TOKEN_BYTES = 2
_TOKENS_A_CHARACTER = 0.25
_TOKENS_A_SIGN = 0.7
_SIGNS = ("Hans", "Hant", "Hani", "Jpan", "Thai", "Laoo", "Khmr", "Mymr", "Tibt")
"""Of scripts without spaces; for lack of a vocabulary's audit."""
_T = (12.71, 4.30, 3.18, 2.78, 2.57, 2.45, 2.36, 2.31, 2.26, 2.23, 2.20, 2.18, 2.16, 2.14, 2.13, 2.12, 2.11, 2.10, 2.09)
"""Student's t, 97.5 %, for 1, 2, ... degrees of freedom; 2.0 beyond."""


@dataclass(frozen=True)
class Figure:
    """An estimate and half its interval of 95 %."""

    value: float
    margin: float

    def told(self, unit: Callable[[float], str] = amount) -> str:
        low, high = max(0.0, self.value - self.margin), self.value + self.margin
        return f"{unit(round(self.value))} ({unit(round(low))} to {unit(round(high))})"


@dataclass(frozen=True)
class Sample:
    """What one range gave. seconds: CPU; written: bytes of its part."""

    bytes: int
    receipt: dict
    seconds: float
    written: int


def draw(paths: Sequence[str], count: int, length: int, seed: int) -> list[Item]:
    """`count` ranges of `length` bytes, of different files as long as there are some. Errors: UserError where no file
    tells its size."""
    hashes = np.array([int.from_bytes(_digest(p), "little") for p in paths], np.uint64)
    order = np.argsort(quotas.places(hashes, seed), kind="stable")
    known: dict[int, storage.Stat] = {}
    for number in order.tolist():
        try:
            stat = storage.stat(paths[number])
        except OSError:
            continue
        known |= {number: stat} if stat.size > 0 else {}
        if len(known) == count:
            break
    if not known:
        raise UserError("no file tells its size; name crawl files that can be read")
    found = []
    for k in range(count):
        number = list(known)[k % len(known)]
        stat = known[number]
        start = int(quotas.places(hashes[number : number + 1], seed + 1 + k // len(known))[0]) % stat.size
        found.append(Item(paths[number], stat.size, stat.tag, start, min(length, stat.size - start)))
    return found


def _digest(path: str) -> bytes:
    import xxhash

    return xxhash.xxh3_64_digest(path.encode("utf-8", "surrogatepass"))


def measure(drawn: list[Item], own: settings.Extract) -> list[Sample]:
    """Extract the ranges into a folder of their own, one after the other."""
    language.load(own.language_model)  # it is loaded once, whatever the crawl's size
    found = []
    with tempfile.TemporaryDirectory() as folder:
        for item in drawn:
            begun = time.process_time()
            receipt = extract.run(item, own, folder)
            seconds = time.process_time() - begun
            with storage.open_read(storage.join(folder, item.part)) as file:
                footer = pq.ParquetFile(file).metadata  # what the schema takes, a part of a whole file has once
            groups = [footer.row_group(k) for k in range(footer.num_row_groups)]
            written = sum(g.column(c).total_compressed_size for g in groups for c in range(footer.num_columns))
            found.append(Sample(max(1, receipt["bytes"]), receipt, seconds, written))
    return found


def ratio(samples: Sequence[Sample], value: Callable[[Sample], float], total: float) -> Figure:
    """A quantity of `total` bytes, from its ratio to bytes in the samples."""
    x = np.array([s.bytes for s in samples], float)
    y = np.array([value(s) for s in samples], float)
    rate, n = y.sum() / x.sum(), len(samples)
    if n < 2:
        return Figure(rate * total, rate * total)
    error = math.sqrt(n / (n - 1) * float(((y - rate * x) ** 2).sum())) / x.sum()
    t = _T[n - 2] if n - 2 < len(_T) else 2.0
    return Figure(rate * total, t * error * total)


def factor(label: str, known: Mapping[str, float]) -> float:
    """Tokens per character of a language."""
    if label in known:
        return known[label]
    return _TOKENS_A_SIGN if label.partition("_")[2] in _SIGNS else _TOKENS_A_CHARACTER


def _hours(seconds: float) -> str:
    return f"{seconds / 3600:,.1f} hours" if seconds >= 36_000 else duration(seconds)


def _of_language(label: str, known: Mapping[str, float]) -> Callable[[Sample], float]:
    return lambda sample: sample.receipt["languages"].get(label, {}).get("characters", 0) * factor(label, known)


def told(
    files: int, total: float, samples: list[Sample], known: Mapping[str, float], cores: int, prices: tuple[float, float]
) -> Iterator[str]:
    """The estimate in lines. total: bytes of all files; known: tokens per character by language; prices: of a core-hour
    and of a gigabyte-month."""

    def of(value: Callable[[Sample], float]) -> Figure:
        return ratio(samples, value, total)

    def tokens(sample: Sample) -> float:
        return sum(v["characters"] * factor(k, known) for k, v in sample.receipt["languages"].items())

    documents, written = of(lambda s: s.receipt["documents"]), of(lambda s: s.written)
    seconds = of(lambda s: s.seconds)
    later = documents.value * SELECT_SECONDS + of(tokens).value / TOKENS_A_SECOND
    looked = sum(s.bytes for s in samples)
    yield f"{files:,} files, {size(round(total))}; {len(samples)} ranges looked at, {size(looked)}"
    yield f"records     {of(lambda s: s.receipt['records']).told()}"
    yield f"documents   {documents.told()}, before selection"
    yield f"characters  {of(lambda s: s.receipt['characters']).told()}"
    yield f"tokens      {of(tokens).told()}" + ("" if known else ", at 4 characters a token (1.4 without spaces)")
    labels = {k for s in samples for k in s.receipt["languages"]}
    rows = {k: ratio(samples, _of_language(k, known), total) for k in labels}
    for label in sorted(rows, key=lambda k: (-rows[k].value, k))[:12]:
        yield f"  {label:<10}{rows[label].told()}"
    yield (
        f"written     {written.told(size)} documents, {size(round(documents.value * SELECTION_BYTES))} selection, "
        f"{size(round(of(tokens).value * TOKEN_BYTES))} tokens"
    )
    yield f"core time   extract {seconds.told(_hours)}; select, tokenize {_hours(later)}, by the benchmarks' rates"
    yield f"wall time   {_hours((seconds.value + later) / cores)} on {cores:,} cores, if all are busy"
    yield "memory      under 1 GB a process of extract; of select what --memory says, and 0.2 GB"
    if any(prices):
        kept = (written.value + of(tokens).value * TOKEN_BYTES) / 1e9
        once, monthly = (seconds.value + later) / 3600 * prices[0], kept * prices[1]
        yield f"cost        {once:,.4g} of cores, {monthly:,.4g} a month to keep"


def run(paths: list[str], own: settings.Extract, asked) -> Iterator[str]:
    """Draw, measure, tell. asked: the flags of the command. Sizes of remote files are asked only of those that are
    drawn; the rest have their mean. Errors: UserError."""
    if asked.sample < 1 or asked.cores < 1:
        raise UserError("--sample, --cores: give 1 or more")
    known = folder.tokens_per_character(asked.vocabulary) if asked.vocabulary else {}
    length = settings.parse(asked.sample_bytes, "--sample-bytes", int)
    drawn = draw(paths, asked.sample, length, asked.seed)
    local = [p for p in paths if not storage.is_remote(p)]
    mean = sum(i.size for i in drawn) / len(drawn)
    total = sum(max(0, i.size) for i in items.plan(local, 1 << 62) if i.start == 0) + mean * (len(paths) - len(local))
    prices = (asked.core_hour, asked.gigabyte)
    yield from told(len(paths), total, measure(drawn, own), known, asked.cores, prices)
