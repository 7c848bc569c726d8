"""The commands of the pipeline. Flags and help only: what a command does stands in steps.py and the nouns below it."""

import argparse
import logging
import sys
from collections.abc import Iterable
from typing import Any

from corpus import settings, terminal, toml
from corpus.settings import Parser
from corpus.terminal import UserError, say
from pipeline import arguments

ABOUT = """From crawl files to token shards.

  python -m pipeline run crawl/*.warc.gz --output out/        extract, select, report
  python -m tokenizer train out/                              the vocabulary
  python -m pipeline tokenize out/                            the shards
  python -m trainer pretrain out/tokens --output model/       the model
"""


def main(argv: list[str] | None = None) -> int:
    arguments = sys.argv[1:] if argv is None else argv
    # Beam warns, wherever it is imported without its extra for Google Cloud, that this extra is not there.
    logging.getLogger().addFilter(lambda record: not record.getMessage().startswith("apitools not found"))

    def call() -> int:
        names, rest = _parser().parse_all(arguments)
        if rest and names.command not in ("run", "extract", "annotate", "select", "tokenize", "export"):
            raise UserError(f"{names.command}: takes no runner options after --")
        return _COMMANDS[names.command](names, rest) or 0

    return terminal.run(call)


def _parser() -> Parser:
    parser = Parser(prog="python -m pipeline", description=ABOUT)
    parser.add_argument("--version", action="version", version=f"crawlmill {settings.VERSION}")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")

    def command(name: str, about: str, **kwargs) -> Parser:
        return commands.add_parser(name, help=about, description=about, **kwargs)

    after = "Options for the Beam runner stand after --, say: -- --runner=DataflowRunner --region=..."
    run = command(
        "run", "crawl files -> documents -> selection (-> tokens, with --vocabulary) and the report", epilog=after
    )
    arguments.inputs(run)
    _work(run, settings.Extract, settings.Select, settings.Tokenize)
    step = command("extract", "crawl files -> documents", epilog=after)
    arguments.inputs(step)
    step.add_argument("--slice", metavar="I/N", help="do the I-th of N slices of the items, for job arrays")
    _work(step, settings.Extract)
    step = command("select", "documents -> selection: duplicates, rules, mixture; reads no text", epilog=after)
    step.add_argument("output", help="the corpus folder")
    step.add_argument("--preview", action="store_true", help="say what would be kept and rejected; write no selection")
    _work(step, settings.Select, settings.Tokenize)
    step = command("tokenize", "documents, selection, vocabulary -> token shards", epilog=after)
    step.add_argument("output", help="the corpus folder")
    _work(step, settings.Tokenize)
    arguments.makers(command, after)
    arguments.readers(command, after)
    return parser


def _work(parser: Parser, *sections: type) -> None:
    if settings.Select in sections:
        parser.add_argument(
            "--threshold",
            action="append",
            default=[],
            metavar="NAME=VALUE",
            help="a threshold of the rules, say min_words=50, fin_Latn.min_words=50 or max_cut_lines=off; "
            "--print-config lists them",
        )
        parser.add_argument(
            "--thresholds", metavar="FILE", help="a TOML file in place of the preset, say that of calibrate"
        )
    parser.add_argument("--workers", type=int, metavar="N", help="processes on this machine (one per core)")
    settings.add_flags(parser, *sections)
    settings.add_common(parser)


# --- settings -----------------------------------------------------------------------------------------------------


def _settings(names: argparse.Namespace, *sections: type) -> list[Any]:
    """The settings of the sections, and the thresholds when Select is among them."""
    from pipeline.thresholds import NONE

    tables = settings.read_config(names.config, ("thresholds",)) if names.config else {}
    values = [settings.resolve(section, tables, names) for section in sections]
    choice = next((v for v in values if isinstance(v, settings.Select)), None)
    thresholds = _thresholds(choice.preset, tables, names) if choice else NONE
    if names.print_config:
        titles = {v: k for k, v in settings.SECTIONS.items()}
        shown = {titles[s]: v for s, v in zip(sections, values, strict=True)}
        print(toml.write({**shown, **({"thresholds": thresholds.table()} if settings.Select in sections else {})}))
        raise SystemExit(0)
    return [*values, thresholds]


def _thresholds(preset: str, tables: dict, names: argparse.Namespace):
    """The preset's, or those of a file; changed by the file of settings, then by single flags."""
    from pipeline import thresholds

    found = thresholds.preset(preset)
    if names.thresholds:
        read = settings.read_config(names.thresholds, ("thresholds",))
        found = thresholds.NONE.changed(read.get("thresholds", {}), f"{names.thresholds}: thresholds")
    found = found.changed(tables.get("thresholds", {}), f"{names.config}: thresholds")
    for pair in names.threshold:
        name, mark, value = pair.partition("=")
        if not mark:
            raise UserError(f"--threshold {pair}: write NAME=VALUE, say min_words=50")
        found = found.changed({name: value}, "--threshold")
    return found


