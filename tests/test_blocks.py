"""HTML -> blocks and their tree."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline import blocks
from pipeline.blocks import TAG, tidy


def read(html: str) -> blocks.Tree:
    return blocks.read(html.encode())


def texts(html: str) -> list[str]:
    return [tidy(t, False) for t in read(html).texts]


def test_elements_of_a_page_part_its_text():
    page = "<div>One <b>bold</b> word<p>two</p>three<ul><li>four<li>five</ul><table><tr><td>six<td>seven</table></div>"
    assert texts(page) == ["One bold word", "two", "three", "four", "five", "six", "seven"]


def test_words_stay_apart_across_tags_and_together_within():
    assert texts("<p>a<b>b</b> c <i>d</i>\n e<span>f</span></p>") == ["ab c d ef"]


def test_line_breaks():
    assert texts("<p>one<br>two<br><br>  three </p>") == ["one\ntwo\nthree"]


def test_entities_and_spaces():
    assert texts("<p>&lt;b&gt; &amp;amp; a&nbsp;&nbsp;b &eacute;</p>") == ["<b> &amp; a b é"]


def test_code_keeps_its_lines():
    tree = read("<pre>\nif x:\n    <b>y</b>\n\nz  </pre>")
    assert tidy(tree.texts[0], True) == "if x:\n    y\n\nz"
    assert TAG["pre"] == tree.tag[tree.owner[0]]


@pytest.mark.parametrize("hidden", [
    "<script>if (a<b) '</div><p>no</p>'</script>",
    "<style>p > a {}</style>",
    "<!-- <p>no</p> a > b -->",
    "<!--[if IE]><html lang=xx><![endif]-->",
    "<svg><title>no</title><g><svg><text>no</text></svg></g></svg>",
    "<select><option>no<option>no</select>",
    "<textarea><p>no</textarea>",
    "<template><div>no</div></template>",
    "<iframe src=x><p>no</iframe>",
])  # fmt: skip
def test_what_is_no_text_is_passed_over(hidden):
    assert texts(f"<html lang=de><body><p>before</p>{hidden}<p>behind</p>") == ["before", "behind"]


def test_text_without_scripts_is_read():
    assert texts("<div><noscript><p>posts</p></noscript></div>") == ["posts"]


def test_nodes_hold_their_blocks():
    tree = read("<body><div class=a><p>x</p><p>y</p></div><div><p>z</p></div></body>")
    a = next(n for n in range(len(tree.tag)) if tree.tag[n] == TAG["div"])
    assert (tree.first[a], tree.last[a]) == (0, 2)
    assert (tree.first[0], tree.last[0]) == (0, 3)
    for node in range(1, len(tree.tag)):
        above = tree.parent[node]
        assert above < node
        assert tree.first[above] <= tree.first[node] <= tree.last[node] <= tree.last[above]


def test_links_are_counted_by_their_characters():
    tree = read("<p><a href=x>abc</a> de <a>f</a></p><p>none</p>")
    assert (tree.linked, tree.links) == ([4, 0], [2, 0])


def test_names_are_known_by_their_words():
    one, two = (set(k) for html in ("<div class='postBody main' id=x-content>a", "<div id='main-content post_body x'>b")
                for k in list(read(html).kinds)[-1:])  # fmt: skip
    assert one == two
    assert len(one) == 6  # div, post, body, main, x, content


@pytest.mark.parametrize("tag", ["<div hidden>", "<div style='color:red; display: none'>", "<div aria-hidden=true>"])
def test_what_hides_says_so(tag):
    assert len(list(read(f"{tag}x").kinds)[-1]) == 2
    assert len(list(read("<div style='display:block' aria-hidden=false>x").kinds)[-1]) == 1


def test_hints():
    tree = read("<html lang='pt-BR'><head><title>A &amp; B</title><meta name=Robots content='NoAI '><title>C</title>")
    assert tree.title == "A &amp; B"


PIECES = st.sampled_from(["<p>", "</p>", "<a href='<b>'>", "</a>", "<x-y>", "</x-y>", "<script>", "</script>", "<!--",
                          "-->", "a", " ", "<br>", "<li>", "<pre>", "<td>", "<b class='", '"', "<?x >", "<svg>",
                          "</svg>", "<a<b c<d=e>", "<noscript>", "<title>", "\0", "&lt;"])  # fmt: skip


@settings(max_examples=300, deadline=None, derandomize=True)
@given(st.lists(PIECES, max_size=40))
def test_any_markup_gives_a_sound_tree(pieces):
    tree = read("".join(pieces))
    count = len(tree.texts)
    assert len(tree.owner) == len(tree.linked) == len(tree.links) == count
    assert all(0 <= start <= stop <= count for start, stop in zip(tree.first, tree.last, strict=True))
    assert all(tree.first[o] <= k < tree.last[o] for k, o in enumerate(tree.owner))
