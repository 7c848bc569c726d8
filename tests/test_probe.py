"""What a model is shown to think is what it computes."""

import numpy as np
import pytest
import torch
from task_model import write_model

from tokenizer.vocabulary import Vocabulary
from trainer import checkpoint, probe
from trainer.__main__ import main
from trainer.stream import MASK


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return write_model(tmp_path_factory.mktemp("pretrained") / "model")


def test_fillings_are_the_generators_and_never_special(model):
    made, vocabulary = checkpoint.open_model(str(model))[0].eval(), Vocabulary.load(str(model / "vocabulary"))
    special = vocabulary.table().special
    seen = probe.look(made, vocabulary, "All human [MASK] are born [MASK] and equal", ~special)
    assert len(seen.fillings) == 2
    assert len(seen.filled) == len(seen.pieces) == len(seen.replaced)
    names = {vocabulary.piece(int(i)) for i in np.flatnonzero(special)}
    for fillings in seen.fillings:
        chances = [p for _, p in fillings]
        assert chances == sorted(chances, reverse=True)
        assert not names & {piece for piece, _ in fillings}
    holes = [k for k, piece in enumerate(seen.pieces) if piece == "[MASK]"]
    assert [seen.filled[k] for k in holes] == [f[0][0] for f in seen.fillings]


def test_ids_have_a_mask_where_the_text_has(model):
    vocabulary = Vocabulary.load(str(model / "vocabulary"))
    ids = probe.encode(vocabulary, "free [MASK] equal")
    assert (ids == MASK).sum() == 1
    around = [vocabulary.encode([w])[0].tolist() for w in ("free", "equal")]
    assert ids.tolist() == [*around[0], MASK, *around[1]]
    assert torch.is_tensor(torch.from_numpy(ids))


def test_the_command(model, capsys):
    assert main(["probe", str(model), "All human [MASK] are born free"]) == 0
    told = capsys.readouterr().out
    assert told.startswith("[MASK] 1: ")
    assert "%" in told
    assert "[CLS]" in told
    assert main(["probe", str(model / "vocabulary"), "x"]) == 2
