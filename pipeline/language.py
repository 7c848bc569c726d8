"""text -> language: label, score, script, runner-up, share of the lines that agree, second language.

A label is an ISO 639-3 code, '_' and an ISO 15924 script; und_<script> where the text is in no known language of that
script, and zxx_Zyyy where it is none (numbers, code). Code points decide the script, the model the language. Only a
sample of a page is looked at. The shipped model is a table (language_model.py); fastText's models are read by path.
"""

import collections
import functools
import hashlib
import itertools
import os
import unicodedata
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import NamedTuple, Protocol

import numpy as np

from corpus import storage
from corpus.terminal import UserError
from pipeline import fasttext_file, language_model, words

_HERE = os.path.dirname(os.path.abspath(__file__))
SHIPPED = os.path.join(_HERE, "models", "language.bin")
CHANGE = os.path.join(_HERE, "models", "language-change.bin")
"""What has been learnt since about the largest languages (train_language.py)."""

SAMPLE = 2_000
"""Characters of a page that are looked at: its beginning, middle and end."""
LINES, LINE_CHARACTERS, MIN_LINE_CHARACTERS = 8, 240, 24
"""Lines of the sample that are asked one by one, and how much of each; shorter ones tell too little."""
MIN_LETTERS = 0.5
"""Letters and marks among all characters but white space; below it is a table of numbers, not a text."""
MAX_CODE, FREE_SIGNS = 0.05, 4
"""Signs of program code among all characters but white space, besides the first few: above it is code or markup. Of
1,761 real pages 11 lie above (formulas, listings, wiki markup), of Python's own modules, full of prose, about half."""
MAX_WORD, MIN_RUN = 25, 80
"""Mean letters of a word, where there are spaces: beyond it (and with so many letters in all) it is no word, but an
encoded file or a keyboard's noise. Real languages stay below 15."""
SECOND = 0.5
"""The score from which on a line that does not agree speaks for a second language of the page."""
BATCH = 1_000
"""Lines that are asked at once."""
TOP = 6
"""Answers of a fastText model that are searched for one in the text's script before all are."""

NO_LANGUAGE = "zxx_Zyyy"

_WRITES = {"Hani": ("Hans", "Hant", "Hani", "Jpan"), "Jpan": ("Jpan", "Hira", "Kana"), "Kore": ("Kore", "Hang")}
_BARE = {"als": "gsw", "sh": "hbs", "bh": "bho", "no": "nob", "eml": "egl"}
"""Labels of models that name no script (lid.176) and mean something else by a code than ISO 639-3 does."""


@dataclass(frozen=True, slots=True)
class Language:
    """`score` is the model's probability, of the shipped one with that of the runner-up if both are of one group: which
    of siblings it is the label guesses, and no text is to be lost for that; `script` the ISO 15924 code (Zyyy: no
    letters); `lines_in_language` the share of the looked-at lines with the same label (1 if none is long enough);
    `second` the label of most others ('' if none is sure); `runner_up` the model's next best label, with its score."""

    label: str
    score: float
    script: str
    lines_in_language: float = 1.0
    second: str = ""
    runner_up: str = ""
    runner_up_score: float = 0.0


class Guess(NamedTuple):
    """What a model says about a short text."""

    label: str
    score: float
    script: str
    runner_up: str = ""
    runner_up_score: float = 0.0


class Asked(Protocol):
    """A model: pieces of a text in NFC, each given by its first character and its end -> what it says about each."""

    digest: str

    def ask(self, text: str, spans: list[tuple[int, int]]) -> list[Guess]: ...


