"""An upgrade: the program that is installed now is tried, takes over this process, and reloads. What fails before that changes nothing."""

import logging
import os
import struct
from typing import TYPE_CHECKING

import trio

from edged import __version__
from edged.supervisor.ctl import Outcome, Tell
from edged.supervisor.legacy import FORMATS
from edged.supervisor.notify import reloading
from edged.supervisor.program import Program, Trial, TrialFailed, trial
from edged.supervisor.reload import Asked, see_end

if TYPE_CHECKING:
    from edged.supervisor.process import Supervisor

__all__ = ["Upgrades", "arena_layout"]

log = logging.getLogger("edged.supervisor")

_ARENA_TAG = 0xED6A


class Upgrades:
    """All that are asked for until the new program serves are one."""

    def __init__(self, supervisor: "Supervisor", nursery: trio.Nursery) -> None:
        self._supervisor = supervisor
        self._nursery = nursery
        self._asked: Asked | None = None
        self._arrival = Asked()
        self._scope = trio.CancelScope()

    def give_up(self) -> None:
        """Unless the other program has taken over."""
        self._scope.cancel()

    async def ask(self, tell: Tell, *, wait: bool) -> Outcome:
        """Change over; returns only if that failed, or, in the program that took over, as a reload does."""
        asked = self._asked
        if asked is None:
            asked = self._asked = Asked()
            self._nursery.start_soon(self._in_turn, asked)
        return await _outcome(asked, tell, wait=wait)

    async def arrival(self, tell: Tell, *, wait: bool) -> Outcome:
        """As `ask`, for the upgrade by which this program has come here, also when it is over."""
        return await _outcome(self._arrival, tell, wait=wait)

    async def _in_turn(self, asked: Asked) -> None:
        supervisor = self._supervisor
        problems: tuple[str, ...] = ()
        with trio.CancelScope() as self._scope:
            if supervisor.turn.locked():
                asked.say("waiting for the order before this one")
            async with supervisor.turn:
                try:
                    await self._change_over(asked)
                except TrialFailed as why:
                    problems = why.problems
                    supervisor.tell_ready()
        stopping = supervisor.standing == "stopping"
        message = "the daemon is stopping" if stopping else f"nothing has changed: edged {__version__} goes on"
        for problem in problems:
            log.error("%s", problem)
        log.error("upgrade: %s", message)
        self._settle(asked, Outcome(False, problems, generation=supervisor.present.number, message=message))

    async def _change_over(self, asked: Asked) -> None:
        supervisor = self._supervisor
        await supervisor.ready.wait()
        if supervisor.standing not in ("serving", "drained"):
            raise TrialFailed(f"the daemon is {supervisor.standing}: only one that serves, or is drained, can be upgraded")
        reloading()
        asked.say("trying the program that is installed now")
        program = Program.of_this_process()
        found = await trial(program.words, supervisor.present.settings.path)
        fresh = _judge(found, arena_layout(supervisor.arena_fd))
        asked.say(f"edged {found.version} takes over from {__version__}")
        log.info("edged %s takes over from %s", found.version, __version__)
        supervisor.change_over(program, fresh_arena=fresh)
        await trio.sleep_forever()               # all is cancelled

    def arrive(self, before: str, why_not: str) -> None:
        """This program has taken over from version `before`; or has gone on, because another one could not."""
        asked = self._asked = self._arrival
        self._nursery.start_soon(self._settle_in, asked, before, why_not)

    async def _settle_in(self, asked: Asked, before: str, why_not: str) -> None:
        supervisor = self._supervisor
        if why_not:
            log.error("upgrade: %s", why_not)
            message = f"nothing has changed: edged {__version__} goes on"
            self._settle(asked, Outcome(False, (why_not,), generation=supervisor.present.number, message=message))
            supervisor.tell_ready()
            return
        log.info("edged %s has taken over from %s", __version__, before)
        reload = await supervisor.reloads.settle(asked.say)
        asked.old = reload.old
        done = f"edged {__version__} has taken over from {before}"
        self._settle(asked, reload.outcome, f"{done}; " if reload.outcome.ok else f"{done}, but its reload failed; ")

    def _settle(self, asked: Asked, outcome: Outcome, prefix: str = "") -> None:
        self._asked = None
        asked.settle(outcome, prefix)


async def _outcome(asked: Asked, tell: Tell, *, wait: bool) -> Outcome:
    asked.join(tell)
    await asked.settled.wait()
    await see_end(asked, tell, wait=wait)
    return asked.by_now()


def arena_layout(arena_fd: int) -> int:
    """The number of the layout of an arena; 0: it has none yet."""
    shape = os.pread(arena_fd, 8, 0)
    if len(shape) < 8:
        return 0
    number = int(struct.unpack("=Q", shape)[0])
    return number >> 40 & 0xFF if number >> 48 == _ARENA_TAG else 0


def _judge(found: Trial, layout: int) -> bool:
    """Whether it needs another arena; raises TrialFailed if it cannot take over."""
    if found.problems:
        raise TrialFailed(*found.problems)
    if FORMATS[-1] not in found.formats:
        known = ", ".join(map(str, found.formats))
        raise TrialFailed(f"edged {found.version} knows what format {known} leaves, not {FORMATS[-1]} of {__version__}: it needs a restart")
    if layout and found.arena_layout < layout:
        older = f"{found.arena_layout}, which is older than {layout}"
        raise TrialFailed(f"edged {found.version} needs arena layout {older}: it needs a restart")
    return bool(layout) and found.arena_layout > layout
