"""Labelled texts as they are published: TSV, JSON Lines, JSON, CoNLL; also .gz and .xz. Rows -> examples.

Known by their columns: GLUE's files, XNLI's, SIB-200's, and whatever names its columns text, label and the like.
SQuAD's JSON (XQuAD, MLQA) holds questions; a JSON Lines row with tokens and tags, or CoNLL's lines of word and tag, is
tagging.
"""

import gzip
import json
import lzma
import os
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from corpus.terminal import UserError

KINDS = ("classify", "score", "tag", "answer")
"""One of some labels; a number; a label for each word; a span of the text."""

COLUMNS = {
    "text": ("text", "sentence", "sentence1", "premise", "question1", "#1 String"),
    "pair": ("pair", "text2", "sentence2", "hypothesis", "hypo", "question2", "#2 String"),
    "label": ("label", "category", "gold_label", "score", "is_duplicate", "Quality", "class"),
    "language": ("language", "lang"),
    "split": ("split",),
    "id": ("id", "index_id", "pairID", "index"),
}
"""What columns are called elsewhere; the first that is there counts, gold_label before label."""

SPLITS = {"train": ("train",), "dev": ("dev", "validation", "valid"), "test": ("test",)}
SHORT = "ar bg bn cs de el en es et eu fa fi fr ga he hi hu id it ja ko nl no pl pt ro ru sv sw ta te th tl tr ur vi zh"
"""Codes that files of tasks are named by: xquad.zh.json."""

SAME = {"contradictory": "contradiction"}  # XNLI's training file has a word of its own


@dataclass(frozen=True)
class Example:
    """words and tags: for tagging. answers: (text, first character in `pair`) of a question `text` about `pair`."""

    text: str = ""
    pair: str = ""
    label: str = ""
    words: tuple[str, ...] = ()
    tags: tuple[str, ...] = ()
    answers: tuple[tuple[str, int], ...] = ()
    question: bool = False
    language: str = ""
    id: str = ""


def read(paths: Iterable[str], split: str, languages: Sequence[str] = ()) -> list[Example]:
    """The examples of some files. Where rows tell their split (train, dev, test), those of `split`; languages: those
    that count, empty for all. Errors: UserError."""
    found: list[Example] = []
    for path in paths:
        rows = list(_rows(path))
        splits = {row.get("split") for row in rows}
        if splits != {None}:
            rows = [row for row in rows if row.get("split") in SPLITS[split]]
        examples = [e for row in rows for e in _examples(row, path)]
        chosen = [e for e in examples if not languages or e.language in languages]
        if not chosen:
            told = sorted({e.language for e in examples})
            what = f"in {', '.join(languages)}; it has {', '.join(told)}" if examples else f"of split {split}"
            raise UserError(f"{path}: no examples {what}; look at its columns")
        found += chosen
    return found


def kind(examples: Sequence[Example]) -> str:
    """One of KINDS. Errors: UserError if the examples are of several."""
    found = {
        "answer" if e.question else "tag" if e.words else "score" if re.fullmatch(r"\d+\.\d+", e.label) else "classify"
        for e in examples
    }
    if len(found) > 1:
        raise UserError(f"the examples are of several kinds ({', '.join(sorted(found))}); give files of one task")
    return found.pop()


def _open(path: str):
    if not os.path.isfile(path):
        raise UserError(f"{path}: {'a folder' if os.path.isdir(path) else 'not there'}; name a file of examples")
    opened: dict[str, Any] = {".xz": lzma.open, ".gz": gzip.open}
    return opened.get(os.path.splitext(path)[1], open)(path, "rt", encoding="utf-8", newline="")


def _rows(path: str) -> Iterator[dict]:
    """Rows with the names of COLUMNS, or the paragraphs of SQuAD's JSON. Errors: UserError."""
    name = re.sub(r"\.(xz|gz)$", "", path)
    try:
        with _open(path) as file:
            if name.endswith((".jsonl", ".ndjson")):
                rows = [(n, json.loads(line)) for n, line in enumerate(file, 1) if line.strip()]
            elif name.endswith(".json"):
                values = json.load(file)
                rows = list(enumerate(_paragraphs(values) if isinstance(values, dict) else values, 1))
            else:
                rows = list(enumerate(_lines(file.read().split("\n"), path), 1))
    except (ValueError, EOFError, lzma.LZMAError, OSError) as error:
        raise UserError(f"{path}: not readable ({str(error).splitlines()[0]}); give UTF-8 TSV, JSONL or JSON") from None
    for number, row in rows:
        if not isinstance(row, dict):
            raise UserError(f"{path}: row {number} is no object; give rows with names like text and label")
        named = row.get("language") or row.get("lang") or _language(path)
        yield {**row, "language": named, "number": number}


