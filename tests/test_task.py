"""Files of tasks as they are published are read by their columns."""

import json
import lzma

import pytest

from corpus.terminal import UserError
from trainer import task
from trainer.task import Example

STS = "index genre filename year old_index source1 source2 sentence1 sentence2 score"
FILES = {  # rows (fields by |), text, label, pair of the first example
    "CoLA/train.tsv": ("gj04|1||We won't buy it.\ngj04|0|*|Them buys it.", "We won't buy it.", "1", ""),
    "SST-2/train.tsv": ("sentence|label\nit 's \"fine\" |1", "it 's \"fine\" ", "1", ""),
    "MRPC/m.tsv": ("\ufeffQuality|#1 ID|#2 ID|#1 String|#2 String\n1|7|8|He did.|Did he.", "He did.", "1", "Did he."),
    "QQP/dev.tsv": ("id|qid1|qid2|question1|question2|is_duplicate\n0|1|2|Why?|How?|0", "Why?", "0", "How?"),
    "STS-B/dev.tsv": (f"{STS.replace(' ', '|')}\n0|m|M|2012|1|n|n|Yes.|No.|4.750", "Yes.", "4.750", "No."),
    "MNLI/dev.tsv": ("index|sentence1|sentence2|label1|gold_label\n1|A.|B.|neutral|-\n0|Yes.|No.|neutral|contradiction",
                     "Yes.", "contradiction", "No."),
    "QNLI/dev.tsv": ("index|question|sentence|label\n0|Who?|Me.|entailment", "Who?", "entailment", "Me."),
    "RTE/dev.tsv": ("index|sentence1|sentence2|label\n0|A.|B.|not_entailment", "A.", "not_entailment", "B."),
    "xnli.dev.tsv": ("language|gold_label|sentence1|sentence2|pairID\nar|neutral|نعم|لا|1", "نعم", "neutral", "لا"),
    "multinli.train.en.tsv": ("premise|hypo|label\nYes .|No .|contradictory", "Yes .", "contradiction", "No ."),
    "sib200/deu_Latn/train.tsv": ("index_id|category|text\n1|science|Ein Satz.", "Ein Satz.", "science", ""),
}  # fmt: skip


@pytest.mark.parametrize("name", FILES)
def test_published_tables(tmp_path, name):
    content, text, label, pair = FILES[name]
    path = tmp_path / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(content.replace("|", "\t") + "\n")
    found = task.read([str(path)], "train")
    assert (found[0].text, found[0].label, found[0].pair) == (text, label, pair)
    assert task.kind(found) == ("score" if name.startswith("STS") else "classify")
    languages = {"xnli.dev.tsv": "ar", "multinli.train.en.tsv": "en", "sib200/deu_Latn/train.tsv": "deu_Latn"}
    assert found[0].language == languages.get(name, "")


def test_json_lines_tell_their_split(tmp_path):
    path = tmp_path / "sib200_dev.jsonl.xz"
    rows = [{"lang": "ita_Latn", "split": s, "id": k, "label": "x", "text": s} for k, s in enumerate(["train", "dev"])]
    with lzma.open(path, "wt") as file:
        file.write("".join(json.dumps(r) + "\n" for r in rows))
    assert [e.text for e in task.read([str(path)], "dev")] == ["dev"]
    assert task.read([str(path)], "train")[0].language == "ita_Latn"
    with pytest.raises(UserError, match="in fin_Latn; it has ita_Latn"):
        task.read([str(path)], "train", ["fin_Latn"])


