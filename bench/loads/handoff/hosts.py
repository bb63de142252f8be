"""The servers behind the proxy that check what they receive, and send what can be checked.

HTTP: POST /SEED has a body that is checked, GET /SEED/BYTES/MS one that is sent in pieces with so many milliseconds between them, GET
/SEED with an upgrade becomes a tunnel. TCP, plain or over TLS: eight bytes tell the seed, the rest is a tunnel.
"""

import base64
import contextlib
import hashlib
import ssl
import struct
from collections.abc import Awaitable, Callable, Mapping
from functools import partial
from pathlib import Path

import outcome
import trio

from .numbered import READ_BYTES, SILENCE_S, Closed, Garbled, Reader, check, end_frame, frame, numbered, receive_frames
from .tally import Tallies

__all__ = ["PIECE_BYTES", "SEED", "Hosts", "head_of", "receive_body", "say_until"]

SEED = struct.Struct("!Q")
PIECE_BYTES = 16384
TALK_BYTES = 512
TALK_S = 0.2                                     # between two frames

UPGRADED = b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Accept: %s\r\n\r\n"
WEBSOCKET = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"

Serve = Callable[[trio.abc.Stream, Reader], Awaitable[None]]


def head_of(head: bytes) -> tuple[list[str], dict[str, str]]:
    """The words of its first line; its fields by lower-case name."""
    first, *lines = head.decode("latin-1").rstrip("\r\n").split("\r\n")
    pairs = (line.partition(":") for line in lines)
    return first.split(" ", 2), {name.strip().lower(): value.strip() for name, _, value in pairs}


def accepted(key: str) -> bytes:
    """RFC 6455, 4.2.2."""
    return base64.b64encode(hashlib.sha1(f"{key}{WEBSOCKET}".encode()).digest())


async def receive_body(reader: Reader, fields: Mapping[str, str], seed: int) -> int:
    """Check a body, in whatever framing; answers its length. Raises Garbled, Closed."""
    at = 0
    if "chunked" in fields.get("transfer-encoding", ""):
        while (n := int(await reader.until(b"\r\n"), 16)):
            check(seed, at, await reader.exactly(n))
            at += n
            await reader.exactly(2)
        await reader.until(b"\r\n")
        return at
    left = int(fields.get("content-length", 0))
    while left:
        piece = await reader.some(min(left, READ_BYTES))
        check(seed, at, piece)
        at += len(piece)
        left -= len(piece)
    return at


async def say_until(over: trio.Event, stream: trio.abc.Stream, seed: int) -> None:
    """One side of a tunnel: frames without end, until `over`; then the frame that ends them. Where nobody listens any more, it is for
    the ear of this side to tell why."""
    at = 0
    with contextlib.suppress(trio.BrokenResourceError, trio.ClosedResourceError):
        while not over.is_set():
            await stream.send_all(frame(seed, at, TALK_BYTES))
            at += TALK_BYTES
            with trio.move_on_after(TALK_S):
                await over.wait()
        await stream.send_all(end_frame(at))


class Hosts:
    """Serving from `start` on. What goes wrong on this side is told in `tallies`, by the kind of server."""

    def __init__(self, tallies: Tallies) -> None:
        self._tallies = tallies

    async def start(self, certificate: Path, nursery: trio.Nursery) -> dict[str, int]:
        """The ports by service: http, tcp, through."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate)
        serves: dict[str, Serve] = {"http": self._http, "tcp": self._tcp, "through": self._tcp}
        ports = {}
        for service, serve in serves.items():
            (listener,) = await trio.open_tcp_listeners(0, host="127.0.0.1", backlog=1024)
            ports[service] = listener.socket.getsockname()[1]
            accept = partial(self._accept, f"server {service}", serve, context if service == "through" else None)
            nursery.start_soon(trio.serve_listeners, accept, [listener])
        return ports

    async def _accept(self, kind: str, serve: Serve, context: ssl.SSLContext | None, plain: trio.SocketStream) -> None:
        stream = trio.SSLStream(plain, context, server_side=True, https_compatible=True) if context else plain
        try:
            await serve(stream, Reader(stream))
        except Garbled as why:
            self._tallies.of(kind).fault("garbled", why)
        except (Closed, OSError, trio.BrokenResourceError, trio.TooSlowError):
            pass                                 # the client's side of it is what counts
        finally:
            with trio.move_on_after(1, shield=True):
                await trio.aclose_forcefully(plain)

    async def _http(self, stream: trio.abc.Stream, reader: Reader) -> None:
        while not await reader.at_end():
            (method, target, _), fields = head_of(await reader.until(b"\r\n\r\n"))
            seed, *more = map(int, target.strip("/").split("/"))
            if "upgrade" in fields:
                await stream.send_all(UPGRADED % accepted(fields["sec-websocket-key"]))
                return await self._tunnel(stream, reader, seed)
            if method == "POST":
                said = str(await receive_body(reader, fields, seed)).encode()
                await stream.send_all(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s" % (len(said), said))
            else:
                n, pause_ms = more
                await self._send_slowly(stream, seed, n, pause_ms / 1000)

    async def _send_slowly(self, stream: trio.abc.Stream, seed: int, n: int, pause_s: float) -> None:
        await stream.send_all(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % n)
        for at in range(0, n, PIECE_BYTES):
            await stream.send_all(numbered(seed, at, min(PIECE_BYTES, n - at)))
            await trio.sleep(pause_s)

    async def _tcp(self, stream: trio.abc.Stream, reader: Reader) -> None:
        (seed,) = SEED.unpack(await reader.exactly(SEED.size))
        await self._tunnel(stream, reader, seed)

    async def _tunnel(self, stream: trio.abc.Stream, reader: Reader, seed: int) -> None:
        """It speaks as long as the client does."""
        over = trio.Event()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(say_until, over, stream, seed + 1)
            heard = await outcome.acapture(receive_frames, reader, seed)
            over.set()
        heard.unwrap()
        with trio.move_on_after(SILENCE_S):
            await reader.at_end()
