"""python -m benchmarks.extract [CRAWL] [--peers PYTHON] [--pages N]: crawl file to clean text, one process each.

Ours is the whole step: reading, charset, main text, cleaning, personal data, language, signals, hashes, MinHash and
Parquet. The floor is FastWARC, Lexbor's parse and the plain text alone. The peers are datatrove's reader, extractor
and ftfy step, run by a Python that has them (pip install 'datatrove[io,processing]' trafilatura lxml_html_clean). CPU
seconds of the process, start-up left out; the rows of one run can be compared, those of two runs cannot.
"""

import argparse
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
REAL = ROOT.parent / "shared" / "data" / "web" / "realweb.warc.gz"


def ours(crawl: str, pages: int) -> tuple[int, float]:
    from corpus import settings
    from pipeline import extract, items, language

    (item,) = items.plan([crawl], 1 << 40)
    own = settings.Extract()
    language.load("").identify("Load the model, it is loaded once a process.")
    with tempfile.TemporaryDirectory() as folder:
        begun = time.process_time()
        receipt = extract.run(item, own, folder, pages or None)
        return receipt["documents"], time.process_time() - begun


def floor(crawl: str, pages: int) -> tuple[int, float]:
    from fastwarc.warc import ArchiveIterator, WarcRecordType
    from resiliparse.extract.html2text import extract_plain_text
    from resiliparse.parse.html import HTMLTree

    begun, count = time.process_time(), 0
    with open(crawl, "rb") as file:
        for record in ArchiveIterator(file, record_types=WarcRecordType.response, parse_http=True):
            extract_plain_text(HTMLTree.parse_from_bytes(record.reader.read(), "utf-8"))
            count += 1
            if count == pages:
                break
    return count, time.process_time() - begun


def datatrove(crawl: str, pages: int, extractor: str) -> tuple[int, float]:
    import os

    from datatrove.pipeline.formatters import FTFYFormatter
    from datatrove.pipeline.readers import WarcReader

    if extractor == "trafilatura":
        from datatrove.pipeline.extractors import Trafilatura

        step = Trafilatura(favour_precision=True, timeout=10)
    else:
        from datatrove.pipeline.extractors.base import BaseExtractor
        from resiliparse.extract.html2text import extract_plain_text

        class Resiliparse(BaseExtractor):
            name = "resiliparse"

            def __init__(self, timeout: float):
                super().__init__(timeout)

            def extract(self, text: str) -> str:
                return extract_plain_text(text, main_content=True)

        step = Resiliparse(timeout=10)
    folder, name = os.path.split(os.path.abspath(crawl))
    begun = cpu()
    reader = WarcReader(folder, glob_pattern=name, limit=pages or -1)
    count = sum(1 for _ in FTFYFormatter().run(step.run(reader.run())))
    return count, cpu() - begun


def cpu() -> float:
    """CPU seconds of this process and of its children that have ended (datatrove extracts in one)."""
    import os

    return sum(os.times()[:4])


ROWS = {
    "ours, the whole step": (ours, []),
    "floor: FastWARC, parse, text": (floor, []),
    "datatrove, trafilatura, ftfy": (datatrove, ["trafilatura"]),
    "datatrove, resiliparse, ftfy": (datatrove, ["resiliparse"]),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("crawl", nargs="?", default=str(REAL))
    parser.add_argument("--peers", metavar="PYTHON", help="the Python that has datatrove; without it only the floor")
    parser.add_argument("--pages", type=int, default=0, help="the first N pages only")
    parser.add_argument("--row", choices=ROWS, help=argparse.SUPPRESS)
    names = parser.parse_args()
    if names.row:
        function, more = ROWS[names.row]
        print(json.dumps(function(names.crawl, names.pages, *more)))
        return
    results = {}
    for row, (function, _) in ROWS.items():
        python = names.peers if function is datatrove else sys.executable
        if python:
            command = [python, "-m", "benchmarks.extract", names.crawl, "--pages", str(names.pages), "--row", row]
            answer = subprocess.run(
                command,
                stdout=subprocess.PIPE,
                text=True,
                check=True,
                cwd=ROOT,
                env={"PYTHONPATH": str(ROOT), "PATH": "/usr/bin:/bin", "HOME": "/nonexistent"},
            )
            results[row] = json.loads(answer.stdout.splitlines()[-1])
    size = Path(names.crawl).stat().st_size / 1e6
    print(f"{names.crawl}, {size:.1f} MB compressed\n")
    print(f"{'':<30} {'pages':>6} {'CPU s':>8} {'pages/s':>8} {'ms/page':>8} {'ours is faster by':>18}")
    mine = results["ours, the whole step"]
    for row, (count, seconds) in results.items():
        ratio = (seconds / count) / (mine[1] / mine[0])
        print(
            f"{row:<30} {count:>6} {seconds:>8.1f} {count / seconds:>8.0f} {1e3 * seconds / count:>8.2f} "
            f"{ratio:>17.2f}x"
        )


if __name__ == "__main__":
    main()
