"""python -m benchmarks.signals [--peers PYTHON] [--pages N]: all our signals against datatrove's four quality filters.

The same English texts (the gold of gold-dev, cleaned), one process each, CPU seconds, start-up and warm-up left out.
The peers are datatrove's GopherRepetitionFilter, GopherQualityFilter, C4QualityFilter (without the rule on line ends)
and FineWebQualityFilter with their defaults, as in its FineWeb example, run by a Python that has them (pip install
'datatrove[processing,multilingual]==0.10.1'). Each is asked for every text; within a filter the first failing rule ends
the work,
which is to its favour. Then how far values agree that are defined alike, and verdicts of the preset fineweb.
"""

import argparse
import json
import subprocess
import sys
import tarfile
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
GOLD = ROOT.parent / "shared" / "data" / "web" / "gold-dev.tar.gz"
VALUES = ("words", "repeated_lines", "repeated_line_characters", "repeated_paragraphs", "short_lines", "cut_lines",
          "ended_lines", "newlines_per_word", "hashes_per_word", "letter_words", "top_2_gram", "top_3_gram",
          "top_4_gram", "repeated_5_grams", "repeated_10_grams")  # fmt: skip


def english(pages: int) -> list[str]:
    from pipeline import text

    with tarfile.open(GOLD) as archive:
        meta = archive.extractfile("meta.jsonl")
        assert meta
        wanted = [row["gold"] for row in map(json.loads, meta) if row["language"] == "en"]
        files = [archive.extractfile(name) for name in wanted]
        texts = [text.clean(file.read().decode()) for file in files if file]
    return [t for t in texts if len(t) > 200][: pages or None]


def ours(texts: list[str]) -> dict:
    import numpy as np

    from corpus.document import SIGNALS
    from pipeline import duplicates, selection, signals, thresholds

    signals.measure("Warm up. The tables are made once.", "eng_Latn")
    begun = time.process_time()
    found = [signals.measure(t, "eng_Latn", "https://example.org/a/b") for t in texts]
    seconds = time.process_time() - begun
    begun = time.process_time()
    for one in found:
        duplicates.signature(one.word_hashes)
    minhash = time.process_time() - begun
    kinds = {"float": np.float32, "uint32": np.uint32, "bool": bool}
    columns = {f.name: np.array([getattr(m.signals, f.name) for m in found], kinds[str(f.type)]) for f in SIGNALS}
    columns |= {"language": np.array(["eng_Latn"] * len(texts), object), "language_score": np.ones(len(texts), "f4")}
    kept = selection.judge(columns, thresholds.preset("fineweb")) == 0
    values = {name: columns[name].tolist() for name in VALUES}
    return {"seconds": seconds, "minhash": minhash, "values": values, "kept": kept.tolist()}


def datatrove(texts: list[str]) -> dict:
    from datatrove.data import Document
    from datatrove.pipeline.filters import (
        C4QualityFilter,
        FineWebQualityFilter,
        GopherQualityFilter,
        GopherRepetitionFilter,
    )

    filters = [GopherRepetitionFilter(), GopherQualityFilter(), C4QualityFilter(filter_no_terminal_punct=False),
               FineWebQualityFilter()]  # fmt: skip
    for one in filters:
        one.filter(Document(text=texts[0], id="0"))
    kept, seconds = [True] * len(texts), []
    for one in filters:
        begun = time.process_time()
        for k, text in enumerate(texts):
            kept[k] &= one.filter(Document(text=text, id=str(k))) is True
        seconds.append(time.process_time() - begun)
    rows = [_values(text) for text in texts]
    values = {name: [row[name] for row in rows] for name in VALUES}
    return {"seconds": sum(seconds), "each": seconds, "values": values, "kept": kept}


