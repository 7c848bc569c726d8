"""What is taken of each language, from sums over all runs and the documents on the borders."""

from collections.abc import Mapping

import numpy as np

from corpus import mixture
from corpus.settings import parse
from corpus.terminal import UserError
from pipeline import exchange, quotas, select
from pipeline.select import Draw

HELD = 20_000_000
"""Characters of a language that are held back for validation, at most; more would tell no more."""


class Mixer:
    """way: of the maps (choice.Way). factors: what a unit of the documents' amounts is worth in units of the budget,
    by language; 1 where there is none."""

    def __init__(self, way, factors: dict[str, float]):
        self.way, self.settings, self.factors = way, way.job.settings, factors
        self.place = {label: k for k, label in enumerate(way.job.labels)}

    def mix(self) -> tuple[Draw, dict[str, float]]:
        """(what is taken, copies of each language as a mean)."""
        draw = Draw()
        receipt = self._tally(draw)
        if held := self._held(receipt, draw):
            draw = Draw(held=held)
            receipt = self._tally(draw)
        sums = receipt.get("training", {})
        amounts = {k: sum(v.values()) for k, v in sums.items()}
        wanted = {k: min(round(v), 255 * amounts[k]) for k, v in self._targets(amounts).items()}
        whole = {self.place[k]: wanted.get(k, 0) // n if n else 1 for k, n in amounts.items()}
        rest = {k: wanted.get(k, 0) - whole[self.place[k]] * n for k, n in amounts.items()}
        cuts, taken = self._cuts(sums, rest, Draw(held=draw.held), "training")
        if self._budget():
            self._meet(sums, amounts, wanted, rest, whole, cuts, taken, draw)
        reached = {k: whole[self.place[k]] * n + taken[k] for k, n in amounts.items()}
        return Draw(whole, cuts, draw.held), {k: reached[k] / n for k, n in sorted(amounts.items()) if n}

    def _tally(self, draw: Draw) -> dict:
        return self.way.map("tally", "own", select.tally, draw=draw)

    def _budget(self) -> float:
        amount, _ = mixture.parse_budget(self.settings.budget)
        return parse(amount, "budget", float)

    def _targets(self, amounts: dict[str, int]) -> dict[str, float]:
        """What is wanted of each language, in units of its amounts."""
        worth = {k: self.factors.get(k, 1.0) for k in amounts}
        there = {k: n * worth[k] for k, n in amounts.items()}
        try:
            shares = mixture.parse_weights(self.settings.weights, there) or mixture.shares(there, 1.0)
        except ValueError as error:
            raise UserError(f"--weights {self.settings.weights}: {error}") from None
        found = mixture.targets(there, shares, self.settings.max_copies, self._budget())
        return {k: v / worth[k] for k, v in found.items()}

    def _held(self, receipt: dict, draw: Draw) -> dict[int, int]:
        """The cuts of languages of which too much would be held back: more than HELD, or twice the share."""
        sums, caps = receipt.get("held", {}), {}
        for label, mine in sums.items():
            held = sum(mine.values())
            whole = held + sum(receipt.get("training", {}).get(label, {}).values())
            cap = min(HELD, int(2 * self.settings.validation * whole)) if self.settings.validation < 1 else held
            if held > cap:
                caps[label] = cap
        cuts, _ = self._cuts({k: sums[k] for k in caps}, caps, draw, "held")
        return cuts

    def _cuts(self, sums: dict, amounts: dict[str, int], draw: Draw, of: str) -> tuple[dict, dict]:
        """({place of the label: cut}, {label: what lies below it}) for the amounts that are wanted."""
        cuts, taken, borders = {}, {}, {}
        for label, amount in amounts.items():
            one = quotas.border(sums[label], amount)
            if amount <= 0 or one is None:
                cuts[self.place[label]] = 0 if amount <= 0 else quotas.ALL
                taken[label] = 0 if amount <= 0 else sum(sums[label].values())
            else:
                borders[self.place[label]] = one
        if not borders:
            return cuts, taken
        self.way.send("border", "own", select.border, draw=draw, borders=borders, of=of)
        found = exchange.inbox(self.way.job.work(), "border", 0, quotas.BORDER)
        for place, one in borders.items():
            label = self.way.job.labels[place]
            cuts[place], part = quotas.cut(found[found["label"] == place], one)
            taken[label] = amounts[label] - one.rest + part
        return cuts, taken

    def _meet(self, sums, amounts, wanted, rest, whole, cuts, taken, draw: Draw) -> None:
        """Give the largest language what the others leave of the budget, so that it is met to a document. In place."""
        worth = {k: self.factors.get(k, 1.0) for k in amounts}
        reached = {k: (whole[self.place[k]] * n + taken[k]) * worth[k] for k, n in amounts.items()}
        largest = max(amounts, key=lambda k: (amounts[k] * worth[k], k), default=None)
        if largest is None or not wanted.get(largest):
            return
        left = self._budget() - sum(v for k, v in reached.items() if k != largest)
        n, place = amounts[largest], self.place[largest]
        want = int(min(left / worth[largest], self.settings.max_copies * n, 255 * n))
        whole[place], rest[largest] = want // n, want - want // n * n
        more, part = self._cuts(sums, {largest: rest[largest]}, draw, "training")
        cuts.update(more)
        taken.update(part)


def factors(known: Mapping[str, float], labels: tuple[str, ...]) -> dict[str, float]:
    """Tokens per character of each label: what is known of it, or the mean of its script, or of all."""
    scripts: dict[str, list[float]] = {}
    for label, factor in sorted(known.items()):
        for key in (label.partition("_")[2], ""):
            scripts.setdefault(key, []).append(factor)
    means = {script: float(np.mean(some)) for script, some in scripts.items()}
    return {label: known.get(label, means.get(label.partition("_")[2], means[""])) for label in labels}
