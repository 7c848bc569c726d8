"""The architecture is the published one: its sizes, and its logits against another implementation."""

import pytest
import torch
from torch.nn import functional

from trainer import model
from trainer.attention import see
from trainer.model import Config, Electra, Tower, configure

VOCABULARY = 30_522  # of the published models


def discriminator(size: str, embedding: int) -> int:
    """Weights of the discriminator with its embeddings, without sentence-order head."""
    parts = model.parameters(configure(size, VOCABULARY, share="none", embedding=embedding, order=False))
    return sum(n for part, n in parts.items() if part == "embeddings" or part.startswith("discriminator"))


@pytest.mark.parametrize(
    ("size", "embedding", "published"), [("small", 128, 14), ("base", 768, 110), ("large", 1024, 335)]
)
def test_parameters_are_the_published_ones(size, embedding, published):
    """ELECTRA's README, in millions (rounded there)."""
    assert abs(discriminator(size, embedding) / 1e6 - published) < 0.012 * published + 0.5


def test_albert_base():
    """12 M parameters for 12 shared layers of 768 (arXiv:1909.11942, table 1)."""
    parts = model.parameters(configure("base", 30_000, share="all", order=False))
    assert 11e6 < parts["embeddings"] + parts["discriminator"] < 12.5e6


@pytest.mark.parametrize(("share", "attentions", "feed_forwards"), [
    ("all", 1, 1), ("attention", 1, 2), ("feed-forward", 2, 1), ("none", 2, 2),
])  # fmt: skip
def test_sharing(share, attentions, feed_forwards):
    """A shared part exists once, and copying it into all layers of an unshared model changes nothing."""
    torch.manual_seed(0)
    shared, alone = (Electra(configure("tiny", 128, share=s)) for s in (share, "none"))
    assert len(shared.discriminator.attentions) == attentions
    assert len(shared.discriminator.feed_forwards) == feed_forwards
    weights = shared.state_dict()
    for name in alone.state_dict():
        if name not in weights:
            weights[name] = weights[name.replace("s.1.", "s.0.")]
    alone.load_state_dict(weights)
    embedded, mask = torch.randn(2, 8, 64), see(torch.ones(2, 8))
    assert torch.equal(shared.discriminator(embedded, mask), alone.discriminator(embedded, mask))


def test_generator_is_narrower():
    widths = {size: configure(size, 128, share="all").generator for size in model.PRESETS}
    assert {s: (t.hidden, t.heads) for s, t in widths.items()} == {
        "tiny": (64, 1), "small": (64, 1), "base": (256, 4), "large": (256, 4)
    }  # fmt: skip
    assert configure("base", 128, share="all", generator=0.5).generator.hidden == 384


def test_config_survives_json():
    from dataclasses import asdict

    config = configure("tiny", 128, share="attention")
    assert Config.of(asdict(config)) == config


def test_same_seed_same_weights():
    one, two, other = (
        Electra(configure("tiny", 128, share="all"), torch.Generator().manual_seed(s)).state_dict() for s in (1, 1, 2)
    )
    assert all(torch.equal(one[k], two[k]) for k in one)
    assert not torch.equal(one["embeddings.tokens.weight"], other["embeddings.tokens.weight"])
    assert abs(float(one["embeddings.tokens.weight"].std()) - 0.0176) < 0.001  # .02, cut off at two sigma


def test_a_layer_says_as_much_at_any_width():
    """Unit states come out of a first linear map with the same size in a narrow tower as in one 768 wide."""
    sizes = {}
    for size in ("tiny", "base"):
        made = Electra(configure(size, 128, share="all"), torch.Generator().manual_seed(0))
        for name in ("discriminator", "generator"):
            weight = getattr(made, name).attention(0).into.weight
            sizes[size, name] = float(weight.detach().std()) * weight.shape[1] ** 0.5
    assert sizes["base", "discriminator"] == pytest.approx(0.0176 * 768**0.5, rel=0.02)
    assert list(sizes.values()) == pytest.approx([sizes["base", "discriminator"]] * 4, rel=0.02)


