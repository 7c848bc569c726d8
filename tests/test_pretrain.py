"""A run learns; stopped and gone on with it ends with the same bytes; so with any number of processes."""

import collections
import dataclasses
import itertools
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from run_folder import last, lines, same
from token_folder import SIZE, Vocabulary, quick, write_folder

from corpus import shards
from corpus.terminal import StepError, UserError
from trainer import checkpoint, loop, pretrain
from trainer import run as runs
from trainer.checkpoint import MODEL, OPTIMIZER
from trainer.objectives import Pretraining
from trainer.optimizer import Optimizer
from trainer.plan import plan, rehearse
from trainer.run import Run
from trainer.world import World

ROOT = Path(__file__).resolve().parents[1]
CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return write_folder(tmp_path_factory.mktemp("tokens"))


def run(folder, output, limit=None, start="", **changes) -> int:
    planned = plan(folder, quick(**changes), Vocabulary(), start=start)
    return pretrain.pretrain(planned, str(output), limit=limit, quiet=True)


@pytest.fixture(scope="module")
def whole(folder, tmp_path_factory):
    """A run that was not stopped."""
    output = tmp_path_factory.mktemp("whole") / "model"
    assert run(folder, output) == 0
    return output


@pytest.mark.parametrize(("size", "given", "rate"), [("tiny", 0.0, 1e-3), ("base", 0.0, 2e-4), ("base", 3e-4, 3e-4)])
def test_a_size_has_its_learning_rate_unless_one_is_given(folder, size, given, rate):
    planned = plan(folder, quick(size=size, learning_rate=given), Vocabulary())
    assert planned.settings.learning_rate == planned.identity["settings"]["learning_rate"] == rate
    assert f"learning rate: {rate:g} at most" in rehearse(planned)


def test_what_a_run_leaves(whole, capsys):
    config = json.loads((whole / "config.json").read_text())
    assert config["vocabulary"] == Vocabulary.digest
    assert [f.name for f in checkpoint.listed(str(whole))][-1] == "step-00000012"
    assert [line["step"] for line in lines(whole)] == list(range(1, 13))
    assert [line["step"] for line in lines(whole, "validation")] == [6, 12]
    assert set(lines(whole, "validation")[0]["languages"]) == {"aaa_Latn", "bbb_Cyrl"}
    assert checkpoint.open_model(str(whole))[0].config.vocabulary == SIZE


@pytest.mark.parametrize("stops", [(1,), (3, 7), (5, 6, 11)])
def test_stopped_equals_not_stopped(folder, whole, tmp_path, stops):
    """Bit for bit: weights, moments, state, log."""
    for stop in stops:
        assert run(folder, tmp_path / "model", limit=stop) == 0
    assert run(folder, tmp_path / "model") == 0
    assert same(whole, tmp_path / "model")
    for split in ("training", "validation"):
        assert lines(whole, split) == lines(tmp_path / "model", split)


def test_damaged_newest_checkpoint_costs_only_its_steps(folder, whole, tmp_path):
    run(folder, tmp_path / "model", limit=7)
    path = last(tmp_path / "model") / MODEL
    path.write_bytes(path.read_bytes()[:-1])
    assert run(folder, tmp_path / "model") == 0
    assert same(whole, tmp_path / "model")
    assert lines(whole) == lines(tmp_path / "model")


def test_a_checkpoint_that_counted_otherwise_is_gone_on_with(folder, whole, tmp_path, capsys):
    """Sums of another shape, as an earlier version wrote them: said in a line, the same weights come out."""
    assert run(folder, tmp_path / "model", limit=7) == 0
    path = last(tmp_path / "model")
    saved = checkpoint.load(path, OPTIMIZER)
    narrow = {n: t[:, 1:].contiguous() if n in runs.TALLIES else t for n, t in saved.items()}
    checkpoint.save(
        str(tmp_path / "old"), checkpoint.load(path, MODEL), narrow, checkpoint.newest(str(path.parents[1]))[1]
    )
    (path.parents[1] / "checkpoints").rename(tmp_path / "new")
    (tmp_path / "old" / "checkpoints").rename(path.parents[1] / "checkpoints")
    assert run(folder, tmp_path / "model") == 0
    assert "an earlier version counted otherwise" in capsys.readouterr().err
    assert (last(whole) / MODEL).read_bytes() == (last(tmp_path / "model") / MODEL).read_bytes()


