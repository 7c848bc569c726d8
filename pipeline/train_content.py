"""Train the main-text model that is shipped: python -m pipeline.train_content GOLD.tar[.gz] --output FILE

Input: a tar of meta.jsonl (one object a page: id, site, html, gold, ...) and the files that it names: pages as UTF-8
HTML and what a person would keep of each as plain text. One thread, seeded: same input -> same bytes.
"""

import collections
import hashlib
import json
import sys
import tarfile
import unicodedata
import zlib
from dataclasses import dataclass

import numpy as np

from corpus import settings, storage, terminal
from pipeline import block_features, blocks, main_text, words

GRAM = 4
"""Tokens in a row by which gold is found on the page."""
ROUNDS = 60
"""Steps of the linear model."""
PULL = 10.0
"""How hard the words' weights are drawn to nought: .3 gives an area under the curve of .877 on other sites, 10 .909."""
TYPE_PULL = 2.0
TEXT_ROUNDS = 40
FOLDS = 4
"""Parts of the training sites; the word scores that the trees see come from the other parts."""
BOOSTING = {
    "objective": "binary", "learning_rate": 0.04, "num_leaves": 31, "max_depth": 6, "min_data_in_leaf": 60,
    "feature_fraction": 0.5, "bagging_fraction": 0.7, "bagging_freq": 1, "lambda_l2": 5.0, "max_bin": 127,
    "num_threads": 1, "deterministic": True, "force_col_wise": True, "seed": 1, "verbose": -1,
}  # fmt: skip
TREES = 300
TEXT_TYPES = ("article", "documentation")


@dataclass
class Example:
    """A page to learn from. labels: (blocks,) 0 or 1, the choice of blocks whose text is nearest to the gold."""

    id: str
    site: str
    meta: dict
    html: bytes
    gold: collections.Counter
    tree: blocks.Tree
    bags: list[collections.Counter]
    labels: np.ndarray


def tokens(text: str) -> list[str]:
    """Words, and single characters of scripts without spaces, in one case and one form."""
    text = unicodedata.normalize("NFKC", text).casefold()
    starts, ends = words.spans(words.codes(text))
    return [text[a:b] for a, b in zip(starts.tolist(), ends.tolist(), strict=True)]


def read(path: str) -> list[Example]:
    """The examples of a gold tar, in the order of their ids."""
    files = {}
    with tarfile.open(path) as archive:
        for member in archive:
            if member.isfile():
                file = archive.extractfile(member)
                files[member.name.removeprefix("./")] = file.read() if file else b""
    metas = [json.loads(line) for line in files["meta.jsonl"].splitlines() if line.strip()]
    return [example(m, files[m["html"]], files[m["gold"]].decode()) for m in sorted(metas, key=lambda m: m["id"])]


def example(meta: dict, html: bytes, gold: str) -> Example:
    tree = blocks.read(html)
    pieces = [tokens(text) for text in tree.texts]
    wanted = tokens(gold)
    bags = [collections.Counter(p) for p in pieces]
    bag = collections.Counter(wanted)
    labels = nearest(bags, bag, found(pieces, wanted))
    return Example(meta["id"], meta["site"], meta, html, bag, tree, bags, labels)


def found(pieces: list[list[str]], wanted: list[str]) -> np.ndarray:
    """(blocks,) bool: blocks most of whose tokens lie in runs of GRAM tokens of the gold, runs crossing blocks too."""
    grams = set(zip(*(wanted[k:] for k in range(GRAM)), strict=False))
    flat = [token for piece in pieces for token in piece]
    covered = np.zeros(len(flat) + 1, np.int64)
    for place, gram in enumerate(zip(*(flat[k:] for k in range(GRAM)), strict=False)):
        if gram in grams:
            covered[place : place + GRAM] = 1
    total = np.concatenate([[0], np.cumsum(covered)])
    sizes = np.array([len(p) for p in pieces], np.int64)
    ends = np.cumsum(sizes)
    return 2 * (total[ends] - total[ends - sizes]) > sizes