def test_tokens_differ_after_many_layers():
    """Cosines of different tokens' states above twelve drawn layers; .84 when all matrices were drawn alike."""
    torch.manual_seed(0)
    made = Electra(configure("small", 4_000))
    tokens, places = torch.randint(5, 4_000, (2, 128)), torch.arange(128).expand(2, -1)
    embedded = made.embeddings(tokens, places, torch.zeros_like(tokens))
    states = made.discriminator(embedded, see(torch.ones_like(tokens)))[0].detach()
    states = states / states.norm(dim=1, keepdim=True)
    cosines = states @ states.T
    assert float(cosines[~torch.eye(128, dtype=torch.bool)].mean()) < 0.5


def test_a_drawn_discriminator_expects_as_many_replaced_as_there_are():
    made = Electra(configure("tiny", 4_000))
    states = torch.randn(2, 64, 128, generator=torch.Generator().manual_seed(0))
    assert abs(float(made.replaced(states).detach().sigmoid().mean()) - 0.15) < 0.02


def test_cohesion_is_the_mean_of_the_most_similar():
    states, places = torch.randn(300, 16), (3, 20, 170)  # a segment of 16 tokens and one of 149
    one, two = states[4:20], states[21:170]
    ends = [one[: model.ENDS], one[-model.ENDS :], two[: model.ENDS], two[-model.ENDS :]]
    middle = torch.cat(ends).mean(0)
    ends = [functional.normalize(e - middle, dim=1) for e in ends]
    expected = []
    for a, b in ((0, 2), (0, 3), (1, 2), (1, 3)):
        cosines = ends[a] @ ends[b].T
        expected.append(torch.cat([cosines.max(1).values, cosines.max(0).values]).mean())
    expected = torch.stack(expected)
    expected = (expected - expected.mean()) / (expected.var(correction=0) + 1e-6).sqrt() * model.GAIN
    found = model.cohesion(states, *(torch.tensor([p, 0]) for p in places[:2]), torch.tensor([places[2], 0]))
    assert torch.allclose(found[0], expected, atol=1e-4)
    assert not found[1].any()  # a place that is none has no segments
    assert model.cohesion(states, *[torch.zeros(0, dtype=torch.long)] * 3).shape == (0, 4)


def test_segments_that_meet_are_alike():
    """Start and end of a text of which each token is like the one before it: swapped, the outer ends are alike."""
    text = torch.randn(200, 32).cumsum(0)
    for states, swapped in ((text, False), (text.roll(100, 0), True)):
        padded = torch.cat([torch.zeros(1, 32), states[:100], torch.zeros(1, 32), states[100:], torch.zeros(1, 32)])
        alike = model.cohesion(padded, torch.tensor([0]), torch.tensor([101]), torch.tensor([202]))[0]
        assert alike.argmax() == (1 if swapped else 2)


def test_the_order_is_open_at_first():
    made = Electra(configure("tiny", 100))
    assert made.order_head is not None
    places = (torch.tensor([0, 0]), torch.tensor([50, 20]), torch.tensor([90, 30]))
    logits = made.order_head(torch.randn(100, 128), *places)
    assert logits.tolist() == [0.0, 0.0]
    logits.sum().backward()
    assert all(w.grad.any() for n, w in made.order_head.named_parameters() if n in ("out.weight", "alike.weight"))


def test_a_model_from_before_the_ends_were_compared_loads():
    made = Electra(configure("tiny", 100), torch.Generator().manual_seed(3))
    weights = {n: w for n, w in made.state_dict().items() if n != "order_head.alike.weight"}
    with torch.device("meta"):
        again = Electra(made.config)
    again.load_state_dict(weights, assign=True)
    assert "order_head.alike.weight" not in weights
    assert all(torch.equal(w, again.state_dict()[n]) for n, w in made.state_dict().items())
    with pytest.raises(RuntimeError, match="Missing key"):
        again.load_state_dict({n: w for n, w in weights.items() if n != "order_head.out.weight"})


