"""Which characters get pieces of their own: those that each language of the sample is written with, and the whole
alphabets of the scripts that occur in it, so that a letter that a small sample happens to lack is no run of bytes."""

import collections
import unicodedata
from collections.abc import Iterator

MOST = 1 / 3
"""Share of a vocabulary that characters may take; the rarest are left out before there are more."""

IN_USE = 1000
"""So many characters of a block in the sample show that its script is written there."""

# Living alphabets and syllabaries that are small enough to be had whole.
_BLOCKS = """0021-007E 00A1-024F 0250-02AF 02B0-036F 0370-03FF 0400-052F 0531-058A 0591-05F4 0600-06FF 0710-074A
0780-07B1 07C0-07FA 0901-097F 0981-09FE 0A01-0A76 0A81-0AFF 0B01-0B77 0B82-0BFA 0C00-0C7F 0C80-0CF3 0D00-0D7F 0D81-0DF4
0E01-0E5B 0E81-0EDF 0F00-0FBC 1000-109F 10D0-10FF 1200-137C 1780-17F9 1E00-1EFF 3041-309F 30A0-30FF"""

# Of Han and Hangul the common characters: level 1 of GB 2312, Big5, JIS X 0208, and the syllables of KS X 1001; codec,
# first and last lead byte.
_LEVELS = (("gb2312", 0xB0, 0xD7), ("big5", 0xA4, 0xC6), ("euc_jp", 0xB0, 0xCF), ("euc_kr", 0xB0, 0xC8))

ASCII = tuple(map(chr, range(0x21, 0x7F)))
"""Every vocabulary has these: markup, code and addresses are in any crawl, and the names of byte pieces in any text."""

_NEVER = {"\u2581", "\u2585"}  # SentencePiece's own marks


def alphabets() -> Iterator[list[str]]:
    """The letters, marks, digits, punctuation and signs of each block, as NFC leaves them, and the common characters
    of Chinese, Japanese and Korean."""
    for block in _BLOCKS.split():
        first, last = (int(end, 16) for end in block.split("-"))
        yield [c for c in map(chr, range(first, last + 1)) if _is_written(c) and unicodedata.is_normalized("NFC", c)]
    for codec, first, last in _LEVELS:
        pairs = (bytes([a, b]) for a in range(first, last + 1) for b in range(0x40, 0xFF))
        yield sorted({c for pair in pairs for c in pair.decode(codec, "ignore") if c >= "\u4e00"})


def _is_written(character: str) -> bool:
    return not character.isspace() and unicodedata.category(character)[0] != "C" and character not in _NEVER


class Characters:
    """How often each language of a sample has each character."""

    def __init__(self) -> None:
        self.languages: dict[str, collections.Counter[str]] = {}

    def add(self, language: str, text: str) -> None:
        self.languages.setdefault(language, collections.Counter()).update(text)

    def required(self, coverage: float, size: int) -> str:
        """The characters that a vocabulary of `size` must have: of each language the commonest that make up `coverage`
        of its text, ASCII and the alphabets in use; sorted by how much they matter, at most MOST of `size`."""
        ranks: dict[str, float] = dict.fromkeys(ASCII, 1.0)
        for counts in self.languages.values():
            total, left = counts.total(), (1 - coverage) * counts.total()
            for character, count in sorted(counts.items(), key=lambda item: (item[1], item[0])):
                left -= count
                if left < 0 and _is_drawn(character):
                    ranks[character] = max(ranks.get(character, 0.0), count / total)
        together = sum(self.languages.values(), collections.Counter[str]())
        for block in alphabets():
            if sum(together[c] for c in block) >= IN_USE:
                for character in block:
                    ranks.setdefault(character, 0.0)
        return "".join(sorted(ranks, key=lambda c: (-ranks[c], c))[: int(size * MOST)])


def _is_drawn(character: str) -> bool:
    """Whether a character of the sample may be a piece: joiners too, white space and controls not."""
    return character not in _NEVER and not character.isspace() and unicodedata.category(character) not in ("Cc", "Cn")
