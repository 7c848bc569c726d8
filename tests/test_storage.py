"""Files whole or not at all, listings, and a server that fails in every way it can."""

import http.server
import os
import re
import subprocess
import sys
import threading
import time

import pytest

from corpus import storage
from corpus.terminal import UserError

# --- writing --------------------------------------------------------------------------------------------------------


def names(folder) -> list[str]:
    return sorted(os.path.relpath(os.path.join(r, n), folder) for r, _, found in os.walk(folder) for n in found)


def test_a_file_appears_whole_under_its_name(tmp_path):
    path = str(tmp_path / "deep" / "er" / "file")
    with storage.writing(path) as temporary:
        assert os.path.dirname(temporary) == os.path.dirname(path), "on the same file system"
        with open(temporary, "w") as file:
            file.write("content")
        assert not os.path.exists(path)
    assert names(tmp_path) == ["deep/er/file"]
    assert storage.read(path) == b"content"


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt, OSError])
@pytest.mark.parametrize("begun", [False, True])
def test_an_exception_leaves_nothing_and_the_old_file_as_it_was(tmp_path, error, begun):
    path = str(tmp_path / "file")
    storage.write(path, "old")

    def write():
        with storage.writing(path) as temporary:
            if begun:
                with open(temporary, "w") as file:
                    file.write("new")
            raise error("stop")

    with pytest.raises(error):
        write()
    assert names(tmp_path) == ["file"]
    assert storage.read(path) == b"old"


@pytest.mark.parametrize("call", ["replace", "fsync", "open"])
def test_a_fault_of_the_system_leaves_nothing(tmp_path, monkeypatch, call):
    def fail(*args, **kwargs):
        raise OSError(28, "No space left on device")

    path = str(tmp_path / "file")
    storage.write(path, "old")
    monkeypatch.setattr(os, call, fail)
    if call == "open":
        monkeypatch.setattr(storage, "_sync_folder", fail)
    with pytest.raises(OSError, match="No space left"):
        storage.write(path, b"new")
    monkeypatch.undo()
    assert names(tmp_path) == ["file"]
    assert storage.read(path) in (b"old", b"new"), "never half a file"


def test_text_and_bytes_and_a_name_without_a_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    storage.write("name", "ü")
    assert storage.read("name") == "ü".encode()
    storage.write("name", b"\xff")
    assert storage.read("name") == b"\xff"


def test_what_killed_processes_left_is_swept_and_nothing_else(tmp_path):
    dead = subprocess.Popen([sys.executable, "-c", ""])
    dead.wait()
    (tmp_path / "sub").mkdir()
    for name in (f"{storage.TEMPORARY}{dead.pid}-part-1", f"sub/{storage.TEMPORARY}{dead.pid}-part-2",
                 f"{storage.TEMPORARY}nonsense", f"{storage.TEMPORARY}{os.getpid()}-mine",
                 f"{storage.TEMPORARY}1-anothers", "part-1", ".hidden"):  # fmt: skip
        (tmp_path / name).write_text("x")
    assert storage.sweep(str(tmp_path)) == 3
    assert names(tmp_path) == sorted([f"{storage.TEMPORARY}{os.getpid()}-mine", f"{storage.TEMPORARY}1-anothers",
                                      "part-1", ".hidden"])  # fmt: skip
    assert storage.sweep(str(tmp_path / "nothing")) == 0
    assert storage.sweep("gs://bucket/x") == 0


def test_a_process_killed_while_it_writes_leaves_no_file_under_the_name(tmp_path):
    code = ("import sys, os, signal\nfrom corpus import storage\nwith storage.writing(sys.argv[1]) as t:\n"
            " open(t, 'w').write('half')\n os.kill(os.getpid(), signal.SIGKILL)")  # fmt: skip
    subprocess.run([sys.executable, "-c", code, str(tmp_path / "file")], check=False)
    assert len(names(tmp_path)) == 1
    assert names(tmp_path)[0].startswith(storage.TEMPORARY)
    assert storage.list_files(str(tmp_path)) == []
    assert storage.sweep(str(tmp_path)) == 1


