"""tokenizer.json and tokenizer_config.json: the vocabulary for Hugging Face's `tokenizers` and `transformers`.

The same ids as SentencePiece's for every text: nothing is normalized (their Precompiled normalizer differs where marks
are stacked), the rewriting of vocabulary.escape is done by plain replacements, and the scores are multiples of
pruning.GRAIN, so that sums in single and in double precision fall the same way. Special tokens in a text are cut out of
it there unless `split_special_tokens=True` is given; SentencePiece never makes them from text.
"""

import json
from typing import Any

import numpy as np

from tokenizer.vocabulary import CLS, ESCAPE, SEP, SPACE, SPECIALS, UNK, Vocabulary

TOKENIZER, CONFIG = "tokenizer.json", "tokenizer_config.json"

_NEVER = -1e6
"""Score of pieces that no text may be cut into: a text "<0x41>" is no byte, a text "[MASK]" no mask."""


def tokenizer(vocabulary: Vocabulary) -> str:
    """tokenizer.json, for vocabularies of the kinds pruned and unigram."""
    table = vocabulary.table()
    scores = np.where((table.special | table.byte)[: vocabulary.pieces], _NEVER, vocabulary.scores())
    pieces = [[vocabulary.piece(id), score] for id, score in enumerate(scores.tolist())]
    values = {
        "version": "1.0",
        "truncation": None,
        "padding": None,
        "added_tokens": [_special(id, text) for id, text in enumerate(SPECIALS)],
        "normalizer": {"type": "Sequence", "normalizers": _normalizers()},
        "pre_tokenizer": None,
        "post_processor": _frame(),
        "decoder": {"type": "Sequence", "decoders": _decoders()},
        "model": {"type": "Unigram", "unk_id": UNK, "vocab": pieces, "byte_fallback": True},
    }
    return json.dumps(values, ensure_ascii=False, indent=0) + "\n"


def config(sequence: int = 512) -> str:
    """tokenizer_config.json; `sequence`: tokens that a model takes."""
    names = dict(zip(("pad", "unk", "cls", "sep", "mask"), SPECIALS, strict=True))
    values = {
        "tokenizer_class": "PreTrainedTokenizerFast",
        "model_max_length": sequence,
        "clean_up_tokenization_spaces": False,
        **{f"{name}_token": text for name, text in names.items()},
    }
    return json.dumps(values, indent=1) + "\n"


def _special(id: int, text: str) -> dict[str, Any]:
    return {
        "id": id,
        "content": text,
        "single_word": False,
        "lstrip": False,
        "rstrip": False,
        "normalized": False,
        "special": True,
    }


def _replace(pattern: dict[str, str], content: str) -> dict[str, Any]:
    return {"type": "Replace", "pattern": pattern, "content": content}


def _normalizers() -> list[dict[str, Any]]:
    """vocabulary.escape, then what SentencePiece does itself: a space in front, spaces as U+2581."""
    return [
        _replace({"String": ESCAPE}, ESCAPE + "0"),
        _replace({"String": SPACE}, ESCAPE + "1"),
        _replace({"Regex": r"\n(?=[^\n])"}, "\n "),
        {"type": "Prepend", "prepend": SPACE},
        _replace({"String": " "}, SPACE),
    ]


def _decoders() -> list[dict[str, Any]]:
    return [
        _replace({"String": SPACE}, " "),
        {"type": "ByteFallback"},
        {"type": "Fuse"},
        {"type": "Strip", "content": " ", "start": 1, "stop": 0},
        _replace({"String": "\n "}, "\n"),
        _replace({"String": ESCAPE + "1"}, SPACE),
        _replace({"String": ESCAPE + "0"}, ESCAPE),
    ]


def _frame() -> dict[str, Any]:
    """[CLS] A [SEP], [CLS] A [SEP] B [SEP]."""

    def special(id: int, kind: int) -> dict[str, Any]:
        return {"SpecialToken": {"id": SPECIALS[id], "type_id": kind}}

    def text(name: str, kind: int) -> dict[str, Any]:
        return {"Sequence": {"id": name, "type_id": kind}}

    single = [special(CLS, 0), text("A", 0), special(SEP, 0)]
    tokens = {SPECIALS[id]: {"id": SPECIALS[id], "ids": [id], "tokens": [SPECIALS[id]]} for id in (CLS, SEP)}
    return {
        "type": "TemplateProcessing",
        "single": single,
        "pair": [*single, text("B", 1), special(SEP, 1)],
        "special_tokens": tokens,
    }
