"""The schedule, what decays, and a state that survives being written."""

import pytest
import torch
from torch import nn

from trainer import optimizer
from trainer.model import Electra, configure
from trainer.optimizer import Optimizer, is_hidden, shared_out


def model() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(4, 3), nn.LayerNorm(3))


def train(made, steps, seed=0, adam=None, kind="adamw"):
    adam = adam or Optimizer(made, 0.1, kind)
    for k in range(steps):
        made(torch.full((2, 4), float(seed + k)).cos() * torch.arange(8).view(2, 4)).square().sum().backward()
        adam.update(0.01)
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
    adam = Optimizer(made, 0.1)
    decayed = {id(w): g["weight_decay"] for g in adam.parts[0].param_groups for w in g["params"]}
    assert {n: decayed[id(w)] for n, w in made.named_parameters()} == {
        "0.weight": 0.1, "0.bias": 0.0, "1.weight": 0.0, "1.bias": 0.0
    }  # fmt: skip


def test_gradient_is_clipped():
    """A gradient of a thousandfold length moves the moments no further."""
    means = []
    for scale in (100.0, 100_000.0):
        made = model()
        adam = Optimizer(made, 0.0)
        (made(torch.arange(8.0).view(2, 4)) * torch.tensor([1.0, 2.0, 3.0]) * scale).sum().backward()
        length, finite = adam.update(0.01)
        assert finite
        assert length > optimizer.CLIP
        means.append(adam.moments()["mean.1.bias"])
    assert torch.allclose(means[0], means[1], rtol=1e-4)


@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
def test_gradient_that_is_not_finite_changes_nothing(bad):
    made = model()
    adam = train(made, 2)
    before = {k: v.clone() for k, v in {**made.state_dict(), **adam.moments()}.items()}
    (made(torch.ones(2, 4)) * bad).sum().backward()
    assert not adam.update(0.01)[1]
    after = {**made.state_dict(), **adam.moments()}
    assert all(torch.equal(before[k], after[k]) for k in before)
    assert all(w.grad is None for w in made.parameters())


def test_restored_goes_on_as_if_nothing_had_been():
    whole = model()
    train(whole, 6)
    first = model()
    saved = {k: v.clone() for k, v in train(first, 3).moments().items()}
    second = model()
    second.load_state_dict(first.state_dict())
    adam = Optimizer(second, 0.1)
    adam.restore(saved)
    train(second, 3, 3, adam)
    assert all(torch.equal(a, b) for a, b in zip(whole.parameters(), second.parameters(), strict=True))


def test_the_rate_stays_before_it_falls():
    """WSD: a tenth up, constant, the last fifth down by 1 - sqrt."""
    found = [optimizer.rate(k, 100, 0.1, 0.2) for k in range(101)]
    assert found[10:81] == [1.0] * 71
    assert found[81] == pytest.approx(1 - 0.05**0.5)
    assert found[90] == pytest.approx(1 - 0.5**0.5)
    assert found[100] == 0


def electra() -> Electra:
    return Electra(configure("tiny", 128), torch.Generator().manual_seed(0))


def taught(made, adam, steps, first=0):
    tokens = torch.arange(12).view(1, -1)
    for k in range(first, first + steps):
        embedded = made.embeddings(tokens + k, tokens, torch.zeros_like(tokens))
        sight = torch.ones(1, 1, 12, 12, dtype=torch.bool)
        made.replaced(made.discriminator(embedded, sight)).square().sum().backward()
        adam.update(0.01)


def test_muon_has_the_hidden_matrices_and_goes_on_as_if_nothing_had_been():
    whole, first, second = electra(), electra(), electra()
    muon = Optimizer(whole, 0.1, "muon")
    names = {id(w): n for n, w in whole.named_parameters()}
    theirs = [names[id(w)] for g in muon.parts[0].param_groups for w in g["params"]]
    assert theirs == [n for n, w in whole.named_parameters() if is_hidden(n, w)]
    assert "discriminator.attentions.0.into.weight" in theirs
    assert not [n for n in theirs if n.startswith(("embeddings", "generator_head", "order_head"))]
    taught(whole, muon, 4)
    adam = Optimizer(first, 0.1, "muon")
    taught(first, adam, 2)
    saved = {k: v.clone() for k, v in adam.moments().items()}
    assert "momentum.discriminator.attentions.0.into.weight" in saved
    second.load_state_dict(first.state_dict())
    again = Optimizer(second, 0.1, "muon")
    again.restore(saved)
    taught(second, again, 2, 2)
    assert all(torch.equal(a, b) for a, b in zip(whole.parameters(), second.parameters(), strict=True))


def test_layers_may_have_rates_of_their_own():
    made = model()
    adam = Optimizer(made, 0.0, scale=lambda name: 0.0 if name.startswith("0.") else 1.0)
    before = {n: w.clone() for n, w in made.named_parameters()}
    train(made, 1, adam=adam)
    assert {n for n, w in made.named_parameters() if not torch.equal(before[n], w)} == {"1.weight", "1.bias"}


def test_weights_are_shared_out_evenly():
    found = shared_out({"a": 100, "b": 60, "c": 40, "d": 1}, 2)
    assert found == {"a": 0, "b": 1, "c": 1, "d": 0}
