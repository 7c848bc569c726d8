"""What scores are worth: cuts by false positives, pieces of every length, the table written again."""

import pytest

from pipeline import language, language_cuts

MODEL = language.shipped()


@pytest.mark.parametrize(
    ("found", "want"),
    [
        ([], 0.5),
        ([(0.9, 1.0, True), (0.8, 0.2, False)], 0.5),  # so few may pass
        ([(0.9, 1.0, True), (0.801, 1.0, True), (0.7, 1.0, False)], 0.81),
        ([(0.9, 1.0, True), (0.8, 1.0, False), (0.7, 9.0, True)], 0.5),  # below it they are few again
        ([(0.99, 1.0, False), (0.6, 1.0, True)], 0.95),  # a cut that keeps text must be left
    ],
)
def test_cut(found, want):
    assert language_cuts.cut(found) == want


def test_the_rarer_the_higher():
    cuts = [language_cuts.rarity_cut(label) for label in ("deu_Latn", "slv_Latn", "isl_Latn", "yor_Latn", "xal_Cyrl")]
    assert cuts == sorted(cuts)
    assert cuts[0] == 0.5
    assert cuts[-1] == language_cuts.rarity_cut("a language of which nothing is known") > 0.85


def test_chosen_lines_are_spread():
    lines = [f"a line that is long enough {k}" for k in range(1_000)]
    chosen = language_cuts.chosen([*lines, "short"])
    assert len(chosen) == language_cuts.LINES
    assert chosen[0] == lines[0]
    assert lines.index(chosen[-1]) > 850


def test_pieces():
    lines = [" ".join(f"w{k}" for k in range(30))] * 12
    found = language_cuts.pieces(lines)
    assert [len(piece.split(" ")) for piece in found[:5]] == [2, 4, 8, 16, 30]
    assert [len(piece.split(" ")) for piece in found[12:]] == [180, 180]
    assert language_cuts.piece("漢字" * 50, 1) == "漢字" * 8


def test_measured_on_lines():
    held = {
        "fin_Latn": ["Valiokunta julkaisee raporttinsa uudesta koulusta kuukauden lopussa."] * 3,
        "swe_Latn": ["Utskottet publicerar sin rapport om den nya skolan.", "Tämä on suomea eikä ruotsia."],
    }
    measured = language_cuts.measure(MODEL, held)
    assert measured["fin_Latn"][0] == 1.0
    assert measured["swe_Latn"] == (0.5, 0.5)
    assert measured["fin_Latn"][1] == 0.95  # half of the lines in Swedish, which has more pages, at a score near 1
    assert measured["deu_Latn"] == (None, 0.5)
    assert measured["isl_Latn"] == (None, language_cuts.rarity_cut("isl_Latn"))
    table = language_cuts.rewritten(measured).splitlines()
    assert next(row for row in table if row.startswith("fin_Latn")).split("\t")[6:9] == ["0.34", "0.95", "1.00"]


def test_the_table_is_written_as_it_is_read():
    rows = language.languages().values()
    written = language_cuts.rewritten({row.label: (float(row.recall) if row.recall else None, row.cut) for row in rows})
    with open(language.__file__.replace("language.py", "languages.tsv"), encoding="utf-8") as file:
        assert written == file.read()


def test_calibration_lowers_the_loss():
    held = {
        "nob_Latn": ["Jeg liker å lese bøker om historien til landet vårt og reise"] * 3,
        "dan_Latn": ["Jeg kan godt lide at læse bøger om historien og at rejse"] * 3,
    }
    texts = {k: language_cuts.pieces(v) for k, v in held.items()}
    assert language_cuts.loss(language_cuts.calibrated(MODEL, held), texts) <= language_cuts.loss(MODEL, texts)
