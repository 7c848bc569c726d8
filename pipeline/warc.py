"""Crawl bytes -> records: WARC, WET and ARC; gzip (one or many records a member), zstd (also with the dictionary of
the WARC profile), plain. After damage, reading goes on at the next member or record; what is lost is named.

WARC: ISO 28500. ARC 1.0: archive.org/web/researcher/ArcFileFormat.php. Dictionary frames: iipc warc-zstd 1.0.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import IO, Any

from pipeline.sections import CHUNK, GZIP, ZSTD, Broken, File, Gzip, Plain, Section, Zstd, skip_blank

MAX_HEADER = 1 << 20
"""A record header larger than this is no header."""

LZ4 = b"\x04\x22\x4d\x18"
ZSTD_DICTIONARY = b"\x5d\x2a\x4d\x18"
_SKIPPABLE = b"\x2a\x4d\x18"
_COMPRESSED = (GZIP, ZSTD, ZSTD_DICTIONARY)
_MAX_DICTIONARY = 64 << 20

_ARC = rb"[a-z]{3,9}:[^\s]* [0-9a-f.:]+ \d{8,20} \S+ (?:[^\n]*? )?(?:-?\d+|[a-z]{1,9})"
"""A line that begins an ARC record; some writers put -1 or a word where its length belongs."""
_ARC_LINE = re.compile(_ARC + rb"$")
_NEXT_ARC = re.compile(rb"\n(?=" + _ARC + rb"\r?\n)")
_VERSION = re.compile(rb"WARC/\d[^\s]{0,8}[ \t]*\r*$", re.IGNORECASE)
_NEXT_RECORD = re.compile(rb"(?:^|\n)WARC/\d[.\d]{0,6}\r?\n[A-Za-z-]+:", re.IGNORECASE)


@dataclass(slots=True)
class Record:
    """One record. `body` is the content block, cut at the reader's `limit` (then `size` is larger than it)."""

    type: str  # WARC-Type in lower case; '' when there is none
    headers: dict[str, str] = field(repr=False)  # names in lower case
    body: bytes = field(repr=False)
    offset: int  # where its member (frame, plain record) starts in the file
    index: int  # the how-manieth record of that member
    length: int = 0  # bytes of the member in the file; 0 if it holds more records
    size: int = 0  # bytes of the content block
    truncated: bool = False  # ended before its Content-Length


@dataclass(frozen=True, slots=True)
class Damage:
    """Bytes [start, stop) of the file that gave no record; none of them where only a part of a member is lost."""

    start: int
    stop: int
    reason: str


def starts_record(head: bytes) -> bool:
    """Whether inflated bytes begin like a WARC or ARC record."""
    head = head.removeprefix(b"\xef\xbb\xbf").lstrip(b"\r\n \x00")
    return head[:5].upper() == b"WARC/" or bool(_ARC_LINE.match(head.split(b"\n", 1)[0].rstrip()))


