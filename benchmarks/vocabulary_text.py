"""Openly licensed text for a vocabulary: python -m benchmarks.vocabulary_text FILE ... --output FILE.tsv[.xz]

All files are had with their ordinary clients, 260 MB (Debian 12: 1.39.17, 4.15.0, 7.4.7), and need no unpacking:

    apt-get download mediawiki iso-codes hunspell-lo '^libreoffice-(l10n|help)-'
    pip download --no-deps wordfreq==3.1.1
    python -m benchmarks.vocabulary_text *.deb wordfreq-*.whl word-frequencies.tsv.xz --output open.tsv
    python -m tokenizer train train-text.tsv.xz open.tsv --size 64000 --sample-characters 160000000 --output vocabulary/

  libreoffice   messages of libreoffice-l10n-*, MPL-2.0            help      pages of libreoffice-help-*, MPL-2.0
  mediawiki     messages, GPL-2.0-or-later                         hunspell  Lao words of hunspell-lo, LGPL
  iso           names of countries and languages, LGPL-2.1+        unilex    word-frequencies.tsv.xz, Unicode License V3
  wordfreq      words of 40 languages, CC BY-SA 4.0 (a vocabulary holds words, not the lists; judge for yourself, or
                leave the wheel out)
Of a language and source at most SHARE characters are kept, chosen by their hash: same files, same bytes. Of a language
that has nothing but messages of MediaWiki at most ALONE: they are 150, most of them hardly written elsewhere, and their
text takes pieces from all others.
"""

import argparse
import functools
import gettext
import html
import io
import lzma
import os
import re
import unicodedata
import zipfile
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator

import xxhash

from pipeline import interface_strings, language, train_language, word_lists, words
from tokenizer.audit import UNSPACED

SHARE = defaultdict(lambda: 250_000, unilex=1_000_000, wordfreq=1_000_000)  # lists are whole
ALONE = 40_000
MIN_CHARACTERS = {"help": 20}
"""Shorter texts are headings; messages and names of any length from 4 on count."""
WORDS, TIMES = 40_000, {"unilex": 20_000, "wordfreq": 60_000}
"""Words of a list, the most frequent first, and how often all of them stand in the text, each in proportion to its
count, but once."""
IN_A_LINE = 20

LISTS = word_lists.LISTS | {
    "bn": "ben_Beng", "ca": "cat_Latn", "fil": "fil_Latn", "ko": "kor_Kore", "lv": "lvs_Latn",
    "mk": "mkd_Cyrl", "ms": "zsm_Latn", "sh": "hrv_Latn", "ta": "tam_Taml", "ur": "urd_Arab",
}  # fmt: skip
"""Lists of wordfreq; those of Chinese and Japanese are no text, where no spaces stand between words."""

Texts = Iterator[tuple[str, str, str]]
"""(source, label, text)."""

label_of = functools.cache(interface_strings.label_of)


def messages(packages: list[str]) -> Texts:
    """Translations, and their originals, which stand beside each of them."""
    originals: set[str] = set()
    for source, code, english, message in interface_strings.triples(packages):
        if english not in originals:
            originals.add(english)
            yield source, "eng_Latn", interface_strings.plain(english, "")
        if message != english:
            yield source, label_of(code), interface_strings.plain(message, english)


def pages(package: str) -> Texts:
    """Paragraphs of help pages."""
    for path, data in interface_strings.files(package):
        if path.endswith(".html") and "/help/" in path:
            label = label_of(path.partition("/help/")[2].partition("/")[0])
            for paragraph in re.findall(r"<p[ >].*?</p>", data.decode("utf-8", "ignore"), re.DOTALL):
                yield "help", label, html.unescape(re.sub(r"<[^>]*>", "", paragraph))


def names(package: str) -> Texts:
    for path, data in interface_strings.files(package):
        if path.endswith(".mo"):
            label = label_of(path.partition("/locale/")[2].partition("/")[0])
            catalogue = gettext.GNUTranslations(io.BytesIO(data))._catalog  # type: ignore[attr-defined]
            yield from (("iso", label, v) for k, v in catalogue.items() if k and isinstance(v, str))


