"""Between trio in the main thread and the engine in its own: the engine's bell, its tables, sockets, and its end.

Neither ever waits for the other. The engine rings an eventfd when something is worth a look; everything told to the engine
takes effect at the next turn of its loop.
"""

import logging
import os
import socket
import sys
import threading
from collections.abc import Mapping, Sequence
from typing import Any, Protocol

import trio

from edged.errors import EdgedError
from edged.model.listener import Listener, Mode

__all__ = ["Bridge", "EngineEnded", "EngineLike"]

log = logging.getLogger("edged.worker")

LOOK_S = 0.001                                   # between two looks whether the engine has obeyed, which has no bell
HANDSHAKES_S = 0.05                              # for connections that were being made when the doors were closed
QUEUES_S = 0.5                                   # for queues that nobody enters any more; at max_connections they stay full
PAUSED_AGAIN_S = 5.0                             # least time between two lines about accepting

_QUEUE_AT = 24                                   # tcpi_unacked: of a listening socket, the length of its queue


class EngineLike(Protocol):
    """What is used of `edged._fast.run.engine.Engine`."""

    bell: int

    @property
    def version_in_force(self) -> int: ...
    @property
    def idle(self) -> bool: ...
    @property
    def accept_paused(self) -> bool: ...
    @property
    def orders_left(self) -> int: ...
    @property
    def cut_off(self) -> int: ...
    @property
    def handed_over(self) -> int: ...
    @property
    def taken_over(self) -> int: ...

    def add_listener(
        self, number: int, fd: int, name: str, mode: str, accept_proxy: str, trusted: Sequence[str], port: int,
        tls: Mapping[str, Any] | None, monitor: str,
    ) -> None: ...
    def remove_listener(self, fd: int) -> None: ...
    def run(self) -> None: ...
    def use_table(self, table: Any) -> None: ...
    def use_keyring(self, keyring: Any) -> None: ...
    def use_context(self, number: int, context: int) -> None: ...
    def take_retired(self) -> int: ...
    def take_notices(self) -> list[str]: ...
    def drain(self) -> None: ...
    def cut(self, *, tunnels: bool) -> None: ...
    def hand_over(self, fd: int) -> None: ...
    def take_over(self, fd: int) -> None: ...
    def stop(self) -> None: ...


class EngineEnded(EdgedError):
    """The engine's thread is gone, though nobody stopped it."""


