"""A reload: settings read anew, a new generation over the same sockets, and the old one drained. What fails changes nothing."""

import logging
import time
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import trio

from edged.errors import StartError
from edged.settings import Settings
from edged.supervisor.anew import read_anew
from edged.supervisor.generation import Generation
from edged.supervisor.identity import child_identity, make_directories, raise_descriptor_limit
from edged.supervisor.secrets import fitting_tickets
from edged.supervisor.sockets import Sockets

if TYPE_CHECKING:
    from edged.supervisor.process import Supervisor

__all__ = ["Outcome", "Reloads"]

log = logging.getLogger("edged.supervisor")

STRIPES_MOST = 64                                # of the arena: one for each worker that runs, of whatever generation
START_MOST_S = 60.0                              # for a new generation to serve
ENDING = "the daemon is ending"


@dataclass(frozen=True, slots=True)
class Outcome:
    """Of one reload."""

    ok: bool
    problems: tuple[str, ...]                    # file:line: key: message, or why else it failed
    generation: int                              # the one that serves now
    finished: int = 0                            # exchanges that the old generation had, and has ended well
    cut: int = 0                                 # and those that it had to cut
    took_ms: float = 0.0                         # until the new generation served, or the reload was given up


class _Asked:
    """A reload that waits for its turn, and for whom it is all one."""

    def __init__(self) -> None:
        self.done = trio.Event()
        self.outcome: Outcome


class _Failed(Exception):
    """All stays as it is."""

    def __init__(self, *problems: str) -> None:
        super().__init__("\n".join(problems))
        self.problems = problems


