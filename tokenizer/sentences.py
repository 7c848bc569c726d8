"""Where sentences end, in any script, and text -> lines that a vocabulary can be trained on."""

import re
from collections.abc import Iterator

_FINAL = (
    # the property Sentence_Terminal of Unicode 16
    "!.?\u0589\u061d-\u061f\u06d4\u0700-\u0702\u07f9\u0837\u0839\u083d\u083e\u0964\u0965\u104a\u104b\u1362\u1367\u1368"
    "\u166e\u1735\u1736\u17d4\u17d5\u1803\u1809\u1944\u1945\u1aa8-\u1aab\u1b4e\u1b4f\u1b5a\u1b5b\u1b5e\u1b5f\u1b7d-\u1b7f"
    "\u1c3b\u1c3c\u1c7e\u1c7f\u2024\u203c\u203d\u2047-\u2049\u2cf9-\u2cfb\u2e2e\u2e3c\u2e53\u2e54\u3002\ua4ff\ua60e\ua60f"
    "\ua6f3\ua6f7\ua876\ua877\ua8ce\ua8cf\ua92f\ua9c8\ua9c9\uaa5d-\uaa5f\uaaf0\uaaf1\uabeb\ufe12\ufe15\ufe16\ufe52\ufe56"
    "\ufe57\uff01\uff0e\uff1f\uff61\U00010a56\U00010a57\U00010f55-\U00010f59\U00010f86-\U00010f89\U00011047\U00011048"
    "\U000110be-\U000110c1\U00011141-\U00011143\U000111c5\U000111c6\U000111cd\U000111de\U000111df\U00011238\U00011239"
    "\U0001123b\U0001123c\U000112a9\U000113d4\U000113d5\U0001144b\U0001144c\U000115c2\U000115c3\U000115c9-\U000115d7"
    "\U00011641\U00011642\U0001173c-\U0001173e\U00011944\U00011946\U00011a42\U00011a43\U00011a9b\U00011a9c\U00011c41"
    "\U00011c42\U00011ef7\U00011ef8\U00011f43\U00011f44\U00016a6e\U00016a6f\U00016af5\U00016b37\U00016b38\U00016b44"
    "\U00016e98\U0001bc9f\U0001da88"
    # and the Tibetan shad, which ends sentences though Unicode does not say so
    "\u0f0d-\u0f12"
)
_CLOSERS = "\"'\\)\\]\\}»›”’」』】）］"

FINAL = re.compile(f"[{_FINAL}]+[{_CLOSERS}]*")
"""A run of sentence-final marks with the quotes and brackets that close after it."""

_ENDS = re.compile(f"{FINAL.pattern}\\Z")

LINE_BYTES = 4096
"""SentencePiece silently skips training lines above its max_sentence_length (4192 bytes by default)."""

_RESERVED = str.maketrans({"\u2585": " ", "\0": " ", "\r": "\n", "\u2028": "\n", "\u2029": "\n"})
"""SentencePiece skips training lines with U+2585 (its mark for unknown) or NUL; both are no loss as a space."""


def ends_sentence(piece: str) -> bool:
    return _ENDS.search(piece) is not None


def lines(text: str, limit: int = LINE_BYTES) -> Iterator[str]:
    """The non-empty lines of a text, those of more than `limit` bytes cut behind the last sentence mark that fits,
    else at a space, else anywhere. But for white space at the cuts nothing is lost."""
    for line in text.translate(_RESERVED).split("\n"):
        start = 0
        while start < len(line):
            head = _fitting(line[start : start + limit], limit)
            if start + len(head) < len(line):
                head = head[: _cut(head)]
            start += len(head)
            if head := head.strip():
                yield head


def _fitting(text: str, limit: int) -> str:
    """The longest beginning of a text that has at most `limit` bytes."""
    return text if len(text) * 4 <= limit else text.encode()[:limit].decode(errors="ignore")


def _cut(head: str) -> int:
    last = 0
    for match in FINAL.finditer(head):
        last = match.end()
    return last or head.rfind(" ") + 1 or len(head)
