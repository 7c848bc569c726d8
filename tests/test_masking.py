"""Whole words, exact numbers, no special tokens, the same masks in any batch."""

import numpy as np
import pytest
from token_folder import TABLE, write_folder

from corpus import shards
from trainer.masking import HIDDEN, LONGEST, crop, draw, grams, mask, word_starts, words
from trainer.stream import MASK, Stream, scramble


@pytest.fixture(scope="module")
def windows(tmp_path_factory):
    folder = write_folder(tmp_path_factory.mktemp("tokens"))
    return Stream(folder, shards.read_manifest(folder), 128, TABLE.sentence_end).batch(np.arange(300))


def masked(tokens, index=None, share=0.15, seed=0):
    index = np.arange(len(tokens)) if index is None else index
    return mask(tokens, index, TABLE.word_start, TABLE.special, share, seed)


def test_exact_number_in_every_window(windows):
    """Words of one to two tokens always add up."""
    found = masked(windows.tokens)
    free = (~TABLE.special[windows.tokens]).sum(1)
    counts = np.bincount(found.chosen // 128, minlength=300)
    assert (counts == np.floor(0.15 * free + 0.5)).all()


def test_words_are_whole_and_specials_never_chosen(windows):
    found = masked(windows.tokens)
    assert not TABLE.special[windows.tokens.reshape(-1)[found.chosen]].any()
    places, word = words(windows.tokens, TABLE.word_start, TABLE.special)
    chosen = np.isin(places, found.chosen)
    assert all(len(set(chosen[word == w])) == 1 for w in np.unique(word)[:2000])
    assert len(set(found.chosen.tolist())) == len(found.chosen)


def test_share_that_is_hidden_and_the_rest_untouched(windows):
    found = masked(windows.tokens)
    before, after = windows.tokens.reshape(-1), found.inputs.reshape(-1)
    assert abs((after[found.chosen] == MASK).mean() - HIDDEN) < 0.02
    others = np.setdiff1d(np.arange(len(before)), found.chosen)
    assert (before[others] == after[others]).all()
    kept = found.chosen[after[found.chosen] != MASK]
    assert (before[kept] == after[kept]).all()


def test_every_place_is_chosen_alike(windows):
    """Over many samples of one window each word comes about equally often."""
    one = np.repeat(windows.tokens[:1], 2000, 0)
    found = masked(one)
    times = np.bincount(found.chosen % 128, minlength=128)[~TABLE.special[one[0]]] / 2000
    assert abs(times.mean() - 0.15) < 0.005
    assert times.min() > 0.10
    assert times.max() < 0.22  # a one-token word is what fits at last, so it comes a little oftener


def test_masks_do_not_depend_on_the_batch(windows):
    whole = masked(windows.tokens)
    part = masked(windows.tokens[100:150], np.arange(100, 150))
    assert (whole.inputs[100:150] == part.inputs).all()
    inside = (whole.chosen >= 12_800) & (whole.chosen < 19_200)
    assert (whole.chosen[inside] - 12_800 == part.chosen).all()
    assert (whole.noise[inside] == part.noise).all()
    assert (masked(windows.tokens, seed=1).chosen[:50] != whole.chosen[:50]).any()
    assert (masked(windows.tokens, np.arange(300) + 300).chosen[:50] != whole.chosen[:50]).any()


def test_words_end_at_starts_specials_and_edges():
    tokens = np.array([[2, 8, 9, 9, 10, 3, 9, 0], [9, 9, 8, 2, 8, 8, 9, 9]])
    places, word = words(tokens, TABLE.word_start, TABLE.special)
    assert places.tolist() == [1, 2, 3, 4, 6, 8, 9, 10, 12, 13, 14, 15]
    assert word.tolist() == [0, 0, 0, 1, 2, 3, 3, 4, 5, 6, 6, 6]


def test_scripts_without_spaces_are_masked_piece_by_piece():
    """Han, kana, Thai, Khmer, Burmese; not Latin, Hangul, Devanagari, digits, punctuation."""
    pieces = ["▁a", "b", "人人", "ひら", "カ", "ภาษา", "ភាសា", "မြန်", "한국", "भाषा", "12", "。", ""]
    found = word_starts(np.array([True] + [False] * 12), pieces)
    assert found.tolist() == [True, False, True, True, True, True, True, True] + [False] * 5


def test_long_runs_are_cut():
    tokens = np.full((1, 40), 9)
    _, word = words(tokens, TABLE.word_start, TABLE.special)
    assert np.bincount(word).tolist() == [LONGEST] * (40 // LONGEST)


def test_draw_takes_the_nearest_number():
    """3 wanted of words of 2: 2 and 4 are as near, so one word is left out; 1 wanted of a word of 3: the word."""
    taken = draw(np.array([2, 2, 2, 3]), np.array([0, 0, 0, 1]), np.arange(4).astype(np.uint64), np.array([3, 1]))
    assert taken.tolist() == [True, False, False, True]
    taken = draw(np.array([4, 4, 4]), np.array([0, 0, 0]), np.array([2, 0, 1], np.uint64), np.array([7]))
    assert taken.sum() == 2


def test_windows_without_text():
    found = masked(np.zeros((2, 16), np.int32))
    assert len(found.chosen) == 0
    assert (found.inputs == 0).all()


def test_runs_of_words(windows):
    """Up to three words as one, in the shares that are said; never across a gap."""
    tokens = np.full((200, 128), 8)
    tokens[:, 64] = 3
    found = mask(tokens, np.arange(200), TABLE.word_start, TABLE.special, 0.15, 0, ngram=3)
    counts = np.bincount(found.chosen // 128, minlength=200)
    assert abs(counts.mean() - round(0.15 * 127)) < 0.1
    places, word = words(tokens, TABLE.word_start, TABLE.special)
    order = np.arange(len(places)).astype(np.uint64)
    joined = np.r_[False, np.diff(places) == 1] & (places % 128 > 0)
    runs = grams(word, joined, scramble(order), 3)
    lengths = np.bincount(runs)
    shares = np.bincount(lengths, minlength=4)[1:] / len(lengths)
    assert np.allclose(shares, [0.55, 0.25, 0.20], atol=0.02)
    for run in np.unique(runs)[:500]:
        inside = places[runs == run]
        assert (np.diff(inside) == 1).all()
        assert len(set(inside // 128)) == 1
    assert (grams(word, joined, order, 1) == word).all()


def test_second_views_leave_out_a_tenth(windows):
    index = np.arange(300)
    found = crop(windows.sequences, index, 0)
    assert not found[windows.positions == 0].any()
    assert not found[windows.sequences == 0].any()
    lengths = [
        ((windows.sequences[b] == n).sum(), (found[b] & (windows.sequences[b] == n)).sum())
        for b in range(300)
        for n in range(1, windows.sequences[b].max() + 1)
    ]
    assert all(left_out == int((length - 1) * 0.1) for length, left_out in lengths)
    kept = [np.flatnonzero((windows.sequences[b] == 1) & ~found[b])[1:] for b in range(300)]
    assert all((np.diff(k) == 1).all() for k in kept if len(k))
    assert (crop(windows.sequences[100:150], index[100:150], 0) == found[100:150]).all()
    assert (crop(windows.sequences, index, 1) != found).any()
