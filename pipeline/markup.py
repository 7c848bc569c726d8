"""HTML of one self-contained page: escaping, tables, sections, style. No script, nothing is loaded from anywhere, and
what comes from the web is text: never a link, a tag or a control character."""

import html
import unicodedata
from collections.abc import Iterable, Sequence

from corpus import plots

_JOINERS = "\u200c\u200d"
"""Zero-width joiners: letters of Persian, Hindi and others are spelled with them."""

STYLE = """
:root{color-scheme:light dark;--ink:#1d2430;--quiet:#5c6675;--line:#dde1e7;--ground:#fbfbfc;--card:#fff;--code:#f1f3f6;
--s0:#8d9db5;--s1:#2f6fd0;--good:#1c7c45;--bad:#b3261e}
@media(prefers-color-scheme:dark){:root{--ink:#e4e8ee;--quiet:#9aa5b4;--line:#2c333d;--ground:#14171c;--card:#1b1f26;
--code:#242a33;--s0:#6b7a91;--s1:#6ea4f5;--good:#64c88c;--bad:#f28b82}}
*{box-sizing:border-box}
body{margin:0;background:var(--ground);color:var(--ink);font:15px/1.55 system-ui,sans-serif}
main{max-width:68rem;margin:0 auto;padding:2rem 1rem 4rem}
h1{font-size:1.7rem;line-height:1.2;margin:0 0 .4rem;overflow-wrap:anywhere}
h2{font-size:1.2rem;margin:2.8rem 0 .5rem;padding-top:.9rem;border-top:1px solid var(--line)}
h3{font-size:1rem;margin:1.6rem 0 .4rem}
p{margin:.4rem 0;max-width:46rem}
.lead{font-size:1.05rem;color:var(--quiet)}.quiet,small{color:var(--quiet)}
nav{display:flex;flex-wrap:wrap;gap:.2rem 1rem;margin:1rem 0 0;font-size:.9rem}
a{color:var(--s1);text-decoration:none}a:hover{text-decoration:underline}
dl.figures{display:grid;grid-template-columns:repeat(auto-fit,minmax(8.5rem,1fr));gap:.6rem;margin:1.4rem 0 0}
dl.figures div{background:var(--card);border:1px solid var(--line);border-radius:8px;padding:.55rem .8rem}
dl.figures dt{color:var(--quiet);font-size:.82rem}
dl.figures dd{margin:0;font-size:1.35rem;font-weight:600;font-variant-numeric:tabular-nums}
.wide{overflow-x:auto;width:fit-content;min-width:min(100%,26rem);max-width:100%;margin:.6rem 0;
border:1px solid var(--line);border-radius:8px;background:var(--card)}
table{border-collapse:collapse;width:100%;font-size:.88rem;font-variant-numeric:tabular-nums}
th,td{padding:.32rem .7rem;text-align:left;vertical-align:top;border-top:1px solid var(--line)}
thead th{border-top:0;color:var(--quiet);font-weight:500;vertical-align:bottom}
th.n,td.n{text-align:right}td.n{white-space:nowrap}
tbody tr:hover{background:var(--code)}
code,.code{font:.86em/1.45 ui-monospace,Menlo,Consolas,monospace;overflow-wrap:anywhere}
td code,td.code{font-size:.93em}td.code{min-width:11rem}td.w{overflow-wrap:anywhere;min-width:14rem}
.key{white-space:nowrap;overflow-wrap:normal}
.about .key{display:inline-block;min-width:11.5rem}
@media(max-width:40rem){th,td{padding:.3rem .45rem}.about span{display:block;color:var(--quiet);font-size:.95em}
.about .key{min-width:0}}
.fold{border:1px solid var(--line);border-radius:8px;background:var(--card);margin:.6rem 0}
details{padding:0 .7rem}details+details{border-top:1px solid var(--line)}
summary{cursor:pointer;padding:.3rem 0;font-size:.88rem}details[open]{padding-bottom:.6rem}
article{border-top:1px solid var(--line);padding:.5rem 0}
article p{max-width:none;font-size:.85rem;margin:0}
blockquote{margin:.35rem 0 0;padding:.1rem 0 .1rem .8rem;border-left:3px solid var(--line);font-size:.92rem;
white-space:pre-line;overflow-wrap:anywhere}
blockquote[dir]:dir(rtl){border-left:0;padding:.1rem .8rem .1rem 0;border-right:3px solid var(--line)}
.good{color:var(--good)}.bad{color:var(--bad);font-weight:600}
.legend{display:flex;flex-wrap:wrap;gap:.2rem 1.2rem;font-size:.85rem;color:var(--quiet);margin:.6rem 0}
.legend i{display:inline-block;width:.8em;height:.8em;border-radius:2px;margin-right:.4em}
.legend .s0{background:var(--s0)}.legend .s1{background:var(--s1)}
figure{margin:.8rem 0}
@media print{main{max-width:none}}
"""

