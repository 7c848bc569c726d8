"""Runs of finetune and align that were stopped and go on: the bytes of one that was not stopped; other runs refused."""

import json
import os
import signal
from pathlib import Path

import pytest
import torch
from task_model import write_examples, write_model

from corpus.settings import Finetune
from trainer import align, checkpoint, finetune, tuning
from trainer.__main__ import main

FLAGS = ["--epochs", "3", "--examples", "16", "--tuning-rate", "1e-3", "--device", "cpu", "--quiet"]
STEPS = {"finetune": 24, "align": 18}  # 2 seeds of 3 epochs of 4; 3 epochs of 6


class Killed(BaseException):
    """Nobody catches it, as nobody catches a SIGKILL."""


@pytest.fixture(scope="module")
def place(tmp_path_factory) -> Path:
    """A model, examples, translations, and what comes out if nothing stops the commands."""
    folder = tmp_path_factory.mktemp("tuning")
    write_model(folder / "model")
    write_examples(folder / "train.tsv", 30, 0, ("eng_Latn", "deu_Latn"))
    write_examples(folder / "dev.tsv", 20, 1, ("eng_Latn", "deu_Latn"))
    rows = [f"frei {k * 7 % 120}\tfree {k * 7 % 120}" for k in range(130)]
    (folder / "pairs.tsv").write_text("\n".join(rows) + "\n")
    for name in STEPS:
        assert main(command(name, folder, folder / f"whole-{name}")) == 0
    return folder


def command(name: str, place: Path, output: Path, *more: str) -> list[str]:
    given = {
        "finetune": ["--train", "train.tsv", "--dev", "dev.tsv", "--length", "32", "--seeds", "2"],
        "align": ["--pairs", "pairs.tsv", "--method", "contrastive"],
    }[name]
    given = [str(place / word) if word.endswith(".tsv") else word for word in given]
    return [name, str(place / "model"), *given, "--output", str(output), *FLAGS, *more]


def files(folder: Path) -> dict[str, bytes]:
    return {str(p.relative_to(folder)): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}


def broken(monkeypatch, at: int, how) -> list[int]:
    """`how` is called behind step number `at` of the steps from here on; the list tells how many were done."""
    done, step = [], tuning._step

    def counted(*arguments):
        step(*arguments)
        done.append(arguments[2])
        if len(done) == at:
            how()

    monkeypatch.setattr(tuning, "_step", counted)
    return done


def kill():
    raise Killed


@pytest.mark.parametrize("name", list(STEPS))
@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
def test_stopped_equals_not_stopped(place, tmp_path, capsys, name, number, code):
    """In the first epoch, on a look of the first seed or within the second, and once more; nothing is done twice."""
    out, before, steps = tmp_path / "out", signal.getsignal(number), 0
    for at in (3, 9, 3):
        with pytest.MonkeyPatch.context() as patch:
            steps += len(done := broken(patch, at, lambda: os.kill(os.getpid(), number)))
            assert main(command(name, place, out)) == code
        steps += len(done)
        assert signal.getsignal(number) == before
        told = capsys.readouterr()
        assert told.err == f"{out}: stopped and saved; run the same command again to go on from here\n"
        assert told.out == ""
        assert os.listdir(out) == [tuning.FOLDER]
    with pytest.MonkeyPatch.context() as patch:
        done = broken(patch, 0, kill)
        assert main(command(name, place, out)) == 0
    assert steps + len(done) == STEPS[name]
    assert files(out) == files(place / f"whole-{name}")


@pytest.mark.parametrize("name", list(STEPS))
def test_killed_equals_not_killed(place, tmp_path, monkeypatch, name):
    """What was done behind the last look is done again; a seed that is over is not."""
    out = tmp_path / "out"
    with monkeypatch.context() as patch:
        broken(patch, 15, kill)
        with pytest.raises(Killed):
            main(command(name, place, out))
    with monkeypatch.context() as patch:
        done = broken(patch, 0, kill)
        assert main(command(name, place, out)) == 0
    assert len(done) == STEPS[name] - 12
    assert files(out) == files(place / f"whole-{name}")


def test_killed_while_the_end_is_written(place, tmp_path, monkeypatch):
    out = tmp_path / "out"
    with monkeypatch.context() as patch:
        patch.setattr(checkpoint, "copy_vocabulary", lambda *_: kill())
        with pytest.raises(Killed):
            main(command("finetune", place, out))
    with monkeypatch.context() as patch:
        done = broken(patch, 0, kill)
        assert main(command("finetune", place, out)) == 0
    assert done == []
    assert files(out) == files(place / "whole-finetune")


@pytest.mark.parametrize("name", list(STEPS))
def test_a_finished_run_holds_nothing_else_and_does_nothing_more(place, tmp_path, monkeypatch, capsys, name):
    out = place / f"whole-{name}"
    before = {p: p.stat().st_mtime_ns for p in out.rglob("*")}
    assert not [p for p in before if p.name.startswith(".") or p.name == tuning.FOLDER]
    assert [p.name for p in (out / "checkpoints").iterdir()] == [
        "step-00000002" if name == "finetune" else "step-00000001"
    ]
    monkeypatch.setattr(tuning, "_step", lambda *_: kill())
    assert main(command(name, place, out)) == 0
    assert capsys.readouterr().out.startswith(f"{out}: finished, nothing to do; next: ")
    assert {p: p.stat().st_mtime_ns for p in out.rglob("*")} == before