def nearest(bags: list[collections.Counter], gold: collections.Counter, start: np.ndarray) -> np.ndarray:
    """Labels changed one at a time, the largest blocks first, as long as that raises the page's F1."""
    labels = start.astype(np.int64)
    wanted = sum(gold.values())
    chosen: collections.Counter = collections.Counter()
    for bag, label in zip(bags, labels, strict=True):
        if label:
            chosen.update(bag)
    common, size = sum((chosen & gold).values()), sum(chosen.values())
    order = sorted(range(len(bags)), key=lambda k: -sum(bags[k].values()))
    for _ in range(3):
        changed = False
        for k in order:
            sign = -1 if labels[k] else 1
            gain = sum(
                min(chosen[t] + sign * n, gold[t]) - min(chosen[t], gold[t]) for t, n in bags[k].items() if t in gold
            )
            new = size + sign * sum(bags[k].values())
            if (common + gain) * (size + wanted) > common * (new + wanted):
                common, size, labels[k], changed = common + gain, new, 1 - labels[k], True
                for t, n in bags[k].items():
                    chosen[t] += sign * n
        if not changed:
            break
    return labels


@dataclass
class Paths:
    """The different paths of all pages. words: one after another; starts: where each path's begin. blocks, good:
    (paths,) how many blocks hang there, each as its page weighs it, and how much of that is labelled 1."""

    words: np.ndarray
    starts: np.ndarray
    blocks: np.ndarray
    good: np.ndarray


def paths(examples: list[Example]) -> Paths:
    flat: list[int] = []
    sizes, blocks_at, good = [], [], []
    for e in examples:
        kinds = [k.tolist() for k in np.split(e.tree.words, e.tree.starts[1:])]
        known: dict[tuple[int, int], int] = {}  # (path above, kind): path
        words_of: list[list[int]] = [[]]
        path = [0]
        for parent, kind in e.tree.nodes[1:, :2].tolist():
            key = (path[parent], kind)
            if key not in known:
                known[key] = len(words_of)
                words_of.append(words_of[path[parent]] + kinds[kind])
            path.append(known[key])
        owner = np.array(path)[e.tree.owner]
        weight = 1 / np.sqrt(max(1, len(owner)))
        number, positive = np.bincount(owner, minlength=1), np.bincount(owner, e.labels, 1)
        for k in np.flatnonzero(number).tolist():
            if words_of[k]:
                flat += words_of[k]
                sizes.append(len(words_of[k]))
                blocks_at.append(weight * number[k])
                good.append(weight * positive[k])
    starts = np.concatenate([[0], np.cumsum(sizes)[:-1]]).astype(np.int64)
    return Paths(np.array(flat, np.int32), starts, np.array(blocks_at), np.array(good))


def word_weights(examples: list[Example]) -> np.ndarray:
    """(BUCKETS, PATHS + types) int16, hundredths of log odds: what words say about the blocks below them, and about
    the type of their page."""
    text_like = [e for e in examples if e.meta["page_type"] in TEXT_TYPES]
    others = [e for e in examples if e.meta["page_type"] not in TEXT_TYPES]
    columns = [path_weights(group or examples) for group in (examples, text_like, others)]
    return np.concatenate([np.stack(columns, axis=1), type_weights(examples)], axis=1)


def path_weights(examples: list[Example]) -> np.ndarray:
    """(BUCKETS,) int16. Logistic regression by Adagrad: the label of a block by the words on its path."""
    p = paths(examples)
    sizes = np.diff(np.append(p.starts, len(p.words)))
    values, squares, offset = np.zeros(blocks.BUCKETS), np.full(blocks.BUCKETS, 1e-8), 0.0
    for _ in range(ROUNDS):
        score = np.add.reduceat(values[p.words], p.starts) + offset
        error = p.blocks / (1 + np.exp(-score)) - p.good
        slope = np.bincount(p.words, weights=np.repeat(error, sizes), minlength=blocks.BUCKETS) + PULL * values
        squares += slope**2
        values -= 0.3 * slope / np.sqrt(squares)
        offset -= 0.5 * error.sum() / p.blocks.sum()
    return hundredths(values)


