"""tokenizer.json gives SentencePiece's ids, and the text back."""

import itertools
import json
import lzma

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from benchmarks import shared_texts
from benchmarks import vocabulary as benchmark
from corpus.settings import Vocabulary as Settings
from tokenizer import huggingface, vocabulary
from tokenizer.__main__ import main as tokenizer
from tokenizer.characters import ASCII
from tokenizer.vocabulary import SPECIALS

LINES = [
    "All human beings are born free and equal in dignity and rights.",
    "Всі люди народжуються вільними і рівними у своїй гідності та правах.",
    "人人生而自由，在尊严和权利上一律平等。",
    "လူတိုင်းသည် တူညီ လွတ်လပ်သော ဂုဏ်သိက္ခာဖြင့် လည်းကောင်း၊",
]


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    lines = [f"{line} {k * 7919 % 1000}" for k in range(40) for line in LINES]
    settings = Settings(size=768, coverage=1.0)
    return vocabulary.train(
        lines, settings, str(tmp_path_factory.mktemp("v")), "".join(sorted({*"".join(LINES), *ASCII} - {" "}))
    )


@pytest.fixture(scope="module")
def exported(trained):
    tokenizers = pytest.importorskip("tokenizers")
    return tokenizers.Tokenizer.from_str(huggingface.tokenizer(trained))


def texts():
    odd = st.sampled_from([*" \n\t\r▁▅\U0010fffd01a\u200c\u0301\u103a\ufeff", *LINES, "<0x41>", "<unk>"])
    return st.lists(odd | st.text(st.characters(exclude_categories=["Cs"]), max_size=4), max_size=12).map("".join)


@given(texts())
@example("\n\n a\n")
@example("  two  spaces  ")
@settings(max_examples=300, deadline=None)
def test_ids_are_those_of_sentencepiece_and_give_the_text_back(trained, exported, text):
    ids = exported.encode(text, add_special_tokens=False).ids
    assert ids == trained.encode([text])[0].tolist()
    assert exported.decode(ids) == text


@pytest.mark.parametrize(
    "name", ["train-text.tsv.xz", "ntrex-dev.tsv.xz", "word-frequencies.tsv.xz"], ids=["train", "ntrex", "words"]
)
def test_ids_agree_on_real_text(trained, exported, shared, name):
    """Every 60th text of every script there is."""
    path = shared / "language" / name
    with lzma.open(path, "rt", encoding="utf-8") as file:
        rows = [line.rstrip("\n") for k, line in enumerate(file) if k % 60 == 0]
    ids, lengths = trained.encode(rows)
    own = np.split(ids, np.cumsum(lengths)[:-1])
    theirs = exported.encode_batch(rows, add_special_tokens=False)
    assert [r for r, a, b in zip(rows, own, theirs, strict=True) if a.tolist() != b.ids] == []


@pytest.mark.slow
def test_ids_agree_and_every_text_comes_back_on_all_real_text(shared, tmp_path):
    """Every 16th text of all data beside the checkout, pages and hostile files too, with a vocabulary of many scripts;
    benchmarks/vocabulary.py compares all of them."""
    pytest.importorskip("tokenizers")
    text = str(shared / "language" / "train-text.tsv.xz")
    command = ["train", text, "--size", "8000", "--sample-characters", "3000000", "--output", str(tmp_path), "--quiet"]
    assert tokenizer(command) == 0
    count = itertools.count()
    some = (pair for pair, _ in zip(shared_texts.texts(16), count, strict=False))
    assert list(benchmark.differing(str(tmp_path), some)) == []
    assert next(count) > 30_000


def test_sequences_are_framed_as_the_trainer_frames_them(trained, exported):
    one = exported.encode("human rights", "born free")
    a, b = (trained.encode([t])[0].tolist() for t in ("human rights", "born free"))
    assert one.ids == [vocabulary.CLS, *a, vocabulary.SEP, *b, vocabulary.SEP]
    assert one.type_ids == [0] * (len(a) + 2) + [1] * (len(b) + 1)


def test_transformers_load_it(trained, tmp_path):
    transformers = pytest.importorskip("transformers")
    (tmp_path / huggingface.TOKENIZER).write_text(huggingface.tokenizer(trained), encoding="utf-8")
    (tmp_path / huggingface.CONFIG).write_text(huggingface.config(), encoding="utf-8")
    loaded = transformers.AutoTokenizer.from_pretrained(tmp_path)
    assert (loaded.pad_token_id, loaded.cls_token_id, loaded.mask_token_id) == (0, 2, 4)
    assert loaded("human rights")["input_ids"][1:-1] == trained.encode(["human rights"])[0].tolist()
    text = "a [MASK] b"
    assert loaded(text, add_special_tokens=False)["input_ids"].count(4) == 1
    plain = loaded(text, add_special_tokens=False, split_special_tokens=True)["input_ids"]
    assert plain == trained.encode([text])[0].tolist()


def test_files_are_json_with_all_pieces(trained):
    values = json.loads(huggingface.tokenizer(trained))
    assert [piece for piece, _ in values["model"]["vocab"]][:5] == list(SPECIALS)
    assert len(values["model"]["vocab"]) == trained.pieces
    assert json.loads(huggingface.config(128))["model_max_length"] == 128
