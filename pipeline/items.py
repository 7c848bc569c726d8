"""Work items: plan them, run them on a local pool of processes, sum their receipts.

An item is (file, size, start, length); it owns the gzip members (zstd frames) that start inside it. The result of an
item is one part, named after the item, made by a pure function of the item's bytes and the settings.
"""

import contextlib
import csv
import io
import multiprocessing as mp
import os
import pickle
import resource
import signal
import sys
import threading
import time
import traceback
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import astuple, dataclass, fields
from multiprocessing import connection

import xxhash

from corpus import storage
from corpus.terminal import StepError, UserError
from pipeline import tables

PLAN = "items.tsv"


@dataclass(frozen=True)
class Item:
    """Bytes [start, start + length) of a file; length -1: to its end, when its size is not known beforehand."""

    path: str
    size: int
    tag: str
    start: int
    length: int

    @property
    def part(self) -> str:
        """The name of the item's part; it depends on nothing but the file's name and the place in it."""
        return f"part-{xxhash.xxh3_64_hexdigest(f'{self.path}|{self.start}'.encode())}.parquet"


def find_inputs(patterns: Iterable[str], prefix: str = "") -> list[str]:
    """The crawl files that paths, folders, globs and path lists (*.paths, *.paths.gz, *.txt) name, sorted, each once.

    `prefix` is put before every line of a path list.
    """
    found: list[str] = []
    for pattern in patterns:
        if pattern.endswith((".paths", ".paths.gz", ".txt")):
            found += [prefix + line for line in _lines(pattern)]
        else:
            found += storage.expand(pattern)
    if not found:
        raise UserError("no input; name crawl files, folders, globs or path lists")
    return sorted(set(found))


def _lines(path: str) -> list[str]:
    import gzip
    import zlib

    try:
        data = storage.read(path)
        text = (gzip.decompress(data) if path.endswith(".gz") else data).decode()
    except (OSError, EOFError, zlib.error, UnicodeDecodeError) as error:
        fact = getattr(error, "strerror", None) or error
        raise UserError(f"{path}: {fact}; name a path list that can be read") from None
    return [line.strip() for line in text.splitlines() if line.strip() and not line.startswith("#")]


ASKED = 1_000
"""Up to so many remote files are asked for their size and tag; a dump's list of 90,000 is taken as it stands."""


def plan(paths: list[str], item_bytes: int) -> list[Item]:
    """The items of all files, in the order of path and start. Local files are cut at `item_bytes`; remote ones,
    tables and uncompressed files are whole items. A missing file becomes an item of its own that will fail by name.
    """
    remote = [p for p in paths if storage.is_remote(p)]
    known = _ask(remote) if len(remote) <= ASKED else {}
    items = []
    for path in paths:
        if storage.is_remote(path):
            stat = known.get(path, storage.Stat(-1, ""))
            items.append(Item(path, stat.size, stat.tag, 0, stat.size))
            continue
        try:
            stat = storage.stat(path)
        except OSError as error:
            items.append(Item(path, -1, error.strerror or "unreadable", 0, -1))
            continue
        step = item_bytes if _can_split(path) else max(1, stat.size)
        starts = range(0, max(1, stat.size), step)
        items += [Item(path, stat.size, stat.tag, s, min(step, stat.size - s)) for s in starts]
    return items


def _ask(paths: list[str]) -> dict[str, storage.Stat]:
    """Size and tag of remote files, a few at a time; those that do not answer are left to the reading to name."""

    def ask(path: str) -> storage.Stat:
        try:
            return storage.stat(path)
        except OSError:
            return storage.Stat(-1, "")

    with ThreadPoolExecutor(8) as threads:
        return dict(zip(paths, threads.map(ask, paths), strict=True))


def _can_split(path: str) -> bool:
    if tables.is_table(path):
        return False
    with open(path, "rb") as file:
        return file.read(4)[:3] in (b"\x1f\x8b\x08", b"\x28\xb5\x2f", b"\x5d\x2a\x4d")


def write_plan(folder: str, items: list[Item]) -> None:
    out = io.StringIO()
    table = csv.writer(out, delimiter="\t", lineterminator="\n")
    table.writerow(["part", *(f.name for f in fields(Item))])
    table.writerows([i.part, *astuple(i)] for i in items)
    storage.write(storage.join(folder, PLAN), out.getvalue())


