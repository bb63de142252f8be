"""The parent of all: binds, starts control and the workers, puts new generations of them in place of the old, and ends it all in order.

It holds no routes and runs none of the compiled rooms.
"""

import logging
import os
import signal
import time
from collections.abc import AsyncIterator
from typing import Any

import trio

from edged import __version__
from edged.child import hide_memory, name_process
from edged.errors import StartError
from edged.logs import lines_to_stderr
from edged.settings import Settings
from edged.supervisor.generation import Generation
from edged.supervisor.identity import child_identity, make_directories, raise_descriptor_limit
from edged.supervisor.notify import notify
from edged.supervisor.reload import Outcome, Reloads
from edged.supervisor.secrets import fitting_tickets
from edged.supervisor.sockets import Sockets
from edged.tls.tickets import now_ms

__all__ = ["Outcome", "Supervisor", "supervise"]

log = logging.getLogger("edged.supervisor")

TURN_MOST_MS = 60_000                            # a machine that slept wakes up in another period
WAITING_S = 10.0                                 # between two lines that say what a start waits for
LEVELS = ("debug", "info", "warning", "error")


def supervise(settings: Settings) -> int:
    """Serve until a signal ends it; answers the exit status. Raises StartError."""
    started_s = time.monotonic()
    lines_to_stderr("edged")
    name_process("edged")
    for note in settings.notes:
        log.warning("%s", note)
    supervisor = Supervisor(settings, started_s)
    if not settings.run.core_dumps:
        hide_memory()                            # from the secret of tickets, and of what the environment may hold
    try:
        return trio.run(supervisor.run)
    finally:
        supervisor.close()


