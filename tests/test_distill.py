"""Distillation: the loss is its formula, and a student comes nearer to its teacher."""

import json
import math

import pytest
import torch
from task_model import TEXT, write_model
from token_folder import quick, write_shard

from corpus import shards
from corpus.terminal import UserError
from tokenizer.vocabulary import Vocabulary
from trainer import distill, head, plan
from trainer.__main__ import main


@pytest.fixture(scope="module")
def teacher(tmp_path_factory):
    return write_model(tmp_path_factory.mktemp("teacher") / "model", share="none")


@pytest.fixture(scope="module")
def tokens(teacher, tmp_path_factory):
    """Shards of the teacher's vocabulary."""
    folder, vocabulary = tmp_path_factory.mktemp("tokens"), Vocabulary.load(str(teacher / "vocabulary"))
    infos = []
    for language, text in TEXT.items():
        for validation in (False, True):
            documents = [vocabulary.encode([f"{text * (1 + k % 4)}{k}"])[0].tolist() for k in range(20)]
            name = f"{'validation/' if validation else ''}{language}.arrow"
            infos.append(write_shard(folder, name, documents, language, validation=validation))
    shards.write_manifest(str(folder), shards.Manifest(vocabulary.digest, vocabulary.size, "f", tuple(infos)))
    return str(folder)


def test_relation_loss_is_its_formula():
    """MiniLMv2's, written out for one window; the number of heads of either side does not matter."""
    torch.manual_seed(0)
    student, teacher = ([torch.randn(1, 5, 2, 8) for _ in range(3)] for _ in range(2))
    real = torch.tensor([[True, True, True, True, False]])
    sight = (real[:, None, :, None] & real[:, None, None, :]) | torch.eye(5, dtype=torch.bool)
    found = distill.relation_loss(student, teacher, 4, sight, real)
    total = 0.0
    for ours, theirs in zip(student, teacher, strict=True):
        for head_ in range(4):
            a, b = (t.reshape(5, 16)[:4, head_ * 4 : head_ * 4 + 4] for t in (ours, theirs))
            p, q = ((t @ t.T / math.sqrt(4)).softmax(1) for t in (b, a))
            total += float((p * (p / q).log()).sum(1).mean()) / 4
    assert float(found) == pytest.approx(total / 3, rel=1e-5)
    assert distill.relation_loss(teacher, teacher, 4, sight, real) == pytest.approx(0, abs=1e-6)


@pytest.mark.parametrize(("one", "two", "heads"), [(768, 384, 48), (256, 128, 32), (128, 128, 32), (192, 128, 32)])
def test_relation_heads_divide_both(one, two, heads):
    assert distill.relation_heads(one, two) == heads


def test_the_upper_layer_teaches():
    assert [distill.upper(n) for n in (2, 6, 12, 24)] == [2, 5, 10, 21]


def test_a_student_comes_nearer(teacher, tokens, tmp_path, capsys):
    command = ["distill", str(teacher), tokens, "--losses", "relations,hidden,logits", "--size", "tiny",
               "--steps", "40", "--sequence", "64", "--batch", "4", "--learning-rate", "2e-3",
               "--output", str(tmp_path / "out"), "--quiet"]  # fmt: skip
    assert main(command) == 0
    told = capsys.readouterr().out
    assert "student" in told
    assert "losses on text held back: relations" in told
    rows = [json.loads(line) for line in (tmp_path / "out" / "log.jsonl").read_text().splitlines()]
    for name in ("relations", "hidden", "logits"):
        assert rows[-1][name] < rows[0][name]
    body, config = head.open_body(str(tmp_path / "out"))
    assert body.tower.share == "all"
    assert config["teacher"] == str(teacher)
    assert main(["report", str(tmp_path / "out")]) == 0
    assert main(["export", str(tmp_path / "out"), "--output", str(tmp_path / "hf"), "--no-onnx", "--quiet"]) == 0


def test_an_exported_folder_teaches_too(teacher, tokens, tmp_path):
    assert main(["export", str(teacher), "--output", str(tmp_path / "hf"), "--no-onnx", "--quiet"]) == 0
    found, folder = distill.open_teacher(str(tmp_path / "hf"), 1)
    assert folder == str(tmp_path / "hf")
    assert found.layer == 1
    assert found.whole is None
    planned = plan.plan(tokens, quick(steps=2), Vocabulary.load(folder))
    assert distill.distill(planned, found, str(tmp_path / "out"), vocabulary=folder, place="hf", quiet=True) == 0
    with pytest.raises(UserError, match="logits need a teacher"):
        distill.distill(planned, found, str(tmp_path / "x"), losses=("logits",), vocabulary=folder, place="hf")


def test_mistakes(teacher, tokens, tmp_path):
    with pytest.raises(UserError, match="--layer: 9; the teacher has 2 layers"):
        distill.open_teacher(str(teacher), 9)
    found, folder = distill.open_teacher(str(teacher))
    planned = plan.plan(tokens, quick(), Vocabulary.load(folder))
    with pytest.raises(UserError, match="--losses: spirit; give some of relations"):
        distill.distill(planned, found, str(tmp_path / "x"), losses=("spirit",), vocabulary=folder, place="x")
