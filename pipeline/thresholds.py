"""Thresholds: what a document must keep to, as data. Named presets (presets.tsv, each number with its source), changed
by a file, by single values, and for single languages, families or scripts.

A limit is called min_ or max_ and a column: min_... is the least that passes, max_... the most. What is not named is
off. A limit of a language (fin_Latn) wins over that of its family in its script (fiu_Latn), that over the script's
(Latn), and that over the general one.
"""

import functools
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field, fields

from corpus import settings
from corpus.document import Signals
from corpus.settings import nearest
from corpus.terminal import UserError
from pipeline import language

PRESETS = ("ours", "gopher", "c4", "mc4", "fineweb", "fineweb2")

COLUMNS = ("language_score", *(f.name for f in fields(Signals)))
"""What may be limited, besides the columns of quality classifiers."""

QUALITY = re.compile(r"quality_[a-z0-9_]+")
"""Columns of quality classifiers, as annotate writes them."""
_WHERE = re.compile(r"(?:[a-z]{3}_)?[A-Z][a-z]{3}")
_OFF = "off"

Limits = Mapping[str, float | None]
"""Name of a limit -> its value; None: off."""


@dataclass(frozen=True)
class Thresholds:
    """limits: those that hold everywhere. where: label, family or script -> the limits that hold there
    instead."""

    limits: Limits = field(default_factory=lambda: _ours().limits)
    where: Mapping[str, Limits] = field(default_factory=lambda: _ours().where)

    def limit(self, name: str, label: str) -> float | None:
        """The limit of that name for documents of a language; None: off."""
        for place in language.places(label):
            if name in (limits := self.where.get(place, {})):
                return limits[name]
        return self.limits.get(name)

    def names(self) -> list[str]:
        """The limits that are on somewhere, sorted."""
        tables = [self.limits, *self.where.values()]
        return sorted({name for table in tables for name, value in table.items() if value is not None})

    def table(self) -> dict[str, float | str]:
        """As a TOML section: limits by name, those of a place as PLACE.NAME."""
        values = dict(self.limits)
        values |= {f"{place}.{name}": v for place, limits in sorted(self.where.items()) for name, v in limits.items()}
        return {name: _OFF if value is None else value for name, value in values.items()}

    def changed(self, table: Mapping, place: str) -> "Thresholds":
        """These with the values of a TOML section, in which a place is a table of its own or PLACE.NAME; `place` is
        where the table stands. Errors: UserError."""
        limits, where = dict(self.limits), {k: dict(v) for k, v in self.where.items()}
        for name, value in _flat(table):
            target, _, limit = name.rpartition(".")
            if target and not _WHERE.fullmatch(target):
                raise UserError(f"{place}: {target!r} is no language, family or script, say fin_Latn, fiu_Latn or Latn")
            parsed = None if value == _OFF else _number(value, _known(limit, place), place)
            (where.setdefault(target, {}) if target else limits)[limit] = parsed
        return Thresholds(limits, where)


NONE = Thresholds({}, {})


def _flat(table: Mapping):
    for name, value in table.items():
        if isinstance(value, Mapping):
            yield from ((f"{name}.{k}", v) for k, v in value.items())
        else:
            yield name, value


def _known(name: str, place: str) -> str:
    """The name of a limit, if it is one."""
    kind, _, column = name.partition("_")
    if kind not in ("min", "max") or not (column in COLUMNS or QUALITY.fullmatch(column)):
        names = [f"{kind}_{column}" for column in COLUMNS for kind in ("min", "max")]
        raise UserError(f"{place}: unknown key {name!r}{nearest(name, names) if name else ''}")
    return name


def _number(value: object, name: str, place: str) -> float:
    return _whole(settings.parse(value, place if place.startswith("--") else f"{place}.{name}", float))


@dataclass(frozen=True)
class Entry:
    """A row of presets.tsv."""

    preset: str
    limit: str
    where: str
    value: float | None
    source: str


@functools.cache
def entries() -> tuple[Entry, ...]:
    with open(os.path.join(os.path.dirname(__file__), "presets.tsv"), encoding="utf-8") as file:
        next(file)
        rows = [line.rstrip("\n").split("\t") for line in file]
    return tuple(Entry(name, limit, where, _value(value), source) for name, limit, where, value, source in rows)


def _value(text: str) -> float | None:
    return None if text == _OFF else _whole(float(text))


def _whole(value: float) -> float:
    """Whole numbers as such."""
    return int(value) if value == int(value) else value


def _ours() -> Thresholds:
    return preset("ours")


@functools.cache
def preset(name: str) -> Thresholds:
    """The thresholds of that name."""
    limits: dict[str, float | None] = {}
    where: dict[str, dict[str, float | None]] = {}
    for entry in entries():
        if entry.preset == name:
            (where.setdefault(entry.where, {}) if entry.where else limits)[entry.limit] = entry.value
    return Thresholds(limits, where)
