"""Sentences out of programs' translated messages, as a table label, source, text for train_language:
python -m pipeline.interface_strings PACKAGE.deb ... --output FILE.tsv[.xz]

Three kinds of Debian packages are read (bookworm's were; `apt-get download` fetches them):
  mediawiki            i18n JSON, GPL-2.0-or-later, about 400 languages
  libreoffice-l10n-*   gettext catalogues, MPL-2.0, 92 languages
  firefox-esr-l10n-*   Fluent and properties files, MPL-2.0, 103 languages
Messages are full of English names and placeholders: what a message shares with its English original goes, and so does a
message that is not in its language's script. At most SHARE characters a language and source are kept, long messages
first, since they are sentences.
"""

import functools
import gettext
import io
import json
import lzma
import os
import subprocess
import sys
import tarfile
import zipfile
from collections import defaultdict
from collections.abc import Iterable, Iterator

import regex

from corpus import settings, storage, terminal
from pipeline import language, words

SHARE = {"mediawiki": 120_000, "libreoffice": 90_000, "firefox": 60_000}
"""Characters a label gets from each source at most."""
MIN_CHARACTERS = 12
"""Shorter messages are names and buttons."""
_ODD = {
    "be-tarask": "", "bh": "bho_Deva", "ca-valencia": "", "crh-latn": "crh_Latn", "gn": "gug_Latn", "in": "ind_Latn",
    "kk-cyrl": "kaz_Cyrl", "ku-latn": "kmr_Latn", "my": "mya_Mymr", "no": "nob_Latn", "nqo": "nqo_Nkoo",
    "sh": "hbs_Latn", "sh-latn": "hbs_Latn", "skr-arab": "skr_Arab", "sr": "srp_Cyrl", "sr-ec": "srp_Cyrl",
    "sr-el": "srp_Latn", "son": "ses_Latn", "tg-cyrl": "tgk_Cyrl", "tt-cyrl": "tat_Cyrl", "ug-arab": "uig_Arab",
    "zh-cn": "cmn_Hans", "zh-hans": "cmn_Hans", "zh-hant": "cmn_Hant", "zh-tw": "cmn_Hant", "yue-hant": "yue_Hant",
    "zh-hk": "", "qqq": "", "als": "gsw_Latn", "mo": "", "pa-in": "pan_Guru", "hy-am": "hye_Armn", "en-gb": "",
    "gom-deva": "gom_Deva", "hif-latn": "hif_Latn", "tzm": "", "azb": "azb_Arab", "ks-arab": "kas_Arab",
    "roa-tara": "roa_Latn", "yi": "ydd_Hebr", "lzh": "lzh_Hant", "wuu-hans": "wuu_Hans", "dga": "", "fat": "",
    "tw": "twi_Latn", "jv-java": "jav_Java", "nan-latn-pehoeji": "nan_Latn", "ike-cans": "iku_Cans", "kg": "",
}  # fmt: skip
"""Codes that are not, or not as they stand, those of languages.tsv; '' = left out."""
_COUNTRY = regex.compile(r"-[a-z]{2}$|-formal$|-informal$")
_MARKUP = regex.compile(
    r"<[^<>]*>|\{\{[^{}]*\}\}|\[\[[^\[\]|]*\||\{[^{}]*\}|%\(\w+\)|%\w+%?|\$[\w()]+|https?://\S+|&\w+;|\\[nt]"
)


def label_of(code: str) -> str:
    """The label of a translation's code ('pt-br', 'sr-ec'); '' for one that languages.tsv lacks."""
    code = code.lower().replace("_", "-").replace("@", "-")
    if code not in _ODD:
        code = _COUNTRY.sub("", code)
    label = _ODD[code] if code in _ODD else language.normal_label(code)
    return label if label in language.languages() else ""


def plain(message: str, english: str) -> str:
    """A message without markup, placeholders and the longer words that its English original has too."""
    shared = set(regex.findall(r"\p{L}{4,}", english.lower()))
    text = _MARKUP.sub(" ", message.replace("~", "").replace("'''", "").replace("''", ""))
    kept = regex.sub(r"\p{L}{4,}", lambda m: " " if m[0].lower() in shared else m[0], text)
    return " ".join(kept.split()).strip("[]{}|=*#:;<> ")


def is_fit(text: str, label: str) -> bool:
    return len(text) >= MIN_CHARACTERS and language.writes(label.partition("_")[2], words.script(text))