@dataclass(frozen=True, slots=True)
class Row:
    """A row of languages.tsv. `code`: the short BCP 47 code; `macro`: the ISO 639-3 macrolanguage it stands for;
    `group`: languages often taken for each other; `family`: an ISO 639-5 code, '' where the language stands alone;
    `web`: percent of web pages (Common Crawl's statistics of CC-MAIN-2024-42, which CLD2 told: 160 languages; Chinese
    and Serbian shared out among their scripts, of Latin a tenth, as most is lorem ipsum), 0: none are known; `cut`: the
    score below which the label is not believed; `recall`: of lines kept out of training, '' if there were none;
    `about`: what stands behind a merged or doubtful label."""

    label: str
    name: str
    code: str
    macro: str
    group: str
    family: str
    web: float
    cut: float
    recall: str
    about: str

    @property
    def language(self) -> str:
        return self.label.partition("_")[0]

    @property
    def script(self) -> str:
        return self.label.partition("_")[2]


@functools.cache
def languages() -> dict[str, Row]:
    """languages.tsv: label -> row. A language's first row is its usual script."""
    with open(os.path.join(_HERE, "languages.tsv"), encoding="utf-8") as file:
        next(file)
        rows = [line.rstrip("\n").split("\t") for line in file]
    return {r[0]: Row(r[0], r[1], r[2], r[3], r[4], r[5], float(r[6] or 0), float(r[7]), r[8], r[9]) for r in rows}


@functools.cache
def are_siblings(one: str, other: str) -> bool:
    """Whether two labels are of languages that are often taken for each other."""
    table = languages()
    return one in table and other in table and table[one].group != "" and table[one].group == table[other].group


@functools.cache
def places(label: str) -> tuple[str, ...]:
    """Where limits for documents of a language may stand, the nearest first: its label, its family in its script (as
    roa_Latn; ISO 639-5 names families otherwise than any language), its script."""
    script = label.partition("_")[2]
    family = row.family if (row := languages().get(label)) else ""
    return (label, f"{family}_{script}", script) if family else (label, script)


@functools.cache
def _names() -> dict[str, str]:
    """Every code a language goes by -> its ISO 639-3 code: own codes before short ones before macrolanguages."""
    names: dict[str, str] = {}
    for attribute in ("language", "code", "macro"):
        for row in languages().values():
            names.setdefault(getattr(row, attribute), row.language)
    names.pop("", None)
    return names


@functools.cache
def normal_label(raw: str, script: str = "Zyyy") -> str:
    """A label of any model in our form: '__label__en', 'en', 'eng', 'eng_Latn', 'zho_Hans' -> 'eng_Latn', 'cmn_Hans'.
    Where it names no script it gets `script` (that of the text) if the language is written in it, else its usual one;
    a language that languages.tsv lacks gets `script` unseen."""
    bare = raw.removeprefix("__label__").replace("-", "_")
    code, _, own = bare.partition("_")
    if not own:
        code = _BARE.get(code, code)
    code = _names().get(code, code)
    if own and len(own) == 4:
        return f"{code}_{own}"
    known = [row.script for row in languages().values() if row.language == code]
    fitting = [s for s in known if writes(s, script)]
    return f"{code}_{(fitting or known or [script])[0]}"


def writes(label_script: str, text_script: str) -> bool:
    """Whether a label's script can be that of a text (Hani text may be Hans or Hant, or Japanese without Kana)."""
    return label_script in _WRITES.get(text_script, (text_script,))


def sample(text: str) -> str:
    """At most SAMPLE characters: all of a short text, else beginning, middle and end, cut at white space."""
    if len(text) <= SAMPLE:
        return text
    size = SAMPLE // 3
    middle = (len(text) - size) // 2
    windows = [text[:size], text[middle : middle + size], text[-size:]]
    return "\n".join(w.partition(" ")[2] if k and " " in w[:40] else w for k, w in enumerate(windows))


def normalise(text: str) -> str:
    """Text as fastText's models of ours see it: NFC, lower case, all but letters and marks a space."""
    folded = language_model.fold()[words.codes(unicodedata.normalize("NFC", text))] & language_model.POINT
    kept = folded != 0
    kept[1:] |= kept[:-1].copy()
    return words.decode(np.where(folded, folded, 32)[kept]).strip()


