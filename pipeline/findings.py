"""What a report tells beyond the books: examples with their texts, clusters of duplicates, charsets, wishes of pages.

Books are sums and exact. This is read from columns of the parts, of at most PARTS of them, evenly spread, so that the
report of a whole crawl takes minutes.
"""

import re
from collections import Counter
from dataclasses import dataclass, field

import numpy as np
import pyarrow.compute as pc

from corpus.document import Reason, address
from corpus.terminal import StepError
from pipeline import selection
from pipeline.folder import Corpus

PARTS = 500
CLUSTERS = 10
EXCERPT = 200
SIZES = ((2, "2"), (3, "3 to 9"), (10, "10 to 99"), (100, "100 or more"))
SAID = {
    "bom": "byte order mark",
    "utf-8": "the bytes are valid UTF-8",
    "label": "the page or its header",
    "detector": "the detector",
    "pattern": "a pattern of zero bytes",
    "input": "given as text",
}
"""Who said which charset a page is in."""
_EMPTY_LINES = re.compile(r"\n\s*\n")
_WISHES = ("noindex", "noai", "noimageai", "tdm_reserved")


@dataclass(frozen=True)
class Example:
    """A rejected document. facts: what its rule compared and how that came out, in words."""

    url: str
    language: str
    facts: str
    excerpt: str


@dataclass(frozen=True)
class Cluster:
    """Documents that duplicate each other. url: of the winner, or of the first where none passes the rules."""

    size: int
    url: str
    won: bool


@dataclass
class Findings:
    parts: int = 0  # that were read
    documents: int = 0  # in them
    charsets: Counter[tuple[str, str]] = field(default_factory=Counter)  # (charset, who said so)
    wishes: Counter[str] = field(default_factory=Counter)  # what pages ask for: _WISHES
    dated: int = 0  # documents that say when they were published
    sizes: Counter[str] = field(default_factory=Counter)  # clusters by size, in words
    clusters: int = 0
    clustered: int = 0  # documents in clusters
    largest: list[Cluster] = field(default_factory=list)
    examples: dict[str, list[Example]] = field(default_factory=dict)  # reason -> rejected documents


def look(corpus: Corpus) -> Findings:
    """Read what the report shows of a corpus."""
    found = Findings()
    largest: list[tuple[int, int, int, bool]] = []
    for part in spread(len(corpus.plan), PARTS):
        found.parts += 1
        _count_columns(corpus, part, found)
        if corpus.selection is not None:
            largest = sorted([*largest, *_count_clusters(corpus, part, found)])[:CLUSTERS]
    for size, _, winner, won in largest:
        found.largest.append(Cluster(-size, corpus.row(winner, ["url"])["url"], won))
    for reason, addresses in sorted((corpus.selection or {}).get("examples", {}).items()):
        found.examples[reason] = [_example(corpus, Reason[reason], a) for _, a in addresses]
    return found


def spread(count: int, most: int) -> list[int]:
    """At most `most` numbers below `count`, evenly spread."""
    return sorted({k * count // most for k in range(most)}) if count > most else list(range(count))


def _count_columns(corpus: Corpus, part: int, found: Findings) -> None:
    try:
        table = corpus.columns(part, ["charset", "charset_source", "page_date", *_WISHES])
    except StepError:
        if corpus.documents["counts"].get(corpus.plan[part].part):
            raise
        return  # of an item that could not be read at all
    found.documents += table.num_rows
    found.charsets.update(zip(table["charset"].to_pylist(), table["charset_source"].to_pylist(), strict=True))
    found.dated += table.num_rows - table["page_date"].null_count
    found.wishes.update({wish: n for wish in _WISHES if (n := pc.sum(table[wish]).as_py())})


def _count_clusters(corpus: Corpus, part: int, found: Findings) -> list[tuple[int, int, int, bool]]:
    """Book a part's clusters, those whose first document it holds; returns its largest: (-size, address, winner's
    address, whether it passes the rules)."""
    names = ("cluster", "cluster_size", "winner", "reasons")
    table = corpus.columns(part, names)
    cluster, size, winner, reasons = (table[n].to_numpy() for n in names)
    found.clustered += int((size > 1).sum())
    first = np.flatnonzero(
        (size > 1) & (cluster == np.uint64(address(part, 0)) + np.arange(len(size), dtype=np.uint64))
    )
    found.clusters += len(first)
    bounds = [least for least, _ in SIZES]
    for place in np.searchsorted(bounds, size[first], "right").tolist():
        found.sizes[SIZES[place - 1][1]] += 1
    top = first[np.argsort(-size[first].astype(np.int64), kind="stable")[:CLUSTERS]]
    passes = (reasons & ~np.uint64(Reason.NOT_DRAWN.bit)) == 0
    return [(-int(size[k]), int(cluster[k]), int(winner[k]), bool(winner[k] != cluster[k] or passes[k])) for k in top]


def _example(corpus: Corpus, reason: Reason, place: int) -> Example:
    names = dict.fromkeys(["url", "text", "winner", *selection.columns_read(corpus.respect, corpus.thresholds)])
    row = corpus.row(place, names)
    facts = "; ".join(told(c) for c in selection.comparisons(reason, row, corpus.thresholds) if c.fails)
    if reason in (Reason.SAME_URL, Reason.SAME_TEXT, Reason.NEAR_DUPLICATE):
        facts = f"kept instead: {corpus.row(row['winner'], ['url'])['url']}"
    return Example(row["url"], row["language"], facts, excerpt(row["text"]))


def told(comparison: selection.Comparison) -> str:
    """A comparison in words: 'words 12, at least 20'."""
    bound = "at least" if comparison.least else "at most"
    return f"{comparison.column} {figure(comparison.value)}, {bound} {figure(comparison.limit)}"


def figure(value: float) -> str:
    """A signal or threshold: counts whole, others with four digits."""
    return f"{value:,}" if isinstance(value, int) else f"{value:.4g}"


def excerpt(text: str, most: int = EXCERPT) -> str:
    """The beginning of a text without its empty lines, cut at white space where there is some near the end."""
    text = _EMPTY_LINES.sub("\n", text[: 4 * most])
    if len(text) <= most:
        return text
    head, space, _ = text[:most].rpartition(" ")
    return (head if space and len(head) > most * 0.8 else text[:most]).rstrip() + " …"
