"""inspect and why: filters, forms of address, what is told, terminal safety."""

import re
from pathlib import Path

import corpus_folder
import crawl
import pyarrow.parquet as pq
import pytest
from corpus_folder import ERROR_URL, EVIL_URL, SHORT_URL

from corpus import shards
from corpus.document import Reason
from corpus.terminal import StepError, UserError
from pipeline import books, folder, lookup, reading
from pipeline.__main__ import main

ARTICLE = "https://site0.example/eng/22.html"


@pytest.fixture(scope="session")
def root(tmp_path_factory) -> Path:
    return corpus_folder.build(tmp_path_factory.getbasetemp())


def blocks(path, *args, **filters):
    return list(reading.inspect(str(path), *args, **filters))


def told(path, page):
    return "\n".join(reading.why(str(path), page))


# --- inspect ------------------------------------------------------------------------------------------------------


def test_all_documents_can_be_read_before_there_is_a_selection(root):
    made = books.read(str(root / "documents"), "documents")
    shown = blocks(root / "documents", count=1000)
    assert len(shown) == made["documents"]
    assert all(b.startswith("not selected yet  ") for b in shown)
    assert len(blocks(root / "documents", count=3)) == 3
    assert shown[:3] == blocks(root / "documents", count=3)


def test_filters_by_verdict_add_up(root):
    chosen = books.read(str(root / "selection"), "selection")
    kept = blocks(root / "selection", verdict="kept", count=1000)
    rejected = blocks(root / "selection", verdict="rejected", count=1000)
    assert len(kept) == chosen["kept"]
    assert len(rejected) == chosen["documents"] - chosen["kept"]
    assert all(b.startswith("kept  ") for b in kept)
    assert {b.partition("  ")[0] for b in rejected} == set(chosen["rejections"])


@pytest.mark.parametrize("written", ["too_short", "too-short", "TOO_SHORT"])
def test_filter_by_reason_finds_every_document_that_fails_it(root, written):
    chosen = books.read(str(root / "selection"), "selection")
    assert len(blocks(root / "selection", reason=written, count=1000)) == chosen["failing"]["TOO_SHORT"]


def test_filters_by_language_and_url_combine(root):
    both = blocks(root / "selection", language="deu_Latn", url="SITE3.example", count=1000)
    assert both
    assert all(" deu_Latn " in b and "https://site3.example/" in b.splitlines()[0] for b in both)


def test_the_header_line_tells_the_essence(root):
    (block,) = blocks(root / "selection", url=SHORT_URL)
    head = block.splitlines()[0]
    assert re.fullmatch(r"[A-Z_]+  \w{3}_\w{4} \d\.\d\d  7 words  2026-01-02  " + re.escape(SHORT_URL), head)
    assert "  | Only these few words stand here." in block


def test_full_shows_the_whole_text(root):
    (part,) = blocks(root / "documents", url=ARTICLE)
    (whole,) = blocks(root / "documents", url=ARTICLE, full=True)
    assert part.endswith(" …\n")
    lines = [line.removeprefix("  | ") for line in whole.splitlines() if line.startswith("  | ")]
    assert set(crawl.article("eng", 22).split("\n")) <= set(lines)


def test_no_control_character_reaches_the_terminal(root):
    shown = "".join(blocks(root / "selection", count=1000, full=True)) + told(root / "selection", EVIL_URL)
    assert "evil.example" in shown
    assert not re.search("[\x00-\x09\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]", shown)


def test_names_nobody_knows_are_answered_with_the_nearest(root):
    for filters, answer in [
        ({"reason": "to_short"}, "did you mean too_short"),
        ({"reason": "http_error"}, "gave no document"),
        ({"language": "deu_Latin"}, "did you mean deu_Latn"),
        ({"count": 0}, "give 1 or more"),
    ]:
        with pytest.raises(UserError, match=answer):
            blocks(root / "selection", **filters)
    with pytest.raises(UserError, match="no selection yet"):
        blocks(root / "documents", verdict="kept")


def test_no_match_is_a_line_and_no_failure(root, capsys):
    assert main(["inspect", str(root / "selection"), "--url", "nowhere.example"]) == 0
    assert capsys.readouterr() == ("", "no document matches\n")


# --- why ----------------------------------------------------------------------------------------------------------


def test_why_tells_every_rule_with_value_and_limit(root):
    text = told(root / "selection", SHORT_URL)
    assert re.search(r"FAIL  TOO_SHORT +words 7, at least 20", text)
    assert re.search(r"pass  TOO_LONG +words 7, at most 100,000", text)
    bits = next(r for r in rows(root / "selection") if r["url"] == SHORT_URL)["reasons"]
    failing = {r.name for r in Reason if not r.is_drop and bits & r.bit}
    assert set(re.findall(r"FAIL  (\w+)", text)) == failing
    assert re.search(r"charset +utf-8, said by: the bytes are valid UTF-8", text)
    assert re.search(r"copies +0 in an epoch", text)


