"""Text for a vocabulary out of packages as they come: all kinds are read, in their label's script, up to a share."""

import gzip
import zipfile

import msgpack
import pytest

from benchmarks import vocabulary_text
from tests.test_interface_strings import catalogue, needs_dpkg, package

UNILEX = "label\tbcp47\tword\tcount\nfin_Latn\tfi\tja\t3\nfin_Latn\tfi\tsana\t1\ntha_Thai\tth\tคำ\t5\n"


@pytest.fixture
def files(tmp_path):
    messages = catalogue({"Insert a table": "Lisää taulukko", "Help": "Справка по таблице"})
    names = catalogue({"Finland": "Suomi", "Sweden": "Ruotsi", "Åland": "Ahv"})
    page = "<h1>Ohje</h1><p class='x'>Tämä &amp; toinen <b>pitkä</b>\nohje.</p><p>Lyhyt.</p>"
    lists = {code: msgpack.packb([{"format": "cB", "version": 1}, [], ["alpha"]]) for code in vocabulary_text.LISTS}
    with zipfile.ZipFile(tmp_path / "wordfreq-3.1.1-py3-none-any.whl", "w") as archive:
        for code, data in lists.items():
            archive.writestr(f"wordfreq/data/small_{code}.msgpack.gz", gzip.compress(data))
    (tmp_path / "word-frequencies.tsv").write_text(UNILEX, encoding="utf-8")
    made = [
        package(
            tmp_path, "libreoffice-l10n-fi", {"usr/lib/libreoffice/program/resource/fi/LC_MESSAGES/a.mo": messages}
        ),
        package(tmp_path, "libreoffice-help-fi", {"usr/share/libreoffice/help/fi/text/a.html": page.encode()}),
        package(tmp_path, "iso-codes", {"usr/share/locale/fi/LC_MESSAGES/iso_3166-1.mo": names}),
        package(tmp_path, "hunspell-lo", {"usr/share/hunspell/lo_LA.dic": "2\nກໍ່ກວນ/A\nກະດາດ\n".encode()}),
    ]
    return [*made, *(str(tmp_path / n) for n in ("wordfreq-3.1.1-py3-none-any.whl", "word-frequencies.tsv"))]


@needs_dpkg
def test_rows(files, monkeypatch):
    found = list(vocabulary_text.rows(files))
    assert found == sorted(found, key=lambda row: row[:2])
    assert set(vocabulary_text.rows(files[::-1])) == set(found)
    by_source = {}
    for label, source, text in found:
        if label in ("fin_Latn", "lao_Laoo", "tha_Thai", "eng_Latn"):
            by_source.setdefault((label, source), []).append(text)
    words = by_source.pop(("fin_Latn", "unilex"))
    assert {k: sorted(v) if k[1] != "wordfreq" else v[0].split()[0] for k, v in by_source.items()} == {
        ("eng_Latn", "libreoffice"): ["Help", "Insert a table"],
        ("eng_Latn", "wordfreq"): "alpha",
        ("fin_Latn", "help"): ["Tämä & toinen pitkä ohje."],
        ("fin_Latn", "iso"): ["Ruotsi", "Suomi"],
        ("fin_Latn", "libreoffice"): ["Lisää taulukko"],
        ("fin_Latn", "wordfreq"): "alpha",
        ("lao_Laoo", "hunspell"): ["ກໍ່ກວນ ກະດາດ"],
    }
    counts = {word: sum(line.split().count(word) for line in words) for word in ("ja", "sana")}
    assert counts["ja"] == pytest.approx(3 * counts["sana"], rel=0.1)

    monkeypatch.setitem(vocabulary_text.SHARE, "iso", 6)
    assert [row[2] for row in vocabulary_text.rows(files) if row[:2] == ("fin_Latn", "iso")] in (["Ruotsi"], ["Suomi"])


def test_messages_alone_are_no_language_of_the_web():
    assert vocabulary_text.share("mediawiki", alone=True) < vocabulary_text.share("mediawiki", alone=False)
    assert vocabulary_text.share("unilex", alone=True) == vocabulary_text.share("unilex", alone=False)