def test_packed_equals_padded():
    """Sequences in one window give what each gives alone in a padded row."""
    torch.manual_seed(1)
    made = Electra(configure("tiny", 128, share="none"))
    _noise(made)
    lengths = [7, 20, 1, 4]
    texts = [torch.randint(5, 128, (n,)) for n in lengths]
    packed = torch.zeros(3, 1, 40, dtype=torch.long)
    alone = torch.zeros(3, 4, 24, dtype=torch.long)
    at = 0
    for row, (n, text) in enumerate(zip(lengths, texts, strict=True)):
        places = torch.arange(n)
        packed[:, 0, at : at + n] = torch.stack([text, torch.full((n,), row + 1), places])
        alone[:, row, :n] = torch.stack([text, torch.ones(n, dtype=torch.long), places])
        at += n
    states = []
    for tokens, sequences, positions in (packed, alone):
        embedded = made.embeddings(tokens, positions, torch.zeros_like(tokens))
        states.append(made.replaced(made.discriminator(embedded, see(sequences))))
    at = 0
    for row, n in enumerate(lengths):
        assert torch.allclose(states[0][0, at : at + n], states[1][row, :n], atol=1e-5)
        at += n


def _noise(module: torch.nn.Module) -> None:
    """All weights random, biases and norms too, so that none can be forgotten unnoticed."""
    with torch.no_grad():
        for weight in module.parameters():
            weight.add_(torch.randn_like(weight) * 0.1)


def _copy(theirs, embeddings, encoder) -> dict:
    """Weights of a Hugging Face ElectraModel under our names."""
    t = theirs.state_dict()
    found = {f"{embeddings}.{ours}.weight": t[f"embeddings.{name}_embeddings.weight"] for ours, name in (
        ("tokens", "word"), ("positions", "position"), ("types", "token_type"))}  # fmt: skip
    names = {"attention.output.dense": "attentions.{}.out", "attention.output.LayerNorm": "attentions.{}.norm",
             "intermediate.dense": "feed_forwards.{}.wide", "output.dense": "feed_forwards.{}.narrow",
             "output.LayerNorm": "feed_forwards.{}.norm"}  # fmt: skip
    for kind in ("weight", "bias"):
        found[f"{embeddings}.norm.{kind}"] = t[f"embeddings.LayerNorm.{kind}"]
        if f"embeddings_project.{kind}" in t:
            found[f"{encoder}.project.{kind}"] = t[f"embeddings_project.{kind}"]
        for k in range(theirs.config.num_hidden_layers):
            layer = f"encoder.layer.{k}"
            parts = [t[f"{layer}.attention.self.{n}.{kind}"] for n in ("query", "key", "value")]
            found[f"{encoder}.attentions.{k}.into.{kind}"] = torch.cat(parts)
            for name, ours in names.items():
                found[f"{encoder}.{ours.format(k)}.{kind}"] = t[f"{layer}.{name}.{kind}"]
    return found


