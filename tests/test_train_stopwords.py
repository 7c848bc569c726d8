"""How lists of stop words are made and proven."""

import pytest

from pipeline import train_stopwords

COMMON = ["the", "of", "and", "to"]


def text(topic: str, count: int) -> list[str]:
    """Lines of which common words are a third, and the rest a topic's."""
    return [" ".join(f"{COMMON[(k + j) % 4]} {topic}{k % 7} {topic}{j}" for j in range(6)) for k in range(count)]


@pytest.fixture
def tables(tmp_path):
    rows = [("eng_Latn", "cv", t) for t in text("talk", 60)] + [("eng_Latn", "udhr", t) for t in text("law", 60)]
    rows += [("deu_Latn", "cv", t) for t in text("rede", 60)]  # one source: nothing to prove it by
    rows += [("fin_Latn", "cv", " ".join(f"puhe{k}x{j}" for j in range(18))) for k in range(60)]  # no common words
    rows += [("fin_Latn", "udhr", t) for t in text("laki", 60)]
    rows += [("tha_Thai", "cv", "กขค"), ("tha_Thai", "udhr", "กขค")]
    path = tmp_path / "text.tsv"
    path.write_text("label\tsource\ttext\n" + "".join("\t".join(row) + "\n" for row in rows), encoding="utf-8")
    return [str(path)]


def test_common_words_of_two_kinds_of_text_make_a_list(tables):
    header, *rows = train_stopwords.make(tables).splitlines()
    assert header == "label\tshare\twords"
    ((label, share, listed),) = (row.split("\t") for row in rows)
    assert label == "eng_Latn"
    assert sorted(listed.split()[:4]) == sorted(COMMON)
    assert 0.2 < float(share) <= 0.5
    assert train_stopwords.make(tables) == train_stopwords.make(tables)


def test_a_word_that_one_kind_of_text_loves_weighs_little():
    sources = {"cv": [["the", "a"]] * 10, "udhr": [["the", "article"]] * 10}
    assert train_stopwords.stop_words(sources, {})[0] == "the"
    weights = train_stopwords.stop_words(sources, {"the": 1.0, "a": 0.5, "article": 0.001})
    assert weights.index("a") < weights.index("article")


def test_words_are_in_lower_case_and_have_letters():
    assert train_stopwords.folded("The 12 CATS, ok 3.5") == ["the", "cats", "ok"]
