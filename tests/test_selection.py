"""Signals -> Reasons, winners of clusters, copies."""

import dataclasses
import json
import lzma
import math
from collections import Counter, defaultdict
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from corpus.document import Reason, Signals, rejections
from pipeline import language, signals, stopwords
from pipeline.selection import (
    CONTESTANT,
    MEANING,
    RULES,
    columns_read,
    comparisons,
    draw,
    judge,
    limit_for,
    limits_of,
    settle,
    uniform,
    verdicts,
)
from pipeline.thresholds import NONE, PRESETS, Thresholds, preset

SOUND = dataclasses.asdict(
    Signals(
        characters=3000, words=500, lines=20, paragraphs=10, sentences=30, mean_sentence_length=16.7,
        mean_word_length=5.0, longest_word=14, newlines_per_word=0.06, letter_words=0.95, stop_words=18,
        stop_word_share=0.3, distinct_words=0.5, upper_letters=0.04, digit_characters=0.02, punctuation_characters=0.04,
        mean_line_length=150.0, ended_lines=0.8, short_lines=0.1, long_lines=6, prose_lines=0.7, prose_sentences=25,
        compression=0.7, url_depth=2,
    )
) | {"language": "eng_Latn", "language_score": 0.99, "quality_edu": 0.5}  # fmt: skip
KINDS = {int: np.uint32, float: np.float32, bool: bool, str: object}


def columns(*documents: dict) -> dict[str, np.ndarray]:
    rows = [{**SOUND, **d} for d in documents]
    return {name: np.array([r[name] for r in rows], KINDS[type(value)]) for name, value in SOUND.items()}


def reasons(document: dict, thresholds=None, wanted=()) -> list[Reason]:
    return rejections(int(judge(columns(document), thresholds or Thresholds(), wanted)[0]))


@pytest.mark.parametrize("name", PRESETS)
def test_a_sound_document_passes_every_rule(name):
    assert reasons({}, preset(name)) == []
    assert set(columns_read((), preset(name))) <= set(SOUND)


def both_sides(limit: str, value: float) -> tuple[float, float]:
    """The last value that passes and the first that does not, as the column holds them."""
    low, whole = limit.startswith("min_"), isinstance(SOUND[limit[4:]], int)
    if isinstance(SOUND[limit[4:]], bool):
        return False, True
    if whole:
        return value, value - 1 if low else value + 1
    value = np.float32(value)
    return float(value), float(np.nextafter(value, np.float32(-1 if low else 1e9)))


GOLDEN = [(name, limit, value) for name in PRESETS for limit, value in preset(name).limits.items()
          if limit != "min_language_score"]  # fmt: skip


@pytest.mark.parametrize(("name", "limit", "value"), GOLDEN)
def test_each_rule_of_each_preset_at_both_sides_of_its_threshold(name, limit, value):
    alone = Thresholds({limit: value}, {})
    (reason,) = [reason for reason, names in RULES.items() if limit in names]
    if limit == "min_stop_word_share":
        value *= stopwords.table()["eng_Latn"].share
    passes, fails = both_sides(limit, value)
    assert reasons({limit[4:]: passes}, alone) == []
    assert reasons({limit[4:]: fails}, alone) == [reason]
    assert reason in reasons({limit[4:]: fails}, preset(name))


def test_every_limit_of_the_presets_belongs_to_one_rule():
    named = Counter(limit for names in RULES.values() for limit in names)
    assert max(named.values()) == 1
    assert {limit for name in PRESETS for limit in preset(name).names()} <= set(named)
    assert all(limit[:4] in ("min_", "max_") and limit[4:] in SOUND for limit in named)


@pytest.mark.parametrize("limit", sorted(limit for names in RULES.values() for limit in names))
def test_each_limit_rejects_what_lies_outside_and_nothing_else(limit):
    value = SOUND[limit[4:]]
    step = 1 if isinstance(value, int) else 0.01
    low = limit.startswith("min_")
    if not isinstance(value, bool) and limit != "min_stop_word_share":
        strict, loose = (value + step, max(0, value - step))[:: 1 if low else -1]
        (reason,) = [reason for reason, names in RULES.items() if limit in names]
        assert (reason in reasons({}, Thresholds({limit: strict}, {}))) == (strict != value)
        assert reasons({}, Thresholds({limit: loose}, {})) == []


