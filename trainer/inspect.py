"""Look into a tokens folder or a model folder: what is in it, and whether it is as it was written."""

import json
import os

import numpy as np

from corpus import shards, storage
from corpus.settings import Pretrain
from corpus.shards import Manifest
from corpus.terminal import DONE, FAILED, UserError, amount, safe, size
from trainer.stream import SEP, Stream, Windows


def inspect(path: str, vocabulary=None, settings: Pretrain | None = None) -> int:
    """Print what `path` holds; returns 1 if something in it is damaged. vocabulary and settings: print the first
    batch of a tokens folder, decoded. Errors: UserError."""
    if storage.is_remote(path) or os.path.exists(storage.join(path, shards.MANIFEST)):
        manifest = shards.read_manifest(path)
        code = show_tokens(path, manifest)
        if vocabulary and settings and code == DONE:
            show_batch(path, manifest, vocabulary, settings)
        return code
    if os.path.exists(storage.join(path, "config.json")):
        return show_model(path)
    raise UserError(f"{path}: neither tokens (manifest.json) nor a model (config.json); name one of these folders")


def show_tokens(path: str, manifest: Manifest) -> int:
    """Languages, shards, checksums."""
    print(
        f"{path}: {len(manifest.shards)} shards, vocabulary {manifest.vocabulary[:12]} ({manifest.vocabulary_size:,})"
    )
    print(f"{'language':12} {'split':10} {'copies':>6} {'shards':>6} {'documents':>10} {'tokens':>14}")
    groups: dict[tuple[str, bool, int], list[shards.ShardInfo]] = {}
    for shard in manifest.shards:
        groups.setdefault((shard.language, shard.validation, shard.copies), []).append(shard)
    for (language, validation, copies), members in sorted(groups.items()):
        documents, tokens = sum(m.documents for m in members), sum(m.tokens for m in members)
        split = "validation" if validation else "training"
        print(f"{language:12} {split:10} {copies:6} {len(members):6} {documents:10,} {tokens:14,}")
    problems = list(shards.verify(path, manifest))
    total = sum(s.bytes for s in manifest.shards)
    print(
        "\n".join(problems) or f"checksums: all {len(manifest.shards)} shards ({size(total)}) are as they were written"
    )
    return FAILED if problems else DONE


def show_batch(path: str, manifest: Manifest, vocabulary, settings: Pretrain) -> None:
    """Windows of each language as text, as many as a batch has, with the documents that they come from as
    `python -m pipeline why OUT SHARD:POSITION` takes them."""
    table = vocabulary.table()
    stream = Stream(path, manifest, settings.sequence, table.sentence_end, seed=settings.seed, order=False)
    for language, pool in stream.pools.items():
        places = pool.places(np.arange(min(settings.batch, pool.windows)))
        windows = stream.windows(places, np.zeros(len(places), np.uint64))
        for b in range(len(places)):
            told = ", ".join(f"{s.path}:{s.document}[{s.start}:{s.stop}]" for s in stream.spans(places[b : b + 1]))
            print(f"\nwindow {b}, {language}, from shard:document[tokens] {told}")
            for line in decoded(windows, b, vocabulary):
                print("  " + line)


def decoded(windows: Windows, b: int, vocabulary) -> list[str]:
    """The sequences of a window as one line each, special tokens by name."""
    lines = []
    for number in range(1, int(windows.sequences[b].max()) + 1):
        ids = windows.tokens[b][windows.sequences[b] == number]
        ends = np.flatnonzero(ids == SEP)
        starts = np.concatenate([[0], ends[:-1]]) + 1
        texts = [safe(vocabulary.decode(ids[s:e])) for s, e in zip(starts, ends, strict=True)]
        lines.append("[CLS] " + " [SEP] ".join(texts) + " [SEP]")
    return lines


def show_model(path: str) -> int:
    """Shape, last figures of the log, checkpoints."""
    from trainer import checkpoint, head, model

    config = checkpoint.read_config(path)
    shape = model.Config.of(config["model"])
    parts = head.parameters(config)
    print(
        f"{path}: {amount(sum(parts.values()))} parameters, "
        f"vocabulary {config['vocabulary'][:12]} ({shape.vocabulary:,})"
    )
    towers = {"discriminator": shape.discriminator, "generator": shape.generator}
    if "tower" in config:
        towers = {"encoder": model.Tower(**config["tower"])}
    for name, tower in towers.items():
        print(f"{name}: {tower.layers} layers, width {tower.hidden}, heads {tower.heads}, shared: {tower.share}")
    print("parameters: " + ", ".join(f"{part} {amount(count)}" for part, count in parts.items()))
    for split in ("training", "validation"):
        line = last_line(f"{path}/log.jsonl", split)
        if line:
            print(
                f"{split}: " + ", ".join(f"{k} {_short(v)}" for k, v in line.items() if not isinstance(v, dict | str))
            )
    damaged = 0
    for folder in checkpoint.listed(path):
        try:
            state = checkpoint.read_state(folder)
            print(f"{folder.name}: whole" + (", the best" if state.step == _best(path) else ""))
        except ValueError as error:
            damaged += 1
            print(f"{folder.name}: damaged ({error})")
    return FAILED if damaged else DONE


def last_line(path: str, split: str) -> dict:
    """The last line of a log that tells of a split; {} if there is none."""
    found: dict = {}
    if os.path.exists(path):
        for text in storage.read(path).decode().splitlines():
            try:
                line = json.loads(text)
            except ValueError:  # half-written by a killed run
                continue
            found = line if line.get("split") == split else found
    return found


def _best(path: str) -> int:
    """Step of the best checkpoint as the newest one has it, 0: none."""
    from trainer import checkpoint

    for folder in reversed(checkpoint.listed(path)):
        try:
            return checkpoint.read_state(folder).best_step
        except ValueError:
            continue
    return 0


def _short(value) -> str:
    return "-" if value is None else f"{value:,}" if isinstance(value, int) else f"{value:.4g}"
