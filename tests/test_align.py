"""Maps between sentence vectors: they find a rotation that is there, with pairs and without."""

import json

import numpy as np
import pytest
from task_model import write_model

from corpus.terminal import UserError
from tokenizer.vocabulary import Vocabulary
from trainer import align, alignment, head, retrieval, texts
from trainer.__main__ import main


def clusters(count: int, width: int, seed: int = 0) -> np.ndarray:
    """Vectors with a shape of their own: no rotation but the right one brings them over each other."""
    rng = np.random.default_rng(seed)
    scale = 2.0 ** -np.arange(width)
    return ((rng.exponential(size=(count, width)) - 1) * scale).astype(np.float32)


def rotation(width: int, seed: int = 1) -> np.ndarray:
    return np.linalg.qr(np.random.default_rng(seed).normal(size=(width, width)))[0].astype(np.float32)


def test_procrustes_finds_the_rotation():
    x, turn = np.random.default_rng(0).normal(size=(50, 8)).astype(np.float32), rotation(8)
    assert np.allclose(alignment.procrustes(x, x @ turn), turn, atol=1e-4)
    found = alignment.procrustes(x, np.random.default_rng(2).normal(size=(50, 8)))
    assert np.allclose(found @ found.T, np.eye(8), atol=1e-5)


def test_least_squares_is_the_minimum():
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(60, 5)), rng.normal(size=(60, 5))
    found = alignment.least_squares(x, y)

    def cost(w):
        return ((x @ w - y) ** 2).sum() + (w**2).sum()

    assert all(cost(found) <= cost(found + rng.normal(size=(5, 5)) * 0.01) for _ in range(20))


@pytest.mark.parametrize("method", ["procrustes", "least-squares"])
def test_a_map_brings_translations_together(method):
    """From 60 pairs to 200 others, with noise and another mean."""
    x = np.random.default_rng(0).normal(size=(260, 16)).astype(np.float32) + 1
    noise = np.random.default_rng(3).normal(size=x.shape) * 0.2
    y = ((x - 1) @ rotation(16) + noise - 2).astype(np.float32)
    before = retrieval.hits(x[60:], y[60:]).mean()
    after = retrieval.hits(*alignment.fit(x[:60], y[:60], method).apply(x[60:], y[60:])).mean()
    assert before < 0.1
    assert after > 0.9


@pytest.fixture
def few(monkeypatch):
    """As many steps as a test has time for."""
    monkeypatch.setattr(alignment, "EPOCHS", 2)
    monkeypatch.setattr(alignment, "STEPS", 30)


def test_without_pairs(few):
    """The two sides in different orders; the map is right although no pair was seen."""
    x = clusters(400, 6)
    turn = rotation(6)
    y = (x @ turn)[np.random.default_rng(5).permutation(400)]
    found = alignment.fit(x, y, "adversarial", seed=0)
    moved, there = found.apply(x, x @ turn)
    assert retrieval.hits(moved[:200], there[:200]).mean() > 0.9


def test_the_judge_moves_the_map(monkeypatch):
    """Two clouds a turn of 40 degrees apart: the adversary alone, without axes and refinement, brings them nearer."""
    monkeypatch.setattr(alignment, "axes", lambda x, y: np.eye(x.shape[1], dtype=np.float32))
    monkeypatch.setattr(alignment, "refine", lambda x, y, weight: weight)
    monkeypatch.setattr(alignment, "EPOCHS", 3)
    rng = np.random.default_rng(0)
    x = retrieval.unit(rng.normal(size=(300, 2)) * [1, 0.1] + [1, 0.5]).astype(np.float32)
    c, s = np.cos(np.radians(40)), np.sin(np.radians(40))
    turn = np.array([[c, s], [-s, c]], np.float32)
    found = alignment.adversarial(x, x @ turn)
    before, after = (np.linalg.norm((x @ w - x @ turn).mean(0)) for w in (np.eye(2), found))
    assert after < before / 2


def test_refinement_never_lowers_the_criterion():
    x = clusters(200, 6)
    y = x @ rotation(6)
    start = alignment.procrustes(x[:4], y[:4])
    assert alignment.criterion(x @ alignment.refine(x, y, start), y) >= alignment.criterion(x @ start, y)


