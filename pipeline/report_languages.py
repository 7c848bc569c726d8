"""The report's section on languages: shares before and after resampling, as a picture and as a table."""

from corpus.plots import Bar, bars
from pipeline import folder, language, markup
from pipeline.folder import Corpus
from pipeline.markup import table, text

SHOWN = 40
"""Languages in the picture; the table has all."""

_TICKS = ((0.0001, "0.01 %"), (0.001, "0.1 %"), (0.01, "1 %"), (0.1, "10 %"), (1.0, "100 %"))
_LOW = 0.00003


def tag(label: str) -> str:
    """The BCP 47 tag of a label: eng_Latn -> en-Latn."""
    row = language.languages().get(label)
    return f"{row.code or row.language}-{row.script}" if row else label.replace("_", "-")


def section(corpus: Corpus) -> str:
    """HTML; before the selection what was read, after the tokens what they cost."""
    if corpus.selection is None:
        return _languages_read(corpus)
    rows = corpus.selection["languages"]
    order = sorted(rows, key=lambda k: (-rows[k]["kept_characters"], -rows[k]["characters"], k))
    kept = sum(v["kept_characters"] for v in rows.values())
    epoch = sum(v["epoch_characters"] for v in rows.values())
    select = corpus.settings.get("select", {})
    note = (
        "<p>Before resampling a language's share is that of its kept characters; after it, that of the characters "
        f"which an epoch sees ({select.get('weights', '?')}, at most {select.get('max_copies', '?')} copies).</p>"
    )
    plot = [
        _pair(k, rows[k]["kept_characters"] / max(1, kept), rows[k]["epoch_characters"] / max(1, epoch))
        for k in order
        if rows[k]["kept"]
    ]
    shown = markup.legend(("share kept", "share of an epoch")) + _plot(plot, "shares before and after resampling")
    heads, kinds = (
        ["language", "", "documents", "kept", "characters kept", "share", "copies", "epoch share", "held back"],
        "ttnnnnnnn",
    )
    cells = [_language_cells(corpus, k, rows[k], kept, epoch) for k in order]
    if corpus.manifest is not None:
        audit = folder.audit(corpus)
        heads, kinds = [*heads, "tokens", "characters / token", "bytes / token"], kinds + "nnn"
        tokens = [_token_cells(corpus, k, rows[k], audit) for k in order]
        cells = [[*a, *b] for a, b in zip(cells, tokens, strict=True)]
        note += (
            "<p>Bytes per token are those of the vocabulary's audit, on texts held out of its training.</p>"
            if audit
            else ""
        )
    return note + shown + table(heads, cells, kinds)


def _languages_read(corpus: Corpus) -> str:
    """The languages of documents that nobody has selected from."""
    rows = corpus.documents["languages"]
    whole = max(1, corpus.documents["characters"])
    order = sorted(rows, key=lambda k: (-rows[k]["characters"], k))
    plot = [Bar(k, (rows[k]["characters"] / whole,), (_percent(rows[k]["characters"] / whole),)) for k in order]
    cells = [
        (
            markup.key(k),
            text(name(k)),
            f"{rows[k]['documents']:,}",
            f"{rows[k]['characters']:,}",
            markup.share(rows[k]["characters"], whole),
        )
        for k in order
    ]
    heads = ("language", "", "documents", "characters", "share")
    return _plot(plot, "share of the characters by language") + table(heads, cells, "ttnnn")


def _pair(label: str, before: float, after: float) -> Bar:
    detail = f"{label} {name(label)}: {_percent(before)} of the kept characters, {_percent(after)} of an epoch"
    return Bar(label, (before, after), (_percent(before), _percent(after)), detail)


def _percent(share: float) -> str:
    return f"{share * 100:.2g} %" if share < 0.1 else f"{share * 100:.1f} %"


def _plot(rows: list[Bar], about: str) -> str:
    more = len(rows) - SHOWN
    rest = f'<figcaption class="quiet">and {more} more languages, in the table below</figcaption>' if more > 0 else ""
    return f"<figure>{bars(rows[:SHOWN], about, _LOW, _TICKS)}{rest}</figure>"


def name(label: str) -> str:
    row = language.languages().get(label)
    return row.name if row else {"und": "not told", "zxx": "no language"}.get(label[:3], "")


def _language_cells(corpus: Corpus, label: str, row: dict, kept: int, epoch: int) -> list[str]:
    assert corpus.selection is not None
    copies = corpus.selection["copies"].get(label)
    return [
        markup.key(label),
        text(name(label)),
        f"{row['documents']:,}",
        f"{row['kept']:,}",
        f"{row['kept_characters']:,}",
        markup.share(row["kept_characters"], kept),
        f"{copies:.2f}" if copies and row["kept"] else "-",
        markup.share(row["epoch_characters"], epoch),
        f"{row['validation']:,}",
    ]


def _token_cells(corpus: Corpus, label: str, row: dict, audit: dict) -> list[str]:
    assert corpus.manifest is not None
    tokens = sum(s.tokens for s in corpus.manifest.shards if s.language == label)
    per_token = audit.get(label, {}).get("bytes_per_token")
    return [
        f"{tokens:,}",
        f"{row['kept_characters'] / tokens:.2f}" if tokens else "-",
        f"{per_token:.2f}" if per_token else "-",
    ]
