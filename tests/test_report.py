"""report.html and the dataset card: complete, self-contained, safe against what pages say."""

import json
import re
import shutil
from html.parser import HTMLParser
from pathlib import Path

import corpus_folder
import pytest
from corpus_folder import EVIL_URL, SCRIPT, STAGES

from corpus.terminal import UserError
from pipeline import books, findings, folder, markup, report

VOID = {"meta", "br", "link", "img", "input", "hr"}


class Page(HTMLParser):
    """Tags, attributes and text of a page; every element must be closed in order."""

    def __init__(self, text: str):
        super().__init__(convert_charrefs=True)
        self.tags: list[str] = []
        self.attributes: list[tuple[str, str, str | None]] = []
        self.text: list[str] = []
        self.open: list[str] = []
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.attributes += [(tag, k, v) for k, v in attrs]
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.tags.append(tag)
        self.attributes += [(tag, k, v) for k, v in attrs]

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if self.open[-1:] != ["style"]:
            self.text.append(data)

    def values(self, name):
        return [v for _, k, v in self.attributes if k == name]


@pytest.fixture(scope="session")
def root(tmp_path_factory) -> Path:
    return corpus_folder.build(tmp_path_factory.getbasetemp())


@pytest.fixture(params=STAGES)
def stage(root, request) -> Path:
    return root / request.param


def written(path) -> tuple[str, Page]:
    text = Path(report.write(str(path))).read_text(encoding="utf-8")
    return text, Page(text)


def test_nothing_from_the_web_becomes_markup(stage):
    text, page = written(stage)
    assert not {"script", "img", "iframe", "object", "link", "form", "base"} & set(page.tags)
    assert not [k for _, k, _ in page.attributes if k.startswith("on")]
    assert SCRIPT not in text
    shown = "".join(page.text)
    assert SCRIPT in shown  # but it is there, as text
    assert "javascript:alert" in shown
    assert not re.search("[\u202a-\u202e\u2066-\u2069\u200e\u200f\x00-\x08\x0b-\x1f]", text)


def test_it_opens_offline_and_forbids_everything_else(stage):
    text, page = written(stage)
    policy = next(v for v in page.values("content") if "default-src" in v)
    assert policy.startswith("default-src 'none'; style-src 'unsafe-inline'; img-src data:")
    assert text.index("Content-Security-Policy") < text.index("<title>")
    assert not {"src", "srcset", "action", "data", "xlink:href"} & {k for _, k, _ in page.attributes}
    anchors = set(page.values("id"))
    assert all(v.startswith("#") and v[1:] in anchors for v in page.values("href"))
    assert "url(" not in text
    assert "@import" not in text
    assert len(text) < 300_000


def numbers(value) -> set[str]:
    """All counts of a table of a books file."""
    return {f"{n:,}" for n in value.values()}


def test_all_counts_of_the_books_occur(root):
    _, page = written(root / "tokens")
    shown = set(re.findall(r"[\d,]+\d|\d", " ".join(page.text)))
    made, chosen = books.read(str(root / "tokens"), "documents"), books.read(str(root / "tokens"), "selection")
    manifest = json.loads((root / "tokens" / "tokens" / "manifest.json").read_text())
    wanted = {f"{made[k]:,}" for k in ("records", "documents", "characters", "truncated")} | numbers(made["drops"])
    for name in ("rejections", "failing", "alone"):
        wanted |= numbers(chosen[name])
    for row in chosen["languages"].values():
        wanted |= {f"{row[k]:,}" for k in ("documents", "kept", "kept_characters", "validation")}
    wanted |= {f"{manifest['books']['tokens']:,}", f"{chosen['kept']:,}"}
    assert len(wanted) > 15
    assert wanted <= shown
    names = {*made["drops"], *chosen["failing"], *chosen["languages"]}
    assert names <= set(page.text)


def test_each_stage_tells_what_it_has(root):
    told = {stage: "".join(written(root / stage)[1].text) for stage in STAGES}
    assert "not selected yet" in told["documents"]
    assert "there are no tokens yet" in told["selection"]
    assert [text.count("balances") for text in told.values()] == [1, 2, 4]
    assert ["copies" in text for text in told.values()] == [False, True, True]
    assert ["bytes / token" in text for text in told.values()] == [False, False, True]
    assert ["Duplicates" in text for text in told.values()] == [False, True, True]


