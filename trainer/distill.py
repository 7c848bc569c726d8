"""A large model -> a small one, over token shards.

By default MiniLMv2 (arXiv:2012.15828): the student's last layer learns how queries relate to queries, keys to keys and
values to values in one upper layer of the teacher; widths and numbers of heads may differ. Hidden states (through a map
that is thrown away) and the discriminator's logits can be added. The teacher's generator, if there is one, replaces
tokens first, so that both read what a discriminator reads.
"""

import os
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace

import torch
from torch import Tensor, nn
from torch.nn import functional

from corpus import shards
from corpus.settings import Pretrain
from corpus.terminal import DONE, UserError, amount, duration
from trainer import attention, checkpoint, cost, evaluate, head, hugging, inspect, loop, model, plan, schedule, world
from trainer import relations as relation
from trainer.attention import Sight, see
from trainer.filling import fill
from trainer.goal import Goal, Make
from trainer.head import Body
from trainer.log import FILE, Log
from trainer.model import Electra
from trainer.objectives import Batch
from trainer.plan import Plan
from trainer.run import Run
from trainer.stream import key
from trainer.tally import COUNTS

LOSSES = ("relations", "hidden", "logits")
SUMS = (*LOSSES, "seen", "read")
"""What a tally counts: the losses of all tokens, pairs of tokens that see each other, tokens."""


@dataclass(frozen=True)
class Teacher:
    """layer: whose relations are taught. whole: the model with its generator and its discriminator's head, if `body` is
    a discriminator that has them. digest: of its weights."""

    body: Body
    layer: int
    whole: Electra | None
    digest: str = ""


def upper(layers: int) -> int:
    """The layer that teaches: of 24 the 21st, of 12 the 10th or so; the last one is busy with its own task."""
    return max(1, layers - round(layers / 8))


def open_teacher(place: str, layer: int = 0) -> tuple[Teacher, str]:
    """A teacher and the folder of its vocabulary. layer: 0 for `upper`. Errors: UserError."""
    if place.endswith(".onnx"):
        raise UserError(f"{place}: an ONNX file cannot teach; name a model folder or a Hugging Face folder")
    path, whole = os.path.join(place, hugging.FILE), None
    if os.path.exists(path):
        found, vocabulary, digest = hugging.read(place), place, shards.checksum(path)
        body = found if isinstance(found, Body) else found.body
    else:
        config = checkpoint.read_config(place)
        if "tower" in config:
            body = head.open_body(place)[0]
        else:
            made = checkpoint.open_model(place)[0].eval()
            body = head.body_of(made, config)
            whole = made if body.encoder is made.discriminator else None
        vocabulary, digest = checkpoint.vocabulary(place), checkpoint.digest(place)
    if not 0 <= layer <= body.tower.layers:
        raise UserError(f"--layer: {layer}; the teacher has {body.tower.layers} layers")
    return Teacher(body.eval(), layer or upper(body.tower.layers), whole, digest), vocabulary


class Student(nn.Module):
    """A body with what only learning needs: a map of hidden states, a head for logits. width: of the teacher."""

    def __init__(self, body: Body, width: int, losses: Sequence[str], generator: torch.Generator):
        super().__init__()
        self.body, own = body, body.tower.hidden
        self.map = nn.Linear(own, width) if "hidden" in losses else None
        self.head = nn.Sequential(nn.Linear(own, own), nn.GELU(), nn.Linear(own, 1)) if "logits" in losses else None
        for part in filter(None, (self.map, self.head)):
            for weight in part.parameters():
                if weight.ndim > 1:
                    nn.init.trunc_normal_(weight, 0.0, model.spread(own), generator=generator)
                else:
                    nn.init.zeros_(weight)


