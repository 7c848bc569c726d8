"""Checkpoints: OUTPUT/checkpoints/step-XXXXXXXX/{model,optimizer}.safetensors and state.json. No pickles.

A checkpoint is written under a temporary name, synced and renamed, so it is whole or not there; state.json holds the
checksums of the other files and of itself. A damaged one is told and the one before it is taken.
"""

import dataclasses
import json
import os
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from corpus import settings, shards, storage
from corpus.terminal import UserError, say
from trainer.model import Config, Electra

CONFIG, FOLDER, PREFIX, STATE = "config.json", "checkpoints", "step-", "state.json"
MODEL, OPTIMIZER = "model.safetensors", "optimizer.safetensors"
VOCABULARY = "vocabulary"
UNFINISHED = "unfinished"  # folder of what finetune and align have saved before they are done


@dataclass
class State:
    """Where a training run stands. Nothing random is kept: it all follows from the seed and the sample index."""

    step: int = 0  # steps done
    sample: int = 0  # global index of the next sample
    skipped: int = 0  # steps without an update, since the gradient was not finite
    best_step: int = 0  # step of the checkpoint with the lowest validation loss, 0: none yet
    best_loss: float = 0.0


def write_config(output: str, identity: dict) -> None:
    """config.json: the model's shape and what else tells one run from another (settings, tokens, vocabulary)."""
    storage.write(f"{output}/{CONFIG}", json.dumps(identity, indent=1, sort_keys=True) + "\n")


def read_config(output: str) -> dict:
    """Errors: UserError."""
    path = f"{output}/{CONFIG}"
    try:
        values = json.loads(Path(path).read_bytes())
        Config.of(values["model"])
    except FileNotFoundError:
        if os.path.isdir(f"{output}/{UNFINISHED}"):
            raise UserError(f"{output}: not finished; run the same finetune or align again to go on") from None
        raise UserError(f"{path}: not there, so this is no model; name a folder that pretrain wrote") from None
    except (ValueError, KeyError, TypeError, NotADirectoryError) as error:
        raise UserError(f"{path}: not readable ({error}); name a folder that pretrain wrote") from None
    return values


def claim_empty(output: str) -> None:
    """Errors: UserError unless `output` is an empty folder, or none yet."""
    if os.path.exists(output) and not os.path.isdir(output):
        raise UserError(f"{output}: a file; name a folder")
    names = os.listdir(output) if os.path.isdir(output) else []
    if names:
        raise UserError(f"{output}: holds something already ({sorted(names)[0]}); name another --output")


def copy_vocabulary(folder: str, output: str) -> None:
    """The files of a vocabulary's folder beside a model."""
    for name in ("spm.model", "spm.vocab", "tokenizer.json", "tokenizer_config.json"):
        if os.path.exists(f"{folder}/{name}"):
            storage.write(f"{output}/{VOCABULARY}/{name}", storage.read(f"{folder}/{name}"))


def vocabulary(model: str) -> str:
    """Folder of the vocabulary beside a model. Errors: UserError."""
    folder = f"{model}/{VOCABULARY}"
    if not os.path.isdir(folder):
        raise UserError(f"{folder}: not there; copy the folder of the model's vocabulary to that place")
    return folder


def listed(output: str) -> list[Path]:
    """The checkpoints of a model folder, oldest first."""
    return sorted(Path(output, FOLDER).glob(PREFIX + "[0-9]*"))


def step_of(folder: Path) -> int:
    return int(folder.name.removeprefix(PREFIX))


def save(output: str, model: dict[str, Tensor], optimizer: dict[str, Tensor], state: State) -> Path:
    """Write the checkpoint of `state.step`; one that stands there already is replaced. optimizer: what else a run
    needs to go on; may be empty."""
    target = Path(output, FOLDER, f"{PREFIX}{state.step:08d}")
    temporary = target.with_name(f"{storage.TEMPORARY}{os.getpid()}-{target.name}")
    shutil.rmtree(temporary, ignore_errors=True)
    temporary.mkdir(parents=True)
    for name, tensors in ((MODEL, model), (OPTIMIZER, optimizer)):
        save_file({k: t.detach().cpu().contiguous() for k, t in tensors.items()}, temporary / name)
    values = dataclasses.asdict(state)
    values["checksums"] = {name: shards.checksum(str(temporary / name)) for name in (MODEL, OPTIMIZER)}
    values["checksums"][STATE] = settings.fingerprint(values)
    (temporary / STATE).write_text(json.dumps(values, indent=1) + "\n")
    for path in (*temporary.iterdir(), temporary):
        _sync(path)
    if target.exists():
        shutil.rmtree(target)
    temporary.rename(target)
    _sync(target.parent)
    return target


