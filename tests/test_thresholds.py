"""Thresholds as data: presets with their sources, changed by files and flags, for all or one language or script."""

import pytest

from corpus.terminal import UserError
from pipeline.thresholds import COLUMNS, NONE, PRESETS, Thresholds, entries, preset


def test_every_number_of_a_preset_has_its_source():
    assert {entry.preset for entry in entries()} == set(PRESETS)
    assert all(entry.source and len(entry.source) > 8 for entry in entries())
    assert all(entry.limit[:4] in ("min_", "max_") and entry.limit[4:] in COLUMNS for entry in entries())
    keys = [(entry.preset, entry.limit, entry.where) for entry in entries()]
    assert len(set(keys)) == len(keys)


@pytest.mark.parametrize(("name", "limit", "value"), [
    ("gopher", "min_words", 50), ("gopher", "max_words", 100_000), ("gopher", "max_top_2_gram", 0.2),
    ("gopher", "max_repeated_5_grams", 0.15), ("gopher", "max_repeated_10_grams", 0.1), ("gopher", "min_stop_words", 2),
    ("c4", "min_prose_sentences", 3), ("fineweb", "min_ended_lines", 0.12), ("fineweb", "max_short_lines", 0.67),
    ("fineweb", "max_repeated_line_characters", 0.01), ("fineweb2", "max_repeated_line_characters", 0.1),
    ("fineweb2", "max_short_lines", None), ("fineweb2", "max_repeated_paragraphs", None), ("mc4", "min_long_lines", 3),
])  # fmt: skip
def test_presets_hold_the_published_numbers(name, limit, value):
    assert preset(name).limit(limit, "eng_Latn") == value


def test_ours_is_what_counts_where_nothing_is_said():
    assert Thresholds() == preset("ours")
    assert preset("ours").limit("min_words", "eng_Latn") < preset("ours").limit("min_words", "tha_Thai")
    assert preset("ours").limit("max_mixed_words", "chv_Cyrl") > preset("ours").limit("max_mixed_words", "rus_Cyrl")


@pytest.mark.parametrize("name", PRESETS)
def test_to_a_table_and_back(name):
    assert NONE.changed(preset(name).table(), "here") == preset(name)


def test_changes_for_all_a_script_and_a_language():
    found = preset("gopher").changed(
        {"min_words": 7, "Latn": {"min_words": 8, "max_cut_lines": "off"}, "fin_Latn.min_words": "9"}, "here"
    )
    assert [found.limit("min_words", label) for label in ("rus_Cyrl", "deu_Latn", "fin_Latn")] == [7, 8, 9]
    assert [found.limit("max_cut_lines", label) for label in ("rus_Cyrl", "fin_Latn")] == [0.3, None]
    assert preset("gopher").limit("min_words", "fin_Latn") == 50, "the preset itself stays"
    assert "max_cut_lines" not in found.changed({"max_cut_lines": "off"}, "here").names()
    assert type(found.limit("min_words", "fin_Latn")) is int


@pytest.mark.parametrize(("table", "words"), [
    ({"min_wrds": 3}, "did you mean min_words?"), ({"words": 3}, "unknown key 'words'"),
    ({"min_words": "many"}, "here.min_words: 'many' is not a number"), ({"min_words": -1}, "negative"),
    ({"fin": {"min_words": 1}}, "'fin' is no language"), ({"fin_Latn.min_wrds": 1}, "did you mean min_words?"),
    ({"min_quality_": 1}, "unknown key"), ({"min_words": True}, "not a number"),
    ({"min_words": float("nan")}, "number"),
])  # fmt: skip
def test_mistakes(table, words):
    with pytest.raises(UserError) as mistake:
        NONE.changed(table, "here")
    assert words in str(mistake.value)
    assert "\n" not in str(mistake.value)


def test_mistakes_of_flags_name_the_flag():
    with pytest.raises(UserError, match=r"^--threshold: 'x' is not a number"):
        NONE.changed({"min_words": "x"}, "--threshold")


def test_columns_of_classifiers_may_be_limited():
    assert NONE.changed({"min_quality_edu": 0.25}, "here").names() == ["min_quality_edu"]