def test_removing_what_is_gone_is_no_error(tmp_path):
    storage.remove([str(tmp_path / "none")])
    storage.remove_folder(str(tmp_path / "none"))
    storage.write(str(tmp_path / "a" / "b"), "x")
    storage.remove_folder(str(tmp_path / "a"))
    assert not (tmp_path / "a").exists()


# --- listing --------------------------------------------------------------------------------------------------------


@pytest.fixture
def tree(tmp_path):
    for name in ("b.warc.gz", "a.warc.gz", "sub/c.warc.gz", "sub/.hidden", ".git/d.warc.gz", "x[1].warc.gz", "notes"):
        storage.write(str(tmp_path / name), name)
    (tmp_path / "empty").mkdir()
    return tmp_path


@pytest.mark.parametrize(("pattern", "expected"), [
    ("a.warc.gz", ["a.warc.gz"]),
    ("?.warc.gz", ["a.warc.gz", "b.warc.gz"]),
    ("[ab].warc.gz", ["a.warc.gz", "b.warc.gz"]),
    ("*.warc.gz", ["a.warc.gz", "b.warc.gz", "sub/c.warc.gz", "x[1].warc.gz"]),
    ("s*/*", ["sub/c.warc.gz"]),
    ("x[1].warc.gz", ["x[1].warc.gz"]),
    ("sub", ["sub/c.warc.gz"]),
    ("sub/", ["sub/c.warc.gz"]),
    (".", ["a.warc.gz", "b.warc.gz", "notes", "sub/c.warc.gz", "x[1].warc.gz"]),
])  # fmt: skip
@pytest.mark.parametrize("relative", [False, True])
def test_paths_folders_and_globs(tree, monkeypatch, pattern, expected, relative):
    monkeypatch.chdir(tree)
    found = storage.expand(pattern if relative else f"{tree}/{pattern}")
    assert [os.path.relpath(p, tree) for p in found] == expected


@pytest.mark.parametrize(("pattern", "fact"), [
    ("none.warc.gz", "no such file or folder"),
    ("*.none", "no file matches"),
    ("none/*.gz", "no file matches"),
    ("empty", "an empty folder"),
])  # fmt: skip
def test_nothing_found_is_a_mistake(tree, pattern, fact):
    with pytest.raises(UserError, match=fact) as mistake:
        storage.expand(f"{tree}/{pattern}")
    assert pattern in str(mistake.value)
    assert "\n" not in str(mistake.value)


def test_addresses_are_not_looked_up():
    assert storage.expand("https://x.example/a*.gz") == ["https://x.example/a*.gz"]


@pytest.mark.parametrize(("path", "shown"), [
    ("https://user:secret@x.example/a/b?token=secret&x#f", "https://x.example/a/b"),
    ("https://x.example", "https://x.example"),
    ("https://x.example:80/a@b", "https://x.example:80/a@b"),
    ("s3://key:secret@bucket/a?region=x", "s3://bucket/a"),
    ("https://x.example?token=secret", "https://x.example"),
    ("/local/a?b@c", "/local/a?b@c"),
    ("a.warc.gz", "a.warc.gz"),
])  # fmt: skip
def test_redact(path, shown):
    assert storage.redact(path) == shown


def test_join():
    assert storage.join("a", "b", "c") == "a/b/c"
    assert storage.join("/", "b") == "//b" or storage.join("/", "b") == "/b"
    assert storage.join("gs://bucket/", "b") == "gs://bucket/b"


def test_a_tag_changes_with_the_content_and_not_with_the_place(tmp_path):
    for folder in ("a", "b"):
        storage.write(str(tmp_path / folder / "f"), b"x" * 5000)
    first = storage.stat(str(tmp_path / "a" / "f"))
    assert first.size == 5000
    assert storage.stat(str(tmp_path / "b" / "f")) == first
    storage.write(str(tmp_path / "b" / "f"), b"x" * 4999 + b"y")
    assert storage.stat(str(tmp_path / "b" / "f")).tag != first.tag


