"""The steps from end to end: what is planned, which graphs run, what is checked and written when they have run."""

import json
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from corpus import mixture, settings, shards, storage, toml
from corpus.terminal import StepError, UserError, amount, size
from pipeline import (
    annotate,
    books,
    choice,
    decontamination,
    extract,
    items,
    language,
    mixer,
    runs,
    tokenize,
)
from pipeline.folder import SETTINGS, documents_of, settings_of, tokens_per_character
from pipeline.local import Local, Tasks
from pipeline.thresholds import QUALITY, Thresholds

if TYPE_CHECKING:  # it loads Beam
    from pipeline.flow import Runner


@dataclass
class Options:
    """What was asked for besides the settings."""

    output: str
    limit: int | None = None
    slice: str | None = None
    redo: bool = False
    preview: bool = False
    said: list[str] = field(default_factory=list)


def prepare_folder(folder: str, create: bool = True) -> None:
    """Refuse a folder that holds something else than a corpus; sweep up what a killed run left half-written."""
    if storage.is_remote(folder):
        return
    names = {p.removeprefix(folder.rstrip("/") + "/").split("/")[0] for p in storage.list_files(folder)}
    ours = {"documents", "selection", "tokens", "columns", SETTINGS}
    if names and not names & ours:
        raise UserError(f"{folder}: holds something else than a corpus ({sorted(names)[0]}); name an empty folder")
    if not names and not create:
        raise UserError(f"{folder}: no corpus there; run python -m pipeline extract first")
    storage.sweep(folder)


# --- settings.toml: as it was run ---------------------------------------------------------------------------------


def _record(folder: str, step: str, values: dict) -> None:
    """Add a step's settings to settings.toml."""
    path = storage.join(folder, SETTINGS)
    tables = settings_of(folder)
    tables[step] = values
    storage.write(path, toml.write(dict(sorted(tables.items()))))


def _refuse_other(folder: str, wanted: dict) -> None:
    there = settings_of(folder).get("extract")
    if there is None:
        return
    for name, value in wanted.items():
        if name in there and there[name] != value:
            raise UserError(
                f"{folder}: made with {name} = {there[name]!r}, not {value!r}; "
                "name another --output, or --redo to make its documents again"
            )


# --- extract ------------------------------------------------------------------------------------------------------


def run_extract(paths: list[str], own: settings.Extract, runner: "Runner", options: Options) -> dict:
    """Crawl files -> documents/. Returns the books."""
    folder = options.output
    model = language.load(own.language_model).digest
    planned = extract.configuration(own, model)
    configuration = {**planned, "item_bytes": own.item_bytes}
    prepare_folder(folder)
    if not options.redo:
        _refuse_other(folder, configuration)
    plan = items.plan(paths, own.item_bytes)
    _record(folder, "extract", configuration)
    items.write_plan(storage.join(folder, "documents"), plan)
    tasks = storage.join(folder, "documents", items.PLAN)
    total = sum(max(0, i.length) for i in plan)
    context = {"extract": own, "folder": storage.join(folder, "documents"), "limit": options.limit, "model": model,
               "planned": planned}  # fmt: skip
    read = Slice(options.slice)
    begun = time.monotonic()
    receipt = runner.map("extract", Tasks(tasks, read, total, size, "bytes"), extract.run, context)
    storage.sweep(folder)  # what workers that died on the way left half-written
    if options.slice:
        return receipt
    books.check_extract(receipt, len(plan))
    failed = books.failed_files(receipt)
    books.write_failed(folder, failed)
    books.write(folder, "documents", receipt)
    if receipt.get("skipped", 0) < len(plan):
        books.note_time(folder, "extract", begun, runner.workers, receipt.get("skipped", 0))
    options.said += [*books.summary_of_extract(receipt, failed), *_orphans(folder, plan)]
    return receipt


class Slice:
    """The plan's items, or a slice of them."""

    def __init__(self, spec: str | None):
        self.spec = spec

    def __call__(self, path: str) -> list[items.Item]:
        return items.slice_of(items.read_plan(path.rpartition("/")[0]), self.spec)


def _orphans(folder: str, plan: list[items.Item]) -> list[str]:
    """Parts that the plan does not list: named, never read."""
    planned = {i.part for i in plan}
    found = [
        p
        for p in storage.list_files(storage.join(folder, "documents"))
        if p.endswith(".parquet") and p.rpartition("/")[2] not in planned
    ]
    return [f"{len(found)} parts are not in the plan any more and are not read, say {found[0]}"] if found else []


# --- annotate -----------------------------------------------------------------------------------------------------


