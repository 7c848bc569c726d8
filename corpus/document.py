"""The contracts between the steps: Document, Signals, Reason, selection, and their Arrow schemas.

A document is addressed by (part, row) wherever keys travel: `part` is the line of the plan
(`documents/items.tsv`), `row` the row in that part's Parquet file. Its `id` is for outsiders.
"""

import enum
import json
from dataclasses import dataclass, fields
from typing import get_type_hints

import pyarrow as pa

FORMAT = 3
"""Version of the files of a corpus folder; a reader refuses another one."""

MINHASHES = 112
"""Values of a MinHash signature (16 bands of 7 rows; as many as FineWeb has, arXiv:2406.17557)."""


class Reason(enum.IntEnum):
    """Why a record yielded no document (a drop, below 32) or a document is not selected (a rejection).

    In the order in which the funnel tells them: of several reasons the first one is the verdict.
    """

    about: str

    def __new__(cls, value: int, about: str = ""):
        member = int.__new__(cls, value)
        member._value_ = value
        member.about = about
        return member

    OTHER_RECORD = 1, "no page: request, metadata, warcinfo, an unknown record type"
    REVISIT = 2, "a revisit record: the page is elsewhere"
    BROKEN_RECORD = 3, "the record's own header cannot be read"
    HTTP_ERROR = 4, "the server answered with an error or a redirect"
    NOT_HTML = 5, "neither HTML nor plain text"
    TOO_LARGE = 6, "larger than max_page_bytes"
    UNDECODABLE = 7, "content coding or charset cannot be undone"
    TOO_COMPLEX = 8, "markup made to exhaust a parser: depth, attributes, open elements"
    CRASHED = 9, "the process that read it died or ran out of its limits"
    EMPTY = 10, "no text was left"

    ROBOTS = 32, "its owner asks robots to leave it (noindex, none)"
    NOAI = 33, "its owner asks AI to leave it (noai)"
    TDM = 34, "its owner reserves text and data mining (tdm-reservation)"
    BLOCKED = 35, "its domain or URL stands on a blocklist"
    NO_LANGUAGE = 36, "no natural language was found"
    UNSURE_LANGUAGE = 37, "the language score is below the cut of its language"
    OTHER_LANGUAGE = 38, "a language that was not asked for"
    TOO_SHORT = 39, "too little text"
    TOO_LONG = 40, "too much text"
    WORD_LENGTH = 41, "word length outside its bounds"
    SYMBOLS = 42, "too many # and ellipses per word"
    FEW_LETTERS = 43, "too few words with a letter"
    FEW_STOP_WORDS = 44, "too few of the language's most common words"
    DIGITS = 45, "too many digits"
    UPPER_CASE = 46, "too many upper-case letters"
    SIGNS = 47, "too much punctuation, too many symbols"
    MIXED_SCRIPTS = 48, "too many words or letters of other scripts"
    BULLETS = 49, "nearly all lines are bullet points"
    CUT_LINES = 50, "too many lines end in an ellipsis"
    LOOSE_LINES = 51, "too few lines end in punctuation"
    SHORT_LINES = 52, "too many short lines, too few long ones"
    FEW_SENTENCES = 53, "too few sentences"
    REPEATED_LINES = 54, "too much of the text is in repeated lines"
    REPEATED_PARAGRAPHS = 55, "too much of the text is in repeated paragraphs"
    TOP_WORDS = 56, "one run of two to four words is too much of the text"
    REPEATED_WORDS = 57, "too much of the text is in repeated runs of words"
    MONOTONOUS = 58, "too few different words, or too easily compressed"
    PLACEHOLDER = 59, "placeholder text (lorem ipsum)"
    CODE = 60, "signs of program code"
    POLICY = 61, "too much about cookies, scripts, terms of use"
    LINK = 62, "the form of its URL"
    QUALITY = 63, "the score of a quality classifier"

    SITE_LINES = 64, "nearly all of it is lines that other pages repeat"
    CONTAMINATED = 65, "shares text with an evaluation set"
    REMOVED = 66, "somebody asked for its removal"
    SAME_URL = 80, "the same URL has a better version"
    SAME_TEXT = 81, "the same text stands elsewhere"
    NEAR_DUPLICATE = 82, "nearly the same text stands elsewhere"
    NOT_DRAWN = 83, "left out by resampling"

    @property
    def is_drop(self) -> bool:
        return self < 32

    @property
    def bit(self) -> int:
        """The rejection's place in the selection's bit set `reasons`, which has 64."""
        return 1 << (self - 32)


