"""The load of one run: the mass by the load tool, and beside it the guests whose every byte is checked."""

import json
import os
import subprocess
from dataclasses import dataclass

from .. import machine
from ..certificates import Certificates
from ..machine import Cores, CpuGroup
from ..measure import spawn
from ..site import HOST, THROUGH, Ports
from .program import Guests
from .setups import CHECKED, Behind
from .visits import Doors, Plan

__all__ = ["Backends", "Counts", "Load", "Rates"]


@dataclass(frozen=True)
class Rates:
    """Of the mass, in connections or requests a second; and how many guests of each kind there are at once."""

    new: float
    new_tls: float
    kept: float
    kept_tls: float
    connections: int             # kept alive, of each sort
    slow: int                    # uploads and downloads, plain and over TLS, of each
    tunnels: int                 # of each sort


@dataclass(frozen=True)
class Counts:
    """What one kind of client saw. `faults` are losses; what went on elsewhere as the protocol permits is `stale`."""

    done: int
    faults: dict[str, int]
    stale: int = 0
    anew: int = 0                # TLS sessions that were not resumed
    longest_ms: float = 0.0      # of a wait
    examples: tuple[str, ...] = ()

    @property
    def lost(self) -> int:
        return sum(self.faults.values())


class Backends:
    """Those of all runs: they stay while proxies come and go. The guests' own come with them."""

    def __init__(self, cores: Cores) -> None:
        self.tool = spawn(cores, "backend", ["--http", "127.0.0.1:0"])
        assert self.tool.stdout
        self.mass = int(self.tool.stdout.readline())

    def end(self) -> None:
        end(self.tool)


class Load:
    """Started before the proxy, as it brings servers; `begin` sets it on a proxy, `finish` ends it in order."""

    def __init__(self, cores: Cores, group: CpuGroup | None, backends: Backends, certificates: Certificates) -> None:
        self._cores = cores
        self._backends = backends

        def settle() -> None:
            if group:                            # behind the tools, before all else
                group.procs.write_text("0")
            if cores.load is not None:
                os.sched_setaffinity(0, {cores.load})

        self._guests = Guests(certificates.backend, settle)
        self.behind = Behind(backends.mass, **self._guests.ports)
        self._mass: dict[str, subprocess.Popen[str]] = {}

    def begin(self, ports: Ports, rates: Rates, seconds: float) -> None:
        """Returns when all of it goes on."""
        slow, tunnels = rates.slow, rates.tunnels
        clients = {
            "uploads": slow, "uploads tls": slow, "downloads": slow, "downloads tls": slow,
            "websockets": tunnels, "websockets tls": tunnels, "tcp": tunnels, "passthrough": tunnels,
        }
        doors = Doors(ports.http, ports.https, ports.tcp, ports.hello, CHECKED, THROUGH)
        self._guests.begin(Plan(doors, clients, seconds=seconds))
        new, kept = ["--each-new", "--connections", "2000"], ["--again", "--connections", str(rates.connections)]
        for name, port, words, rate in (
            ("new connections", ports.http, new, rates.new),
            ("new connections tls", ports.https, [*new, "--resume"], rates.new_tls),
            ("kept alive", ports.http, kept, rates.kept),
            ("kept alive tls", ports.https, [*kept, "--tls"], rates.kept_tls),
        ):
            where = ["--connect", f"127.0.0.1:{port}", "--host", HOST, "--rate", str(rate), "--until-end", "--warm", "0.3"]
            self._mass[name] = spawn(self._cores, "loadgen", [*where, *words])
        for tool in self._mass.values():
            assert tool.stdout
            tool.stdout.readline()

    def finish(self) -> dict[str, Counts]:
        """By kind."""
        counts = {}
        for name, tool in self._mass.items():
            got = json.loads(end(tool) or "{}")
            if not got:
                raise OSError(f"loadgen ended with status {tool.returncode} ({name})")
            anew = got["errors"].pop("resumption")       # another handshake is no loss
            counts[name] = Counts(got["answers"], faults(got["errors"]), got["stale"], anew, got["max_us"] / 1000)
        for name, got in self._guests.end().items():
            counts[name] = Counts(
                got["done"], faults(got["faults"]), got["stale"], longest_ms=got["longest_s"] * 1000, examples=tuple(got["examples"])
            )
        return counts

    def pids(self) -> list[int]:
        return [self._backends.tool.pid, self._guests.process.pid, *(tool.pid for tool in self._mass.values())]

    def cpu_s(self) -> float:
        return machine.cpu(self.pids()).total_s

    def end(self) -> None:
        for tool in self._mass.values():
            end(tool)
        self._guests.leave()


def faults(errors: dict[str, int]) -> dict[str, int]:
    return {name: count for name, count in errors.items() if count}


def end(process: subprocess.Popen[str]) -> str:
    """Ends a tool by its standard input; gives what it printed since."""
    if process.poll() is not None and process.stdin and process.stdin.closed:
        return ""
    try:
        return process.communicate(timeout=20)[0]
    except subprocess.TimeoutExpired:
        process.kill()
        return process.communicate()[0]


