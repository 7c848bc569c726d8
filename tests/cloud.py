"""A cloud on this machine for tests: a bucket, and a Dataflow that runs the staged graph on a worker of its own.

The worker is a fresh environment with nothing but Beam and the staged package, as Dataflow's are. What the real
service adds (its container's start, autoscaling, quotas, its shuffle) is not here.
"""

import http.server
import json
import os
import shutil
import socket
import subprocess
import sys
import threading
import time
import urllib.parse
import urllib.request
from pathlib import Path

import apache_beam
from apache_beam.portability.api import beam_runner_api_pb2

ROOT = Path(__file__).resolve().parents[1]
PACKAGES = ("corpus", "pipeline", "tokenizer", "trainer")
PROJECT, BUCKET = "crawlmill-test", "mill"

SUBMITTER = (f"apache-beam[gcp]=={apache_beam.__version__}", "gcp-storage-emulator", "build", "setuptools")

KEY = """
from cryptography.hazmat.primitives import serialization as s
from cryptography.hazmat.primitives.asymmetric import rsa
key = rsa.generate_private_key(65537, 2048)
print(key.private_bytes(s.Encoding.PEM, s.PrivateFormat.PKCS8, s.NoEncryption()).decode())
"""


def free_port() -> int:
    with socket.socket() as found:
        found.bind(("localhost", 0))
        return found.getsockname()[1]


UV = shutil.which("uv", path=os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]]))
"""Seconds instead of minutes for an environment, where it is at hand."""


def environment(folder: Path) -> Path:
    """The Python of a new virtual environment."""
    command = [UV, "venv", "--quiet", "--python", sys.executable] if UV else [sys.executable, "-m", "venv"]
    subprocess.run([*command, str(folder)], check=True)
    return folder / "bin" / "python"


def install(python: Path, *requirements: str) -> None:
    """Into the environment of `python`, in the versions that constraints.txt names.

    Errors: CalledProcessError with what the installer said."""
    command = [UV, "pip", "install", "--python", str(python)] if UV else [str(python), "-m", "pip", "install"]
    command += ["--quiet", "--constraint", str(ROOT / "constraints.txt"), *requirements]
    subprocess.run(command, check=True, capture_output=True, text=True)


def copy_of_the_project(folder: Path) -> Path:
    """The project without what is not under version control, so that a build leaves no trace in it."""
    ignored = shutil.ignore_patterns("__pycache__", "*.egg-info")
    for name in (*PACKAGES, "tests", "examples"):
        shutil.copytree(ROOT / name, folder / name, ignore=ignored)
    for name in ("setup.py", "pyproject.toml", "MANIFEST.in", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, folder)
    return folder


class Bucket:
    """Objects by name, through the storage emulator, which runs in the environment of `python`."""

    def __init__(self, python: Path, folder: Path):
        self.host = f"http://localhost:{free_port()}"
        command = [str(python.with_name("gcp-storage-emulator")), "start", "--in-memory", "--quiet", "--port",
                   self.host.rpartition(":")[2], "--default-bucket", BUCKET]  # fmt: skip
        self.process = subprocess.Popen(command, cwd=folder, stderr=subprocess.DEVNULL)
        _wait_for(self.host)

    def put(self, name: str, data: bytes) -> None:
        query = urllib.parse.urlencode({"uploadType": "media", "name": name})
        request = urllib.request.Request(f"{self.host}/upload/storage/v1/b/{BUCKET}/o?{query}", data, method="POST")
        request.add_header("Content-Type", "application/octet-stream")
        urllib.request.urlopen(request).close()

    def get(self, name: str) -> bytes:
        path = f"/storage/v1/b/{BUCKET}/o/{urllib.parse.quote(name, safe='')}?alt=media"
        return urllib.request.urlopen(self.host + path).read()

    def names(self, prefix: str) -> list[str]:
        query = urllib.parse.urlencode({"prefix": prefix})
        found = json.loads(urllib.request.urlopen(f"{self.host}/storage/v1/b/{BUCKET}/o?{query}").read())
        return sorted(o["name"] for o in found.get("items", []))

    def below(self, folder: str, *names: str) -> dict[str, bytes]:
        """Every object below `folder/name` for these names -> its bytes."""
        found = (n for name in names for n in self.names(f"{folder}/{name}"))
        return {n.removeprefix(f"{folder}/"): self.get(n) for n in found}


