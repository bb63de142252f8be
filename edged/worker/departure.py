"""How the exchanges of a worker that drains end: what it tells the supervisor, for whoever asked for it."""

from collections.abc import Callable
from typing import Any

from edged._fast.memory.arena import Arena

__all__ = ["Departure"]


class Departure:
    """From its making on, one exchange after another ends: by itself, because it was handed over to another worker, or because its time
    was over."""

    def __init__(self, arena: Arena, stripe: int, passed: Callable[[], tuple[int, int]], cut_off: Callable[[], int]) -> None:
        """`passed` answers how many tunnels have been handed over so far, and how many taken over; `cut_off` how many exchanges and
        tunnels have been cut so far."""
        self._arena = arena
        self._stripe = stripe
        self._passed = passed
        self._cut_off = cut_off
        self._before = passed()
        self._at_first = self._come_and_open()
        self._told: dict[str, Any] = {}

    def _come_and_open(self) -> tuple[int, int]:
        """All exchanges that began here or were taken over, and those that run."""
        taken_over = self._passed()[1]
        tally = self._arena.read_tally(self._stripe)
        return int(tally["requests"]) + taken_over, int(tally["exchanges"])

    def message(self) -> dict[str, Any]:
        handed_over = self._passed()[0] - self._before[0]
        come, here = self._come_and_open()
        ended = max(come - self._at_first[0] + self._at_first[1] - here - handed_over, 0)
        cut = min(self._cut_off(), ended)        # the engine counts it at once, the rest at the end of its turn
        return {"type": "drains", "open": here, "finished": ended - cut, "handed_over": handed_over, "cut": cut}

    def news(self) -> dict[str, Any] | None:
        """The message, if it is another than the last one that was sent."""
        message = self.message()
        return None if message == self._told else message

    def sent(self, message: dict[str, Any]) -> None:
        self._told = message
