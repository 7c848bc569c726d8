"""Tasks for the worker processes of test_items.py: they must be importable where nothing but the checkout is."""

import os
import signal
import sys
import time

from corpus.terminal import UserError

BANNED = ("apache_beam", "torch", "tensorboard")


class Unportable(Exception):
    """Cannot be made from its own arguments, so no pickle of it can be read."""

    def __init__(self, one, two):
        super().__init__(f"{one} and {two}")


def double(item, tick, skip=frozenset()):
    tick(0)
    return {"item": item, "double": item * 2, "process": os.getpid()}


def wait(item, seconds, tick):
    time.sleep(seconds)
    return {"item": item}


def modules(item, tick):
    """What of the heavy libraries a worker has after importing all that workers run."""
    from pipeline import extract, select, tokenize

    steps = (extract, select, tokenize)
    return {"banned": [m for m in sys.modules if m.split(".")[0] in BANNED], "steps": [s.__name__ for s in steps]}


def die_at(item, records, tick, skip=frozenset()):
    """Five records; the process dies at each of `records` that is not skipped."""
    for number in range(5):
        tick(number)
        if number in records and number not in skip:
            os.kill(os.getpid(), signal.SIGKILL)
    return {"item": item, "skip": sorted(skip)}


def die_once(item, mark, tick, skip=frozenset()):
    """Dies at record 3 the first time it is tried, as a process that somebody else kills."""
    for number in range(5):
        tick(number)
        if number == 3 and not os.path.exists(mark):
            open(mark, "w").close()
            os.kill(os.getpid(), signal.SIGKILL)
    return {"item": item, "skip": sorted(skip)}


def die_before(item, tick):
    os._exit(3)


def burn(item, tick, skip=frozenset()):
    """Record 2 never ends."""
    for number in range(4):
        tick(number)
        while number == 2 and number not in skip:
            pass
    return {"item": item, "skip": sorted(skip)}


def burn_untold(item, seconds, tick):
    """CPU time in a task that tells of no records."""
    end = time.process_time() + seconds
    while time.process_time() < end:
        pass
    return {"item": item}


def grow(item, tick, skip=frozenset()):
    """Record 2 takes ever more memory."""
    held = []
    for number in range(4):
        tick(number)
        time.sleep(1.1 if number == 0 else 0)  # so that the memory before is looked at
        while number == 2 and number not in skip and len(held) < 120:
            held.append(bytearray(os.urandom(1 << 20) * 8))
            time.sleep(0.02)
    return {"item": item, "skip": sorted(skip), "held": len(held)}


def fail(item, kind, tick):
    if kind == "user":
        raise UserError(f"{item}: a mistake; mend it")
    if kind == "unportable":
        raise Unportable(1, 2)
    if kind == "os":
        raise OSError(28, "No space left on device", "part-1")
    return {}["absent"]