def test_a_rejected_page_is_shown_with_value_and_limit(root):
    _, page = written(root / "selection")
    assert "words 7, at least 20" in "".join(page.text)
    corpus = folder.read(str(root / "selection"))
    examples = findings.look(corpus).examples
    assert next(e.facts for e in examples["TOO_SHORT"] if e.url == corpus_folder.SHORT_URL) == "words 7, at least 20"
    assert EVIL_URL in [e.url for found in examples.values() for e in found]
    assert {e.facts.partition(":")[0] for e in examples["NEAR_DUPLICATE"]} == {"kept instead"}
    assert set(page.values("dir")) == {"ltr", "auto"}
    assert {"en-Latn", "en"} <= set(page.values("lang"))


def test_the_largest_cluster_names_its_winner(root):
    found = findings.look(folder.read(str(root / "selection")))
    assert found.largest[0].size == 4  # the copy that write_crawl makes, with another title, and three more
    assert found.largest[0].won
    assert found.clustered == sum(c.size for c in found.largest)
    assert found.sizes.total() == found.clusters


def test_the_same_corpus_gives_the_same_bytes(stage, tmp_path):
    shutil.copytree(stage, tmp_path / stage.name)
    for name in ("report.html", "README.md"):
        (tmp_path / stage.name / name).unlink(missing_ok=True)
    first, second = written(stage)[0], written(tmp_path / stage.name)[0]
    assert first == second
    assert (stage / "README.md").read_bytes() == (tmp_path / stage.name / "README.md").read_bytes()


def test_books_that_do_not_balance_are_said(root, tmp_path):
    shutil.copytree(root / "documents", tmp_path / "out")
    path = tmp_path / "out" / "documents" / "books.json"
    made = json.loads(path.read_text())
    made["records"] += 3
    path.write_text(json.dumps(made))
    assert "does not balance: +3" in "".join(written(tmp_path / "out")[1].text)


def test_a_damaged_file_is_named_with_its_range(root):
    text = "".join(written(root / "documents")[1].text)
    failed = json.loads((root / "documents" / "failed_files.json").read_text())
    assert failed
    for start, stop, why in failed[0]["damage"]:
        assert f"{start:,} to {stop:,}: {markup.visible(why)}" in text


def test_times_are_shown_when_they_were_noted(root, tmp_path):
    shutil.copytree(root / "tokens", tmp_path / "out")
    books_of = tmp_path / "out" / "times.json"
    assert set(json.loads(books_of.read_text())) == {"extract", "select", "tokenize"}
    books_of.write_text('{"extract": {"seconds": 100, "workers": 3, "skipped": 0}}')
    assert "100 s" in "".join(written(tmp_path / "out")[1].text)
    books_of.unlink()
    assert 'id="times"' not in written(tmp_path / "out")[0]


def test_the_card_has_a_header_that_hubs_read(root):
    report.write(str(root / "tokens"))
    report.write(str(root / "documents"))
    card = (root / "tokens" / "README.md").read_text()
    _, header, body = card.split("---\n", 2)
    assert '- "de"\n- "el"\n- "en"\n- "fr"\n- "ru"\n' in header
    globs = re.findall(r"path: (\S+)", header)
    assert globs
    assert all(list((root / "tokens").glob(g)) for g in globs)
    chosen = books.read(str(root / "tokens"), "selection")
    assert f"| documents kept | {chosen['kept']:,} |" in body
    assert "data_files: documents/part-*.parquet" in (root / "documents" / "README.md").read_text()


def test_a_folder_without_documents_is_a_mistake(tmp_path):
    with pytest.raises(UserError, match="run python -m pipeline extract first"):
        report.write(str(tmp_path))


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("a\u202eb", "a\ufffdb"),
        ("\x1b[31m", "\ufffd[31m"),
        ("می\u200cخواهم\n", "می\u200cخواهم\n"),
        ("\ud800", "\ufffd"),
    ],
)
def test_what_could_rearrange_a_page_is_made_visible(text, shown):
    assert markup.visible(text) == shown


def test_an_excerpt_is_short_and_ends_at_a_word():
    assert findings.excerpt("one  two\n\n\nthree") == "one  two\nthree"
    cut = findings.excerpt("word " * 200)
    assert len(cut) <= findings.EXCERPT + 2
    assert cut.endswith("word …")
    assert findings.excerpt("語" * 500) == "語" * findings.EXCERPT + " …"


def test_parts_to_look_at_are_spread():
    assert findings.spread(3, 5) == [0, 1, 2]
    assert findings.spread(1000, 4) == [0, 250, 500, 750]