def is_text(script: str, letters: int, visible: int, code: int, runs: int, unspaced: int) -> bool:
    """Whether so many letters and marks, characters but white space, signs of program code, runs of letters, and
    letters of unspaced scripts can be those of a text with this main script. Encoded files have Latin letters; where
    spaces are lost in Arabic, it is still a text."""
    if letters < max(1, MIN_LETTERS * visible):
        return False
    if script == "Latn" and letters > MIN_RUN and not unspaced and letters > MAX_WORD * max(1, runs):
        return False
    return code <= MAX_CODE * visible + FREE_SIGNS


def line_spans(text: str) -> list[tuple[int, int]]:
    """Where the lines stand that are asked one by one: LINES of them, evenly spread, or none if less than two are long
    enough."""
    spans, start = [], 0
    for line in text.split("\n"):
        if len(line) >= MIN_LINE_CHARACTERS and len(bare := line.strip()) >= MIN_LINE_CHARACTERS:
            begin = start + len(line) - len(line.lstrip())
            spans.append((begin, begin + min(len(bare), LINE_CHARACTERS)))
        start += len(line) + 1
    return spans[:: max(1, len(spans) // LINES)][:LINES] if len(spans) > 1 else []


class TableModel:
    """The back end of the shipped model."""

    def __init__(self, model: language_model.Model):
        self._model, self.digest = model, model.digest

    def ask(self, text: str, spans: list[tuple[int, int]]) -> list[Guess]:
        rows = self._model.rank(words.codes(text), spans).tolist()
        return [self._guess(language_model.Ranked(*row)) for row in rows]

    def _guess(self, found: language_model.Ranked) -> Guess:
        written = language_model.SCRIPTS[found.script]
        if not is_text(written, found.letters, found.visible, found.code, found.runs, found.unspaced):
            return Guess(NO_LANGUAGE, 1.0, "Zyyy")
        if found.first < 0:
            return Guess(f"und_{written}", 0.0, written)
        labels, whole = self._model.labels, language_model.SHARE
        label, next_one = labels[found.first], labels[found.second] if found.second >= 0 and found.other else ""
        sure = found.share + (found.other if next_one and are_siblings(label, next_one) else 0)
        return Guess(label, min(1.0, sure / whole), label[4:], next_one, found.other / whole)


class FastTextModel:
    """The back end of a user's model."""

    def __init__(self, model: fasttext_file.Model):
        self._model, self.digest = model, model.digest

    def ask(self, text: str, spans: list[tuple[int, int]]) -> list[Guess]:
        return [self._guess(text[start:end]) for start, end in spans]

    def _guess(self, text: str) -> Guess:
        text = language_model.without_noise(text)
        points = words.codes(text)
        counts = language_model.count_scripts(points)
        script = words.main_script(counts)
        if not is_text(script, *language_model.census(words.classes()[points])):
            return Guess(NO_LANGUAGE, 1.0, "Zyyy")
        if script == "Zyyy":  # letters of scripts that the table lacks
            return Guess("und_Zyyy", 0.0, script)
        share = words.script_share(counts, script)
        line = normalise(text) if self._model.normalised else _one_line(text)
        answers = self._answers(line + "\n", script, share)
        if not answers:
            return Guess(f"und_{script}", 0.0, script)
        (score, label), (other, next_one) = (*answers, (0.0, ""))[:2]
        written = label.partition("_")[2]
        return Guess(label, score, written if script == "Hani" else script, next_one, other)

    def _answers(self, line: str, script: str, share: float) -> list[tuple[float, str]]:
        """The labels in this script, best first. If the model's first one is not among them, their scores are their
        parts of the probability of all labels in this script, times the script's share of the letters."""
        answers = self._model.predict(line, TOP, 0.0, "strict")
        if writes(normal_label(answers[0][1], script).partition("_")[2], script):
            whole = 1.0
        else:
            answers, whole = self._model.predict(line, -1, 0.0, "strict"), 0.0
        labels = ((p, normal_label(raw, script)) for p, raw in answers)
        fitting = [(p, label) for p, label in labels if writes(label.partition("_")[2], script)]
        whole = whole or sum(p for p, _ in fitting) / share
        return [(min(1.0, p / whole), label) for p, label in fitting]


def _one_line(text: str) -> str:
    """Text for a model that was trained on raw lines: no line ends, no lone surrogates."""
    return " ".join(text.encode("utf-8", "ignore").decode().split())


class Identifier:
    """A loaded model. Made by `load`, once a process; does not pickle."""

    def __init__(self, model: Asked):
        self._model, self.digest = model, model.digest

    def identify(self, text: str) -> Language:
        """The language of a page or line."""
        part = unicodedata.normalize("NFC", sample(text))
        whole, *lines = self._model.ask(part, [(0, len(part)), *line_spans(part)])
        if whole.label == NO_LANGUAGE:
            return Language(whole.label, whole.score, whole.script)
        others = collections.Counter(g.label for g in lines if g.label != whole.label)
        sure = {g.label for g in lines if g.score >= SECOND and g.label[:4] not in ("zxx_", "und_")} & others.keys()
        second = max(sorted(sure), key=others.__getitem__, default="")
        agree = 1 - others.total() / len(lines) if lines else 1.0
        return Language(whole.label, whole.score, whole.script, agree, second, whole.runner_up, whole.runner_up_score)

    def identify_lines(self, lines: Iterable[str]) -> Iterator[tuple[str, float]]:
        """(label, score) of each line."""
        for batch in _batches(lines):
            texts = [unicodedata.normalize("NFC", sample(line)) for line in batch]
            ends = list(itertools.accumulate(len(text) + 1 for text in texts))
            spans = [(end - len(text) - 1, end - 1) for end, text in zip(ends, texts, strict=True)]
            for guess in self._model.ask("\n".join(texts), spans):
                yield guess.label, guess.score


def _batches(lines: Iterable[str]) -> Iterator[list[str]]:
    lines = iter(lines)
    while batch := list(itertools.islice(lines, BATCH)):
        yield batch


@functools.cache
def load(path: str = "") -> Identifier:
    """The identifier with the model at a local or remote path, by default the shipped one; loaded once a process.
    A file that is missing, cut or no model is the user's mistake."""
    if path and not _is_table(path):
        return Identifier(FastTextModel(fasttext_file.load(path)))
    return Identifier(TableModel(_table(path) if path else shipped()))


def shipped() -> language_model.Model:
    """The shipped model, each of its two files checked."""
    model = _table(SHIPPED)
    _check(SHIPPED)
    _check(CHANGE)
    return _whole(CHANGE, lambda path: language_model.changed(model, path))


def _table(path: str) -> language_model.Model:
    return _whole(path, language_model.read)


def _whole(path: str, read: Callable[[str], language_model.Model]) -> language_model.Model:
    try:
        return read(path)
    except language_model.Damaged as error:
        raise UserError(f"{storage.redact(path)}: not a whole language model: {error}; fetch the file again") from None


def _check(path: str) -> None:
    with open(path + ".sha256", encoding="ascii") as file:
        want = file.read().strip()
    if (found := hashlib.sha256(storage.read(path)).hexdigest()) != want:
        raise UserError(f"{path}: SHA-256 {found[:12]}... is not that of the model; reinstall crawlmill")


def _is_table(path: str) -> bool:
    try:
        return language_model.is_model(path)
    except OSError:
        return False  # told by fasttext_file


def identify_lines(lines: Iterable[str], path: str = "") -> Iterator[tuple[str, float]]:
    """(label, score) of each line, by the model at `path` (empty: the shipped one)."""
    return load(path).identify_lines(lines)
