"""Windows of translations: nothing is lost, the same in any batch, their share of the windows."""

import numpy as np
import pytest
from token_folder import TABLE, write_folder

from corpus import shards
from trainer.pairs import Blend, Pairs
from trainer.stream import CLS, PAD, SEP, Stream

ROWS = [(np.arange(20, 20 + n % 7 + 1), np.arange(50, 50 + n % 5 + 1)) for n in range(40)]


def test_every_pair_once_an_epoch():
    pairs = Pairs(ROWS, 64, "translations", seed=3)
    windows = pairs.batch(np.arange(len(pairs.packed)))
    found = []
    for row, sequences, types in zip(windows.tokens, windows.sequences, windows.types, strict=True):
        for number in range(1, int(sequences.max()) + 1):
            ids, kinds = row[sequences == number], types[sequences == number]
            assert ids[0] == CLS
            assert ids[-1] == SEP
            one, two = ids[1 : (kinds == 0).sum() - 1], ids[(kinds == 0).sum() : -1]
            found.append((one.tolist(), two.tolist()))
    assert sorted(found) == sorted((a.tolist(), b.tolist()) for a, b in ROWS)
    assert (windows.tokens[windows.sequences == 0] == PAD).all()
    assert len(windows.pairs) == 0
    later = pairs.batch(np.arange(len(pairs.packed)) + len(pairs.packed))
    assert sorted(map(tuple, later.tokens)) == sorted(map(tuple, windows.tokens))
    assert (later.tokens != windows.tokens).any()


def test_long_pairs_are_cut_on_both_sides():
    pairs = Pairs([(np.arange(20, 90), np.arange(100, 103))], 32, "t")
    window = pairs.batch(np.array([0]))
    assert (window.tokens[0] > 4).sum() == 14 + 3


@pytest.fixture(scope="module")
def stream(tmp_path_factory):
    folder = write_folder(tmp_path_factory.mktemp("tokens"))
    return Stream(folder, shards.read_manifest(folder), 64, TABLE.sentence_end)


def test_a_blend_leaves_nothing_out(stream):
    """The samples of both sources, each in its own order; the same in whichever batches."""
    pairs = Pairs(ROWS, 64, "translations")
    blend = Blend(stream, pairs, 0.3)
    whole = blend.batch(np.arange(50))
    parts = [blend.batch(np.arange(a, a + 10)) for a in range(0, 50, 10)]
    for name in ("tokens", "sequences", "positions", "types"):
        assert (getattr(whole, name) == np.concatenate([getattr(p, name) for p in parts])).all()
    assert whole.languages == sum((p.languages for p in parts), ())
    rows = np.array([language == "translations" for language in whole.languages])
    assert rows.sum() == 15
    assert (whole.tokens[rows] == pairs.batch(np.arange(15)).tokens).all()
    assert (whole.tokens[~rows] == stream.batch(np.arange(35)).tokens).all()


def test_places_of_pairs_of_segments_move_along(stream):
    blend = Blend(stream, Pairs(ROWS, 64, "t"), 0.3)
    found = blend.batch(np.arange(40))
    assert (found.tokens.reshape(-1)[found.pairs] == CLS).all()
    alone = stream.batch(np.arange(28))
    assert len(found.pairs) == len(alone.pairs)
    assert sorted(found.swapped.tolist()) == sorted(alone.swapped.tolist())
