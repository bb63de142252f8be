"""Long work in steps, between which the loop goes on."""

import logging

import trio

__all__ = ["Pace"]

log = logging.getLogger(__name__)

_PIECE_S = 0.01
_TOLD_EVERY_S = 1.0


class Pace:
    """`await pace.step()` after each of `total` pieces of work. What takes longer than a second is told as it goes on."""

    def __init__(self, what: str, total: int) -> None:
        self._what = what
        self._total = total
        self._done = 0
        self._since_s = self._told_s = trio.current_time()

    async def step(self) -> None:
        self._done += 1
        now_s = trio.current_time()
        if now_s - self._told_s >= _TOLD_EVERY_S:
            self._told_s = now_s
            log.info("%s: %d of %d checked", self._what, self._done, self._total)
        if now_s - self._since_s >= _PIECE_S:
            await trio.lowlevel.checkpoint()
            self._since_s = trio.current_time()
