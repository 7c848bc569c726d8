"""Distillation: losses are their formulas, a student comes nearer to its teacher, and the run is pretraining's: stopped
and gone on with it ends with the same bytes, in parts and processes it has the same losses."""

import dataclasses
import html
import json
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from run_folder import lines, same
from task_model import TEXT, write_model
from token_folder import quick, write_shard

from corpus import shards
from corpus.terminal import UserError, amount
from tokenizer.vocabulary import Vocabulary
from trainer import checkpoint, distill, head, plan, pretrain, recorded
from trainer import run as runs
from trainer.__main__ import main
from trainer.attention import see
from trainer.checkpoint import MODEL, OPTIMIZER
from trainer.log import FILE as LOG
from trainer.objectives import Batch
from trainer.run import Run

ROOT = Path(__file__).resolve().parents[1]
CPU = torch.device("cpu")
WEIGHED = {"loss_weights": "deu_Latn=2", "mask": "0.3/12:0.1", "ngram": 2}


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


def test_the_upper_layer_teaches():
    assert [distill.upper(n) for n in (2, 6, 12, 24)] == [2, 5, 10, 21]


def run(teacher, tokens, output, *, limit=None, losses=("relations",), layer=0, **changes) -> int:
    found, folder = distill.open_teacher(str(teacher), layer)
    planned = plan.plan(tokens, quick(**changes), Vocabulary.load(folder))
    return distill.distill(
        planned, found, str(output), losses=losses, vocabulary=folder, place=str(teacher), limit=limit, quiet=True
    )


@pytest.fixture(scope="module")
def whole(teacher, tokens, tmp_path_factory):
    """A run that was not stopped, with all losses."""
    output = tmp_path_factory.mktemp("whole") / "student"
    assert run(teacher, tokens, output, losses=distill.LOSSES, **WEIGHED) == 0
    return output


def lesson_of(teacher, tokens, losses=distill.LOSSES, **changes):
    """(goal, a batch)."""
    found, folder = distill.open_teacher(str(teacher))
    planned = plan.plan(tokens, quick(**changes), Vocabulary.load(folder))
    goal = distill.distillation(found, losses)(planned, CPU, "dense")
    index = np.arange(planned.settings.batch)
    return found, goal, runs.masked(planned, planned.stream.batch(index), index, 0.15, CPU)


def test_losses_are_their_formulas(teacher, tokens):
    """On the teacher's own fillings: hidden states and logits as plain means over the real tokens, and the relations of
    the layers named."""
    found, goal, batch = lesson_of(teacher, tokens)
    lesson = goal.objective
    loss, tally = lesson(batch, batch.counts(), torch.ones(3))
    sight, real = see(batch.sequences), batch.sequences > 0
    read = lesson._corrupted(batch, sight)
    changed = (read != batch.tokens).flatten().nonzero().flatten()
    assert len(changed) > 0
    assert set(changed.tolist()) <= set(batch.chosen.tolist())
    body, mine = found.body, lesson.student
    embedded = body.embeddings(read, batch.positions, batch.types)
    states = body.encoder.run(embedded, sight, found.layer)
    last = mine.body.encoder(mine.body.embeddings(read, batch.positions, batch.types), sight)
    top = found.whole.discriminator(found.whole.embeddings(read, batch.positions, batch.types), sight)
    p, q = found.whole.replaced(top).sigmoid()[real], mine.head(last).squeeze(2).sigmoid()[real]
    expected = {
        "hidden": (mine.map(last) - states)[real].square().mean(),
        "logits": -(p * q.log() + (1 - p) * (1 - q).log()).mean(),
    }
    figures = goal.figures(tally.sum(0), (1.0, 1.0, 1.0))
    for name, value in expected.items():
        assert figures[name] == pytest.approx(value.item(), rel=1e-4)
    loss = loss.item()
    assert loss == pytest.approx(sum(figures[n] for n in distill.LOSSES), rel=1e-5)
    assert figures["loss"] == pytest.approx(loss, rel=1e-5)


