"""Documents for the eye, in the terminal: `inspect` shows some, `why` tells all about one. Columns are read first, text
only of what is shown; whatever comes from the web is made safe for a terminal."""

from collections.abc import Iterator
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from corpus import settings
from corpus.document import Reason, place, rejections
from corpus.terminal import UserError, safe, say
from pipeline import decontamination, findings, folder, language, lookup, selection
from pipeline.findings import figure, told
from pipeline.folder import Corpus

_SHOWN = ["url", "crawl_time", "title", "language", "language_score", "words", "text", "verdict", "reasons", "copies"]
_TOLD = [
    *("id", "url", "crawl_time", "source_file", "source_offset", "source_length", "source_record", "title"),
    *("page_date", "canonical", "noindex", "noai", "noimageai", "tdm_reserved"),
    *("charset", "charset_source", "page_language", "robots", "truncated", "lines_in_language"),
    *("language", "language_score", "characters", "words", "lines"),
    *("verdict", "reasons", "cluster", "cluster_size", "winner", "copies", "validation", "lines_out"),
]
_EXCERPT = 500
_VERSIONS = 5
"""Versions of a page that are told in full; of further ones a line is told."""


# --- inspect ------------------------------------------------------------------------------------------------------


def inspect(
    path: str,
    verdict: str | None = None,
    reason: str | None = None,
    language: str | None = None,
    url: str | None = None,
    count: int = 10,
    full: bool = False,
) -> Iterator[str]:
    """A block of lines for each document that passes the filters, `count` at most, in the order of the corpus.

    verdict: 'kept' or 'rejected'. reason: a rule that fails, first or not. url: part of it, in any case.
    Errors: UserError for names nobody knows.
    """
    corpus = folder.read(path)
    if count < 1:
        raise UserError(f"--count {count}: give 1 or more")
    if (verdict or reason) and corpus.selection is None:
        raise UserError(f"{path}: no selection yet, so no verdicts; run python -m pipeline select {path}")
    wanted = _reason(reason)
    if language is not None and language not in corpus.documents["languages"]:
        known = sorted(corpus.documents["languages"])
        raise UserError(f"--language {language}: no document in it{settings.nearest(language, known)}")
    left = count
    for part in range(len(corpus.plan)):
        if not corpus.documents["counts"].get(corpus.plan[part].part):
            continue
        rows = _matching(corpus, part, verdict, wanted, language, url)[:left].tolist()
        for row in corpus.rows(part, rows, _SHOWN) if rows else []:
            yield _block(row, full)
        left -= len(rows)
        if not left:
            return
    if left == count:
        say("no document matches")


def _reason(name: str | None) -> Reason | None:
    if name is None:
        return None
    key = name.upper().replace("-", "_").replace(" ", "_")
    known = [r.name.lower() for r in Reason if not r.is_drop]
    if key not in Reason.__members__:
        raise UserError(f"--reason {name}: no such rule{settings.nearest(name.lower(), known)}")
    if Reason[key].is_drop:
        raise UserError(f"--reason {name}: such records gave no document; report.html has examples of them")
    return Reason[key]


def _matching(corpus: Corpus, part: int, verdict, reason: Reason | None, label, url) -> np.ndarray:
    """The rows of a part that pass the filters, ascending. Reads only the columns that the filters need."""
    needed = {"language": label, "url": url, "verdict": verdict, "reasons": reason}
    names = [name for name, value in needed.items() if value is not None]
    if not names:
        return np.arange(corpus.documents["counts"][corpus.plan[part].part])
    table = corpus.columns(part, names)
    passes = np.ones(table.num_rows, bool)
    if label is not None:
        passes &= _numpy(pc.equal(table["language"], label))
    if url is not None:
        passes &= _numpy(pc.match_substring(table["url"], url, ignore_case=True))
    if verdict is not None:
        passes &= (table["verdict"].to_numpy() == 0) == (verdict == "kept")
    if reason is not None:
        passes &= (table["reasons"].to_numpy() & np.uint64(reason.bit)) != 0
    return np.flatnonzero(passes)


def _numpy(column: pa.ChunkedArray) -> np.ndarray:
    return column.combine_chunks().to_numpy(zero_copy_only=False).astype(bool)


