"""An encoder with a head for a task. Heads are those of Hugging Face's Electra models, so that exports are equal."""

from dataclasses import asdict, dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from corpus.terminal import UserError
from trainer import checkpoint, model
from trainer.attention import see
from trainer.checkpoint import State
from trainer.model import Config, Electra, Embeddings, Encoder, Tower
from trainer.texts import Inputs

DROPOUT = 0.1  # before the head, while it learns


class Body(nn.Module):
    """Embeddings and encoder: Inputs -> states (B, S, H)."""

    def __init__(self, config: Config, tower: Tower):
        super().__init__()
        self.config, self.tower = config, tower
        self.embeddings = Embeddings(config)
        self.encoder = Encoder(config.embedding, tower)

    def forward(self, inputs: Inputs, layers: int = -1) -> Tensor:
        """layers: see Encoder.run."""
        embedded = self.embeddings(inputs.tokens, inputs.positions, inputs.types)
        return self.encoder.run(embedded, see(inputs.sequences), layers)


@dataclass(frozen=True)
class Task:
    """kind: of task.KINDS. labels: in the order of the head's outputs; of 'score' and 'answer': none. length: tokens
    of an input."""

    kind: str
    labels: tuple[str, ...]
    length: int

    @property
    def outputs(self) -> int:
        return {"score": 1, "answer": 2}.get(self.kind) or len(self.labels)

    @staticmethod
    def of(table: dict) -> "Task":
        return Task(table["kind"], tuple(table["labels"]), table["length"])


class Head(nn.Module):
    """States (B, S, H) -> logits: (B, labels) of the first token for a whole text, else (B, S, outputs)."""

    def __init__(self, task: Task, width: int):
        super().__init__()
        self.whole = task.kind in ("classify", "score")
        self.dense = nn.Linear(width, width) if self.whole else None
        self.out = nn.Linear(width, task.outputs)
        for weight in self.parameters():
            nn.init.trunc_normal_(weight, 0.0, model.spread(width)) if weight.ndim > 1 else nn.init.zeros_(weight)

    def forward(self, states: Tensor) -> Tensor:
        states = states[:, 0] if self.whole else states
        states = functional.dropout(states, DROPOUT, self.training)
        if self.dense is not None:
            states = functional.dropout(functional.gelu(self.dense(states)), DROPOUT, self.training)
        return self.out(states)


class TaskModel(nn.Module):
    """Inputs -> logits, see Head."""

    def __init__(self, body: Body, task: Task):
        super().__init__()
        self.body, self.task = body, task
        self.head = Head(task, body.tower.hidden)

    def forward(self, inputs: Inputs) -> Tensor:
        return self.head(self.body(inputs))


def body_of(pretrained: Electra, config: dict) -> Body:
    """The encoder that a task is to learn from: the discriminator, or the generator of a model that only learned to
    fill in. Takes the weights over, not a copy. config: of config.json."""
    alone = "rtd" not in config.get("settings", {}).get("objectives", "rtd")
    encoder = pretrained.generator if alone else pretrained.discriminator
    tower = pretrained.config.generator if alone else pretrained.config.discriminator
    with torch.device("meta"):
        body = Body(pretrained.config, tower)
    body.embeddings, body.encoder = pretrained.embeddings, encoder
    return body


def parameters(config: dict) -> dict[str, int]:
    """How many weights each part of a model has, by its config.json."""
    shape = Config.of(config["model"])
    if "tower" not in config:
        return model.parameters(shape)
    with torch.device("meta"):
        body = Body(shape, Tower(**config["tower"]))
        parts = {name: sum(w.numel() for w in part.parameters()) for name, part in body.named_children()}
        if "task" in config:
            made = Head(Task.of(config["task"]), body.tower.hidden)
            parts["head"] = sum(w.numel() for w in made.parameters())
    return parts


def open_body(folder: str) -> tuple[Body, dict]:
    """The encoder of a model that pretrain, distill, fuse, align or finetune wrote, and its config.json. Errors:
    UserError."""
    config = checkpoint.read_config(folder)
    if "task" in config:
        return open_task(folder)[0].body, config
    if "tower" in config:
        return _filled(folder, Body(Config.of(config["model"]), Tower(**config["tower"]))), config
    pretrained, config = checkpoint.open_model(folder)
    return body_of(pretrained, config), config


def open_task(folder: str) -> tuple[TaskModel, dict]:
    """A model that finetune wrote. Errors: UserError."""
    config = checkpoint.read_config(folder)
    if "task" not in config:
        raise UserError(f"{folder}: has learned no task yet; run python -m trainer finetune {folder}")
    body = Body(Config.of(config["model"]), Tower(**config["tower"]))
    return _filled(folder, TaskModel(body, Task.of(config["task"]))).eval(), config


def _filled(folder: str, made):
    """Errors: UserError."""
    place = checkpoint.chosen(folder)
    try:
        made.load_state_dict(checkpoint.load(place, checkpoint.MODEL))
    except RuntimeError:
        raise UserError(f"{place}: not of the shape that config.json tells; one of them is of another run") from None
    return made


def save(folder: str, made: TaskModel | Body, config: dict, step: int, **more) -> None:
    """Write a body, with or without a task, as a model folder; config: of the model it came from."""
    body = made.body if isinstance(made, TaskModel) else made
    identity = {"format": 1, "vocabulary": config["vocabulary"], "origin": config.get("origin", ""), **more}
    identity |= {"model": asdict(body.config), "tower": asdict(body.tower)}
    if isinstance(made, TaskModel):
        identity["task"] = asdict(made.task)
    checkpoint.write_config(folder, identity)
    checkpoint.save(folder, made.state_dict(), {"updates": torch.tensor([float(step)])}, State(step=step))
