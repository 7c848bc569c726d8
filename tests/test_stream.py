"""The order of the windows is a formula; no token is lost; every window leads back to its documents."""

import numpy as np
import pytest
from token_folder import SIZE, STOP, TABLE, document, write_folder, write_shard

from corpus import shards
from corpus.shards import ShardError
from corpus.terminal import UserError
from trainer import order, stream
from trainer.stream import BLOCK, CLS, OVERHEAD, PAD, SEP, Stream
from trainer.weights import Weights


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return write_folder(tmp_path_factory.mktemp("tokens"))


def opened(folder, sequence=64, **options) -> Stream:
    return Stream(folder, shards.read_manifest(folder), sequence, TABLE.sentence_end, **options)


def one_shard(folder, documents) -> str:
    info = write_shard(folder, "a.arrow", documents)
    shards.write_manifest(str(folder), shards.Manifest("5" * 64, SIZE, "f", (info,)))
    return str(folder)


def test_a_pass_sees_every_token(tmp_path):
    """The windows of one pass, put together, hold every token of every document."""
    rng = np.random.default_rng(0)
    documents = [document(rng, n) for n in (1, 500, 3, 40, 40, 7, 130, 2, 64, 61, 1)] + [[], [8]]
    s = opened(one_shard(tmp_path, documents))
    seen = [np.zeros(len(d), int) for d in documents]
    for index in range(s.everything.windows):
        for span in s.trace(index):
            seen[span.document][span.start : span.stop] += 1
    assert all((counts >= 1).all() for counts in seen)
    assert sum(c.sum() for c in seen) - sum(map(len, documents)) < s.sequence  # where the ring closes


