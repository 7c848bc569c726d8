"""A trained model for others: a Hugging Face folder whose logits are ours, and ONNX files for onnxruntime."""

import json
import os
from collections.abc import Sequence

import numpy as np
import torch
from safetensors.torch import save_file

from corpus import storage
from corpus.terminal import DONE, StepError, UserError, say, size
from trainer import checkpoint, head, hugging, onnx, texts
from trainer.head import Body, TaskModel

LINEAR = "alignment"
"""What maps of sentence vectors are called inside an exported folder; see align.py."""

TOLERANCE = {"model.onnx": 1e-4, "model-int8.onnx": 0.5}
"""How far the file's outputs may be from torch's, as a share of their standard deviation (largest error for fp32, root
mean square for int8)."""

LATENCIES = ((1, 128), (16, 128))  # batch, length


def export(model: str, output: str, *, onnx_files: bool = True, quiet: bool = False) -> int:
    """Write a model folder as a Hugging Face folder and, if wanted, ONNX files; checked against our own outputs before
    it is called done. Errors: UserError, StepError."""
    checkpoint.claim_empty(output)
    config = checkpoint.read_config(model)
    if onnx_files:
        onnx.needed()
    vocabulary = checkpoint.vocabulary(model)
    if "task" in config:
        made: TaskModel | Body = head.open_task(model)[0]
    else:
        made = head.open_body(model)[0].eval()
    told = _folder(model, output, config, made)
    _tokenizer(vocabulary, output, made_length(made))
    for name in ("alignment.safetensors", "alignment.json"):
        if os.path.exists(f"{model}/{name}"):
            storage.write(f"{output}/{name}", storage.read(f"{model}/{name}"))
            told.append(f"{name}: the map of sentence vectors; see the model's card")
    if onnx_files:
        told += _graphs(made, output, quiet)
    storage.write(f"{output}/README.md", card(config, made, told))
    print("\n".join([f"{output}: " + _words(made), *told, f"next: python -m trainer evaluate {output} --data FILE"]))
    return DONE


def made_length(made: TaskModel | Body) -> int:
    return onnx.made_positions(made)


def _words(made: TaskModel | Body) -> str:
    body = made.body if isinstance(made, TaskModel) else made
    count = sum(w.numel() for w in made.parameters())
    task = f"a model to {made.task.kind}" if isinstance(made, TaskModel) else "an encoder"
    return f"{task}, {count / 1e6:.1f} M parameters, {body.tower.layers} layers of {body.tower.hidden}"


def _folder(model: str, output: str, config: dict, made: TaskModel | Body) -> list[str]:
    """The Hugging Face files; a pretrained model is the discriminator, with the generator and, where all layers are
    one, AlbertModel in folders below."""
    body = made.body if isinstance(made, TaskModel) else made
    if isinstance(made, TaskModel):
        kind = hugging.ELECTRA_CLASSES[made.task.kind]
        return [_write(output, hugging.task(made), hugging.config(body.config, body.tower, kind, made.task))]
    if "tower" in config:
        weights = hugging.electra(body.embeddings, body.encoder)
        return [_write(output, weights, hugging.config(body.config, body.tower, "ElectraModel"))]
    whole, _ = checkpoint.open_model(model)
    shape = whole.config
    parts = [
        ("", hugging.discriminator(whole), hugging.config(shape, shape.discriminator, "ElectraForPreTraining")),
        ("generator", hugging.generator(whole), hugging.config(shape, shape.generator, "ElectraForMaskedLM")),
    ]
    if hugging.is_albert(shape):
        parts.append(("albert", hugging.albert(whole), hugging.config(shape, shape.discriminator, "AlbertModel")))
    if body.encoder is whole.generator:
        say("export: this model only learned to fill in, so the discriminator is as it was drawn; use generator/")
    return [_write(os.path.join(output, name) if name else output, w, c) for name, w, c in parts]


def _write(folder: str, weights: dict[str, torch.Tensor], config: dict) -> str:
    os.makedirs(folder, exist_ok=True)
    path = os.path.join(folder, hugging.FILE)
    save_file({n: w.contiguous() for n, w in weights.items()}, path, metadata={"format": "pt"})
    storage.write(f"{folder}/config.json", json.dumps(config, indent=2, ensure_ascii=False) + "\n")
    return f"{os.path.basename(folder)}/{hugging.FILE}: {config['architectures'][0]}, {size(os.path.getsize(path))}"


