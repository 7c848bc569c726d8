"""What a run learns: all that `run` and `log` know of it. Pretraining is one such thing, distillation another."""

import copy
import dataclasses
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from trainer import checkpoint, cost, model, transplant
from trainer import tally as tallies
from trainer.objectives import Batch, Pretraining
from trainer.plan import Plan
from trainer.stream import key


@dataclass(frozen=True)
class Goal:
    """name: the command's. objective: (batch, counts, weights) -> (this process's part of the loss, tally), where
    counts, as Batch.counts, are those of the whole batch: parts and processes add up. trained: whose weights change.
    model: the submodule of `trained` that model.safetensors holds, '' for all of it.

    tally: (languages, columns) of nothing. sums: names of its first columns, `seen` and `read` among them. weights: of
    the losses in a step. figures: of a row of a tally and these weights. operations: floating-point ones per token
    that see so many others, in a step. compile: have layers compiled. recordable: no step waits for the device."""

    name: str
    objective: Callable[[Batch, Tensor, Tensor], tuple[Tensor, Tensor]]
    trained: nn.Module
    model: str
    tally: Tensor
    sums: Sequence[str]
    weights: Callable[[int], tuple[float, ...]]
    figures: Callable[[Tensor, Sequence[float]], dict[str, float | None]]
    operations: Callable[[float, int], float]
    compile: Callable[[], None]
    recordable: bool

    def kept(self) -> nn.Module:
        """The model."""
        return self.trained.get_submodule(self.model)

    def beside(self) -> dict[str, Tensor]:
        """What else is trained."""
        return {n: w for n, w in self.trained.state_dict().items() if self.model and not n.startswith(f"{self.model}.")}


Make = Callable[[Plan, torch.device, str], Goal]
"""Plan, device, kind of attention (see attention.py) -> goal."""


def pretraining(planned: Plan, device: torch.device, sight: str) -> Goal:
    made = begin(planned).to(device)
    allowed, count = torch.from_numpy(~planned.pieces.special).to(device), len(planned.languages)

    def compile_() -> None:
        for encoder in (made.generator, made.discriminator):
            encoder.compile_layers()
        made.discriminator_head.compile(dynamic=False)

    def operations(attended: float, step: int) -> float:
        return cost.operations(planned.config, attended, planned.mask.at(step), planned.active != ("mlm",))

    return Goal(
        "pretrain", Pretraining(made, allowed, planned.active, count, sight), made, "", tallies.empty(device, count),
        tallies.SUMS, planned.weights, tallies.figures, operations, compile_,
        "contrast" not in planned.active,  # which is among all sequences
    )  # fmt: skip


def begin(planned: Plan) -> model.Electra:
    """The model before the first step: drawn by the seed, or that of another folder, with the embeddings mapped to our
    vocabulary and compressed if need be."""
    if not planned.start:
        return model.Electra(planned.config, torch.Generator().manual_seed(key(planned.settings.seed, 0) >> 1))
    found, config = checkpoint.open_model(planned.start)
    if config["vocabulary"] != planned.identity["vocabulary"]:
        from tokenizer.vocabulary import Vocabulary

        theirs = Vocabulary.load(checkpoint.vocabulary(planned.start))
        weights = transplant.mapped(found.state_dict(), theirs, planned.vocabulary)
        found = model.Electra(dataclasses.replace(found.config, vocabulary=planned.config.vocabulary))
        found.load_state_dict(weights)
    rank = planned.config.discriminator.rank
    return copy.deepcopy(found) if rank == found.config.discriminator.rank else model.compress(found, rank)
