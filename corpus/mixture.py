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


def copies(amounts: Mapping[str, float], alpha: float, cap: float) -> dict[str, float]:
    """How often an epoch sees each language's text: the largest language once, the others as `shares` has it,
    none more often than `cap`.

    With p the share of a language and p_max that of the largest: (p_max / p) ** (1 - alpha), at most `cap`.
    """
    present = {k: v for k, v in sorted(amounts.items()) if v > 0}
    if not present:
        return {}
    most = max(present.values())
    return {k: min(cap, (most / v) ** (1.0 - alpha)) for k, v in present.items()}


def parse_weights(text: str, amounts: Mapping[str, float]) -> dict[str, float]:
    """Joint training weights from a setting: '' -> {}; 'alpha=0.3' -> shares; 'eng_Latn=1,fin_Latn=3' -> those,
    normalized to 1. A language without text, or named twice, is the caller's mistake (ValueError)."""
    if not text:
        return {}
    if text.startswith("alpha="):
        return shares(amounts, _finite(text[6:]))
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
