"""A supervisor with fake children, and waiting for what it does."""

import contextlib
import os
import re
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PATIENCE_S = 20.0


def wait_for(what, told="it"):
    """The first true answer of `what`; a test must not hang, nor sleep blindly."""
    until_s = time.monotonic() + PATIENCE_S
    while time.monotonic() < until_s:
        answer = what()
        if answer:
            return answer
        time.sleep(0.005)
    raise AssertionError(f"{told} did not happen")


class Daemon:
    """It runs in a process of its own, steered through files in `fakes`."""

    def __init__(self, directory, settings, environ):
        self.fakes = directory / "fakes"
        self.fakes.mkdir(exist_ok=True)
        self.config = directory / "edged.toml"
        self.config.write_text(
            settings + f'[run]\nstate_dir = "{directory}/state"\nruntime_dir = "{directory}/run"\n' * ("[run]" not in settings)
        )
        self._stderr = directory / "stderr"
        path = os.pathsep.join([*filter(None, [os.environ.get("PYTHONPATH")]), str(ROOT)])
        with open(self._stderr, "wb") as stderr:
            self.process = subprocess.Popen(
                [sys.executable, str(ROOT / "tests/fakes/supervised.py"), "--config", str(self.config)], stderr=stderr,
                env=os.environ | {"FAKES": str(self.fakes), "PYTHONPATH": path} | environ,
            )

    def lines(self):
        return self._stderr.read_text().splitlines()

    def said(self, pattern):
        return wait_for(lambda: next((m for line in self.lines() if (m := re.search(pattern, line))), None), f"the line {pattern!r}")

    def ready(self):
        self.said(r"^edged: ready in \d+ ms")
        return self

    def port(self):
        return int(self.said(r"listening on 127\.0\.0\.1:(\d+)")[1])

    def children(self):
        """Process id by name, as the kernel shows it."""
        found = {}
        for task in Path(f"/proc/{self.process.pid}/task").iterdir():
            for pid in (task / "children").read_text().split():
                with contextlib.suppress(OSError):
                    found[Path(f"/proc/{pid}/comm").read_text().strip()] = int(pid)
        return found

    def ask(self):
        """Connect; which worker answered, on which slot's socket, its process, and the control that it knows."""
        with socket.create_connection(("127.0.0.1", self.port()), timeout=PATIENCE_S) as s:
            name, slot, pid, told_by = s.makefile().read().split()
            return name, int(slot), int(pid), int(told_by)

    def send(self, number):
        self.process.send_signal(number)

    def end(self, number=signal.SIGTERM):
        self.send(number)
        return self.process.wait(PATIENCE_S)

    def hold(self, name):
        (self.fakes / f"hold-{name}").touch()

    def release(self, name):
        (self.fakes / f"hold-{name}").unlink()