def _tokenizer(vocabulary: str, output: str, length: int) -> None:
    """The vocabulary's files, and what AutoTokenizer asks for beside a tokenizer.json. length: tokens that the model
    takes."""
    for name in sorted(os.listdir(vocabulary)):
        storage.write(f"{output}/{name}", storage.read(f"{vocabulary}/{name}"))
    if not os.path.exists(f"{output}/tokenizer.json"):
        say(f"export: no tokenizer.json in {vocabulary}, so AutoTokenizer will not open the folder; spm.model is there")
        return
    path = f"{output}/tokenizer_config.json"
    names = {f"{name}_token": f"[{name.upper()}]" for name in ("pad", "unk", "cls", "sep", "mask")}
    values: dict[str, object] = {"tokenizer_class": "PreTrainedTokenizerFast", **names}
    if os.path.exists(path):
        values = json.loads(storage.read(path))
    inputs = ["input_ids", "token_type_ids", "attention_mask"]
    values |= {"model_max_length": length, "model_input_names": inputs}
    storage.write(path, json.dumps(values, indent=1) + "\n")


def _graphs(made: TaskModel | Body, output: str, quiet: bool) -> list[str]:
    """fp32 and int8 files, each compared with torch on inputs of other shapes than it was traced with."""
    path, small = f"{output}/model.onnx", f"{output}/model-int8.onnx"
    say("export: writing ONNX ...", quiet)
    onnx.write(made, path)
    onnx.quantize(path, small)
    told = []
    for file in (path, small):
        largest, typical = difference(made, file)
        name = os.path.basename(file)
        error = largest if file == path else typical
        if not error <= TOLERANCE[name]:
            raise StepError(f"{file}: outputs {error:.2g} standard deviations from torch's; do not use it")
        off = f"largest error {largest:.2g}, typical {typical:.2g} of a standard deviation"
        told.append(f"{name}: {size(os.path.getsize(file))}, {off}")
    return told + latencies(made, (path, small))


@torch.inference_mode()
def difference(made: TaskModel | Body, path: str) -> tuple[float, float]:
    """(largest, root mean square) error of an ONNX file's outputs on real tokens, over torch's standard deviation."""
    call, random = onnx.model(onnx.session(path)), np.random.default_rng(0)
    vocabulary = (made.body if isinstance(made, TaskModel) else made).config.vocabulary
    errors, values = [], []
    for lengths in ([5], [31, 64, 17], [128, 3]):
        rows = [texts.row(random.integers(5, vocabulary, n), None, 128) for n in lengths]
        inputs = texts.inputs(rows)
        ours, theirs = made(inputs), call(inputs)
        real = inputs.sequences.bool() if ours.ndim == 3 else torch.ones(len(ours), dtype=torch.bool)
        errors.append((ours - theirs)[real].flatten())
        values.append(ours[real].flatten())
    error, spread = torch.cat(errors), float(torch.cat(values).std().clamp(min=1e-6))
    return float(error.abs().max()) / spread, float(error.square().mean().sqrt()) / spread


def latencies(made: TaskModel | Body, paths: Sequence[str]) -> list[str]:
    """A table: milliseconds of a batch on this machine's CPU."""
    size_ = (made.body if isinstance(made, TaskModel) else made).config.vocabulary
    calls = {"torch": made, **{os.path.basename(p): onnx.model(onnx.session(p)) for p in paths}}
    rows = ["milliseconds on this CPU  " + "  ".join(f"{b} x {n} tokens" for b, n in LATENCIES)]
    for name, call in calls.items():
        rows.append(
            f"{name:24}  "
            + "  ".join(f"{onnx.latency(call, b, n, size_):>{len(f'{b} x {n} tokens')}.1f}" for b, n in LATENCIES)
        )
    return rows


def card(config: dict, made: TaskModel | Body, told: Sequence[str]) -> str:
    """The model's card."""
    lines = [
        "---", "library_name: transformers", "---", "",
        f"Made by Crawlmill: {_words(made)}.", "",
        f"Vocabulary: {config['vocabulary']} (SHA-256 of spm.model).",
        f"Origin of the weights: {config.get('origin', '')}.", "",
    ]  # fmt: skip
    if isinstance(made, TaskModel) and made.task.labels:
        lines += ["Labels: " + ", ".join(made.task.labels), ""]
    return "\n".join([*lines, "```", *told, "```", ""])


def opened(place: str):
    """(what computes, Task or None, folder of the vocabulary) of a model folder, a Hugging Face folder or an ONNX
    file. Errors: UserError."""
    if place.endswith(".onnx"):
        folder = os.path.dirname(place) or "."
        if not os.path.exists(place):
            raise UserError(f"{place}: not there; name a file that python -m trainer export wrote")
        found = hugging.read(folder)
        return onnx.model(onnx.session(place)), getattr(found, "task", None), folder
    if os.path.exists(os.path.join(place, hugging.FILE)):
        found = hugging.read(place)
        return found, getattr(found, "task", None), place
    config = checkpoint.read_config(place)
    made = head.open_task(place)[0] if "task" in config else head.open_body(place)[0].eval()
    return made, getattr(made, "task", None), checkpoint.vocabulary(place)
