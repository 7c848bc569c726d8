"""ELECTRA's generator and discriminator (arXiv:2003.10555) with ALBERT's factorized embeddings and shared layers
(arXiv:1909.11942).

Classic architecture, so that checkpoints open elsewhere with equal logits: post-LayerNorm, exact gelu, learned
positions. Both towers share the embeddings of width E with their LayerNorm; each projects them to its own width. There
is no dropout (as in ALBERT v2): the stream does not repeat itself much, and a step is a function of its batch.
"""

import math
from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn
from torch.nn import functional

from trainer.attention import Sight, attend
from trainer.lowrank import LowRank, linear

EPSILON = 1e-12  # of the LayerNorms, as BERT has it
SPREAD, WIDTH = 0.02, 768
"""Standard deviation of initial weights (cut off at two of them) of a tower of that width. Narrower ones get as much
more as gives their states the same size: at 128 wide, .02 leaves a token .8 % of what the others say. What is added to
the states is smaller by the root of twice the layers (as in GPT-2), or a tower's tokens become alike."""
REPLACED = 0.15
"""Share of the tokens that a discriminator takes for replaced before it has learned anything. From one half it had to
come down to that first, and every layer had its part in saying so of all tokens alike."""
HEAD = 64  # width of an attention head
ENDS, GAIN = 48, 10.0
"""Tokens of a segment's end that are compared, and how large the comparisons are beside what a state says: their four
weights start at nothing, and a rate that suits matrices would take thousands of steps to make them matter."""


@dataclass(frozen=True)
class Preset:
    """layers and width of the discriminator, width of the embeddings, width of the generator as a share, peak learning
    rate (as published for ELECTRA's sizes)."""

    layers: int
    hidden: int
    embedding: int
    generator: float
    rate: float


PRESETS = {
    "tiny": Preset(2, 128, 64, 1 / 2, 1e-3),  # for trials
    "small": Preset(12, 256, 128, 1 / 4, 5e-4),  # ELECTRA small
    "base": Preset(12, 768, 128, 1 / 3, 2e-4),  # ELECTRA base, but for the width of the embeddings (768 there)
    "large": Preset(24, 1024, 128, 1 / 4, 2e-4),  # ELECTRA large (1024 there)
}


