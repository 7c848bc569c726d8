"""A selection published without text, rebuilt from the crawl by somebody else."""

import shutil
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from corpus import settings
from corpus.terminal import StepError, UserError
from pipeline import export, publication, rebuild, steps
from pipeline.flow import Runner
from pipeline.local import Local
from tests import crawl, key_folder


@pytest.fixture(scope="module")
def base(tmp_path_factory) -> Path:
    """crawl/, out/ made from it, text/ exported, recipe/ published; then the crawl lies elsewhere."""
    base = tmp_path_factory.mktemp("rebuild")
    (base / "crawl").mkdir()
    paths = [str(crawl.write_crawl(base / "crawl" / f"{k}.warc.gz", 20, 100 * k)) for k in range(2)]
    pages = [
        crawl.html(crawl.article("eng", 900 + k) + "\nThis notice stands on every page of the site.") for k in range(4)
    ]
    notices = [crawl.page(f"https://notice.example/{k}", page, k) for k, page in enumerate(pages)]
    (base / "crawl" / "2.warc.gz").write_bytes(b"".join(notices))
    paths.append(str(base / "crawl" / "2.warc.gz"))
    options = steps.Options(str(base / "out"))
    steps.run_extract(paths, settings.Extract(item_bytes=4000), Runner([], 0, quiet=True), options)
    key_folder.select(base / "out", site_lines=1, validation=0.3, near_duplicates=True)
    for form in ("parquet", "jsonl", rebuild.RECIPE):
        job = export.Job(str(base / "out"), str(base / form), form, "")
        publication.run_export(job, Local(0, quiet=True), options)
    shutil.move(base / "crawl", base / "moved")
    return base


def run(base: Path, output: Path, form: str = "parquet", where: str = "moved", recipe: str = rebuild.RECIPE) -> dict:
    _, _, own = rebuild.read(str(base / recipe))
    job = rebuild.Job(str(base / recipe), str(base / where), str(output), form, own)
    return publication.run_rebuild(job, Local(0, quiet=True), steps.Options(str(output)))


def texts(folder: Path) -> dict[str, str]:
    return {k: v for k, v in crawl.digests(folder).items() if k != "README.md"}


@pytest.mark.parametrize("form", ["parquet", "jsonl"])
def test_byte_for_byte(base, tmp_path, form):
    receipt = run(base, tmp_path / "x", form)
    assert texts(tmp_path / "x") == texts(base / form)
    assert receipt["documents"] > 20


def test_a_recipe_holds_no_text(base):
    files = list((base / rebuild.RECIPE).rglob("*.parquet"))
    assert files
    names = {name for path in files for name in pq.read_schema(path).names}
    assert names == set(rebuild.NAMED.names)
    assert any(row for path in files for row in pq.read_table(path)["lines_out"].to_pylist())


def test_another_crawl_is_noticed(base, tmp_path):
    shutil.copytree(base / "moved", base / "other", dirs_exist_ok=True)
    crawl.write_crawl(base / "other" / "1.warc.gz", 20, 500)
    with pytest.raises(StepError, match=r"[1-9]\d* texts came out otherwise|[1-9]\d* were not found"):
        run(base, tmp_path / "x", where="other")


def test_mistakes_are_named(base, tmp_path):
    with pytest.raises(StepError, match="name the folder where the crawl"):
        run(base, tmp_path / "x", where="nowhere")
    with pytest.raises(UserError, match=r"not there"):
        rebuild.read(str(tmp_path))


def test_what_is_not_as_it_was_is_told(base):
    _, table, own = rebuild.read(str(base / rebuild.RECIPE))
    assert rebuild.differences(table, own) == []
    assert rebuild.differences({**table, "numpy": "1.0"}, own)[0].startswith("numpy was 1.0, is ")
