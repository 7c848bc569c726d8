"""What a vocabulary is trained on: kept rows only, balanced, the same whatever the order."""

import bz2
import gzip
import json
import lzma
import random

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from corpus.document import DOCUMENT, SELECTION
from corpus.terminal import UserError
from tokenizer import sample, texts

HEADER = "part\tpath\tsize\ttag\tstart\tlength\n"


def write(path, schema, rows):
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.Table.from_pylist(rows, schema=schema), path, compression="zstd")


def document(number, language, text):
    return {
        "id": number.to_bytes(16, "big"),
        "language": language,
        "text": text,
        "characters": len(text) if text else None,
    }


def chosen(copies=1, validation=False):
    return {"copies": copies, "validation": validation}


def make_corpus(folder, parts):
    """`parts`: lists of (document, selection row)."""
    names = [f"part-{k:04}.parquet" for k in range(len(parts))]
    for name, rows in zip(names, parts, strict=True):
        write(folder / "documents" / name, DOCUMENT, [d for d, _ in rows])
        write(folder / "selection" / name, SELECTION, [s for _, s in rows])
    (folder / "documents" / "items.tsv").write_text(HEADER + "".join(f"{n}\tx\t1\tt\t0\t1\n" for n in names))
    return str(folder)


def documents(language, count, first, length=50):
    return [
        (document(first + k, language, f"{language} {first + k} ".ljust(length, "x")), chosen()) for k in range(count)
    ]


def drawn(folder, alpha=0.3, characters=10_000, seed=0):
    found = sample.sources([folder])
    return list(sample.draw(found, sample.plan(sample.survey(found), alpha, characters, seed)))


def test_only_kept_rows_are_counted_and_drawn(tmp_path):
    rows = [
        (document(1, "fin_Latn", "kept"), chosen()),
        (document(2, "fin_Latn", "rejected"), chosen(copies=0)),
        (document(3, "fin_Latn", "validation"), chosen(validation=True)),
        (document(4, "fin_Latn", "kept thrice"), chosen(copies=3)),
        (document(5, None, "of no language"), chosen()),
        (document(6, "fin_Latn", None), chosen()),
    ]
    folder = make_corpus(tmp_path, [rows, []])
    assert sample.survey(sample.sources([folder])) == {"fin_Latn": 15, "und": 14}
    assert {d.text for d in drawn(folder)} == {"kept", "kept thrice", "of no language"}


def test_parts_that_the_plan_does_not_list_are_not_read(tmp_path):
    folder = make_corpus(tmp_path, [documents("fin_Latn", 3, 0)])
    write(tmp_path / "documents" / "part-orphan.parquet", DOCUMENT, [document(9, "fin_Latn", "orphan")])
    write(tmp_path / "selection" / "part-orphan.parquet", SELECTION, [chosen()])
    assert {d.text.split()[1] for d in drawn(folder)} == {"0", "1", "2"}


def test_order_and_cut_into_parts_do_not_matter(tmp_path):
    rows = documents("eng_Latn", 400, 0) + documents("fin_Latn", 100, 1000) + documents("swe_Latn", 30, 2000)
    mixed = rows[:]
    random.Random(1).shuffle(mixed)
    one = drawn(make_corpus(tmp_path / "a", [rows]))
    many = drawn(make_corpus(tmp_path / "b", [mixed[:7], mixed[7:300], [], mixed[300:]]))
    assert sorted(one) == sorted(many)
    assert 0 < len(one) < len(rows)


def test_seed_decides_what_is_drawn(tmp_path):
    folder = make_corpus(tmp_path, [documents("eng_Latn", 400, 0)])
    first, again, other = (drawn(folder, seed=s) for s in (0, 0, 1))
    assert first == again
    assert first != other


def test_languages_get_their_shares(tmp_path):
    """16 times the text at alpha 0.5: 4 times the sample."""
    folder = make_corpus(tmp_path, [documents("eng_Latn", 8000, 0), documents("fin_Latn", 500, 10_000)])
    amounts = {"eng_Latn": 0, "fin_Latn": 0}
    for d in drawn(folder, alpha=0.5, characters=50_000):
        if not d.held_out:
            amounts[d.language] += len(d.text)
    assert sum(amounts.values()) == pytest.approx(50_000, rel=0.1)
    assert amounts["eng_Latn"] / amounts["fin_Latn"] == pytest.approx(4, rel=0.2)


