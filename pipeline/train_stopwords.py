"""Make the table of stop words: python -m pipeline.train_stopwords TABLE ... --output FILE

Input: tables with the columns label, source, text or label, bcp47, word, count, as train_language.py takes. A word's
weight in a label is the geometric mean over the sources of how common it is there: the share of texts that hold it, or
its count over that of the list's most frequent word; so a word that only one kind of text loves weighs little. The
WORDS heaviest make the list. It is kept if it holds for text of a kind that it was not made from: of the first of PROOF
with enough text, nearly every run of WINDOW words has LEAST of the words that the other sources alone would list.
Scripts without spaces have no lists, but for Han and Kana, whose signs are words often enough.
Same input -> same bytes; a minute of one core.
"""

import lzma
import math
import sys
from collections import Counter, defaultdict
from collections.abc import Iterator

from corpus import settings, storage, terminal
from pipeline import signals, words

WORDS, WINDOW, LEAST = 24, 50, 2
NEARLY = 0.97
RARE = 1e-3
"""How common a word is taken to be where it was not seen."""
PROOF = ("cv", "nchlt", "udhr")
"""Sources of running text, the broadest first; langdata's lines are shuffled words, and the declarations of a label may
be in several varieties."""
MIN_WINDOWS = 10
"""Fewer runs of words in the odd texts prove nothing."""
_LEFT_OUT = ("Thai", "Laoo", "Khmr", "Mymr", "Tibt", "Yiii", "Lana", "Tale", "Talu", "Java")

Weights = dict[str, float]


def folded(text: str) -> list[str]:
    """The words of a text as signals.py compares them, without those that have no letter."""
    return [word for word in words.words(signals.fold(text)) if any(c.isalpha() for c in word)]


def _rows(path: str) -> Iterator[dict[str, str]]:
    opener = lzma.open if path.endswith(".xz") else open
    with opener(path, "rt", encoding="utf-8") as lines:
        names = next(lines).rstrip("\n").split("\t")
        for line in lines:
            yield dict(zip(names, line.rstrip("\n").split("\t"), strict=True))


def read(paths: list[str]) -> tuple[dict[str, dict[str, list[list[str]]]], dict[str, Weights]]:
    """label -> source -> the words of each text; label -> word -> count over the largest count of its list."""
    texts: dict[str, dict[str, list[list[str]]]] = defaultdict(lambda: defaultdict(list))
    lists: dict[str, Weights] = defaultdict(dict)
    for path in paths:
        for row in _rows(path):
            if row["label"].partition("_")[2] in _LEFT_OUT:
                continue
            if "text" in row:
                texts[row["label"]][row["source"]].append(folded(row["text"]))
            elif (word := folded(row["word"])) and len(word) == 1:
                counts = lists[row["label"]]
                counts[word[0]] = counts.get(word[0], 0.0) + float(row["count"])
    for counts in lists.values():
        most = max(counts.values())
        counts.update({word: count / most for word, count in counts.items()})
    return texts, lists


def stop_words(sources: dict[str, list[list[str]]], listed: Weights) -> list[str]:
    """The heaviest words of a label that occur in its texts."""
    kinds: list[Weights] = [listed] if listed else []
    for texts in sources.values():
        held = Counter(word for text in texts for word in set(text))
        kinds.append({word: count / len(texts) for word, count in held.items()})
    seen = {word for texts in sources.values() for text in texts for word in text} or set(listed)
    weights = {word: math.prod(max(RARE, kind.get(word, 0.0)) for kind in kinds) for word in seen}
    return sorted(weights, key=lambda word: (-weights[word], word))[:WORDS]


def proven(sources: dict[str, list[list[str]]], listed: Weights) -> float:
    """The share of stop words in the middle one of the runs; 0 where the list does not hold."""
    for source in PROOF:
        joined = [word for text in sources.get(source, []) for word in text]
        windows = [joined[k : k + WINDOW] for k in range(0, len(joined) - WINDOW + 1, WINDOW)]
        others = {name: texts for name, texts in sources.items() if name != source}
        if len(windows) >= MIN_WINDOWS and (others or listed):
            stops = set(stop_words(others, listed))
            good = sum(len(stops & set(window)) >= LEAST for window in windows) >= NEARLY * len(windows)
            shares = sorted(sum(word in stops for word in window) for window in windows)
            return shares[len(shares) // 2] / WINDOW if good else 0.0
    return 0.0


def make(paths: list[str]) -> str:
    """The table's text."""
    texts, lists = read(paths)
    rows = ["label\tshare\twords"]
    for label in sorted(texts):
        listed = lists.get(label, {})
        if share := proven(texts[label], listed):
            rows.append(f"{label}\t{share:.2f}\t{' '.join(stop_words(texts[label], listed))}")
    return "\n".join(rows) + "\n"


def main() -> int:
    ask = settings.Parser(prog="python -m pipeline.train_stopwords", description=__doc__)
    ask.add_argument("tables", nargs="+", metavar="TABLE", help="tab-separated tables, plain or .xz")
    ask.add_argument("--output", required=True, metavar="FILE", help="where the table goes, .tsv")
    chosen = ask.parse_args()
    table = make(chosen.tables)
    storage.write(chosen.output, table)
    print(f"{chosen.output}\t{table.count(chr(10)) - 1} languages")
    return terminal.DONE


if __name__ == "__main__":
    sys.exit(terminal.run(main))