@pytest.mark.parametrize("losses", [("relations",), ("hidden",), ("relations", "logits"), distill.LOSSES])
def test_parts_and_languages_add_up(teacher, tokens, losses):
    """Windows one by one, with the counts of all of them: loss, tally and gradient of the whole batch."""
    _, goal, batch = lesson_of(teacher, tokens, losses, loss_weights="deu_Latn=3")
    weights, counts = torch.tensor(goal.weights(0)), batch.counts()
    found = []
    for some in ([batch], [one(batch, k) for k in range(len(batch.tokens))]):
        goal.trained.zero_grad()
        made = [goal.objective(part, counts, weights) for part in some]
        sum(loss for loss, _ in made).backward()
        gradients = [w.grad for w in goal.trained.parameters() if w.grad is not None]
        found.append((sum(float(loss.detach()) for loss, _ in made), sum(tally for _, tally in made), gradients))
    (loss, tally, gradients), (losses_, tallies, others) = found
    assert loss == pytest.approx(losses_, rel=1e-5)
    assert torch.allclose(tally, tallies)
    assert (tally[:, -1] > 0).sum() > 1  # several languages
    assert all(torch.allclose(a, b, atol=1e-6) for a, b in zip(gradients, others, strict=True))


def one(batch, number: int):
    """A batch of one of its windows."""
    values, length = dict(vars(batch)), batch.tokens.shape[1]
    for name in ("tokens", "inputs", "sequences", "positions", "types", "crops", "language", "weight", "seen"):
        values[name] = values[name][number : number + 1]
    for place, *more in (("chosen", "noise"), ("pairs", "swapped"), ("starts",)):
        inside = values[place] // length == number
        values |= {name: values[name][inside] for name in more} | {place: values[place][inside] - number * length}
    return Batch(**values)


def test_a_student_that_is_its_teacher_has_nothing_to_learn(teacher, tokens):
    _, goal, batch = lesson_of(teacher, tokens, ("relations",), shape="share=none")
    lesson = goal.objective
    lesson.teacher = dataclasses.replace(lesson.teacher, layer=2)
    lesson.student.body.load_state_dict(lesson.teacher.body.state_dict())
    loss, _ = lesson(batch, batch.counts(), torch.ones(3))
    loss.backward()
    assert float(loss.detach()) < 1e-6
    assert all(w.grad is None or w.grad.abs().max() < 1e-6 for w in lesson.student.parameters())


def test_only_the_student_is_trained_and_saved(teacher, whole):
    """model.safetensors is a body; what else goes on is beside the moments; the teacher is in none."""
    body, _ = head.open_body(str(whole))
    place = checkpoint.listed(str(whole))[-1]
    assert set(checkpoint.load(place, MODEL)) == set(body.state_dict())
    saved = set(checkpoint.load(place, OPTIMIZER))
    assert {"beside.map.weight", "beside.head.0.weight", "mean.body.embeddings.tokens.weight", "tally"} <= saved
    assert not any("teacher" in name or "generator" in name for name in saved)


@pytest.mark.parametrize("stops", [(1,), (5, 6, 11)])
def test_stopped_equals_not_stopped(teacher, tokens, whole, tmp_path, stops):
    """Bit for bit: weights, map, head, moments, state, log."""
    for stop in stops:
        assert run(teacher, tokens, tmp_path / "student", limit=stop, losses=distill.LOSSES, **WEIGHED) == 0
    assert run(teacher, tokens, tmp_path / "student", losses=distill.LOSSES, **WEIGHED) == 0
    assert same(whole, tmp_path / "student")
    for split in ("training", "validation", "languages"):
        assert lines(whole, split) == lines(tmp_path / "student", split)


def test_interrupted_saves_and_goes_on(teacher, tokens, whole, tmp_path, monkeypatch, capsys):
    step = Run.step

    def interrupted(self, batch):
        step(self, batch)
        if self.state.step == 7:
            os.kill(os.getpid(), signal.SIGTERM)

    with monkeypatch.context() as patch:
        patch.setattr(Run, "step", interrupted)
        assert run(teacher, tokens, tmp_path / "student", losses=distill.LOSSES, **WEIGHED) == 143
    told = capsys.readouterr()
    assert "saved at step 7; run the same command again" in told.err
    assert "next:" not in told.out
    assert head.open_body(str(tmp_path / "student"))[0].tower.hidden == 128  # the best, of step 6
    assert run(teacher, tokens, tmp_path / "student", losses=distill.LOSSES, **WEIGHED) == 0
    assert same(whole, tmp_path / "student")


def close(one, two) -> None:
    """The same losses in each step but for rounding."""
    found = lines(one), lines(two)
    assert [line["step"] for line in found[1]] == list(range(1, 13))
    for a, b in zip(*found, strict=True):
        for name in ("loss", *distill.LOSSES):
            assert a[name] == pytest.approx(b[name], rel=2e-5), (name, a["step"])


def test_parts_of_a_batch_add_up_to_it(teacher, tokens, whole, tmp_path):
    run(teacher, tokens, tmp_path / "student", losses=distill.LOSSES, accumulate=2, **WEIGHED)
    close(whole, tmp_path / "student")


