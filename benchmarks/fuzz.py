"""python -m benchmarks.fuzz [--records 200000] [--seed 0]: mutated records through the whole of extract.

Each round packs small pages (the sample's, and real ones where they lie beside the checkout) as gzip members, damages
one of them - its HTML, its headers, its compressed bytes, or the bytes between members - and reads all of them as
`extract` does. Nothing may be raised but a counted drop, the members that were left alone must come out as they are,
the slowest record and the growth of memory are printed.
"""

import argparse
import gzip
import io
import random
import resource
import time
from pathlib import Path

from corpus import settings
from pipeline import extract, items, language, warc
from pipeline.page import Dropped

ROOT = Path(__file__).resolve().parents[1]
CRAWLS = (ROOT / "examples/sample/sample.warc.gz", ROOT.parent / "shared/data/web/realweb.warc.gz")
BAIT = [
    b"<", b">", b"&", b"</", b"<!--", b"]]>", b"\0", b"\xff\xfe", b"&#x110000;", b"<svg>", b"<template>", b"<table>",
    b"\r\n\r\n", b"Content-Length: 9", b"Transfer-Encoding: chunked\r\n", b"Content-Encoding: br\r\n", b"WARC/1.0\r\n",
    b"\x1f\x8b\x08", "\u0301".encode() * 50, b"\xed\xa0\x80", b"charset=utf-7", b"<b><i><a>" * 30, b"<div>" * 600,
]  # fmt: skip
NEIGHBOURS = 4


def records(limit: int) -> list[bytes]:
    """Whole response records of at most 30 kB, as they stand in a crawl file."""
    found: list[bytes] = []
    for path in CRAWLS:
        if path.exists():
            with path.open("rb") as file:
                for entry in warc.Reader(file, path.stat().st_size):
                    if isinstance(entry, warc.Record) and entry.type == "response" and entry.size < 30_000:
                        found.append(_record(entry))
    return found[:limit]


def _record(entry: warc.Record) -> bytes:
    names = {"content-length": str(len(entry.body)), **{k: v for k, v in entry.headers.items() if "length" not in k}}
    head = "".join(f"{name}: {value}\r\n" for name, value in names.items())
    return f"WARC/1.0\r\n{head}\r\n".encode() + entry.body + b"\r\n\r\n"


def mutate(data: bytes, chance: random.Random) -> bytes:
    """A few bytes flipped, bait put in, a stretch cut, doubled or moved."""
    changed = bytearray(data)
    for _ in range(chance.randint(1, 6)):
        place = chance.randrange(len(changed) + 1)
        length = min(chance.choice((1, 4, 40, 400, 4000)), len(changed) - place)
        match chance.randrange(4):
            case 0 if place < len(changed):
                changed[place] = chance.randrange(256)
            case 1:
                changed[place:place] = chance.choice(BAIT) * chance.choice((1, 1, 1, 20))
            case 2:
                del changed[place : place + length]
            case _:
                changed[place:place] = changed[place : place + length]
    return bytes(changed)


def round_of(pool: list[bytes], chance: random.Random) -> tuple[bytes, list[bytes]]:
    """(a crawl file with one damaged member among good ones, the good ones)."""
    good = [chance.choice(pool) for _ in range(NEIGHBOURS)]
    victim = chance.choice(pool)
    inside = chance.random() < 0.7
    member = gzip.compress(mutate(victim, chance), 1, mtime=0) if inside else None
    if member is None:
        member = mutate(gzip.compress(victim, 1, mtime=0), chance)
    members = [gzip.compress(g, 1, mtime=0) for g in good]
    members.insert(chance.randrange(1, len(members)), member)
    return b"".join(members), good


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--records", type=int, default=200_000)
    parser.add_argument("--seed", type=int, default=0)
    names = parser.parse_args()
    chance, pool = random.Random(names.seed), records(400)
    identifier, own = language.load(), settings.Extract()
    counts: dict[str, int] = {}
    slowest, lost, begun, base = 0.0, 0, time.process_time(), 0
    for number in range(names.records):
        data, good = round_of(pool, chance)
        bodies = set()
        for entry in warc.Reader(io.BytesIO(data), len(data), limit=own.max_page_bytes):
            started = time.process_time()
            known = isinstance(entry, warc.Record) and any(entry.body in g for g in good)
            bodies.add(entry.body if isinstance(entry, warc.Record) else b"")
            if not known:  # the good ones are the same again and again
                outcome = _make(entry, own, identifier)
                counts[outcome] = counts.get(outcome, 0) + 1
            slowest = max(slowest, time.process_time() - started)
        lost += sum(g.partition(b"\r\n\r\n")[2][:-4] not in bodies for g in good)
        if number == min(2000, names.records // 10):
            base = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    grown = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - base) / 1024
    print(f"{names.records:,} damaged records among {NEIGHBOURS * names.records:,} good ones, seed {names.seed}: "
          f"{time.process_time() - begun:.0f} CPU s")  # fmt: skip
    print(f"good records lost: {lost}; slowest record {slowest:.2f} CPU s; memory grew by {grown:.0f} MiB")
    for outcome, count in sorted(counts.items(), key=lambda kv: -kv[1]):
        print(f"  {count:>9,} {outcome}")


def _make(entry, own: settings.Extract, identifier: language.Identifier) -> str:
    try:
        extract.make(entry, items.Item("fuzz.warc.gz", 0, "", 0, 0), own, identifier)
    except Dropped as drop:
        return drop.reason.name
    return "a document"


if __name__ == "__main__":
    main()
