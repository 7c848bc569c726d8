"""Flags of commands: what extract reads, and those that make something from a corpus or examples, or read one."""

from corpus import settings
from corpus.settings import Parser


def inputs(parser: Parser) -> None:
    """What run and extract read and write."""
    parser.add_argument(
        "inputs",
        nargs="+",
        help="crawl files (WARC, WET, ARC; gzip, zstd, plain), JSON Lines or "
        "Parquet; globs, folders, path lists (*.paths.gz, *.txt)",
    )
    parser.add_argument("--output", required=True, help="the corpus folder to make")
    parser.add_argument(
        "--prefix",
        default="",
        help="put before each line of a path list, say s3://commoncrawl/ or https://data.commoncrawl.org/",
    )
    parser.add_argument("--redo", action="store_true", help="make the documents again where other settings made them")
    quality_models(parser)


def quality_models(parser: Parser) -> None:
    parser.add_argument(
        "--quality-model",
        action="append",
        default=[],
        metavar="NAME=PATH",
        help="score the documents by a fastText classifier, into a column quality_NAME; PATH#LABEL where good text is "
        "not labelled 'good'; WORDS.txt: by the share of words that are not in a list, one a line",
    )


def makers(command, after: str) -> None:
    """annotate, calibrate, train-quality. after: what help says of the runner."""
    step = command("annotate", "documents -> a column beside them; reads their text once", epilog=after)
    step.add_argument("output", help="the corpus folder")
    step.add_argument("--slice", metavar="I/N", help="do the I-th of N slices of the parts, for job arrays")
    step.add_argument("--redo", action="store_true", help="make columns again that another model made")
    quality_models(step)
    about = "mark documents that share runs of words with evaluation sets, JSON Lines; select rejects them"
    step.add_argument("--decontaminate", nargs="+", default=[], metavar="FILE", help=about)
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


def readers(command, after: str) -> None:
    """inspect, why, export, rebuild, estimate, diff, report, identify."""
    step = command("inspect", "read documents in the terminal")
    step.add_argument("output", help="the corpus folder")
    step.add_argument("--verdict", choices=("kept", "rejected"), help="only documents with this verdict")
    step.add_argument("--reason", metavar="REASON", help="only documents that this rule rejects, say near_duplicate")
    step.add_argument("--language", metavar="LABEL", help="only this language, say fin_Latn")
    step.add_argument("--url", metavar="TEXT", help="only URLs that contain this")
    step.add_argument("--count", type=int, default=10, metavar="N", help="documents to show (10)")
    step.add_argument("--full", action="store_true", help="whole texts instead of their beginnings")
    settings.add_common(step, runs=False)
    step = command("why", "every rule's value and verdict for one page, back to file and byte offset")
    step.add_argument("output", help="the corpus folder")
    step.add_argument("page", help="a URL, a document id, or SHARD:POSITION of a document in a token shard")
    settings.add_common(step, runs=False)
    step = command("export", "kept text per language as Parquet or JSON Lines, with a dataset card", epilog=after)
    step.add_argument("output", help="the corpus folder")
    step.add_argument(
        "--format",
        choices=("parquet", "jsonl", "recipe"),
        default="parquet",
        help="of the files (parquet); recipe: no text, but what rebuild makes it from",
    )
    step.add_argument("--to", default="", metavar="FOLDER", help="where they go (OUTPUT/export)")
    step.add_argument("--workers", type=int, metavar="N", help="processes on this machine (one per core)")
    settings.add_common(step, runs=False)
    step = command("rebuild", "a recipe and its crawl files -> the text that export would write")
    step.add_argument("recipe", help="a folder that export --format recipe made")
    step.add_argument("crawl", nargs="?", default="", help="the folder of the crawl files (where they lay)")
    step.add_argument("--output", required=True, help="where the text goes")
    step.add_argument("--format", choices=("parquet", "jsonl"), default="parquet", help="of the files (parquet)")
    step.add_argument("--workers", type=int, metavar="N", help="processes on this machine (one per core)")
    settings.add_common(step, runs=False)
    step = command("estimate", "what a crawl would give and cost, from some ranges of its files")
    step.add_argument("inputs", nargs="+", help="crawl files, globs, folders, path lists")
    step.add_argument("--prefix", default="", help="put before each line of a path list")
    step.add_argument("--sample", type=int, default=16, metavar="N", help="ranges to look at, a file each (16)")
    step.add_argument("--sample-bytes", default="4MiB", metavar="BYTES", help="of each range (4MiB)")
    step.add_argument("--cores", type=int, default=1, metavar="N", help="cores that would work (1)")
    step.add_argument("--core-hour", type=float, default=0.0, metavar="PRICE", help="of a core for an hour")
    step.add_argument("--gigabyte", type=float, default=0.0, metavar="PRICE", help="of a gigabyte for a month")
    step.add_argument("--vocabulary", default="", metavar="FOLDER", help="whose audit.json says what a token holds")
    step.add_argument("--seed", type=int, default=0, help="of the ranges")
    settings.add_flags(step, settings.Extract)
    settings.add_common(step, runs=False)
    step = command("diff", "what a change of settings gains and loses: two selections of the same documents")
    step.add_argument("old", help="a corpus folder, or a copy of its selection folder")
    step.add_argument("new", help="the same, as it is now")
    settings.add_common(step, runs=False)
    step = command("report", "report.html: the funnel, languages, examples, settings, in one file")
    step.add_argument("output", help="the corpus folder")
    settings.add_common(step, runs=False)
    step = command("identify", "lines on stdin -> label<TAB>score")
    step.add_argument("--language-model", default="", help="fastText model; empty: the one that is shipped")
    settings.add_common(step, runs=False)