def rejections(bits: int) -> list[Reason]:
    """The bit set of a selection row as reasons, first the verdict."""
    return [r for r in Reason if not r.is_drop and bits & r.bit]


@dataclass(slots=True)
class Signals:
    """What the rules look at. Shares are of 1, and 0 where there is nothing to have a share of.

    line = non-empty line of the clean text, white space around it not counted; paragraph = lines with no empty line
    between them; words and sentence ends per words.py; equal words and lines are those equal in lower case; an n-gram
    is n words in a row, over the ends of lines; characters of words = code points inside words.
    """

    characters: int = 0  # code points
    words: int = 0
    lines: int = 0
    paragraphs: int = 0
    sentences: int = 0  # ends of sentences
    mean_sentence_length: float = 0.0  # words / ends of sentences, or 1
    mean_word_length: float = 0.0  # code points
    longest_word: int = 0  # code points
    hashes_per_word: float = 0.0  # '#'
    ellipses_per_word: float = 0.0  # '...' and U+2026
    newlines_per_word: float = 0.0  # line ends of the text, those of empty lines too
    letter_words: float = 0.0  # words with at least one letter
    stop_words: int = 0  # different ones of the language's stop words (stop_words.tsv)
    stop_word_share: float = 0.0  # words that are such
    distinct_words: float = 0.0  # different words / words
    mixed_words: float = 0.0  # words with letters of two scripts (Han, Kana, Hangul, Bopomofo count as one)
    other_scripts: float = 0.0  # letters that are not of the most frequent script
    upper_letters: float = 0.0  # upper-case letters among those that have a case
    digit_characters: float = 0.0  # digits among characters that are no white space
    punctuation_characters: float = 0.0  # \p{P} among them
    symbol_characters: float = 0.0  # \p{S} among them
    curly_brackets: int = 0  # '{'
    mean_line_length: float = 0.0  # code points
    bullet_lines: float = 0.0  # lines that start with a bullet
    cut_lines: float = 0.0  # lines that end in an ellipsis
    ended_lines: float = 0.0  # lines that end in terminal punctuation of their script, and in no ellipsis
    short_lines: float = 0.0  # lines of 30 code points or fewer
    long_lines: int = 0  # lines of 200 code points or more
    prose_lines: float = 0.0  # ended lines of 5 words or more, none of 1,000 code points, that hold no policy phrase
    prose_sentences: int = 0  # ends of sentences in such lines
    policy_characters: float = 0.0  # characters in lines with a policy phrase (phrases.tsv: cookies, scripts, terms)
    placeholder: bool = False  # lorem ipsum
    repeated_lines: float = 0.0  # lines seen before on the page
    repeated_line_characters: float = 0.0  # characters in such lines, of those in lines
    repeated_paragraphs: float = 0.0  # paragraphs seen before on the page
    repeated_paragraph_characters: float = 0.0  # characters in such paragraphs, of those in lines
    top_2_gram: float = 0.0  # characters of words in the most frequent 2-gram, the longest of them, if seen twice; <= 1
    top_3_gram: float = 0.0
    top_4_gram: float = 0.0
    repeated_5_grams: float = 0.0  # characters of words in 5-grams that occur twice or more; overlaps counted once
    repeated_6_grams: float = 0.0
    repeated_7_grams: float = 0.0
    repeated_8_grams: float = 0.0
    repeated_9_grams: float = 0.0
    repeated_10_grams: float = 0.0
    compression: float = 0.0  # code points and references of a greedy parse (signals.py) / code points
    url_depth: int = 0  # parts of the URL's path
    url_parameters: int = 0  # of its query
    url_digits: int = 0  # in its path and query


_ARROW = {int: pa.uint32(), float: pa.float32(), bool: pa.bool_()}

SIGNALS = [pa.field(f.name, _ARROW[get_type_hints(Signals)[f.name]]) for f in fields(Signals)]

