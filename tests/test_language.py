"""The identifier: labels of any model, scripts, texts that are none, damaged files, and a floor for its accuracy."""

import functools
import hashlib
import http.server
import importlib.util
import shutil
import threading
from pathlib import Path

import pytest

from corpus.terminal import UserError
from pipeline import fasttext_file, language, language_model

SHARED = Path(__file__).resolve().parents[2] / "shared"
NTREX = SHARED / "data" / "language" / "ntrex-dev.tsv.xz"

SENTENCES = {
    "eng_Latn": "The committee will publish its report about the new school at the end of the month.",
    "deu_Latn": "Der Ausschuss wird seinen Bericht über die neue Schule am Ende des Monats veröffentlichen.",
    "fra_Latn": "Le comité publiera son rapport sur la nouvelle école à la fin du mois.",
    "fin_Latn": "Valiokunta julkaisee raporttinsa uudesta koulusta kuukauden lopussa.",
    "swh_Latn": "Kamati itachapisha ripoti yake kuhusu shule mpya mwishoni mwa mwezi.",
    "rus_Cyrl": "Комитет опубликует свой отчёт о новой школе в конце месяца.",
    "ukr_Cyrl": "Комітет опублікує свій звіт про нову школу наприкінці місяця.",
    "ell_Grek": "Η επιτροπή θα δημοσιεύσει την έκθεσή της για το νέο σχολείο στο τέλος του μήνα.",
    "arb_Arab": "ستنشر اللجنة تقريرها عن المدرسة الجديدة في نهاية الشهر.",
    "heb_Hebr": "הוועדה תפרסם את הדו\"ח שלה על בית הספר החדש בסוף החודש.",
    "hin_Deva": "समिति महीने के अंत में नए स्कूल के बारे में अपनी रिपोर्ट प्रकाशित करेगी।",
    "tha_Thai": "คณะกรรมการจะเผยแพร่รายงานเกี่ยวกับโรงเรียนใหม่ในช่วงสิ้นเดือน",
    "cmn_Hans": "委员会将在月底发表关于新学校的报告。",
    "cmn_Hant": "委員會將在月底發表關於新學校的報告。",
    "jpn_Jpan": "委員会は月末に新しい学校についての報告書を発表します。",
    "kor_Kore": "위원회는 월말에 새 학교에 대한 보고서를 발표할 것입니다.",
}  # fmt: skip


@pytest.fixture(scope="module")
def identifier():
    return language.load()


@pytest.mark.parametrize("label", SENTENCES)
def test_sentences(identifier, label):
    found = identifier.identify(SENTENCES[label])
    assert found.label == label
    assert found.script == label.partition("_")[2]
    assert 0.5 < found.score <= 1.0
    assert identifier.identify(f"{SENTENCES[label]}\n{SENTENCES[label]}").lines_in_language == 1.0


@pytest.mark.parametrize(
    "text",
    [
        "",
        " \n ",
        "\u200b",
        "12 | 34.5 | 67\n" * 30,
        "!!! ??? ***",
        "😀😀😀",
        "if (a > b) { return x[i] + y(a); }",
        "iVBORw" * 50,
    ],
)
def test_what_is_no_language(identifier, text):
    assert identifier.identify(text) == language.Language("zxx_Zyyy", 1.0, "Zyyy", 1.0)


@pytest.mark.parametrize(
    ("text", "label"),
    [
        ("ᚠᚢᚦᚨᚱᚲ ᚷᚹ", "und_Zyyy"),  # a script that the table of scripts lacks
        ("𐌰𐍄𐍄𐌰 𐌿𐌽𐍃𐌰𐍂", "und_Goth"),  # one without a language
        ("kjhg kjhgf mnbv lkjh poiu hgfds lkjh mnbvc", "und_Latn"),  # a keyboard
    ],
)
def test_what_no_language_is_like(identifier, text, label):
    assert identifier.identify(text).label == label
    assert identifier.identify(text).score == 0.0


@pytest.mark.parametrize(
    "text",
    [
        "asdf jkl qwer uiop zxcv bnm asdfg hjkl qwzx vbnmq wxcvz",
        "йцукен фывапр олджэ ячсмить",
        "Smith John, Garcia Maria, Müller Hans, Rossi Paolo, Nguyen Van, Kowalski Jan",
        "a b c d e f g h",
        "ok",
    ],
)
def test_what_tells_no_language_is_below_the_cut(identifier, text):
    found = identifier.identify(text)
    assert found.label not in language.languages() or found.score < language.languages()[found.label].cut


def test_siblings():
    assert language.are_siblings("nob_Latn", "dan_Latn")
    assert not language.are_siblings("nob_Latn", "fin_Latn")
    assert not language.are_siblings("fin_Latn", "swe_Latn")


