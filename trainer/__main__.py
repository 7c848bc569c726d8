"""python -m trainer: token shards -> model, and what follows it."""

import argparse
import os
import sys

from corpus import settings, terminal, toml
from corpus.settings import Finetune, Parser, Pretrain
from corpus.terminal import UserError


def parser() -> Parser:
    top = Parser(prog="python -m trainer", description="Train a multilingual encoder on token shards, and use it.")
    top.add_argument("--version", action="version", version=settings.VERSION)
    commands = top.add_subparsers(dest="command", metavar="command", required=True)
    _add_pretrain(commands)
    _add_inspect(commands)
    _add_finetune(commands)
    _add_looks(commands)
    _add_distill(commands)
    _add_align(commands)
    _add_fuse(commands)
    return top


def _output(command: Parser, help: str = "folder of the model; must be empty") -> None:
    command.add_argument("--output", required=True, metavar="FOLDER", help=help)


def _device(command: Parser) -> None:
    command.add_argument("--device", default="auto", metavar="{auto,cpu,cuda}", help="where to compute (auto)")


def _vocabulary_flag(command: Parser) -> None:
    command.add_argument("--vocabulary", metavar="PATH", help="folder or file of the vocabulary (TOKENS/../vocabulary)")


def _add_pretrain(commands) -> None:
    pretrain = commands.add_parser(
        "pretrain",
        help="token shards -> model; goes on where an earlier run of the same settings stopped; also under torchrun",
        description="Pretrain an ELECTRA model on the shards of a tokens folder.",
    )
    pretrain.add_argument("tokens", help="folder that python -m pipeline tokenize wrote")
    _output(pretrain, "folder of the model")
    _vocabulary_flag(pretrain)
    pretrain.add_argument("--start", metavar="MODEL", help="go on from this model's weights; --shape rank=R cuts them")
    pretrain.add_argument(
        "--parallel", metavar="FILE", help="translations to train on too, as parallel=SHARE of --objectives says"
    )
    pretrain.add_argument("--tensorboard", action="store_true", help="also write the log for TensorBoard")
    settings.add_flags(pretrain, Pretrain)
    settings.add_common(pretrain)


def _add_inspect(commands) -> None:
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
    _vocabulary_flag(inspect)
    settings.add_common(inspect, runs=False)


def _add_finetune(commands) -> None:
    finetune = commands.add_parser(
        "finetune",
        help="labelled texts -> model of a task: classes of texts and pairs, scores, tags, answers",
        description="Learn a task from TSV, JSON Lines, JSON or CoNLL files: GLUE's, XNLI's, SIB-200's, SQuAD's, or "
        "your own with columns text, label, language. Rows that tell their split are used as they say.",
    )
    finetune.add_argument("model", help="folder that pretrain, distill, align or fuse wrote")
    finetune.add_argument("--train", action="append", required=True, metavar="FILE", help="examples; may be repeated")
    finetune.add_argument("--dev", action="append", required=True, metavar="FILE", help="examples that choose the best")
    finetune.add_argument("--test", action="append", default=[], metavar="FILE", help="examples that choose nothing")
    finetune.add_argument("--languages", metavar="LABELS", help="train on these; the others are zero-shot (all)")
    finetune.add_argument("--balance", action="store_true", help="rare labels weigh as much as frequent ones")
    _output(finetune, "folder of the model")
    _device(finetune)
    settings.add_flags(finetune, Finetune)
    settings.add_common(finetune)