def _block(row: dict[str, Any], full: bool) -> str:
    """Header line, title, text and an empty line."""
    fails = ", ".join(r.name.lower() for r in rejections(row.get("reasons", 0)))
    head = [_verdict(row), f"{row['language']} {row['language_score']:.2f}", f"{row['words']:,} words", _day(row)]
    lines = ["  ".join([*head, safe(row["url"]) or "(no URL)"])]
    if "," in fails:
        lines.append(f"  fails: {fails}")
    if row["title"]:
        lines.append(f"  title: {safe(row['title'])}")
    text = row["text"] if full else findings.excerpt(row["text"], _EXCERPT)
    lines += [f"  | {safe(line)}".rstrip() for line in text.split("\n")]
    return "\n".join([*lines, ""])


def _verdict(row: dict[str, Any]) -> str:
    if "verdict" not in row:
        return "not selected yet"
    return "kept" if row["verdict"] == 0 else Reason(row["verdict"]).name


def _day(row: dict[str, Any]) -> str:
    return row["crawl_time"].strftime("%Y-%m-%d") if row["crawl_time"] else "no date"


# --- why ----------------------------------------------------------------------------------------------------------


def why(path: str, page: str) -> Iterator[str]:
    """All about one page, line by line: where it is from, what every rule saw, what became of it, where it lies.
    page: a URL (all its versions are told), a document id, or SHARD:POSITION. Errors: StepError if it is not there."""
    corpus = folder.read(path)
    found = lookup.find(corpus, page)
    for number, where in enumerate(found[:_VERSIONS]):
        if number:
            yield ""
        if len(found) > 1:
            yield f"version {number + 1} of {len(found):,}"
        yield from _tell(corpus, where)
    if more := found[_VERSIONS:]:
        yield f"\nfurther versions: {len(more):,}"
    for where in more:
        yield _version(corpus, where)


def _version(corpus: Corpus, where: int) -> str:
    """One of many versions of a page, in a line."""
    row = corpus.row(where, ["id", "crawl_time", "source_file", "source_offset", "verdict"])
    origin = f"{safe(row['source_file'])} byte {row['source_offset']:,}"
    return "  ".join([_verdict(row), row["id"].hex(), _day(row), origin, _place(where)])


def _tell(corpus: Corpus, where: int) -> Iterator[str]:
    row = corpus.row(where, dict.fromkeys([*_TOLD, *selection.columns_read(corpus.respect, corpus.thresholds)]))
    if row.get("reasons", 0) & Reason.CONTAMINATED.bit:
        row |= corpus.row(where, [decontamination.COLUMN])
    yield safe(row["url"]) or "(no URL)"
    yield from _facts({**_origin(row), **_content(row)})
    yield "  rules" + ("" if corpus.selection is not None else ", by the default thresholds: nothing is selected yet")
    yield from _rules(corpus, row)
    yield from _facts({**_outcome(corpus, row, where), **_places(corpus, row, where)})


def _facts(facts: dict[str, str]) -> Iterator[str]:
    return (f"  {name:<11}{value}" for name, value in facts.items() if value)


def _origin(row: dict[str, Any]) -> dict[str, str]:
    length = f", {row['source_length']:,} bytes long" if row["source_length"] else ""
    time = row["crawl_time"].strftime("%Y-%m-%d %H:%M:%S UTC") if row["crawl_time"] else "not told"
    return {
        "id": row["id"].hex(),
        "file": safe(row["source_file"]),
        "place": f"byte {row['source_offset']:,}{length}, record {row['source_record']} there",
        "crawled": time + (", cut short" if row["truncated"] else ""),
    }


def _content(row: dict[str, Any]) -> dict[str, str]:
    known = language.languages().get(row["language"])
    name = f" ({known.name})" if known else ""
    page = f"; the page says {safe(row['page_language'])}" if row["page_language"] else ""
    agree = f"{row['lines_in_language']:.0%} of the looked-at lines agree"
    return {
        "title": safe(row["title"]),
        "charset": f"{row['charset']}, said by: {findings.SAID.get(row['charset_source'], row['charset_source'])}",
        "language": f"{row['language']}{name}, score {figure(row['language_score'])}; {agree}{page}",
        "published": row["page_date"].isoformat() if row["page_date"] else "",
        "canonical": safe(row["canonical"]) if row["canonical"] != row["url"] else "",
        "robots": safe(row["robots"]),
        "rights": "text and data mining reserved" if row["tdm_reserved"] else "",
        "text": f"{row['characters']:,} characters, {row['words']:,} words, {row['lines']:,} lines",
    }


