"""How good some weights are, on one of two halves of a development set: examples of a task, or shards held back."""

from collections.abc import Callable, Sequence

import numpy as np
import torch

from corpus.settings import Pretrain, build
from corpus.terminal import UserError
from trainer import checkpoint, finetune, head, model, objectives, plan, prediction, run, texts
from trainer import tally as tallies
from trainer.fuse import Judge, Parent, Weights
from trainer.task import Example

WINDOWS = 128  # of a half


def of_task(examples: Sequence[Example], device: torch.device) -> Callable[[Sequence[Parent]], Judge]:
    """The figure that decides, as a mean over languages. Every second example of a language is in the other half."""

    def make(parents: Sequence[Parent]) -> Judge:
        from tokenizer.vocabulary import Vocabulary

        place = parents[0].place
        made = texts.placed(head.open_task(place)[0], device)
        vocabulary = Vocabulary.load(checkpoint.vocabulary(place))
        halves = [prediction.prepare(h, made.task, vocabulary) for h in split(examples)]

        def judge(weights: Weights, half: int) -> float:
            made.load_state_dict(weights)
            return finetune.score(made, halves[half], vocabulary)

        return judge

    return make


def split(examples: Sequence[Example]) -> tuple[list[Example], list[Example]]:
    halves: tuple[list[Example], list[Example]] = ([], [])
    seen: dict[str, int] = {}
    for e in examples:
        seen[e.language] = seen.get(e.language, -1) + 1
        halves[seen[e.language] % 2].append(e)
    if not all(halves):
        raise UserError("--dev: one example cannot be halved; give more")
    return halves


def of_tokens(tokens: str, device: torch.device) -> Callable[[Sequence[Parent]], Judge]:
    """Less the loss of pretraining on the validation shards of a tokens folder, the mean over its languages."""

    def make(parents: Sequence[Parent]) -> Judge:
        from tokenizer.vocabulary import Vocabulary

        first = parents[0]
        if "settings" not in first.config or "tower" in first.config:
            raise UserError(f"{first.place}: tokens judge pretrained models; give --dev a file of examples")
        vocabulary = Vocabulary.load(checkpoint.vocabulary(first.place))
        settings = build(Pretrain, {**first.config["settings"], "device": "cpu"}, first.place)
        planned = plan.plan(tokens, settings, vocabulary)
        if planned.validation is None:
            raise UserError(f"{tokens}: holds no validation shards; give --dev a folder that does")
        halves = [list(run.held_out(planned, 2 * WINDOWS, settings.batch, device, half, 2)) for half in (0, 1)]
        made = texts.placed(model.Electra(planned.config), device)
        allowed = torch.from_numpy(~planned.pieces.special).to(device)
        objective = objectives.Pretraining(made, allowed, planned.active, len(planned.languages))

        def judge(weights: Weights, half: int) -> float:
            made.load_state_dict(weights)
            return -_loss(objective, halves[half], planned)

        return judge

    return make


@torch.no_grad()
def _loss(objective: objectives.Pretraining, batches: Sequence[objectives.Batch], planned: plan.Plan) -> float:
    weights = planned.weights(planned.settings.steps)
    tally = tallies.empty(batches[0].tokens.device, len(planned.languages))
    for batch in batches:
        tally += objective(batch, batch.counts(), weights)[1]
    rows = [tallies.figures(row, weights)["loss"] for row in tally if row[tallies.SUMS.index("tokens")] > 0]
    return float(np.mean([v for v in rows if v is not None]))
