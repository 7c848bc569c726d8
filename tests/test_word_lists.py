"""Word lists out of a wheel: in wordfreq's form, the most frequent first, only words."""

import gzip
import zipfile

import msgpack
import pytest

from pipeline import word_lists


@pytest.fixture
def wheel(tmp_path):
    data = gzip.compress(
        msgpack.packb([{"format": "cB", "version": 1}, [], ["alpha", "x1"], *[[]] * 98, ["beta", "gamma"]])
    )
    with zipfile.ZipFile(tmp_path / "wordfreq.whl", "w") as archive:
        for code in word_lists.LISTS:
            archive.writestr(f"wordfreq/data/small_{code}.msgpack.gz", data)
        archive.writestr("wordfreq/data/large_ru.msgpack.gz", data)
    return str(tmp_path / "wordfreq.whl")


def test_rows(wheel, monkeypatch):
    found = [row for row in word_lists.rows(wheel) if row[1] == "nb"]
    assert found == [
        ("nob_Latn", "nb", "alpha", round(10**7.99)),
        ("nob_Latn", "nb", "beta", 10**7),
        ("nob_Latn", "nb", "gamma", 10**7),
    ]
    monkeypatch.setattr(word_lists, "WORDS", 2)
    assert [row[2] for row in word_lists.rows(wheel)] == ["alpha", "beta"] * len(word_lists.LISTS)


def test_long_lists_are_those_of_a_few_languages(wheel, monkeypatch):
    monkeypatch.setattr(word_lists, "LONG", ("ru",))
    assert [row[:3] for row in word_lists.rows(wheel, long=True)] == [
        ("rus_Cyrl", "ru", "alpha"), ("rus_Cyrl", "ru", "beta"), ("rus_Cyrl", "ru", "gamma"),
    ]  # fmt: skip