DOCUMENT = pa.schema(
    [
        pa.field("id", pa.binary(16)),  # hash of the record's identity (record id, URL, date)
        pa.field("url", pa.string()),
        pa.field("crawl_time", pa.timestamp("s", "UTC")),
        pa.field("source_file", pa.string()),
        pa.field("source_offset", pa.uint64()),  # byte in the file where the gzip member (frame, record) starts
        pa.field("source_length", pa.uint64()),  # its bytes in the file; 0: not known (record inside a member)
        pa.field("source_record", pa.uint32()),  # the how-manieth record of that member, from 0
        pa.field("text", pa.string()),
        pa.field("title", pa.string()),
        pa.field("language", pa.string()),  # ISO 639-3 _ ISO 15924; und_*, zxx_* where there is none
        pa.field("language_score", pa.float32()),
        pa.field("lines_in_language", pa.float32()),  # share of the looked-at lines that agree
        pa.field("language_second", pa.string()),  # of most of the other lines; empty: none is sure
        pa.field("language_runner_up", pa.string()),  # the model's next best label for the whole, empty: none
        pa.field("runner_up_score", pa.float32()),
        pa.field("charset", pa.string()),  # WHATWG name
        pa.field("charset_source", pa.string()),  # bom, utf-8, label, detector, input
        pa.field("page_language", pa.string()),  # <html lang> or Content-Language, as it stands
        pa.field("page_date", pa.date32()),  # when the page says that it was published; null: it does not
        pa.field("canonical", pa.string()),  # <link rel=canonical>, absolute
        pa.field("robots", pa.string()),  # robots meta and X-Robots-Tag, as they stand
        pa.field("noindex", pa.bool_()),  # robots: noindex or none
        pa.field("noai", pa.bool_()),  # robots: noai
        pa.field("noimageai", pa.bool_()),  # robots: noimageai
        pa.field("tdm_reserved", pa.bool_()),  # tdm-reservation: 1
        pa.field("truncated", pa.bool_()),  # the record or its body was cut short
        pa.field("text_hash", pa.uint64()),  # XXH3-64 of the text
        pa.field("text_bytes", pa.uint32()),  # of the text in UTF-8
        pa.field("url_hash", pa.uint64()),  # XXH3-64 of the normalized URL
        pa.field("site_hash", pa.uint64()),  # XXH3-64 of the host without www.
        pa.field("line_hashes", pa.list_(pa.uint64())),  # of each line, in lower case, in their order (signals.py)
        pa.field("minhash", pa.binary(4 * MINHASHES)),  # little-endian uint32
        *SIGNALS,
    ]
)

SELECTION = pa.schema(
    [
        pa.field("verdict", pa.uint8()),  # 0 kept, else the first Reason
        pa.field("reasons", pa.uint64()),  # bit set of every rule that fails (Reason.bit)
        pa.field("cluster", pa.uint64()),  # part << 32 | row of the cluster's first document; own address if alone
        pa.field("cluster_size", pa.uint32()),
        pa.field("winner", pa.uint64()),  # part << 32 | row of the document that stands for the cluster
        pa.field("copies", pa.uint8()),  # how often an epoch sees it; 0: not selected
        pa.field("validation", pa.bool_()),  # held back from training
        pa.field("lines_out", pa.list_(pa.uint16())),  # lines to leave out of its text, of those not empty, from 0
    ]
)


def metadata(**values) -> dict[bytes, bytes]:
    """Schema metadata of a part: each value as canonical JSON under its name, with the format version."""
    values = {"format": FORMAT, **values}
    return {k.encode(): json.dumps(v, sort_keys=True, separators=(",", ":")).encode() for k, v in values.items()}


def read_metadata(schema: pa.Schema) -> dict:
    """The values that `metadata` wrote; {} if there are none or they are of another format version."""
    raw = schema.metadata or {}
    if raw.get(b"format") != str(FORMAT).encode():
        return {}
    return {k.decode(): json.loads(v) for k, v in raw.items() if k not in (b"ARROW:schema", b"pandas")}


def address(part: int, row: int) -> int:
    return part << 32 | row


def place(address: int) -> tuple[int, int]:
    """(part, row) of an address."""
    return address >> 32, address & 0xFFFFFFFF
