"""A worker: trio in the main thread hears the supervisor and control; the engine carries traffic in a thread of its own.

The engine starts with the first table, so that no client is ever answered from nothing, and accepts once there is a certificate to
show as well, if TLS is spoken. Without control, traffic flows on with the last table. Without the supervisor, the worker ends what it
has and leaves.
"""

import contextlib
import logging
import os
import threading
from collections.abc import Mapping
from typing import Any

import trio

from edged._fast.memory.arena import Arena
from edged._fast.route.table import open_table
from edged.errors import EdgedError
from edged.logs import choose_level
from edged.prctl import name_process
from edged.settings import Settings
from edged.tls.tickets import SECRET_BYTES
from edged.wire import Wire, WireClosed, WireError
from edged.worker.bridge import Bridge
from edged.worker.departure import Departure
from edged.worker.encryption import Encryption
from edged.worker.engine_config import access_log_wanted, engine_config
from edged.worker.giveback import Giveback
from edged.worker.shipping import Shipping

__all__ = ["worker_main"]

log = logging.getLogger("edged.worker")

TURN_LOOK_S = 0.02                               # between two looks at the engine's turns

NEWS_S = 0.2                                     # between two words to the supervisor about how a drain gets on


async def worker_main(index: int, settings: Settings, wire: Wire, arena_fd: int, stripe: int) -> None:
    """Run the worker of slot `index`, which counts in `stripe`, until it is told to leave, or has drained."""
    arena = Arena(arena_fd)
    os.close(arena_fd)
    arena.reset_gauges(stripe)                   # what a predecessor left running is over
    arena.open_stripe(stripe)
    worker = Worker(index, settings, wire, arena, stripe)
    try:
        await worker.run()
    finally:
        wire.close()


