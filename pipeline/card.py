"""The dataset card of a corpus: README.md with the metadata that dataset hubs read, written from the books."""

import json
import os

from corpus import settings
from corpus.terminal import size
from pipeline import books, language
from pipeline.findings import Findings
from pipeline.folder import Corpus

CARD = "README.md"
_SIZES = ((10**3, "n<1K"), (10**4, "1K<n<10K"), (10**5, "10K<n<100K"), (10**6, "100K<n<1M"), (10**7, "1M<n<10M"))
_LARGER = ((10**8, "10M<n<100M"), (10**9, "100M<n<1B"), (10**10, "1B<n<10B"), (10**11, "10B<n<100B"))
_LISTED = 20


def text(corpus: Corpus, found: Findings, name: str) -> str:
    """The whole card."""
    parts = [_header(corpus, name), f"# {_plain(name)}\n", *_counts(corpus), *_sources(corpus), *_making(corpus)]
    parts += [*_use(corpus), *_limits(corpus, found)]
    return "\n".join(parts)


def kept(corpus: Corpus) -> list[str]:
    """The labels of what was kept (of all documents before the selection), most text first."""
    rows = corpus.selection["languages"] if corpus.selection is not None else corpus.documents["languages"]
    column = "kept_characters" if corpus.selection is not None else "characters"
    return sorted((k for k in rows if rows[k][column]), key=lambda k: (-rows[k][column], k))


def _header(corpus: Corpus, name: str) -> str:
    labels = kept(corpus)
    codes = sorted({_code(k) for k in labels if k[:4] not in ("und_", "zxx_")})
    lines = ["---", f"pretty_name: {json.dumps(_plain(name), ensure_ascii=False)}"]
    if codes:
        lines += ["language:", *(f"- {json.dumps(c)}" for c in codes)]
    lines += ["license: unknown", "task_categories:", "- fill-mask", "size_categories:", f"- {_size(_rows(corpus))}"]
    lines += ["configs:"]
    if corpus.manifest is None:
        lines += ["- config_name: documents", "  data_files: documents/part-*.parquet"]
    else:
        train, held = corpus.manifest.languages(), corpus.manifest.languages(validation=True)
        for label in sorted({*train, *held}):
            lines += [f"- config_name: {label}", "  data_files:"]
            lines += ["  - split: train", f"    path: tokens/{label}/x*.arrow"] if label in train else []
            lines += ["  - split: validation", f"    path: tokens/{label}/validation-*.arrow"] if label in held else []
    return "\n".join([*lines, "---", ""])


def _code(label: str) -> str:
    """The short code of a language, or its ISO 639-3 one. Quoted in YAML: `no` would be false."""
    row = language.languages().get(label)
    return row.code or row.language if row else label.partition("_")[0]


def _rows(corpus: Corpus) -> int:
    return corpus.selection["kept"] if corpus.selection is not None else corpus.documents["documents"]


def _size(count: int) -> str:
    return next((words for bound, words in _SIZES + _LARGER if count < bound), "100B<n<1T")


def _plain(words: str) -> str:
    """Without what Markdown or HTML would act on, on one line."""
    return "".join(c if c.isprintable() and c not in "`<>[]|*" else " " for c in words)


def _counts(corpus: Corpus) -> list[str]:
    made, chosen, labels = corpus.documents, corpus.selection, kept(corpus)
    lines = [f"Web text in {len(labels)} languages, made by crawlmill {settings.VERSION}.\n", "## Counts\n"]
    lines += ["| | count |", "|---|---:|", f"| records read | {made['records']:,} |"]
    lines += [f"| documents | {made['documents']:,} |", f"| their characters | {made['characters']:,} |"]
    if chosen is not None:
        rows = chosen["languages"].values()
        lines += [f"| documents kept | {chosen['kept']:,} |"]
        lines += [f"| their characters | {sum(r['kept_characters'] for r in rows):,} |"]
        lines += [f"| characters of an epoch | {sum(r['epoch_characters'] for r in rows):,} |"]
    if corpus.manifest is not None:
        lines += [f"| tokens | {sum(s.tokens for s in corpus.manifest.shards):,} |"]
        lines += [f"| vocabulary | {corpus.manifest.vocabulary_size:,} |"]
    return [*lines, "", *_languages(corpus, labels)]


