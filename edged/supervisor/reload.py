"""A reload: settings read anew, a new generation over the same sockets, and the old one drained. What fails changes nothing."""

import contextlib
import logging
import os
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import TYPE_CHECKING, Any

import trio

from edged.errors import StartError
from edged.settings import Settings
from edged.supervisor.anew import read_anew
from edged.supervisor.ctl import Outcome, Tell
from edged.supervisor.generation import Generation
from edged.supervisor.identity import child_identity, make_directories, raise_descriptor_limit
from edged.supervisor.notify import reloading
from edged.supervisor.secrets import fitting_tickets
from edged.supervisor.sockets import Sockets

if TYPE_CHECKING:
    from edged.supervisor.process import Supervisor

__all__ = ["Asked", "Reloads", "see_end"]

log = logging.getLogger("edged.supervisor")

STRIPES_MOST = 64                                # of the arena: one for each worker that runs, of whatever generation
START_MOST_S = 60.0                              # for a new generation to serve
NEWS_S = 0.5                                     # between two looks at how a generation gets on
AT_LEAST_S = 1.0                                 # a reload waits for the exchanges of the old generation, though nobody asked it to
STOPPING = "nothing was read again: the daemon is stopping"


@dataclass(eq=False)
class Asked:
    """A reload that waits for its turn, or runs, and all who wait for it."""

    tells: list[Tell] = field(default_factory=list)
    said: list[str] = field(default_factory=list)
    settled: trio.Event = field(default_factory=trio.Event)      # `outcome` is there
    outcome: Outcome = field(default_factory=lambda: Outcome(False))
    old: Generation | None = None                # the one that was replaced, if it succeeded
    prefix: str = ""                             # of the message

    def join(self, tell: Tell) -> None:
        """Have what is said, and what has been, told to one more."""
        self.tells.append(tell)
        for line in self.said:
            tell(line)

    def say(self, line: str) -> None:
        self.said.append(line)
        for tell in self.tells:
            tell(line)

    def settle(self, outcome: Outcome, prefix: str = "") -> None:
        self.outcome, self.prefix = outcome, prefix
        self.settled.set()

    def by_now(self) -> Outcome:
        """The outcome, and what has become of the exchanges of the old generation."""
        if self.old is None:
            return replace(self.outcome, message=self.prefix + self.outcome.message)
        ends, outcome = self.old.ends, self.outcome
        message = f"generation {outcome.generation} serves after {outcome.took_ms:.0f} ms; of generation {self.old.number}: {ends}"
        return replace(
            outcome, finished=ends.finished, handed_over=ends.handed_over, cut=ends.cut, left=ends.left, message=self.prefix + message
        )


class _Failed(Exception):
    """All stays as it is."""

    def __init__(self, *problems: str) -> None:
        super().__init__("\n".join(problems))
        self.problems = problems