def read_plan(folder: str) -> list[Item]:
    """The items of a documents folder. Errors: UserError when there is no plan."""
    path = storage.join(folder, PLAN)
    try:
        text = storage.read(path).decode()
    except FileNotFoundError:
        raise UserError(f"{path}: not there; run python -m pipeline extract first") from None
    rows = list(csv.reader(io.StringIO(text, newline=""), delimiter="\t"))
    return [Item(path, int(size), tag, int(start), int(length)) for _, path, size, tag, start, length in rows[1:]]


def slice_of(items: list, spec: str | None) -> list:
    """The share `I/N` of the items (I from 1), for job arrays."""
    if not spec:
        return items
    try:
        number, count = (int(x) for x in spec.split("/"))
        if not 1 <= number <= count:
            raise ValueError
    except ValueError:
        raise UserError(f"--slice {spec}: not a slice; write I/N with I from 1 to N, say 3/10") from None
    return items[number - 1 :: count]


# --- receipts -----------------------------------------------------------------------------------------------------

EXAMPLES = 5


def add_receipts(receipts: Iterable[dict]) -> dict:
    """Sum receipts: numbers add up, tables merge, lists join in order of value, of which `examples` keep the EXAMPLES
    least; digests add mod 2^128. Commutative and associative, so that the order of work does not show."""
    total: dict = {}
    for receipt in receipts:
        add_receipt(total, receipt)
    return total


def add_receipt(total: dict, receipt: dict) -> None:
    """Add one receipt to a sum of receipts."""
    _add(total, receipt, None)


def _add(total: dict, more: dict, most: int | None) -> None:
    for key, value in more.items():
        if isinstance(value, dict):
            _add(total.setdefault(key, {}), value, EXAMPLES if key == "examples" else most)
        elif isinstance(value, list):
            total[key] = sorted([*total.get(key, []), *value], key=repr)[:most]
        elif key == "digest":
            total[key] = f"{(int(total.get(key, '0'), 16) + int(value, 16)) % (1 << 128):032x}"
        else:
            total[key] = total.get(key, 0) + value


# --- the local pool -----------------------------------------------------------------------------------------------

RECORD_SECONDS = 60
WORKER_BYTES = 2 << 30
"""What a process may take beyond what it had when it became ready."""


