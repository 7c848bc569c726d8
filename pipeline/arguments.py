"""Flags of the commands that make something from a corpus or from examples, beside the steps of __main__.py."""

from corpus import settings
from corpus.settings import Parser


def quality_models(parser: Parser) -> None:
    parser.add_argument(
        "--quality-model",
        action="append",
        default=[],
        metavar="NAME=PATH",
        help="score the documents by a fastText classifier, into a column quality_NAME; PATH#LABEL where good text is "
        "not labelled 'good'",
    )


def makers(command, after: str) -> None:
    """annotate, calibrate, train-quality. after: what help says of the runner."""
    step = command("annotate", "documents -> a column beside them; reads their text once", epilog=after)
    step.add_argument("output", help="the corpus folder")
    step.add_argument("--slice", metavar="I/N", help="do the I-th of N slices of the parts, for job arrays")
    step.add_argument("--redo", action="store_true", help="make columns again that another model made")
    quality_models(step)
    step.add_argument("--workers", type=int, metavar="N", help="processes on this machine (one per core)")
    settings.add_common(step, runs=False)
    step = command("calibrate", "documents -> thresholds per language, as a TOML file, and what they would reject")
    step.add_argument("output", help="the corpus folder")
    step.add_argument("--to", metavar="FILE", help="where the thresholds go (OUTPUT/thresholds.toml)")
    step.add_argument("--preset", default="ours", metavar="NAME", help="thresholds to start from (ours)")
    step.add_argument("--reference", metavar="LABEL", help="the language whose shares count (that with most documents)")
    step.add_argument("--least", type=int, default=1000, metavar="N", help="documents that a language needs (1000)")
    step.add_argument(
        "--keep",
        action="append",
        default=[],
        metavar="NAME=SHARE",
        help="keep this share of each language by the column of a quality classifier, quality_NAME",
    )
    settings.add_common(step, runs=False)
    step = command("train-quality", "texts, good and bad -> a fastText classifier for --quality-model")
    for kind in ("good", "bad"):
        about = f"{kind} texts: one a line, JSON Lines or Parquet"
        step.add_argument(f"--{kind}", nargs="+", required=True, metavar="FILE", help=about)
    step.add_argument("--output", required=True, metavar="FILE", help="the model's file, .bin")
    settings.add_common(step, runs=False)
