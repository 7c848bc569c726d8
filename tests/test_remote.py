"""Crawl files on servers: read through failures, and listed where a server does not give them."""

import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from corpus import storage
from pipeline.__main__ import main
from tests import crawl


class Server(BaseHTTPRequestHandler):
    """Serves one folder, with ranges; `faults` are played once each, by path: a status, or 'cut'."""

    folder: Path
    faults: dict[str, list]

    def do_HEAD(self):
        self.answer(body=False)

    def do_GET(self):
        self.answer(body=True)

    def answer(self, body: bool) -> None:
        fault = self.faults.get(self.path, [])
        play = fault.pop(0) if body and fault else None
        path = self.folder / self.path.lstrip("/")
        if isinstance(play, int) or not path.is_file():
            self.send_response(play or 404)
            self.send_header("Retry-After", "0")
            self.send_header("Content-Length", "0")
            self.end_headers()
            return
        data = path.read_bytes()
        asked = self.headers.get("Range")
        start = int(asked.partition("=")[2].rstrip("-")) if asked else 0
        self.send_response(206 if asked else 200)
        self.send_header("ETag", f'"{len(data)}"')
        self.send_header("Content-Length", str(len(data) - start))
        self.end_headers()
        if body:
            self.wfile.write(data[start : start + 500] if play == "cut" else data[start:])
            self.close_connection = True

    def log_message(self, *_):
        pass


@pytest.fixture
def server(tmp_path, monkeypatch):
    monkeypatch.setattr(storage.time, "sleep", lambda seconds: None)
    handler = type("Handler", (Server,), {"folder": tmp_path / "www", "faults": {}})
    (tmp_path / "www").mkdir()
    http = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    threading.Thread(target=http.serve_forever, daemon=True).start()
    yield handler, f"http://127.0.0.1:{http.server_port}/"
    http.shutdown()


def test_a_crawl_is_read_from_a_server_that_fails_and_cuts(server, tmp_path):
    handler, url = server
    names = ["a.warc.gz", "b.warc.gz", "c.warc.gz"]
    for k, name in enumerate(names):
        crawl.write_crawl(handler.folder / name, 10, 100 * k)
    (tmp_path / "warc.paths").write_text("\n".join([*names, "missing.warc.gz"]))
    handler.faults = {"/a.warc.gz": [503, "cut", "cut"], "/b.warc.gz": [403, 429], "/c.warc.gz": ["cut"]}
    out = tmp_path / "out"
    command = ["run", str(tmp_path / "warc.paths"), "--prefix", url, "--output", str(out), "--workers", "1", "--quiet"]
    assert main(command) == 0
    assert crawl.books(out, "documents")["documents"] == 3 * 12
    listed = json.loads((out / "failed_files.json").read_text())
    assert [e["path"] for e in listed] == [url + "missing.warc.gz"]
    assert "404" in listed[0]["damage"][0][2]

    before = {p.name: p.stat().st_mtime_ns for p in (out / "documents").glob("part-*")}
    crawl.write_crawl(handler.folder / "b.warc.gz", 11, 100)  # a changed file, and the missing one is there now
    crawl.write_crawl(handler.folder / "missing.warc.gz", 10, 900)
    assert main(command) == 0
    after = {p.name: p.stat().st_mtime_ns for p in (out / "documents").glob("part-*")}
    assert sum(after[n] != t for n, t in before.items()) == 2
    assert crawl.books(out, "documents")["documents"] == 12 + 13 + 12 + 12
    assert json.loads((out / "failed_files.json").read_text()) == []
