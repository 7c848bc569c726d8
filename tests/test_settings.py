"""Settings: flags win over the file, the file over defaults; mistakes are answered with the nearest name."""

import argparse
import dataclasses
import re
import tomllib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from corpus import settings, toml
from corpus.settings import (
    SECTIONS,
    Extract,
    Parser,
    Pretrain,
    Select,
    add_common,
    add_flags,
    build,
    fingerprint,
    nearest,
    parse,
    read_config,
    resolve,
    substance,
)
from corpus.terminal import UserError


def parser() -> Parser:
    top = Parser(prog="python -m x")
    commands = top.add_subparsers(dest="command", required=True, metavar="COMMAND")
    one = commands.add_parser("extract")
    one.add_argument("--output", required=True)
    add_flags(one, Extract, Select)
    add_common(one)
    commands.add_parser("select")
    return top


def flags(*args: str) -> argparse.Namespace:
    return parser().parse_all(["extract", "--output", "o", *args])[0]


def config(tmp_path, text: str) -> str:
    path = tmp_path / "mill.toml"
    path.write_text(text)
    return str(path)


# --- precedence -----------------------------------------------------------------------------------------------------


def test_flags_over_file_over_defaults(tmp_path):
    tables = read_config(config(tmp_path, "[extract]\nitem_bytes = '2MiB'\nmax_page_bytes = 7\n"))
    found = resolve(Extract, tables, flags("--item-bytes", "3k"))
    assert found == Extract(item_bytes=3000, max_page_bytes=7)
    assert resolve(Extract, tables, flags()) == Extract(item_bytes=2 << 20, max_page_bytes=7)
    assert resolve(Extract, {}, flags()) == Extract()


def test_switches_and_lists(tmp_path):
    assert resolve(Select, {}, flags("--no-near-duplicates")).near_duplicates is False
    tables = read_config(config(tmp_path, "[select]\nnear_duplicates = false\nlanguages = ['fin_Latn']\n"))
    assert resolve(Select, tables, flags()).near_duplicates is False
    assert resolve(Select, tables, flags("--near-duplicates")).near_duplicates is True
    assert resolve(Select, tables, flags()).languages == ("fin_Latn",)
    assert resolve(Select, tables, flags("--languages", "swe_Latn,fin_Latn")).languages == ("fin_Latn", "swe_Latn")
    assert resolve(Select, tables, flags("--languages", "")).languages == ()


@pytest.mark.parametrize("section", SECTIONS)
def test_every_setting_has_a_flag_with_its_default_in_the_help(section):
    one = Parser(prog="x")
    add_flags(one, SECTIONS[section])
    help_text = one.format_help()
    for field in dataclasses.fields(SECTIONS[section]):
        assert "--" + field.name.replace("_", "-") in help_text
        assert " ".join(field.metadata["help"].split()[:3]) in re.sub(r"\s+", " ", help_text)


def test_there_are_few_settings():
    assert sum(len(dataclasses.fields(s)) for s in SECTIONS.values()) <= 60


# --- values ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("text", "kind", "value"), [
    ("64MiB", int, 64 << 20), ("64 mib", int, 64 << 20), ("1GiB", int, 1 << 30), ("20k", int, 20_000),
    ("1.5M", int, 1_500_000), ("2kB", int, 2000), ("1_000", int, 1000), ("5e-4", float, 5e-4), ("3", float, 3.0),
    ("1e3", int, 1000), (7, int, 7), (7, float, 7.0), (0, int, 0), ("5B", int, 5), ("1e+2", int, 100),
    ("b,a", tuple, ("a", "b")), (["b", "a"], tuple, ("a", "b")),
    (True, bool, True), ("text", str, "text"),
])  # fmt: skip
def test_values(text, kind, value):
    found = parse(text, "x", kind)
    assert found == value
    assert type(found) is type(value)


@pytest.mark.parametrize(("text", "kind", "fact"), [
    ("many", int, "not a number"), ("1.5", int, "not a whole number"), ("64MiX", int, "not a number"),
    ("", int, "not a number"),
    (True, int, "not a number"), ("nan", float, "not a number"),
    ("inf", float, "not a number"), (None, float, "not a number"),
    ("-1", int, "negative"), (-0.5, float, "negative"), (1, bool, "true or false"), ("true", bool, "true or false"),
    (1, str, "a text in quotes"), (1, tuple, "a list of texts"), ([1], tuple, "a list of texts"),
])  # fmt: skip
def test_values_that_are_none(text, kind, fact):
    with pytest.raises(UserError, match=fact) as mistake:
        parse(text, "extract.name", kind)
    assert str(mistake.value).startswith("extract.name: ")


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf")])
@pytest.mark.parametrize("kind", [int, float])
def test_numbers_that_are_none(value, kind):
    """TOML can write nan and inf."""
    with pytest.raises(UserError):
        parse(value, "x", kind)


def test_choices():
    assert parse("keep", "x", str, ("mask", "keep")) == "keep"
    with pytest.raises(UserError, match="'kep' is not one of mask, keep; did you mean keep"):
        parse("kep", "x", str, ("mask", "keep"))


