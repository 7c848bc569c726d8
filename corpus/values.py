"""Values from flags and TOML as the types of their fields; the nearest right name for a wrong one."""

import difflib
import math
import re
from collections.abc import Iterable
from typing import Any

from corpus.terminal import UserError

_UNITS = {"": 1, "k": 10**3, "m": 10**6, "g": 10**9, "kib": 2**10, "mib": 2**20, "gib": 2**30}


def nearest(name: str, names: Iterable[str]) -> str:
    """'; did you mean X?' for the name nearest to `name`, or what there is when none is near."""
    names = list(names)
    close = difflib.get_close_matches(name.lstrip("-"), [n.lstrip("-") for n in names], 1, 0.5)
    if close:
        return f"; did you mean {next(n for n in names if n.lstrip('-') == close[0])}?"
    return f"; there are: {', '.join(names)}" if names else ""


def parse(value: Any, name: str, kind: type, choices: tuple = ()) -> Any:
    """A value from a flag (str) or TOML as the type of its field; sizes may be written 64MiB, 20k, 1.5M."""
    try:
        value = _convert(value, kind)
    except ValueError as error:
        raise UserError(f"{name}: {value!r} is not {error}") from None
    for one in value if isinstance(value, tuple) else (value,):
        if choices and one not in choices:
            raise UserError(f"{name}: {one!r} is not one of {', '.join(choices)}{nearest(str(one), choices)}")
    if isinstance(value, int | float) and not isinstance(value, bool) and value < 0:
        raise UserError(f"{name}: {value} is negative; give 0 or more")
    return value


def _convert(value: Any, kind: type) -> Any:
    if kind is bool:
        if isinstance(value, bool):
            return value
        raise ValueError("true or false")
    if kind is str:
        if isinstance(value, str):
            return value
        raise ValueError("a text in quotes")
    if kind is int or kind is float:
        return _number(value, kind)
    if isinstance(value, str):
        value = [v for v in value.split(",") if v]
    if isinstance(value, list | tuple) and all(isinstance(v, str) for v in value):
        return tuple(sorted(value))
    raise ValueError("a list of texts")


def _number(value: Any, kind: type) -> Any:
    if isinstance(value, str):
        match = re.fullmatch(r"\s*([-+]?[0-9][0-9_]*\.?[0-9]*(?:e[-+]?\d+)?)\s*([a-z]*)\s*", value.lower())
        unit = match[2] if match and match[2] in _UNITS else match[2].removesuffix("b") if match else "?"
        if not match or unit not in _UNITS:
            raise ValueError("a number (64MiB, 20k and 1.5M are understood)")
        value = float(match[1].replace("_", "")) * _UNITS[unit]
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise ValueError("a number")
    if kind is int and value != int(value):
        raise ValueError("a whole number")
    return kind(value)
