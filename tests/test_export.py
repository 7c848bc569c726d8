"""What is exported computes what we compute: in transformers and in onnxruntime."""

import json

import pytest
import torch
from task_model import write_examples, write_model

from corpus.settings import Finetune
from corpus.terminal import UserError
from tokenizer import huggingface
from tokenizer.vocabulary import Vocabulary
from trainer import checkpoint, evaluate, export, finetune, head, hugging, prediction, task, texts
from trainer.__main__ import main


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return write_model(tmp_path_factory.mktemp("pretrained") / "model")


@pytest.fixture(scope="module")
def tuned(model, tmp_path_factory):
    folder = tmp_path_factory.mktemp("tuned")
    write_examples(folder / "train.tsv", 64)
    data = finetune.Data(*(task.read([str(folder / "train.tsv")], "train") for _ in range(2)), [])
    vocabulary = Vocabulary.load(str(model / "vocabulary"))
    settings = Finetune(epochs=1, examples=16, length=32)
    assert finetune.finetune(str(model), data, str(folder / "model"), settings, vocabulary, quiet=True) == 0
    return folder / "model"


def inputs(model, lines=("All human beings are born free.", "人人生而自由，在尊严", "x")):
    vocabulary = Vocabulary.load(str(model / "vocabulary"))
    return texts.inputs([texts.row(ids, None, 64) for ids in texts.encode(vocabulary, list(lines))])


def theirs(x):
    return {"input_ids": x.tokens, "attention_mask": x.sequences, "token_type_ids": x.types}


@pytest.mark.parametrize("shape", [{}, {"share": "none"}, {"share": "attention", "rank": 24}, {"embedding": 128}],
                         ids=["shared", "own", "low rank", "no projection"])  # fmt: skip
def test_hugging_face_opens_it_with_equal_logits(tmp_path, shape):
    transformers = pytest.importorskip("transformers")
    model = write_model(tmp_path / "model", **shape)
    assert main(["export", str(model), "--output", str(tmp_path / "out"), "--no-onnx", "--quiet"]) == 0
    made, _ = checkpoint.open_model(str(model))
    x = inputs(model)
    sight = torch.ones(3, 1, 1, x.tokens.shape[1], dtype=torch.bool) & x.sequences.bool()[:, None, None]
    real = x.sequences.bool()
    embedded = made.embeddings(x.tokens, x.positions, x.types)
    with torch.no_grad():
        found = transformers.ElectraForPreTraining.from_pretrained(tmp_path / "out")(**theirs(x)).logits
        ours = made.replaced(made.discriminator(embedded, sight))
        assert torch.allclose(found[real], ours[real], atol=1e-5)
        found = transformers.ElectraForMaskedLM.from_pretrained(tmp_path / "out" / "generator")(**theirs(x)).logits
        ours = made.filled(made.generator(embedded, sight)) @ made.embeddings.tokens.weight.T + made.generator_bias
        assert torch.allclose(found[real], ours[real], atol=2e-5)
        states = made.discriminator(embedded, sight)
        if hugging.is_albert(made.config):
            albert = transformers.AutoModel.from_pretrained(tmp_path / "out" / "albert")
            assert type(albert).__name__ == "AlbertModel"
            found = albert(**theirs(x))
            assert torch.allclose(found.last_hidden_state[real], states[real], atol=2e-5)
            assert torch.allclose(found.pooler_output, made.order_head.dense(states[:, 0]).tanh(), atol=1e-5)
    assert (tmp_path / "out" / "albert").exists() == hugging.is_albert(made.config)


def test_what_is_exported_is_read_back(tmp_path, model):
    """Our own reader of their folders, Electra and Albert."""
    export.export(str(model), str(tmp_path / "out"), onnx_files=False, quiet=True)
    body, _ = head.open_body(str(model))
    x = inputs(model)
    real = x.sequences.bool()
    for folder in ("out", "out/albert"):
        found = hugging.read(str(tmp_path / folder))
        with torch.no_grad():
            assert torch.allclose(found(x)[real], body(x)[real], atol=1e-5)


def test_a_model_of_a_task(tmp_path, tuned):
    transformers = pytest.importorskip("transformers")
    export.export(str(tuned), str(tmp_path / "out"), onnx_files=False, quiet=True)
    made, _ = head.open_task(str(tuned))
    found = transformers.AutoModelForSequenceClassification.from_pretrained(tmp_path / "out")
    assert type(found).__name__ == "ElectraForSequenceClassification"
    assert found.config.id2label == {0: "bad", 1: "good"}
    x = inputs(tuned)
    with torch.no_grad():
        assert torch.allclose(found(**theirs(x)).logits, made(x), atol=1e-5)
        assert torch.allclose(hugging.read(str(tmp_path / "out"))(x), made(x), atol=1e-5)


