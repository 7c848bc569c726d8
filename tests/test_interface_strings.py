"""Translated messages out of packages: without English and markup, in the script of their label, the longest first."""

import io
import json
import shutil
import struct
import subprocess
import zipfile

import pytest

from pipeline import interface_strings

needs_dpkg = pytest.mark.skipif(shutil.which("dpkg-deb") is None, reason="dpkg-deb is not here")


@pytest.mark.parametrize(
    ("code", "label"),
    [
        ("de", "deu_Latn"),
        ("pt-br", "por_Latn"),
        ("sr-el", "srp_Latn"),
        ("sr", "srp_Cyrl"),
        ("zh-hant", "cmn_Hant"),
        ("de-formal", "deu_Latn"),
        ("be-tarask", ""),
        ("qqq", ""),
        ("xyz", ""),
    ],
)
def test_label_of(code, label):
    assert interface_strings.label_of(code) == label


def test_plain():
    german = interface_strings.plain(
        "<b>Die Datei</b> $1 im ~Computer %s [[Hilfe:X|öffnen]]", "Open the file in Computer"
    )
    assert german == "Die Datei im öffnen"


def catalogue(pairs: dict[str, str]) -> bytes:
    """A gettext .mo file."""
    pairs = {"": "Content-Type: text/plain; charset=UTF-8\n"} | pairs
    data, tables = b"", ([], [])
    start = 28 + 16 * len(pairs)
    for column, strings in enumerate((sorted(pairs), [pairs[k] for k in sorted(pairs)])):
        for string in strings:
            raw = string.encode()
            tables[column].append((len(raw), start + len(data)))
            data += raw + b"\0"
    head = struct.pack("<7I", 0x950412DE, 0, len(pairs), 28, 28 + 8 * len(pairs), 0, 0)
    return head + b"".join(struct.pack("<2I", *entry) for table in tables for entry in table) + data


def package(folder, name, files):
    root = folder / name
    for path, data in {**files, "DEBIAN/control": CONTROL.format(name=name).encode()}.items():
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_bytes(data)
    target = folder / f"{name}_1.0_all.deb"
    subprocess.run(
        ["dpkg-deb", "--build", "--root-owner-group", str(root), str(target)], check=True, capture_output=True
    )
    return str(target)


CONTROL = "Package: {name}\nVersion: 1.0\nArchitecture: all\nMaintainer: N <n@example.org>\nDescription: messages\n"


def pack(lines):
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("browser/menu.ftl", lines)
    return file.getvalue()


@needs_dpkg
def test_rows(tmp_path):
    wiki = {
        "en": {"a": "The page was saved", "b": "Error"},
        "fi": {"a": "Sivu on tallennettu <b>nyt</b>", "b": "Error"},
    }
    files = {f"usr/share/mediawiki/languages/i18n/{k}.json": json.dumps(v).encode() for k, v in wiki.items()}
    messages = {"Insert a table": "Lisää taulukko", "Help": "Tämä on pitkä ohje taulukosta", "x": "Таблица вставки"}
    catalogues = {"usr/lib/libreoffice/program/resource/fi/LC_MESSAGES/sw.mo": catalogue(messages)}
    english, finnish = "# note\nopen = Open a new window\n", "open = Avaa uusi ikkuna\n"
    made = [
        package(tmp_path, "mediawiki", files),
        package(tmp_path, "libreoffice-l10n-fi", catalogues),
        package(tmp_path, "firefox-esr-l10n-en-gb", {"usr/lib/p.xpi": pack(english)}),
        package(tmp_path, "firefox-esr-l10n-fi", {"usr/lib/p.xpi": pack(finnish)}),
    ]
    assert list(interface_strings.rows(made[::-1])) == [
        ("fin_Latn", "firefox", "Avaa uusi ikkuna"),
        ("fin_Latn", "libreoffice", "Tämä on pitkä ohje taulukosta"),
        ("fin_Latn", "libreoffice", "Lisää taulukko"),
        ("fin_Latn", "mediawiki", "Sivu on tallennettu nyt"),
    ]
