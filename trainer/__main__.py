"""python -m trainer: token shards -> model."""

import argparse
import os
import sys

from corpus import settings, terminal
from corpus.settings import Parser, Pretrain
from corpus.terminal import UserError


def parser() -> Parser:
    top = Parser(prog="python -m trainer", description="Train a multilingual encoder on token shards.")
    top.add_argument("--version", action="version", version=settings.VERSION)
    commands = top.add_subparsers(dest="command", metavar="command", required=True)

    pretrain = commands.add_parser(
        "pretrain",
        help="token shards -> model; goes on where an earlier run of the same settings stopped; also under torchrun",
        description="Pretrain an ELECTRA model on the shards of a tokens folder.",
    )
    pretrain.add_argument("tokens", help="folder that python -m pipeline tokenize wrote")
    pretrain.add_argument("--output", required=True, metavar="FOLDER", help="folder of the model")
    pretrain.add_argument(
        "--vocabulary", metavar="PATH", help="folder or file of the vocabulary (TOKENS/../vocabulary)"
    )
    settings.add_flags(pretrain, Pretrain)
    settings.add_common(pretrain)

    inspect = commands.add_parser(
        "inspect",
        help="what a tokens folder or a model folder holds, and whether it is whole",
        description="Show languages, shards and checksums of a tokens folder, or shape, figures and checkpoints of a "
        "model folder. Exit code 1 if something is damaged.",
    )
    inspect.add_argument("path", metavar="MODEL_OR_TOKENS", help="folder of a model or of tokens")
    inspect.add_argument(
        "--batch", type=int, default=0, metavar="N", help="print N random windows of each language, decoded"
    )
    inspect.add_argument("--sequence", type=int, default=Pretrain.sequence, metavar="N", help="tokens in such a window")
    inspect.add_argument("--vocabulary", metavar="PATH", help="folder or file of the vocabulary (TOKENS/../vocabulary)")
    settings.add_common(inspect, runs=False)
    return top


def _vocabulary(names: argparse.Namespace, tokens: str):
    """(the vocabulary, its file). Errors: UserError."""
    path = names.vocabulary or os.path.join(os.path.dirname(os.path.abspath(tokens)), "vocabulary")
    file = path if path.endswith(".model") else os.path.join(path, "spm.model")
    if "://" not in file and not os.path.exists(file):
        raise UserError(f"{file}: no vocabulary there; name its folder with --vocabulary")
    from tokenizer.vocabulary import Vocabulary

    return Vocabulary.load(path), file


def _pretrain(names: argparse.Namespace) -> int:
    tables = settings.read_config(names.config) if names.config else {}
    chosen = settings.resolve(Pretrain, tables, names)
    if names.print_config:
        print(settings.to_toml({"pretrain": chosen}), end="")
        return terminal.DONE
    if names.limit is not None and names.limit < 1:
        raise UserError(f"--limit: {names.limit} steps; give 1 or more")
    from corpus import shards

    shards.read_manifest(names.tokens)  # no tokens is the likelier mistake than no vocabulary
    vocabulary, file = _vocabulary(names, names.tokens)
    # OpenMP's threads spin while they wait, which costs up to four times the time where other work shares the cores.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")  # read when torch is loaded
    from trainer import plan, pretrain

    planned = plan.plan(names.tokens, chosen, vocabulary)
    if names.dry_run:
        print("\n".join(plan.rehearse(planned)))
        return terminal.DONE
    return pretrain.pretrain(planned, names.output, limit=names.limit, quiet=names.quiet, vocabulary=file)


def _inspect(names: argparse.Namespace) -> int:
    from trainer import inspect

    if names.batch < 1:
        return inspect.inspect(names.path)
    vocabulary, _ = _vocabulary(names, names.path)
    return inspect.inspect(names.path, vocabulary, Pretrain(batch=names.batch, sequence=names.sequence))


def main(argv: list[str] | None = None) -> int:
    """The exit code; see corpus.terminal."""

    def command() -> int:
        names, rest = parser().parse_all(sys.argv[1:] if argv is None else argv)
        if rest:
            raise UserError("python -m trainer: no options behind '--' are known here; see --help")
        return _pretrain(names) if names.command == "pretrain" else _inspect(names)

    return terminal.run(command)


if __name__ == "__main__":
    sys.exit(main())
