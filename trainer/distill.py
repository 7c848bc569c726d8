"""A large model -> a small one, over token shards.

By default MiniLMv2 (arXiv:2012.15828): the student's last layer learns how queries relate to queries, keys to keys and
values to values in one upper layer of the teacher; widths and numbers of heads may differ. Hidden states (through a map
that is thrown away) and the discriminator's logits can be added. The teacher's generator, if there is one, replaces
tokens first, so that both read what a discriminator reads.
"""

import json
import math
import time
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from corpus import storage
from corpus.terminal import DONE, Progress, UserError, amount, duration
from trainer import checkpoint, evaluate, export, head, model
from trainer import optimizer as optimizers
from trainer.attention import see
from trainer.filling import fill
from trainer.head import Body
from trainer.log import FILE
from trainer.masking import mask
from trainer.model import Electra, Encoder
from trainer.objectives import Batch
from trainer.optimizer import Optimizer
from trainer.plan import Plan
from trainer.stream import key

LOSSES = ("relations", "hidden", "logits")
RELATIONS = 48  # most relation heads
HELD_OUT = 32  # windows on which student and teacher are compared


@dataclass(frozen=True)
class Teacher:
    """layer: whose relations are taught. whole: the model with its heads, if it has them."""

    body: Body
    layer: int
    whole: Electra | None


def upper(layers: int) -> int:
    """The layer that teaches: of 24 the 21st, of 12 the 10th or so; the last one is busy with its own task."""
    return max(1, layers - round(layers / 8))


def open_teacher(place: str, layer: int = 0) -> tuple[Teacher, str]:
    """A teacher and the folder of its vocabulary. layer: 0 for `upper`. Errors: UserError."""
    found, _, vocabulary = export.opened(place)
    body = found if isinstance(found, Body) else getattr(found, "body", None)
    if not isinstance(body, Body):
        raise UserError(f"{place}: an ONNX file cannot teach; name a model folder or a Hugging Face folder")
    if not 0 <= layer <= body.tower.layers:
        raise UserError(f"--layer: {layer}; the teacher has {body.tower.layers} layers")
    whole = None
    if vocabulary != place:
        config = checkpoint.read_config(place)
        whole = checkpoint.open_model(place)[0].eval() if "tower" not in config else None
    return Teacher(body.eval(), layer or upper(body.tower.layers), whole), vocabulary


def relation_heads(one: int, two: int) -> int:
    """The largest number up to RELATIONS that divides both widths."""
    common = math.gcd(one, two)
    return max(n for n in range(1, RELATIONS + 1) if common % n == 0)


def relations(parts: Sequence[Tensor], heads: int, sight: Tensor) -> list[Tensor]:
    """Log-probabilities (B, heads, S, S) of queries, keys, values among themselves. parts: each (B, S, ..)."""
    found = []
    for part in parts:
        split = part.flatten(2).unflatten(2, (heads, -1)).transpose(1, 2).float()
        scores = split @ split.transpose(2, 3) / math.sqrt(split.shape[-1])
        found.append(scores.masked_fill(~sight, -torch.inf).log_softmax(-1))
    return found


def relation_loss(
    student: Sequence[Tensor], teacher: Sequence[Tensor], heads: int, sight: Tensor, real: Tensor
) -> Tensor:
    """Mean over real tokens, relation heads and kinds of KL(teacher || student), nats. real: (B, S) bool."""
    total = real.new_zeros((), dtype=torch.float32)
    for ours, theirs in zip(relations(student, heads, sight), relations(teacher, heads, sight), strict=True):
        each = (theirs.exp() * (theirs - ours)).masked_fill(~sight, 0.0).sum(-1).mean(1)
        total = total + each[real].mean()
    return total / len(student)


def parts_of(encoder: Encoder, embedded: Tensor, sight: Tensor, layer: int) -> tuple[tuple[Tensor, ...], Tensor]:
    """(queries, keys, values) of a layer, from 1, and the states after it."""
    below = encoder.run(embedded, sight, layer - 1)
    attention = encoder.attention(layer - 1)
    after = encoder.feed_forwards[(layer - 1) % len(encoder.feed_forwards)](attention(below, sight))
    return attention.split(below), after


