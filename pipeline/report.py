"""report.html: what became of a crawl, in one file that opens offline; and the dataset card. Works after every step:
what is not there yet is left out. The same corpus gives the same bytes, but for the times."""

import dataclasses
import os

from corpus import settings, storage
from corpus.document import Reason
from corpus.plots import Bar, bars
from corpus.terminal import amount, duration, size
from pipeline import books, card, decontamination, findings, folder, markup, report_languages, report_vocabulary
from pipeline.findings import Example, Findings
from pipeline.folder import Corpus
from pipeline.markup import code, quote, table, text
from pipeline.thresholds import NONE

REPORT = "report.html"
_FILES, _RANGES = 200, 8
"""How many damaged files are shown, and how many places of each."""


def write(path: str) -> str:
    """Write report.html and README.md into a corpus folder; returns the path of the report."""
    corpus = folder.read(path)
    found = findings.look(corpus)
    storage.write(storage.join(corpus.path, card.CARD), card.text(corpus, found, name(corpus)))
    target = storage.join(corpus.path, REPORT)
    storage.write(target, render(corpus, found, books.read_times(corpus.path), _failed(corpus)))
    return target


def name(corpus: Corpus) -> str:
    return os.path.basename(os.path.abspath(corpus.path)) if not storage.is_remote(corpus.path) else corpus.path


def _failed(corpus: Corpus) -> list[dict]:
    return books.failed_files(corpus.documents)


def render(corpus: Corpus, found: Findings, times: dict[str, dict], failed: list[dict]) -> str:
    """The page. times: seconds by step (books.read_times); failed: files not read whole (books.failed_files)."""
    sections = [
        ("funnel", "From records to text", _funnel(corpus)),
        ("drops", "Records without a document", _drops(corpus)),
        ("rejections", "Documents not selected", _rejections(corpus, found)),
        ("languages", "Languages", report_languages.section(corpus)),
        ("vocabulary", "Vocabulary", report_vocabulary.section(corpus)),
        ("duplicates", "Duplicates", _duplicates(corpus, found)),
        ("evaluation", "Evaluation sets", _evaluation(corpus)),
        ("charsets", "Charsets and wishes", _charsets(corpus, found)),
        ("failures", "Files not read whole", _failures(corpus, failed)),
        ("times", "Time", _times(corpus, times)),
        ("settings", "Settings and versions", _settings(corpus)),
        ("books", "Books", _books(corpus)),
    ]
    return markup.page(f"Corpus {name(corpus)}", summary(corpus), markup.figures(_figures(corpus)), sections)


# --- what came out ------------------------------------------------------------------------------------------------


def summary(corpus: Corpus) -> str:
    """The corpus in a sentence."""
    made, chosen = corpus.documents, corpus.selection
    told = f"{amount(made['records'])} records of {_plural(len(made['files']), 'crawl file')} gave "
    told += f"{amount(made['documents'])} documents"
    if chosen is None:
        return f"{told} in {_plural(len(made['languages']), 'language')}; they are not selected yet."
    kept = sum(1 for v in chosen["languages"].values() if v["kept"])
    told += f", of which {amount(chosen['kept'])} in {_plural(kept, 'language')} were selected"
    if corpus.manifest is None:
        return f"{told}; there are no tokens yet."
    return f"{told} and made {amount(sum(s.tokens for s in corpus.manifest.shards))} tokens."


def _plural(count: int, noun: str) -> str:
    return f"{count:,} {noun}" + ("" if count == 1 else "s")


def _figures(corpus: Corpus) -> list[tuple[str, str]]:
    made, chosen = corpus.documents, corpus.selection
    pairs = [("records", f"{made['records']:,}"), ("documents", f"{made['documents']:,}")]
    if chosen is not None:
        kept = chosen["languages"].values()
        pairs += [
            ("kept", f"{chosen['kept']:,}"),
            ("languages kept", str(sum(1 for v in kept if v["kept"]))),
            ("characters kept", amount(sum(v["kept_characters"] for v in kept))),
        ]
    else:
        pairs += [("languages", str(len(made["languages"]))), ("characters", amount(made["characters"]))]
    if corpus.manifest is not None:
        pairs.append(("tokens", amount(sum(s.tokens for s in corpus.manifest.shards))))
    return pairs


