"""Documents that share text with evaluation sets are found, in scripts with and without spaces, and no others."""

import json
import random
import re
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from corpus.terminal import UserError
from pipeline import decontamination, duplicates, reading, report
from pipeline.__main__ import main
from pipeline.decontamination import RUN, UNSPACED_RUN, Finder, load, runs
from tests import key_folder

WORDS = [f"word{k}" for k in range(500)]
HAN = "".join(chr(0x4E00 + 7 * k) for k in range(400))


def text(seed: int, count: int = 40) -> str:
    return " ".join(random.Random(seed).choices(WORDS, k=count))


def chinese(seed: int, count: int = 80) -> str:
    return "".join(random.Random(seed).choices(HAN, k=count))


@pytest.fixture(scope="module")
def finder(tmp_path_factory) -> Finder:
    folder = tmp_path_factory.mktemp("sets")
    rows = {
        "reading": [{"context": text(1), "questions": [{"q": text(2, 10), "answers": ["short one", 3, None]}]}],
        "chinese": [{"text": chinese(3)}, {"text": chinese(4, 9)}],
        "thai": [{"text": "ประเทศไทยเป็นประเทศในเอเชียตะวันออกเฉียงใต้มีประชากรประมาณเจ็ดสิบล้านคน"}],
    }
    for name, lines in rows.items():
        body = "\n".join(json.dumps(line, ensure_ascii=False) for line in lines)
        (folder / f"{name}.test.jsonl").write_text(body + "\n\n", encoding="utf-8")
    return Finder(load(map(str, folder.glob("*.jsonl"))))


def named(finder: Finder, document: str) -> set[str]:
    marks = finder.marks(document)
    return {name for k, name in enumerate(finder.sets.names) if marks >> k & 1}


def test_sets_are_read_whole_and_what_is_too_short_is_counted(finder):
    assert finder.sets.names == ("chinese", "reading", "thai")
    assert finder.sets.texts == {"reading": 3, "chinese": 2, "thai": 1}
    assert finder.sets.too_short == {"reading": 1, "chinese": 1, "thai": 0}


@pytest.mark.parametrize("shared", [RUN - 1, RUN])
def test_a_run_of_thirteen_words_marks(finder, shared):
    quoted = " ".join(text(1).split()[5 : 5 + shared])
    assert named(finder, f"{text(7)} {quoted} {text(8)}") == ({"reading"} if shared == RUN else set())


@pytest.mark.parametrize("shared", [UNSPACED_RUN - 1, UNSPACED_RUN])
def test_a_run_of_characters_without_spaces_marks(finder, shared):
    document = chinese(8) + "。" + chinese(3)[10 : 10 + shared] + "，" + chinese(9)
    assert named(finder, document) == ({"chinese"} if shared == UNSPACED_RUN else set())


def test_thai(finder):
    assert named(finder, "ข่าววันนี้ ประเทศไทยเป็นประเทศในเอเชียตะวันออกเฉียงใต้มีประชากร มาก") == {"thai"}
    assert named(finder, "ข่าววันนี้ ประเทศลาวเป็นประเทศเล็ก") == set()


def test_case_punctuation_and_space_do_not_count(finder):
    quoted = ", ".join(w.upper() for w in text(1).split()[:RUN])
    assert named(finder, quoted.replace(", ", ",\n", 2)) == {"reading"}


def test_short_texts_count_as_a_whole(finder):
    whole = text(2, 10)
    assert named(finder, f"{text(9)} {whole} {text(10)}") == {"reading"}
    assert named(finder, whole.rpartition(" ")[0]) == set()


def test_unrelated_texts_are_not_marked(finder):
    assert decontamination.column([text(k, 300) for k in range(100, 200)], finder).tolist() == [0] * 100


def test_counts_by_set(finder):
    marks = decontamination.column([text(1), chinese(3), text(1) + chinese(3), text(99)], finder)
    assert decontamination.count(marks, finder.sets.names) == {"chinese": 2, "reading": 2, "thai": 0}


@given(st.lists(st.sampled_from("abc"), max_size=30), st.integers(1, 9))
def test_as_many_distinct_hashes_as_distinct_runs(given_, width):
    hashes = duplicates.word_hashes(" ".join(given_))
    wanted = {tuple(given_[k : k + width]) for k in range(len(given_) - width + 1)}
    assert len(set(runs(hashes, width).tolist())) == len(wanted)
    assert len(runs(hashes, width)) == max(0, len(given_) - width + 1)


def test_digest_tells_sets_apart(tmp_path, finder):
    (tmp_path / "a.jsonl").write_text(json.dumps({"t": text(1)}))
    one = load([str(tmp_path / "a.jsonl")]).digest
    assert one == load([str(tmp_path / "a.jsonl")]).digest
    (tmp_path / "a.jsonl").write_text(json.dumps({"t": text(2)}))
    assert one != load([str(tmp_path / "a.jsonl")]).digest


@pytest.mark.parametrize("body", [b"{", b"\xff\xfe", b'{"a": 1}\n[1,', b"[" * 100_000])
def test_files_that_are_none(tmp_path, body):
    (tmp_path / "x.jsonl").write_bytes(body)
    with pytest.raises(UserError, match="name a JSON Lines file"):
        load([str(tmp_path / "x.jsonl")])


def test_marked_documents_are_reported_by_set_and_rejected(tmp_path, capsys):
    given_ = [{"text": f"{text(k, 30)} end"} for k in range(6)]
    path = key_folder.write(tmp_path / "out", given_, 2)
    sets = [tmp_path / "first.jsonl", tmp_path / "second.jsonl"]
    sets[0].write_text(json.dumps({"q": text(1, 30)}) + "\n" + json.dumps({"q": text(2, 30)}))
    sets[1].write_text(json.dumps([text(1, 20), text(77, 30)]))
    command = ["annotate", str(path), "--workers", "1", "--decontaminate", *map(str, sets)]
    assert main(command) == 0
    assert "of them 2 first, 1 second" in capsys.readouterr().err
    key_folder.select(path)
    found = [v for _, v in sorted(key_folder.verdicts(path).items())]
    assert found == ["", "CONTAMINATED", "CONTAMINATED", "", "", ""]
    shown = Path(report.write(str(path))).read_text()
    for name, documents in (("first", 2), ("second", 1)):
        assert re.search(rf"{name}</code></td><td[^>]*>2</td><td[^>]*>0</td><td[^>]*>{documents}</td>", shown)
    told = "\n".join(reading.why(str(path), "https://site1.example/1"))
    assert "shares text with an evaluation set: first, second\n" in told


def test_no_sets_mark_nothing():
    assert Finder(load([])).marks(text(1)) == 0
    assert decontamination.column([], Finder(load([]))).dtype == np.uint64
