"""Control as the supervisor and the workers see it, in the tests' own process: wires, tables and memory files are real."""

import os
from collections.abc import Callable
from typing import Any

import msgpack
import trio

from edged._fast.route.table import MappedTable
from edged.control.process import control_main
from edged.settings import Settings
from edged.wire import Wire, WireClosed, wire_pair

__all__ = ["House", "Setting", "Worker"]

Setting = Callable[..., None]


class Worker:
    """Takes certificates and tables, and acknowledges them."""

    wire: Wire

    def __init__(self) -> None:
        self.versions: list[int] = []
        self.routes: list[str] = []
        self.trusted: list[int] = []             # by the routes
        self.wholes: list[bool] = []
        self.known: dict[str, Any] = {}          # certificates
        self.names: dict[str, str] = {}
        self.default: str | None = None
        self.trusts: dict[int, Any] = {}
        self.crls: dict[str, list[bytes]] = {}

    def shows(self, name: str) -> bytes | None:
        """The certificate, without its chain, that is shown for a name of a route; None: none of its own."""
        return self.known[self.names[name]][0][0] if name in self.names else None

    async def run(self) -> None:
        while True:
            try:
                message, (fd,) = await self.wire.receive()
                if message["type"] == "certificates":
                    self._learn(fd, whole=message["whole"])
                else:
                    self._map(fd, message["version"])
                await self.wire.send({"type": f"{message['type']}_in_force", "version": message["version"]})
            except WireClosed:                   # control has left
                return

    def _map(self, fd: int, version: int) -> None:
        table = MappedTable(fd)
        os.close(fd)
        self.routes = [one["key"] for one in table.routes()]
        self.trusted = [one["backend"]["trust"] for one in table.routes()]
        assert set(self.trusted) - {0} <= set(self.trusts)
        self.versions.append(version)

    def _learn(self, fd: int, *, whole: bool) -> None:
        told = msgpack.unpackb(os.pread(fd, 1 << 24, 0), strict_map_key=False)
        os.close(fd)
        self.wholes.append(whole)
        if whole:
            self.known, self.names, self.trusts = {}, {}, {}
        self.known |= told["certificates"]
        self.trusts |= told["trusts"]
        self.crls |= told["crls"]
        for name, number in told["names"].items():
            self.names[name] = number
            if number is None:
                del self.names[name]
        self.default = told["default"]
        assert set(self.names.values()) | {self.default} - {None} <= set(self.known)
        for number in told["forget"]:
            del self.known[number]
        for number in told["forget_trusts"]:
            del self.trusts[number]


class House:
    """Control, and those around it."""

    def __init__(self, settings: Settings, arena_fd: int) -> None:
        ours, theirs = wire_pair()
        self.supervisor = Wire(ours)
        self.settings = settings
        self.arena_fd = arena_fd
        self._theirs = Wire(theirs)
        self.ready: dict[str, Any] | None = None

    async def control(self) -> None:
        await control_main(self.settings, self._theirs, os.dup(self.arena_fd), 0)

    async def worker(self, nursery: trio.Nursery, index: int = 0, old: Worker | None = None) -> Worker:
        """A new worker, or one that has served an earlier control."""
        ours, theirs = wire_pair()
        await self.supervisor.send({"type": "worker", "index": index}, [theirs.fileno()])
        theirs.close()
        made = old or Worker()
        made.wire = Wire(ours)
        nursery.start_soon(made.run)
        return made

    async def wait_ready(self) -> dict[str, Any]:
        self.ready, _ = await self.supervisor.receive()
        return self.ready
