"""Several models of one origin -> one: mean, weighted mean, greedy soup, task vectors, TIES.

Weights can only be averaged where the models lie in one valley of the loss, that is if they were trained on from the
same weights; others are refused.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from corpus.terminal import DONE, UserError
from trainer import checkpoint, transplant
from trainer.checkpoint import State

METHODS = ("average", "soup", "tasks", "ties")
TRIM = 0.2  # share of a task vector that TIES keeps (arXiv:2306.01708)

Weights = dict[str, Tensor]
Judge = Callable[[Weights, int], float]
"""Weights, half (0: the half that chooses, 1: the one that is told) -> how good, more is better."""


@dataclass(frozen=True)
class Parent:
    place: str
    config: dict
    weights: Weights


def open_parents(places: Sequence[str], base: str = "") -> list[Parent]:
    """The models, `base` first if there is one, all with the vocabulary of the first. Errors: UserError if they cannot
    be averaged."""
    found: list[Parent] = []
    for place in [base, *places] if base else places:
        config = checkpoint.read_config(place)
        parent = Parent(place, config, checkpoint.load(checkpoint.chosen(place), checkpoint.MODEL))
        if found:
            _check(found[0], parent)
            parent = _mapped(parent, found[0])
        found.append(parent)
    return found


def _check(first: Parent, other: Parent) -> None:
    for name in ("model", "tower", "task"):
        one, two = ({**(p.config.get(name) or {}), "vocabulary": 0} for p in (first, other))
        if one != two:
            raise UserError(f"{other.place}: another {name} than {first.place}; {_INSTEAD}")
    if not first.config.get("origin") or first.config["origin"] != other.config.get("origin"):
        raise UserError(f"{other.place}: not from the weights that {first.place} began with; {_INSTEAD}")


def _mapped(parent: Parent, first: Parent) -> Parent:
    """The parent with an embedding for each piece of the first one's vocabulary."""
    if parent.config["vocabulary"] == first.config["vocabulary"]:
        return parent
    from tokenizer.vocabulary import Vocabulary

    theirs, ours = (Vocabulary.load(checkpoint.vocabulary(p.place)) for p in (parent, first))
    return replace(parent, weights=transplant.mapped(parent.weights, theirs, ours))


_INSTEAD = "their mean would be no model; python -m trainer distill learns from any"


def average(parents: Sequence[Weights], shares: Sequence[float]) -> Weights:
    """The mean with these shares, which are brought to a sum of 1."""
    total = sum(shares)
    return {
        name: sum((s / total * p[name].double() for s, p in zip(shares, parents, strict=True)), torch.zeros(())).to(
            w.dtype
        )
        for name, w in parents[0].items()
    }


def vectors(base: Weights, parents: Sequence[Weights]) -> list[Weights]:
    """What each parent learned: its weights less the base's."""
    return [{n: p[n].double() - w.double() for n, w in base.items()} for p in parents]


def tasks(base: Weights, parents: Sequence[Weights], shares: Sequence[float], scale: float) -> Weights:
    """base + scale * sum of shares * what each learned (arXiv:2212.04089)."""
    learned = vectors(base, parents)
    return {
        n: (w.double() + scale * sum(s * v[n] for s, v in zip(shares, learned, strict=True))).to(w.dtype)
        for n, w in base.items()
    }


def ties(base: Weights, parents: Sequence[Weights], scale: float, keep: float = TRIM) -> Weights:
    """Of what each learned the largest `keep` of the values; of these, for every weight, the mean of those whose sign
    has the greater sum; scaled and added to the base."""
    learned = [trimmed(v, keep) for v in vectors(base, parents)]
    found = {}
    for name, weight in base.items():
        stacked = torch.stack([v[name] for v in learned])
        agree = (stacked.sign() == stacked.sum(0).sign()) & (stacked != 0)
        mean = (stacked * agree).sum(0) / agree.sum(0).clamp(min=1)
        found[name] = (weight.double() + scale * mean).to(weight.dtype)
    return found