def _rules(corpus: Corpus, row: dict[str, Any]) -> Iterator[str]:
    """Every rule with what it saw, in the order of the funnel."""
    bits = row["reasons"] if "reasons" in row else _judge(corpus, row)
    for reason in Reason:
        asked = bool(selection.limits_of(reason, corpus.thresholds)) or reason is Reason.NO_LANGUAGE
        asked |= reason is Reason.OTHER_LANGUAGE and bool(corpus.languages)
        asked |= reason in [selection.WISHES[wish][0] for wish in corpus.respect]
        if reason.is_drop or not (asked or bits & reason.bit):
            continue
        verdict = "FAIL" if bits & reason.bit else "pass"
        yield f"    {verdict}  {reason.name:<21}{_seen(corpus, reason, row)}"


def _judge(corpus: Corpus, row: dict[str, Any]) -> int:
    columns: dict[str, np.ndarray] = {
        n: np.array([row[n]], _type(row[n])) for n in selection.columns_read(corpus.respect, corpus.thresholds)
    }
    return int(selection.judge(columns, corpus.thresholds, corpus.languages, corpus.respect)[0])


def _type(value: object) -> type:
    return object if isinstance(value, str) else np.float32 if isinstance(value, float) else type(value)


def _seen(corpus: Corpus, reason: Reason, row: dict[str, Any]) -> str:
    if compared := selection.comparisons(reason, row, corpus.thresholds):
        return "; ".join(told(c) for c in compared)
    if reason is Reason.CONTAMINATED:
        names = corpus.settings.get(decontamination.SETS, {}).get("names", [])
        return f"{reason.about}: {', '.join(decontamination.named(row[decontamination.COLUMN], names))}"
    if reason in (Reason.NO_LANGUAGE, Reason.OTHER_LANGUAGE):
        return f"language {row['language']}"
    for wished, column in selection.WISHES.values():
        if reason is wished:
            return f"{column}: {'yes' if row[column] else 'no'}"
    return "means nothing in this language" if reason in selection.RULES else reason.about


def _outcome(corpus: Corpus, row: dict[str, Any], where: int) -> dict[str, str]:
    if corpus.selection is None:
        return {"verdict": "not selected yet"}
    verdict = "kept" if row["verdict"] == 0 else f"{Reason(row['verdict']).name}: {Reason(row['verdict']).about}"
    return {
        "duplicates": _cluster(corpus, row, where),
        "verdict": verdict,
        "copies": f"{row['copies']} in an epoch",
        "left out": f"{len(row['lines_out']):,} of {row['lines']:,} lines, other pages repeat them"
        * bool(row["lines_out"]),
        "split": "validation" if row["validation"] else "training" if row["copies"] else "",
    }


def _cluster(corpus: Corpus, row: dict[str, Any], where: int) -> str:
    if row["cluster_size"] < 2:
        return "none"
    told = f"one of {row['cluster_size']:,}, cluster {_place(row['cluster'])}; "
    if row["winner"] != where:
        winner = corpus.row(row["winner"], ["url", "id"])
        return f"{told}the winner is {safe(winner['url']) or '(no URL)'}, id {winner['id'].hex()}"
    rules = [r for r in rejections(row["reasons"]) if r is not Reason.NOT_DRAWN]
    return told + ("it has no winner, none passes the rules" if rules else "this is its winner")


def _place(where: int) -> str:
    part, row = place(where)
    return f"part {part} row {row}"


def _places(corpus: Corpus, row: dict[str, Any], where: int) -> dict[str, str]:
    """Where the document lies in the corpus folder."""
    part, _ = place(where)
    facts = {"lies at": f"documents/{corpus.plan[part].part}, {_place(where)}"}
    if corpus.manifest is not None and row["copies"]:
        facts["tokens"] = lookup.in_shards(corpus, where, row["language"], row["copies"], row["validation"])
    return facts
