"""A client made of the newest OpenSSL, that which the daemon itself brings: for what Python's own cannot do everywhere (post-quantum
groups, renegotiation)."""

import contextlib
from types import TracebackType

from OpenSSL import SSL

from tests.scenarios.harness.client import Address, Client

__all__ = ["NewestClient", "newest_hello"]


class NewestClient:
    """A TLS connection that checks nothing."""

    def __init__(self, address: Address, server_name: str, *, version: int = SSL.TLS1_3_VERSION, renegotiates: bool = False) -> None:
        self._client = Client(address)
        self._tls = _connection(server_name, version, renegotiates)
        try:
            self._do(self._tls.do_handshake)
        except (SSL.Error, OSError):
            self._client.close()
            raise

    @property
    def group(self) -> str:
        return str(self._tls.get_group_name())

    def send(self, data: bytes) -> None:
        self._do(lambda: self._tls.sendall(data))

    def recv(self) -> bytes:
        """b"": it is over, in whatever way."""
        try:
            return bytes(self._do(lambda: self._tls.recv(65536)))
        except (SSL.ZeroReturnError, SSL.SysCallError, SSL.Error, ConnectionError):
            return b""

    def renegotiate(self) -> bool:
        """Whether the other side lets us shake hands again."""
        done = self._tls.total_renegotiations()
        self._tls.renegotiate()
        try:
            self._do(self._tls.do_handshake)
        except (SSL.Error, EOFError, ConnectionError):
            return False
        return int(self._tls.total_renegotiations()) > done

    def _do(self, step):        # type: ignore[no-untyped-def]
        while True:
            try:
                done = step()
            except SSL.WantReadError:
                self._flush()
                got = self._client.sock.recv(65536)
                if not got:
                    raise EOFError("the other side ended") from None
                self._tls.bio_write(got)
                continue
            self._flush()
            return done

    def _flush(self) -> None:
        with contextlib.suppress(SSL.WantReadError):
            while True:
                self._client.send(self._tls.bio_read(65536))

    def __enter__(self) -> "NewestClient":
        return self

    def __exit__(self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None) -> None:
        self._client.close()


def newest_hello(server_name: str) -> bytes:
    """Its first flight: with a post-quantum key share, larger than a segment."""
    tls = _connection(server_name, SSL.TLS1_3_VERSION, False)
    with contextlib.suppress(SSL.WantReadError):
        tls.do_handshake()
    return bytes(tls.bio_read(65536))


def _connection(server_name: str, version: int, renegotiates: bool) -> SSL.Connection:
    context = SSL.Context(SSL.TLS_CLIENT_METHOD)
    context.set_max_proto_version(version)
    if renegotiates:
        context.set_options(0x00040000)          # SSL_OP_ALLOW_UNSAFE_LEGACY_RENEGOTIATION
    tls = SSL.Connection(context, None)
    tls.set_tlsext_host_name(server_name.encode())
    tls.set_connect_state()
    return tls
