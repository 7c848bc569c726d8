"""Files wherever they are: local paths, gs://, s3:// (through pyarrow.fs), https:// (read only).

A file appears under its name only when it is whole: locally it is written under a temporary name, synced and
renamed; object stores show an object when its upload is complete. Reads are retried with growing pauses.
"""

import base64
import contextlib
import errno
import fnmatch
import functools
import http.client
import io
import os
import random
import re
import shutil
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import IO

from corpus.settings import VERSION
from corpus.terminal import UserError

TEMPORARY = ".writing-"
"""Prefix of names of files that are being written; what is left of a killed run carries it."""

RETRIED = {403, 408, 429, 500, 502, 503, 504}
_WHOLE = 64 << 20
_BLOCKS, _BLOCK = 16, 64 << 10


@dataclass(frozen=True)
class Stat:
    """Size in bytes (-1: not known before it is read) and a tag that changes when the content does."""

    size: int
    tag: str


def is_remote(path: str) -> bool:
    return "://" in path


def is_http(path: str) -> bool:
    return path.startswith(("http://", "https://"))


def join(folder: str, *names: str) -> str:
    return "/".join([folder.rstrip("/") or "/", *names])


def redact(path: str) -> str:
    """A path without what must not be logged: user and password, query."""
    scheme, mark, rest = path.partition("://")
    if not mark:
        return path
    host, slash, tail = re.split(r"[?#]", rest, maxsplit=1)[0].partition("/")
    return scheme + mark + host.rpartition("@")[2] + slash + tail


@functools.lru_cache(maxsize=16)
def _store(scheme_and_host: str):
    from pyarrow import fs

    return fs.FileSystem.from_uri(scheme_and_host)[0]


def _resolve(path: str):
    """(pyarrow filesystem, path inside it)."""
    scheme, _, rest = path.partition("://")
    return _store(f"{scheme}://{rest.partition('/')[0]}"), rest


def retry(call: Callable, attempts: int = 6, first_pause: float = 0.5):
    """`call()`, tried again after failures that may pass: pauses double from `first_pause` seconds, with jitter;
    a server's Retry-After is honoured. Missing files and refusals other than RETRIED are raised at once."""
    for attempt in range(attempts):
        try:
            return call()
        except FileNotFoundError:
            raise
        except urllib.error.HTTPError as error:
            if error.code == 404:
                raise FileNotFoundError(errno.ENOENT, "not found (404)", redact(error.url)) from None
            if error.code not in RETRIED or attempt == attempts - 1:
                raise OSError(errno.EIO, f"HTTP {error.code} {error.reason}", redact(error.url)) from None
            pause = _retry_after(error)
        except http.client.HTTPException as error:  # its words may hold the address with its secrets
            if attempt == attempts - 1 or isinstance(error, http.client.InvalidURL):
                raise OSError(errno.EIO, f"HTTP failed ({type(error).__name__})") from None
            pause = 0.0
        except (OSError, TimeoutError):
            if attempt == attempts - 1:
                raise
            pause = 0.0
        time.sleep(max(pause, first_pause * 2**attempt * random.uniform(0.5, 1.5)))
    raise AssertionError


def _retry_after(error: urllib.error.HTTPError) -> float:
    try:
        return min(120.0, float(error.headers.get("Retry-After", 0)))
    except ValueError:
        return 0.0


def _request(url: str, method: str = "GET", **fields: str) -> urllib.request.Request:
    """A request; user and password of the address go where they belong."""
    scheme, _, rest = url.partition("://")
    host, slash, tail = rest.partition("/")
    user, at, host = host.rpartition("@")
    if at:
        words = urllib.parse.unquote(user).encode()
        fields["Authorization"] = "Basic " + base64.b64encode(words).decode()
    headers = {"User-Agent": f"crawlmill/{VERSION}", **fields}
    return urllib.request.Request(f"{scheme}://{host}{slash}{tail}", headers=headers, method=method)


def _pass_over(response, count: int) -> int:
    """Read `count` bytes and throw them away."""
    left = count
    while left and (piece := response.read(min(left, 1 << 20))):
        left -= len(piece)
    return count - left