def _workers(names: argparse.Namespace) -> int:
    from pipeline import items

    if names.workers is not None and names.workers < 1:
        raise UserError(f"--workers {names.workers}: give 1 or more")
    return names.workers or items.default_workers()


def _start(names: argparse.Namespace, rest: list[str], *paths: str, light: bool = False):
    """(runner, options) of a step that reads `paths`; Ctrl-C and SIGTERM end it at once from here on. light: without
    Beam where no options for it are given."""
    from pipeline import items
    from pipeline.local import Local
    from pipeline.steps import Options

    terminal.stop_on_signals(items.close_pools)
    limit = getattr(names, "limit", None)
    if limit is not None and limit < 1:
        raise UserError(f"--limit {names.limit}: give 1 or more")
    options = Options(
        names.output.rstrip("/") or "/",
        limit,
        getattr(names, "slice", None),
        getattr(names, "redo", False),
        getattr(names, "preview", False),
    )
    if light and not rest:
        return Local(_workers(names), names.quiet), options
    from pipeline.flow import Runner, cancel

    def stop() -> None:
        cancel()
        items.close_pools()

    terminal.stop_on_signals(stop)
    runner = Runner(rest, _workers(names), names.quiet)
    runner.check_paths([options.output, *paths])
    return runner, options


def _light(own: settings.Select, rest: list[str]) -> bool:
    """Whether a selection needs no Beam."""
    return not rest and own.exchange != "beam"


def _print(lines: Iterable[str]) -> int:
    for line in lines:
        print(line)
    return terminal.DONE


def _finish(options, names: argparse.Namespace, seconds: float, following: str) -> int:
    from pipeline import items

    items.close_pools()
    for line in options.said:
        say(line, names.quiet)
    say(f"done in {terminal.duration(seconds)}; next: {following}", names.quiet)
    return terminal.DONE


# --- the steps ----------------------------------------------------------------------------------------------------


def _extract(names: argparse.Namespace, rest: list[str]) -> int:
    own, _ = _settings(names, settings.Extract)
    paths = _find(names)
    if names.dry_run:
        return _rehearse_extract(paths, own, names)
    from pipeline import annotate, steps

    watch = terminal.Progress("", 1, quiet=True)
    runner, options = _start(names, rest, *paths, own.language_model)
    wanted = annotate.quality_columns(names.quality_model)
    steps.run_extract(paths, own, runner, options)
    steps.run_annotate(wanted, runner, options)
    return _finish(options, names, watch.finish(), f"python -m pipeline select {names.output}")


def _annotate(names: argparse.Namespace, rest: list[str]) -> int:
    from pipeline import annotate, steps

    wanted = annotate.quality_columns(names.quality_model) + annotate.contaminated_column(names.decontaminate)
    if not wanted:
        raise UserError("annotate: name what to add, say --quality-model edu=model.bin, --decontaminate tests/*.jsonl")
    watch = terminal.Progress("", 1, quiet=True)
    sources = [path.partition("#")[0] for column in wanted for path in column.source.split("\n")]
    runner, options = _start(names, rest, *sources)
    steps.run_annotate(wanted, runner, options)
    return _finish(options, names, watch.finish(), f"python -m pipeline calibrate {names.output}")


def _find(names: argparse.Namespace) -> list[str]:
    from pipeline import items

    return items.find_inputs(names.inputs, names.prefix)


def _rehearse_extract(paths: list[str], own: settings.Extract, names: argparse.Namespace) -> int:
    from pipeline import items

    plan = items.plan(paths, own.item_bytes)
    total = sum(max(0, i.size) for i in plan if i.start == 0)
    unknown = sum(i.size < 0 for i in plan)
    print(
        f"{len(paths)} files, {terminal.size(total)}"
        + (f" and {unknown} of unknown size" if unknown else "")
        + f" -> {len(plan)} items, {_workers(names)} workers -> {names.output}"
    )
    return terminal.DONE


def _select(names: argparse.Namespace, rest: list[str]) -> int:
    own, cut, thresholds = _settings(names, settings.Select, settings.Tokenize)
    from pipeline import folder, report, steps

    if names.dry_run:
        plan, made = folder.documents_of(names.output)
        print(f"{made['documents']:,} documents in {len(plan)} parts, {len(made['languages'])} languages")
        return terminal.DONE
    watch = terminal.Progress("", 1, quiet=True)
    runner, options = _start(names, rest, *own.against, light=_light(own, rest))
    steps.run_select(own, thresholds, cut.run_documents, runner, options)
    if names.preview:
        return _finish(options, names, watch.finish(), "the same without --preview, or other settings")
    report.write(options.output)
    return _finish(options, names, watch.finish(), f"python -m tokenizer train {names.output}")


