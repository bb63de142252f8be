"""Routes for the tests of these rooms, with as little said as each test needs."""

import os
from collections.abc import Iterable
from typing import Any

from edged._fast.route.table import MappedTable, TableBuilder, open_table
from edged.model.backend import Backend, Endpoint
from edged.model.route import Route
from edged.model.state import State


class Slots(dict[tuple[str, str], int]):
    """A slot for whoever asks, counted up from 1."""

    def __missing__(self, key: tuple[str, str]) -> int:
        self[key] = len(self) + 1
        return self[key]

    def get(self, key: tuple[str, str], default: Any = None) -> int:
        return self[key]


def backend(name: str = "be", *addresses: str, **more: Any) -> Backend:
    endpoints = tuple(Endpoint(address, 80, f"{address}:80") for address in addresses or ("192.0.2.10",))
    return Backend(name, **{"endpoints": endpoints, **more})


def route(host: str, path: str = "", **more: Any) -> Route:
    key = more.pop("key", f"{host}{path}")
    return Route(**{"key": key, "host": host, "path": path, "backend": backend(f"be:{key}"), **more})


def build(routes: Iterable[Route], builder: TableBuilder | None = None, version: int = 1, listeners: Iterable[Any] = ()) -> MappedTable:
    fd = (builder or TableBuilder()).build(State(version, tuple(routes), tuple(listeners)), Slots())
    try:
        return open_table(fd)
    finally:
        os.close(fd)