class Worker:
    def __init__(self, index: int, settings: Settings, wire: Wire, arena: Arena, stripe: int) -> None:
        self._index = index
        self._stripe = stripe
        self._settings = settings
        self._wire = wire
        self._arena = arena
        self._encryption = Encryption(settings)
        self._bridge: Bridge | None = None       # once the first table is here
        self._shipping: Shipping | None = None
        self._waiting: list[tuple[int, int, int]] = []   # slot, listener, descriptor: until we serve
        self._serving = False                    # there is a table, and a certificate where one is needed
        self._control = trio.CancelScope()       # around the task that hears the present control
        self._departure: Departure | None = None # once it drains

    async def run(self) -> None:
        try:
            async with trio.open_nursery() as nursery:
                await self._obey(nursery)
                nursery.cancel_scope.cancel()
        finally:
            for _, _, fd in self._waiting:
                os.close(fd)
            with trio.CancelScope(shield=True):
                if self._departure is not None:
                    await self._tell_departure(self._departure)
                if self._bridge is not None:
                    await self._bridge.stop()
                if self._shipping is not None:
                    await self._shipping.finish()

    async def _obey(self, nursery: trio.Nursery) -> None:
        """Hear the supervisor; returns when it is time to leave."""
        while True:
            try:
                message, fds = await self._wire.receive()
            except WireClosed:
                log.warning("the supervisor is gone: what is open may end, then this worker leaves")
                run = self._settings.run
                with trio.move_on_after(run.drain_most_ms / 1000):
                    await self._drain(run.drain_timeout_ms, run.drain_tunnels_ms)
                return
            match message:
                case {"type": "control"} if len(fds) == 1:
                    self._control.cancel()
                    self._control = trio.CancelScope()
                    nursery.start_soon(self._hear_control, Wire.from_fd(fds.pop()), self._control, nursery)
                case {"type": "listen", "slot": int(slot), "listeners": list(numbers)} if len(numbers) == len(fds):
                    self._waiting += [(slot, number, fd) for number, fd in zip(numbers, fds, strict=True)]
                    fds = []
                    if self._serving:
                        await self._start_listening()
                case {"type": "unlisten", "slot": int(slot), "listeners": list(numbers)}:
                    await self._unlisten(slot, numbers)
                case {"type": "unlisten", "slot": int(slot)}:
                    await self._unlisten(slot, None)
                case {"type": "tickets", "period": int(period), "secret": bytes(secret)} if len(secret) == SECRET_BYTES:
                    self._encryption.use_tickets(period, secret, nursery)
                case {"type": "reopen_logs"}:
                    if self._shipping is not None:
                        self._shipping.reopen()
                case {"type": "ping"}:
                    nursery.start_soon(self._answer_ping)
                case {"type": "log_level", "level": str(level)}:
                    choose_level(level)
                case {"type": "hand_over" | "take_over" as what} if len(fds) == 1:
                    await self._pass_tunnels(what, fds.pop())
                case {"type": "drain", "exchanges_ms": int(exchanges_ms), "tunnels_ms": int(tunnels_ms)}:
                    self._depart()
                    name_process(f"edged leaving {self._index}")
                    nursery.start_soon(self._drain_and_leave, nursery.cancel_scope, exchanges_ms, tunnels_ms)
                case {"type": "stop"}:
                    return
                case _:
                    log.warning("the supervisor said what nobody expects: %.40s", message["type"])
            for fd in fds:
                os.close(fd)

    async def _answer_ping(self) -> None:
        """Only if the engine takes its turns: one a second at least."""
        if self._bridge is not None:
            turns = self._turns()
            while self._turns() == turns:  # noqa: ASYNC110 - the engine tells nobody
                await trio.sleep(TURN_LOOK_S)
        with contextlib.suppress(WireClosed):    # `_obey` sees that too
            await self._wire.send({"type": "pong"})

    def _turns(self) -> int:
        return self._tally()["turns"]

    def _tally(self) -> Mapping[str, int]:
        tally: Mapping[str, int] = self._arena.read_tally(self._stripe)
        return tally

    # control

    async def _hear_control(self, wire: Wire, scope: trio.CancelScope, nursery: trio.Nursery) -> None:
        """Take certificates and tables from one control process until it is gone or followed by another."""
        with scope:
            try:
                while True:
                    message, fds = await wire.receive()
                    try:
                        await self._obey_control(wire, message, fds, nursery)
                    finally:
                        for fd in fds:
                            os.close(fd)
            except WireClosed:
                pass                             # the supervisor brings the next one
            except WireError as why:
                log.error("control sent nonsense: %s", why)
            finally:
                wire.close()

    async def _obey_control(self, wire: Wire, message: dict[str, Any], fds: list[int], nursery: trio.Nursery) -> None:
        match message:
            case {"type": "table", "version": int(version)} if len(fds) == 1:
                await self._take_table(wire, version, fds[0], nursery)
            case {"type": "certificates", "version": int(version), "whole": bool(whole)} if len(fds) == 1:
                await self._take_certificates(wire, version, fds[0], whole)
            case _:
                log.warning("control said what nobody expects: %.40s", message["type"])

    async def _take_table(self, wire: Wire, version: int, fd: int, nursery: trio.Nursery) -> None:
        try:
            table = open_table(fd)
        except (ValueError, OSError) as why:
            log.error("table %s is refused: %s", version, str(why))
            await wire.send({"type": "table_refused", "version": version, "why": str(why)})
            return
        if self._bridge is None:
            self._bridge = self._start_engine(table, nursery)
            await self._bridge.wait_in_force(table.version)
        else:
            await self._bridge.use(table, table.version)
        await self._serve_if_complete()
        await wire.send({"type": "table_in_force", "version": version})

    async def _take_certificates(self, wire: Wire, version: int, fd: int, whole: bool) -> None:
        try:
            keyring, renewed = await self._encryption.take(fd, whole)
        except EdgedError as why:
            log.error("certificates %s are refused: %s", version, str(why))
            await wire.send({"type": "certificates_refused", "version": version, "why": str(why)})
            return
        if self._bridge is not None:
            await self._bridge.use_keyring(keyring, renewed)
            await self._serve_if_complete()
        await wire.send({"type": "certificates_in_force", "version": version})

    def _start_engine(self, table: Any, nursery: trio.Nursery) -> Bridge:
        from edged._fast.run.engine import Engine

        engine = Engine(self._arena, self._stripe, engine_config(self._settings))
        bridge = Bridge(engine, {listener.number: listener for listener in self._settings.listeners}, self._encryption.listeners)
        engine.use_table(table)
        if self._encryption.keyring is not None:
            engine.use_keyring(self._encryption.keyring)
        bridge.start()
        # From here on this thread, and those that it starts, step behind the engine.
        os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), self._settings.worker.nice)
        nursery.start_soon(bridge.watch)
        nursery.start_soon(Giveback(self._tally).follow)
        if access_log_wanted(self._settings):
            self._shipping = Shipping(engine.ring, self._settings.log)
            nursery.start_soon(self._shipping.run)
        return bridge

    # sockets

    async def _serve_if_complete(self) -> None:
        if not self._serving and self._encryption.is_complete:
            self._serving = True
            with trio.CancelScope(shield=True):  # whatever becomes of this control
                await self._start_listening()
                await self._wire.send({"type": "serving"})

    async def _start_listening(self) -> None:
        assert self._bridge is not None
        waiting, self._waiting = self._waiting, []
        for slot, number, fd in waiting:
            self._bridge.listen(slot, number, fd)
        await self._bridge.settle()

    async def _unlisten(self, slot: int, numbers: list[int] | None) -> None:
        """Accept no more for a slot; `numbers`: only through these listeners."""
        given = [waiting for waiting in self._waiting if waiting[0] == slot and (numbers is None or waiting[1] in numbers)]
        for _, _, fd in given:
            os.close(fd)
        self._waiting = [waiting for waiting in self._waiting if waiting not in given]
        if self._bridge is not None:
            await self._bridge.unlisten(slot, numbers)

    # the end

    async def _pass_tunnels(self, what: str, fd: int) -> None:
        if self._bridge is None:
            os.close(fd)                         # the other side sees that nobody is here
        elif what == "take_over":
            await self._bridge.take_over(fd)
        else:
            self._depart()                       # what is handed over is told
            await self._bridge.hand_over(fd)

    def _depart(self) -> None:
        if self._departure is None:
            self._departure = Departure(self._arena, self._stripe, self._passed, self._cut_off)

    def _passed(self) -> tuple[int, int]:
        return self._bridge.passed if self._bridge is not None else (0, 0)

    def _cut_off(self) -> int:
        return self._bridge.cut_off if self._bridge is not None else 0

    async def _drain_and_leave(self, leaving: trio.CancelScope, exchanges_ms: int, tunnels_ms: int) -> None:
        assert self._departure is not None
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._tell_departing, self._departure)
            await self._drain(exchanges_ms, tunnels_ms)
            nursery.cancel_scope.cancel()
        leaving.cancel()

    async def _tell_departing(self, departure: Departure) -> None:
        """Keep the supervisor informed of how many exchanges have ended, and have not."""
        while True:
            await self._tell_departure(departure)
            await trio.sleep(NEWS_S)

    async def _tell_departure(self, departure: Departure) -> None:
        if news := departure.news():
            with contextlib.suppress(WireClosed):
                await self._wire.send(news)
                departure.sent(news)             # not if this was cancelled before

    async def _drain(self, exchanges_ms: int, tunnels_ms: int) -> None:
        if self._bridge is not None:
            await self._bridge.drain(exchanges_ms / 1000, tunnels_ms / 1000)