def _tokenize(names: argparse.Namespace, rest: list[str]) -> int:
    own, _ = _settings(names, settings.Tokenize)
    from pipeline import folder, report, steps

    if names.dry_run:
        _, made = folder.documents_of(names.output)
        print(f"{made['characters']:,} characters of {made['documents']:,} documents before selection")
        return terminal.DONE
    watch = terminal.Progress("", 1, quiet=True)
    runner, options = _start(names, rest, own.vocabulary, light=True)
    steps.run_tokenize(own, runner, options)
    report.write(options.output)
    return _finish(options, names, watch.finish(), f"python -m trainer pretrain {names.output}/tokens --output model")


def _run(names: argparse.Namespace, rest: list[str]) -> int:
    own, choice, cut, thresholds = _settings(names, settings.Extract, settings.Select, settings.Tokenize)
    paths = _find(names)
    if names.dry_run:
        return _rehearse_extract(paths, own, names)
    from pipeline import annotate, report, steps
    from pipeline.local import Local

    watch = terminal.Progress("", 1, quiet=True)
    wanted = annotate.quality_columns(names.quality_model)
    runner, options = _start(names, rest, *paths, own.language_model, cut.vocabulary)
    steps.run_extract(paths, own, runner, options)
    steps.run_annotate(wanted, runner, options)
    selecting = Local(runner.workers, names.quiet) if _light(choice, rest) else runner
    steps.run_select(choice, thresholds, cut.run_documents, selecting, options)
    following = f"python -m tokenizer train {names.output}"
    if cut.vocabulary:
        steps.run_tokenize(cut, runner, options)
        following = f"python -m trainer pretrain {names.output}/tokens --output model"
    options.said.append(f"report: {report.write(options.output)}")
    return _finish(options, names, watch.finish(), following)


# --- what is made from columns and examples -----------------------------------------------------------------------


def _calibrate(names: argparse.Namespace, rest: list[str]) -> int:
    from pipeline import calibration

    return _print(calibration.run(names.output, names.preset, names.reference, names.least, names.keep, names.to))


def _train_quality(names: argparse.Namespace, rest: list[str]) -> int:
    from pipeline import quality

    for line in quality.run(names.good, names.bad, names.output):
        say(line, names.quiet)
    return terminal.DONE


# --- the readers --------------------------------------------------------------------------------------------------


def _inspect(names: argparse.Namespace, rest: list[str]) -> int:
    from pipeline import reading

    shown = reading.inspect(
        names.output, names.verdict, names.reason, names.language, names.url, names.count, names.full
    )
    return _print(shown)


def _why(names: argparse.Namespace, rest: list[str]) -> int:
    from pipeline import reading

    return _print(reading.why(names.output, names.page))


def _export(names: argparse.Namespace, rest: list[str]) -> int:
    from pipeline import export, publication

    watch = terminal.Progress("", 1, quiet=True)
    runner, options = _start(names, rest, names.to, light=True)
    target = names.to.rstrip("/") or f"{options.output}/export"
    publication.run_export(export.Job(options.output, target, names.format, ""), runner, options)
    return _finish(options, names, watch.finish(), f"datasets.load_dataset({target!r}, LANGUAGE)")


def _rebuild(names: argparse.Namespace, rest: list[str]) -> int:
    from pipeline import publication, rebuild

    watch = terminal.Progress("", 1, quiet=True)
    runner, options = _start(names, rest, light=True)
    _, _, own = rebuild.read(names.recipe)
    job = rebuild.Job(names.recipe, names.crawl, options.output, names.format, own)
    publication.run_rebuild(job, runner, options)
    return _finish(options, names, watch.finish(), f"datasets.load_dataset({options.output!r}, LANGUAGE)")


def _estimate(names: argparse.Namespace, rest: list[str]) -> int:
    from pipeline import estimate

    return _print(estimate.run(_find(names), settings.resolve(settings.Extract, {}, names), names))


def _diff(names: argparse.Namespace, rest: list[str]) -> int:
    from pipeline import difference

    return _print(difference.told(names.old, names.new))


def _report(names: argparse.Namespace, rest: list[str]) -> int:
    from pipeline import report

    print(report.write(names.output))
    return terminal.DONE


def _identify(names: argparse.Namespace, rest: list[str]) -> int:
    from pipeline import language

    identifier = language.load(names.language_model)
    lines = (line.rstrip("\n") for line in open(0, encoding="utf-8", errors="replace"))  # noqa: SIM115
    for label, score in identifier.identify_lines(lines):
        print(f"{label}\t{score:.4f}")
    return terminal.DONE


_COMMANDS = {
    "run": _run,
    "extract": _extract,
    "annotate": _annotate,
    "calibrate": _calibrate,
    "train-quality": _train_quality,
    "select": _select,
    "tokenize": _tokenize,
    "inspect": _inspect,
    "why": _why,
    "export": _export,
    "rebuild": _rebuild,
    "estimate": _estimate,
    "diff": _diff,
    "report": _report,
    "identify": _identify,
}

if __name__ == "__main__":
    sys.exit(main())