def hundredths(values: np.ndarray) -> np.ndarray:
    """Log odds as whole hundredths, int16."""
    return np.clip(np.rint(100 * values), -2000, 2000).astype(np.int16)


def type_weights(examples: list[Example]) -> np.ndarray:
    """(BUCKETS, types) int16. Softmax regression by Adagrad: the type of a page by the words of its kinds of nodes."""
    bags = [np.unique(e.tree.words) for e in examples]
    sizes = np.array([len(b) for b in bags])
    flat, starts = np.concatenate(bags), np.concatenate([[0], np.cumsum(sizes)[:-1]])
    truth = np.array([[e.meta["page_type"] == t for t in main_text.TYPES] for e in examples], float)
    values = np.zeros((blocks.BUCKETS, len(main_text.TYPES)))
    squares, offset = np.full_like(values, 1e-8), np.zeros(len(main_text.TYPES))
    for _ in range(ROUNDS):
        score = np.add.reduceat(values[flat], starts, axis=0) + offset
        chance = np.exp(score - score.max(axis=1, keepdims=True))
        error = chance / chance.sum(axis=1, keepdims=True) - truth
        slope = TYPE_PULL * values
        for column in range(len(main_text.TYPES)):
            slope[:, column] += np.bincount(flat, np.repeat(error[:, column], sizes), minlength=blocks.BUCKETS)
        squares += slope**2
        values -= 0.1 * slope / np.sqrt(squares)
        offset -= 0.5 * error.mean(axis=0)
    return hundredths(values)


def fold(site: str, parts: int, salt: str = "") -> int:
    return zlib.crc32(f"{salt}{site}".encode()) % parts


def text_weights(examples: list[Example]) -> np.ndarray:
    """(TEXT_BUCKETS,) int16, hundredths of log odds: the label of a block by its own words, as path_weights."""
    pieces = [piece for e in examples for piece in own_words(e.tree)]
    sizes = np.array([len(piece) for piece in pieces])
    keep = sizes > 0
    sizes, labels = sizes[keep], np.concatenate([e.labels for e in examples])[keep]
    flat, starts = np.concatenate(pieces), np.concatenate([[0], np.cumsum(sizes)[:-1]])
    weight = np.concatenate([np.full(len(e.labels), 1 / np.sqrt(max(1, len(e.labels)))) for e in examples])[keep]
    scale = 1 / np.sqrt(sizes)
    values, squares = np.zeros(block_features.TEXT_BUCKETS), np.full(block_features.TEXT_BUCKETS, 1e-8)
    offset = 0.0
    for _ in range(TEXT_ROUNDS):
        score = np.add.reduceat(values[flat], starts) * scale + offset
        error = weight * (1 / (1 + np.exp(-score)) - labels)
        slope = np.bincount(flat, np.repeat(error * scale, sizes), len(values)) + PULL * values
        squares += slope**2
        values -= 0.3 * slope / np.sqrt(squares)
        offset -= 0.5 * error.sum() / weight.sum()
    return hundredths(values)


def own_words(tree: blocks.Tree) -> list[np.ndarray]:
    """The buckets of the first words of each block."""
    buckets = block_features.text_buckets(tree.tokens).astype(np.int32)
    sizes = tree.counts[:, blocks.TOKENS]
    starts = np.cumsum(sizes) - sizes
    ends = starts + np.minimum(sizes, block_features.SCORED)
    return [buckets[start:end] for start, end in zip(starts.tolist(), ends.tolist(), strict=True)]


def all_weights(examples: list[Example]) -> tuple[np.ndarray, np.ndarray]:
    return word_weights(examples), text_weights(examples)


