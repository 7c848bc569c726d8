"""Models on tasks: retrieval by margin against its formula, frozen states, one table."""

import json

import numpy as np
import pytest
from task_model import TEXT, write_examples, write_model

from tokenizer.vocabulary import Vocabulary
from trainer import evaluate, head, retrieval
from trainer.__main__ import main


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return write_model(tmp_path_factory.mktemp("pretrained") / "model")


def test_margin_is_its_formula():
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(6, 5)), rng.normal(size=(7, 5))
    found = retrieval.margin(x, y, 2)
    cosines = np.array([[a @ b / np.linalg.norm(a) / np.linalg.norm(b) for b in y] for a in x])
    for i in range(6):
        for j in range(7):
            near = np.sort(cosines[i])[-2:].sum() / 4 + np.sort(cosines[:, j])[-2:].sum() / 4
            assert found[i, j] == pytest.approx(cosines[i, j] / near)
    assert retrieval.csls(x, y, 2)[0, 0] == pytest.approx(
        2 * cosines[0, 0] - np.sort(cosines[0])[-2:].mean() - np.sort(cosines[:, 0])[-2:].mean()
    )


def test_a_sentence_finds_itself(model):
    body, _ = head.open_body(str(model))
    vocabulary = Vocabulary.load(str(model / "vocabulary"))
    sentences = [f"{text}{k}" for k in range(9) for text in TEXT.values()]
    found = retrieval.vectors(body, vocabulary, sentences)
    assert retrieval.hits(found, found).all()
    alone = np.concatenate([retrieval.vectors(body, vocabulary, [s]) for s in sentences])
    assert np.allclose(found, alone, atol=1e-5)  # padding changes nothing


def test_one_table_for_folders_of_all_kinds(model, tmp_path, capsys):
    """A folder of ours and its export tell the same of translations and of labelled texts."""
    rows = [{"pair": "deu-eng", "src": f"gleich {k} frei", "tgt": f"equal {k} free"} for k in range(20)]
    (tmp_path / "pairs.jsonl").write_text("".join(json.dumps(r) + "\n" for r in rows))
    examples = []
    for split, seed in (("train", 0), ("dev", 1)):
        write_examples(tmp_path / "x.tsv", 80, seed)
        for line in (tmp_path / "x.tsv").read_text().splitlines()[1:]:
            text, label, language = line.split("\t")
            examples.append({"text": text, "label": label, "language": language, "split": split})
    (tmp_path / "task.jsonl").write_text("".join(json.dumps(r) + "\n" for r in examples))
    assert main(["export", str(model), "--output", str(tmp_path / "out"), "--no-onnx", "--quiet"]) == 0
    files = [str(tmp_path / "pairs.jsonl"), str(tmp_path / "task.jsonl")]
    command = ["evaluate", str(model), str(tmp_path / "out"), *(p for f in files for p in ("--data", f))]
    capsys.readouterr()
    assert main([*command, "--output", str(tmp_path / "f.json"), "--quiet"]) == 0
    told = capsys.readouterr().out
    assert told.count("deu-eng") == 2
    found = json.loads((tmp_path / "f.json").read_text())
    for path in files:
        ours, theirs = found[path].values()
        assert ours == theirs
    assert found[files[0]][str(model)]["deu-eng"]["accuracy"] > 0.2
    assert found[files[1]][str(model)]["eng_Latn"]["accuracy"] > 0.8


def test_ridge_is_the_minimum():
    """Nearby weights are worse."""
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(30, 3)), rng.normal(size=(30, 2))
    found = evaluate.ridge(x, y, x.mean(0), x.std(0))

    def cost(w):
        z = np.c_[(x - x.mean(0)) / x.std(0), np.ones(30)]
        return ((z @ w - y) ** 2).sum() + evaluate.PENALTY * np.sqrt(30) * (w[:-1] ** 2).sum()

    assert all(cost(found) < cost(found + rng.normal(size=found.shape) * 0.01) for _ in range(20))


def test_a_task_that_was_not_learned_is_refused(model, tmp_path, capsys):
    (tmp_path / "x.jsonl").write_text(json.dumps({"tokens": ["a"], "tags": ["O"]}) + "\n")
    assert main(["evaluate", str(model), "--data", str(tmp_path / "x.jsonl"), "--quiet"]) == 2
    assert "finetune it first" in capsys.readouterr().err