class _HttpFile(io.RawIOBase):
    """A seekable file over HTTP ranges; a broken connection is resumed where it broke."""

    def __init__(self, url: str):
        self.url, self.position, self.response = url, 0, None
        self.left = -1  # bytes that the response still owes; -1: not known

    def readable(self):
        return True

    def seekable(self):
        return True

    def tell(self):
        return self.position

    def seek(self, offset, whence=0):
        if whence == os.SEEK_END:
            size = stat(self.url).size
            if size < 0:
                raise OSError(errno.EIO, "the server does not tell the size", redact(self.url))
            offset += size
        elif whence == os.SEEK_CUR:
            offset += self.position
        if offset != self.position:
            self._close()
        self.position = offset
        return offset

    def _close(self):
        if self.response is not None:
            self.response.close()
            self.response = None

    def _open(self):
        try:
            response = urllib.request.urlopen(_request(self.url, Range=f"bytes={self.position}-"), timeout=60)
        except urllib.error.HTTPError as error:
            if error.code != 416:
                raise
            self.response, self.left = io.BytesIO(), 0  # nothing behind this position
            return
        start = re.match(r"bytes (\d+)-", response.headers.get("Content-Range", ""))
        if response.status == 206 and start and int(start[1]) != self.position:
            response.close()
            raise OSError(errno.EIO, "the server sent another range than it was asked for", redact(self.url))
        self.left = int(response.headers.get("Content-Length") or -1)
        if response.status != 206:  # ranges are ignored: pass over what was read before
            self.left = max(-1, self.left - _pass_over(response, self.position))
        self.response = response

    def readinto(self, buffer):
        def once():
            if self.response is None:
                self._open()
            try:
                count = self.response.readinto(buffer)
                if count == 0 and self.left > 0:
                    raise OSError(errno.EIO, "connection closed early", redact(self.url))
            except (OSError, http.client.HTTPException):
                self._close()
                raise
            return count

        count = retry(once)
        self.position += count
        if self.left > 0:
            self.left -= count
        return count


def open_read(path: str) -> IO[bytes]:
    """A seekable, buffered binary file. Errors: FileNotFoundError, OSError."""
    if is_http(path):
        return io.BufferedReader(_HttpFile(path), 1 << 20)
    if is_remote(path):
        store, inner = _resolve(path)
        return retry(lambda: io.BufferedReader(store.open_input_file(inner), 1 << 20))
    return open(path, "rb", buffering=1 << 18)


def read(path: str) -> bytes:
    with open_read(path) as file:
        return file.read()


def exists(path: str) -> bool:
    if not is_remote(path):
        return os.path.exists(path)
    store, inner = _resolve(path)
    from pyarrow import fs

    return retry(lambda: store.get_file_info(inner)).type != fs.FileType.NotFound