def test_the_tag_of_a_large_file_is_of_its_blocks_and_time(tmp_path, monkeypatch):
    monkeypatch.setattr(storage, "_WHOLE", 1 << 20)
    path = str(tmp_path / "f")
    storage.write(path, os.urandom(3 << 20))
    os.utime(path, ns=(1, 1))
    first = storage.stat(path)
    assert storage.stat(path) == first
    with open(path, "r+b") as file:
        file.seek(-1, 2)
        file.write(b"\0" if storage.read(path)[-1] else b"\1")
    os.utime(path, ns=(1, 1))
    assert storage.stat(path).tag != first.tag, "the last block"
    os.utime(path, ns=(2, 2))
    second = storage.stat(path).tag
    os.utime(path, ns=(3, 3))
    assert storage.stat(path).tag != second, "the time"


# --- a server that fails --------------------------------------------------------------------------------------------

DATA = bytes(k * k % 251 for k in range(700_000))


class Server(http.server.ThreadingHTTPServer):
    """Answers with DATA; `script` says what goes wrong with which request, in order."""

    def __init__(self):
        super().__init__(("127.0.0.1", 0), Handler)
        self.script: list[str] = []
        self.asked: list[str] = []
        self.signed: list[str] = []

    def address(self, name: str = "file") -> str:
        return f"http://user:secret@127.0.0.1:{self.server_address[1]}/{name}?token=secret"