def test_the_language_score_is_held_against_the_cut_of_its_language(monkeypatch):
    table = language.languages()
    strict = {**table, "fin_Latn": dataclasses.replace(table["fin_Latn"], cut=0.8)}
    monkeypatch.setattr(language, "languages", lambda: strict)
    for label, cut in [("fin_Latn", 0.8), ("eng_Latn", table["eng_Latn"].cut)]:
        unsure = [Reason.UNSURE_LANGUAGE in reasons({"language": label, "language_score": s})
                  for s in (cut, cut - 0.001)]  # fmt: skip
        assert unsure == [False, True], label
    assert Reason.UNSURE_LANGUAGE in reasons({"language": "qqq_Latn", "language_score": 0.49})
    assert Reason.UNSURE_LANGUAGE not in reasons({"language": "qqq_Latn", "language_score": 0.51})


def test_one_cut_for_all_languages():
    strict = NONE.changed({"min_language_score": 0.9}, "here")
    assert reasons({"language_score": 0.9}, strict) == []
    assert reasons({"language_score": 0.89}, strict) == [Reason.UNSURE_LANGUAGE]


@pytest.mark.parametrize(("label", "signal", "value"), [
    *((label, "mean_word_length", 1.0) for label in ("jpn_Jpan", "cmn_Hans", "tha_Thai", "khm_Khmr", "bod_Tibt")),
    ("tha_Thai", "sentences", 0), ("lao_Laoo", "mean_sentence_length", 900.0), ("dzo_Tibt", "sentences", 0),
    ("cmn_Hans", "short_lines", 1.0), ("jpn_Jpan", "short_lines", 1.0), ("cmn_Hant", "distinct_words", 0.01),
    ("kor_Kore", "stop_words", 0), ("tha_Thai", "stop_word_share", 0.0), ("xxx_Latn", "stop_words", 0),
    ("arb_Arab", "upper_letters", 1.0), ("hin_Deva", "upper_letters", 1.0),
])  # fmt: skip
def test_a_rule_never_fires_where_it_means_nothing(label, signal, value):
    document = {"language": label, signal: value}
    assert not MEANING[signal](label)
    assert [r for r in reasons(document) if any(n[4:] == signal for n in RULES[r])] == []
    assert reasons({"language": "deu_Latn", signal: value}) != []


def test_limits_of_a_language_win_over_those_of_its_script():
    found = Thresholds({"min_words": 10}, {"Latn": {"min_words": 600}, "fin_Latn": {"min_words": None}})
    assert [reasons({"language": label}, found) for label in ("rus_Cyrl", "deu_Latn", "fin_Latn")] == [
        [], [Reason.TOO_SHORT], []
    ]  # fmt: skip
    assert math.isnan(limit_for("min_words", "fin_Latn", found))


def test_columns_of_quality_classifiers():
    found = NONE.changed({"min_quality_edu": 0.6, "fin_Latn": {"min_quality_edu": 0.4}}, "here")
    assert "quality_edu" in columns_read((), found)
    assert limits_of(Reason.QUALITY, found) == ["min_quality_edu"]
    assert reasons({}, found) == [Reason.QUALITY]
    assert reasons({"language": "fin_Latn"}, found) == []
    assert [c.fails for c in comparisons(Reason.QUALITY, SOUND, found)] == [True]


def test_wanted_languages():
    assert reasons({}, wanted=("fin_Latn",)) == [Reason.OTHER_LANGUAGE]
    assert reasons({}, wanted=("fin_Latn", "eng_Latn")) == []


def test_all_reasons_are_kept_and_the_first_is_the_verdict():
    bits = judge(columns({"words": 3, "placeholder": True, "language": "und_Latn"}, {}), Thresholds())
    assert rejections(int(bits[0])) == [Reason.NO_LANGUAGE, Reason.TOO_SHORT, Reason.PLACEHOLDER]
    assert verdicts(bits).tolist() == [Reason.NO_LANGUAGE, 0]
    every = np.array([r.bit for r in Reason if not r.is_drop], np.uint64)
    assert verdicts(every).tolist() == [r for r in Reason if not r.is_drop]


def test_no_documents():
    empty = {k: v[:0] for k, v in columns({}).items()}
    assert judge(empty, Thresholds(), ("eng_Latn",)).tolist() == []
    assert settle(np.zeros(0, CONTESTANT)).tolist() == []
    assert draw(np.zeros(0, "V16"), np.zeros(0, object), {}, 0).tolist() == []


@pytest.mark.parametrize("name", PRESETS)
def test_what_is_compared_is_what_is_judged(name):
    """comparisons() tells of each rule what judge() decides by."""
    documents = [{limit[4:]: v} for limit, value in preset(name).limits.items() for v in both_sides(limit, value)
                 if limit != "min_language_score"]  # fmt: skip
    documents += [{"language_score": 0.1}, {"language": "jpn_Jpan", "mean_word_length": 1.0}]
    for document in documents:
        row = {**SOUND, **document}
        failed = set(reasons(document, preset(name)))
        for reason in RULES:
            found = comparisons(reason, row, preset(name))
            if found:
                assert any(c.fails for c in found) == (reason in failed), (document, reason)
    assert comparisons(Reason.SAME_URL, SOUND, Thresholds()) == []


