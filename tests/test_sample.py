"""The sample crawl holds what its README promises, and its script builds it again."""

import gzip
import io
import json
import re
import subprocess
import sys
import zlib
from collections import Counter
from pathlib import Path

import pytest
from fastwarc.warc import ArchiveIterator, WarcRecordType

SAMPLE = Path(__file__).resolve().parents[1] / "examples" / "sample"
PLANTED = json.loads((SAMPLE / "planted.json").read_text("utf-8"))
FILES = ("sample.warc.gz", "sample.warc.wet.gz", "planted.json")


def records(name: str):
    """(record, its body as stored) of a file of the sample."""
    stream = io.BytesIO((SAMPLE / name).read_bytes())
    for record in ArchiveIterator(stream, parse_http=True, auto_decode="none"):
        yield record, record.reader.read()


@pytest.fixture(scope="module")
def answers() -> dict[str, tuple]:
    """URL -> (record, body) of the first response."""
    found: dict[str, tuple] = {}
    for record, body in records("sample.warc.gz"):
        if record.record_type == WarcRecordType.response:
            found.setdefault(record.headers["WARC-Target-URI"], (record, body))
    return found


def urls(kind: str) -> list[str]:
    return [url for url, facts in PLANTED.items() if facts["kind"] == kind]


def unpacked(data: bytes) -> bytes:
    """All members of a gzip file, the last one as far as it goes."""
    parts = []
    while data:
        unpacker = zlib.decompressobj(16 + zlib.MAX_WBITS)
        parts.append(unpacker.decompress(data))
        data = unpacker.unused_data
    return b"".join(parts)