def stat(path: str) -> Stat:
    """Size and tag. Local files: a hash of the content (of sixteen blocks and the time stamp beyond 64 MiB), so that
    a copy elsewhere gives the same bytes. Object stores: size and time. HTTP: what the server says, one request."""
    import xxhash

    if is_http(path):
        with retry(lambda: urllib.request.urlopen(_request(path, "HEAD"), timeout=60)) as answer:
            headers = answer.headers
            return Stat(
                int(headers.get("Content-Length") or -1), headers.get("ETag") or headers.get("Last-Modified") or ""
            )
    if is_remote(path):
        store, inner = _resolve(path)
        info = retry(lambda: store.get_file_info(inner))
        if not info.is_file:
            raise FileNotFoundError(errno.ENOENT, "no such object", path)
        return Stat(info.size, str(info.mtime_ns or ""))
    digest = xxhash.xxh3_64()
    with open(path, "rb") as file:
        info = os.fstat(file.fileno())
        if info.st_size <= _WHOLE:
            while block := file.read(1 << 20):
                digest.update(block)
        else:
            digest.update(str(info.st_mtime_ns).encode())
            for k in range(_BLOCKS):
                file.seek((info.st_size - _BLOCK) * k // (_BLOCKS - 1))
                digest.update(file.read(_BLOCK))
    return Stat(info.st_size, digest.hexdigest())


def list_files(folder: str) -> list[str]:
    """Every file below a folder, sorted, hidden ones left out; [] if there is no such folder."""
    if is_remote(folder):
        from pyarrow import fs

        store, inner = _resolve(folder)
        scheme = folder.partition("://")[0]
        found = retry(lambda: store.get_file_info(fs.FileSelector(inner, recursive=True, allow_not_found=True)))
        return sorted(f"{scheme}://{i.path}" for i in found if i.is_file and not i.base_name.startswith("."))
    paths = []
    for root, folders, names in os.walk(folder):
        folders[:] = [f for f in folders if not f.startswith(".")]
        paths += [os.path.join(root, n) for n in names if not n.startswith(".")]
    return sorted(paths)


def expand(pattern: str) -> list[str]:
    """The files that a path, folder or glob names, sorted. Nothing found is the user's mistake."""
    if is_http(pattern):
        return [pattern]
    if any(c in pattern for c in "*?[") and not exists(pattern):
        fixed = pattern[: min(pattern.index(c) for c in "*?[" if c in pattern)].rpartition("/")[0]
        found = [p for p in list_files(fixed or ".") if fnmatch.fnmatch(_plain(p), _plain(pattern))]
        if not found:
            raise UserError(f"{pattern}: no file matches; look at the pattern, or quote it for the shell")
        return found
    if not exists(pattern):
        raise UserError(f"{pattern}: no such file or folder; look at the path")
    if is_remote(pattern):
        return list_files(pattern) or [pattern]
    if os.path.isdir(pattern):
        found = list_files(pattern)
        if not found:
            raise UserError(f"{pattern}: an empty folder; name one with crawl files")
        return found
    return [pattern]


def _plain(path: str) -> str:
    return path if is_remote(path) else os.path.normpath(path)


@contextlib.contextmanager
def writing(path: str) -> Iterator[str]:
    """A local temporary path to write to; at the end of the block the file is whole under `path`, or not there."""
    if is_remote(path):
        import tempfile

        with tempfile.TemporaryDirectory() as folder:
            local = os.path.join(folder, "part")
            yield local
            store, inner = _resolve(path)
            retry(lambda: _upload(store, local, inner))
        return
    folder, name = os.path.split(path)
    os.makedirs(folder or ".", exist_ok=True)
    temporary = os.path.join(folder, f"{TEMPORARY}{os.getpid()}-{name}")
    try:
        yield temporary
        with open(temporary, "rb") as file:
            os.fsync(file.fileno())
        os.replace(temporary, path)
        _sync_folder(folder or ".")
    except BaseException:
        with contextlib.suppress(OSError):
            os.unlink(temporary)
        raise


def _upload(store, local: str, inner: str) -> None:
    with open(local, "rb") as source, store.open_output_stream(inner) as target:
        while block := source.read(8 << 20):
            target.write(block)


def _sync_folder(folder: str) -> None:
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def write(path: str, data: bytes | str) -> None:
    """A small file, whole or not at all."""
    with writing(path) as temporary, open(temporary, "wb") as file:
        file.write(data.encode() if isinstance(data, str) else data)


def remove(paths: Iterable[str]) -> None:
    """Delete files; those that are gone already are no error."""
    for path in paths:
        if is_remote(path):
            store, inner = _resolve(path)
            with contextlib.suppress(FileNotFoundError):
                store.delete_file(inner)
        else:
            with contextlib.suppress(FileNotFoundError):
                os.unlink(path)


def remove_folder(folder: str) -> None:
    """Delete a folder and all in it, if it is there."""
    remove(list_files(folder))
    if not is_remote(folder):
        shutil.rmtree(folder, ignore_errors=True)


def _alive(name: str) -> bool:
    """Whether the process that writes this temporary file still runs."""
    try:
        os.kill(int(name[len(TEMPORARY) :].partition("-")[0]), 0)
    except (ValueError, ProcessLookupError):
        return False
    except PermissionError:
        return True
    return True


def sweep(folder: str) -> int:
    """Delete what killed runs left half-written in a local folder; returns how many files."""
    count = 0
    if not is_remote(folder):
        for root, _, names in os.walk(folder):
            for name in names:
                if name.startswith(TEMPORARY) and not _alive(name):
                    with contextlib.suppress(FileNotFoundError):
                        os.unlink(os.path.join(root, name))
                    count += 1
    return count
