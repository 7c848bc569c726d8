"""Shards are checked before use, few are open at a time, and what comes from a server leaves nothing behind."""

import contextlib
import http.client
import itertools
import os
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Iterator
from email.utils import formatdate
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pytest
from token_folder import SIZE, TABLE, document, write_folder, write_shard

from corpus import shards, storage
from corpus.shards import ShardError
from trainer import inspect
from trainer.store import Store
from trainer.stream import Stream


def many(folder: Path, count: int, languages: int = 2) -> str:
    rng = np.random.default_rng(0)
    infos = []
    for k in range(count):
        name = f"{'abcdefgh'[k % languages] * 3}_Latn"
        documents = [document(rng, int(rng.integers(4, 80))) for _ in range(8)]
        infos.append(write_shard(folder, f"{name}/x1-{k}.arrow", documents, name))
    shards.write_manifest(str(folder), shards.Manifest("5" * 64, SIZE, "f", tuple(infos)))
    return str(folder)


def mapped(folder: str) -> int:
    with open("/proc/self/maps") as maps:
        return len({line.split()[-1] for line in maps if folder in line})


def test_few_files_are_mapped_however_many_there_are(tmp_path):
    folder = many(tmp_path, 30)
    s = Stream(folder, shards.read_manifest(folder), 64, TABLE.sentence_end, files=6)
    count = s.everything.windows
    seen = np.zeros(30, int)
    for at in range(0, count, 16):
        index = np.arange(at, min(count, at + 16))
        seen[np.unique(s.places(index).shard)] += 1
        s.batch(index)
        assert mapped(folder) <= 6
    assert seen.all()
    weighted = Stream(
        folder, shards.read_manifest(folder), 64, TABLE.sentence_end, files=6, weights={"aaa_Latn": 1, "bbb_Latn": 1}
    )
    weighted.batch(np.arange(200))
    assert mapped(folder) <= 12  # both streams


