"""What a tiny model learns of real text, in small: gates only where chance is out of the question."""

import argparse

import pytest

from benchmarks import learning


@pytest.mark.slow
def test_a_tiny_model_learns(shared, tmp_path):
    """A few minutes of training: topics above always guessing the commonest in the languages of the task, translations
    found more often once the encoder was taught by pairs, the generator better than a blind guess."""
    names = argparse.Namespace(folder=tmp_path, steps=120, size="tiny")
    learning.corpus(tmp_path, web=False)
    model = learning.pretrained(names, "rtd-0", "mlm=1,rtd=50,order=1", "", 0)
    figures = learning.sib(tmp_path, model, 0)
    found = learning.groups(figures)
    assert found["trained"] > found["majority"] + 0.03
    assert learning.validation(model)["generator_loss"] < 8.6  # a blind guess: ln 8000 = 8.99
    before, after = learning.alignment(tmp_path, ["contrastive"])["contrastive"]
    assert after > 2 * before
