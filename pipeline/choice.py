"""The maps of a selection in their order: clusters, lines, rules, mixture, parts. What a map gives goes to the next one
through the key exchange."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from corpus import settings, storage
from pipeline import blocklist, clusters, exchange, lines, mixer, removal, select
from pipeline.items import add_receipts
from pipeline.local import Tasks
from pipeline.runs import Job, Run, plan_runs, read_numbers, read_runs, write_runs
from pipeline.thresholds import Thresholds


@dataclass(frozen=True)
class Source:
    """A corpus whose documents take part: the first is the one that is selected from, the others are older ones."""

    folder: str
    parts: list[str]  # of its plan
    books: dict  # of its documents

    def mark(self) -> list:
        return [self.books["digest"], settings.fingerprint(self.parts)]


@dataclass(frozen=True)
class Order:
    """What is to be selected from what, and how."""

    own: settings.Select
    thresholds: Thresholds
    sources: list[Source]
    run_documents: int
    lists: dict[str, tuple[str, bytes]]  # digests and bytes of lists, digests of columns beside the documents

    @property
    def marks(self) -> dict[str, str]:
        """Fingerprints of the clusters, the lines and the selection."""
        found = clusters.fingerprint([s.mark() for s in self.sources], self.own.near_duplicates)
        marked = lines.fingerprint(found, self.own)
        digests = {name: digest for name, (digest, _) in self.lists.items()}
        whole = select.fingerprint(marked, self.own, self.thresholds, digests)
        return {"clusters": found, "lines": marked, "selection": whole}

    def runs(self) -> list[Run]:
        found: list[Run] = []
        for number, source in enumerate(self.sources):
            before = (len(found), sum(len(s.parts) for s in self.sources[:number]))
            folder = source.folder if number else ""
            found += plan_runs(source.parts, source.books["counts"], self.run_documents, folder, before)
        return found

    def way(self, runner) -> "Way":
        """The maps, on a runner; lists lie where workers find them."""
        runs = self.runs()
        marked = bool(lines.scopes(self.own))
        documents = sum(s.books["documents"] for s in self.sources)
        width = clusters.KEY.itemsize * clusters.KEYS_PER_DOCUMENT
        job = Job(
            self.sources[0].folder,
            self.own,
            self.thresholds,
            tuple(r.first for r in runs),
            sum(not r.folder for r in runs),
            exchange.ranges_for(documents, max(width, lines.BYTES_PER_DOCUMENT * marked), self.own.memory),
            tuple(sorted({label for s in self.sources for label in s.books["languages"]})),
            self.marks["selection"],
            {**{name: digest for name, (digest, _) in self.lists.items()}, **({"lines": "1"} if marked else {})},
        )
        for name, (_, data) in self.lists.items():
            if data:
                storage.write(job.work(name), data)
        how = self.own.exchange
        return Way(runner, job, runs, how == "beam" or (how == "auto" and not runner.local))


def lists_of(own: settings.Select) -> dict[str, tuple[str, bytes]]:
    """Digests and bytes of the lists that settings name."""
    found: dict[str, tuple[str, bytes]] = {}
    if own.url_blocklist:
        listed = blocklist.load(own.url_blocklist)
        found[select.BLOCKLIST] = (listed.digest, listed.hashes.tobytes())
    if own.remove:
        asked = removal.load(own.remove)
        found[select.REMOVED] = (asked.digest, asked.pack())
    return found


@dataclass(frozen=True)
class Way:
    """How maps run: on which runner, with keys that meet in files or (`beam`) in Beam's shuffle."""

    runner: Any
    job: Job
    runs: list[Run]
    beam: bool

    def tasks(self, kind: str) -> Tasks:
        """runs, own (runs of this corpus), ranges, or a number of tasks."""
        path = self.job.work(f"{kind}.json")
        if kind in ("runs", "own"):
            chosen = self.runs[: self.job.own] if kind == "own" else self.runs
            write_runs(path, chosen)
            return Tasks(path, read_runs, len(chosen))
        count = self.job.ranges if kind == "ranges" else int(kind)
        storage.write(path, str(count))
        return Tasks(path, read_numbers, count)

    def send(self, label: str, kind: str, function: Callable, done: str = "", **context) -> dict:
        """function(task, job, **context) -> (pieces, receipt) for all tasks, the pieces sent under `label`. `done`: the
        exchange that this map has emptied."""
        storage.remove_folder(self.job.work(label))
        values = {"function": function, "label": label, "folder": self.job.work()}
        values["context"] = {"job": self.job, **context}
        if self.beam:
            receipt = self.runner.exchange(label, self.tasks(kind), exchange.produce, exchange.arrive, values)
        else:
            receipt = self.runner.map(label, self.tasks(kind), exchange.post, values)
        if done:
            storage.remove_folder(self.job.work(done))
        return receipt

    def map(self, label: str, kind: str, function: Callable, **context) -> dict:
        """function(task, job, **context) -> receipt for all tasks."""
        return self.runner.map(label, self.tasks(kind), function, {"job": self.job, **context})