def _child(pipe, lifeline, mark, seconds: int) -> None:
    """The loop of a worker process: receive (function, item, context), send the result or the exception."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_die_with_parent, args=(lifeline,), daemon=True).start()
    while True:
        try:
            function, task, context = pipe.recv()
        except EOFError:
            return
        try:
            answer = (True, function(task, **context, tick=lambda number: _tick(mark, number, seconds)))
        except Exception as error:
            answer = (False, _portable(error))
        mark.value = -1
        hard = resource.getrlimit(resource.RLIMIT_CPU)[1]
        resource.setrlimit(resource.RLIMIT_CPU, (hard, hard))
        pipe.send(answer)


def _tick(mark, number: int, seconds: int) -> None:
    """A new record begins: say which one, and allow it so many seconds of CPU."""
    mark.value = number
    used = sum(resource.getrusage(resource.RUSAGE_SELF)[:2])
    hard = resource.getrlimit(resource.RLIMIT_CPU)[1]
    resource.setrlimit(resource.RLIMIT_CPU, (int(used) + seconds, hard))


def _portable(error: Exception) -> Exception:
    """The error with where it was raised, itself if it survives the way to the parent, else its name and words."""
    error.add_note("in a worker process:\n" + "".join(traceback.format_exception(error)))
    try:
        pickle.loads(pickle.dumps(error))
    except Exception:
        return StepError(f"{type(error).__name__}: {error}")
    return error


def _die_with_parent(lifeline) -> None:
    try:
        lifeline.recv_bytes()
    except (EOFError, OSError):
        os._exit(1)


class _Worker:
    def __init__(self, context, seconds: int):
        self.pipe, far = context.Pipe()
        self.lifeline, far_line = context.Pipe()
        self.mark = context.Value("q", -1, lock=False)
        self.process = context.Process(target=_child, args=(far, far_line, self.mark, seconds), daemon=True)
        self.process.start()
        far.close()
        far_line.close()
        self.task: _Task | None = None
        self.base_bytes = 0

    def send(self, task: "_Task") -> None:
        self.task = task
        self.mark.value = -1
        context = {**task.context, "skip": frozenset(task.skip)} if task.skip else task.context
        with contextlib.suppress(BrokenPipeError):  # it has died since; that shows in the next wait
            self.pipe.send((task.function, task.item, context))

    def bytes(self) -> int:
        try:
            with open(f"/proc/{self.process.pid}/statm") as file:
                return int(file.read().split()[1]) * os.sysconf("SC_PAGESIZE")
        except (OSError, IndexError):
            return 0

    def kill(self) -> None:
        self.process.kill()
        self.process.join()
        self.pipe.close()
        self.lifeline.close()


class _Task:
    def __init__(self, function: Callable, item, context: dict):
        self.function, self.item, self.context = function, item, context
        self.skip: set[int] = set()
        self.deaths: dict[int, int] = {}


class Pool:
    """N spawned processes that run functions of plain data; at most 2N tasks are in flight.

    A worker that dies is replaced and its task run again. A record on which a worker ran out of its CPU or memory
    limit, or died twice, is skipped in the next run (`skip`, a set of record numbers) for the step to book as crashed.
    """

    def __init__(self, workers: int, record_seconds: int = RECORD_SECONDS, worker_bytes: int = WORKER_BYTES):
        self.context = mp.get_context("spawn")
        self.count, self.record_seconds, self.worker_bytes = workers, record_seconds, worker_bytes
        self.looked = 0.0
        self.workers: list[_Worker] = []
        self.waiting: list[_Task] = []

    def submit(self, function: Callable, item, context: dict) -> Iterator:
        """Take the task function(item, **context, tick=...); yields results that are ready, waits only while 2N tasks
        are in flight."""
        self.waiting.append(_Task(function, item, context))
        self._start()
        while self._in_flight() >= 2 * self.count:
            yield from self._wait()

    def drain(self) -> Iterator:
        """The results of all tasks that are still out."""
        while self._in_flight():
            yield from self._wait()

    def close(self) -> None:
        for worker in self.workers:
            worker.kill()
        self.workers = []
        self.waiting = []

    def _in_flight(self) -> int:
        return len(self.waiting) + sum(w.task is not None for w in self.workers)

    def _start(self) -> None:
        while self.waiting:
            idle = next((w for w in self.workers if w.task is None), None)
            if idle is not None and not idle.process.is_alive():
                idle.kill()
                self.workers.remove(idle)
                continue
            if idle is None and len(self.workers) < self.count:
                idle = _Worker(self.context, self.record_seconds)
                self.workers.append(idle)
            if idle is None:
                return
            idle.send(self.waiting.pop(0))

    def _wait(self) -> list[dict]:
        busy = {w.pipe: w for w in self.workers if w.task}
        ends = {w.process.sentinel: w for w in self.workers if w.task}
        ready = connection.wait([*busy, *ends], timeout=1.0)
        results = []
        for worker in dict.fromkeys(busy[r] if r in busy else ends[r] for r in ready):
            results += self._receive(worker)
        if time.monotonic() - self.looked > 1:
            self.looked = time.monotonic()
            self._check_memory()
        self._start()
        return results

    def _receive(self, worker: _Worker) -> list[dict]:
        try:
            good, answer = worker.pipe.recv()
        except (EOFError, OSError):
            self._bury(worker)
            return []
        worker.task = None
        if not good:
            raise answer
        return [answer]

    def _bury(self, worker: _Worker, over_limit: bool = False) -> None:
        """A worker is dead: put its task back, without the record that killed it where that is sure."""
        task, number = worker.task, worker.mark.value
        worker.kill()
        self.workers.remove(worker)
        assert task is not None
        task.deaths[number] = task.deaths.get(number, 0) + 1
        if number >= 0 and (over_limit or worker.process.exitcode == -signal.SIGXCPU or task.deaths[number] > 1):
            task.skip.add(number)
        elif task.deaths[number] > 3:
            raise StepError(
                f"a worker died {task.deaths[number]} times (exit {worker.process.exitcode}) before the "
                f"first record of {task.item}"
            )
        self.waiting.insert(0, task)

    def _check_memory(self) -> None:
        for worker in list(self.workers):
            if worker.task is None:
                continue
            if worker.mark.value < 1:
                worker.base_bytes = max(worker.base_bytes, worker.bytes())
            elif worker.bytes() > worker.base_bytes + self.worker_bytes:
                self._bury(worker, over_limit=True)


_pools: dict[int, Pool] = {}


def local_pool(workers: int) -> Pool:
    """The one pool of this process with so many workers; it lives on, with the models it has loaded."""
    if workers not in _pools:
        _pools[workers] = Pool(workers)
    return _pools[workers]


def close_pools() -> None:
    while _pools:
        _pools.popitem()[1].close()


def default_workers() -> int:
    return len(os.sched_getaffinity(0)) if sys.platform == "linux" else os.cpu_count() or 1


def no_tick(number: int) -> None:
    """What a step calls per record when nobody watches it."""
