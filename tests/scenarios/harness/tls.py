"""TLS over a socket, with each step in the hands of the test: by Python's own ssl, whose library is not the one under test."""

import contextlib
import socket
import ssl
from collections.abc import Iterator, Sequence
from pathlib import Path

from tests.scenarios.harness.authority import Authority, Certified, common_name

__all__ = ["Tls", "client_context", "client_hello", "server_context"]

READ_BYTES = 256 * 1024
LOWEST = ssl.TLSVersion.TLSv1


class Tls:
    """A TLS layer between a stream and its socket. Nothing is read or sent but when a method says so."""

    def __init__(
        self, sock: socket.socket, context: ssl.SSLContext, *, server_side: bool = False, server_name: str | None = None,
        session: ssl.SSLSession | None = None, first: bytes = b"",
    ) -> None:
        """`first` was already read from the socket."""
        self._sock = sock
        self._in, self._out = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._in.write(first)
        self.object = context.wrap_bio(self._in, self._out, server_side, server_name, session)

    def handshake(self) -> None:
        """Raises ssl.SSLError when it fails, on our side or, by an alert, on the other."""
        while True:
            try:
                self.object.do_handshake()
            except ssl.SSLWantReadError:
                self._flush()
                self._fill()
                continue
            except ssl.SSLError:
                with contextlib.suppress(OSError):
                    self._flush()                # the alert that tells the other side why
                raise
            return self._flush()

    def send(self, data: bytes) -> None:
        for at in range(0, len(data), 1 << 20):
            self.object.write(data[at:at + (1 << 20)])
            self._flush()

    def recv(self) -> bytes:
        """b"": the other side has said that it says no more. ssl.SSLEOFError: it was cut off without a word."""
        while True:
            try:
                return self.object.read(READ_BYTES)
            except ssl.SSLWantReadError:
                self._flush()                    # an answer to what was no data
                self._fill()
            except ssl.SSLZeroReturnError:
                return b""

    def say_closed(self) -> None:
        """close_notify; the other side may still speak. All data that already came must have been read."""
        with contextlib.suppress(ssl.SSLWantReadError, ssl.SSLSyscallError):
            self.object.unwrap()
        self._flush()

    # what was agreed

    @property
    def version(self) -> str:
        return self.object.version() or ""

    @property
    def cipher(self) -> str:
        agreed = self.object.cipher()
        assert agreed is not None
        return agreed[0]

    @property
    def alpn(self) -> str | None:
        return self.object.selected_alpn_protocol()

    @property
    def shown(self) -> str:
        """The common name of the certificate that the other side has shown; "": none."""
        der = self.object.getpeercert(binary_form=True)
        return common_name(der) if der else ""

    @property
    def resumed(self) -> bool:
        return bool(self.object.session_reused)

    @property
    def session(self) -> ssl.SSLSession | None:
        return self.object.session

    def _flush(self) -> None:
        if self._out.pending:
            self._sock.sendall(self._out.read())

    def _fill(self) -> None:
        got = self._sock.recv(READ_BYTES)
        if got:
            self._in.write(got)
        else:
            self._in.write_eof()


def client_context(
    trusted: Authority | None = None, *, lowest: ssl.TLSVersion = LOWEST, highest: ssl.TLSVersion = ssl.TLSVersion.TLSv1_3,
    alpn: Sequence[str] = (), ciphers: str = "DEFAULT:@SECLEVEL=0", identity: Certified | None = None, folder: Path | None = None,
) -> ssl.SSLContext:
    """`trusted` None: any certificate will do. `identity` is shown when the server asks; `folder` is where its files may lie."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    if trusted is not None:
        context.load_verify_locations(cadata=trusted.pem)
        context.verify_mode = ssl.CERT_REQUIRED
        context.check_hostname = True
    context.set_ciphers(ciphers)
    with _old_versions():
        context.minimum_version = lowest
        context.maximum_version = highest
    if alpn:
        context.set_alpn_protocols(list(alpn))
    if identity is not None:
        assert folder is not None
        context.load_cert_chain(*identity.write(folder))
    return context


def server_context(
    shown: Certified, folder: Path, *, clients: Authority | None = None, highest: ssl.TLSVersion = ssl.TLSVersion.TLSv1_3,
    lowest: ssl.TLSVersion = ssl.TLSVersion.TLSv1_2,
) -> ssl.SSLContext:
    """Of an endpoint. `clients`: it wants certificates of theirs."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*shown.write(folder))
    context.minimum_version = lowest
    context.maximum_version = highest
    if clients is not None:
        context.load_verify_locations(cadata=clients.pem)
        context.verify_mode = ssl.CERT_REQUIRED
    return context


def client_hello(context: ssl.SSLContext | None = None, server_name: str | None = None) -> bytes:
    """The first flight of a client, as a record."""
    out = ssl.MemoryBIO()
    hello = (context or client_context()).wrap_bio(ssl.MemoryBIO(), out, server_hostname=server_name)
    with contextlib.suppress(ssl.SSLWantReadError):
        hello.do_handshake()
    return out.read()


@contextlib.contextmanager
def _old_versions() -> Iterator[None]:
    """Those that Python warns of are wanted here."""
    import warnings

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        yield
