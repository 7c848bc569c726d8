"""What the language model is trained on: drawn the same way each time, thin labels left out or filled up."""

import hashlib
import random

import pytest

from pipeline import fasttext_file, train_language

LINES = {
    "eng_Latn": "The committee will publish its long report about the new school at the end of the month number",
    "fin_Latn": "Valiokunta julkaisee raporttinsa uudesta koulusta kuukauden lopussa ja sitten taas kerran numero",
}


@pytest.fixture
def tables(tmp_path):
    text = tmp_path / "text.tsv"
    rows = [f"{label}\ttest\t{line} {'xyzab'[k % 5]}\n" for label, line in LINES.items() for k in range(100)]
    rows += [
        "tah_Latn\ttest\tTeie te hoê reta poto\n",
        "pcm_Latn\ttest\tHow you dey\n" * 900,
        "qqq_Latn\ttest\tabc\n" * 9000,
    ]
    text.write_text("label\tsource\ttext\n" + "".join(rows), encoding="utf-8")
    frequencies = tmp_path / "words.tsv"
    frequencies.write_text("label\tbcp47\tword\tcount\nsmo_Latn\tsm\to\t9\nsmo_Latn\tsm\tle\t4\n", encoding="utf-8")
    return [str(text), str(frequencies)]


def test_examples(tables):
    lines = list(train_language.examples(tables, 0))
    assert lines == list(train_language.examples(tables, 0))
    assert lines != list(train_language.examples(tables, 1))
    labels = {line.split(" ")[0] for line in lines}
    assert labels == {
        "__label__eng_Latn",
        "__label__fin_Latn",
        "__label__smo_Latn",
    }  # tah thin, pcm left out, qqq unknown
    assert all(line.endswith("\n") and line == line.lower().replace("_latn", "_Latn") for line in lines)
    drawn = [line for line in lines if line.startswith("__label__smo_Latn")]
    assert sum(len(line) - len("__label__smo_Latn ") - 1 for line in drawn) >= train_language.WORD_CHARACTERS


@pytest.mark.parametrize(
    "line", ["one", "one two", "a b c d e f g h i j k l m", "中文没有空格所以按字符来剪切这一行文字"]
)
def test_crop_is_a_piece(line):
    draw = random.Random(0)
    for _ in range(50):
        piece = train_language.crop(line, draw)
        assert piece
        assert piece in line
        assert len(piece.split(" ")) <= 9


def test_training_twice_gives_the_same_bytes(tables, tmp_path, monkeypatch):
    monkeypatch.setitem(train_language.SETTINGS, "bucket", 1_000)
    digests = [train_language.train(tables, str(tmp_path / name), 0) for name in ("a.ftz", "b.ftz")]
    assert digests[0] == digests[1] == hashlib.sha256((tmp_path / "b.ftz").read_bytes()).hexdigest()
    assert (tmp_path / "a.ftz.sha256").read_text().strip() == digests[0]
    model = fasttext_file.load(str(tmp_path / "a.ftz"))
    assert model.normalised
    assert model.predict("koulusta kuukauden lopussa\n", 1, 0.0, "strict")[0][1] == "__label__fin_Latn"