def test_which_sibling_it_is_takes_nothing_from_the_score(identifier):
    found = identifier.identify("Odbor će krajem mjeseca objaviti svoj izvještaj o novoj školi u gradu.")
    assert found.label in ("hrv_Latn", "bos_Latn", "srp_Latn")
    assert language.are_siblings(found.label, found.runner_up)
    assert found.score > 0.9 > found.score - found.runner_up_score


def test_families():
    """Families are named by codes that no language has, and no family holds two scripts."""
    rows = language.languages().values()
    assert not {row.family for row in rows} & {row.language for row in rows}
    assert language.places("spa_Latn") == ("spa_Latn", "roa_Latn", "Latn")
    assert language.places("srp_Cyrl")[1:] == ("zls_Cyrl", "Cyrl")
    assert language.places("eus_Latn")[1:] == ("euq_Latn", "Latn")
    assert language.places("kor_Kore")[1:] == ("Kore",)
    assert language.places("xxx_Grek")[1:] == ("Grek",)
    assert language.places("Latn")[-1] == ""


def test_shares_of_the_web():
    rows = language.languages().values()
    assert 90 < sum(row.web for row in rows) < 100
    assert max(rows, key=lambda row: row.web).label == "eng_Latn"


def test_one_language_has_its_script_alone(identifier):
    assert identifier.identify("ⴰⵣⵓⵍ ⴼⵍⵍⴰⵡⵏ").label == "zgh_Tfng"


def test_newlines_and_lone_surrogates(identifier):
    found = identifier.identify("Das ist ein schöner\ud800 Tag\r\nund morgen\x85wird es regnen\u2028sagt man")
    assert found.label == "deu_Latn"


def test_mixed_page_knows_how_many_lines_agree(identifier):
    text = "\n".join([SENTENCES["deu_Latn"], SENTENCES["rus_Cyrl"], SENTENCES["deu_Latn"], SENTENCES["deu_Latn"]])
    found = identifier.identify(text)
    assert (found.label, found.lines_in_language, found.second) == ("deu_Latn", 0.75, "rus_Cyrl")
    assert identifier.identify(SENTENCES["deu_Latn"]).second == ""


def test_runner_up(identifier):
    found = identifier.identify("Jeg liker å lese bøker om historien til landet vårt.")
    assert (found.label, found.runner_up) in {("nob_Latn", "nno_Latn"), ("nob_Latn", "dan_Latn")}
    assert 0 < found.runner_up_score < found.score
    assert found.score <= 1


def test_identify_lines_is_identify_of_each(identifier):
    lines = [*SENTENCES.values(), "", "123"]
    found = list(language.identify_lines(iter(lines)))
    assert found == [(one.label, one.score) for one in map(identifier.identify, lines)]


class Fixed:
    """A fastText model with one distribution for every text."""

    def __init__(self, *answers, normalised=False):
        self.answers, self.seen, self.normalised, self.digest = answers, [], normalised, "0"

    def predict(self, line, count, threshold, errors):
        self.seen.append(line)
        return list(self.answers if count < 0 else self.answers[:count])


def asked(*answers, normalised=False):
    model = Fixed(*answers, normalised=normalised)
    return language.Identifier(language.FastTextModel(model)), model


def test_script_overrules_a_fasttext_model():
    first = [(0.5, "__label__de"), *((0.01, f"__label__x{k:02}_Latn") for k in range(20))]
    found = asked(*first, (0.06, "__label__ru"), (0.02, "__label__uk"))[0].identify("Привет, мир abc")
    assert (found.label, found.runner_up) == ("rus_Cyrl", "ukr_Cyrl")
    assert found.score == pytest.approx(0.06 / 0.08 * 18 / 21)  # a letter of another script counts as two Latin ones
    assert asked((0.9, "__label__de"))[0].identify("Привет").label == "und_Cyrl"


def test_fasttext_models_see_no_addresses_names_tags_and_pictographs():
    for text in ("so it is @me #tag https://x.org/a?b=1 \U0001f600 now", "so it is now www.x.org"):
        identifier, model = asked((0.9, "__label__en"))
        assert identifier.identify(text).label == "eng_Latn"
        assert model.seen == ["so it is now\n"]
        assert asked((0.9, "__label__en"), normalised=True)[0].identify(text).label == "eng_Latn"
    assert identifier.identify("https://x.org/a?b=1 @me").label == "zxx_Zyyy"


