"""Train the language model that is shipped:
python -m pipeline.train_language TABLE ... --output FILE [--table TSV] [--long TABLE]

Input: tables with the columns label, source, text (lines of text) or label, bcp47, word, count (word frequencies).
The shipped model was made by

    apt-get download mediawiki libreoffice-l10n-* firefox-esr-l10n-*        (Debian 12: 1.39.17, 7.4.7, 153.7)
    python -m pipeline.interface_strings *.deb --output strings.tsv
    pip download --no-deps wordfreq==3.1.1
    python -m pipeline.word_lists wordfreq-3.1.1-py3-none-any.whl --output words.tsv
    python -m pipeline.word_lists wordfreq-3.1.1-py3-none-any.whl --output long.tsv --long
    python -m pipeline.train_language train-text.tsv.xz word-frequencies.tsv.xz words.tsv strings.tsv --long long.tsv \\
        --output pipeline/models/language.bin --table pipeline/languages.tsv

(--long also writes language-change.bin: what longer lists of words and a larger head start change in the model)
from, per line's source:
  cv           Common Voice sentence collection, CC0 1.0 (github mozilla/common-voice @168898f)
  nchlt        NCHLT text corpora, CC BY 2.5 South Africa (CTexT, North-West University; Department of Arts and Culture)
  udhr         Universal Declaration of Human Rights, texts of OHCHR/UN (github eric-muller/udhr @f93dd61)
  langdata     training text of tesseract-ocr/langdata, Apache-2.0
  words        Unicode UNILEX word frequencies, Unicode License V3 (github unicode-org/unilex); for the largest
               languages wordfreq's, CC BY-SA 4.0 (word_lists.py)
  mediawiki, libreoffice, firefox   messages of programs: interface_strings.py names packages and licences
(models/README.md has the list for readers.) Same input -> same bytes: nothing is drawn. The model is counted twice:
without a tenth of the lines, on which probabilities, cuts and recall are measured, then with all.
"""

import dataclasses
import itertools
import lzma
import math
import sys
import unicodedata
import zlib
from collections import defaultdict
from collections.abc import Iterable, Iterator

import numpy as np
import regex

from corpus import settings, storage, terminal
from pipeline import language, language_cuts, language_model

MIN_CHARACTERS = 4_000
"""Labels with less running text are left out: too thin to be learnt, they win where they should not ..."""
ENOUGH = 8_000
"""... and so are those with less than this and no word list."""
SHARE = {"mediawiki": 30_000, "libreoffice": 30_000, "firefox": 30_000}
"""Characters that a label takes of a source; the others are taken whole."""
WORD_CHARACTERS = 60_000
"""What a label's word list counts for. Each word stands there in proportion to the square root of its count."""
BARE = 0.15
"""The weight of a second copy of all Latin text without accents: much of the web is typed so."""
SMOOTHING = 6_000
"""Features of the mean over a script's labels that are added to each label's own."""
MIN_COUNT = 1
"""Features that a label shows no oftener are left out."""
SIBLING_WORDS, SIBLING_SHARE, SIBLING_MEAN, SIBLING_OWN = 90_000, 60_000, 10_000, 0.15
"""Siblings: characters of word lists and of each source, features of their mean added to their own, and the part of a
sibling's counts that is its own in spite of all."""
BITS = defaultdict(lambda: 14, Latn=17, Cyrl=16, Arab=16, Hani=16, Deva=16)
"""log2 of a script's buckets."""
LEFT_OUT = {
    "pcm_Latn", "aar_Latn", "cha_Latn", "mah_Latn", "ndo_Latn", "ido_Latn", "hif_Latn", "jbo_Latn",  # thin or English
    "hbs_Latn", "hbs_Cyrl", "ary_Arab", "arz_Arab", "grc_Grek", "hyw_Armn",  # would halve their standard language
}  # fmt: skip
"""Labels of languages.tsv whose text would draw other languages' lines to it."""
SIBLINGS = (("bos_Latn", "hrv_Latn", "srp_Latn"), ("dan_Latn", "nno_Latn", "nob_Latn"))
"""Languages so near each other that which of them has a kind of text decides more than how they differ: the group is
learnt from all text, the members from what all of them have, in equal amounts. (Indonesian and Malay, Persian and
Dari: the larger one loses as much as the smaller one gains, so they are left as they are.)"""
PRIOR = 1.5
"""How much of the log of a language's share of the web (languages.tsv) it has from the start: what this gains is short
lines in Spanish that would do in Asturian as well. More than 1, because the evidence is overstated: n-grams overlap."""
GUEST, GUEST_MOST, GUEST_START = "eng_Latn", 20.0, 5.0
"""Names, titles and brands: words of this language stand in texts of all others in its script, so that no word speaks
against them by more than so much log probability beyond what it does against this one; which has that in return."""
LONG_CHARACTERS = {
    "rus_Cyrl": 400_000, "deu_Latn": 200_000, "eng_Latn": 200_000, "fra_Latn": 200_000, "ita_Latn": 200_000,
    "por_Latn": 200_000, "spa_Latn": 200_000,
}  # fmt: skip
"""What a long list of words counts for, beside all else. Russian has the least running text (75,000 characters)."""
FAVOUR, ALSO_FAVOURED = 3.0, {"glg_Latn"}
"""The head start that languages with language_cuts.EVEN percent of the web or more have beside PRIOR's; and Galician,
of which Spanish and Portuguese would take one sentence in twenty more."""
_ALSO = {"Hani": ("jpn_Jpan",)}
"""Labels that are told apart in a script besides their own: Japanese titles have no Kana."""
_SERBIAN = str.maketrans({
    "а": "a", "б": "b", "в": "v", "г": "g", "д": "d", "ђ": "đ", "е": "e", "ж": "ž", "з": "z", "и": "i", "ј": "j",
    "к": "k", "л": "l", "љ": "lj", "м": "m", "н": "n", "њ": "nj", "о": "o", "п": "p", "р": "r", "с": "s", "т": "t",
    "ћ": "ć", "у": "u", "ф": "f", "х": "h", "ц": "c", "ч": "č", "џ": "dž", "ш": "š",
})  # fmt: skip

