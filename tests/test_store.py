"""Shards are checked before use, few are open at a time, and what comes from a server leaves nothing behind."""

import os
import tempfile
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pytest
from token_folder import SIZE, TABLE, document, write_folder, write_shard

from corpus import shards, storage
from corpus.shards import ShardError
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
    """Serves a folder; every third answer is a failure or breaks off."""

    folder = Path()
    asked = 0

    def do_HEAD(self):
        self.answer(False)

    def do_GET(self):
        self.answer(True)

    def answer(self, body: bool) -> None:
        type(self).asked += 1
        path = self.folder / self.path.lstrip("/")
        if body and self.asked % 3 == 0:
            self.send_response(503)
            self.send_header("Content-Length", "0")
            self.end_headers()
            return
        data = path.read_bytes()
        start = int((self.headers.get("Range") or "bytes=0-").partition("=")[2].rstrip("-"))
        self.send_response(206)
        self.send_header("Content-Range", f"bytes {start}-{len(data) - 1}/{len(data)}")
        self.send_header("Content-Length", str(len(data) - start))
        self.end_headers()
        if body:
            self.wfile.write(data[start : start + 700] if self.asked % 5 == 0 else data[start:])
        self.close_connection = True

    def log_message(self, *_):
        pass


@pytest.fixture
def server(tmp_path, monkeypatch):
    monkeypatch.setattr(storage.time, "sleep", lambda seconds: None)
    handler = type("Handler", (Server,), {"folder": tmp_path / "www"})
    http = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    threading.Thread(target=http.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{http.server_port}"
    http.shutdown()


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


def test_shards_from_object_storage(tmp_path, monkeypatch):
    """A stand-in for S3 on this machine."""
    moto = pytest.importorskip("moto.server")
    import boto3

    running = moto.ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    running.start()
    try:
        host, port = running.get_host_and_port()
        names = {"AWS_ACCESS_KEY_ID": "a", "AWS_SECRET_ACCESS_KEY": "b", "AWS_DEFAULT_REGION": "us-east-1"}
        for name, value in {**names, "AWS_ENDPOINT_URL": f"http://{host}:{port}"}.items():
            monkeypatch.setenv(name, value)
        storage._store.cache_clear()
        folder = write_folder(tmp_path)
        client = boto3.client("s3")
        client.create_bucket(Bucket="corpus")
        for path in tmp_path.rglob("*.*"):
            client.upload_file(str(path), "corpus", f"tokens/{path.relative_to(tmp_path)}")
        manifest = shards.read_manifest("s3://corpus/tokens")
        remote = Stream("s3://corpus/tokens", manifest, 64, TABLE.sentence_end)
        local = Stream(folder, shards.read_manifest(folder), 64, TABLE.sentence_end)
        assert same(local.batch(np.arange(128)), remote.batch(np.arange(128)))
    finally:
        storage._store.cache_clear()
        running.stop()
