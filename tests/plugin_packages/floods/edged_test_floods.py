"""A source that gives another snapshot as fast as it can."""

from collections.abc import Mapping, Sequence
from itertools import count
from typing import Any

from edged.hooks import Backend, Publish, Route, Snapshot, Source, hookimpl


class FloodsSource:
    name = "floods"

    async def run(self, publish: Publish) -> None:
        for number in count():
            await publish(Snapshot((Route("floods", "floods.example.com", f"/{number % 10}", Backend("floods")),)))


@hookimpl
def edged_sources(settings: Mapping[str, Any]) -> Sequence[Source]:
    return [FloodsSource()]