def _wait_for(address: str, seconds: float = 60) -> None:
    host, _, port = address.rpartition("/")[2].partition(":")
    end = time.monotonic() + seconds
    while True:
        try:
            return socket.create_connection((host, int(port)), timeout=1).close()
        except OSError:
            if time.monotonic() > end:
                raise
            time.sleep(0.1)


class Job:
    """A submitted job: its description, and what was staged for it."""

    def __init__(self, description: dict, bucket: Bucket):
        self.description = description
        location = description["environment"]["workerPools"][0]["packages"][0]["location"]
        self.staging = location.partition(f"/{BUCKET}/")[2].rpartition("/")[0]
        self.bucket = bucket
        self.state = "JOB_STATE_DONE"

    def staged(self, name: str) -> bytes:
        return self.bucket.get(f"{self.staging}/{name}")

    def graph(self) -> beam_runner_api_pb2.Pipeline:
        return beam_runner_api_pb2.Pipeline.FromString(self.staged("pipeline.pb"))


class Worker:
    """A machine of the cluster: Beam, the staged package and what that asks for; started when the first job comes."""

    def __init__(self, folder: Path, variables: dict[str, str]):
        self.folder, self.variables = folder, variables
        self.address = f"localhost:{free_port()}"
        self.process: subprocess.Popen | None = None

    @property
    def python(self) -> Path:
        return self.folder / "worker" / "bin" / "python"

    def start(self, package: bytes) -> None:
        if self.process is not None:
            return
        source = self.folder / "workflow.tar.gz"
        source.write_bytes(package)
        python = environment(self.folder / "worker")
        install(python, f"apache-beam=={apache_beam.__version__}", str(source))
        # It starts its processes as `python`, so its own must come first.
        variables = {**self.variables, "PATH": f"{python.parent}{os.pathsep}{self.variables['PATH']}"}
        command = [str(python), "-m", "apache_beam.runners.worker.worker_pool_main"]
        command += ["--service_port", self.address.rpartition(":")[2]]
        log = (self.folder / "worker.log").open("wb")
        self.process = subprocess.Popen(command, cwd=self.folder, env=variables, stdout=log, stderr=log)
        _wait_for(self.address)


class Dataflow(http.server.ThreadingHTTPServer):
    """Takes jobs over HTTP as the service does. `outcome`: "run", or a state that jobs reach without being run."""

    def __init__(self, python: Path, folder: Path, bucket: Bucket, worker: Worker):
        super().__init__(("localhost", 0), _Answer)
        self.python, self.folder, self.bucket, self.worker = python, folder, bucket, worker
        self.outcome = "run"
        self.waited_for = False  # whether a submitter has asked how a job goes on
        self.jobs: list[Job] = []
        threading.Thread(target=self.serve_forever, daemon=True).start()

    def take(self, description: dict) -> Job:
        job = Job(description, self.bucket)
        self.jobs.append(job)
        if self.outcome == "run":
            job.state = "JOB_STATE_RUNNING"
            threading.Thread(target=self._run, args=(job,)).start()
        else:
            job.state = self.outcome
        return job

    def _run(self, job: Job) -> None:
        try:
            self.worker.start(job.staged("workflow.tar.gz"))
            graph = self.folder / "pipeline.pb"
            graph.write_bytes(job.staged("pipeline.pb"))
            service = [str(self.python), "-I", str(ROOT / "tests" / "service.py"), str(graph), self.worker.address]
            subprocess.run(service, cwd=self.folder, check=True, capture_output=True, text=True, timeout=300)
            job.state = "JOB_STATE_DONE"
        except Exception as error:
            (self.folder / "service.log").write_text(f"{error}\n{getattr(error, 'stderr', '')}")
            job.state = "JOB_STATE_FAILED"


