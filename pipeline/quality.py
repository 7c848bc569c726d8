"""Quality classifiers: fastText models with a label for good text, trained on the user's own examples; text -> score.

Models of ours see letters in lower case (language.normalise), others see the text as it is, on one line;
fasttext_file.py tells which.
"""

import functools
import gzip
import lzma
import os
import tempfile
from collections.abc import Callable, Iterable, Iterator

import numpy as np

from corpus import storage
from corpus.terminal import UserError
from pipeline import bad_words, fasttext_file, language, tables

GOOD, BAD = "good", "bad"
CHARACTERS = 20_000
"""Of a text that are looked at."""
HELD_BACK = 10
"""Every so many-th example is not trained on but asked."""
LEAST = 20
"""Examples of either kind, below which there is nothing to learn."""
SETTINGS = {
    "dim": 16, "wordNgrams": 2, "bucket": 200_000, "minCount": 3, "lr": 0.5, "epoch": 5, "loss": "softmax",
    "thread": 1, "seed": 1, "verbose": 0,
}  # fmt: skip


def folded(text: str) -> str:
    """What models of ours see."""
    return language.normalise(text[:CHARACTERS])


def run(good: list[str], bad: list[str], output: str) -> Iterator[str]:
    """Train on the texts of files; what came out, line by line. Errors: UserError."""
    found = train(list(examples(good)), list(examples(bad)), output)
    yield (
        f"of {found['held_back']:,} examples held back {found['right']:.1%} told right; a good one scores above a bad "
        f"one in {found['above']:.1%}"
    )
    yield f"model: {output}; next: python -m pipeline annotate OUT --quality-model NAME={output}"


def examples(paths: Iterable[str]) -> Iterator[str]:
    """The texts of files: Parquet and JSON Lines with a column text, others a text a line; .gz and .xz are unpacked."""
    for path in paths:
        try:
            yield from filter(str.strip, _texts(path))
        except (OSError, EOFError, ValueError, lzma.LZMAError) as error:
            fact = getattr(error, "strerror", None) or " ".join(str(error).split())
            raise UserError(f"{path}: {fact}; give a text a line, JSON Lines or Parquet with a column text") from None


def _texts(path: str) -> Iterator[str]:
    with storage.open_read(path) as file:
        if tables.is_table(path):
            for row in tables.rows(file, path):
                if row.error:
                    raise ValueError(row.error)
                yield row.text
            return
        data = file.read()
    unpack = {".gz": gzip.decompress, ".xz": lzma.decompress}.get(os.path.splitext(path)[1], bytes)
    yield from unpack(data).decode().splitlines()


def train(good: list[str], bad: list[str], output: str) -> dict[str, float]:
    """Train a classifier on texts and write it to `output`; how it does on the examples that were held back: their
    number, the share it tells right at .5, and how often a good one scores above a bad one. Same texts, same bytes."""
    import fasttext

    kinds = {GOOD: [folded(text) for text in good], BAD: [folded(text) for text in bad]}
    for kind, texts in kinds.items():
        if len(texts) < LEAST:
            raise UserError(f"--{kind}: {len(texts)} texts; give {LEAST} at least")
    held = {kind: texts[::HELD_BACK] for kind, texts in kinds.items()}
    lines = [(kind, t) for kind, texts in kinds.items() for k, t in enumerate(texts) if k % HELD_BACK]
    order = np.random.default_rng(0).permutation(len(lines)).tolist()
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "examples.txt")
        with open(path, "w", encoding="utf-8") as file:
            file.writelines(f"__label__{kind} {text}\n" for kind, text in (lines[k] for k in order))
        try:
            model = fasttext.train_supervised(path, **SETTINGS)
        except ValueError as error:
            raise UserError(f"--good, --bad: {error}; give more text") from None
        with storage.writing(output) as temporary:
            model.save_model(temporary)
    score = Classifier(output)
    found = {kind: np.array([score(text) for text in texts]) for kind, texts in held.items()}
    right = int((found[GOOD] >= 0.5).sum() + (found[BAD] < 0.5).sum())
    count = len(found[GOOD]) + len(found[BAD])
    above = float((found[GOOD][:, None] > found[BAD][None, :]).mean())
    return {"held_back": count, "right": right / count, "above": above}


class Classifier:
    """A loaded model. Its path may name the label of good text behind a '#', say model.bin#hq. Does not pickle."""

    def __init__(self, path: str):
        path, _, label = path.partition("#")
        model = fasttext_file.load(path)
        self.digest, self._predict = model.digest, model.predict
        self._label = f"__label__{label or GOOD}"
        self._see: Callable[[str], str] = folded if model.normalised else _on_one_line
        labels = [name for _, name in self._predict("the\n", -1, 0.0, "strict")]
        if self._label not in labels:
            known = ", ".join(name.removeprefix("__label__") for name in labels[:8])
            raise UserError(
                f"{storage.redact(path)}: no label {label or GOOD!r} among {known}; name that of good text, PATH#LABEL"
            )

    def __call__(self, text: str) -> float:
        """The probability that a text is good; 0 where the model sees nothing in it."""
        answers = self._predict(self._see(text) + "\n", -1, 0.0, "strict")
        return min(1.0, next((float(p) for p, name in answers if name == self._label), 0.0))


def _on_one_line(text: str) -> str:
    return " ".join(text[:CHARACTERS].encode("utf-8", "ignore").decode().split())


@functools.cache
def load(path: str) -> Classifier | bad_words.List:
    """The classifier at a path, or the list of words that stands for one, loaded once a process."""
    return bad_words.read(path) if path.endswith(bad_words.ENDING) else Classifier(path)
