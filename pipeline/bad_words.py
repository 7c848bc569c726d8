"""A list of words that no good text has, say C4's bad words, in the place of a quality classifier: text -> score.

The score is the share of a text's words that the list lacks, so that --threshold min_quality_NAME=1 is C4's rule (a
page with a single one of them goes) and .99 a lenient one. A line of the list is a word or several; case, punctuation
and white space don't count; in scripts without spaces an entry is found inside a run of letters, too.
"""

import hashlib
from collections.abc import Iterable

import numpy as np
import regex

from corpus import storage
from corpus.terminal import UserError
from pipeline import words

ENDING = ".txt"
_BETWEEN = regex.compile(r"[^\p{L}\p{M}\p{N}]+")


def folded(text: str) -> str:
    """Words in lower case, a space before and behind each."""
    return f" {_BETWEEN.sub(' ', text.lower()).strip()} "


class List:
    """A list as a classifier (quality.py)."""

    def __init__(self, entries: Iterable[str], digest: str):
        kept = {entry for entry in map(folded, entries) if entry.strip()}
        inside = {entry for entry in kept if np.any(words.classes()[words.codes(entry)] & words.UNSPACED)}
        self.digest, self._inside = digest, sorted(entry.strip() for entry in inside)
        self._single = frozenset(entry[1:-1] for entry in kept - inside if " " not in entry[1:-1])
        self._several = sorted(entry for entry in kept - inside if " " in entry[1:-1])

    def __call__(self, text: str) -> float:
        """The share of a text's words that are not in the list; each place where an entry of several words, or one of a
        script without spaces, stands counts as a word."""
        seen = folded(text)
        own = seen.split()
        found = sum(word in self._single for word in own)
        found += sum(map(seen.count, self._several)) + sum(map(seen.count, self._inside))
        return 1 - min(1.0, found / max(1, len(own)))


def read(path: str) -> List:
    """The list in a file: UTF-8, an entry a line, lines that begin with '#' left out. Errors: UserError."""
    try:
        data = storage.read(path)
        lines = data.decode("utf-8-sig").splitlines()
    except OSError as error:
        raise UserError(f"{storage.redact(path)}: {error.strerror or error}") from None
    except UnicodeDecodeError:
        raise UserError(f"{storage.redact(path)}: not UTF-8; give a list of words, one a line") from None
    entries = [line for line in lines if line.strip() and not line.startswith("#")]
    if not entries:
        raise UserError(f"{storage.redact(path)}: no words; give a list, one a line")
    return List(entries, hashlib.sha256(data).hexdigest())
