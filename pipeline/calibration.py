"""Many Signals -> Thresholds per language, with a preview of what each cut would reject (an idea of FineWeb-2,
arXiv:2506.20920, whose own deriving code is not published).

Each limit of a preset is derived by one method (METHODS), from the documents of the language; where there are fewer
than `least`, from those of all languages of its family that are written in its script (roa_Latn); where there are fewer
still, from those of all of its script; and at last the preset's stays:
  share   the share that the preset's limit rejects in the reference language is rejected here: a quantile (if none is
          rejected there, the number stays)
  spread  SPREAD standard deviations beside the mean
  score   median minus a standard deviation, within SCORES (FineWeb-2's cut of the language score)
  keep    a quantile that the user names (columns of quality classifiers)
Limits of other columns mean the same in every language and stay as they are.
"""

import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

import numpy as np

from corpus import settings, storage
from corpus.terminal import UserError
from pipeline import columns, findings, folder, language, selection, thresholds
from pipeline.folder import Corpus
from pipeline.thresholds import QUALITY, Thresholds

PARTS, DOCUMENTS = 500, 2_000_000
"""Parts, evenly spread, and documents in all that are looked at."""
TOO_MUCH = 0.3
"""A cut that rejects a larger share is flagged."""
SPREAD = 3.0
SCORES = (0.3, 0.9)

METHODS = {
    "mean_word_length": "spread",
    "language_score": "score",
    **dict.fromkeys(
        (
            *("letter_words", "distinct_words", "upper_letters", "digit_characters", "punctuation_characters"),
            *("symbol_characters", "mixed_words", "other_scripts", "ended_lines", "prose_lines", "short_lines"),
            *("mean_line_length", "newlines_per_word", "mean_sentence_length", "compression"),
            *(f"top_{n}_gram" for n in (2, 3, 4)),
            *(f"repeated_{n}_grams" for n in range(5, 11)),
        ),
        "share",
    ),
}
"""Column -> how its limits are derived."""


@dataclass(frozen=True)
class Cut:
    """A limit in a place (a language, or a family or script for its small languages) and what it would do there.
    rejected: share of the place's documents; method: '' where the preset's number stays."""

    place: str
    name: str
    limit: float
    method: str
    documents: int
    rejected: float

    @property
    def flag(self) -> str:
        """What is suspicious about the cut."""
        if self.rejected > TOO_MUCH:
            return f"rejects over {TOO_MUCH:.0%}"
        return "" if self.rejected else "never fires"


def run(path: str, preset: str, reference: str | None, least: int, keep: list[str], to: str | None) -> Iterator[str]:
    """Calibrate the corpus in `path`, write the thresholds to `to`, tell what they would do, line by line. reference:
    None: the language with most documents. Errors: UserError."""
    base = thresholds.preset(settings.parse(preset, "--preset", str, thresholds.PRESETS))
    shares, corpus = quality_shares(keep), folder.read(path)
    if least < 1:
        raise UserError(f"--least {least}: give 1 or more")
    found = read(corpus, base, shares)
    labels, counts = np.unique(found["language"].astype(str), return_counts=True)
    reference = reference or str(labels[np.argmax(counts)])
    made, cuts = derive(found, base, reference, least, shares)
    about = (
        f"Made by python -m pipeline calibrate from {len(found['language']):,} documents: preset {preset}, reference\n"
        f"{reference}, at least {least:,} documents. 'share': rejects what the preset rejects in the reference;\n"
        "'spread': standard deviations beside the mean; 'score': median minus one; 'keep': as asked for.\n"
        "Change what you like; python -m pipeline select OUT --thresholds FILE reads it."
    )
    place = to or storage.join(corpus.path, "thresholds.toml")
    storage.write(place, to_toml(made, cuts, about))
    yield from preview(cuts)
    yield from substitutes(found["language"].astype(str), least)
    yield f"thresholds: {place}; next: python -m pipeline select {path} --thresholds {place}"


