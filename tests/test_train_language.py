"""What the language model is counted from: the same each time, thin labels left out, siblings on equal text."""

import hashlib

import numpy as np
import pytest

from pipeline import language, language_model, train_language

LINES = {
    "eng_Latn": "The committee will publish its long report about the new school at the end of the month number",
    "fin_Latn": "Valiokunta julkaisee raporttinsa uudesta koulusta kuukauden lopussa ja sitten taas kerran numero",
    "rus_Cyrl": "Комитет опубликует свой отчёт о новой школе в конце месяца и потом ещё один раз номер",
    "srp_Cyrl": "Комитет ће објавити свој извештај о новој школи крајем месеца и затим још једном број",
}
WORDS = "label\tbcp47\tword\tcount\nsmo_Latn\tsm\to\t900\nsmo_Latn\tsm\tle\t400\nsmo_Latn\tsm\tupu\t100\n"


@pytest.fixture(scope="module")
def tables(tmp_path_factory):
    folder = tmp_path_factory.mktemp("tables")
    rows = [f"{label}\ttest\t{line} {k}{'xyzab'[k % 5]}\n" for label, line in LINES.items() for k in range(110)]
    rows += ["tah_Latn\ttest\tTeie te hoê reta poto\n", "smo_Latn\ttest\tO le upu lenei e uiga i le aoga fou\n" * 150]
    rows += ["pcm_Latn\ttest\tHow you dey\n" * 900, "qqq_Latn\ttest\tabc\n" * 9000]
    (folder / "text.tsv").write_text("label\tsource\ttext\n" + "".join(rows), encoding="utf-8")
    (folder / "words.tsv").write_text(WORDS, encoding="utf-8")
    return [str(folder / "text.tsv"), str(folder / "words.tsv")]


def test_which_labels_are_trained(tables):
    found = train_language.trained(*train_language.read(tables))
    # tah is thin, pcm left out, qqq unknown; smo has a word list
    assert found == {
        "Cyrl": ["rus_Cyrl", "srp_Cyrl"],
        "Latn": ["eng_Latn", "fin_Latn", "smo_Latn", "srp_Latn"],
    }


def test_serbian_in_both_alphabets():
    assert train_language.in_latin("Љубав, Џон, ђак и чај!") == "ljubav, džon, đak i čaj!"


def test_held_out_lines_are_a_tenth_of_each_source(tables):
    texts, _ = train_language.read(tables)
    kept, held = train_language.split(texts)
    for label in LINES:
        assert sorted(kept[label]["test"] + held[label]) == sorted(texts[label]["test"])
        assert 1 <= len(held[label]) <= 30


def test_a_source_gives_its_share():
    assert train_language.up_to(["abc"] * 10, 5) == ["abc", "abc"]
    text = train_language.taken({"mediawiki": ["x" * 1_000] * 100, "cv": ["y" * 1_000] * 100})
    assert sum(line[0] == "x" for line in text) * 1_000 == train_language.SHARE["mediawiki"] + 1_000
    assert sum(line[0] == "y" for line in text) == 100


def test_words_stand_by_the_roots_of_their_counts():
    text = train_language.repeated([("aa", 900), ("bb", 400), ("cc", 100)], 1_800).split(" ")
    assert [text.count(word) for word in ("aa", "bb", "cc")] == [300, 200, 100]


def test_text_without_accents():
    assert train_language.bare("Čeština, Tiếng Việt, ñ ß") == "Cestina, Tieng Viet, n ß"


def test_weights():
    """A feature that only one label shows weighs there alone; one that all share weighs the same in all."""
    counts = np.array([[100, 0, 50, 1], [0, 100, 50, 0]], np.float32)
    weights, biases = train_language.weigh(["aaa_Latn", "bbb_Latn"], counts)
    gain = np.log1p(100 / (train_language.SMOOTHING * 100 / 150 / 2)) / language_model.STEP
    assert weights[:2].tolist() == [[round(gain), 0], [0, round(gain)]]
    assert weights[2, 0] == weights[2, 1]
    assert weights[3].tolist() == [0, 0]  # seen once
    assert (biases[:, 0] == round(np.log1p(150 / train_language.SMOOTHING) / language_model.STEP * 256)).all()
    assert (biases[:, 1] == 0).all()


def test_what_is_common_has_a_head_start():
    starts = [train_language.start(label) for label in ("aaa_Latn", "glg_Latn", "por_Latn", "spa_Latn", "eng_Latn")]
    assert starts[0] == 0
    assert starts == sorted(starts)


