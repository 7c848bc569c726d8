"""tokenize beside SentencePiece alone: python -m benchmarks.tokenize VOCABULARY [--megabytes 80 | --once] [--rounds 5]

Corpus: the real pages beside the checkout, then documents of forty openly licensed sentences in one of 24 languages,
drawn again and again in another order, until so much text is extracted; all through our own extract and select. With
--once each sentence of all languages stands in one document, so that only the words repeat, as they do in any text.
Then in turn, each in a process of its own, one worker:

  ours     steps.run_tokenize: documents and selection read, encoded, token parts and shards written, checksums
  theirs   SentencePiece's encode_as_numpy, one thread, of the very same texts in lists of 1,024, which lie in memory

CPU-seconds (of the worker, too) and wall seconds. Both have done a corpus of a few documents before, so that modules,
vocabulary and worker are there; what the command takes for those few, start and report included, is told apart.
"""

import argparse
import contextlib
import io
import itertools
import json
import lzma
import os
import random
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from pathlib import Path

SHARED = Path(__file__).resolve().parents[2] / "shared" / "data"
LANGUAGES, SENTENCES, LIST = 24, 40, 1024
ONCE = -1  # instead of an amount of text
FEW = 30  # documents of the corpus that tells start-up

Used = tuple[float, float]
"""CPU seconds, wall seconds."""


def documents(characters: int) -> Iterator[dict]:
    """Sentences of the languages with most of them, shuffled anew each time round; ONCE: of all, one time."""
    sentences: dict[str, list[str]] = defaultdict(list)
    with lzma.open(SHARED / "language" / "train-text.tsv.xz", "rt", encoding="utf-8") as lines:
        next(lines)
        for line in lines:
            label, _, text = line.rstrip("\n").split("\t")
            sentences[label].append(text)
    largest = sorted(sentences, key=lambda k: (-sum(map(len, sentences[k])), k))
    largest = largest if characters == ONCE else largest[:LANGUAGES]
    draw, made = random.Random(0), 0
    for turn in itertools.count():
        for label in largest:
            some = sentences[label]
            draw.shuffle(some)
            for k in range(0, len(some), SENTENCES):
                text = "\n".join(some[k : k + SENTENCES])
                yield {"text": text, "url": f"https://{label.replace('_', '-')}-{turn}-{k}.example/"}
                if (made := made + len(text)) > characters > ONCE:
                    return
        if characters == ONCE:
            return


def corpus(folder: Path, characters: int, pages: bool = True) -> Path:
    from pipeline.__main__ import main as pipeline

    out, texts = folder / f"corpus-{characters}", folder / f"texts-{characters}.jsonl"
    found = documents(characters) if pages else itertools.islice(documents(1 << 40), 0, 20 * FEW, 20)
    texts.parent.mkdir(parents=True, exist_ok=True)
    texts.write_text("".join(json.dumps(d, ensure_ascii=False) + "\n" for d in found), encoding="utf-8")
    crawl = [str(SHARED / "web" / "realweb.warc.gz")] if pages else []
    command = ["run", *crawl, str(texts), "--output", str(out), "--workers", "1", "--quiet"]
    with contextlib.redirect_stdout(io.StringIO()):
        assert pipeline(command) == 0
    return out


def kept(folder: Path) -> list[str]:
    """The texts that tokenize encodes, in its order."""
    from pipeline import tokenize
    from pipeline.folder import documents_of

    plan, _ = documents_of(str(folder))
    job = tokenize.Job(str(folder), "", 1, "")
    return [text.decode() for item in plan for text, _, _ in tokenize._kept(item.part, job)]


def used() -> Used:
    """Of this process, of its children and of those that have ended."""
    ticks = 0
    for path in Path("/proc/self/task").glob("*/children"):
        for child in path.read_text().split():
            ticks += sum(map(int, Path(f"/proc/{child}/stat").read_text().rpartition(")")[2].split()[11:13]))
    return sum(os.times()[:4]) + ticks / os.sysconf("SC_CLK_TCK"), time.perf_counter()


def timed(call: Callable[[], object]) -> Used:
    before = used()
    call()
    cpu, wall = (b - a for a, b in zip(before, used(), strict=True))
    return cpu, wall


