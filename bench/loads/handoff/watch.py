"""What a daemon takes while it is loaded, and whether that grows."""

import contextlib
import os
import statistics
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from .daemons import Daemon

__all__ = ["Stand", "Watch", "descriptors_of", "grown", "lasting_sockets", "settle", "stand_of"]

LOOK_S = 0.25
MEMORY_EVERY = 8                                 # looks: the kernel walks through all of it
LOOKS = 9
SPREAD_S = 0.1
LISTENING = "0A"                                 # in /proc/net/tcp
SETTLE_S = 12.0                                  # for old processes to finish what is slow, and tunnels that must end with them

# Connections come and go with the load, and so many are kept idle as its last burst needed: their descriptors are not counted, and their
# buffers, as what Python took at its busiest, are allowed for once. The rest is for what a reload may be in the midst of: a few wires; 40
# KiB of all processes for each reload, which is what two generations differ by, spread over ninety of them; 10 KiB of the one that stays.
DESCRIPTORS_LEAST, DESCRIPTORS_EACH = 8, 0.1
KIB_LEAST, KIB_EACH = 2048.0, 40.0
PARENT_KIB_LEAST, PARENT_KIB_EACH = 1024.0, 10.0


@dataclass(frozen=True)
class Stand:
    """What all processes of a daemon take, in an hour without old ones, or as near to that as it came."""

    reloads: int
    processes: int
    descriptors: int             # of these, but TCP connections
    kib: float                   # proportional set size
    parent_kib: float            # of the process that stays


def settle(daemon: Daemon) -> None:
    """Wait until there is no old process, or for SETTLE_S."""
    end_s = time.monotonic() + SETTLE_S
    while len(daemon.pids()) > daemon.settled_processes and time.monotonic() < end_s:
        time.sleep(0.05)


def stand_of(daemon: Daemon, reloads: int) -> Stand:
    """The fewest descriptors of some looks, as messages between processes bear some; the middle of the memory."""
    processes, descriptors, kib, parent = [], [], [], []
    for _ in range(LOOKS):
        pids = daemon.pids()
        processes.append(len(pids))
        lasting = lasting_sockets()
        descriptors.append(sum(descriptors_of(pid, lasting) for pid in pids))
        kib.append(sum(map(kib_of, pids)))
        parent.append(kib_of(daemon.process.pid))
        time.sleep(SPREAD_S)
    return Stand(reloads, min(processes), min(descriptors), statistics.median(kib), statistics.median(parent))


def grown(first: Stand, last: Stand) -> list[str]:
    """What has grown by more than a load that goes on explains."""
    reloads, found = last.reloads - first.reloads, []
    if last.processes > first.processes:
        found.append(f"processes: {first.processes} to {last.processes}")
    if last.descriptors - first.descriptors > max(DESCRIPTORS_LEAST, DESCRIPTORS_EACH * reloads):
        found.append(f"descriptors: {first.descriptors} to {last.descriptors}")
    if last.kib - first.kib > max(KIB_LEAST, KIB_EACH * reloads):
        found.append(f"memory: {first.kib / 1024:.1f} to {last.kib / 1024:.1f} MiB")
    if last.parent_kib - first.parent_kib > max(PARENT_KIB_LEAST, PARENT_KIB_EACH * reloads):
        found.append(f"memory of the parent: {first.parent_kib / 1024:.1f} to {last.parent_kib / 1024:.1f} MiB")
    return found


def descriptors_of(pid: int, lasting: set[str]) -> int:
    """But TCP connections: of sockets, only those of `lasting`. 0: it is gone. The engine's thread has a table of its own."""
    tables = set()
    with contextlib.suppress(OSError):
        for thread in os.listdir(f"/proc/{pid}/task"):
            tables.add(frozenset(links_of(f"/proc/{pid}/task/{thread}/fd")))
    return sum(not link.startswith("socket:") or link in lasting for table in tables for _, link in table)


def links_of(directory: str) -> Iterator[tuple[str, str]]:
    with contextlib.suppress(OSError):           # the thread has ended
        for name in os.listdir(directory):
            with contextlib.suppress(OSError):   # it was closed
                yield name, os.readlink(f"{directory}/{name}")


def lasting_sockets() -> set[str]:
    """Unix sockets, and those that listen, which the kernel tells before all connections."""
    inodes = [line.split()[6] for line in Path("/proc/net/unix").read_text().splitlines()[1:]]
    for file in ("/proc/net/tcp", "/proc/net/tcp6"):
        with open(file) as rows:
            next(rows)
            for row in map(str.split, rows):
                if row[3] != LISTENING:
                    break
                inodes.append(row[9])
    return {f"socket:[{inode}]" for inode in inodes}


def kib_of(pid: int) -> float:
    with contextlib.suppress(OSError):
        for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
            if line.startswith("Pss:"):
                return float(line.split()[1])
    return 0.0


class Watch:
    """Looks all the time: how many processes there are at once, and whether the counter of requests ever goes back."""

    def __init__(self, daemon: Daemon) -> None:
        self.processes_most = 0
        self.kib_most = 0.0
        self.requests = 0
        self.went_back = 0
        self._daemon = daemon
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._look)
        self._thread.start()

    def _look(self) -> None:
        looks = 0
        while not self._over.wait(LOOK_S):
            looks += 1
            pids = self._daemon.pids()
            self.processes_most = max(self.processes_most, len(pids))
            if looks % MEMORY_EVERY == 0:
                self.kib_most = max(self.kib_most, sum(map(kib_of, pids)))
            if (now := self._daemon.requests()) is not None:
                self.went_back += now < self.requests
                self.requests = now

    def end(self) -> None:
        self._over.set()
        self._thread.join()