class Lesson(nn.Module):
    """The losses of a student, which is trained, beside a teacher, which is not. allowed: (V,) bool, what the teacher's
    generator may put in. languages: how many tallies. sight: kind of attention, see attention.py."""

    def __init__(
        self, student: Student, teacher: Teacher, losses: Sequence[str], allowed: Tensor, languages: int = 1,
        sight: str = "dense",
    ):  # fmt: skip
        super().__init__()
        self.student, self.losses, self.languages, self.sight = student, set(losses), languages, sight
        self.teacher = teacher  # no module of this one: its weights are neither moved, trained nor saved with it
        self.heads = relation.heads_of(student.body.tower.hidden, teacher.body.tower.hidden)
        self.register_buffer("allowed", allowed, persistent=False)
        self.allowed: Tensor

    def forward(self, batch: Batch, counts: Tensor, weights: Tensor) -> tuple[Tensor, Tensor]:
        """(loss, tally). counts: as Batch.counts, over all processes and parts of a batch, so that the losses of all of
        them add up to the mean over the whole batch's tokens. weights: (3,), of LOSSES. The tally is float64,
        (languages, SUMS)."""
        sight = see(batch.sequences, self.sight, batch.runs)
        with torch.no_grad():
            tokens = self._corrupted(batch, sight)
            aims, states, wanted = self._taught(tokens, batch, sight)
        ours, last = self._learnt(tokens, batch, sight)
        real = batch.sequences > 0
        heavy = batch.weight[:, None] * real
        found = {}
        if "relations" in self.losses:
            found["relations"] = relation.relate(ours, aims, self.heads, batch.sequences, heavy)
        if self.student.map is not None:
            each = (self.student.map(last).float() - states.float()).square().mean(2)
            found["hidden"] = (each * heavy).sum(), each
        if self.student.head is not None:
            logits = self.student.head(last).squeeze(2).float()
            each = functional.binary_cross_entropy_with_logits(logits, wanted, reduction="none")
            found["logits"] = (each * heavy).sum(), each
        total = sum(weights[LOSSES.index(name)] * loss for name, (loss, _) in found.items())
        count = counts[COUNTS.index("tokens")].clamp(min=1e-6).float()
        return total / count, self._tally({name: each for name, (_, each) in found.items()}, real, batch)

    @torch.no_grad()
    def _tally(self, losses: dict[str, Tensor], real: Tensor, batch: Batch) -> Tensor:
        """losses: (B, S) each."""
        read = real.sum(1).double()
        own = [losses[n].masked_fill(~real, 0.0).double().sum(1) if n in losses else read * 0 for n in LOSSES]
        rows = torch.stack([*own, batch.seen, read], 1)
        return rows.new_zeros(self.languages, len(SUMS)).index_add_(0, batch.language, rows)

    def _corrupted(self, batch: Batch, sight: Sight) -> Tensor:
        """The batch's tokens with the teacher's fillings at the masked places; as they are if it fills nothing. The
        place that stands for none is a window's first, a [CLS], which stays what it is."""
        whole = self.teacher.whole
        if whole is None or not len(batch.chosen):
            return batch.tokens
        places = batch.chosen.clamp(min=0)
        embedded = whole.embeddings(batch.inputs, batch.positions, batch.types)
        rows = whole.filled(whole.generator(embedded, sight).flatten(0, 1).index_select(0, places))
        table, targets = whole.embeddings.tokens.weight, batch.tokens.view(-1)[places]
        heavy = batch.weight.new_ones(len(places))
        sampled = fill(rows, table, whole.generator_bias, targets, batch.noise, self.allowed, heavy)[2]
        sampled = torch.where(batch.chosen >= 0, sampled, targets)
        return batch.tokens.view(-1).index_copy(0, places, sampled).view_as(batch.tokens)

    def _taught(self, tokens: Tensor, batch: Batch, sight: Sight) -> tuple[tuple[Tensor, ...], Tensor, Tensor]:
        """Queries, keys, values of the layer that teaches, the states after it, and the chances that the discriminator
        gives to 'replaced'; no layer is computed that is not asked for."""
        teacher, encoder = self.teacher, self.teacher.body.encoder
        below = encoder.run(teacher.body.embeddings(tokens, batch.positions, batch.types), sight, teacher.layer - 1)
        parts = encoder.attention(teacher.layer - 1).split(below) if "relations" in self.losses else ()
        if self.losses == {"relations"}:
            return parts, below, below
        states = encoder.climb(below, sight, teacher.layer - 1, teacher.layer)
        if "logits" not in self.losses or teacher.whole is None:
            return parts, states, states
        top = encoder.climb(states, sight, teacher.layer, encoder.layers)
        return parts, states, teacher.whole.replaced(top).float().sigmoid()

    def _learnt(self, tokens: Tensor, batch: Batch, sight: Sight) -> tuple[tuple[Tensor, ...], Tensor]:
        """Queries, keys, values of the student's last layer, and the states after it if they are asked for."""
        body, last = self.student.body, self.student.body.tower.layers
        below = body.encoder.run(body.embeddings(tokens, batch.positions, batch.types), sight, last - 1)
        parts = body.encoder.attention(last - 1).split(below) if "relations" in self.losses else ()
        return parts, below if self.losses == {"relations"} else body.encoder.climb(below, sight, last - 1, last)