def test_finished_run_does_nothing_more(folder, whole, capsys):
    before = {p: p.stat().st_mtime_ns for p in whole.rglob("*.safetensors")}
    assert run(folder, whole) == 0
    assert {p: p.stat().st_mtime_ns for p in whole.rglob("*.safetensors")} == before
    assert len(capsys.readouterr().out.splitlines()) == 5


def test_other_seed_other_model(folder, whole, tmp_path):
    run(folder, tmp_path / "model", seed=1)
    assert not same(whole, tmp_path / "model")


def test_language_weights_without_order(folder, tmp_path):
    assert run(folder, tmp_path / "model", language_weights="alpha=0.3", objectives="mlm=1,rtd=50", steps=3) == 0
    assert lines(tmp_path / "model")[-1]["order_loss"] is None


_SCRIPT = """
import sys
sys.path[:0] = [{root!r}, {tests!r}]
import torch
torch.set_num_threads(1)
from token_folder import Vocabulary, quick
from corpus import terminal
from trainer import plan, pretrain
def main():
    planned = plan.plan({folder!r}, quick(**{changes!r}), Vocabulary())
    return pretrain.pretrain(planned, {output!r}, quiet=True, limit={limit!r})
sys.exit(terminal.run(main))
"""


def start(folder, output, **changes) -> subprocess.Popen:
    values = {"root": str(ROOT), "tests": str(ROOT / "tests"), "folder": folder, "output": str(output)}
    return subprocess.Popen(
        [sys.executable, "-c", _SCRIPT.format(changes=changes, limit=None, **values)], stderr=subprocess.PIPE
    )


def test_killed_equals_not_killed(folder, tmp_path):
    """SIGKILL somewhere after the first checkpoint; then the same command again."""
    changes = {"steps": 60, "save_every": 10}
    process = start(folder, tmp_path / "model", **changes)
    while not checkpoint.listed(str(tmp_path / "model")) and process.poll() is None:
        time.sleep(0.005)
    process.kill()
    assert process.wait() == -signal.SIGKILL, process.stderr.read().decode()
    assert 10 <= checkpoint.newest(str(tmp_path / "model"))[1].step < 60
    for name in ("model", "whole"):
        run(folder, tmp_path / name, **changes)
    assert same(tmp_path / "whole", tmp_path / "model")
    assert lines(tmp_path / "whole") == lines(tmp_path / "model")


@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
def test_interrupted_saves_and_goes_on(folder, whole, tmp_path, monkeypatch, capsys, number, code):
    """The step is finished, the exit code is the shell's; the handlers of before are back."""
    step, before = Run.step, signal.getsignal(number)

    def interrupted(self, batch):
        step(self, batch)
        if self.state.step == 7:
            os.kill(os.getpid(), number)

    with monkeypatch.context() as patch:
        patch.setattr(Run, "step", interrupted)
        assert run(folder, tmp_path / "model") == code
    assert signal.getsignal(number) == before
    assert last(tmp_path / "model").name == "step-00000007"
    assert "saved at step 7; run the same command again" in capsys.readouterr().err
    assert run(folder, tmp_path / "model") == 0
    assert same(whole, tmp_path / "model")


def test_parts_of_a_batch_add_up_to_it(folder, whole, tmp_path):
    """Accumulated in two parts: the same losses but for rounding."""
    run(folder, tmp_path / "model", accumulate=2)
    for a, b in zip(lines(whole), lines(tmp_path / "model"), strict=True):
        assert a["loss"] == pytest.approx(b["loss"], rel=1e-5)
        assert a["generator_accuracy"] == b["generator_accuracy"]
    with pytest.raises(UserError, match="give a multiple"):
        run(folder, tmp_path / "other", accumulate=3)


