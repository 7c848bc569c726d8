"""The kernels give one result; the fast ones are tried here as far as a CPU runs them."""

import itertools

import pytest
import torch

from trainer import attention
from trainer.attention import attend, fastest, rooms, rounded, runs, see

SEQUENCES = torch.tensor([[1] * 60 + [2] * 50 + [3] * 18, [1] * 100 + [0] * 28])


def inputs() -> torch.Tensor:
    return torch.randn(3, 2, 128, 2, 16, generator=torch.Generator().manual_seed(0)).requires_grad_()


def plain(x: torch.Tensor) -> torch.Tensor:
    """Softmax attention of each sequence by itself, written out."""
    found = torch.zeros_like(x[0])
    for b, row in enumerate(SEQUENCES):
        for number in row.unique():
            inside = row == number
            q, k, v = (t[b, inside].transpose(0, 1) for t in x)
            found[b, inside] = ((q @ k.transpose(1, 2) / 4).softmax(-1) @ v).transpose(0, 1)
    return found


def test_dense_equals_the_formula():
    """Outputs and gradients."""
    x, y = inputs(), inputs()
    found, expected = attend(*x.unbind(), see(SEQUENCES)), plain(y)
    assert torch.allclose(found, expected, atol=1e-5)
    for made in (found, expected):
        made.square().sum().backward()
    assert torch.allclose(x.grad, y.grad, atol=1e-4)


def test_flex_equals_the_formula():
    """Outputs; it has no gradients on a CPU."""
    x = inputs().detach()
    assert torch.allclose(attend(*x.unbind(), see(SEQUENCES, "flex")), plain(x), atol=1e-5)


def test_run_lengths_of_flash_attention(monkeypatch):
    """What varlen is handed: ends that cover all tokens, sequence by sequence, padding by itself, filled up a
    little. The kernel is stood in for by the formula over these ends."""
    found = runs(SEQUENCES, 5)
    assert found.ends.tolist() == [0, 60, 110, 128, 228, *[256] * 60]

    def stand_in(q, k, v, ends, ends_k, longest, longest_k):
        assert torch.equal(ends, ends_k)
        assert int(torch.diff(ends).max()) <= longest == longest_k
        parts = []
        for a, b in itertools.pairwise(ends):
            qq, kk, vv = (t[a:b].transpose(0, 1) for t in (q, k, v))
            parts.append(((qq @ kk.transpose(1, 2) / 4).softmax(-1) @ vv).transpose(0, 1))
        return torch.cat(parts)

    monkeypatch.setattr("torch.nn.attention.varlen.varlen_attn", stand_in)
    x = inputs()
    assert torch.allclose(attend(*x.unbind(), found), plain(x), atol=1e-5)


def test_room_for_just_as_many_runs():
    """The number is exact, rounded up a little, and more."""
    short = torch.arange(128).expand(2, -1) // 2
    for most, room in ((128, 128), (129, 192), (200, 256)):
        found = runs(short, most)
        assert found.ends.tolist() == [*range(0, 257, 2), *[256] * (room - 128)]
    assert runs(torch.zeros(1, 8), 1).ends.tolist() == [0, *[8] * 64]
    assert [rooms(n) for n in (500, 520, 2048, 2060)] == [512, 576, 2048, 2304]


@pytest.mark.parametrize(("digits", "most"), [(1, 2.0), (4, 9 / 8), (6, 33 / 32)])
def test_few_shapes_come_about(digits, most):
    assert all(n <= rounded(n, digits) <= n * most for n in range(1, 5000))
    assert rounded(0, digits) == 1
    assert len({rounded(n, digits) for n in range(4096, 8193)}) == 1 + (1 << digits - 1)


def test_kernels_are_compared_with_gradients_whatever_surrounds_it():
    """A step of distillation asks for the teacher's kernel where no gradients are recorded."""
    x, sequences = inputs().detach(), SEQUENCES
    with torch.no_grad():
        found, gradient = attention._tried(x, sequences, "dense")
    assert found.isfinite().all()
    assert gradient.abs().sum() > 0


def test_without_a_gpu_dense_is_the_fastest():
    assert fastest(torch.device("cpu"), torch.float32) == "dense"


def test_a_kernel_that_fails_or_differs_is_not_used(monkeypatch, capsys):
    """The choice on a GPU, played on the CPU: varlen is missing, flex is wrong."""
    tried = attention._tried

    def play(x, sequences, kind):
        if kind == "varlen":
            raise RuntimeError("no kernel for this device\nand more")
        found = tried(x, sequences, "dense")
        return (found[0] + 1, found[1]) if kind == "flex" else found

    monkeypatch.setattr(attention, "_tried", play)

    class Gpu:
        type = "cuda"

    monkeypatch.setattr(torch, "Generator", lambda _: None)
    randn, arange = torch.randn, torch.arange
    monkeypatch.setattr(torch, "randn", lambda *a, generator, device: randn(*a))
    monkeypatch.setattr(torch, "arange", lambda n, device: arange(n))
    Gpu.manual_seed = None
    monkeypatch.setattr(torch, "Generator", lambda _: type("G", (), {"manual_seed": lambda self, _: None})())
    assert fastest(Gpu(), torch.float32) == "dense"
    told = capsys.readouterr().err
    assert "no varlen on this GPU (no kernel for this device)" in told
    assert "flex differs" in told