def ours(small: Path, large: Path, vocabulary: str) -> Used:
    from corpus import settings
    from pipeline import items, steps
    from pipeline.local import Local

    own, runner = settings.Tokenize(vocabulary=vocabulary), Local(1, quiet=True)
    for folder in (small, large):
        shutil.rmtree(folder / "tokens", ignore_errors=True)
    steps.run_tokenize(own, runner, steps.Options(str(small)))
    found = timed(lambda: steps.run_tokenize(own, runner, steps.Options(str(large))))
    items.close_pools()
    return found


def theirs(small: Path, large: Path, vocabulary: str) -> Used:
    from tokenizer.vocabulary import Vocabulary

    spm, texts = Vocabulary.load(vocabulary)._spm, kept(large)
    spm.encode_as_numpy(kept(small), num_threads=1)
    lists = [texts[k : k + LIST] for k in range(0, len(texts), LIST)]
    return timed(lambda: [spm.encode_as_numpy(some, num_threads=1) for some in lists])


def command(folder: Path, vocabulary: str) -> Used:
    """The whole command on a few documents."""
    shutil.rmtree(folder / "tokens", ignore_errors=True)
    words = ["pipeline", "tokenize", str(folder), "--vocabulary", vocabulary, "--workers", "1", "--quiet"]
    return timed(lambda: subprocess.run([sys.executable, "-m", *words], check=True, stdout=subprocess.DEVNULL))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("vocabulary", help="a folder that python -m tokenizer train made")
    parser.add_argument("--megabytes", type=int, default=80)
    parser.add_argument("--once", action="store_true")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--folder", type=Path, help="where the corpus is made and stays")
    parser.add_argument("--one", choices=("ours", "theirs"), help=argparse.SUPPRESS)
    names = parser.parse_args()
    if names.one:
        print(json.dumps(globals()[names.one](*corpora(names), names.vocabulary)))
        return
    os.environ["OMP_NUM_THREADS"] = "1"
    with tempfile.TemporaryDirectory() as scratch:
        names.folder = names.folder or Path(scratch)
        compare(names)


def corpora(names: argparse.Namespace) -> tuple[Path, Path]:
    """(of a few documents, of many)."""
    characters = ONCE if names.once else names.megabytes * 1_000_000
    large = names.folder / f"corpus-{characters}"
    large = large if large.exists() else corpus(names.folder, characters)
    small = names.folder / "corpus-0"
    return small if small.exists() else corpus(names.folder, 0, pages=False), large


def one(name: str, names: argparse.Namespace) -> Used:
    words = [names.vocabulary, "--one", name, "--folder", str(names.folder), "--megabytes", str(names.megabytes)]
    words += ["--once"] if names.once else []
    child = subprocess.run(
        [sys.executable, "-m", "benchmarks.tokenize", *words], check=True, stdout=subprocess.PIPE, text=True
    )
    cpu, wall = json.loads(child.stdout.splitlines()[-1])
    return cpu, wall


def compare(names: argparse.Namespace) -> None:
    small, large = corpora(names)
    texts = kept(large)
    print(f"{len(texts):,} documents, {sum(len(t.encode()) for t in texts) / 1e6:.1f} MB of kept text")
    heads = f"{'ours: CPU s':>12} {'wall s':>7} {'theirs: CPU s':>14} {'wall s':>7} {'rate, CPU':>10} {'wall':>6}"
    print(f"{'round':8} {heads}")
    rounds = []
    for number in range(names.rounds):
        rounds.append((*one("ours", names), *one("theirs", names)))
        show(str(number + 1), rounds[-1])
    show("median", [statistics.median(column) for column in zip(*rounds, strict=True)])
    print("the command on a few documents: {:.2f} CPU s, {:.2f} wall s".format(*command(small, names.vocabulary)))


def show(name: str, values) -> None:
    cpu, wall, other_cpu, other_wall = values
    told = f"{cpu:12.2f} {wall:7.2f} {other_cpu:14.2f} {other_wall:7.2f}"
    print(f"{name:8} {told} {other_cpu / cpu:10.1%} {other_wall / wall:6.1%}", flush=True)


if __name__ == "__main__":
    main()