def test_all_objectives_with_schedules(folder, tmp_path):
    """They run, stop, go on and are logged, also per language; a schedule changes what the loss is."""
    changes = {"objectives": "mlm=1,rtd=0/6:50,order=1,contrast=0.5,language=0.1", "mask": "0.3/12:0.1", "ngram": 3,
               "loss_weights": "bbb_Cyrl=2", "optimizer": "muon", "cooldown": 0.2}  # fmt: skip
    run(folder, tmp_path / "one", **changes)
    for limit in (5, 12):
        run(folder, tmp_path / "two", limit=limit, **changes)
    assert same(tmp_path / "one", tmp_path / "two")
    found = lines(tmp_path / "one")
    assert found == lines(tmp_path / "two")
    assert lines(tmp_path / "one", "languages") == lines(tmp_path / "two", "languages")
    assert found[0]["loss"] < found[-1]["loss"]  # since rtd weighs more
    assert {"contrast_loss", "language_accuracy", "precision", "recall", "auc"} <= set(found[0])
    languages = lines(tmp_path / "one", "languages")[-1]["languages"]
    assert set(languages) == {"aaa_Latn", "bbb_Cyrl"}
    assert {"auc", "precision", "recall", "generator_accuracy", "replaced_share"} <= set(languages["aaa_Latn"])


def test_filling_in_alone(folder, tmp_path):
    run(folder, tmp_path / "model", objectives="mlm=1", shape="depth=1")
    assert lines(tmp_path / "model")[-1]["discriminator_loss"] is None
    with pytest.raises(UserError, match="mlm alone, or mlm and rtd"):
        run(folder, tmp_path / "other", objectives="mlm=1,order=1")


def test_a_run_that_starts_from_another(folder, whole, tmp_path, capsys):
    """Same origin, so that both may be averaged; cut to a rank it is another model."""
    run(folder, tmp_path / "branch", learning_rate=1e-4, start=str(whole))
    config = checkpoint.read_config(str(tmp_path / "branch"))
    assert config["origin"] == checkpoint.read_config(str(whole))["origin"]
    run(folder, tmp_path / "cut", shape="rank=16", steps=2, start=str(whole))
    assert checkpoint.read_config(str(tmp_path / "cut"))["origin"] != config["origin"]
    made, _ = checkpoint.open_model(str(tmp_path / "cut"))
    assert made.discriminator.attentions[0].into.down.weight.shape == (16, 128)
    with pytest.raises(UserError, match="another shape"):
        run(folder, tmp_path / "other", shape="share=none", start=str(whole))
    other = run(folder, tmp_path / "fresh", steps=2, seed=5)
    assert other == 0
    assert checkpoint.read_config(str(tmp_path / "fresh"))["origin"] != config["origin"]


def test_translations_take_their_share_of_the_windows(folder, tmp_path):
    pairs = [(np.arange(20, 20 + n), np.arange(40, 40 + n)) for n in range(5, 30)]
    changes = quick(objectives="mlm=1,rtd=50,order=1,parallel=0.25")
    planned = plan(folder, changes, Vocabulary(), parallel=pairs)
    assert pretrain.pretrain(planned, str(tmp_path / "model"), quiet=True) == 0
    languages = lines(tmp_path / "model", "languages")[-1]["languages"]
    assert languages["translations"]["discriminator_loss"] > 0
    for wrong, given in (("mlm=1,rtd=50", pairs), ("mlm=1,rtd=50,parallel=0.1", None)):
        with pytest.raises(UserError, match="parallel"):
            plan(folder, quick(objectives=wrong), Vocabulary(), parallel=given)


def test_too_little_memory_names_what_fits(folder, tmp_path, monkeypatch):
    """A model that cannot have more than one window at a time."""
    forward = Pretraining.forward

    def greedy(self, batch, counts, weights):
        if len(batch.tokens) > 1:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return forward(self, batch, counts, weights)

    monkeypatch.setattr(Pretraining, "forward", greedy)
    with pytest.raises(UserError, match="1 fit: --accumulate 4") as caught:
        run(folder, tmp_path / "model")
    assert "\n" not in str(caught.value)


@pytest.mark.slow
@pytest.mark.skipif(not shutil.which("g++"), reason="torch compiles for a CPU with g++")
def test_compiled_equals_as_written(folder, tmp_path):
    """Losses of training and of validation, with a shared layer and with layers of their own; these are compiled once,
    however many there are."""
    for share in ("all", "none"):
        made = {}
        for how in ("off", "on"):
            planned = plan(folder, quick(compile=how, shape=f"share={share}"), Vocabulary())
            made[how] = run_ = runs.Run(planned, runs.World(0, 1, CPU), str(tmp_path / share / how))
            for step in range(3):
                run_.step(run_.batch(step))
        assert made["on"].compiled
        for told in (lambda r: r.gather(), lambda r: r.validate()):
            found = [r.figures(told(r))["loss"] for r in made.values()]
            assert found[0] == pytest.approx(found[1], rel=1e-4)


