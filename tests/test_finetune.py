"""A model learns a task; what is written tells the same when it is opened again."""

import json
from dataclasses import replace

import numpy as np
import pytest
import torch
from task_model import write_examples, write_model

from corpus.settings import Finetune
from corpus.terminal import Progress, UserError
from tokenizer.vocabulary import Vocabulary
from trainer import finetune, head, prediction, task, texts, tuning
from trainer.__main__ import main
from trainer.finetune import Data
from trainer.head import Task
from trainer.task import Example

QUICK = ["--epochs", "3", "--examples", "16", "--length", "32", "--tuning-rate", "2e-3", "--quiet"]


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return write_model(tmp_path_factory.mktemp("pretrained") / "model")


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    folder = tmp_path_factory.mktemp("files")
    write_examples(folder / "train.tsv", 200, 0, ("eng_Latn", "deu_Latn"))
    write_examples(folder / "dev.tsv", 60, 1, ("eng_Latn", "deu_Latn"))
    return folder


def test_it_learns_and_tells_zero_shot_apart(model, files, tmp_path, capsys):
    """Trained on one language, judged on two."""
    out = tmp_path / "out"
    command = ["finetune", str(model), "--train", str(files / "train.tsv"), "--dev", str(files / "dev.tsv"),
               "--languages", "eng_Latn", "--output", str(out), "--seeds", "2", *QUICK]  # fmt: skip
    assert main(command) == 0
    told = capsys.readouterr().out
    assert "zero-shot" in next(line for line in told.splitlines() if line.startswith("deu_Latn"))
    found = json.loads((out / "metrics.json").read_text())
    assert found["trained"] == ["eng_Latn"]
    assert found["figures"]["dev"]["eng_Latn"]["accuracy"] > 0.9
    assert len(found["seeds"]) == 2
    predictions = [json.loads(line) for line in (out / "dev-predictions.jsonl").read_text().splitlines()]
    hits = np.mean([p["predicted"] == p["label"] for p in predictions if p["language"] == "eng_Latn"])
    assert hits == pytest.approx(found["figures"]["dev"]["eng_Latn"]["accuracy"])
    assert (
        main(["evaluate", str(out), "--data", str(files / "dev.tsv"), "--output", str(tmp_path / "f.json"), "--quiet"])
        == 0
    )
    again = json.loads((tmp_path / "f.json").read_text())[str(files / "dev.tsv")][str(out)]
    assert again["eng_Latn"]["accuracy"] == found["figures"]["dev"]["eng_Latn"]["accuracy"]
    assert main(["inspect", str(out)]) == 0
    assert main(["report", str(out)]) == 0
    assert "zero-shot" in (out / "report.html").read_text()


def prepared(model, files):
    """Rows to learn from and to judge by, as a run takes them."""
    data = Data(task.read([str(files / "train.tsv")], "train")[:64], task.read([str(files / "dev.tsv")], "dev"), [])
    vocabulary = Vocabulary.load(str(model / "vocabulary"))
    wanted = finetune.task_of(data, 32, 512)
    return tuple(prediction.prepare(e, wanted, vocabulary) for e in (data.train, data.dev)), vocabulary


def one_run(model, sets, vocabulary, folder, settings, seed=0):
    made = finetune.course(head.open_body(str(model))[0], sets, settings, vocabulary, seed, torch.device("cpu"))
    (found,), code = tuning.learn(lambda _: made, [seed], str(folder), Progress("finetune", 1, quiet=True))
    assert code == 0
    return found


def test_same_seed_same_weights(model, files, tmp_path):
    sets, vocabulary = prepared(model, files)
    settings = Finetune(epochs=1, examples=16)
    runs = [one_run(model, sets, vocabulary, tmp_path / str(k), settings, s) for k, s in enumerate((0, 0, 1))]
    one, two, other = (r.weights["head.out.weight"] for r in runs)
    assert torch.equal(one, two)
    assert not torch.equal(one, other)


