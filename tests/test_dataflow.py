"""Dataflow as far as it goes without Google: a whole submission, and the staged graph on a worker that has nothing
but Beam and the staged package."""

import io
import signal
import subprocess
import sys
import tarfile
import time

import apache_beam
import pytest

from tests import crawl
from tests.cloud import BUCKET, ROOT, SUBMITTER, Cloud, environment, free_port, install

pytestmark = pytest.mark.slow

HOME = f"gs://{BUCKET}"
BATCH = 1  # of the service's job types
CANCELLED = 5  # of its job states
MADE = ("documents", "selection", "tokens", "settings.toml", "failed_files.json")


@pytest.fixture(scope="module")
def cloud(tmp_path_factory):
    folder = tmp_path_factory.mktemp("cloud")
    python = environment(folder / "submitter")
    try:
        install(python, *SUBMITTER)
    except subprocess.CalledProcessError as error:
        pytest.skip(f"cannot install apache-beam[gcp] here: {error.stderr.strip()[-300:]}")
    made = Cloud(folder, python)
    for number in range(3):
        data = crawl.write_crawl(folder / "crawl", 24, 100 * number).read_bytes()
        made.bucket.put(f"crawl/part-{number}.warc.gz", data)
    yield made
    made.close()


@pytest.fixture(scope="module")
def local(cloud) -> str:
    """The corpus that one machine makes of the crawl in the bucket."""
    for command in (
        ["pipeline", "run", f"{HOME}/crawl", "--output", f"{HOME}/local", "--workers", "2", "--quiet"],
        ["tokenizer", "train", f"{HOME}/local", "--size", "640", "--quiet"],
        ["pipeline", "tokenize", f"{HOME}/local", "--workers", "1", "--quiet"],
    ):
        done = cloud.call(*command)
        assert done.returncode == 0, done.stderr
    return "local"


@pytest.fixture(scope="module")
def jobs(cloud, local) -> list:
    """The jobs of the same run on Dataflow."""
    done = cloud.call(
        "pipeline", "run", f"{HOME}/crawl", "--output", f"{HOME}/cloud", "--vocabulary", f"{HOME}/local/vocabulary",
        "--", *cloud.options,
    )  # fmt: skip
    log = cloud.worker.folder / "service.log"
    assert done.returncode == 0, done.stderr + (log.read_text() if log.exists() else "")
    assert "https://console.cloud.google.com/dataflow/jobs/europe-west1/job-0" in done.stderr
    return list(cloud.dataflow.jobs)


def test_the_whole_way_makes_the_same_bytes(cloud, local, jobs):
    assert 15 <= len(jobs) <= 22  # extract, some fifteen rounds of keys, encode, gather
    there, here = cloud.bucket.below("cloud", *MADE), cloud.bucket.below(local, *MADE)
    assert sorted(there) == sorted(here)
    assert [name for name in here if here[name] != there[name]] == []
    assert {name.partition("/")[0] for name in here} == set(MADE)


def test_what_a_job_says(cloud, jobs):
    image = f"beam_python{sys.version_info.major}.{sys.version_info.minor}_sdk:{apache_beam.__version__}"
    for job in jobs:
        environment = job.description["environment"]
        (pool,) = environment["workerPools"]
        assert job.description["type"] == BATCH
        assert pool["workerHarnessContainerImage"].endswith(f"/{image}")
        assert [i["containerImage"] for i in pool["sdkHarnessContainerImages"]] == [pool["workerHarnessContainerImage"]]
        assert {"use_runner_v2", "use_portable_job_submission"} <= set(environment["experiments"])
        assert [p["name"] for p in pool["packages"] if p["name"].endswith(".tar.gz")] == ["workflow.tar.gz"]
        staged = {name.rpartition("/")[2] for name in cloud.bucket.names(job.staging)}
        assert staged - {"submission_environment_dependencies.txt"} == {"pipeline.pb", "workflow.tar.gz"}, (
            "no main session among them"
        )


def test_the_staged_package(jobs):
    with tarfile.open(fileobj=io.BytesIO(jobs[0].staged("workflow.tar.gz"))) as package:
        names = {name.partition("/")[2] for name in package.getnames()}
    for folder in ("corpus", "pipeline", "tokenizer"):
        here = {p.relative_to(ROOT).as_posix() for p in (ROOT / folder).rglob("*") if p.is_file()}
        assert {n for n in here if "__pycache__" not in n and not n.endswith(".so")} <= names
    models = {f"pipeline/models/language{part}.bin" for part in ("", "-change")}
    assert {"pipeline/languages.tsv", "setup.py"} | models <= names
    assert {n.partition("/")[0] for n in names} & {"tests", "examples", "benchmarks"} == set()


