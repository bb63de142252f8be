"""Settings files of tests, and what a daemon under test is started with."""

import importlib.util
import json
import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

__all__ = ["BASE", "TLS", "command", "environment", "merged", "toml"]

BASE: dict[str, Any] = {
    "listener": [{"name": "web", "address": "127.0.0.1:0"}],
    "sources": {"files": {"paths": ["routes.d"]}},
    "worker": {"count": 1},
    "run": {"drain_timeout": "2s", "core_dumps": True},          # dumpable: /proc shows more of the workers
}


TLS: dict[str, Any] = {"listener": [*BASE["listener"], {"name": "tls", "address": "127.0.0.1:0", "mode": "https"}]}


def command(*words: str) -> list[str]:
    return [sys.executable, "-P", "-m", "edged", *words]


def environment(**more: str) -> dict[str, str]:
    """None of our own settings, and the very build that is imported here."""
    clean = {name: value for name, value in os.environ.items() if not name.startswith("ROUTER_")}
    spec = importlib.util.find_spec("edged")
    assert spec is not None
    assert spec.origin is not None
    return {**clean, "PYTHONPATH": str(Path(spec.origin).parent.parent), **more}


def merged(under: Mapping[str, Any], over: Mapping[str, Any]) -> dict[str, Any]:
    """Tables are laid over tables, key by key; all else is replaced."""
    both = dict(under)
    for name, value in over.items():
        both[name] = merged(both[name], value) if isinstance(value, Mapping) and isinstance(both.get(name), Mapping) else value
    return both


def toml(tables: Mapping[str, Any]) -> str:
    """Settings as text; a table that is None is left out. JSON's texts, numbers and lists are TOML's."""
    lines: list[str] = []
    for name, value in tables.items():
        if value is None:
            continue
        for item in value if isinstance(value, list) else [value]:
            lines += [f"[[{name}]]" if isinstance(value, list) else f"[{name}]", *_keys(item), ""]
    return "\n".join(lines)


def _keys(table: Mapping[str, Any]) -> list[str]:
    return [f"{name} = {_inline(value)}" for name, value in table.items()]


def _inline(value: Any) -> str:
    return f"{{{', '.join(_keys(value))}}}" if isinstance(value, Mapping) else json.dumps(value)
