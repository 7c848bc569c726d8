"""python -m tokenizer: train a vocabulary on a sample of a corpus; say how good one is; show how it cuts a text."""

import signal
import sys
import threading
from argparse import Namespace
from collections.abc import Callable
from typing import TYPE_CHECKING, TypeVar

from corpus import storage, toml
from corpus.settings import (
    VERSION,
    Parser,
    Vocabulary,
    add_common,
    add_flags,
    fingerprint,
    read_config,
    resolve,
    substance,
)
from corpus.terminal import Progress, UserError, amount, duration, run, safe, say, stop_on_signals

if TYPE_CHECKING:
    from tokenizer.audit import Row
    from tokenizer.sample import Plan, Source
    from tokenizer.vocabulary import Vocabulary as Trained

T = TypeVar("T")

SETTINGS = "settings.toml"

_TRAIN = """\
Train a SentencePiece vocabulary on a sample of the kept documents, balanced between languages.

  python -m tokenizer train out/ --size 64000
  python -m tokenizer train fin_Latn.txt eng_Latn.txt.gz more.jsonl --output vocabulary/

Writes spm.model, spm.vocab, audit.json, settings.toml and, for Hugging Face, tokenizer.json (not for bpe). What is
there already and made in the same way stays.
Needs about 12 bytes of memory for each byte of the sample, and one core.
"""

_EVALUATE = """\
Bytes per token, premium against English (parallel texts only), tokens per word, byte pieces, Rényi efficiency and
the used share of a vocabulary, per language, as a table.

  python -m tokenizer evaluate out/vocabulary                  the table that was made when it was trained
  python -m tokenizer evaluate out/vocabulary parallel.tsv     columns label, text and perhaps file, one text a line
  python -m tokenizer evaluate out/vocabulary out/             a sample of the kept documents
  python -m tokenizer evaluate out/vocabulary parallel.tsv --against old/vocabulary,other/spm.model    side by side
"""

_ENCODE = """\
The pieces of each line of standard input, a space between two, or with --ids their numbers. \u2581 in a piece stands
for a space; <0x..> is a byte of a character that has no piece.

  echo 'How is this cut?' | python -m tokenizer encode out/vocabulary
"""

EVALUATED_CHARACTERS = 100_000
"""Of each language of a corpus folder, about so many are looked at."""


def parser() -> Parser:
    top = Parser(prog="python -m tokenizer", description=__doc__)
    top.add_argument("--version", action="version", version=VERSION)
    commands = top.add_subparsers(dest="command", metavar="command", required=True)
    train = commands.add_parser("train", help="a vocabulary from a sample of a corpus", description=_TRAIN)
    train.add_argument("input", nargs="+", help="a corpus folder, or text files (lines, TSV, JSON lines, Parquet)")
    train.add_argument("--output", metavar="FOLDER", help="where to (INPUT/vocabulary for a corpus folder)")
    add_flags(train, Vocabulary)
    add_common(train)
    evaluate = commands.add_parser("evaluate", help="how good a vocabulary is", description=_EVALUATE)
    evaluate.add_argument("vocabulary", help="folder with spm.model, or that file")
    evaluate.add_argument("texts", nargs="*", help="a corpus folder, or text files (lines, TSV, JSON lines, Parquet)")
    evaluate.add_argument("--reference", default="", metavar="NAME", help="language or file for premiums (English)")
    evaluate.add_argument(
        "--against",
        default="",
        metavar="VOCABULARY,...",
        help="other vocabularies to show beside it, on the same texts",
    )
    add_common(evaluate, runs=False)
    encode = commands.add_parser("encode", help="how a vocabulary cuts lines of text", description=_ENCODE)
    encode.add_argument("vocabulary", help="folder with spm.model, or that file")
    encode.add_argument("--ids", action="store_true", help="ids instead of pieces")
    return top


def main(argv: list[str] | None = None) -> int:
    return run(lambda: _command(sys.argv[1:] if argv is None else argv))


def _command(argv: list[str]) -> int:
    names, rest = parser().parse_all(argv)
    if rest:
        raise UserError(f"python -m tokenizer: nothing takes options after `--` ({rest[0]}); leave them out")
    return {"train": _train, "evaluate": _evaluate, "encode": _encode}[names.command](names)


# --- train --------------------------------------------------------------------------------------------------------