def files(package: str) -> Iterator[tuple[str, bytes]]:
    """(path, bytes) of each file in a Debian package."""
    made = subprocess.run(["dpkg-deb", "--fsys-tarfile", package], check=True, stdout=subprocess.PIPE)
    with tarfile.open(fileobj=io.BytesIO(made.stdout)) as archive:
        for member in archive:
            if member.isfile() and (file := archive.extractfile(member)) is not None:
                yield member.name, file.read()


def mediawiki(package: str) -> Iterator[tuple[str, str, str]]:
    """(code, English, message) of a package with i18n/CODE.json files."""
    folders: dict[str, dict[str, dict]] = defaultdict(dict)
    for path, data in files(package):
        folder, name = os.path.split(path)
        if name.endswith(".json") and "/i18n" in folder and "/api" not in folder:
            try:
                folders[folder][name.removesuffix(".json")] = json.loads(data)
            except ValueError:
                continue
    for folder in sorted(folders):
        english = folders[folder].get("en", {})
        for code, messages in sorted(folders[folder].items()):
            if code != "en":
                pairs = ((english.get(k), v) for k, v in messages.items())
                yield from ((code, e, v) for e, v in pairs if isinstance(e, str) and isinstance(v, str))


def libreoffice(package: str) -> Iterator[tuple[str, str, str]]:
    for path, data in files(package):
        if path.endswith(".mo"):
            code = path.split("/resource/")[-1].split("/")[0]
            for key, value in gettext.GNUTranslations(io.BytesIO(data))._catalog.items():  # type: ignore[attr-defined]
                if isinstance(key, str) and key:
                    yield code, key.rpartition("\x04")[2], value


def fluent(package: str) -> dict[tuple[str, str], str]:
    """(file, key) -> message of a Firefox language pack."""
    found = {}
    for path, data in files(package):
        if path.endswith(".xpi"):
            with zipfile.ZipFile(io.BytesIO(data)) as pack:
                for name in sorted(pack.namelist()):
                    if name.endswith((".ftl", ".properties")):
                        short = name.rpartition("/")[2]
                        for line in pack.read(name).decode("utf-8", "replace").splitlines():
                            key, sign, value = line.partition("=")
                            if sign and not line.startswith("#"):
                                found[short, key.strip()] = value.strip()
    return found


def firefox(package: str, english: dict[tuple[str, str], str]) -> Iterator[tuple[str, str, str]]:
    code = os.path.basename(package).partition("l10n-")[2].partition("_")[0]
    untranslated = set(english.values())
    found = ((key, message) for key, message in fluent(package).items() if message not in untranslated)
    yield from ((code, english.get(key, ""), message) for key, message in found)


def triples(packages: Iterable[str]) -> Iterator[tuple[str, str, str, str]]:
    """(source, code, English, message) of all packages."""
    packages = sorted(packages, key=os.path.basename)
    base = functools.cache(lambda: next((fluent(p) for p in packages if "firefox-esr-l10n-en-gb" in p), {}))
    for package in packages:
        name = os.path.basename(package)
        if name.startswith("mediawiki"):
            yield from (("mediawiki", *t) for t in mediawiki(package))
        elif name.startswith("libreoffice-l10n-"):
            yield from (("libreoffice", *t) for t in libreoffice(package))
        elif name.startswith("firefox-"):
            yield from (("firefox", *t) for t in firefox(package, base()))


def rows(packages: Iterable[str]) -> Iterator[tuple[str, str, str]]:
    """(label, source, text), sorted by label and source, in each the longest first until SHARE is reached."""
    texts: dict[tuple[str, str], set[str]] = defaultdict(set)
    for source, code, english, message in triples(packages):
        label = label_of(code)
        if label and label != "eng_Latn" and message != english:
            text = plain(message, english)
            if is_fit(text, label):
                texts[label, source].add(text[:400])
    for label, source in sorted(texts):
        left = SHARE[source]
        for text in sorted(texts[label, source], key=lambda t: (-len(t), t)):
            if left <= 0:
                break
            left -= len(text)
            yield label, source, text


def main() -> int:
    ask = settings.Parser(prog="python -m pipeline.interface_strings", description=__doc__)
    ask.add_argument("packages", nargs="+", metavar="PACKAGE", help="Debian packages")
    ask.add_argument("--output", required=True, metavar="FILE", help="the table, .tsv or .tsv.xz")
    chosen = ask.parse_args()
    text = "label\tsource\ttext\n" + "".join("\t".join(row) + "\n" for row in rows(chosen.packages))
    data = text.encode("utf-8", "replace")
    storage.write(chosen.output, lzma.compress(data) if chosen.output.endswith(".xz") else data)
    return terminal.DONE


if __name__ == "__main__":
    sys.exit(terminal.run(main))
