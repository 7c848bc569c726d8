"""The schedule, what decays, and a state that survives being written."""

import pytest
import torch
from torch import nn

from trainer import optimizer


def model() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(4, 3), nn.LayerNorm(3))


def train(made, steps, seed=0, adam=None):
    adam = adam or optimizer.make(made, 0.1)
    for k in range(steps):
        made(torch.full((2, 4), float(seed + k)).cos() * torch.arange(8).view(2, 4)).square().sum().backward()
        optimizer.update(adam, made, 0.01)
    return adam


def test_rate_rises_and_falls_in_lines():
    found = [optimizer.rate(k, 100, 0.1) for k in range(101)]
    assert found[:10] == pytest.approx([k / 10 for k in range(1, 11)])
    assert found[10] == 1
    assert found[55] == pytest.approx(0.5)
    assert found[100] == 0
    assert optimizer.rate(0, 1, 0.0) == 1


def test_only_matrices_decay():
    made = model()
    adam = optimizer.make(made, 0.1)
    decayed = {id(w): g["weight_decay"] for g in adam.param_groups for w in g["params"]}
    assert {n: decayed[id(w)] for n, w in made.named_parameters()} == {
        "0.weight": 0.1, "0.bias": 0.0, "1.weight": 0.0, "1.bias": 0.0
    }  # fmt: skip


def test_gradient_is_clipped():
    """A gradient of a thousandfold length moves the moments no further."""
    means = []
    for scale in (100.0, 100_000.0):
        made = model()
        adam = optimizer.make(made, 0.0)
        (made(torch.arange(8.0).view(2, 4)) * torch.tensor([1.0, 2.0, 3.0]) * scale).sum().backward()
        length, finite = optimizer.update(adam, made, 0.01)
        assert finite
        assert length > optimizer.CLIP
        means.append(optimizer.moments(adam, made)["mean.1.bias"])
    assert torch.allclose(means[0], means[1], rtol=1e-4)


@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
def test_gradient_that_is_not_finite_changes_nothing(bad):
    made = model()
    adam = train(made, 2)
    before = {k: v.clone() for k, v in {**made.state_dict(), **optimizer.moments(adam, made)}.items()}
    (made(torch.ones(2, 4)) * bad).sum().backward()
    assert optimizer.update(adam, made, 0.01)[1] is False
    after = {**made.state_dict(), **optimizer.moments(adam, made)}
    assert all(torch.equal(before[k], after[k]) for k in before)
    assert all(w.grad is None for w in made.parameters())


def test_restored_goes_on_as_if_nothing_had_been():
    whole = model()
    train(whole, 6)
    first = model()
    saved = {k: v.clone() for k, v in optimizer.moments(train(first, 3), first).items()}
    second = model()
    second.load_state_dict(first.state_dict())
    adam = optimizer.make(second, 0.1)
    optimizer.restore(adam, second, saved)
    train(second, 3, 3, adam)
    assert all(torch.equal(a, b) for a, b in zip(whole.parameters(), second.parameters(), strict=True))
