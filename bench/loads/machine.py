"""The machine while something is measured: cores, priorities, congestion control, and what processes used."""

import contextlib
import fcntl
import os
import resource
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

TICKS_PER_S = os.sysconf("SC_CLK_TCK")
CONGESTION = Path("/proc/sys/net/ipv4/tcp_congestion_control")
DESCRIPTORS = 131_072


@dataclass(frozen=True)
class Cores:
    """Where things run: the proxies on one core, load and backend on another."""

    proxy: int | None
    load: int | None

    @classmethod
    def choose(cls) -> "Cores":
        allowed = sorted(os.sched_getaffinity(0))
        return cls(allowed[-1], allowed[0]) if len(allowed) > 1 else cls(None, None)

    def __str__(self) -> str:
        if self.proxy is None:
            return "one core for all: the figures mean little"
        return f"proxies on core {self.proxy}, load and backend on core {self.load}"


@dataclass(frozen=True)
class CpuGroup:
    """A control group that is favoured over all else that runs; `procs` is where a process enters before it starts its program."""

    folder: Path
    procs: Path

    @classmethod
    def make(cls) -> "CpuGroup | None":
        """None when this machine or user cannot make one."""
        first, unified = Path("/sys/fs/cgroup/cpu"), Path("/sys/fs/cgroup")
        old = (first / "cgroup.procs").exists()
        folder = (first if old else unified) / f"edged-bench-{os.getpid()}"
        try:
            if not old:
                (unified / "cgroup.subtree_control").write_text("+cpu")
            folder.mkdir()
        except OSError:
            return None
        try:
            (folder / ("cpu.shares" if old else "cpu.weight")).write_text("200000" if old else "10000")
        except OSError:
            folder.rmdir()
            return None
        return cls(folder, folder / "cgroup.procs")

    def remove(self) -> None:
        """All processes in it must have ended; the kernel takes a moment to see that."""
        for _ in range(100):
            with contextlib.suppress(OSError):
                self.folder.rmdir()
                return
            time.sleep(0.02)


@contextlib.contextmanager
def ahead_of_all(pids: list[int], group: CpuGroup | None) -> Iterator[bool]:
    """Every thread of these processes has real-time priority for a while; whether that is permitted. Else nothing changes."""
    threads = [int(thread) for pid in pids for thread in os.listdir(f"/proc/{pid}/task")]

    def schedule(policy: int, priority: int) -> None:
        for thread in threads:
            with contextlib.suppress(ProcessLookupError):        # it has ended
                os.sched_setscheduler(thread, policy, os.sched_param(priority))

    with contextlib.ExitStack() as undo:
        if group:                                # its share of the usual kind goes without any of the real-time kind
            move(pids, group.folder.parent)
            undo.callback(move, pids, group.folder)
        undo.callback(schedule, os.SCHED_OTHER, 0)
        try:
            schedule(os.SCHED_RR, 1)
        except PermissionError:
            yield False
            return
        yield True


def move(pids: list[int], folder: Path) -> None:
    """Into another control group."""
    for pid in pids:
        (folder / "cgroup.procs").write_text(str(pid))


@contextlib.contextmanager
def alone() -> Iterator[None]:
    """Two comparisons at once would measure each other. Raises BlockingIOError."""
    with (Path(tempfile.gettempdir()) / "edged-bench.lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as why:
            raise BlockingIOError(f"another comparison is running ({lock.name})") from why
        yield


@contextlib.contextmanager
def congestion_control(name: str) -> Iterator[str]:
    """Sets the congestion control for the time of a run where that is permitted; gives the one in force."""
    before = CONGESTION.read_text().strip()
    try:
        CONGESTION.write_text(name)
    except OSError:
        yield before
        return
    try:
        yield name
    finally:
        CONGESTION.write_text(before)


def allow_descriptors() -> None:
    """As many as permitted; children inherit it."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    with contextlib.suppress(ValueError, OSError):
        hard = max(hard, DESCRIPTORS)
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
        return
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def descriptors() -> int:
    """How many files a process may have open."""
    return resource.getrlimit(resource.RLIMIT_NOFILE)[0]


def stat_of(pid: int) -> list[str] | None:
    """The fields of /proc/PID/stat after the program's name; None when it has ended."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return None


def family(root: int) -> list[int]:
    """A process and all that descend from it."""
    children: dict[int, list[int]] = {}
    for entry in os.listdir("/proc"):
        if entry.isdigit() and (stat := stat_of(int(entry))):
            children.setdefault(int(stat[1]), []).append(int(entry))
    found = [root]
    for pid in found:                        # grows while it is read
        found += children.get(pid, [])
    return found


@dataclass(frozen=True)
class Used:
    """CPU time, as the kernel divides it."""

    user_s: float
    system_s: float

    def __sub__(self, before: "Used") -> "Used":
        return Used(self.user_s - before.user_s, self.system_s - before.system_s)

    @property
    def total_s(self) -> float:
        return self.user_s + self.system_s


def cpu(pids: list[int]) -> Used:
    """What these processes used, and children that they have already waited for."""
    stats = [[int(field) for field in stat[11:15]] for pid in pids if (stat := stat_of(pid))]
    return Used(sum(s[0] + s[2] for s in stats) / TICKS_PER_S, sum(s[1] + s[3] for s in stats) / TICKS_PER_S)


def memory_kib(pids: list[int]) -> int:
    """Proportional set size: shared pages are counted once over all of them."""
    total = 0
    for pid in pids:
        for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
            if line.startswith("Pss:"):
                total += int(line.split()[1])
    return total
