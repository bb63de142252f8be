"""A connection as a test sees it, from either side: bytes in the order it wants them, and HTTP/1 messages read from them.

The reading is our own and plain, so that nothing of the daemon under test, nor of a forgiving library, stands between a test and
the wire."""

import hashlib
import socket
import ssl
import struct
from dataclasses import dataclass, field

from tests.scenarios.harness.tls import Tls

__all__ = ["Message", "Stream", "chunked"]

READ_BYTES = 256 * 1024
WAIT_S = 20.0                                    # for any single read or write


@dataclass
class Message:
    """A request or an answer that was read completely."""

    first: str                                   # its first line
    fields: list[tuple[str, str]]                # names in lower case, in their order
    body: bytes = b""
    trailers: list[tuple[str, str]] = field(default_factory=list)
    raw_head: bytes = b""

    @property
    def status(self) -> int:
        return int(self.first.split(" ", 2)[1])

    @property
    def method(self) -> str:
        return self.first.split(" ", 1)[0]

    @property
    def target(self) -> str:
        return self.first.split(" ")[1]

    def get(self, name: str) -> str | None:
        """The value of a field; several are joined. None: there is no such field."""
        values = self.all(name)
        return ", ".join(values) if values else None

    def all(self, name: str) -> list[str]:
        return [value for given, value in self.fields if given == name]

    @property
    def sha256(self) -> str:
        return hashlib.sha256(self.body).hexdigest()


class Stream:
    """A socket with what was read from it and not yet taken."""

    def __init__(self, sock: socket.socket) -> None:
        self.sock = sock
        self.tls: Tls | None = None
        self._unread = bytearray()
        self.ended = False                       # the other side has ended its direction
        sock.settimeout(WAIT_S)
        if sock.family in (socket.AF_INET, socket.AF_INET6):
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def start_tls(
        self, context: ssl.SSLContext, *, server_side: bool = False, server_name: str | None = None, session: ssl.SSLSession | None = None
    ) -> Tls:
        """From now on what is sent and read is inside TLS. Raises ssl.SSLError when the handshake fails."""
        first = self._cut(len(self._unread))
        tls = Tls(self.sock, context, server_side=server_side, server_name=server_name, session=session, first=first)
        tls.handshake()
        self.tls = tls
        return tls

    # bytes

    def send(self, data: bytes) -> None:
        if self.tls is not None:
            self.tls.send(data)
        else:
            self.sock.sendall(data)

    def take(self, n: int) -> bytes:
        """Exactly n bytes."""
        while len(self._unread) < n:
            self._more(f"{n} bytes")
        return self._cut(n)

    def take_until(self, end: bytes) -> bytes:
        """All up to `end`, which is included."""
        looked = 0
        while (at := self._unread.find(end, max(looked - len(end) + 1, 0))) < 0:
            looked = len(self._unread)
            self._more(f"{end!r}")
        return self._cut(at + len(end))

    def rest(self) -> bytes:
        """All that still comes until the other side ends its direction; a reset raises ConnectionResetError, and inside TLS
        an end without close_notify ssl.SSLEOFError."""
        while not self.ended:
            self._read()
        return self._cut(len(self._unread))

    def until_gone(self) -> bytes:
        """All that still comes until the connection is over in either way."""
        try:
            return self.rest()
        except (ConnectionResetError, BrokenPipeError, ssl.SSLEOFError):
            return self._cut(len(self._unread))

    def silent_s(self, seconds: float) -> bool:
        """Nothing comes for so long, not even an end. For what must not happen; never to pass the time."""
        self.sock.settimeout(seconds)
        try:
            return not self._unread and not self._read()
        except TimeoutError:
            return True
        finally:
            self.sock.settimeout(WAIT_S)

    def _more(self, wanted: str) -> None:
        if self.ended:
            raise EOFError(f"the other side ended where {wanted} was expected; what came: {bytes(self._unread[-400:])!r}")
        self._read()

    def _read(self) -> bool:
        got = self.sock.recv(READ_BYTES) if self.tls is None else self.tls.recv()
        self._unread += got
        self.ended = not got
        return True

    def _cut(self, n: int) -> bytes:
        taken = bytes(self._unread[:n])
        del self._unread[:n]
        return taken

    # the end

    def half_close(self) -> None:
        """We say no more. Inside TLS by close_notify alone; the connection under it stays as it is."""
        if self.tls is not None:
            self.tls.say_closed()
        else:
            self.sock.shutdown(socket.SHUT_WR)

    def close(self) -> None:
        self.sock.close()

    def reset(self) -> None:
        """End it with RST."""
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.sock.close()

    # messages

    def head(self) -> Message:
        """The head of a message; the body stays unread."""
        raw = self.take_until(b"\r\n\r\n")
        first, *lines = raw[:-4].decode("latin-1").split("\r\n")
        return Message(first, [_field(line) for line in lines], raw_head=raw)

    def request(self) -> Message:
        """A whole request."""
        request = self.head()
        if "chunked" in (request.get("transfer-encoding") or ""):
            request.body, request.trailers = self.chunks()
        else:
            request.body = self.take(int(request.get("content-length") or 0))
        return request

    def answer(self, *, to_head: bool = False, interim: bool = False) -> Message:
        """A whole answer. Interim ones are passed over unless `interim`."""
        answer = self.head()
        if answer.status < 200 and answer.status != 101:
            return answer if interim else self.answer(to_head=to_head)
        if to_head or answer.status in (101, 204, 304):
            return answer
        if "chunked" in (answer.get("transfer-encoding") or ""):
            answer.body, answer.trailers = self.chunks()
        elif (length := answer.get("content-length")) is not None:
            answer.body = self.take(int(length))
        else:
            answer.body = self.rest()
        return answer

    def chunks(self) -> tuple[bytes, list[tuple[str, str]]]:
        """A chunked body and its trailers; anything but strict coding is an error."""
        parts = []
        while size := int(self.take_until(b"\r\n")[:-2], 16):
            parts.append(self.take(size))
            assert self.take(2) == b"\r\n"
        trailers = []
        while (line := self.take_until(b"\r\n")[:-2]):
            trailers.append(_field(line.decode("latin-1")))
        return b"".join(parts), trailers


def chunked(*parts: bytes, trailers: str = "") -> bytes:
    """A chunked body. `trailers` are whole lines, each with its CRLF."""
    coded = b"".join(b"%x\r\n%b\r\n" % (len(part), part) for part in parts)
    return coded + b"0\r\n" + trailers.encode() + b"\r\n"


def _field(line: str) -> tuple[str, str]:
    name, colon, value = line.partition(":")
    assert colon, f"no field: {line!r}"
    return name.lower(), value.strip(" \t")
