"""The figures of an audit, against numbers worked out by hand."""

import json
import math

import numpy as np
import pytest

from corpus.settings import Vocabulary as Settings
from corpus.terminal import UserError
from tokenizer import audit, vocabulary

ENGLISH = ["All human beings are born free and equal.", "They are endowed with reason and conscience."]
FINNISH = ["Kaikki ihmiset syntyvät vapaina ja tasavertaisina.", "Heille on annettu järki ja omatunto."]
CHINESE = ["人人生而自由。", "他们赋有理性和良心。"]


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """Knows English letters and words only: other letters are byte pieces."""
    lines = [line for _ in range(30) for line in ENGLISH]
    return vocabulary.train(iter(lines), Settings(size=512, coverage=1.0), str(tmp_path_factory.mktemp("v")))


@pytest.fixture(scope="module")
def rows(trained):
    texts = {"eng_Latn": ENGLISH, "fin_Latn": FINNISH, "zho_Hans": CHINESE}
    return {row.language: row for row in audit.evaluate(trained, texts, "eng_Latn")}


def test_amounts_and_ratios_are_those_of_the_encoding(trained, rows):
    for key, texts in (("eng_Latn", ENGLISH), ("fin_Latn", FINNISH), ("zho_Hans", CHINESE)):
        tokens = len(trained.encode(texts)[0])
        size = len("".join(texts).encode())
        row = rows[key]
        assert (row.texts, row.bytes, row.tokens) == (2, size, tokens)
        assert row.bytes_per_token == pytest.approx(size / tokens)
        assert row.characters_per_token == pytest.approx(len("".join(texts)) / tokens)


def test_premium_is_told_against_the_reference(rows):
    assert rows["eng_Latn"].premium == 1
    assert rows["fin_Latn"].premium == pytest.approx(rows["fin_Latn"].tokens / rows["eng_Latn"].tokens)
    assert rows["fin_Latn"].premium > 1
    least = min(rows[k].tokens for k in ("eng_Latn", "fin_Latn", "zho_Hans"))
    assert rows["fin_Latn"].to_best == pytest.approx(rows["fin_Latn"].tokens / least)
    assert min(row.to_best for row in rows.values() if row.to_best is not None) == 1
    known = [rows[k].premium for k in ("eng_Latn", "fin_Latn", "zho_Hans")]
    assert rows[audit.ALL].premium == pytest.approx(sum(known) / 3)


def test_byte_pieces_are_counted(trained, rows):
    """Each Chinese character, unknown here, is three bytes; a text begins with one piece for the space."""
    assert rows["eng_Latn"].byte_pieces == 0
    bytes_there = len("".join(CHINESE).encode())
    assert rows["zho_Hans"].byte_pieces == pytest.approx(bytes_there / (bytes_there + 2))
    assert all(row.unknown == 0 for row in rows.values())


def test_words_are_counted_where_spaces_part_them(rows):
    words = sum(len(t.split()) for t in FINNISH)
    assert rows["fin_Latn"].tokens_per_word == pytest.approx(rows["fin_Latn"].tokens / words)
    assert rows["zho_Hans"].tokens_per_word is None
    assert rows[audit.ALL].tokens_per_word is None


def test_the_row_of_all_sums_the_others(rows):
    parts = [row for key, row in rows.items() if key != audit.ALL]
    assert rows[audit.ALL].tokens == sum(row.tokens for row in parts)
    assert rows[audit.ALL].bytes == sum(row.bytes for row in parts)
    assert max(row.used for row in parts) < rows[audit.ALL].used <= 1


def test_used_is_a_share_of_what_text_can_use(trained):
    (row, _) = audit.evaluate(trained, {"und": ["\n"]})
    assert row.tokens == 2  # the space at the start, and the newline
    assert row.used == pytest.approx(2 / (trained.pieces - 5))


def test_renyi_efficiency_of_known_distributions():
    assert audit.renyi_efficiency(np.full(16, 7), 16) == pytest.approx(1)  # all alike
    assert audit.renyi_efficiency(np.array([9, 0, 0, 0]), 4) == pytest.approx(0)  # only one
    assert audit.renyi_efficiency(np.array([5, 5, 0, 0]), 4) == pytest.approx(0.5)
    shares = np.array([0.5, 0.25, 0.25])
    collision = -math.log(0.25 + 2 * 0.0625)  # order 2 by hand
    assert audit.renyi_efficiency(shares * 100, 3, alpha=2) == pytest.approx(collision / math.log(3))
    assert audit.renyi_efficiency(np.zeros(4), 4) == 0