def _add_looks(commands) -> None:
    evaluate = commands.add_parser(
        "evaluate",
        help="models on tasks: one table with intervals, per language",
        description="Model folders, exported folders or ONNX files on labelled texts or translations (src, tgt).",
    )
    evaluate.add_argument("models", nargs="+", metavar="MODEL", help="folder or .onnx file")
    evaluate.add_argument("--data", action="append", required=True, metavar="FILE", help="may be repeated")
    evaluate.add_argument("--languages", metavar="LABELS", help="only these labels, or pairs like ita-eng (all)")
    evaluate.add_argument("--split", default="dev", choices=("dev", "test"), help="of files that tell it (dev)")
    evaluate.add_argument("--output", default="", metavar="FILE", help="the figures as JSON")
    _device(evaluate)
    settings.add_common(evaluate, runs=False)
    probe = commands.add_parser(
        "probe",
        help="how a pretrained model fills in [MASK], and which tokens it takes for replaced",
        description="Show the generator's fillings and the discriminator's opinion, token by token.",
    )
    probe.add_argument("model", help="folder that pretrain wrote")
    probe.add_argument("texts", nargs="*", metavar="TEXT", help="with [MASK] where a token is missing (lines of stdin)")
    settings.add_common(probe, runs=False)
    report = commands.add_parser(
        "report",
        help="report.html of a model folder: curves, figures per language",
        description="Write report.html into the folder: one file, no script, nothing from the network.",
    )
    report.add_argument("model", help="folder that pretrain or finetune wrote")
    settings.add_common(report, runs=False)
    export = commands.add_parser(
        "export",
        help="a model as a Hugging Face folder and as ONNX files, fp32 and int8",
        description="Write a folder that transformers opens with equal logits, and ONNX files that were compared with "
        "torch before the command says it is done.",
    )
    export.add_argument("model", help="model folder")
    _output(export, "folder to write; must be empty")
    export.add_argument("--no-onnx", action="store_true", help="only the Hugging Face files")
    settings.add_common(export, runs=False)


def _add_distill(commands) -> None:
    distill = commands.add_parser(
        "distill",
        help="a large model -> a small one, over token shards; goes on where it stopped; also under torchrun",
        description="Train a student of --size and --shape on the relations among the teacher's queries, keys, values.",
    )
    distill.add_argument("teacher", help="model folder or exported folder with the vocabulary of the tokens")
    distill.add_argument("tokens", help="folder that python -m pipeline tokenize wrote")
    distill.add_argument("--losses", default="relations", metavar="LIST", help="of relations,hidden,logits (relations)")
    distill.add_argument("--layer", type=int, default=0, metavar="N", help="the teacher's layer that teaches (upper)")
    distill.add_argument("--data", action="append", default=[], metavar="FILE", help="compare both on it at the end")
    _output(distill, "folder of the student")
    distill.add_argument("--tensorboard", action="store_true", help="also write the log for TensorBoard")
    settings.add_flags(distill, Pretrain, without=("objectives",))
    settings.add_common(distill)


def _add_align(commands) -> None:
    align = commands.add_parser(
        "align",
        help="sentence vectors of several languages into one space",
        description="Fit a linear map from pairs of translations or without them, or teach the encoder by contrast.",
    )
    align.add_argument("model", help="model folder")
    align.add_argument("--pairs", action="append", required=True, metavar="FILE", help="TSV, or JSONL with src, tgt")
    align.add_argument("--dev", action="append", default=[], metavar="FILE", help="pairs to judge by (a fifth of them)")
    align.add_argument("--languages", metavar="PAIRS", help="only these, say ita-eng,ell-eng (all)")
    align.add_argument(
        "--method", default="procrustes", choices=("procrustes", "least-squares", "adversarial", "contrastive"),
        help="a rotation, any matrix, a rotation without pairs, or the encoder itself (procrustes)",
    )  # fmt: skip
    align.add_argument("--layer", type=int, default=0, metavar="N", help="whose states make the vectors (middle)")
    _output(align, "folder of the model")
    _device(align)
    settings.add_flags(align, Finetune)
    settings.add_common(align)