class Reader:
    """The records and damages of the members (frames, plain stretches) that start in [start, stop) of a file.

    `limit`: bytes kept of a content block. After the iteration, `end` is the file position reached; `sections` the
    members seen.
    """

    def __init__(self, file: IO[bytes], size: int, start: int = 0, stop: int | None = None, limit: int = 16 << 20):
        self.source = File(file, size)
        self.size, self.start, self.limit = size, start, limit
        self.stop = size if stop is None else stop
        self.sections = 0
        self.dictionary: Any = None  # zstandard.ZstdCompressionDict
        self.end = start

    def __iter__(self) -> Iterator[Record | Damage]:
        position = self.start
        if self.source.bytes_at(0, 4) == ZSTD_DICTIONARY:
            position = max(position, self._read_dictionary())
        if self.start:
            position = self._resync(position)
        while position < self.stop or (self.sections and self._strange(position)):
            section = self._open(position)
            if section is None:
                resumed = self._resync(position + 1)
                yield Damage(position, resumed, self._stranger(position))
                position = resumed
                continue
            self.sections += 1
            yield from self._records(section)
            position = section.position
        self.end = position

    def _strange(self, position: int) -> bool:
        """Whether no readable member starts behind the range's last one. The next range looks for its first member and
        cannot tell what it passes over from the rest of this range's last member, so it is for this one to name."""
        section = self._open(position)
        if not isinstance(section, Gzip | Zstd):
            return section is None and bool(self.source.bytes_at(position, 64).strip(b"\r\n"))
        try:
            section.need(16)
        except Broken:
            return True
        return (section.cut or bool(section.buffer)) and not starts_record(bytes(section.buffer[:4096]))

    def _read_dictionary(self) -> int:
        """Load the dictionary in the file's first frame; returns where that frame ends, 0 if it is none."""
        import zstandard

        length = int.from_bytes(self.source.bytes_at(4, 4), "little")
        if length > _MAX_DICTIONARY or self._skippable(0, 8 + length) is None:
            return 0
        self.source.file.seek(8)
        data = self.source.file.read(length)
        self.source.base = -1
        try:
            if data.startswith(ZSTD):
                data = zstandard.ZstdDecompressor().stream_reader(data).read(_MAX_DICTIONARY)
            self.dictionary = zstandard.ZstdCompressionDict(data)
        except zstandard.ZstdError:
            return 0
        return 8 + length

    def _open(self, position: int) -> Section | None:
        head = self.source.bytes_at(position, 64)
        if head.startswith(GZIP):
            return Gzip(self.source, position)
        if head.startswith(ZSTD):
            return Zstd(self.source, position, self.dictionary)
        if head[1:4] == _SKIPPABLE and 0x50 <= head[0] <= 0x5F:
            return self._skippable(position, 8 + int.from_bytes(head[4:8], "little"))
        if starts_record(self.source.bytes_at(position, 4096)):
            return Plain(self.source, position)
        return None

    def _skippable(self, position: int, length: int) -> Section | None:
        """A skippable frame, if it is whole and another frame or the file's end follows it."""
        behind = self.source.bytes_at(position + length - 1, 5)
        if not behind or (behind[1:] and not behind[1:].startswith(ZSTD) and behind[2:] != _SKIPPABLE):
            return None
        section = Section(self.source, position)
        section.position, section.done = position + length, True
        return section

    def _stranger(self, position: int) -> str:
        head = self.source.bytes_at(position, 16)
        if head.startswith(LZ4):
            return "LZ4 is not read; compress with gzip or zstd"
        if not head.strip(b"\x00"):
            return "zeros where a record should start"
        return f"no record starts here, but {head!r}"

    def _resync(self, position: int) -> int:
        """The first position from here on where a member or record starts that reads as one; else the end."""
        while position < self.size:
            window = self.source.bytes_at(position, CHUNK)
            if not window:
                break
            found = [i for magic in (GZIP, ZSTD, b"WARC/1.", b"WARC/0.", b"warc/1.") if (i := window.find(magic)) >= 0]
            if not found:
                position += max(1, len(window) - 8)
                continue
            position += min(found)
            if self._reads(position):
                return position
            position += 1
        return self.size

    def _reads(self, position: int) -> bool:
        section = self._open(position)
        if section is None:
            return False
        if isinstance(section, Plain):
            before = self.source.bytes_at(position - 1, 1) if position else b"\n"
            return before in (b"\n", b"\x00") and not self.source.bytes_at(0, 4).startswith(_COMPRESSED)
        try:
            section.need(16)
        except Broken:
            return False
        return starts_record(bytes(section.buffer[:4096]))

    def _records(self, section: Section) -> Iterator[Record | Damage]:
        index = 0
        while True:
            begin = section.here if isinstance(section, Plain) else section.start
            if isinstance(section, Plain) and begin >= self.stop and index:
                section.position, section.done = begin, True
                return
            try:
                if not skip_blank(section):
                    if index == 0 and section.cut:
                        yield self._cut_off(section, section.start)
                    return
                if isinstance(section, Plain):
                    begin = section.here
                    if isinstance(self._open(begin), Gzip | Zstd):
                        section.position, section.done = begin, True
                        return
                    if not starts_record(bytes(section.buffer[:4096])):
                        resumed = self._resync(begin + 1)
                        yield Damage(begin, resumed, self._stranger(begin))
                        section.position, section.done = resumed, True
                        return
                record = self._record(section, begin, index)
                if section.cut:
                    yield self._cut_off(section, begin)
                if index == 0 and section.done and not section.buffer and not isinstance(section, Plain):
                    record.length = section.position - begin
                elif isinstance(section, Plain):
                    record.length = section.here - begin
                yield record
            except Broken as broken:
                resumed = self._after_damage(section, begin)
                yield Damage(begin, resumed, str(broken))
                if section.done and not section.buffer:
                    return
            index += 1

    def _cut_off(self, section: Section, begin: int) -> Damage:
        """A member that has no end before the file's: one cut off, or a damaged one that swallowed what follows."""
        if not isinstance(section, Plain):
            section.position = self._resync(section.start + 1)
        whole = section.position >= self.size
        return Damage(begin, section.position, "cut off at the end of the file" if whole else "a member without an end")

    def _after_damage(self, section: Section, begin: int) -> int:
        """Move the section to where reading can go on; returns that file position."""
        if isinstance(section, Plain):
            section.position, section.done = self._resync(begin + 1), True
            section.buffer.clear()
            return section.position
        try:
            while True:  # another record in the same member?
                match = _NEXT_RECORD.search(section.buffer, 5)
                if match:
                    del section.buffer[: match.start() + (section.buffer[match.start()] == 10)]
                    return section.start
                del section.buffer[:-64]
                if section.done or not section.fill():
                    break
            swallowed = section.cut  # it has no end, so what follows it may be in it
        except Broken:
            swallowed = True
        if swallowed:
            section.position, section.done = self._resync(section.start + 1), True
        section.buffer.clear()
        return section.position

    def _record(self, section: Section, begin: int, index: int) -> Record:
        headers = _header(section)
        size = _content_length(headers) if "arc" not in headers or headers["content-length"].isdigit() else -1
        size = size if size >= 0 else self._length_up_to_next(section)
        if isinstance(section, Plain) and section.here + size > self.size + 4 and self._goes_on(section, size):
            raise Broken(f"Content-Length {size} leads past the end of the file")
        body, count = self._body(section, size)
        if isinstance(section, Plain) and count < size:
            section.cut = True
        elif not section.cut:
            self._close(section, begin, size)
        kind = headers.get("warc-type", "").lower()
        return Record(kind, headers, body, begin, index, 0, size, count < size)

    def _length_up_to_next(self, section: Section) -> int:
        """The length of an ARC record that does not tell it: up to the next record, within the limit."""
        searched = 0
        while not (match := _NEXT_ARC.search(section.buffer, max(0, searched - 2048))):
            searched = len(section.buffer)
            if searched > self.limit or section.done or not section.fill():
                return searched
        return match.start()

    def _goes_on(self, section: Plain, size: int) -> bool:
        """Whether a Content-Length that leads past the file's end is wrong, not the file cut short."""
        return size > 1 << 40 or bool(_NEXT_RECORD.search(self.source.bytes_at(section.here, CHUNK)))

    def _body(self, section: Section, size: int) -> tuple[bytes, int]:
        """The content block, kept up to the limit, and how many of its bytes there were."""
        pieces, kept, count = [], 0, 0
        while count < size:
            if not section.buffer and not (section.fill() if not section.done else self._continue(section)):
                break
            piece = section.take(min(size - count, len(section.buffer)))
            count += len(piece)
            if kept < self.limit:
                pieces.append(piece[: self.limit - kept])
                kept += len(pieces[-1])
        return b"".join(pieces), count

    def _continue(self, section: Section) -> bool:
        """A record that goes on in the next member: go on there, unless a record of its own starts there."""
        if not isinstance(section, Gzip) or section.cut:
            return False
        following = self._open(section.position)
        if not isinstance(following, Gzip) or not following.need(5):
            return False
        if starts_record(bytes(following.buffer[:4096])):
            return False
        section.__dict__.update({k: v for k, v in following.__dict__.items() if k != "start"})
        return True

    def _close(self, section: Section, begin: int, size: int) -> None:
        """Read up to the next record or the member's end, so that a wrong checksum shows before the record is used."""
        if not skip_blank(section):
            return
        if isinstance(section, Plain):
            return  # what stands there is looked at next
        if not section.need(5) or not starts_record(bytes(section.buffer[:4096])):
            raise Broken(f"Content-Length {size} ends inside the record")


