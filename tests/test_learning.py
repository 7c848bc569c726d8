"""What a tiny model learns of real text, in small: gates only where chance is out of the question."""

import argparse

import pytest

from benchmarks import learning
from trainer import metrics


@pytest.mark.slow
def test_a_tiny_model_learns(shared, tmp_path, monkeypatch):
    """The generator gets below a blind guess, the discriminator tells replaced tokens, translations are found more
    often once the encoder was taught by pairs, topics (SIB-200) are told better than by always the commonest one."""
    names = argparse.Namespace(folder=tmp_path, steps=120, size="tiny", batch=16, sequence=128, device="cpu")
    learning.corpus(tmp_path, web=False)
    model = learning.pretrained(names, "rtd-0", "mlm=1,rtd=50", 0, "--learning-rate", 1e-3)
    found = learning.validation(model)
    assert found["generator_loss"] < 8.4  # a blind guess: ln 8064 = 9.0
    assert found["auc"] > 0.6  # a blind guess: .5; .67 was measured
    before, after = learning.alignment(names, ["contrastive"])["contrastive"]
    assert after > 2 * before
    monkeypatch.setattr(learning, "TASK", ("deu_Latn", "eng_Latn"))
    learning.sib(tmp_path, model, 0)
    told, commonest = learning.hits(tmp_path, model.name)
    # .37 and .25 were measured
    assert metrics.interval(told["trained"], lambda r: r.mean())[0] > commonest
