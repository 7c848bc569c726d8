"""The many names of a document -> its address: URL, id, place in a token shard; and what can be said of a URL that
gave no document."""

import os
import re
import shlex
from collections.abc import Callable

import numpy as np

from corpus import settings, shards, storage
from corpus.document import address, place
from corpus.terminal import StepError, UserError, safe
from pipeline import duplicates
from pipeline.folder import Corpus

_ID = re.compile(r"[0-9a-fA-F]{32}")
_POSITION = re.compile(r"(?:.*/)?([^/]+/[^/]+\.arrow):(\d+)")


def find(corpus: Corpus, page: str) -> list[int]:
    """The addresses of the documents that `page` names: a URL, an id (32 hexadecimal digits) or SHARD:POSITION.
    Errors: StepError if there is none, UserError for a shard or position that does not exist."""
    if _ID.fullmatch(page):
        wanted = np.frombuffer(bytes.fromhex(page), "V16")
        found = _scan(corpus, "id", lambda column: np.frombuffer(b"".join(column.to_pylist()), "V16") == wanted[0])
        if not found:
            raise StepError(f"{page}: no document has this id")
        return found
    if match := _POSITION.fullmatch(page):
        return [_at(corpus, match[1], int(match[2]))]
    found = _scan(corpus, "url_hash", lambda column: np.isin(column.to_numpy(), _hashes(page, duplicates.url_hash)))
    if not found:
        raise StepError(_absent(corpus, page))
    return found


def _hashes(url: str, function: Callable[[str], int]) -> np.ndarray:
    """The hashes of a URL as it stands and, where it names no scheme, with one."""
    urls = [url] if "://" in url else [url, f"http://{url}"]
    return np.array([function(u) for u in urls], np.uint64)


def _scan(corpus: Corpus, column: str, test: Callable) -> list[int]:
    """The addresses of all rows whose value in a column passes the test, in order."""
    found: list[int] = []
    for part, item in enumerate(corpus.plan):
        if corpus.documents["counts"].get(item.part):
            rows = np.flatnonzero(test(corpus.columns(part, [column])[column].combine_chunks()))
            found += [address(part, int(row)) for row in rows]
    return found


# --- token shards -------------------------------------------------------------------------------------------------


def _at(corpus: Corpus, shard: str, position: int) -> int:
    """The address of the document at a position (a row) of a shard, named by its path below tokens/."""
    if corpus.manifest is None:
        raise UserError(f"{corpus.path}: no tokens of this selection; run python -m pipeline tokenize {corpus.path}")
    known = {s.path: s for s in corpus.manifest.shards}
    if shard not in known:
        raise UserError(f"{safe(shard)}: no such shard{settings.nearest(shard, known)}")
    if position >= known[shard].documents:
        raise UserError(f"{shard}:{position}: the shard has {known[shard].documents:,} documents, counted from 0")
    opened = shards.open_shard(_local(corpus, shard))
    return address(int(opened.parts[position]), int(opened.rows[position]))


def in_shards(corpus: Corpus, where: int, label: str, copies: int, validation: bool) -> str:
    """Shard, position and length of a selected document, in words."""
    assert corpus.manifest is not None
    if storage.is_remote(corpus.path):
        return f"among those of {label}; shards are looked into on a local disk only"
    part, row = place(where)
    for shard in corpus.manifest.shards:
        if (shard.language, shard.validation) != (label, validation) or not (validation or shard.copies == copies):
            continue
        opened = shards.open_shard(_local(corpus, shard.path))
        for position in np.flatnonzero((opened.parts == part) & (opened.rows == row)).tolist():
            length = int(opened.offsets[position + 1] - opened.offsets[position])
            return f"tokens/{shard.path}:{position}, {length:,} tokens"
    return "in no shard; run python -m pipeline tokenize again"


def _local(corpus: Corpus, shard: str) -> str:
    if storage.is_remote(corpus.path):
        raise UserError(f"{corpus.path}: shards are looked into on a local disk only; copy the folder")
    return storage.join(corpus.path, "tokens", shard)


# --- what is not there --------------------------------------------------------------------------------------------


def _absent(corpus: Corpus, page: str) -> str:
    """Why a URL is not among the documents, as far as it can be told, in one line."""
    made, shown = corpus.documents, safe(page)
    hashes = set(_hashes(page, duplicates.url_hash).tolist())
    for reason, examples in sorted(made["examples"].items()):
        for url, file, offset, detail in examples:
            if url and reason != "OTHER_RECORD" and duplicates.url_hash(url) in hashes:
                told = f" ({safe(detail)})" if detail else ""
                return (
                    f"{shown}: its record gave no document: {reason}{told}; it lies in {safe(file)} at byte {offset:,}"
                )
    line = f"{shown}: not among the {made['documents']:,} documents"
    sites = _hashes(page, duplicates.site_hash)
    near = _scan(corpus, "site_hash", lambda column: np.isin(column.to_numpy(), sites))
    if near:
        line += f"; {len(near):,} of its site are, say {safe(corpus.row(near[0], ['url'])['url'])}"
    dropped = sum(made["drops"].values())
    line += f"; if it was crawled, it is one of the {dropped:,} records without a document, see report.html"
    file = next((f for f in sorted(made["files"]) if f.endswith(".gz") and os.path.exists(f)), None)
    return line + (f"; to look: zgrep -a -c -F {shlex.quote(shown)} {shlex.quote(file)}" if file else "")