def distillation(teacher: Teacher, losses: Sequence[str]) -> Make:
    def make(planned: Plan, device: torch.device, sight: str) -> Goal:
        count, allowed = len(planned.languages), torch.from_numpy(~planned.pieces.special)
        for part in filter(None, (teacher.body, teacher.whole)):
            part.to(device).requires_grad_(False)
        lesson = Lesson(student(planned, teacher, losses), teacher, losses, allowed, count, sight).to(device)
        shares = tuple(float(name in losses) for name in LOSSES)

        def compile_() -> None:
            encoders = [lesson.student.body.encoder, teacher.body.encoder]
            for encoder in encoders + ([teacher.whole.generator] if teacher.whole else []):
                encoder.compile_layers()

        def operations(attended: float, step: int) -> float:
            return work(planned, teacher, losses, attended, step)

        return Goal(
            "distill", lesson, lesson.student, "body",
            torch.zeros(count, len(SUMS), dtype=torch.float64, device=device), SUMS, lambda _: shares, figures,
            operations, compile_, True,
        )  # fmt: skip

    return make


def student(planned: Plan, teacher: Teacher, losses: Sequence[str]) -> Student:
    """Freshly drawn."""
    generator = torch.Generator().manual_seed(key(planned.settings.seed, 0) >> 1)
    body = head.body_of(model.Electra(planned.config, generator), {})
    return Student(body, teacher.body.tower.hidden, losses, generator)


def figures(tally: Tensor, weights: Sequence[float]) -> dict[str, float | None]:
    """A tally (SUMS,) as means over tokens; None where there was nothing to count."""
    s = dict(zip(SUMS, tally.tolist(), strict=True))
    means = {name: s[name] / s["read"] if s["read"] else None for name, w in zip(LOSSES, weights, strict=True) if w}
    return {"loss": sum(w * (means.get(n) or 0.0) for n, w in zip(LOSSES, weights, strict=True)), **means}


def work(planned: Plan, teacher: Teacher, losses: Sequence[str], attended: float, step: int) -> float:
    """Floating-point operations per token of a step: three times the student's forward pass and once what is computed
    of the teacher, as cost.operations counts them."""
    ours, theirs, e = planned.config.discriminator, teacher.body.tower, teacher.body.config.embedding
    total = 3 * cost.layers(ours, attended)
    total += cost.layers(replace(theirs, layers=theirs.layers if "logits" in losses else teacher.layer), attended)
    if "relations" in losses:
        total += 3 * 2 * attended * (3 * ours.hidden + theirs.hidden)
    if teacher.whole is not None:
        g = teacher.whole.config.generator
        total += cost.layers(g, attended)
        total += planned.mask.at(step) * (2 * g.hidden * e + 2 * e * teacher.whole.config.vocabulary)
    return total


def distill(
    planned: Plan, teacher: Teacher, output: str, *, losses: Sequence[str] = ("relations",), data: Sequence[str] = (),
    vocabulary: str, place: str, limit: int | None = None, quiet: bool = False, tensorboard: bool = False,
) -> int:  # fmt: skip
    """Train the student of a plan, or go on; see loop.train. data: files on which teacher and student are compared at
    the end. vocabulary: its folder; place: the teacher's. Errors: UserError, StepError."""
    check(planned, teacher, losses)
    losses = [name for name in LOSSES if name in losses]

    def told(run: Run, log: Log, steps: int, seconds: float) -> list[str]:
        return summary(run, log, teacher, steps, seconds)

    identity = planned.identity | {
        "tower": asdict(planned.config.discriminator), "teacher": place, "teacher_digest": teacher.digest,
        "layer": teacher.layer, "losses": ",".join(losses),
    }  # fmt: skip
    code = loop.train(
        replace(planned, identity=identity), output, distillation(teacher, losses), told, limit=limit, quiet=quiet,
        vocabulary=vocabulary, tensorboard=tensorboard,
    )  # fmt: skip
    if code == DONE and world.leads():
        if data:
            evaluate.evaluate([place, output], data, quiet=True)
        print(f"next: python -m trainer finetune {output} --train FILE --dev FILE --output FOLDER")
    return code


