"""A source that gives a route and then raises, again and again."""

from collections.abc import Mapping, Sequence
from typing import Any

from edged.hooks import Backend, Publish, Route, Snapshot, Source, hookimpl


class RaisesSource:
    name = "raises"

    async def run(self, publish: Publish) -> None:
        await publish(Snapshot((Route("raises", "raises.example.com", "", Backend("raises")),)))
        raise RuntimeError("this plugin raises by design")


@hookimpl
def edged_sources(settings: Mapping[str, Any]) -> Sequence[Source]:
    return [RaisesSource()]
