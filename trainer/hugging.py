"""Our weights under the names of Hugging Face's Electra and Albert models, and back. Nothing of theirs is imported."""

import json
import os
from collections.abc import Mapping
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from corpus.terminal import UserError
from trainer.head import Body, Task, TaskModel
from trainer.model import EPSILON, HEAD, Config, Electra, Encoder, Tower

FILE = "model.safetensors"
LAYER = {
    "attention.output.dense": "attentions.{}.out",
    "attention.output.LayerNorm": "attentions.{}.norm",
    "intermediate.dense": "feed_forwards.{}.wide",
    "output.dense": "feed_forwards.{}.narrow",
    "output.LayerNorm": "feed_forwards.{}.norm",
}
"""Part of an Electra layer: ours."""

ALBERT = {
    "attention.dense": "attentions.0.out",
    "attention.LayerNorm": "attentions.0.norm",
    "ffn": "feed_forwards.0.wide",
    "ffn_output": "feed_forwards.0.narrow",
    "full_layer_layer_norm": "feed_forwards.0.norm",
}
"""Part of Albert's one layer: ours."""

ELECTRA_CLASSES = {"classify": "ElectraForSequenceClassification", "score": "ElectraForSequenceClassification",
                   "tag": "ElectraForTokenClassification", "answer": "ElectraForQuestionAnswering"}  # fmt: skip
HEADS = {"classify": ("classifier.dense", "classifier.out_proj"), "score": ("classifier.dense", "classifier.out_proj"),
         "tag": ("", "classifier"), "answer": ("", "qa_outputs")}  # fmt: skip


def pair(module: Any, name: str) -> dict[str, Tensor]:
    """Weight and bias of a linear map or norm; factors are multiplied out."""
    return {f"{name}.weight": module.weight.detach().clone(), f"{name}.bias": module.bias.detach().clone()}


def at(encoder: Encoder, template: str, layer: int) -> torch.nn.Module:
    """The module that a layer uses, shared or its own."""
    kind, _, part = template.partition(".{}.")
    modules = getattr(encoder, kind)
    return getattr(modules[layer % len(modules)], part)


def embeddings(made, prefix: str) -> dict[str, Tensor]:
    names = {"word_embeddings": "tokens", "position_embeddings": "positions", "token_type_embeddings": "types"}
    found = {f"{prefix}.{n}.weight": getattr(made, ours).weight.detach().clone() for n, ours in names.items()}
    return found | pair(made.norm, f"{prefix}.LayerNorm")


def electra(body, encoder: Encoder) -> dict[str, Tensor]:
    """A tower as an ElectraModel; layers that share weights are written out. body: what has the embeddings."""
    found = embeddings(body, "electra.embeddings")
    if encoder.project is not None:
        found |= pair(encoder.project, "electra.embeddings_project")
    for k in range(encoder.layers):
        layer = f"electra.encoder.layer.{k}"
        into = pair(encoder.attention(k).into, "into")
        for kind, value in into.items():
            for name, part in zip(("query", "key", "value"), value.chunk(3), strict=True):
                found[f"{layer}.attention.self.{name}.{kind.partition('.')[2]}"] = part.clone()
        for name, template in LAYER.items():
            found |= pair(at(encoder, template, k), f"{layer}.{name}")
    return found


def albert(made: Electra) -> dict[str, Tensor]:
    """The discriminator as an AlbertModel, its one layer stored once; the head of sentence order is the pooler's."""
    encoder = made.discriminator
    found = embeddings(made.embeddings, "embeddings")
    assert encoder.project is not None
    found |= pair(encoder.project, "encoder.embedding_hidden_mapping_in")
    layer = "encoder.albert_layer_groups.0.albert_layers.0"
    for kind, value in pair(encoder.attention(0).into, "into").items():
        for name, part in zip(("query", "key", "value"), value.chunk(3), strict=True):
            found[f"{layer}.attention.{name}.{kind.partition('.')[2]}"] = part.clone()
    for name, ours in ALBERT.items():
        found |= pair(at(encoder, ours.replace(".0.", ".{}."), 0), f"{layer}.{name}")
    if made.order_head is not None:
        found |= pair(made.order_head.dense, "pooler")
    return found


def is_albert(config: Config) -> bool:
    """Can be an AlbertModel, which always has one layer and a projection."""
    return config.discriminator.share == "all" and config.embedding != config.discriminator.hidden


def generator(made: Electra) -> dict[str, Tensor]:
    """As ElectraForMaskedLM."""
    assert made.generator_head.norm is not None
    return (
        electra(made.embeddings, made.generator)
        | pair(made.generator_head.linear, "generator_predictions.dense")
        | pair(made.generator_head.norm, "generator_predictions.LayerNorm")
        | {"generator_lm_head.bias": made.generator_bias.detach().clone(),
           "generator_lm_head.weight": made.embeddings.tokens.weight.detach().clone()}
    )  # fmt: skip


def discriminator(made: Electra) -> dict[str, Tensor]:
    """As ElectraForPreTraining."""
    return (
        electra(made.embeddings, made.discriminator)
        | pair(made.discriminator_head.linear, "discriminator_predictions.dense")
        | pair(made.discriminator_out, "discriminator_predictions.dense_prediction")
    )


def task(made: TaskModel) -> dict[str, Tensor]:
    """As the class of ELECTRA_CLASSES."""
    dense, out = HEADS[made.task.kind]
    found = electra(made.body.embeddings, made.body.encoder) | pair(made.head.out, out)
    return found | pair(made.head.dense, dense) if made.head.dense is not None else found