Texts = dict[str, dict[str, list[str]]]
"""label -> source -> lines in NFC."""
Frequencies = dict[str, list[tuple[str, int]]]
Counts = dict[str, tuple[list[str], np.ndarray]]
"""script -> labels and their (labels, buckets) float32 counts."""


def rows(path: str) -> Iterator[dict[str, str]]:
    opener = lzma.open if path.endswith(".xz") else open
    with opener(path, "rt", encoding="utf-8") as lines:
        names = next(lines).rstrip("\n").split("\t")
        for line in lines:
            yield dict(zip(names, line.rstrip("\n").split("\t"), strict=True))


def read(paths: Iterable[str]) -> tuple[Texts, Frequencies]:
    """All tables, also of labels that are not trained; of several word lists of a label the last is taken; Cyrillic
    Serbian counts as Latin too, letter by letter."""
    texts: Texts = defaultdict(lambda: defaultdict(list))
    lists: Frequencies = {}
    for path in paths:
        frequencies: Frequencies = defaultdict(list)
        for row in rows(path):
            if "text" in row:
                texts[row["label"]][row["source"]].append(unicodedata.normalize("NFC", row["text"]))
            else:
                frequencies[row["label"]].append((unicodedata.normalize("NFC", row["word"]), int(row["count"])))
        lists |= frequencies
    for source, lines in texts["srp_Cyrl"].items():
        texts["srp_Latn"][source] += [in_latin(line) for line in lines]
    return {label: dict(by_source) for label, by_source in texts.items()}, lists


def in_latin(text: str) -> str:
    """Serbian in the other alphabet, in lower case."""
    return text.lower().translate(_SERBIAN)


def is_held_out(line: str) -> bool:
    return zlib.crc32(line.encode()) % 10 == 0


def split(texts: Texts) -> tuple[Texts, dict[str, list[str]]]:
    """(what is trained on, the tenth that is measured on)."""
    kept = {k: {s: [x for x in lines if not is_held_out(x)] for s, lines in v.items()} for k, v in texts.items()}
    held = {k: [x for lines in v.values() for x in lines if is_held_out(x)] for k, v in texts.items()}
    return kept, held


def up_to(lines: Iterable[str], characters: float) -> list[str]:
    """The first lines, until they have so many characters."""
    taken = itertools.accumulate(map(len, lines := list(lines)), initial=0)
    return [line for line, before in zip(lines, taken, strict=False) if before <= characters]


def repeated(pairs: list[tuple[str, int]], characters: int) -> str:
    """About so many characters of words, in proportion to the square roots of their counts."""
    roots = [count**0.5 for _, count in pairs]
    each = characters / sum(root * (len(word) + 1) for root, (word, _) in zip(roots, pairs, strict=True))
    return " ".join(word for root, (word, _) in zip(roots, pairs, strict=True) for _ in range(round(root * each)))