class Bridge:
    """Runs one engine."""

    def __init__(self, engine: EngineLike, listeners: Mapping[int, Listener], tls: Mapping[int, Mapping[str, Any]]) -> None:
        """`tls`: of the listeners that speak it, by number, what the engine is told about it; owns what the engine then uses."""
        self._engine = engine
        self._listeners = listeners
        self._tls = dict(tls)
        self._sockets: dict[int, list[tuple[int, int]]] = {}     # slot -> listener and descriptor that the engine accepts on
        self._rang = trio.Event()
        self._ended = trio.Event()
        self._stopped = False
        self._paused = False
        self._paused_told_s = -PAUSED_AGAIN_S
        # Nothing else may run in the engine's thread: it leaves this process' table of descriptors for one of its own.
        self._thread = threading.Thread(target=engine.run, name="engine", daemon=True)

    def start(self) -> None:
        """Start the engine's thread. It keeps the niceness that this thread has now."""
        self._thread.start()

    async def watch(self) -> None:
        """Hear the bell until the engine has been stopped. Raises EngineEnded if it left by itself."""
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._wait_ended, nursery.cancel_scope)
            while True:
                await trio.lowlevel.wait_readable(self._engine.bell)
                os.eventfd_read(self._engine.bell)
                self._engine.take_retired()
                for notice in self._engine.take_notices():
                    log.warning("%s", notice)
                self._tell_if_paused()
                self._rang.set()
                self._rang = trio.Event()

    async def _wait_ended(self, watching: trio.CancelScope) -> None:
        await trio.to_thread.run_sync(self._thread.join, abandon_on_cancel=True)
        self._ended.set()
        if not self._stopped:
            raise EngineEnded("the engine has ended by itself")
        watching.cancel()

    def _tell_if_paused(self) -> None:
        paused, now_s = self._engine.accept_paused, trio.current_time()
        if paused and not self._paused and now_s >= self._paused_told_s + PAUSED_AGAIN_S:
            log.warning("accepting pauses: no descriptor is left, or max_connections is reached")
            self._paused, self._paused_told_s = True, now_s
        elif not paused and self._paused:
            log.warning("accepting again")
            self._paused = False

    # tables and keyrings

    async def use(self, table: Any, version: int) -> None:
        """Put a table in force; returns when it is."""
        self._engine.use_table(table)
        await self.wait_in_force(version)

    async def wait_in_force(self, version: int) -> None:
        while self._engine.version_in_force != version:
            await self._rang.wait()

    async def use_keyring(self, keyring: Any, renewed: Mapping[int, Mapping[str, Any]]) -> None:
        """Put certificates and trusts in force, and what some listeners are told anew about TLS; returns when all is."""
        before = [self._tls[number] for number in renewed]       # own contexts that the engine may use until it has obeyed
        self._tls |= renewed
        self._engine.use_keyring(keyring)
        for number, speech in renewed.items():
            self._engine.use_context(number, speech["context"])
        with trio.CancelScope(shield=True):
            await self.settle()
        del before

    # sockets

    def listen(self, slot: int, number: int, fd: int) -> None:
        """Accept on a listening socket, which from now on is ours to close."""
        listener = self._listeners[number]
        self._sockets.setdefault(slot, []).append((number, fd))
        spoken = Mode.HTTP if listener.mode is Mode.HTTPS else listener.mode         # within TLS
        self._engine.add_listener(
            number, fd, listener.name, spoken.value, listener.accept_proxy.value, listener.trusted, _port_of(fd),
            self._tls.get(number), listener.monitor,
        )

    async def unlisten(self, slot: int, numbers: Sequence[int] | None = None) -> None:
        """Accept no more on a slot's sockets, and close them; `numbers`: only on those of these listeners."""
        held = self._sockets.pop(slot, [])
        kept = [one for one in held if numbers is not None and one[0] not in numbers]
        if kept:
            self._sockets[slot] = kept
        fds = [one[1] for one in held if one not in kept]
        for fd in fds:
            self._engine.remove_listener(fd)
        await self.settle()
        for fd in fds:
            os.close(fd)

    async def settle(self) -> None:
        """Wait until all that the engine was told has taken effect: its loop obeys within a turn."""
        while self._engine.orders_left and not self._ended.is_set():  # noqa: ASYNC110 - it is over within microseconds
            await trio.sleep(LOOK_S)

    # tunnels

    async def hand_over(self, fd: int) -> None:
        """Give established tunnels, now and from now on, to the engine at the other end of a socket, which from now on is ours to close."""
        self._engine.hand_over(fd)
        await self._close_obeyed(fd)

    async def take_over(self, fd: int) -> None:
        """Take tunnels that come over a socket, which from now on is ours to close."""
        self._engine.take_over(fd)
        await self._close_obeyed(fd)

    async def _close_obeyed(self, fd: int) -> None:
        try:
            await self.settle()
        finally:
            os.close(fd)

    @property
    def passed(self) -> tuple[int, int]:
        """Tunnels handed over so far, and taken over."""
        return self._engine.handed_over, self._engine.taken_over

    @property
    def cut_off(self) -> int:
        """Exchanges and tunnels that were cut so far, as their time in a drain was over."""
        return self._engine.cut_off

    # the end

    async def drain(self, exchanges_s: float, tunnels_s: float) -> None:
        """Take who waits at the doors, then stop accepting; returns when nothing is open any more. Which of both has less time is cut
        after it; with the longer time this worker ends, and so all is cut that is left."""
        async with trio.open_nursery() as nursery:
            if exchanges_s != tunnels_s:
                nursery.start_soon(self._cut, min(exchanges_s, tunnels_s), tunnels_s < exchanges_s)
            await self._drain()
            nursery.cancel_scope.cancel()

    async def _cut(self, after_s: float, tunnels: bool) -> None:
        await trio.sleep(after_s)
        self._engine.cut(tunnels=tunnels)

    async def _drain(self) -> None:
        if self._sockets:
            await trio.sleep(HANDSHAKES_S)
        with trio.move_on_after(QUEUES_S):
            while any(_waiting_at(fd) for held in self._sockets.values() for _, fd in held):  # noqa: ASYNC110 - the kernel tells nobody
                await trio.sleep(LOOK_S)
        self._engine.drain()
        await self.settle()
        for slot in list(self._sockets):
            await self.unlisten(slot)
        while not self._engine.idle:
            await self._rang.wait()

    async def stop(self) -> None:
        """End the engine at once and wait for its thread; open connections are cut."""
        self._stopped = True
        self._engine.stop()
        await trio.to_thread.run_sync(self._thread.join)
        for held in self._sockets.values():
            for _, fd in held:
                os.close(fd)
        self._sockets.clear()


def _port_of(fd: int) -> int:
    """The port that a socket is bound to; 0 for a unix socket. X-Forwarded-Port and logs tell it."""
    with socket.socket(fileno=os.dup(fd)) as sock:
        name = sock.getsockname()
        return int(name[1]) if isinstance(name, tuple) else 0


def _waiting_at(fd: int) -> int:
    """How many connections wait in a listening socket's queue; 0 for a unix socket, which does not tell."""
    with socket.socket(fileno=os.dup(fd)) as sock:
        if sock.family == socket.AF_UNIX:
            return 0
        facts = sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, _QUEUE_AT + 4)
        return int.from_bytes(facts[_QUEUE_AT:], sys.byteorder)
