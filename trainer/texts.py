"""Texts -> batches of padded or packed ids; batches -> what a model says; and from ids back to characters."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import torch
from torch import Tensor, nn

from corpus.terminal import UserError
from trainer.cost import held, is_memory
from trainer.stream import CLS, PAD, SEP

STRIDE = 128  # tokens by which the windows of a long text overlap
BATCH = 64  # rows that are computed at a time


class Vocabulary(Protocol):
    """The part of tokenizer.vocabulary.Vocabulary that is used here."""

    digest: str
    size: int

    def encode(self, texts: list[str]) -> tuple[np.ndarray, np.ndarray]: ...
    def piece(self, id: int, /) -> str: ...


@dataclass(frozen=True)
class Row:
    """One input. tokens with [CLS] and [SEP]; second: where the second segment begins, or the length. example: its
    number; first: token of the second segment (of a long text) that stands first here."""

    tokens: np.ndarray
    second: int
    example: int = 0
    first: int = 0


@dataclass(frozen=True)
class Inputs:
    """All (B, S) long: ids; 1 where there is a token, or of several rows in one their numbers from 1; places;
    segments."""

    tokens: Tensor
    sequences: Tensor
    positions: Tensor
    types: Tensor


def encode(vocabulary: Vocabulary, texts: Sequence[str]) -> list[np.ndarray]:
    """Ids of each text, without special ones."""
    ids, lengths = vocabulary.encode(list(texts))
    return np.split(ids.astype(np.int64), np.cumsum(lengths)[:-1]) if len(lengths) else []


def row(one: np.ndarray, two: np.ndarray | None, length: int, example: int = 0) -> Row:
    """[CLS] one [SEP] two [SEP], at most `length` tokens; the longer of the two gives way."""
    if two is None:
        tokens = np.concatenate([[CLS], one[: length - 2], [SEP]])
        return Row(tokens, len(tokens), example)
    room = length - 3
    keep = min(len(one), max(room - len(two), room // 2))
    one, two = one[:keep], two[: room - keep]
    return Row(np.concatenate([[CLS], one, [SEP], two, [SEP]]), len(one) + 2, example)


def windows(one: np.ndarray, two: np.ndarray, length: int, example: int = 0) -> Iterator[Row]:
    """A short text beside each window of a long one; windows overlap by STRIDE tokens."""
    one = one[: max(1, length // 3)]
    room = length - 3 - len(one)
    step = max(1, room - min(STRIDE, room // 2))
    first = 0
    while True:
        part = two[first : first + room]
        yield Row(np.concatenate([[CLS], one, [SEP], part, [SEP]]), len(one) + 2, example, first)
        if first + room >= len(two):
            return
        first += step


def inputs(rows: Sequence[Row], device: torch.device | str = "cpu") -> Inputs:
    """Rows padded to the longest of them."""
    length = max(len(r.tokens) for r in rows)
    tokens, types = (np.full((len(rows), length), fill, np.int64) for fill in (PAD, 0))
    sequences = np.zeros((len(rows), length), np.int64)
    for b, r in enumerate(rows):
        tokens[b, : len(r.tokens)] = r.tokens
        sequences[b, : len(r.tokens)] = 1
        types[b, r.second : len(r.tokens)] = 1
    positions = np.broadcast_to(np.arange(length), tokens.shape) * sequences
    return Inputs(*(torch.from_numpy(a).to(device) for a in (tokens, sequences, positions, types)))


def packed(rows: Sequence[Row], device: torch.device | str = "cpu", width: int = 0) -> tuple[Inputs, Tensor]:
    """Several rows in one where they fit, none of which is longer than the longest: half of a batch of random texts is
    padding, of a packed one a tenth. (inputs, places): places (rows, tokens of the longest) says where each row's
    tokens stand in the flattened batch, -1 for none; width: of only so many of its first tokens."""
    length = max(len(r.tokens) for r in rows)
    free: list[int] = []
    where = np.zeros(len(rows), np.int64)
    number = np.zeros(len(rows), np.int64)
    count: list[int] = []
    for n in by_length(rows)[::-1]:
        own = len(rows[n].tokens)
        b = next((b for b, room in enumerate(free) if room >= own), len(free))
        if b == len(free):
            free.append(length)
            count.append(0)
        count[b] += 1
        where[n], number[n] = b * length + length - free[b], count[b]
        free[b] -= own
    flat = np.zeros((4, len(free) * length), np.int64)
    flat[0] = PAD
    places = np.full((len(rows), width or length), -1)
    for n, r in enumerate(rows):
        at, own = where[n], len(r.tokens)
        flat[:, at : at + own] = r.tokens, np.full(own, number[n]), np.arange(own), np.arange(own) >= r.second
        known = min(own, places.shape[1])
        places[n, :known] = at + np.arange(known)
    arrays = torch.from_numpy(flat.reshape(4, len(free), length)).to(device)
    return Inputs(*arrays), torch.from_numpy(places).to(device)


def unpacked(states: Tensor, places: Tensor) -> Tensor:
    """(B, S, H) of packed rows -> (rows, tokens, H); where places has none there is anything."""
    return states.flatten(0, 1)[places.clamp(min=0)]


def by_length(rows: Sequence[Row]) -> list[int]:
    """Numbers of the rows, the shortest first, so that there is little padding in a batch."""
    return sorted(range(len(rows)), key=lambda n: (len(rows[n].tokens), n))


def device_of(model: Callable) -> torch.device:
    """Where a model computes; the CPU if it is none of torch's."""
    return next(model.parameters()).device if isinstance(model, nn.Module) else torch.device("cpu")