def read(corpus: Corpus, limits: Thresholds, kept: Iterable[str]) -> dict[str, np.ndarray]:
    """The columns that the limits need, of an even sample of the corpus."""
    names = [*selection.columns_read((), limits), *kept]
    tables, rows = [], 0
    for part in findings.spread(len(corpus.plan), PARTS):
        if not corpus.documents["counts"].get(corpus.plan[part].part) or rows >= DOCUMENTS:
            continue
        table = columns.read(corpus.path, corpus.plan[part].part, dict.fromkeys(names))
        tables.append({name: table[name].to_numpy() for name in table.column_names})
        rows += table.num_rows
    return {name: np.concatenate([table[name] for table in tables]) for name in tables[0]}


def derive(
    found: Mapping[str, np.ndarray], base: Thresholds, reference: str, least: int, keep: Mapping[str, float]
) -> tuple[Thresholds, list[Cut]]:
    """The thresholds, and every cut by place and name. keep: column -> share of a place's documents to keep by it."""
    labels = found["language"].astype(str)
    places = _places(labels, least)
    if reference and not np.any(labels == reference):
        known = sorted(set(labels.tolist()))
        raise UserError(f"--reference {reference}: no document in it; there are {', '.join(known[:8])}")
    limits, where = dict(base.limits), {place: dict(values) for place, values in base.where.items()}
    for place, rows in places.items():
        own = where.setdefault(place, {})
        for name in [*base.names(), *(f"min_{column}" for column in keep)]:
            rejected = _rejected(found, labels == reference, name, base, reference) if reference else math.nan
            limit = _derived(name, found[name[4:]][rows], rejected, keep.get(name[4:]))
            if limit is not None and _means(name, labels[rows]):
                own[name] = limit
    where = {place: values for place, values in where.items() if values}
    made = Thresholds(limits, where)
    return made, _cuts(found, labels, made, places, keep)


def _places(labels: np.ndarray, least: int) -> dict[str, np.ndarray]:
    """Scripts, families and languages with documents enough -> which documents are theirs. A family of which there is
    but one language is left out."""
    names, index = np.unique(labels, return_inverse=True)
    members: dict[str, list[int]] = {}
    for number, name in enumerate(names.tolist()):
        for place in language.places(name):
            members.setdefault(place, []).append(number)
    known = set(names.tolist())
    kept = {p: n for p, n in members.items() if p and not p.startswith(("und", "zxx"))}
    kept = {p: n for p, n in kept.items() if p in known or "_" not in p or len(n) > 1}
    places = {place: np.isin(index, kept[place]) for place in sorted(kept, key=lambda p: ("_" in p, p))}
    return {place: rows for place, rows in places.items() if np.count_nonzero(rows) >= least}


def substitutes(labels: np.ndarray, least: int) -> list[str]:
    """Where the limits of languages with few documents stand, a line a place."""
    places = _places(labels, least)
    by_place: dict[str, list[str]] = {}
    for label in np.unique(labels).tolist():
        if not label.startswith(("und", "zxx")):
            by_place.setdefault(next((p for p in language.places(label) if p in places), "the preset"), []).append(
                label
            )
    return [
        f"too few documents, so held to {place}: {', '.join(names)}"
        for place, names in sorted(by_place.items())
        if names != [place]
    ]


def _means(name: str, labels: np.ndarray) -> bool:
    """Whether a limit means something in the language of these documents (of a script: in the first of them)."""
    meaning = selection.MEANING.get(name[4:])
    return meaning is None or meaning(str(labels[0]))


def _rejected(found: Mapping[str, np.ndarray], rows: np.ndarray, name: str, base: Thresholds, label: str) -> float:
    """The share of a language's documents that the limit rejects; nan where it is off there."""
    if name[4:] not in found or math.isnan(limit := selection.limit_for(name, label, base)):
        return math.nan
    values = found[name[4:]][rows]
    return float(selection.outside(name, values, np.full(len(values), limit)).mean())