@pytest.mark.parametrize(
    ("texts", "wanted", "key"),
    [
        ({"fin_Latn": ["a"], "eng_Latn": ["b"]}, "", "eng_Latn"),
        ({"fin_Latn x": ["a"], "eng_Latn eng-GB": ["b"], "eng_Latn eng-US": ["b"]}, "eng-US", "eng_Latn eng-US"),
        ({"fin_Latn": ["a"], "swe_Latn": ["b"]}, "", ""),
        ({"fin_Latn": ["a"], "swe_Latn": ["b"]}, "swe_Latn", "swe_Latn"),
        ({"fin_Latn": ["a", "b"], "eng_Latn": ["b"]}, "", ""),
        ({"eng_Latn": ["a"]}, "", ""),
    ],
)
def test_reference_is_english_or_what_is_asked_for(texts, wanted, key):
    assert audit.reference_of(texts, wanted) == key


@pytest.mark.parametrize("texts", [{"fin_Latn": ["a"], "swe_Latn": ["b"]}, {"fin_Latn": ["a"], "deu_Latn": []}])
def test_a_reference_that_cannot_be_is_a_mistake(texts):
    with pytest.raises(UserError, match="--reference deu_Latn"):
        audit.reference_of(texts, "deu_Latn")


def test_json_comes_back_as_rows(trained, rows, tmp_path):
    (tmp_path / audit.AUDIT).write_text(audit.to_json(trained, list(rows.values()), {}), encoding="utf-8")
    values = json.loads((tmp_path / audit.AUDIT).read_text(encoding="utf-8"))
    assert values["vocabulary"] == trained.digest
    assert (
        values["summary"]["premium_worst_language"]
        == max((r for k, r in rows.items() if k != audit.ALL), key=lambda r: r.premium).language
    )
    again = audit.read(str(tmp_path))
    assert [r.tokens for r in again] == [r.tokens for r in rows.values()]
    assert again[1].premium == pytest.approx(rows["fin_Latn"].premium, abs=1e-4)


@pytest.mark.parametrize("content", [None, "{", '{"rows": [{"language": "x"}]}'])
def test_audit_that_cannot_be_read_is_a_mistake(tmp_path, content):
    if content is not None:
        (tmp_path / audit.AUDIT).write_text(content)
    with pytest.raises(UserError, match="name texts to evaluate on"):
        audit.read(str(tmp_path))


def test_table_is_aligned_and_ends_with_the_premiums(rows):
    *table, last = audit.to_table(list(rows.values())).split("\n")
    assert len(table) == 1 + len(rows)
    assert len({len(line) for line in table}) == 1
    assert table[0].split()[:3] == ["language", "texts", "bytes/token"]
    assert last.startswith("premium: mean ")
    assert last.endswith(" fin_Latn")


def test_no_texts_give_no_rows(trained):
    assert audit.evaluate(trained, {}) == []
    assert audit.evaluate(trained, {"eng_Latn": []}) == []


def test_texts_known_not_to_be_parallel_have_no_reference():
    texts = {"fin_Latn": ["a"], "eng_Latn": ["b"]}
    assert audit.reference_of(texts, parallel=False) == ""
    with pytest.raises(UserError, match="not parallel"):
        audit.reference_of(texts, "fin_Latn", parallel=False)


def test_vocabularies_side_by_side(trained, tmp_path):
    """Another one that knows Finnish; rows that one of them lacks are left out."""
    other = vocabulary.train(FINNISH * 30, Settings(size=640, coverage=1.0), str(tmp_path))
    texts = {"eng_Latn": ENGLISH, "fin_Latn": FINNISH}
    tables = {"a": audit.evaluate(trained, {**texts, "zho_Hans": ENGLISH}, "eng_Latn")}
    tables["b"] = audit.evaluate(other, texts, "eng_Latn")
    lines = [line.split() for line in audit.side_by_side(tables).splitlines()]
    assert [line[0] for line in lines[:4]] == ["bytes/token", "eng_Latn", "fin_Latn", "all"]
    assert float(lines[1][1]) > float(lines[1][2])
    assert float(lines[2][1]) < float(lines[2][2])
    assert lines[-2][-1] in texts