def rows(path):
    """All documents with their selection, as lists of columns that the tests need."""
    corpus = folder.read(str(path))
    for part in range(len(corpus.plan)):
        table = corpus.columns(part, ["url", "id", "source_offset", "reasons", "verdict", "copies"])
        yield from table.to_pylist()


@pytest.mark.parametrize(
    "url", [ARTICLE, "http://site0.example/eng/22.html?utm_source=a#b", "site0.example/eng/22.html/"]
)
def test_a_url_is_found_in_any_of_its_forms(root, url):
    assert told(root / "tokens", url).startswith(ARTICLE)


def test_all_versions_of_a_url_are_told(root):
    text = told(root / "tokens", "https://site0.example/deu/0.html")
    assert text.count("version ") == 2
    assert len(re.findall(r"verdict +SAME_URL", text)) == 1
    assert re.search(r"one of \d+, cluster part \d+ row \d+; the winner is https?://", text)


def test_many_versions_are_told_in_a_line_each(root, monkeypatch):
    monkeypatch.setattr(reading, "_VERSIONS", 1)
    text = told(root / "tokens", "https://site0.example/deu/0.html")
    assert text.count("  rules") == 1
    assert "further versions: 1" in text
    assert re.search(r"hostile\.warc\.gz byte [\d,]+  part \d+ row \d+$", text)


def test_an_id_is_found_and_leads_back_to_its_bytes(root):
    row = next(r for r in rows(root / "tokens") if r["url"] == ARTICLE)
    text = told(root / "tokens", row["id"].hex())
    assert text.startswith(ARTICLE)
    assert f"byte {row['source_offset']:,}," in text
    source = (root / "hostile.warc.gz").read_bytes()
    assert source[row["source_offset"] :][:3] == b"\x1f\x8b\x08"


def test_a_place_in_a_shard_and_why_point_to_each_other(root):
    tokens = root / "tokens" / "tokens"
    for shard in shards.read_manifest(str(tokens)).shards:
        length = int(shards.open_shard(str(tokens / shard.path)).offsets[1])
        for name in (f"{shard.path}:0", f"out/tokens/{shard.path}:0"):
            text = told(root / "tokens", name)
            assert f"tokens/{shard.path}:0, {length:,} tokens" in text
        assert re.search(rf"split +{'validation' if shard.validation else 'training'}", text)


def test_before_the_selection_rules_are_told_by_the_defaults(root):
    text = told(root / "documents", SHORT_URL)
    assert "by the default thresholds: nothing is selected yet" in text
    assert re.search(r"FAIL  TOO_SHORT +words 7, at least 20", text)
    assert "verdict    not selected yet" in text


@pytest.mark.parametrize(
    ("page", "answer"),
    [
        (ERROR_URL, r"its record gave no document: HTTP_ERROR \(404\); it lies in \S+ at byte [\d,]+"),
        ("https://site0.example/nothing", r"not among the \d+ documents; \d+ of its site are, say https?://site0"),
        ("0" * 32, "no document has this id"),
    ],
)
def test_what_is_not_there_is_said_in_a_line(root, page, answer):
    with pytest.raises(StepError, match=answer) as error:
        told(root / "tokens", page)
    assert "\n" not in str(error.value)


def test_shards_that_do_not_exist_are_mistakes(root):
    for page, answer in [
        ("eng_Latn/x1-99999.arrow:0", "no such shard; did you mean"),
        (f"{shards.read_manifest(str(root / 'tokens' / 'tokens')).shards[0].path}:99999", "counted from 0"),
    ]:
        with pytest.raises(UserError, match=answer):
            told(root / "tokens", page)
    with pytest.raises(UserError, match="no tokens of this selection"):
        told(root / "selection", "eng_Latn/x1-00000.arrow:0")


def test_commands_exit_as_they_should(root, capsys):
    assert main(["why", str(root / "tokens"), ARTICLE]) == 0
    assert main(["why", str(root / "tokens"), "https://nowhere.example/"]) == 1
    assert main(["inspect", str(root / "tokens"), "--reason", "nonsense"]) == 2
    assert capsys.readouterr().err.count("\n") == 2


def test_a_selection_of_other_documents_is_not_believed(root, tmp_path):
    import shutil

    shutil.copytree(root / "selection", tmp_path / "out")
    part = next(p for p in (tmp_path / "out" / "selection").glob("part-*.parquet") if pq.read_metadata(p).num_rows > 1)
    pq.write_table(pq.read_table(part).slice(1), part)
    with pytest.raises(StepError, match="has other rows than the part beside it"):
        blocks(tmp_path / "out", verdict="kept", url="e", count=1000)


def test_lookup_finds_nothing_twice(root):
    corpus = folder.read(str(root / "tokens"))
    found = [lookup.find(corpus, r["id"].hex()) for r in rows(root / "tokens")]
    assert len({a for some in found for a in some}) == corpus.documents["documents"]