@pytest.mark.parametrize(
    ("text", "label"),
    [
        ("Скачайте новый Microsoft Office", "rus_Cyrl"),
        ("다음은 애플의 Rolling Stones", "kor_Kore"),
        ("The Greek word ἄνθρωπος means man", "eng_Latn"),
    ],
)
def test_latin_names_stand_in_texts_of_other_scripts(identifier, text, label):
    assert identifier.identify(text).label == label


def test_text_whose_spaces_are_lost_is_text(identifier):
    text = SENTENCES["arb_Arab"].replace(" ", "") * 2
    assert identifier.identify(text).label == "arb_Arab"
    assert asked((0.9, "__label__ar"))[0].identify(text).label == "arb_Arab"
    assert asked((0.9, "__label__en"))[0].identify("iVBORw" * 50).label == "zxx_Zyyy"


def test_raw_fasttext_models_get_text_as_it_stands_in_one_line():
    identifier, model = asked((0.9, "__label__en"), (0.1, "__label__de"))
    found = identifier.identify("It's\n 5 o'Clock\ud800 now")
    assert (found.label, found.score, found.runner_up) == ("eng_Latn", 0.9, "deu_Latn")
    assert model.seen[0] == "It's 5 o'Clock now\n"
    identifier, model = asked((0.9, "__label__en"), normalised=True)
    assert identifier.identify("12 - 34 five").label == "zxx_Zyyy"
    assert identifier.identify("It's 5 o'Clock").label == "eng_Latn"
    assert model.seen == ["it s o clock\n"]


@pytest.mark.parametrize(
    ("raw", "script", "want"),
    [
        ("__label__en", "Latn", "eng_Latn"),
        ("__label__eng_Latn", "Cyrl", "eng_Latn"),
        ("eng", "Zyyy", "eng_Latn"),
        ("__label__zh", "Hani", "cmn_Hans"),
        ("__label__zho_Hant", "Hani", "cmn_Hant"),
        ("zh-Hant", "Zyyy", "cmn_Hant"),
        ("__label__sr", "Latn", "srp_Latn"),
        ("__label__sr", "Cyrl", "srp_Cyrl"),
        ("__label__sh", "Latn", "hbs_Latn"),
        ("__label__als", "Latn", "gsw_Latn"),  # lid.176 means Alemannic
        ("__label__als_Latn", "Latn", "als_Latn"),
        ("__label__sq", "Latn", "als_Latn"),
        ("__label__swa_Latn", "Latn", "swh_Latn"),
        ("__label__no", "Latn", "nob_Latn"),
        ("__label__ja", "Hani", "jpn_Jpan"),
        ("__label__ko", "Kore", "kor_Kore"),
        ("__label__qqq", "Cyrl", "qqq_Cyrl"),
    ],
)
def test_labels_of_other_models(raw, script, want):
    assert language.normal_label(raw, script) == want


def test_table():
    table = language.languages()
    assert len(table) > 300
    for label, row in table.items():
        code, _, script = label.partition("_")
        assert (len(code), len(script), row.label) == (3, 4, label)
        assert row.name
        assert 0.5 <= row.cut < 1
        assert len(row.code) in (0, 2)
        assert len(row.macro) in (0, 3)
        assert row.recall == "" or 0 <= float(row.recall) <= 1
    assert sum(row.recall != "" and float(row.recall) >= 0.8 for row in table.values()) >= 300
    groups = [row.group for row in table.values() if row.group]
    assert all(groups.count(group) > 1 for group in set(groups))


def test_every_label_of_the_model_is_in_the_table():
    labels = language_model.read(language.SHIPPED).labels
    assert len(labels) >= 320
    assert set(labels) <= set(language.languages())


def test_normalise():
    assert language.normalise("L’ÉTÉ — 12 e\u0301te\u0301, नमस्ते!\n") == "l été été नमस्ते"
    assert language.normalise(" 1 ") == ""