def _header(section: Section) -> dict[str, str]:
    """The named fields of the record at the section's start (ARC: made from its line). Raises Broken."""
    if section.buffer.startswith(b"\xef\xbb\xbf"):
        del section.buffer[:3]
    searched = 0
    while True:
        end = section.buffer.find(b"\n", searched)
        if end >= 0 and section.buffer[:5].upper() != b"WARC/":
            return _arc_header(section, end)
        match = re.search(rb"\r*\n\r*\n", section.buffer[max(0, searched - 4) :])
        if match:
            stop = max(0, searched - 4) + match.end()
            return _fields(section.take(stop))
        searched = len(section.buffer)
        if searched > MAX_HEADER:
            raise Broken(f"a header of more than {MAX_HEADER} bytes")
        if section.done or not section.fill():
            raise Broken("a header without an end")


def _fields(block: bytes) -> dict[str, str]:
    lines = block.decode("utf-8", "replace").split("\n")
    if not _VERSION.match(lines[0].encode()):
        raise Broken(f"no version line, but {lines[0][:40]!r}")
    headers: dict[str, str] = {}
    name = ""
    for line in lines[1:]:
        if line[:1] in (" ", "\t"):
            if name:
                headers[name] = f"{headers[name]} {line.strip()}".strip()
            continue
        name, colon, value = line.partition(":")
        name = name.strip().lower()
        if colon and name not in headers:
            headers[name] = value.strip()
        else:
            name = ""
    return headers


def _arc_header(section: Section, end: int) -> dict[str, str]:
    line = section.take(end + 1).decode("utf-8", "replace").strip()
    parts = line.split()
    if len(parts) < 5 or not (parts[-1].isdigit() or _ARC_LINE.match(line.encode())):
        raise Broken(f"neither a WARC nor an ARC header: {line[:40]!r}")
    date = re.sub(r"^(\d{4})(\d\d)(\d\d)(\d\d)?(\d\d)?(\d\d)?.*", r"\1-\2-\3T\4:\5:\6Z", parts[2])
    kind = "warcinfo" if parts[0].startswith("filedesc:") else "response" if "http" in parts[0][:5] else "resource"
    return {
        "warc-type": kind,
        "warc-target-uri": parts[0],
        "warc-date": date,
        "content-type": parts[3],
        "content-length": parts[-1],
        "arc": "1",
    }


def _content_length(headers: dict[str, str]) -> int:
    value = headers.get("content-length", "")
    if not value.isascii() or not value.isdigit():
        raise Broken(f"Content-Length {value[:40]!r} is no length")
    return int(value)