def test_what_cannot_be_recorded_is_trained_all_the_same(folder, tmp_path, capsys):
    """A GPU that refuses: one line, then the losses of a run that never tried."""
    made = [runs.Run(plan(folder, quick(), Vocabulary()), runs.World(0, 1, CPU), str(tmp_path / n)) for n in "ab"]

    def refuse(batch, counts, weights):
        raise RuntimeError("operation not permitted when stream is capturing\nand more")

    made[0].recorded = refuse
    for run_ in made:
        for step in range(3):
            run_.step(run_.batch(step))
    found = [r.figures(r.gather()) for r in made]
    assert found[0]["loss"] == pytest.approx(found[1]["loss"], rel=1e-5)
    assert made[0].recorded is None
    told = capsys.readouterr().err
    assert told.count("cannot be recorded on this GPU") == 1
    assert "and more" not in told


def test_tensorboard_needs_its_package_or_writes(folder, tmp_path):
    planned = plan(folder, quick(steps=4), Vocabulary())
    try:
        import tensorboard  # noqa: F401
    except ImportError:
        with pytest.raises(UserError, match="pip install tensorboard"):
            pretrain.pretrain(planned, str(tmp_path / "model"), quiet=True, tensorboard=True)
    else:
        pretrain.pretrain(planned, str(tmp_path / "model"), quiet=True, tensorboard=True)
        assert list((tmp_path / "model" / "tensorboard").iterdir())


@pytest.mark.slow
def test_two_processes_give_the_losses_of_one(folder, tmp_path):
    """gloo, each process with its share of the optimizer; steps apart from rounding. Stopped half-way the run goes on
    in one process and ends with the same losses."""
    run(folder, tmp_path / "one")
    script = tmp_path / "train.py"
    values = {"root": str(ROOT), "tests": str(ROOT / "tests"), "folder": folder, "output": str(tmp_path / "two")}
    script.write_text(_SCRIPT.format(changes={}, limit=6, **values))
    environment = {k: v for k, v in os.environ.items() if not k.startswith("OMP")} | {"OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2", str(script)]
    subprocess.run(command, check=True, env=environment, timeout=120)
    assert [line["step"] for line in lines(tmp_path / "two")] == list(range(1, 7))
    assert run(folder, tmp_path / "two") == 0
    one, two = (lines(tmp_path / name) for name in ("one", "two"))
    for a, b in zip(one, two, strict=True):
        for name in ("loss", "generator_loss", "discriminator_loss", "order_loss", "replaced_share", "auc"):
            assert a[name] == pytest.approx(b[name], rel=2e-5), (name, a["step"])


def test_it_learns(tmp_path):
    """Text with something to learn: the generator gets below a blind guess (ln 512 = 6.24 nats), the discriminator
    tells replaced tokens from real ones."""
    folder = write_folder(tmp_path / "tokens", tokens=60_000)
    changes = {"steps": 150, "batch": 16, "learning_rate": 1e-3, "save_every": 150}
    assert run(folder, tmp_path / "model", **changes) == 0
    found = lines(tmp_path / "model", "validation")[-1]
    assert found["generator_loss"] < 6.0
    assert found["auc"] > 0.8


def test_bad_gradients_are_skipped_and_counted(folder, tmp_path, monkeypatch):
    step, seen = Optimizer.update, []

    def poisoned(adam, rate):
        seen.append(rate)
        if len(seen) in (2, 3):
            adam.names["embeddings.tokens.weight"].grad[0, 0] = float("nan")
        return step(adam, rate)

    monkeypatch.setattr(Optimizer, "update", poisoned)
    assert run(folder, tmp_path / "model") == 0
    assert lines(tmp_path / "model")[-1]["skipped"] == 2
    weights = checkpoint.load(last(tmp_path / "model"), MODEL)
    assert all(torch.isfinite(w).all() for w in weights.values())
    assert checkpoint.load(last(tmp_path / "model"), OPTIMIZER)["updates"] == 10


def test_a_run_that_is_beyond_hope_ends(folder, tmp_path, monkeypatch):
    monkeypatch.setattr(runs, "HOPELESS", 3)
    monkeypatch.setattr(Optimizer, "update", lambda *_: (torch.tensor(torch.nan), torch.tensor(False)))
    with pytest.raises(StepError, match="no finite gradient in 3 steps"):
        run(folder, tmp_path / "model")


