"""The table model: its compiled half equals the definition, and hostile input cannot harm it."""

import hashlib
import itertools
import math
import re
from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline import _language, language, language_model, words
from pipeline.language_model import DECAY, FIELDS, POINT, SCRIPTS, SHARE

MODEL = language.shipped()
TEXTS = (
    st.text(max_size=60)
    | st.lists(
        st.sampled_from(
            [
                "@ab",
                "a@b.de",
                "http://x.y/z",
                "(see",
                "x.com/a",
                "a.b/c",
                "www.x",
                "wWw.",
                "#tag",
                "#1",
                "и",
                "the",
                "://",
            ]
        )
        | st.text("abw./:@#é и\n", max_size=6)
    ).map(" ".join)
    | st.text(
        st.sampled_from("aeinrst ETAÉñßİΣσς 'ʼ-12{}=\u0301\u200dпривет мир אב ไทย漢字かなー한국ㄅⴰᚠ\ud800\U0001f600\n"),
        max_size=60,
    )
)

MASK = (1 << 64) - 1


def bucket(points: list[int], seed: int, bits: int) -> int:
    value = seed
    for point in points:
        value = (value * 0xD6E8FEB86659FD93 + point + 1) & MASK
    value ^= value >> 29
    return (value * 0x9E3779B97F4A7C15 & MASK) >> (64 - bits)


def is_address(run: str) -> bool:
    """Whether signs between spaces are an address, a user's name or a tag."""
    return bool(re.search(r"@|://|.\.[A-Za-z]{2,}/|^#[A-Za-z]", run) or re.match(r"www\..", run, re.IGNORECASE))


def without_noise(text: str) -> str:
    text = re.sub(r"[!-~]+", lambda m: " " * len(m[0]) if is_address(m[0]) else m[0], text)
    return re.sub("[\u2600-\u27bf\ufe0f\U0001f000-\U0001ffff]", " ", text)


def plain_words(text: str, scripts: int) -> list[list[int]]:
    """The words of some scripts, in lower case."""
    found, word = [], []
    for folded in [*language_model.fold()[words.codes(text)].tolist(), 0]:
        if folded and scripts >> (folded >> 21) & 1:
            word.append(folded & POINT)
        elif word:
            found.append(word)
            word = []
    return found


def plain_features(text: str, scripts: int, bits: int) -> list[list[int]]:
    """The features of each word."""
    found = []
    for word in plain_words(without_noise(text), scripts):
        padded = [1, *word, 1]
        grams = [padded[k : k + n] for k in range(len(padded)) for n in range(1, 5) if k + n <= len(padded)]
        found.append([bucket(gram, 0, bits) for gram in grams if gram != [1]])
        if 3 <= len(word) <= 32:
            found[-1].append(bucket(word, 7, bits))
    return found


@given(TEXTS, st.sampled_from(["Latn", "Cyrl", "Hani", "Jpan", "Thai"]), st.integers(1, 20))
def test_features_equal_the_definition(text, script, bits):
    scripts = language_model.letters_of(script)
    plain = Counter(itertools.chain(*plain_features(text, scripts, bits)))
    assert Counter(language_model.features(text, script, bits).tolist()) == plain


