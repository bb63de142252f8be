"""Programs that others wrote, as peers: each in a directory of its own, ended with the test."""

import contextlib
import os
import re
import shutil
import socket
import subprocess
from collections.abc import Sequence
from pathlib import Path

from tests.scenarios.harness.until import until

__all__ = ["Program", "curl", "free_port", "haproxy", "load", "nginx", "s_client", "tool"]

PATH = f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin"
END_S = 10.0


def tool(name: str) -> str:
    """Where a program is; the workshop installs all that are used here."""
    found = shutil.which(name, path=PATH)
    assert found, f"{name} is not installed: make test does that"
    return found


def load(url: str, *, connections: int, seconds: int, host: str = "") -> int:
    """The number of requests that were answered, each by 2xx or 3xx: any error fails. wrk, or h2load where nobody packages wrk (Fedora)."""
    if shutil.which("wrk", path=PATH):
        named = ["-H", f"Host: {host}"] if host else []
        words = [tool("wrk"), "-t1", f"-c{connections}", f"-d{seconds}s", *named, url]
        answered, trouble = r"(\d+) requests in", r"Socket errors|Non-2xx"
    else:
        named = ["-H", f":authority: {host}"] if host else []
        words = [tool("h2load"), "--h1", "-t1", f"-c{connections}", f"-D{seconds}", *named, url]
        answered, trouble = r"(\d+) succeeded", r"[1-9]\d* (failed|errored|timeout|4xx|5xx)"
    told = subprocess.run(words, capture_output=True, text=True, check=True).stdout
    assert not re.search(trouble, told), told
    found = re.search(answered, told)
    assert found, told
    return int(found[1])


class Program:
    """A running program."""

    def __init__(self, words: Sequence[str], directory: Path, ports: Sequence[tuple[str, int]]) -> None:
        """Returns when it accepts on all of these."""
        self.directory = directory
        self.output = directory / "output"
        with self.output.open("wb") as output:
            self.process = subprocess.Popen(words, cwd=directory, stdin=subprocess.DEVNULL, stdout=output, stderr=output)
        for address in ports:
            until(lambda address=address: self._accepts(address), what=f"{words[0]} accepts on {address}")

    def _accepts(self, address: tuple[str, int]) -> bool:
        assert self.process.poll() is None, self.output.read_text()
        with contextlib.suppress(OSError):
            socket.create_connection(address, 1).close()
            return True
        return False

    def stop(self) -> None:
        self.process.terminate()
        try:
            self.process.wait(END_S)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()


def nginx(directory: Path, server: str) -> Program:
    """nginx with these lines in its one server block, which says itself where to listen: "listen 127.0.0.1:PORT;"."""
    directory.mkdir(parents=True, exist_ok=True)
    ports = [line.split()[1].rstrip(";") for line in server.splitlines() if line.strip().startswith("listen")]
    (directory / "nginx.conf").write_text(f"""
        daemon off; master_process off; error_log stderr; pid nginx.pid;
        events {{ worker_connections 1024; }}
        http {{
            access_log off; keepalive_requests 1000000; client_max_body_size 0;
            client_body_temp_path body; proxy_temp_path proxy; fastcgi_temp_path fastcgi; uwsgi_temp_path uwsgi; scgi_temp_path scgi;
            server {{ {server} }}
        }}""")
    words = [tool("nginx"), "-p", str(directory), "-c", "nginx.conf", "-e", "stderr"]
    return Program(words, directory, [_pair(port) for port in ports])


def haproxy(directory: Path, sections: str, ports: Sequence[int]) -> Program:
    """HAProxy with these sections, which bind these ports of 127.0.0.1."""
    directory.mkdir(parents=True, exist_ok=True)
    (directory / "haproxy.cfg").write_text(f"""
defaults
    mode http
    timeout connect 5s
    timeout client 30s
    timeout server 30s
{sections}
""")
    words = [tool("haproxy"), "-db", "-f", str(directory / "haproxy.cfg")]
    return Program(words, directory, [("127.0.0.1", port) for port in ports])


def curl(*words: str, stdin: bytes = b"") -> bytes:
    """What curl writes; it must succeed."""
    done = subprocess.run([tool("curl"), "-sS", "--noproxy", "*", "-m", "60", *words], input=stdin, capture_output=True, check=False)
    assert done.returncode == 0, done.stderr.decode()
    return done.stdout


def s_client(address: tuple[str, int] | str, *words: str, stdin: bytes = b"") -> str:
    """What openssl's own client tells; whether it was content is for the test to see."""
    where = "{}:{}".format(*address)
    line = [tool("openssl"), "s_client", "-connect", where, *words]
    told = subprocess.run(line, input=stdin, capture_output=True, timeout=60, check=False)
    return told.stdout.decode(errors="replace") + told.stderr.decode(errors="replace")


def free_port(host: str = "127.0.0.1") -> int:
    """For programs that cannot be told to take any."""
    with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, socket.SOCK_STREAM) as sock:
        sock.bind((host, 0))
        return int(sock.getsockname()[1])


def _pair(address: str) -> tuple[str, int]:
    host, _, port = address.rpartition(":")
    return host.strip("[]"), int(port)
