"""Lists of words as classifiers: what counts as one, in every script; the file; the way to C4's rule."""

import pytest

from corpus.terminal import UserError
from pipeline import annotate, bad_words, quality

LIST = bad_words.List(["Damn", "bloody hell", "चूतिया", "馬鹿", "2g1c"], "")


@pytest.mark.parametrize(
    ("text", "score"),
    [
        ("a clean text", 1.0),
        ("well, DAMN!", 0.5),
        ("damned damnation", 1.0),  # whole words
        ("oh Bloody\nhell no", 0.75),
        ("bloody cold hell", 1.0),
        ("वह चूतिया है", pytest.approx(2 / 3)),
        ("चूति", 1.0),
        ("君は馬鹿だ", 0.0),  # found inside a run, which is one word
        ("2g1c?", 0.0),
        ("", 1.0),
    ],
)
def test_score(text, score):
    assert LIST(text) == score


def test_the_file(tmp_path):
    path = tmp_path / "words.txt"
    path.write_text("# a comment\n\nDamn\n", encoding="utf-8")
    score = quality.load(str(path))
    assert score("damn it") == 0.5
    assert score("# a comment") == 1.0
    (column,) = annotate.quality_columns([f"clean={path}"])
    before = annotate.digest(column)
    path.write_text("Damn\nheck\n", encoding="utf-8")
    quality.load.cache_clear()
    assert annotate.digest(column) != before


@pytest.mark.parametrize(
    ("data", "words"), [(b"\xff\xfe", "not UTF-8"), (b"# nothing\n", "no words"), (None, "No such file")]
)
def test_mistakes(tmp_path, data, words):
    path = tmp_path / "words.txt"
    if data is not None:
        path.write_bytes(data)
    with pytest.raises(UserError, match=words):
        bad_words.read(str(path))
