"""The SentencePiece model: train, load, encode, decode, and what is to be known of each piece.

decode(encode(x)) == x for every text without lone surrogates: nothing is normalized (the pipeline's text is NFC
already) and unknown characters become bytes. Two things are rewritten before SentencePiece sees a text, and back
after it:
- U+2581 stands for the space inside SentencePiece; in a text it becomes U+10FFFD `1`, and U+10FFFD itself, a
  private character hardly ever seen, U+10FFFD `0`.
- A newline that something follows gets a space behind it, so that the first word of a line is the same piece as
  that word elsewhere ("▁The", not "The").
"""

import functools
import hashlib
import io
import os
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import sentencepiece

from corpus import settings as settings_of
from corpus import storage
from corpus.shards import token_type
from corpus.terminal import StepError, UserError, say
from tokenizer import model_file, pieces, pruning
from tokenizer import sentences as marks
from tokenizer.pieces import SPACE

SPECIALS = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")
PAD, UNK, CLS, SEP, MASK = range(5)

MODEL, PIECES = "spm.model", "spm.vocab"

MULTIPLE = 128
SPARE = 32
"""Ids without a piece that every vocabulary has at its end, for tasks that need tokens of their own."""

SMALLEST = 512
"""Specials, newline, 256 bytes and spare ids leave room for letters from here on."""

RULES = f"2, sentencepiece {sentencepiece.__version__}"
"""What else than settings and text decides the bytes of a model: version of the rules here, and of the library."""

_LINES = 4096
_COMMON = 0.98
"""SentencePiece's own coverage where `required` names the characters: the least that it takes."""

ESCAPE = "\U0010fffd"
_LINE_START = re.compile(r"\n(?=[^\n])")
_ESCAPED = re.compile(ESCAPE + "([01])")
_SPACE, _ESCAPE, _LINE_START_UTF8 = SPACE.encode(), ESCAPE.encode(), re.compile(rb"\n(?=[^\n])")


def escape(text: str) -> str:
    """A text as SentencePiece is given it. Undone by `unescape`."""
    if ESCAPE in text:
        text = text.replace(ESCAPE, ESCAPE + "0")
    if SPACE in text:
        text = text.replace(SPACE, ESCAPE + "1")
    if "\n" not in text:
        return text
    if "\n\n" in text:
        return _LINE_START.sub("\n ", text)
    text = text.replace("\n", "\n ")  # the same, at ten times the speed
    return text[:-1] if text.endswith("\n ") else text


def _escape_utf8(text: bytes) -> bytes:
    """The same of UTF-8."""
    if _ESCAPE in text:
        text = text.replace(_ESCAPE, _ESCAPE + b"0")
    if _SPACE in text:
        text = text.replace(_SPACE, _ESCAPE + b"1")
    if b"\n" not in text:
        return text
    if b"\n\n" in text:
        return _LINE_START_UTF8.sub(b"\n ", text)
    text = text.replace(b"\n", b"\n ")
    return text[:-1] if text.endswith(b"\n ") else text


def unescape(text: str) -> str:
    text = text.replace("\n ", "\n")
    return _ESCAPED.sub(lambda m: ESCAPE if m[1] == "0" else SPACE, text) if ESCAPE in text else text