# --- clean and bad text ---------------------------------------------------------------------------------------------


def judged(documents: list[tuple[str, str]], thresholds: Thresholds) -> list[set[Reason]]:
    """The reasons of each (label, text), the language taken as sure."""
    found = [dataclasses.asdict(signals.measure(text, label).signals) | {"language": label, "language_score": 1.0}
             for label, text in documents]  # fmt: skip
    return [set(rejections(int(bits))) for bits in judge(columns(*found), thresholds)]


def sentences(shared) -> list[tuple[str, str]]:
    """SIB-200's sentences in documents of ten, in lines and in a row."""
    labels = {"zho_Hans": "cmn_Hans", "zho_Hant": "cmn_Hant", "kor_Hang": "kor_Kore"}
    texts = defaultdict(list)
    with lzma.open(shared / "tasks" / "sib200_dev.jsonl.xz", "rt", encoding="utf-8") as file:
        for row in map(json.loads, file):
            texts[labels.get(row["lang"], row["lang"])].append(row["text"])
    return [(label, sep.join(found[k : k + 10])) for label, found in texts.items() for sep in "\n "
            for k in range(0, len(found), 10)]  # fmt: skip


def articles(shared) -> list[tuple[str, str]]:
    """XQuAD's articles, their paragraphs in lines, and apart."""
    labels = {"en": "eng_Latn", "de": "deu_Latn", "ru": "rus_Cyrl", "zh": "cmn_Hans", "ar": "arb_Arab"}
    texts = defaultdict(list)
    with lzma.open(shared / "tasks" / "xquad_dev.jsonl.xz", "rt", encoding="utf-8") as file:
        for row in map(json.loads, file):
            texts[labels[row["lang"]], row["title"]].append(row["context"])
    return [(label, sep.join(found)) for (label, _), found in texts.items() for sep in ("\n", "\n\n")]


@pytest.mark.parametrize("documents", [sentences, articles])
def test_clean_text_passes_in_every_language(shared, documents):
    """At most one in fifty is rejected, in every single language."""
    found = documents(shared)
    rejected = defaultdict(list)
    for (label, _), reasons_ in zip(found, judged(found, Thresholds()), strict=True):
        rejected[label].append(bool(reasons_))
    assert len(rejected) in (5, 34)
    assert {label: sum(r) / len(r) for label, r in rejected.items() if sum(r) > 0.02 * len(r)} == {}


def bad_documents() -> list[tuple[str, str, str]]:
    """(kind, label, text) of data/bad_documents.tsv; in it ' | ' ends a line."""
    path = Path(__file__).parent / "data" / "bad_documents.tsv"
    rows = [line.split("\t") for line in path.read_text(encoding="utf-8").splitlines()[1:]]
    return [(kind, label, (text.replace(" | ", "\n").replace(" |", "\n") * int(times)).strip())
            for kind, label, times, text in rows]  # fmt: skip


def test_bad_documents_are_caught():
    """Copies of a sentence, keywords, menus, cookie walls, lorem ipsum and lists; not for being short."""
    documents = bad_documents()
    assert len(documents) >= 200
    assert len({label for _, label, _ in documents}) == 12
    found = judged([(label, text) for _, label, text in documents], Thresholds())
    missed = [row for row, reasons_ in zip(documents, found, strict=True) if not reasons_ - {Reason.TOO_SHORT}]
    assert len(missed) <= 0.05 * len(documents), missed


# --- winners --------------------------------------------------------------------------------------------------------


def contestants(*rows: dict) -> np.ndarray:
    table = np.zeros(len(rows), CONTESTANT)
    for k, row in enumerate(rows):
        values = {"cluster": 1, "address": k, "passes": True, "length": 100, "time": 1000, "url": k, "text": k, **row}
        for name, value in values.items():
            table[k][name] = np.void(value) if name == "id" else value
    return table


def identity(number: int) -> bytes:
    return number.to_bytes(16, "big")


ORDER = [  # better first
    {"passes": True, "length": 9, "time": 9, "id": identity(1)},
    {"passes": True, "length": 9, "time": 9, "id": identity(2)},
    {"passes": True, "length": 9, "time": 9, "id": identity(1 << 70)},
    {"passes": True, "length": 9, "time": 8, "id": identity(0)},
    {"passes": True, "length": 8, "time": 99, "id": identity(0)},
    {"passes": False, "length": 4_000_000_000, "time": 99, "id": identity(0)},
]


