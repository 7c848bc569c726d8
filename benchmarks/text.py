"""python -m benchmarks.text [--limit LINES]: text.clean beside ftfy, and whether any repair of ftfy's is missed.

ftfy's fix_encoding does one of the things that clean does (repair, Unicode form, invisible characters, white space).
Both get the same lines, ftfy one by one, clean in documents, as the pipeline gives them. `missed`: lines that ftfy
repairs and our repair does not repair equally; `else`: lines that only we change.
"""

import argparse
import base64
import gzip
import json
import lzma
import time
from collections.abc import Iterable, Iterator
from itertools import islice
from pathlib import Path

import ftfy

from pipeline import text

DATA = Path(__file__).resolve().parents[2] / "shared" / "data"
DOCUMENT_LINES = 40
MISREAD = ["latin-1", "cp1252", "cp1250", "cp1251", "cp1253", "cp1254", "cp1257", "iso8859-2", "mac-roman", "cp437"]
"""The encodings that ftfy undoes."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--limit", type=int, help="documents of each collection")
    names = parser.parse_args()
    text.clean("schÃ¶n")  # tables and ftfy are loaded
    print(f"{'lines of':<24}{'lines':>9}{'MB':>7}{'ftfy MB/s':>11}{'clean MB/s':>12}{'ratio':>7}"
          f"{'repaired':>10}{'missed':>8}{'else':>6}")  # fmt: skip
    totals = [0.0, 0.0, 0.0]
    for name, documents in collections():
        row = measure([d for d in islice(documents, names.limit) if d.strip()])
        totals = [a + b for a, b in zip(totals, row[1:4], strict=True)]
        show(name, *row)
    size, ours, theirs = totals
    print(f"{'all':<33}{size:>7.1f}{size / theirs:>11.2f}{size / ours:>12.1f}{theirs / ours:>7.1f}")


def show(
    name: str, lines: int, size: float, ours: float, theirs: float, repaired: int, missed: int, other: int
) -> None:
    print(f"{name:<24}{lines:>9,}{size:>7.1f}{size / theirs:>11.2f}{size / ours:>12.1f}{theirs / ours:>7.1f}"
          f"{repaired:>10,}{missed:>8}{other:>6}", flush=True)  # fmt: skip


def measure(documents: list[str]) -> tuple[int, float, float, float, int, int, int]:
    """(lines, MB, seconds of clean, of ftfy, lines ftfy repairs, of them not repaired equally, changed by us alone)."""
    lines = [line for document in documents for line in document.split("\n")]
    config = ftfy.TextFixerConfig(explain=False)
    begun = time.process_time()
    wanted = [ftfy.fix_encoding(line, config) for line in lines]
    theirs = time.process_time() - begun
    begun = time.process_time()
    for document in documents:
        text.clean(document)
    ours = time.process_time() - begun
    found = [line for document in documents for line in text.repair(document, set()).split("\n")]
    triples = list(zip(lines, wanted, found, strict=True))
    repaired = sum(a != b for a, b, _ in triples)
    missed = sum(a != b != c for a, b, c in triples)
    other = sum(a == b != c for a, b, c in triples)
    size = sum(len(line.encode("utf-8", "replace")) for line in lines) / 1e6
    return len(lines), size, ours, theirs, repaired, missed, other


def collections() -> Iterator[tuple[str, Iterable[str]]]:
    """Every collection of text beside the checkout, in documents; and sound lines damaged in every way that ftfy
    undoes."""
    for path in sorted((DATA / "language").glob("*.tsv.xz")):
        yield path.name.removesuffix(".tsv.xz"), joined(row[-1] for row in table(path))
    yield "web pages (WET)", web()
    snippets = map(json.loads, gzip.decompress((DATA / "encoding" / "undeclared.jsonl.gz").read_bytes()).splitlines())
    yield "charset snippets", (base64.b64decode(s["bytes"]).decode("cp1252", "replace") for s in snippets)
    cases = json.loads(gzip.decompress((DATA / "encoding" / "mojibake.json.gz").read_bytes()))
    yield "mojibake cases", (case["original"] for case in cases)
    sound = [row[-1] for row in islice(table(DATA / "language" / "train-text.tsv.xz"), 0, None, 60)]
    for encoding in MISREAD:
        yield f"UTF-8 read as {encoding}", joined(line.encode().decode(encoding, "replace") for line in sound)


def joined(lines: Iterable[str]) -> Iterator[str]:
    lines = iter(lines)
    while document := "\n".join(islice(lines, DOCUMENT_LINES)):
        yield document


def table(path: Path) -> Iterator[list[str]]:
    """Rows of a file, its header left out; of a word list the words in lines of thirty."""
    with lzma.open(path, "rt", encoding="utf-8") as file:
        rows = (line.rstrip("\n").split("\t") for line in islice(file, 1, None))
        if path.name.startswith("word-"):
            while words := [row[2] for row in islice(rows, 30)]:
                yield [" ".join(words)]
        yield from rows


def web() -> Iterator[str]:
    """The pages of a WET file, with their headers."""
    with gzip.open(DATA / "web" / "realweb.warc.wet.gz", "rt", encoding="utf-8", errors="replace") as file:
        yield from file.read().split("WARC/1.0\n")


if __name__ == "__main__":
    main()
