"""The Beam pipelines around the steps: small graphs whose size does not depend on the number of files.

Every step is a map over tasks that a reader finds in one small file; nothing but tasks, receipts and packed keys
crosses a Reshuffle or GroupByKey. On one machine the same graph runs on FnApiRunner in this process and hands the
tasks to a pool of N processes; on a cluster the runner spreads the tasks.
"""

import json
import logging
import os
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import apache_beam as beam
from apache_beam.options.pipeline_options import PipelineOptions, SetupOptions, StandardOptions, _BeamArgumentParser
from apache_beam.runners.portability.fn_api_runner import FnApiRunner
from apache_beam.runners.runner import PipelineState
from apache_beam.transforms.window import GlobalWindows

from corpus import storage
from corpus.settings import nearest
from corpus.terminal import Progress, StepError, UserError, say
from pipeline import cluster, items
from pipeline.local import Tasks

logging.getLogger("apache_beam").setLevel(logging.CRITICAL)  # what a task raises is told once, by us

LOCAL = ("", "FnApiRunner", "DirectRunner", "direct", "BundleBasedDirectRunner")

_progress: Progress | None = None
_errors: list[Exception] = []
"""Of the local run: what is shown while it goes on, and what a task raised (Beam would hand on its text alone)."""
_submitted: beam.Pipeline | None = None
"""The last graph that went to a cluster."""


class Runner:
    """Where the graphs run. options: what the user wrote after `--`. workers: processes of the local pool."""

    def __init__(self, options: list[str], workers: int, quiet: bool = False):
        _refuse_unknown(options)
        self.options = PipelineOptions(options)
        self.name = self.options.view_as(StandardOptions).runner or ""
        self.local = self.name in LOCAL
        self.workers = workers if self.local else 0
        self.quiet = quiet
        setup = self.options.view_as(SetupOptions)
        setup.save_main_session = False
        if not self.local:
            setup.setup_file = cluster.whole_path(setup.setup_file)
            cluster.check_options(self.name, self.options.get_all_options())
            self._pipeline()  # Beam's own checks, before anything is written
        if not (self.local or quiet):
            _tell_links()

    def check_paths(self, paths: Iterable[str]) -> None:
        """Errors: UserError where the workers would not find a path."""
        if not self.local:
            cluster.check_paths(self.name, paths)

    def map(self, label: str, tasks: Tasks, function: Callable, context: dict) -> dict:
        """function(task, **context) for every task; the sum of the receipts."""
        with _Watch(self, label, tasks), self._pipeline() as pipeline:
            receipts = _spread(pipeline, tasks) | label >> beam.ParDo(
                Work(function, context, self.workers, tasks.amount)
            )
            _sum_into(receipts, tasks.receipt(label))
        return _take(label, tasks.receipt(label))

    def exchange(self, label: str, tasks: Tasks, produce: Callable, consume: Callable, context: dict) -> dict:
        """produce(task, **context) -> ([(range, packed bytes)], receipt); the packed bytes of a range meet in
        consume(range, chunks, **context) -> receipt. Through Beam's GroupByKey, for clusters."""
        with _Watch(self, label, tasks), self._pipeline() as pipeline:
            keys = beam.ParDo(Produce(produce, context)).with_outputs("receipt", main="packed")
            produced = _spread(pipeline, tasks) | "Keys" >> keys
            consumed = produced.packed | "Meet" >> beam.GroupByKey() | "Range" >> beam.ParDo(Consume(consume, context))
            _sum_into((produced.receipt, consumed) | "Receipts" >> beam.Flatten(), tasks.receipt(label))
        return _take(label, tasks.receipt(label))

    def _pipeline(self) -> beam.Pipeline:
        global _submitted
        try:
            made = beam.Pipeline(FnApiRunner() if self.local else self.name, options=self.options)
        except (ImportError, ValueError) as error:
            raise UserError(f"runner options: {' '.join(str(error).split())}") from None
        _submitted = None if self.local else made
        return made


def cancel() -> None:
    """End the job on the cluster that is waited for, if there is one: whoever stops the command means the job."""
    job = getattr(_submitted, "result", None)
    if job is None or PipelineState.is_terminal(job.state):
        return
    try:
        job.cancel()
        say("\nthe job on the cluster is cancelled")
    except Exception as error:
        say(f"\nthe job on the cluster could not be cancelled ({_last_line(error)}); end it on its page")


def _spread(pipeline: beam.Pipeline, tasks: Tasks):
    """The tasks, each to whoever is free."""
    found = pipeline | "List" >> beam.Create([tasks.path]) | "Read" >> beam.FlatMap(_Read(tasks.read))
    return found | "Spread" >> beam.Reshuffle()


def _sum_into(receipts, out: str) -> None:
    receipts | "Sum" >> beam.CombineGlobally(_Sum()) | "Write" >> beam.ParDo(_Write(out))


