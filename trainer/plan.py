"""What a pretraining run is going to be: settings, data and model put together and checked before the first step."""

import collections
import dataclasses
import json
import os
from collections.abc import Sequence
from typing import Protocol

import numpy as np

from corpus import mixture, shards, storage
from corpus import settings as settings_of
from corpus.settings import Pretrain
from corpus.shards import Manifest
from corpus.terminal import UserError, amount, say
from trainer import checkpoint, cost, model, schedule
from trainer import weights as weights_of
from trainer.masking import word_starts
from trainer.pairs import Blend, Pairs, Source
from trainer.schedule import Schedule
from trainer.stream import Stream
from trainer.weights import Weights
from trainer.world import choose

PARALLEL = "translations"
"""What stands for a language where windows hold pairs of sentences."""


class Pieces(Protocol):
    """What pretraining wants to know of each id; arrays are (vocabulary,) bool."""

    @property
    def word_start(self) -> np.ndarray: ...
    @property
    def sentence_end(self) -> np.ndarray: ...
    @property
    def special(self) -> np.ndarray: ...


class Vocabulary(Protocol):
    """The part of tokenizer.vocabulary.Vocabulary that is used here."""

    digest: str
    size: int

    def table(self) -> Pieces: ...
    def piece(self, id: int, /) -> str: ...
    def encode(self, texts: list[str]) -> tuple[np.ndarray, np.ndarray]: ...


@dataclasses.dataclass(frozen=True)
class Plan:
    """A run before it starts: what is read, what is built. source: where training windows come from, the stream with
    or without translations in between. word_start: (vocabulary,) bool, as masks are to have it. loss_weights: of each
    of `languages`. start: a model to go on from. `identity`: what config.json tells of it."""

    settings: Pretrain
    pieces: Pieces
    word_start: np.ndarray
    stream: Stream
    source: Source
    validation: Stream | None
    config: model.Config
    objectives: dict[str, Schedule]
    mask: Schedule
    languages: tuple[str, ...]
    loss_weights: np.ndarray
    start: str
    vocabulary: Vocabulary
    identity: dict

    def weights(self, step: int) -> tuple[float, ...]:
        """Of the objectives, in their order."""
        return tuple(s.at(step) for s in self.objectives.values())

    @property
    def active(self) -> tuple[str, ...]:
        """The objectives that have a weight at any time."""
        return tuple(name for name, s in self.objectives.items() if s.most)


def plan(
    tokens: str, settings: Pretrain, vocabulary: Vocabulary, *, start: str = "",
    parallel: list[tuple[np.ndarray, np.ndarray]] | None = None,
) -> Plan:  # fmt: skip
    """Read the manifest and check everything that can be checked before the first step. start: folder of a model to go
    on from. parallel: tokens of translations, trained on in the share that the objectives name. Errors: UserError."""
    manifest = shards.read_manifest(tokens)
    rate = settings.learning_rate or model.PRESETS[settings.size].rate
    settings = dataclasses.replace(settings, learning_rate=rate)
    _check(tokens, settings, manifest, vocabulary)
    weights, (wanted, share) = _weights(settings, manifest), _objectives(settings, parallel)
    pieces = vocabulary.table()
    common, order = (tokens, manifest, settings.sequence, pieces.sentence_end), wanted["order"].most > 0
    samples = settings.steps * settings.batch
    stream = Stream(*common, seed=settings.seed, weights=weights, samples=samples, order=order)
    validation = None
    if any(s.validation and s.tokens for s in manifest.shards):
        validation = Stream(*common, seed=settings.seed, validation=True, order=order)
    names = {i.language for s in (stream, validation) if s for i in s.infos} | ({PARALLEL} if parallel else set())
    languages = tuple(sorted(names))
    config = model.configure(
        settings.size,
        vocabulary.size,
        sequence=settings.sequence,
        order=order,
        languages=len(languages) if wanted["language"].most else 0,
        **schedule.shape(settings.shape),
    )
    model.parameters(config)  # a shape that cannot be is told before anything is written
    source: Source = stream
    if parallel:
        source = Blend(stream, Pairs(parallel, settings.sequence, PARALLEL, settings.seed), share)
    identity = {
        "format": 1,
        "settings": settings_of.substance(settings),
        "tokens": settings_of.fingerprint(dataclasses.asdict(manifest)),
        "vocabulary": vocabulary.digest,
        "model": dataclasses.asdict(config),
        **_origin(start, settings, vocabulary, config),
    }
    if parallel:
        identity["parallel"] = settings_of.fingerprint([[a.tolist(), b.tolist()] for a, b in parallel])
    starts = word_starts(pieces.word_start, [vocabulary.piece(i) for i in range(vocabulary.size)])
    hidden = schedule.schedule(settings.mask, "--mask")
    return Plan(
        settings, pieces, starts, stream, source, validation, config, wanted, hidden,
        languages, _loss_weights(settings, languages), start, vocabulary, identity,
    )  # fmt: skip