def _values(text: str) -> dict:
    """What the four filters compute, by our names."""
    from datatrove.pipeline.filters.gopher_repetition_filter import (
        find_all_duplicate,
        find_duplicates,
        find_top_duplicate,
        get_n_grams,
    )
    from datatrove.utils.text import PUNCTUATION_SET, TERMINAL_PUNCTUATION, split_into_words

    lines = [line for line in text.split("\n") if line.strip()]
    paragraphs = [p for p in text.strip().split("\n\n") if p]
    words = split_into_words(text, "eng")
    real = [w for w in words if any(c not in PUNCTUATION_SET for c in w)]
    found = {
        "words": len(real),
        "repeated_lines": find_duplicates(lines)[0] / len(lines),
        "repeated_line_characters": find_duplicates(lines)[1] / len(text.replace("\n", "")),
        "repeated_paragraphs": find_duplicates(paragraphs)[0] / len(paragraphs),
        "short_lines": sum(len(line) <= 30 for line in lines) / len(lines),
        "cut_lines": sum(line.rstrip().endswith(("...", "…")) for line in lines) / len(lines),
        "ended_lines": sum(line.endswith(tuple(TERMINAL_PUNCTUATION)) for line in lines) / len(lines),
        "newlines_per_word": text.count("\n") / len(words),
        "hashes_per_word": text.count("#") / len(words),
        "letter_words": sum(any(c.isalpha() for c in w) for w in words) / len(words),
    }
    for n in (2, 3, 4):
        grams = get_n_grams(words, n)
        found[f"top_{n}_gram"] = find_top_duplicate(grams) / len(text) if grams else 0.0
    for n in (5, 10):
        found[f"repeated_{n}_grams"] = find_all_duplicate(words, n) / len(text)
    return found


ROWS = {"ours": ours, "datatrove": datatrove}


def run(python: str, row: str, path: str) -> dict:
    command = [python, "-m", "benchmarks.signals", "--row", row, "--texts", path]
    return json.loads(subprocess.run(command, capture_output=True, text=True, check=True, cwd=ROOT).stdout)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--peers", metavar="PYTHON", help="the Python that has datatrove; without it only ours")
    parser.add_argument("--pages", type=int, default=300, help="the first N texts only; 0: all")
    parser.add_argument("--row", choices=ROWS, help=argparse.SUPPRESS)
    parser.add_argument("--texts", help=argparse.SUPPRESS)
    names = parser.parse_args()
    if names.row:
        sys.path.insert(0, str(ROOT))
        print(json.dumps(ROWS[names.row](json.loads(Path(names.texts).read_text()))))
        return
    texts = english(names.pages)
    size = sum(len(t.encode()) for t in texts) / 1e6
    with tempfile.NamedTemporaryFile("w", suffix=".json") as file:
        json.dump(texts, file)
        file.flush()
        mine = run(sys.executable, "ours", file.name)
        theirs = run(names.peers, "datatrove", file.name) if names.peers else None
    print(f"{len(texts)} texts, {size:.2f} MB\n\n{'':34}{'CPU s':>8}{'MB/s':>8}{'ms/text':>9}{'ratio':>7}")
    base = theirs["seconds"] if theirs else 0.0
    rows = {"ours, all signals": mine["seconds"], "ours, all signals and MinHash": mine["seconds"] + mine["minhash"]}
    if theirs:
        rows["datatrove, four filters"] = theirs["seconds"]
        rows |= dict(zip(("  Gopher repetition", "  Gopher quality", "  C4", "  FineWeb"), theirs["each"], strict=True))
    for name, s in rows.items():
        print(f"{name:34}{s:8.2f}{size / s:8.2f}{s / len(texts) * 1e3:9.2f}{base / s:7.1f}")
    if theirs:
        agreement(mine, theirs)


def agreement(mine: dict, theirs: dict) -> None:
    print(f"\n{'value':28}{'mean ours':>11}{'theirs':>9}{'within .01':>12}")
    for name in VALUES:
        pairs = list(zip(mine["values"][name], theirs["values"][name], strict=True))
        near = sum(abs(a - b) <= (0.01 * max(1, b) if name == "words" else 0.01) for a, b in pairs) / len(pairs)
        means = [sum(p[k] for p in pairs) / len(pairs) for k in (0, 1)]
        print(f"{name:28}{means[0]:11.4g}{means[1]:9.4g}{near:11.1%}")
    both = sum(a == b for a, b in zip(mine["kept"], theirs["kept"], strict=True))
    print(f"\nkept by the preset fineweb: ours {sum(mine['kept'])}, datatrove {sum(theirs['kept'])}; same verdict for "
          f"{both / len(mine['kept']):.1%}")  # fmt: skip


if __name__ == "__main__":
    main()