def test_other_settings_in_the_same_folder(folder, whole, tmp_path):
    with pytest.raises(UserError, match="a run with batch 4, not 8"):
        run(folder, whole, batch=8)
    with pytest.raises(UserError, match="a run with seed 0, not 3"):
        run(folder, whole, seed=3)
    with pytest.raises(UserError, match="a run with other tokens"):
        run(write_folder(tmp_path / "tokens", seed=9), whole)


def test_operational_settings_may_change(folder, tmp_path):
    run(folder, tmp_path / "model", limit=3)
    assert run(folder, tmp_path / "model", keep=1, save_every=100) == 0
    assert last(tmp_path / "model").name == "step-00000012"


def test_folder_of_something_else(folder, tmp_path):
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "thesis.tex").write_text("x")
    with pytest.raises(UserError, match=r"something else than a model \(thesis.tex\)"):
        run(folder, tmp_path / "model")
    with pytest.raises(UserError, match="a file; name a folder"):
        run(folder, tmp_path / "model" / "thesis.tex")


@pytest.mark.parametrize(("changes", "told"), [
    ({"batch": 0}, "--batch: 0"), ({"steps": 0}, "--steps: 0"), ({"mask": "0.9"}, "--mask: 0.9"),
    ({"sequence": 8}, "--sequence: 8"), ({"language_weights": "ccc_Latn=1"}, "no text in ccc_Latn"),
    ({"language_weights": "x"}, "--language-weights"),
])  # fmt: skip
def test_mistakes_in_settings(folder, changes, told):
    with pytest.raises(UserError, match=told) as caught:
        plan(folder, quick(**changes), Vocabulary())
    assert "\n" not in str(caught.value)


def test_shards_of_another_vocabulary(folder):
    other = Vocabulary()
    other.digest = "6" * 64
    with pytest.raises(UserError, match="shards of another vocabulary"):
        plan(folder, quick(), other)


def test_no_gpu(folder, tmp_path):
    if torch.cuda.is_available():
        pytest.skip("there is a GPU")
    with pytest.raises(UserError, match="finds no GPU"):
        run(folder, tmp_path / "model", device="cuda")


def test_rehearsal(folder):
    planned = plan(folder, quick(), Vocabulary())
    told = "\n".join(rehearse(planned))
    assert "12 of 256 tokens" in told
    assert f"{planned.stream.everything.windows:,} of 64 tokens" in told


def test_tokens_folder_must_be_finished(folder, tmp_path):
    with pytest.raises(UserError, match="python -m pipeline tokenize"):
        plan(str(tmp_path), quick(), Vocabulary())
    manifest = shards.read_manifest(folder)
    shards.write_manifest(str(tmp_path), dataclasses.replace(manifest, shards=()))
    with pytest.raises(UserError, match="no training shards"):
        plan(str(tmp_path), quick(), Vocabulary())


def test_processes_stop_after_the_same_step(monkeypatch):
    """A signal that one of them got is heard of by all when they ask, every eighth step."""
    world, mine, other = World(0, 2, CPU), loop.Stop(), loop.Stop()
    other.number = signal.SIGINT
    monkeypatch.setattr(World, "sum", lambda _, heard: heard + float(other.number > 0))
    assert [loop._agreed(world, mine, step) for step in (7, 8, 9, 16)] == [0, signal.SIGTERM, 0, signal.SIGTERM]
    other.number = 0
    assert loop._agreed(world, mine, 8) == 0
    mine.number = signal.SIGINT
    assert loop._agreed(World(0, 1, CPU), mine, 7) == signal.SIGINT


def test_one_step_waits_while_another_is_computed(monkeypatch):
    """Behind the third step the first two are over; the GPU's events are stood in for."""
    waited, numbers = [], itertools.count()

    class Event:
        def __init__(self, blocking):
            assert blocking  # so that the threads that make batches have the core
            self.number = None

        def record(self):
            self.number = next(numbers)

        def synchronize(self):
            waited.append(self.number)

    monkeypatch.setattr(torch.cuda, "Event", Event)
    run = SimpleNamespace(world=World(0, 1, torch.device("cuda")), behind=collections.deque())
    for _ in range(3):
        Run._pace(run)
    assert waited == [0, 1]