def _sync(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def read_state(folder: Path) -> State:
    """The state of a checkpoint whose files are all as they were written. Errors: ValueError with what is wrong."""
    try:
        values = json.loads((folder / STATE).read_bytes())
        checksums = values["checksums"]
        if (
            settings.fingerprint({**values, "checksums": {k: checksums[k] for k in (MODEL, OPTIMIZER)}})
            != checksums[STATE]
        ):
            raise ValueError(f"{STATE} differs from its checksum")
        for name in (MODEL, OPTIMIZER):
            if shards.checksum(str(folder / name)) != checksums[name]:
                raise ValueError(f"{name} differs from its checksum")
    except (OSError, KeyError, TypeError, AttributeError) as error:
        raise ValueError(f"{type(error).__name__}: {error}") from None
    return State(**{f.name: values[f.name] for f in dataclasses.fields(State)})


def whole(output: str) -> Iterator[tuple[Path, State]]:
    """The undamaged checkpoints, newest first; damaged ones are told."""
    for folder in reversed(listed(output)):
        try:
            yield folder, read_state(folder)
        except ValueError as error:
            say(f"warning: {folder}: damaged ({error}); the checkpoint before it is taken")


def newest(output: str) -> tuple[Path, State] | None:
    """The newest undamaged checkpoint; None if there are none at all. Errors: UserError if all are damaged."""
    found = next(whole(output), None)
    if found is None and listed(output):
        raise UserError(f"{output}/{FOLDER}: every checkpoint is damaged; delete the folder {output} to start anew")
    return found


def prune(output: str, keep: int, best: int) -> None:
    """Delete all but the `keep` newest checkpoints (at least one) and the best, and what killed runs left."""
    folders = listed(output)
    for folder in folders[: -max(1, keep)]:
        if step_of(folder) != best:
            shutil.rmtree(folder)
    for folder in Path(output, FOLDER).glob(storage.TEMPORARY + "*"):
        shutil.rmtree(folder, ignore_errors=True)


def load(folder: Path, name: str) -> dict[str, Tensor]:
    """The tensors of one file of a checkpoint, on the CPU."""
    return load_file(folder / name)


def kindred(shape: dict) -> dict:
    """A model's shape, as config.json has it, but for what a compression or another vocabulary changes."""
    towers = {n: {k: v for k, v in shape[n].items() if k != "rank"} for n in ("discriminator", "generator")}
    return {**shape, **towers, "vocabulary": 0}


def chosen(output: str, step: int = 0) -> Path:
    """The best checkpoint by validation, else the newest; or that of a step. Errors: UserError."""
    found = newest(output)
    if found is None:
        raise UserError(f"{output}: no checkpoint yet; run python -m trainer pretrain to its end")
    wanted = step or found[1].best_step
    if not wanted:
        return found[0]
    folder = Path(output, FOLDER, f"{PREFIX}{wanted:08d}")
    try:
        read_state(folder)
    except ValueError as error:
        raise UserError(f"{folder}: {error}; there are {', '.join(f.name for f in listed(output))}") from None
    return folder


def digest(output: str) -> str:
    """Names the weights that `open_model` gives. Errors: UserError."""
    return shards.checksum(str(chosen(output) / MODEL))


def open_model(output: str, step: int = 0) -> tuple[Electra, dict]:
    """The trained model of a folder and its config.json. step: 0 for the best by validation, else the newest if there
    was no validation. Errors: UserError."""
    config = read_config(output)
    folder = chosen(output, step)
    with torch.device("meta"):
        model = Electra(Config.of(config["model"]))
    try:
        model.load_state_dict(load(folder, MODEL), assign=True)
    except RuntimeError:
        raise UserError(f"{folder}: not of the shape that {CONFIG} tells; one of them is of another run") from None
    return model, config
