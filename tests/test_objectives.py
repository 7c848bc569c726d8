"""The objectives against their plain formulas."""

import math

import numpy as np
import pytest
import torch
from test_filling import drawn
from token_folder import TABLE, quick, write_folder
from torch.nn import functional

from corpus import shards
from trainer import objectives
from trainer import tally as tallies
from trainer.attention import rooms, rounded, see
from trainer.masking import mask
from trainer.model import Electra, configure
from trainer.objectives import Batch, Pretraining
from trainer.stream import CLS, SEP, Stream
from trainer.tally import BINS, NAMED, SUMS

CPU = torch.device("cpu")
ALLOWED = torch.from_numpy(~TABLE.special)
WEIGHTS = (1.0, 50.0, 1.0, 0.0, 0.0)


@pytest.fixture(scope="module")
def batch(tmp_path_factory):
    folder = write_folder(tmp_path_factory.mktemp("tokens"))
    index = np.arange(8)
    windows = Stream(folder, shards.read_manifest(folder), 64, TABLE.sentence_end).batch(index)
    return Batch.of(windows, mask(windows.tokens, index, TABLE.word_start, TABLE.special, 0.15, 0), CPU)


@pytest.fixture
def learner():
    torch.manual_seed(0)
    made = Electra(configure(quick().size, len(ALLOWED), share="all"))
    with torch.no_grad():
        for weight in made.parameters():
            weight.add_(torch.randn_like(weight) * 0.05)
    return Pretraining(made, ALLOWED)


def test_find_is_bce_over_real_tokens():
    logits, replaced = torch.tensor([[0.5, -2.0, 9.0]]), torch.tensor([[True, False, True]])
    real = torch.tensor([[True, True, False]])
    expected = math.log1p(math.exp(-0.5)) + math.log1p(math.exp(-2.0))
    assert math.isclose(float(objectives.find(logits, replaced, real).sum()), expected, rel_tol=1e-6)
    assert objectives.find(logits, replaced, ~real | real).sum() > 0
    assert objectives.find(logits, replaced, torch.zeros(1, 3).bool()).sum() == 0


def test_order_is_bce():
    expected = math.log1p(math.exp(-2.0)) + math.log1p(math.exp(-1.0))
    assert math.isclose(
        float(objectives.order(torch.tensor([2.0, -1.0]), torch.tensor([1.0, 0.0])).sum()), expected, rel_tol=1e-6
    )


def test_segments_stand_between_their_marks(batch):
    tokens, types = batch.tokens.flatten(), batch.types.flatten()
    assert len(batch.pairs) > 3
    for begin, middle, end in zip(*(places.tolist() for places in batch.segments()), strict=True):
        marks = (tokens[begin : end + 1] == SEP).nonzero().flatten() + begin
        assert (tokens[begin], marks.tolist()) == (CLS, [middle, end])
        assert types[begin : end + 1].tolist() == [0] * (middle + 1 - begin) + [1] * (end - middle)


def test_loss_is_the_weighted_sum_of_the_plain_formulas(batch, learner):
    """The whole objective, written out without chunks and gathers."""
    made = learner.model
    loss, tally = learner(batch, batch.counts(), WEIGHTS)
    visible = see(batch.sequences)
    states = made.generator(made.embeddings(batch.inputs, batch.positions, batch.types), visible)
    logits = (made.filled(states) @ made.embeddings.tokens.weight.T + made.generator_bias).flatten(0, 1)[batch.chosen]
    targets = batch.tokens.flatten()[batch.chosen]
    corrupted = batch.tokens.clone().flatten()
    corrupted[batch.chosen] = drawn(logits, batch.noise, ALLOWED)
    corrupted = corrupted.view_as(batch.tokens)
    states = made.discriminator(made.embeddings(corrupted, batch.positions, batch.types), visible)
    real = batch.sequences > 0
    labels = (corrupted != batch.tokens).float()
    swap = made.order_head(states.flatten(0, 1), *batch.segments())
    parts = [
        functional.cross_entropy(logits, targets),
        functional.binary_cross_entropy_with_logits(made.replaced(states)[real], labels[real]),
        functional.binary_cross_entropy_with_logits(swap, batch.swapped),
    ]
    assert torch.allclose(loss, parts[0] + 50 * parts[1] + parts[2], rtol=1e-5)
    tally = tally.sum(0)
    figures = tallies.figures(tally, WEIGHTS)
    assert math.isclose(figures["loss"], float(loss.detach()), rel_tol=1e-5)
    for name, part in zip(("generator_loss", "discriminator_loss", "order_loss"), parts, strict=True):
        assert math.isclose(figures[name], float(part.detach()), rel_tol=1e-5)
    called = made.replaced(states)[real] > 0
    assert tally[SUMS.index("replaced")] == labels[real].sum()
    assert tally[SUMS.index("found")] == (called & (labels[real] > 0)).sum()
    assert tally[SUMS.index("tokens")] == real.sum()


