"""Thresholds from signals: each method by hand, places with few documents, flags, the file and back."""

import math
import tomllib

import numpy as np
import pytest

from corpus.terminal import UserError
from pipeline import calibration
from pipeline.calibration import derive, preview, to_toml
from pipeline.thresholds import NONE, Thresholds

COUNT = 200


def found(**columns) -> dict[str, np.ndarray]:
    """200 documents each of English, German and Russian, 20 of Finnish."""
    sizes = {"eng_Latn": COUNT, "deu_Latn": COUNT, "rus_Cyrl": COUNT, "fin_Latn": 20}
    labels = np.repeat(list(sizes), list(sizes.values()))
    values = {"language": labels.astype(object)}
    for name, by_label in columns.items():
        values[name] = np.concatenate([np.asarray(by_label(label, n), np.float32) for label, n in sizes.items()])
    return values


def ramp(scale):
    return lambda label, n: scale[label] * (np.arange(n) + 1) / n


SCALES = {"eng_Latn": 1.0, "deu_Latn": 2.0, "rus_Cyrl": 0.5, "fin_Latn": 3.0}


def test_share_rejects_in_each_language_what_the_preset_rejects_in_the_reference():
    values = found(top_2_gram=ramp(SCALES))
    made, cuts = derive(values, Thresholds({"max_top_2_gram": 0.9}, {}), "eng_Latn", 100, {})
    assert made.limits == {"max_top_2_gram": 0.9}
    for label in ("eng_Latn", "deu_Latn", "rus_Cyrl"):
        assert made.limit("max_top_2_gram", label) == pytest.approx(0.9 * SCALES[label], rel=0.02)
        (cut,) = [c for c in cuts if c.place == label]
        assert (cut.method, cut.documents, cut.flag) == ("share", COUNT, "")
        assert cut.rejected == pytest.approx(0.1, abs=0.011)


def test_few_documents_take_the_limit_of_their_script():
    made, _ = derive(found(top_2_gram=ramp(SCALES)), Thresholds({"max_top_2_gram": 0.9}, {}), "eng_Latn", 100, {})
    assert "fin_Latn" not in made.where
    assert made.limit("max_top_2_gram", "fin_Latn") == made.where["Latn"]["max_top_2_gram"]
    assert made.limit("max_top_2_gram", "xxx_Grek") == 0.9, "and the preset's where the script has few, too"


def languages(**counts: int) -> dict[str, np.ndarray]:
    """Documents of languages, with ramps of a signal up to 1, 2, 3, ..."""
    labels = np.repeat(list(counts), list(counts.values()))
    ramps = [(k + 1) * (np.arange(n) + 1) / n for k, n in enumerate(counts.values())]
    return {"language": labels.astype(object), "top_2_gram": np.concatenate(ramps).astype(np.float32)}


def test_few_documents_take_the_limit_of_their_family_before_that_of_their_script():
    values = languages(eng_Latn=200, spa_Latn=80, cat_Latn=30, rus_Cyrl=200, ukr_Cyrl=20, srp_Latn=20, bos_Latn=20)
    made, cuts = derive(values, Thresholds({"max_top_2_gram": 0.9}, {}), "eng_Latn", 100, {})
    assert {cut.place for cut in cuts} == {"eng_Latn", "rus_Cyrl", "roa_Latn", "zle_Cyrl", "Latn", "Cyrl"}
    assert "gmw_Latn" not in made.where, "of which there is English alone"
    for label, place in (("spa_Latn", "roa_Latn"), ("ron_Latn", "roa_Latn"), ("ukr_Cyrl", "zle_Cyrl")):
        assert made.limit("max_top_2_gram", label) == made.where[place]["max_top_2_gram"]
    for label in ("bos_Latn", "eus_Latn"):  # too few of its family; of no family
        assert made.limit("max_top_2_gram", label) == made.where["Latn"]["max_top_2_gram"]
    assert made.where["roa_Latn"]["max_top_2_gram"] == pytest.approx(
        np.quantile(values["top_2_gram"][200:310], 0.9), 0.02
    )
    assert calibration.substitutes(values["language"].astype(str), 100) == [
        "too few documents, so held to Latn: bos_Latn, srp_Latn",
        "too few documents, so held to roa_Latn: cat_Latn, spa_Latn",
        "too few documents, so held to zle_Cyrl: ukr_Cyrl",
    ]
    assert calibration.substitutes(np.array(["eng_Latn", "und_Latn"]), 100) == [
        "too few documents, so held to the preset: eng_Latn"
    ]
    text = to_toml(made, cuts, "")
    assert "[thresholds.roa_Latn]  # 110 documents" in text
    assert NONE.changed(tomllib.loads(text)["thresholds"], "file") == made


def test_spread_is_three_deviations_beside_the_mean():
    values = found(mean_word_length=lambda label, n: 5 + SCALES[label] * np.resize([-1, 1], n))
    base = Thresholds({"min_mean_word_length": 3, "max_mean_word_length": 10}, {})
    made, _ = derive(values, base, "eng_Latn", 100, {})
    assert made.where["deu_Latn"] == {"max_mean_word_length": 11, "min_mean_word_length": 0}
    assert made.where["rus_Cyrl"] == {"max_mean_word_length": 6.5, "min_mean_word_length": 3.5}


