"""Proxies at work: started on a site, asked whether they are ready, and ended."""

import contextlib
import os
import re
import signal
import socket
import ssl
import struct
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

from .machine import Cores, CpuGroup, family
from .setups import PREPARE, ProxyError, program
from .site import HOST, INNER, RSA, THROUGH, Ports, Site

START_S = 60.0


def version(kind: str) -> str:
    command = [sys.executable, "-m", "edged", "--version"] if kind == "edged" else [program(kind), "-v"]
    said = subprocess.run(command, capture_output=True, text=True, check=False)
    found = re.search(r"\d+\.\d+[\w.~+-]*", said.stdout + said.stderr)
    return f"{kind} {found.group()}" if found else kind


def free_ports(count: int) -> list[int]:
    """Ports that nobody has now."""
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [s.getsockname()[1] for s in sockets]
    for s in sockets:
        s.close()
    return ports


def started(command: list[str], log: Path, cores: Cores, group: CpuGroup | None) -> "subprocess.Popen[bytes]":
    """The process of a proxy, where the proxies run; what it says goes to the log."""

    def settle() -> None:
        if group:
            group.procs.write_text("0")
        if cores.proxy is not None:
            os.sched_setaffinity(0, {cores.proxy})

    with log.open("wb") as said:
        return subprocess.Popen(command, stdout=said, stderr=said, preexec_fn=settle, start_new_session=True)


def gets(connection: socket.socket, host: str, path: str = "/") -> bool:
    """Whether a request is answered well."""
    connection.sendall(f"GET {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n".encode())
    return connection.recv(65536).startswith(b"HTTP/1.1 200 ")


class Running:
    """A proxy at work on one site. `kind` is its program, `label` its name in the table."""

    def __init__(self, label: str, folder: Path, site: Site, cores: Cores, group: CpuGroup | None) -> None:
        self.label = label
        self.kind = label.partition("@")[0]
        self.site = site
        self.ports = Ports(*free_ports(4))
        folder.mkdir(parents=True)
        self.log = folder / "output.log"
        command = PREPARE[self.kind](folder, site, self.ports)

        self.process = started(command, self.log, cores, group)
        with contextlib.ExitStack() as undo:
            undo.callback(self.stop)
            self.wait_ready()
            undo.pop_all()

    def wait_ready(self) -> None:
        end = time.monotonic() + START_S
        last = self.site.host(self.site.routes - 1)
        while time.monotonic() < end:
            if self.process.poll() is not None:
                raise ProxyError(f"{self.label} ended with status {self.process.returncode}: {self.log.read_text()[-2000:]}")
            if all(self.answers(host) for host in (self.site.host(0), last)) and (not self.site.certificates or self.answers_tls()):
                return
            time.sleep(0.05)
        raise ProxyError(f"{self.label} does not serve {last} after {START_S:.0f} s: {self.log.read_text()[-2000:]}")

    def answers(self, host: str) -> bool:
        try:
            with socket.create_connection(("127.0.0.1", self.ports.http), timeout=2) as connection:
                return gets(connection, host)
        except OSError:
            return False

    @contextlib.contextmanager
    def shake(self, host: str) -> Iterator[ssl.SSLSocket]:
        """TLS with who has the certificate for this host. Raises OSError."""
        assert self.site.certificates
        context = ssl.create_default_context(cafile=self.site.certificates.authority)
        with socket.create_connection(("127.0.0.1", self.ports.https), timeout=2) as plain, \
                context.wrap_socket(plain, server_hostname=host) as connection:
            yield connection

    def shows(self, host: str) -> bool:
        """Whether the certificate for this host is there."""
        try:
            with self.shake(host):
                return True
        except OSError:
            return False

    def answers_tls(self) -> bool:
        """On every host, with the certificate that belongs there."""
        try:
            for host in (HOST, RSA, INNER):
                with self.shake(host) as connection:
                    if not gets(connection, host):
                        return False
            return self.passes_through()
        except OSError:
            return False

    def passes_through(self) -> bool:
        """The backend answers a message of its TCP service that follows a hello."""
        written = ssl.MemoryBIO()
        with contextlib.suppress(ssl.SSLWantReadError):
            ssl.create_default_context().wrap_bio(ssl.MemoryBIO(), written, server_hostname=THROUGH).do_handshake()
        with socket.create_connection(("127.0.0.1", self.ports.hello), timeout=2) as connection:
            connection.sendall(written.read() + struct.pack("=Q56x", 1))
            return connection.recv(1) != b""

    def pids(self) -> list[int]:
        return family(self.process.pid)

    def stop(self) -> None:
        """At once: nobody is served any more. What outlives its parent is ended by its session."""
        for number in (signal.SIGINT, signal.SIGKILL):
            if self.process.poll() is not None:
                break
            self.process.send_signal(number)
            try:
                self.process.wait(5)
            except subprocess.TimeoutExpired:
                os.killpg(self.process.pid, signal.SIGKILL)
