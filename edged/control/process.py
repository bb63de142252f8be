"""The control process: sources and kinds under trio, the truth made of them, and its way to the workers."""

import contextlib
import gc
import logging
import os
import time
from collections.abc import Iterable
from functools import partial
from typing import TYPE_CHECKING

import trio

from edged._fast.memory.arena import Arena
from edged.control.admit import Admission
from edged.control.certificates import Certificates
from edged.control.compile import Compiler
from edged.control.expiry import Expiry
from edged.control.intake import Intake
from edged.control.publish import Publisher
from edged.control.recall import Recall, read_recall
from edged.control.sources import Inbox, SourceRunner
from edged.control.watchdog import Watchdog
from edged.hooks import SettingsError
from edged.hooks.fence import PluginFailed, fence
from edged.hooks.manager import OfferedKind, OfferedSource, Plugins, load_plugins
from edged.logs import choose_level
from edged.model.listener import Listener
from edged.settings import InvalidSettings, Settings
from edged.tls.operator import OperatorCertificates
from edged.wire import Wire, WireClosed

if TYPE_CHECKING:
    from edged.tls.revocations import Revocations

__all__ = ["control_main", "offers"]

log = logging.getLogger(__name__)

_RECALL_AFTER_S = 2.0                            # a source that was here before has so long to speak first
_WAIT_MOST_S = 10.0                              # one that was not
_SETTLE_MOST_S = 0.1                             # under a flood of changes, tables are at most so far apart
_SETTLE_TO_WORK = 4                              # before that, a table is four times its own cost away from the next
_RETRY_S = 5.0
_FREE_AFTER_S = 1.0
_WITHDRAW_EVERY_S = 1.0


async def control_main(settings: Settings, wire: Wire, arena_fd: int, _stripe: int) -> None:
    """Run control until the supervisor says stop or retire, or is gone. Raises InvalidSettings if a plugin cannot live with its
    settings, or if there is no default certificate to be had where they say."""
    arena = Arena(arena_fd)
    os.close(arena_fd)
    plugins = load_plugins()
    operator = OperatorCertificates(settings)
    try:
        await operator.load()
    except InvalidSettings as why:
        await _refuse(wire, why)
        raise
    with Watchdog(plugins.owner_of) as watchdog:
        try:
            sources, kinds = offers(plugins, settings)
        except InvalidSettings as why:
            await _refuse(wire, why)
            raise
        control = _Control(settings, wire, arena, sources, kinds, operator)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(watchdog.run)
            nursery.start_soon(control.run)
            await control.obey(nursery)
            nursery.cancel_scope.cancel()


async def _refuse(wire: Wire, why: InvalidSettings) -> None:
    """Let the supervisor know, too, for whoever asked for a reload."""
    with contextlib.suppress(WireClosed):
        await wire.send({"type": "refused", "problems": [str(problem) for problem in why.problems]})


def offers(plugins: Plugins, settings: Settings) -> tuple[list[OfferedSource], list[OfferedKind]]:
    """What the plugins offer with these settings; raises InvalidSettings with the file and key that one of them refuses."""
    given = settings.plugin_settings()
    try:
        return plugins.sources(given), plugins.kinds(given)
    except SettingsError as why:
        raise InvalidSettings((settings.problem(f"sources.{why.key}", why.message),)) from None


class _Gate:
    """Open at first."""

    def __init__(self) -> None:
        self._open = trio.Event()
        self._open.set()

    @property
    def is_open(self) -> bool:
        return self._open.is_set()

    def shut(self) -> None:
        if self.is_open:
            self._open = trio.Event()

    def open(self) -> None:
        self._open.set()

    def turn(self, *, shut: bool) -> None:
        if shut:
            self.shut()
        else:
            self.open()

    async def passed(self) -> None:
        """Wait until it is open; always a checkpoint."""
        await self._open.wait()


def _revocations(listeners: Iterable[Listener]) -> "Revocations | None":
    """None where no client is asked for a certificate: what reads the lists takes memory."""
    if all(listener.client_auth == "none" for listener in listeners):
        return None
    from edged.tls.revocations import Revocations

    return Revocations(listeners)


