"""A stage for control: sources, kinds and settings are given, all else is real."""

import os
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
import trio

from edged._fast.memory.arena import Arena
from edged.hooks.manager import OfferedKind, OfferedSource, Plugins
from edged.model.listener import Listener
from edged.settings import Settings
from edged.settings.tables import RunTable, TlsTable, WorkerTable
from tests.control.given import play
from tests.control.house import House


@pytest.fixture
def stage(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """stage(sources, story): runs a story with control and these sources; twice with the same arena if it is called twice."""
    arena_fd = os.memfd_create("arena")
    Arena(arena_fd, 256, 2)

    def run(
        sources: Sequence[Any], story: Callable[[House, trio.Nursery], Awaitable[None]], *, kinds: Sequence[Any] = (),
        listeners: tuple[Listener, ...] = (), workers: int = 1, tls: TlsTable | None = None,
    ) -> None:
        monkeypatch.setattr(Plugins, "sources", lambda *_: [OfferedSource("test", one) for one in sources])
        monkeypatch.setattr(Plugins, "kinds", lambda *_: [OfferedKind("test", one) for one in kinds])
        settings = Settings(
            "edged.toml", str(tmp_path), listeners, tls=tls or TlsTable(), run=RunTable(state_dir=str(tmp_path / "state")),
            worker=WorkerTable(count=workers),
        )

        async def whole() -> None:
            house = House(settings, arena_fd)
            async with trio.open_nursery() as nursery:
                async with trio.open_nursery() as lives:
                    lives.start_soon(house.control)
                    await story(house, nursery)
                    await house.supervisor.send({"type": "stop"})
                nursery.cancel_scope.cancel()

        play(whole)

    return run
