"""HTML -> blocks and their tree."""

import time

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline import blocks
from pipeline.blocks import LINKED, LINKS, TAG, TOKENS


def read(html: str) -> blocks.Tree:
    return blocks.read(html.encode())


def texts(html: str) -> list[str]:
    return read(html).texts


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
    assert tree.texts[0] == "if x:\n    y\n\nz"
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
    assert tree.nodes[a, 3:].tolist() == [0, 2]
    assert tree.nodes[0, 3:].tolist() == [0, 3]
    for node in range(1, len(tree.tag)):
        above = tree.parent[node]
        assert above < node
        (first, last), (outer, end) = tree.nodes[node, 3:], tree.nodes[above, 3:]
        assert outer <= first <= last <= end


def test_links_are_counted_by_their_characters():
    tree = read("<p><a href=x>abc</a> de <a>f</a></p><p>none</p>")
    assert tree.counts[:, [LINKED, LINKS]].tolist() == [[4, 2], [0, 0]]


def last_kind(html: str) -> list[int]:
    tree = read(html)
    return tree.words[tree.starts[-1] :].tolist()


def test_names_are_known_by_their_words():
    one = last_kind("<body><div class='postBody main' id=x-content>a")
    assert set(one) == set(last_kind("<body><div id='main-content post_body x'>b"))
    assert one == [blocks.bucket(word) for word in ["div", "post", "body", "main", "x", "content"]]


@pytest.mark.parametrize("tag", ["<div hidden>", "<div style='color:red; Display: none'>", "<div aria-hidden=true>"])
def test_what_hides_says_so(tag):
    assert len(last_kind(f"<body>{tag}x")) == 2
    assert len(last_kind("<body><div style='display:block' aria-hidden=false>x")) == 1


def test_the_first_title_counts():
    tree = read(
        "<html lang='pt-BR'><head><title> A &amp;\n B</title><meta name=Robots content='NoAI '><title>C</title>"
    )
    assert tree.title == "A & B"


def test_what_a_page_tells_of_itself_is_known_by_its_words():
    told = r'{"@type": "Article", "headline": "no", "articleBody" : "One <b>B\u00c4r</b>\ntwo", "text": ["no"]}'
    tree = read(
        f"<title>Two one</title><meta property='og:description' content='one b&auml;r'>"
        f"<script type='application/ld+json'>{told}</script><p>One b\u00e4r, two"
    )
    one, bear, two = tree.tokens.tolist()
    assert tree.by_title.tolist() == [two, one, 0]
    assert tree.by_description.tolist() == [one, bear, 0]
    assert tree.by_json.tolist() == [one, bear, two, 0]


# --- the rules of the standard that move text between blocks ----------------------------------------------------------


@pytest.mark.parametrize(("html", "want"), [
    ("<p>a<p>b</p>c</p>d", ["a", "b", "c", "d"]),
    ("<ul><li>a<ul><li>b</ul>c<li>d</ul>", ["a", "b", "c", "d"]),
    ("<dl><dt>a<dd>b<dt>c</dl>", ["a", "b", "c"]),
    ("<table><td>a<td>b<tr><th>c</table>d", ["a", "b", "c", "d"]),
    ("<td>a</td> b", ["a b"]),
    ("<h1>a<h2>b</h1>c", ["a", "b", "c"]),
    ("<svg><path/><div>a</div>", ["a"]),
    ("<svg><foreignObject><div>no</div></foreignObject></svg>a", ["a"]),
    ("<div><video>no</div>a", ["a"]),
    ("<select><option>no<table><tr><td>a</table>", ["a"]),
    ("<script>'</scripty>'</script >a", ["a"]),
    ("<script><!-- <script>no</script> no --></script>a", ["a"]),
    ("<!--> a --!> b <!-->c<!--->d", ["a --!> b cd"]),
    ("<!-- no --!>a<!no>b</ no>c<?no>d", ["abcd"]),
    ("a<b title='>'>b</b><i title=x>c</i title='>'>d", ["abcd"]),
    ("a < b <3 c <", ["a < b <3 c <"]),
    ("a<p title='never ends>b", ["a"]),
    ("&amp;&ampx&notit;&notin;&bogus;&", ["&&x¬it;∉&bogus;&"]),
    ("&#65;&#x42;&#128;&#0;&#xd800;&#99999999;&#;", ["AB€\ufffd\ufffd\ufffd&#;"]),
    ("<title>no</title><textarea>no</textarea>a", ["a"]),
    ("<x-a>a<x-b>b</x-b>c</x-a>", ["a", "b", "c"]),
    ("a\0b\x85c\u3000d", ["ab c d"]),
])  # fmt: skip
def test_markup(html, want):
    assert texts(html) == want


def test_bytes_that_are_no_utf_8_are_replaced():
    assert blocks.read(b"<p>a\xffb \xed\xa0\x80 \xc3").texts == ["a\ufffdb \ufffd\ufffd\ufffd \ufffd"]


PIECES = st.sampled_from(["<p>", "</p>", "<a href='<b>'>", "</a>", "<x-y>", "</x-y>", "<script>", "</script>", "<!--",
                          "-->", "a", " ", "<br>", "<li>", "<pre>", "<td>", "<b class='", '"', "<?x >", "<svg>",
                          "</svg>", "<a<b c<d=e>", "<noscript>", "<title>", "\0", "&lt;"])  # fmt: skip


@settings(max_examples=300, deadline=None, derandomize=True)
@given(st.lists(PIECES, max_size=40))
def test_any_markup_gives_a_sound_tree(pieces):
    tree = read("".join(pieces))
    count = len(tree.texts)
    first, last = tree.nodes[:, 3], tree.nodes[:, 4]
    assert len(tree.blocks) == count
    assert all(tree.texts)
    assert ((first >= 0) & (first <= last) & (last <= count)).all()
    assert (tree.parent[1:] < np.arange(1, len(tree.nodes))).all()
    assert all(first[o] <= k < last[o] for k, o in enumerate(tree.owner))
    assert tree.counts[:, TOKENS].sum() == len(tree.tokens)
    assert tree.kind.max() < len(tree.starts)


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=300), st.binary(max_size=300))
def test_any_bytes_are_read_the_same_way_twice(one, two):
    def all_of(tree):
        return tree.texts, tree.title, tree.nodes.tolist(), tree.tokens.tolist()

    before = all_of(blocks.read(one))
    blocks.read(two)
    assert all_of(blocks.read(one)) == before


def test_time_is_linear_in_the_markup():
    """What makes tree builders quadratic: depth, lists and formatting left open, attributes, comments without end."""
    begun = time.process_time()
    for piece in ("<div>", "<b><p>", "<ul><li>", "<table><tr><td>", "</p>", "<!--", "<a ", "<svg>", "&", "<x-a></x-b>",
                  "<p>x</div>", "<h1>", "<select>", "<script>", "<div a=b c=d>x</div>"):  # fmt: skip
        blocks.read(piece.encode() * (2_000_000 // len(piece)))
    assert time.process_time() - begun < 15
