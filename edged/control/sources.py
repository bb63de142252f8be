"""Runs the sources: each in a task of its own, started again after a growing pause when it fails. Its last snapshot stays in force."""

import logging
import time
from collections.abc import Iterator

import trio

from edged.hooks import Snapshot, SourceError
from edged.hooks.fence import PluginFailed, fence
from edged.hooks.manager import OfferedSource

__all__ = ["Inbox", "SourceRunner", "growing"]

log = logging.getLogger(__name__)

_FIRST_PAUSE_S, _MOST_PAUSE_S = 1.0, 60.0
_WELL_AFTER_S = 60.0                             # one that ran so long starts with the shortest pause again
_FLOOD = 20                                      # snapshots within _FLOOD_WITHIN_S that nobody had time to look at
_FLOOD_WITHIN_S = 1.0
_NAMED_EVERY_S = 60.0


def growing(first_s: float = _FIRST_PAUSE_S, most_s: float = _MOST_PAUSE_S) -> Iterator[float]:
    """Pauses, each twice the one before."""
    while True:
        yield first_s
        first_s = min(first_s * 2, most_s)


class Inbox:
    """The newest snapshot of every source; one that comes before the last was taken replaces it, and its sender waits."""

    def __init__(self) -> None:
        self._newest: dict[str, Snapshot] = {}
        self._floods: dict[str, _Flood] = {}
        self._arrived = trio.Event()
        self._taken = trio.Event()

    async def put(self, source: str, snapshot: Snapshot) -> None:
        """Leave a snapshot. Where the one before still lies, this takes its place and the caller waits until it is taken."""
        waits = source in self._newest
        self._newest[source] = snapshot
        self._arrived.set()
        if waits:
            self._floods.setdefault(source, _Flood()).count(source)
            await self._taken.wait()
        else:
            await trio.lowlevel.checkpoint()

    def nudge(self) -> None:
        """Wake who waits, though there may be nothing to take."""
        self._arrived.set()

    async def wait(self) -> None:
        """Wait until there is something to take, or somebody nudges."""
        await self._arrived.wait()

    def take(self) -> dict[str, Snapshot]:
        """All that lies here; may be nothing."""
        taken, self._newest = self._newest, {}
        self._arrived = trio.Event()
        self._taken.set()
        self._taken = trio.Event()
        return taken


class _Flood:
    """Names a source that gives more than can be used, once a minute at most."""

    def __init__(self) -> None:
        self._since_s = 0.0
        self._seen = 0
        self._named_s = float("-inf")

    def count(self, source: str) -> None:
        now_s = time.monotonic()
        if now_s - self._since_s > _FLOOD_WITHIN_S:
            self._since_s, self._seen = now_s, 0
        self._seen += 1
        if self._seen >= _FLOOD and now_s - self._named_s >= _NAMED_EVERY_S:
            self._named_s = now_s
            log.warning("source %s floods: it gives snapshots faster than they can be used; only its newest counts", source)


class SourceRunner:
    """One source and its standing."""

    def __init__(self, offered: OfferedSource, inbox: Inbox) -> None:
        self.name = offered.source.name
        self.plugin = offered.plugin
        self.filter_addresses = getattr(offered.source, "filter_addresses", True) is not False
        self.stale = False                       # it has failed since its last snapshot
        self.ended = False                       # it has nothing more to give
        self._source = offered.source
        self._inbox = inbox

    async def run(self) -> None:
        """Keep it running; returns only when it has nothing more to give."""
        pauses = growing()
        while True:
            started_s = time.monotonic()
            if await self._try():
                return
            if time.monotonic() - started_s > _WELL_AFTER_S:
                pauses = growing()
            await trio.sleep(next(pauses))

    async def _try(self) -> bool:
        """Run it once; answers whether it has ended by itself. A failure leaves it stale."""
        try:
            with fence(self.plugin):
                await self._source.run(self._publish)
        except SourceError as why:
            log.warning("source %s is away, its last routes stay in force: %s", self.name, why)
        except PluginFailed as why:
            log.error("source %s: %s; its last routes stay in force", self.name, why, exc_info=why.__cause__)
        else:
            self.ended = True
            self._inbox.nudge()
            return True
        self.stale = True
        self._inbox.nudge()
        return False

    async def _publish(self, snapshot: Snapshot) -> None:
        if not isinstance(snapshot, Snapshot):
            raise TypeError(f"{type(snapshot).__name__} was published, not a Snapshot")
        self.stale = False
        await self._inbox.put(self.name, snapshot)
