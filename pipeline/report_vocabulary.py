"""The report's section on the vocabulary: its audit as a picture and as a table."""

from corpus.plots import Bar, bars
from pipeline import folder, markup
from pipeline.folder import Corpus
from pipeline.markup import table, text
from pipeline.report_languages import name

SHOWN = 40
"""Languages in the picture, those whose tokens carry the least; the table has all."""

_ALL = "all"


def section(corpus: Corpus) -> str:
    """HTML; '' before there are tokens, or where the vocabulary's audit is of another vocabulary."""
    rows = folder.audit(corpus)
    order = sorted((k for k in rows if k != _ALL), key=lambda k: (rows[k]["bytes_per_token"], k))
    if not order or corpus.manifest is None:
        return ""
    plot = [
        Bar(k, (rows[k]["bytes_per_token"],), (f"{rows[k]['bytes_per_token']:.2f}",), f"{k} {name(k)}")
        for k in order[:SHOWN]
    ]
    more = len(order) - len(plot)
    rest = f'<figcaption class="quiet">and {more} more languages, in the table below</figcaption>' if more else ""
    note = (
        f"<p>{corpus.manifest.vocabulary_size:,} ids, measured on texts held out of the training. Byte pieces: share "
        "of the tokens that are single bytes of characters without a piece.</p>"
    )
    heads = ("language", "", "bytes / token", "characters / token", "tokens / word", "byte pieces", "Rényi", "used")
    cells = [_cells(k, rows[k]) for k in [*order, *([_ALL] if _ALL in rows else [])]]
    return (
        note + f"<figure>{bars(plot, 'bytes per token by language')}{rest}</figure>" + table(heads, cells, "ttnnnnnn")
    )


def _cells(label: str, row: dict) -> list[str]:
    words = row["tokens_per_word"]
    return [
        markup.key(label),
        text(name(label)),
        f"{row['bytes_per_token']:.2f}",
        f"{row['characters_per_token']:.2f}",
        f"{words:.2f}" if words else "-",
        f"{row['byte_pieces']:.2%}",
        f"{row['renyi']:.3f}",
        f"{row['used']:.1%}",
    ]
