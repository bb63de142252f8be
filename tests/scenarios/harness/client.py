"""A raw client."""

import socket
import ssl

from tests.scenarios.harness.stream import Message, Stream
from tests.scenarios.harness.tls import client_context

__all__ = ["Address", "Client", "get", "request_bytes", "secured"]

Address = tuple[str, int] | str                  # host and port, or a unix socket's path


class Client(Stream):
    """A connection to a listener."""

    def __init__(self, address: Address, *, source: str = "", receive_bytes: int = 0) -> None:
        """`source` is the local address to come from; `receive_bytes` makes the kernel's buffer small."""
        if isinstance(address, str):
            sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        else:
            sock = socket.socket(socket.AF_INET6 if ":" in address[0] else socket.AF_INET, socket.SOCK_STREAM)
        try:
            if receive_bytes:
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_bytes)
            if source:
                sock.bind((source, 0))
            super().__init__(sock)
            sock.connect(address)
        except OSError:
            sock.close()
            raise
        self.name = "" if isinstance(address, str) else _name(sock)      # as the daemon sees this client
        self.log_from = 0                        # where the access log ended before it came

    def ask(self, target: str = "/", host: str = "any.test", method: str = "GET", body: bytes = b"", **fields: str) -> Message:
        """One request and its answer. Fields are written with underscores for hyphens."""
        self.send(request_bytes(target, host, method, body, **fields))
        return self.answer(to_head=method == "HEAD")

    def __enter__(self) -> "Client":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def _name(sock: socket.socket) -> str:
    host, port, *_ = sock.getsockname()
    return f"{host}:{port}"


def secured(
    client: Client, server_name: str | None = None, context: ssl.SSLContext | None = None, session: ssl.SSLSession | None = None
) -> Client:
    """The same client inside TLS; closed if the handshake fails."""
    try:
        client.start_tls(context or client_context(), server_name=server_name, session=session)
    except OSError:
        client.close()
        raise
    return client


def request_bytes(target: str = "/", host: str = "any.test", method: str = "GET", body: bytes = b"", **fields: str) -> bytes:
    lines = [f"{method} {target} HTTP/1.1", f"Host: {host}"]
    lines += [f"{name.replace('_', '-')}: {value}" for name, value in fields.items()]
    if body or method in ("POST", "PUT", "PATCH"):
        lines.append(f"Content-Length: {len(body)}")
    return "\r\n".join([*lines, "", ""]).encode("latin-1") + body


def get(address: Address, target: str = "/", host: str = "any.test", **fields: str) -> Message:
    """One request on a connection of its own."""
    with Client(address) as client:
        return client.ask(target, host, **fields)
