"""python -m benchmarks.content [GOLD] [--crawl CRAWL] [--folds K]: main text against gold, and what it costs.

F1, precision and recall of tokens, means over pages, by type of page and language. `own` is cross-validated: each page
is read by a model that saw no page of its site. CPU time: pages of a crawl file, everything from decoded HTML to text,
one process, the extractors in turn. Peers that are not installed are left out.
"""

import argparse
import collections
import functools
import importlib.util
import os
import time
from collections.abc import Callable
from pathlib import Path

from pipeline import charset, content, http, train_content, warc

WEB = Path(__file__).resolve().parents[2] / "shared" / "data" / "web"


def resiliparse(html: str) -> str:
    tree = content.HTMLTree.parse_from_bytes(html.encode("utf-8", "replace"), "utf-8")
    return content._text(tree, True)


def trafilatura(html: str, **mode: bool) -> str:
    import trafilatura as peer

    return peer.extract(html, **mode) or ""


def readability(html: str) -> str:
    from lxml import html as parser
    from readability import Document

    return parser.fromstring(Document(html).summary()).text_content()


def justext(html: str) -> str:
    import justext as peer

    return "\n".join(p.text for p in peer.justext(html, peer.get_stoplist("English")) if not p.is_boilerplate)


PEERS: dict[str, tuple[str, Callable[[str], str]]] = {
    "resiliparse": ("resiliparse", resiliparse),
    "trafilatura": ("trafilatura", trafilatura),
    "trafilatura fast": ("trafilatura", functools.partial(trafilatura, fast=True)),
    "- precision": ("trafilatura", functools.partial(trafilatura, favor_precision=True)),
    "- recall": ("trafilatura", functools.partial(trafilatura, favor_recall=True)),
    "readability": ("readability", readability),
    "justext, English": ("justext", justext),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("gold", nargs="?", default=str(WEB / "gold-dev.tar.gz"))
    parser.add_argument("--crawl", default=str(WEB / "realweb.warc.gz"))
    parser.add_argument("--pages", type=int, default=300, help="pages of the crawl file that are timed")
    parser.add_argument("--folds", type=int, default=5)
    names = parser.parse_args()
    peers = {name: f for name, (package, f) in PEERS.items() if importlib.util.find_spec(package)}
    quality(names.gold, names.folds, peers)
    speed(names.crawl, names.pages, peers)


def quality(gold: str, folds: int, peers: dict[str, Callable[[str], str]]) -> None:
    examples = train_content.read(gold)
    found = {"own": train_content.cross_validated(examples, folds)}
    for name, extract in peers.items():
        found[name] = {e.id: attempt(extract, e.html) for e in examples}
    scores = {name: {e.id: train_content.score(texts[e.id], e.gold) for e in examples} for name, texts in found.items()}
    groups: dict[str, list[str]] = collections.defaultdict(list)
    for e in examples:
        for group in ("all", e.meta["page_type"], e.meta["language"]):
            groups[group].append(e.id)
    print(f"{'F1':<16}{'pages':>6}" + "".join(f"{name:>18}" for name in scores))
    for group, ids in groups.items():
        if len(ids) >= 10:
            cells = (sum(s[i][0] for i in ids) / len(ids) for s in scores.values())
            print(f"{group:<16}{len(ids):>6}" + "".join(f"{c:>18.3f}" for c in cells))
    for place, title in ((1, "precision, all"), (2, "recall, all")):
        cells = (sum(v[place] for v in s.values()) / len(s) for s in scores.values())
        print(f"{title:<16}{len(examples):>6}" + "".join(f"{c:>18.3f}" for c in cells))


def attempt(extract: Callable[[str], str], html: bytes) -> str:
    """What an extractor finds; one that fails has found nothing."""
    try:
        return extract(html.decode("utf-8", "replace"))
    except Exception:
        return ""


def speed(crawl: str, count: int, peers: dict[str, Callable[[str], str]]) -> None:
    """CPU ms a page; the extractors take turns page by page, so that a busy machine slows all alike."""
    pages = list(decoded(crawl, count))
    extractors: dict[str, Callable[[str], str]] = {"own": own, **peers}
    own(pages[0])
    spent = dict.fromkeys(extractors, 0.0)
    for page in pages:
        for name, extract in extractors.items():
            begun = time.process_time()
            attempt_text(extract, page)
            spent[name] += time.process_time() - begun
    base = spent["resiliparse"]
    print(f"\n{'CPU':<18}{'ms/page':>9}{'pages/s':>9}{'times resiliparse':>19}   {len(pages)} pages")
    for name, seconds in spent.items():
        print(f"{name:<18}{1000 * seconds / len(pages):>9.2f}{len(pages) / seconds:>9.0f}{seconds / base:>19.2f}")


def own(html: str) -> str:
    return content.extract(html).text


def attempt_text(extract: Callable[[str], str], page: str) -> None:
    try:
        extract(page)
    except Exception:
        return


def decoded(crawl: str, count: int):
    """The HTML of the first pages of a crawl file that are within the bounds."""
    with open(crawl, "rb") as file:
        for record in warc.Reader(file, os.path.getsize(crawl), limit=5 << 20):
            if count and record.type == "response":
                response = http.parse(record.body, 4 << 20)
                page = charset.decode(response.body, response.headers.get("content-type", ""))
                if page and within_bounds(page.text):
                    count -= 1
                    yield page.text


def within_bounds(html: str) -> bool:
    try:
        content.check(html.encode("utf-8", "replace"))
    except content.TooComplex:
        return False
    return True


if __name__ == "__main__":
    main()