def _funnel(corpus: Corpus) -> str:
    """Records to kept documents, and their text to what an epoch sees: two scales, two pictures."""
    made, chosen = corpus.documents, corpus.selection
    pages = made["records"] - sum(made["drops"].get(r.name, 0) for r in (Reason.OTHER_RECORD, Reason.REVISIT))
    counts = [("records", made["records"]), ("pages", pages), ("documents", made["documents"])]
    lengths = [("documents", made["characters"])]
    if chosen is not None:
        counts.append(("kept", chosen["kept"]))
        languages = chosen["languages"].values()
        lengths.append(("kept", sum(v["kept_characters"] for v in languages)))
        lengths.append(("epoch", sum(v["epoch_characters"] for v in languages)))
    if corpus.manifest is not None:
        train = [s for s in corpus.manifest.shards if not s.validation]
        lengths.append(("epoch, tokens", sum(s.tokens * s.copies for s in train)))
    note = "<p>Pages are records that hold one: without requests, metadata and revisits.</p>"
    note += "<h3>Records and documents</h3>" + _bars(counts, "records, pages, documents and kept documents")
    return (
        note
        + "<h3>Characters of their text</h3>"
        + _bars(lengths, "characters of documents, of kept ones, in an epoch")
    )


def _bars(rows: list[tuple[str, int]], about: str) -> str:
    return "<figure>" + bars([Bar(k, (float(n),), (f"{n:,}",)) for k, n in rows], about) + "</figure>"


def _drops(corpus: Corpus) -> str:
    made = corpus.documents
    drops = sorted(made["drops"].items(), key=lambda kv: (-kv[1], kv[0]))
    rows = [(markup.explained(k, books.about(k)), f"{n:,}", markup.share(n, made["records"])) for k, n in drops]
    shown = table(("reason", "records", "share"), rows, "tnn", "Every record gave a document.")
    return shown + markup.folds(_examples_of(reason, _places(made["examples"].get(reason, []))) for reason, _ in drops)


def _places(places: list) -> list[str]:
    """Examples of a drop: the URL, what was wrong, where it lies."""
    return [
        f"<article><p>{code(url or '(no URL)')} {text(detail)}<br>"
        f"<small>{code(file)} at byte {at:,}</small></p></article>"
        for url, file, at, detail in places
    ]


def _examples_of(reason: str, articles: list[str]) -> tuple[str, str]:
    count = f"<small>{_plural(len(articles), 'example')}</small>"
    return f"{markup.key(reason)} {count}", "".join(articles)


def _rejections(corpus: Corpus, found: Findings) -> str:
    chosen = corpus.selection
    if chosen is None:
        return ""
    reasons = [r for r in Reason if not r.is_drop and chosen["failing"].get(r.name)]
    columns = ("rejections", "failing", "alone")
    rows = [(markup.explained(r.name, r.about), *(f"{chosen[c].get(r.name, 0):,}" for c in columns)) for r in reasons]
    note = (
        f"<p>{chosen['documents'] - chosen['kept']:,} of {chosen['documents']:,} documents. <b>First</b>: it is the "
        "first rule that fails, the document's verdict. <b>Alone</b>: it fails, with or without others; so many would "
        "go if there were no other rule. <b>Only</b>: no other rule fails; so many more would be kept without it.</p>"
    )
    shown = note + table(("reason", "first", "alone", "only"), rows, "tnnn", "None was rejected.")
    examples = ((r.name, [_example(e) for e in found.examples.get(r.name, [])]) for r in reasons)
    return shown + markup.folds(_examples_of(name, articles) for name, articles in examples)


def _example(example: Example) -> str:
    facts = f"<br>{text(example.facts)}" if example.facts else ""
    named = f"{code(example.url or '(no URL)')} <small>{text(example.language)}</small>"
    return f"<article><p>{named}{facts}</p>{quote(example.excerpt, report_languages.tag(example.language))}</article>"


# --- what was met on the way --------------------------------------------------------------------------------------