def test_a_sample_that_is_the_original_counts_as_real(batch, learner):
    """With a generator that is always right nothing is replaced."""
    targets = torch.zeros(len(ALLOWED), dtype=torch.bool)
    targets[8] = True
    tokens = batch.tokens.clone()
    tokens.view(-1)[batch.chosen] = 8
    learner.allowed = targets
    _, tally = learner(Batch(**{**vars(batch), "tokens": tokens}), batch.counts(), WEIGHTS)
    assert tally[0, SUMS.index("replaced")] == 0


def test_discriminator_does_not_teach_the_generator(batch, learner):
    """Only the generator's own loss reaches its weights (no gradient through the samples)."""
    learner(batch, batch.counts(), (0.0, 50.0, 0.0, 0.0, 0.0))[0].backward()
    assert all(not w.grad.any() for w in learner.model.generator.parameters())
    assert not learner.model.generator_bias.grad.any()
    assert any(w.grad.any() for w in learner.model.discriminator.parameters())


def test_halves_add_up_to_the_whole(batch, learner):
    """Two processes' losses, each through the common counts, are the loss of the whole batch; so are the tallies."""
    counts = batch.counts()
    whole, tally = learner(batch, counts, WEIGHTS)
    parts, parts_tallies = zip(*(learner(_half(batch, low), counts, WEIGHTS) for low in (0, 4)), strict=True)
    assert torch.allclose(sum(parts), whole, rtol=1e-5)
    assert torch.allclose(sum(parts_tallies)[:, NAMED:], tally[:, NAMED:])


def _half(batch: Batch, low: int) -> Batch:
    length, values = batch.tokens.shape[1], dict(vars(batch))
    for name in ("tokens", "inputs", "sequences", "positions", "types", "crops", "language", "weight", "seen"):
        values[name] = values[name][low : low + 4]
    for place, *others in (("chosen", "noise"), ("pairs", "swapped"), ("starts",)):
        inside = (values[place] >= low * length) & (values[place] < (low + 4) * length)
        values |= {name: values[name][inside] for name in others}
        values[place] = values[place][inside] - low * length
    return Batch(**values)


def test_area_is_the_chance_of_a_right_order():
    """Against the definition, over all pairs."""
    torch.manual_seed(0)
    real, fake = torch.randint(BINS, (50,)), torch.randint(40, BINS, (30,))
    pairs = fake[None, :] - real[:, None]
    expected = float(((pairs > 0).double() + 0.5 * (pairs == 0).double()).mean())
    counted = (v.bincount(minlength=BINS).double() for v in (real, fake))
    assert math.isclose(tallies.area(*counted), expected, rel_tol=1e-9)
    assert tallies.area(torch.ones(BINS), torch.zeros(BINS)) is None


def test_figures_of_nothing():
    found = tallies.figures(tallies.empty(CPU)[0], WEIGHTS)
    assert found["loss"] == 0
    assert found["auc"] is None


def test_loss_weights_of_languages(batch, learner):
    """A window of weight 3 counts as three of weight 1."""
    counts = batch.counts()
    heavy = Batch(**{**vars(batch), "weight": torch.tensor([3.0] + [1.0] * 7)})
    assert (heavy.counts() > counts).all()
    found = learner(heavy, heavy.counts(), WEIGHTS)[0]
    first = Batch(**{**vars(batch), "weight": torch.tensor([1.0] + [0.0] * 7)})
    expected = learner(batch, heavy.counts(), WEIGHTS)[0] + 2 * learner(first, heavy.counts(), WEIGHTS)[0]
    assert torch.allclose(found, expected, rtol=1e-5)


def test_tallies_are_apart_by_language(batch, learner):
    learner.languages = 2
    language = torch.arange(8) % 2
    _, tally = learner(Batch(**{**vars(batch), "language": language}), batch.counts(), WEIGHTS)
    tokens = (batch.sequences > 0).sum(1)
    assert tally[:, SUMS.index("tokens")].tolist() == [float(tokens[language == k].sum()) for k in (0, 1)]
    assert tally[0, NAMED:].sum() == tokens[language == 0].sum()
    sequences = batch.sequences
    expected = sum(int((sequences[0] == n).sum()) ** 2 for n in range(1, int(sequences[0].max()) + 1))
    assert batch.seen[0] == expected


