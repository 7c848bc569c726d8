"""How good predictions are, with intervals: the middle 95 % of a thousand bootstrap resamples of the examples."""

import re
import string
import unicodedata
from collections import Counter
from collections.abc import Callable, Sequence

import numpy as np

RESAMPLES = 1000
LEVEL = 0.95

Figures = dict[str, float]


def interval(rows: np.ndarray, figure: Callable[[np.ndarray], float], seed: int = 0) -> tuple[float, float]:
    """rows: (examples, ...), what each example adds; figure: of some rows. (low, high); equal if there is one row."""
    draws = np.random.default_rng(seed).integers(len(rows), size=(RESAMPLES, len(rows)))
    values = [figure(rows[d]) for d in draws]
    low, high = np.quantile(values, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    return float(low), float(high)


def summary(rows: np.ndarray, figures: dict[str, Callable[[np.ndarray], float]]) -> Figures:
    """Each figure over all rows; the first one, which decides, also with `low` and `high`."""
    found = {name: float(figure(rows)) for name, figure in figures.items()}
    found["low"], found["high"] = interval(rows, next(iter(figures.values())))
    return {**found, "examples": len(rows)}


def classification(predicted: Sequence[int], labels: Sequence[int], count: int) -> Figures:
    """accuracy, macro F1 over the labels that occur, Matthews correlation, and the share of the commonest label."""
    rows = np.stack([predicted, labels], 1)
    commonest = float(np.bincount(labels, minlength=count).max() / len(labels))
    figures = {"accuracy": lambda r: (r[:, 0] == r[:, 1]).mean(), "macro_f1": lambda r: macro_f1(r, count),
               "matthews": lambda r: matthews(r, count)}  # fmt: skip
    return {**summary(rows, figures), "majority": commonest}


def confusion(rows: np.ndarray, count: int) -> np.ndarray:
    """(label, predicted), counts."""
    return np.bincount(rows[:, 1] * count + rows[:, 0], minlength=count * count).reshape(count, count)


def macro_f1(rows: np.ndarray, count: int) -> float:
    table = confusion(rows, count)
    both = table.sum(0) + table.sum(1)
    return float((2 * np.diag(table)[both > 0] / both[both > 0]).mean())


def matthews(rows: np.ndarray, count: int) -> float:
    """The correlation of predictions and labels, for any number of labels; 0 if either is constant."""
    table = confusion(rows, count).astype(float)
    true, found, n = table.sum(1), table.sum(0), table.sum()
    scale = np.sqrt((n**2 - found @ found) * (n**2 - true @ true))
    return float((np.trace(table) * n - true @ found) / scale) if scale else 0.0


def correlation(predicted: Sequence[float], values: Sequence[float]) -> Figures:
    """pearson, spearman."""
    rows = np.stack([predicted, values], 1)

    def pearson(r: np.ndarray) -> float:
        return float(np.corrcoef(r.T)[0, 1]) if len(r) > 1 and r.std(0).all() else 0.0

    return summary(rows, {"pearson": pearson, "spearman": lambda r: pearson(np.stack([ranks(c) for c in r.T], 1))})


def ranks(values: np.ndarray) -> np.ndarray:
    """Ranks from 0; equal values share their mean."""
    _, which, counts = np.unique(values, return_inverse=True, return_counts=True)
    return (np.cumsum(counts) - (counts + 1) / 2)[which]


def spans(tags: Sequence[str]) -> set[tuple[str, int, int]]:
    """(kind, first, end) of the runs that B-, I- tags mark; an I- without a beginning begins one. Tags without a
    prefix are spans of one word each, O is none."""
    found: list[tuple[str, int, int]] = []
    open_: tuple[str, int] | None = None
    for k, tag in enumerate([*tags, "O"]):
        prefix, _, kind = tag.partition("-")
        goes_on = open_ is not None and prefix in "IE" and kind == open_[0] and kind != ""
        if open_ and not goes_on:
            found.append((*open_, k))
            open_ = None
        if tag != "O" and not goes_on:
            open_ = (kind or tag, k)
            if not kind:
                found.append((tag, k, k + 1))
                open_ = None
    return set(found)


def tagging(predicted: Sequence[Sequence[str]], tags: Sequence[Sequence[str]]) -> Figures:
    """F1 over spans, precision, recall, and the accuracy of single tags."""
    rows = []
    for ours, theirs in zip(predicted, tags, strict=True):
        found, wanted = spans(ours), spans(theirs)
        hits = sum(a == b for a, b in zip(ours, theirs, strict=True))
        rows.append((len(found & wanted), len(found), len(wanted), hits, len(theirs)))

    def ratio(r: np.ndarray, numerator: int, *denominators: int) -> float:
        below = r[:, denominators].sum()
        return float(len(denominators) * r[:, numerator].sum() / below) if below else 0.0

    return summary(np.array(rows), {
        "f1": lambda r: ratio(r, 0, 1, 2), "precision": lambda r: ratio(r, 0, 1), "recall": lambda r: ratio(r, 0, 2),
        "accuracy": lambda r: ratio(r, 3, 4),
    })  # fmt: skip


def plain(text: str) -> list[str]:
    """Words of an answer as SQuAD compares them: lower case, without ASCII punctuation and English articles; in
    scripts without spaces each character is a word, and punctuation of any script goes (as MLQA has it)."""
    text = "".join(
        c for c in text.lower() if c not in string.punctuation and not unicodedata.category(c).startswith("P")
    )
    text = re.sub(r"\b(a|an|the)\b", " ", text)
    return re.findall(r"[\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u9fff\uf900-\ufaff]|[^\s\u0e00-"
                      r"\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u9fff\uf900-\ufaff]+", text)  # fmt: skip


def overlap(predicted: str, answer: str) -> float:
    """F1 of the words."""
    ours, theirs = plain(predicted), plain(answer)
    if not ours or not theirs:
        return float(ours == theirs)
    same = sum((Counter(ours) & Counter(theirs)).values())
    return 2 * same / (len(ours) + len(theirs))


def answering(predicted: Sequence[str], answers: Sequence[Sequence[str]]) -> Figures:
    """F1 of the words and exact match with the best of the given answers; '' is 'no answer'."""
    rows = []
    for ours, wanted in zip(predicted, answers, strict=True):
        choices = wanted or [""]
        best = max(overlap(ours, w) for w in choices)
        rows.append((best, max(float(plain(ours) == plain(w)) for w in choices)))
    return summary(np.array(rows), {"f1": lambda r: r[:, 0].mean(), "exact": lambda r: r[:, 1].mean()})