def _duplicates(corpus: Corpus, found: Findings) -> str:
    if corpus.selection is None:
        return ""
    note = f"<p>{found.clustered:,} documents stand in {_plural(found.clusters, 'cluster')} of equal URLs, equal texts "
    note += f"or nearly equal texts; one of each may be kept.{_seen_in(corpus, found)}</p>"
    note += _kinds(corpus.selection)
    if not found.clusters:
        return note
    sizes = [(text(words), f"{found.sizes[words]:,}") for _, words in findings.SIZES if found.sizes[words]]
    largest = [
        (f"{c.size:,}", code(c.url or "(no URL)"), "kept for it" if c.won else "none passes; its first")
        for c in found.largest
    ]
    shown = table(("documents in it", "clusters"), sizes, "tn")
    return note + shown + "<h3>The largest</h3>" + table(("documents", "URL", "which is"), largest, "nct")


def _kinds(chosen: dict) -> str:
    """Documents that lost to another one, by what they share with it; lines that are left out of the others."""
    kinds = [r for r in (Reason.SAME_URL, Reason.SAME_TEXT, Reason.NEAR_DUPLICATE) if chosen["failing"].get(r.name)]
    rows = [(markup.explained(r.name, r.about), f"{chosen['failing'][r.name]:,}") for r in kinds]
    older = f" Pages of older corpora that lost to one here: {chosen['older']:,}." if chosen.get("against") else ""
    lines = f"<p>Lines left out of kept documents, because other pages repeat them: {chosen['lines_out']:,}.{older}</p>"
    return table(("lost to another with", "documents"), rows, "tn") + lines if rows else lines


def _evaluation(corpus: Corpus) -> str:
    """Documents that share text with each evaluation set; nothing where none was named."""
    sets, chosen = corpus.settings.get(decontamination.SETS), corpus.selection
    if sets is None or chosen is None or "contaminated" not in chosen:
        return ""
    rows = [
        (code(name), f"{texts:,}", f"{short:,}", f"{n:,}", markup.share(n, chosen["documents"]))
        for k, (name, texts, short) in enumerate(zip(sets["names"], sets["texts"], sets["too_short"], strict=True))
        for n in [chosen["contaminated"].get(str(k), 0)]
    ]
    note = (
        f"<p>Documents that share {decontamination.RUN} words in a row with a text of a set (in scripts without spaces "
        f"{decontamination.UNSPACED_RUN} characters) are rejected. Too short are texts that were not looked for.</p>"
    )
    return note + table(("set", "texts", "too short", "documents", "share"), rows, "cnnnn")


def _seen_in(corpus: Corpus, found: Findings) -> str:
    whole = len(corpus.plan)
    return "" if found.parts == whole else f" Counted in {found.parts:,} of {whole:,} parts, evenly spread."


def _charsets(corpus: Corpus, found: Findings) -> str:
    order = sorted(found.charsets.items(), key=lambda kv: (-kv[1], kv[0]))
    rows = [
        (text(charset), text(findings.SAID.get(source, source)), f"{n:,}", markup.share(n, found.documents))
        for (charset, source), n in order
    ]
    shown = table(("charset", "who said so", "documents", "share"), rows, "ttnn")
    wishes = sorted(found.wishes.items(), key=lambda kv: (-kv[1], kv[0]))
    wished = ", ".join(f"{n:,} {text(word)}" for word, n in wishes) or "none"
    cut = corpus.documents["truncated"]
    respected = corpus.settings.get("select", {}).get("respect", [])
    shown += f"<p>What pages ask for in tags and headers: {wished}; respected: {', '.join(respected) or 'none'}. "
    shown += f"Personal data masked: {books.masked(corpus.documents)}. Pages that tell their date: {found.dated:,}. "
    return shown + f"Cut short by the crawler or by max_page_bytes: {cut:,} documents.{_seen_in(corpus, found)}</p>"


def _failures(corpus: Corpus, failed: list[dict]) -> str:
    lost = corpus.documents["lost_bytes"]
    read = f"{_plural(len(corpus.documents['files']), 'file')}, {size(corpus.documents['bytes'])}"
    note = f"<p>{read}; {len(failed):,} not read whole, {size(lost)} lost.</p>"
    rows = []
    for entry in failed[:_FILES]:
        ranges = [_range(start, stop, why) for start, stop, why in entry["damage"][:_RANGES]]
        if (more := len(entry["damage"]) - _RANGES) > 0:
            ranges.append(f"and {more:,} more")
        rows.append((code(entry["path"]), f"{entry['records']:,}", f"{entry['lost_bytes']:,}", "<br>".join(ranges)))
    if len(failed) > _FILES:
        note += f"<p>The first {_FILES} of them; all stand in {books.FAILED}.</p>"
    return note + table(("file", "records read", "bytes lost", "bytes and what is wrong there"), rows, "cnnw")


