"""One daemon goes through the load: reloads and upgrades, and what they cost."""

import time
from dataclasses import dataclass, field

from ..setups import ProxyError
from .daemons import Daemon
from .load import Counts, Load, Rates
from .readiness import Prober
from .watch import Stand, Watch, grown, settle, stand_of

__all__ = ["Result", "play"]

FIRST = 10                                       # the reload from which on nothing may grow


@dataclass
class Result:
    version: str
    told: str                                    # how it was set up
    reload_ms: list[float] = field(default_factory=list)         # until the new processes served
    upgrade_ms: list[float] = field(default_factory=list)
    stands: list[Stand] = field(default_factory=list)            # after the tenth, and the last
    counts: dict[str, Counts] = field(default_factory=dict)
    ends: str = ""                               # what it says itself of the exchanges of old processes
    settled_processes: int = 0                   # how many there are when no old one lingers
    processes_most: int = 0                      # at once
    kib_most: float = 0.0
    requests: int = 0                            # by its own counter
    went_back: int = 0                           # that counter, so often
    ready: int = 0                               # answers that it is
    not_ready: list[str] = field(default_factory=list)           # what else was answered
    readiness_ms: float = 0.0                    # the longest wait for such an answer
    seconds: float = 0.0
    load_core: float = 0.0
    failure: str = ""                            # why it could not go on

    @property
    def lost(self) -> int:
        return sum(one.lost for one in self.counts.values())

    @property
    def grown(self) -> list[str]:
        if not self.stands:
            return []
        found = grown(self.stands[0], self.stands[-1])
        if self.stands[-1].processes > self.settled_processes:
            found.append(f"processes: {self.stands[-1].processes}, and {self.settled_processes} without old ones")
        if self.went_back:
            found.append(f"the counter of requests went back {self.went_back} times")
        if self.not_ready:
            found.append(f"it was not ready {len(self.not_ready)} times: {self.not_ready[0]!r}")
        return found

    @property
    def is_well(self) -> bool:
        return not (self.lost or self.grown or self.failure)


def steps(reloads: int, upgrades: int) -> list[bool]:
    """Upgrades (True) evenly among reloads."""
    total = reloads + upgrades
    return [(i + 1) * upgrades // total > i * upgrades // total for i in range(total)]


def play(daemon: Daemon, load: Load, rates: Rates, seconds: float, reloads: int, upgrades: int) -> Result:
    """The whole run; what is under way at its end is finished."""
    result = Result(daemon.version, daemon.setup.told, settled_processes=daemon.settled_processes)
    load.begin(daemon.ports, rates, seconds)
    watch = Watch(daemon)
    where = daemon.readiness()
    prober = Prober(where) if where else None
    began_s, cpu_s = time.monotonic(), load.cpu_s()
    try:
        replace_often(daemon, steps(reloads, upgrades), seconds, result)
    except ProxyError as why:
        result.failure = str(why)
    finally:
        watch.end()
        if prober:
            prober.end()
            result.ready, result.not_ready, result.readiness_ms = prober.ready, prober.others, prober.longest_s * 1000
    result.seconds = time.monotonic() - began_s
    result.load_core = (load.cpu_s() - cpu_s) / result.seconds
    result.counts = load.finish()
    result.ends = daemon.ends()
    result.processes_most, result.kib_most = watch.processes_most, watch.kib_most
    result.requests, result.went_back = watch.requests, watch.went_back
    return result


def replace_often(daemon: Daemon, todo: list[bool], seconds: float, result: Result) -> None:
    """Evenly spread; the load goes on also while it is looked at what the daemon takes."""
    gap_s = seconds / len(todo)
    due_s = time.monotonic()
    for number, upgrade in enumerate(todo, 1):
        due_s += gap_s
        time.sleep(max(0.0, due_s - time.monotonic()))
        began_s = time.monotonic()
        if upgrade:
            daemon.upgrade()
        else:
            daemon.reload()
        (result.upgrade_ms if upgrade else result.reload_ms).append((time.monotonic() - began_s) * 1000)
        if number in (min(FIRST, len(todo)), len(todo)):
            settle(daemon)
            result.stands.append(stand_of(daemon, number))
            due_s = time.monotonic()
