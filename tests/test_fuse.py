"""Fusion: its formulas, and whom it refuses."""

import json
from dataclasses import replace

import pytest
import torch
from task_model import write_examples, write_model
from token_folder import Vocabulary as Fake
from token_folder import quick, write_folder

from corpus.terminal import UserError
from trainer import checkpoint, fuse, judge, plan, pretrain, task
from trainer.__main__ import main

BASE = {"w": torch.zeros(2, 3), "b": torch.tensor([1.0, 1.0])}
ONE = {"w": torch.tensor([[1.0, -2, 0], [0, 0, 4]]), "b": torch.tensor([1.0, 3.0])}
TWO = {"w": torch.tensor([[3.0, 2, 0], [0, -1, 2]]), "b": torch.tensor([1.0, 1.0])}


def test_average():
    found = fuse.average([ONE, TWO], [1, 3])
    assert torch.allclose(found["w"], torch.tensor([[2.5, 1, 0], [0, -0.75, 2.5]]))
    same = fuse.average([ONE, ONE, ONE], [1, 1, 1])
    assert all(torch.equal(same[k], ONE[k]) for k in ONE)


def test_task_vectors():
    found = fuse.tasks(BASE, [ONE, TWO], [0.5, 0.5], 1.0)
    assert all(torch.allclose(found[k], fuse.average([ONE, TWO], [1, 1])[k]) for k in BASE)
    twice = fuse.tasks(BASE, [ONE], [1.0], 2.0)
    assert twice["b"].tolist() == [1, 5]


def test_ties():
    """Keep half of eight values, elect the sign, mean of those that agree; written out by hand."""
    found = fuse.ties(BASE, [ONE, TWO], 1.0, keep=0.5)
    # ONE keeps 4, -2, 2 (b) and 1; TWO keeps 3, 2, 2, -1.
    assert found["w"].tolist() == [[2.0, 0.0, 0.0], [0.0, -1.0, 3.0]]
    assert found["b"].tolist() == [1.0, 3.0]


def test_a_soup_is_never_worse_than_its_best_parent():
    """On the half that chooses. A parent that spoils it is left out."""
    weights = [{"x": torch.tensor([v])} for v in (1.0, 3.0, 100.0)]

    def near_two(w, half):
        return -abs(float(w["x"]) - 2.0)

    found, taken = fuse.soup(weights, near_two)
    assert sorted(taken) == [0, 1]
    assert float(found["x"]) == 2.0


@pytest.fixture(scope="module")
def branches(tmp_path_factory):
    """A base and two branches of it, each trained on from its weights with another seed's windows."""
    folder = tmp_path_factory.mktemp("branches")
    tokens = write_folder(folder / "tokens")
    pretrain.pretrain(plan.plan(tokens, quick(), Fake()), str(folder / "base"), quiet=True)
    for name, seed in (("one", 1), ("two", 2)):
        planned = plan.plan(tokens, quick(seed=seed, steps=6), Fake(), start=str(folder / "base"))
        pretrain.pretrain(planned, str(folder / name), quiet=True)
    pretrain.pretrain(plan.plan(tokens, quick(seed=9, steps=6), Fake()), str(folder / "stranger"), quiet=True)
    for name in ("base", "one", "two", "stranger"):
        (folder / name / "vocabulary").mkdir()
    return folder


@pytest.mark.parametrize("method", ["average", "tasks", "ties"])
def test_branches_of_one_base(branches, tmp_path, method, capsys):
    places, base = [str(branches / n) for n in ("one", "two")], str(branches / "base")
    assert fuse.fuse(places, str(tmp_path / "out"), method=method, base="" if method == "average" else base) == 0
    made, config = checkpoint.open_model(str(tmp_path / "out"))
    assert config["fused"]
    one, two = (checkpoint.open_model(p)[0].state_dict() for p in places)
    if method == "average":
        assert all(torch.allclose(w, (one[n] + two[n]) / 2, atol=1e-6) for n, w in made.state_dict().items())
    assert all(torch.isfinite(w).all() for w in made.parameters())


def test_judged_on_shards(branches, tmp_path, capsys, monkeypatch):
    """A soup is chosen on one half of the validation shards and told on the other, beside its parents."""
    monkeypatch.setattr("tokenizer.vocabulary.Vocabulary.load", lambda _: Fake())
    places = [str(branches / n) for n in ("one", "two")]
    made = judge.of_tokens(str(branches / "tokens"), torch.device("cpu"))
    assert fuse.fuse(places, str(tmp_path / "out"), method="soup", judge=made) == 0
    told = capsys.readouterr().out
    assert all(place in told for place in places)
    judged = made(fuse.open_parents(places))
    weights = fuse.open_parents(places)[0].weights
    assert judged(weights, 0) != judged(weights, 1)
    assert judged(weights, 0) < 0


def test_strangers_are_refused(branches, tmp_path):
    places = [str(branches / n) for n in ("one", "stranger")]
    with pytest.raises(UserError, match=r"stranger: not from the weights .* distill"):
        fuse.fuse(places, str(tmp_path / "out"))
    other = plan.plan(str(branches / "tokens"), replace(quick(), shape="share=none", steps=1), Fake())
    pretrain.pretrain(other, str(tmp_path / "shape"), quiet=True)
    with pytest.raises(UserError, match="another model than"):
        fuse.fuse([str(branches / "one"), str(tmp_path / "shape")], str(tmp_path / "out"))


@pytest.mark.parametrize(("arguments", "told"), [
    (["{d}/one", "--output", "{o}"], "name two or more"),
    (["{d}/one", "{d}/two", "--output", "{o}", "--shares", "1,x"], "no numbers"),
    (["{d}/one", "{d}/two", "--output", "{o}", "--shares", "1"], "--shares: 1 for 2 models"),
    (["{d}/one", "{d}/two", "--output", "{o}", "--method", "ties"], "--base"),
    (["{d}/one", "{d}/two", "--output", "{o}", "--method", "soup"], "give --dev"),
    (["{d}/one", "{d}/nowhere", "--output", "{o}"], "nowhere"),
])  # fmt: skip
def test_mistakes_are_one_line(branches, tmp_path, arguments, told, capsys):
    assert main(["fuse", *(a.format(d=branches, o=tmp_path / "o") for a in arguments)]) == 2
    error = capsys.readouterr().err
    assert told in error
    assert error.count("\n") == 1


def test_tuned_models_make_a_soup(tmp_path, capsys):
    """Two seeds of one task from one pretrained model."""
    model = write_model(tmp_path / "model")
    write_examples(tmp_path / "train.tsv", 100, 0)
    write_examples(tmp_path / "dev.tsv", 60, 1)
    for seed in ("0", "1"):
        command = ["finetune", str(model), "--train", str(tmp_path / "train.tsv"), "--dev", str(tmp_path / "dev.tsv")]
        flags = ["--output", str(tmp_path / seed), "--seed", seed, "--epochs", "1", "--length", "32", "--quiet"]
        assert main([*command, *flags]) == 0
    out = str(tmp_path / "soup")
    places = [str(tmp_path / s) for s in "01"]
    assert main(["fuse", *places, "--method", "soup", "--dev", str(tmp_path / "dev.tsv"), "--output", out]) == 0
    assert main(["evaluate", out, "--data", str(tmp_path / "dev.tsv"), "--quiet"]) == 0
    halves = judge.split(task.read([str(tmp_path / "dev.tsv")], "dev"))
    assert [len(h) for h in halves] == [30, 30]
    assert json.loads((tmp_path / "soup" / "config.json").read_text())["method"].startswith("soup of")
