"""report.html of a model folder: curves of training and validation, figures per language, checkpoints, fine-tuning.
One file, no script, nothing from the network."""

import html
import json
import os
from collections.abc import Sequence

from corpus import plots, storage
from corpus.plots import Bar, Line
from corpus.terminal import DONE, UserError, amount
from trainer import checkpoint, head
from trainer.log import FILE

NAME = "report.html"
POINTS = 400  # of a curve; longer ones are thinned by means

CURVES = (
    ("Loss", (("loss", "training"), ("loss", "validation"))),
    ("Generator: loss, nats", (("generator_loss", "training"), ("generator_loss", "validation"))),
    ("Discriminator: loss, nats", (("discriminator_loss", "training"), ("discriminator_loss", "validation"))),
    ("Discriminator: area under the ROC curve", (("auc", "training"), ("auc", "validation"))),
    ("Replaced tokens: precision and recall", (("precision", "training"), ("recall", "training"))),
    ("Generator: accuracy", (("generator_accuracy", "training"), ("generator_accuracy", "validation"))),
    ("Share of replaced tokens", (("replaced_share", "training"),)),
    ("Order of segments: accuracy", (("order_accuracy", "training"), ("order_accuracy", "validation"))),
    ("Contrast: accuracy", (("contrast_accuracy", "training"),)),
    ("Language told by the adversary: accuracy", (("language_accuracy", "training"),)),
    ("Relations: divergence from the teacher, nats", (("relations", "training"), ("relations", "validation"))),
    ("Hidden states: squared distance from the teacher", (("hidden", "training"), ("hidden", "validation"))),
    ("Logits: cross entropy with the teacher, nats", (("logits", "training"), ("logits", "validation"))),
    ("Learning rate", (("learning_rate", "training"),)),
    ("Norm of the gradient", (("gradient_norm", "training"),)),
    ("Tokens a second", (("tokens_per_second", "training"),)),
    ("Share of the device's peak (MFU)", (("mfu", "training"),)),
)
"""Title, (figure, split) of each curve."""

STYLE = (
    """
:root{--ink:#1c2126;--quiet:#5b6670;--line:#d8dde2;--page:#fff;--s0:#2f6fab;--s1:#c2662d}
@media (prefers-color-scheme:dark){
:root{--ink:#e6e9ec;--quiet:#98a3ad;--line:#3a424a;--page:#15191d;--s0:#6aa9e0;--s1:#e59a63}}
body{margin:2rem auto;max-width:64rem;padding:0 1rem;font:15px/1.5 system-ui,sans-serif;
color:var(--ink);background:var(--page)}
h1{font-size:1.5rem}h2{font-size:1.1rem;margin:2rem 0 .5rem;border-bottom:1px solid var(--line)}
h3{font-size:.95rem;margin:.5rem 0}
.curves{display:grid;grid-template-columns:repeat(auto-fit,minmax(20rem,1fr));gap:1rem 2rem}
table{border-collapse:collapse;font-variant-numeric:tabular-nums}
td,th{padding:.15rem .6rem;text-align:right;border-bottom:1px solid var(--line)}
td:first-child,th:first-child{text-align:left}.wide{overflow-x:auto;margin-top:.75rem}p.quiet{color:var(--quiet)}
"""
    + plots.STYLE
)


def report(folder: str) -> int:
    """Write report.html into a model folder. Errors: UserError."""
    config = checkpoint.read_config(folder)
    lines = read_log(f"{folder}/{FILE}")
    metrics = f"{folder}/metrics.json"
    tuned = json.loads(storage.read(metrics)) if os.path.exists(metrics) else {}
    if not lines and not tuned:
        raise UserError(f"{folder}: no log yet; run python -m trainer pretrain for some steps")
    storage.write(f"{folder}/{NAME}", page(os.path.basename(os.path.abspath(folder)), config, lines, tuned, folder))
    print(f"{folder}/{NAME}: open it in a browser")
    return DONE


def read_log(path: str) -> list[dict]:
    """The whole lines of a log."""
    found = []
    for text in storage.read(path).decode().splitlines() if os.path.exists(path) else ():
        try:
            found.append(json.loads(text))
        except ValueError:  # half-written by a killed run
            continue
    return found


def page(name: str, config: dict, lines: Sequence[dict], tuned: dict, folder: str) -> str:
    parts = [
        '<!doctype html><html lang="en"><meta charset="utf-8"><meta name="viewport" content="width=device-width">',
        f"<title>{html.escape(name)}</title><style>{STYLE}</style><h1>{html.escape(name)}</h1>",
        f'<p class="quiet">{html.escape(_about(config, lines))}</p>',
    ]
    if lines:
        curves = [c for title, wanted in CURVES if (c := curve(title, wanted, lines))]
        parts.append(f'<h2>Curves</h2><div class="curves">{"".join(curves)}</div>')
        parts.append(_languages(lines))
    if tuned:
        parts.append(_tuned(tuned))
    parts += [_checkpoints(folder), _settings(config)]
    return "\n".join(p for p in parts if p) + "\n"


