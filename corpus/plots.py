"""Pictures as inline SVG: horizontal bars, curves. Widths of bars are percentages, so that a picture fits a phone and a
wide screen and its letters stay the size of the page's; colours come from the page's style (STYLE), light or dark.
"""

import html
import math
from collections.abc import Sequence
from dataclasses import dataclass

STYLE = """
.plot{display:block;width:100%;max-width:48rem;overflow:visible;font-size:12px}
.plot text{fill:var(--ink)}
.plot .quiet{fill:var(--quiet)}
.plot .grid{stroke:var(--line);stroke-width:1}
.plot .s0{fill:var(--s0)}.plot .s1{fill:var(--s1)}
.plot .l0,.plot .l1{fill:none;stroke-width:1.5;stroke-linejoin:round}
.plot .l0{stroke:var(--s0)}.plot .l1{stroke:var(--s1)}
.plot .t0{fill:var(--s0)}.plot .t1{fill:var(--s1)}
"""
"""What a page needs in its <style>, besides the custom properties --ink, --quiet, --line, --s0 and --s1."""

LABELS, BARS = 24.0, 54.0
"""Per cent of the width for the labels and for the longest bar; the rest is for the values behind the bars."""
_THICK, _GAP, _TICKS = 13, 7, 18


@dataclass(frozen=True)
class Bar:
    """A row of a picture. values: one for each series; words: how each is written behind its bar; detail: what a
    pointer sees (label and words if empty)."""

    label: str
    values: tuple[float, ...]
    words: tuple[str, ...]
    detail: str = ""


def bars(rows: Sequence[Bar], about: str, low: float = 0.0, ticks: Sequence[tuple[float, str]] = ()) -> str:
    """Horizontal bars, those of a row's series one below the other. about: the picture in words, for those who do not
    see it. low: 0, or the value at which a logarithmic scale begins. ticks: (value, words) of lines across.

    No rows: ''. Values below `low` have no bar, values that are not finite neither.
    """
    if not rows:
        return ""
    most = max([v for row in rows for v in row.values if math.isfinite(v)] + [t for t, _ in ticks], default=0.0)
    top = _TICKS if ticks else 0
    height = top + sum(len(row.values) * _THICK + _GAP for row in rows)
    parts = [f'<svg class="plot" role="img" height="{height}" aria-label="{html.escape(about)}">']
    for value, words in ticks:
        x = _number(LABELS + BARS * share(value, most, low))
        parts.append(f'<line class="grid" x1="{x}%" x2="{x}%" y1="{top - 3}" y2="{height}"/>')
        parts.append(f'<text class="quiet" x="{x}%" y="10" text-anchor="middle">{html.escape(words)}</text>')
    y = top + _GAP / 2
    for row in rows:
        parts.append(_row(row, y, most, low))
        y += len(row.values) * _THICK + _GAP
    return "".join([*parts, "</svg>"])


def _row(row: Bar, y: float, most: float, low: float) -> str:
    middle = y + len(row.values) * _THICK / 2 + 4
    detail = row.detail or f"{row.label}: {', '.join(row.words)}"
    parts = [f"<g><title>{html.escape(detail)}</title>"]
    parts.append(f'<text x="0" y="{_number(middle)}">{html.escape(row.label)}</text>')
    for k, (value, words) in enumerate(zip(row.values, row.words, strict=True)):
        width = BARS * share(value, most, low)
        place = y + k * _THICK
        end = f'x="{_number(LABELS + width)}%" dx="5" y="{_number(place + 10)}"'
        parts.append(
            f'<rect class="s{k}" x="{_number(LABELS)}%" y="{_number(place)}" width="{_number(width)}%" '
            f'height="{_THICK - 1}" rx="1.5"/>'
            f'<text class="quiet" {end}>{html.escape(words)}</text>'
        )
    return "".join([*parts, "</g>"])


def share(value: float, most: float, low: float = 0.0) -> float:
    """How far along the scale a value lies, 0 to 1: from 0 to `most`, or on a logarithmic scale from `low` to it."""
    if not math.isfinite(value) or value <= low or most <= low:
        return 0.0
    if not low:
        return min(1.0, value / most)
    return min(1.0, math.log(value / low) / math.log(most / low))


def _number(value: float) -> str:
    """Two decimals at most, without trailing zeros."""
    return f"{value:.2f}".rstrip("0").rstrip(".")


@dataclass(frozen=True)
class Line:
    """A curve. points: (x, y), x rising."""

    label: str
    points: tuple[tuple[float, float], ...]


_WIDE, _HIGH, _SIDE, _FOOT = 400.0, 160.0, 46.0, 20.0


def lines(curves: Sequence[Line], about: str, axis: str) -> str:
    """Curves over one another, with the ends of both axes in figures; what is not finite is left out. axis: what x
    is. No points: ''."""
    kept = [(c.label, [(x, y) for x, y in c.points if math.isfinite(x) and math.isfinite(y)]) for c in curves]
    xs, ys = ([p[k] for _, points in kept for p in points] for k in (0, 1))
    if not xs:
        return ""
    left, right, low, high = min(xs), max(xs), min(ys), max(ys)
    across, up = (right - left) or 1.0, (high - low) or 1.0
    parts = [
        f'<svg class="plot" role="img" viewBox="0 0 {_number(_WIDE)} {_number(_HIGH)}" '
        f'aria-label="{html.escape(about)}">'
    ]
    for value, y in ((high, 10.0), (low, _HIGH - _FOOT)):
        parts.append(
            f'<line class="grid" x1="{_number(_SIDE)}" x2="{_number(_WIDE)}" y1="{_number(y)}" y2="{_number(y)}"/>'
        )
        parts.append(
            f'<text class="quiet" x="{_number(_SIDE - 4)}" y="{_number(y + 4)}" text-anchor="end">{_ends(value)}</text>'
        )
    for k, (label, points) in enumerate(kept):
        places = " ".join(
            f"{_number(_SIDE + (x - left) / across * (_WIDE - _SIDE))},"
            f"{_number(10 + (high - y) / up * (_HIGH - _FOOT - 10))}"
            for x, y in points
        )
        foot, name = _number(_HIGH - 5), html.escape(label)
        parts.append(f'<polyline class="l{k % 2}" points="{places}"><title>{name}</title></polyline>')
        parts.append(f'<text class="t{k % 2}" x="{_number(_SIDE + 110 * k + 8)}" y="{foot}">{name}</text>')
    end = f"{html.escape(axis)} {right:,.6g}"
    parts.append(f'<text class="quiet" x="{_number(_WIDE)}" y="{_number(_HIGH - 5)}" text-anchor="end">{end}</text>')
    return "".join([*parts, "</svg>"])


def _ends(value: float) -> str:
    """Three digits, but large numbers whole."""
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.3g}"
