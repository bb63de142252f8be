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
PATIENCE_S = 60.0


def wait_for(what, told="it"):
    """The first true answer of `what`; a test must not hang, nor sleep blindly."""
    until_s = time.monotonic() + PATIENCE_S
    while time.monotonic() < until_s:
        answer = what()
        if answer:
            return answer
        time.sleep(0.005)
    raise AssertionError(f"{told} did not happen")


def gone(pid):
    """It has ended, though nobody may have asked how."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] == "Z"
    except (FileNotFoundError, ProcessLookupError):      # also between the opening and the reading
        return True


# As a service manager starts it, which knows the process id and puts the descriptors from 3 on.
GIVEN = """
import fcntl, os, sys
copies = [fcntl.fcntl(int(word), fcntl.F_DUPFD, 900) for word in sys.argv[1].split()]
for number, fd in enumerate(copies):
    os.dup2(fd, 3 + number)
os.closerange(3 + len(copies), 65536)
os.environ["LISTEN_PID"] = str(os.getpid())
os.execv(sys.argv[2], sys.argv[2:])
"""


class Daemon:
    """It runs in a process of its own, steered through files in `fakes`."""

    def __init__(self, directory, settings, environ, given=()):
        """`given`: by a service manager, names and descriptors of sockets."""
        self.fakes = directory / "fakes"
        self.fakes.mkdir(exist_ok=True)
        self.config = directory / "edged.toml"
        self.config.write_text(
            settings + f'[run]\nstate_dir = "{directory}/state"\nruntime_dir = "{directory}/run"\n' * ("[run]" not in settings)
        )
        self._stderr = directory / "stderr"
        path = os.pathsep.join([*filter(None, [os.environ.get("PYTHONPATH")]), str(ROOT)])
        words = [sys.executable, str(ROOT / "tests/fakes/supervised.py"), "--config", str(self.config)]
        fds = [fd for _, fd in given]
        if given:
            environ = environ | {"LISTEN_FDS": str(len(fds)), "LISTEN_FDNAMES": ":".join(name for name, _ in given)}
            words = [sys.executable, "-c", GIVEN, " ".join(map(str, fds)), *words]
        with open(self._stderr, "wb") as stderr:
            self.process = subprocess.Popen(
                words, stderr=stderr, pass_fds=fds, env=os.environ | {"FAKES": str(self.fakes), "PYTHONPATH": path} | environ,
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
