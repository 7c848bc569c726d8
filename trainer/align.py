"""Sentence vectors of several languages into one space: by a linear map, or by teaching the encoder.

Maps: procrustes and least-squares from pairs, adversarial without them. contrastive: the encoder itself learns that a
sentence's translation is nearer than all others of the batch. What comes out is judged on pairs that were not used, in
both directions.
"""

from collections.abc import Sequence

import numpy as np
import torch
from torch.nn import functional

from corpus.settings import Finetune
from corpus.terminal import DONE, Progress, UserError
from trainer import alignment, checkpoint, evaluate, head, prediction, retrieval, task, texts, tuning
from trainer.head import Body
from trainer.stream import key
from trainer.texts import Row, Vocabulary, low, placed
from trainer.tuning import Course
from trainer.world import choose

METHODS = ("procrustes", "least-squares", "adversarial", "contrastive")
TEMPERATURE = 0.05
HELD_OUT = 0.2  # of the pairs, where no others are given
FEWEST = 20

Pairs = Sequence[tuple[str, str, str]]


def split(pairs: Pairs, seed: int) -> tuple[list, list]:
    """(to learn from, held back), each pair of languages in the same shares."""
    learn, held = [], []
    for name in sorted({p for _, _, p in pairs}):
        rows = [p for p in pairs if p[2] == name]
        order = np.random.default_rng(key(seed, 13)).permutation(len(rows))
        cut = round(len(rows) * HELD_OUT)
        held += [rows[k] for k in sorted(order[:cut])]
        learn += [rows[k] for k in sorted(order[cut:])]
    return learn, held


def align(
    model: str, pairs: Pairs, output: str, settings: Finetune, vocabulary: Vocabulary, *, method: str = "procrustes",
    dev: Pairs = (), layer: int = 0, seed: int = 0, device: torch.device | None = None, quiet: bool = False,
) -> int:  # fmt: skip
    """Write the model with its maps, or as it has become, to `output`; contrast goes on where the same command was
    stopped. dev: pairs to judge by; none: a share of `pairs`. Errors: UserError, StepError."""
    learn, held = (list(pairs), list(dev)) if dev else split(pairs, seed)
    if min(len(learn), len(held)) < FEWEST:
        raise UserError(
            f"{len(learn)} pairs to learn from and {len(held)} to judge by are too few; give {FEWEST} of each"
        )
    body, config = head.open_body(model)
    if not 0 <= layer <= body.tower.layers:
        raise UserError(f"--layer: {layer}; the model has {body.tower.layers} layers")
    layer = layer or retrieval.middle(body.tower.layers)
    identity = tuning.identity(settings, model, {"train": learn, "dev": held}, method=method, layer=layer, seed=seed)
    if tuning.claim(output, identity):
        print(f"{output}: finished, nothing to do; {_next(output)}")
        return DONE
    body = placed(body, device or choose("auto"))
    before = evaluate.retrieved(body.eval(), vocabulary, held, {}, layer)
    maps: dict[str, alignment.Map] = {}
    if method == "contrastive":
        code = contrastive(body, vocabulary, learn, settings, layer, seed, output, quiet)
        if code:
            return code
    else:
        maps = fitted(body, vocabulary, learn, layer, method, seed)
        alignment.save(output, maps, layer, method)
    after = evaluate.retrieved(body.eval(), vocabulary, held, maps, layer)
    head.save(output, body, config, 1, learned_from=model, alignment=method, run=identity)
    checkpoint.copy_vocabulary(checkpoint.vocabulary(model), output)
    tuning.discard(output)
    told = f"{len(learn):,} pairs, judged on {len(held):,} others"
    print(f"{output}: {method}, layer {layer} of {body.tower.layers}, {told}")
    for name, found in (("before", before), ("after", after)):
        print("\n".join([f"{name}:", *prediction.table(found)]))
    print(_next(output))
    return DONE


def _next(output: str) -> str:
    return f"next: python -m trainer evaluate {output} --data FILE, or export {output} --output FOLDER"


def fitted(
    body: Body, vocabulary: Vocabulary, pairs: Pairs, layer: int, method: str, seed: int
) -> dict[str, alignment.Map]:
    """A map for each pair of languages. An adversary gets the two sides in different orders: it needs no pairs."""
    found = {}
    for name in sorted({p for _, _, p in pairs}):
        sides = zip(*((a, b) for a, b, p in pairs if p == name), strict=True)
        x, y = (retrieval.vectors(body, vocabulary, side, layer) for side in sides)
        if method == "adversarial":
            y = y[np.random.default_rng(key(seed, 14)).permutation(len(y))]
        found[name] = alignment.fit(x, y, method, seed)
    return found


def contrastive(
    body: Body, vocabulary: Vocabulary, pairs: Pairs, settings: Finetune, layer: int, seed: int, output: str,
    quiet: bool,
) -> int:  # fmt: skip
    """Teach the encoder, up to `layer`, that translations belong together; the exit code. Errors: as tuning.tune."""
    sides = [[texts.row(ids, None, retrieval.LENGTH) for ids in texts.encode(vocabulary, side)]
             for side in ([a for a, _, _ in pairs], [b for _, b, _ in pairs])]  # fmt: skip

    def loss(numbers: Sequence[int]) -> torch.Tensor:
        return contrast(body, [[side[k] for k in numbers] for side in sides], layer)

    size = min(settings.examples, len(pairs))
    per_epoch = len(pairs) // size
    steps = max(1, round(settings.epochs * per_epoch))
    course = Course(body, loss, len(pairs), size, per_epoch, steps, settings.tuning_rate, seed)
    runs, code = tuning.learn(lambda _: course, [seed], output, Progress("align", steps, quiet=quiet))
    if not code:
        body.load_state_dict(runs[0].weights)
    return code


def contrast(body: Body, sides: Sequence[Sequence[Row]], layer: int) -> torch.Tensor:
    """The loss of some pairs, nats: each sentence has to find its own translation among those of the others."""
    device, count = texts.device_of(body), len(sides[0])
    inputs, places = texts.packed([*sides[0], *sides[1]], device)
    with low(device):
        states = texts.unpacked(body(inputs, layer), places).float()
    inner = ((places >= 0) & (inputs.tokens.flatten()[places.clamp(min=0)] > 4)).unsqueeze(-1)
    means = functional.normalize((states * inner).sum(1) / inner.sum(1).clamp(min=1), dim=1)
    scores = means[:count] @ means[count:].T / TEMPERATURE
    own = torch.arange(count, device=device)
    return (functional.cross_entropy(scores, own) + functional.cross_entropy(scores.T, own)) / 2


def read(paths: Sequence[str], pairs: Sequence[str]) -> list[tuple[str, str, str]]:
    """Errors: UserError."""
    return [row for path in paths for row in task.read_pairs(path, pairs)]
