"""Hands the newest table to every worker, and knows which one each has in force."""

import logging
import os
from collections.abc import Callable
from typing import Any

import trio

from edged.control.compile import PublishedTable
from edged.wire import Wire, WireClosed, WireError

__all__ = ["Publisher"]

log = logging.getLogger(__name__)


class _Worker:
    def __init__(self, wire: Wire, index: int) -> None:
        self.wire = wire
        self.index = index
        self.sent = 0                            # version
        self.in_force = 0
        self.news = trio.Event()                 # set when there is a newer table than `sent`


class Publisher:
    """Each worker is given the newest table only: what it was too slow for is skipped."""

    def __init__(self, count: int, took: Callable[[], None] = lambda: None) -> None:
        """`count` workers are expected. `took` is called whenever one has taken a table."""
        self._count = count
        self._workers: dict[int, _Worker] = {}
        self._newest: PublishedTable | None = None
        self._took = took

    @property
    def version(self) -> int:
        """Of the newest table; 0: there is none yet."""
        return self._newest.version if self._newest else 0

    def in_force(self) -> int:
        """Every worker has this version or a newer one in force. 0 while one is away: it may still serve with a table that it
        had from an earlier life of this process."""
        if len(self._workers) < self._count:
            return 0
        return min(worker.in_force for worker in self._workers.values())

    def publish(self, table: PublishedTable) -> None:
        """Make this the newest; takes over its descriptor."""
        if self._newest is not None:
            self._newest.close()
        self._newest = table
        for worker in self._workers.values():
            worker.news.set()

    def close(self) -> None:
        if self._newest is not None:
            self._newest.close()
            self._newest = None

    async def serve(self, index: int, wire: Wire) -> None:
        """Serve one worker until it is gone; another of the same index takes its place."""
        worker = _Worker(wire, index)
        before = self._workers.get(index)
        self._workers[index] = worker
        if before is not None:
            before.wire.close()
        if self._newest is not None:
            worker.news.set()
        try:
            async with trio.open_nursery() as both:
                both.start_soon(self._send, worker)
                await self._receive(worker)
                both.cancel_scope.cancel()
        finally:
            wire.close()
            if self._workers.get(index) is worker:
                del self._workers[index]

    async def _send(self, worker: _Worker) -> None:
        while True:
            await worker.news.wait()
            worker.news = trio.Event()
            table = self._newest
            if table is None or table.version == worker.sent:
                continue
            worker.sent = table.version
            fd = os.dup(table.fd)                # a newer table may close the other while this one waits to be sent
            try:
                await worker.wire.send({"type": "table", "version": table.version}, [fd])
            except WireClosed:
                return                           # the receiving side ends this worker
            finally:
                os.close(fd)

    async def _receive(self, worker: _Worker) -> None:
        while True:
            try:
                message, fds = await worker.wire.receive()
            except WireClosed:
                return
            except WireError as why:
                log.error("worker %d: %s", worker.index, why)
                return
            for fd in fds:                       # a worker has none to give
                os.close(fd)
            self._obey(worker, message)

    def _obey(self, worker: _Worker, message: dict[str, Any]) -> None:
        if message["type"] == "table_in_force" and isinstance(message.get("version"), int):
            worker.in_force = message["version"]
            self._took()
        elif message["type"] == "table_refused":
            log.error("worker %d refused table %s: %s", worker.index, message.get("version"), message.get("why"))
        else:
            log.warning("worker %d sent an unknown message %r", worker.index, message["type"])