# --- mistakes -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("args", "words"), [
    (["extrakt"], "unknown command 'extrakt'; did you mean extract?"),
    (["zzz"], "unknown command 'zzz'; there are: extract, select"),
    (["extract", "--output", "o", "--item-byte", "3"], "unknown flag --item-byte; did you mean --item-bytes?"),
    (["extract", "--output", "o", "--item-byte=3"], "did you mean --item-bytes?"),
    (["extract", "--output", "o", "--item", "3"], "--item"),
    (["extract", "--output", "o", "more"], "unexpected argument 'more'"),
    (["extract"], "--output"),
    ([], "COMMAND"),
    (["extract", "--output", "o", "--limit", "x"], "--limit"),
])  # fmt: skip
def test_mistakes_on_the_command_line(args, words):
    with pytest.raises(UserError) as mistake:
        parser().parse_all(args)
    assert words in str(mistake.value)
    assert "\n" not in str(mistake.value)


def test_wrong_values_of_flags_name_the_flag():
    with pytest.raises(UserError, match=r"^--item-bytes: 'x' is not a number"):
        resolve(Extract, {}, flags("--item-bytes", "x"))
    with pytest.raises(UserError, match=r"^--pii: 'hide'"):
        resolve(Extract, {}, flags("--pii", "hide"))


def test_what_stands_behind_two_dashes_is_the_runners():
    names, rest = parser().parse_all(["extract", "--output", "o", "--", "--runner=X", "--", "--item-byte"])
    assert names.output == "o"
    assert rest == ["--runner=X", "--", "--item-byte"]
    assert parser().parse_all(["extract", "--output", "o", "--"])[1] == []


@pytest.mark.parametrize(("text", "words"), [
    ("[extract]\nitem_byte = 3\n", "unknown key 'item_byte'; did you mean item_bytes?"),
    ("[extrakt]\nitem_bytes = 3\n", "unknown key 'extrakt'; did you mean extract?"),
    ("item_bytes = 3\n", "unknown key 'item_bytes'"),
    ("extract = 3\n", "'extract' is no table"),
    ("[extract]\nitem_bytes = 'x'\n", "extract.item_bytes: 'x' is not a number"),
    ("[select]\nnear_duplicates = 1\n", "select.near_duplicates: 1 is not true or false"),
    ("[extract\n", "mend the TOML"),
])  # fmt: skip
def test_mistakes_in_the_file(tmp_path, text, words):
    with pytest.raises(UserError) as mistake:
        read_config(config(tmp_path, text))
    assert words in str(mistake.value)
    assert "mill.toml" in str(mistake.value)
    assert "\n" not in str(mistake.value)


def test_files_that_cannot_be_read(tmp_path):
    (tmp_path / "bytes.toml").write_bytes(b"\xff\xfe")
    for name in ("none.toml", "bytes.toml", "."):
        with pytest.raises(UserError):
            read_config(str(tmp_path / name))


def test_tables_of_others_are_passed_through(tmp_path):
    path = config(tmp_path, "[thresholds]\nmin_words = 3\n")
    assert read_config(path, ["thresholds"]) == {"thresholds": {"min_words": 3}}
    with pytest.raises(UserError, match="thresholds"):
        read_config(path)


@pytest.mark.parametrize(("name", "names", "words"), [
    ("min_wrds", ["min_words", "max_words"], "; did you mean min_words?"),
    ("--sed", ["--seed", "--quiet"], "; did you mean --seed?"),
    ("zzz", ["a", "b"], "; there are: a, b"),
    ("zzz", [], ""),
])  # fmt: skip
def test_nearest(name, names, words):
    assert nearest(name, names) == words


# --- TOML and fingerprints ------------------------------------------------------------------------------------------

WORDS = st.text(st.characters(exclude_categories=["Cs"]), max_size=12)


@st.composite
def extracts(draw):
    return Extract(draw(st.integers(0, 1 << 40)), draw(st.integers(0, 1 << 40)),
                   draw(st.sampled_from(["own", "resiliparse", "trafilatura", "text"])),
                   draw(st.sampled_from(["mask", "keep"])), draw(WORDS))  # fmt: skip


@given(extracts(), st.lists(WORDS.filter(bool), max_size=3), st.floats(0, 1e9))
def test_toml_and_back(extract, labels, alpha):
    select = Select(languages=tuple(sorted(labels)), max_copies=alpha)
    tables = tomllib.loads(toml.write({"extract": extract, "select": select}))
    assert build(Extract, tables["extract"], "extract") == extract
    assert build(Select, tables["select"], "select") == select


def test_the_defaults_go_through_a_file(tmp_path):
    everything = {name: section() for name, section in SECTIONS.items()}
    tables = read_config(config(tmp_path, toml.write(everything)))
    assert {name: build(SECTIONS[name], table, name) for name, table in tables.items()} == everything


def test_fingerprints_are_pinned():
    assert fingerprint() == fingerprint()
    assert fingerprint("a", 1, [2.5, None], {"b": True, "a": "ü"}) == "25c19b87b25c9295923b9a8f804182d3"
    assert fingerprint({"a": 1, "b": 2}) == fingerprint({"b": 2, "a": 1})
    assert fingerprint(("x",)) == fingerprint(["x"])
    assert len({fingerprint(*p) for p in [(), ("",), (0,), (None,), ("a", "b"), ("ab",), (["a", "b"],)]}) == 7


def test_operational_settings_change_no_fingerprint():
    assert substance(Select(memory=5, exchange="beam")) == substance(Select())
    assert substance(Select(seed=1)) != substance(Select())
    assert substance(Pretrain(device="cpu", compile=True, keep=1)) == substance(Pretrain())
    assert set(substance(Extract())) == {f.name for f in dataclasses.fields(Extract)}


def test_the_version_is_that_of_the_package():
    from importlib.metadata import version

    assert version("crawlmill") == settings.VERSION
