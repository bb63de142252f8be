"""Out of service and into it again: `edged ctl drain` and `undrain`."""

import logging
from pathlib import Path
from typing import TYPE_CHECKING

import trio

from edged.durable import replace_file
from edged.settings.tables import RunTable
from edged.supervisor.ctl import Refused, Tell

if TYPE_CHECKING:
    from edged.supervisor.process import Supervisor

__all__ = ["Rest", "times"]

log = logging.getLogger("edged.supervisor")

MARKER = "out-of-service"                        # a file in [run] state_dir: a daemon that starts is drained
QUEUES_S = 1.0                                   # for workers to empty the queues of their sockets and close them


class Rest:
    """The workers rest, control stays: routes are as fresh as ever afterwards. A drain waits for the end of a reload that runs, and a
    reload for that of a drain, except for the pause before it; what is reloaded while it is drained stays so."""

    def __init__(self, supervisor: "Supervisor") -> None:
        self._supervisor = supervisor
        self._recalled = trio.Event()            # the rest is not wanted after all

    @property
    def is_kept(self) -> bool:
        """A daemon that starts now is out of service, by an order that was to outlast the one before."""
        return self._marker.exists()

    @property
    def _marker(self) -> Path:
        return Path(self._supervisor.present.settings.run.state_dir, MARKER)

    def begin(self) -> None:
        """Out of service from the start: the workers came up, as a trial, and nobody was let in."""
        supervisor = self._supervisor
        supervisor.standing = "drained"
        supervisor.sockets.refuse()
        supervisor.present.rest()
        log.warning("drained, as %s says: connections are refused until edged ctl undrain", self._marker)

    async def drain(self, tell: Tell, delay_ms: int | None, *, persist: bool) -> str:
        """Out of service until `undrain`, or the end; `persist`: also beyond that."""
        supervisor = self._supervisor
        if supervisor.standing not in ("drained", "serving"):
            raise Refused("state", f"it is {supervisor.standing}: only one that serves can be drained")
        if persist:
            self._keep()
        if supervisor.standing == "drained":
            return "it was drained already"
        supervisor.standing = "draining"
        recalled = self._recalled = trio.Event()
        delay_s = (supervisor.present.settings.run.drain_delay_ms if delay_ms is None else delay_ms) / 1000
        if delay_s:
            _say(tell, f"serving for another {delay_s:g} s, then draining")
            with trio.move_on_after(delay_s):
                await recalled.wait()
        if supervisor.reloads.coming is not None:
            tell("draining as soon as the reload has ended")
        async with supervisor.turn:
            if not recalled.is_set() and supervisor.standing == "draining":
                await self._rest(tell, recalled)
        if supervisor.standing != "drained":
            raise Refused("state", f"it was not drained: it is {supervisor.standing} by another order")
        log.info("drained")
        return "drained: connections are refused until edged ctl undrain"

    async def _rest(self, tell: Tell, recalled: trio.Event) -> None:
        supervisor = self._supervisor
        present, older = supervisor.present, supervisor.reloads.draining.copy()
        run = present.settings.run
        deadline_s = trio.current_time() + run.drain_most_ms / 1000
        _say(tell, f"draining: {times(run)}")
        supervisor.sockets.turn_away()
        workers = present.rest()
        if not await present.wait_rested(workers, QUEUES_S):
            here = sum(child in present.children.values() for child in workers)
            tell(f"{here} of {len(workers)} workers have exchanges to end")
        if not recalled.is_set():
            supervisor.sockets.refuse()
        if not await present.wait_rested(workers, max(deadline_s - trio.current_time(), 0)):
            _say(tell, "what is still open is cut")
            await present.cut(workers)
        for generation in older:
            with trio.move_on_at(deadline_s):
                await generation.left.wait()
            await generation.stop()
        if not recalled.is_set() and supervisor.standing == "draining":
            supervisor.standing = "drained"

    def _keep(self) -> None:
        try:
            replace_file(self._marker, b"edged ctl undrain removes this\n", 0o644)
        except OSError as why:
            raise Refused("state", f"it serves on: {self._marker} cannot be written: {why.strerror}") from None

    async def undrain(self, tell: Tell) -> str:
        """Into service again; who still ends exchanges is started again after that."""
        supervisor = self._supervisor
        try:
            if self.is_kept:
                self._marker.unlink(missing_ok=True)
        except OSError as why:
            raise Refused("state", f"the next daemon would be drained: {self._marker} cannot be removed: {why.strerror}") from None
        if supervisor.standing == "serving" and supervisor.present.all_serve.is_set():
            return "it serves already"
        if supervisor.standing == "drained":     # a drain that is on its way is called off at once
            if supervisor.reloads.coming is not None:
                tell("it serves as soon as the reload has ended")
            async with supervisor.turn:
                self._open(tell)
        else:
            self._open(tell)
        await supervisor.present.all_serve.wait()
        if supervisor.standing != "serving":
            raise Refused("state", f"it is {supervisor.standing} by another order")
        return "it serves"

    def _open(self, tell: Tell) -> None:
        supervisor = self._supervisor
        if supervisor.standing == "serving":
            return
        if supervisor.standing not in ("draining", "drained"):
            raise Refused("state", f"it is {supervisor.standing}")
        if supervisor.present.resting:
            try:
                supervisor.sockets.welcome()
                supervisor.keep_sockets()
            except OSError as why:
                raise Refused("state", f"it stays out of service: a listener cannot be opened again: {why.strerror}") from None
            if left := supervisor.present.wake():
                tell(f"{left} workers are started again when their exchanges have ended")
        self._recalled.set()
        supervisor.standing = "serving"
        log.info("in service again")


def times(run: RunTable) -> str:
    """What is open has so long in a drain."""
    tunnels = f", tunnels {run.drain_tunnels_ms / 1000:g} s" if run.drain_tunnels_ms != run.drain_timeout_ms else ""
    return f"exchanges have {run.drain_timeout_ms / 1000:g} s to end{tunnels}"


def _say(tell: Tell, line: str) -> None:
    log.info("%s", line)
    tell(line)