def _train(names: Namespace) -> int:
    settings = resolve(Vocabulary, read_config(names.config) if names.config else {}, names)
    if names.print_config:
        print(toml.write({"vocabulary": settings}), end="")
        return 0
    if names.limit is not None and names.limit < 1:
        raise UserError(f"--limit: {names.limit} leaves nothing to do; give 1 or more")
    from tokenizer import sample, vocabulary

    vocabulary.sized(settings)
    folder = _target(names, [path for path in names.input if sample.is_corpus(path)])
    found = sample.sources(names.input, names.limit)
    mark = _mark(settings, found)
    if _is_made(folder, mark):
        say(f"{folder}: made in the same way already, nothing to do", names.quiet)
        return 0
    progress = Progress("count", len(found), quiet=names.quiet)
    plan = sample.plan(
        sample.survey(found, progress.advance), settings.sample_alpha, settings.sample_characters, settings.seed
    )
    progress.finish()
    if names.dry_run:
        print(_planned(plan, settings, folder))
        return 0
    _make(found, plan, settings, folder, mark, names.quiet)
    return 0


def _target(names: Namespace, corpora: list[str]) -> str:
    """The vocabulary folder; one that holds other things is refused."""
    if not names.output and len(corpora) != 1:
        raise UserError("--output: missing, and the input is not one corpus folder; name a folder for the vocabulary")
    folder = names.output or storage.join(corpora[0], "vocabulary")
    there = [] if storage.is_remote(folder) else [p.rpartition("/")[2] for p in storage.list_files(folder)]
    if there and not {"spm.model", SETTINGS} & set(there):
        raise UserError(f"{folder}: holds something else ({there[0]}); name an empty or a new folder")
    return folder


def _mark(settings: Vocabulary, found: "list[Source]") -> str:
    """Fingerprint of a vocabulary: settings, input, rules and library."""
    from tokenizer import sample, vocabulary

    return fingerprint("vocabulary", vocabulary.RULES, substance(settings), sample.digests(found))


def _is_made(folder: str, mark: str) -> bool:
    """Whether the folder has a whole vocabulary with this fingerprint."""
    import hashlib
    import tomllib

    try:
        made = tomllib.loads(storage.read(storage.join(folder, SETTINGS)).decode()).get("made", {})
        digest = hashlib.sha256(storage.read(storage.join(folder, "spm.model"))).hexdigest()
        rest = all(storage.exists(storage.join(folder, name)) for name in made["files"])
    except (OSError, ValueError, KeyError, TypeError):
        return False
    return rest and (made.get("fingerprint"), made.get("digest")) == (mark, digest)


def _planned(plan: "Plan", settings: Vocabulary, folder: str) -> str:
    """What a run would do: the sample's languages, the largest first."""
    taken = sorted(((plan.amounts[k] * p, k) for k, p in plan.take.items()), reverse=True)
    lines = [f"{safe(k):12}  {count:15,.0f} of {plan.amounts[k]:15,} characters" for count, k in taken]
    return "\n".join([*lines, f"{folder}: {settings.model}, size {settings.size:,}, {plan.characters:,} characters"])


_MEASURED = 1_000_000
"""Characters of a language that tell what it costs in tokens."""


def _make(found: "list[Source]", plan: "Plan", settings: Vocabulary, folder: str, mark: str, quiet: bool) -> None:
    """Train, measure, write; settings.toml comes last and makes the folder whole."""
    from tokenizer import audit, sample, sentences, vocabulary
    from tokenizer.characters import Characters

    progress = Progress("sample", len(found), quiet=quiet)
    held: dict[str, list[str]] = {}
    measured: dict[str, list[str]] = {}
    left: dict[str, int] = {}  # characters that are still to be measured on
    lines: list[str] = []
    written = Characters()
    characters = 0
    for drawn in sample.draw(found, plan, progress.advance):
        if left.setdefault(drawn.language, _MEASURED) > 0:
            measured.setdefault(drawn.language, []).append(drawn.text)
            left[drawn.language] -= len(drawn.text)
        if drawn.held_out:
            held.setdefault(drawn.language, []).append(drawn.text)
        else:
            characters += len(drawn.text)
            written.add(drawn.language, drawn.text)
            lines += sentences.lines(drawn.text)
    say(f"sample: {amount(characters)} characters; training on them takes a while", quiet)
    required = written.required(settings.coverage, settings.size)
    made = _interruptible(lambda: vocabulary.train(lines, settings, folder, required))
    rows = audit.evaluate(made, dict(sorted(held.items())))
    costs = audit.tokens_per_character(made, measured)
    storage.write(storage.join(folder, "audit.json"), audit.to_json(made, rows, costs))
    files = [vocabulary.PIECES, "audit.json", *_exported(made, settings, folder)]
    facts = {"fingerprint": mark, "digest": made.digest, "size": made.size, "pieces": made.pieces, "files": files}
    facts |= {"characters": characters, "rules": vocabulary.RULES, "version": VERSION}
    storage.write(storage.join(folder, SETTINGS), toml.write({"vocabulary": settings, "made": facts}))
    if rows:
        print(audit.to_table(rows))
    seconds = progress.finish()
    say(f"vocabulary: {made.size:,} ids, {made.pieces:,} of them with pieces, in {folder}", quiet)
    say(f"trained on: {amount(characters)} characters in {len(plan.take)} languages, {duration(seconds)}", quiet)
    say(f"measured on: {_measured(rows)}", quiet)
    say(f"to look at it: python -m tokenizer evaluate {folder} [TEXTS]", quiet)
    say(f"next: python -m pipeline tokenize {_following(folder)}", quiet)


