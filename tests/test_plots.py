"""Bars: their lengths, their scale, their escaping."""

import math
import re
import xml.etree.ElementTree as ET

import pytest

from corpus.plots import BARS, Bar, Line, bars, lines, share


def parsed(svg):
    return ET.fromstring(svg)


def widths(svg):
    return [float(r.get("width").rstrip("%")) for r in parsed(svg).iter("rect")]


def test_bars_are_as_long_as_their_values():
    svg = bars([Bar("a", (100,), ("100",)), Bar("b", (25,), ("25",)), Bar("c", (0,), ("0",))], "three")
    assert widths(svg) == [BARS, BARS / 4, 0]
    assert [t.text for t in parsed(svg).iter("text")] == ["a", "100", "b", "25", "c", "0"]


def test_a_logarithmic_scale_gives_each_power_the_same_length():
    rows = [Bar(str(v), (v,), ("",)) for v in (0.001, 0.01, 0.1, 1)]
    assert widths(bars(rows, "powers", low=0.0001, ticks=[(1, "all")])) == pytest.approx(
        [BARS / 4, BARS / 2, BARS * 3 / 4, BARS]
    )


def test_each_series_has_its_bar_and_its_class():
    svg = bars([Bar("a", (1, 2), ("one", "two"))], "pair")
    assert [r.get("class") for r in parsed(svg).iter("rect")] == ["s0", "s1"]
    assert widths(svg) == [BARS / 2, BARS]


def test_labels_and_words_are_text():
    svg = bars([Bar("<b>&\"'", (1,), ("</svg><script>",), "<i>")], 'about "it" <x>')
    root = parsed(svg)
    assert {e.tag for e in root.iter()} == {"svg", "g", "title", "text", "rect"}
    assert [t.text for t in root.iter("text")] == ["<b>&\"'", "</svg><script>"]
    assert root.get("aria-label") == 'about "it" <x>'


def test_what_a_scale_cannot_show_has_no_length():
    assert [share(v, 10) for v in (math.nan, math.inf, -1, 0)] == [0, 0, 0, 0]
    assert share(0.5, 10, low=1) == 0
    assert share(20, 10) == 1
    assert share(1, 0) == 0
    assert bars([], "nothing") == ""
    assert widths(bars([Bar("a", (0.0,), ("0",))], "nothing")) == [0]


def test_the_picture_is_as_high_as_its_rows():
    row = Bar("a", (1, 2), ("", ""))
    heights = [float(parsed(bars([row] * n, "")).get("height")) for n in (1, 2, 5)]
    assert heights[1] == 2 * heights[0]
    assert heights[2] == 5 * heights[0]


def test_curves():
    """Every point within the picture, the ends of the axes in figures; what is no number is left out."""
    one = Line("a<b", ((0, 1.0), (5, float("nan")), (10, 3000.0)))
    found = lines([one, Line("two", ((0, 2.0),))], "about", "step")
    assert found.count("<polyline") == 2
    assert "3,000" in found
    assert "step 10" in found
    assert "a&lt;b" in found
    assert "nan" not in found
    places = [tuple(map(float, p.split(","))) for p in re.findall(r'points="([^"]+)"', found)[0].split()]
    assert len(places) == 2
    assert all(0 <= x <= 400 and 0 <= y <= 160 for x, y in places)
    assert places[0][1] > places[1][1]  # larger is higher
    assert lines([], "x", "y") == lines([Line("a", ())], "x", "y") == ""
