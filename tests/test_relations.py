"""The relation loss is its formula, its gradient autograd's, however many heads are computed at a time."""

import math

import pytest
import torch

from trainer import relations

SEQUENCES = torch.tensor([[1, 1, 1, 2, 2, 2, 2, 0], [1, 1, 1, 1, 1, 1, 0, 0], [1, 2, 2, 2, 3, 3, 3, 3]])


def parts(heads: int, width: int) -> list[torch.Tensor]:
    return [torch.randn(3, 8, heads, width, requires_grad=True) for _ in range(3)]


def plain(student, teacher, heads: int) -> torch.Tensor:
    """MiniLMv2's, written out: (B, S), of padding 0; the mean over heads and kinds of KL(teacher || student)."""
    losses = torch.zeros(SEQUENCES.shape)
    for ours, theirs in zip(student, teacher, strict=True):
        for window, row in enumerate(SEQUENCES):
            for number in range(1, int(row.max()) + 1):
                places = (row == number).nonzero().flatten()
                for one, two in zip(
                    *(p[window, places].flatten(1).chunk(heads, 1) for p in (ours, theirs)), strict=True
                ):
                    p, q = ((x @ x.T / math.sqrt(x.shape[1])).softmax(1) for x in (two, one))
                    each = (p * (p / q).log()).sum(1) / heads / len(student)
                    losses = losses.index_put((torch.tensor(window), places), each, accumulate=True)
    return losses


@pytest.mark.parametrize("most", [1, 64, 4 * 64, 1 << 20])
def test_loss_and_gradient_are_the_formulas(monkeypatch, most):
    monkeypatch.setitem(relations.VALUES, "cpu", most)
    torch.manual_seed(0)
    student, teacher = parts(2, 8), parts(1, 32)
    weight = torch.rand(SEQUENCES.shape) * (SEQUENCES > 0)
    loss, each = relations.relate(student, teacher, 4, SEQUENCES, weight)
    expected = plain(student, teacher, 4)
    real = SEQUENCES > 0
    assert torch.allclose(each[real], expected[real], atol=1e-6)
    wanted = (expected * weight).sum()
    assert loss.item() == pytest.approx(wanted.item(), rel=1e-5)
    for ours, theirs in zip(*(torch.autograd.grad(3 * x, student) for x in (loss, wanted)), strict=True):
        assert torch.allclose(ours, theirs, atol=1e-6)
    again = relations.relate(student, teacher, 4, SEQUENCES, weight)[0]
    assert torch.autograd.grad(again, teacher, allow_unused=True) == (None, None, None)


def test_the_teacher_itself_loses_nothing():
    """Nor has it anything to learn; large scores do no harm."""
    torch.manual_seed(0)
    teacher = [p.detach() * 40 for p in parts(2, 8)]
    student = [p.clone().requires_grad_() for p in teacher]
    loss, each = relations.relate(student, teacher, 4, SEQUENCES, (SEQUENCES > 0).float())
    assert each.abs().max() < 1e-5
    assert all(g.abs().max() < 1e-5 for g in torch.autograd.grad(loss, student))


def test_nothing_is_kept_where_no_gradient_is_wanted():
    with torch.no_grad():
        loss, _ = relations.relate(parts(2, 8), parts(2, 8), 4, SEQUENCES, torch.ones(SEQUENCES.shape))
    assert not loss.requires_grad


@pytest.mark.parametrize(("one", "two", "heads"), [(768, 384, 48), (256, 128, 32), (128, 128, 32), (192, 128, 32)])
def test_heads_divide_both_widths(one, two, heads):
    assert relations.heads_of(one, two) == heads
