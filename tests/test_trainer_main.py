"""The commands of the trainer from end to end, with a real vocabulary: what they print, which codes they return."""

import json
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from corpus import shards
from corpus.settings import Vocabulary as Settings
from tokenizer import vocabulary
from trainer.__main__ import main

ROOT = Path(__file__).resolve().parents[1]
TEXT = {
    "eng_Latn": "All human beings are born free and equal in dignity and rights. They are endowed with reason. ",
    "ukr_Cyrl": "Всі люди народжуються вільними і рівними у своїй гідності та правах. Вони наділені розумом. ",
    "cmn_Hans": "人人生而自由，在尊严和权利上一律平等。他们赋有理性和良心，并应以兄弟关系的精神相对待。",
}
WANTED = {
    "finetune": ["--train", "x", "--dev", "x", "--output", "y"],
    "align": ["--pairs", "x", "--output", "y"],
    "evaluate": ["--data", "x"],
    "fuse": ["--output", "y"],
}
QUICK = ["--size", "tiny", "--sequence", "64", "--batch", "4", "--steps", "6", "--device", "cpu", "--quiet"]


@pytest.fixture(scope="module")
def out(tmp_path_factory) -> Path:
    """A corpus folder with a vocabulary and tokens of three languages."""
    folder = tmp_path_factory.mktemp("out")
    lines = [f"{text} {k * 7919 % 1000}" for k in range(40) for text in TEXT.values()]
    trained = vocabulary.train(iter(lines), Settings(size=512, coverage=1.0), str(folder / "vocabulary"))
    infos = []
    for language, text in TEXT.items():
        for validation in (False, True):
            tokens, lengths = trained.encode([f"{text * (1 + k % 5)}\n{k}" for k in range(5 if validation else 30)])
            name = f"{'validation/' if validation else ''}{language}/x1-0.arrow"
            path = folder / "tokens" / name
            path.parent.mkdir(parents=True)
            batch = shards.batch(tokens, lengths, np.zeros(len(lengths), int), np.arange(len(lengths)))
            with pa.OSFile(str(path), "wb") as sink, pa.ipc.new_file(sink, batch.schema) as writer:
                writer.write_batch(batch)
            size, digest = path.stat().st_size, shards.checksum(str(path))
            infos.append(shards.ShardInfo(name, language, 1, validation, len(lengths), len(tokens), size, digest))
    shards.write_manifest(str(folder / "tokens"), shards.Manifest(trained.digest, trained.size, "f", tuple(infos)))
    return folder


@pytest.fixture(scope="module")
def model(out) -> Path:
    assert main(["pretrain", str(out / "tokens"), "--output", str(out / "model"), *QUICK]) == 0
    return out / "model"


@pytest.mark.parametrize("command", ["finetune", "align", "evaluate", "fuse"])
def test_threads_do_not_spin_while_they_wait(command):
    """The environment is as torch wants it before torch is loaded."""
    code = "import sys, os, runpy; from trainer.__main__ import main\nclass Watch:\n"
    code += (
        " def find_spec(self, name, *_):\n  if name == 'torch': print(os.environ.get('OMP_WAIT_POLICY')); sys.exit()\n"
    )
    code += f"sys.meta_path.insert(0, Watch()); sys.argv[1:] = {command!r}, 'x', *{WANTED[command]}; sys.exit(main())"
    told = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False).stdout
    assert told == "PASSIVE\n"


def test_help_is_quick_and_light():
    """No Beam, torch, pyarrow or numpy; every setting is there."""
    began = time.monotonic()
    code = "import sys; from trainer.__main__ import main\ntry: main(['pretrain', '--help'])\nexcept SystemExit: pass\n"
    code += "print([m for m in ('torch', 'pyarrow', 'apache_beam', 'numpy', 'sentencepiece') if m in sys.modules])"
    told = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    assert time.monotonic() - began < 3  # 0.1 s on an idle machine
    assert told.endswith("[]\n")
    assert all(flag in told for flag in ("--language-weights", "--dry-run", "--vocabulary", "--limit", "--objectives"))


def test_pretrain_tells_what_it_did(out, capsys):
    assert main(["pretrain", str(out / "tokens"), "--output", str(out / "told"), *QUICK]) == 0
    told = capsys.readouterr()
    assert len(told.out.splitlines()) == 5
    assert "step 6 of 6" in told.out
    assert told.out.splitlines()[-1] == f"next: python -m trainer report {out / 'told'}"
    assert told.err == ""


def test_inspect_a_model(model, capsys):
    assert main(["inspect", str(model)]) == 0
    told = capsys.readouterr().out
    assert "step-00000006: whole, the best" in told
    assert "discriminator: 2 layers, width 128, heads 2, shared: all" in told
    assert "validation: step 6, loss" in told
    assert (model / "vocabulary" / "spm.model").exists()


