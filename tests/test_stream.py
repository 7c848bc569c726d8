"""The order of the windows is a formula; no token is lost; every window leads back to its documents."""

import numpy as np
import pytest
from token_folder import SIZE, STOP, TABLE, document, write_folder, write_shard

from corpus import shards
from corpus.shards import ShardError
from corpus.terminal import UserError
from trainer import stream
from trainer.stream import BLOCK, CLS, OVERHEAD, PAD, SEP, Stream


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return write_folder(tmp_path_factory.mktemp("tokens"))


def opened(folder, sequence=64, **options) -> Stream:
    return Stream(folder, shards.read_manifest(folder), sequence, TABLE.sentence_end, **options)


def one_shard(folder, documents) -> str:
    info = write_shard(folder, "a.arrow", documents)
    shards.write_manifest(str(folder), shards.Manifest("5" * 64, SIZE, "f", (info,)))
    return str(folder)


@pytest.mark.parametrize("count", [1, 2, 3, 7, 64, 1000, 4097])
def test_permutation_is_a_bijection(count):
    found = stream.permute(np.arange(count), count, 7)
    assert sorted(found) == list(range(count))


def test_permutation_looks_random():
    """Mean displacement of a uniform permutation is a third of the length; neighbours do not stay together."""
    count = 30_000
    found = stream.permute(np.arange(count), count, 3)
    assert abs(np.abs(found - np.arange(count)).mean() / count - 1 / 3) < 0.01
    assert abs(np.corrcoef(found, np.arange(count))[0, 1]) < 0.02
    assert (np.abs(np.diff(found)) < 10).mean() < 0.002
    assert (found == stream.permute(np.arange(count), count, 4)).sum() < 10


def test_key_equals_scramble():
    values = np.array([(5 + 1) * 0x9E3779B97F4A7C15 & (1 << 64) - 1], np.uint64)
    assert stream.key(5) == int(stream.scramble(values)[0])


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
        assert new == ([CLS, *old[cut + 1 :], *old[1 : cut + 1]] if turned else old)


def test_same_batches_for_any_number_of_processes(folder):
    s = opened(folder)
    whole = s.batch(np.arange(320, 336))
    halves = [opened(folder).batch(np.arange(k, k + 8)) for k in (320, 328)]
    assert (whole.tokens == np.concatenate([h.tokens for h in halves])).all()
    assert (whole.swapped == np.concatenate([h.swapped for h in halves])).all()


def test_copies_come_so_often_each_at_another_offset(folder):
    s = opened(folder)
    places = s.places(np.arange(s.everything.windows))
    for number, info in enumerate(s.infos):
        own = [p for p in places if p.shard == number]
        once = stream.ring_windows(stream.slots(info), 64 - OVERHEAD)
        assert len(own) == info.copies * once
        assert len({p.begin for p in own}) > 0.9 * len(own)


def test_epochs_differ(folder):
    s = opened(folder)
    count = s.everything.windows
    assert s.places(np.arange(count)) != s.places(np.arange(count, 2 * count))


def test_language_weights_hold_exactly_in_a_block(folder):
    s = opened(folder, weights={"aaa_Latn": 0.25, "bbb_Cyrl": 0.75})
    index = np.arange(BLOCK)
    names = [s.infos[p.shard].language for p in s.places(index)]
    assert names.count("bbb_Cyrl") == BLOCK * 3 // 4
    assert abs(names[:1000].count("bbb_Cyrl") - 750) < 60


def test_language_weights_go_through_each_language_evenly(folder):
    """A language's samples are its own order, window by window: each once before any comes twice."""
    s = opened(folder, weights={"aaa_Latn": 0.3, "bbb_Cyrl": 0.7})
    index = np.arange(BLOCK - 1000, BLOCK + 1000)
    places = [p for p in s.places(index) if s.infos[p.shard].language == "bbb_Cyrl"]
    begin = sum(s.infos[p.shard].language == "bbb_Cyrl" for p in s.places(np.arange(BLOCK - 1000)))
    assert places == s.pools["bbb_Cyrl"].places(np.arange(begin, begin + len(places)))


def test_apportion_is_exact_and_gives_each_one():
    counts = stream.apportion({"a": 0.9999999, "b": 0.0000001}, 100)
    assert counts == {"a": 99, "b": 1}
    assert sum(stream.apportion({str(k): 1 / 7 for k in range(7)}, 1000).values()) == 1000


def test_small_language_is_one_window(tmp_path):
    s = opened(one_shard(tmp_path, [[8, 9, 10, STOP] * 5, [8] * 60]), 64)
    assert s.everything.windows == 2
    tiny = stream.Pool([shards.ShardInfo("a", "a", 1, False, 1, 5, 0, "")], [0], 61, 0)
    assert [p.length for p in tiny.places(np.arange(3))] == [8, 8, 8]


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
