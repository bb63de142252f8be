"""Memory that a burst has needed goes back to the system, once it is over.

The C library keeps what was freed, for the next burst, and with it what 10,000 connections of one moment have needed. Giving it back takes
its locks, about a third of a millisecond for each MiB that goes. Exchanges on connections that are there ask it for nothing, but handshakes
do, and crowds: so it is done when few handshakes go on, or when the crowd has gone.
"""

import ctypes
import logging
import mmap
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import NoReturn

import trio

__all__ = ["Giveback"]

log = logging.getLogger("edged.worker")

LOOK_S = 5.0
GROWN_LEAST_BYTES = 4 * 1024 * 1024              # less is not worth it
CALM_HANDSHAKES = 50                             # between two looks


class Giveback:
    """Looks at one worker's memory now and then."""

    def __init__(
        self, tally: Callable[[], Mapping[str, int]], own_bytes: Callable[[], int] | None = None, trim: Callable[[], None] | None = None
    ) -> None:
        """`tally`: the worker's numbers; `own_bytes`, `trim`: this process's memory, and what gives it back."""
        self._tally = tally
        self._own_bytes = own_bytes or _own_bytes
        self._trim = trim or _trim
        self._left_bytes = self._own_bytes()     # when there was nothing to give back
        self._handshakes = 0
        self._crowd_most = 0                     # connections, since then

    async def follow(self) -> NoReturn:
        while True:
            self.look()
            await trio.sleep(LOOK_S)

    def look(self) -> None:
        tally = self._tally()
        crowd, handshakes = tally["connections"], tally["tls_handshakes"] + tally["tls_failed"] + tally["tls_endpoint_handshakes"]
        self._crowd_most = max(self._crowd_most, crowd)
        is_calm = handshakes - self._handshakes < CALM_HANDSHAKES or crowd <= self._crowd_most // 2
        self._handshakes = handshakes
        own_bytes = self._own_bytes()
        self._left_bytes = min(self._left_bytes, own_bytes)
        if is_calm and own_bytes - self._left_bytes >= GROWN_LEAST_BYTES:
            self._trim()
            self._left_bytes, self._crowd_most = self._own_bytes(), crowd
            log.debug("of %d KiB of memory %d KiB were given back", own_bytes // 1024, (own_bytes - self._left_bytes) // 1024)


def _own_bytes() -> int:
    """What is shared or mapped from files is not counted."""
    _, resident, shared, *_ = Path("/proc/self/statm").read_text().split()
    return (int(resident) - int(shared)) * mmap.PAGESIZE


def _trim() -> None:
    try:
        ctypes.CDLL(None).malloc_trim(ctypes.c_size_t(0))
    except AttributeError:
        return                                   # another C library than glibc, which keeps less