def test_held_out_texts_are_not_in_the_sample(tmp_path):
    folder = make_corpus(tmp_path, [documents("eng_Latn", 1000, 0)])
    found = drawn(folder, characters=10**9)
    held = {d.text for d in found if d.held_out}
    rest = {d.text for d in found if not d.held_out}
    assert not held & rest
    assert len(held | rest) == 1000  # a sample larger than the corpus takes all of it
    assert len(held) == pytest.approx(1000 * sample.HELD_OUT_SHARE, rel=0.5)


amount_tables = st.dictionaries(st.text("abc", min_size=1, max_size=3), st.floats(1, 1e9), min_size=1, max_size=8)


@given(amount_tables, st.floats(0, 1), st.floats(1, 1e10))
def test_budgets_are_spent_in_full_and_never_exceed_what_there_is(amounts, alpha, characters):
    given = sample.budgets(amounts, alpha, characters)
    assert set(given) == set(amounts)
    assert all(0 < given[k] <= amounts[k] * (1 + 1e-9) for k in amounts)
    assert sum(given.values()) == pytest.approx(min(characters, sum(amounts.values())))


def test_budgets_worked_out_by_hand():
    """Alike for all three would be 100; b has 20 only, so the others share 280."""
    assert sample.budgets({"a": 1000, "b": 20, "c": 500}, 0.0, 300) == pytest.approx({"a": 140, "b": 20, "c": 140})


def test_corpus_without_selection_names_the_command(tmp_path):
    folder = make_corpus(tmp_path, [documents("eng_Latn", 3, 0)])
    (tmp_path / "selection" / "part-0000.parquet").unlink()
    with pytest.raises(UserError, match=f"run python -m pipeline select {folder}"):
        sample.sources([folder])


def test_selection_of_other_documents_is_a_mistake(tmp_path):
    folder = make_corpus(tmp_path, [documents("eng_Latn", 3, 0)])
    write(tmp_path / "selection" / "part-0000.parquet", SELECTION, [chosen()])
    with pytest.raises(UserError, match=r"part-0000.parquet: 1 rows for 3 documents; run python -m pipeline select"):
        sample.survey(sample.sources([folder]))


def test_missing_and_damaged_documents_are_mistakes(tmp_path):
    folder = make_corpus(tmp_path, [documents("eng_Latn", 3, 0)])
    path = tmp_path / "documents" / "part-0000.parquet"
    path.write_bytes(path.read_bytes()[:-20])
    with pytest.raises(UserError, match=r"part-0000.parquet: .*run python -m pipeline extract again"):
        sample.survey(sample.sources([folder]))
    path.unlink()
    with pytest.raises(UserError, match=r"part-0000.parquet: listed in items.tsv but not there"):
        sample.survey(sample.sources([folder]))


def test_input_without_text_is_a_mistake(tmp_path):
    folder = make_corpus(tmp_path, [[(document(1, "eng_Latn", "text"), chosen(copies=0))]])
    with pytest.raises(UserError, match="no kept text"):
        sample.survey(sample.sources([folder]))


def test_limit_takes_the_first_sources(tmp_path):
    folder = make_corpus(tmp_path, [documents("eng_Latn", 3, 0), documents("fin_Latn", 3, 10)])
    assert list(sample.survey(sample.sources([folder], 1))) == ["eng_Latn"]


def test_digests_change_with_the_selection_and_not_with_the_place(tmp_path):
    parts = [documents("eng_Latn", 3, 0)]
    here, there = (sample.digests(sample.sources([make_corpus(tmp_path / n, parts)])) for n in "ab")
    assert here == there
    write(tmp_path / "a" / "selection" / "part-0000.parquet", SELECTION, [chosen(), chosen(), chosen(copies=0)])
    assert sample.digests(sample.sources([str(tmp_path / "a")])) != here


# --- files of text ------------------------------------------------------------------------------------------------

