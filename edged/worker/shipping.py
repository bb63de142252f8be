"""Access lines on their way from the engine's ring to their target, and what is said about those that are lost."""

import logging
from typing import Protocol

import trio

from edged._fast.memory.ring import Ring
from edged._fast.run.shipper import Shipper
from edged.settings.tables import LogTable

__all__ = ["Shipping"]

log = logging.getLogger("edged.worker")

REOPEN_S = 5.0                                   # between two attempts to open a file at start
FINISH_S = 0.5                                   # for the lines that are left when the worker leaves


class ShipperLike(Protocol):
    """What is used of `edged._fast.run.shipper.Shipper`."""

    @property
    def trouble(self) -> str: ...
    @property
    def dropped(self) -> int: ...
    def ship(self) -> float | None: ...
    def reopen(self) -> None: ...
    def close(self) -> None: ...


class Shipping:
    """Ships what is in the ring whenever its bell rings. A target that is slow or gone never delays anything else."""

    def __init__(self, ring: Ring, settings: LogTable) -> None:
        self._ring = ring
        self._settings = settings
        self._shipper: ShipperLike | None = None
        self._trouble = ""                       # as told last
        self._lost_before = 0                    # lines, when the trouble began

    async def run(self) -> None:
        """Ship for ever. Traffic does not wait for a file that cannot be opened: it is tried again."""
        while not self._open():  # noqa: ASYNC110 - nothing tells when a file can be opened
            await trio.sleep(REOPEN_S)
        while True:
            pause_s = self._ship()
            with trio.move_on_after(float("inf") if pause_s is None else pause_s):
                await trio.lowlevel.wait_readable(self._ring.bell)

    def reopen(self) -> None:
        """Open a log file anew, after rotation."""
        if self._shipper is not None:
            try:
                self._shipper.reopen()
            except OSError as why:
                log.error("%s cannot be opened anew, lines go on into the old file: %s", self._settings.target, why.strerror)

    async def finish(self) -> None:
        """Ship what is left, as long as that is quickly done."""
        if self._shipper is None:
            return
        with trio.move_on_after(FINISH_S):
            while (pause_s := self._ship()) is not None:  # noqa: ASYNC110 - it says itself when to call again
                await trio.sleep(pause_s)
        self._shipper.close()

    def _open(self) -> bool:
        target = self._settings
        try:
            self._shipper = Shipper(
                self._ring, target.target, facility=target.facility, tag=target.tag, rfc=target.rfc, max_length=target.max_length
            )
        except OSError as why:
            self._tell(f"{target.target}: {why.strerror}", self._ring.dropped)
            return False
        return True

    def _ship(self) -> float | None:
        assert self._shipper is not None
        pause_s = self._shipper.ship()
        self._tell(self._shipper.trouble, self._shipper.dropped)
        return pause_s

    def _tell(self, trouble: str, dropped: int) -> None:
        """One line when trouble begins, and one when it is over."""
        if trouble and not self._trouble:
            self._lost_before = dropped
            log.error("access lines are being lost: %s", trouble)
        elif self._trouble and not trouble:
            log.warning("access lines flow again; %d were lost", dropped - self._lost_before)
        self._trouble = trouble