def test_a_run_is_not_given_up_in_its_first_half(model, files, tmp_path, monkeypatch):
    """A small model tells all texts alike for some epochs; that is no reason to stop. The best weights are kept."""
    (train, _), vocabulary = prepared(model, files)
    few = replace(train, examples=train.examples[:16], rows=train.rows[:16], targets=train.targets[:16])
    figures = iter([0.3] * 9 + [0.9] + [0.5] * 10)
    seen = []

    def score(made, *_):
        seen.append(made.head.out.weight.detach().clone())
        return next(figures)

    monkeypatch.setattr(finetune, "score", score)
    found = one_run(model, (few, few), vocabulary, tmp_path, Finetune(epochs=20, examples=16))
    assert (found.best, found.epoch, len(found.looks)) == (0.9, 10.0, 13)
    assert torch.equal(found.weights["head.out.weight"], seen[9])


LINES = ("born free", "free", "equal and free in dignity and rights and reason and dignity", "born with reason")
KINDS = {
    "classify": [Example(w, label=w[0]) for w in LINES],
    "score": [Example(w, "rights", label=f"{len(w)}.5") for w in LINES],
    "tag": [Example(words=tuple(w.split()), tags=tuple("XO"[len(x) % 2] for x in w.split())) for w in LINES],
    "answer": [
        Example("who", w, answers=(("free", w.find("free")),) if "free" in w else (), question=True) for w in LINES
    ],
}


@pytest.mark.parametrize("kind", KINDS)
def test_packed_rows_learn_as_single_ones(model, kind):
    """Loss and gradients of a step are those of each row by itself, without padding."""
    vocabulary, examples = Vocabulary.load(str(model / "vocabulary")), KINDS[kind]
    labels = {"classify": ("b", "e", "f"), "tag": ("O", "X")}.get(kind, ())
    made = head.TaskModel(head.open_body(str(model))[0], Task(kind, labels, 32)).eval()
    rows = prediction.prepare(examples, made.task, vocabulary)
    numbers = [2, 0, 3, 1]
    inputs, _ = texts.packed([rows.rows[n] for n in numbers])
    assert len(inputs.tokens) < len(numbers)
    found = finetune._loss(made, rows, numbers, None)
    found.backward()
    gradients = {n: w.grad.clone() for n, w in made.named_parameters() if w.grad is not None}
    made.zero_grad()
    each = [
        (made(texts.inputs([rows.rows[n]])), prediction.target(rows, [n], len(rows.rows[n].tokens))) for n in numbers
    ]
    if kind == "tag":
        each = [tuple(torch.cat(parts, 1) for parts in zip(*each, strict=True))]
    expected = torch.stack([prediction.loss(made.task, *one) for one in each]).mean()
    expected.backward()
    assert found.item() == pytest.approx(expected.item(), rel=1e-5)
    for name, weight in made.named_parameters():
        if weight.grad is not None:
            assert torch.allclose(gradients[name], weight.grad, atol=1e-5 * float(weight.grad.abs().max()) + 1e-7), name


def test_empty_words_have_no_tag(model):
    """And those behind them keep theirs."""
    vocabulary = Vocabulary.load(str(model / "vocabulary"))
    example, known = Example(words=("free", "", "born"), tags=("O", "O", "X")), Task("tag", ("O", "X"), 32)
    (target,) = prediction.prepare([example], known, vocabulary).targets
    logits = np.zeros((len(target), 2))
    logits[np.flatnonzero(target == 1), 1] = 1
    assert prediction._tags(example, target, logits, known.labels) == ["O", "O", "X"]


def test_lower_layers_learn_slower(tmp_path):
    body, _ = head.open_body(str(write_model(tmp_path / "own", share="none")))
    made = head.TaskModel(body, Task("classify", ("a", "b"), 32))
    layers = {n: finetune.layer_of(n, made) for n, _ in made.named_parameters()}
    assert layers["head.out.weight"] == 0
    assert layers["body.encoder.attentions.1.into.weight"] == 1
    assert layers["body.encoder.feed_forwards.0.wide.bias"] == 2
    assert layers["body.embeddings.tokens.weight"] == 3


