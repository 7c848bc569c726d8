"""What a run counts: sums per language that add up over batches and processes, and the figures that they make."""

from collections.abc import Sequence

import torch
from torch import Tensor

BINS = 256  # of the histogram of discriminator logits, from -EDGE to EDGE
EDGE = 12.0

SUMS = (
    "fill_loss", "filled", "fill_hits", "find_loss", "tokens", "replaced", "found", "alarms", "order_loss", "pairs",
    "order_hits", "contrast_loss", "contrasted", "contrast_hits", "language_loss", "told", "language_hits", "seen",
    "read",
)  # fmt: skip
"""What a tally counts, in nats and places: masked places, replaced tokens, replaced and found, called replaced, ...;
last pairs of tokens that see each other, and all tokens, whether there is a discriminator or not."""
LOSSES = ("fill_loss", "find_loss", "order_loss", "contrast_loss", "language_loss")

NAMED = len(SUMS)
COUNTS = ("filled", "tokens", "pairs", "contrasted", "told")
"""What the loss of each of schedule.OBJECTIVES is a mean over."""


@torch.no_grad()
def count(parts, logits: Tensor | None, replaced: Tensor, batch, languages: int) -> Tensor:
    """(languages, NAMED + 2 BINS) float64: SUMS, then the histograms of the logits of real and of replaced tokens."""
    tally, real = empty(replaced.device, languages), batch.sequences > 0

    def add(name: str, sums: Tensor, language: Tensor) -> None:
        first = SUMS.index(name)
        tally[:, first : first + sums.shape[1]].index_add_(0, language, sums)

    for name, part in zip(LOSSES, parts, strict=True):
        add(name, part.sums, batch.language[part.window])
    add("seen", torch.stack([batch.seen, real.sum(1).double()], 1), batch.language)
    if logits is not None:
        place = ((logits + EDGE) * (BINS / (2 * EDGE))).nan_to_num(0).clamp(0, BINS - 1).long() + BINS * replaced
        place = (place + batch.language[:, None] * 2 * BINS).flatten()
        histogram = torch.zeros(languages * 2 * BINS, dtype=torch.float64, device=logits.device)
        histogram.index_add_(0, place, real.flatten().double())
        tally[:, NAMED:] += histogram.view(languages, 2 * BINS)
    return tally


def empty(device: torch.device, languages: int = 1) -> Tensor:
    """A tally of nothing."""
    return torch.zeros(languages, NAMED + 2 * BINS, dtype=torch.float64, device=device)


def area(real: Tensor, replaced: Tensor) -> float | None:
    """Area under the ROC curve from two histograms (BINS,): the chance that a replaced token gets a higher logit than
    a real one, ties counted half. None without both kinds."""
    below = real.cumsum(0) - real
    pairs = float(real.sum() * replaced.sum())
    return float((replaced * (below + real / 2)).sum()) / pairs if pairs else None


def figures(tally: Tensor, weights: Sequence[float]) -> dict[str, float | None]:
    """A tally (NAMED + 2 BINS,) as the means that a log line holds; None where there was nothing to count."""
    values = tally.tolist()
    s = dict(zip(SUMS, values[:NAMED], strict=True))

    def ratio(a: str, b: str) -> float | None:
        return s[a] / s[b] if s[b] else None

    means = [ratio(a, b) for a, b in zip(LOSSES, COUNTS, strict=True)]
    histograms = tally[NAMED:].view(2, BINS).cpu()
    found = {
        "loss": sum(w * (m or 0.0) for w, m in zip(weights, means, strict=True)),
        "generator_loss": means[0],
        "generator_accuracy": ratio("fill_hits", "filled"),
        "discriminator_loss": means[1],
        "replaced_share": ratio("replaced", "tokens"),
        "precision": ratio("found", "alarms"),
        "recall": ratio("found", "replaced"),
        "auc": area(histograms[0], histograms[1]),
        "order_loss": means[2],
        "order_accuracy": ratio("order_hits", "pairs"),
        "contrast_loss": means[3],
        "contrast_accuracy": ratio("contrast_hits", "contrasted"),
        "language_loss": means[4],
        "language_accuracy": ratio("language_hits", "told"),
    }
    odd = ("contrast_loss", "contrast_accuracy", "language_loss", "language_accuracy")
    return {name: value for name, value in found.items() if value is not None or name not in odd}
