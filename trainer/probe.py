"""What a model makes of a text: the generator's fillings of [MASK], and which tokens the discriminator takes for
replaced."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch

from corpus.terminal import DONE, UserError, safe
from trainer import checkpoint, texts
from trainer.model import Electra
from trainer.stream import MASK
from trainer.texts import Vocabulary

BEST = 5
HOLE = "[MASK]"


@dataclass(frozen=True)
class Seen:
    """pieces: of the text, special tokens by name. fillings: for each [MASK], (piece, probability), the best first.
    filled: the text with the best filling in each hole. replaced: (S,) probability of each token of `filled`."""

    pieces: list[str]
    fillings: list[list[tuple[str, float]]]
    filled: list[str]
    replaced: np.ndarray


def encode(vocabulary: Vocabulary, text: str) -> np.ndarray:
    """Ids of a text in which [MASK] stands for a token."""
    parts = [p.strip() for p in text.split(HOLE)]
    ids: list[np.ndarray] = []
    for k, part in enumerate(texts.encode(vocabulary, parts)):
        ids += [np.array([MASK])] if k else []
        ids.append(part)
    return np.concatenate(ids)


@torch.inference_mode()
def look(made: Electra, vocabulary: Vocabulary, text: str, allowed: np.ndarray) -> Seen:
    """allowed: (V,) bool, what may fill a hole."""
    row = texts.row(encode(vocabulary, text), None, made.config.positions)
    inputs = texts.inputs([row])
    holes = torch.nonzero(inputs.tokens[0] == MASK).squeeze(1)
    sight = torch.ones(1, 1, len(row.tokens), len(row.tokens), dtype=torch.bool)

    def embed(tokens):
        return made.embeddings(tokens, inputs.positions, inputs.types)

    rows = made.filled(made.generator(embed(inputs.tokens), sight)[0, holes])
    logits = rows @ made.embeddings.tokens.weight.T + made.generator_bias
    chances = logits.masked_fill(~torch.from_numpy(allowed), -torch.inf).softmax(1)
    best = chances.topk(min(BEST, int(allowed.sum())))
    filled = inputs.tokens.clone()
    filled[0, holes] = best.indices[:, 0]
    replaced = made.replaced(made.discriminator(embed(filled), sight))[0].sigmoid().numpy()
    fillings = [
        [(vocabulary.piece(int(i)), float(p)) for i, p in zip(ids, values, strict=True)]
        for ids, values in zip(best.indices, best.values, strict=True)
    ]
    words = [[vocabulary.piece(int(i)) for i in t] for t in (row.tokens, filled[0])]
    return Seen(words[0], fillings, words[1], replaced)


def probe(model: str, lines: Sequence[str]) -> int:
    """Print what the model makes of each text. Errors: UserError."""
    from tokenizer.vocabulary import Vocabulary as Pieces

    made, config = checkpoint.open_model(model) if "tower" not in checkpoint.read_config(model) else (None, {})
    if made is None:
        raise UserError(f"{model}: an encoder without a generator; give a folder that pretrain wrote")
    vocabulary = Pieces.load(checkpoint.vocabulary(model))
    allowed = ~vocabulary.table().special
    for text in lines:
        print("\n".join(_tell(look(made.eval(), vocabulary, text, allowed), "rtd" in config["settings"]["objectives"])))
    return DONE


def _tell(seen: Seen, discriminates: bool) -> list[str]:
    found = []
    for k, fillings in enumerate(seen.fillings):
        words = ", ".join(f"{safe(piece)} {p:.1%}" for piece, p in fillings)
        found.append(f"{HOLE} {k + 1}: {words}")
    if not discriminates:
        return [*found, "this model has no discriminator"]
    found.append("replaced? (of the text with the best fillings)")
    for piece, p in zip(seen.filled, seen.replaced, strict=True):
        found.append(f"  {p:6.1%} {'#' * round(20 * p):20} {safe(piece)}".rstrip())
    return found
