"""U V^T: the best approximation, spectral start, and a compressed model that computes what its product says."""

import pytest
import torch

from corpus.terminal import UserError
from trainer.attention import see
from trainer.lowrank import LowRank, linear
from trainer.model import Electra, compress, configure, parameters


def test_the_approximation_is_the_best_of_its_rank():
    """Eckart and Young: the error is the rest of the singular values."""
    torch.manual_seed(0)
    weight = torch.randn(24, 16)
    found = LowRank(16, 24, 5)
    found.approach(weight)
    rest = torch.linalg.svdvals(weight)[5:]
    error = float(torch.linalg.norm(weight - found.weight).detach())
    assert error == pytest.approx(float(rest.square().sum().sqrt()), rel=1e-4)
    sides = torch.linalg.norm(found.up.weight, dim=0), torch.linalg.norm(found.down.weight, dim=1)
    assert torch.allclose(*sides, rtol=1e-4)


def test_a_matrix_of_that_rank_is_met_exactly():
    torch.manual_seed(0)
    weight = torch.randn(24, 3) @ torch.randn(3, 16)
    found = LowRank(16, 24, 3)
    found.approach(weight)
    x = torch.randn(7, 16)
    with torch.no_grad():
        found.up.bias.zero_()
        assert torch.allclose(found(x), x @ weight.T, atol=1e-4)


def test_spectral_start():
    """The product starts with the largest singular values of an ordinary layer."""
    full, thin = (Electra(configure("tiny", 128, rank=r), torch.Generator().manual_seed(0)) for r in (0, 16))
    ordinary = torch.linalg.svdvals(full.discriminator.feed_forwards[0].wide.weight)[:16]
    found = torch.linalg.svdvals(thin.discriminator.feed_forwards[0].wide.weight)[:16]
    assert torch.allclose(ordinary, found, rtol=0.05)


def test_ranks_that_save_nothing_are_refused():
    assert isinstance(linear(8, 8, 3), LowRank)
    with pytest.raises(UserError, match="rank=4 saves nothing in a map 8 -> 8; give 3 or less"):
        linear(8, 8, 4)


def test_a_compressed_model_is_its_product():
    """Cut to a rank, then multiplied out into a full model: the same states; and smaller."""
    torch.manual_seed(0)
    made = Electra(configure("tiny", 128, share="none"))
    small = compress(made, 32)
    assert sum(parameters(small.config).values()) < sum(parameters(made.config).values())
    full, weights = Electra(made.config), small.state_dict()
    product = {n: w for n, w in weights.items() if ".up." not in n and ".down." not in n}
    for name, module in small.named_modules():
        if isinstance(module, LowRank):
            product |= {f"{name}.weight": module.weight, f"{name}.bias": module.bias}
    full.load_state_dict(product)
    embedded, sight = torch.randn(2, 8, 64), see(torch.ones(2, 8))
    assert torch.allclose(small.discriminator(embedded, sight), full.discriminator(embedded, sight), atol=1e-5)
    again = compress(small, 32)
    assert torch.allclose(again.discriminator(embedded, sight), small.discriminator(embedded, sight), atol=1e-4)
    one, rough = (compress(made, r).discriminator(embedded, sight) for r in (48, 4))
    whole = made.discriminator(embedded, sight)
    assert (one - whole).norm() < (rough - whole).norm()
