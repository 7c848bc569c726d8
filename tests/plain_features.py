"""The definitions of a block's features with arrays: what `block_features.features` must equal."""

import collections

import numpy as np

from pipeline.block_features import COUNTED, GROUPS, PATHS, SCORED, text_buckets
from pipeline.blocks import CHARACTERS, COMMAS, DIGITS, ENDS, LINKED, LINKS, SIGNS, TAG, TOKENS, UPPER, Tree

ONE, LONG, GOOD, IN_P, IN_LI, IN_CELL, IN_HEAD = range(LINKS + 1, LINKS + 8)
"""Columns of what is summed over the blocks inside a node, behind those of `Tree.counts`."""
LONG_TOKENS = 20
LEVELS = 5
"""Nodes above a block that it is described by."""

_GROUP = np.zeros(64, np.int64)
for _number, _names in enumerate(GROUPS, 1):
    _GROUP[[TAG[name] for name in _names.split()]] = _number


class Page:
    """The tree of a page as arrays, and the sums over its nodes."""

    def __init__(self, tree: Tree):
        self.parent, self.kind, self.tag = (x.astype(np.int64) for x in (tree.parent, tree.kind, tree.tag))
        self.first, self.last, self.owner = (
            x.astype(np.int64) for x in (tree.nodes[:, 3], tree.nodes[:, 4], tree.owner)
        )
        self.ends = tree.blocks[:, 3]
        self.counts = block_counts(tree, _GROUP[self.tag[self.owner]])
        total = np.zeros((len(tree.texts) + 1, self.counts.shape[1]), np.int64)
        np.cumsum(self.counts, axis=0, out=total[1:])
        self.total = total
        self.sums = total[self.last] - total[self.first]