def _add_fuse(commands) -> None:
    fuse = commands.add_parser(
        "fuse",
        help="several models of one origin -> one",
        description="Average models that were trained on from the same weights; others are refused.",
    )
    fuse.add_argument("models", nargs="+", metavar="MODEL", help="model folders")
    fuse.add_argument("--method", default="average", choices=("average", "soup", "tasks", "ties"), help="how (average)")
    fuse.add_argument("--shares", default="", metavar="LIST", help="of the models, say 2,1,1 (equal)")
    fuse.add_argument("--base", default="", metavar="MODEL", help="the model that all began from, for tasks and ties")
    fuse.add_argument("--scale", type=float, default=1.0, metavar="X", help="of what is added to the base (1)")
    fuse.add_argument("--dev", metavar="TOKENS_OR_FILE", help="a half chooses the soup, the other tells all of them")
    _output(fuse)
    _device(fuse)
    settings.add_common(fuse, runs=False)


def _load(path: str):
    from tokenizer.vocabulary import Vocabulary

    return Vocabulary.load(path)


def _beside(tokens: str, given: str | None) -> str:
    """The folder of the vocabulary that a tokens folder goes with. Errors: UserError."""
    path = given or os.path.join(os.path.dirname(os.path.abspath(tokens)), "vocabulary")
    file = path if path.endswith(".model") else os.path.join(path, "spm.model")
    if "://" not in file and not os.path.exists(file):
        raise UserError(f"{file}: no vocabulary there; name its folder with --vocabulary")
    return os.path.dirname(file)


def _list(text: str | None) -> tuple[str, ...]:
    return tuple(filter(None, (text or "").split(",")))


def _settings(names: argparse.Namespace, section: type):
    """The settings in effect, or None if they are only to be printed. Errors: UserError."""
    tables = settings.read_config(names.config) if names.config else {}
    chosen = settings.resolve(section, tables, names)
    if names.limit is not None and names.limit < 1:
        raise UserError(f"--limit: {names.limit} is too few; give 1 or more")
    if names.print_config:
        title = next(n for n, s in settings.SECTIONS.items() if s is section)
        print(toml.write({title: chosen}), end="")
        return None
    return chosen


def _pretrain(names: argparse.Namespace) -> int:
    chosen = _settings(names, Pretrain)
    if chosen is None:
        return terminal.DONE
    from corpus import shards

    shards.read_manifest(names.tokens)  # no tokens is the likelier mistake than no vocabulary
    folder = _beside(names.tokens, names.vocabulary)
    vocabulary = _load(names.vocabulary or folder)
    from trainer import plan, pretrain, task, texts

    parallel = None
    if names.parallel:
        sides = zip(*((a, b) for a, b, _ in task.read_pairs(names.parallel)), strict=True)
        parallel = list(zip(*(texts.encode(vocabulary, side) for side in sides), strict=True))
    planned = plan.plan(names.tokens, chosen, vocabulary, start=names.start or "", parallel=parallel)
    if names.dry_run:
        print("\n".join(plan.rehearse(planned)))
        return terminal.DONE
    return pretrain.pretrain(
        planned, names.output, limit=names.limit, quiet=names.quiet, vocabulary=folder, tensorboard=names.tensorboard
    )


def _inspect(names: argparse.Namespace) -> int:
    from trainer import inspect

    if names.batch < 1:
        return inspect.inspect(names.path)
    vocabulary = _load(names.vocabulary or _beside(names.path, None))
    return inspect.inspect(names.path, vocabulary, Pretrain(batch=names.batch, sequence=names.sequence))


def _finetune(names: argparse.Namespace) -> int:
    chosen = _settings(names, Finetune)
    if chosen is None:
        return terminal.DONE
    from trainer import checkpoint, finetune, task, world

    device = world.choose(names.device)
    checkpoint.read_config(names.model)
    vocabulary = _load(checkpoint.vocabulary(names.model))
    data = finetune.Data(
        task.read(names.train, "train", _list(names.languages))[: names.limit],
        task.read(names.dev, "dev")[: names.limit],
        task.read(names.test, "test")[: names.limit] if names.test else [],
    )
    if names.dry_run:
        print("\n".join(finetune.rehearse(data, chosen, device)))
        return terminal.DONE
    return finetune.finetune(
        names.model, data, names.output, chosen, vocabulary, seed=getattr(names, "seed", 0), balanced=names.balance,
        device=device, quiet=names.quiet,
    )  # fmt: skip