@pytest.mark.slow
def test_two_processes_give_the_losses_of_one(teacher, tokens, whole, tmp_path):
    """gloo, each process with its share of the optimizer; stopped half-way the run goes on in one process."""
    script = tmp_path / "train.py"
    values = {"teacher": str(teacher), "tokens": tokens, "output": str(tmp_path / "two"), "changes": WEIGHED}
    script.write_text(_SCRIPT.format(root=str(ROOT), tests=str(ROOT / "tests"), **values))
    environment = {k: v for k, v in os.environ.items() if not k.startswith("OMP")} | {"OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2", str(script)]
    told = subprocess.run(command, check=True, env=environment, timeout=120, capture_output=True, text=True).stdout
    assert told.count("next:") == 1
    assert run(teacher, tokens, tmp_path / "two", losses=distill.LOSSES, **WEIGHED) == 0
    close(whole, tmp_path / "two")


_SCRIPT = """
import sys
sys.path[:0] = [{root!r}, {tests!r}]
import torch
torch.set_num_threads(1)
from corpus import terminal
from test_distill import distill, run
sys.exit(terminal.run(lambda: run({teacher!r}, {tokens!r}, {output!r}, limit=6, losses=distill.LOSSES, **{changes!r})))
"""


def test_what_a_run_leaves(teacher, whole, capsys):
    """A line a step with speed and memory, validations per language, curves in the report, sizes in inspect."""
    found = [json.loads(line) for line in (whole / LOG).read_text().splitlines()]
    assert {"loss", "learning_rate", "gradient_norm", "tokens_per_second", "memory", *distill.LOSSES} <= set(found[0])
    assert [line["step"] for line in lines(whole, "validation")] == [6, 12]
    assert set(lines(whole, "languages")[-1]["languages"]) == set(TEXT)
    assert main(["report", str(whole)]) == 0
    page = (whole / "report.html").read_text()
    assert all(f"{name} from the teacher" in page or f"{name} with the teacher" in page
               for name in ("divergence", "squared distance", "cross entropy"))  # fmt: skip
    assert html.escape(str(teacher)) in page
    assert main(["inspect", str(whole)]) == 0
    told = capsys.readouterr().out
    count = sum(w.numel() for w in head.open_body(str(whole))[0].parameters())
    assert f"{amount(count)} parameters" in told
    assert "encoder: 2 layers, width 128" in told
    assert "generator" not in told


@pytest.mark.parametrize(("changes", "told"), [
    ({"losses": ("relations",)}, "losses 'relations,hidden,logits', not 'relations'"),
    ({"layer": 1}, "layer 2, not 1"), ({"seed": 4}, "seed 0, not 4"),
])  # fmt: skip
def test_another_run_in_the_same_folder(teacher, tokens, whole, changes, told):
    with pytest.raises(UserError, match=told):
        run(teacher, tokens, whole, **{"losses": distill.LOSSES, **WEIGHED, **changes})


def test_another_teacher_is_refused_by_name(teacher, tokens, whole, tmp_path):
    other = write_model(tmp_path / "other", share="none", seed=3)
    with pytest.raises(
        UserError, match=r"a run with teacher \S*model \(\w{12}\), not \S*other \(\w{12}\); take"
    ) as told:
        run(other, tokens, whole, losses=distill.LOSSES, **WEIGHED)
    assert "\n" not in str(told.value)
    moved = shutil.copytree(teacher, tmp_path / "moved")
    assert run(moved, tokens, whole, losses=distill.LOSSES, **WEIGHED) == 0
    planned = plan.plan(tokens, quick(**WEIGHED), Vocabulary.load(str(teacher / "vocabulary")))
    with pytest.raises(UserError, match="a run with distill, not pretrain"):
        pretrain.pretrain(planned, str(whole), quiet=True)


def test_what_is_recorded_gives_what_is_not(teacher, tokens, monkeypatch):
    """The GPU's part, to do again what a call did, is stood in for by calling again."""

    def record(call):
        outputs = call()
        return lambda: [o.copy_(n) for o, n in zip(outputs, call(), strict=True) if o is not None], outputs

    monkeypatch.setattr(recorded, "record", record)
    _, goal, batch = lesson_of(teacher, tokens)
    weights = torch.tensor(goal.weights(0))
    call = recorded.Recorded(goal.objective, list(goal.trained.parameters()), True)
    other = dataclasses.replace(batch, tokens=batch.tokens.flip(1), inputs=batch.inputs.flip(1))
    for some in (other, batch):
        goal.trained.zero_grad()
        tally = call(some, some.counts(), weights)
    made = [w.grad.clone() for w in goal.trained.parameters()]
    goal.trained.zero_grad()
    loss, expected = goal.objective(batch, batch.counts(), weights)
    loss.backward()
    assert torch.equal(tally, expected)
    assert all(torch.equal(a, w.grad) for a, w in zip(made, goal.trained.parameters(), strict=True))