def _range(start: int, stop: int, why: str) -> str:
    return text(why) if stop <= start else f"{start:,} to {stop:,}: {text(why)}"


def _times(corpus: Corpus, times: dict[str, dict]) -> str:
    made = corpus.documents
    tokens = sum(s.tokens for s in corpus.manifest.shards) if corpus.manifest is not None else 0
    work = {
        "extract": [(made["bytes"], size), (made["records"], lambda n: f"{amount(n)} records")],
        "select": [(made["documents"], lambda n: f"{amount(n)} documents")],
        "tokenize": [(tokens, lambda n: f"{amount(n)} tokens")],
    }
    rows = []
    for step, done in work.items():
        if (entry := times.get(step)) is None:
            continue
        seconds = max(entry["seconds"], 0.01)
        rate = ", ".join(f"{unit(round(n / seconds))}/s" for n, unit in done if n)
        if entry["skipped"]:
            rate = f"{entry['skipped']:,} parts were there already"
        rows.append((step, duration(entry["seconds"]), text(entry["workers"] or "cluster"), text(rate)))
    return table(("step", "wall time", "processes", "rate"), rows, "tnnt")


def _settings(corpus: Corpus) -> str:
    """settings.toml as it is; what differs from the default is said."""
    shown = ""
    for section, values in corpus.settings.items():
        kind = settings.SECTIONS.get(section)
        values = NONE.changed(values, section).table() if section == "thresholds" else values
        fields = getattr(kind, "__dataclass_fields__", {})
        rows = [[code(k), code(_value(v, fields.get(k))), _default(v, fields.get(k))] for k, v in values.items()]
        heads, kinds = ["name", "value", "instead of"], "ttt"
        if not any(row[2] for row in rows):
            heads, kinds, rows = heads[:2], kinds[:2], [row[:2] for row in rows]
        shown += f"<h3>{text(section)}</h3>" + table(heads, rows, kinds)
    return shown


def _value(value: object, field: dataclasses.Field | None) -> str:
    """A value as one reads it; what an empty list means, its setting tells."""
    if isinstance(value, list | tuple):
        return ", ".join(map(str, value)) or (field.metadata.get("empty", "") if field else "")
    return str(value)


def _default(value: object, field: dataclasses.Field | None) -> str:
    """The default, where there is one and the value is another."""
    if field is None or field.default == "" or _value(field.default, field) == _value(value, field):
        return ""
    return code(_value(field.default, field))


def _books(corpus: Corpus) -> str:
    made, chosen, manifest = corpus.documents, corpus.selection, corpus.manifest
    lines = [_balance("records", made["records"], {"documents": made["documents"], **made["drops"]})]
    if chosen is not None:
        lines.append(_balance("documents", made["documents"], {"kept": chosen["kept"], **chosen["rejections"]}))
    if manifest is not None and chosen is not None:
        train = sum(s.documents for s in manifest.shards if not s.validation)
        held = sum(s.documents for s in manifest.shards if s.validation)
        lines.append(_balance("kept", chosen["kept"], {"in training shards": train, "in validation shards": held}))
        split = {
            s: sum(x.tokens for x in manifest.shards if x.validation == v)
            for s, v in (("for training", False), ("for validation", True))
        }
        lines.append(_balance("tokens", manifest.books["tokens"], split))
    return "".join(lines)


def _balance(name: str, whole: int, parts: dict[str, int]) -> str:
    """A line of the books: a sum, and whether it is one."""
    left = whole - sum(parts.values())
    told = " + ".join(f"{n:,} {text(k)}" for k, n in sorted(parts.items(), key=lambda kv: (-kv[1], kv[0])))
    verdict = f'<span class="bad">does not balance: {left:+,}</span>' if left else '<b class="good">balances</b>'
    return f"<p>{whole:,} {text(name)} = {told}: {verdict}</p>"