class Lesson(nn.Module):
    """The student with what only learning needs: a map of hidden states, a head for logits."""

    def __init__(self, body: Body, teacher: Teacher, losses: Sequence[str]):
        super().__init__()
        self.body, self.losses = body, tuple(losses)
        self.heads = relation_heads(body.tower.hidden, teacher.body.tower.hidden)
        width = body.tower.hidden
        self.map = nn.Linear(width, teacher.body.tower.hidden) if "hidden" in losses else None
        self.head = (
            nn.Sequential(nn.Linear(width, width), nn.GELU(), nn.Linear(width, 1)) if "logits" in losses else None
        )

    def forward(self, teacher: Teacher, tokens: Tensor, batch: Batch) -> dict[str, Tensor]:
        """The loss of each kind."""
        sight, real = see(batch.sequences), batch.sequences > 0
        assert isinstance(sight, Tensor)
        places = (tokens, batch.positions, batch.types)
        with torch.no_grad():
            above, states = parts_of(teacher.body.encoder, teacher.body.embeddings(*places), sight, teacher.layer)
        ours, last = parts_of(self.body.encoder, self.body.embeddings(*places), sight, self.body.tower.layers)
        found = {}
        if "relations" in self.losses:
            found["relations"] = relation_loss(ours, above, self.heads, sight, real)
        if self.map is not None:
            found["hidden"] = functional.mse_loss(self.map(last)[real], states[real])
        if self.head is not None:
            assert teacher.whole is not None
            with torch.no_grad():
                top = teacher.body.encoder.run(teacher.body.embeddings(*places), sight)
                wanted = teacher.whole.replaced(top).sigmoid()
            found["logits"] = functional.binary_cross_entropy_with_logits(
                self.head(last).squeeze(-1)[real], wanted[real]
            )
        return found


@torch.no_grad()
def corrupted(teacher: Teacher, batch: Batch, allowed: Tensor) -> Tensor:
    """The batch's tokens with the teacher's own fillings at the masked places; as they are if it fills nothing."""
    whole = teacher.whole
    if whole is None or not len(batch.chosen):
        return batch.tokens
    embedded = whole.embeddings(batch.inputs, batch.positions, batch.types)
    rows = whole.filled(whole.generator(embedded, see(batch.sequences)).flatten(0, 1)[batch.chosen])
    table, targets = whole.embeddings.tokens.weight, batch.tokens.view(-1)[batch.chosen]
    sampled = fill(rows, table, whole.generator_bias, targets, batch.noise, allowed, rows.new_ones(len(rows)))[2]
    return batch.tokens.view(-1).index_copy(0, batch.chosen, sampled).view_as(batch.tokens)


def student(planned: Plan) -> Body:
    """Freshly drawn."""
    drawn = model.Electra(planned.config, torch.Generator().manual_seed(key(planned.settings.seed, 0) >> 1))
    return head.body_of(drawn, {})