def taken(by_source: dict[str, list[str]]) -> list[str]:
    return [line for source, lines in sorted(by_source.items()) for line in up_to(lines, SHARE.get(source, 1e12))]


def text_of(label: str, texts: Texts, frequencies: Frequencies) -> str:
    lines = taken(texts.get(label, {}))
    if label in frequencies:
        lines.append(repeated(frequencies[label], WORD_CHARACTERS))
    return "\n".join(lines)


def trained(texts: Texts, frequencies: Frequencies) -> dict[str, list[str]]:
    """script -> the labels that are trained, sorted."""
    found = defaultdict(list)
    for label in sorted(language.languages().keys() - LEFT_OUT):
        size = sum(map(len, taken(texts.get(label, {}))))
        if size >= (MIN_CHARACTERS if label in frequencies else ENOUGH):
            found[language_model.script_of(label)].append(label)
    return {script: [*found[script], *_ALSO.get(script, ())] for script in sorted(found)}


def counted(text: str, script: str) -> np.ndarray:
    """(buckets,) float32: how often each feature occurs."""
    bits = BITS[script]
    return np.bincount(language_model.features(text, script, bits), minlength=1 << bits).astype(np.float32)


def counted_bare(text: str, script: str) -> np.ndarray:
    """`counted`, with the second copy of Latin text."""
    counts = counted(text, script)
    if script == "Latn" and (plain := bare(text)) != text:
        counts += np.float32(BARE) * counted(plain, script)
    return counts


def bare(text: str) -> str:
    """Text without accents and other marks."""
    return unicodedata.normalize("NFC", regex.sub(r"\p{Mn}+", "", unicodedata.normalize("NFD", text)))


def count(texts: Texts, frequencies: Frequencies) -> Counts:
    counts: Counts = {}
    for script, labels in trained(texts, frequencies).items():
        table = np.zeros((len(labels), 1 << BITS[script]), np.float32)
        for place, label in enumerate(labels):
            text = text_of(label, texts, frequencies)
            table[place] = counted_bare(text, script)
        counts[script] = labels, table
    for group in SIBLINGS:
        labels, table = counts.get(language_model.script_of(group[0]), ([], np.zeros((0, 0))))
        if set(group) <= set(labels):
            places = [labels.index(label) for label in group]
            table[places] = told_apart(table[places], equal_counts(group, texts, frequencies))
    return counts


def equal_counts(group: tuple[str, ...], texts: Texts, frequencies: Frequencies) -> np.ndarray:
    """(members, buckets): counts of siblings from the sources that all have, in equal amounts."""
    own = [texts[label] for label in group]
    lines: list[list[str]] = [[] for _ in group]
    for source in sorted(set.intersection(*map(set, own))):
        least = min(sum(map(len, by_source[source])) for by_source in own)
        for mine, by_source in zip(lines, own, strict=True):
            mine += up_to(by_source[source], min(least, SIBLING_SHARE))
    if all(label in frequencies for label in group):
        for mine, label in zip(lines, group, strict=True):
            mine.append(repeated(frequencies[label], SIBLING_WORDS))
    return np.array([counted("\n".join(mine), language_model.script_of(group[0])) for mine in lines])


def told_apart(counts: np.ndarray, equal: np.ndarray) -> np.ndarray:
    """Siblings' counts: their common distribution from `counts`, times how each differs from the others in `equal`."""
    common = (counts / counts.sum(1, keepdims=True)).mean(0) * counts.sum(1).mean()
    mean = (equal / equal.sum(1, keepdims=True)).mean(0)
    own = (equal + SIBLING_MEAN * mean) / (equal.sum(1, keepdims=True) + SIBLING_MEAN)
    ratio = np.divide(own, mean, out=np.ones_like(own), where=mean > 0)
    return (1 - SIBLING_OWN) * common * ratio + SIBLING_OWN * counts


def mean_of(counts: np.ndarray) -> np.ndarray:
    """(buckets,): the mean of the labels' distributions."""
    sizes = counts.sum(1, dtype=np.float64)
    return sum(row / max(size, 1) for row, size in zip(counts, sizes, strict=True)) / len(counts)