def plain_rank(model: language_model.Model, text: str) -> dict[str, int]:
    """The definition of a row of `rank`."""
    points = words.codes(without_noise(text))
    row = dict(zip(FIELDS, [0] * len(FIELDS), strict=True)) | {"first": -1, "second": -1}
    row |= zip(
        ("letters", "visible", "code", "runs", "unspaced"), language_model.census(words.classes()[points]), strict=True
    )
    counts = {k: v * (1 if k == "Latn" else 2) for k, v in words.count_scripts(points).items()}
    row["script"] = SCRIPTS.index(words.main_script(counts))
    row["purity"] = int(words.script_share(counts, SCRIPTS[row["script"]]) * SHARE + 1e-9) if row["script"] else 0
    scripts, offset, bits, wide, labels, first, guest = model.tables[row["script"]].tolist()
    if labels == 1:
        row |= {"first": first, "share": SHARE}
    if labels < 2:
        return row
    found = [word[k : k + 1024] for word in plain_features(text, scripts, bits) for k in range(0, len(word), 1024)]
    features = sum(map(len, found))
    table = model.weights[offset : offset + (wide << bits)].reshape(-1, wide)[:, :labels].astype(np.int64)
    biases = model.biases[first : first + labels].astype(np.int64)
    values = biases[:, 1].copy()
    for word in found:
        own = 256 * table[word].sum(0) - len(word) * biases[:, 0]
        values += own if guest < 0 else np.maximum(own, own[guest] - model.terms.most)
    ground = features * model.terms.ground
    top = max(ground, int(values.max()))

    def decayed(value: int) -> int:
        step = (top - value) * model.terms.scale // (model.terms.half + features) // 256
        return round(SHARE * math.exp(-step / DECAY)) if step < 12 * DECAY else 0

    order = np.argsort(-values, kind="stable")[:2].tolist()
    whole = decayed(ground) + sum(decayed(v) for v in values.tolist())
    shares = [decayed(int(values[k])) * SHARE // whole for k in order]
    row |= {"features": features, "share": shares[0], "other": shares[1], "second": first + order[1]}
    told = values[order[0]] - biases[order[0], 1]
    row["first"] = first + order[0] if told > 3 * ground else -1
    return row


@settings(deadline=None)
@given(st.lists(TEXTS, min_size=1, max_size=3))
def test_rank_equals_the_definition(texts):
    rows = MODEL.rank_texts(texts).tolist()
    assert [dict(zip(FIELDS, row, strict=True)) for row in rows] == [plain_rank(MODEL, text) for text in texts]


def test_long_texts_do_not_overflow():
    text = "und die der sie nicht ist " * 5_000
    row = dict(zip(FIELDS, MODEL.rank_texts([text])[0].tolist(), strict=True))
    assert row == plain_rank(MODEL, text)
    assert MODEL.labels[row["first"]] == "deu_Latn"


def test_long_words_do_not_overflow():
    text = "дерабочнымиэтон" * 3_000
    assert dict(zip(FIELDS, MODEL.rank_texts([text])[0].tolist(), strict=True)) == plain_rank(MODEL, text)


@pytest.mark.parametrize(
    "noise",
    [
        "https://example.com/the-best-of?x=1",
        "www.example.com",
        "example.com/news",
        "@john_smith",
        "me@example.com",
        "#best",
        "😂❤️👍",
    ],
)
def test_addresses_names_tags_and_pictographs_are_in_no_language(noise):
    text = "Tämä on kaunis päivä"
    alone, first, last = MODEL.rank_texts([text, f"{noise} {text}", f"{text} {noise}"]).tolist()
    assert alone == first == last
    assert MODEL.rank_texts([noise])[0, FIELDS.index("letters")] == 0


def test_a_foreign_name_costs_a_language_little():
    """English words stand in texts of all languages of its script; in others' scripts there is no such guest."""
    text = "Steve Jobs Apple and the Rolling Stones: on kaunis päivä"
    found = MODEL.rank_texts([text])[0].tolist()
    strict = replace(MODEL, terms=MODEL.terms._replace(most=(1 << 29) - 1)).rank_texts([text])[0].tolist()
    assert MODEL.labels[found[FIELDS.index("first")]] == "fin_Latn"
    assert MODEL.labels[strict[FIELDS.index("first")]] == "eng_Latn"


@given(TEXTS, TEXTS)
def test_a_text_is_ranked_as_if_alone(one, other):
    together = MODEL.rank_texts([one, other, one])
    assert (together[0] == MODEL.rank_texts([one])[0]).all()
    assert (together[0] == together[2]).all()


def test_fold():
    fold = language_model.fold()
    for raw, want in (("A", "a"), ("Ж", "ж"), ("İ", "i"), ("Σ", "σ"), ("ß", "ß"), ("\u0301", "\u0301")):
        assert fold[ord(raw)] & POINT == ord(want)
    assert not fold[[ord(c) for c in " 1,'’_-。😀"]].any()
    assert SCRIPTS[fold[ord("Ж")] >> 21] == "Cyrl"
    assert len(SCRIPTS) <= 64


def test_files_are_read_as_written(tmp_path):
    digest = language_model.write(str(tmp_path / "model.bin"), MODEL)
    again = language_model.read(str(tmp_path / "model.bin"))
    assert again.digest == digest
    assert again.labels == MODEL.labels
    assert (again.weights == MODEL.weights).all()
    assert (again.biases == MODEL.biases).all()
    assert (again.tables == MODEL.tables).all()
    assert again.terms == MODEL.terms
    assert language_model.is_model(str(tmp_path / "model.bin"))
    assert not language_model.is_model(__file__)


def test_a_change_makes_one_model_of_another(tmp_path):
    old = language_model.read(language.SHIPPED)
    path = str(tmp_path / "change.bin")
    digest = language_model.write_change(path, old, MODEL)
    assert digest == hashlib.sha256(Path(path).read_bytes()).hexdigest()
    new = language_model.changed(old, path)
    assert (new.weights == MODEL.weights).all()
    assert (new.biases == MODEL.biases).all()
    assert (new.weights != old.weights).any()
    assert len({new.digest, old.digest, digest}) == 3
    language_model.write_change(path, old, old)
    assert (language_model.changed(old, path).weights == old.weights).all()


@pytest.mark.parametrize("damage", [lambda data: data[:-9], lambda data: b"", lambda data: b"\0" + data])
def test_a_damaged_change_is_told(tmp_path, damage):
    (tmp_path / "change.bin").write_bytes(damage(Path(language.CHANGE).read_bytes()))
    with pytest.raises(language_model.Damaged, match="cannot be read"):
        language_model.changed(language_model.read(language.SHIPPED), str(tmp_path / "change.bin"))


def test_a_change_fits_one_model():
    with pytest.raises(language_model.Damaged, match="another model"):
        language_model.changed(MODEL, language.CHANGE)
    with pytest.raises(language_model.Damaged, match="another kind"):
        language_model.read(language.CHANGE)


def test_columns_are_those_of_the_labels():
    for script in map(SCRIPTS.index, ("Arab", "Cyrl", "Hani", "Latn")):
        _, offset, bits, wide, count, first, _ = MODEL.tables[script].tolist()
        rows = MODEL.weights[offset : offset + (wide << bits)].reshape(-1, wide)
        for number in (0, count - 1):
            assert (language_model.column(MODEL, first + number) == rows[:, number]).all()
    assert language_model.column(MODEL, MODEL.labels.index("ell_Grek")).size == 0
    with pytest.raises(IndexError):
        language_model.column(MODEL, len(MODEL.labels))


@given(TEXTS)
def test_text_without_noise_equals_the_definition(text):
    assert language_model.without_noise(text) == without_noise(text)


def test_plain_refuses_what_is_no_code_points():
    with pytest.raises(ValueError, match="bytes"):
        _language.plain(b"abc")


def arguments(**changed):
    own = {
        "points": words.codes("some text"), "spans": np.array([[0, 9]], np.int64), "fold": language_model.fold(),
        "classes": words.classes(), "scripts": language_model._weights(), "tables": MODEL.tables,
        "weights": MODEL.weights, "biases": MODEL.biases, "decay": language_model._decay(), "scale": 1, "half": 1,
        "ground": -1, "most": 1,
    } | changed  # fmt: skip
    return list(own.values())


def tables(place: int, value: int) -> np.ndarray:
    changed = MODEL.tables.copy()
    changed[SCRIPTS.index("Latn"), place] = value
    return changed


@pytest.mark.parametrize(
    "changed",
    [
        {"points": np.array([0x110000], np.uint32), "spans": np.array([[0, 1]], np.int64)},
        {"points": b"abc"},
        *({"spans": np.array([span], np.int64)} for span in ([0, 10], [-1, 3], [5, 4], [1 << 62, 1 << 62])),
        {"spans": np.zeros(3, np.int64)},
        {"fold": language_model.fold()[:-1]},
        {"classes": b""},
        {"scripts": language_model._weights()[:-1]},
        {"scripts": np.full(71, 64, np.int32)},
        {"weights": MODEL.weights[:-1]},
        {"biases": MODEL.biases[:-1]},
        *({"tables": tables(k, v)} for k, v in ((1, -1), (1, 1 << 40), (2, 0), (2, 25), (3, 63), (3, 1 << 20))),
        *({"tables": tables(k, v)} for k, v in ((4, -1), (4, 9_999), (5, -1), (5, 1 << 40))),
        {"decay": b""},
        {"scale": -1},
        {"half": 0},
        {"ground": 0},
        *({"most": most} for most in (-1, 1 << 29)),
        *({"tables": tables(6, guest)} for guest in (-2, 999)),
        {"biases": np.where(np.arange(2) == 0, np.int32(1 << 19), MODEL.biases)},
    ],
)  # fmt: skip
def test_what_does_not_fit_is_refused(changed):
    assert len(_language.rank(*arguments())) == 4 * len(FIELDS)
    with pytest.raises(ValueError, match=r"model|bytes|code points"):
        _language.rank(*arguments(**changed))


def test_features_refuse_what_does_not_fit():
    for points, fold, bits in (
        (np.array([0x110000], np.uint32), language_model.fold(), 10),
        (words.codes("a"), language_model.fold()[:5], 10),
        (words.codes("a"), language_model.fold(), 0),
        (words.codes("a"), language_model.fold(), 25),
    ):
        with pytest.raises(ValueError, match=r"code points|bytes|bits"):
            _language.features(points, fold, 1, bits)
