"""The parent of all: binds, starts control and the workers, puts new generations of them in place of the old, and ends it all in order.

It holds no routes and runs none of the compiled rooms.
"""

import contextlib
import logging
import os
import signal
import time
from collections.abc import AsyncIterator
from functools import partial
from typing import Any

import trio

from edged import __version__
from edged.child import hide_memory, name_process
from edged.errors import StartError
from edged.logs import choose_level, lines_to_stderr
from edged.rights import KEPT_BY_SUPERVISOR, keep_only
from edged.settings import Settings
from edged.supervisor.children import Identity
from edged.supervisor.ctl import Ctl, Outcome, Refused, Tell
from edged.supervisor.generation import STOP_S, Generation
from edged.supervisor.given import Given, Store
from edged.supervisor.identity import child_identity, make_directories, raise_descriptor_limit
from edged.supervisor.notify import given_sockets, notify, watchdog_s
from edged.supervisor.numbers import ListenerNumbers
from edged.supervisor.pidfile import PidFile
from edged.supervisor.reload import Reloads
from edged.supervisor.rest import Rest
from edged.supervisor.secrets import fitting_tickets
from edged.supervisor.sockets import Sockets
from edged.supervisor.watchdog import Watchdog
from edged.tls.tickets import now_ms

__all__ = ["Supervisor", "supervise"]

log = logging.getLogger("edged.supervisor")

TURN_MOST_MS = 60_000                            # a machine that slept wakes up in another period
WAITING_S = 10.0                                 # between two lines that say what a start waits for
ENDS_MOST_S = 5 + 2 * STOP_S                     # for an end, beside the time that exchanges have


def supervise(settings: Settings) -> int:
    """Serve until a signal ends it; answers the exit status. Raises StartError."""
    started_s = time.monotonic()
    lines_to_stderr("edged")
    name_process("edged")
    for note in settings.notes:
        log.warning("%s", note)
    supervisor = Supervisor(settings, started_s)
    keep_only(KEPT_BY_SUPERVISOR)
    if not settings.run.core_dumps:
        hide_memory()                            # from the secret of tickets, and of what the environment may hold
    try:
        return trio.run(supervisor.run)
    finally:
        supervisor.close()