_POLICY = "default-src 'none'; style-src 'unsafe-inline'; img-src data:; base-uri 'none'; form-action 'none'"


def visible(text: str) -> str:
    """Control, bidi and other format characters as U+FFFD, so that a text cannot rearrange or hide what is around it;
    line ends and zero-width joiners stay."""
    return "".join(
        "\ufffd" if unicodedata.category(c) in ("Cc", "Cf", "Cs", "Co") and c not in "\n\t" + _JOINERS else c
        for c in text
    )


def text(value: object) -> str:
    """Anything as the text of an element or of a quoted attribute."""
    return html.escape(visible(str(value)))


def code(value: object) -> str:
    """A URL, name or path: left to right whatever it holds."""
    return f'<code dir="ltr">{text(value)}</code>'


def key(value: str) -> str:
    """A short name of ours, such as a reason or a label, on one line."""
    return f'<code class="key">{text(value)}</code>'


def explained(name: str, about: str) -> str:
    """A short name of ours and what it means: side by side where there is room."""
    return f'<div class="about">{key(name)} <span>{text(about)}</span></div>'


def share(part: float, whole: float) -> str:
    """A share in per cent: 51.1, 0.04."""
    if not whole:
        return "-"
    per_cent = 100 * part / whole
    return f"{per_cent:.1f}&nbsp;%" if per_cent >= 0.1 or not part else f"{per_cent:.1g}&nbsp;%"


def quote(excerpt: str, language: str) -> str:
    """A piece of web text in its own direction. language: BCP 47."""
    return f'<blockquote lang="{text(language)}" dir="auto">{text(excerpt)}</blockquote>'


def table(heads: Sequence[str], rows: Iterable[Sequence[str]], kinds: str, empty: str = "") -> str:
    """A table of cells that are HTML already. kinds: a letter for each column: t text, n number, c code,
    w text that may break anywhere.
    `empty` is told when there are no rows."""
    classes = {"t": "", "n": ' class="n"', "c": ' class="code"', "w": ' class="w"'}
    head = "".join(
        f'<th scope="col"{classes[k] if k == "n" else ""}>{text(h)}</th>' for h, k in zip(heads, kinds, strict=True)
    )
    body = "\n".join(
        "<tr>" + "".join(f"<td{classes[k]}>{cell}</td>" for cell, k in zip(row, kinds, strict=True)) + "</tr>"
        for row in rows
    )
    if not body:
        return f'<p class="quiet">{text(empty)}</p>' if empty else ""
    return f'<div class="wide" tabindex="0"><table><thead><tr>{head}</tr></thead>\n<tbody>{body}</tbody></table></div>'


def folds(entries: Iterable[tuple[str, str]]) -> str:
    """Things to unfold, each a line and what it hides; all HTML already."""
    inner = "".join(f"<details><summary>{line}</summary>{body}</details>\n" for line, body in entries if body)
    return f'<div class="fold">{inner}</div>' if inner else ""


def legend(words: Sequence[str]) -> str:
    return (
        '<p class="legend">'
        + "".join(f'<span><i class="s{k}"></i>{text(w)}</span>' for k, w in enumerate(words))
        + "</p>"
    )


def figures(pairs: Iterable[tuple[str, str]]) -> str:
    """Name and number, as tiles."""
    tiles = "".join(f"<div><dt>{text(k)}</dt><dd>{text(v)}</dd></div>" for k, v in pairs)
    return f'<dl class="figures">{tiles}</dl>'


def page(title: str, lead: str, head: str, sections: Sequence[tuple[str, str, str]]) -> str:
    """The whole file. head: HTML below the lead; sections: (anchor, heading, HTML), those without HTML are left out."""
    filled = [s for s in sections if s[2]]
    links = "".join(f'<a href="#{anchor}">{text(heading)}</a>' for anchor, heading, _ in filled)
    body = "\n".join(f'<section id="{a}"><h2>{text(h)}</h2>\n{content}\n</section>' for a, h, content in filled)
    return f"""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="{_POLICY}">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="referrer" content="no-referrer">
<title>{text(title)}</title>
<style>{STYLE}{plots.STYLE}</style>
</head>
<body><main>
<header><h1>{text(title)}</h1>
<p class="lead">{text(lead)}</p>
{head}
<nav aria-label="Sections">{links}</nav></header>
{body}
</main></body></html>
"""