def test_the_last_word_list_of_a_label_is_taken(tables, tmp_path):
    (tmp_path / "more.tsv").write_text("label\tbcp47\tword\tcount\nsmo_Latn\tsm\tfale\t7\n", encoding="utf-8")
    _, frequencies = train_language.read([*tables, str(tmp_path / "more.tsv")])
    assert frequencies["smo_Latn"] == [("fale", 7)]


def test_siblings_differ_as_their_equal_text_does():
    counts = np.array([[400, 0, 100, 500], [0, 0, 100, 0]], np.float32)  # the first has a kind of text more
    equal = np.array([[0, 0, 80, 20], [0, 0, 20, 80]], np.float32)
    told = train_language.told_apart(counts, equal)
    assert told[1, 0] > 0  # what no equal text shows speaks for neither
    own = train_language.SIBLING_OWN * counts
    assert (told - own)[0, 0] == pytest.approx((told - own)[1, 0])
    assert (told - own)[0, 2] > (told - own)[1, 2]
    assert (told - own)[0, 3] < (told - own)[1, 3]


def test_training_twice_gives_the_same_bytes(tables, tmp_path, monkeypatch):
    monkeypatch.setattr(train_language, "BITS", dict.fromkeys(("Latn", "Cyrl"), 10))
    paths = [str(tmp_path / name) for name in ("a.bin", "b.bin")]
    found = [train_language.train(tables, path, str(tmp_path / "languages.tsv")) for path in paths]
    assert [path for ((path, _),) in found] == paths
    digests = [digest for ((_, digest),) in found]
    assert digests[0] == digests[1] == hashlib.sha256((tmp_path / "b.bin").read_bytes()).hexdigest()
    assert (tmp_path / "a.bin.sha256").read_text().strip() == digests[0]
    model = language_model.read(paths[0])
    rows = model.rank_texts(["koulusta kuukauden lopussa", "о новой школе в конце", "о новој школи крајем"])
    assert [model.labels[k] for k in rows[:, 7]] == ["fin_Latn", "rus_Cyrl", "srp_Cyrl"]
    table = (tmp_path / "languages.tsv").read_text(encoding="utf-8").splitlines()
    assert len(table) == 1 + len(language.languages())
    assert [row.split("\t")[8] for row in table if row.startswith("fin_Latn")] == ["1.00"]


def test_long_lists_and_the_head_start_of_large_languages_are_a_change(tables, tmp_path, monkeypatch):
    monkeypatch.setattr(train_language, "BITS", dict.fromkeys(("Latn", "Cyrl"), 10))
    monkeypatch.setattr(train_language, "LONG_CHARACTERS", {"rus_Cyrl": 2_000})
    (tmp_path / "long.tsv").write_text("label\tbcp47\tword\tcount\nrus_Cyrl\tru\tкошка\t7\n", encoding="utf-8")
    made = [train_language.train(tables, str(tmp_path / f"{k}.bin"), "", str(tmp_path / "long.tsv")) for k in "ab"]
    assert [digest for _, digest in made[0]] == [digest for _, digest in made[1]]
    (path, _), (change, digest) = made[0]
    assert (tmp_path / "a-change.bin.sha256").read_text().strip() == digest
    old = language_model.read(path)
    new = language_model.changed(old, change)
    assert (new.biases[:, 1] > old.biases[:, 1]).tolist() == [
        label[:3] in ("eng", "rus", "fin") for label in old.labels
    ]
    word = language_model.features("кошка", "Cyrl", 10)[-1]
    for number, label in enumerate(old.labels):
        before, after = (language_model.column(model, number) for model in (old, new))
        if label == "rus_Cyrl":
            assert after[word] > before[word]
            assert new.biases[number, 0] > old.biases[number, 0]
        else:
            assert (after == before).all()
            assert new.biases[number, 0] == old.biases[number, 0]


def test_a_column_counted_alone_is_that_of_the_table():
    counts = np.array([[100, 0, 50, 9], [0, 100, 50, 0]], np.float32)
    weights, biases = train_language.weigh(["aaa_Latn", "bbb_Latn"], counts)
    own, bias = train_language.weigh(["bbb_Latn"], counts[1:], train_language.mean_of(counts))
    assert (own[:, 0] == weights[:, 1]).all()
    assert (bias[0] == biases[1]).all()
