"""A small pretrained model with a real vocabulary, and files of tasks, for the tests of what follows pretraining."""

from pathlib import Path

import numpy as np
import torch

from corpus.settings import Vocabulary as Settings
from tokenizer import vocabulary
from trainer import checkpoint
from trainer.checkpoint import State
from trainer.model import Electra, configure

TEXT = {
    "eng_Latn": "All human beings are born free and equal in dignity and rights. They are endowed with reason. ",
    "deu_Latn": "Alle Menschen sind frei und gleich an Würde und Rechten geboren. Sie sind mit Vernunft begabt. ",
    "cmn_Hans": "人人生而自由，在尊严和权利上一律平等。他们赋有理性和良心，并应以兄弟关系的精神相对待。",
}
WORDS = {"good": "free equal dignity rights reason", "bad": "born endowed They with are"}


def write_vocabulary(folder: Path) -> vocabulary.Vocabulary:
    lines = [f"{text} {k * 7919 % 1000}" for k in range(40) for text in TEXT.values()]
    return vocabulary.train(iter(lines), Settings(size=512, coverage=1.0), str(folder))


def write_model(folder: Path, *, noise: float = 0.05, seed: int = 0, **shape) -> Path:
    """A model folder as pretrain leaves it, with random weights, biases and norms too."""
    pieces = write_vocabulary(folder / "vocabulary")
    config = configure("tiny", pieces.size, **shape)
    made = Electra(config, torch.Generator().manual_seed(seed))
    random = torch.Generator().manual_seed(seed + 1)
    with torch.no_grad():
        for weight in made.parameters():
            weight.add_(torch.randn(weight.shape, generator=random) * noise)
    from dataclasses import asdict

    identity = {"format": 1, "settings": {"objectives": "mlm=1,rtd=50,order=1", "seed": seed}, "tokens": "t",
                "vocabulary": pieces.digest, "origin": f"origin{seed}", "model": asdict(config)}  # fmt: skip
    checkpoint.write_config(str(folder), identity)
    checkpoint.save(str(folder), made.state_dict(), {"updates": torch.zeros(1)}, State(step=1))
    return folder


def write_examples(path: Path, count: int, seed: int = 0, languages=("eng_Latn",)) -> Path:
    """A TSV of two classes that single words decide."""
    rng, rows = np.random.default_rng(seed), ["text\tlabel\tlanguage"]
    for language in languages:
        for _ in range(count):
            label = ("good", "bad")[int(rng.integers(2))]
            rows.append(f"{' '.join(rng.choice(WORDS[label].split(), 6))}\t{label}\t{language}")
    path.write_text("\n".join(rows) + "\n")
    return path