class _Control:
    def __init__(
        self, settings: Settings, wire: Wire, arena: Arena, sources: list[OfferedSource], kinds: list[OfferedKind],
        operator: OperatorCertificates,
    ) -> None:
        self._wire = wire
        self._arena = arena
        self._inbox = Inbox()
        self._runners = {one.source.name: SourceRunner(one, self._inbox) for one in sources}
        router = settings.plugin_settings()["router"]
        intake = Intake(
            {name: runner.filter_addresses for name, runner in self._runners.items()},
            endpoints_only=bool(router.get("watch_endpoints", False)),
        )
        version, self._recalled = read_recall(settings.run.state_dir)
        self._admission = Admission(
            intake, kinds, settings.listeners, ownership=not router["disable_namespace_ownership_check"],
            version=max(version, self._version_in_force()),
        )
        self._compiler = Compiler(self._admission, arena, settings.defaults)
        self._certificates = Certificates(terminates=any(listener.tls for listener in settings.listeners))
        self._operator = operator
        self._revocations = _revocations(settings.listeners)
        self._expiry = Expiry(lambda: self._certificates.picture, time.time)
        self._unknown = 0                        # routes whose certificate nobody has told yet
        self._stale = trio.Event()               # set when there may be something to withdraw
        self._freeable = trio.Event()
        self._may_publish = _Gate()         # not while a later generation's control makes its first table
        self._may_keep = _Gate()            # not while the control of an earlier generation keeps its state
        self._may_free = _Gate()            # not while workers of another generation use tables that name slots
        self._retired = False
        self._publisher = Publisher(settings.worker.count, self._taken)
        self._recall = Recall(settings.run.state_dir, lambda: self._admission.state, intake.sources_by_place)
        self._unserved: set[str] = set()         # names of tcp listeners without a route
        self._told = 0                           # how many routes, to the supervisor

    def _version_in_force(self) -> int:
        """The newest table that any worker has, or had before it died."""
        stripes = range(self._arena.read_stripes_in_use())
        return max((int(self._arena.read_tally(stripe)["table_version"]) for stripe in stripes), default=0)

    def _taken(self) -> None:
        self._freeable.set()
        self._stale.set()

    # the supervisor

    async def obey(self, nursery: trio.Nursery) -> None:
        """Do what the supervisor says until it says stop."""
        while True:
            try:
                message, fds = await self._wire.receive()
            except WireClosed:
                log.warning("the supervisor is gone")
                return
            match message:
                case {"type": "worker", "index": int(index)} if len(fds) == 1:
                    nursery.start_soon(self._publisher.serve, index, Wire.from_fd(fds.pop()))
                case {"type": "ping"}:
                    await self._wire.send({"type": "pong"})
                case {"type": "log_level", "level": str(level)}:
                    choose_level(level)
                case {"type": "pause"}:
                    self._may_publish.shut()
                    await self._wire.send({"type": "paused"})
                case {"type": "resume"}:
                    self._arena.look_again()     # the other one may have claimed slots
                    self._may_publish.open()
                case {"type": "others", "control": bool(control), "workers": bool(workers)}:
                    self._may_keep.turn(shut=control)
                    self._may_free.turn(shut=workers)
                case {"type": "retire"}:
                    self._retired = True         # what is kept on disk is the business of the one that follows
                    return
                case {"type": "stop"}:
                    return
                case _:
                    log.warning("the supervisor sent an unknown message %r", message["type"])
            for fd in fds:
                os.close(fd)

    # the truth

    async def run(self) -> None:
        """Make tables of what the sources give, for ever."""
        try:
            async with trio.open_nursery() as nursery:
                for runner in self._runners.values():
                    nursery.start_soon(runner.run)
                self._take_operators()
                nursery.start_soon(self._operator.follow, self._take_operators)
                if self._revocations is not None:
                    self._revocations.load()
                    self._take_revocations(self._revocations)
                    nursery.start_soon(self._revocations.follow, partial(self._take_revocations, self._revocations))
                await self._first_table()
                nursery.start_soon(self._keep)
                nursery.start_soon(self._free_slots)
                nursery.start_soon(self._withdraw)
                nursery.start_soon(self._expiry.run)
                await self._follow()
        finally:
            with trio.move_on_after(1, shield=True):
                if self._publisher.version and not self._retired and self._may_keep.is_open:
                    await self._recall.write()
            self._publisher.close()

    async def _first_table(self) -> None:
        """Wait for every source, or for what it gave in an earlier life, or until waiting no longer helps; then publish."""
        started_s = trio.current_time()
        serving = self._version_in_force() > 0
        while True:
            self._take()
            waiting = self._still_waiting(trio.current_time() - started_s)
            if not waiting:
                await self._admission.prepare()
                self._renew()
                await self._may_publish.passed()
                silent = [name for name in self._admission.intake.silent() if not self._runners[name].ended]
                if self._publish(keep=serving and bool(silent)):
                    break
                log.warning("the workers keep the table they have until source %s has spoken", " or ".join(silent))
            with trio.move_on_after(min(waiting.values(), default=_WAIT_MOST_S)):
                await self._inbox.wait()
        gc.collect()
        gc.freeze()                              # what is here stays: no later collection has to look at it, and hold up a change
        self._told = len(self._admission.state.routes)
        await self._wire.send({"type": "ready", "routes": self._told})

    def _still_waiting(self, passed_s: float) -> dict[str, float]:
        """The silent sources that may still speak in time, and how long each is waited for; what others gave before is recalled."""
        waiting = {}
        for name in self._admission.intake.silent():
            runner, before = self._runners[name], self._recalled.get(name)
            if runner.ended:
                continue
            left_s = (_RECALL_AFTER_S if before or runner.stale else _WAIT_MOST_S) - passed_s
            if left_s > 0:
                waiting[name] = left_s
            elif before:
                log.warning("source %s is silent: the %d routes that it gave before are in force", name, len(before))
                self._admission.intake.recall(name, self._recalled.pop(name))
        return waiting

    async def _follow(self) -> None:
        """A lone change goes at once; the faster they come, the more of them share a table."""
        self._recalled.clear()
        while True:
            behind = self._publisher.version != self._admission.state.version
            with trio.move_on_after(_RETRY_S if behind else float("inf")):
                await self._inbox.wait()
            started_s = time.thread_time()       # its own work: a busy machine must not slow it down even more
            self._take()
            await self._admission.prepare()
            await self._may_publish.passed()
            if self._renew() or behind:
                self._publish()
                await self._tell_count()
            await trio.sleep(min(_SETTLE_MOST_S, _SETTLE_TO_WORK * (time.thread_time() - started_s)))

    async def _tell_count(self) -> None:
        """How many routes there are, for readiness."""
        if (count := len(self._admission.state.routes)) != self._told:
            self._told = count
            await self._wire.send({"type": "routes", "count": count})

    def _take(self) -> None:
        """What lies in the inbox goes to the intake."""
        for name, snapshot in self._inbox.take().items():
            try:
                with fence(self._runners[name].plugin):
                    self._admission.intake.put(name, snapshot)
            except PluginFailed as why:
                log.error("source %s: %s; its last routes stay in force", name, why, exc_info=why.__cause__)

    def _renew(self) -> bool:
        """Make the next state; answers whether it has to be published."""
        changed = self._admission.update()
        if changed or not self._publisher.version:
            unserved = self._admission.unserved_listeners()
            for listener in unserved:
                if listener.name not in self._unserved:
                    log.warning("listener %s: there is no route %s; its connections are closed", listener.name, listener.route)
            self._unserved = {listener.name for listener in unserved}
        return changed

    def _publish(self, *, keep: bool = False) -> bool:
        """Publish the present state; answers whether that was possible. `keep`: not if it is empty."""
        if keep and not self._admission.state.routes:
            return False
        started_s = time.perf_counter()
        table = self._compiler.table()
        if table is None:
            return False
        if self._certificates.follow(self._admission.state, trio.current_time()):
            self._tell_unknown()
            self._expiry.touch()
        self._publisher.publish(table, self._certificates.picture)
        self._stale.set()
        self._recall.touch()
        took_ms = (time.perf_counter() - started_s) * 1000
        log.debug("table %d: %d routes, made in %.1f ms", table.version, len(self._admission.state.routes), took_ms)
        return True

    def _take_operators(self) -> None:
        """The operator's certificates are others now."""
        operator = self._operator
        self._admission.believe(operator.destination)
        self._inbox.nudge()
        if self._certificates.use_operators(operator.default, operator.names, trio.current_time()):
            self._publisher.show(self._certificates.picture)
            self._expiry.touch()
        self._stale.set()

    def _take_revocations(self, revocations: "Revocations") -> None:
        """Other certificates of clients are revoked now."""
        if self._certificates.use_crls(revocations.known):
            self._publisher.show(self._certificates.picture)

    def _tell_unknown(self) -> None:
        unknown = self._certificates.unknown
        if unknown > self._unknown:
            log.warning("%d certificates have still to be told by their sources: workers without them show the default one", unknown)
        self._unknown = unknown

    async def _keep(self) -> None:
        await self._may_keep.passed()
        await self._recall.run()

    async def _withdraw(self) -> None:
        """Withdraw the certificates and trusts that no table needs."""
        while True:
            with trio.move_on_after(_WITHDRAW_EVERY_S if self._certificates.has_stale else float("inf")):
                await self._stale.wait()
            self._stale = trio.Event()
            if self._certificates.release(self._publisher.in_force(), trio.current_time()):
                self._publisher.show(self._certificates.picture)

    async def _free_slots(self) -> None:
        """Free the slots that no table in force names, some time after it was taken: many changes then share the work."""
        while True:
            await self._freeable.wait()
            await trio.sleep(_FREE_AFTER_S)
            while not (self._may_free.is_open and self._may_publish.is_open):
                await self._may_free.passed()
                await self._may_publish.passed()
            self._freeable = trio.Event()
            self._compiler.slots.release(self._publisher.in_force())
