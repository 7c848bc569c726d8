"""What is recorded gives what is not; the GPU's part, to do again what a call did, is stood in for by calling again."""

import numpy as np
import pytest
import torch
from token_folder import TABLE, quick, write_folder

from corpus import shards
from trainer import recorded
from trainer.masking import mask
from trainer.model import Electra, configure
from trainer.objectives import Batch, Pretraining
from trainer.recorded import Recorded
from trainer.stream import Stream

CPU = torch.device("cpu")
ALLOWED = torch.from_numpy(~TABLE.special)
WEIGHTS = torch.tensor([1.0, 50.0, 1.0, 0.0, 0.0])


@pytest.fixture
def recordings(monkeypatch):
    """How many were made."""
    made = []

    def record(call):
        outputs = call()
        made.append(outputs)

        def play():
            for old, new in zip(outputs, call(), strict=True):
                if old is not None:
                    old.copy_(new)

        return play, outputs

    monkeypatch.setattr(recorded, "record", record)
    return made


@pytest.fixture(scope="module")
def batches(tmp_path_factory):
    folder = write_folder(tmp_path_factory.mktemp("tokens"))
    stream = Stream(folder, shards.read_manifest(folder), 64, TABLE.sentence_end)

    def made(first: int, count: int) -> Batch:
        index = np.arange(first, first + count)
        windows = stream.batch(index)
        masks = mask(windows.tokens, index, TABLE.word_start, TABLE.special, 0.15, 0)
        return Batch.of(windows, masks, CPU, even=True)

    return [made(0, 8), made(8, 8), made(16, 8), made(24, 4)]


def learner() -> Pretraining:
    torch.manual_seed(0)
    return Pretraining(Electra(configure(quick().size, len(ALLOWED))), ALLOWED)


def plain(objective: Pretraining, some: list[Batch]) -> tuple[torch.Tensor, list]:
    """The sum of the tallies and the gradients."""
    tally = torch.zeros(())
    for batch in some:
        loss, one = objective(batch, batch.counts(), WEIGHTS)
        loss.backward()
        tally = tally + one
    return tally, [w.grad for w in objective.parameters()]


@pytest.mark.parametrize("once", [True, False])
def test_a_recording_gives_what_the_batch_gives(recordings, batches, once):
    """Whatever batches went before, in one part or in several that are added up."""
    objective = learner()
    call = Recorded(objective, list(objective.parameters()), once)
    for some in [[b] for b in batches] if once else [batches, batches[1:3]]:
        for weight in objective.parameters():
            weight.grad = None
        tally = sum(call(b, b.counts(), WEIGHTS).clone() for b in some)
        expected, gradients = plain(learner(), some)
        assert torch.equal(tally, expected)
        for weight, gradient in zip(objective.parameters(), gradients, strict=True):
            assert torch.equal(weight.grad, gradient)
    assert 2 <= len(recordings) < len(batches)


def test_no_more_recordings_than_are_said_are_kept(recordings, batches, monkeypatch):
    monkeypatch.setattr(recorded, "MOST", 1)
    objective = learner()
    call = Recorded(objective, list(objective.parameters()), True)
    for batch in (batches[0], batches[3], batches[0]):
        call(batch, batch.counts(), WEIGHTS)
        assert len(call.kept) == 1
    assert len(recordings) == 3


def test_weights_without_a_part_in_the_loss_have_no_gradient(recordings, batches):
    torch.manual_seed(0)
    objective = Pretraining(Electra(configure(quick().size, len(ALLOWED))), ALLOWED, ("mlm",))
    call = Recorded(objective, list(objective.parameters()), True)
    call(batches[0], batches[0].counts(), WEIGHTS)
    named = dict(objective.model.named_parameters())
    assert all((w.grad is None) == n.startswith(("discriminator", "order_head")) for n, w in named.items())