def make_clusters(way: Way) -> dict:
    """Clusters of all documents, kept; how many pairs were looked at and joined."""
    storage.remove_folder(way.job.path("selection", "clusters"))
    storage.remove_folder(way.job.work("edges"))
    way.send("exact", "runs", clusters.exact)
    receipts = [way.send("twins", "ranges", clusters.twins, "exact")]
    if way.job.settings.near_duplicates:
        way.send("bands", "runs", clusters.bands)
        way.send("pairs", "ranges", clusters.pairs, "bands")
        receipts.append(way.send("lend", "runs", clusters.lend, "pairs"))
        receipts.append(way.map("prove", "runs", clusters.prove))
    total = add_receipts(receipts)
    if total.get("edges", 0) * clusters.EDGE.itemsize * 8 <= way.job.settings.memory:
        clusters.gather(way.job, way.runs)
    else:
        _rounds(way)
    for label in ("edges", "lend", "twins", "sketches"):
        storage.remove_folder(way.job.work(label))
    return total


def _rounds(way: Way) -> None:
    """Components by rounds over the exchange, until one changes nothing."""
    files = len(storage.list_files(way.job.work("edges")))
    way.send("scatter", str(files), clusters.scatter)
    source, before = "scatter", None
    while True:
        way.send("large", "ranges", clusters.large, source, source=source)
        source, now = "small", way.send("small", "ranges", clusters.small, "large").get("digest")
        if now == before:
            break
        before = now
    way.send("count", "ranges", clusters.count, "small", source="small")
    way.map("labels", "runs", clusters.settle)
    storage.remove_folder(way.job.work("count"))


def mark_lines(way: Way) -> dict:
    """Lines that sites, or the corpus, repeat, kept."""
    storage.remove_folder(way.job.path("selection", "lines"))
    scopes = lines.scopes(way.job.settings)
    if lines.SITE in scopes:
        way.send("sites", "own", lines.sites)
        way.send("busy", "ranges", lines.busy, "sites")
    for scope in scopes:
        way.send(f"lines-{scope}", "own", lines.lines, scope=scope)
        way.send(f"common-{scope}", "ranges", lines.common, f"lines-{scope}", scope=scope)
    receipt = way.map("mark", "own", lines.mark)
    for label in ("busy", *(f"{kind}-{scope}" for scope in scopes for kind in ("common", "keys"))):
        storage.remove_folder(way.job.work(label))
    return receipt


def choose(way: Way, factors: dict[str, float], write: bool = True) -> dict:
    """Rules, winners, mixture -> the parts, and their receipt with the languages' copies. factors: what a unit of the
    documents' amounts is worth in units of the budget, by language."""
    judged = way.send("judge", "runs", select.judge)
    older = way.send("settle", "ranges", select.settle, "judge")
    draw, copies = mixer.Mixer(way, factors).mix()
    receipt = way.map("apply", "own", select.apply, draw=draw, write=write)
    shared = {"contaminated": judged["contaminated"]} if "contaminated" in judged else {}
    return {**receipt, **shared, "copies": copies, "older": older.get("older", 0)}


def run(order: Order, runner, factors: dict[str, float], write: bool = True) -> dict:
    """All maps of a selection; clusters and lines only where those that are kept were made otherwise."""
    way, marks = order.way(runner), order.marks
    folder = way.job.folder
    kept = clusters.kept(folder, "clusters", marks["clusters"])
    if not kept:
        clusters.keep(folder, "clusters", marks["clusters"], make_clusters(way))
    if "lines" in way.job.lists and not (kept and clusters.kept(folder, "lines", marks["lines"])):
        clusters.keep(folder, "lines", marks["lines"], mark_lines(way))
    receipt = choose(way, factors, write)
    storage.remove_folder(way.job.work())
    return receipt