class Reloads:
    """All reloads of a supervisor, one after another, and the generations that they have left behind."""

    def __init__(self, supervisor: "Supervisor", nursery: trio.Nursery) -> None:
        self.coming: Generation | None = None    # it does not serve yet
        self.draining: list[Generation] = []     # the oldest first
        self._supervisor = supervisor
        self._nursery = nursery
        self._next: Asked | None = None         # its settings are not read yet
        self._last: tuple[Asked, float] | None = None           # and when it was settled
        self._scope = trio.CancelScope()         # around the one whose turn it is
        self._number = 1                         # of the last generation that was tried

    def leave_behind(self) -> dict[str, Any]:
        """What `take_over` goes on from, once all is cancelled and none was coming up."""
        return {"number": self._number, "draining": [one.leave_behind() | {"arena": one.arena_fd} for one in self.draining]}

    def take_over(self, number: int, draining: Sequence[Generation]) -> None:
        self._number = number
        self.draining.extend(draining)
        for generation in draining:
            self._nursery.start_soon(generation.run)
            self._nursery.start_soon(self._see_off, generation)

    def generations(self) -> list[Generation]:
        """All that have processes, the oldest first."""
        coming = [self.coming] if self.coming else []
        return [*self.draining, self._supervisor.present, *coming]

    @property
    def last(self) -> dict[str, Any] | None:
        """What the last one came to, by now."""
        if self._last is None:
            return None
        asked, at_s = self._last
        return {**asdict(asked.by_now()), "ago_s": round(time.monotonic() - at_s, 3)}

    def give_up(self) -> None:
        """End the one that runs, and those that wait."""
        self._scope.cancel()

    async def ask(self, tell: Tell, *, wait: bool) -> Outcome:
        """Reload; returns when the new generation serves and the exchanges of the old one have ended, or most of them: unless `wait`,
        it does so soon. One that is asked for while another comes up waits for it; all that are asked for meanwhile are one."""
        asked = await self.settle(tell)
        await see_end(asked, tell, wait=wait)
        return asked.by_now()

    async def settle(self, tell: Tell) -> Asked:
        """Reload; returns as soon as the outcome is known."""
        asked = self._next
        if asked is None:
            asked = self._next = Asked()
            self._nursery.start_soon(self._in_turn, asked)
        asked.join(tell)
        await asked.settled.wait()
        return asked

    async def _in_turn(self, asked: Asked) -> None:
        supervisor = self._supervisor
        if supervisor.turn.locked():
            asked.say("waiting for the order before this one")
        async with supervisor.turn:
            began_s = time.monotonic()
            before = supervisor.present
            problems: tuple[str, ...] = ()
            with trio.CancelScope() as self._scope:
                if supervisor.standing != "stopping":
                    problems = await self._try(asked)
            self._next = None if self._next is asked else self._next
            present, took_ms = supervisor.present, round((time.monotonic() - began_s) * 1000, 1)
            if present is not before:
                asked.old = before
                outcome = Outcome(True, generation=present.number, took_ms=took_ms)
                log.info("reloaded in %d ms: generation %d serves", took_ms, present.number)
            else:
                unchanged = f"nothing has changed: generation {present.number} goes on as it is"
                said = STOPPING if supervisor.standing == "stopping" else unchanged
                outcome = Outcome(False, problems, generation=present.number, took_ms=took_ms, message=said)
                for problem in problems:
                    log.error("%s", problem)
                log.error("reload: %s", said)
            self._last = asked, time.monotonic()
            asked.settle(outcome)

    async def _try(self, asked: Asked) -> tuple[str, ...]:
        """Reload; answers why not. When it is cancelled, all is as it was."""
        ready = self._supervisor.ready
        try:
            if not ready.is_set():
                asked.say("the daemon is starting: this comes after it")
                await ready.wait()
            self._next = None                    # settings are read from here on: whoever asks now wants another
            reloading()
            asked.say("reading settings")
            settings = await read_anew(self._supervisor.present.settings.path)
            if not isinstance(settings, Settings):
                return settings
            for note in settings.notes:
                log.warning("%s", note)
            await self._renew(settings, asked)
        except _Failed as why:
            return why.problems
        finally:
            if ready.is_set():
                self._supervisor.tell_ready()
        return ()

    async def _renew(self, settings: Settings, asked: Asked) -> None:
        supervisor, old = self._supervisor, self._supervisor.present
        for key in ("runtime_dir", "pid_file"):
            if (before := getattr(old.settings.run, key)) != getattr(settings.run, key):
                raise _Failed(str(settings.problem(f"run.{key}", f"{before or 'none'} is in use until a restart")))
        settings = supervisor.numbers.number(settings)
        stripes = await self._stripes(settings.worker.count)
        with contextlib.ExitStack() as undo:
            try:
                identity = child_identity(settings)
                raise_descriptor_limit(settings)
                make_directories(settings, identity)
                health = supervisor.health.prepare(settings, identity)
                undo.callback(health.close)
                sockets = Sockets(settings.listeners, settings.worker.count, identity.group_id if identity else -1, supervisor.sockets)
            except StartError as why:
                raise _Failed(*str(why).splitlines()) from None
            undo.pop_all()
        tickets = fitting_tickets(settings, supervisor.tickets)
        self._number += 1
        new = Generation(self._number, settings, identity, sockets, stripes, supervisor.arena_fd, tickets, supervisor.level)
        new.beside(control=True, workers=True)
        served = False
        try:
            if not await old.pause_control():
                raise _Failed("control is busy and does not pause")
            self.coming = new
            self._nursery.start_soon(new.run)
            await self._wait_settled(new, asked)
            served = True
        finally:
            if not served:
                health.close()
                with trio.CancelScope(shield=True):
                    await self._undo(new, sockets)
        self.coming = None
        self._switch(old, new)
        supervisor.health.put(health)
        asked.say(f"generation {new.number} serves" if supervisor.sockets.open else f"generation {new.number} is there, drained as before")

    async def _wait_settled(self, new: Generation, asked: Asked) -> None:
        awaited = ""
        with trio.move_on_after(START_MOST_S):
            while not new.settled.is_set():
                if awaited != new.awaited:
                    awaited = new.awaited
                    asked.say(f"generation {new.number} comes up: waiting for {awaited}")
                with trio.move_on_after(NEWS_S):
                    await new.settled.wait()
        if new.failure:
            raise _Failed(*(new.problems or (new.failure,)))
        if not new.settled.is_set():
            raise _Failed(f"the new generation waits for {new.awaited}, {START_MOST_S:g} s by now")

    async def _undo(self, new: Generation, sockets: Sockets) -> None:
        if self.coming is new:
            await new.stop()
        self.coming = None
        sockets.close_but(self._supervisor.sockets)
        self._supervisor.present.resume_control()

    def _switch(self, old: Generation, new: Generation) -> None:
        """The new generation becomes the present one. All at once: nothing is awaited, so no slot is without somebody who accepts, or
        will within a moment. The children of both are there, by slot, before any of the old ones has been told to drain."""
        supervisor = self._supervisor
        sockets, before = new.sockets, supervisor.sockets
        if supervisor.standing == "drained":
            new.rest()                           # its workers came up, as a trial
        else:
            sockets.listen()
            new.open_doors()
        sockets.tell_news(before)
        new.serve()
        old.give_up_doors(sockets)
        supervisor.take_over(new)
        before.leave_to(sockets)
        self.draining.append(old)
        if not new.resting:
            for elder in self.draining:          # an older one may have some that became tunnels only now
                elder.hand_tunnels(new)
        old.drain(new.settings.run)
        old.tell_control({"type": "retire"})
        self._nursery.start_soon(self._see_off, old)
        for oldest in self.draining[: -new.settings.run.generations_most]:
            log.warning("generation %d is ended: more than %d would drain", oldest.number, new.settings.run.generations_most)
            self._nursery.start_soon(oldest.stop)

    async def _see_off(self, old: Generation) -> None:
        """Wait until an old generation has left, or cut what it has."""
        self._nursery.start_soon(self._tell_alone, old)
        with trio.move_on_at(old.deadline_s):
            await old.left.wait()
        await old.stop()
        self.draining.remove(old)
        if old.arena_fd not in {self._supervisor.arena_fd, *(one.arena_fd for one in self.generations())}:
            os.close(old.arena_fd)
        self._tell_others()
        log.log(logging.WARNING if old.ends.cut else logging.INFO, "generation %d has left: %s", old.number, old.ends)

    async def _tell_alone(self, old: Generation) -> None:
        await old.control_left()
        self._tell_others()

    def _tell_others(self) -> None:
        """Tell the present control what there still is of earlier generations."""
        control = any(not one.control_is_gone for one in self.draining)
        self._supervisor.present.beside(control=control, workers=bool(self.draining))

    # stripes

    async def _stripes(self, count: int) -> list[int]:
        """Stripes of the arena that nobody writes. Where there are too few, the oldest that drain are ended for theirs."""
        while len(free := self._free_stripes()) < count:
            if not self.draining:
                raise _Failed(
                    f"worker.count: {count} workers cannot start beside the {len(self._supervisor.present.stripes)} that serve: "
                    f"at most {STRIPES_MOST} may run at once"
                )
            oldest = self.draining[0]
            log.warning("generation %d is ended: the new one needs its place in the arena", oldest.number)
            await oldest.stop()
            while oldest in self.draining:       # its end is noted at once
                await trio.lowlevel.checkpoint()
        return free[:count]

    def _free_stripes(self) -> list[int]:
        taken = {stripe for one in self.generations() for stripe in one.stripes}
        return [stripe for stripe in range(STRIPES_MOST) if stripe not in taken]


async def see_end(asked: Asked, tell: Tell, *, wait: bool) -> None:
    """Wait until the generation that was replaced has left, and say how it gets on; unless `wait`, only for a moment."""
    old, told = asked.old, ""
    with trio.move_on_after(float("inf") if wait else AT_LEAST_S):
        while old is not None and not old.left.is_set():
            with trio.move_on_after(NEWS_S):
                await old.left.wait()
            left = old.ends.left
            news = f"generation {old.number} drains: {left} exchange{'' if left == 1 else 's'} left" if left else ""
            if news and news != told and not old.left.is_set():
                tell(news)
                told = news