def run_annotate(wanted: list[annotate.Column], runner: "Runner", options: Options) -> None:
    """Documents -> columns/<name>/ for each column. A column that another model made is refused, unless `redo`."""
    if not wanted:
        return
    folder = options.output
    prepare_folder(folder, create=False)
    plan, made = (items.read_plan(storage.join(folder, "documents")), {}) if options.slice else documents_of(folder)
    for column in wanted:
        mark = annotate.digest(column)
        there = settings_of(folder).get("columns", {}).get(column.name, mark)
        if there != mark and not options.redo:
            raise UserError(
                f"{column.name}: made by another model or code before; name another, or --redo to replace it"
            )
        _record(folder, "columns", {**settings_of(folder).get("columns", {}), column.name: mark})
        if sets := annotate.KINDS[column.kind](column.source).sets:
            _record(folder, decontamination.SETS, decontamination.recorded(sets))
        begun = time.monotonic()
        tasks = Tasks(storage.join(folder, "documents", items.PLAN), Slice(options.slice), len(plan))
        receipt = runner.map(column.name, tasks, annotate.run, {"folder": folder, "column": column, "made": mark})
        storage.sweep(folder)
        if options.slice:
            continue
        if receipt["documents"] != made["documents"]:
            raise StepError(f"{column.name}: {receipt['documents']:,} rows for {made['documents']:,} documents")
        if receipt.get("skipped", 0) < len(plan):
            books.note_time(folder, column.name, begun, runner.workers, receipt.get("skipped", 0))
        marked = ", ".join(f"{n:,} {name}" for name, n in sorted(receipt.get("counts", {}).items()))
        told = f"; of them {marked}" if marked else ""
        options.said.append(f"{amount(receipt['documents'])} values in columns/{column.name}/{told}")


def _columns_made(folder: str, thresholds: Thresholds) -> dict[str, tuple[str, bytes]]:
    """The digests (and no bytes) of the columns beside the documents that the thresholds need. Errors: UserError."""
    made = settings_of(folder).get("columns", {})
    names = {name[4:] for name in thresholds.names() if QUALITY.fullmatch(name[4:])}
    for name in sorted(names - set(made)):
        raise UserError(f"{folder}: no column {name}; run python -m pipeline annotate, or leave out its threshold")
    names |= {decontamination.COLUMN} & set(made)
    return {name: (made[name], b"") for name in sorted(names)}


# --- select -------------------------------------------------------------------------------------------------------


def run_select(
    own: settings.Select,
    thresholds: Thresholds,
    run_documents: int,
    runner: "Runner | Local",
    options: Options,
) -> dict:
    """Documents -> selection/. Returns the books. With `options.preview` nothing but the books is made."""
    folder = options.output
    prepare_folder(folder, create=False)
    plan, made = documents_of(folder)
    sources = [choice.Source(folder, [i.part for i in plan], made), *map(_source, own.against)]
    factors = _factors(own, folder, made)
    lists = {**choice.lists_of(own), **_columns_made(folder, thresholds)}
    lists |= {"tokens": (settings.fingerprint(factors), b"")} if factors else {}
    order = choice.Order(own, thresholds, sources, run_documents, lists)
    mark = order.marks["selection"]
    there = books.read(folder, "selection")
    if there is not None and there.get("fingerprint") == mark and _all_there(folder, plan):
        options.said += [*books.summary_of_select(there), "nothing to do: the selection was made with these settings"]
        return there
    begun = time.monotonic()
    if not options.preview:
        storage.remove([storage.join(folder, "selection", books.BOOKS)])
    receipt = choice.run(order, runner, factors, not options.preview)
    before = [sum(len(s.parts) for s in sources[:k]) for k in range(1, len(sources))]
    receipt |= {"fingerprint": mark, "against": [[n, s.folder] for n, s in zip(before, sources[1:], strict=True)]}
    receipt |= {"tokens_per_character": factors} if factors else {}
    books.check_select(receipt, made)
    options.said += books.summary_of_select(receipt)
    if options.preview:
        return receipt
    _remove_stale(folder, plan)
    storage.sweep(folder)
    _record(folder, "select", {**settings.substance(own), "run_documents": run_documents})
    _record(folder, "thresholds", thresholds.table())
    books.write(folder, "selection", receipt)
    books.note_time(folder, "select", begun, runner.workers)
    return receipt


def _source(path: str) -> choice.Source:
    plan, made = documents_of(path.rstrip("/"))
    return choice.Source(path.rstrip("/"), [i.part for i in plan], made)


