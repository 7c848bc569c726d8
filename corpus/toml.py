"""Settings and tables -> TOML; Python's own tomllib only reads it."""

import dataclasses
import json
from collections.abc import Mapping
from typing import Any


def write(tables: Mapping[str, Any]) -> str:
    """Settings objects or plain tables as TOML, one section each; a table in a table has dotted keys."""
    lines = []
    for name, table in tables.items():
        lines.append(f"[{name}]")
        for key, value in (table if isinstance(table, Mapping) else dataclasses.asdict(table)).items():
            inner = {f"{key}.{k}": v for k, v in value.items()} if isinstance(value, Mapping) else {key: value}
            lines += [f"{k} = {_value(v)}" for k, v in inner.items()]
        lines.append("")
    return "\n".join(lines)


def _value(value: Any) -> str:
    """TOML writes what JSON writes, but knows no surrogates and wants DEL escaped."""
    text = json.dumps(list(value) if isinstance(value, tuple) else value, ensure_ascii=False)
    return text.replace("\x7f", "\\u007f")
