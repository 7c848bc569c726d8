"""stop_words.tsv: the most common words of a language (train_stopwords.py makes the table)."""

import functools
import os


@functools.cache
def table() -> dict[str, tuple[str, ...]]:
    """label -> its stop words in lower case, the most frequent first."""
    with open(os.path.join(os.path.dirname(__file__), "stop_words.tsv"), encoding="utf-8") as file:
        next(file)
        rows = [line.rstrip("\n").split("\t") for line in file]
    return {label: tuple(words.split(" ")) for label, words in rows}


def known(label: str) -> bool:
    """Whether the language has a list."""
    return label in table()
