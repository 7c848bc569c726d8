"""What a change of settings gains and loses: two selections of the same documents, side by side.

Columns are read in lock-step; text only of the examples, which are drawn by seed."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np

from corpus import document, storage
from corpus.document import Reason
from corpus.terminal import UserError, amount, safe
from pipeline import arrays, books, exchange, extract, findings, folder, items
from pipeline.arrays import Labels
from pipeline.folder import Corpus

EXAMPLES = 3


@dataclass
class Difference:
    """Documents that only one of two selections keeps. gained, lost: by the reason for which the other rejects them;
    languages: label -> [gained, lost] characters; examples: (reason, gained?) -> (order, address), the least."""

    documents: int = 0
    kept: list[int] = field(default_factory=lambda: [0, 0])  # by the old one, by the new one
    gained: Counter[str] = field(default_factory=Counter)
    lost: Counter[str] = field(default_factory=Counter)
    copies: int = 0  # documents that both keep, with other copies
    languages: dict[str, list[int]] = field(default_factory=dict)
    examples: dict[tuple[str, bool], list[tuple[int, int]]] = field(default_factory=dict)


def compare(corpus: Corpus, old: str, new: str, seed: int = 0) -> Difference:
    """The selections in two folders, of the documents of a corpus. Errors: UserError where a part is of others."""
    found = Difference()
    for number, item in enumerate(corpus.plan):
        if not corpus.documents["counts"].get(item.part):
            continue
        before, after = (_part(where, item, corpus) for where in (old, new))
        table = arrays.read(storage.join(corpus.path, "documents", item.part), ["language", "characters"])
        _add(found, number, before, after, table, seed)
    return found


def _part(where: str, item: items.Item, corpus: Corpus) -> dict[str, np.ndarray]:
    path = storage.join(where, item.part)
    made = extract.read_part_metadata(storage.join(corpus.path, "documents", item.part)) or {}
    chosen = extract.read_part_metadata(path)
    if chosen is None:
        raise UserError(f"{path}: no selection there; name a folder that select has made")
    if chosen.get("aligned") != made.get("fingerprint"):
        raise UserError(f"{path}: of other documents than those of {corpus.path}; compare selections of the same ones")
    return arrays.read(path, ["verdict", "copies"])


def _add(found: Difference, part: int, before: dict, after: dict, table: dict, seed: int) -> None:
    old, new = before["verdict"] == 0, after["verdict"] == 0
    found.documents += len(old)
    found.kept = [found.kept[0] + int(old.sum()), found.kept[1] + int(new.sum())]
    found.copies += int((old & new & (before["copies"] != after["copies"])).sum())
    labels: Labels = table["language"]
    for gained, which, reasons in ((True, new & ~old, before["verdict"]), (False, old & ~new, after["verdict"])):
        counts = found.gained if gained else found.lost
        amounts = np.bincount(labels.index[which], table["characters"][which], len(labels.values))
        for label, n in zip(labels.values, amounts.astype(np.int64).tolist(), strict=True):
            if n:
                found.languages.setdefault(label, [0, 0])[0 if gained else 1] += n
        for reason in np.unique(reasons[which]).tolist():
            rows = np.flatnonzero(which & (reasons == reason))
            counts[Reason(reason).name] += len(rows)
            _note(found, (Reason(reason).name, gained), part, rows, seed)


def _note(found: Difference, key: tuple[str, bool], part: int, rows: np.ndarray, seed: int) -> None:
    own = (np.uint64(part) << np.uint64(32)) | rows.astype(np.uint64)
    with np.errstate(over="ignore"):
        order = exchange.mix(exchange.mix(own) + np.uint64(seed))
    first = np.argsort(order)[:EXAMPLES]
    more = [(int(order[k]), int(own[k])) for k in first]
    found.examples[key] = sorted([*found.examples.get(key, []), *more])[:EXAMPLES]


def told(old: str, new: str, seed: int = 0) -> Iterator[str]:
    """The difference in words. old, new: corpus folders, or selection folders of them; the documents are the new
    one's, or the old one's where only those are there."""
    corpus = _documents(new, old)
    found = compare(corpus, _selection(old), _selection(new), seed)
    yield from _settings(old, new)
    yield (
        f"{amount(found.kept[0])} -> {amount(found.kept[1])} documents kept of {amount(found.documents)}; "
        f"{amount(found.copies)} of those that both keep have other copies"
    )
    for name, counts, gained in (("gained", found.gained, True), ("lost", found.lost, False)):
        yield f"{name}: {amount(sum(counts.values()))}"
        for reason, count in sorted(counts.items(), key=lambda kv: (-kv[1], kv[0])):
            yield f"  {count:>12,}  {'were' if gained else 'are'} {reason.lower()}: {Reason[reason].about}"
            yield from (_example(corpus, where) for _, where in found.examples[(reason, gained)])
    changed = sorted(found.languages.items(), key=lambda kv: (-sum(kv[1]), kv[0]))
    if changed:
        yield "characters by language: gained, lost"
    for label, (more, less) in changed[:20]:
        yield f"  {label:<10} {'+' + format(more, ','):>16} {'-' + format(less, ','):>16}"


def _documents(*paths: str) -> Corpus:
    for path in paths:
        root = path.rstrip("/").removesuffix("/selection")
        if storage.exists(storage.join(root, "documents", items.PLAN)):
            return folder.read(root)
    raise UserError(f"{paths[0]}: no documents there, nor in {paths[1]}; name a corpus folder, out/ or out/selection")


def _selection(path: str) -> str:
    inside = storage.join(path.rstrip("/"), "selection")
    return inside if storage.exists(storage.join(inside, books.BOOKS)) else path.rstrip("/")


def _settings(old: str, new: str) -> Iterator[str]:
    """The settings that differ, as far as the folders tell them."""
    tables = [folder.settings_of(p.rstrip("/").removesuffix("/selection")) for p in (old, new)]
    for section in ("select", "thresholds"):
        before, after = (t.get(section, {}) for t in tables)
        for name in sorted({*before, *after}):
            if before and after and before.get(name) != after.get(name):
                yield f"{section}.{name}: {before.get(name)!r} -> {after.get(name)!r}"


def _example(corpus: Corpus, where: int) -> str:
    row = corpus.row(where, ["url", "language", "text"])
    part, place = document.place(where)
    shown = safe(findings.excerpt(row["text"], 100)).replace("\n", " ")
    return f"{'':>16}{row['language']}  {safe(row['url']) or f'part {part} row {place}'}  | {shown}"
