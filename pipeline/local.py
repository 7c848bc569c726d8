"""The tasks of a step on this machine without Beam: in this process or in its pool. For steps that are done in seconds,
where loading Beam would take longer than the work."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from corpus import storage, terminal
from corpus.terminal import Progress
from pipeline import items


@dataclass(frozen=True)
class Tasks:
    """The tasks of a graph: the small file that lists them and who reads it; and how progress counts them: of `total`
    in all, shown by `unit`, each counts its receipt's `amount`, or 1."""

    path: str
    read: Callable[[str], Iterable]
    total: float
    unit: Callable[[float], str] = terminal.amount
    amount: str = ""

    def receipt(self, label: str) -> str:
        """Where the sum of a graph's receipts is handed over."""
        return storage.join(self.path.rpartition("/")[0], f"receipt-{label}.json")


class Local:
    """A runner without Beam. workers: processes of the pool; 0: this process alone."""

    local = True

    def __init__(self, workers: int, quiet: bool = False):
        self.workers, self.quiet = workers, quiet

    def check_paths(self, paths: Iterable[str]) -> None:
        """All paths are this machine's."""

    def map(self, label: str, tasks: Tasks, function: Callable, context: dict) -> dict:
        """function(task, **context) for every task; the sum of the receipts. One task is done here and now."""
        found = list(tasks.read(tasks.path))
        progress = Progress(label, tasks.total, tasks.unit, self.quiet)
        total: dict = {}
        try:
            here = not self.workers or len(found) == 1
            for receipt in self._here(found, function, context) if here else self._pool(found, function, context):
                items.add_receipt(total, receipt)
                progress.advance(receipt.get(tasks.amount, 0) if tasks.amount else 1)
        finally:
            progress.finish()
        return total

    def exchange(self, label: str, tasks: Tasks, produce: Callable, consume: Callable, context: dict) -> dict:
        raise NotImplementedError("keys meet in files here")

    def _here(self, found: list, function: Callable, context: dict) -> Iterable[dict]:
        return (function(task, **context) for task in found)

    def _pool(self, found: list, function: Callable, context: dict) -> Iterable[dict]:
        pool = items.local_pool(self.workers)
        try:
            for task in found:
                yield from pool.submit(function, task, context)
            yield from pool.drain()
        except BaseException:
            items.close_pools()
            raise
