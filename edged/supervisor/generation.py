"""The processes of one age: control and the workers that were started with the same settings and code.

While a worker is away, connections wait in the queue of its slot's sockets, which stay open in this process; another worker is lent
those sockets ("listen") until the slot's own serves again ("unlisten").
(net.ipv4.tcp_migrate_req would do so only for sockets that were closed, and is an operator's to set.)
"""

import logging
import os
import socket
import subprocess
from collections.abc import Mapping, Sequence
from enum import StrEnum
from typing import Any

import trio

from edged.settings import Settings
from edged.settings.tables import RunTable
from edged.supervisor.children import Backoff, Child, Identity, how_it_ended
from edged.supervisor.ends import Ends, Told
from edged.supervisor.identity import identity_of
from edged.supervisor.sockets import Sockets
from edged.tls.tickets import Ratchet, now_ms
from edged.wire import DESCRIPTORS_MOST, wire_pair

__all__ = ["CONTROL", "STOP_S", "Generation", "Phase"]

log = logging.getLogger("edged.supervisor")

CONTROL = -1                                     # its place among the children; a worker's place is its slot
STOP_S = 2.0                                     # for children that were told to leave at once
PAUSE_S = 5.0                                    # for a control that is told to pause


class Phase(StrEnum):
    STARTING = "starting"
    SERVING = "serving"
    DRAINING = "draining"