def distill(
    planned: Plan, teacher: Teacher, output: str, *, losses: Sequence[str] = ("relations",), data: Sequence[str] = (),
    vocabulary: str, place: str, limit: int | None = None, quiet: bool = False,
) -> int:  # fmt: skip
    """Train the student of a plan and write it as a model folder. data: files on which teacher and student are
    compared at the end. vocabulary: its folder; place: the teacher's. Errors: UserError."""
    checkpoint.claim_empty(output)
    _check(planned, teacher, losses)
    s, begun = planned.settings, time.monotonic()
    lesson = Lesson(student(planned), teacher, losses)
    adam = Optimizer(lesson, s.weight_decay)
    steps = min(limit or s.steps, s.steps)
    bar, rows = Progress("distill", steps, quiet=quiet), []
    for step in range(steps):
        index = step * s.batch + np.arange(s.batch)
        found = lesson(teacher, *_batch(planned, teacher, index))
        sum(found.values(), torch.zeros(())).backward()
        adam.update(s.learning_rate * optimizers.rate(step, s.steps, s.warmup, s.cooldown))
        if (step + 1) % s.log_every == 0 or step + 1 == steps:
            rows.append({"step": step + 1, "split": "training", **{n: float(v.detach()) for n, v in found.items()}})
            bar.note = ", ".join(f"{n} {v:.3f}" for n, v in rows[-1].items() if n in LOSSES)
        bar.advance(1)
    bar.finish()
    body = lesson.body.eval()
    identity = {"vocabulary": planned.identity["vocabulary"]}
    head.save(output, body, identity, steps, settings=planned.identity["settings"], teacher=place)
    storage.write(f"{output}/{FILE}", "".join(json.dumps(r) + "\n" for r in rows))
    checkpoint.copy_vocabulary(vocabulary, output)
    print(f"{output}: {steps:,} steps in {duration(time.monotonic() - begun)}")
    print("\n".join(compare(planned, teacher, lesson)))
    if data:
        evaluate.evaluate([place, output], data, quiet=True)
    print(f"next: python -m trainer finetune {output} --train FILE --dev FILE --output FOLDER")
    return DONE


def _check(planned: Plan, teacher: Teacher, losses: Sequence[str]) -> None:
    unknown = [name for name in losses if name not in LOSSES]
    if unknown or not losses:
        raise UserError(f"--losses: {', '.join(unknown) or 'none'}; give some of {', '.join(LOSSES)}")
    if "logits" in losses and teacher.whole is None:
        raise UserError("--losses: logits need a teacher that pretrain wrote, with its discriminator's head")
    if teacher.body.config.vocabulary != planned.config.vocabulary:
        raise UserError("the teacher has another vocabulary than the tokens; tokenize with the teacher's own")
    if planned.settings.sequence > teacher.body.config.positions:
        raise UserError(f"--sequence: the teacher knows {teacher.body.config.positions} places; give as many at most")


def _batch(planned: Plan, teacher: Teacher, index: np.ndarray, windows=None) -> tuple[Tensor, Batch]:
    s = planned.settings
    windows = windows or planned.stream.batch(index)
    share = planned.mask.points[-1][1]
    masks = mask(windows.tokens, index, planned.word_start, planned.pieces.special, share, s.seed)
    batch = Batch.of(windows, masks, torch.device("cpu"))
    return corrupted(teacher, batch, torch.from_numpy(~planned.pieces.special)), batch


@torch.no_grad()
def compare(planned: Plan, teacher: Teacher, lesson: Lesson) -> list[str]:
    """Sizes, speeds on this machine, and the losses on text held back (else on the first windows)."""
    stream = planned.validation or planned.stream
    index = np.arange(min(HELD_OUT, stream.everything.windows))
    windows = stream.windows(stream.everything.places(index), [key(stream.seed, int(i), 4) for i in index])
    tokens, batch = _batch(planned, teacher, index, windows)
    told = ", ".join(f"{n} {float(v):.4f}" for n, v in lesson(teacher, tokens, batch).items())
    rows = [f"losses on text {'held back' if planned.validation else 'of training'}: {told}"]
    rows.append(f"{'':8} {'parameters':>12} {'layers':>7} {'width':>6} {'tokens/s':>10}")
    for name, body in (("teacher", teacher.body), ("student", lesson.body)):
        count = sum(w.numel() for w in body.parameters())
        rate = int((batch.sequences > 0).sum()) / _speed(body, tokens, batch)
        rows.append(
            f"{name:8} {amount(count):>12} {body.tower.layers:>7} {body.tower.hidden:>6} {amount(round(rate)):>10}"
        )
    return rows


def _speed(body: Body, tokens: Tensor, batch: Batch) -> float:
    """Seconds of the better of two passes."""
    times = []
    for _ in range(2):
        begun = time.perf_counter()
        body.encoder(body.embeddings(tokens, batch.positions, batch.types), see(batch.sequences))
        times.append(time.perf_counter() - begun)
    return min(times)
