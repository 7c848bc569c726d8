"""Selection by wishes and blocklists, end to end: what owners ask for and lists name is rejected, counted, told."""

from pathlib import Path

import crawl
import pytest

from corpus import settings
from corpus.document import Reason
from pipeline import folder, reading, report, steps
from pipeline.flow import Runner
from pipeline.thresholds import Thresholds

HEADS = {
    "noindex": "<meta name=robots content='noindex, nofollow'>",
    "noai": "<meta name=robots content=noai>",
    "tdm": "<meta name=tdm-reservation content=1>",
    "dated": "<meta property=article:published_time content=2024-05-06><link rel=canonical href=/c>",
    "plain": "",
}


def pages() -> list[bytes]:
    found = []
    for number, (name, head) in enumerate(HEADS.items()):
        text = crawl.article("eng", 100 + number) + f"\nWrite to {name}@mail.example or call +49 30 901820, please."
        body = crawl.html(text, name, "en").replace(b"<title>", head.encode() + b"<title>")
        found.append(crawl.page(f"https://{name}.wish.example/{name}", body, number))
    twin = crawl.html(crawl.article("eng", 200), "twin", "en")
    found += [crawl.page(f"https://{host}.example/", twin, 40 + k) for k, host in enumerate(("castor", "pollux"))]
    return found


@pytest.fixture(scope="module")
def base(tmp_path_factory) -> Path:
    base = tmp_path_factory.mktemp("wishes")
    (base / "crawl.warc.gz").write_bytes(crawl.write_crawl(base / "x.warc.gz", 20).read_bytes() + b"".join(pages()))
    options = steps.Options(str(base / "out"))
    steps.run_extract([str(base / "crawl.warc.gz")], settings.Extract(), Runner([], 0, quiet=True), options)
    return base


def select(base: Path, **values) -> dict:
    own = settings.Select(**values)
    return steps.run_select(own, Thresholds(), 1000, Runner([], 0, quiet=True), steps.Options(str(base / "out")))


def rejected(base: Path) -> dict[str, set[Reason]]:
    corpus = folder.read(str(base / "out"))
    return {
        row["title"]: {r for r in Reason if not r.is_drop and row["reasons"] & r.bit}
        for row in corpus.rows(0, range(corpus.documents["documents"]), ["title", "reasons"])
        if row["title"] in HEADS
    }


def test_hints_are_columns(base):
    corpus = folder.read(str(base / "out"))
    names = [
        "title",
        "page_language",
        "page_date",
        "canonical",
        "robots",
        "noindex",
        "noai",
        "noimageai",
        "tdm_reserved",
    ]
    rows = {r["title"]: r for r in corpus.rows(0, range(corpus.documents["documents"]), names)}
    assert rows["dated"]["page_date"].isoformat() == "2024-05-06"
    assert rows["dated"]["canonical"] == "https://dated.wish.example/c"
    assert rows["noindex"]["robots"] == "noindex, nofollow"
    found = {k: [rows[k][n] for n in names[5:]] for k in HEADS}
    assert found == {
        "noindex": [True, False, False, False],
        "noai": [False, True, False, False],
        "tdm": [False, False, False, True],
        "dated": [False] * 4,
        "plain": [False] * 4,
    }


def test_personal_data_is_counted(base):
    corpus = folder.read(str(base / "out"))
    assert corpus.documents["pii"] == {"email": 5, "phone": 5}
    rows = corpus.rows(0, range(corpus.documents["documents"]), ["title", "text"])
    text = next(row["text"] for row in rows if row["title"] == "plain")
    assert "email@example.com or call +1-555-0100" in text
    assert "5 e-mail addresses, 5 phone numbers" in Path(report.write(corpus.path)).read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("respect", "want"),
    [
        ((), {}),
        (("robots",), {"noindex": Reason.ROBOTS}),
        (("noai", "tdm"), {"noai": Reason.NOAI, "tdm": Reason.TDM}),
    ],
)
def test_wishes_are_respected_where_asked_for(base, respect, want):
    books = select(base, respect=respect, weights="alpha=1.0")
    found = rejected(base)
    assert {name: reasons for name, reasons in found.items() if reasons} == {k: {v} for k, v in want.items()}
    assert {k: v for k, v in books["rejections"].items() if k in ("ROBOTS", "NOAI", "TDM", "BLOCKED")} == {
        v.name: 1 for v in want.values()
    }
    if want:
        name, reason = next(iter(want.items()))
        told = "\n".join(reading.why(str(base / "out"), f"https://{name}.wish.example/{name}"))
        assert f"FAIL  {reason.name}" in told
        assert reason.name in Path(report.write(str(base / "out"))).read_text(encoding="utf-8")


def test_blocked_pages_are_rejected_whatever_the_path_of_the_list(base, tmp_path):
    lists = [tmp_path / "one", tmp_path / "other"]
    for path in lists:
        path.write_text("plain.wish.example\ndated.wish.example/dated\nnoai.wish.example/other\n")
    first = select(base, url_blocklist=(str(lists[0]),), weights="alpha=1.0")
    assert {k for k, v in rejected(base).items() if Reason.BLOCKED in v} == {"plain", "dated"}
    assert first["failing"]["BLOCKED"] == 2
    assert "BLOCKED" in "\n".join(reading.why(str(base / "out"), "https://plain.wish.example/plain"))
    again = select(base, url_blocklist=(str(lists[1]),), weights="alpha=1.0")
    assert again["fingerprint"] == first["fingerprint"]
    lists[1].write_text("plain.wish.example\n")
    changed = select(base, url_blocklist=(str(lists[1]),), weights="alpha=1.0")
    assert changed["fingerprint"] != first["fingerprint"]
    assert changed["failing"]["BLOCKED"] == 1


def test_a_blocked_page_does_not_win_its_cluster(base, tmp_path):
    """Of two pages with one text the newer wins; when it is blocked, the other one does."""

    def kept() -> list[str]:
        corpus = folder.read(str(base / "out"))
        rows = corpus.rows(0, range(corpus.documents["documents"]), ["title", "url", "verdict"])
        return [row["url"] for row in rows if row["title"] == "twin" and row["verdict"] == 0]

    select(base, weights="alpha=1.0")
    assert kept() == ["https://pollux.example/"]
    (tmp_path / "list").write_text("pollux.example")
    select(base, weights="alpha=1.0", url_blocklist=(str(tmp_path / "list"),))
    assert kept() == ["https://castor.example/"]
