"""The contracts: what a value means never changes under the same name, since corpora on disk hold it."""

from dataclasses import fields

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from corpus import document
from corpus.document import (
    DOCUMENT,
    SELECTION,
    SIGNALS,
    Reason,
    Signals,
    address,
    metadata,
    place,
    read_metadata,
    rejections,
)

NUMBERS = {
    "OTHER_RECORD": 1, "REVISIT": 2, "BROKEN_RECORD": 3, "HTTP_ERROR": 4, "NOT_HTML": 5, "TOO_LARGE": 6,
    "UNDECODABLE": 7, "TOO_COMPLEX": 8, "CRASHED": 9, "EMPTY": 10, "ROBOTS": 32, "NOAI": 33,
    "TDM": 34, "BLOCKED": 35, "NO_LANGUAGE": 36, "UNSURE_LANGUAGE": 37, "OTHER_LANGUAGE": 38, "TOO_SHORT": 39,
    "TOO_LONG": 40, "WORD_LENGTH": 41, "SYMBOLS": 42, "FEW_LETTERS": 43, "FEW_STOP_WORDS": 44, "DIGITS": 45,
    "UPPER_CASE": 46, "SIGNS": 47, "MIXED_SCRIPTS": 48, "BULLETS": 49, "CUT_LINES": 50, "LOOSE_LINES": 51,
    "SHORT_LINES": 52, "FEW_SENTENCES": 53, "REPEATED_LINES": 54, "REPEATED_PARAGRAPHS": 55, "TOP_WORDS": 56,
    "REPEATED_WORDS": 57, "MONOTONOUS": 58, "PLACEHOLDER": 59, "CODE": 60, "POLICY": 61, "LINK": 62, "QUALITY": 63,
    "SAME_URL": 80, "SAME_TEXT": 81, "NEAR_DUPLICATE": 82, "NOT_DRAWN": 83,
}  # fmt: skip


def test_reasons_keep_their_numbers():
    """Within a format a new reason gets a new number; none is reused, or old parts would tell lies."""
    assert document.FORMAT == 3
    assert {r.name: int(r) for r in Reason}.items() >= NUMBERS.items()


def test_each_reason_is_a_drop_or_has_a_bit_of_its_own():
    bits = [r.bit for r in Reason if not r.is_drop]
    assert len(set(bits)) == len(bits)
    assert all(0 < b < 1 << 64 for b in bits), "they fit the selection's column"
    assert all(r < 32 for r in Reason if r.is_drop)
    assert all(r.about and r.about[0].islower() for r in Reason)
    assert all(r < 256 for r in Reason), "a verdict is one byte"


@given(st.sets(st.sampled_from([r for r in Reason if not r.is_drop])))
def test_a_bit_set_and_back(reasons):
    assert rejections(sum(r.bit for r in reasons)) == sorted(reasons)


def test_the_columns_of_a_document():
    assert [f.name for f in SIGNALS] == [f.name for f in fields(Signals)]
    assert DOCUMENT.names[-len(SIGNALS) :] == [f.name for f in SIGNALS]
    assert len(set(DOCUMENT.names)) == len(DOCUMENT.names)
    assert DOCUMENT.field("words").type == pa.uint32()
    assert DOCUMENT.field("letter_words").type == pa.float32()
    assert DOCUMENT.field("placeholder").type == pa.bool_()
    assert DOCUMENT.field("minhash").type == pa.binary(4 * document.MINHASHES)
    assert set(DOCUMENT.names).isdisjoint(SELECTION.names)


@given(st.integers(0, (1 << 32) - 1), st.integers(0, (1 << 32) - 1))
def test_an_address_and_back(part, row):
    assert place(address(part, row)) == (part, row)
    assert address(part, row) < 1 << 64


@given(st.tuples(st.integers(0, 99), st.integers(0, 99)), st.tuples(st.integers(0, 99), st.integers(0, 99)))
def test_addresses_sort_as_places(a, b):
    assert (address(*a) < address(*b)) == (a < b)


LEAF = st.none() | st.booleans() | st.integers() | st.text(max_size=9)
JSON = st.recursive(LEAF, lambda v: st.lists(v) | st.dictionaries(st.text(max_size=9), v), max_leaves=8)


@given(st.dictionaries(st.sampled_from(["receipt", "fingerprint", "x"]), JSON))
def test_metadata_and_back(values):
    schema = DOCUMENT.with_metadata(metadata(**values))
    assert read_metadata(schema) == {"format": document.FORMAT, **values}


def test_metadata_is_the_same_for_equal_values():
    assert metadata(a={"x": 1, "y": 2}) == metadata(a={"y": 2, "x": 1})


@pytest.mark.parametrize(
    "raw", [None, {}, {b"x": b"1"}, {b"format": b"99", b"x": b"1"}, {b"format": b"", b"x": b"broken"}]
)
def test_metadata_of_others_is_none_of_ours(raw):
    assert read_metadata(DOCUMENT.with_metadata(raw)) == {}


def test_metadata_beside_that_of_other_writers():
    raw = {**metadata(x=1), b"ARROW:schema": b"\xff\xfe", b"pandas": b"{}"}
    assert read_metadata(pa.schema([], raw)) == {"format": document.FORMAT, "x": 1}