def _factors(own: settings.Select, folder: str, made: dict) -> dict[str, float]:
    """What a character of each language is worth in tokens, if the budget is in tokens."""
    try:
        _, unit = mixture.parse_budget(own.budget)
    except ValueError as error:
        raise UserError(f"--budget {own.budget}: {error}; write 10G, '10G bytes' or '2G tokens'") from None
    if unit != "tokens":
        return {}
    return mixer.factors(tokens_per_character(storage.join(folder, "vocabulary")), tuple(made["languages"]))


def _all_there(folder: str, plan: list[items.Item]) -> bool:
    found = {p.rpartition("/")[2] for p in storage.list_files(storage.join(folder, "selection"))}
    return all(i.part in found for i in plan)


def _remove_stale(folder: str, plan: list[items.Item]) -> None:
    planned = {i.part for i in plan}
    storage.remove(
        p
        for p in storage.list_files(storage.join(folder, "selection"))
        if p.endswith(".parquet") and p.rpartition("/")[2] not in planned
    )


# --- tokenize -----------------------------------------------------------------------------------------------------


def read_plans(path: str) -> list[tokenize.Plan]:
    return [
        tokenize.Plan(p["path"], tuple(tokenize.Piece(*x) for x in p["pieces"])) for p in json.loads(storage.read(path))
    ]


def run_tokenize(own: settings.Tokenize, runner: "Runner", options: Options) -> shards.Manifest:
    """Documents, selection, vocabulary -> tokens/. Returns the manifest."""
    folder = options.output
    prepare_folder(folder, create=False)
    plan, made = documents_of(folder)
    selected = books.read(folder, "selection")
    if selected is None:
        raise UserError(f"{folder}: no finished selection; run python -m pipeline select first")
    if selected["documents"] != made["documents"]:
        raise UserError(f"{folder}: the selection is of other documents; run python -m pipeline select again")
    source = own.vocabulary or storage.join(folder, "vocabulary")
    vocabulary = tokenize.load_vocabulary(source)
    planned = runs.plan_runs([i.part for i in plan], made["counts"], own.run_documents)
    mark = tokenize.fingerprint(selected["fingerprint"], vocabulary.digest, own, len(planned))
    manifest = _finished(folder, mark)
    if manifest is None:
        begun = time.monotonic()
        manifest = _make_tokens(planned, tokenize.Job(folder, source, own.shard_tokens, mark), selected, runner)
        _record(folder, "tokenize", {**settings.substance(own), "vocabulary": vocabulary.digest})
        books.note_time(folder, "tokenize", begun, runner.workers)
    else:
        options.said.append("nothing to do: the shards were made with these settings")
    languages = manifest.languages()
    options.said.append(
        f"{amount(sum(s.tokens for s in manifest.shards))} tokens in {len(manifest.shards)} shards, "
        f"{len(languages)} languages; vocabulary of {vocabulary.size:,} pieces"
    )
    options.said += books.budget_met(manifest.shards, selected, settings_of(folder).get("select", {}).get("budget", ""))
    return manifest


def _finished(folder: str, mark: str) -> shards.Manifest | None:
    tokens = storage.join(folder, "tokens")
    try:
        manifest = shards.read_manifest(tokens)
    except shards.ShardError:
        return None
    if manifest.fingerprint != mark or list(shards.verify(tokens, manifest, contents=False)):
        return None
    return manifest


def _make_tokens(planned: list[runs.Run], job: tokenize.Job, selected: dict, runner: "Runner") -> shards.Manifest:
    storage.remove([job.path("tokens", shards.MANIFEST)])
    tasks = job.path("tokens", "encoded", "runs.json")
    runs.write_runs(tasks, planned)
    receipt = runner.map("encode", Tasks(tasks, runs.read_runs, len(planned)), tokenize.encode, {"job": job})
    plans = tokenize.plan_shards(receipt, job.shard_tokens)
    path = job.path("tokens", "encoded", "shards.json")
    storage.write(
        path, json.dumps([{"path": p.path, "pieces": [list(vars(x).values()) for x in p.pieces]} for p in plans])
    )
    total = sum(x.tokens for p in plans for x in p.pieces)
    receipt = runner.map("gather", Tasks(path, read_plans, total, amount, "tokens"), tokenize.gather, {"job": job})
    totals = {"tokens": receipt.get("tokens", 0), "documents": selected["kept"]}
    manifest = tokenize.manifest(receipt, totals, job)
    books.check_tokens(manifest.shards, selected)
    tokenize.clear(job.folder, {p.path for p in plans})
    storage.remove_folder(job.path("tokens", "encoded"))
    storage.sweep(job.folder)
    shards.write_manifest(job.path("tokens"), manifest)
    return manifest