def _objectives(settings: Pretrain, parallel: list | None) -> tuple[dict[str, Schedule], float]:
    """The objectives, and the share of the windows that are translations. Errors: UserError."""
    found = schedule.objectives(settings.objectives)
    share = found.pop(schedule.PARALLEL).points[0][1]
    if not (found["mlm"].most and (found["rtd"].most or len([s for s in found.values() if s.most]) == 1)):
        raise UserError("--objectives: mlm alone, or mlm and rtd with what else you like; give both a weight")
    if bool(parallel) != bool(share) or share >= 1:
        raise UserError(
            f"--objectives: parallel={share:g}; with --parallel FILE give their share of the windows, under 1"
        )
    return found, share


def _origin(start: str, settings: Pretrain, vocabulary: Vocabulary, config: model.Config) -> dict[str, str]:
    """Where the first weights come from, so that models of one origin are known: these may be averaged. Errors:
    UserError."""
    if not start:
        drawn = settings_of.fingerprint(settings.seed, vocabulary.digest, dataclasses.asdict(config))
        return {"origin": drawn, "start": ""}
    theirs = checkpoint.read_config(start)
    if "tower" in theirs:
        raise UserError(f"{start}: an encoder without a generator, and pretraining needs both; name a pretrained model")
    shapes = [checkpoint.kindred(t) for t in (theirs["model"], dataclasses.asdict(config))]
    if shapes[0] != shapes[1]:
        name = next(k for k in shapes[1] if shapes[0].get(k) != shapes[1][k])
        raise UserError(f"{start}: another shape ({name} {shapes[0].get(name)}); give --size and --shape as there")
    same = all(theirs["model"][tower] == dataclasses.asdict(config)[tower] for tower in ("discriminator", "generator"))
    digest = checkpoint.digest(start)
    return {"origin": theirs.get("origin", digest) if same else digest, "start": digest}


def _loss_weights(settings: Pretrain, languages: tuple[str, ...]) -> np.ndarray:
    given = schedule.table(settings.loss_weights, dict.fromkeys(languages, float), "--loss-weights")
    return np.array([float(given.get(name, 1.0)) for name in languages], np.float32)


def _check(tokens: str, settings: Pretrain, manifest: Manifest, vocabulary: Vocabulary) -> None:
    if vocabulary.digest != manifest.vocabulary or vocabulary.size != manifest.vocabulary_size:
        raise UserError(
            f"{tokens}: shards of another vocabulary ({manifest.vocabulary[:12]}, this one is "
            f"{vocabulary.digest[:12]}); give theirs with --vocabulary, or tokenize again"
        )
    for name in ("batch", "accumulate", "steps", "save_every", "ngram"):
        if getattr(settings, name) < 1:
            raise UserError(f"--{name.replace('_', '-')}: 0 is too few; give 1 or more")
    hidden = schedule.schedule(settings.mask, "--mask").most
    for name, value, most in (
        ("mask", hidden, 0.5),
        ("warmup", settings.warmup, 1.0),
        ("cooldown", settings.cooldown, 1.0),
    ):
        if value > most:
            raise UserError(f"--{name}: {value} is too much; give {most} or less")