def round_up(count: int) -> int:
    return -(-count // MULTIPLE) * MULTIPLE


@dataclass(frozen=True)
class Table:
    """What is known of each id; arrays are bool, (size,).

    word_start: the piece begins with a space. In scripts without spaces that is the start of a run, not of a word.
    sentence_end: it ends in sentence-final punctuation of any script (quotes may follow), or is the newline.
    special: control, unknown and spare ids: never text. byte: one byte of a character without a piece.
    """

    word_start: np.ndarray
    sentence_end: np.ndarray
    special: np.ndarray
    byte: np.ndarray
    newline: int


class Vocabulary:
    """A trained vocabulary. `digest`: SHA-256 of spm.model; `size`: ids, a multiple of 128 with the spare ones."""

    def __init__(self, model: bytes, place: str):
        self.digest = hashlib.sha256(model).hexdigest()
        self._spm = _parse(model, place)
        self.pieces = self._spm.get_piece_size()
        self.size = round_up(self.pieces + SPARE)
        self.dtype = token_type(self.size)

    @classmethod
    def load(cls, path: str) -> "Vocabulary":
        """The vocabulary in a folder with spm.model, or that file; local or remote. Errors: UserError."""
        path = model_path(path)
        try:
            model = storage.read(path)
        except OSError as error:
            fact = "not there" if isinstance(error, FileNotFoundError | NotADirectoryError) else error.strerror
            raise UserError(f"{path}: {fact}; make a vocabulary with python -m tokenizer train OUT") from None
        return cls(model, path)

    def encode(self, texts: Sequence[str | bytes]) -> tuple[np.ndarray, np.ndarray]:
        """Token ids of all texts, (n,) uint16 or uint32 as `size` needs, and tokens per text, (texts,) int64. Bytes are
        UTF-8. The ids are SentencePiece's, whether it or `pieces` has cut the texts.

        One thread; give it lists of hundreds of texts.
        """
        if not texts:
            return np.zeros(0, self.dtype), np.zeros(0, np.int64)
        plain = [t if isinstance(t, bytes) else t.encode() for t in texts]
        if self._cutter and (found := self._cutter.encode(plain, self.dtype)):
            return found
        given = [_escape_utf8(t) for t in plain]
        ids = self._spm.encode_as_numpy(given, num_threads=1)
        lengths = np.fromiter(map(len, ids), np.int64, len(ids))
        return np.concatenate(ids, dtype=self.dtype, casting="unsafe"), lengths

    @functools.cached_property
    def _cutter(self) -> pieces.Cutter | None:
        return pieces.cutter(self._spm)

    def decode(self, ids: Iterable[int]) -> str:
        """The text of some ids; special and spare ones have none. Errors: IndexError for ids from `size` on."""
        special = self.table().special
        return unescape(self._spm.decode([int(i) for i in ids if not special[i]]))

    def piece(self, id: int) -> str:
        """The piece as SentencePiece has it, space written U+2581; '' for a spare id."""
        return self._spm.id_to_piece(int(id)) if id < self.pieces else ""

    def scores(self) -> list[float]:
        """Of each id below `pieces`: the natural logarithm of its probability; bpe: minus its rank."""
        return [self._spm.get_score(id) for id in range(self.pieces)]

    def table(self) -> Table:
        """The table over all ids; made at the first call."""
        if not hasattr(self, "_table"):
            self._table = self._look()
        return self._table

    def _look(self) -> Table:
        spm, ids = self._spm, range(self.pieces)
        byte = self._mark(spm.is_byte(i) for i in ids)
        special = self._mark(spm.is_control(i) or spm.is_unknown(i) for i in ids)
        special[self.pieces :] = True
        text = [spm.id_to_piece(i) for i in ids]
        newline = spm.piece_to_id("\n")
        start = self._mark(p.startswith(SPACE) for p in text)
        end = self._mark(p == "\n" or marks.ends_sentence(p) for p in text)
        return Table(start & ~special, end & ~special & ~byte, special, byte, newline)

    def _mark(self, values: Iterable[bool]) -> np.ndarray:
        array = np.zeros(self.size, bool)
        array[: self.pieces] = np.fromiter(values, bool, self.pieces)
        return array


def model_path(path: str) -> str:
    """The model file that a user means by a folder or a file."""
    if path.endswith(".model") or (not storage.is_remote(path) and os.path.isfile(path)):
        return path
    return storage.join(path, MODEL)


def _parse(model: bytes, place: str) -> sentencepiece.SentencePieceProcessor:
    fix = "give a vocabulary that python -m tokenizer train made"
    try:
        spm = sentencepiece.SentencePieceProcessor(model_proto=model)
        found = tuple(spm.id_to_piece(i) for i in range(min(len(SPECIALS), spm.get_piece_size())))
    except (RuntimeError, ValueError, IndexError):
        raise UserError(f"{place}: no SentencePiece model, or damaged; {fix}") from None
    if found != SPECIALS:
        raise UserError(f"{place}: its first pieces are {' '.join(found)}, not {' '.join(SPECIALS)}; {fix}")
    probe = " \u200cﬁ  ½ \U000e0001"  # changed by any normalization, and by a model without bytes
    if spm.decode(spm.encode(probe)) != probe or spm.piece_to_id("\n") == UNK:
        raise UserError(f"{place}: it does not give texts back as they were; {fix}")
    return spm


def train(sentences: Iterable[str], settings: settings_of.Vocabulary, folder: str, required: str = "") -> Vocabulary:
    """Train on lines of text (see sentences.lines) and write spm.model and spm.vocab into `folder`.

    `required`: characters that get pieces whatever the sample says; without any, `coverage` decides. One thread, and
    no sampling of its own: the same lines in the same order give the same bytes. A sample too small for the wanted
    size gives fewer pieces and a smaller vocabulary. Errors: UserError, StepError.
    """
    wanted = sized(settings)
    lines = [escape(s) for s in sentences]  # SentencePiece takes twenty times as much
    fit = _pruned if settings.model == "pruned" else _fit
    vocabulary = Vocabulary(fit(lines, settings, wanted - SPARE, required), folder)
    storage.write(storage.join(folder, PIECES), "".join(_listed(vocabulary)))
    storage.write(storage.join(folder, MODEL), vocabulary._spm.serialized_model_proto())
    if vocabulary.size < wanted:
        given = f"{vocabulary.pieces:,} pieces, so the size is {vocabulary.size:,}, not {wanted:,}"
        say(f"{folder}: the sample gives only {given}")
    return vocabulary


def sized(settings: settings_of.Vocabulary) -> int:
    """The size that is asked for, as a multiple of 128. Errors: UserError."""
    if (wanted := round_up(settings.size)) < SMALLEST:
        raise UserError(f"--size: {settings.size} leaves no room for letters; give {SMALLEST} or more")
    return wanted


def _listed(vocabulary: Vocabulary) -> Iterator[str]:
    """Lines of spm.vocab: piece, tab, score."""
    for id, score in enumerate(vocabulary.scores()):
        piece = vocabulary.piece(id).replace("\n", "\\n")
        yield f"{piece}\t{score:g}\n"


def _pruned(lines: list[str], settings: settings_of.Vocabulary, pieces: int, required: str) -> bytes:
    """BPE's pieces, more than are wanted, of which pruning.py takes the best."""
    model = _fit(lines, settings, round(pieces * pruning.SURPLUS), required)
    # The newline is an ordinary piece: the score of a user-defined one would be no multiple of pruning.GRAIN.
    candidates = [p._replace(kind=model_file.NORMAL) if p.text == "\n" else p for p in model_file.read(model)]
    chosen = pruning.choose(candidates, pieces, lambda some: _uses(model_file.write(model, some), lines))
    return model_file.write(model, chosen)


def _uses(model: bytes, lines: list[str]) -> np.ndarray:
    """(pieces,) int64: how often each piece is used when the lines are cut."""
    spm = sentencepiece.SentencePieceProcessor(model_proto=model)
    uses = np.zeros(spm.get_piece_size(), np.int64)
    for start in range(0, len(lines), _LINES):
        ids = spm.encode_as_numpy(lines[start : start + _LINES], num_threads=1)
        uses += np.bincount(np.concatenate(ids), minlength=len(uses))
    return uses


def _fit(lines: list[str], settings: settings_of.Vocabulary, pieces: int, required: str) -> bytes:
    model = io.BytesIO()
    try:
        sentencepiece.SentencePieceTrainer.train(
            sentence_iterator=iter(lines), model_writer=model, **_options(settings, pieces, required)
        )
    except RuntimeError as error:
        raise _explained(str(error), settings) from None
    return model.getvalue()


def _options(settings: settings_of.Vocabulary, pieces: int, required: str) -> dict[str, Any]:
    names = dict(zip(("pad", "unk", "bos", "eos"), SPECIALS, strict=False))
    return {
        "model_type": "bpe" if settings.model == "pruned" else settings.model,
        "vocab_size": pieces,
        "hard_vocab_limit": False,  # a small sample gives what it has
        "character_coverage": _COMMON if required else settings.coverage,
        "required_chars": required,
        **{f"{name}_piece": piece for name, piece in names.items()},
        **{f"{name}_id": id for id, name in enumerate(names)},
        "control_symbols": [SPECIALS[MASK]],  # control: no text can produce it
        "user_defined_symbols": ["\n"],
        "normalization_rule_name": "identity",
        "remove_extra_whitespaces": False,
        "allow_whitespace_only_pieces": True,
        "byte_fallback": True,
        "split_digits": True,
        "max_sentence_length": marks.LINE_BYTES * 2,  # room for what `escape` adds
        "seed_sentencepiece_size": max(1_000_000, 4 * pieces),
        "num_threads": 1,  # more threads sum in another order
        "train_extremely_large_corpus": settings.sample_characters >= 1 << 30,
        "minloglevel": 2,
    }


def _explained(message: str, settings: settings_of.Vocabulary) -> Exception:
    """SentencePiece's complaint in the words of our settings."""
    few = re.search(r"smaller than required_chars\. (\d+) vs (\d+)", message)
    if few:
        least = round_up(int(few[2]) + SPARE)
        return UserError(
            f"--size: {settings.size} is less than the characters of the sample need; "
            f"give {least} or more, or a lower --coverage than {settings.coverage}"
        )
    if "sentences_.empty()" in message:
        return UserError("the sample has no text; look at the input, or raise --sample-characters")
    return StepError(f"SentencePiece could not train: {message.splitlines()[0]}")
