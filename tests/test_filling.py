"""The generator's chunked function against the plain formulas."""

import math

import pytest
import torch
from torch.nn import functional

from trainer import filling

CPU = torch.device("cpu")


def rows(count=40, width=16, size=300, seed=0):
    torch.manual_seed(seed)
    made = [torch.randn(count, width), torch.randn(size, width), torch.randn(size)]
    return [t.requires_grad_() for t in made], torch.randint(size, (count,))


def drawn(logits, noise, allowed):
    """Samples from whole rows."""
    shape = filling.blocks(logits.shape[1])
    share, allowed = logits.softmax(1).unflatten(1, shape), allowed.unflatten(0, shape)
    own = filling.columns(logits.shape[1], CPU)
    return filling.sample(share, (share * allowed).sum(2), noise, allowed, own)


@pytest.mark.parametrize("chunk", [300, 300 * 7, 1 << 25])
def test_fill_is_cross_entropy_with_its_gradient(monkeypatch, chunk):
    """Loss, gradients and hits of the chunked function equal the plain ones, however few rows a chunk has."""
    monkeypatch.setattr(filling, "LOGITS", {"cpu": chunk})
    (h, table, bias), targets = rows()
    weight = torch.rand(40) + 0.5
    noise = torch.arange(40, dtype=torch.int32)
    loss, each, samples, hits = filling.fill(h, table, bias, targets, noise, torch.ones(300).bool(), weight)
    (3 * loss).backward()
    found = [t.grad.clone() for t in (h, table, bias)]
    for t in (h, table, bias):
        t.grad = None
    logits = h @ table.T + bias
    assert torch.equal(samples, drawn(logits, noise, torch.ones(300).bool()))
    assert torch.allclose(each, functional.cross_entropy(logits, targets, reduction="none"), rtol=1e-5)
    plain = (functional.cross_entropy(logits, targets, reduction="none") * weight).sum()
    (3 * plain).backward()
    assert torch.allclose(loss, plain, rtol=1e-6)
    assert torch.equal(hits, logits.argmax(1) == targets)
    for ours, t in zip(found, (h, table, bias), strict=True):
        assert torch.linalg.norm(ours - t.grad) < 1e-4 * torch.linalg.norm(t.grad)


def test_fill_without_rows():
    (h, table, bias), targets = rows(0)
    loss, _, samples, _ = filling.fill(
        h, table, bias, targets, torch.zeros(0, dtype=torch.int32), torch.ones(300).bool(), torch.ones(0)
    )
    loss.backward()
    assert loss == 0
    assert len(samples) == 0
    assert not table.grad.any()


def test_samples_follow_the_softmax():
    """100,000 samples of ten tokens: each within five standard deviations of its probability."""
    logits = torch.tensor([3.0, 2, 1, 0, -1, -2, 5, 0.5, 0, 0])
    allowed = torch.ones(10, dtype=torch.bool)
    allowed[6] = False
    count = 100_000
    noise = torch.arange(count, dtype=torch.int32) * 7919
    found = drawn(logits.expand(count, -1), noise, allowed).bincount(minlength=10) / count
    p = logits.masked_fill(~allowed, -torch.inf).softmax(0)
    assert found[6] == 0
    assert ((found - p).abs() <= 5 * (p * (1 - p) / count).sqrt() + 1e-9).all()


@pytest.mark.parametrize(("size", "width"), [(1024, 256), (320, 64), (251, 1)])
def test_a_block_and_a_token_of_it_are_a_token(size, width):
    """Chi-square of 100,000 samples within five standard deviations, a whole block and single tokens not allowed."""
    assert filling.blocks(size) == (size // width, width)
    torch.manual_seed(1)
    logits, count = torch.randn(size) + torch.linspace(0, 2, size), 100_000
    allowed = torch.ones(size, dtype=torch.bool)
    allowed[[0, 1, size // 2, size - 1]] = False
    allowed[width : 2 * width] = False
    found = torch.zeros(size, dtype=torch.long)
    for noise in (torch.arange(count, dtype=torch.int32) * 1013904223).split(10_000):
        found += drawn(logits.expand(len(noise), -1), noise, allowed).bincount(minlength=size)
    assert not found[~allowed].any()
    expected = (logits.masked_fill(~allowed, -torch.inf).softmax(0) * count)[allowed].double()
    square = float(((found[allowed] - expected) ** 2 / expected).sum())
    freedom = int(allowed.sum()) - 1
    assert abs(square - freedom) < 5 * math.sqrt(2 * freedom)


def test_what_cannot_be_sampled_stays_out():
    """Nearly all of the probability on tokens that are not allowed: one of the others still comes."""
    logits = torch.zeros(4, 512)
    logits[:, 3] = 200.0
    allowed = torch.ones(512, dtype=torch.bool)
    allowed[:5] = False
    found = drawn(logits, torch.arange(4, dtype=torch.int32), allowed)
    assert allowed[found].all()


def test_noise_is_exponential_and_a_function_of_the_seed():
    noise, own = torch.tensor([1, 2, -5], dtype=torch.int32), filling.columns(50_000, CPU)
    found = filling.exponential(noise, own)
    assert torch.equal(found[1:2], filling.exponential(noise[1:2], own))
    assert float(found.min()) > 0
    assert abs(float(found.mean()) - 1) < 0.02
    assert abs(float((-found.log()).mean()) - 0.5772) < 0.02  # Gumbel's
    assert abs(float(found.log().std()) - math.pi / math.sqrt(6)) < 0.02
    assert abs(float(torch.corrcoef(found)[0, 1])) < 0.02


@pytest.mark.parametrize(("kind", "off"), [(torch.float32, 1e-5), (torch.bfloat16, 2e-2)])
def test_products_are_added_up_in_fp32(kind, off):
    """Whatever is multiplied."""
    torch.manual_seed(0)
    total, one, two = torch.randn(5, 9), torch.randn(5, 6).to(kind), torch.randn(6, 9).to(kind)
    expected = total.double() + one.double() @ two.double()
    filling.add_product(total, one, two)
    assert total.dtype is torch.float32
    assert torch.allclose(total.double(), expected, rtol=off, atol=off)