IMPORTS = """
import importlib, importlib.util, pkgutil
for package in ("corpus", "pipeline", "tokenizer"):
    for module in pkgutil.iter_modules(importlib.import_module(package).__path__):
        importlib.import_module(f"{package}.{module.name}")
print(importlib.util.find_spec("torch"), importlib.import_module("pipeline").__file__)
"""


def test_a_worker_needs_no_more_than_the_package_asks_for(cloud, jobs):
    worker = cloud.worker
    done = subprocess.run([worker.python, "-c", IMPORTS], cwd=worker.folder, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    torch, place = done.stdout.split()
    assert torch == "None"
    assert place.startswith(str(worker.folder)), "not the checkout's"


def test_the_graph_does_not_grow_with_the_inputs(cloud, jobs):
    for number in range(50):
        cloud.bucket.put(f"many/{number:02}.warc.gz", b"-")
    cloud.dataflow.outcome = "JOB_STATE_DONE"
    done = cloud.call("pipeline", "extract", f"{HOME}/many", "--output", f"{HOME}/50", "--", *cloud.options)
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1].startswith("failed: extract: the job ended without gs://")
    one, three, fifty = _graph_of_one(cloud), jobs[0].graph(), cloud.dataflow.jobs[-1].graph()
    assert len(one.components.transforms) == len(three.components.transforms) == len(fifty.components.transforms) > 10
    assert abs(one.ByteSize() - fifty.ByteSize()) < 100, "the plan is a file, not a part of the graph"


def _graph_of_one(cloud):
    """That of a job with one input, which fails."""
    cloud.dataflow.outcome = "JOB_STATE_FAILED"
    crawl_file = f"{HOME}/crawl/part-0.warc.gz"
    done = cloud.call("pipeline", "extract", crawl_file, "--output", f"{HOME}/1", "--", *cloud.options)
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1].startswith("failed: extract: the job failed")
    assert "Traceback" not in done.stderr
    return cloud.dataflow.jobs[-1].graph()


def test_ctrl_c_cancels_the_job(cloud):
    cloud.dataflow.outcome, cloud.dataflow.waited_for = "JOB_STATE_RUNNING", False
    before = len(cloud.dataflow.jobs)
    command = ["pipeline", "extract", f"{HOME}/crawl", "--output", f"{HOME}/stopped", "--", *cloud.options]
    with cloud.start(*command) as process:
        while not cloud.dataflow.waited_for:
            assert process.poll() is None
            time.sleep(0.1)
        process.send_signal(signal.SIGINT)
        told = process.stderr.read()
    assert process.returncode == 130
    assert "the job on the cluster is cancelled" in told
    assert [job.state for job in cloud.dataflow.jobs[before:]] == [CANCELLED]


def test_a_job_service_on_a_shared_disk(cloud, jobs, tmp_path):
    """Any portable runner: workers elsewhere, a folder that all see."""
    crawl_file = str(crawl.write_crawl(tmp_path / "crawl.warc.gz", 24))
    common = ["pipeline", "extract", crawl_file, "--item-bytes", "3000", "--output"]
    done = cloud.call(*common, str(tmp_path / "here"))
    assert done.returncode == 0, done.stderr
    port = free_port()
    service = subprocess.Popen(
        [cloud.python, "-m", "apache_beam.runners.portability.local_job_service_main", "-p", str(port)],
        cwd=cloud.worker.folder, env=cloud.variables, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    try:
        done = cloud.call(
            *common, str(tmp_path / "there"), "--", "--runner=PortableRunner", f"--job_endpoint=localhost:{port}",
            "--environment_type=EXTERNAL", f"--environment_config={cloud.worker.address}",
        )  # fmt: skip
    finally:
        service.kill()
        service.wait()
    assert done.returncode == 0, done.stderr
    here = crawl.digests(tmp_path / "here")
    assert len([n for n in here if n.endswith(".parquet")]) >= 8
    assert crawl.digests(tmp_path / "there") == here