def test_windows_hold_the_spans_that_trace_tells(folder):
    s = opened(folder, order=False)
    index = np.arange(100, 140)
    batch = s.batch(index)
    for b, i in enumerate(index):
        texts = []
        for span in s.trace(int(i)):
            shard = shards.open_shard(f"{folder}/{span.path}")
            begin = shard.offsets[span.document]
            assert (span.part, span.row) == (span.document // 10, span.document % 10)
            texts.append(shard.tokens[begin + span.start : begin + span.stop].tolist())
        row = [t for t in batch.tokens[b].tolist() if t not in (CLS, SEP, PAD)]
        assert row == [t for text in texts for t in text]


def test_layout_of_windows(folder):
    """[CLS] A [SEP] B [SEP]: own positions, B of type 1, A ends a sentence, padding behind everything."""
    batch = opened(folder, order=False).batch(np.arange(200))
    pairs = set(batch.pairs.tolist())
    assert len(pairs) > 50
    for b in range(200):
        count = int((batch.sequences[b] > 0).sum())
        assert (batch.tokens[b, count:] == PAD).all()
        assert PAD not in batch.tokens[b, :count]
        for number in range(1, batch.sequences[b].max() + 1):
            here = np.flatnonzero(batch.sequences[b] == number)
            ids, types = batch.tokens[b, here], batch.types[b, here]
            assert (batch.positions[b, here] == np.arange(len(here))).all()
            ends = np.flatnonzero(ids == SEP)
            assert ids[0] == CLS
            assert ends[-1] == len(ids) - 1
            assert len(ends) == 1 + (b * 64 + here[0] in pairs)
            assert (types == (np.arange(len(ids)) > ends[0])).all()
            if len(ends) == 2:
                assert ids[ends[0] - 1] == STOP
                assert 0.2 < ends[0] / len(ids) < 0.8


def test_padding_is_small_and_documents_are_packed(tmp_path):
    rng = np.random.default_rng(1)
    s = opened(one_shard(tmp_path, [document(rng, 20) for _ in range(300)]), 128)
    batch = s.batch(np.arange(s.everything.windows))
    assert batch.sequences.max() >= 4
    assert (batch.sequences == 0).mean() < 0.06


def test_swapping_half_of_the_pairs(folder):
    plain, swapped = opened(folder, order=False).batch(np.arange(400)), opened(folder).batch(np.arange(400))
    assert not plain.swapped.any()
    assert 0.4 < swapped.swapped.mean() < 0.6
    for place, turned in zip(swapped.pairs, swapped.swapped, strict=True):
        b, at = divmod(int(place), 64)
        here = plain.sequences[b] == plain.sequences[b, at]
        old, new = plain.tokens[b, here].tolist(), swapped.tokens[b, here].tolist()
        cut = old.index(SEP)
        one, two = old[1:cut], old[cut + 1 : -1]
        head, tail = one.index(STOP) + 1, len(two) - two[-2::-1].index(STOP) - 1  # their sentences never move
        moved = [CLS, *one[:head], *two[:tail], SEP, *one[head:], *two[tail:], SEP]
        assert new == (moved if turned else old)


def test_segments_do_not_tell_by_their_edges_that_they_moved(folder):
    """Windows cut sentences in two; what stands at a segment's edges must be as likely whether it moved or not."""
    s = opened(folder)
    batch = s.batch(np.arange(s.everything.windows))
    edges = []
    for place in batch.pairs.tolist():
        b, at = divmod(place, 64)
        ids = batch.tokens[b, at:][batch.sequences[b, at:] == batch.sequences[b, at]].tolist()
        cut = ids.index(SEP)
        edges.append([ids[1:cut].index(STOP), ids[cut - 1] == STOP, ids[-2] == STOP, cut / len(ids)])
    one, two = (np.array(edges)[batch.swapped == v].mean(0) for v in (False, True))
    assert one == pytest.approx(two, rel=0.1, abs=0.1)


@pytest.mark.parametrize("weights", [None, {"aaa_Latn": 0.2, "bbb_Cyrl": 0.8}])
@pytest.mark.parametrize("ranks", [1, 2, 4, 8])
def test_same_global_batches_for_any_number_of_processes(folder, ranks, weights):
    share = 16 // ranks
    streams = [opened(folder, weights=weights) for _ in range(ranks)]
    for step in (0, 20):
        whole = opened(folder, weights=weights).batch(np.arange(16 * step, 16 * step + 16))
        parts = [s.batch(16 * step + r * share + np.arange(share)) for r, s in enumerate(streams)]
        for name in ("tokens", "sequences", "positions", "types", "swapped"):
            assert (getattr(whole, name) == np.concatenate([getattr(p, name) for p in parts])).all()


def test_a_run_goes_on_anywhere(folder):
    """At 100 random positions a new stream gives what the one gives that came there step by step."""
    weights = Weights(((0, {"aaa_Latn": 1.0, "bbb_Cyrl": 0.0}), (2 * BLOCK, {"aaa_Latn": 0.1, "bbb_Cyrl": 0.9})))
    rng = np.random.default_rng(0)
    begun = opened(folder, weights=weights)
    for at in np.sort(rng.integers(0, 5 * BLOCK, 100)).tolist():
        resumed = opened(folder, weights=weights).batch(np.arange(at, at + 4))
        assert (begun.batch(np.arange(at, at + 4)).tokens == resumed.tokens).all()


def test_weights_that_change_are_met(folder):
    weights = Weights(((0, {"aaa_Latn": 1.0, "bbb_Cyrl": 0.0}), (BLOCK, {"aaa_Latn": 0.0, "bbb_Cyrl": 1.0})))
    s = opened(folder, weights=weights)
    cyrillic = np.array([i.language == "bbb_Cyrl" for i in s.infos])
    shares = [cyrillic[s.places(np.arange(k * BLOCK, (k + 1) * BLOCK)).shard].mean() for k in range(3)]
    assert shares == pytest.approx([0.5, 1, 1], abs=1e-4)


def test_plain_windows_are_the_shards_tokens(folder):
    s = opened(folder, layout="plain")
    index = np.arange(s.everything.windows)
    windows, places = s.plain(index), s.places(index)
    assert windows.dtype == np.uint16
    for number, info in enumerate(s.infos):
        tokens = shards.open_shard(f"{folder}/{info.path}").tokens
        mine = windows[places.shard == number]
        for row, begin in zip(mine, places.begin[places.shard == number], strict=True):
            assert (row == np.take(tokens, np.arange(begin, begin + 64), mode="wrap")).all()
        assert len(mine) == info.copies * order.ring_windows(info.tokens, 64)


def test_one_window_a_document(folder):
    """Every document once an epoch and copy, whole if it is short, else a stretch that another epoch draws anew."""
    s = opened(folder, layout="document", order=False)
    count = s.everything.windows
    assert count == sum(i.documents * i.copies for i in s.infos)
    seen: dict[tuple[str, int], list[tuple[int, int]]] = {}
    for index in range(count):
        for span in s.trace(index):
            seen.setdefault((span.path, span.document), []).append((span.start, span.stop))
    for info in s.infos:
        lengths = np.diff(shards.open_shard(f"{folder}/{info.path}").offsets)
        for number, length in enumerate(lengths.tolist()):
            spans = seen[info.path, number]
            assert len(spans) == info.copies
            assert {b - a for a, b in spans} == {min(length, 61)}
    batch = s.batch(np.arange(64))
    assert batch.sequences.max() == 1
    later = [s.trace(i)[0] for i in range(count, 2 * count)]
    assert any((t.start, t.stop) not in seen[t.path, t.document] for t in later)


def test_attention_has_no_way_across_documents(folder):
    """A sequence holds tokens of one document only."""
    s = opened(folder)
    batch = s.batch(np.arange(50))
    for b in range(50):
        assert batch.sequences[b].max() == len(s.trace(b))


def test_copies_come_so_often_each_at_another_offset(folder):
    s = opened(folder)
    places = s.places(np.arange(s.everything.windows))
    for number, info in enumerate(s.infos):
        own = places[places.shard == number]
        once = order.ring_windows(stream.slots(info), 64 - OVERHEAD)
        assert len(own) == info.copies * once
        assert len(set(own.begin.tolist())) > 0.9 * len(own)


def test_epochs_differ(folder):
    s = opened(folder)
    count = s.everything.windows
    first, second = s.places(np.arange(count)), s.places(np.arange(count, 2 * count))
    assert (first.begin == second.begin).mean() < 0.05


def test_language_weights_hold_exactly_in_a_block(folder):
    s = opened(folder, weights={"aaa_Latn": 0.25, "bbb_Cyrl": 0.75})
    index = np.arange(BLOCK)
    names = [s.infos[n].language for n in s.places(index).shard]
    assert names.count("bbb_Cyrl") == BLOCK * 3 // 4
    assert abs(names[:1000].count("bbb_Cyrl") - 750) < 60


def test_language_weights_go_through_each_language_evenly(folder):
    """A language's samples are its own order, window by window: each once before any comes twice."""
    s = opened(folder, weights={"aaa_Latn": 0.3, "bbb_Cyrl": 0.7})
    index = np.arange(BLOCK - 1000, BLOCK + 1000)
    cyrillic = np.array([i.language == "bbb_Cyrl" for i in s.infos])
    places = s.places(index)
    places = places[cyrillic[places.shard]]
    begin = int(cyrillic[s.places(np.arange(BLOCK - 1000)).shard].sum())
    own = s.pools["bbb_Cyrl"].places(np.arange(begin, begin + len(places)))
    assert (places.shard == own.shard).all()
    assert (places.begin == own.begin).all()


def test_small_language_is_one_window(tmp_path):
    s = opened(one_shard(tmp_path, [[8, 9, 10, STOP] * 5, [8] * 60]), 64)
    assert s.everything.windows == 2
    tiny = order.Pool([shards.ShardInfo("a", "a", 1, False, 1, 5, 0, "")], [0], [8], 61, 0)
    assert tiny.places(np.arange(3)).length.tolist() == [8, 8, 8]


def test_damage_is_told_on_first_use(tmp_path):
    folder = write_folder(tmp_path)
    path = next(tmp_path.glob("*/x1-0.arrow"))
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)
    with pytest.raises(ShardError, match="checksum"):
        opened(folder).batch(np.arange(64))
    path.write_bytes(data[:-8])
    with pytest.raises(ShardError, match="bytes instead of"):
        opened(folder)
    path.unlink()
    with pytest.raises(ShardError, match="missing"):
        opened(folder)


def test_too_little_text(tmp_path):
    folder = one_shard(tmp_path, [[8, 9, STOP]])
    with pytest.raises(UserError, match="do not fill a window"):
        opened(folder)
    with pytest.raises(UserError, match="no validation shards"):
        opened(folder, validation=True)
