"""A child of test_native: python hostile_bytes.py FOLDER COUNT gives made-up pages to the compiled halves in FOLDER."""

import random
import sys

import pipeline

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


def main(folder: str, count: int) -> None:
    pipeline.__path__.insert(0, folder)
    from pipeline import blocks, hints, main_text, signals, text, words

    assert blocks._blocks.__file__.startswith(folder)
    draw = random.Random(1)
    for number in range(count):
        data = page(draw, number % 3 == 0)
        found = main_text.extract(blocks.read(data), comments=bool(number % 2))
        hints.hints(data, {})
        raw = data.decode("latin-1" if number % 2 else "utf-8", "replace")
        for string in (found, raw, raw + "\ud800"):
            words.spans(words.codes(string))
            signals.measure(text.clean(string))
    print("sound")


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