class Supervisor:
    """What lasts over generations, and which of them is the present one. Implements `ctl.Steered`.

    Orders that change who serves are carried out one at a time (`turn`); only an end does not wait."""

    def __init__(self, settings: Settings, started_s: float) -> None:
        self.numbers = ListenerNumbers()
        self._first = self.numbers.number(settings)
        self._started_s = started_s
        self._identity = child_identity(settings)
        raise_descriptor_limit(settings)
        make_directories(settings, self._identity)
        with contextlib.ExitStack() as undo:
            self._pid_file = PidFile(settings.run.pid_file, str(settings.origin("run.pid_file")))
            undo.callback(self._pid_file.remove)
            self._ctl = open_ctl(settings, self._identity)
            undo.callback(self._ctl.close)
            given = Given(given_sockets(), self._first.listeners)
            self._store = Store(given.names)
            self.sockets = Sockets(
                self._first.listeners, settings.worker.count, self._identity.group_id if self._identity else -1, given=given,
                kept=self._store.is_there,
            )
            undo.pop_all()
        self.arena_fd = os.memfd_create("edged-arena", os.MFD_CLOEXEC)
        self.tickets = fitting_tickets(settings, None)
        self.level = ""                          # of log lines, if an operator chose one
        self.ready = trio.Event()                # all has served once
        self.standing = "starting"               # then "serving", "draining", "drained", "stopping"
        self.turn = trio.Lock()
        self.present: Generation                 # the one that serves, or is to
        self.reloads: Reloads
        self._rest = Rest(self)
        self._watchdog = Watchdog(watchdog_s(), lambda: self.present.children.values())
        self._nursery: trio.Nursery
        self._listening = False                  # connections are queued, not refused
        self._over = trio.Event()
        self._status = 0
        self._failure = ""

    def close(self) -> None:
        self._pid_file.remove()
        self._ctl.close()
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
                self.reloads = Reloads(self, nursery)
                if not settings.run.bind_after_sync:
                    self._listen()
                nursery.start_soon(self.present.run)
                nursery.start_soon(self._start)
                nursery.start_soon(self._turn_tickets)
                nursery.start_soon(self._obey, signals)
                nursery.start_soon(self._ctl.serve, self)
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
        self.keep_sockets()
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
        try:
            self._pid_file.place()
        except StartError as why:
            self._failure = str(why)
            self._end(2)
            return
        first.serve()
        if self.standing == "starting":
            self.standing = "serving"
        count = len(first.slots)
        log.info("ready in %d ms: %d %s", (time.monotonic() - self._started_s) * 1000, count, "worker" if count == 1 else "workers")
        self.tell_ready()
        self.ready.set()
        self._nursery.start_soon(self._watchdog.run)

    def tell_ready(self) -> None:
        """Tell the service manager that it serves, or that it has done what it was asked."""
        if self.standing != "stopping":
            notify("READY=1", f"MAINPID={os.getpid()}", f"STATUS={self.standing}: generation {self.present.number}")

    def keep_sockets(self) -> None:
        """Have the service manager keep those that there are now."""
        self._store.keep(self.sockets.ours())

    async def _turn_tickets(self) -> None:
        """Forget secrets whose time is over. Workers that have them already turn them by themselves."""
        while True:
            left_ms = TURN_MOST_MS if self.tickets is None else self.tickets.left_ms(now_ms())
            await trio.sleep(min(left_ms, TURN_MOST_MS) / 1000)
            if self.tickets is not None:
                self.tickets.turn(now_ms())

    def take_over(self, new: Generation) -> None:
        """A generation that serves is the present one from now on."""
        self.present, self.sockets, self.tickets = new, new.sockets, new.tickets
        self.keep_sockets()
        if not new.settings.run.core_dumps:
            hide_memory()

    # orders

    async def _obey(self, signals: AsyncIterator[int]) -> None:
        """Signals, as `edged run --help` tells them."""
        async for number in signals:
            if number == signal.SIGHUP:
                log.info("SIGHUP: reloading")
                self._nursery.start_soon(partial(self.reload, log.debug, wait=False))
            elif number == signal.SIGUSR1:
                for generation in self.reloads.generations():
                    generation.tell_workers({"type": "reopen_logs"})
            elif number in (signal.SIGTERM, signal.SIGINT):
                if self.standing == "stopping":
                    log.warning("a second signal: everything is cut")
                    self._end(1)
                    return
                self.stop(now=number == signal.SIGINT)

    def status(self) -> dict[str, Any]:
        now_s = trio.current_time()
        return {
            "version": __version__,
            "pid": os.getpid(),
            "state": self.standing,
            "uptime_s": round(time.monotonic() - self._started_s, 3),
            "generations": [
                {
                    "number": one.number,
                    "state": self.standing if one is self.present else str(one.state),
                    "pids": one.pids(),
                    "since_s": round(now_s - one.since_s, 3),
                }
                for one in self.reloads.generations()
            ],
            "listeners": [
                {"name": bound.listener.name, "address": str(bound.address), "mode": bound.listener.mode.value}
                for bound in self.sockets.bound
            ],
            "last_reload": self.reloads.last,
        }

    async def reload(self, tell: Tell, *, wait: bool) -> Outcome:
        return await self.reloads.ask(tell, wait=wait)

    async def upgrade(self) -> Outcome:
        raise Refused("state", "this version cannot change over to another while it runs: restart it")

    async def drain(self, tell: Tell, delay_ms: int | None) -> str:
        return await self._rest.drain(tell, delay_ms)

    async def undrain(self, tell: Tell) -> str:
        return await self._rest.undrain(tell)

    def log_level(self, level: str) -> None:
        self.level = level
        choose_level(level)
        for generation in self.reloads.generations():
            generation.log_level(level)

    def stop(self, *, now: bool = False) -> None:
        """End it all: at once, or when what runs has ended, within [run] drain_timeout. A reload that runs is given up."""
        if self.standing == "stopping" and not now:
            return
        if self.standing != "stopping":
            self.standing = "stopping"
            run = self.present.settings.run
            longest_ms = 0 if now else run.drain_delay_ms + run.drain_timeout_ms
            notify("STOPPING=1", f"EXTEND_TIMEOUT_USEC={int((longest_ms + ENDS_MOST_S * 1000) * 1000)}", "STATUS=stopping")
        self.reloads.give_up()
        self._nursery.start_soon(self._stop if now else self._drain)

    async def wait_over(self) -> None:
        """Returns when nothing runs any more."""
        if not self._over.is_set():              # no checkpoint then: whoever waits is told, though all is being cancelled
            await self._over.wait()

    # the end

    async def _drain(self) -> None:
        run = self.present.settings.run
        if run.drain_delay_ms and not self.present.resting:
            log.info("stopping: serving for another %g s, then draining", run.drain_delay_ms / 1000)
            await trio.sleep(run.drain_delay_ms / 1000)
        log.info("draining: exchanges have %g s to end", run.drain_timeout_ms / 1000)
        self.present.leave()
        self.sockets.leave()                     # ours first: the queues end when the workers have emptied and closed theirs
        self.present.drain()
        with trio.move_on_after(run.drain_timeout_ms / 1000):
            for generation in self.reloads.generations():
                await generation.workers_left()
        await self._stop()

    async def _stop(self) -> None:
        """Tell whoever is left to leave at once; those who do not are killed."""
        self.sockets.close()
        async with trio.open_nursery() as nursery:
            for generation in self.reloads.generations():
                nursery.start_soon(generation.stop)
        async with self.turn:                    # what a reload began is undone
            pass
        log.info("stopped")
        self._end(0)


def open_ctl(settings: Settings, identity: Identity | None) -> Ctl:
    """The control socket in the runtime directory; raises StartError if one was chosen where it cannot be."""
    chosen = str(settings.origin("run.runtime_dir")) if "run.runtime_dir" in settings.lines else ""
    return Ctl(settings.run.runtime_dir, identity.user_id if identity else None, chosen=chosen)