def _language(path: str) -> str:
    """What file or folder say: xquad.zh.json, xnli/de/train.tsv, sib200/deu_Latn/train.tsv; '' if nothing."""
    folder, name = os.path.split(path)
    for word in (*name.split(".")[::-1], os.path.basename(folder)):
        if re.fullmatch(r"[a-z]{3}_[A-Z][a-z]{3}", word) or word in SHORT.split():
            return word
    return ""


def _paragraphs(values: dict) -> Iterator[dict]:
    for article in values.get("data", ()):
        for paragraph in article.get("paragraphs", ()):
            yield {"context": paragraph["context"], "qas": paragraph["qas"]}


def _lines(lines: list[str], path: str) -> Iterator[dict]:
    """Rows of a TSV or CoNLL file: a header, or CoLA's four columns, or words with tags and empty lines."""
    lines = [line.removesuffix("\r") for line in lines]
    first = lines[0].lstrip("\ufeff").split("\t")
    known = {alias for aliases in COLUMNS.values() for alias in aliases} | {"question"}
    if len(known & set(first)) >= 2:
        for line in filter(None, lines[1:]):
            yield dict(zip(first, line.split("\t"), strict=False))
    elif len(first) == 4 and first[1] in ("0", "1"):
        for line in filter(None, lines):
            _, label, _, sentence = line.split("\t")
            yield {"sentence": sentence, "label": label}
    elif "" in lines and len(re.split(r"[\t ]", first[0] if len(first) == 1 else lines[0])) > 1:
        yield from _conll(lines)
    else:
        raise UserError(f"{path}: its first line names no columns; write say text, label and language there, by tabs")


def _conll(lines: Iterable[str]) -> Iterator[dict]:
    words: list[tuple[str, str]] = []
    for line in [*lines, ""]:
        fields = re.split(r"[\t ]+", line.strip())
        if line.strip() and not line.startswith(("-DOCSTART-", "# ")):
            words.append((re.sub(r"^[a-z\-]{2,12}:(?=.)", "", fields[0]), fields[-1]))
        elif words:
            yield {"tokens": [w for w, _ in words], "tags": [t for _, t in words]}
            words = []


def _column(row: dict, name: str) -> str:
    aliases = ("gold_label", *COLUMNS[name]) if name == "label" else COLUMNS[name]
    return next((str(row[a]) for a in aliases if row.get(a) is not None), "")


def _examples(row: dict, path: str) -> Iterator[Example]:
    """Errors: UserError."""
    language, id = _column(row, "language"), _column(row, "id") or str(row["number"])
    if "qas" in row:
        yield from _questions(row, language)
    elif "tokens" in row and ("tags" in row or "ner_tags" in row):
        words, tags = row["tokens"], row["tags"] if "tags" in row else row["ner_tags"]
        if len(words) != len(tags):
            raise UserError(f"{path}: row {id} has {len(words)} tokens and {len(tags)} tags; give one for each")
        yield Example(words=tuple(map(str, words)), tags=tuple(map(str, tags)), language=language, id=id)
    else:
        text, pair, label = (_column(row, name) for name in ("text", "pair", "label"))
        if row.get("question") and row.get("sentence"):  # QNLI
            text, pair = row["question"], row["sentence"]
        if not text or not label:
            missing = "text" if not text else "label"
            raise UserError(f"{path}: row {id} has no {missing}; name a column one of {', '.join(COLUMNS[missing])}")
        if label != "-":  # SNLI and MNLI: the annotators did not agree
            yield Example(text, pair, SAME.get(label, label), language=language, id=id)


def _questions(row: dict, language: str) -> Iterator[Example]:
    """SQuAD's questions, also those without an answer; a short form has q and a."""
    for question in row["qas"]:
        given = question.get("answers", question.get("a", ()))
        answers = tuple((a["text"], a["answer_start"]) if isinstance(a, dict) else (a[0], int(a[1])) for a in given)
        text = question.get("question") or question["q"]
        yield Example(text, row["context"], answers=answers, question=True, language=language, id=str(question["id"]))


def read_pairs(path: str, languages: Sequence[str] = ()) -> list[tuple[str, str, str]]:
    """(sentence, its translation, pair of languages) from rows with src and tgt (JSON Lines) or two columns of a TSV
    without a header. languages: pairs that count, say ita-eng; empty for all. Errors: UserError."""
    name = re.sub(r"\.(xz|gz)$", "", path)
    if not name.endswith((".jsonl", ".ndjson", ".json")):
        with _open(path) as file:
            rows = [line.rstrip("\r\n").split("\t") for line in file]
        found = [(r[0], r[1], "") for r in rows if len(r) >= 2 and r[0] and r[1]]
    else:
        given = list(_rows(path))
        if not all("src" in r and "tgt" in r for r in given):
            raise UserError(f"{path}: rows without src and tgt; give translations")
        found = [(r["src"], r["tgt"], r.get("pair", "")) for r in given]
    found = [f for f in found if not languages or f[2] in languages]
    if not found:
        raise UserError(f"{path}: no pairs of sentences; give two columns by a tab, or rows with src and tgt")
    return found
