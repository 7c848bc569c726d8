"""The table of stop words: what the rules may rely on."""

import lzma
from collections import defaultdict

import pytest

from pipeline import language, signals, stopwords, words

COMMON = {"eng_Latn": "the of and", "deu_Latn": "der und", "fra_Latn": "de la", "rus_Cyrl": "и в", "cmn_Hans": "的 是",
          "spa_Latn": "de que", "hin_Deva": "के है", "jpn_Jpan": "の は", "swh_Latn": "ya na"}  # fmt: skip


def test_each_list_is_one_the_measuring_can_use():
    assert len(stopwords.table()) >= 100
    for label, (share, listed) in stopwords.table().items():
        assert 0 < share < 1, label
        assert 2 <= len(listed) <= 63, "seen ones are bits of a number"
        assert len(set(listed)) == len(listed)
        for word in listed:
            assert words.words(word) == [word], "each is a word by our own definition"
            assert signals.fold(word) == word


def test_scripts_whose_words_are_signs_have_none_but_han_and_kana():
    scripts = {label.partition("_")[2] for label in stopwords.table()}
    assert scripts.isdisjoint({"Thai", "Laoo", "Khmr", "Mymr", "Tibt"})
    assert {"Latn", "Cyrl", "Arab", "Deva", "Hans", "Jpan"} <= scripts


@pytest.mark.parametrize("label", COMMON)
def test_the_commonest_words_are_there(label):
    assert set(COMMON[label].split()) <= set(stopwords.words_of(label))
    assert stopwords.known(label)
    assert label in language.languages()


def test_unknown_languages_have_no_list():
    assert not stopwords.known("xxx_Latn")
    assert stopwords.words_of("xxx_Latn") == ()


def test_running_text_has_them(shared):
    """Text that no list was made from: of documents of one page's length, hardly one has too few."""
    texts = defaultdict(list)
    with lzma.open(shared / "language" / "ntrex-dev.tsv.xz", "rt", encoding="utf-8") as file:
        for row in file:
            _, label, _, _, text = row.rstrip("\n").split("\t")
            texts[label].append(text)
    few = []
    for label in set(texts) & set(stopwords.table()):
        share, _ = stopwords.table()[label]
        found = [signals.measure(" ".join(texts[label][k : k + 12]), label).signals for k in range(0, 240, 12)]
        few += [label for s in found if s.stop_words < 2 or s.stop_word_share < 0.3 * share]
    assert len(few) <= 0.01 * 20 * len(set(texts) & set(stopwords.table())), few