def placed(model: nn.Module, device: torch.device):
    """The model on the device. Errors: UserError if there is no room."""
    try:
        return model.to(device)
    except RuntimeError as error:
        if not is_memory(error):
            raise
    raise UserError(f"--device: the model does not fit {held(device)}; take --device cpu")


def low(device: torch.device) -> torch.autocast:
    """The arithmetic of a training step: bf16 on a GPU."""
    return torch.autocast(device.type, torch.bfloat16, enabled=device.type == "cuda")


def computed(model: Callable, rows: Sequence[Row], call: Callable[[Inputs], Tensor]) -> Iterator[tuple[list, Tensor]]:
    """(numbers of rows, what `call` says of them, fp32 on the CPU) in batches, smaller ones where memory does not do.
    model: tells the device. Errors: UserError if there is no room for a single row."""
    order, device, size, at = by_length(rows), device_of(model), BATCH, 0
    while at < len(order):
        numbers = order[at : at + size]
        try:
            found = call(inputs([rows[n] for n in numbers], device)).float().cpu()
        except RuntimeError as error:
            if not is_memory(error):
                raise
            found = None  # and outside of this block the memory is free again
        if found is not None:
            yield numbers, found
            at += size
        elif len(numbers) > 1:
            size = len(numbers) // 2
        else:
            length = len(rows[numbers[0]].tokens)
            raise UserError(f"--device: a text of {length} tokens does not fit {held(device)}; take --device cpu")


def offsets(vocabulary: Vocabulary, ids: np.ndarray, text: str) -> list[tuple[int, int]]:
    """(first character, end) of each id in the text whose encoding `ids` is the beginning of. A piece that begins
    with a space covers it; an id that is one byte of a character covers that character."""
    place = _bytes(text)
    found, at = [], 0
    for id in ids:
        piece = vocabulary.piece(int(id))
        if len(piece) == 6 and piece.startswith("<0x"):
            length = 1
        else:
            length = len(piece.replace("\u2581", " ").encode())
        end = min(at + length, len(place))
        found.append((place[min(at, len(place) - 1)], place[max(at, end - 1)] + 1) if end > at else (len(text),) * 2)
        at = end
    return found


def _bytes(text: str) -> list[int]:
    """The character of each byte of a text as SentencePiece sees it: with a space before it, two characters for
    U+2581 and U+10FFFD, and a space behind a newline that something follows (see tokenizer.vocabulary)."""
    found = [0]
    for k, c in enumerate(text):
        count = len(c.encode()) if c not in "\u2581\U0010fffd" else 5
        if c == "\n" and text[k + 1 : k + 2] not in ("", "\n"):
            count += 1
        found += [k] * count
    return found
