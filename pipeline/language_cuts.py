"""What a model's scores are worth, measured on lines that it was not trained on: the calibration of its probabilities,
and for each label its recall and the score below which it is not to be believed (columns of languages.tsv)."""

import math
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import replace

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
FALSE_POSITIVES = 1e-4
"""Lines of other languages, all languages alike, that a label may take at its cut."""
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
            tried = replace(model, scale=max(1, round(share * DECAY * half * STEP)), half=half)
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
    right: dict[str, float] = {}
    wrong: dict[str, list[tuple[float, float]]] = defaultdict(list)
    for label, mine in texts.items():
        hits = 0
        for *_, first, _, share, _, _ in model.rank_texts(mine).tolist():
            found = model.labels[first] if first >= 0 else ""
            hits += found == label
            if found not in ("", label) and not are_siblings(found, label):
                wrong[found].append((share / SHARE, 1 / len(mine) / len(texts)))
        right[label] = hits / len(mine)
    return {label: (right.get(label), cut(wrong[label])) for label in model.labels}


def are_siblings(one: str, other: str) -> bool:
    table = language.languages()
    return one in table and other in table and table[one].group != "" and table[one].group == table[other].group


def cut(wrong: list[tuple[float, float]]) -> float:
    """The least cut above which (score, share of all lines) pairs sum up to no more than FALSE_POSITIVES."""
    total = 0.0
    for score, share in sorted(wrong, reverse=True):
        total += share
        if total > FALSE_POSITIVES:
            return min(LARGEST_CUT, max(LEAST_CUT, math.ceil(score * 100 + 1e-9) / 100))
    return LEAST_CUT


def rewritten(measured: dict[str, tuple[float | None, float]]) -> str:
    """languages.tsv with these recalls and cuts."""
    lines = ["label\tname\tcode\tmacro\tgroup\tcut\trecall\tabout"]
    for row in language.languages().values():
        recall, limit = measured.get(row.label, (None, row.cut))
        told = "" if recall is None else f"{recall:.2f}"
        lines.append("\t".join((row.label, row.name, row.code, row.macro, row.group, f"{limit:g}", told, row.about)))
    return "\n".join(lines) + "\n"