def _derived(name: str, values: np.ndarray, rejected: float, kept: float | None) -> float | None:
    """The limit for documents with these values; None: the preset's stays."""
    low, method = name.startswith("min_"), METHODS.get(name[4:])
    values = values.astype(np.float64)
    if kept is not None:
        return _rounded(np.quantile(values, 1 - kept), low)
    if method == "spread":
        return _rounded(max(0.0, values.mean() + (-SPREAD if low else SPREAD) * values.std()), low)
    if method == "score":
        return _rounded(min(SCORES[1], max(SCORES[0], float(np.median(values) - values.std()))), low)
    if method == "share" and rejected > 0:
        return _rounded(np.quantile(values, rejected if low else 1 - rejected), low)
    return None


def _rounded(value: float, low: bool) -> float:
    """Three digits, to the lenient side."""
    if value == 0:
        return 0
    scale = 10.0 ** (2 - math.floor(math.log10(abs(value))))
    return float(f"{(math.floor if low else math.ceil)(value * scale) / scale:.6g}")


def _cuts(found, labels: np.ndarray, made: Thresholds, places, keep: Mapping[str, float]) -> list[Cut]:
    """Each limit in each language, and in families and scripts for the languages without limits of their own."""
    cuts = []
    for place, rows in sorted(places.items()):
        label = place if "_" in place else str(labels[rows][0])
        for name in made.names():
            limit = selection.limit_for(name, label if label in made.where or "_" in place else f"_{place}", made)
            if math.isnan(limit) or name[4:] not in found:
                continue
            values = found[name[4:]][rows]
            rejected = float(selection.outside(name, values, np.full(len(values), limit)).mean())
            derived = name in made.where.get(place, {})
            method = ("keep" if name[4:] in keep else METHODS.get(name[4:], "")) if derived else ""
            cuts.append(Cut(place, name, limit, method, int(np.count_nonzero(rows)), rejected))
    return cuts


def to_toml(made: Thresholds, cuts: list[Cut], about: str) -> str:
    """The thresholds as a file for people: what `select --thresholds` takes, with a comment on each derived number."""
    known = {(cut.place, cut.name): cut for cut in cuts}
    lines = [f"# {line}" for line in about.splitlines()] + ["", "[thresholds]"]
    lines += [f"{name} = {_number(value)}" for name, value in made.limits.items()]
    for place, limits in sorted(made.where.items()):
        cut = next((c for c in cuts if c.place == place), None)
        lines += ["", f"[thresholds.{place}]" + (f"  # {cut.documents:,} documents" if cut else "")]
        for name, value in limits.items():
            note = known.get((place, name))
            told = f"  # {note.method or 'preset'}: rejects {note.rejected:.2%}" if note else ""
            lines.append(f"{name} = {_number(value)}{told}" + (f", {note.flag}" if note and note.flag else ""))
    return "\n".join(lines) + "\n"


def _number(value: float | None) -> str:
    return '"off"' if value is None else f"{value:g}" if abs(value) < 1e6 else f"{value:.0f}"


def preview(cuts: list[Cut]) -> list[str]:
    """A table for the terminal: per place documents and what each cut would reject, what is flagged marked."""
    lines = []
    for place in dict.fromkeys(cut.place for cut in cuts):
        mine = [cut for cut in cuts if cut.place == place]
        lines.append(f"{place}  {mine[0].documents:,} documents")
        for cut in sorted(mine, key=lambda cut: (-cut.rejected, cut.name)):
            method = cut.method or "preset"
            lines.append(f"  {cut.rejected:7.2%}  {cut.name:<34} {cut.limit:<10.4g} {method:<7} {cut.flag}".rstrip())
    return lines


def quality_shares(pairs: Iterable[str]) -> dict[str, float]:
    """NAME=SHARE as the flags give them. Errors: UserError."""
    found = {}
    for pair in pairs:
        name, _, value = pair.partition("=")
        try:
            share = float(value)
        except ValueError:
            share = -1.0
        if not (QUALITY.fullmatch(name) and 0 < share <= 1):
            raise UserError(f"--keep {pair}: write NAME=SHARE, say quality_edu=0.5 to keep the better half")
        found[name] = share
    return found
