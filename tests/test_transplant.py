"""Another vocabulary for a model: what both have stays, the rest is put together."""

from dataclasses import asdict, replace

import numpy as np
import pytest
import torch
from task_model import TEXT, write_model, write_vocabulary
from token_folder import quick, write_shard

from corpus import shards
from corpus.settings import Vocabulary as Settings
from tokenizer import vocabulary
from trainer import checkpoint, fuse, goal, plan, pretrain, transplant
from trainer.checkpoint import State
from trainer.model import Electra


@pytest.fixture(scope="module")
def both(tmp_path_factory):
    """Two vocabularies with many pieces in common: another text, another size."""
    folder = tmp_path_factory.mktemp("vocabularies")
    one = write_vocabulary(folder / "one")
    lines = [f"{TEXT['eng_Latn']} und viele andere Wörter mehr {k * 31 % 977}" for k in range(60)]
    return one, vocabulary.train(iter(lines), Settings(size=640, coverage=1.0), str(folder / "two"))


def test_common_pieces_keep_their_rows(both):
    one, two = both
    rows = torch.randn(one.size, 8)
    found = transplant.mapped({"embeddings.tokens.weight": rows, "other": rows}, one, two)
    made = found["embeddings.tokens.weight"]
    assert made.shape == (two.size, 8)
    assert found["other"] is rows
    assert torch.allclose(made[:5], rows[:5])
    places = {one.piece(i): i for i in range(one.pieces)}
    common = [i for i in range(5, two.pieces) if two.piece(i) in places]
    assert len(common) > 256
    for i in common:
        assert torch.allclose(made[i], rows[places[two.piece(i)]])


def test_others_are_the_mean_of_their_parts(both):
    one, two = both
    rows = torch.randn(one.size, 8)
    made = transplant.mapped({"generator_bias": rows[:, 0], "x.embeddings.tokens.weight": rows}, one, two)
    places = {one.piece(i) for i in range(one.pieces)}
    other = [i for i in range(5, two.pieces) if two.piece(i) not in places]
    assert other
    for i in other[:40]:
        text = two.piece(i).replace("\u2581", " ")
        ids = one.encode([text.removeprefix(" ")])[0].astype(np.int64)
        if not text.startswith(" ") and one.piece(int(ids[0])) == "\u2581":
            ids = ids[1:]
        assert torch.allclose(made["x.embeddings.tokens.weight"][i], rows[ids].mean(0), atol=1e-6)
        assert torch.allclose(made["generator_bias"][i], rows[ids, 0].mean(), atol=1e-6)


def test_the_same_vocabulary_changes_nothing(both):
    rows = torch.randn(both[0].size, 8)
    found = transplant.mapped({"embeddings.tokens.weight": rows}, both[0], both[0])["embeddings.tokens.weight"]
    assert torch.equal(found[: both[0].pieces], rows[: both[0].pieces])


def test_models_of_two_vocabularies_are_fused(both, tmp_path, capsys):
    """The second one's embeddings are mapped onto the first one's pieces."""
    one, two = both
    first = write_model(tmp_path / "one")
    config = checkpoint.read_config(str(first))
    made, _ = checkpoint.open_model(str(first))
    other = Electra(replace(made.config, vocabulary=two.size))
    other.load_state_dict(transplant.mapped(made.state_dict(), one, two))
    identity = {**config, "vocabulary": two.digest, "model": asdict(other.config)}
    checkpoint.write_config(str(tmp_path / "two"), identity)
    checkpoint.save(str(tmp_path / "two"), other.state_dict(), {"updates": torch.zeros(1)}, State(step=1))
    lines = [f"{TEXT['eng_Latn']} und viele andere Wörter mehr {k * 31 % 977}" for k in range(60)]
    vocabulary.train(iter(lines), Settings(size=640, coverage=1.0), str(tmp_path / "two" / "vocabulary"))
    assert fuse.fuse([str(first), str(tmp_path / "two")], str(tmp_path / "out")) == 0
    found, _ = checkpoint.open_model(str(tmp_path / "out"))
    assert found.config.vocabulary == one.size
    ours = made.discriminator.attentions[0].into.weight
    assert torch.allclose(found.discriminator.attentions[0].into.weight, ours, atol=1e-6)
    places = {two.piece(i) for i in range(two.pieces)}
    common = [i for i in range(5, one.pieces) if one.piece(i) in places]
    assert torch.allclose(found.embeddings.tokens.weight[common], made.embeddings.tokens.weight[common], atol=1e-6)


def test_a_run_starts_from_a_model_of_another_vocabulary(both, tmp_path):
    """Its first weights are the mapped ones; it keeps its origin, so that both can still be fused."""
    one, two = both
    first = write_model(tmp_path / "one")
    documents = [two.encode([f"{text * 3}{k}"])[0].tolist() for k in range(20) for text in TEXT.values()]
    info = write_shard(tmp_path / "tokens", "x.arrow", documents)
    shards.write_manifest(str(tmp_path / "tokens"), shards.Manifest(two.digest, two.size, "f", (info,)))
    planned = plan.plan(str(tmp_path / "tokens"), quick(steps=2), two, start=str(first))
    assert planned.identity["origin"] == checkpoint.read_config(str(first))["origin"]
    begun, made = goal.begin(planned), checkpoint.open_model(str(first))[0]
    expected = transplant.mapped(made.state_dict(), one, two)
    assert all(torch.equal(w, expected[n]) for n, w in begun.state_dict().items())
    assert pretrain.pretrain(planned, str(tmp_path / "out"), quiet=True) == 0
