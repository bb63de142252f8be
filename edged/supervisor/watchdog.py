"""Which children answer, for probes of liveness; and signs of life for the service manager, given only while all of them do."""

import logging
from collections.abc import Callable, Iterable
from typing import Any, Protocol

import trio

from edged.supervisor.notify import notify

__all__ = ["Watchdog"]

log = logging.getLogger("edged.supervisor")

COMES_UP_S = 60.0                                # for a process that was just started, on a machine that is busy
TURN_MOST_S = 2.5                                # between two turns
WORKER_STUCK_S = 10.0                            # without an answer (high-availability.md B.2)
CONTROL_STUCK_S = 60.0                           # what it makes may take long, and traffic does not wait for it


class Asked(Protocol):
    """What is used of a child."""

    name: str
    pid: int
    asked_s: float | None                        # when it was sent a ping that it has not answered yet
    is_up: bool                                  # it has said anything

    def tell(self, message: dict[str, Any]) -> None: ...


class Watchdog:
    """Asks every child every few seconds, at least four times within the service manager's patience, and each has half of that to answer;
    more until it has come up and said its first word. While one is late, there is no sign of life. A child that has ended is not late: it
    is the supervisor's own affair, which starts it again."""

    def __init__(self, patience_s: float, children: Callable[[], Iterable[Asked]]) -> None:
        """`patience_s` 0: nobody waits for signs of life. `children`: those that are to answer now."""
        self._patience_s = patience_s
        self._children = children
        self._late: dict[int, str] = {}          # process id and name of those that a line has told of

    async def run(self) -> None:
        while True:
            self.turn(trio.current_time())
            await trio.sleep(min(self._patience_s / 4, TURN_MOST_S) if self._patience_s else TURN_MOST_S)

    def stuck(self, now_s: float) -> list[str]:
        """Names of children that have not answered for too long, whoever waits for it."""
        asked = [(child, now_s - child.asked_s) for child in self._children() if child.asked_s is not None and child.is_up]
        return [child.name for child, since_s in asked if since_s > (CONTROL_STUCK_S if child.name == "control" else WORKER_STUCK_S)]

    def bridge(self, now_s: float) -> None:
        """There is nobody to give signs of life for a while: give one now."""
        if self._patience_s:
            self.turn(now_s)

    def turn(self, now_s: float) -> None:
        """Ask all that have answered, and give a sign of life, if one is waited for, unless somebody is late."""
        late = {}
        children = {child.pid: child for child in self._children()}
        for child in children.values():
            if child.asked_s is None:
                child.asked_s = now_s
                child.tell({"type": "ping"})
            elif not self._patience_s:
                continue
            elif now_s - child.asked_s >= (self._patience_s / 2 if child.is_up else max(self._patience_s / 2, COMES_UP_S)):
                late[child.pid] = child.name
        for pid in late.keys() - self._late.keys():
            log.error("%s (process %d) does not answer: the service manager gets no sign of life", late[pid], pid)
        for pid in self._late.keys() & children.keys() - late.keys():
            log.warning("%s (process %d) answers again", self._late[pid], pid)
        self._late = late
        if self._patience_s and not late:
            notify("WATCHDOG=1")
