"""Pages without an article: boilerplate, spam, placeholders, numbers, code."""

import html

LOREM = (
    "Lorem ipsum dolor sit amet, consectetur adipiscing elit, sed do eiusmod tempor incididunt ut labore et dolore "
    "magna aliqua. Ut enim ad minim veniam, quis nostrud exercitation ullamco laboris nisi ut aliquip ex ea commodo "
    "consequat.",
    "Duis aute irure dolor in reprehenderit in voluptate velit esse cillum dolore eu fugiat nulla pariatur. Excepteur "
    "sint occaecat cupidatat non proident, sunt in culpa qui officia deserunt mollit anim id est laborum.",
)

CODE = """function interpolate(points, x) {
  let low = 0, high = points.length - 1;
  while (high - low > 1) {
    const middle = (low + high) >> 1;
    if (points[middle].x > x) { high = middle; } else { low = middle; }
  }
  const a = points[low], b = points[high];
  const t = (x - a.x) / (b.x - a.x);
  return a.y + t * (b.y - a.y);
}

module.exports = { interpolate };
"""


def login(words) -> str:
    """A login form and nothing else."""
    fields = f"<label>E-mail <input></label><label>{words['password']} <input type=password></label>"
    buttons = f"<button>{words['login']}</button><label><input type=checkbox> {words['remember']}</label>"
    return _page(words, words["login"], f"<form>{fields}{buttons}</form><a href='/forgot'>{words['forgot']}</a>")


def cookie_wall(words) -> str:
    """A notice that hides the page behind it."""
    buttons = "".join(f"<button>{words[key]}</button>" for key in ("accept", "decline", "settings"))
    return _page(words, words["privacy"], f"<div class=wall><p>{words['cookie']}</p>{buttons}</div>")


def empty_search(words) -> str:
    """A search without a result."""
    return _page(words, words["search"], f"<h1>{words['search']}</h1><p>{words['nothing']}</p><p>{words['hint']}</p>")


def menu(words) -> str:
    """Navigation only."""
    names = [*words["topics"], words["archive"], words["forum"], words["contact"], words["about"], words["privacy"]]
    return _page(
        words, words["home"], f"<ul>{''.join(f'<li><a href=/{i}>{n}</a></li>' for i, n in enumerate(names))}</ul>"
    )


def keywords(words) -> str:
    """Spam: the same few phrases over and over."""
    text = ", ".join(words["spam"][(i * i + i // 3) % 5] for i in range(160))
    return _page(words, words["spam"][0], f"<h1>{words['spam'][0]}!!!</h1><p>{text}</p>")


def repeated_lines(words) -> str:
    """Spam: one line forty times."""
    line = f"<p>{words['spam'][1]} - {words['spam'][4]} - {words['basket']}!</p>\n"
    return _page(words, words["spam"][1], line * 40)


def link_list(words) -> str:
    """Spam: eighty links to other shops."""
    pairs = ((words["spam"][i % 5], words["spam"][(i // 5 + 1) % 5], i) for i in range(80))
    links = (f'<a href="http://shop{i}.example/">{a} {b} {i}</a> | ' for a, b, i in pairs)
    return _page(words, words["spam"][2], "".join(links))


def lorem(words) -> str:
    """Placeholder text that a designer left behind."""
    return _page(words, "New page", "<h1>Lorem ipsum</h1>" + "".join(f"<p>{text}</p>" for text in LOREM * 3))


def numbers(words) -> str:
    """Tab-separated readings of a gauge: no natural language."""
    rows = (f"{i:04}\t{i * 37 % 211 / 10:.1f}\t{i * 53 % 1013}\t{i * i % 97}\t{-i * 11 % 360}" for i in range(120))
    return "<html><head><title>gauge_07.tsv</title></head><body><pre>" + "\n".join(rows) + "</pre></body></html>"


def code(words) -> str:
    """A listing of a program: no natural language."""
    return f"<html><head><title>interpolate.js</title></head><body><pre>{html.escape(CODE * 2)}</pre></body></html>"


def short(words) -> str:
    """Three words."""
    return "<html><head><title>Hello</title></head><body><p>It works today.</p></body></html>"


def script_only(words) -> str:
    """An application that draws itself: no text in the page."""
    return '<html><head><script src="/app.js"></script></head><body><div id="root"></div></body></html>'


def _page(words, title: str, body: str) -> str:
    head = f'<meta charset="utf-8"><title>{title} | {words["names"][0]}</title>'
    foot = f"<footer>&copy; {words['names'][0]}. {words['rights']}</footer>"
    start = f'<!DOCTYPE html>\n<html lang="{words["lang"]}">\n<head>{head}</head>'
    return f"{start}\n<body>\n{body}\n{foot}\n</body>\n</html>\n"