@pytest.mark.parametrize("better", range(len(ORDER) - 1))
@pytest.mark.parametrize("turned", [False, True])
def test_passing_then_length_then_date_then_id(better, turned):
    pair = ORDER[better : better + 2]
    best = 1 if turned else 0
    found = settle(contestants(*(reversed(pair) if turned else pair)))
    assert found["winner"].tolist() == [best, best]


def test_the_date_may_lie_before_1970():
    found = settle(contestants({"time": -5}, {"time": -4}))
    assert found["winner"].tolist() == [1, 1]


def test_a_cluster_in_which_none_passes_has_no_winner():
    found = settle(contestants({"passes": False}, {"passes": False}))
    assert found["winner"].tolist() == [0, 1]
    assert found["reason"].tolist() == [0, 0]


@pytest.mark.parametrize(("loser", "reason"), [
    ({"url": 7, "text": 7}, Reason.SAME_URL),
    ({"url": 8, "text": 7}, Reason.SAME_TEXT),
    ({"url": 8, "text": 8}, Reason.NEAR_DUPLICATE),
])  # fmt: skip
def test_why_a_loser_lost(loser, reason):
    found = settle(contestants({"length": 200, "url": 7, "text": 7}, loser))
    assert found["reason"].tolist() == [0, reason]


CONTEST = st.lists(
    st.fixed_dictionaries({
        "cluster": st.integers(0, 3), "passes": st.booleans(), "length": st.integers(0, 2),
        "time": st.integers(-1, 1), "url": st.integers(0, 2), "text": st.integers(0, 2),
    }), min_size=1, max_size=25,
)  # fmt: skip


@settings(max_examples=200, deadline=None)
@given(CONTEST, st.randoms())
def test_never_by_order_of_arrival(rows, order):
    rows = [{**r, "address": k * 3 + 1, "id": identity(k * 7919 % 101)} for k, r in enumerate(rows)]
    found = settle(contestants(*rows))
    shuffled = list(rows)
    order.shuffle(shuffled)
    assert np.array_equal(settle(contestants(*shuffled)), found)
    assert found["address"].tolist() == [r["address"] for r in rows]
    for cluster in {r["cluster"] for r in rows}:
        inside = [r for r in rows if r["cluster"] == cluster]
        passing = [r for r in inside if r["passes"]]
        winners = {int(v["winner"]) for v in found if v["address"] in {r["address"] for r in inside}}
        if passing:
            best = min(passing, key=lambda r: (-r["length"], -r["time"], r["id"]))
            assert winners == {best["address"]}
        else:
            assert winners == {r["address"] for r in inside}


# --- copies ---------------------------------------------------------------------------------------------------------

IDS = np.frombuffer(np.random.default_rng(0).bytes(16 * 20_000), "V16")


def test_draw_meets_its_expectation_and_only_the_two_nearest_numbers():
    labels = np.array(["a", "b", "c", "d"] * 5000, object)
    found = draw(IDS, labels, {"a": 0.25, "b": 1.0, "c": 2.7}, seed=1)
    for label, wanted, values in [("a", 0.25, {0, 1}), ("b", 1, {1}), ("c", 2.7, {2, 3}), ("d", 1, {1})]:
        chosen = found[labels == label]
        assert set(chosen.tolist()) == values
        assert abs(chosen.mean() - wanted) < 0.02


def test_draw_depends_on_id_and_seed_alone():
    labels = np.array(["a"] * len(IDS), object)
    first = draw(IDS, labels, {"a": 0.5}, seed=1)
    order = np.random.default_rng(1).permutation(len(IDS))
    assert np.array_equal(draw(IDS[order], labels, {"a": 0.5}, 1), first[order])
    assert 0.4 < (draw(IDS, labels, {"a": 0.5}, seed=2) == first).mean() < 0.6
    assert (draw(IDS, labels, {"a": 0.6}, seed=1) >= first).all(), "more copies only add documents"


def test_draw_has_a_ceiling_of_one_byte():
    assert draw(IDS[:1], np.array(["a"], object), {"a": 1000.0}, 0).tolist() == [255]


def test_uniform_is_pinned_and_uniform():
    assert uniform(np.array([0, 1, 2], np.uint64), 0).tolist() == [0.0, 0.7044485202539007, 0.22947943964848072]
    assert uniform(np.array([0, 1, 2], np.uint64), 7).tolist() == [
        0.24279104418383668,
        0.7069880720323296,
        0.07184194815767042,
    ]
    found = uniform(np.arange(100_000, dtype=np.uint64), 3)
    assert found.min() >= 0
    assert found.max() < 1
    assert max(abs(n - 10_000) for n in Counter((found * 10).astype(int).tolist()).values()) < 400