class Generation:
    """Each child runs again whenever it ends, until the generation leaves. If one leaves before all serve, the generation fails.

    `children` has those that run, by place: a worker's is its slot, that of control is CONTROL."""

    def __init__(
        self, number: int, settings: Settings, identity: Identity | None, sockets: Sockets, stripes: Sequence[int], arena_fd: int,
        tickets: Ratchet | None, level: str = "",
    ) -> None:
        """`stripes`: which one of the arena the worker of each slot writes. `level`: of log lines, if an operator chose one."""
        self.number = number
        self.settings = settings
        self.sockets = sockets
        self.tickets = tickets
        self.slots = range(settings.worker.count)
        self.stripes = stripes
        self.arena_fd = arena_fd
        self.phase = Phase.STARTING
        self.since_s = trio.current_time()
        self.deadline_s = float("inf")           # what drains is cut then
        self.children: dict[int, Child] = {}
        self.routes = 0                          # as control told last
        self.problems: tuple[str, ...] = ()      # why control refused its settings
        self.failure = ""
        self.routes_known = trio.Event()         # or it has failed
        self.settled = trio.Event()              # it serves, or has failed
        self.all_serve = trio.Event()            # each worker has a table in force; anew after each rest
        self.left = trio.Event()                 # there is no process of it any more
        self._gone = {place: trio.Event() for place in (CONTROL, *self.slots)}       # nobody is there, nor will be
        self._identity = identity
        self._level = level
        self._open = False                       # its workers have the sockets of their slots
        self._serving: set[int] = set()          # slots whose worker has a table in force
        self._lent: dict[int, int] = {}          # slot -> the slot whose worker accepts for it
        self._leaving = trio.Event()             # from now on, nobody is started again
        self._awake = trio.Event()               # workers may run; not while the generation rests
        self._awake.set()
        self._resting: set[Child] = set()        # workers that leave because of that
        self._went = trio.Event()                # set, and made anew, whenever a child has ended
        self._told: dict[int, Told] = {}         # by the process that drains, or did
        self._paused: trio.Event | None = None   # set when control makes no table any more
        self._elders: list[Generation] = []      # who give their tunnels to its workers
        self._others = (False, False)            # whether there is a control, and are workers, of an earlier generation

    @property
    def leaving(self) -> bool:
        return self._leaving.is_set()

    @property
    def user_id(self) -> int | None:
        """Whom the children run as, if that is somebody else."""
        return self._identity.user_id if self._identity else None

    @property
    def resting(self) -> bool:
        return not self._awake.is_set()

    @property
    def ends(self) -> Ends:
        """Of the exchanges of all workers that were told to drain."""
        return Ends.of(self._told, {child.pid for child in self.children.values()})

    @property
    def awaited(self) -> str:
        """What a start waits for."""
        return "the workers" if self.routes_known.is_set() else "the first routes"

    @property
    def routes_are_known(self) -> bool:
        return self.routes_known.is_set() and not self.failure

    @property
    def accepts(self) -> bool:
        """Some worker takes new connections."""
        return self._open and bool(self._serving)

    @property
    def control_is_gone(self) -> bool:
        return self._gone[CONTROL].is_set()

    async def control_left(self) -> None:
        await self._gone[CONTROL].wait()

    async def workers_left(self) -> None:
        for slot in self.slots:
            await self._gone[slot].wait()

    async def run(self) -> None:
        """Keep all children until the last has left."""
        async with trio.open_nursery() as nursery:
            for place in (CONTROL, *self.slots):
                nursery.start_soon(self._keep, place)
        self.left.set()

    def _settle(self) -> None:
        if self.failure or (self.routes_known.is_set() and self.all_serve.is_set()):
            self.settled.set()

    def _fail(self, why: str) -> None:
        self.failure = self.failure or why
        self.routes_known.set()
        self._settle()

    # children

    async def _keep(self, place: int) -> None:
        backoff = Backoff()
        wing = "control" if place == CONTROL else "worker"
        while place in self.children or not self.leaving:
            if place != CONTROL and self.resting and place not in self.children:
                await self._awake.wait()
                continue
            try:
                child = self.children.get(place) or self._start(wing, place)
            except (OSError, subprocess.SubprocessError) as why:
                if self.phase is Phase.STARTING:
                    whose = f" as user {self.settings.run.user}" if self._identity else ""
                    self._fail(f"{wing} cannot be started{whose}: {why}")
                    break
                log.error("%s cannot be started, trying again: %s", wing, why)
                await self._pause(Backoff.FIRST_S)
                continue
            returncode = await child.attend(self._hear)
            del self.children[place]
            self._miss(place)
            self._went.set()
            self._went = trio.Event()
            rested = child in self._resting
            self._resting.discard(child)
            if self.leaving:
                break
            if rested:
                continue
            how = f"{child.name} (process {child.pid}) {how_it_ended(returncode)}"
            if self.phase is Phase.STARTING and returncode >= 0:
                self._fail(f"{how} before anything was served; its own lines say why")
                break
            pause_s = backoff.pause_s(trio.current_time() - child.started_s)
            log.error("%s; it is started again%s", how, f" in {pause_s:g} s" if pause_s else "")
            await self._pause(pause_s)
            if place == CONTROL:
                await self._wait_resumed()
        self._gone[place].set()

    def _start(self, wing: str, place: int) -> Child:
        child = self.children[place] = Child.start(wing, max(place, 0), self._identity)
        self._welcome(place, child)
        return child

    async def _pause(self, pause_s: float) -> None:
        with trio.move_on_after(pause_s):
            await self._leaving.wait()

    def _welcome(self, place: int, child: Child) -> None:
        """Give a new child what it needs: settings and arena, its ends of the wires, its sockets."""
        stripe = 0 if place == CONTROL else self.stripes[place]
        child.tell({"type": "settings", "settings": self.settings.to_wire(), "stripe": stripe}, [self.arena_fd])
        if self._level:
            child.tell({"type": "log_level", "level": self._level})
        if place == CONTROL:
            if any(self._others):
                self._tell_others(child)
            for slot in self.slots:
                self._introduce(slot)
        else:
            if self.tickets is not None:
                self.tickets.turn(now_ms())
                child.tell(self.tickets.message())
            self._introduce(place)
            if self._open:
                self._give_doors(place, child)

    def _introduce(self, slot: int) -> None:
        """A wire of their own for a worker and control, if both are there."""
        control, worker = self.children.get(CONTROL), self.children.get(slot)
        if control is not None and worker is not None:
            ends = wire_pair()
            control.tell({"type": "worker", "index": slot}, [ends[0].fileno()])
            worker.tell({"type": "control"}, [ends[1].fileno()])
            for end in ends:
                end.close()

    async def _hear(self, child: Child, message: dict[str, Any], fds: list[int]) -> None:
        for fd in fds:
            os.close(fd)
        child.is_up = True
        match child.name, message:
            case "control", {"type": "ready", "routes": int(routes)}:
                log.info("%d %s", routes, "route" if routes == 1 else "routes")
                self.routes = routes
                self.routes_known.set()
                self._settle()
            case "control", {"type": "routes", "count": int(count)}:
                self.routes = count
            case "control", {"type": "refused", "problems": list(problems)}:
                self.problems = tuple(map(str, problems))
            case "control", {"type": "paused"}:
                if self._paused is not None:
                    self._paused.set()
            case _, {"type": "serving"} if child.name != "control":
                self._serves(child.index)
            case _, {"type": "pong"}:
                child.asked_s = None
            case _, {"type": "drains", "open": int(here), "finished": int(finished), "handed_over": int(away), **more}:
                self._told[child.pid] = Told(here, finished, away, more.get("cut", 0))   # of another program's worker: unknown
            case _:
                log.warning("%s said what nobody expects: %.40s", child.name, message["type"])

    def tell_control(self, message: dict[str, Any]) -> None:
        if CONTROL in self.children:
            self.children[CONTROL].tell(message)

    def tell_workers(self, message: dict[str, Any]) -> None:
        for place, child in self.children.items():
            if place != CONTROL:
                child.tell(message)

    def log_level(self, level: str) -> None:
        """From which level on all children log, and those that come."""
        self._level = level
        for child in self.children.values():
            child.tell({"type": "log_level", "level": level})

    # sockets

    def open_doors(self) -> None:
        """Give the workers their sockets, those that are here and those that come."""
        self._open = True
        for slot in self.slots:
            if slot in self.children:
                self._give_doors(slot, self.children[slot])

    def serve(self) -> None:
        """From now on the sockets are in its care."""
        self.phase, self.since_s = Phase.SERVING, trio.current_time()
        self._lend()                             # somebody may have died since it served

    def _give_doors(self, slot: int, child: Child) -> None:
        self._give_sockets(slot, self.sockets.shared(), child)
        self._give_sockets(slot, self.sockets.of_slot(slot), child)

    def _give_sockets(self, slot: int, sockets: Sequence[tuple[int, int]], child: Child) -> None:
        for at in range(0, len(sockets), DESCRIPTORS_MOST):
            numbers, fds = zip(*sockets[at : at + DESCRIPTORS_MOST], strict=True)
            child.tell({"type": "listen", "slot": slot, "listeners": numbers}, fds)

    def _serves(self, slot: int) -> None:
        self._serving.add(slot)
        if len(self._serving) == len(self.slots):
            self.all_serve.set()
        self._settle()
        helper = self.children.get(self._lent.pop(slot, slot))
        if helper is not None and helper.index != slot:
            helper.tell({"type": "unlisten", "slot": slot})
        self._lend()
        for elder in self._elders:
            elder._give_tunnels(self, slot)      # one that died had taken what it was given with it; the rest is still there

    def _miss(self, place: int) -> None:
        self._serving.discard(place)
        self._lent = {slot: helper for slot, helper in self._lent.items() if helper != place}
        self._lend()

    def _lend(self) -> None:
        """Give the sockets of every slot whose worker is away to the next worker that serves."""
        if self.phase is not Phase.SERVING or self.leaving or self.resting:
            return
        for slot in self.slots:
            if slot not in self._serving and slot not in self._lent and self._serving:
                helper = min(self._serving, key=lambda other: (other - slot) % len(self.slots))
                self._lent[slot] = helper
                self._give_sockets(slot, self.sockets.of_slot(slot), self.children[helper])

    # a rest

    def rest(self) -> list[Child]:
        """Let the workers, which it answers, end what they have and leave; they run again after `wake`. Control stays."""
        workers = [child for place, child in self.children.items() if place != CONTROL]
        self._awake = trio.Event()
        self.all_serve.set()                     # whoever waits for that sees why it is in vain
        self.all_serve = trio.Event()
        self._open = False
        self._serving.clear()
        self._lent.clear()
        self._resting.update(workers)
        self._tell_drain(self.settings.run)
        return workers

    def _tell_drain(self, run: RunTable) -> None:
        self.tell_workers({"type": "drain", "exchanges_ms": run.drain_timeout_ms, "tunnels_ms": run.drain_tunnels_ms})

    async def wait_rested(self, workers: Sequence[Child], most_s: float) -> bool:
        """Wait for resting workers to end; answers whether all have."""
        with trio.move_on_after(most_s):
            while not self._resting.isdisjoint(workers):
                await self._went.wait()
        return self._resting.isdisjoint(workers)

    async def cut(self, workers: Sequence[Child]) -> None:
        """End resting workers whose time is over."""
        for child in self._resting.intersection(workers):
            child.tell({"type": "stop"})
        if not await self.wait_rested(workers, STOP_S):
            for child in self._resting.intersection(workers):
                child.kill()
            await self.wait_rested(workers, STOP_S)

    def wake(self) -> int:
        """Start the workers again, each as soon as the one before it has left; answers how many have not."""
        self._open = True
        self._awake.set()
        return len(self._resting)

    # two generations

    async def pause_control(self) -> bool:
        """Let control make no table and claim no slot while that of the next generation makes its first; whether it obeys.
        One that dies meanwhile is not started again before `resume_control`: workers go on with the table they have."""
        self._paused = trio.Event()
        if CONTROL not in self.children:
            return True
        self.tell_control({"type": "pause"})
        with trio.move_on_after(PAUSE_S):
            while CONTROL in self.children and not self._paused.is_set():
                with trio.move_on_after(0.1):
                    await self._paused.wait()
            return True
        return False

    def resume_control(self) -> None:
        if self._paused is not None:
            self._paused.set()
            self._paused = None
            self.tell_control({"type": "resume"})

    async def _wait_resumed(self) -> None:
        while self._paused is not None and not self.leaving:
            await self._pause(0.05)

    def beside(self, *, control: bool, workers: bool) -> None:
        """Tell control what there is of earlier generations: the state on disk and the slots of their tables are not its own yet."""
        if (control, workers) != self._others:
            self._others = control, workers
            if CONTROL in self.children:
                self._tell_others(self.children[CONTROL])

    def _tell_others(self, child: Child) -> None:
        control, workers = self._others
        child.tell({"type": "others", "control": control, "workers": workers})

    def hand_tunnels(self, after: "Generation") -> None:
        """Let each worker give its tunnels to one of a later generation. Where either is away, they stay where they are."""
        after._elders = [elder for elder in after._elders if elder.children] + [self]
        for slot in after._serving:
            self._give_tunnels(after, slot)

    def _give_tunnels(self, after: "Generation", slot: int) -> None:
        """To the worker of that slot, from those of ours whose tunnels it gets."""
        for place, giver in self.children.items():
            if place != CONTROL and place % len(after.slots) == slot:
                ends = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
                after.children[slot].tell({"type": "take_over"}, [ends[0].fileno()])
                giver.tell({"type": "hand_over"}, [ends[1].fileno()])
                for end in ends:
                    end.close()

    # the end

    def leave(self) -> None:
        """Nobody is started again."""
        self._leaving.set()
        self._awake.set()
        self.all_serve.set()

    def give_up_doors(self, after: Sockets) -> None:
        """Accept no more where others do so now."""
        for slot in self.slots:
            ending = self.sockets.ends(slot, after)
            staying = [bound.listener.number for bound in self.sockets.bound if bound.listener.number not in ending]
            if staying:
                self.tell_workers({"type": "unlisten", "slot": slot, "listeners": staying})

    def drain(self, run: RunTable) -> None:
        """Let the workers end what they have, in the time that it tells, and leave."""
        self.phase, self.since_s = Phase.DRAINING, trio.current_time()
        self.deadline_s = self.since_s + run.drain_most_ms / 1000
        self._elders.clear()                     # theirs go to a later one from now on
        self.leave()
        self._tell_drain(run)

    async def stop(self) -> None:
        """Tell whoever is left to leave at once; those who do not are killed. It returns when all have left."""
        self.leave()
        for child in self.children.values():
            child.tell({"type": "stop"})
        with trio.move_on_after(STOP_S):
            await self.left.wait()
        for child in self.children.values():
            child.kill()
        await self.left.wait()

    def pids(self) -> dict[str, int]:
        return {child.name: child.pid for _, child in sorted(self.children.items())}

    # another program in this process

    def spare(self) -> None:
        """The children outlive this object; `leave_behind` comes next."""
        for child in self.children.values():
            child.spare()

    def leave_behind(self) -> dict[str, Any]:
        """What `take_over` goes on from, once `run` has been cancelled. "fds" are the descriptors in it, without those of sockets and
        arena."""
        now_s = trio.current_time()
        resting = [place for place, child in self.children.items() if child in self._resting]
        children = {place: child.leave_behind() for place, child in self.children.items()}
        return {
            "number": self.number, "settings": self.settings.to_wire(), "stripes": list(self.stripes), "state": str(self.phase),
            "identity": self._identity and self._identity.plain(), "routes": self.routes,
            "age_s": now_s - self.since_s, "left_s": self.deadline_s - now_s, "leaving": self.leaving, "open": self._open,
            "serving": sorted(self._serving), "lent": self._lent, "told": self._told, "others": list(self._others),
            "rests": self.resting, "resting": resting, "children": children, "fds": [fd for one in children.values() for fd in one["fds"]],
        }

    @classmethod
    def taken_over(
        cls, left: Mapping[str, Any], sockets: Sockets, arena_fd: int, tickets: Ratchet | None, level: str,
        elders: "Sequence[Generation]" = (),
    ) -> "Generation":
        """One that has served, and has children already. Raises OSError if it has not."""
        settings, identity = Settings.from_wire(left["settings"]), identity_of(left["identity"])
        one = cls(left["number"], settings, identity, sockets, left["stripes"], arena_fd, tickets, level)
        now_s = trio.current_time()
        one.phase, one.since_s, one.deadline_s = Phase(left["state"]), now_s - left["age_s"], now_s + left["left_s"]
        one.children = {place: Child.taken_over(child) for place, child in left["children"].items()}
        one._open, one._serving, one._lent = left["open"], set(left["serving"]), dict(left["lent"])
        one._told = {pid: Told(*told) for pid, told in left["told"].items()}
        one._others = left["others"][0], left["others"][1]
        one._resting = {one.children[place] for place in left["resting"]}
        one._elders = list(elders)
        one.routes = left.get("routes", 0)
        one.routes_known.set()
        one.settled.set()
        if left["rests"]:
            one._awake = trio.Event()
        if len(one._serving) == len(one.slots):
            one.all_serve.set()
        if left["leaving"]:
            one.leave()
        return one
