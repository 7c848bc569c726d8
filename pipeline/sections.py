"""The stretches of a crawl file that are read in one go: gzip members, zstd frames, plain records. Each is a buffer of
what was inflated, filled piece by piece, so that neither a member of a gigabyte nor a bomb is ever held whole."""

from typing import IO

from zlib_ng import zlib_ng as zlib  # inflates at nearly twice the speed of the standard library's

CHUNK = 64 << 10
GZIP = b"\x1f\x8b\x08"
ZSTD = b"\x28\xb5\x2f\xfd"


class Broken(Exception):
    """The compressed data or a record header cannot be read on."""


class File:
    """The file with a window of bytes around the reading position."""

    def __init__(self, file: IO[bytes], size: int):
        self.file, self.size = file, size
        self.base = -1  # file position of data[0]
        self.data = b""

    def bytes_at(self, position: int, count: int) -> bytes:
        """Up to `count` (at most CHUNK) bytes at `position`; b'' at the end."""
        begin = position - self.base
        if self.base < 0 or begin < 0 or begin + count > len(self.data):
            if begin < 0 or begin > len(self.data) or self.base < 0:
                self.file.seek(position)
                self.data = self.file.read(4 * CHUNK)
            else:
                self.data = self.data[begin:] + self.file.read(4 * CHUNK)
            self.base, begin = position, 0
        return self.data[begin : begin + count]


class Section:
    """One gzip member, zstd frame or stretch of plain records: a buffer that `fill` extends.

    `fill` returns False at the section's end and raises Broken on damage; `position` is then the file position
    behind what was consumed.
    """

    def __init__(self, source: File, position: int):
        self.source, self.start, self.position = source, position, position
        self.buffer = bytearray()
        self.done = self.cut = False

    def fill(self) -> bool:
        raise NotImplementedError

    def need(self, count: int) -> bool:
        while len(self.buffer) < count:
            if self.done or not self.fill():
                return False
        return True

    def take(self, count: int) -> bytes:
        data = bytes(self.buffer[:count])
        del self.buffer[:count]
        return data


class Plain(Section):
    def fill(self):
        data = self.source.bytes_at(self.position, CHUNK)
        self.position += len(data)
        self.buffer += data
        self.done = not data
        return bool(data)

    @property
    def here(self) -> int:
        return self.position - len(self.buffer)


class Gzip(Section):
    def __init__(self, source, position):
        super().__init__(source, position)
        self.inflater = zlib.decompressobj(31)

    def fill(self):
        tail = self.inflater.unconsumed_tail
        data = tail or self.source.bytes_at(self.position, CHUNK)
        if not data:
            self.done = self.cut = True
            return False
        if not tail:
            self.position += len(data)
        try:
            self.buffer += self.inflater.decompress(data, 16 * CHUNK)
        except zlib.error as error:
            raise Broken(f"gzip: {error}") from None
        if self.inflater.eof:
            self.position -= len(self.inflater.unused_data)
            self.done = True
        return True


class Zstd(Section):
    def __init__(self, source, position, dictionary):
        import zstandard

        super().__init__(source, position)
        self.error = zstandard.ZstdError
        self.inflater = zstandard.ZstdDecompressor(dict_data=dictionary).decompressobj()

    def fill(self):
        data = self.source.bytes_at(self.position, 256)  # four bytes can stand for 128 KiB
        if not data:
            self.done = self.cut = True
            return False
        self.position += len(data)
        try:
            self.buffer += self.inflater.decompress(data)
        except self.error as error:
            raise Broken(f"zstd: {error}") from None
        if self.inflater.eof:
            self.position -= len(self.inflater.unused_data)
            self.done = True
        return True


def skip_blank(section: Section) -> bool:
    """Drop line ends before a record; False at the section's end."""
    while True:
        while section.buffer and section.buffer[0] in b"\r\n":
            count = len(section.buffer) - len(section.buffer.lstrip(b"\r\n"))
            del section.buffer[:count]
        if section.buffer:
            return section.need(12) or bool(section.buffer.strip(b"\r\n\x00 "))
        if section.done or not section.fill():
            return False
