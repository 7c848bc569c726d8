"""What a change of settings gains and loses."""

import shutil

import pytest

from corpus.terminal import UserError
from pipeline import difference, folder
from pipeline.__main__ import main
from tests import key_folder
from tests.test_choice import article


@pytest.fixture(scope="module")
def pair(tmp_path_factory):
    """(corpus, a copy of its selection before min_words rose from 0 to 40 and the URL cut went)."""
    base = tmp_path_factory.mktemp("difference")
    given = [
        {"text": " ".join(article(k, 30 + 2 * k)), "language": "fin_Latn" if k % 2 else "eng_Latn"} for k in range(10)
    ]
    path = key_folder.write(base / "out", given, 3)
    key_folder.select(path, languages=("fin_Latn",))
    shutil.copytree(path / "selection", base / "old")
    key_folder.select(path, key_folder.LOOSE.changed({"min_words": 40}, "test"))
    return path, base / "old"


def test_gains_and_losses_by_reason_and_language(pair):
    path, old = pair
    found = difference.compare(folder.read(str(path)), str(old), str(path / "selection"))
    assert found.documents == 10
    assert found.kept == [5, 5]
    assert found.gained == {"OTHER_LANGUAGE": 2}
    assert found.lost == {"TOO_SHORT": 2}
    assert found.languages["eng_Latn"][1] == found.languages["fin_Latn"][0] == 0
    assert all(len(v) == 2 for v in found.examples.values())


def test_nothing_changes_between_a_selection_and_itself(pair):
    path, _ = pair
    found = difference.compare(folder.read(str(path)), str(path / "selection"), str(path / "selection"))
    assert (found.gained, found.lost, found.languages, found.copies) == ({}, {}, {}, 0)


def test_it_is_told_with_examples(pair, capsys):
    path, old = pair
    assert main(["diff", str(old), str(path)]) == 0
    told = capsys.readouterr().out
    assert "5 -> 5 documents kept of 10" in told
    assert "2  were other_language" in told
    assert "2  are too_short" in told
    assert told.count("https://site") == 4


def test_other_documents_are_refused(pair, tmp_path):
    path, _ = pair
    other = key_folder.write(tmp_path / "out", [{"text": "a"}, {"text": "b"}, {"text": "c"}], 3)
    with pytest.raises(UserError, match="no selection there"):
        list(difference.told(str(other), str(path)))
    key_folder.select(other)
    with pytest.raises(UserError, match="of other documents"):
        list(difference.told(str(other / "selection"), str(path)))
    with pytest.raises(UserError, match="no documents there"):
        list(difference.told(str(tmp_path / "a"), str(tmp_path / "b")))
