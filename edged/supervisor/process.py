"""The parent of all: binds, starts control and the workers, restarts what dies, and ends it all in order.

It holds no routes and runs none of the compiled rooms. While a worker is away, connections wait in the queue of its slot's
sockets, which stay open here; another worker is lent those sockets ("listen") until the slot's own serves again ("unlisten").
(net.ipv4.tcp_migrate_req would do so only for sockets that were closed, and is an operator's to set.)
"""

import logging
import os
import signal
import subprocess
import time
from collections.abc import AsyncIterator, Sequence
from dataclasses import asdict, replace
from typing import Any

import trio

from edged import __version__
from edged.child import hide_memory, name_process
from edged.errors import StartError
from edged.logs import choose_level, lines_to_stderr
from edged.settings import InvalidSettings, Settings
from edged.settings.load import read
from edged.supervisor.children import Backoff, Child, Identity, how_it_ended
from edged.supervisor.ctl import Ctl, Outcome, Refused, Tell
from edged.supervisor.identity import child_identity, make_directories, raise_descriptor_limit
from edged.supervisor.notify import notify, reloading
from edged.supervisor.sockets import Sockets
from edged.tls.tickets import Ratchet, now_ms
from edged.wire import wire_pair

__all__ = ["supervise"]

log = logging.getLogger("edged.supervisor")