class _Answer(http.server.BaseHTTPRequestHandler):
    server: Dataflow

    def do_POST(self):
        description = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self._send(self._told(self.server.take(description)))

    def do_PUT(self):
        wish = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        job = self.server.jobs[int(urllib.parse.urlparse(self.path).path.rpartition("-")[2])]
        job.state = wish["requestedState"]
        self._send(self._told(job))

    def do_GET(self):
        if "/messages" in self.path:
            self.server.waited_for = True
            return self._send({"jobMessages": []})
        number = int(urllib.parse.urlparse(self.path).path.rpartition("-")[2])
        return self._send(self._told(self.server.jobs[number]))

    def _told(self, job: Job) -> dict:
        number = self.server.jobs.index(job)
        return {"id": f"job-{number}", "name": job.description["name"], "projectId": PROJECT,
                "location": "europe-west1", "type": "JOB_TYPE_BATCH", "currentState": job.state}  # fmt: skip

    def _send(self, values: dict) -> None:
        data = json.dumps(values).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, *_):
        pass


class Cloud:
    """All of it, and the submitter's side: this project in the environment of `python`, which has SUBMITTER."""

    def __init__(self, folder: Path, python: Path):
        self.python = python
        self.project = copy_of_the_project(folder / "project")
        install(python, f"{self.project}[gcp]")
        (folder / "elsewhere").mkdir()
        self.bucket = Bucket(self.python, folder / "elsewhere")
        self.variables = {
            **{k: v for k, v in os.environ.items() if k != "PYTHONPATH"},
            "OMP_NUM_THREADS": "1",
            "STORAGE_EMULATOR_HOST": self.bucket.host,  # for Google's library in Python, which Beam uses
            "CLOUD_STORAGE_EMULATOR_ENDPOINT": self.bucket.host,  # for that in C++, which pyarrow uses
            "GOOGLE_APPLICATION_CREDENTIALS": str(self._credentials(folder / "credentials.json")),
        }
        self.worker = Worker(folder / "elsewhere", self.variables)
        self.dataflow = Dataflow(self.python, folder / "elsewhere", self.bucket, self.worker)
        self.options = [
            "--runner=DataflowRunner", f"--project={PROJECT}", "--region=europe-west1",
            f"--temp_location=gs://{BUCKET}/tmp", f"--staging_location=gs://{BUCKET}/staging", "--no_auth",
            f"--dataflow_endpoint=http://localhost:{self.dataflow.server_port}", "--setup_file=setup.py",
        ]  # fmt: skip

    def _credentials(self, path: Path) -> Path:
        """A service account of nowhere: its key signs requests without asking anyone."""
        made = subprocess.run([str(self.python), "-c", KEY], check=True, capture_output=True, text=True)
        account = {"type": "service_account", "project_id": PROJECT, "private_key_id": "1", "client_id": "1",
                   "private_key": made.stdout, "client_email": f"test@{PROJECT}.iam.gserviceaccount.com",
                   "token_uri": "http://localhost/token"}  # fmt: skip
        path.write_text(json.dumps(account))
        return path

    def start(self, *command: str) -> subprocess.Popen:
        """The same as `call`, without waiting for its end."""
        return subprocess.Popen(
            [str(self.python), "-m", *command], cwd=self.project, env=self.variables, stderr=subprocess.PIPE, text=True
        )

    def call(self, *command: str) -> subprocess.CompletedProcess:
        """python -m command..., as a user of the cloud would call it in the project's folder."""
        return subprocess.run(
            [str(self.python), "-m", *command], cwd=self.project, env=self.variables, capture_output=True, text=True
        )

    def close(self) -> None:
        self.dataflow.shutdown()
        for process in (self.worker.process, self.bucket.process):
            if process is not None:
                process.kill()
                process.wait()