class Supervisor:
    """`reload`, `status`, `drain`, `undrain`, `stop` and `log_level` are for whoever steers the daemon, once it runs."""

    def __init__(self, settings: Settings, started_s: float) -> None:
        self._first = settings
        self._started_s = started_s
        self._identity = child_identity(settings)
        raise_descriptor_limit(settings)
        make_directories(settings, self._identity)
        self.sockets = Sockets(settings.listeners, settings.worker.count, self._identity.group_id if self._identity else -1)
        self.arena_fd = os.memfd_create("edged-arena", os.MFD_CLOEXEC)
        self.tickets = fitting_tickets(settings, None)
        self.ready = trio.Event()                # all has served once
        self.ending = False
        self.present: Generation                 # the one that serves, or is to
        self._nursery: trio.Nursery
        self._reloads: Reloads
        self._listening = False                  # connections are queued, not refused
        self._over = trio.Event()
        self._status = 0
        self._failure = ""

    def close(self) -> None:
        self.sockets.close()
        os.close(self.arena_fd)

    async def run(self) -> int:
        with trio.open_signal_receiver(signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGUSR1) as signals:
            async with trio.open_nursery() as nursery:
                self._nursery = nursery
                settings = self._first
                self.present = Generation(
                    1, settings, self._identity, self.sockets, range(settings.worker.count), self.arena_fd, self.tickets
                )
                self._reloads = Reloads(self, nursery)
                if not settings.run.bind_after_sync:
                    self._listen()
                nursery.start_soon(self.present.run)
                nursery.start_soon(self._start)
                nursery.start_soon(self._turn_tickets)
                nursery.start_soon(self._obey, signals)
                await self._over.wait()
                nursery.cancel_scope.cancel()    # whoever still runs is killed
        if self._failure:
            raise StartError(self._failure)
        return self._status

    def _end(self, status: int) -> None:
        self._status = status
        self._over.set()

    # the start

    def _listen(self) -> None:
        self.sockets.listen()
        self._listening = True
        self.sockets.tell_news(None)
        self.present.open_doors()

    async def _start(self) -> None:
        first = self.present
        if not self._listening:
            await first.routes_known.wait()
            if not first.failure:
                self._listen()
        while not first.settled.is_set():
            with trio.move_on_after(WAITING_S) as waiting:
                await first.settled.wait()
            if waiting.cancelled_caught:
                log.warning("still waiting for %s", first.awaited)
        if first.failure:
            self._failure = first.failure
            self._end(2)
            return
        first.serve()
        count = len(first.slots)
        log.info("ready in %d ms: %d %s", (time.monotonic() - self._started_s) * 1000, count, "worker" if count == 1 else "workers")
        notify("READY=1", f"MAINPID={os.getpid()}")
        self.ready.set()

    async def _turn_tickets(self) -> None:
        """Forget secrets whose time is over. Workers that have them already turn them by themselves."""
        while True:
            left_ms = TURN_MOST_MS if self.tickets is None else self.tickets.left_ms(now_ms())
            await trio.sleep(min(left_ms, TURN_MOST_MS) / 1000)
            if self.tickets is not None:
                self.tickets.turn(now_ms())

    # orders

    async def _obey(self, signals: AsyncIterator[int]) -> None:
        """Signals, as `edged run --help` tells them."""
        async for number in signals:
            if number == signal.SIGHUP:
                log.info("SIGHUP: reloading")
                self._nursery.start_soon(self.reload)
            elif number == signal.SIGUSR1:
                for generation in self._reloads.generations():
                    generation.tell_workers({"type": "reopen_logs"})
            elif number in (signal.SIGTERM, signal.SIGINT):
                if self.ending:
                    log.warning("a second signal: everything is cut")
                    self._end(1)
                    return
                self.stop(now=number == signal.SIGINT)

    async def reload(self) -> Outcome:
        """Read the settings anew and put a new generation in place of the present one; returns when the old one has left.
        One that is asked for while another comes up waits for it; all that are asked for meanwhile are one."""
        return await self._reloads.ask()

    def status(self) -> dict[str, Any]:
        now_s = trio.current_time()
        return {
            "version": __version__,
            "uptime_s": round(time.monotonic() - self._started_s, 3),
            "generations": [
                {"number": one.number, "state": str(one.state), "pids": one.pids(), "since_s": round(now_s - one.since_s, 3)}
                for one in self._reloads.generations()
            ],
            "listeners": [
                {"name": bound.listener.name, "address": str(bound.address), "mode": str(bound.listener.mode)}
                for bound in self.sockets.bound
            ],
            "last_reload": self._reloads.last,
        }

    def log_level(self, name: str) -> None:
        """How much this process says from now on. Raises ValueError for a level that is none."""
        if name not in LEVELS:
            raise ValueError(f'"{name}" is no level: {", ".join(LEVELS)}')
        logging.getLogger("edged").setLevel(name.upper())

    def stop(self, *, now: bool = False) -> None:
        """End it all: `now`, or when what runs has ended, within [run] drain_timeout. A reload that runs is given up."""
        if self.ending and not now:
            return
        self.ending = True
        notify("STOPPING=1")
        self._reloads.give_up()
        self._nursery.start_soon(self._stop if now else self._drain)

    # the end

    async def _drain(self) -> None:
        run = self.present.settings.run
        if run.drain_delay_ms:
            log.info("SIGTERM: serving for another %g s, then draining", run.drain_delay_ms / 1000)
            await trio.sleep(run.drain_delay_ms / 1000)
        log.info("draining: exchanges have %g s to end", run.drain_timeout_ms / 1000)
        present = self.present
        present.leave()
        self.sockets.turn_away()
        self.sockets.close()                     # ours first: the queues end when the workers have emptied and closed theirs
        present.drain()
        with trio.move_on_after(run.drain_timeout_ms / 1000):
            for generation in self._reloads.generations():
                await generation.workers_left()
        await self._stop()

    async def _stop(self) -> None:
        """Tell whoever is left to leave at once; those who do not are killed."""
        self.sockets.close()
        async with trio.open_nursery() as nursery:
            for generation in self._reloads.generations():
                nursery.start_soon(generation.stop)
        await self._reloads.wait_given_up()
        log.info("stopped")
        self._end(0)