def config(shape: Config, tower: Tower, kind: str, made: Task | None = None) -> dict:
    """config.json. kind: the class."""
    values = {
        "architectures": [kind],
        "vocab_size": shape.vocabulary,
        "embedding_size": shape.embedding,
        "hidden_size": tower.hidden,
        "num_hidden_layers": tower.layers,
        "num_attention_heads": tower.heads,
        "intermediate_size": 4 * tower.hidden,
        "hidden_act": "gelu",
        "hidden_dropout_prob": 0.0,
        "attention_probs_dropout_prob": 0.0,
        "classifier_dropout": 0.1,
        "max_position_embeddings": shape.positions,
        "type_vocab_size": 2,
        "layer_norm_eps": EPSILON,
        "pad_token_id": 0,
        "bos_token_id": 2,
        "eos_token_id": 3,
        "torch_dtype": "float32",
        "tie_word_embeddings": True,
    }
    if kind.startswith("Albert"):
        return values | {"model_type": "albert", "num_hidden_groups": 1, "inner_group_num": 1,
                         "classifier_dropout_prob": values.pop("classifier_dropout")}  # fmt: skip
    values |= {"model_type": "electra", "summary_type": "first", "summary_use_proj": True,
               "summary_activation": "gelu", "summary_last_dropout": 0.1}  # fmt: skip
    if made:
        names = list(made.labels) or (["value"] if made.kind == "score" else ["first", "last"])
        values |= {"id2label": dict(enumerate(names)), "label2id": {n: k for k, n in enumerate(names)},
                   "task_specific_params": {"crawlmill": {"kind": made.kind, "length": made.length}}}  # fmt: skip
        if made.kind in ("score", "classify"):
            values["problem_type"] = "regression" if made.kind == "score" else "single_label_classification"
    return values


def read(folder: str) -> TaskModel | Body:
    """An Electra or Albert folder as ours. Errors: UserError."""
    try:
        with open(os.path.join(folder, "config.json")) as file:
            values = json.load(file)
        weights = load_file(os.path.join(folder, FILE))
        kind = values["model_type"]
        if kind not in ("electra", "albert") or values["hidden_act"] != "gelu":
            raise UserError(
                f"{folder}: a model of type {kind} ({values['hidden_act']}); Electra and Albert with gelu are read"
            )
        body = _body(values)
        _check(folder, values, body.tower)
        body.load_state_dict(_ours(values, weights, body))
    except FileNotFoundError as error:
        raise UserError(f"{error.filename}: not there; name a folder with config.json and {FILE}") from None
    except (ValueError, KeyError, RuntimeError, SafetensorError) as error:
        raise UserError(f"{folder}: not readable as a Hugging Face model ({str(error).splitlines()[0]})") from None
    return _with_head(values, weights, body)


def _check(folder: str, values: Mapping, tower: Tower) -> None:
    if values["num_attention_heads"] != tower.heads or values["intermediate_size"] != 4 * tower.hidden:
        raise UserError(
            f"{folder}: heads are not {HEAD} wide, or its feed-forward part not 4 times; not a shape of ours"
        )


def _body(values: Mapping) -> Body:
    share = "all" if values["model_type"] == "albert" else "none"
    tower = Tower(values["num_hidden_layers"], values["hidden_size"], share)
    positions = values["max_position_embeddings"]
    return Body(Config(values["vocab_size"], positions, values["embedding_size"], tower, tower, False), tower)


def _ours(values: Mapping, weights: Mapping[str, Tensor], body: Body) -> dict[str, Tensor]:
    """The state of a body from their weights."""
    of_albert = values["model_type"] == "albert"
    prefix = values["model_type"] + "."
    t = {n.removeprefix(prefix): w for n, w in weights.items()}
    names = {"tokens": "word_embeddings", "positions": "position_embeddings", "types": "token_type_embeddings"}
    found = {f"embeddings.{ours}.weight": t[f"embeddings.{theirs}.weight"] for ours, theirs in names.items()}
    project = "encoder.embedding_hidden_mapping_in" if of_albert else "embeddings_project"
    layers = 1 if of_albert else values["num_hidden_layers"]
    for kind in ("weight", "bias"):
        found[f"embeddings.norm.{kind}"] = t[f"embeddings.LayerNorm.{kind}"]
        if body.encoder.project is not None:
            found[f"encoder.project.{kind}"] = t[f"{project}.{kind}"]
        for k in range(layers):
            layer = "encoder.albert_layer_groups.0.albert_layers.0" if of_albert else f"encoder.layer.{k}"
            own = f"{layer}.attention" + ("" if of_albert else ".self")
            parts = [t[f"{own}.{n}.{kind}"] for n in ("query", "key", "value")]
            found[f"encoder.attentions.{k}.into.{kind}"] = torch.cat(parts)
            for name, ours in (ALBERT if of_albert else LAYER).items():
                found[f"encoder.{ours.format(k)}.{kind}"] = t[f"{layer}.{name}.{kind}"]
    return found


def _with_head(values: Mapping, weights: Mapping[str, Tensor], body: Body) -> TaskModel | Body:
    """The model of a task, if the folder is one that `task` made."""
    ours = (values.get("task_specific_params") or {}).get("crawlmill")
    if not ours:
        return body.eval()
    labels = [values["id2label"][str(k)] for k in range(len(values["id2label"]))]
    made = TaskModel(
        body, Task(ours["kind"], tuple(labels) if ours["kind"] in ("classify", "tag") else (), ours["length"])
    )
    dense, out = HEADS[ours["kind"]]
    state = {f"out.{kind}": weights[f"{out}.{kind}"] for kind in ("weight", "bias")}
    if dense:
        state |= {f"dense.{kind}": weights[f"{dense}.{kind}"] for kind in ("weight", "bias")}
    made.head.load_state_dict(state)
    return made.eval()
