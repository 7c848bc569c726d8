"""Lines that a site repeats are marked by their hashes and left out of texts."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.lines import leave_out
from tests import key_folder

MENU = ["Home About Contact", "All rights reserved"]


def page(site: str, number: int, own: int = 6, menu=tuple(MENU)) -> dict:
    body = [f"Line {k} of page {number} on {site} tells {number * 31 + k} things." for k in range(own)]
    return {"text": "\n".join([menu[0], *body, *menu[1:]]), "url": f"https://{site}.example/{number}"}


def left_out(path) -> dict[str, list[int]]:
    return {r["url"]: r["lines_out"] for r in key_folder.rows(path, "url", "lines_out")}


def test_a_line_on_more_pages_of_a_site_than_allowed_is_marked(tmp_path):
    pages = [page("big", k) for k in range(5)] + [page("small", k) for k in range(4)]
    books = key_folder.select(key_folder.write(tmp_path / "out", pages), site_lines=4)
    found = left_out(tmp_path / "out")
    assert all(v == ([0, 7] if "big" in k else []) for k, v in found.items())
    assert books["lines_out"] == 10


@pytest.mark.parametrize("memory", [1 << 30, 2000])
def test_ranges_change_nothing(tmp_path, memory):
    pages = [page(f"site{k % 3}", k, menu=(f"Menu of {k % 3}", f"Imprint {k % 2}")) for k in range(30)]
    key_folder.select(key_folder.write(tmp_path / "out", pages), site_lines=4, memory=memory)
    assert all(v == [0, 7] for v in left_out(tmp_path / "out").values())


def test_copies_of_a_page_do_not_take_its_lines_away(tmp_path):
    """Nine copies of an article on one site are one page."""
    text = page("x", 1)["text"]
    pages = [{"text": text, "url": f"https://x.example/{k}"} for k in range(9)] + [page("x", k) for k in range(2, 5)]
    key_folder.select(key_folder.write(tmp_path / "out", pages), site_lines=4)
    assert not any(left_out(tmp_path / "out").values())


def test_a_line_counts_once_a_page(tmp_path):
    pages = [page("x", k, menu=("Again", "Again", "Again", "Again")) for k in range(3)]
    key_folder.select(key_folder.write(tmp_path / "out", pages), site_lines=4)
    assert not any(left_out(tmp_path / "out").values())


def test_a_page_that_loses_nearly_all_is_rejected(tmp_path):
    pages = [page("x", k) for k in range(6)] + [page("x", 7, own=1, menu=(*MENU, *["Home About Contact"] * 4))]
    key_folder.select(key_folder.write(tmp_path / "out", pages), site_lines=4)
    found = key_folder.verdicts(tmp_path / "out")
    assert {k for k, v in found.items() if v == "SITE_LINES"} == {"https://x.example/7"}


def test_no_lines_when_not_asked(tmp_path):
    pages = [page("big", k) for k in range(5)]
    key_folder.select(key_folder.write(tmp_path / "out", pages), site_lines=0)
    assert not any(left_out(tmp_path / "out").values())


@pytest.mark.parametrize("memory", [1 << 30, 2000])
def test_a_line_on_more_pages_of_the_corpus_than_allowed_is_marked(tmp_path, memory):
    """Six sites of one page each share a notice; a menu stands on one site only."""
    pages = [page(f"s{k}", k, menu=(f"Own {k}", "Powered by a shop")) for k in range(6)] + [
        page("big", k, menu=("Menu", f"Foot {k}")) for k in range(5)
    ]
    path = key_folder.write(tmp_path / "out", pages)
    key_folder.select(path, site_lines=0, corpus_lines=5, memory=memory)
    assert all(v == ([7] if "//s" in k else []) for k, v in left_out(path).items())
    key_folder.select(path, site_lines=4, corpus_lines=5, memory=memory)
    assert all(v == ([7] if "//s" in k else [0]) for k, v in left_out(path).items())
    key_folder.select(path, site_lines=4, corpus_lines=4, memory=memory)
    assert all(v == ([7] if "//s" in k else [0]) for k, v in left_out(path).items())


@given(st.lists(st.sampled_from(["a", "b b", "", " ", "c"]), max_size=8), st.sets(st.integers(0, 9)))
def test_the_lines_that_are_left_are_the_others(lines, numbers):
    text = "\n".join(lines)
    numbered = [line for line in lines if line.strip()]
    left = [line for k, line in enumerate(numbered) if k not in numbers]
    assert [line for line in leave_out(text, numbers).split("\n") if line.strip()] == left
    assert leave_out(text, []) == text
