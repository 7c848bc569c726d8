"""What a pretraining run is going to be: settings, data and model put together and checked before the first step."""

import collections
import dataclasses
import json
import os
from typing import Protocol

import numpy as np

from corpus import mixture, shards, storage
from corpus import settings as settings_of
from corpus.settings import Pretrain
from corpus.shards import Manifest
from corpus.terminal import UserError, amount, say
from trainer import checkpoint, model
from trainer import weights as weights_of
from trainer.masking import word_starts
from trainer.stream import Stream
from trainer.weights import Weights
from trainer.world import choose


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


@dataclasses.dataclass(frozen=True)
class Plan:
    """A run before it starts: what is read, what is built. word_start: (vocabulary,) bool, as masks are to have it.
    `identity`: what config.json tells of it."""

    settings: Pretrain
    pieces: Pieces
    word_start: np.ndarray
    stream: Stream
    validation: Stream | None
    config: model.Config
    identity: dict

    @property
    def weights(self) -> tuple[float, float, float]:
        return self.settings.mlm_weight, self.settings.rtd_weight, self.settings.order_weight


def plan(tokens: str, settings: Pretrain, vocabulary: Vocabulary) -> Plan:
    """Read the manifest and check everything that can be checked before the first step. Errors: UserError."""
    manifest = shards.read_manifest(tokens)
    _check(tokens, settings, manifest, vocabulary)
    weights, order = _weights(settings, manifest), settings.order_weight > 0
    config = model.configure(
        settings.size,
        vocabulary.size,
        share=settings.share,
        sequence=settings.sequence,
        embedding=settings.embedding,
        generator=settings.generator,
        order=order,
    )
    pieces = vocabulary.table()
    ends, common = pieces.sentence_end, (tokens, manifest, settings.sequence)
    stream = Stream(*common, ends, seed=settings.seed, weights=weights, order=order)
    validation = None
    if any(s.validation and s.tokens for s in manifest.shards):
        validation = Stream(*common, ends, seed=settings.seed, validation=True, order=order)
    identity = {
        "format": 1,
        "settings": settings_of.substance(settings),
        "tokens": settings_of.fingerprint(dataclasses.asdict(manifest)),
        "vocabulary": vocabulary.digest,
        "model": dataclasses.asdict(config),
    }
    starts = word_starts(pieces.word_start, [vocabulary.piece(i) for i in range(vocabulary.size)])
    return Plan(settings, pieces, starts, stream, validation, config, identity)


def _check(tokens: str, settings: Pretrain, manifest: Manifest, vocabulary: Vocabulary) -> None:
    if vocabulary.digest != manifest.vocabulary or vocabulary.size != manifest.vocabulary_size:
        raise UserError(
            f"{tokens}: shards of another vocabulary ({manifest.vocabulary[:12]}, this one is "
            f"{vocabulary.digest[:12]}); give theirs with --vocabulary, or tokenize again"
        )
    for name in ("batch", "steps", "log_every", "validate_every", "save_every"):
        if getattr(settings, name) < 1:
            raise UserError(f"--{name.replace('_', '-')}: 0 is too few; give 1 or more")
    for name, most in (("mask", 0.5), ("warmup", 1.0), ("generator", 1.0)):
        if getattr(settings, name) > most:
            raise UserError(f"--{name}: {getattr(settings, name)} is too much; give {most} or less")


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
    s, parts = planned.settings, model.parameters(planned.config)
    windows, per_step = planned.stream.everything.windows, s.batch * s.sequence
    tokens: collections.Counter[str] = collections.Counter()
    for info in planned.stream.infos:
        tokens[info.language] += info.tokens
    generator = sum(n for part, n in parts.items() if part.startswith("generator"))
    return [
        f"parameters: {amount(sum(parts.values()))}, of these embeddings {amount(parts['embeddings'])}, generator "
        f"{amount(generator)}",
        f"tokens: {amount(sum(tokens.values()))} in {len(tokens)} languages, {len(planned.stream.infos)} shards",
        f"windows: {windows:,} of {s.sequence} tokens in an epoch, copies counted",
        f"steps: {s.steps:,} of {per_step:,} tokens: {amount(s.steps * per_step)} tokens, "
        f"{s.steps * s.batch / windows:.2f} epochs",
        f"device: {choose(s.device)}",
    ]


def difference(old: dict, new: dict) -> str:
    """The first thing in which two runs differ, in words; '' if they are the same."""
    for name in [*new["settings"], "vocabulary", "tokens", "model"]:
        was, now = (i["settings"].get(name, i.get(name)) for i in (old, new))
        if was != now:
            return f"{name} {was!r}, not {now!r}" if name in new["settings"] else f"other {name}"
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
    found = difference(checkpoint.read_config(output), json.loads(json.dumps(identity)))
    if found:
        raise UserError(f"{output}: a run with {found}; take the same or name another --output")