@pytest.mark.parametrize("damage", ["bit", "cut", "token"])
def test_damage_is_named_before_the_first_token(tmp_path, damage):
    folder = many(tmp_path, 2)
    manifest = shards.read_manifest(folder)
    path = tmp_path / manifest.shards[0].path
    data = bytearray(path.read_bytes())
    if damage == "bit":
        data[len(data) // 2] ^= 4
    path.write_bytes(data[:-100] if damage == "cut" else data)
    store = Store(folder, manifest.shards, SIZE if damage != "token" else 6)
    with pytest.raises(ShardError, match="damaged" if damage != "token" else "manifest says") as mistake:
        store.shard(0)
    assert manifest.shards[0].path in str(mistake.value)
    with pytest.raises(ShardError):  # again, not a shard that is half open
        store.shard(0)


# --- servers ------------------------------------------------------------------------------------------------------


class Server(BaseHTTPRequestHandler):
    """Serves a folder; of the answers to GET some, by turns, are a failure, break off, come late or
    with a flipped bit."""

    folder = Path()
    faults: Iterator[str] = iter(())
    played: Counter[str]

    def do_GET(self):
        status, headers, data = self.found()
        fault = next(self.faults)
        self.played[fault] += 1
        if fault == "late":
            time.sleep(0.1)
        if fault == "failure":
            status, headers, data = 503, {}, b""
        if fault == "flipped" and self.path.endswith(".arrow"):
            data = bytes([*data[:-1], data[-1] ^ 1]) if data else b""
        self.send_response(status)
        for name, value in {**headers, "Content-Length": str(len(data))}.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(data[:700] if fault == "cut" else data)
        self.close_connection = True

    def do_HEAD(self):
        status, headers, data = self.found()
        self.send_response(status)
        for name, value in {"Content-Length": str(len(data)), **headers}.items():
            self.send_header(name, value)
        self.end_headers()

    def found(self) -> tuple[int, dict[str, str], bytes]:
        """(status, headers but the length, body)."""
        path = self.folder / self.path.lstrip("/")
        if not path.is_file():
            return 404, {}, b""
        data = path.read_bytes()
        first, _, last = (self.headers.get("Range") or "bytes=0-").partition("=")[2].partition("-")
        start, stop = int(first), min(int(last or len(data)), len(data) - 1) + 1
        times = {"Last-Modified": formatdate(1e9, usegmt=True), "ETag": f'"{len(data)}"'}
        return 206, {**times, "Content-Range": f"bytes {start}-{stop - 1}/{len(data)}"}, data[start:stop]

    def log_message(self, *_):
        pass


@contextlib.contextmanager
def serving(kind: type[Server], **values):
    """The class of a server's handler, and its address."""
    handler = type("Handler", (kind,), {"played": Counter(), **values})
    http = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    threading.Thread(target=http.serve_forever, args=(0.05,), daemon=True).start()
    yield handler, f"http://127.0.0.1:{http.server_port}"
    http.shutdown()


@pytest.fixture
def server(tmp_path, monkeypatch):
    monkeypatch.setattr(storage.time, "sleep", lambda seconds: None)
    faults = itertools.cycle(["", "", "failure", "", "cut", "", "flipped"])
    with serving(Server, folder=tmp_path / "www", faults=faults) as (_, address):
        yield address


def same(one, two) -> bool:
    names = ("tokens", "sequences", "positions", "types", "pairs", "swapped")
    return all((getattr(one, n) == getattr(two, n)).all() for n in names)


@pytest.mark.parametrize("weights", [None, {"aaa_Latn": 0.7, "bbb_Cyrl": 0.3}])
def test_shards_from_a_server_that_fails_give_the_local_windows(tmp_path, server, monkeypatch, weights):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "scratch"))
    (tmp_path / "scratch").mkdir()
    folder = write_folder(tmp_path / "www")
    local = Stream(folder, shards.read_manifest(folder), 64, TABLE.sentence_end, weights=weights)
    remote = Stream(server, shards.read_manifest(server), 64, TABLE.sentence_end, weights=weights)
    for at in (0, 64, 5000):
        index = np.arange(at, at + 64)
        assert same(local.batch(index), remote.batch(index))
        assert os.listdir(tmp_path / "scratch") == []
    assert remote.store.fetched == sum(i.bytes for i in remote.infos)


def test_little_room_on_the_disk_is_kept_to(tmp_path, server):
    """Groups of shards come and go; each is fetched once an epoch, ahead of its use."""
    folder = many(tmp_path / "www", 12, 1)
    manifest = shards.read_manifest(folder)
    room = 6 * max(i.bytes for i in manifest.shards)
    remote = Stream(server, manifest, 64, TABLE.sentence_end, room=room)
    assert remote.everything.together == 3
    local = Stream(folder, manifest, 64, TABLE.sentence_end)
    local.everything.together = 3
    for at in range(0, remote.everything.windows, 8):
        index = np.arange(at, min(at + 8, remote.everything.windows))
        assert same(local.batch(index), remote.batch(index))
        with remote.store._lock:
            assert sum(remote.infos[n].bytes for n in remote.store._open) <= room
    total = sum(i.bytes for i in manifest.shards)
    assert remote.store.fetched <= total + room  # and what the next epoch begins with
    remote.store.close()


def test_a_damaged_copy_on_a_server_is_named(tmp_path, server):
    folder = many(tmp_path / "www", 1, 1)
    manifest = shards.read_manifest(folder)
    path = tmp_path / "www" / manifest.shards[0].path
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 4
    path.write_bytes(data)
    with pytest.raises(ShardError, match=r"x1-0.arrow: damaged"):
        Stream(server, manifest, 64, TABLE.sentence_end).batch(np.arange(4))
    path.unlink()
    with pytest.raises(ShardError, match=r"x1-0.arrow"):
        Stream(server, manifest, 64, TABLE.sentence_end).batch(np.arange(4))


