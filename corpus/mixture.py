"""Amounts of text per language -> shares, copies and weights.

Sampling a language with probability ~ (its share) ** alpha is from XLM (arXiv:1901.07291) and XLM-R
(arXiv:1911.02116); the cap on repetition is UniMax's argument (arXiv:2304.09151).
"""

import math
from collections.abc import Mapping


def shares(amounts: Mapping[str, float], alpha: float) -> dict[str, float]:
    """p ** alpha, normalized to 1. alpha 1: as it is; 0: all languages alike; languages without text get none."""
    total = sum(amounts.values())
    raised = {k: (v / total) ** alpha for k, v in sorted(amounts.items()) if v > 0}
    norm = sum(raised.values())
    return {k: v / norm for k, v in raised.items()}


def fill(wanted: Mapping[str, float], limits: Mapping[str, float], budget: float) -> dict[str, float]:
    """Share out `budget` in the proportions `wanted`, none beyond its limit; what one cannot take, the others get.
    With equal proportions it is UniMax (arXiv:2304.09151, algorithm 1). Less than the budget if all are at their limit.
    """
    order = sorted((k for k in wanted if wanted[k] > 0), key=lambda k: (limits[k] / wanted[k], k))
    left, weight, found = float(budget), sum(wanted[k] for k in order), {}
    for k in order:
        found[k] = min(limits[k], left * wanted[k] / weight)
        left, weight = left - found[k], weight - wanted[k]
    return found


def targets(
    amounts: Mapping[str, float], wanted: Mapping[str, float], cap: float, budget: float = 0.0
) -> dict[str, float]:
    """How much of each language an epoch sees: in the proportions `wanted`, none more often than `cap`.

    Without a budget the language of which there is most for its proportion is seen once, and the others more often:
    with proportions p ** alpha, p_max being the largest, (p_max / p) ** (1 - alpha) times.
    """
    limits = {k: cap * amounts[k] for k in wanted}
    if budget:
        return fill(wanted, limits, budget)
    scale = max((amounts[k] / w for k, w in wanted.items() if w > 0), default=0.0)
    return {k: min(limits[k], scale * w) for k, w in wanted.items() if w > 0}


UNITS = ("characters", "bytes", "tokens")


def parse_budget(text: str) -> tuple[str, str]:
    """'10G bytes' -> ('10G', 'bytes'); without a unit: characters. Errors: ValueError."""
    amount, _, unit = text.strip().partition(" ")
    unit = unit.strip() or "characters"
    if unit not in UNITS:
        raise ValueError(f"{unit!r} is not one of {', '.join(UNITS)}")
    return amount or "0", unit


def parse_weights(text: str, amounts: Mapping[str, float]) -> dict[str, float]:
    """Joint training weights from a setting: '' -> {}; 'alpha=0.3' -> shares; 'unimax' -> all languages alike;
    'eng_Latn=1,fin_Latn=3' -> those, normalized to 1. A language without text, or named twice, is the caller's
    mistake (ValueError)."""
    if not text:
        return {}
    if text.startswith("alpha="):
        return shares(amounts, _finite(text[6:]))
    if text == "unimax":
        return shares(amounts, 0.0)
    listed = [part.split("=", 1) for part in text.split(",")]
    pairs = dict(listed)
    if len(pairs) < len(listed):
        raise ValueError("a language is named twice")
    absent = sorted(set(pairs) - set(amounts))
    if absent:
        raise ValueError(f"no text in {', '.join(absent)}; there are {', '.join(sorted(amounts))}")
    weights = {k: _finite(v) for k, v in pairs.items()}
    if min(weights.values()) < 0 or sum(weights.values()) <= 0:
        raise ValueError("weights must be positive")
    norm = sum(weights.values())
    return {k: v / norm for k, v in sorted(weights.items()) if v > 0}


def _finite(text: str) -> float:
    value = float(text)
    if not math.isfinite(value):
        raise ValueError(f"{text} is no number to weigh with")
    return value
