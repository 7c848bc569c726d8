"""Words by frequency out of the package wordfreq, as a table label, bcp47, word, count for train_language:
python -m pipeline.word_lists WORDFREQ.whl --output FILE.tsv [--long]

`pip download --no-deps wordfreq==3.1.1` fetches the wheel. Its lists are CC BY-SA 4.0 (Robyn Speer; from Wikipedia,
subtitles, news, books and the web). Taken are those of the largest languages: UNILEX has none for some of them, and of
the others 4,000 words out of less various text.
"""

import gzip
import sys
import zipfile
from collections.abc import Iterator

import regex

from corpus import settings, storage, terminal

LISTS = {
    "ar": "arb_Arab", "bg": "bul_Cyrl", "cs": "ces_Latn", "da": "dan_Latn", "de": "deu_Latn", "el": "ell_Grek",
    "en": "eng_Latn", "es": "spa_Latn", "fa": "pes_Arab", "fi": "fin_Latn", "fr": "fra_Latn", "he": "heb_Hebr",
    "hi": "hin_Deva", "hu": "hun_Latn", "id": "ind_Latn", "is": "isl_Latn", "it": "ita_Latn", "lt": "lit_Latn",
    "nb": "nob_Latn", "nl": "nld_Latn", "pl": "pol_Latn", "pt": "por_Latn", "ro": "ron_Latn", "ru": "rus_Cyrl",
    "sk": "slk_Latn", "sl": "slv_Latn", "sv": "swe_Latn", "tr": "tur_Latn", "uk": "ukr_Cyrl", "vi": "vie_Latn",
}  # fmt: skip
WORDS = 10_000
"""Words of each list, the most frequent first."""
LONG, LONG_WORDS = ("de", "en", "es", "fr", "it", "pt", "ru"), 40_000
"""The lists that --long takes, out of wordfreq's larger ones, and how much of each."""

_WORD = regex.compile(r"[\p{L}\p{M}\u200c]+")


def words(data: bytes) -> Iterator[tuple[str, int]]:
    """(word, how often in 100 million) of a list in wordfreq's form: msgpack of a head and, for each hundredth of a
    power of ten below 1, the words that make up so much of all text."""
    import msgpack

    _, *steps = msgpack.unpackb(gzip.decompress(data), raw=False)
    for place, same in enumerate(steps):
        yield from ((word, max(1, round(10 ** (8 - place / 100)))) for word in same)


def rows(wheel: str, long: bool = False) -> Iterator[tuple[str, str, str, int]]:
    kind, codes, most = ("large", LONG, LONG_WORDS) if long else ("small", sorted(LISTS), WORDS)
    with zipfile.ZipFile(wheel) as archive:
        for code in codes:
            pairs = words(archive.read(f"wordfreq/data/{kind}_{code}.msgpack.gz"))
            found = ((word, count) for word, count in pairs if _WORD.fullmatch(word))
            yield from ((LISTS[code], code, *pair) for pair, _ in zip(found, range(most), strict=False))


def main() -> int:
    ask = settings.Parser(prog="python -m pipeline.word_lists", description=__doc__)
    ask.add_argument("wheel", metavar="WHEEL", help="the package wordfreq as it is fetched")
    ask.add_argument("--output", required=True, metavar="FILE", help="the table, .tsv")
    ask.add_argument("--long", action="store_true", help="40,000 words of the seven largest languages instead")
    chosen = ask.parse_args()
    head = ("label", "bcp47", "word", "count")
    storage.write(
        chosen.output, "".join("\t".join(map(str, row)) + "\n" for row in (head, *rows(chosen.wheel, chosen.long)))
    )
    return terminal.DONE


if __name__ == "__main__":
    sys.exit(terminal.run(main))