def test_contrast_is_cross_entropy_over_cosines():
    torch.manual_seed(0)
    one, two = torch.randn(5, 8), torch.randn(5, 8)
    losses, hits = objectives.contrast(one, two)
    cosines = functional.cosine_similarity(one[:, None], two[None], dim=2)
    own = torch.arange(5)
    plain = (functional.cross_entropy(cosines, own) + functional.cross_entropy(cosines.T, own)) / 2
    assert torch.allclose(losses.mean(), plain, rtol=1e-6)
    assert torch.equal(hits, cosines.argmax(1) == own)
    assert objectives.contrast(one, one)[1].all()


def test_the_adversarys_gradient_is_turned_round():
    """The classifier learns to tell the language, the states to hide it."""
    torch.manual_seed(0)
    head, language = torch.nn.Linear(4, 3), torch.tensor([0, 2, 1])
    states = torch.randn(3, 4, requires_grad=True)
    losses, _ = objectives.adversary(head, states, language)
    losses.sum().backward()
    turned, head_gradient = states.grad.clone(), head.weight.grad.clone()
    states.grad = head.weight.grad = None
    functional.cross_entropy(head(states), language, reduction="sum").backward()
    assert torch.allclose(turned, -states.grad)
    assert torch.allclose(head_gradient, head.weight.grad)


def test_every_objective_takes_part(batch):
    """The loss is the sum of the objectives' means with their weights; each has a gradient."""
    torch.manual_seed(0)
    made = Electra(configure(quick().size, len(ALLOWED), languages=2))
    learner = Pretraining(made, ALLOWED, ("mlm", "rtd", "order", "contrast", "language"), 2)
    crops = (batch.positions > 0) & (batch.positions < 3)
    full = Batch(**{**vars(batch), "crops": crops, "language": torch.arange(8) % 2})
    weights = (1.0, 50.0, 2.0, 3.0, 0.5)
    loss, tally = learner(full, full.counts(), weights)
    found = tallies.figures(tally.sum(0), weights)
    assert math.isclose(found["loss"], float(loss.detach()), rel_tol=1e-5)
    assert {"contrast_loss", "language_loss", "contrast_accuracy", "language_accuracy"} <= set(found)
    loss.backward()
    assert all(w.grad is not None for w in made.parameters())


def test_filling_in_alone_has_no_discriminator(batch):
    made = Electra(configure(quick().size, len(ALLOWED)))
    loss, tally = Pretraining(made, ALLOWED, ("mlm",))(batch, batch.counts(), (1.0, 0, 0, 0, 0))
    loss.backward()
    trained = {n.partition(".")[0] for n, w in made.named_parameters() if w.requires_grad}
    assert trained == {"embeddings", "generator", "generator_head", "generator_bias"}
    assert tallies.figures(tally[0], (1.0, 0, 0, 0, 0))["discriminator_loss"] is None


def test_places_that_are_none_change_nothing(tmp_path):
    """Loss, gradients and tally of batches of even shapes are those of the plain ones."""
    folder, index = write_folder(tmp_path), np.arange(17)
    windows = Stream(folder, shards.read_manifest(folder), 64, TABLE.sentence_end).batch(index)
    masks = mask(windows.tokens, index, TABLE.word_start, TABLE.special, 0.15, 0)
    given = {"language": index % 2, "weight": 1 + index % 3}
    plain, even = (Batch.of(windows, masks, CPU, **given, even=e) for e in (False, True))
    assert len(even.chosen) == rounded(len(plain.chosen), 6) > len(plain.chosen)
    assert (even.chosen[len(plain.chosen) :] == -1).all()
    assert even.runs == rooms(plain.runs)
    assert torch.equal(plain.counts(), even.counts())
    found = []
    for batch in (plain, even):
        torch.manual_seed(0)
        made = Electra(configure(quick().size, len(ALLOWED), languages=2))
        learner = Pretraining(made, ALLOWED, ("mlm", "rtd", "order", "language"), 2)
        loss, tally = learner(batch, batch.counts(), (1.0, 50.0, 1.0, 0.0, 0.1))
        loss.backward()
        found.append((loss, tally, [w.grad for w in made.parameters()]))
    assert torch.allclose(found[0][0], found[1][0], rtol=1e-6)
    assert torch.allclose(found[0][1], found[1][1], rtol=1e-6)
    for one, two in zip(found[0][2], found[1][2], strict=True):
        assert torch.allclose(one, two, rtol=1e-4, atol=1e-6)
