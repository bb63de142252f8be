"""Daemons under the hand-off load: started, told to reload and to upgrade, and asked what they counted."""

import contextlib
import os
import re
import signal
import socket
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

from edged._fast.memory.arena import Arena

from ..certificates import Certificates
from ..machine import Cores, CpuGroup, family
from ..proxies import free_ports, gets, started, version
from ..setups import ProxyError
from ..site import HOST, Ports
from .setups import CHECKED, SETUPS, Behind

__all__ = ["DAEMONS", "Daemon", "Edged", "HAProxy"]

START_S = 60.0
LOOK_S = 0.01
ASK_S = 0.5                                      # a master that is just being executed anew does not answer


class Daemon:
    """One that runs. `reload` and `upgrade` return when the new processes serve; the old ones may have much to finish by then."""

    kind = ""

    def __init__(
        self, folder: Path, behind: Behind, certificates: Certificates, workers: int, hard_stop: str, cores: Cores, group: CpuGroup | None
    ) -> None:
        folder.mkdir(parents=True)
        self.folder = folder
        self.workers = workers
        self.ports = Ports(*free_ports(4))
        self.log = folder / "output.log"
        self.setup = SETUPS[self.kind](folder, self.ports, behind, certificates, workers, hard_stop)
        self.version = version(self.kind)
        self.process = started(self.setup.command, self.log, cores, group)
        try:
            self._until(lambda: self._answers(HOST) and self._answers(CHECKED), "it serves")
        except ProxyError:
            self.stop()
            raise

    @property
    def settled_processes(self) -> int:
        """How many it has when there is no old one."""
        raise NotImplementedError

    def reload(self) -> None:
        raise NotImplementedError

    def upgrade(self) -> None:
        """To the program that is installed: the same one here, executed anew."""
        raise NotImplementedError

    def requests(self) -> int | None:
        """Its counter of all that was ever asked; None when it cannot be read just now."""
        raise NotImplementedError

    def ends(self) -> str:
        """What has become of the exchanges, tunnels among them, that old processes had when they were replaced, if it tells."""
        return ""

    def readiness(self) -> Path | None:
        """Where it tells whether clients should come, if it does."""
        return None

    def pids(self) -> list[int]:
        return family(self.process.pid)

    def stop(self) -> None:
        """At once."""
        for number in (signal.SIGINT, signal.SIGKILL):
            if self.process.poll() is None:
                self.process.send_signal(number)
                with contextlib.suppress(subprocess.TimeoutExpired):
                    self.process.wait(5)
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)

    def _said(self) -> str:
        return self.log.read_text(errors="replace")

    def _until(self, true: Callable[[], bool], what: str) -> None:
        end_s = time.monotonic() + START_S
        while not true():
            if self.process.poll() is not None:
                raise ProxyError(f"{self.kind} ended with status {self.process.returncode}: {self._said()[-2000:]}")
            if time.monotonic() > end_s:
                raise ProxyError(f"{self.kind}: not within {START_S:g} s: {what}: {self._said()[-2000:]}")
            time.sleep(LOOK_S)

    def _answers(self, host: str) -> bool:
        try:
            with socket.create_connection(("127.0.0.1", self.ports.http), timeout=2) as connection:
                return gets(connection, host, "/2/8/0")
        except OSError:
            return False


class Edged(Daemon):
    kind = "edged"

    @property
    def settled_processes(self) -> int:
        return 2 + self.workers

    def reload(self) -> None:
        self._replace(signal.SIGHUP)

    def upgrade(self) -> None:
        self._replace(signal.SIGUSR2)

    def _replace(self, number: signal.Signals) -> None:
        before = self._served(), self._refused()
        self.process.send_signal(number)
        self._until(lambda: (self._served(), self._refused()) != before, "a new generation serves")
        if self._refused() != before[1]:
            raise ProxyError(f"edged goes on as it was: {self._said()[-2000:]}")

    def _served(self) -> int:
        return len(re.findall(r"generation \d+ serves", self._said()))

    def _refused(self) -> int:
        return self._said().count("nothing has changed: ")

    def readiness(self) -> Path | None:
        return self.folder / "run" / "health.sock"

    def ends(self) -> str:
        told = re.findall(r"has left: (\d+) exchanges? finished, (\d+) handed over, (\d+) cut", self._said())
        finished, handed_over, cut = (sum(map(int, column)) for column in zip(*told, strict=True)) if told else (0, 0, 0)
        return f"{finished:,} finished, {handed_over:,} moved, {cut:,} cut"

    def requests(self) -> int | None:
        directory = f"/proc/{self.process.pid}/fd"
        with contextlib.suppress(FileNotFoundError):
            for name in os.listdir(directory):
                if "edged-arena" in os.readlink(f"{directory}/{name}"):
                    fd = os.open(f"{directory}/{name}", os.O_RDWR)
                    try:
                        return int(Arena(fd).totals()["requests"])
                    finally:
                        os.close(fd)
        return None


class HAProxy(Daemon):
    kind = "haproxy"

    @property
    def settled_processes(self) -> int:
        return 2

    def reload(self) -> None:
        before = self._worker()
        self.process.send_signal(signal.SIGUSR2)
        self._until(lambda: self._worker() not in (0, before), "a new worker is there")

    def upgrade(self) -> None:
        """Each of its reloads executes the program anew."""
        self.reload()

    def _worker(self) -> int:
        """The one that was never reloaded."""
        found = re.search(r"^(\d+)\s+worker\s+0\s", self._ask("master.sock", "show proc"), re.MULTILINE)
        return int(found[1]) if found else 0

    def requests(self) -> int | None:
        found = re.search(r"^CumReq: (\d+)", self._ask("stats.sock", "show info"), re.MULTILINE)
        return int(found[1]) if found else None

    def _ask(self, name: str, words: str) -> str:
        said = b""
        with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX) as asked:
            asked.settimeout(ASK_S)
            asked.connect(str(self.folder / name))
            asked.sendall(f"{words}\n".encode())
            while not said.endswith(b"\n\n") and (data := asked.recv(65536)):       # the master does not close
                said += data
        return said.decode(errors="replace")


DAEMONS: dict[str, type[Daemon]] = {"edged": Edged, "haproxy": HAProxy}