def dictionary(package: str) -> Texts:
    """The words of a dictionary, without how they are inflected."""
    label = label_of(os.path.basename(package).partition("hunspell-")[2].partition("_")[0])
    for path, data in interface_strings.files(package):
        if path.endswith(".dic") and not os.path.basename(path).startswith("hyph"):
            listed = [line.partition("/")[0].strip() for line in data.decode("utf-8", "ignore").splitlines()[1:]]
            yield from (("hunspell", label, line) for line in joined(listed))


def joined(listed: list[str]) -> Iterator[str]:
    return (" ".join(listed[k : k + IN_A_LINE]) for k in range(0, len(listed), IN_A_LINE))


def counted(pairs: list[tuple[str, int]], times: int) -> Iterator[str]:
    """Lines of about `times` words in all, by their counts, shuffled by their hash."""
    total = sum(count for _, count in pairs)
    many = ((word, k) for word, count in pairs for k in range(max(1, round(count / total * times))))
    yield from joined([word for word, k in sorted(many, key=lambda m: (hashed(f"{m[0]} {m[1]}"), m))])


def wheel(path: str) -> Texts:
    with zipfile.ZipFile(path) as archive:
        there = set(archive.namelist())
        for code, label in LISTS.items():
            large, small = (f"wordfreq/data/{size}_{code}.msgpack.gz" for size in ("large", "small"))
            pairs = list(word_lists.words(archive.read(large if large in there else small)))[:WORDS]
            yield from (("wordfreq", label, line) for line in counted(pairs, TIMES["wordfreq"]))


def table(path: str) -> Texts:
    """Word frequencies of languages with spaces between words."""
    lists: dict[str, list[tuple[str, int]]] = defaultdict(list)
    for row in train_language.rows(path):
        lists[row["label"]].append((row["word"], int(row["count"])))
    for label in sorted(label for label in lists if label.partition("_")[2] not in UNSPACED):
        yield from (("unilex", label, line) for line in counted(lists[label], TIMES["unilex"]))


def texts(paths: Iterable[str]) -> Texts:
    paths = sorted(paths, key=os.path.basename)
    yield from messages([path for path in paths if path.endswith(".deb")])
    for path in paths:
        name = os.path.basename(path)
        kinds = {"libreoffice-help-": pages, "iso-codes_": names, "hunspell-": dictionary, "wordfreq-": wheel}
        read = next((read for start, read in kinds.items() if name.startswith(start)), None)
        if read is not None:
            yield from read(path)
        elif not name.endswith(".deb"):
            yield from table(path)


def hashed(text: str) -> int:
    return xxhash.xxh3_64_intdigest(text.encode("utf-8", "replace"))


def is_fit(source: str, label: str, text: str) -> bool:
    least = MIN_CHARACTERS.get(source, 4)
    return len(text) >= least and language.writes(label.partition("_")[2], words.script(text))


def share(source: str, alone: bool) -> int:
    """Characters of a language that a source may give. alone: it has no other source."""
    return ALONE if alone and source == "mediawiki" else SHARE[source]


def rows(paths: Iterable[str]) -> Iterator[tuple[str, str, str]]:
    """(label, source, text), sorted by label and source, in each until its share is reached."""
    found: dict[tuple[str, str], set[str]] = defaultdict(set)
    for source, label, text in texts(paths):
        if label:
            found[label, source].add(" ".join(unicodedata.normalize("NFC", text).split()))
    labels = Counter(label for label, _ in found)
    for label, source in sorted(found):
        left = share(source, labels[label] == 1)
        for text in sorted(found[label, source], key=lambda t: (hashed(t), t)):
            if not is_fit(source, label, text):
                continue
            if (left := left - len(text)) < 0:
                break
            yield label, source, text


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("files", nargs="+", metavar="FILE", help="packages as they come, and tables of words")
    parser.add_argument("--output", required=True, metavar="FILE")
    chosen = parser.parse_args()
    sizes: dict[str, int] = defaultdict(int)
    with (lzma.open if chosen.output.endswith(".xz") else open)(chosen.output, "wt", encoding="utf-8") as out:
        out.write("label\tsource\ttext\n")
        for row in rows(chosen.files):
            out.write("\t".join(row) + "\n")
            sizes[row[1]] += len(row[2].encode())
    print(", ".join(f"{source} {size / 1e6:.1f} MB" for source, size in sorted(sizes.items())))


if __name__ == "__main__":
    main()