CONTROL = -1                                     # its place among the children; a worker's place is its slot
TURN_MOST_MS = 60_000                            # a machine that slept wakes up in another period
QUEUES_S = 1.0                                   # for workers to empty the queues of their sockets and close them
STOP_S = 2.0                                     # for children that were told to leave at once
WAITING_S = 10.0                                 # between two lines that say what a start waits for


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
    def __init__(self, settings: Settings, started_s: float) -> None:
        self._settings = settings
        self._started_s = started_s
        self._slots = range(settings.worker.count)
        self._identity = child_identity(settings)
        raise_descriptor_limit(settings)
        make_directories(settings, self._identity)
        self._ctl = open_ctl(settings, self._identity)
        try:
            self._sockets = Sockets(settings.listeners, len(self._slots), self._identity.group_id if self._identity else -1)
        except StartError:
            self._ctl.close()
            raise
        self._arena_fd = os.memfd_create("edged-arena", os.MFD_CLOEXEC)
        self._tickets = _tickets(settings)
        self._children: dict[int, Child] = {}
        self._serving: set[int] = set()          # slots whose worker has a table in force
        self._lent: dict[int, int] = {}          # slot -> the slot whose worker accepts for it
        self._listening = False                  # connections are queued, not refused
        self._routes_known = trio.Event()
        self._all_serve = trio.Event()
        self._ready = False                      # all of that has happened once
        self._left = {place: trio.Event() for place in (CONTROL, *self._slots)}
        self._standing = "starting"              # then "serving", "draining", "drained", "stopping"
        self._awake = trio.Event()               # workers may run; not while the daemon rests
        self._awake.set()
        self._resting: set[Child] = set()        # workers that leave because of that
        self._recalled = trio.Event()            # the rest is over, or was not wanted after all
        self._went = trio.Event()                # set, and made anew, whenever a child has ended
        self._level = ""                         # of log lines, if an operator chose one
        self._last_reload: dict[str, Any] | None = None
        self._leaving = trio.Event()             # from now on, nobody is started again
        self._nursery: trio.Nursery
        self._over = trio.Event()
        self._status = 0
        self._failure = ""

    def close(self) -> None:
        self._ctl.close()
        self._sockets.close()
        os.close(self._arena_fd)

    async def run(self) -> int:
        with trio.open_signal_receiver(signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGUSR1) as signals:
            async with trio.open_nursery() as nursery:
                self._nursery = nursery
                if not self._settings.run.bind_after_sync:
                    self._listen()
                for place in self._left:
                    nursery.start_soon(self._keep, place)
                nursery.start_soon(self._tell_when_ready)
                nursery.start_soon(self._turn_tickets)
                nursery.start_soon(self._obey, signals)
                nursery.start_soon(self._ctl.serve, self)
                await self._over.wait()
                nursery.cancel_scope.cancel()    # whoever still runs is killed
        if self._failure:
            raise StartError(self._failure)
        return self._status

    def _fail(self, why: str) -> None:
        self._failure = why
        self._end(2)

    def _end(self, status: int) -> None:
        self._status = status
        self._over.set()

    # children

    async def _keep(self, place: int) -> None:
        """Run the child of a place, and run it again whenever it ends, until everybody leaves."""
        backoff = Backoff()
        wing = "control" if place == CONTROL else "worker"
        while not self._leaving.is_set():
            if place != CONTROL and not self._awake.is_set():
                await self._awake.wait()
                continue
            try:
                child = Child(wing, max(place, 0), self._identity)
            except (OSError, subprocess.SubprocessError) as why:
                if not self._ready:
                    whose = f" as user {self._settings.run.user}" if self._identity else ""
                    self._fail(f"{wing} cannot be started{whose}: {why}")
                    break
                log.error("%s cannot be started, trying again: %s", wing, why)
                await self._pause(Backoff.FIRST_S)
                continue
            self._children[place] = child
            self._welcome(place, child)
            returncode = await child.attend(self._hear)
            del self._children[place]
            self._miss(place)
            self._went.set()
            self._went = trio.Event()
            if self._leaving.is_set():
                break
            if child in self._resting:
                self._resting.discard(child)
                continue
            how = f"{child.name} (process {child.pid}) {how_it_ended(returncode)}"
            if not self._ready and returncode >= 0:
                self._fail(f"{how} before anything was served; its own lines say why")
                break
            pause_s = backoff.pause_s(trio.current_time() - child.started_s)
            log.error("%s; it is started again%s", how, f" in {pause_s:g} s" if pause_s else "")
            await self._pause(pause_s)
        self._left[place].set()

    async def _pause(self, pause_s: float) -> None:
        with trio.move_on_after(pause_s):
            await self._leaving.wait()

    def _welcome(self, place: int, child: Child) -> None:
        """Give a new child what it needs: settings and arena, its ends of the wires, its sockets."""
        child.tell({"type": "settings", "settings": self._settings.to_wire()}, [self._arena_fd])
        if self._level:
            child.tell({"type": "log_level", "level": self._level})
        if place == CONTROL:
            for slot in self._slots:
                self._introduce(slot)
        else:
            if self._tickets is not None:
                self._tickets.turn(now_ms())
                child.tell(self._tickets.message())
            self._introduce(place)
            if self._listening:
                self._hand_over(place, self._sockets.shared(), child)
                self._hand_over(place, self._sockets.of_slot(place), child)

    def _introduce(self, slot: int) -> None:
        """A wire of their own for a worker and control, if both are there."""
        control, worker = self._children.get(CONTROL), self._children.get(slot)
        if control is not None and worker is not None:
            ends = wire_pair()
            control.tell({"type": "worker", "index": slot}, [ends[0].fileno()])
            worker.tell({"type": "control"}, [ends[1].fileno()])
            for end in ends:
                end.close()

    async def _hear(self, child: Child, message: dict[str, Any], fds: list[int]) -> None:
        for fd in fds:
            os.close(fd)
        match child.name, message:
            case "control", {"type": "ready", "routes": int(routes)}:
                log.info("%d %s", routes, "route" if routes == 1 else "routes")
                if not self._listening:
                    self._listen()
                self._routes_known.set()
            case _, {"type": "serving"} if child.name != "control":
                self._serves(child.index)
            case _:
                log.warning("%s said what nobody expects: %.40s", child.name, message["type"])

    # sockets

    def _listen(self) -> None:
        self._sockets.listen()
        self._listening = True
        for bound in self._sockets.bound:
            log.info('listening on %s (%s, "%s")', bound.address, bound.listener.mode, bound.listener.name)
        for slot in self._slots:
            if slot in self._children:
                self._hand_over(slot, self._sockets.shared(), self._children[slot])
                self._hand_over(slot, self._sockets.of_slot(slot), self._children[slot])

    def _hand_over(self, slot: int, sockets: Sequence[tuple[int, int]], child: Child) -> None:
        if sockets:
            numbers, fds = zip(*sockets, strict=True)
            child.tell({"type": "listen", "slot": slot, "listeners": numbers}, fds)

    def _serves(self, slot: int) -> None:
        self._serving.add(slot)
        if len(self._serving) == len(self._slots):
            self._all_serve.set()
        helper = self._children.get(self._lent.pop(slot, slot))
        if helper is not None and helper.index != slot:
            helper.tell({"type": "unlisten", "slot": slot})
        self._lend()

    def _miss(self, place: int) -> None:
        self._serving.discard(place)
        self._lent = {slot: helper for slot, helper in self._lent.items() if helper != place}
        self._lend()

    def _lend(self) -> None:
        """Give the sockets of every slot whose worker is away to the next worker that serves."""
        if not self._ready or self._leaving.is_set():
            return
        for slot in self._slots:
            if slot not in self._serving and slot not in self._lent and self._serving:
                helper = min(self._serving, key=lambda other: (other - slot) % len(self._slots))
                self._lent[slot] = helper
                self._hand_over(slot, self._sockets.of_slot(slot), self._children[helper])

    # start and end

    async def _turn_tickets(self) -> None:
        """Forget secrets whose time is over. Workers that have them already turn them by themselves."""
        while self._tickets is not None:
            await trio.sleep(min(self._tickets.left_ms(now_ms()), TURN_MOST_MS) / 1000)
            self._tickets.turn(now_ms())

    async def _tell_when_ready(self) -> None:
        while not (self._routes_known.is_set() and self._all_serve.is_set()):
            with trio.move_on_after(WAITING_S) as waiting:
                await self._routes_known.wait()
                await self._all_serve.wait()
            if waiting.cancelled_caught:
                log.warning("still waiting for %s", "the workers" if self._routes_known.is_set() else "the first routes")
        self._ready = True
        if self._standing == "starting":
            self._standing = "serving"
        self._lend()                             # somebody may have died since it served
        count = len(self._slots)
        log.info("ready in %d ms: %d %s", (time.monotonic() - self._started_s) * 1000, count, "worker" if count == 1 else "workers")
        notify("READY=1", f"MAINPID={os.getpid()}")

    async def _obey(self, signals: AsyncIterator[int]) -> None:
        """Signals, as `edged run --help` tells them."""
        async for number in signals:
            if number == signal.SIGHUP:
                log.info("SIGHUP: reloading")
                await self.reload()
            elif number == signal.SIGUSR1:
                self._tell_workers({"type": "reopen_logs"})
            elif number in (signal.SIGTERM, signal.SIGINT):
                if self._standing == "stopping":
                    log.warning("a second signal: everything is cut")
                    self._end(1)
                    return
                self.stop(now=number == signal.SIGINT)

    async def _drain(self) -> None:
        run = self._settings.run
        if run.drain_delay_ms and self._awake.is_set():
            log.info("stopping: serving for another %g s, then draining", run.drain_delay_ms / 1000)
            await trio.sleep(run.drain_delay_ms / 1000)
        log.info("draining: exchanges have %g s to end", run.drain_timeout_ms / 1000)
        self._leave()
        self._sockets.turn_away()
        self._sockets.close()                    # ours first: the queues end when the workers have emptied and closed theirs
        self._tell_workers({"type": "drain"})
        with trio.move_on_after(run.drain_timeout_ms / 1000):
            for slot in self._slots:
                await self._left[slot].wait()
        await self._stop()

    def _leave(self) -> None:
        self._leaving.set()
        self._awake.set()

    async def _stop(self) -> None:
        """Tell whoever is left to leave at once; those who do not are killed."""
        self._leave()
        self._sockets.close()
        for child in self._children.values():
            child.tell({"type": "stop"})
        with trio.move_on_after(STOP_S):
            for left in self._left.values():
                await left.wait()
        log.info("stopped")
        self._end(0)

    def _tell_workers(self, message: dict[str, Any]) -> None:
        for place, child in self._children.items():
            if place != CONTROL:
                child.tell(message)

    # orders of an operator

    def status(self) -> dict[str, Any]:
        up_s = time.monotonic() - self._started_s
        pids = {child.name: child.pid for child in self._children.values()}
        last = self._last_reload
        return {
            "version": __version__,
            "pid": os.getpid(),
            "state": self._standing,
            "uptime_s": round(up_s, 3),
            "generations": [{"number": 1, "state": self._standing, "pids": dict(sorted(pids.items())), "since_s": round(up_s, 3)}],
            "listeners": [
                {"name": bound.listener.name, "address": str(bound.address), "mode": bound.listener.mode.value}
                for bound in self._sockets.bound
            ],
            "last_reload": last and {**last, "ago_s": round(time.monotonic() - last["at_s"], 3)},
        }

    async def reload(self) -> Outcome:
        """Look at the settings, and have the sources read again. Settings with an error change nothing."""
        if self._standing == "stopping":
            return Outcome(False, message="nothing was read again: the daemon is stopping")
        began_s = time.monotonic()
        if self._ready:
            reloading()
        outcome = self._reread()
        if self._ready:
            notify("READY=1")
        outcome = replace(outcome, took_ms=round((time.monotonic() - began_s) * 1000, 1))
        for problem in outcome.problems:
            log.error("%s", problem)
        log.info("reload: %s", outcome.message)
        self._last_reload = {**asdict(outcome), "at_s": time.monotonic()}
        return outcome

    def _reread(self) -> Outcome:
        try:
            problems = read(self._settings.path)[1]
        except InvalidSettings as why:
            problems = list(why.problems)
        except StartError as why:
            return Outcome(False, (str(why),), message="nothing was changed")
        if problems:
            return Outcome(False, tuple(map(str, problems)), message="nothing was changed")
        if CONTROL not in self._children:
            return Outcome(True, message="the sources are being read already; settings and code stay as they are until a restart")
        self._children[CONTROL].tell({"type": "reread"})
        return Outcome(True, message="the sources are read again; settings and code stay as they are until a restart")

    async def upgrade(self) -> Outcome:
        raise Refused("state", "this version cannot change over to another while it runs: restart it")

    def stop(self, *, now: bool = False) -> None:
        """End it all: at once, or when what runs has ended, within [run] drain_timeout."""
        if self._standing == "stopping" and not now:
            return
        if self._standing != "stopping":
            self._standing = "stopping"
            notify("STOPPING=1")
        self._nursery.start_soon(self._stop if now else self._drain)

    async def wait_over(self) -> None:
        """Returns when nothing runs any more."""
        if not self._over.is_set():              # no checkpoint then: whoever waits is told, though all is being cancelled
            await self._over.wait()

    async def drain(self, tell: Tell, delay_ms: int | None) -> str:
        """Out of service until `undrain`, or the end. Control stays, so that routes are as fresh as ever afterwards."""
        if self._standing == "drained":
            return "it was drained already"
        if self._standing != "serving":
            raise Refused("state", f"it is {self._standing}: only one that serves can be drained")
        self._standing, self._recalled = "draining", trio.Event()
        delay_s = (self._settings.run.drain_delay_ms if delay_ms is None else delay_ms) / 1000
        if delay_s:
            _say(tell, f"serving for another {delay_s:g} s, then draining")
            with trio.move_on_after(delay_s):
                await self._recalled.wait()
        if not self._recalled.is_set() and self._standing == "draining":
            await self._rest(tell)
        if self._standing != "drained":
            raise Refused("state", f"it was not drained: it is {self._standing} by another order")
        log.info("drained")
        return "drained: connections are refused until edged ctl undrain"

    async def _rest(self, tell: Tell) -> None:
        timeout_s = self._settings.run.drain_timeout_ms / 1000
        _say(tell, f"draining: exchanges have {timeout_s:g} s to end")
        workers = [child for place, child in self._children.items() if place != CONTROL]
        self._awake, self._all_serve = trio.Event(), trio.Event()
        self._serving.clear()
        self._lent.clear()
        self._resting.update(workers)
        self._sockets.turn_away()
        self._tell_workers({"type": "drain"})
        if not await self._gone(workers, QUEUES_S):
            tell(f"{len(self._resting)} of {len(workers)} workers have exchanges to end")
        if not self._recalled.is_set():
            self._sockets.refuse()
        if not await self._gone(workers, timeout_s):
            _say(tell, "what is still open is cut")
            for child in self._resting.intersection(workers):
                child.tell({"type": "stop"})
            if not await self._gone(workers, STOP_S):
                for child in self._resting.intersection(workers):
                    child.kill()
                await self._gone(workers, STOP_S)
        if not self._recalled.is_set() and self._standing == "draining":
            self._standing = "drained"

    async def _gone(self, workers: Sequence[Child], most_s: float) -> bool:
        """Wait for resting workers to end; answers whether all have."""
        with trio.move_on_after(most_s):
            while not self._resting.isdisjoint(workers):
                await self._went.wait()
        return self._resting.isdisjoint(workers)

    async def undrain(self, tell: Tell) -> str:
        """Into service again; who still ends exchanges is started again after that."""
        if self._standing == "serving":
            return "it serves already"
        if self._standing not in ("draining", "drained"):
            raise Refused("state", f"it is {self._standing}")
        if not self._awake.is_set():
            try:
                self._sockets.welcome()
            except OSError as why:
                raise Refused("state", f"it stays out of service: a listener cannot be opened again: {why.strerror}") from None
        self._recalled.set()
        self._awake.set()
        self._standing = "serving"
        if self._resting:
            tell(f"{len(self._resting)} workers are started again when their exchanges have ended")
        await self._all_serve.wait()
        log.info("in service again")
        return "it serves"

    def log_level(self, level: str) -> None:
        self._level = level
        choose_level(level)
        for child in self._children.values():
            child.tell({"type": "log_level", "level": level})


def open_ctl(settings: Settings, identity: Identity | None) -> Ctl:
    """The control socket in the runtime directory; raises StartError if one was chosen where it cannot be."""
    chosen = str(settings.origin("run.runtime_dir")) if "run.runtime_dir" in settings.lines else ""
    return Ctl(settings.run.runtime_dir, identity.user_id if identity else None, chosen=chosen)


def _say(tell: Tell, line: str) -> None:
    log.info("%s", line)
    tell(line)


def _tickets(settings: Settings) -> Ratchet | None:
    """What session tickets are sealed with, by all workers and for as long as this process lives; None: no listener gives any."""
    if settings.tls.session_tickets and any(listener.tls for listener in settings.listeners):
        return Ratchet.new(settings.tls.ticket_rotation_ms, now_ms())
    return None
