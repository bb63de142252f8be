"""How the exchanges of a worker that drains end: what it tells the supervisor, for whoever asked for it."""

from typing import Any

from edged._fast.memory.arena import Arena

__all__ = ["Departure"]


class Departure:
    """From its making on, one exchange after another ends: by itself, or because it was handed over to another worker."""

    def __init__(self, arena: Arena, stripe: int) -> None:
        self.handed_over = 0
        self._arena = arena
        self._stripe = stripe
        self._at_first = self._begun_and_open()
        self._told: dict[str, Any] = {}

    def _begun_and_open(self) -> tuple[int, int]:
        tally = self._arena.read_tally(self._stripe)
        return int(tally["requests"]), int(tally["exchanges"])

    def message(self) -> dict[str, Any]:
        begun, here = self._begun_and_open()
        ended = begun - self._at_first[0] + self._at_first[1] - here
        return {"type": "drains", "open": here, "finished": max(ended - self.handed_over, 0), "handed_over": self.handed_over}

    def news(self) -> dict[str, Any] | None:
        """The message, if it is another than the last one that was sent."""
        message = self.message()
        return None if message == self._told else message

    def sent(self, message: dict[str, Any]) -> None:
        self._told = message
