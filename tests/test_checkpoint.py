"""A checkpoint is whole or not there; damage is seen and the one before it is taken."""

from dataclasses import asdict

import pytest
import torch

from corpus.terminal import UserError
from trainer import checkpoint
from trainer.checkpoint import MODEL, OPTIMIZER, STATE, State
from trainer.model import Electra, configure

TENSORS = {"a": torch.arange(6.0).view(2, 3), "b": torch.tensor([1.5])}


def saved(folder, *steps, **values) -> str:
    for step in steps:
        checkpoint.save(str(folder), TENSORS, {"updates": torch.tensor([float(step)])}, State(step=step, **values))
    return str(folder)


def test_what_is_saved_is_read(tmp_path):
    state = State(7, 224, 1, 5, 0.1234567890123)
    folder = checkpoint.save(str(tmp_path), TENSORS, {}, state)
    assert checkpoint.read_state(folder) == state
    assert all(torch.equal(checkpoint.load(folder, MODEL)[k], v) for k, v in TENSORS.items())
    assert sorted(p.name for p in folder.iterdir()) == [MODEL, OPTIMIZER, STATE]


def test_same_state_same_bytes(tmp_path):
    a, b = (checkpoint.listed(saved(tmp_path / n, 3))[0] for n in "ab")
    assert all((a / name).read_bytes() == (b / name).read_bytes() for name in (MODEL, OPTIMIZER, STATE))


@pytest.mark.parametrize("name", [MODEL, OPTIMIZER, STATE])
@pytest.mark.parametrize("harm", ["flip", "cut", "delete"])
def test_damage_falls_back(tmp_path, capsys, name, harm):
    saved(tmp_path, 1, 2)
    path = checkpoint.listed(str(tmp_path))[1] / name
    data = bytearray(path.read_bytes())
    if harm == "flip":
        data[data.index(b"2.0" if name == STATE else b":") if name != STATE else data.index(b'"step": 2') + 8] ^= 1
        path.write_bytes(data)
    elif harm == "cut":
        path.write_bytes(data[:-3])
    else:
        path.unlink()
    assert checkpoint.newest(str(tmp_path))[1].step == 1
    assert "damaged" in capsys.readouterr().err


def test_nothing_left(tmp_path):
    assert checkpoint.newest(str(tmp_path)) is None
    saved(tmp_path, 1)
    (checkpoint.listed(str(tmp_path))[0] / STATE).write_text("[]")
    with pytest.raises(UserError, match="every checkpoint is damaged"):
        checkpoint.newest(str(tmp_path))


def test_half_written_is_not_seen_and_swept(tmp_path):
    saved(tmp_path, 1)
    half = tmp_path / checkpoint.FOLDER / ".writing-99999999-step-00000002"
    half.mkdir()
    assert checkpoint.newest(str(tmp_path))[1].step == 1
    checkpoint.prune(str(tmp_path), 3, 0)
    assert not half.exists()


def test_keeps_the_last_and_the_best(tmp_path):
    saved(tmp_path, 1, 2, 3, 4, 5)
    checkpoint.prune(str(tmp_path), 2, 2)
    assert [checkpoint.step_of(f) for f in checkpoint.listed(str(tmp_path))] == [2, 4, 5]
    checkpoint.prune(str(tmp_path), 0, 2)
    assert [checkpoint.step_of(f) for f in checkpoint.listed(str(tmp_path))] == [2, 5]


def test_saving_again_replaces(tmp_path):
    saved(tmp_path, 1)
    (checkpoint.listed(str(tmp_path))[0] / MODEL).write_bytes(b"")
    saved(tmp_path, 1)
    assert checkpoint.newest(str(tmp_path))[1].step == 1


def test_open_model_takes_the_best(tmp_path):
    shape = configure("tiny", 128, share="all")
    models = [Electra(shape, torch.Generator().manual_seed(s)) for s in (1, 2)]
    checkpoint.write_config(str(tmp_path), {"model": asdict(shape)})
    for step, made in enumerate(models, 1):
        checkpoint.save(str(tmp_path), made.state_dict(), {}, State(step, best_step=1))
    for step, expected in ((0, models[0]), (2, models[1])):
        found = checkpoint.open_model(str(tmp_path), step)[0].state_dict()
        assert all(torch.equal(v, found[k]) for k, v in expected.state_dict().items())
    with pytest.raises(UserError, match="there are step-00000001, step-00000002"):
        checkpoint.open_model(str(tmp_path), 9)


def test_open_model_of_something_else(tmp_path):
    with pytest.raises(UserError, match="no model"):
        checkpoint.open_model(str(tmp_path))
    (tmp_path / "config.json").write_text("{}")
    with pytest.raises(UserError, match="not readable"):
        checkpoint.open_model(str(tmp_path))
