"""A host of a test's own on a daemon that many tests share."""

from typing import Any

from tests.scenarios.harness.backend import Backend
from tests.scenarios.harness.client import Client, request_bytes
from tests.scenarios.harness.daemon import Daemon
from tests.scenarios.harness.stream import Message

__all__ = ["Site"]


class Site:
    def __init__(self, daemon: Daemon, host: str, backends: list[Backend]) -> None:
        self.daemon = daemon
        self.host = host
        self.backends = backends
        self._clients: list[Client] = []

    @property
    def backend(self) -> Backend:
        return self.backends[0]

    def connect(self, **options: Any) -> Client:
        """A client; closed at the end of the test, whatever happens."""
        client = self.daemon.connect(**options)
        self._clients.append(client)
        return client

    def ask(self, target: str = "/", **fields: str) -> Message:
        """One request on a connection of its own."""
        with self.daemon.connect() as client:
            return client.ask(target, self.host, **fields)

    def request(self, target: str = "/", method: str = "GET", body: bytes = b"", **fields: str) -> bytes:
        return request_bytes(target, self.host, method, body, **fields)

    def line(self, client: Client) -> str:
        """The access line of what this client did last."""
        return self.daemon.line_of(client)

    def close(self) -> None:
        for client in self._clients:
            client.close()
