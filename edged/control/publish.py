"""Hands the newest certificates and the newest table to every worker, and knows which table each has in force."""

import logging
import os
from collections.abc import Callable
from typing import Any

import trio

from edged.control.certificates import Picture
from edged.control.compile import PublishedTable
from edged.control.parcel import Parcels
from edged.wire import Wire, WireClosed, WireError

__all__ = ["Publisher"]

log = logging.getLogger(__name__)

_MANY = 1000                                     # certificates of which it is told that they are on their way


class _Worker:
    def __init__(self, wire: Wire, index: int) -> None:
        self.wire = wire
        self.index = index
        self.sent = 0                            # version of the table
        self.in_force = 0
        self.shown: Picture | None = None        # what it was sent; None: nothing by us, or nobody knows what became of it
        self.waited: dict[int, tuple[int, float]] = {}   # version of a picture: certificates sent with it, and when; if they are many
        self.news = trio.Event()                 # set when there is a newer table than `sent`, or another picture than `shown`


class Publisher:
    """Each worker is given the newest only: what it was too slow for is skipped. Certificates go before the table that needs them."""

    def __init__(self, count: int, took: Callable[[], None] = lambda: None) -> None:
        """`count` workers are expected. `took` is called whenever one has taken a table."""
        self._count = count
        self._workers: dict[int, _Worker] = {}
        self._newest: PublishedTable | None = None
        self._picture = Picture()
        self._parcels = Parcels()
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

    def publish(self, table: PublishedTable, picture: Picture) -> None:
        """Make these the newest; takes over the table's descriptor."""
        if self._newest is not None:
            self._newest.close()
        self._newest = table
        self.show(picture)

    def show(self, picture: Picture) -> None:
        """Make this the newest picture, for the same table. Before the first table, nothing is sent."""
        self._picture = picture
        if self._newest is not None:
            for worker in self._workers.values():
                worker.news.set()

    def close(self) -> None:
        self._parcels.forget()
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
        try:
            while True:
                await worker.news.wait()
                worker.news = trio.Event()
                table = self._newest
                if table is None:
                    continue
                try:
                    await self._send_certificates(worker)
                except OSError as why:           # the table would need them: it goes with the next one
                    log.error("worker %d: certificates cannot be sent, all stays as it was: %s", worker.index, why.strerror)
                    continue
                if table is self._newest and table.version != worker.sent:
                    await self._send_table(worker, table)
        except WireClosed:
            return                               # the receiving side ends this worker

    async def _send_certificates(self, worker: _Worker) -> None:
        """Bring a worker's certificates up to date. Raises OSError if there is no room for what it has to be sent."""
        picture = self._picture
        if worker.shown is (picture if picture.version else None):
            return
        # Only a whole picture withdraws what a worker has from an earlier life of this process.
        old = None if worker.shown is None or (picture.whole and not worker.shown.whole) else worker.shown
        parcel = self._parcels.pack(old, picture)
        worker.shown = picture
        if parcel.certificates >= _MANY:
            log.info("worker %d: %d certificates are on their way, %.1f MiB", worker.index, parcel.certificates, parcel.size_bytes / 2**20)
            worker.waited[picture.version] = parcel.certificates, trio.current_time()
        try:
            await worker.wire.send(parcel.message, [parcel.fd])
        finally:
            os.close(parcel.fd)
        if all(one.shown is self._picture for one in self._workers.values()):
            self._parcels.forget()

    async def _send_table(self, worker: _Worker, table: PublishedTable) -> None:
        worker.sent = table.version
        fd = os.dup(table.fd)                    # a newer table may close the other while this one waits to be sent
        try:
            await worker.wire.send({"type": "table", "version": table.version}, [fd])
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
        match message:
            case {"type": "table_in_force", "version": int(version)}:
                worker.in_force = version
                self._took()
            case {"type": "table_refused"}:
                log.error("worker %d refused table %s: %s", worker.index, message.get("version"), message.get("why"))
            case {"type": "certificates_in_force", "version": int(version)}:
                if version in worker.waited:
                    count, since_s = worker.waited.pop(version)
                    log.info("worker %d: %d certificates are in force after %.1f s", worker.index, count, trio.current_time() - since_s)
            case {"type": "certificates_refused"}:
                worker.shown = None              # the next picture is told as to a new worker: at once, if it is there already
                if message.get("version") != self._picture.version:
                    worker.news.set()
                why = _told(self._picture, str(message.get("why")))
                log.error("worker %d refused certificates %s, and goes on with those before: %s", worker.index, message.get("version"), why)
            case _:
                log.warning("worker %d sent an unknown message %r", worker.index, message["type"])


def _told(picture: Picture, why: str) -> str:
    """A worker knows certificates by the first digits of their ids: here each is named as people know it."""
    for name, certificate in picture.names.items():
        why = why.replace(f"certificate {certificate.id:.12}", f"the certificate of {name}")
    return why if picture.default is None else why.replace(f"certificate {picture.default.id:.12}", "the default certificate")
