"""python -m benchmarks.charset: bytes to text, ours beside the detectors, in one run.

Share of snippets whose text is exactly the truth, and MB per CPU-second, on the undeclared and declared snippets that
lie beside the checkout. The detectors see no labels; Resiliparse's row is its own detector. A peer that is not
installed is left out (pip install charset-normalizer).
"""

import base64
import gzip
import importlib.util
import json
import time
from collections.abc import Callable
from pathlib import Path

from pipeline import charset

DATA = Path(__file__).resolve().parents[2] / "shared" / "data" / "encoding"
_MEANING = {"windows-874": "cp874", "euc-kr": "cp949", "shift_jis": "cp932"}


def truth(data: bytes, encoding: str) -> str:
    """What the bytes say: `-bom` is a byte order mark, names mean what WHATWG says."""
    name = encoding.lower().removesuffix("-bom")
    known = charset.name_of(name)
    text = data.decode(_MEANING.get(name) or (charset._ENCODINGS[known][0] if known else name))
    return text.removeprefix("\ufeff")


def ours(data: bytes, declared: str) -> str | None:
    found = charset.decode(data, declared)
    return found.text if found else None


def by_name(detect: Callable[[bytes], str | None]) -> Callable[[bytes, str], str | None]:
    """A detector's answer, decoded as Python understands it."""

    def read(data: bytes, declared: str) -> str | None:
        name = detect(data)
        try:
            return data.decode(name, "replace").removeprefix("\ufeff") if name else None
        except LookupError:
            return None

    return read


def peers() -> dict[str, Callable[[bytes, str], str | None]]:
    import chardet
    from chardetng_py import EncodingDetector
    from resiliparse.parse.encoding import detect_encoding

    def chardetng(data: bytes) -> str:
        detector = EncodingDetector()
        detector.feed(data, last=True)
        return detector.guess(tld=None, allow_utf8=True)

    found = {
        "chardet": by_name(lambda data: chardet.detect(data)["encoding"]),
        "chardetng": by_name(chardetng),
        "resiliparse": by_name(detect_encoding),
    }
    if importlib.util.find_spec("charset_normalizer"):
        from charset_normalizer import from_bytes

        found["charset-normalizer"] = by_name(lambda data: (best := from_bytes(data).best()) and best.encoding)
    return found


def main() -> None:
    readers = {"ours": ours, **peers()}
    print(f"{'':<20} {'undeclared':>11} {'MB/s':>7} {'declared':>10} {'MB/s':>7}")
    files = {name: gzip.decompress((DATA / f"{name}.jsonl.gz").read_bytes()) for name in ("undeclared", "declared")}
    sets = {name: [json.loads(line) for line in data.splitlines()] for name, data in files.items()}
    for name, read in readers.items():
        cells = []
        for rows in sets.values():
            right, seconds, size = 0, 0.0, 0
            for row in rows:
                data = base64.b64decode(row["bytes"])
                begun = time.process_time()
                text = read(data, row.get("http_content_type") or "")
                seconds += time.process_time() - begun
                size += len(data)
                right += text == truth(data, row["encoding"])
            cells += [f"{right / len(rows):>10.1%}", f"{size / 1e6 / seconds:>7.1f}"]
        print(f"{name:<20}  {'  '.join(cells)}")


if __name__ == "__main__":
    main()
