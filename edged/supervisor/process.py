"""The parent of all: binds, starts control and the workers, puts new generations of them in place of the old, and ends it all in order.

It holds no routes and runs none of the compiled rooms.
"""

import logging
import os
import signal
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from functools import partial
from typing import Any

import trio

from edged import __version__
from edged.errors import StartError
from edged.logs import choose_level, lines_to_stderr
from edged.prctl import hide_memory, name_process
from edged.rights import KEPT_BY_SUPERVISOR, keep_only
from edged.settings import Settings
from edged.supervisor.ctl import Outcome, Tell
from edged.supervisor.generation import STOP_S, Generation
from edged.supervisor.holdings import NOT_UNDERSTOOD, Holdings
from edged.supervisor.legacy import LegacyError, read_legacy
from edged.supervisor.notify import notify, watchdog_s
from edged.supervisor.program import Program, become, begin_anew
from edged.supervisor.readiness import Readiness
from edged.supervisor.reload import Reloads
from edged.supervisor.rest import Rest, times
from edged.supervisor.sockets import Sockets
from edged.supervisor.strays import see_off
from edged.supervisor.upgrade import Upgrades
from edged.supervisor.vrrp import Instances
from edged.supervisor.watchdog import Watchdog
from edged.tls.tickets import now_ms

__all__ = ["Supervisor", "supervise", "take_over"]

log = logging.getLogger("edged.supervisor")

TURN_MOST_MS = 60_000                            # a machine that slept wakes up in another period
WAITING_S = 10.0                                 # between two lines that say what a start waits for
HEEDED = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGUSR1, signal.SIGUSR2)
ENDS_MOST_S = 5 + 2 * STOP_S                     # for an end, beside the time that exchanges have


def supervise(settings: Settings, found: Sockets | None = None) -> int:
    """Serve until a signal ends it; answers the exit status. Raises StartError. `found`: sockets that listen already."""
    _begin(settings.notes)
    held = Holdings.fresh(settings, found)
    keep_only(KEPT_BY_SUPERVISOR)
    return _serve(held)


def take_over(legacy_fd: int) -> int:
    """Serve in place of the program that ran in this process before; as `supervise`. Where what it left is not understood, this program
    starts once more, with nothing but the sockets that listen."""
    _begin(())
    try:
        return _serve(Holdings.taken_over(read_legacy(legacy_fd)))
    except LegacyError as why:
        log.error("%s; all begins anew, over the sockets that listen", why)
        raise StartError(begin_anew()) from None


def _begin(notes: Sequence[str]) -> None:
    lines_to_stderr("edged")
    name_process("edged")
    for note in notes:
        log.warning("%s", note)


def _serve(held: Holdings) -> int:
    while True:
        if not held.settings.run.core_dumps:
            hide_memory()                        # from the secret of tickets, and of what the environment may hold
        supervisor = Supervisor(held)
        try:
            status = trio.run(supervisor.run)
        finally:
            supervisor.close()
        if supervisor.successor is None:
            return status
        program, left = supervisor.successor
        held = Holdings.taken_over(left, become(program, left))


