"""How tests come in: to the daemon, and to HAProxy where the same is asked of it."""

import ssl

from tests.scenarios.harness.client import Address, Client, get, secured
from tests.scenarios.harness.stream import Message

__all__ = ["Doors"]


class Doors:
    """Whoever has listeners with names."""

    def address(self, name: str = "web") -> Address:
        """Of a listener."""
        raise NotImplementedError

    def connect(self, name: str = "web", *, source: str = "", receive_bytes: int = 0) -> Client:
        return Client(self.address(name), source=source, receive_bytes=receive_bytes)

    def connect_tls(
        self, server_name: str | None = None, context: ssl.SSLContext | None = None, *, name: str = "tls",
        session: ssl.SSLSession | None = None, source: str = "", receive_bytes: int = 0,
    ) -> Client:
        """The handshake is done; any certificate will do where `context` does not say otherwise."""
        client = self.connect(name, source=source, receive_bytes=receive_bytes)
        return secured(client, server_name, context, session)

    def shown(self, server_name: str | None = None, context: ssl.SSLContext | None = None, *, name: str = "tls") -> str:
        """The common name of the certificate that is shown to who asks for this name."""
        with self.connect_tls(server_name, context, name=name) as client:
            return client.tls.shown if client.tls else ""

    def ask(self, host: str, target: str = "/", **fields: str) -> Message:
        """One request without TLS, on a connection of its own."""
        return get(self.address(), target, host, **fields)

    def ask_tls(self, host: str, target: str = "/", *, server_name: str | None = "", name: str = "tls", **fields: str) -> Message:
        """The same inside TLS; asks for the certificate of the same name, or of another, or, with None, of none."""
        with self.connect_tls(host if server_name == "" else server_name, name=name) as client:
            return client.ask(target, host, **fields)
