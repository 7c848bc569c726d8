"""text -> language: label, score, script, share of the lines that agree.

A label is an ISO 639-3 code, '_' and an ISO 15924 script; und_<script> where no language of that script is known, and
zxx_Zyyy where the text is none (numbers, code). Code points decide the script, the model the language: a classifier
over hashed n-grams always answers something. Only a sample of a page is looked at.
"""

import functools
import os
import unicodedata
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np

from corpus.terminal import UserError
from pipeline import fasttext_file, words

_HERE = os.path.dirname(os.path.abspath(__file__))
SHIPPED = os.path.join(_HERE, "models", "language.ftz")

SAMPLE = 3_000
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
TOP = 6
"""Answers of the model that are searched for one in the text's script before all are."""

NO_LANGUAGE = "zxx_Zyyy"

_WRITES = {"Hani": ("Hans", "Hant", "Hani", "Jpan"), "Jpan": ("Jpan", "Hira", "Kana"), "Kore": ("Kore", "Hang")}
_BARE = {"als": "gsw", "sh": "hbs", "bh": "bho", "no": "nob", "eml": "egl"}
"""Labels of models that name no script (lid.176) and mean something else by a code than ISO 639-3 does."""


@dataclass(frozen=True, slots=True)
class Language:
    """`score` is the model's probability; `script` the ISO 15924 code (Zyyy: no letters);
    `lines_in_language` the share of the looked-at lines with the same label (1 if none is long enough)."""

    label: str
    score: float
    script: str
    lines_in_language: float = 1.0


@dataclass(frozen=True, slots=True)
class Row:
    """A row of languages.tsv. `code`: the short BCP 47 code; `macro`: the ISO 639-3 macrolanguage it stands for;
    `group`: languages often taken for each other; `cut`: the score below which the label is not believed."""

    label: str
    name: str
    code: str
    macro: str
    group: str
    cut: float

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
    return {label: Row(label, name, code, macro, group, float(cut)) for label, name, code, macro, group, cut in rows}


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
    """What the shipped model is trained on and asked with: NFC, lower case, all but letters and marks a space."""
    return _View(text).normal


class _View:
    """A short text as the classifier sees it: code points and their classes, looked up once."""

    def __init__(self, text: str):
        self.points = words.codes(unicodedata.normalize("NFC", text).lower())
        self.bits = words.classes()[self.points]

    @property
    def normal(self) -> str:
        letters = self.bits & (words.LETTER | words.MARK) != 0
        kept = letters.copy()
        kept[1:] |= letters[:-1]
        return words.decode(np.where(letters, self.points, 32)[kept]).strip()

    @property
    def is_text(self) -> bool:
        visible = len(self.bits) - int(np.count_nonzero(self.bits & words.SPACE))
        letters = int(np.count_nonzero(self.bits & (words.LETTER | words.MARK)))
        if letters < max(1, MIN_LETTERS * visible):
            return False
        if letters > MIN_RUN and not np.any(self.bits & words.UNSPACED):
            inside = self.bits & (words.LETTER | words.MARK) != 0
            if letters > MAX_WORD * (1 + int(np.count_nonzero(inside[1:] > inside[:-1]))):
                return False
        return int(np.count_nonzero(self.bits & words.CODE)) <= MAX_CODE * visible + FREE_SIGNS


class Identifier:
    """A loaded model. Made by `load`, once a process; does not pickle."""

    def __init__(self, model: fasttext_file.Model):
        self._model = model
        self.digest = model.digest

    def identify(self, text: str) -> Language:
        """The language of a page or line."""
        part = sample(text)
        label, score, script = self._classify(part)
        if label == NO_LANGUAGE:
            return Language(label, score, "Zyyy")
        lines = [line for line in words.lines(part) if len(line) >= MIN_LINE_CHARACTERS]
        if len(lines) < 2:
            return Language(label, score, script)
        step = max(1, len(lines) // LINES)
        asked = [line[:LINE_CHARACTERS] for line in lines[::step][:LINES]]
        agree = sum(self._classify(line)[0] == label for line in asked)
        return Language(label, score, script, agree / len(asked))

    def identify_lines(self, lines: Iterable[str]) -> Iterator[tuple[str, float]]:
        """(label, score) of each line."""
        for line in lines:
            label, score, _ = self._classify(sample(line))
            yield label, score

    def _classify(self, text: str) -> tuple[str, float, str]:
        """(label, score, script) of a short text."""
        view = _View(text)
        if not view.is_text:
            return NO_LANGUAGE, 1.0, "Zyyy"
        counts = words.count_scripts(view.points)
        script = words.main_script(counts)
        if script == "Zyyy":  # letters of scripts that the table lacks
            return "und_Zyyy", 0.0, script
        asked = (view.normal if self._model.normalised else _one_line(text)) + "\n"
        label, score = self._ask(asked, script, counts)
        written = label.partition("_")[2]
        return label, score, written if script == "Hani" and written != "Jpan" else script

    def _ask(self, line: str, script: str, counts: dict[str, int]) -> tuple[str, float]:
        """The best label in this script. If it is not the model's first one, its score is its part of the probability
        of all labels in this script, times the script's part of the letters."""
        answers = self._model.predict(line, TOP, 0.0, "strict")
        label = normal_label(answers[0][1], script)
        if writes(label.partition("_")[2], script):
            return label, min(1.0, answers[0][0])
        answers = [(p, normal_label(raw, script)) for p, raw in self._model.predict(line, -1, 0.0, "strict")]
        fitting = [(p, label) for p, label in answers if writes(label.partition("_")[2], script)]
        if not fitting:
            return f"und_{script}", 0.0
        share = words.script_share(counts, script)
        return fitting[0][1], min(1.0, share * fitting[0][0] / sum(p for p, _ in fitting))


def _one_line(text: str) -> str:
    """Text for a model that was trained on raw lines: no line ends, no lone surrogates."""
    return " ".join(text.encode("utf-8", "ignore").decode().split())


@functools.cache
def load(path: str = "") -> Identifier:
    """The identifier with the model at a local or remote path, by default the shipped one; loaded once a process.
    A file that is missing, cut or no fastText classifier is the user's mistake."""
    model = fasttext_file.load(path or SHIPPED)
    if not path:
        with open(SHIPPED + ".sha256", encoding="ascii") as file:
            if file.read().strip() != model.digest:
                raise UserError(
                    f"{SHIPPED}: SHA-256 {model.digest[:12]}... is not that of the model; reinstall crawlmill"
                )
    return Identifier(model)


def identify_lines(lines: Iterable[str], path: str = "") -> Iterator[tuple[str, float]]:
    """(label, score) of each line, by the model at `path` (empty: the shipped one)."""
    return load(path).identify_lines(lines)
