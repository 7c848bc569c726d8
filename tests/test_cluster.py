"""What would fail on a cluster minutes later is refused here and now, by name."""

import pytest

from corpus import settings
from corpus.terminal import StepError, UserError
from pipeline import cluster, extract, items, language
from tests import crawl

GOOD = {"project": "p", "region": "r", "temp_location": "gs://b/t", "setup_file": "/s/setup.py"}


@pytest.fixture(autouse=True)
def google(monkeypatch):
    """As if Beam's part for Google Cloud were installed."""
    monkeypatch.setattr(cluster.importlib.util, "find_spec", lambda name: name)


@pytest.mark.parametrize(("change", "named"), [
    ({"project": None}, "--project="),
    ({"region": ""}, "--region="),
    ({"temp_location": None}, "--temp_location="),
    ({"temp_location": "/local/x"}, "gs://"),
    ({"setup_file": None}, "--setup_file"),
])  # fmt: skip
def test_dataflow_says_what_it_needs(change, named):
    cluster.check_options("DataflowRunner", GOOD)
    with pytest.raises(UserError, match=named):
        cluster.check_options("DataflowRunner", {**GOOD, **change})
    cluster.check_options("FlinkRunner", {})


def test_an_image_stands_in_for_the_setup_file():
    cluster.check_options("dataflow", {**GOOD, "setup_file": None, "sdk_container_image": "repository/image"})


@pytest.mark.parametrize("missing", [None, ModuleNotFoundError()])
def test_dataflow_without_its_libraries(monkeypatch, missing):
    def find_spec(name):
        if missing:
            raise missing

    monkeypatch.setattr(cluster.importlib.util, "find_spec", find_spec)
    with pytest.raises(UserError, match=r"apache-beam\[gcp\]"):
        cluster.check_options("DataflowRunner", GOOD)


def test_paths_that_workers_cannot_follow():
    cluster.check_paths("DataflowRunner", ["gs://b/x", "s3://b/x", "https://h/x", ""])
    cluster.check_paths("FlinkRunner", ["gs://b/x", "/shared/x"])
    with pytest.raises(UserError, match="shared/x: on this machine"):
        cluster.check_paths("DataflowRunner", ["gs://b/x", "/shared/x"])
    with pytest.raises(UserError, match="give the whole path"):
        cluster.check_paths("FlinkRunner", ["/shared/x", "out"])


def test_the_setup_file_gets_its_whole_path(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "setup.py").touch()
    assert cluster.whole_path("setup.py") == str(tmp_path / "setup.py")
    assert cluster.whole_path(None) is None
    with pytest.raises(UserError, match="no such file"):
        cluster.whole_path("other.py")


@pytest.mark.parametrize("name", ["ftfy", "code", "language_model"])
def test_a_worker_with_other_libraries_code_or_model_is_refused(tmp_path, name):
    own = settings.Extract()
    (item,) = items.plan([str(crawl.write_crawl(tmp_path / "crawl.warc.gz", 1))], own.item_bytes)
    planned = extract.configuration(own, language.load("").digest)
    extract.run(item, own, str(tmp_path / "same"), model=planned["language_model"], planned=planned)
    with pytest.raises(StepError, match=f"a worker has {name} = .*'other'"):
        extract.run(item, own, str(tmp_path / "out"), planned={**planned, name: "other"})
    assert not (tmp_path / "out").exists()
