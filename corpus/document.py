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
"""Values of a MinHash signature (14 bands of 8 rows, as FineWeb, arXiv:2406.17557)."""


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
    TOO_SHORT = 39, "fewer words than min_words"
    TOO_LONG = 40, "more words than max_words"
    WORD_LENGTH = 41, "mean word length outside its bounds"
    SYMBOLS = 42, "too many # and ellipses per word"
    FEW_LETTERS = 43, "too few words with a letter"
    BULLETS = 44, "nearly all lines are bullet points"
    CUT_LINES = 45, "too many lines end in an ellipsis"
    LOOSE_LINES = 46, "too few lines end in punctuation"
    REPEATED_LINES = 47, "too much of the text is in repeated lines"
    REPEATED_WORDS = 48, "too much of the text is in repeated runs of words"
    PLACEHOLDER = 49, "placeholder text (lorem ipsum)"
    SAME_URL = 50, "the same URL has a better version"
    SAME_TEXT = 51, "the same text stands elsewhere"
    NEAR_DUPLICATE = 52, "nearly the same text stands elsewhere"
    NOT_DRAWN = 53, "left out by resampling"

    @property
    def is_drop(self) -> bool:
        return self < 32

    @property
    def bit(self) -> int:
        """The rejection's place in the selection's bit set `reasons`."""
        return 1 << (self - 32)


def rejections(bits: int) -> list[Reason]:
    """The bit set of a selection row as reasons, first the verdict."""
    return [r for r in Reason if not r.is_drop and bits & r.bit]


@dataclass(slots=True)
class Signals:
    """What the rules look at. Shares are of 1; 'line' = non-empty line of the clean text; words per words.py."""

    characters: int = 0  # code points
    words: int = 0
    lines: int = 0
    mean_word_length: float = 0.0  # code points
    symbols_per_word: float = 0.0  # '#' and ellipses
    letter_words: float = 0.0  # words with at least one letter
    digit_characters: float = 0.0  # digits among characters that are no white space
    bullet_lines: float = 0.0  # lines that start with a bullet
    cut_lines: float = 0.0  # lines that end in an ellipsis
    ended_lines: float = 0.0  # lines that end in terminal punctuation of their script
    short_lines: float = 0.0  # lines of 30 code points or fewer
    repeated_lines: float = 0.0  # lines seen before on the page
    repeated_line_characters: float = 0.0  # characters in such lines
    repeated_words: float = 0.0  # words inside a run of five words seen before on the page
    placeholder: bool = False  # lorem ipsum


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
        pa.field("url_hash", pa.uint64()),  # XXH3-64 of the normalized URL
        pa.field("site_hash", pa.uint64()),  # XXH3-64 of the host without www.
        pa.field("minhash", pa.binary(4 * MINHASHES)),  # little-endian uint32
        *SIGNALS,
    ]
)

SELECTION = pa.schema(
    [
        pa.field("verdict", pa.uint8()),  # 0 kept, else the first Reason
        pa.field("reasons", pa.uint32()),  # bit set of every rule that fails (Reason.bit)
        pa.field("cluster", pa.uint64()),  # part << 32 | row of the cluster's first document; own address if alone
        pa.field("cluster_size", pa.uint32()),
        pa.field("winner", pa.uint64()),  # part << 32 | row of the document that stands for the cluster
        pa.field("copies", pa.uint8()),  # how often an epoch sees it; 0: not selected
        pa.field("validation", pa.bool_()),  # held back from training
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
