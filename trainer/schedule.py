"""What users write as names and numbers: 'rtd=50,order=0/1000:1'. A number may change over the steps of a run."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from corpus.settings import nearest
from corpus.terminal import UserError


@dataclass(frozen=True)
class Schedule:
    """Points (step, value), straight lines between them, constant behind the last."""

    points: tuple[tuple[int, float], ...]

    def at(self, step: int) -> float:
        return float(np.interp(step, [s for s, _ in self.points], [v for _, v in self.points]))

    @property
    def most(self) -> float:
        return max(v for _, v in self.points)


def schedule(text: str, place: str) -> Schedule:
    """'0.3' or '0.3/10000:0.15' (in a line from .3 at step 0 to .15 at step 10,000). Errors: UserError."""
    first, *rest = text.strip().split("/")
    try:
        pairs = [(float(step), float(value)) for step, value in (part.split(":") for part in rest)]
        points = ((0, float(first)), *((int(step), value) for step, value in pairs))
    except (ValueError, OverflowError):
        raise UserError(f"{place}: {text!r} is no number; write say '1' or '1/1000:0.1/3000:0'") from None
    steps = [s for s, _ in points]
    if steps != sorted(set(steps)) or not all(0 <= v < float("inf") for _, v in points):
        raise UserError(f"{place}: {text!r} has steps that do not rise or a value below 0; mend them")
    return Schedule(points)


def table(text: str, names: Mapping[str, type], place: str) -> dict[str, str]:
    """'a=1,b=x' as a table of texts; names: those that may stand there. Errors: UserError."""
    found: dict[str, str] = {}
    for part in filter(None, (p.strip() for p in text.split(","))):
        name, equals, value = (p.strip() for p in part.partition("="))
        if not equals or not value:
            raise UserError(f"{place}: {part!r} has no value; write NAME=VALUE")
        if name not in names:
            raise UserError(f"{place}: unknown name {name!r}{nearest(name, names)}")
        try:
            names[name](value)
        except ValueError:
            raise UserError(f"{place}: {name}={value!r} is no number; mend it") from None
        found[name] = value
    return found


OBJECTIVES = ("mlm", "rtd", "order", "contrast", "language")
"""Filling in, finding the replaced, order of segments, contrast of sequences, language told by an adversary."""


PARALLEL = "parallel"
"""Stands among the objectives, but is the share of the windows that hold translations."""


def objectives(text: str, place: str = "--objectives") -> dict[str, Schedule]:
    """The weight of every objective, and the share of translations; those not named have 0. Errors: UserError."""
    names = (*OBJECTIVES, PARALLEL)
    given = table(text, dict.fromkeys(names, str), place)
    return {name: schedule(given.get(name, "0"), f"{place}: {name}") for name in names}


SHAPE: dict[str, type] = {"embedding": int, "share": str, "generator": float, "depth": float, "rank": int}
SHARES = ("all", "attention", "feed-forward", "none")


def shape(text: str, place: str = "--shape") -> dict:
    """Changes to a preset, as keyword arguments of model.configure. Errors: UserError."""
    found = {name: SHAPE[name](value) for name, value in table(text, SHAPE, place).items()}
    if found.get("share", "all") not in SHARES:
        raise UserError(f"{place}: share={found['share']!r}{nearest(found['share'], SHARES)}")
    for name, least, most in (
        ("embedding", 8, 1 << 14),
        ("generator", 0.0, 1.0),
        ("depth", 0.0, 1.0),
        ("rank", 0, 1 << 14),
    ):
        if name in found and not least <= found[name] <= most:
            raise UserError(f"{place}: {name}={found[name]} is out of range; give {least} to {most}")
    return found
