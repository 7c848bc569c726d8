"""What a model's scores are worth, measured on lines that it was not trained on: the calibration of its probabilities,
and for each label its recall and the score below which it is not to be believed (columns of languages.tsv)."""

import math
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import astuple, fields, replace

from pipeline import language
from pipeline.language_model import DECAY, SHARE, STEP, Model

GROUND = round(-0.4 / STEP * 256)
"""What text of no known language gets, as log probability a feature beyond that of the mean of all languages, in
256ths of a step. Of NTREX's lines 1 in 200 lies below, of their first four words 1 in 80, of lines in languages of
Latin script that the model lacks 36 in 100; below three times as much (_language.c) a text is said to be in none."""
LINES, MIN_CHARACTERS = 150, 20
"""Lines a label is measured on, and how long they are at least."""
PIECES = (2, 4, 8, 16, 10_000)
"""Words of a line that probabilities are calibrated on, in turn; of unspaced scripts four characters for a word."""
SCALES = [0.1, 0.14, 0.18, 0.23, 0.3, 0.4]
"""How much of a difference of log probabilities is believed, in the shortest text ..."""
HALVES = [15, 30, 60, 120, 240]
"""... and in how many features half of it: n-grams overlap and words of a topic go together, so evidence adds up slower
than it is counted."""
RARE, EVEN, ROOT = 1e-4, 0.3, 4
"""Percent of web pages that languages have of which no statistics tell; the share that scores give every label, about a
333rd; and the root of a rarer language's odds that is asked for beyond that. The odds themselves (a score of .999 for
most languages) would reject 9 of 10 documents that are right."""
WRONG = 0.25
"""Lines of other languages that pass a label's cut, as a part of its own that do, both weighed by the languages' shares
of the web."""
LEAST_CUT, LARGEST_CUT = 0.5, 0.95


def chosen(lines: Iterable[str]) -> list[str]:
    """The lines that a label is measured on: spread over all of its lines, always the same."""
    lines = [line for line in lines if len(line) >= MIN_CHARACTERS]
    return lines[:: max(1, len(lines) // LINES)][:LINES]


def piece(line: str, number: int) -> str:
    """The beginning of the number-th line of a label, of one of several lengths."""
    words, length = line.split(" "), PIECES[number % len(PIECES)]
    return " ".join(words[:length]) if len(words) * 12 > len(line) else line[: 4 * length]


def pieces(lines: list[str]) -> list[str]:
    """What probabilities are calibrated on: beginnings of lines, and documents of six."""
    joined = [" ".join(lines[start : start + 6]) for start in range(0, len(lines) - 5, 6)]
    return [piece(line, number) for number, line in enumerate(lines)] + joined


def calibrated(model: Model, held: dict[str, list[str]]) -> Model:
    """The model with that scale and half under which the best label's probability predicts best whether it is right:
    the least mean log loss, every label alike."""
    texts = {k: mine for k, lines in sorted(held.items()) if k in model.labels and (mine := pieces(chosen(lines)))}
    best, found = math.inf, model
    for half in HALVES:
        for share in SCALES:
            scale = max(1, round(share * DECAY * half * STEP))
            tried = replace(model, terms=model.terms._replace(scale=scale, half=half))
            if (lost := loss(tried, texts)) < best:
                best, found = lost, tried
    return found


def loss(model: Model, texts: dict[str, list[str]]) -> float:
    total = 0.0
    for label, mine in texts.items():
        logs = 0.0
        for *_, first, _, share, _, _ in model.rank_texts(mine).tolist():
            right = first >= 0 and model.labels[first] == label
            chance = min(max(share / SHARE, 1e-4), 1 - 1e-4)
            logs -= math.log(chance if right else 1 - chance)
        total += logs / len(mine)
    return total / len(texts)


def measure(model: Model, held: dict[str, list[str]]) -> dict[str, tuple[float | None, float]]:
    """label -> (recall on its own lines, None if there are none; cut). Lines of its own group are not counted as other
    languages' lines."""
    texts = {k: mine for k, lines in sorted(held.items()) if k in model.labels and (mine := chosen(lines))}
    recall: dict[str, float] = {}
    found: dict[str, list[tuple[float, float, bool]]] = defaultdict(list)
    for label, mine in texts.items():
        hits = 0
        for *_, first, _, share, _, _ in model.rank_texts(mine).tolist():
            told = model.labels[first] if first >= 0 else ""
            hits += told == label
            if told and (told == label or not language.are_siblings(told, label)):
                found[told].append((share / SHARE, web(label) / len(mine), told == label))
        recall[label] = hits / len(mine)
    return {label: (recall.get(label), max(rarity_cut(label), cut(found[label]))) for label in model.labels}


def web(label: str) -> float:
    """Percent of web pages in a language."""
    row = language.languages().get(label)
    return max(row.web if row else 0.0, RARE)


def rarity_cut(label: str) -> float:
    """The score at which a language as rare as this is as likely as what it is taken for, by ROOT's measure."""
    odds = (min(web(label), EVEN) / EVEN) ** (1 / ROOT)
    return rounded(1 / (1 + odds))


def cut(found: list[tuple[float, float, bool]]) -> float:
    """The least cut at which the wrong among (score, weight, right or not) weigh no more than WRONG of the right."""
    best, right, wrong = 1.0, 0.0, 0.0
    for score, weight, is_right in sorted(found, reverse=True):
        right, wrong = right + is_right * weight, wrong + (not is_right) * weight
        if wrong <= WRONG * right:
            best = score
    return LEAST_CUT if wrong <= WRONG * right else rounded(best)


def rounded(score: float) -> float:
    """A score as a cut: two digits, to the strict side, within bounds."""
    return min(LARGEST_CUT, max(LEAST_CUT, math.ceil(score * 100 - 1e-9) / 100))


def rewritten(measured: dict[str, tuple[float | None, float]]) -> str:
    """languages.tsv with these recalls and cuts."""
    lines = ["\t".join(field.name for field in fields(language.Row))]
    for row in language.languages().values():
        recall, limit = measured.get(row.label, (None, row.cut))
        told = "" if recall is None else f"{recall:.2f}"
        values = astuple(replace(row, cut=limit, recall=told))
        lines.append("\t".join(f"{v:g}" if isinstance(v, float) and v else str(v or "") for v in values))
    return "\n".join(lines) + "\n"