def weigh(labels: list[str], counts: np.ndarray, mean: np.ndarray | None = None) -> tuple[np.ndarray, np.ndarray]:
    """(buckets, labels) uint8 weights and (labels, 2) biases of multinomial naive Bayes, each label smoothed toward the
    mean: a feature gains log(1 + count / (SMOOTHING * mean)), and each one costs log(1 + size / SMOOTHING)."""
    kept = np.where(counts > MIN_COUNT, counts, 0)
    sizes = kept.sum(1, dtype=np.float64)
    mean = mean_of(kept) if mean is None else mean
    base = np.where(mean > 0, SMOOTHING * mean, 1)
    weights = np.empty(kept.shape[::-1], np.uint8)
    for place, row in enumerate(kept):
        gain = np.rint(np.log1p(row / base) / language_model.STEP)
        weights[:, place] = np.minimum(gain, language_model.MAX_WEIGHT)
    costs = np.log1p(sizes / SMOOTHING)
    starts = [start(label) for label in labels]
    return weights, np.rint(np.stack([costs, starts], 1) / language_model.STEP * 256).astype(np.int32)


def start(label: str) -> float:
    """The log probability that a label has before anything is read."""
    return PRIOR * math.log(language_cuts.web(label) / language_cuts.RARE) + (GUEST_START if label == GUEST else 0)


def model(counts: Counts) -> language_model.Model:
    """The model, its probabilities not calibrated."""
    parts = {k: (labels, BITS[k], *weigh(labels, table)) for k, (labels, table) in counts.items()}
    most = round(GUEST_MOST / language_model.STEP * 256)
    return language_model.build(parts, language_model.Terms(1, 1, language_cuts.GROUND, GUEST, most))


def enlarged(old: language_model.Model, counts: Counts, long: Frequencies) -> language_model.Model:
    """`model` of these counts with what `long` tells about the largest languages and their larger head start."""
    new = dataclasses.replace(old, weights=old.weights.copy(), biases=old.biases.copy())
    for script, (labels, table) in counts.items():
        mean = mean_of(np.where(table > MIN_COUNT, table, 0))
        for label in sorted(set(labels) & long.keys() & LONG_CHARACTERS.keys()):
            more = counted_bare(repeated(long[label], LONG_CHARACTERS[label]), script)
            weights, biases = weigh([label], table[labels.index(label)][None] + more, mean)
            number = new.labels.index(label)
            language_model.column(new, number)[:] = weights[:, 0]
            new.biases[number] = biases[0]
    favoured = [label in ALSO_FAVOURED or language_cuts.web(label) >= language_cuts.EVEN for label in new.labels]
    new.biases[favoured, 1] += round(FAVOUR / language_model.STEP * 256)
    return new


def train(paths: list[str], output: str, table: str = "", long: str = "") -> list[tuple[str, str]]:
    """Write the model, its change if there is a table of `long` lists, and beside each its SHA-256; returns the paths
    and these. table: where languages.tsv goes, its recalls and cuts as measured."""
    texts, frequencies = read(paths)
    more = read([long])[1] if long else {}
    kept, held = split(texts)
    counts = count(kept, frequencies)
    trial = language_cuts.calibrated(model(counts), held)
    if table:
        shown = enlarged(trial, counts, more) if more else trial
        storage.write(table, language_cuts.rewritten(language_cuts.measure(shown, held)))
    counts = count(texts, frequencies)
    whole = dataclasses.replace(model(counts), terms=trial.terms)
    found = [(output, language_model.write(output, whole))]
    if more:
        whole = dataclasses.replace(whole, digest=found[0][1])
        path = output.removesuffix(".bin") + "-change.bin"
        found.append((path, language_model.write_change(path, whole, enlarged(whole, counts, more))))
    for path, digest in found:
        storage.write(path + ".sha256", digest + "\n")
    return found


def main() -> int:
    ask = settings.Parser(prog="python -m pipeline.train_language", description=__doc__)
    ask.add_argument("tables", nargs="+", metavar="TABLE", help="tab-separated tables, plain or .xz")
    ask.add_argument("--output", required=True, metavar="FILE", help="where the model goes, .bin")
    ask.add_argument("--table", default="", metavar="TSV", help="where languages.tsv goes, with measured cuts")
    ask.add_argument("--long", default="", metavar="TABLE", help="longer lists of words, for the largest languages")
    chosen = ask.parse_args()
    for path, digest in train(chosen.tables, chosen.output, chosen.table, chosen.long):
        print(f"{path}\t{digest}")
    return terminal.DONE


if __name__ == "__main__":
    sys.exit(terminal.run(main))