def test_balance_makes_up_for_frequency():
    prepared = prediction.Prepared(Task("classify", ("a", "b"), 8), [], [], [0, 0, 0, 1])
    weights = finetune.balance(prepared)
    assert weights.tolist() == pytest.approx([4 / 6, 2.0])


def learned(model, tmp_path, rows, **changes):
    """Fits a model to some rows and predicts them."""
    path = tmp_path / "rows.jsonl"
    path.write_text("".join(json.dumps(r, ensure_ascii=False) + "\n" for r in rows))
    out = tmp_path / "out"
    flags = {"epochs": "12", "examples": "8", "length": "48", "tuning-rate": "2e-3", **changes}
    given = [part for name, value in flags.items() for part in (f"--{name}", value)]
    assert (
        main(
            ["finetune", str(model), "--train", str(path), "--dev", str(path), "--output", str(out), *given, "--quiet"]
        )
        == 0
    )
    return json.loads((out / "metrics.json").read_text())["figures"]["dev"][""]


def test_tags_are_learned(model, tmp_path):
    words = {"O": ["free", "equal", "born"], "B-X": ["dignity", "rights", "reason"]}
    rng = np.random.default_rng(0)
    rows = []
    for _ in range(40):
        tags = [("O", "B-X")[int(k)] for k in rng.integers(2, size=5)]
        rows.append({"tokens": [str(rng.choice(words[t])) for t in tags], "tags": tags})
    assert learned(model, tmp_path, rows)["f1"] > 0.9


def test_scores_are_learned(model, tmp_path):
    rng = np.random.default_rng(0)
    rows = []
    for _ in range(60):
        count = int(rng.integers(6))
        text = " ".join(["free"] * count + ["born"] * (6 - count))
        rows.append({"sentence1": text, "sentence2": "equal", "score": f"{count / 5:.2f}"})
    assert learned(model, tmp_path, rows, epochs="20")["pearson"] > 0.8


def test_answers_are_found_in_long_texts(model, tmp_path):
    """The answer is the word behind 'dignity', wherever in a text of several windows."""
    rng = np.random.default_rng(0)
    rows = []
    for k in range(30):
        words = [str(w) for w in rng.choice(["free", "equal", "born", "with"], 40)]
        at = int(rng.integers(38))
        words[at], words[at + 1] = "dignity", ("reason", "rights")[k % 2]
        context = " ".join(words)
        start = context.index(words[at + 1])
        rows.append({"context": context, "qas": [{"id": str(k), "q": "dignity", "a": [[words[at + 1], start]]}]})
    found = learned(model, tmp_path, rows, epochs="10")
    assert found["exact"] > 0.6


def test_spans_run_forwards_and_not_too_far():
    logits = np.full((60, 2), -5.0)
    logits[10, 0], logits[5, 1], logits[12, 1], logits[59, 1] = 9, 9, 3, 9
    assert prediction.span(logits, 3)[1:] == (10, 12)
    assert prediction.span(np.zeros((4, 2)), 3)[0] == -np.inf


@pytest.mark.parametrize(("change", "told"), [
    ({"dev": [Example("a", label="0.5")]}, "give one task"),
    ({"train": [Example("a", label="x")]}, "all examples have the label x"),
    ({"length": 4000}, "this model takes 8 to 512"),
])  # fmt: skip
def test_mistakes(change, told):
    good = [Example("a", label="x"), Example("b", label="y")]
    data = Data(change.get("train", good), change.get("dev", good), [])
    with pytest.raises(UserError, match=told):
        finetune.task_of(data, change.get("length", 32), 512)


def test_labels_that_training_did_not_have(model):
    vocabulary = Vocabulary.load(str(model / "vocabulary"))
    with pytest.raises(UserError, match="'z' is not among those of training"):
        prediction.prepare([Example("a", label="z")], Task("classify", ("x", "y"), 32), vocabulary)
