"""The books: counts from the parts' own metadata. They must balance at the end of every step.

records read = documents + drops by reason; documents = kept + rejections by reason; tokens = sum of the manifest.
"""

import json
import time
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

from corpus import storage
from corpus.document import Reason
from corpus.shards import ShardInfo
from corpus.terminal import StepError, amount, size
from pipeline import exchange
from pipeline.arrays import Labels
from pipeline.items import EXAMPLES

BOOKS = "books.json"
FAILED = "failed_files.json"
TIMES = "times.json"


def of_selection(labels: Labels, amounts: np.ndarray, made: Mapping[str, Any], part: int, seed: int = 0) -> dict:
    """The books of a selection part: verdicts, every failing rule, languages, examples by address. amounts:
    (documents,) characters. Examples are drawn by seed: (order, address), the least of all parts are kept."""
    verdict, reasons = made["verdict"], made["reasons"]
    rejected = {r: r.name for r in Reason if not r.is_drop}
    first = np.bincount(verdict, minlength=256)
    own = (np.uint64(part) << np.uint64(32)) | np.arange(len(verdict), dtype=np.uint64)
    with np.errstate(over="ignore"):
        order = exchange.mix(exchange.mix(own) + np.uint64(seed))
    examples = {}
    for reason in (r for r in rejected if first[r]):
        rows = np.flatnonzero(verdict == reason)
        rows = rows[np.argsort(order[rows])[:EXAMPLES]]
        examples[reason.name] = [[f"{order[row]:016x}", int(own[row])] for row in rows]
    return {
        "parts": 1,
        "documents": len(verdict),
        "kept": int(first[0]),
        "rejections": {name: int(first[r]) for r, name in rejected.items() if first[r]},
        "failing": {
            name: n for r, name in rejected.items() if (n := int(np.count_nonzero(reasons & np.uint64(r.bit))))
        },
        "alone": {name: n for r, name in rejected.items() if (n := int(np.count_nonzero(reasons == r.bit)))},
        "lines_out": int(made["lines_out"][0][verdict == 0].sum(dtype=np.int64)),
        "languages": _of_languages(labels, amounts.astype(np.int64), made),
        "examples": examples,
    }


def _of_languages(labels: Labels, amounts: np.ndarray, made: Mapping[str, Any]) -> dict:
    kept, held = made["verdict"] == 0, made["validation"]
    columns = {
        "documents": np.ones(len(kept), np.int64),
        "characters": amounts,
        "kept": kept,
        "kept_characters": amounts * kept,
        "epoch_characters": amounts * made["copies"] * ~held,
        "validation": held,
    }
    sums = {k: np.bincount(labels.index, v, len(labels.values)).astype(np.int64) for k, v in columns.items()}
    return {v: {k: int(s[i]) for k, s in sums.items()} for i, v in enumerate(labels.values) if sums["documents"][i]}


def check_extract(receipt: dict, parts: int) -> None:
    """Errors: StepError where a count does not add up, or nothing was produced."""
    if receipt.get("parts", 0) != parts:
        raise StepError(f"documents: {receipt.get('parts', 0)} receipts for {parts} parts; run extract again")
    drops = sum(receipt.get("drops", {}).values())
    if receipt["records"] != receipt["documents"] + drops:
        raise StepError(
            f"documents: the books do not balance: {receipt['records']:,} records, but "
            f"{receipt['documents']:,} documents and {drops:,} drops"
        )
    if not receipt["documents"]:
        raise StepError(f"no documents in {receipt['records']:,} records: {_reasons(receipt['drops'])}")


def check_select(receipt: dict, documents: dict) -> None:
    rejections = sum(receipt.get("rejections", {}).values())
    if receipt.get("documents") != documents["documents"] or receipt["documents"] != receipt["kept"] + rejections:
        raise StepError(
            f"selection: the books do not balance: {documents['documents']:,} documents, but "
            f"{receipt.get('kept', 0):,} kept and {rejections:,} rejected"
        )
    if not receipt["kept"]:
        raise StepError(f"none of {receipt['documents']:,} documents was selected: {_reasons(receipt['rejections'])}")


def check_tokens(shards, selection: dict) -> None:
    documents = sum(s.documents for s in shards)
    if documents != selection["kept"]:
        raise StepError(
            f"tokens: the books do not balance: {selection['kept']:,} documents selected, {documents:,} in the shards"
        )
    if not sum(s.tokens for s in shards):
        raise StepError("no tokens; look at the selection")


def budget_met(shards: Iterable[ShardInfo], selection: dict, budget: str) -> list[str]:
    """How far an epoch's tokens are from a budget in tokens, which was met through a factor per language; the language
    that is furthest from what was expected of it, of those with a hundredth of the epoch. Nothing for other budgets."""
    if not (factors := selection.get("tokens_per_character")):
        return []
    wanted = {k: v["epoch_characters"] * factors.get(k, 0) for k, v in selection["languages"].items()}
    found = dict.fromkeys(wanted, 0)
    for shard in shards:
        found[shard.language] += 0 if shard.validation else shard.tokens * shard.copies
    whole = sum(wanted.values())
    came = sum(found.values())
    shown = (
        f"budget of {budget}: {whole:,.0f} were expected of the chosen text, {came:,} came out, {came / whole - 1:+.1%}"
    )
    errors = {k: found[k] / v - 1 for k, v in wanted.items() if v > whole / 100}
    worst = max(errors, key=lambda k: (abs(errors[k]), k))
    return [f"{shown}; furthest is {worst}, {errors[worst]:+.1%}"]