@pytest.mark.parametrize(("kind", "name"), [("tag", "TokenClassification"), ("answer", "QuestionAnswering")])
def test_heads_for_tokens(tmp_path, model, kind, name):
    transformers = pytest.importorskip("transformers")
    body, config = head.open_body(str(model))
    labels = ("O", "B-X", "I-X") if kind == "tag" else ()
    made = head.TaskModel(body, head.Task(kind, labels, 64)).eval()
    head.save(str(tmp_path / "model"), made, config, 1)
    checkpoint.copy_vocabulary(str(model / "vocabulary"), str(tmp_path / "model"))
    export.export(str(tmp_path / "model"), str(tmp_path / "out"), onnx_files=False, quiet=True)
    found = getattr(transformers, f"Electra{'For' + name}").from_pretrained(tmp_path / "out")
    x = inputs(model)
    with torch.no_grad():
        told, ours = found(**theirs(x)), made(x)
    told = told.logits if kind == "tag" else torch.stack([told.start_logits, told.end_logits], -1)
    real = x.sequences.bool()
    assert torch.allclose(told[real], ours[real], atol=1e-5)


def test_onnx_equals_torch_in_any_shape(tmp_path, tuned, capsys):
    """fp32 within 1e-4 of a standard deviation, int8 gives the same labels; both are small since layers are shared."""
    pytest.importorskip("onnxruntime")
    pytest.importorskip("onnxscript")
    assert main(["export", str(tuned), "--output", str(tmp_path / "out"), "--quiet"]) == 0
    told = capsys.readouterr().out
    assert "milliseconds on this CPU" in told
    made, learned = head.open_task(str(tuned))[0], head.open_task(str(tuned))[0].task
    for name in ("model.onnx", "model-int8.onnx"):
        call, found, folder = export.opened(str(tmp_path / "out" / name))
        assert found == learned
        for lines in (("x",), ("All human beings",) * 5, ("人人生而自由，在尊严和权利上一律平等。" * 3, "a")):
            x = inputs(tuned, lines)
            with torch.no_grad():
                ours = made(x)
            assert torch.allclose(call(x), ours, atol=1e-4 if name == "model.onnx" else 0.3)
        examples = [task.Example(text, label="good") for text in ("free equal dignity rights", "born endowed with")]
        prepared = prediction.prepare(examples, learned, Vocabulary.load(folder))
        assert prediction.predict(call, prepared, None) == prediction.predict(made, prepared, None)
    fp32, int8 = ((tmp_path / "out" / n).stat().st_size for n in ("model.onnx", "model-int8.onnx"))
    weights = sum(w.numel() for w in made.parameters())
    assert fp32 < 4 * weights * 1.1 + 200_000
    assert int8 < 0.45 * fp32
    assert evaluate.evaluate([str(tmp_path / "out" / "model.onnx")], [str(tuned.parent / "train.tsv")], quiet=True) == 0


def test_a_finished_folder_is_not_written_over(tmp_path, model):
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "thesis.tex").write_text("x")
    with pytest.raises(UserError, match=r"holds something already \(thesis.tex\)"):
        export.export(str(model), str(tmp_path / "out"), onnx_files=False)


def test_folders_of_others(tmp_path):
    with pytest.raises(UserError, match="not there"):
        hugging.read(str(tmp_path))
    (tmp_path / "config.json").write_text(json.dumps({"model_type": "bert", "hidden_act": "gelu"}))
    (tmp_path / "model.safetensors").write_bytes(b"x")
    with pytest.raises(UserError, match="not readable"):
        hugging.read(str(tmp_path))


def test_auto_tokenizer_gives_our_ids(tmp_path):
    """Where the vocabulary's folder holds tokenizer.json, as python -m tokenizer train leaves it."""
    transformers = pytest.importorskip("transformers")
    model = write_model(tmp_path / "model")
    vocabulary = Vocabulary.load(str(model / "vocabulary"))
    (model / "vocabulary" / "tokenizer.json").write_text(huggingface.tokenizer(vocabulary))
    (model / "vocabulary" / "tokenizer_config.json").write_text(huggingface.config(64))
    export.export(str(model), str(tmp_path / "out"), onnx_files=False, quiet=True)
    found = transformers.AutoTokenizer.from_pretrained(tmp_path / "out")
    assert found.model_max_length == 512  # the model's, not the vocabulary's
    for text in ("All human beings are born free.\n人人生而自由", "x"):
        ours = [2, *vocabulary.encode([text])[0].tolist(), 3]
        assert found(text)["input_ids"] == ours
    lengths = [len(found(word)["input_ids"]) for word in ("free", "equal")]
    assert found("free", "equal")["token_type_ids"] == [0] * lengths[0] + [1] * (lengths[1] - 1)