class Handler(http.server.BaseHTTPRequestHandler):
    server: Server
    protocol_version = "HTTP/1.1"

    def log_message(self, *args):
        pass

    def do_HEAD(self):
        self.answer(200, {"Content-Length": str(len(DATA)), "ETag": '"v1"'})

    def answer(self, status: int, fields: dict[str, str]):
        self.send_response(status)
        for name, value in {"Connection": "close", **fields}.items():
            self.send_header(name, value)
        self.end_headers()

    def do_GET(self):
        fault = self.server.script.pop(0) if self.server.script else ""
        given = self.headers.get("Range", "")
        self.server.asked.append(given)
        self.server.signed += [self.headers["Authorization"]] if self.headers["Authorization"] else []
        start = int(re.sub(r"\D", "", given) or 0)
        if fault.isdigit():
            return self.answer(int(fault), {"Retry-After": "0.05", "Content-Length": "0"})
        if fault == "reset":
            return self.connection.close()
        if fault == "garbage":
            return self.wfile.write(b"no HTTP at all\r\n\r\n")
        if start >= len(DATA):
            return self.answer(416, {"Content-Length": "0"})
        if fault == "no ranges":
            start = 0
        body = DATA[start:]
        status = 206 if given and fault != "no ranges" else 200
        first = start + 1 if fault == "wrong range" else start
        about = {"Content-Range": f"bytes {first}-{len(DATA) - 1}/{len(DATA)}"} if status == 206 else {}
        self.answer(status, {"Content-Length": str(len(body)), **about})
        self.wfile.write(body[: len(body) // 2] if fault == "cut" else body)
        return None


@pytest.fixture
def server(monkeypatch):
    sleep = time.sleep
    monkeypatch.setattr(storage.time, "sleep", lambda seconds: sleep(min(seconds, 0.01)))
    made = Server()
    threading.Thread(target=made.serve_forever, args=(0.01,), daemon=True).start()
    yield made
    made.shutdown()
    made.server_close()


def plain(server: Server, name: str = "file") -> str:
    return f"http://127.0.0.1:{server.server_address[1]}/{name}?token=secret"


@pytest.mark.parametrize("script", [
    [], ["503"], ["503", "500"], ["429"], ["403"], ["reset"], ["garbage"], ["cut"], ["cut", "cut", "cut"],
    ["no ranges"], ["cut", "no ranges"], ["cut", "503", "wrong range", "reset", "cut"],
], ids=str)  # fmt: skip
def test_faults_that_pass_are_overcome(server, script):
    server.script = list(script)
    assert storage.read(plain(server)) == DATA
    assert server.script == []


def test_a_broken_body_is_taken_up_where_it_broke(server):
    server.script = ["cut"]
    storage.read(plain(server))
    first, second = server.asked[:2]
    assert first == "bytes=0-"
    assert int(re.sub(r"\D", "", second)) == len(DATA) // 2


def test_seeking_and_reading_behind_the_end(server):
    with storage.open_read(plain(server)) as file:
        file.seek(600_000)
        assert file.read(10) == DATA[600_000:600_010]
        file.seek(5)
        assert file.read(10) == DATA[5:15]
        file.seek(len(DATA))
        assert file.read(10) == b""
        file.seek(len(DATA) + 1000)
        assert file.read() == b""


def test_a_server_without_ranges_is_read_from_the_start_but_never_mixed_up(server):
    server.script = ["no ranges"] * 20
    with storage.open_read(plain(server)) as file:
        file.seek(300_000)
        assert file.read(10) == DATA[300_000:300_010]
        file.seek(len(DATA) + 5)
        assert file.read(10) == b""


def test_a_range_that_was_not_asked_for_is_never_taken_for_the_right_one(server):
    server.script = ["wrong range"] * 20
    with storage.open_read(plain(server)) as file:
        file.seek(300_000)
        with pytest.raises(OSError, match="another range"):
            file.read(10)


def test_tables_can_seek_from_the_end(server):
    with storage.open_read(plain(server)) as file:
        assert file.seek(-7, 2) == len(DATA) - 7
        assert file.read() == DATA[-7:]


def test_user_and_password_go_into_the_header(server):
    with storage.open_read(server.address()) as file:
        assert file.read(5) == DATA[:5]
    assert server.signed == ["Basic dXNlcjpzZWNyZXQ="]


@pytest.mark.parametrize("path", ["http://127.0.0.1:port/x?secret", "http://127.0.0.1:1/a b?secret", "http://?secret"])
def test_an_address_that_is_none_is_an_os_error_without_its_secrets(path, monkeypatch):
    monkeypatch.setattr(storage.time, "sleep", lambda seconds: None)
    with pytest.raises(OSError, match=r"\w") as error:
        storage.read(path)
    assert "secret" not in str(error.value)


@pytest.mark.parametrize("status", ["404"])
def test_a_missing_file_is_said_at_once(server, status):
    server.script = [status] * 10
    begun = time.monotonic()
    with pytest.raises(FileNotFoundError) as error:
        storage.read(plain(server))
    assert time.monotonic() - begun < 0.5
    assert len(server.asked) == 1
    assert "secret" not in str(error.value)


def test_a_refusal_is_said_at_once(server):
    server.script = ["401"] * 10
    with pytest.raises(OSError, match="HTTP 401") as error:
        storage.read(plain(server))
    assert len(server.asked) == 1
    assert "secret" not in str(error.value)


def test_a_fault_that_stays_is_given_up_by_name(server):
    server.script = ["503"] * 100
    with pytest.raises(OSError, match="HTTP 503") as error:
        storage.read(plain(server))
    assert 3 < len(server.asked) < 20
    assert "secret" not in str(error.value)


def test_the_stat_of_an_address(server):
    assert storage.stat(plain(server)) == storage.Stat(len(DATA), '"v1"')


def test_retry_after_is_honoured(server, monkeypatch):
    slept = []
    monkeypatch.setattr(storage.time, "sleep", slept.append)
    monkeypatch.setattr(storage, "_retry_after", lambda error: 7.0)
    server.script = ["503", "503"]
    assert storage.read(plain(server)) == DATA
    assert slept[:2] == [7.0, 7.0]


@pytest.mark.parametrize(
    ("value", "seconds"), [("3", 3.0), ("0.5", 0.5), ("9999", 120.0), ("Wed, 21 Oct", 0.0), (None, 0.0)]
)
def test_retry_after_in_words(value, seconds):
    import urllib.error
    from email.message import Message

    headers = Message()
    if value is not None:
        headers["Retry-After"] = value
    assert storage._retry_after(urllib.error.HTTPError("u", 503, "m", headers, None)) == seconds


def test_pauses_grow(monkeypatch):
    slept = []
    monkeypatch.setattr(storage.time, "sleep", slept.append)

    def fail():
        raise OSError("reset")

    with pytest.raises(OSError, match="reset"):
        storage.retry(fail)
    assert len(slept) == 5
    assert all(0.5 * 2**k * 0.5 <= s <= 0.5 * 2**k * 1.5 for k, s in enumerate(slept))
