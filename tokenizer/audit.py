"""How good a vocabulary is, per language: what a token carries, what a language pays, what stays unused."""

import json
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields, replace
from typing import Any

import numpy as np

from corpus import storage
from corpus.terminal import UserError
from tokenizer.vocabulary import UNK, Vocabulary

AUDIT = "audit.json"
ALL = "all"
"""Name of the row over all languages together."""

UNSPACED = {"Hans", "Hant", "Hani", "Jpan", "Hira", "Kana", "Thai", "Laoo", "Khmr", "Mymr", "Tibt", "Lana", "Tale"}
"""Scripts (ISO 15924) that do not put spaces between words: tokens per word mean nothing there."""

ALPHA = 2.5
"""Order of the Rényi efficiency that goes best with translation quality (Zouhar et al. 2023, arXiv:2306.16842)."""

_BATCH = 1000


@dataclass(frozen=True)
class Row:
    """Figures of one language. None: cannot be told. Shares are of 1.

    premium: tokens / tokens of the reference for the same texts (Petrov et al. 2023, arXiv:2305.15425). It can be
    made small by making the reference bad, so bytes_per_token stands beside it.
    """

    language: str
    texts: int
    bytes: int
    tokens: int
    bytes_per_token: float
    characters_per_token: float
    premium: float | None
    tokens_per_word: float | None
    byte_pieces: float  # share of the tokens that are single bytes of characters without a piece
    unknown: int  # [UNK] tokens: always 0, or the vocabulary is broken
    renyi: float  # Rényi entropy of the tokens / log(pieces); 1: all pieces equally often
    used: float  # share of the pieces that occur
    to_best: float | None = None  # tokens / tokens of the language that needs the fewest for the same texts


@dataclass(frozen=True)
class _Counts:
    """Sums over the texts of one language. tokens: (size,) how often each id occurs."""

    texts: int
    bytes: int
    characters: int
    words: int
    tokens: np.ndarray


def evaluate(vocabulary: Vocabulary, texts: Mapping[str, Sequence[str]], reference: str = "") -> list[Row]:
    """A row for each key of `texts` (a language, perhaps followed by a space and a name), then one for all.

    `reference`: the key that premiums are told against; give one only when the texts are parallel, '' otherwise.
    """
    counts = {key: _count(vocabulary, list(some)) for key, some in texts.items() if some}
    if not counts:
        return []
    base = int(counts[reference].tokens.sum()) if reference else 0
    rows = [_row(vocabulary, key, some, base, _is_spaced(key)) for key, some in counts.items()]
    if base:
        least = max(1, min(row.tokens for row in rows))
        rows = [replace(row, to_best=row.tokens / least) for row in rows]
    spaced = all(row.tokens_per_word is not None for row in rows)
    total = _row(vocabulary, ALL, _together(list(counts.values())), 0, spaced)
    premiums = [row.premium for row in rows if row.premium is not None]
    return [*rows, replace(total, premium=statistics.fmean(premiums)) if premiums else total]


def reference_of(texts: Mapping[str, Sequence[str]], wanted: str = "", parallel: bool = True) -> str:
    """The key to tell premiums against: `wanted` (a key, its language or its name), by default English.

    '' when the texts are not parallel: known not to be, or the keys differ in how many they have. Errors: UserError.
    """
    parallel = parallel and len(texts) > 1 and len({len(some) for some in texts.values()}) == 1
    found = [key for key in texts if wanted in (key, *key.split(" "))] if wanted else []
    if wanted and not parallel:
        raise UserError(f"--reference {wanted}: the texts are not parallel, so there is no premium; leave it out")
    if wanted and not found:
        raise UserError(f"--reference {wanted}: no such language; there are {', '.join(texts)[:200]}")
    return next(iter(found or [key for key in texts if key.startswith("eng_")]), "") if parallel else ""


def _is_spaced(key: str) -> bool:
    return key.partition(" ")[0].rpartition("_")[2] not in UNSPACED


def _count(vocabulary: Vocabulary, texts: list[str]) -> _Counts:
    tokens = np.zeros(vocabulary.size, np.int64)
    for start in range(0, len(texts), _BATCH):
        ids, _ = vocabulary.encode(texts[start : start + _BATCH])
        tokens += np.bincount(ids, minlength=vocabulary.size)
    return _Counts(
        len(texts),
        sum(len(t.encode()) for t in texts),
        sum(map(len, texts)),
        sum(len(t.split()) for t in texts),
        tokens,
    )


def _together(counts: list[_Counts]) -> _Counts:
    sums = (sum(getattr(c, f.name) for c in counts) for f in fields(_Counts))
    return _Counts(*sums)


def _row(vocabulary: Vocabulary, key: str, counts: _Counts, base: int, spaced: bool) -> Row:
    table = vocabulary.table()
    tokens = int(counts.tokens.sum())
    each = max(1, tokens)  # texts of nothing but white space may have no token
    pieces = int((~table.special).sum())
    return Row(
        language=key,
        texts=counts.texts,
        bytes=counts.bytes,
        tokens=tokens,
        bytes_per_token=counts.bytes / each,
        characters_per_token=counts.characters / each,
        premium=tokens / base if base else None,
        tokens_per_word=tokens / counts.words if spaced and counts.words else None,
        byte_pieces=int(counts.tokens[table.byte].sum()) / each,
        unknown=int(counts.tokens[UNK]),
        renyi=renyi_efficiency(counts.tokens, pieces),
        used=int((counts.tokens[~table.special] > 0).sum()) / pieces,
    )