def _take(label: str, path: str) -> dict:
    try:
        receipt = json.loads(storage.read(path))
    except FileNotFoundError:
        raise StepError(f"{label}: the job ended without {path}; look at its log, and at where workers write") from None
    storage.remove([path])
    return receipt


def _refuse_unknown(options: list[str]) -> None:
    """Beam would swallow a flag it does not know; we name the nearest one."""
    parser = _BeamArgumentParser(allow_abbrev=False)
    for kind in [PipelineOptions, *PipelineOptions.__subclasses__()]:
        if kind.__module__.startswith("apache_beam.options"):
            kind._add_argparse_args(parser)  # type: ignore[attr-defined]
    known = {s for a in parser._actions for s in a.option_strings}
    for option in options:
        name = option.partition("=")[0]
        if name.startswith("--") and name not in known:
            raise UserError(f"runner option {name}: Beam does not know it{nearest(name, known)}")


class _Links(logging.Handler):
    """Of all that Beam logs about a Dataflow job, the link to its page."""

    def emit(self, record: logging.LogRecord) -> None:
        link = record.getMessage().rpartition(" ")[2]
        if link.startswith("https://console."):
            say(f"the job: {link}")


def _tell_links() -> None:
    logger = logging.getLogger("apache_beam.runners.dataflow.internal.apiclient")
    if not logger.handlers:
        logger.addHandler(_Links())
    logger.setLevel(logging.INFO)
    logger.propagate = False


class _Watch:
    """Progress of a local run around a graph; the first error of a task comes out as it was raised."""

    def __init__(self, runner: Runner, label: str, tasks: Tasks):
        self.runner, self.label = runner, label
        self.progress = Progress(label, tasks.total, tasks.unit, runner.quiet)

    def __enter__(self):
        global _progress
        _progress = self.progress if self.runner.local else None
        _errors.clear()

    def __exit__(self, kind, error, trace):
        global _progress
        _progress = None
        self.progress.finish()
        if error is not None and _errors:
            raise _errors[0] from None
        ours = isinstance(error, (UserError, StepError, OSError))
        if isinstance(error, RuntimeError) or (isinstance(error, Exception) and not self.runner.local and not ours):
            raise StepError(f"{self.label}: {_last_line(error)}") from error
        return False


def _last_line(error: Exception) -> str:
    line = (str(error).strip() or repr(error)).splitlines()[-1]
    return line if line != "None" else "the job failed and left no message; look at its page, linked above"


class _Read:
    """A reader of tasks, as a callable that Beam can ship."""

    def __init__(self, read: Callable[[str], Iterable]):
        self.read = read

    def __call__(self, path: str) -> Iterable:
        return self.read(path)


class Work(beam.DoFn):
    """A task in, its receipt out; through the process's pool when there are `workers`."""

    def __init__(self, function: Callable, context: dict, workers: int, amount: str):
        self.function, self.context, self.workers, self.amount = function, context, workers, amount

    def process(self, task):
        if not self.workers:
            yield self.function(task, **self.context)
            return
        yield from self._seen(items.local_pool(self.workers).submit(self.function, task, self.context))

    def finish_bundle(self):
        if self.workers:
            for receipt in self._seen(items.local_pool(self.workers).drain()):
                yield GlobalWindows.windowed_value(receipt)

    def _seen(self, receipts: Iterator[dict]) -> Iterator[dict]:
        try:
            for receipt in receipts:
                if _progress is not None:
                    _progress.advance(receipt.get(self.amount, 0) if self.amount else 1)
                yield receipt
        except Exception as error:
            _errors.append(error)
            items.close_pools()
            raise


class Produce(beam.DoFn):
    """A task in, packed keys by range out; its receipt to the side."""

    def __init__(self, function: Callable, context: dict):
        self.function, self.context = function, context

    def process(self, task):
        packed, receipt = self.function(task, **self.context)
        yield beam.pvalue.TaggedOutput("receipt", receipt)
        yield from packed


class Consume(beam.DoFn):
    """The packed keys of a range in, a receipt out."""

    def __init__(self, function: Callable, context: dict):
        self.function, self.context = function, context

    def process(self, element):
        number, chunks = element
        yield self.function(number, list(chunks), **self.context)


class _Sum(beam.CombineFn):
    def create_accumulator(self) -> dict:
        return {}

    def add_input(self, accumulator: dict, receipt: dict) -> dict:
        return items.add_receipts([accumulator, receipt])

    def merge_accumulators(self, accumulators: Iterable[dict]) -> dict:
        return items.add_receipts(accumulators)

    def extract_output(self, accumulator: dict) -> dict:
        return accumulator


class _Write(beam.DoFn):
    def __init__(self, path: str):
        self.path = path

    def process(self, receipt: dict[str, Any]):
        storage.write(self.path, json.dumps(receipt, sort_keys=True))


os.environ.setdefault("GRPC_VERBOSITY", "ERROR")
