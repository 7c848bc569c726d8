"""What the user sees of a running command: one-line errors, exit codes, progress, sizes and times in words.

Results go to stdout; everything here writes to stderr. Exit codes: 0 done, 1 failed, 2 user's mistake,
130 interrupted.
"""

import errno
import os
import signal
import sys
import time
import unicodedata
from collections.abc import Callable

DONE, FAILED, MISTAKE, INTERRUPTED = 0, 1, 2, 130


_AGAIN = "free some space and run the same command again, it goes on from here"
_THEIRS = {
    errno.ENOSPC: _AGAIN,
    errno.EDQUOT: _AGAIN,
    errno.EFBIG: _AGAIN,
    errno.EACCES: "name a place that may be read and written",
    errno.EROFS: "name a place that may be written",
    errno.ENOTDIR: "a file stands where a folder should be; name another one",
    errno.EISDIR: "a folder stands where a file should be; name another one",
}
"""Errors of the system that are the user's to mend, and how."""


class UserError(Exception):
    """A user's mistake, told in one line that names the place, the fact and the fix. Exit code 2."""


class StepError(Exception):
    """A step that cannot go on (books that do not balance, nothing produced, disk full). Exit code 1."""


def safe(text: str) -> str:
    """Web text for a terminal: control, bidi and other format characters become U+FFFD, line ends a space."""
    return "".join(
        " " if c in "\n\r\t" else "\ufffd" if unicodedata.category(c) in ("Cc", "Cf", "Cs", "Co") else c for c in text
    )


def say(line: str, quiet: bool = False) -> None:
    """One line for the user on stderr."""
    if not quiet:
        print(line, file=sys.stderr, flush=True)


def run(main: Callable[[], int | None]) -> int:
    """Call `main` and turn what it raises into one line on stderr and an exit code."""
    try:
        return main() or DONE
    except UserError as error:
        say(f"error: {error}")
        return MISTAKE
    except StepError as error:
        say(f"failed: {error}")
        return FAILED
    except KeyboardInterrupt:
        say("interrupted; run the same command again to go on from here")
        return INTERRUPTED
    except BrokenPipeError:  # the reader of our stdout went away (| head)
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return DONE
    except OSError as error:
        place = f"{error.filename}: " if error.filename else ""
        if error.errno in _THEIRS:
            say(f"error: {place}{error.strerror or error}; {_THEIRS[error.errno]}")
            return MISTAKE
        say(f"failed: {place}{error.strerror or error}")
        return FAILED


def stop_on_signals(cleanup: Callable[[], None]) -> None:
    """On Ctrl-C and SIGTERM: `cleanup`, one line, exit at once (130 or 143). What is on disk is whole files."""

    def stop(number, frame):
        cleanup()
        say("\ninterrupted; run the same command again to go on from here")
        os._exit(INTERRUPTED if number == signal.SIGINT else 128 + number)

    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, stop)


def size(count: float) -> str:
    """Bytes in words: 1536 -> '1.5 KiB'."""
    for unit in ("B", "KiB", "MiB", "GiB", "TiB"):
        if count < 1024 or unit == "TiB":
            return f"{count:.0f} B" if unit == "B" else f"{count:.1f} {unit}"
        count /= 1024
    raise AssertionError


def amount(count: float) -> str:
    """A count in words: 1234567 -> '1.23 M'."""
    for unit, power in (("G", 1e9), ("M", 1e6), ("k", 1e3)):
        if count >= 10 * power or (count >= power and unit != "k"):
            return f"{count / power:.3g} {unit}"
    return f"{count:,.0f}" if float(count).is_integer() else f"{count:,.2f}"


def duration(seconds: float) -> str:
    """Seconds in words: 3700 -> '1 h 2 min'."""
    if seconds < 10:
        return f"{seconds:.1f} s"
    if seconds < 120:
        return f"{seconds:.0f} s"
    if seconds < 7200:
        return f"{seconds / 60:.0f} min"
    return f"{seconds // 3600:.0f} h {seconds % 3600 / 60:.0f} min"


class Progress:
    """A bar with rate and time left on a terminal, plain lines (at most one in `interval` seconds) when piped.

    `total` and `advance` are in one unit (bytes, tokens, steps, ...); `show` turns an amount of it into words.
    Elsewhere than the wall clock nothing depends on it.
    """

    def __init__(
        self,
        label: str,
        total: float,
        show: Callable[[float], str] = amount,
        quiet: bool = False,
        interval: float = 30.0,
    ):
        self.label, self.total, self.show, self.quiet = label, total, show, quiet
        self.tty = sys.stderr.isatty()
        self.interval = 0.2 if self.tty else interval
        self.begun = self.last = time.monotonic()
        self.done = 0.0
        self.note = ""

    def advance(self, count: float, note: str = "") -> None:
        """`count` more is done; `note` is shown behind the bar."""
        self.done += count
        self.note = note or self.note
        now = time.monotonic()
        if not self.quiet and now - self.last >= self.interval:
            self.last = now
            self._draw(now)

    def _line(self, now: float) -> str:
        passed = now - self.begun
        rate = self.done / passed if passed > 0 else 0.0
        share = min(1.0, self.done / self.total) if self.total else 0.0
        left = (self.total - self.done) / rate if rate and self.total > self.done else 0.0
        words = f"{self.show(self.done)} of {self.show(self.total)}, {self.show(rate)}/s"
        if left:
            words += f", {duration(left)} left"
        if self.note:
            words += f", {self.note}"
        if not self.tty:
            return f"{self.label}: {share:.0%}, {words}"
        filled = round(share * 24)
        return f"{self.label} [{'#' * filled}{'.' * (24 - filled)}] {share:4.0%} {words}"

    def _draw(self, now: float) -> None:
        line = self._line(now)
        if self.tty:
            try:
                width = os.get_terminal_size(sys.stderr.fileno()).columns
            except OSError:
                width = 100
            sys.stderr.write("\r\x1b[K" + line[: width - 1])
            sys.stderr.flush()
        else:
            say(line)

    def finish(self) -> float:
        """Close the bar; returns the seconds since it was opened."""
        now = time.monotonic()
        if not self.quiet and self.tty:
            self._draw(now)
            sys.stderr.write("\r\x1b[K")
            sys.stderr.flush()
        return now - self.begun
