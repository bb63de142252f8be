"""Backends that play a script: one plain thread for each connection, so that every byte and every pause is the script's own.

A script is a function that is given the connection:

    def resets_in_the_head(peer):
        peer.request()
        peer.send(b"HTTP/1.1 200 OK\\r\\nContent-")
        peer.reset()
"""

import contextlib
import errno
import json
import socket
import ssl
import threading
from collections.abc import Callable

from tests.scenarios.harness.stream import WAIT_S, Message, Stream

__all__ = ["Backend", "Gate", "Peer", "Refusing", "Script", "answer_bytes", "echoes", "over_tls", "tells_requests"]


class Gate:
    """Where a script waits until the test lets it through."""

    def __init__(self) -> None:
        self._open = threading.Event()
        self._somebody = threading.Event()

    def pass_(self) -> None:
        self._somebody.set()
        assert self._open.wait(WAIT_S), "nobody opened the gate"

    def wait_for_somebody(self) -> None:
        assert self._somebody.wait(WAIT_S), "nobody came to the gate"

    def open(self) -> None:
        self._open.set()


class Peer(Stream):
    """A connection as a backend's script sees it."""

    def __init__(self, sock: socket.socket, number: int) -> None:
        super().__init__(sock)
        self.number = number                     # in the order of coming, from 0
        self.requests: list[Message] = []
        self.over = threading.Event()            # the script has ended, and the connection with it

    def request(self) -> Message:
        request = super().request()
        self.requests.append(request)
        return request

    def reply(self, body: bytes = b"", status: str = "200 OK", **fields: str) -> None:
        self.send(answer_bytes(body, status, **fields))


Script = Callable[[Peer], None]


def answer_bytes(body: bytes = b"", status: str = "200 OK", **fields: str) -> bytes:
    lines = [f"HTTP/1.1 {status}", f"Content-Length: {len(body)}"]
    lines += [f"{name.replace('_', '-')}: {value}" for name, value in fields.items()]
    return "\r\n".join([*lines, "", ""]).encode("latin-1") + body


def tells_requests(peer: Peer) -> None:
    """The usual backend: answers each request with what it was, as JSON, as long as the connection lives."""
    while True:
        request = peer.request()
        told = {
            "method": request.method, "target": request.target, "fields": request.fields, "length": len(request.body),
            "sha256": request.sha256, "trailers": request.trailers, "connection": peer.number,
        }
        body = json.dumps(told).encode()
        peer.send(answer_bytes(body, Content_Type="application/json")[: None if request.method != "HEAD" else -len(body)])


def echoes(peer: Peer) -> None:
    """Sends back whatever comes, until the other side's end."""
    while data := peer.sock.recv(1 << 20):
        peer.send(data)


def over_tls(context: ssl.SSLContext, script: Script = tells_requests) -> Script:
    """The same script inside TLS."""
    def play(peer: Peer) -> None:
        peer.start_tls(context, server_side=True)
        script(peer)

    return play


class Backend:
    """Listens; connection n plays script n, and all further ones the last. A script that fails is raised by `stop`."""

    def __init__(
        self, *scripts: Script, host: str = "127.0.0.1", path: str = "", backlog: int = 256, bound: socket.socket | None = None
    ) -> None:
        self._scripts = scripts or (tells_requests,)
        self._listener = bound or _bind(host, path)
        self.address = _address(self._listener)
        self._listener.listen(backlog)
        self.peers: list[Peer] = []              # every connection that ever came
        self._failures: list[BaseException] = []
        self._stopping = False
        self._threads = [threading.Thread(target=self._accept, name=f"backend {self.address}", daemon=True)]
        self._threads[0].start()

    @property
    def requests(self) -> list[Message]:
        """All that was ever asked, connection by connection."""
        return [request for peer in self.peers for request in peer.requests]

    def hang_up(self) -> None:
        """End all connections; new ones are still accepted."""
        for peer in self.peers:
            with contextlib.suppress(OSError):
                peer.sock.shutdown(socket.SHUT_RDWR)

    def stop(self) -> None:
        """Stop listening and end all connections; raises what a script raised."""
        self._stopping = True
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)    # wakes the thread that accepts
        self._listener.close()
        self.hang_up()
        for thread in self._threads:
            thread.join(WAIT_S)
            assert not thread.is_alive(), f"{thread.name} does not end"
        if self._failures:
            raise self._failures[0]

    def _accept(self) -> None:
        while not self._stopping:
            try:
                sock, _ = self._listener.accept()
            except OSError as why:
                if why.errno in (errno.EINVAL, errno.EBADF):     # stopped
                    return
                raise
            peer = Peer(sock, len(self.peers))
            self.peers.append(peer)
            thread = threading.Thread(target=self._play, args=(peer,), name=f"connection {peer.number} of {self.address}", daemon=True)
            self._threads.append(thread)
            thread.start()

    def _play(self, peer: Peer) -> None:
        script = self._scripts[min(peer.number, len(self._scripts) - 1)]
        try:
            script(peer)
        except (OSError, EOFError) as why:
            # The other side left: what that means is for the test to see. Only waiting in vain is a failure.
            if isinstance(why, TimeoutError) and not self._stopping:
                self._failures.append(why)
        except AssertionError as why:
            if not self._stopping:
                self._failures.append(why)
        finally:
            peer.close()
            peer.over.set()


def _bind(host: str, path: str) -> socket.socket:
    if path:
        sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        sock.bind(path)
        return sock
    sock = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, socket.SOCK_STREAM)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    sock.bind((host, 0))
    return sock


def _address(sock: socket.socket) -> str:
    """As a route file writes it."""
    name = sock.getsockname()
    if isinstance(name, str):
        return f"unix:{name}"
    return f"[{name[0]}]:{name[1]}" if ":" in name[0] else f"{name[0]}:{name[1]}"


class Refusing:
    """An address where nobody listens, kept for as long as this lives so that nobody else can."""

    def __init__(self) -> None:
        self._sock = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        self._sock.bind(("127.0.0.1", 0))
        self.address = f"127.0.0.1:{self._sock.getsockname()[1]}"

    def listen(self, *scripts: Script) -> "Backend":
        """Somebody does, from now on."""
        return Backend(*scripts, bound=self._sock)

    def stop(self) -> None:
        self._sock.close()