@pytest.fixture(scope="module")
def rebuilt(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("sample")
    subprocess.run([sys.executable, str(SAMPLE / "make_sample.py"), str(folder)], check=True)
    return folder


def test_the_script_builds_what_is_committed(rebuilt):
    if "zlib-ng" in zlib.ZLIB_RUNTIME_VERSION:
        pytest.skip("zlib-ng packs the same content into other bytes")
    assert [name for name in FILES if (rebuilt / name).read_bytes() != (SAMPLE / name).read_bytes()] == []


def test_content_does_not_depend_on_the_packer(rebuilt):
    name = "sample.warc.wet.gz"
    assert unpacked((rebuilt / name).read_bytes()) == unpacked((SAMPLE / name).read_bytes())


def test_the_readme_counts_what_is_planted():
    counts = Counter(facts["kind"] for facts in PLANTED.values())
    rows = re.findall(r"^\| ([a-z, -]+?) \| (\d+) \|", (SAMPLE / "README.md").read_text("utf-8"), flags=re.MULTILINE)
    told = {kinds: int(count) for kinds, count in rows}
    assert told == {kinds: sum(counts[kind] for kind in kinds.split(", ")) for kinds in told}
    assert {kind for kinds in told for kind in kinds.split(", ")} == set(counts)


def test_pages_languages_scripts_and_designs_are_many():
    pages = [facts for facts in PLANTED.values() if facts.get("article")]
    languages = Counter(facts["language"] for facts in pages)
    assert len(pages) >= 170
    assert len(languages) == 19
    assert min(languages.values()) >= 8
    assert len({label[4:] for label in languages}) == 10
    assert set(Counter(facts["design"] for facts in pages if "design" in facts)) == {
        *("news", "blog", "forum", "shop", "docs", "table", "wiki")
    }


def test_the_warc_holds_every_url_and_its_record_kinds():
    kinds, seen = Counter(), Counter()
    for record, _ in records("sample.warc.gz"):
        kinds[record.headers["WARC-Type"]] += 1
        if record.record_type in (WarcRecordType.response, WarcRecordType.revisit):
            seen[record.headers["WARC-Target-URI"]] += 1
    assert seen == {url: facts["crawls"] for url, facts in PLANTED.items()}
    assert kinds["warcinfo"] == kinds["revisit"] == 1
    assert kinds["request"] == kinds["metadata"] == 19


def test_pages_are_written_in_the_charset_that_is_told(answers):
    codecs = {"windows-874": "cp874"}
    for kind in ("page", "charset", "charset-unlabelled", "charset-wrong"):
        for url in urls(kind):
            charset = PLANTED[url]["charset"]
            page = answers[url][1].decode(codecs.get(charset, charset))
            assert any(line in page for line in article_lines(PLANTED[url]["article"])), url


def article_lines(key: str) -> list[str]:
    label, number = key.split("/")
    chapter = re.split(r"^# ", (SAMPLE / "texts" / f"{label}.txt").read_text("utf-8"), flags=re.MULTILINE)[int(number)]
    return [line for line in chapter.split("\n")[1:] if line]


def test_mojibake_turns_back_into_the_article(answers):
    for url in urls("mojibake"):
        garbled = answers[url][1].decode()
        line = max(article_lines(PLANTED[url]["article"]), key=len)
        assert line not in garbled
        assert undone(garbled).count(line[:60]) == 1, url


def undone(text: str) -> str:
    """windows-1252 (C1 controls for its holes) read as UTF-8; what is neither is left out."""
    packed = b"".join(c.encode("latin-1") if 0x80 <= ord(c) < 0xA0 else c.encode("cp1252", "ignore") for c in text)
    return packed.decode("utf-8", "ignore")


def test_exact_duplicates_and_variants_are_the_same_bytes(answers):
    for url in urls("exact-duplicate") + urls("url-variant"):
        assert answers[url][1] == answers[PLANTED[url]["of"]][1]


def test_near_duplicates_share_most_of_their_lines(answers):
    for url in urls("near-duplicate"):
        lines, page = article_lines(PLANTED[url]["article"]), answers[url][1].decode()
        assert page != answers[PLANTED[url]["of"]][1].decode()
        missing = [line for line in lines if line not in page]
        assert missing == ([] if "reprint" in url else lines[-1:]), url


def test_second_crawls_come_later():
    dates: dict[str, list] = {}
    for record, _ in records("sample.warc.gz"):
        if record.record_type == WarcRecordType.response:
            dates.setdefault(record.headers["WARC-Target-URI"], []).append(record.headers["WARC-Date"])
    for url in urls("crawled-twice"):
        first, second = dates[url]
        assert second > first


def test_transfer_codings_undo_to_the_page(answers):
    for url in urls("encoded"):
        body, plain = answers[url][1], b""
        while not body.startswith(b"0\r\n"):
            size, _, body = body.partition(b"\r\n")
            plain, body = plain + body[: int(size, 16)], body[int(size, 16) + 2 :]
        assert article_lines(PLANTED[url]["article"])[0] in gzip.decompress(plain).decode()


def test_damage_is_where_it_is_told(answers):
    (cut,) = urls("truncated")
    record, body = answers[cut]
    assert record.headers["WARC-Truncated"] == "length"
    assert len(body) < int(record.http_headers["Content-Length"])
    assert unpacked((SAMPLE / "sample.warc.gz").read_bytes()).rfind(urls("cut-member")[0].encode()) > 0
    with pytest.raises(EOFError):
        gzip.decompress((SAMPLE / "sample.warc.gz").read_bytes())


def test_the_wet_file_tells_text_and_language():
    texts = {}
    for record, body in records("sample.warc.wet.gz"):
        if record.record_type == WarcRecordType.conversion:
            texts[record.headers["WARC-Target-URI"]] = record.headers.get("WARC-Identified-Content-Language")
            assert b"<p>" not in body
    wanted = {url for url, facts in PLANTED.items() if facts.get("article")} - {*urls("cut-member"), *urls("revisit")}
    assert wanted <= set(texts)
    assert all(texts[url] == PLANTED[url]["language"][:3] for url in wanted)


def test_the_sample_stays_small():
    assert sum((SAMPLE / name).stat().st_size for name in FILES[:2]) < 1_500_000
