"""The steps export and rebuild from end to end: text for others to use, or a recipe for others to make it from."""

import json
from typing import TYPE_CHECKING

from corpus import storage
from corpus.terminal import StepError, UserError, amount
from pipeline import books, card, export, findings, folder, items, rebuild, report
from pipeline.local import Local, Tasks
from pipeline.steps import Options, prepare_folder

if TYPE_CHECKING:  # it loads Beam
    from pipeline.flow import Runner


def run_export(job: export.Job, runner: "Runner | Local", options: Options) -> dict:
    """Documents and selection -> files of text per language, and their card; or a recipe. Returns the receipt."""
    prepare_folder(job.folder, create=False)
    plan, made = folder.documents_of(job.folder)
    selected = books.read(job.folder, "selection")
    if selected is None:
        raise UserError(f"{job.folder}: no finished selection; run python -m pipeline select first")
    _refuse_foreign(job.output)
    parts = [i.part for i in plan if made["counts"].get(i.part)]
    make = rebuild.publish if job.form == rebuild.RECIPE else export.run
    receipt = _map(parts, job.output, runner, make, {"job": job})
    if receipt["documents"] != selected["kept"]:
        raise StepError(f"{job.output}: {receipt['documents']:,} documents of {selected['kept']:,}; export again")
    corpus = folder.read(job.folder)
    text = card.text(corpus, findings.look(corpus), report.name(corpus))
    if job.form == rebuild.RECIPE:
        items.write_plan(storage.join(job.output, rebuild.RECIPE), [i for i in plan if i.part in parts])
        storage.write(
            storage.join(job.output, rebuild.SETTINGS), storage.read(storage.join(job.folder, folder.SETTINGS))
        )
    else:
        text = export.card(receipt, job.form, text)
        storage.write(storage.join(job.output, card.CARD), text)
    options.said.append(_summary(receipt, job.output))
    return receipt


def run_rebuild(job: rebuild.Job, runner: "Runner | Local", options: Options) -> dict:
    """A recipe and the crawl -> files of text per language. Errors: StepError where a text is another one."""
    plan, table, own = rebuild.read(job.recipe)
    _refuse_foreign(job.output)
    others = rebuild.differences(table, own)
    receipt = _map([vars(i) for i in plan], job.output, runner, _rebuild, {"job": job})
    wrong, missing = receipt.get("otherwise", 0), receipt.get("missing", 0)
    if wrong or missing:
        why = f"; {others[0]}" if others else ""
        raise StepError(f"{job.recipe}: {wrong:,} texts came out otherwise, {missing:,} were not found{why}")
    options.said += [_summary(receipt, job.output), *(f"but for {x}" for x in others[:3])]
    return receipt


def _rebuild(task: dict, job: rebuild.Job, tick=None) -> dict:
    return rebuild.run(items.Item(**task), job)


def _refuse_foreign(output: str) -> None:
    if name := export.foreign(output):
        raise UserError(f"{output}: holds something else than an export ({name}); name an empty folder")


def _map(tasks: list, output: str, runner: "Runner | Local", make, context: dict) -> dict:
    """make(task, **context) for all tasks; files of an earlier export that this one does not have are removed."""
    path = storage.join(output, ".tasks.json")
    storage.write(path, json.dumps(tasks))
    receipt = runner.map("export", Tasks(path, _read_list, len(tasks)), make, context)
    storage.remove([path, *export.stale(output, set(receipt.get("files", {})))])
    return receipt


def _read_list(path: str) -> list:
    return json.loads(storage.read(path))


def _summary(receipt: dict, output: str) -> str:
    characters = sum(v["characters"] for v in receipt["languages"].values())
    told = f", {amount(characters)} characters in {len(receipt['languages'])} languages" if characters else ""
    return f"{amount(receipt['documents'])} documents{told} -> {output}"