def test_maps_are_written_and_read(tmp_path):
    made = alignment.fit(clusters(40, 6), clusters(40, 6, 7), "procrustes")
    alignment.save(str(tmp_path), {"ita-eng": made}, 3, "procrustes")
    found = alignment.load(str(tmp_path))[0]["ita-eng"]
    assert all(np.array_equal(getattr(found, n), getattr(made, n)) for n in ("mean", "other", "weight"))
    assert alignment.load(str(tmp_path / "none")) == ({}, 0)
    (tmp_path / alignment.FILE).write_bytes(b"x")
    with pytest.raises(UserError, match="align again"):
        alignment.load(str(tmp_path))


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return write_model(tmp_path_factory.mktemp("pretrained") / "model")


@pytest.fixture(scope="module")
def pairs(tmp_path_factory):
    """Each word has its translation; sentences of five."""
    rng, path = np.random.default_rng(0), tmp_path_factory.mktemp("pairs") / "pairs.jsonl"
    words = {"free": "frei", "equal": "gleich", "dignity": "Würde", "rights": "Rechten", "born": "geboren"}
    rows = []
    for _ in range(150):
        chosen = rng.choice(list(words), 5)
        rows.append({"pair": "deu-eng", "src": " ".join(words[w] for w in chosen), "tgt": " ".join(chosen)})
    path.write_text("".join(json.dumps(r) + "\n" for r in rows))
    return path


@pytest.mark.parametrize("method", ["procrustes", "least-squares", "adversarial", "contrastive"])
def test_the_command(model, pairs, tmp_path, capsys, few, method):
    """What it writes is a model that evaluate and export take, with the map."""
    out = tmp_path / "out"
    command = ["align", str(model), "--pairs", str(pairs), "--method", method, "--output", str(out), "--quiet"]
    assert main([*command, "--epochs", "4", "--tuning-rate", "1e-3"]) == 0
    before, after = capsys.readouterr().out.split("after:")
    values = [float(next(line for line in t.splitlines() if "deu-eng" in line).split()[2]) for t in (before, after)]
    if method != "adversarial":  # which has little to go by here
        assert values[1] > values[0]
    maps, _ = alignment.load(str(out))
    assert bool(maps) == (method != "contrastive")
    assert main(["evaluate", str(out), "--data", str(pairs), "--quiet"]) == 0
    assert main(["export", str(out), "--output", str(tmp_path / "hf"), "--no-onnx", "--quiet"]) == 0
    assert (tmp_path / "hf" / alignment.FILE).exists() == bool(maps)
    told = capsys.readouterr().out
    assert main(["evaluate", str(tmp_path / "hf"), "--data", str(pairs), "--quiet"]) == 0
    again = capsys.readouterr().out
    line = next(line for line in told.splitlines() if line.startswith("deu-eng"))
    assert line in again  # the exported folder retrieves as the model does, by the map that lies in it


def test_contrast_is_its_formula(model):
    """Of packed sentences the same as of means that retrieval makes of each by itself."""
    vocabulary, body = Vocabulary.load(str(model / "vocabulary")), head.open_body(str(model))[0].eval()
    sentences = ["free and equal", "born", "Würde", "frei und gleich geboren", "rights in dignity", "Vernunft"]
    rows = [texts.row(ids, None, retrieval.LENGTH) for ids in texts.encode(vocabulary, sentences)]
    found = align.contrast(body, (rows[:3], rows[3:]), 1)
    one, two = np.split(retrieval.unit(retrieval.vectors(body, vocabulary, sentences, 1).astype(float)), 2)
    scores = np.exp(one @ two.T / align.TEMPERATURE)
    own = np.diag(scores)
    expected = -(np.log(own / scores.sum(1)) + np.log(own / scores.sum(0))).mean() / 2
    assert found.item() == pytest.approx(expected, rel=1e-4)


def test_held_back_pairs_are_others():
    pairs = [(str(k), str(-k), name) for name in ("a-b", "c-d") for k in range(50)]
    learn, held = align.split(pairs, 0)
    assert not set(learn) & set(held)
    assert len(held) == 20
    assert {p for _, _, p in held} == {"a-b", "c-d"}
    assert align.split(pairs, 0) == (learn, held)
    assert align.split(pairs, 1) != (learn, held)


def test_too_few_pairs(model, tmp_path, capsys):
    (tmp_path / "p.tsv").write_text("a\tb\n" * 10)
    assert main(["align", str(model), "--pairs", str(tmp_path / "p.tsv"), "--output", str(tmp_path / "o")]) == 2
    assert "too few" in capsys.readouterr().err
