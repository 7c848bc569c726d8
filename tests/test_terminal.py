"""What the user sees: one line and an exit code, safe text, progress, sizes in words."""

import errno
import os
import signal
import subprocess
import sys
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from corpus import terminal
from corpus.terminal import Progress, StepError, UserError, amount, duration, run, safe, say, size


@pytest.mark.parametrize(("error", "code", "line"), [
    (UserError("a: wrong; mend it"), 2, "error: a: wrong; mend it"),
    (StepError("books do not balance"), 1, "failed: books do not balance"),
    (KeyboardInterrupt(), 130, "interrupted; run the same command again to go on from here"),
    (OSError(errno.ENOSPC, "No space left", "out/p"), 2, "error: out/p: No space left; free some space"),
    (OSError(errno.EFBIG, "File too large"), 2, "error: File too large; free some space"),
    (PermissionError(errno.EACCES, "Permission denied", "out"), 2, "error: out: Permission denied; name a place"),
    (NotADirectoryError(errno.ENOTDIR, "Not a directory", "f/x"), 2, "error: f/x: Not a directory; a file stands"),
    (OSError(errno.EIO, "Input/output error", "disk"), 1, "failed: disk: Input/output error"),
    (OSError("just words"), 1, "failed: just words"),
], ids=lambda v: type(v).__name__ if isinstance(v, BaseException) else None)  # fmt: skip
def test_errors_are_one_line_and_a_code(error, code, line, capsys):
    def main():
        raise error

    assert run(main) == code
    out, err = capsys.readouterr()
    assert out == ""
    assert len(err.splitlines()) == 1
    assert err.startswith(line)


def test_codes_of_what_ends_well():
    assert run(lambda: None) == 0
    assert run(lambda: 0) == 0
    assert run(lambda: 1) == 1


def test_errors_of_ours_are_not_hidden():
    with pytest.raises(ZeroDivisionError):
        run(lambda: 1 // 0)


def test_a_reader_who_goes_away_is_no_failure():
    code = "from corpus import terminal; import sys; sys.exit(terminal.run(lambda: print('x' * 100_000)))"
    process = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    process.stdout.close()
    assert process.wait(20) == 0
    assert process.stderr.read() == b""


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_signals_stop_after_cleaning_up(tmp_path, number, code):
    program = ("import sys, time; from corpus import terminal\n"
               "terminal.stop_on_signals(lambda: open(sys.argv[1], 'w').close())\nprint('ready', flush=True)\n"
               "time.sleep(60)")  # fmt: skip
    mark = tmp_path / "clean"
    process = subprocess.Popen(
        [sys.executable, "-c", program, str(mark)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    assert process.stdout.readline() == "ready\n"
    begun = time.monotonic()
    process.send_signal(number)
    assert process.wait(20) == code
    assert time.monotonic() - begun < 5
    assert mark.exists()
    assert "run the same command again" in process.stderr.read()


@pytest.mark.parametrize(("text", "shown"), [
    ("plain ü 日本 😀", "plain ü 日本 😀"),
    ("\x1b[31mred", "\ufffd[31mred"),
    ("a\nb\rc\td", "a b c d"),
    ("a\u202eb\u2066c\u200bd\ufeff", "a\ufffdb\ufffdc\ufffdd\ufffd"),
    ("\ud800\ue000\x7f\x9b", "\ufffd" * 4),
])  # fmt: skip
def test_safe(text, shown):
    assert safe(text) == shown


@given(st.text())
def test_safe_text_moves_no_cursor_and_stays_one_line(text):
    found = safe(text)
    assert len(found) == len(text)
    assert safe(found) == found
    assert all(ord(c) >= 32 for c in found)
    found.encode()


@pytest.mark.parametrize(("count", "words"), [
    (0, "0 B"), (1023, "1023 B"), (1024, "1.0 KiB"), (1536, "1.5 KiB"), (64 << 20, "64.0 MiB"), (5 << 40, "5.0 TiB"),
    (5000 << 40, "5000.0 TiB"),
])  # fmt: skip
def test_size(count, words):
    assert size(count) == words


@pytest.mark.parametrize(("count", "words"), [
    (0, "0"), (7, "7"), (0.25, "0.25"), (999, "999"), (1000, "1,000"), (9999, "9,999"), (12_345, "12.3 k"),
    (1_234_567, "1.23 M"), (45_600_000, "45.6 M"), (2.5e9, "2.5 G"), (7e12, "7e+03 G"),
])  # fmt: skip
def test_amount(count, words):
    assert amount(count) == words


@pytest.mark.parametrize(("seconds", "words"), [
    (0, "0.0 s"), (9.94, "9.9 s"), (10, "10 s"), (119, "119 s"), (120, "2 min"), (3700, "62 min"), (7200, "2 h 0 min"),
    (90_000, "25 h 0 min"),
])  # fmt: skip
def test_duration(seconds, words):
    assert duration(seconds) == words


def test_progress_in_a_pipe_is_few_plain_lines(capsys, monkeypatch):
    now = [0.0]
    monkeypatch.setattr(terminal.time, "monotonic", lambda: now[0])
    bar = Progress("extract", 100, show=lambda n: f"{n:.0f} B")
    for _ in range(10):
        now[0] += 7
        bar.advance(10, "note")
    assert bar.finish() == 70
    out, err = capsys.readouterr()
    assert out == ""
    assert err.splitlines() == [
        "extract: 50%, 50 B of 100 B, 1 B/s, 35 s left, note",
        "extract: 100%, 100 B of 100 B, 1 B/s, note",
    ]
    assert "\x1b" not in err


def test_progress_on_a_terminal_is_one_line_that_goes_away():
    code = ("import time; from corpus.terminal import Progress\nbar = Progress('steps', 4)\n"
            "for _ in range(4):\n time.sleep(0.25); bar.advance(1)\nbar.finish()")  # fmt: skip
    import pty

    main, side = pty.openpty()
    process = subprocess.Popen([sys.executable, "-c", code], stderr=side)
    process.wait(20)
    os.close(side)
    seen = os.read(main, 1 << 16).decode()
    assert "[########################]" in seen
    assert "\n" not in seen
    assert seen.endswith("\r\x1b[K")


def test_quiet_means_quiet(capsys):
    say("x", quiet=True)
    bar = Progress("x", 1, quiet=True, interval=0)
    bar.advance(1)
    bar.finish()
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize("total", [0, 5])
def test_progress_of_nothing_and_of_more_than_was_said(total, capsys):
    bar = Progress("x", total, interval=0)
    bar.advance(10)
    assert ("0%" if total == 0 else "100%") in capsys.readouterr().err
