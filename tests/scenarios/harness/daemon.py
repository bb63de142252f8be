"""The real daemon as a test sees it: `edged run` with settings and route files of the test's own, its processes and its books."""

import contextlib
import json
import os
import re
import signal
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from edged._fast.memory.arena import Arena
from tests.scenarios.harness import processes
from tests.scenarios.harness.client import Address, Client
from tests.scenarios.harness.doors import Doors
from tests.scenarios.harness.settings import BASE, command, environment, merged, toml
from tests.scenarios.harness.until import PATIENCE_S, until

__all__ = ["Daemon", "Routes"]

Routes = Sequence[Mapping[str, Any]] | str       # short form; or the text of a route file

START_S = 60.0


class Daemon(Doors):
    """A running daemon. `stop` ends it and sees that nothing of it is left."""

    def __init__(
        self, directory: Path, settings: Mapping[str, Any] | None = None, routes: Routes = (), variables: Mapping[str, str] | None = None
    ) -> None:
        """Starts it, and returns when it answers. Every table of `settings` is laid over BASE; a list replaces a list."""
        self.directory = directory
        self.routes_dir = directory / "routes.d"
        self.access_log = directory / "access.log"
        self.config = directory / "edged.toml"
        self.allowed = "$^"                      # tracebacks that stderr may show
        self.expected_status = 0
        self._stderr = directory / "stderr"
        self._elsewhere = directory / "elsewhere"        # what is relative must not depend on where it was started
        self._variables = dict(variables or {})
        self._elsewhere.mkdir(parents=True)
        self.routes_dir.mkdir()
        places = {"runtime_dir": str(directory / "run"), "state_dir": str(directory / "state")}
        base = merged(BASE, {"log": {"target": f"file:{self.access_log}"}, "run": places})
        self.settings = merged(base, settings or {})
        self.config.write_text(toml(self.settings))
        self.write_routes(routes)
        self.start()

    def start(self) -> None:
        """Called again after `stop`, it starts with the same settings and state."""
        self._starts_before = len(self.said("ready in"))
        with self._stderr.open("ab") as stderr:
            self.process = subprocess.Popen(
                command("run", "--config", str(self.config)), cwd=self._elsewhere, env=environment(**self._variables),
                stdin=subprocess.DEVNULL, stdout=stderr, stderr=stderr,
            )
        self.pid = self.process.pid
        self._ended = False
        self._arena_path = ""
        try:
            until(self._ready, START_S, "the daemon says that it is ready")
        except AssertionError as why:
            self._kill()
            raise AssertionError(f"{why}\n{self.stderr}") from None

    def _ready(self) -> bool:
        assert self.process.poll() is None, f"it ended with status {self.process.returncode}"
        return len(self.said("ready in")) > self._starts_before

    # what it says

    @property
    def stderr(self) -> str:
        return self._stderr.read_text(errors="replace") if self._stderr.exists() else ""

    def said(self, pattern: str) -> list[str]:
        """The lines of stderr that match."""
        return [line for line in self.stderr.splitlines() if re.search(pattern, line)]

    def until_said(self, pattern: str, within_s: float = PATIENCE_S) -> str:
        return until(lambda: self.said(pattern), within_s, f"stderr says {pattern!r}")[-1]

    def lines(self) -> list[str]:
        """The access log."""
        return self.access_log.read_text(errors="replace").splitlines() if self.access_log.exists() else []

    def line(self, part: str) -> str:
        """The last access line that holds `part`."""
        return until(lambda: [line for line in self.lines() if part in line], what=f"an access line with {part!r}")[-1]

    def line_of(self, client: Client) -> str:
        """The last access line of a client that may be gone; the port may have been another's before."""
        return until(lambda: self._lines_of(client), what=f"an access line of {client.name}")[-1]

    def _lines_of(self, client: Client) -> list[str]:
        if not self.access_log.exists():
            return []
        with self.access_log.open(errors="replace") as log:
            log.seek(client.log_from)
            return [line.rstrip("\n") for line in log if line.startswith(f"{client.name} ") and line.endswith("\n")]

    # its doors

    def address(self, name: str = "web") -> Address:
        """Of a listener."""
        found = re.findall(rf'listening on (\S+) \(\w+, "{re.escape(name)}"\)', self.stderr)
        assert found, f"no listener {name}"
        if found[-1].startswith("unix:"):
            return str(found[-1].removeprefix("unix:"))
        host, _, port = found[-1].rpartition(":")
        return host.strip("[]"), int(port)

    def url(self, path: str = "/", name: str = "web") -> str:
        host, port = self.address(name)
        return f"http://[{host}]:{port}{path}" if ":" in host else f"http://{host}:{port}{path}"

    def connect(self, name: str = "web", *, source: str = "", receive_bytes: int = 0) -> Client:
        log_from = self.access_log.stat().st_size if self.access_log.exists() else 0
        client = Client(self.address(name), source=source, receive_bytes=receive_bytes)
        client.log_from = log_from
        return client

    # its routes

    def write_routes(self, routes: Routes, name: str = "routes.yaml") -> Path:
        """Put a file in the place of the one of that name, as an editor does it."""
        text = routes if isinstance(routes, str) else json.dumps({"routes": list(routes)})
        new = self.routes_dir / f".{name}.new"
        new.write_text(text)
        return new.rename(self.routes_dir / name)

    def change_routes(self, routes: Routes, name: str = "routes.yaml") -> None:
        """The same, and wait until every worker has it in force."""
        before = self.table_versions()
        self.write_routes(routes, name)
        self.until_newer_table(before)

    def table_versions(self) -> list[int]:
        arena = self.arena
        return [arena.read_tally(stripe)["table_version"] for stripe in range(self.settings["worker"]["count"])]

    def until_newer_table(self, before: Sequence[int]) -> None:
        """Every worker has a table that is newer than this."""
        until(
            lambda: all(now > then for now, then in zip(self.table_versions(), before, strict=True)),
            what="every worker has a newer table",
        )

    # its books

    @property
    def arena(self) -> Arena:
        """The shared memory, through the supervisor's descriptor; anew each time, as it knows the slots of its first moment."""
        if not self._arena_path:
            directory = f"/proc/{self.pid}/fd"
            found = [fd for fd in os.listdir(directory) if "edged-arena" in os.readlink(f"{directory}/{fd}")]
            self._arena_path = f"{directory}/{found[0]}"
        fd = os.open(self._arena_path, os.O_RDWR)
        try:
            return Arena(fd)
        finally:
            os.close(fd)

    def gauges(self) -> dict[str, int]:
        """What goes on now, over all workers; `served` and `queued` over all endpoints and backends."""
        arena = self.arena
        totals = arena.totals()
        cells = [arena.cell_totals(slot) for slot in arena.slots_by_key().values()]
        return {name: totals[name] for name in ("connections", "exchanges", "tunnels", "buffers", "pooled")} | {
            "served": sum(cell["served"] for cell in cells), "queued": sum(cell["queued"] for cell in cells),
        }

    def until_idle(self, within_s: float = PATIENCE_S) -> None:
        """Nothing is open, waits or runs, but idle connections to endpoints."""
        try:
            until(lambda: not self._busy(), within_s)
        except AssertionError:
            raise AssertionError(f"not idle within {within_s:g} s: {self._busy()}") from None

    def _busy(self) -> dict[str, int]:
        return {name: n for name, n in self.gauges().items() if n and name != "pooled"}

    # its processes

    def worker_pid(self, index: int = 0) -> int:
        """0: it is away."""
        return self._child(f"edged worker {index}")

    def control_pid(self) -> int:
        return self._child("edged control")

    def _child(self, name: str) -> int:
        return next((pid for pid in processes.children(self.pid) if processes.name_of(pid) == name), 0)

    def sockets(self, index: int = 0) -> int:
        """How many a worker has open."""
        return processes.descriptors(self.worker_pid(index))["socket"]

    def pipes(self, index: int = 0) -> int:
        """Ends of pipes that a worker has open."""
        return processes.descriptors(self.worker_pid(index))["pipe"]

    def anonymous_bytes(self, index: int = 0) -> int:
        """Memory of a worker's own."""
        return processes.anonymous_bytes(self.worker_pid(index))

    # the end

    def stop(self, number: int = signal.SIGTERM, within_s: float = PATIENCE_S) -> int:
        """End it by a signal; answers the exit status once no process of it is left and nobody listens any more."""
        if self._ended:
            return int(self.process.returncode)
        doors = [self.address(name) for name in re.findall(r'listening on \S+ \(\w+, "([^"]+)"\)', self.stderr)]
        family = processes.descendants(self.pid)
        listeners = processes.listeners([self.pid, *family])
        if self.process.poll() is None:
            self.process.send_signal(number)
        status = self._wait(within_s)
        until(lambda: not [pid for pid in family if processes.alive(pid)], what="no process is left")
        assert not listeners & processes.listening(), "somebody still listens"
        for door in doors:
            assert not (isinstance(door, str) and os.path.exists(door)), f"{door} was left behind"
        return status

    def _wait(self, within_s: float) -> int:
        self._ended = True
        try:
            return self.process.wait(within_s)
        except subprocess.TimeoutExpired:
            self._kill()
            raise AssertionError(f"it did not end within {within_s:g} s:\n{self.stderr}") from None

    def _kill(self) -> None:
        for pid in (*processes.descendants(self.pid), self.pid):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        self.process.wait()