def tables(examples: list[Example]) -> list[np.ndarray]:
    """What the trees learn from: the features of each page, with word weights that its site had no part in."""
    part = [fold(e.site, FOLDS) for e in examples]
    weights = [all_weights([e for e, p in zip(examples, part, strict=True) if p != f]) for f in range(FOLDS)]
    return [block_features.features(e.tree, *weights[p]) for e, p in zip(examples, part, strict=True)]


def train(examples: list[Example]) -> main_text.Model:
    """The model of these pages."""
    import lightgbm

    examples = [e for e in examples if len(e.labels)]
    table = np.concatenate(tables(examples))
    labels = np.concatenate([e.labels for e in examples])
    weight = np.concatenate([np.full(len(e.labels), 100 / len(e.labels)) for e in examples])
    data = lightgbm.Dataset(table, labels, weight=weight, params=BOOSTING)
    booster = lightgbm.train(BOOSTING, data, TREES)
    return compiled(booster.dump_model()["tree_info"], *all_weights(examples))


def compiled(trees: list[dict], weights: np.ndarray, text: np.ndarray) -> main_text.Model:
    """LightGBM's trees as arrays; what is less deep than DEPTH is filled with nodes that send all to the left."""
    inner, leaves = 2**main_text.DEPTH - 1, 2**main_text.DEPTH
    feature = np.zeros((len(trees), inner), np.int32)
    threshold = np.full((len(trees), inner), np.inf, np.float32)
    leaf = np.zeros((len(trees), leaves), np.int32)
    for number, tree in enumerate(trees):
        waiting = [(tree["tree_structure"], 0)]
        while waiting:
            node, place = waiting.pop()
            if "leaf_value" in node and place >= inner:
                leaf[number, place - inner] = round(node["leaf_value"] * main_text.UNIT)
            elif "leaf_value" in node:
                waiting.append((node, 2 * place + 1))
            else:
                feature[number, place] = node["split_feature"]
                threshold[number, place] = _below(node["threshold"])
                waiting += [(node["left_child"], 2 * place + 1), (node["right_child"], 2 * place + 2)]
    return main_text.Model(weights, text, feature, threshold, leaf)


def _below(value: float) -> np.float32:
    """The largest float32 that is not above a threshold: features are float32, so the same ones pass."""
    near = np.float32(value)
    return near if near <= value else np.nextafter(near, np.float32(-np.inf))


def cross_validated(examples: list[Example], folds: int) -> dict[str, str]:
    """The main text of each page, by id, by a model that saw no page of its site."""
    found = {}
    for part in range(folds):
        model = train([e for e in examples if fold(e.site, folds, "test") != part])
        for e in examples:
            if fold(e.site, folds, "test") == part:
                found[e.id] = main_text.extract(e.tree, model)
    return found


def score(text: str, gold: collections.Counter) -> tuple[float, float, float]:
    """(F1, precision, recall) of a text's tokens; both empty: 1, one empty: 0."""
    bag = collections.Counter(tokens(text))
    common = sum((bag & gold).values())
    if not common:
        return (1.0, 1.0, 1.0) if not bag and not gold else (0.0, 0.0, 0.0)
    precision, recall = common / sum(bag.values()), common / sum(gold.values())
    return 2 * precision * recall / (precision + recall), precision, recall


def main() -> int:
    ask = settings.Parser(prog="python -m pipeline.train_content", description=__doc__)
    ask.add_argument("gold", metavar="GOLD", help="tar of pages and what to keep of them")
    ask.add_argument("--output", required=True, metavar="FILE", help="where the model goes, .npz")
    chosen = ask.parse_args()
    data = train(read(chosen.gold)).save()
    storage.write(chosen.output, data)
    print(f"{chosen.output}\t{hashlib.sha256(data).hexdigest()}")
    return terminal.DONE


if __name__ == "__main__":
    sys.exit(terminal.run(main))