def test_a_filling_teacher_teaches_without_filling(tokens, tmp_path):
    """What learned to fill in alone reads the text as it is, and has no discriminator to ask."""
    place = write_model(tmp_path / "filler", share="none")
    config = checkpoint.read_config(str(place))
    checkpoint.write_config(str(place), config | {"settings": {"objectives": "mlm=1"}})
    found, _ = distill.open_teacher(str(place))
    assert found.whole is None
    with pytest.raises(UserError, match="logits need a teacher"):
        run(place, tokens, tmp_path / "x", losses=("logits",))


def test_a_student_comes_nearer(teacher, tokens, tmp_path, capsys):
    command = ["distill", str(teacher), tokens, "--losses", "relations,hidden,logits", "--size", "tiny",
               "--steps", "40", "--sequence", "64", "--batch", "4", "--learning-rate", "2e-3",
               "--output", str(tmp_path / "out"), "--quiet"]  # fmt: skip
    assert main(command) == 0
    told = capsys.readouterr().out
    assert "student" in told
    assert "losses on text held back: relations" in told
    rows = lines(tmp_path / "out")
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
    planned = plan.plan(tokens, quick(mask="0.3"), Vocabulary.load(folder))
    with pytest.raises(UserError, match="--mask, --ngram: this teacher has no generator"):
        distill.distill(planned, found, str(tmp_path / "x"), vocabulary=folder, place="hf")


def test_mistakes(teacher, tokens, tmp_path):
    with pytest.raises(UserError, match="--layer: 9; the teacher has 2 layers"):
        distill.open_teacher(str(teacher), 9)
    found, folder = distill.open_teacher(str(teacher))
    planned = plan.plan(tokens, quick(), Vocabulary.load(folder))
    with pytest.raises(UserError, match="--losses: spirit; give some of relations"):
        distill.distill(planned, found, str(tmp_path / "x"), losses=("spirit",), vocabulary=folder, place="x")


@pytest.mark.parametrize(("changes", "told"), [
    (["--objectives", "mlm=1"], "unknown flag --objectives"), (["--shape", "depth=0.5"], "depth is a generator's"),
    (["--start", "x"], "unknown flag --start"), (["--parallel", "x"], "unknown flag --parallel"),
    (["--config", "{d}/mill.toml"], "a student learns by --losses"), (["--losses", "spirit"], "--losses: spirit"),
    (["--batch", "4", "--accumulate", "3"], "give a multiple"), (["--tensorboard", "--size", "tin"], "tiny"),
    (["--device", "gpu"], "--device: 'gpu'"), (["--language-weights", "xxx_Latn=1"], "xxx_Latn"),
])  # fmt: skip
def test_flags_that_mean_nothing_here_are_refused(teacher, tokens, tmp_path, capsys, changes, told):
    (tmp_path / "mill.toml").write_text("[pretrain]\nobjectives = 'mlm=1,rtd=50'\n")
    command = ["distill", str(teacher), tokens, "--output", str(tmp_path / "x"), "--size", "tiny", "--sequence", "64"]
    assert main([*command, *(c.format(d=tmp_path) for c in changes)]) == 2
    error = capsys.readouterr().err
    assert told in error
    assert error.count("\n") == 1


def test_pretraining_does_not_begin_with_a_student(tokens, whole, tmp_path, capsys):
    command = ["pretrain", str(tokens), "--start", str(whole), "--output", str(tmp_path / "x"), "--quiet"]
    assert main([*command, "--vocabulary", str(whole / "vocabulary")]) == 2
    assert "an encoder without a generator" in capsys.readouterr().err


def test_a_dry_run_tells_sizes_and_work(teacher, tokens, tmp_path, capsys):
    command = ["distill", str(teacher), tokens, "--output", str(tmp_path / "x"), "--size", "tiny", "--sequence", "64"]
    assert main([*command, "--dry-run"]) == 0
    told = capsys.readouterr().out
    assert "layer 2 of 2 teaches" in told
    assert "student: " in told
    assert "operations at most" in told
    assert not (tmp_path / "x").exists()
