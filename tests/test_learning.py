"""What a tiny model learns of real text, in small: gates only where chance is out of the question."""

import argparse

import pytest

from benchmarks import learning


@pytest.mark.slow
def test_a_tiny_model_learns(shared, tmp_path):
    """The generator gets below a blind guess, the discriminator tells replaced tokens, and translations are found more
    often once the encoder was taught by pairs. Topics (SIB-200) take more text than a test has time for."""
    names = argparse.Namespace(folder=tmp_path, steps=120, size="tiny")
    learning.corpus(tmp_path, web=False)
    model = learning.pretrained(names, "rtd-0", "mlm=1,rtd=50", 0, "--learning-rate", 1e-3)
    found = learning.validation(model)
    assert found["generator_loss"] < 8.4  # a blind guess: ln 8000 = 8.99
    assert found["auc"] > 0.53  # a blind guess: .5; .57 was measured
    before, after = learning.alignment(names, ["contrastive"])["contrastive"]
    assert after > 2 * before