def block_counts(tree: Tree, group: np.ndarray) -> np.ndarray:
    """(blocks, all columns) int64."""
    result = np.zeros((len(tree.counts), IN_HEAD + 1), np.int64)
    result[:, : LINKS + 1] = tree.counts
    result[:, ONE] = 1
    tokens = result[:, TOKENS]
    result[:, LONG] = tokens >= LONG_TOKENS
    good = (tokens >= LONG_TOKENS // 2) & (3 * result[:, LINKED] < result[:, CHARACTERS])
    result[:, GOOD] = np.where(good, tokens, 0)
    for value, column in ((1, IN_P), (2, IN_LI), (3, IN_CELL), (4, IN_HEAD)):
        result[:, column] = np.where(group == value, tokens, 0)
    return result


def depths_and_paths(parent: np.ndarray, own: np.ndarray) -> np.ndarray:
    """(nodes, k): for each node the sum of `own` over itself and all above; node 0 must have zeros."""
    result, above = own.copy(), parent.copy()
    while above.any():
        result += result[above]
        above = above[above]
    return result


def features(tree: Tree, weights: np.ndarray, text_weights: np.ndarray) -> np.ndarray:
    page = Page(tree)
    scores = _kind_scores(tree, weights)
    nodes = _node_features(page, scores[page.kind, :PATHS])
    blocks = _block_features(page, nodes)
    shared = np.concatenate([_page_features(tree, page, nodes), scores[:, PATHS:].sum(axis=0)])
    parts = [blocks, _around(page, blocks, nodes)]
    node = page.owner
    for _ in range(LEVELS):
        parts.append(nodes[node])
        node = page.parent[node]
    parts.append(_places(page))
    parts.append(_words(tree, page, text_weights))
    parts.append(np.broadcast_to(shared, (len(tree.texts), len(shared))))
    return np.concatenate(parts, axis=1, dtype=np.float32)


def _kind_scores(tree: Tree, weights: np.ndarray) -> np.ndarray:
    """(kinds, PATHS + types) int64: the sum of the weights of the words of each kind of node."""
    scores = np.add.reduceat(weights[tree.words], tree.starts, axis=0, dtype=np.int64)
    scores[0] = 0
    return scores


def _ratio(part: np.ndarray, whole: np.ndarray) -> np.ndarray:
    return part / np.maximum(whole, 1)


def _node_features(page: Page, own: np.ndarray) -> np.ndarray:
    """(nodes, columns) float64. The first columns are the scores of the path. own: (nodes, PATHS)."""
    sums, kind = page.sums, page.kind
    steps = np.ones((len(own), PATHS + 1), np.int64)
    steps[:, :PATHS] = own
    steps[0] = 0
    path = depths_and_paths(page.parent, steps)
    tokens = sums[:, TOKENS]
    alike = np.bincount(kind)
    alike_tokens = np.bincount(kind, weights=tokens)
    alike_good = np.bincount(kind, weights=sums[:, GOOD])
    pairs = page.parent * len(alike) + kind
    _, back, siblings = np.unique(pairs, return_inverse=True, return_counts=True)
    columns = (
        *path.T,
        *own.T,
        page.tag,
        tokens,
        sums[:, ONE],
        _ratio(tokens, sums[:, ONE]),
        _ratio(sums[:, LINKED], sums[:, CHARACTERS]),
        _ratio(sums[:, GOOD], tokens),
        sums[:, LONG],
        _ratio(tokens, tokens[:1]),
        _ratio(sums[:, COMMAS] + sums[:, ENDS], tokens),
        siblings[back],
        alike[kind],
        _ratio(alike_tokens, alike)[kind],
        _ratio(alike_good, alike_tokens)[kind],
    )
    return np.stack(columns, axis=1)


def _block_features(page: Page, nodes: np.ndarray) -> np.ndarray:
    c = page.counts
    size, tokens = c[:, CHARACTERS], c[:, TOKENS]
    place = np.arange(len(c))
    columns = (
        tokens,
        size,
        _ratio(size, tokens),
        _ratio(c[:, LINKED], size),
        c[:, LINKS],
        _ratio(c[:, DIGITS], size),
        _ratio(c[:, SIGNS], size),
        _ratio(c[:, COMMAS], tokens),
        c[:, ENDS],
        _ratio(c[:, UPPER], size),
        page.ends,
        page.tag[page.owner],
        place - page.first[page.owner],
        place,
        len(c) - place,
        place / len(c),
        page.total[:-1, TOKENS],
        _ratio(page.total[:-1, TOKENS], page.total[-1:, TOKENS]),
        _ratio(page.total[:-1, GOOD], page.total[-1:, GOOD]),
        *nodes[page.owner, :PATHS].T,
    )
    return np.stack(columns, axis=1).astype(np.float64)


def _around(page: Page, blocks: np.ndarray, nodes: np.ndarray) -> np.ndarray:
    """The two blocks before and after, and sums over windows: tokens, link share, tag, path, same owner."""
    count = len(blocks)
    chosen = blocks[:, [0, 3, 11, *range(blocks.shape[1] - PATHS, blocks.shape[1])]]
    padded = np.zeros((count + 4, 3 + PATHS))
    padded[2:-2] = chosen
    owner = np.full(count + 4, -1)
    owner[2:-2] = page.owner
    parts: list[np.ndarray] = [padded[k : k + count] for k in (0, 1, 3, 4)]
    parts += [(owner[k : k + count] == page.owner)[:, None] for k in (1, 3)]
    for reach in (4, 10):
        low = np.maximum(np.arange(count) - reach, 0)
        high = np.minimum(np.arange(count) + reach + 1, count)
        window = page.total[high] - page.total[low]
        parts.append(_ratio(window[:, GOOD], window[:, TOKENS])[:, None])
        parts.append(_ratio(window[:, LINKED], window[:, CHARACTERS])[:, None])
        parts.append(window[:, [GOOD]])
    return np.concatenate(parts, axis=1)


def _places(page: Page) -> np.ndarray:
    """Where blocks stand to the containers that look best: steps up from the container until the block is inside, and
    steps up from the block; for (a) most good text right below, (b) most good minus other text in all."""
    sums = page.sums
    below = np.bincount(page.parent, weights=np.bincount(page.owner, weights=page.counts[:, GOOD], minlength=len(sums)))
    surplus = 2 * sums[:, GOOD] - sums[:, TOKENS]
    parts: list[np.ndarray] = []
    for best in (int(below[: len(sums)].argmax()), int(surplus.argmax())):
        chain = [best]
        while chain[-1]:
            chain.append(int(page.parent[chain[-1]]))
        place = np.arange(len(page.owner))
        firsts, lasts = page.first[chain], page.last[chain]
        up = np.maximum(
            np.searchsorted(-firsts, -place, "left"),
            np.searchsorted(lasts, place, "right"),
        )
        parts += [up, place - firsts[0], place - lasts[0]]
    headings = np.flatnonzero(page.tag[page.owner] == TAG["h1"])
    h1 = headings[0] if len(headings) else -1
    parts.append(np.arange(len(page.owner)) - h1 if h1 >= 0 else np.full(len(page.owner), -9999))
    return np.stack(parts, axis=1)


def _page_features(tree: Tree, page: Page, nodes: np.ndarray) -> np.ndarray:
    t = page.total[-1].astype(np.float64)
    tokens, ones = max(t[TOKENS], 1.0), max(t[ONE], 1.0)
    c = page.counts
    biggest = np.sort(c[:, TOKENS])[::-1]
    score = nodes[page.owner, 0]
    tag = np.bincount(page.tag, minlength=len(TAG))
    groups = [t[k] / tokens for k in (IN_P, IN_LI, IN_CELL, IN_HEAD, GOOD)]
    return np.array(
        [
            t[TOKENS], ones, len(page.tag), t[LINKED] / max(t[CHARACTERS], 1.0), *groups, t[LONG], t[LONG] / ones,
            (t[COMMAS] + t[ENDS]) / tokens, t[DIGITS] / max(t[CHARACTERS], 1.0), biggest[0] / tokens,
            biggest[: 5].sum() / tokens, tokens / ones, np.median(score), score.max(),
            (score * c[:, TOKENS]).sum() / tokens, len(tree.starts),
            *(tag[TAG[name]] for name in COUNTED.split()),
            page.sums[:, GOOD][page.tag == TAG["article"]].max(initial=0) / max(t[GOOD], 1.0),
            page.sums[:, GOOD][page.tag == TAG["main"]].max(initial=0) / max(t[GOOD], 1.0),
        ]
    )  # fmt: skip


def _words(tree: Tree, page: Page, text_weights: np.ndarray) -> np.ndarray:
    ends = np.cumsum(page.counts[:, TOKENS])
    pieces = [tree.tokens[end - size : end].tolist() for end, size in zip(ends, page.counts[:, TOKENS], strict=True)]
    columns: list = []
    for told in (tree.by_json, tree.by_description):
        columns += _told(pieces, told.tolist())
    title = [t for t in dict.fromkeys(tree.by_title[:64].tolist()) if t]
    columns.append([sum(w in title for w in p) / max(1, len(p)) for p in pieces])
    columns.append([sum(t in p for t in title) / max(1, len(title)) for p in pieces])
    same = [(size, *p) for size, p in zip(page.counts[:, CHARACTERS].tolist(), pieces, strict=True)]
    times = collections.Counter(same)
    columns.append([times[s] for s in same])
    firsts = [np.array(p[:SCORED], np.uint32) for p in pieces]
    score = np.array([text_weights[text_buckets(f)].sum(dtype=np.int64) / np.sqrt(max(1, len(f))) for f in firsts])
    is_heading = _GROUP[page.tag[page.owner]] == 4
    heading = np.maximum.accumulate(np.where(is_heading, np.arange(len(pieces)), -1))
    columns += [score, np.where(heading >= 0, score[heading], 0)]
    columns.append(np.where(heading >= 0, np.arange(len(pieces)) - heading, -1))
    columns += [np.append(0, score[:-1]), np.append(score[1:], 0)]
    return np.stack([np.asarray(c, np.float64) for c in columns], axis=1)


def _told(pieces: list[list[int]], told: list[int]) -> list:
    """Shares of each block's words in runs of three that are told elsewhere, of the page's words, number of runs."""
    known = {run for run in zip(told, told[1:], told[2:], strict=False) if 0 not in run}
    flat = [word for piece in pieces for word in piece]
    covered = [False] * len(flat)
    for place, run in enumerate(zip(flat, flat[1:], flat[2:], strict=False)):
        if run in known:
            covered[place : place + 3] = [True] * 3
    shares, start = [], 0
    for piece in pieces:
        shares.append(sum(covered[start : start + len(piece)]) / max(1, len(piece)))
        start += len(piece)
    count = len(pieces)
    return [shares, [sum(covered) / max(1, len(flat))] * count, [len(known)] * count]
