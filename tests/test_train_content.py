"""Gold -> labels of blocks -> a model."""

import collections
import io
import json
import tarfile

import numpy as np
import pytest

from pipeline import main_text, train_content
from pipeline.train_content import example, found, nearest, score, tokens

TEXT = "The old bridge joins both sides of the village and the children play beside the river number"


def page(number: int) -> tuple[str, str]:
    lines = [f"{TEXT} {number} {'abcdefgh'[k]}." for k in range(8)]
    menu = "".join(f"<li><a href=/{k}>Menu {k} {number}</a></li>" for k in range(8))
    body = "".join(f"<p>{line}</p>" for line in lines)
    return f"<body><ul class=menu>{menu}</ul><div class=post>{body}</div><footer>Imprint</footer>", "\n".join(lines)


def gold(path) -> str:
    metas = []
    with tarfile.open(path, "w:gz") as archive:

        def add(name: str, text: str) -> None:
            entry = tarfile.TarInfo(name)
            entry.size = len(text.encode())
            archive.addfile(entry, io.BytesIO(text.encode()))

        for k in range(24):
            html, text = page(k)
            names = {"html": f"pages/{k}.html", "gold": f"gold/{k}.txt"}
            metas.append({"id": f"p{k:02}", "site": f"site{k}.org", "page_type": "article", "language": "en", **names})
            add(names["html"], html)
            add(names["gold"], text)
        add("meta.jsonl", "\n".join(map(json.dumps, metas)))
    return str(path)


def test_tokens_of_all_scripts():
    assert tokens("Größe, Ⅷ ＡＢ! 天地 don't") == ["grösse", "viii", "ab", "天", "地", "don't"]


def test_scores_by_hand():
    wanted = collections.Counter(tokens("a b c d"))
    assert score("a b x", wanted) == (pytest.approx(4 / 7), pytest.approx(2 / 3), 0.5)
    assert score("", wanted) == (0, 0, 0)
    assert score("x", collections.Counter()) == (0, 0, 0)
    assert score("", collections.Counter()) == (1, 1, 1)


def test_gold_is_found_across_the_borders_of_blocks():
    pieces = [["home", "news"], ["a", "b"], ["c"], ["d", "e", "f"], ["news"]]
    assert found(pieces, list("abcdef")).tolist() == [False, True, True, True, False]


def test_labels_are_the_choice_nearest_to_the_gold():
    bags = [collections.Counter(t.split()) for t in ("a b c", "menu home", "d e f g", "a menu")]
    wanted = collections.Counter("abcdefg")
    assert nearest(bags, wanted, np.array([False, True, False, True])).tolist() == [1, 0, 1, 0]


def test_a_page_becomes_an_example():
    html, text = page(3)
    e = example({"id": "x", "site": "y"}, html.encode(), text)
    assert e.labels.tolist() == [0] * 8 + [1] * 8 + [0]


@pytest.fixture(scope="module")
def models(tmp_path_factory):
    pytest.importorskip("lightgbm", reason="the extra 'content' is not installed")
    examples = train_content.read(gold(tmp_path_factory.mktemp("gold") / "gold.tar.gz"))
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(train_content.BOOSTING, "min_data_in_leaf", 5)
        patch.setattr(train_content, "TREES", 10)
        patch.setattr(train_content, "ROUNDS", 15)
        return examples, train_content.train(examples), train_content.train(examples)


def test_the_same_pages_give_the_same_bytes(models):
    _, first, second = models
    assert first.save() == second.save()


def test_what_was_shown_is_learnt(models):
    _, model, _ = models
    html, text = page(99)
    e = example({"id": "x", "site": "y"}, html.encode(), text)
    assert main_text.extract(e.tree, model).split("\n") == text.split("\n")


def test_pages_come_in_the_order_of_their_ids(models):
    examples, *_ = models
    assert [e.id for e in examples] == [f"p{k:02}" for k in range(24)]
