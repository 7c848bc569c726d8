"""Operations per token against the table that they were published with, and against a count of real products."""

import pytest
import torch
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

from trainer import cost
from trainer.attention import see
from trainer.model import Electra, configure


@pytest.mark.parametrize(("size", "vocabulary", "attended", "millions"), [
    ("small", 64_000, 128, 74), ("small", 64_000, 512, 92), ("base", 64_000, 128, 597), ("base", 64_000, 512, 654),
    ("base", 128_000, 512, 661),
])  # fmt: skip
def test_operations_per_token(size, vocabulary, attended, millions):
    found = cost.operations(configure(size, vocabulary, share="all"), attended, 0.15) / 1e6
    assert found == pytest.approx(millions, rel=0.01)


@pytest.mark.parametrize("rank", [0, 16])
def test_the_count_is_that_of_the_products(rank):
    """Forward pass of the discriminator, counted by torch."""
    config = configure("tiny", 128, rank=rank)
    made, length = Electra(config), 32
    with FlopCounterMode(display=False) as counter, sdpa_kernel(SDPBackend.MATH):
        embedded = torch.randn(1, length, config.embedding)
        states = made.discriminator(embedded, see(torch.ones(1, length)))
        made.discriminator_head(states)
    ours = cost.operations(config, length, 0.0) - cost.operations(config, length, 0.0, discriminator=False)
    assert counter.get_total_flops() == pytest.approx(length * ours / 3, rel=0.01)


def test_memory_is_told():
    assert cost.memory(torch.device("cpu")) > 50 << 20
    assert cost.free(torch.device("cpu")) > 0
    assert cost.peak(torch.device("cpu")) is None


def test_peaks_by_name(monkeypatch):
    for name, peak in (("NVIDIA H200", 989e12), ("NVIDIA H100 PCIe", 756e12), ("NVIDIA H100 80GB HBM3", 989e12),
                       ("NVIDIA A100-SXM4-40GB", 312e12), ("Unheard of", None)):  # fmt: skip
        monkeypatch.setattr(torch.cuda, "get_device_name", lambda _, name=name: name)
        assert cost.peak(torch.device("cuda", 0)) == peak