def trimmed(vector: Weights, keep: float) -> Weights:
    """All but the largest values set to 0; the limit is over all weights together."""
    sizes = torch.cat([v.abs().flatten() for v in vector.values()])
    count = max(1, round(len(sizes) * keep))
    limit = sizes.kthvalue(len(sizes) - count + 1).values
    return {n: v * (v.abs() >= limit) for n, v in vector.items()}


def soup(parents: Sequence[Weights], judge: Judge) -> tuple[Weights, list[int]]:
    """Greedy: the best parent, then each other, the better ones first, if the mean is no worse with it (arXiv:
    2203.05482). So on the half that chooses it is never worse than the best parent."""
    order = sorted(range(len(parents)), key=lambda k: -judge(parents[k], 0))
    taken, best = order[:1], judge(parents[order[0]], 0)
    for k in order[1:]:
        value = judge(average([parents[j] for j in [*taken, k]], [1.0] * (len(taken) + 1)), 0)
        if value >= best:
            taken, best = [*taken, k], value
    return average([parents[k] for k in taken], [1.0] * len(taken)), taken


def fused(
    parents: Sequence[Parent], method: str, shares: Sequence[float], scale: float, judge: Judge | None, base: bool
) -> tuple[Weights, str]:
    """(weights, in words how). parents: the base first if there is one. Errors: UserError."""
    weights = [p.weights for p in (parents[1:] if base else parents)]
    if len(weights) < 2:
        raise UserError("fuse: one model is no fusion; name two or more")
    shares = list(shares) or [1.0] * len(weights)
    if len(shares) != len(weights) or min(shares) < 0 or not sum(shares):
        raise UserError(f"--shares: {len(shares)} for {len(weights)} models; give a number above 0 for each")
    if method in ("tasks", "ties") and not base:
        raise UserError(f"--method {method}: needs the model that all began from; give it with --base")
    if method == "soup":
        if judge is None:
            raise UserError("--method soup: chooses by a development set; give --dev")
        found, taken = soup(weights, judge)
        return found, "soup of " + ", ".join(parents[k + base].place for k in taken)
    if method == "average":
        return average(weights, shares), "mean with shares " + ", ".join(f"{s / sum(shares):.2f}" for s in shares)
    if method == "tasks":
        even = [s / sum(shares) for s in shares]
        return tasks(parents[0].weights, weights, even, scale), f"base + {scale:g} x task vectors"
    return ties(parents[0].weights, weights, scale), f"base + {scale:g} x TIES"


def fuse(
    places: Sequence[str], output: str, *, method: str = "average", base: str = "", shares: Sequence[float] = (),
    scale: float = 1.0, judge: Callable[[Sequence[Parent]], Judge] | None = None,
) -> int:  # fmt: skip
    """Write the fusion of some model folders to `output`. judge: makes the judge from the parents; parents and fusion
    are told as it sees them on the half that chose nothing. Errors: UserError."""
    checkpoint.claim_empty(output)
    parents = open_parents(places, base)
    judges = judge(parents) if judge else None
    weights, words = fused(parents, method, shares, scale, judges, bool(base))
    config = {k: v for k, v in parents[0].config.items() if k not in ("start", "run")}
    checkpoint.write_config(output, {**config, "fused": [p.place for p in parents], "method": words})
    checkpoint.save(output, weights, {"updates": torch.zeros(1)}, State(step=1))
    checkpoint.copy_vocabulary(checkpoint.vocabulary(parents[0].place), output)
    print(f"{output}: {words}")
    if judges:
        print("on the half of the development set that chose nothing:")
        for parent in parents:
            print(f"  {judges(parent.weights, 1):10.4f}  {parent.place}")
        print(f"  {judges(weights, 1):10.4f}  {output}")
    print(f"next: python -m trainer evaluate {output} --data FILE, or export {output} --output FOLDER")
    return DONE