@pytest.mark.parametrize(("score", "cut"), [(0.95, 0.85), (0.2, 0.3), (1.0, 0.9)])
def test_score_is_the_median_less_a_deviation_within_bounds(score, cut):
    values = found(language_score=lambda label, n: score + 0.1 * np.resize([-1, 1], n))
    made, _ = derive(values, Thresholds({"min_language_score": 0.65}, {}), "eng_Latn", 100, {})
    assert made.limit("min_language_score", "deu_Latn") == pytest.approx(cut, abs=0.101)


def test_keep_is_a_quantile_of_each_language():
    values = found(quality_edu=ramp(SCALES))
    made, cuts = derive(values, NONE, "eng_Latn", 100, {"quality_edu": 0.25})
    for label in ("eng_Latn", "deu_Latn", "rus_Cyrl"):
        assert made.limit("min_quality_edu", label) == pytest.approx(0.75 * SCALES[label], rel=0.02)
    assert {c.flag for c in cuts} == {"rejects over 30%"}


def test_other_limits_stay_and_are_flagged_where_they_never_fire():
    values = found(words=ramp(dict.fromkeys(SCALES, 100.0)))
    made, cuts = derive(values, Thresholds({"min_words": 50, "max_words": 1000}, {}), "eng_Latn", 100, {})
    assert made.where == {}
    flags = {(c.place, c.name): (c.method, c.flag) for c in cuts}
    assert flags["rus_Cyrl", "max_words"] == ("", "never fires")
    assert flags["rus_Cyrl", "min_words"] == ("", "rejects over 30%")


def test_what_means_nothing_in_a_language_gets_no_limit():
    values = found(mean_word_length=ramp(SCALES))
    values["language"][values["language"] == "rus_Cyrl"] = "tha_Thai"
    made, cuts = derive(values, Thresholds({"max_mean_word_length": 0.9}, {}), "eng_Latn", 100, {})
    assert "Thai" not in made.where
    assert "tha_Thai" not in made.where
    assert [c for c in cuts if c.place in ("Thai", "tha_Thai")] == []


def test_a_reference_that_is_not_there():
    with pytest.raises(UserError, match="--reference xxx_Latn: no document in it"):
        derive(found(), NONE, "xxx_Latn", 100, {})


@pytest.mark.parametrize("low", [True, False])
def test_numbers_are_rounded_to_the_lenient_side(low):
    for value in np.geomspace(1e-4, 1e5, 99).tolist():
        rounded = calibration._rounded(value, low)
        assert rounded <= value if low else rounded >= value
        assert math.isclose(rounded, value, rel_tol=0.0101)
    assert calibration._rounded(0.0, low) == 0


def test_the_file_can_be_read_back_and_tells_what_each_cut_does():
    values = found(top_2_gram=ramp(SCALES), mean_word_length=ramp(SCALES))
    base = Thresholds({"max_top_2_gram": 0.9, "max_mean_word_length": 0.9}, {"Thai": {"max_top_2_gram": None}})
    made, cuts = derive(values, base, "eng_Latn", 100, {})
    text = to_toml(made, cuts, "How it was made.\nAnd more.")
    assert NONE.changed(tomllib.loads(text)["thresholds"], "file") == made
    assert text.startswith("# How it was made.\n# And more.\n")
    assert "[thresholds.rus_Cyrl]  # 200 documents" in text
    assert "# share: rejects 10." in text
    assert 'max_top_2_gram = "off"' in text


def test_the_preview_lists_every_cut_the_hardest_first():
    _, cuts = derive(found(top_2_gram=ramp(SCALES)), Thresholds({"max_top_2_gram": 0.9}, {}), "eng_Latn", 100, {})
    lines = preview(cuts)
    assert "rus_Cyrl  200 documents" in lines
    assert sum("max_top_2_gram" in line for line in lines) == len(cuts)


@pytest.mark.parametrize("pair", ["edu=0.5", "quality_edu", "quality_edu=2", "quality_edu=0", "quality_edu=x"])
def test_mistakes_of_keep(pair):
    with pytest.raises(UserError, match="NAME=SHARE"):
        calibration.quality_shares([pair])


def test_the_command(tmp_path, capsys):
    from pipeline.__main__ import main
    from tests import crawl

    crawl.write_crawl(tmp_path / "crawl.warc.gz", 40)
    out = str(tmp_path / "out")
    assert main(["extract", str(tmp_path / "crawl.warc.gz"), "--output", out, "--quiet", "--workers", "1"]) == 0
    assert main(["calibrate", out, "--least", "5", "--preset", "gopher", "--quiet"]) == 0
    assert "eng_Latn" in capsys.readouterr().out
    file = f"{out}/thresholds.toml"
    with pytest.raises(SystemExit) as end:
        main(["select", out, "--thresholds", file, "--print-config"])
    assert end.value.code == 0
    shown = tomllib.loads(capsys.readouterr().out)["thresholds"]
    assert shown["min_words"] == 50
    assert "max_policy_characters" not in shown, "the file takes the place of the preset"
    assert main(["calibrate", out, "--preset", "gofer"]) == 2
    assert "did you mean gopher?" in capsys.readouterr().err
    assert main(["calibrate", out, "--least", "0"]) == 2
