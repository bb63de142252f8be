"""One measured window: the load tool runs, and what the proxy, the load and the backend used in that time is read."""

import contextlib
import json
import os
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from types import TracebackType

from . import machine
from .certificates import Authority, Certificates
from .machine import Cores
from .proxies import Running
from .site import HOST, INNER, RSA, Ports

TOOLS = Path("build/bench")
CAP_PERCENT = 40


@dataclass(frozen=True)
class Load:
    """What is asked, of which service of a proxy (the fields of Ports)."""

    connections: int
    service: str = "http"
    path: str = "/"
    each_new: bool = False
    resume: bool = False         # TLS: each new connection by the ticket of the one before
    silent: bool = False         # only connects; where connections are held
    answer_bytes: int = 0        # tcp and hello
    host: str = ""               # instead of the site's first
    hosts: int = 1               # so many of the site's hosts in use, evenly spread
    rate: float = 0.0            # open loop

    def arguments(self, running: Running) -> list[str]:
        """Of loadgen."""
        port = getattr(running.ports, self.service)
        words = ["--connect", f"127.0.0.1:{port}", "--connections", str(self.connections), "--path", self.path]
        if self.hosts > 1:
            words += ["--host", running.site.host(0).replace("00000", "%05d"), "--hosts", str(self.hosts)]
            words += ["--host-step", str(running.site.routes // self.hosts)]
        else:
            words += ["--host", self.host or running.site.host(0)]
        if self.service in ("tcp", "hello"):
            words += ["--tcp", str(self.answer_bytes)]
        if self.service in ("https", "hello"):
            words += ["--hello" if self.service == "hello" else "--resume" if self.resume else "--tls"]
        words += ["--each-new"] if self.each_new else []
        words += ["--silent"] if self.silent else []
        return [*words, "--rate", str(self.rate)] if self.rate else words


@dataclass(frozen=True)
class Sample:
    """One window of one proxy."""

    seconds: float
    answers: int
    bytes: int
    proxy_cpu_s: float
    proxy_user_s: float          # of these, outside the kernel
    load_core: float             # share of the load's core used by load and backend together
    p50_us: float
    p99_us: float
    p999_us: float
    errors: dict[str, int]

    @property
    def per_s(self) -> float:
        return self.answers / self.seconds

    @property
    def per_cpu_s(self) -> float:
        return self.answers / self.proxy_cpu_s if self.proxy_cpu_s else 0.0

    @property
    def user_us(self) -> float:
        """What one answer costs outside the kernel."""
        return self.proxy_user_s * 1e6 / self.answers

    @property
    def failed(self) -> int:
        return sum(self.errors.values())


def spawn(cores: Cores, tool: str, words: list[str]) -> subprocess.Popen[str]:
    """A tool on the load's core, ahead of all else there where we may; it ends when its standard input does."""
    def settle() -> None:
        if cores.load is not None:
            os.sched_setaffinity(0, {cores.load})
            with contextlib.suppress(PermissionError):
                os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(1))

    return subprocess.Popen([str(TOOLS / tool), *words], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, preexec_fn=settle)


class Bench:
    """The backend at work, where its processes and the load's go, and the brake that takes most of the proxies' core away."""

    def __init__(self, cores: Cores, folder: Path) -> None:
        self.cores = cores
        self.authority = Authority()
        self.certificates = Certificates.make(folder / "certificates", self.authority, [HOST, INNER], [RSA], [INNER])
        words = [word for service in ("http", "tcp", "https", "hello") for word in (f"--{service}", "0.0.0.0:0")]
        self.backend = self.spawn("backend", ["--certificate", str(self.certificates.backend), *words])
        assert self.backend.stdout
        ports = self.backend.stdout.readline().split()
        if len(ports) != 4:
            raise OSError("the backend did not start")
        self.ports = Ports(*map(int, ports))
        self.can_brake = False
        with self.braked():
            pass

    def __enter__(self) -> "Bench":
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.end(self.backend)

    def spawn(self, tool: str, words: list[str]) -> subprocess.Popen[str]:
        return spawn(self.cores, tool, words)

    @contextlib.contextmanager
    def braked(self) -> Iterator[None]:
        """The proxies have CAP_PERCENT of their core; all of it where we have no right to real-time priority."""
        if self.cores.proxy is None:
            yield
            return
        words = [str(TOOLS / "brake"), "--core", str(self.cores.proxy), "--percent", str(100 - CAP_PERCENT)]
        brake = subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
        assert brake.stdout
        self.can_brake = brake.stdout.readline() == "ready\n"
        try:
            yield
        finally:
            self.end(brake)

    @staticmethod
    def end(process: subprocess.Popen[str]) -> str:
        """Ends a tool; gives what it printed since."""
        try:
            return process.communicate(timeout=20)[0]
        except subprocess.TimeoutExpired:
            process.kill()
            return process.communicate()[0]

    def capped(self, running: Running, load: Load, seconds: float) -> Sample:
        """A window under the brake."""
        with self.braked():
            return self.window(running, load, seconds)

    def window(self, running: Running, load: Load, seconds: float, warm_s: float = 0.5) -> Sample:
        """A warm-up, then one measured window."""
        words = [*load.arguments(running), "--seconds", str(seconds), "--warm", str(warm_s)]
        tool = self.spawn("loadgen", words)
        assert tool.stdout
        tool.stdout.readline()
        pids = running.pids()
        proxy, backend = machine.cpu(pids), machine.cpu([self.backend.pid])
        line = tool.stdout.readline()
        proxy, backend = machine.cpu(pids) - proxy, machine.cpu([self.backend.pid]) - backend
        self.end(tool)
        if not line:
            raise OSError(f"loadgen ended with status {tool.returncode}")
        got = json.loads(line)
        return Sample(
            seconds=got["seconds"], answers=got["answers"], bytes=got["bytes"],
            proxy_cpu_s=proxy.total_s, proxy_user_s=proxy.user_s, load_core=(got["cpu_s"] + backend.total_s) / got["seconds"],
            p50_us=got["p50_us"], p99_us=got["p99_us"], p999_us=got["p999_us"], errors=got["errors"],
        )

    def settled_kib(self, running: Running) -> int:
        """Memory once it no longer changes (or after three seconds)."""
        pids, last = running.pids(), -1
        for _ in range(10):
            now = machine.memory_kib(pids)
            if abs(now - last) <= 64:
                break
            last = now
            time.sleep(0.3)
        return now

    def idle_kib(self, running: Running, load: Load) -> tuple[float, dict[str, int]]:
        """User memory of each of the load's connections once it is idle after one request, if any; and what went wrong."""
        self.window(running, replace(load, connections=64, silent=False), seconds=0.5, warm_s=0.1)
        before = self.settled_kib(running)
        tool = self.spawn("loadgen", [*load.arguments(running), "--hold"])
        assert tool.stdout
        if tool.stdout.readline() != "go\n":
            raise OSError(f"loadgen could not hold {load.connections} connections")
        after = self.settled_kib(running)
        got = json.loads(self.end(tool))
        errors: dict[str, int] = {**got["errors"], "lost": load.connections - got["held"]}
        return (after - before) / load.connections, errors