def _languages(corpus: Corpus, labels: list[str]) -> list[str]:
    chosen = corpus.selection
    rows = chosen["languages"] if chosen is not None else corpus.documents["languages"]
    documents, column = ("kept", "kept_characters") if chosen is not None else ("documents", "characters")
    lines = ["| language | documents | characters |", "|---|---:|---:|"]
    lines += [f"| {k} | {rows[k][documents]:,} | {rows[k][column]:,} |" for k in labels[:_LISTED]]
    if (more := len(labels) - _LISTED) > 0:
        lines += [f"\n{more} more languages are listed in report.html."]
    return [*lines, ""]


def _sources(corpus: Corpus) -> list[str]:
    files = corpus.documents["files"]
    lines = ["## Sources\n", f"Crawl files: {len(files):,}, {size(corpus.documents['bytes'])}:\n"]
    lines += [f"- `{_plain(os.path.basename(p))}`, {n:,} records" for p, n in sorted(files.items())[:_LISTED]]
    if (more := len(files) - _LISTED) > 0:
        lines += [f"- and {more:,} more, named in documents/items.tsv"]
    return [*lines, ""]


def _making(corpus: Corpus) -> list[str]:
    extract, select = corpus.settings.get("extract", {}), corpus.settings.get("select", {})
    content = "all of its text" if extract.get("extractor") == "text" else "its main content"
    masked = (
        f"are masked: {books.masked(corpus.documents)}" if extract.get("pii") == "mask" else "were left as they are"
    )
    lines = ["## How it was made\n", f"From each page {content} was taken, decoded and cleaned."]
    lines += [f"E-mail and IP addresses, phone numbers, IBANs and card numbers {masked}."]
    lines += ["The language was identified from the text."]
    if corpus.selection is not None:
        near = ", the same or nearly the same text" if select.get("near_duplicates") else " or the same text"
        lines += [f"Of documents with the same URL{near} one was kept."]
        lines += [
            "Rules on length, repetition and form rejected others: every threshold stands in settings.toml, every"
        ]
        lines += ["count and examples in report.html."]
        lines += [f"Languages are resampled with {select.get('weights')}, no document more than"]
        lines += [
            f"{select.get('max_copies')} times an epoch. Of the sites {select.get('validation', 0):.1%} are held back."
        ]
    else:
        lines += ["Nothing has been selected yet: duplicates and pages of low quality are still in it."]
    return [*lines, ""]


def _use(corpus: Corpus) -> list[str]:
    if corpus.manifest is None:
        return []
    label = next((k for k in kept(corpus) if k in corpus.manifest.languages()), "LANGUAGE")
    lines = [
        "## How to read it\n",
        "A row of a shard is a document: `tokens` (ids of vocabulary/spm.model), `part` and",
    ]
    lines += ["`row`, which say where its text lies in documents/. The x in a shard's name says how often an epoch"]
    lines += ["sees its documents.\n", "```python", "from datasets import load_dataset\n"]
    return [*lines, f'load_dataset("PATH/OF/THIS/FOLDER", "{label}", split="train")', "```", ""]


def _limits(corpus: Corpus, found: Findings) -> list[str]:
    wishes = ", ".join(f"{n:,} {k}" for k, n in sorted(found.wishes.items())) or "none"
    damage = corpus.documents["lost_bytes"]
    lines = ["## Limits\n", "- The texts belong to their authors; nobody was asked for a licence."]
    respected = ", ".join(corpus.settings.get("select", {}).get("respect", [])) or "none"
    lines += [f"- What pages ask for in tags and headers: {wishes}. Respected, by rejecting the page: {respected}."]
    lines += ["- Names, postal addresses and other personal data remain in the texts."]
    lines += ["- A language label is a classifier's; for small languages and short texts it errs more often."]
    lines += ["- Quality rules look at form. Falsehoods, hate and machine-made text pass them."]
    lines += [f"- {damage:,} bytes of damaged crawl files could not be read."] if damage else []
    return [*lines, ""]
