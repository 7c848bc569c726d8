"""The scripts that time a GPU run on a CPU with tiny sizes, so that they are not found broken where a GPU is."""

import pytest

from benchmarks import train_step
from benchmarks.gpu import pretrain

TINY = ["--device", "cpu", "--size", "tiny", "--vocabulary", "1024", "--length", "64", "--batch", "4", "--steps", "2"]


def test_every_variant_runs(capsys):
    pytest.importorskip("transformers")
    found = pretrain.main([*TINY, "--variants", "eager, dense mask", "eager, fastest attention", "--profile"])
    assert set(found) == {"eager, dense mask", "eager, fastest attention", pretrain.PEER}
    assert all(rate > 0 for rate in found.values())
    told = capsys.readouterr().out
    assert "times the usual recipe" in told
    assert "Self CPU" in told


def test_cpu_step(capsys):
    pytest.importorskip("transformers")
    found = train_step.main(
        ["--size", "tiny", "--rows", "4", "--length", "64", "--vocabulary", "1024", "--rounds", "1"]
    )
    assert all(seconds > 0 for seconds in found.values())
    assert "packing adds" in capsys.readouterr().out