def _weights(settings: Pretrain, manifest: Manifest) -> Weights | None:
    """Shares of the languages, with a warning where select has resampled them already. Errors: UserError."""
    amounts = {language: tokens for language, tokens in manifest.languages().items() if tokens}
    try:
        found = weights_of.parse(
            settings.language_weights, settings.batch, lambda text: mixture.parse_weights(text, amounts)
        )
    except ValueError as error:
        raise UserError(
            f"--language-weights: {error}; write say 'eng_Latn=1,fin_Latn=3', 'alpha=0.3', or 'alpha=1/5000:alpha=0.3' "
            "for shares that change, and behind it, after a space, epochs=4 for a cap"
        ) from None
    if found and any(s.copies > 1 for s in manifest.shards):
        say("--language-weights: select has resampled these tokens; its copies count within a language only")
    return found


def rehearse(planned: Plan) -> list[str]:
    """What a run would do, in lines."""
    parts = model.parameters(planned.config)
    generator = sum(n for part, n in parts.items() if part.startswith("generator"))
    work = cost.operations(planned.config, planned.settings.sequence, planned.mask.most, planned.active != ("mlm",))
    told = (
        f"parameters: {amount(sum(parts.values()))}, of these embeddings {amount(parts['embeddings'])}, generator "
        f"{amount(generator)}"
    )
    return [told, *amounts(planned, work)]


def amounts(planned: Plan, work: float) -> list[str]:
    """What a run would read and take, in lines. work: operations per token."""
    s, windows = planned.settings, planned.stream.everything.windows
    per_step = s.batch * s.sequence
    tokens: collections.Counter[str] = collections.Counter()
    for info in planned.stream.infos:
        tokens[info.language] += info.tokens
    return [
        f"tokens: {amount(sum(tokens.values()))} in {len(tokens)} languages, {len(planned.stream.infos)} shards",
        f"windows: {windows:,} of {s.sequence} tokens in an epoch, copies counted",
        f"steps: {s.steps:,} of {per_step:,} tokens: {amount(s.steps * per_step)} tokens, "
        f"{s.steps * s.batch / windows:.2f} epochs, {s.steps * per_step * work:.2e} operations at most",
        f"learning rate: {s.learning_rate:g} at most",
        f"device: {choose(s.device)}",
    ]


def difference(
    old: dict, new: dict, others: Sequence[str] = ("vocabulary", "tokens", "model", "start", "parallel")
) -> str:
    """The first thing in which two runs differ, in words; '' if they are the same. others: what is compared besides
    settings."""
    for name in [*new["settings"], *others]:
        was, now = (i.get("settings", {}).get(name, i.get(name)) for i in (old, new))
        if was != now:
            return f"{name} {was!r}, not {now!r}" if name in new["settings"] else f"other {name}"
    return ""


def other_lesson(old: dict, new: dict) -> str:
    """In what two distillations differ besides, or a distillation and something else; '' if in nothing."""
    kinds = ["distill" if "teacher" in i else "pretrain" if "tokens" in i else "another command" for i in (old, new)]
    if kinds[0] != kinds[1]:
        return f"{kinds[0]}, not {kinds[1]}"
    if old.get("teacher_digest") != new.get("teacher_digest"):
        was, now = (f"{i['teacher']} ({str(i.get('teacher_digest'))[:12]})" for i in (old, new))
        return f"teacher {was}, not {now}"
    for name in ("layer", "losses"):
        if old.get(name) != new.get(name):
            return f"{name} {old.get(name)!r}, not {new.get(name)!r}"
    return ""


def claim(output: str, identity: dict) -> None:
    """See that `output` is empty or a run of the same identity. Errors: UserError."""
    names = (
        [n for n in sorted(os.listdir(output)) if not n.startswith(storage.TEMPORARY)] if os.path.isdir(output) else []
    )
    if not names:
        if os.path.exists(output) and not os.path.isdir(output):
            raise UserError(f"{output}: a file; name a folder")
        return
    if checkpoint.CONFIG not in names:
        raise UserError(f"{output}: holds something else than a model ({names[0]}); name an empty folder")
    old, new = checkpoint.read_config(output), json.loads(json.dumps(identity))
    if found := other_lesson(old, new) or difference(old, new):
        raise UserError(f"{output}: a run with {found}; take the same or name another --output")