class Supervisor:
    """What lasts over generations, and which of them is the present one. Implements `ctl.Steered`.

    Orders that change who serves are carried out one at a time (`turn`); only an end does not wait."""

    def __init__(self, held: Holdings) -> None:
        self.numbers = held.numbers
        self.sockets = held.sockets
        self.tickets = held.tickets
        self.health = held.health
        self.level = held.level
        self.arena_fd = held.arena_fd
        self.ready = trio.Event()                # all has served once
        self.standing = "starting"               # then "serving", "draining", "drained", "stopping"
        self.turn = trio.Lock()
        self.present: Generation                 # the one that serves, or is to
        self.reloads: Reloads
        self.successor: tuple[Program, dict[str, Any]] | None = None         # what takes over this process, and from what it goes on
        self._held = held
        self._draining: list[Generation] = []    # taken over with it
        self._rest = Rest(self)
        self._readiness = Readiness(self)
        self._instances = Instances(held.left.get("vrrp", ()) if held.left is not None else ())
        self._upgrades: Upgrades
        self._watchdog = Watchdog(watchdog_s(), lambda: self.present.children.values())
        self._nursery: trio.Nursery
        self._listening = False                  # connections are queued, not refused
        self._changing: tuple[Program, bool] | None = None
        self._over = trio.Event()
        self._status = 0
        self._failure = ""

    def close(self) -> None:
        self._held.pid_file.remove()
        self._held.ctl.close()
        self.health.close()
        self.sockets.close()
        if self.arena_fd >= 0:
            os.close(self.arena_fd)

    async def run(self) -> int:
        if self._held.left is not None:
            self._inherit(self._held.left)
        with trio.open_signal_receiver(*HEEDED) as signals:
            signal.pthread_sigmask(signal.SIG_UNBLOCK, HEEDED)
            async with trio.open_nursery() as nursery:
                self._nursery = nursery
                self.reloads, self._upgrades = Reloads(self, nursery), Upgrades(self, nursery)
                if self._held.left is None:
                    self._begin()
                else:
                    self._go_on(self._held.left)
                nursery.start_soon(self._turn_tickets)
                nursery.start_soon(self._obey, signals)
                nursery.start_soon(self._held.ctl.serve, self)
                nursery.start_soon(self.health.serve, self._readiness)
                await self._over.wait()
                nursery.cancel_scope.cancel()    # whoever still runs is killed, or spared
            if self._changing is not None:
                program, fresh_arena = self._changing
                self.successor = program, self._leave_behind(fresh_arena=fresh_arena)
        if self._failure:
            raise StartError(self._failure)
        return self._status

    # another program

    def change_over(self, program: Program, *, fresh_arena: bool) -> None:
        """End this program, and nothing else. From here on nothing is done any more: signals wait for the other one, as clients do."""
        signal.pthread_sigmask(signal.SIG_BLOCK, HEEDED)
        self._changing = program, fresh_arena
        self._watchdog.bridge(trio.current_time())
        self._held.ctl.spare()
        self.health.spare()
        for generation in self.reloads.generations():
            generation.spare()
        self._over.set()

    def _leave_behind(self, *, fresh_arena: bool) -> dict[str, Any]:
        reloads, present = self.reloads.leave_behind(), self.present.leave_behind()
        arena_fd, self.arena_fd = self.arena_fd, -1
        left = {
            "version": __version__, "started_s": self._held.started_s, "level": self.level, "numbers": dict(self.numbers.by_name),
            "standing": "drained" if self.present.resting else "serving", "tickets": self.tickets and self.tickets.held,
            "reloads": reloads, "present": present, "present_arena": self.present.arena_fd, "arena": arena_fd, "fresh_arena": fresh_arena,
            "sockets": self.sockets.leave_behind(), "ctl": self._held.ctl.leave_behind(), "health": self.health.leave_behind(),
            "pid_file": self._held.pid_file.leave_behind(), "store": self._held.store.names, "vrrp": self._instances.plain(),
        }
        arenas = {arena_fd, self.present.arena_fd, *(one.arena_fd for one in self.reloads.draining)}
        parts = [present, *reloads["draining"], left["sockets"], left["ctl"], left["health"], left["pid_file"]]
        return left | {"fds": [*arenas, *(fd for part in parts for fd in part["fds"])]}

    def _inherit(self, left: Mapping[str, Any]) -> None:
        """Know all generations again. Raises LegacyError; the sockets that listen are then left once more."""
        try:
            self.standing = str(left["standing"])
            self._draining = [
                Generation.taken_over(one, Sockets.of(()), one["arena"], None, self.level) for one in left["reloads"]["draining"]
            ]
            self.present = Generation.taken_over(
                left["present"], self.sockets, left["present_arena"], self.tickets, self.level, self._draining
            )
        except NOT_UNDERSTOOD as why:
            for fd in self.sockets.leave_behind()["fds"]:
                os.set_inheritable(fd, True)
            raise LegacyError(f"what it left is not understood: {why!r}") from None

    def _go_on(self, left: Mapping[str, Any]) -> None:
        if self.level:
            choose_level(self.level)
        if left["fresh_arena"] and not self._held.why_not:
            self.arena_fd = os.memfd_create("edged-arena", os.MFD_CLOEXEC)
            log.warning("this program lays the arena out anew: all counters begin at zero")
        self._listening = True
        self.ready.set()
        self._nursery.start_soon(self.present.run)
        self._nursery.start_soon(self._watchdog.run)
        self.reloads.take_over(left["reloads"]["number"], self._draining)
        self._upgrades.arrive(left["version"], self._held.why_not)

    def _end(self, status: int) -> None:
        self._status = status
        self._over.set()

    # the start

    def _begin(self) -> None:
        settings, identity = self._held.settings, self._held.identity
        self.present = Generation(1, settings, identity, self.sockets, range(settings.worker.count), self.arena_fd, self.tickets)
        if not settings.run.bind_after_sync and not self._rest.is_kept:
            self._listen()
        self._nursery.start_soon(self.present.run)
        self._nursery.start_soon(self._start)
        self._nursery.start_soon(see_off, self._held.strays, settings.run.drain_most_ms / 1000)

    def _listen(self) -> None:
        self.sockets.listen()
        self.keep_sockets()
        self._listening = True
        self.sockets.tell_news(None)
        self.present.open_doors()

    async def _start(self) -> None:
        first = self.present
        if not self._listening and not self._rest.is_kept:
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
            self._held.pid_file.place()
        except StartError as why:
            self._failure = str(why)
            self._end(2)
            return
        first.serve()
        if self.standing == "starting":
            self.standing = "serving"
            if self._rest.is_kept:
                self._rest.begin()
        count = len(first.slots)
        log.info("ready in %d ms: %d %s", (time.monotonic() - self._held.started_s) * 1000, count, "worker" if count == 1 else "workers")
        self.tell_ready()
        self.ready.set()
        self._nursery.start_soon(self._watchdog.run)

    def tell_ready(self) -> None:
        """Tell the service manager that it serves, or that it has done what it was asked."""
        if self.standing != "stopping":
            notify("READY=1", f"MAINPID={os.getpid()}", f"STATUS={self.standing}: generation {self.present.number}")

    def keep_sockets(self) -> None:
        """Have the service manager keep those that there are now."""
        self._held.store.keep(self.sockets.ours())

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
        self._held.ctl.allow(new.user_id)
        self.keep_sockets()
        if not new.settings.run.core_dumps:
            hide_memory()

    # orders

    async def _obey(self, signals: AsyncIterator[int]) -> None:
        """Signals, as `edged run --help` tells them."""
        async for number in signals:
            if self._changing is not None:
                signal.raise_signal(number)      # it is blocked: the other program gets it
            elif number == signal.SIGHUP:
                log.info("SIGHUP: reloading")
                self._nursery.start_soon(partial(self.reload, log.debug, wait=False))
            elif number == signal.SIGUSR2:
                log.info("SIGUSR2: upgrading")
                self._nursery.start_soon(partial(self.upgrade, log.debug, wait=False))
            elif number == signal.SIGUSR1:
                for generation in self.reloads.generations():
                    generation.tell_workers({"type": "reopen_logs"})
            elif number in (signal.SIGTERM, signal.SIGINT):
                if self.standing == "stopping":
                    log.warning("a second signal: everything is cut")
                    self._end(1)
                    return
                self.stop(now=number == signal.SIGINT)

    def stuck(self, now_s: float) -> list[str]:
        """Names of children that answer no more."""
        return self._watchdog.stuck(now_s)

    def status(self) -> dict[str, Any]:
        now_s = trio.current_time()
        return {
            "version": __version__,
            "pid": os.getpid(),
            "state": self.standing,
            "not_ready": [f"{check.name}: {check.why}" for check in self._readiness.ready() if not check.ok],
            "uptime_s": round(time.monotonic() - self._held.started_s, 3),
            "generations": [
                {
                    "number": one.number,
                    "state": self.standing if one is self.present else str(one.phase),
                    "pids": one.pids(),
                    "since_s": round(now_s - one.since_s, 3),
                }
                for one in self.reloads.generations()
            ],
            "listeners": [
                {"name": bound.listener.name, "address": str(bound.address), "mode": bound.listener.mode.value}
                for bound in self.sockets.bound
            ],
            "vrrp": self._instances.told(),
            "last_reload": self.reloads.last,
        }

    async def reload(self, tell: Tell, *, wait: bool) -> Outcome:
        return await self.reloads.ask(tell, wait=wait)

    async def upgrade(self, tell: Tell, *, wait: bool) -> Outcome:
        return await self._upgrades.ask(tell, wait=wait)

    async def arrival(self, tell: Tell, *, wait: bool) -> Outcome:
        return await self._upgrades.arrival(tell, wait=wait)

    async def drain(self, tell: Tell, delay_ms: int | None, *, persist: bool) -> str:
        return await self._rest.drain(tell, delay_ms, persist=persist)

    async def undrain(self, tell: Tell) -> str:
        return await self._rest.undrain(tell)

    def log_level(self, level: str) -> None:
        self.level = level
        choose_level(level)
        for generation in self.reloads.generations():
            generation.log_level(level)

    def notify(self, kind: str, name: str, state: str, priority: int | None) -> None:
        self._instances.note(kind, name, state, priority)

    def stop(self, *, now: bool = False) -> None:
        """End it all: at once, or when what runs has ended, within [run] drain_timeout and tunnel_drain_timeout. A reload that runs is
        given up."""
        if self.standing == "stopping" and not now:
            return
        if self.standing != "stopping":
            self.standing = "stopping"
            run = self.present.settings.run
            longest_ms = 0 if now else run.drain_delay_ms + run.drain_most_ms
            notify("STOPPING=1", f"EXTEND_TIMEOUT_USEC={int((longest_ms + ENDS_MOST_S * 1000) * 1000)}", "STATUS=stopping")
        self._upgrades.give_up()
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
        log.info("draining: %s", times(run))
        self.present.leave()
        self.sockets.leave()                     # ours first: the queues end when the workers have emptied and closed theirs
        self.present.drain(run)
        with trio.move_on_after(run.drain_most_ms / 1000):
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
