"""stop_words.tsv: the most common words of a language, and how common they are (train_stopwords.py makes the table)."""

import functools
import os
from typing import NamedTuple


class StopWords(NamedTuple):
    """share: of the words of running text. words: in lower case, the most frequent first."""

    share: float
    words: tuple[str, ...]


@functools.cache
def table() -> dict[str, StopWords]:
    """label -> its stop words."""
    with open(os.path.join(os.path.dirname(__file__), "stop_words.tsv"), encoding="utf-8") as file:
        next(file)
        rows = [line.rstrip("\n").split("\t") for line in file]
    return {label: StopWords(float(share), tuple(words.split(" "))) for label, share, words in rows}


def known(label: str) -> bool:
    """Whether the language has a list."""
    return label in table()


def words_of(label: str) -> tuple[str, ...]:
    """The stop words of a language; () where there is no list."""
    return table()[label].words if label in table() else ()