def _evaluate(names: argparse.Namespace) -> int:
    from trainer import evaluate, world

    return evaluate.evaluate(
        names.models, names.data, languages=_list(names.languages), split=names.split, output=names.output,
        device=world.choose(names.device), quiet=names.quiet,
    )  # fmt: skip


def _probe(names: argparse.Namespace) -> int:
    from trainer import probe

    return probe.probe(names.model, names.texts or [line.rstrip("\n") for line in sys.stdin])


def _report(names: argparse.Namespace) -> int:
    from trainer import report

    return report.report(names.model)


def _export(names: argparse.Namespace) -> int:
    from trainer import export

    return export.export(names.model, names.output, onnx_files=not names.no_onnx, quiet=names.quiet)


def _distill(names: argparse.Namespace) -> int:
    chosen = _settings(names, Pretrain)
    if chosen is None:
        return terminal.DONE
    from corpus import shards
    from trainer import distill, plan

    shards.read_manifest(names.tokens)
    teacher, folder = distill.open_teacher(names.teacher, names.layer)
    planned = plan.plan(names.tokens, chosen, _load(folder))
    if names.dry_run:
        print("\n".join(distill.rehearse(planned, teacher, _list(names.losses))))
        return terminal.DONE
    return distill.distill(
        planned, teacher, names.output, losses=_list(names.losses), data=names.data, vocabulary=folder,
        place=names.teacher, limit=names.limit, quiet=names.quiet, tensorboard=names.tensorboard,
    )  # fmt: skip


def _align(names: argparse.Namespace) -> int:
    chosen = _settings(names, Finetune)
    if chosen is None:
        return terminal.DONE
    from trainer import align, checkpoint, world

    device = world.choose(names.device)
    checkpoint.read_config(names.model)
    vocabulary = _load(checkpoint.vocabulary(names.model))
    pairs = align.read(names.pairs, _list(names.languages))[: names.limit]
    dev = align.read(names.dev, _list(names.languages))
    if names.dry_run:
        print(f"{len(pairs):,} pairs of sentences in {len({p for _, _, p in pairs})} pairs of languages")
        print(f"device: {device}")
        return terminal.DONE
    return align.align(
        names.model, pairs, names.output, chosen, vocabulary, method=names.method, dev=dev, layer=names.layer,
        seed=getattr(names, "seed", 0), device=device, quiet=names.quiet,
    )  # fmt: skip


def _fuse(names: argparse.Namespace) -> int:
    try:
        shares = [float(x) for x in _list(names.shares)]
    except ValueError:
        raise UserError(f"--shares: {names.shares!r} are no numbers; write say 2,1,1") from None
    from trainer import fuse, judge, task, world

    made, device = None, world.choose(names.device)
    if names.dev:
        of_tokens = os.path.exists(os.path.join(names.dev, "manifest.json"))
        made = judge.of_tokens(names.dev, device) if of_tokens else judge.of_task(task.read([names.dev], "dev"), device)
    return fuse.fuse(
        names.models, names.output, method=names.method, base=names.base, shares=shares, scale=names.scale, judge=made
    )


COMMANDS = {
    "pretrain": _pretrain, "inspect": _inspect, "finetune": _finetune, "evaluate": _evaluate, "probe": _probe,
    "report": _report, "export": _export, "distill": _distill, "align": _align, "fuse": _fuse,
}  # fmt: skip


def main(argv: list[str] | None = None) -> int:
    """The exit code; see corpus.terminal."""

    def command() -> int:
        names, rest = parser().parse_all(sys.argv[1:] if argv is None else argv)
        if rest:
            raise UserError("python -m trainer: no options behind '--' are known here; see --help")
        # OpenMP's threads spin while they wait, which costs up to four times the time where other work shares the
        # cores; read when torch is loaded
        os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
        return COMMANDS[names.command](names)

    return terminal.run(command)


if __name__ == "__main__":
    sys.exit(main())