def check(planned: Plan, teacher: Teacher, losses: Sequence[str]) -> None:
    """Errors: UserError."""
    s, unknown = planned.settings, [name for name in losses if name not in LOSSES]
    if unknown or not losses:
        raise UserError(f"--losses: {', '.join(unknown) or 'none'}; give some of {', '.join(LOSSES)}")
    if "logits" in losses and teacher.whole is None:
        raise UserError("--losses: logits need a teacher that pretrain wrote, with its discriminator's head")
    if teacher.body.config.vocabulary != planned.config.vocabulary:
        raise UserError("the teacher has another vocabulary than the tokens; tokenize with the teacher's own")
    if s.sequence > teacher.body.config.positions:
        raise UserError(f"--sequence: the teacher knows {teacher.body.config.positions} places; give as many at most")
    if s.objectives != Pretrain.objectives:
        raise UserError("objectives: a student learns by --losses and by none of these; leave them out")
    if foreign := {"generator", "depth"} & set(schedule.shape(s.shape)):
        raise UserError(f"--shape: {min(foreign)} is a generator's, and a student has none; leave it out")
    if teacher.whole is None and (s.mask, s.ngram) != (Pretrain.mask, Pretrain.ngram):
        raise UserError("--mask, --ngram: this teacher has no generator that would fill in; leave them out")


def rehearse(planned: Plan, teacher: Teacher, losses: Sequence[str]) -> list[str]:
    """What a run would do, in lines. Errors: UserError."""
    check(planned, teacher, losses)
    with torch.device("meta"):
        body = Body(planned.config, planned.config.discriminator)
    sizes = [f"{amount(_count(made))} parameters" for made in (body, teacher.body)]
    told = f"student: {sizes[0]}; teacher: {sizes[1]}, layer {teacher.layer} of {teacher.body.tower.layers} teaches"
    operations = work(planned, teacher, losses, planned.settings.sequence, 0)
    return [told, *plan.amounts(planned, operations)]


def _count(made: nn.Module) -> int:
    return sum(w.numel() for w in made.parameters())


def summary(run: Run, log: Log, teacher: Teacher, steps: int, seconds: float) -> list[str]:
    """What was done; losses on text held back, if there is any; sizes and speeds of both."""
    s, state = run.settings, run.state
    judged = inspect.last_line(f"{run.output}/{FILE}", "validation") if run.plan.validation else {}
    told = ", ".join(f"{n} {v:.4f}" for n, v in (judged or log.latest).items() if n in LOSSES and v is not None)
    return [
        f"{run.output}: step {state.step:,} of {s.steps:,}; {steps:,} steps in {duration(seconds)}"
        + (f", {amount(round(steps * s.batch * s.sequence / seconds))} tokens/s" if steps else ""),
        f"losses on text {'held back' if judged else 'of training'}: {told}",
        f"validation: best at step {state.best_step:,}, loss {state.best_loss:.4f}"
        if state.best_step else "validation: none yet",
        *compare(run, teacher),
    ]  # fmt: skip


@torch.no_grad()
def compare(run: Run, teacher: Teacher) -> list[str]:
    """Sizes, and speeds on the run's device."""
    batch = run.batch(0)[0]
    sight = see(batch.sequences, attention.fastest(run.world.device, run.precision), batch.runs)
    rows = [f"{'on ' + run.world.device.type:8} {'parameters':>12} {'layers':>7} {'width':>6} {'tokens/s':>10}"]
    for name, body in (("teacher", teacher.body), ("student", run.goal.kept())):
        assert isinstance(body, Body)
        with run.as_written(), run.low():
            rate = int((batch.sequences > 0).sum()) / _speed(body, batch, sight)
        rows.append(
            f"{name:8} {amount(_count(body)):>12} {body.tower.layers:>7} {body.tower.hidden:>6} "
            f"{amount(round(rate)):>10}"
        )
    return rows


def _speed(body: Body, batch: Batch, sight: Sight) -> float:
    """Seconds of the better of two passes."""
    times = []
    for _ in range(2):
        begun = time.perf_counter()
        body.encoder(body.embeddings(batch.tokens, batch.positions, batch.types), sight)
        if batch.tokens.is_cuda:
            torch.cuda.synchronize()
        times.append(time.perf_counter() - begun)
    return min(times)
