"""Train the language identifier that is shipped: python -m pipeline.train_language TRAIN.tsv[.xz] ... --output FILE

Input: tables with the columns label, source, text (lines of text) or label, bcp47, word, count (word frequencies, from
which lines are drawn). The shipped model was made from, per line's source:
  cv        Common Voice sentence collection, CC0 1.0 (github mozilla/common-voice @168898f)
  nchlt     NCHLT text corpora, CC BY 2.5 South Africa (CTexT, North-West University; Department of Arts and Culture)
  udhr      Universal Declaration of Human Rights, texts of OHCHR/UN (github eric-muller/udhr @f93dd61)
  langdata  training text of tesseract-ocr/langdata, Apache-2.0
  words     Unicode UNILEX word frequencies, Unicode License V3 (github unicode-org/unilex)
Same input, same seed -> same bytes (one thread); about a minute of one core.
"""

import hashlib
import lzma
import os
import random
import sys
import tempfile
from collections import defaultdict
from collections.abc import Iterator

from corpus import settings, storage, terminal
from pipeline.language import languages, normalise

MIN_CHARACTERS = 8_000
"""Labels with less text are left out: too thin to be learnt, they win where they should not."""
WORD_CHARACTERS = 40_000
"""Labels with less running text than this are filled up with lines drawn from their word list ..."""
MIN_WORD_CHARACTERS = 12_000
"""... and every label with a word list gets at least so much of it: it brings words that sentences lack."""
CROP_CHARACTERS = 40_000
"""Each line is also given as a piece cut from it, so that titles and menus are recognised; labels with less running
text than this get several pieces of each line, lest the large ones swallow them."""
MAX_CROPS = 5
MAX_COPIES = 3
"""How often a line of such a label is repeated whole."""
LEFT_OUT = {"pcm_Latn", "aar_Latn", "cha_Latn", "mah_Latn", "ndo_Latn", "ido_Latn", "hif_Latn"}
"""Labels whose thin or English-laden text would draw other languages' lines to it."""
SETTINGS = {
    "dim": 24, "minn": 1, "maxn": 4, "bucket": 300_000, "minCount": 50, "lr": 0.8, "epoch": 5, "loss": "softmax",
    "thread": 1, "seed": 1, "verbose": 0,
}  # fmt: skip


def _rows(path: str) -> Iterator[dict[str, str]]:
    opener = lzma.open if path.endswith(".xz") else open
    with opener(path, "rt", encoding="utf-8") as lines:
        names = next(lines).rstrip("\n").split("\t")
        for line in lines:
            yield dict(zip(names, line.rstrip("\n").split("\t"), strict=True))


def read(paths: list[str]) -> tuple[dict[str, list[str]], dict[str, list[tuple[str, int]]]]:
    """Normalised lines and (word, count) pairs of each label that the table knows."""
    lines, frequencies = defaultdict(list), defaultdict(list)
    for path in paths:
        for row in _rows(path):
            if row["label"] not in languages() or row["label"] in LEFT_OUT:
                continue
            if "text" in row:
                if text := normalise(row["text"]):
                    lines[row["label"]].append(text)
            elif word := normalise(row["word"]):
                frequencies[row["label"]].append((word, int(row["count"])))
    return dict(lines), dict(frequencies)


def drawn_lines(pairs: list[tuple[str, int]], characters: int, draw: random.Random) -> Iterator[str]:
    """Lines of 3 to 12 words drawn by the square root of their counts, `characters` in all."""
    names = [word for word, _ in pairs]
    weights = [count**0.5 for _, count in pairs]
    while characters > 0:
        line = " ".join(draw.choices(names, weights, k=draw.randint(3, 12)))
        characters -= len(line)
        yield line


def crop(line: str, draw: random.Random) -> str:
    """Two to nine words of a line, or, where there are hardly spaces, 4 to 24 characters."""
    words = line.split(" ")
    if len(words) * 12 < len(line):
        length = draw.randint(4, 24)
        start = draw.randrange(max(1, len(line) - length))
        return line[start : start + length].strip()
    length = draw.randint(2, 9)
    start = draw.randrange(max(1, len(words) - length))
    return " ".join(words[start : start + length])


def examples(paths: list[str], seed: int) -> Iterator[str]:
    """Lines in fastText's form, shuffled."""
    lines, frequencies = read(paths)
    result = []
    for label in sorted(set(lines) | set(frequencies)):
        draw = random.Random(f"{seed} {label}")
        own = lines.get(label, [])
        size = sum(map(len, own))
        pseudo: list[str] = []
        if label in frequencies:
            pseudo = list(drawn_lines(frequencies[label], max(MIN_WORD_CHARACTERS, WORD_CHARACTERS - size), draw))
        if size + sum(map(len, pseudo)) < MIN_CHARACTERS:
            continue
        rounds = min(MAX_CROPS, max(1, CROP_CHARACTERS // max(1, size)))
        copies = own * min(MAX_COPIES, rounds)
        crops = [crop(line, draw) for line in own for _ in range(rounds)]
        result += [f"__label__{label} {text}\n" for text in copies + pseudo + crops if text]
    random.Random(seed).shuffle(result)
    yield from result


def train(paths: list[str], output: str, seed: int) -> str:
    """Write the quantized model and, beside it, its SHA-256, which is returned."""
    import fasttext

    with tempfile.TemporaryDirectory() as folder:
        text = os.path.join(folder, "train.txt")
        with open(text, "w", encoding="utf-8") as file:
            file.writelines(examples(paths, seed))
        model = fasttext.train_supervised(text, **SETTINGS)
        model.quantize(qnorm=True, dsub=2, verbose=0)
        with storage.writing(output) as temporary:
            model.save_model(temporary)
    digest = hashlib.sha256(storage.read(output)).hexdigest()
    storage.write(output + ".sha256", digest + "\n")
    return digest


def main() -> int:
    ask = settings.Parser(prog="python -m pipeline.train_language", description=__doc__)
    ask.add_argument("tables", nargs="+", metavar="TABLE", help="tab-separated tables, plain or .xz")
    ask.add_argument("--output", required=True, metavar="FILE", help="where the model goes, .ftz")
    ask.add_argument("--seed", type=int, default=0, help="seed of the drawn lines and their order (0)")
    chosen = ask.parse_args()
    digest = train(chosen.tables, chosen.output, chosen.seed)
    print(f"{chosen.output}\t{digest}")
    return terminal.DONE


if __name__ == "__main__":
    sys.exit(terminal.run(main))