@pytest.mark.parametrize("done", [True, False], ids=["finished", "begun"])
@pytest.mark.parametrize(("name", "change", "told"), [
    ("finetune", ["--epochs", "4"], "epochs 3.0, not 4.0"),
    ("finetune", ["--balance"], "balance False, not True"),
    ("finetune", ["--train", "dev.tsv"], "other train"),
    ("finetune", ["--seed", "1"], "seed 0, not 1"),
    ("align", ["--layer", "2"], "layer 1, not 2"),
    ("align", ["--method", "procrustes"], "method 'contrastive', not 'procrustes'"),
    ("align", ["--limit", "100"], "other train"),
])  # fmt: skip
def test_another_run_is_refused(place, tmp_path, capsys, name, change, told, done):
    out = place / f"whole-{name}"
    if not done:
        out = tmp_path / "out"
        with pytest.MonkeyPatch.context() as patch:
            broken(patch, 1, lambda: os.kill(os.getpid(), signal.SIGTERM))
            assert main(command(name, place, out)) == 143
    capsys.readouterr()
    before = files(out)
    assert main(command(name, place, out, *(str(place / c) if c.endswith(".tsv") else c for c in change))) == 2
    assert capsys.readouterr().err == f"error: {out}: a run with {told}; take the same or name another --output\n"
    assert files(out) == before


def test_another_model_is_refused(place, tmp_path, capsys):
    write_model(tmp_path / "model", seed=5)
    given = command("finetune", place, place / "whole-finetune")
    assert main([given[0], str(tmp_path / "model"), *given[2:]]) == 2
    assert "a run with other model" in capsys.readouterr().err


def test_what_has_saved_nothing_binds_nobody(place, tmp_path, monkeypatch):
    """A command that failed before its first look does not keep the folder from a better one."""
    out = tmp_path / "out"
    with monkeypatch.context() as patch:
        broken(patch, 1, kill)
        with pytest.raises(Killed):
            main(command("align", place, out, "--epochs", "9"))
    assert main(command("align", place, out)) == 0
    assert files(out) == files(place / "whole-align")


def test_other_things_are_not_written_over(place, tmp_path, capsys):
    (tmp_path / "cat.jpg").write_bytes(b"cat")
    for output in (tmp_path, place / "model"):
        assert main(command("finetune", place, output)) == 2
        assert "holds something already" in capsys.readouterr().err


def test_what_is_not_finished_is_no_model(place, tmp_path, capsys):
    with pytest.MonkeyPatch.context() as patch:
        broken(patch, 1, lambda: os.kill(os.getpid(), signal.SIGTERM))
        main(command("finetune", place, tmp_path / "out"))
    capsys.readouterr()
    assert main(["evaluate", str(tmp_path / "out"), "--data", str(place / "dev.tsv"), "--quiet"]) == 2
    assert "not finished" in capsys.readouterr().err


def test_no_number_is_told_and_leaves_nothing(place, tmp_path, capsys, monkeypatch):
    """The same folder is free for a lower rate."""
    with monkeypatch.context() as patch:
        patch.setattr(finetune, "_loss", lambda made, *_: made.head.out.weight.sum() * float("nan"))
        assert main(command("finetune", place, tmp_path / "out")) == 1
    assert capsys.readouterr().err == "failed: the loss is no number any more; lower --tuning-rate\n"
    assert main(command("finetune", place, tmp_path / "out", "--tuning-rate", "1e-4")) == 0


@pytest.mark.parametrize(("most", "told"), [
    (5, "16 at a time are too much for memory ("), (5, "; 4 fit: --examples 4"), (0, "not even one fits memory ("),
])  # fmt: skip
def test_too_little_memory(place, tmp_path, capsys, monkeypatch, most, told):
    """Examples that fit are found by trying."""
    loss, contrast = finetune._loss, align.contrast

    def starved(count, call, *arguments):
        if count > most:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return call(*arguments)

    monkeypatch.setattr(finetune, "_loss", lambda m, t, numbers, w: starved(len(numbers), loss, m, t, numbers, w))
    monkeypatch.setattr(align, "contrast", lambda b, sides, k: starved(len(sides[0]), contrast, b, sides, k))
    for name in STEPS:
        assert main(command(name, place, tmp_path / name)) == 2
        error = capsys.readouterr().err
        assert error.startswith("error: --examples: ")
        assert error.count("\n") == 1
        assert told in error


def test_each_example_once_in_an_epoch():
    made = torch.nn.Linear(1, 1)
    course = tuning.Course(made, lambda _: made.weight.sum(), 10, 4, 3, 9, 0.1, 0)
    epochs = [[n for step in range(e * 3, e * 3 + 3) for n in course.numbers(step)] for e in range(3)]
    assert all(sorted(e) == list(range(10)) for e in epochs)
    assert epochs[0] != epochs[1] != epochs[2]
    assert [len(course.numbers(k)) for k in range(3)] == [4, 4, 2]


def test_identity_is_of_examples_not_of_files(place):
    pairs = [("a", "b", "x")] * 3
    one, two = (tuning.identity(Finetune(), str(place / "model"), {"train": p}) for p in (pairs, pairs[:2]))
    assert one["train"] != two["train"]
    assert json.loads(json.dumps(one)) == one
    assert one == tuning.identity(Finetune(), str(place / "model"), {"train": list(pairs)})


def test_a_damaged_state_is_told(place, tmp_path):
    with pytest.MonkeyPatch.context() as patch:
        broken(patch, 1, lambda: os.kill(os.getpid(), signal.SIGTERM))
        main(command("align", place, tmp_path))
    for path in tmp_path.rglob("*.safetensors"):
        path.write_bytes(b"x")
    assert main(command("align", place, tmp_path)) == 2