@dataclass(frozen=True)
class Tower:
    """Shape of an encoder; the feed-forward part is four times as wide."""

    layers: int
    hidden: int
    share: str  # all, attention, feed-forward, none
    rank: int = 0  # of the layers' linear maps; 0: full

    @property
    def heads(self) -> int:
        return max(1, self.hidden // HEAD)


@dataclass(frozen=True)
class Config:
    """What it takes to build the model. `order`: with a head for sentence order. `languages`: how many an adversary
    tells apart, 0 for none."""

    vocabulary: int
    positions: int
    embedding: int
    discriminator: Tower
    generator: Tower
    order: bool = True
    languages: int = 0

    @staticmethod
    def of(table: dict) -> "Config":
        """From `dataclasses.asdict`, as it stands in config.json."""
        towers = {name: Tower(**table[name]) for name in ("discriminator", "generator")}
        return Config(**{**table, **towers})


def configure(
    size: str, vocabulary: int, *, share: str = "all", sequence: int = 512, embedding: int = 0, generator: float = 0.0,
    depth: float = 0.0, rank: int = 0, order: bool = True, languages: int = 0,
) -> Config:  # fmt: skip
    """A preset's shape. embedding, generator (share of the width), depth (share of the layers): 0 for the preset's; a
    generator of another depth keeps the full width unless `generator` is given too. Its width is rounded to whole
    heads, its depth to whole layers."""
    preset = PRESETS[size]
    width = generator or (1.0 if depth else preset.generator)
    narrow = max(HEAD, round(preset.hidden * width / HEAD) * HEAD)
    layers = max(1, round(preset.layers * (depth or 1.0)))
    return Config(
        vocabulary,
        max(512, sequence),
        embedding or preset.embedding,
        Tower(preset.layers, preset.hidden, share, rank),
        Tower(layers, narrow, share, min(rank, narrow // 4)),
        order,
        languages,
    )


def norm(width: int) -> nn.LayerNorm:
    return nn.LayerNorm(width, eps=EPSILON)


def add(states: Tensor, change: Tensor, norm: nn.LayerNorm) -> Tensor:
    """The normalized sum, which leaves in the precision of `change`: autocast would hand the next layer fp32, which it
    had to read twice, as it is and as bf16."""
    return norm(states + change).to(change.dtype)


class Embeddings(nn.Module):
    """Sum of token, position and type embeddings, normalized: (B, S) -> (B, S, E)."""

    def __init__(self, config: Config):
        super().__init__()
        self.tokens = nn.Embedding(config.vocabulary, config.embedding)
        self.positions = nn.Embedding(config.positions, config.embedding)
        self.types = nn.Embedding(2, config.embedding)
        self.norm = norm(config.embedding)

    def forward(self, tokens: Tensor, positions: Tensor, types: Tensor) -> Tensor:
        return self.norm(self.tokens(tokens) + self.positions(positions) + self.types(types))


class Attention(nn.Module):
    """Self-attention with its residual: (B, S, H) -> (B, S, H)."""

    def __init__(self, width: int, heads: int, rank: int = 0):
        super().__init__()
        self.heads = heads
        self.into = linear(width, 3 * width, rank)  # queries, keys, values
        self.out = linear(width, width, rank)
        self.norm = norm(width)

    def split(self, states: Tensor) -> tuple[Tensor, ...]:
        """Queries, keys, values, each (B, S, heads, width of a head)."""
        batch, length, width = states.shape
        return self.into(states).view(batch, length, 3, self.heads, width // self.heads).unbind(2)

    def forward(self, states: Tensor, sight: Sight) -> Tensor:
        query, key, value = self.split(states)
        return add(states, self.out(attend(query, key, value, sight).flatten(2)), self.norm)


class FeedForward(nn.Module):
    """(B, S, H) -> (B, S, H), with its residual."""

    def __init__(self, width: int, rank: int = 0):
        super().__init__()
        self.wide = linear(width, 4 * width, rank)
        self.narrow = linear(4 * width, width, rank)
        self.norm = norm(width)

    def forward(self, states: Tensor) -> Tensor:
        return add(states, self.narrow(functional.gelu(self.wide(states))), self.norm)


class Encoder(nn.Module):
    """A projection E -> H (none if they are equal) and the layers: (B, S, E) -> (B, S, H).

    A shared part exists once and is used in every layer."""

    def __init__(self, embedding: int, tower: Tower):
        super().__init__()
        width, layers = tower.hidden, range(tower.layers)
        self.layers = tower.layers
        self.project = nn.Linear(embedding, width) if embedding != width else None
        once = [0]
        own_attention = once if tower.share in ("all", "attention") else layers
        own_feed_forward = once if tower.share in ("all", "feed-forward") else layers
        self.attentions = nn.ModuleList(Attention(width, tower.heads, tower.rank) for _ in own_attention)
        self.feed_forwards = nn.ModuleList(FeedForward(width, tower.rank) for _ in own_feed_forward)

    def forward(self, embedded: Tensor, sight: Sight) -> Tensor:
        return self.run(embedded, sight)

    def run(self, embedded: Tensor, sight: Sight, layers: int = -1) -> Tensor:
        """The states after the first `layers` layers, -1 for all."""
        states = embedded if self.project is None else self.project(embedded)
        return self.climb(states, sight, 0, self.layers if layers < 0 else layers)

    def climb(self, states: Tensor, sight: Sight, first: int, end: int) -> Tensor:
        """From the states after `first` layers to those after `end`."""
        for k in range(first, end):
            states = self.attention(k)(states, sight)
            states = self.feed_forwards[k % len(self.feed_forwards)](states)
        return states

    def compile_layers(self) -> None:
        """Each layer's halves by themselves: layers of one shape are compiled once, shared or not."""
        for half in (*self.attentions, *self.feed_forwards):
            half.compile(dynamic=False)

    def attention(self, layer: int) -> Attention:
        found = self.attentions[layer % len(self.attentions)]
        assert isinstance(found, Attention)
        return found


class Dense(nn.Module):
    """gelu of a linear map, the first half of a head: (..., inputs) -> (..., outputs)."""

    def __init__(self, inputs: int, outputs: int, normalized: bool):
        super().__init__()
        self.linear = nn.Linear(inputs, outputs)
        self.norm = norm(outputs) if normalized else None

    def forward(self, states: Tensor) -> Tensor:
        states = functional.gelu(self.linear(states))
        return states if self.norm is None else self.norm(states)


class OrderHead(nn.Module):
    """Were the segments swapped? From the state of a [CLS], as in ALBERT, and from how the ends of the segments hang
    together: [CLS] alone learned nothing where text is scarce, while of segments that stand in order those ends are
    alike that meet. Two ends of up to ENDS tokens are as alike as, on average, a token of one and the most similar of
    the other (late interaction, arXiv:2004.12832)."""

    def __init__(self, width: int):
        super().__init__()
        self.dense = nn.Linear(width, width)
        self.out = nn.Linear(width, 1)
        self.alike = nn.Linear(4, 1, bias=False)

    def _load_from_state_dict(self, state_dict, prefix, *rest) -> None:
        """Models that were saved before the ends were compared have no weights for it, which is as if they were 0."""
        state_dict.setdefault(f"{prefix}alike.weight", torch.zeros(1, 4))
        super()._load_from_state_dict(state_dict, prefix, *rest)

    def forward(self, states: Tensor, begin: Tensor, middle: Tensor, end: Tensor) -> Tensor:
        """states: (N, H), of all windows. begin, middle, end: (P,) places in them of the [CLS] of a sequence and of the
        [SEP] behind each of its segments. Returns logits (P,)."""
        told = self.out(torch.tanh(self.dense(states.index_select(0, begin))))
        return (told + self.alike(cohesion(states, begin, middle, end).to(told.dtype))).squeeze(-1)


def cohesion(states: Tensor, begin: Tensor, middle: Tensor, end: Tensor) -> Tensor:
    """How alike start and end of the first segment are with start and end of the second: (P, 4) fp32, of mean 0 and
    deviation GAIN for each pair, all 0 where a segment is empty. Arguments as those of OrderHead."""
    steps = torch.arange(1, ENDS + 1, device=begin.device)
    low, high = torch.stack([begin, begin, middle, middle], 1), torch.stack([middle, middle, end, end], 1)
    ways = ((begin, steps), (middle, -steps), (middle, steps), (end, -steps))
    places = torch.stack([mark[:, None] + way for mark, way in ways], 1)
    real = (places > low[..., None]) & (places < high[..., None])  # (P, 4, ENDS)
    ends = states.index_select(0, places.clamp(0, len(states) - 1).flatten()).float()
    ends = ends.view(*places.shape, states.shape[1])
    count = real.sum((1, 2)).clamp(min=1)[:, None, None, None]
    ends = functional.normalize(ends - (ends * real[..., None]).sum((1, 2), keepdim=True) / count, dim=-1)
    cosines = ends[:, :2, None] @ ends[:, None, 2:].transpose(-1, -2)  # (P, 2, 2, ENDS, ENDS)
    one, two = real[:, :2, None].expand(-1, 2, 2, ENDS), real[:, None, 2:].expand(-1, 2, 2, ENDS)
    cosines = cosines.masked_fill(~(one[..., None] & two[..., None, :]), -1.0)
    sums = (cosines.amax(-1) * one).sum(-1) + (cosines.amax(-2) * two).sum(-1)
    alike = sums / (one.sum(-1) + two.sum(-1)).clamp(min=1)
    return GAIN * functional.layer_norm(alike.flatten(1), (4,), eps=1e-6)


class Electra(nn.Module):
    """Both towers over shared embeddings. Weights are drawn from `generator`."""

    def __init__(self, config: Config, generator: torch.Generator | None = None):
        super().__init__()
        self.config = config
        self.embeddings = Embeddings(config)
        self.generator = Encoder(config.embedding, config.generator)
        self.generator_head = Dense(config.generator.hidden, config.embedding, normalized=True)
        self.generator_bias = nn.Parameter(torch.zeros(config.vocabulary))
        self.discriminator = Encoder(config.embedding, config.discriminator)
        self.discriminator_head = Dense(config.discriminator.hidden, config.discriminator.hidden, normalized=False)
        self.discriminator_out = nn.Linear(config.discriminator.hidden, 1)
        self.order_head = OrderHead(config.discriminator.hidden) if config.order else None
        self.language_head = nn.Linear(config.discriminator.hidden, config.languages) if config.languages else None
        for name, weight in self.named_parameters():
            _initialize(name, weight, config, generator)
        for name, module in self.named_modules():
            if isinstance(module, LowRank) and not module.up.weight.is_meta:
                drawn = torch.empty(module.up.out_features, module.down.in_features)
                _initialize(name, drawn, config, generator)
                module.approach(drawn)

    def replaced(self, states: Tensor) -> Tensor:
        """Logits of 'this token was replaced' from the discriminator's states: (B, S, H) -> (B, S)."""
        return self.discriminator_out(self.discriminator_head(states)).squeeze(-1)

    def filled(self, rows: Tensor) -> Tensor:
        """Generator's states (R, h) -> (R, E); times the token embeddings, plus bias: the logits over the vocabulary.
        The product is left to objectives.py, which never stores all of it."""
        return self.generator_head(rows)


def spread(width: int) -> float:
    """Standard deviation of the initial weights of a tower or a head of that width."""
    return SPREAD * max(1.0, WIDTH / width) ** 0.5


def _is_residual(name: str) -> bool:
    """A layer's matrices whose product is added to the states."""
    return (".attentions." in name and ".out" in name) or (".feed_forwards." in name and ".narrow" in name)


@torch.no_grad()
def _initialize(name: str, weight: Tensor, config: Config, generator: torch.Generator | None) -> None:
    if name in ("order_head.out.weight", "order_head.alike.weight"):
        weight.zero_()
    elif weight.ndim == 2:
        tower = config.generator if name.startswith("generator") else config.discriminator
        width = SPREAD if name.startswith("embeddings") else spread(tower.hidden)
        if _is_residual(name):
            width /= (2 * tower.layers) ** 0.5
        nn.init.trunc_normal_(weight, 0.0, width, -2 * width, 2 * width, generator=generator)
    elif name == "discriminator_out.bias":
        weight.fill_(math.log(REPLACED / (1 - REPLACED)))
    else:
        weight.fill_(1.0 if name.endswith("norm.weight") else 0.0)


def compress(model: Electra, rank: int) -> Electra:
    """The same model with the layers' linear maps cut to `rank` by singular value decomposition. A rank of all
    singular values changes nothing but rounding. Errors: UserError."""
    c = model.config
    towers = (replace(c.discriminator, rank=rank), replace(c.generator, rank=min(rank, c.generator.hidden // 4)))
    small = Electra(replace(c, discriminator=towers[0], generator=towers[1]))
    ours = dict(model.named_modules())
    for name, module in small.named_modules():
        if isinstance(module, LowRank):
            dense = ours[name]
            module.approach(dense.weight)
            with torch.no_grad():
                module.up.bias.copy_(dense.bias)
    weights = {n: w for n, w in model.state_dict().items() if n in small.state_dict()}
    small.load_state_dict(weights, strict=False)
    return small


def parameters(config: Config) -> dict[str, int]:
    """How many weights each part has, without making them."""
    with torch.device("meta"):
        model = Electra(config)
    parts = {name.partition(".")[0] for name, _ in model.named_parameters()}
    return {
        part: sum(p.numel() for n, p in model.named_parameters() if n.partition(".")[0] == part)
        for part in sorted(parts)
    }
