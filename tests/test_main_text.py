"""Features of blocks, the trees, the choice of blocks, the text that is made of them."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline import blocks, main_text
from pipeline.main_text import UNIT, choose, render

SENTENCE = "The old bridge joins both sides of the village, and on warm evenings the children play beside the river. "


def read(html: str) -> blocks.Tree:
    return blocks.read(html.encode())


def text_of(html: str) -> str:
    return main_text.extract(read(html))


def test_counts_of_characters_by_class():
    tree = read("<p>Two words, 12.<p>天地玄黄。<p>no")
    assert tree.counts[:, blocks.CHARACTERS].tolist() == [14, 5, 2]
    assert tree.counts[:, blocks.TOKENS].tolist() == [3, 4, 1]
    assert tree.counts[:, blocks.DIGITS].tolist() == [2, 0, 0]
    assert tree.counts[:, blocks.COMMAS].tolist() == [1, 0, 0]
    assert tree.counts[:, blocks.UPPER].tolist() == [1, 0, 0]
    assert tree.blocks[:, 3].tolist() == [1, 1, 0]


def page_of(tokens) -> blocks.Tree:
    return read("".join(f"<p>{'x ' * int(count)}" for count in tokens))


def test_the_choice_with_the_best_expected_f1_of_all_choices():
    draw = np.random.default_rng(2)
    for _ in range(30):
        score, tokens = draw.integers(-3 * UNIT, 3 * UNIT, 7), draw.integers(1, 50, 7)
        chance = 1 / (1 + np.exp(-score / UNIT))
        sets = [np.array([k >> b & 1 for b in range(7)], bool) for k in range(1, 128)]
        best = max(2 * (chance * tokens)[s].sum() / (tokens[s].sum() + (chance * tokens).sum()) for s in sets)
        keep, expected = choose(score, page_of(tokens))
        assert expected == pytest.approx(best, abs=0.02)
        assert keep.any()


@given(st.lists(st.tuples(st.integers(-3000, 3000), st.integers(1, 20)), min_size=1, max_size=30))
def test_the_choice_by_its_definition(rows):
    score, tokens = np.array([s for s, _ in rows]), np.array([t for _, t in rows])
    chance = main_text._chances()[np.clip(score, -8 * UNIT, 8 * UNIT) + 8 * UNIT]
    order = np.argsort(-score, kind="stable")
    right, size = np.cumsum((chance * tokens)[order]), np.cumsum(tokens[order])
    expected = 2 * right / np.maximum(size * UNIT**2 + right[-1], 1)
    wanted = np.zeros(len(rows), bool)
    if expected.max() >= main_text.LEAST:
        wanted[order[: int(expected.argmax()) + 1]] = True
    keep, best = choose(score, page_of(tokens))
    assert keep.tolist() == wanted.tolist()
    assert best == expected.max()


def test_nothing_is_kept_where_nothing_is_likely():
    keep, expected = choose(np.full(5, -6 * UNIT), page_of([10] * 5))
    assert not keep.any()
    assert expected < main_text.LEAST


def test_lists_tables_and_code_can_be_read():
    tree = read(
        "<h1>Title</h1><p>one<br>two</p><ul><li>a</li><li>b<p>c</p></li></ul><table><tr><th>x</th><th>y</th></tr>"
        "<tr><td>1</td><td>2</td></tr></table><pre>if a:\n    b</pre><h2>Title</h2>"
    )
    lines = render(tree, list(range(len(tree.texts)))).split("\n")
    assert lines == ["Title", "one", "two", "• a", "• b", "c", "x | y", "1 | 2", "if a:", "    b"]


def test_the_shipped_model_tells_text_from_what_is_around_it():
    menu = "".join(f"<li><a href=/{k}>Section {k}</a></li>" for k in range(12))
    body = "".join(f"<p>{SENTENCE}{SENTENCE}</p>" for _ in range(6))
    page = f"<body><nav class=menu><ul>{menu}</ul></nav><article><h1>The bridge</h1>{body}</article>"
    found = text_of(page + "<footer class=footer><p>Copyright, imprint</p></footer>")
    assert found.count(SENTENCE.strip()) == 12
    assert "Section 3" not in found
    assert "imprint" not in found


def test_the_same_text_after_other_pages():
    page = f"<body><div class=post><p>{SENTENCE * 3}</p></div><div class=side><a>Link</a></div>"
    before = text_of(page)
    text_of("<body><p>other</p>")
    assert text_of(page) == before != ""


def test_a_page_without_text_has_none():
    assert text_of("<body><img src=x></body>") == ""


def test_the_model_is_small_and_survives_saving(tmp_path, monkeypatch):
    model = main_text.load()
    data = model.save()
    assert len(data) < 2_000_000
    assert data == model.save()
    path = tmp_path / "model.npz"
    path.write_bytes(data)
    monkeypatch.setattr(main_text, "MODEL", str(path))
    again = main_text.load.__wrapped__()
    assert all((getattr(again, name) == value).all() for name, value in vars(model).items())