def test_sample_is_bounded():
    text = "".join(f"word{k} " for k in range(10_000))
    part = language.sample(text)
    assert len(part) <= language.SAMPLE + 2
    assert part.startswith("word0 ")
    assert part.endswith("word9999 ")
    assert text[len(text) // 2 :][:40] in part
    assert language.sample("short") == "short"


def test_the_shipped_model_is_the_one_that_was_made():
    """Both its files count in the digest, which is part of the fingerprint of what extract writes."""
    files = [Path(language.SHIPPED), Path(language.CHANGE)]
    digests = [hashlib.sha256(path.read_bytes()).hexdigest() for path in files]
    assert digests == [Path(f"{path}.sha256").read_text().strip() for path in files]
    assert language.load().digest == hashlib.sha256(" ".join(digests).encode()).hexdigest()
    assert sum(path.stat().st_size for path in files) < 8 << 20


@pytest.mark.parametrize("name", ["SHIPPED", "CHANGE"])
def test_another_file_in_place_of_the_shipped_one_is_told(tmp_path, monkeypatch, name):
    path = tmp_path / "language.bin"
    shutil.copy(getattr(language, name), path)
    (tmp_path / "language.bin.sha256").write_text("0" * 64 + "\n")
    monkeypatch.setattr(language, name, str(path))
    with pytest.raises(UserError, match=r"language\.bin: SHA-256 .* is not that of the model; reinstall crawlmill"):
        language.shipped()


@pytest.fixture(scope="module")
def fasttext_model(tmp_path_factory):
    """Path of a small quantized fastText model for English and Finnish."""
    import fasttext

    folder = tmp_path_factory.mktemp("fasttext")
    lines = [
        f"__label__{k} {SENTENCES[v]} {n}\n" for k, v in (("en", "eng_Latn"), ("fi", "fin_Latn")) for n in range(150)
    ]
    (folder / "train.txt").write_text("".join(lines), encoding="utf-8")
    model = fasttext.train_supervised(str(folder / "train.txt"), dim=4, bucket=500, maxn=3, thread=1, verbose=0)
    model.save_model(str(folder / "small.bin"))
    model.quantize(qnorm=True, dsub=2, verbose=0)
    model.save_model(str(folder / "small.ftz"))
    return folder / "small.ftz"


def test_fasttext_models_by_path(fasttext_model):
    for path in (fasttext_model, fasttext_model.with_suffix(".bin")):
        identifier = language.load(str(path))
        assert identifier.digest == hashlib.sha256(path.read_bytes()).hexdigest()
        found = identifier.identify(SENTENCES["fin_Latn"])
        assert (found.label, found.runner_up) == ("fin_Latn", "eng_Latn")
        assert not fasttext_file.load(str(path)).normalised


@pytest.mark.parametrize("keep", [0, 4, 60, 1_000, -1_000, -1])
def test_cut_fasttext_model_is_told(tmp_path, fasttext_model, keep):
    path = tmp_path / "cut.ftz"
    path.write_bytes(fasttext_model.read_bytes()[:keep])
    with pytest.raises(UserError, match=r"cut\.ftz: not a whole fastText model: it "):
        language.load(str(path))


def test_no_model_is_told(tmp_path, fasttext_model):
    (tmp_path / "page.html").write_text("<html>" * 100)
    with pytest.raises(UserError, match="it is no fastText model"):
        language.load(str(tmp_path / "page.html"))
    with pytest.raises(UserError, match="No such file"):
        language.load(str(tmp_path / "missing.bin"))
    (tmp_path / "longer.ftz").write_bytes(fasttext_model.read_bytes() + b"\0")
    with pytest.raises(UserError, match="follow its end"):
        language.load(str(tmp_path / "longer.ftz"))


@pytest.mark.parametrize("keep", [4, 1_000, 100_000, -1])
def test_cut_table_model_is_told(tmp_path, keep):
    path = tmp_path / "cut.bin"
    path.write_bytes(Path(language.SHIPPED).read_bytes()[:keep])
    with pytest.raises(UserError, match=r"cut\.bin: not a whole language model: it cannot be read"):
        language.load(str(path))


def test_table_model_by_path_gives_the_same_answers(tmp_path):
    path = tmp_path / "own.bin"
    digest = language_model.write(str(path), language.shipped())
    other = language.load(str(path))
    assert other.digest == digest
    assert other.identify(SENTENCES["fin_Latn"]) == language.load().identify(SENTENCES["fin_Latn"])


def test_model_from_a_server(fasttext_model):
    handler = functools.partial(http.server.SimpleHTTPRequestHandler, directory=str(fasttext_model.parent))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        address = f"http://127.0.0.1:{server.server_port}"
        assert language.load(f"{address}/small.ftz").digest == language.load(str(fasttext_model)).digest
        with pytest.raises(UserError, match="missing"):
            language.load(f"{address}/missing.ftz")
        server.shutdown()


@pytest.mark.skipif(not NTREX.exists(), reason="shared/data is not here")
def test_accuracy_floor(identifier):
    """Every 15th line of each reference file, as the shared scorer counts."""
    spec = importlib.util.spec_from_file_location("score_language", SHARED / "tools" / "score_language.py")
    scorer = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(scorer)
    rows = list(scorer.read(NTREX, 15))
    by_file = scorer.score(rows, [label for label, _ in identifier.identify_lines(row[2] for row in rows)])
    assert len(by_file) == 128
    strict, lenient = (sum(column) / 128 for column in zip(*by_file.values(), strict=True))
    assert (strict, lenient) > (0.93, 0.975)
    assert lenient > 0.975