def _about(config: dict, lines: Sequence[dict]) -> str:
    count = sum(head.parameters(config).values())
    last = max((line["step"] for line in lines), default=0)
    told = f"{amount(count)} parameters, vocabulary {config['vocabulary'][:12]}"
    steps = config.get("settings", {}).get("steps")
    return told + (f", step {last:,} of {steps:,}" if steps else "")


def curve(title: str, wanted: Sequence[tuple[str, str]], lines: Sequence[dict]) -> str:
    """A picture with its title; '' if no line has any of the figures."""
    drawn = []
    for figure, split in wanted:
        points = [
            (line["step"], line[figure]) for line in lines if line["split"] == split and line.get(figure) is not None
        ]
        if points:
            same = len({f for f, _ in wanted}) == 1
            drawn.append(Line(split if same else figure, tuple(thin(points))))
    return f"<div><h3>{html.escape(title)}</h3>{plots.lines(drawn, title, 'step')}</div>" if drawn else ""


def thin(points: Sequence[tuple[float, float]]) -> list[tuple[float, float]]:
    """At most POINTS points, each the mean of a run of them."""
    size = -(-len(points) // POINTS)
    runs = [points[at : at + size] for at in range(0, len(points), size)]
    return [(sum(s for s, _ in r) / len(r), sum(v for _, v in r) / len(r)) for r in runs]


def _languages(lines: Sequence[dict]) -> str:
    """The last figures of each language."""
    found = []
    for split in ("validation", "languages"):
        last = next((line for line in reversed(lines) if line["split"] == split and line.get("languages")), None)
        if not last:
            continue
        title = "Validation" if split == "validation" else "Training since the checkpoint before"
        rows = sorted(last["languages"].items())
        figures = ["generator_loss", "generator_accuracy", "discriminator_loss", "auc", "precision", "recall",
                   "replaced_share", "order_accuracy", "relations", "hidden", "logits"]  # fmt: skip
        figures = [name for name in figures if any(f.get(name) is not None for _, f in rows)]
        found.append(f"<h2>{title}, per language, step {last['step']:,}</h2>")
        bars = [Bar(n, (f["auc"],), (f"{f['auc']:.3f}",)) for n, f in rows if f.get("auc") is not None]
        if bars and split == "validation":
            found.append(
                "<h3>Area under the ROC curve</h3>" + plots.bars(bars, "AUC per language", 0.0, ((0.5, "chance"),))
            )
        found.append(_table(["language", *figures], [[n, *(_short(f.get(k)) for k in figures)] for n, f in rows]))
    return "".join(found)


def _tuned(tuned: dict) -> str:
    found = []
    for name, languages in tuned["figures"].items():
        rows = list(languages.items())
        first, *more = (k for k in rows[0][1] if k not in ("low", "high", "examples"))
        bars = [Bar(n or "all", (f[first],), (f"{f[first]:.3f} ({f['low']:.3f}-{f['high']:.3f})",)) for n, f in rows]
        found.append(f"<h2>Task, {html.escape(name)}: {html.escape(first)}</h2>" + plots.bars(bars, first, 0.0))
        cells = [
            [n + ("" if n in tuned["trained"] else " (zero-shot)"), *(_short(f[k]) for k in more), str(f["examples"])]
            for n, f in rows
        ]
        found.append(_table(["language", *more, "examples"], cells))
    drawn = [Line(f"seed {s['seed']}", tuple(map(tuple, s["looks"]))) for s in tuned["seeds"][:2]]
    found.append("<h3>Development set by epoch</h3>" + plots.lines(drawn, "figure by epoch", "epoch"))
    return "".join(found)


def _checkpoints(folder: str) -> str:
    rows: list[list[str]] = []
    best = -1  # as the newest whole one has it
    for place in reversed(checkpoint.listed(folder)):
        try:
            state = checkpoint.read_state(place)
            best = state.best_step if best < 0 else best
            told = "whole" + (", the best" if state.step == best else "")
        except ValueError as error:
            told = f"damaged: {error}"
        rows.insert(0, [place.name, told])
    return "<h2>Checkpoints</h2>" + _table(["checkpoint", "state"], rows)


def _settings(config: dict) -> str:
    rows = [[k, _plain(v)] for k, v in {**config.get("settings", {}), **config["model"]}.items()]
    rows += [
        [k, _plain(config[k])]
        for k in ("task", "origin", "start", "learned_from", "teacher", "layer", "losses")
        if config.get(k)
    ]
    return "<h2>Settings</h2>" + _table(["name", "value"], rows)


def _plain(value) -> str:
    return ", ".join(f"{k} {_plain(v)}" for k, v in value.items()) if isinstance(value, dict) else str(value)


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    def row(cells, tag):
        return "<tr>" + "".join(f"<{tag}>{html.escape(str(c))}</{tag}>" for c in cells) + "</tr>"

    return f'<div class="wide"><table>{row(head, "th")}{"".join(row(r, "td") for r in rows)}</table></div>'


def _short(value) -> str:
    return "-" if value is None else f"{value:.4g}"