def test_inspect_sees_damage(out, capsys):
    main(["pretrain", str(out / "tokens"), "--output", str(out / "harmed"), *QUICK])
    path = out / "harmed" / "checkpoints" / "step-00000006" / "model.safetensors"
    path.write_bytes(path.read_bytes()[:-1])
    assert main(["inspect", str(out / "harmed")]) == 1
    assert "step-00000006: damaged" in capsys.readouterr().out


def test_inspect_tokens(out, capsys):
    assert main(["inspect", str(out / "tokens")]) == 0
    told = capsys.readouterr().out
    assert "checksums: all 6 shards" in told
    assert [line.split()[:2] for line in told.splitlines() if "validation" in line] == [
        [language, "validation"] for language in sorted(TEXT)
    ]


def test_inspect_windows(out, capsys):
    """The text of a window is text of its documents."""
    assert main(["inspect", str(out / "tokens"), "--batch", "5", "--sequence", "64"]) == 0
    told = capsys.readouterr().out
    windows = told.split("\nwindow ")[1:]
    assert len(windows) == 5 * len(TEXT)
    for window in windows:
        head, *lines = window.splitlines()
        language = head.split(", ")[1]
        assert lines
        for line in lines:
            assert line.startswith("  [CLS] ")
            assert line.endswith(" [SEP]")
            for segment in line.removeprefix("  [CLS] ").removesuffix(" [SEP]").split(" [SEP] "):
                assert segment.strip(" 0123456789\ufffd")[:12] in TEXT[language] * 2


def test_dry_run_and_config_write_nothing(out, tmp_path, capsys):
    command = ["pretrain", str(out / "tokens"), "--output", str(tmp_path / "m"), *QUICK]
    assert main([*command, "--dry-run"]) == 0
    assert "6 of 256 tokens" in capsys.readouterr().out
    assert main([*command, "--print-config"]) == 0
    (tmp_path / "mill.toml").write_text(capsys.readouterr().out)
    assert main([*command[:4], "--config", str(tmp_path / "mill.toml"), "--steps", "9", "--print-config"]) == 0
    told = capsys.readouterr().out
    assert 'size = "tiny"' in told
    assert "steps = 9" in told
    assert not (tmp_path / "m").exists()


def test_limit_stops_early_and_goes_on(out, tmp_path, capsys):
    command = ["pretrain", str(out / "tokens"), "--output", str(tmp_path / "m"), *QUICK]
    assert main([*command, "--limit", "2"]) == 0
    assert "step 2 of 6; 2 steps" in capsys.readouterr().out
    assert main(command) == 0
    assert "step 6 of 6; 4 steps" in capsys.readouterr().out


@pytest.mark.parametrize(("arguments", "told"), [
    (["pretran"], "did you mean pretrain?"),
    (["pretrain", "x", "--output", "y", "--bath", "3"], "did you mean --batch?"),
    (["pretrain", "x", "--output", "y", "--size", "bass"], "did you mean base?"),
    (["pretrain", "x", "--output", "y", "--steps", "many"], "--steps: 'many' is not a number"),
    (["pretrain", "x", "--output", "y", "--limit", "0"], "--limit: 0"),
    (["pretrain", "nowhere", "--output", "y"], "run python -m pipeline tokenize"),
    (["pretrain", "{out}/tokens", "--output", "y", "--vocabulary", "nowhere"], "name its folder with --vocabulary"),
    (["inspect", "{out}"], "neither tokens"),
    (["inspect", "{out}/model", "--", "--runner=x"], "no options behind '--'"),
])  # fmt: skip
def test_mistakes_are_one_line_and_code_2(out, arguments, told, capsys):
    assert main([a.format(out=out) for a in arguments]) == 2
    error = capsys.readouterr().err
    assert told in error
    assert error.startswith("error: ")
    assert error.count("\n") == 1


@pytest.mark.parametrize("command", WANTED)
def test_no_gpu_is_one_line(model, command, capsys, monkeypatch):
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    assert main([command, str(model), *WANTED[command], "--device", "cuda", "--quiet"]) == 2
    assert capsys.readouterr().err == "error: --device: cuda, but torch finds no GPU; use --device cpu\n"


def test_config_tells_the_vocabulary(out, model):
    config = json.loads((model / "config.json").read_text())
    assert config["vocabulary"] == shards.read_manifest(str(out / "tokens")).vocabulary
    assert config["model"]["discriminator"] == {"hidden": 128, "layers": 2, "share": "all", "rank": 0}