WANTED = [texts.Text("fin_Latn", "Hyvää päivää."), texts.Text("fin_Latn", "yötä\u2028 \x85sitä")]
PLAIN = "\ufeffHyvää päivää.\r\n\n  \nyötä\u2028 \x85sitä\n".encode()
TABLE = "label\tsource\ttext\nfin_Latn\tx\tHyvää päivää.\nfin_Latn\ty\työtä\u2028 \x85sitä\n".encode()
OBJECTS = b"".join(json.dumps({"text": t.text, "language": t.language}).encode() + b"\n" for t in WANTED)


@pytest.mark.parametrize(
    ("name", "data"),
    [
        ("fin_Latn.txt", PLAIN),
        ("fin_Latn-2.txt.gz", gzip.compress(PLAIN)),
        ("fin_Latn.bz2", bz2.compress(PLAIN)),
        ("fin_Latn.txt.zst", pa.compress(PLAIN, "zstd", asbytes=True)),
        ("any.tsv", TABLE),
        ("any.tsv.xz", lzma.compress(TABLE[:60]) + lzma.compress(TABLE[60:])),
        ("any.jsonl", OBJECTS),
        ("any.ndjson.gz", gzip.compress(OBJECTS)),
    ],
)
def test_formats_give_the_same_texts(tmp_path, name, data):
    (tmp_path / name).write_bytes(data)
    assert list(texts.read(str(tmp_path / name))) == WANTED


@pytest.mark.parametrize("column", ["language", "label"])
def test_parquet_gives_the_same_texts(tmp_path, column):
    rows = [{"text": t.text, column: t.language, "other": 1} for t in [*WANTED, texts.Text("fin_Latn", "")]]
    pq.write_table(pa.Table.from_pylist(rows), tmp_path / "any.parquet")
    assert list(texts.read(str(tmp_path / "any.parquet"))) == WANTED


def test_parallel_tables_tell_their_files(tmp_path):
    (tmp_path / "any.tsv").write_text("file\tlabel\tline\ttext\neng-GB\teng_Latn\t1\thello\n")
    assert list(texts.read(str(tmp_path / "any.tsv"))) == [("eng_Latn", "hello", "eng-GB")]


@pytest.mark.parametrize(
    ("name", "data", "fact"),
    [
        ("a.txt", b"\xff\xfe\n", "not UTF-8"),
        ("a.txt.gz", b"no gzip", "look at the file"),
        ("a.txt.gz", gzip.compress(b"text " * 99)[:-12], "look at the file"),
        ("a.txt.xz", b"no xz", "look at the file"),
        ("a.txt.zst", b"no zstd", "look at the file"),
        ("a.parquet", b"no parquet", "look at the file"),
        ("a.tsv", b"label\twords\n", "no column `text`"),
        ("a.tsv", b"label\ttext\nfin_Latn\n", "line 2 has 1 cells"),
        ("a.jsonl", b'{"text": "x"}\n{', "line 2 is no JSON object"),
        ("a.jsonl", b"[1]\n", "line 1 is no JSON object"),
        ("a.jsonl", b'{"text": 1}\n', "line 1: `text` or `language` is no string"),
    ],
)
def test_files_that_cannot_be_read_are_one_line(tmp_path, name, data, fact):
    (tmp_path / name).write_bytes(data)
    with pytest.raises(UserError) as caught:
        list(texts.read(str(tmp_path / name)))
    assert str(caught.value).startswith(f"{tmp_path / name}: ")
    assert fact in str(caught.value)
    assert "\n" not in str(caught.value)


def test_files_are_drawn_by_content(tmp_path):
    lines = [f"line number {k}" for k in range(3000)]
    random.Random(2).shuffle(lines)
    for name, some in (("a.txt", sorted(lines)), ("b.txt", lines)):
        (tmp_path / name).write_text("\n".join(some))
    one, other = (drawn(str(tmp_path / n), characters=9000) for n in ("a.txt", "b.txt"))
    assert sorted(one) == sorted(other)
    assert sum(len(d.text) for d in one if not d.held_out) == pytest.approx(9000, rel=0.1)