def renyi_efficiency(counts: np.ndarray, pieces: int, alpha: float = ALPHA) -> float:
    """Rényi entropy of order `alpha` of the distribution `counts` / log(pieces); 0 without tokens."""
    total = counts.sum()
    if not total or pieces < 2:
        return 0.0
    shares = counts[counts > 0] / total
    return float(np.log((shares**alpha).sum()) / (1 - alpha) / np.log(pieces))


def summary(rows: list[Row]) -> dict[str, Any]:
    """Premiums in a few figures and the language that fares worst; {} without premiums."""
    told = sorted((row.premium, row.language) for row in rows if row.premium is not None and row.language != ALL)
    if not told:
        return {}
    values = [premium for premium, _ in told]
    ninth = values[min(len(values) - 1, round(0.9 * (len(values) - 1)))]
    return {
        "premium_mean": round(statistics.fmean(values), 4),
        "premium_median": round(statistics.median(values), 4),
        "premium_p90": round(ninth, 4),
        "premium_worst": round(values[-1], 4),
        "premium_worst_language": told[-1][1],
    }


def tokens_per_character(vocabulary: Vocabulary, texts: Mapping[str, Sequence[str]]) -> dict[str, float]:
    """What a character of each language costs, by documents that may have been trained on: every language that has
    text has some, which held-out texts have not. Budgets in tokens are counted with it."""
    counts = {k: _count(vocabulary, list(some)) for k, some in sorted(texts.items())}
    return {k: round(int(c.tokens.sum()) / c.characters, 5) for k, c in counts.items() if c.characters}


def to_json(vocabulary: Vocabulary, rows: list[Row], costs: Mapping[str, float]) -> str:
    """costs: tokens per character by language."""
    values = {
        "vocabulary": vocabulary.digest,
        "size": vocabulary.size,
        "pieces": vocabulary.pieces,
        "summary": summary(rows),
        "tokens_per_character": dict(costs),
        "rows": [{k: round(v, 5) if isinstance(v, float) else v for k, v in asdict(row).items()} for row in rows],
    }
    return json.dumps(values, indent=1, ensure_ascii=False) + "\n"


def read(folder: str) -> list[Row]:
    """The rows of the audit.json in a vocabulary folder. Errors: UserError."""
    path = storage.join(folder, AUDIT)
    try:
        return [Row(**row) for row in json.loads(storage.read(path))["rows"]]
    except FileNotFoundError:
        raise UserError(f"{path}: not there; name texts to evaluate on") from None
    except (ValueError, KeyError, TypeError, OSError):
        raise UserError(f"{path}: not readable; name texts to evaluate on") from None


_COLUMNS = {  # heading -> how a figure is shown
    "language": lambda r: r.language,
    "texts": lambda r: f"{r.texts:,}",
    "bytes/token": lambda r: f"{r.bytes_per_token:.2f}",
    "chars/token": lambda r: f"{r.characters_per_token:.2f}",
    "premium": lambda r: "-" if r.premium is None else f"{r.premium:.2f}",
    "to best": lambda r: "-" if r.to_best is None else f"{r.to_best:.2f}",
    "tokens/word": lambda r: "-" if r.tokens_per_word is None else f"{r.tokens_per_word:.2f}",
    "byte pieces": lambda r: f"{r.byte_pieces:.2%}",
    "unknown": lambda r: f"{r.unknown:,}",
    "Rényi": lambda r: f"{r.renyi:.3f}",
    "used": lambda r: f"{r.used:.1%}",
}


def to_table(rows: list[Row]) -> str:
    """The rows as an aligned table, names left, figures right, then a line on premiums if there are any."""
    cells = [list(_COLUMNS), *([show(row) for show in _COLUMNS.values()] for row in rows)]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    lines = [
        "  ".join(c.rjust(w) if k else c.ljust(w) for k, (c, w) in enumerate(zip(line, widths, strict=True)))
        for line in cells
    ]
    if short := summary(rows):
        lines.append(
            "premium: mean {premium_mean:.2f}, median {premium_median:.2f}, 90th percentile {premium_p90:.2f}, "
            "worst {premium_worst:.2f} {premium_worst_language}".format(**short)
        )
    return "\n".join(line.rstrip() for line in lines)


def side_by_side(tables: Mapping[str, list[Row]]) -> str:
    """Vocabularies beside each other: bytes per token of each by language, then the same in a few figures, with the
    worst premium and the most byte pieces. Rows of languages that not all have are left out."""
    names = list(tables)
    each = {name: {row.language: row for row in rows} for name, rows in tables.items()}
    languages = [row.language for row in tables[names[0]] if all(row.language in found for found in each.values())]
    lines = [["bytes/token", *names]]
    lines += [[k, *(f"{each[n][k].bytes_per_token:.2f}" for n in names)] for k in languages]
    short = {n: summary(tables[n]) for n in names}
    for title, key in (("premium, mean", "premium_mean"), ("premium, worst", "premium_worst")):
        if all(short.values()):
            lines.append([title, *(f"{short[n][key]:.2f}" for n in names)])
    if all(short.values()):
        lines.append(["of", *(short[n]["premium_worst_language"] for n in names)])
    most = {n: max((r.byte_pieces for r in tables[n] if r.language != ALL), default=0.0) for n in names}
    lines.append(["byte pieces, most", *(f"{most[n]:.2%}" for n in names)])
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    return "\n".join(
        "  ".join(c.rjust(w) if k else c.ljust(w) for k, (c, w) in enumerate(zip(line, widths, strict=True))).rstrip()
        for line in lines
    )
