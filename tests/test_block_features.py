"""Features of blocks: equal to their definitions, the same number on every page, of any markup."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline import block_features, blocks, main_text
from tests import plain_features

SENTENCE = "The old bridge joins both sides of the village, and on warm evenings the children play beside the river. "
PAGE = f"""<html><head><title>The bridge</title><meta name=description content="{SENTENCE}">
<meta name=generator content=WordPress><script type=application/ld+json>{{"articleBody": "{SENTENCE}"}}</script></head>
<body class=post><nav><ul><li><a>Home</a><li><a>News</a></ul></nav><article><h1>The bridge</h1><p>{SENTENCE}</p>
<h2>More</h2><p>{SENTENCE}<p>{SENTENCE}<table><tr><td>12<td>13</table></article><div class=side><a>Home</a></div>"""
PIECES = st.sampled_from([
    *(f"<{tag}>" for tag in blocks.TAGS[1:]),
    *("</div>", "</p>", "</ul>", "<div class='post main'>", "a b c", "<a>link</a>", SENTENCE, "天地玄黄。", "<br>"),
    *("12,3", "<title>a b c</title>", "<meta name=description content='a b c d'>"),
])  # fmt: skip


def weights(seed: int) -> tuple[np.ndarray, np.ndarray]:
    draw = np.random.default_rng(seed)
    words = draw.integers(-2000, 2000, (blocks.BUCKETS, block_features.PATHS + 7)).astype(np.int16)
    return words, draw.integers(-2000, 2000, block_features.TEXT_BUCKETS).astype(np.int16)


WEIGHTS = weights(1)


def read(html: str) -> blocks.Tree:
    return blocks.read(html.encode())


def test_a_page_by_its_definitions():
    tree = read(PAGE)
    assert np.array_equal(block_features.features(tree, *WEIGHTS), plain_features.features(tree, *WEIGHTS))


@settings(max_examples=150, deadline=None)
@given(st.lists(PIECES, min_size=1, max_size=60))
def test_any_page_by_its_definitions(pieces):
    tree = read("x" + "".join(pieces))
    assert np.array_equal(block_features.features(tree, *WEIGHTS), plain_features.features(tree, *WEIGHTS))


def test_features_are_the_same_number_for_every_page():
    model = main_text.load()
    pages = ["<p>x", "<body>x", f"<div><p>{SENTENCE}</p><ul><li>a<li>b</ul></div>", "<h1>t</h1>" + "<p>y</p>" * 300]
    tables = [block_features.features(read(page), model.weights, model.text_weights) for page in pages]
    assert [len(table) for table in tables] == [1, 1, 3, 301]
    assert len({table.shape[1] for table in tables}) == 1
    assert all(np.isfinite(table).all() for table in tables)
    assert block_features.features(read(""), model.weights, model.text_weights).shape[0] == 0


def test_what_is_no_tree_or_no_weights_is_refused():
    tree = read(PAGE)
    with pytest.raises(ValueError, match="another size"):
        block_features.features(tree, WEIGHTS[0][:-1], WEIGHTS[1])
    nodes = tree.nodes.copy()
    for column, value in ((0, 10_000), (1, -1), (2, 64), (4, 10_000)):
        broken = nodes.copy()
        broken[-1, column] = value
        fields = {name: getattr(tree, name) for name in blocks.Tree.__slots__} | {"nodes": broken}
        with pytest.raises(ValueError, match="no sound tree"):
            block_features.features(blocks.Tree(**fields), *WEIGHTS)


def trees(seed: int, table: np.ndarray, depth: int = 4) -> block_features.Trees:
    draw = np.random.default_rng(seed)
    feature = draw.integers(0, table.shape[1], (5, 2**depth - 1)).astype(np.int32)
    threshold = table[draw.integers(0, len(table), feature.shape), feature]
    return block_features.Trees(feature, threshold, draw.integers(-99, 99, (5, 2**depth)).astype(np.int32), depth)


def test_trees_send_blocks_as_they_would_one_by_one():
    tree = read(PAGE + "<p>x<p>y 1, 2." * 30)
    table = block_features.features(tree, *WEIGHTS)
    forest = trees(2, table)
    expected = []
    for row in table:
        total = 0
        for feature, threshold, leaf in zip(*forest[:3], strict=True):
            node = 0
            while node < len(feature):
                node = 2 * node + 1 + (row[feature[node]] > threshold[node])
            total += leaf[node - len(feature)]
        expected.append(total)
    assert block_features.score(tree, *WEIGHTS, forest).tolist() == expected
    assert len(set(expected)) > 5


def test_trees_of_another_shape_are_refused():
    tree = read(PAGE)
    table = block_features.features(tree, *WEIGHTS)
    forest = trees(3, table)
    beyond = forest._replace(feature=forest.feature + table.shape[1])
    for wrong in (forest._replace(depth=5), forest._replace(leaf=forest.leaf[1:]), beyond):
        with pytest.raises(ValueError, match="another shape"):
            block_features.score(tree, *WEIGHTS, wrong)