class Reloads:
    """All reloads of a supervisor, one after another, and the generations that they have left behind."""

    def __init__(self, supervisor: "Supervisor", nursery: trio.Nursery) -> None:
        self.last: dict[str, Any] | None = None  # what the last one came to
        self._supervisor = supervisor
        self._nursery = nursery
        self._turn = trio.Lock()
        self._next: _Asked | None = None
        self._scope = trio.CancelScope()         # around the one whose turn it is
        self._coming: Generation | None = None
        self._draining: list[Generation] = []    # the oldest first
        self._number = 1                         # of the last generation that was tried

    def generations(self) -> list[Generation]:
        """All that have processes, the oldest first."""
        coming = [self._coming] if self._coming else []
        return [*self._draining, self._supervisor.present, *coming]

    def give_up(self) -> None:
        """End the one that runs, and those that wait."""
        self._scope.cancel()

    async def wait_given_up(self) -> None:
        """Wait until none runs any more."""
        async with self._turn:
            pass

    async def ask(self) -> Outcome:
        asked = self._next
        if asked is None:
            asked = self._next = _Asked()
            self._nursery.start_soon(self._in_turn, asked)
        await asked.done.wait()
        return asked.outcome

    async def _in_turn(self, asked: _Asked) -> None:
        old: Generation | None = None
        async with self._turn:
            began_s = time.monotonic()
            before = self._supervisor.present
            problems: tuple[str, ...] = (ENDING,)
            with trio.CancelScope() as self._scope:
                if not self._supervisor.ending:
                    await self._supervisor.ready.wait()
                    self._next = None            # settings are read from here on: whoever asks now wants another
                    problems = await self._try()
            self._next = None if self._next is asked else self._next
            present = self._supervisor.present
            old = before if present is not before else None
            took_ms = round((time.monotonic() - began_s) * 1000, 1)
            outcome = Outcome(old is not None, () if old else problems, present.number, took_ms=took_ms)
            self._tell(outcome)
        if old is not None:
            await old.left.wait()
            outcome = Outcome(True, (), outcome.generation, max(old.unfinished - old.cut, 0), old.cut, outcome.took_ms)
            self.last = asdict(outcome)
        asked.outcome = outcome
        asked.done.set()

    def _tell(self, outcome: Outcome) -> None:
        self.last = asdict(outcome)
        if outcome.ok:
            log.info("reloaded in %d ms: generation %d serves", outcome.took_ms, outcome.generation)
            return
        for problem in outcome.problems:
            log.error("%s", problem)
        log.error("nothing is reloaded: generation %d goes on as it is", outcome.generation)

    async def _try(self) -> tuple[str, ...]:
        """Reload; answers why not. When it is cancelled, all is as it was."""
        try:
            settings = await read_anew(self._supervisor.present.settings.path)
            if not isinstance(settings, Settings):
                return settings
            for note in settings.notes:
                log.warning("%s", note)
            await self._renew(settings)
        except _Failed as why:
            return why.problems
        return ()

    async def _renew(self, settings: Settings) -> None:
        supervisor, old = self._supervisor, self._supervisor.present
        stripes = await self._stripes(settings.worker.count)
        try:
            identity = child_identity(settings)
            raise_descriptor_limit(settings)
            make_directories(settings, identity)
            sockets = Sockets(settings.listeners, settings.worker.count, identity.group_id if identity else -1, supervisor.sockets)
        except StartError as why:
            raise _Failed(*str(why).splitlines()) from None
        tickets = fitting_tickets(settings, supervisor.tickets)
        self._number += 1
        new = Generation(self._number, settings, identity, sockets, stripes, supervisor.arena_fd, tickets)
        new.beside(control=True, workers=True)
        served = False
        try:
            if not await old.pause_control():
                raise _Failed("control is busy and does not pause")
            self._coming = new
            self._nursery.start_soon(new.run)
            await self._wait_settled(new)
            served = True
        finally:
            if not served:
                with trio.CancelScope(shield=True):
                    await self._undo(new, sockets)
        self._coming = None
        supervisor.tickets = tickets
        self._switch(old, new)

    async def _wait_settled(self, new: Generation) -> None:
        with trio.move_on_after(START_MOST_S):
            await new.settled.wait()
        if new.failure:
            raise _Failed(*(new.problems or (new.failure,)))
        if not new.settled.is_set():
            raise _Failed(f"the new generation waits for {new.awaited}, {START_MOST_S:g} s by now")

    async def _undo(self, new: Generation, sockets: Sockets) -> None:
        if self._coming is new:
            await new.stop()
        self._coming = None
        sockets.close_but(self._supervisor.sockets)
        self._supervisor.present.resume_control()

    def _switch(self, old: Generation, new: Generation) -> None:
        """All at once: nothing is awaited, so no slot is without somebody who accepts, or will within a moment."""
        supervisor = self._supervisor
        sockets, before = new.sockets, supervisor.sockets
        sockets.listen()
        sockets.tell_news(before)
        new.open_doors()
        new.serve()
        old.give_up_doors(sockets)
        supervisor.sockets, supervisor.present = sockets, new
        before.leave_to(sockets)
        self._draining.append(old)
        old.drain()
        old.tell_control({"type": "retire"})
        self._nursery.start_soon(self._see_off, old, new.settings.run.drain_timeout_ms / 1000)
        for oldest in self._draining[: -new.settings.run.generations_most]:
            log.warning("generation %d is ended: more than %d would drain", oldest.number, new.settings.run.generations_most)
            self._nursery.start_soon(oldest.stop)

    async def _see_off(self, old: Generation, timeout_s: float) -> None:
        """Wait until an old generation has left, or cut what it has."""
        self._nursery.start_soon(self._tell_alone, old)
        with trio.move_on_after(timeout_s):
            await old.left.wait()
        await old.stop()
        self._draining.remove(old)
        self._tell_others()
        if old.cut:
            log.warning("generation %d has left: %d exchanges were finished, %d were cut", old.number, old.unfinished - old.cut, old.cut)
        else:
            log.info("generation %d has left: %d exchanges were finished", old.number, old.unfinished)

    async def _tell_alone(self, old: Generation) -> None:
        await old.control_left()
        self._tell_others()

    def _tell_others(self) -> None:
        """Tell the present control what there still is of earlier generations."""
        control = any(not one.control_is_gone for one in self._draining)
        self._supervisor.present.beside(control=control, workers=bool(self._draining))

    # stripes

    async def _stripes(self, count: int) -> list[int]:
        """Stripes of the arena that nobody writes. Where there are too few, the oldest that drain are ended for theirs."""
        while len(free := self._free_stripes()) < count:
            if not self._draining:
                raise _Failed(
                    f"worker.count: {count} workers cannot start beside the {len(self._supervisor.present.stripes)} that serve: "
                    f"at most {STRIPES_MOST} may run at once"
                )
            oldest = self._draining[0]
            log.warning("generation %d is ended: the new one needs its place in the arena", oldest.number)
            await oldest.stop()
            while oldest in self._draining:      # its numbers are noted at once
                await trio.lowlevel.checkpoint()
        return free[:count]

    def _free_stripes(self) -> list[int]:
        taken = {stripe for one in self.generations() for stripe in one.stripes}
        return [stripe for stripe in range(STRIPES_MOST) if stripe not in taken]
