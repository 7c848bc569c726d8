"""The scripts that time a GPU run on a CPU with tiny sizes, so that they are not found broken where a GPU is."""

import pytest

from benchmarks import train_step
from benchmarks.gpu import attention, pretrain

TINY = ["--device", "cpu", "--size", "tiny", "--vocabulary", "1024", "--length", "64", "--batch", "4", "--steps", "2"]


def test_every_variant_runs(capsys, tmp_path):
    """But flex, which has no gradients on a CPU; nothing is compiled here."""
    pytest.importorskip("transformers")
    path = tmp_path / "profile.txt"
    names = set(pretrain.VARIANTS) - {"compiled, flex"}
    found = pretrain.main([*TINY, "--profile", str(path), "--variants", *names])
    assert set(found) == names | {pretrain.PEER}
    assert all(rate > 0 for rate in found.values())
    assert "times the usual recipe" in capsys.readouterr().out
    assert "Self CPU" in path.read_text()


def test_cpu_step(capsys):
    pytest.importorskip("transformers")
    found = train_step.main(
        ["--size", "tiny", "--rows", "4", "--length", "64", "--vocabulary", "1024", "--rounds", "1"]
    )
    assert all(seconds > 0 for seconds in found.values())
    assert "packing adds" in capsys.readouterr().out


def test_kernels_of_attention(capsys):
    """The one that runs on a CPU."""
    found = attention.main(["--device", "cpu", "--kinds", "dense", "--windows", "2"])
    assert [name for name, _, _ in found] == ["dense"] * len(attention.SHAPES)
    assert all(0 < forward < both for _, forward, both in found)
    assert capsys.readouterr().out.count("0.0e+00") == len(attention.SHAPES)
    numbers = attention.sequences(64)
    assert (numbers[:, 0] == 1).all()
    assert 3 < 1 + (numbers[:, 1:] != numbers[:, :-1]).sum() / 64 < 4  # runs of a window
