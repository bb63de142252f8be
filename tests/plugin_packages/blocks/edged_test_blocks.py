"""A source that holds up the loop for five seconds, once, as soon as the file named by `[sources.blocks] when` exists."""

import os
import time
from collections.abc import Mapping, Sequence
from typing import Any

import trio

from edged.hooks import Backend, Publish, Route, Snapshot, Source, hookimpl


class BlocksSource:
    name = "blocks"

    def __init__(self, when: str, for_s: float) -> None:
        self.when = when
        self.for_s = for_s

    async def run(self, publish: Publish) -> None:
        await publish(Snapshot((Route("blocks", "blocks.example.com", "", Backend("blocks")),)))
        while not os.path.exists(self.when):  # noqa: ASYNC110, ASYNC240 - a bad plugin on purpose
            await trio.sleep(0.05)
        time.sleep(self.for_s)  # noqa: ASYNC251
        await publish(Snapshot((Route("blocked", "blocked.example.com", "", Backend("blocked")),)))


@hookimpl
def edged_sources(settings: Mapping[str, Any]) -> Sequence[Source]:
    table = settings.get("blocks", {})
    return [BlocksSource(table.get("when", "/"), table.get("for_s", 5.0))]