@pytest.fixture(scope="module")
def batch():
    torch.manual_seed(2)
    tokens = torch.randint(5, 256, (3, 33))
    lengths = torch.tensor([33, 20, 5])[:, None]
    sequences = (torch.arange(33) < lengths).long()
    types = (torch.arange(33) >= lengths // 2).long() * sequences
    return tokens, sequences, torch.arange(33).expand(3, -1), types


def _pair(embedding: int):
    """Their configuration and our model of the same shape, with random weights."""
    transformers = pytest.importorskip("transformers")
    config = transformers.ElectraConfig(
        vocab_size=256, embedding_size=embedding, hidden_size=128, num_hidden_layers=3, num_attention_heads=2,
        intermediate_size=512, hidden_dropout_prob=0.0, attention_probs_dropout_prob=0.0,
    )  # fmt: skip
    tower = Tower(3, 128, "none")
    return transformers, config, Electra(Config(256, 512, embedding, tower, tower, False))


@pytest.mark.parametrize("embedding", [64, 128])
def test_discriminator_logits_equal_hugging_face(batch, embedding):
    transformers, config, ours = _pair(embedding)
    theirs = transformers.ElectraForPreTraining(config).eval()
    _noise(theirs)
    missing, unexpected = ours.load_state_dict(_weights(theirs), strict=False)
    assert not unexpected
    assert all(n.startswith("generator") for n in missing)
    tokens, sequences, positions, types = batch
    with torch.no_grad():
        expected = theirs(input_ids=tokens, attention_mask=sequences, token_type_ids=types).logits
        found = ours.replaced(ours.discriminator(ours.embeddings(tokens, positions, types), see(sequences)))
    real = sequences > 0
    assert expected[real].std() > 0.1
    assert torch.allclose(found[real], expected[real], atol=1e-5)


@pytest.mark.parametrize("embedding", [64, 128])
def test_generator_logits_equal_hugging_face(batch, embedding):
    transformers, config, ours = _pair(embedding)
    theirs = transformers.ElectraForMaskedLM(config).eval()
    _noise(theirs)
    t, weights = theirs.state_dict(), _copy(theirs.electra, "embeddings", "generator")
    for kind in ("weight", "bias"):
        weights[f"generator_head.linear.{kind}"] = t[f"generator_predictions.dense.{kind}"]
        weights[f"generator_head.norm.{kind}"] = t[f"generator_predictions.LayerNorm.{kind}"]
    weights["generator_bias"] = t["generator_lm_head.bias"]
    missing, unexpected = ours.load_state_dict(weights, strict=False)
    assert not unexpected
    assert all(n.startswith("discriminator") for n in missing)
    tokens, sequences, positions, types = batch
    with torch.no_grad():
        expected = theirs(input_ids=tokens, attention_mask=sequences, token_type_ids=types).logits
        rows = ours.filled(ours.generator(ours.embeddings(tokens, positions, types), see(sequences)))
        found = rows @ ours.embeddings.tokens.weight.T + ours.generator_bias
    real = sequences > 0
    assert expected[real].std() > 0.1
    assert torch.allclose(found[real], expected[real], atol=1e-5, rtol=1e-5)


def test_gradients_equal_hugging_face(batch):
    """Of the discriminator's loss over all real tokens, in every weight: 1e-4 of its length."""
    transformers, config, ours = _pair(64)
    theirs = transformers.ElectraForPreTraining(config).eval()
    _noise(theirs)
    ours.load_state_dict(_weights(theirs), strict=False)
    tokens, sequences, positions, types = batch
    real, labels = sequences > 0, (tokens % 7 == 0).float()
    found = ours.replaced(ours.discriminator(ours.embeddings(tokens, positions, types), see(sequences)))
    expected = theirs(input_ids=tokens, attention_mask=sequences, token_type_ids=types).logits
    for logits in (found, expected):
        torch.nn.functional.binary_cross_entropy_with_logits(logits[real], labels[real]).backward()
    with torch.no_grad():
        for weight in theirs.parameters():
            weight.copy_(weight.grad if weight.grad is not None else torch.zeros_like(weight))
    gradients = _weights(theirs)
    for name, weight in ours.named_parameters():
        if name in gradients:
            off = torch.linalg.norm(weight.grad - gradients[name])
            assert off <= 1e-4 * torch.linalg.norm(gradients[name]) + 1e-7, name


def _weights(theirs) -> dict:
    """All of an ElectraForPreTraining under our names."""
    weights = _copy(theirs.electra, "embeddings", "discriminator")
    for kind in ("weight", "bias"):
        weights[f"discriminator_head.linear.{kind}"] = theirs.state_dict()[f"discriminator_predictions.dense.{kind}"]
        weights[f"discriminator_out.{kind}"] = theirs.state_dict()[f"discriminator_predictions.dense_prediction.{kind}"]
    return weights