def test_questions(tmp_path):
    squad = {"data": [{"title": "t", "paragraphs": [{"context": "Anna is in Rome.", "qas": [
        {"id": "1", "question": "Where?", "answers": [{"text": "Rome", "answer_start": 11}]},
        {"id": "2", "question": "Why?", "answers": []}]}]}]}  # fmt: skip
    (tmp_path / "xquad.zh.json").write_text(json.dumps(squad))
    found = task.read([str(tmp_path / "xquad.zh.json")], "dev")
    assert found[0].answers == (("Rome", 11),)
    assert [e.language for e in found] == ["zh", "zh"]
    assert found[1].answers == ()
    assert task.kind(found) == "answer"
    short = {"lang": "en", "context": "Anna is in Rome.", "qas": [{"id": "1", "q": "Where?", "a": [["Rome", 11]]}]}
    (tmp_path / "x.jsonl").write_text(json.dumps(short) + "\n")
    assert task.read([str(tmp_path / "x.jsonl")], "dev")[0] == Example(
        "Where?", "Anna is in Rome.", answers=(("Rome", 11),), question=True, language="en", id="1"
    )


def test_tags(tmp_path):
    (tmp_path / "train.conll").write_text("-DOCSTART- O\n\nen:Anna\tB-PER\nen:sings\tO\n\nen:Rome\tB-LOC\n")
    found = task.read([str(tmp_path / "train.conll")], "train")
    assert [e.words for e in found] == [("Anna", "sings"), ("Rome",)]
    assert found[0].tags == ("B-PER", "O")
    (tmp_path / "x.jsonl").write_text(json.dumps({"tokens": ["a"], "ner_tags": ["O"]}) + "\n")
    assert task.kind(task.read([str(tmp_path / "x.jsonl")], "train")) == "tag"


def test_translations(tmp_path):
    (tmp_path / "p.tsv").write_text("Hallo.\tHello.\n\nJa.\tYes.\n")
    assert task.read_pairs(str(tmp_path / "p.tsv")) == [("Hallo.", "Hello.", ""), ("Ja.", "Yes.", "")]
    rows = [{"pair": p, "i": 0, "src": "a", "tgt": "b"} for p in ("ita-eng", "ell-eng")]
    (tmp_path / "t.jsonl").write_text("".join(json.dumps(r) + "\n" for r in rows))
    assert task.read_pairs(str(tmp_path / "t.jsonl"), ["ell-eng"]) == [("a", "b", "ell-eng")]


@pytest.mark.parametrize(("name", "content", "told"), [
    ("none.tsv", None, "not there"),
    ("plain.tsv", "one\ntwo\n", "names no columns"),
    ("cut.jsonl", '{"text": "a", "label', "not readable"),
    ("list.jsonl", "[1]\n", "row 1 is no object"),
    ("label.jsonl", '{"text": "a"}\n', "has no label"),
    ("tags.jsonl", '{"tokens": ["a", "b"], "tags": ["O"]}\n', "2 tokens and 1 tags"),
    ("bytes.tsv", b"\xff\xfe\x00", "not readable"),
    ("cut.jsonl.xz", b"\xfd7zXZ\x00\x00", "not readable"),
    ("empty.jsonl", "", "no examples"),
])  # fmt: skip
def test_mistakes_name_file_and_fix(tmp_path, name, content, told):
    if content is not None:
        (tmp_path / name).write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(UserError, match=told) as caught:
        task.read([str(tmp_path / name)], "train")
    assert name in str(caught.value)
    assert "\n" not in str(caught.value)


def test_several_kinds_are_refused():
    with pytest.raises(UserError, match="several kinds"):
        task.kind([Example("a", label="x"), Example(words=("a",), tags=("O",))])


def test_shared_files(shared):
    """What lies beside the checkout is read whole."""
    folder = shared / "tasks"
    assert len(task.read([str(folder / "sib200_dev.jsonl.xz")], "dev")) == 34 * 99
    questions = task.read([str(folder / "xquad_dev.jsonl.xz")], "dev")
    assert {e.language for e in questions} == {"en", "de", "ru", "zh", "ar"}
    assert all(e.pair[start : start + len(text)] == text for e in questions for text, start in e.answers)
    assert len(task.read_pairs(str(folder / "tatoeba_dev.jsonl.xz"))) == 17_566