def _exported(made: "Trained", settings: Vocabulary, folder: str) -> list[str]:
    """Write the vocabulary as Hugging Face has it; returns the names. BPE's merges have no place in a unigram model."""
    from tokenizer import huggingface

    if settings.model == "bpe":
        return []
    storage.write(storage.join(folder, huggingface.TOKENIZER), huggingface.tokenizer(made))
    storage.write(storage.join(folder, huggingface.CONFIG), huggingface.config())
    return [huggingface.TOKENIZER, huggingface.CONFIG]


def _measured(rows: "list[Row]") -> str:
    if not rows:
        return "nothing, the input is too small to hold texts out"
    total = rows[-1]
    figures = f"{total.bytes_per_token:.2f} bytes per token, {total.byte_pieces:.2%} byte pieces"
    return f"{total.texts:,} held-out texts: {figures}"


def _following(folder: str) -> str:
    """Arguments of the command that comes next."""
    out, _, name = folder.rstrip("/").rpartition("/")
    return out if out and name == "vocabulary" else f"OUT --vocabulary {folder}"


def _interruptible(work: Callable[[], T]) -> T:
    """`work()` in a thread: SentencePiece hears no Ctrl-C, the main thread does and ends the process."""
    if threading.current_thread() is not threading.main_thread():
        return work()
    results: list[T] = []
    errors: list[BaseException] = []

    def body() -> None:
        try:
            results.append(work())
        except BaseException as error:
            errors.append(error)

    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    stop_on_signals(lambda: None)
    try:
        thread = threading.Thread(target=body, daemon=True)
        thread.start()
        thread.join()
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
    if errors:
        raise errors[0]
    return results[0]


# --- evaluate -----------------------------------------------------------------------------------------------------


def _evaluate(names: Namespace) -> int:
    from tokenizer import audit, sample
    from tokenizer.vocabulary import Vocabulary as Trained

    paths = [names.vocabulary, *(p for p in names.against.split(",") if p)]
    if names.texts:
        trained = [Trained.load(path) for path in paths]
        texts = _texts(names.texts, names.quiet)
        parallel = not any(map(sample.is_corpus, names.texts))
        reference = audit.reference_of(texts, names.reference, parallel)
        tables = [audit.evaluate(vocabulary, texts, reference) for vocabulary in trained]
    else:
        tables = [audit.read(path.removesuffix("spm.model").rstrip("/") or ".") for path in paths]
    print(audit.to_table(tables[0]) if len(tables) == 1 else audit.side_by_side(dict(zip(paths, tables, strict=True))))
    return 0


def _texts(paths: list[str], quiet: bool) -> dict[str, list[str]]:
    """Texts by language, or by language and file where a table has a column `file`."""
    from tokenizer import sample, texts

    found: dict[str, list[str]] = {}
    sources = sample.sources(paths)
    for source in sources:
        if not source.selection:
            for text in texts.read(source.path):
                key = f"{safe(text.language)} {safe(text.file)}".rstrip()
                found.setdefault(key, []).append(text.text)
    parts = [source for source in sources if source.selection]
    if parts:
        progress = Progress("read", 2 * len(parts), quiet=quiet)
        amounts = sample.survey(parts, progress.advance)
        take = {k: min(1.0, EVALUATED_CHARACTERS / v) for k, v in amounts.items() if v}
        for drawn in sample.draw(parts, sample.Plan(amounts, take, {}, 0), progress.advance):
            found.setdefault(drawn.language, []).append(drawn.text)
        progress.finish()
    if not found:
        raise UserError(f"{paths[0]}: no text there; look at the file")
    return found


# --- encode -------------------------------------------------------------------------------------------------------


def _encode(names: Namespace) -> int:
    from tokenizer.vocabulary import Vocabulary as Trained

    vocabulary = Trained.load(names.vocabulary)
    show = str if names.ids else vocabulary.piece
    for line in open(0, encoding="utf-8", errors="replace", newline="\n"):  # noqa: SIM115
        ids, _ = vocabulary.encode([line.removesuffix("\n")])
        print(" ".join(map(show, ids.tolist())))
    return 0


if __name__ == "__main__":
    sys.exit(main())