def test_a_folder_on_a_server_is_looked_into(tmp_path, capsys):
    folder = many(tmp_path / "www", 2, 1)
    path = Path(folder) / shards.read_manifest(folder).shards[0].path
    with serving(Server, folder=tmp_path / "www", faults=itertools.repeat("")) as (_, address):
        assert inspect.inspect(address) == 0
        assert "all 2 shards" in capsys.readouterr().out
        path.write_bytes(bytes([*path.read_bytes()[:-1], 1]))
        assert inspect.inspect(address) == 1
        assert "x1-0.arrow: damaged" in capsys.readouterr().out
        path.unlink()
        assert inspect.inspect(address) == 1
        assert "x1-0.arrow: missing" in capsys.readouterr().out


class Moto(Server):
    """Hands on to moto, which knows more of S3 than a folder does."""

    behind: tuple[str, int]

    def found(self):
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        server = http.client.HTTPConnection(*self.behind, timeout=30)
        server.request(self.command, self.path, body, dict(self.headers))
        answer = server.getresponse()
        left_out = {"transfer-encoding", "connection", "server", "date"}
        if self.command != "HEAD":
            left_out.add("content-length")
        return answer.status, {k: v for k, v in answer.headers.items() if k.lower() not in left_out}, answer.read()

    do_PUT = Server.do_GET


@pytest.fixture(params=["folder", "moto"])
def object_storage(request, tmp_path, monkeypatch):
    """(handler of a stand-in for S3 that fails now and then, function that puts a folder's files into a bucket)."""
    faults = itertools.cycle(["", "failure", "", "cut", "", "late", "", "flipped", ""])
    with contextlib.ExitStack() as stack:
        if request.param == "moto":
            moto = pytest.importorskip("moto.server")
            running = moto.ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
            running.start()
            stack.callback(running.stop)
            values = {"behind": running.get_host_and_port()}
        else:
            values = {"folder": tmp_path / "www"}
        kind = Moto if request.param == "moto" else Server
        handler, address = stack.enter_context(serving(kind, faults=faults, **values))
        names = {"AWS_ACCESS_KEY_ID": "a", "AWS_SECRET_ACCESS_KEY": "b", "AWS_DEFAULT_REGION": "us-east-1"}
        for name, value in {**names, "AWS_ENDPOINT_URL": address, "AWS_EC2_METADATA_DISABLED": "true"}.items():
            monkeypatch.setenv(name, value)
        storage._store.cache_clear()
        yield handler
        storage._store.cache_clear()


def upload(handler: type[Server], folder: Path) -> None:
    """The files below a folder, as objects of its name in the bucket `corpus`."""
    if not issubclass(handler, Moto):
        return
    import boto3

    client = boto3.client("s3", endpoint_url="http://{}:{}".format(*handler.behind))
    client.create_bucket(Bucket="corpus")
    for path in folder.rglob("*.*"):
        client.upload_file(str(path), "corpus", f"{folder.name}/{path.relative_to(folder)}")


def test_shards_from_object_storage_that_fails_now_and_then(tmp_path, object_storage, monkeypatch):
    """Answers that fail, break off, come late or damaged change nothing in the batches. Little room: shards are fetched
    all along the epoch."""
    monkeypatch.setattr(storage.time, "sleep", lambda seconds: None)
    folder = many(tmp_path / "www" / "corpus" / "tokens", 12)
    upload(object_storage, Path(folder))
    manifest = shards.read_manifest("s3://corpus/tokens")
    assert manifest == shards.read_manifest(folder)
    room = 6 * max(i.bytes for i in manifest.shards)
    remote = Stream("s3://corpus/tokens", manifest, 64, TABLE.sentence_end, room=room)
    local = Stream(folder, manifest, 64, TABLE.sentence_end)
    local.everything.together = remote.everything.together
    for at in range(0, remote.everything.windows, 8):
        index = np.arange(at, at + 8)
        assert same(local.batch(index), remote.batch(index))
    remote.store.close()
    assert set(object_storage.played) == {"", "failure", "cut", "late", "flipped"}
