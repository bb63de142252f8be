"""A source that serves the routes of a list in the settings: `[sources.list] routes = ["shop.example.com 127.0.0.1:8080"]`."""

from collections.abc import Mapping, Sequence
from typing import Any

from edged.hooks import Backend, Endpoint, Origin, Publish, Route, SettingsError, Snapshot, Source, hookimpl

EDGED_API = 1


class ListSource:
    def __init__(self, lines: Sequence[str]) -> None:
        self.name = "list"
        self.lines = lines

    async def run(self, publish: Publish) -> None:
        await publish(Snapshot(routes=tuple(_route(line) for line in self.lines)))


def _route(line: str) -> Route:
    host, _, where = line.partition(" ")
    address, _, port = where.rpartition(":")
    return Route(key=host, host=host, path="", backend=Backend(host, (Endpoint(address, int(port), where),)), origin=Origin("list"))


@hookimpl
def edged_sources(settings: Mapping[str, Any]) -> Sequence[Source]:
    table = settings.get("list")
    if table is None:
        return ()
    if not isinstance(table.get("routes"), list):
        raise SettingsError("list.routes", "write a list of texts")
    return [ListSource(table["routes"])]