def _reasons(counts: dict) -> str:
    worst = sorted(counts.items(), key=lambda kv: (-kv[1], kv[0]))
    return ", ".join(f"{n:,} {name}" for name, n in worst[:4]) or "none was read"


def failed_files(receipt: dict) -> list[dict]:
    """Every file that was not read whole: path, records read, bytes lost, ranges with what is wrong."""
    found: dict[str, dict] = {}
    for failure in receipt.get("failures", []):
        entry = found.setdefault(
            failure["path"], {"path": failure["path"], "records": 0, "lost_bytes": 0, "damage": []}
        )
        entry["lost_bytes"] += failure["lost_bytes"]
        entry["damage"] = sorted([*entry["damage"], *failure["damage"]])
    for path, records in receipt.get("files", {}).items():
        if not records and path not in found:
            found[path] = {"path": path, "records": 0, "lost_bytes": 0, "damage": [[0, 0, "no record in it"]]}
        if path in found:
            found[path]["records"] = records
    return [found[path] for path in sorted(found)]


def write(folder: str, step: str, receipt: dict) -> None:
    """The books of a step, `<step>/books.json`, without what a re-run would change."""
    values = {k: v for k, v in receipt.items() if k != "skipped"}
    storage.write(storage.join(folder, step, BOOKS), json.dumps(values, sort_keys=True, indent=1) + "\n")


def read(folder: str, step: str) -> dict | None:
    """The books of a finished step; None if it is not finished."""
    try:
        return json.loads(storage.read(storage.join(folder, step, BOOKS)))
    except FileNotFoundError:
        return None


def write_failed(folder: str, failed: list[dict]) -> None:
    storage.write(storage.join(folder, FAILED), json.dumps(failed, indent=1, ensure_ascii=False) + "\n")


def note_time(folder: str, step: str, begun: float, workers: int, skipped: int = 0) -> None:
    """Note that a step took from `begun` (time.monotonic()) until now. In a file of its own: books are the same on
    every run. skipped: parts that were there already, whose time is not in it."""
    entry = {"seconds": round(time.monotonic() - begun, 2), "workers": workers, "skipped": skipped}
    times = {**read_times(folder), step: entry}
    storage.write(storage.join(folder, TIMES), json.dumps(times, sort_keys=True, indent=1) + "\n")


def read_times(folder: str) -> dict[str, dict]:
    """Seconds, workers and skipped parts of each step that ran; {} if nothing was noted."""
    try:
        return json.loads(storage.read(storage.join(folder, TIMES)))
    except (FileNotFoundError, ValueError):
        return {}


def told(receipt: dict, reasons: str) -> str:
    """Counts by reason, the largest first, in words."""
    counts = sorted(receipt.get(reasons, {}).items(), key=lambda kv: (-kv[1], kv[0]))
    return ", ".join(f"{amount(n)} {name.lower().replace('_', ' ')}" for name, n in counts) or "none"


def summary_of_extract(receipt: dict, failed: list[dict]) -> list[str]:
    lost = f"; {len(failed)} files not read whole, {size(receipt['lost_bytes'])} lost: see {FAILED}" if failed else ""
    return [
        f"{amount(receipt['records'])} records -> {amount(receipt['documents'])} documents, "
        f"{amount(receipt['characters'])} characters{lost}",
        f"dropped: {told(receipt, 'drops')}; personal data masked: {masked(receipt)}",
    ]


def summary_of_select(receipt: dict) -> list[str]:
    languages = {k: v for k, v in receipt["languages"].items() if v["kept"]}
    most = sorted(languages, key=lambda k: (-languages[k]["kept_characters"], k))[:6]
    return [
        f"{amount(receipt['documents'])} documents -> {amount(receipt['kept'])} kept in {len(languages)} languages "
        f"({', '.join(most)}{', ...' if len(languages) > len(most) else ''})",
        f"rejected: {told(receipt, 'rejections')}",
        *mixture_table(receipt),
    ]


_TOLD = 12
"""Languages in the table of a mixture; the report has all."""


def mixture_table(receipt: dict) -> list[str]:
    """Shares of the kept text and of an epoch by language, in lines; none where resampling changes nothing."""
    rows = {k: v for k, v in receipt["languages"].items() if v["kept"]}
    before = max(1, sum(v["kept_characters"] for v in rows.values()))
    after = max(1, sum(v["epoch_characters"] for v in rows.values()))
    if all(n == 1 for n in receipt.get("copies", {}).values()):
        return []
    order = sorted(rows, key=lambda k: (-rows[k]["kept_characters"], k))
    lines = [f"{'language':<12} {'kept':>9} {'share':>7} {'copies':>7} {'epoch':>7}"]
    for label in order[:_TOLD]:
        row = rows[label]
        kept, epoch = row["kept_characters"] / before, row["epoch_characters"] / after
        copies = receipt.get("copies", {}).get(label, 0.0)
        lines.append(f"{label:<12} {amount(row['kept']):>9} {kept:>7.2%} {copies:>7.2f} {epoch:>7.2%}")
    return lines + ([f"and {len(order) - _TOLD} more languages: see report.html"] if len(order) > _TOLD else [])


def masked(receipt: dict) -> str:
    """How much personal data was masked, by kind, in words."""
    counts = sorted(receipt.get("pii", {}).items(), key=lambda kv: (-kv[1], kv[0]))
    return ", ".join(f"{n:,} {_KINDS.get(kind, kind)}" for kind, n in counts) or "none"


_KINDS = {
    "email": "e-mail addresses",
    "ip": "IP addresses",
    "phone": "phone numbers",
    "iban": "IBANs",
    "card": "card numbers",
}


def about(name: str) -> str:
    return Reason[name].about
