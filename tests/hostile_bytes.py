"""A child of test_native: python hostile_bytes.py FOLDER COUNT gives made-up pages, pieces and shards to the compiled
halves in FOLDER."""

import contextlib
import random
import sys

import numpy as np

import pipeline
import tokenizer
import trainer

PIECES = [
    *(b"<div class='post main'>", b"</div>", b"<p>", b"<table><td>", b"<li", b"<!--", b"-->", b"<script>", b"</script"),
    *(b"<svg>", b"<select>", b"<a href='", b"'", b'"', b"&", b"&amp;", b"&#x10ffff;", b"&#", b"<title>", b"<pre>"),
    *(b"<br>", b"<noscript>", b">", b"<", b"<x-a>", b"<template>", b"text of a page, 12.", b"\xff\xed\xa0\x80", b"\0"),
    *(b"<meta name=description content='", b"<script type=application/ld+json>", b'{"text": "a \\u00e', b"\xe2\x80"),
    "天地 ไทย \u0301".encode(),
]


def page(draw: random.Random, damaged: bool) -> bytes:
    data = b"".join(draw.choice(PIECES) for _ in range(draw.randrange(80)))
    if damaged:
        data = bytes(b if draw.random() > 0.02 else draw.randrange(256) for b in data)
    return data[: draw.randrange(1, len(data) + 2)]


def number(draw: random.Random, most: int) -> int:
    """Mostly one that fits, else one beside the edge or far away."""
    return draw.choice((draw.randrange(most + 1),) * 12 + (-1, most + 1, -(1 << 30), 1 << 30))


def numbers(draw: random.Random, count: int, most: int, kind=np.int64) -> np.ndarray:
    count = count if draw.random() < 0.95 else max(0, count - 1)
    return np.array([number(draw, most) for _ in range(count)], np.int64).astype(kind)


def shard(draw: random.Random) -> tuple[np.ndarray, np.ndarray]:
    """(tokens, offsets), the latter not always in order."""
    kind = draw.choice((np.uint16, np.uint32))
    tokens = np.array([draw.randrange(70) for _ in range(draw.randrange(400))], kind)
    offsets = np.array(sorted(draw.randrange(len(tokens) + 1) for _ in range(draw.randrange(6))), np.int64)
    offsets = np.array([0, *offsets, len(tokens)], np.int32)
    if draw.random() < 0.2:
        offsets[draw.randrange(len(offsets))] = number(draw, len(tokens))
    return tokens, offsets


def windows(draw: random.Random, native) -> int:
    """One call of each function; how many were no errors."""
    tokens, offsets = shard(draw)
    width, batch, rows, ends = draw.randrange(1, 130), draw.randrange(4), draw.randrange(5), np.arange(64) % 9 == 0
    out = [np.zeros(width * batch, kind) for kind in (np.int32, np.int16, np.int32, np.int8)]
    total = len(tokens) + 3 * (len(offsets) - 1)
    which, begins, lengths = (
        numbers(draw, rows, most) for most in (max(0, batch - 1), total, max(0, min(total, width - 3)))
    )
    coins = np.array([draw.getrandbits(64) for _ in range(rows)], np.uint64)
    shards, plain = (tokens, tokens[:5]), np.zeros((rows, width), tokens.dtype)
    own, epoch, seeds = (numbers(draw, rows, 1 << 40, kind) for kind in (np.int64, np.uint64, np.uint64))
    bases = numbers(draw, rows, 50) if draw.random() < 0.7 else numbers(draw, 1, 50)
    like = [a[: len(bases)] for a in (np.full(rows, 40), seeds, epoch)]
    pool = [np.array([20, 90]), *(numbers(draw, 2, most) for most in (1, 90, 30, 5, 4000))]
    calls = (
        lambda: native.fill(
            tokens, tokens.itemsize, offsets, ends, which, begins, lengths, coins, True, width, batch, *out
        ),
        lambda: native.gather(shards, tokens.itemsize, numbers(draw, rows, 1), begins, width, plain),
        lambda: native.places(numbers(draw, rows, 39), bases, *like, *pool, draw.choice((0, width))),
        lambda: native.permute(own, own + number(draw, 1 << 40), seeds),
    )
    sound = 0
    for call in calls:
        with contextlib.suppress(ValueError):
            call()
            sound += 1
    return sound


def cuts(draw: random.Random, native, data: bytes) -> int:
    """Pieces, a table of them or of anything, a memo of anything, and a page; 1 if that was no error."""
    count = draw.randrange(20)
    ends = np.cumsum([draw.randrange(1, 4) for _ in range(count)] or [0])[: count or None]
    points = np.array(
        [draw.choice((*b"<div> ", 0x2581, 0x5929, number(draw, 0x10FFFF) & 0xFFFFFFFF)) for _ in range(70)]
    )
    head = np.array([number(draw, 70000) for _ in range(264)], np.int32)
    ids, costs = numbers(draw, count, 70000, np.int32), numbers(draw, count, 65535, np.uint16)
    noise = np.frombuffer(draw.randbytes(64 * draw.randrange(2, 40) + draw.randrange(64)), np.uint8).copy()
    noise[: len(noise) // 2] &= 7  # lengths and counts that are small
    try:
        table = native.table(
            head, points.astype(np.uint32), ends if draw.random() < 0.9 else ends[::-1].copy(), ids, costs
        )
        if draw.random() < 0.2:
            table = (table[: 264 * 4] + draw.randbytes(1 << 12))[: 264 * 4 + number(draw, 1 << 12)]
        for _ in range(2):
            native.encode(table, noise, [data, b"", data[: len(data) // 2]], draw.choice((2, 4)))
    except ValueError:
        return 0
    return 1


def main(folder: str, count: int) -> None:
    for package in (pipeline, tokenizer, trainer):
        package.__path__.insert(0, folder)
    from pipeline import blocks, hints, main_text, signals, text, words
    from tokenizer import _pieces
    from trainer import _windows

    assert blocks._blocks.__file__.startswith(folder)
    assert _windows.__file__.startswith(folder)
    assert _pieces.__file__.startswith(folder)
    draw, cut = random.Random(1), 0
    for k in range(count):
        data = page(draw, k % 3 == 0)
        found = main_text.extract(blocks.read(data), comments=bool(k % 2))
        hints.hints(data, {})
        cut += cuts(draw, _pieces, data)
        raw = data.decode("latin-1" if k % 2 else "utf-8", "replace")
        for string in (found, raw, raw + "\ud800"):
            words.spans(words.codes(string))
            signals.measure(text.clean(string))
    sound = sum(windows(draw, _windows) for _ in range(count))
    assert count // 2 < cut < count, cut
    assert count < sound < 4 * count, sound  # some are errors, most are not
    print("sound")


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
