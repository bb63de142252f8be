"""The clients whose every byte is checked. Each kind of visit is made again and again until it is over; what goes wrong is tallied."""

import contextlib
import itertools
import math
import random
import ssl
from collections.abc import AsyncIterator, Callable, Coroutine
from dataclasses import dataclass
from functools import partial
from typing import Any

import outcome
import trio

from .hosts import PIECE_BYTES, SEED, head_of, receive_body, say_until
from .numbered import SILENCE_S, Closed, Garbled, Reader, numbered, receive_frames
from .tally import Tallies, Tally, Unanswered, name_of

__all__ = ["KINDS", "TUNNELS", "Doors", "Plan", "Visitors"]

PAUSE_S = 0.1                                    # between two pieces of what is slow, and after what went wrong
BRIEF_S = 3.0                                    # the life of the shortest tunnel, and of those that must end with their generation


@dataclass(frozen=True)
class Doors:
    """The ports of the proxy on 127.0.0.1; `host` is routed to the servers that check, `through` passed through to theirs."""

    http: int
    https: int
    tcp: int
    through_port: int
    host: str
    through: str


@dataclass(frozen=True)
class Plan:
    """How many clients of each kind come at once, and what they do."""

    doors: Doors
    clients: dict[str, int]
    body_bytes: int = 400_000                    # at PIECE_BYTES in PAUSE_S
    seconds: float = 120.0                       # about how long it will last: tunnels live from BRIEF_S to that


class Wrong(Exception):
    """An answer that is none."""


WRONG = (Wrong, Closed, Garbled, Unanswered, ValueError, OSError, trio.BrokenResourceError, trio.TooSlowError)


@dataclass
class Connection:
    """`begun`: something of the answer that is waited for has come."""

    stream: trio.abc.Stream
    reader: Reader
    begun: bool = False

    async def answer(self, seed: int) -> tuple[int, dict[str, str]]:
        """Check one; answers how long its body was. `seed` 0: its body is a number, which is answered. Raises Wrong, Closed, Unanswered."""
        self.begun = False
        if await self.reader.at_end():
            raise Unanswered("no answer came")
        self.begun = True
        words, fields = head_of(await self.reader.until(b"\r\n\r\n"))
        if words[1] == "101":
            return 0, fields
        if words[1] != "200":
            raise Wrong(" ".join(words))
        if seed:
            return await receive_body(self.reader, fields, seed), fields
        return int(await self.reader.exactly(int(fields["content-length"]))), fields


class Visitors:
    """All of a plan. `begun` is set when each has been served once, or has failed."""

    def __init__(self, plan: Plan, tallies: Tallies) -> None:
        self._plan = plan
        self._tallies = tallies
        self._over = trio.Event()
        self._seeds = itertools.count(2, 2)      # a tunnel takes two
        self._unserved = {(kind, number) for kind, count in plan.clients.items() for number in range(count)}
        self._trust = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        self._trust.check_hostname = False
        self._trust.verify_mode = ssl.CERT_NONE
        self.begun = trio.Event()

    def end(self) -> None:
        """What runs is finished; nothing more is begun."""
        self._over.set()

    async def run(self) -> None:
        async with trio.open_nursery() as nursery:
            for kind, count in self._plan.clients.items():
                for number in range(count):
                    nursery.start_soon(self._come, kind, number)

    async def _come(self, kind: str, number: int) -> None:
        tally, served = self._tallies.of(kind), partial(self._served, kind, number)
        while not self._over.is_set():
            visit = Visit(self._plan, tally, self._trust, next(self._seeds), self._over, kind.endswith(" tls"), number, served)
            await visit.make(KINDS[kind.removesuffix(" tls")])

    def _served(self, kind: str, number: int) -> None:
        self._unserved.discard((kind, number))
        if not self._unserved:
            self.begun.set()


class Visit:
    def __init__(
        self, plan: Plan, tally: Tally, trust: ssl.SSLContext, seed: int, over: trio.Event, tls: bool, number: int,
        served: Callable[[], None],
    ) -> None:
        self._plan = plan
        self._tally = tally
        self._trust = trust
        self._seed = seed
        self._over = over
        self._tls = tls
        self._number = number
        self._served = served
        self._at: Connection | None = None

    async def make(self, kind: "Kind") -> None:
        try:
            await kind(self)
        except WRONG as why:
            begun = self._at is not None and self._at.begun
            self._tally.fault("status" if isinstance(why, Wrong) else name_of(why, begun), why)
            await trio.sleep(PAUSE_S)
        finally:
            self._served()

    @contextlib.asynccontextmanager
    async def _connect(self, port: int, name: str = "") -> AsyncIterator[Connection]:
        """`name`: TLS, with this in the hello."""
        sock = trio.socket.socket()
        try:
            with trio.fail_after(SILENCE_S):
                await sock.connect(("127.0.0.1", port))
            plain = trio.SocketStream(sock)
            stream: trio.abc.Stream = plain
            if name:
                stream = trio.SSLStream(plain, self._trust, server_hostname=name, https_compatible=True)
                with trio.fail_after(SILENCE_S):
                    await stream.do_handshake()
            self._at = Connection(stream, Reader(stream))
            yield self._at
        finally:
            sock.close()

    def _web(self) -> Any:
        doors = self._plan.doors
        return self._connect(doors.https, doors.host) if self._tls else self._connect(doors.http)

    def _head(self, method: str, target: str, *fields: str) -> bytes:
        return "\r\n".join([f"{method} {target} HTTP/1.1", f"Host: {self._plan.doors.host}", *fields, "", ""]).encode()

    # exchanges

    async def anew(self) -> None:
        """A connection for one request."""
        async with self._web() as at:
            with trio.fail_after(SILENCE_S):
                await at.stream.send_all(self._head("GET", f"/{self._seed}/1000/0", "Connection: close"))
                await self._hear(at, 1000)
        await self._pause()

    async def kept(self) -> None:
        """Requests on one connection until the other side says that it closes. One that crosses with the close is asked again."""
        async with self._web() as at:
            for count in itertools.count():
                at.begun = False
                try:
                    with trio.fail_after(SILENCE_S):
                        await at.stream.send_all(self._head("GET", f"/{self._seed}/1000/0"))
                        fields = await self._hear(at, 1000)
                except (Unanswered, trio.BrokenResourceError):
                    if count == 0 or at.begun:
                        raise
                    self._tally.stale += 1
                    return
                self._served()
                if self._over.is_set() or fields.get("connection", "").lower() == "close":
                    return
                await self._pause()

    async def _pause(self) -> None:
        with trio.move_on_after(PAUSE_S):
            await self._over.wait()

    async def downloads(self) -> None:
        """Slowly: the server takes its time."""
        n = self._plan.body_bytes
        async with self._web() as at:
            with trio.fail_after(SILENCE_S + n / PIECE_BYTES * PAUSE_S):
                await at.stream.send_all(self._head("GET", f"/{self._seed}/{n}/{int(PAUSE_S * 1000)}"))
                await self._hear(at, n)

    async def _hear(self, at: Connection, n: int) -> dict[str, str]:
        length, fields = await at.answer(self._seed)
        if length != n:
            raise Wrong(f"{length} of {n} bytes were announced")
        self._note(n)
        return fields

    async def uploads(self) -> None:
        """Slowly, with a length or in chunks."""
        n, chunked = self._plan.body_bytes, self._seed % 4 == 0
        framing = "Transfer-Encoding: chunked" if chunked else f"Content-Length: {n}"
        async with self._web() as at:
            with trio.fail_after(SILENCE_S + n / PIECE_BYTES * PAUSE_S):
                await at.stream.send_all(self._head("POST", f"/{self._seed}", framing))
                for begin in range(0, n, PIECE_BYTES):
                    piece = numbered(self._seed, begin, min(PIECE_BYTES, n - begin))
                    await at.stream.send_all(b"%x\r\n%s\r\n" % (len(piece), piece) if chunked else piece)
                    await trio.sleep(PAUSE_S)
                if chunked:
                    await at.stream.send_all(b"0\r\n\r\n")
                arrived, _ = await at.answer(0)
                if arrived != n:
                    raise Wrong(f"{arrived} of {n} bytes arrived")
        self._note(n)

    def _note(self, n: int) -> None:
        self._tally.done += 1
        self._tally.bytes += n

    # tunnels

    async def websockets(self) -> None:
        """What is inside its frames, no proxy looks at: it is numbered bytes."""
        async with self._web() as at:
            with trio.fail_after(SILENCE_S):
                key = "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ=="
                await at.stream.send_all(
                    self._head("GET", f"/{self._seed}", "Connection: Upgrade", "Upgrade: websocket", "Sec-WebSocket-Version: 13", key)
                )
                await at.answer(self._seed)
            await self._talk(at)

    async def tcp(self) -> None:
        async with self._connect(self._plan.doors.tcp) as at:
            await at.stream.send_all(SEED.pack(self._seed))
            await self._talk(at)

    async def passthrough(self) -> None:
        doors = self._plan.doors
        async with self._connect(doors.through_port, doors.through) as at:
            await at.stream.send_all(SEED.pack(self._seed))
            await self._talk(at)

    async def _talk(self, at: Connection) -> None:
        """Both sides speak all the time, until the tunnel's life is over."""
        at.begun = True
        self._served()
        gone, heard = trio.Event(), None
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._live, gone, nursery.cancel_scope)
            nursery.start_soon(say_until, gone, at.stream, self._seed)
            heard = await outcome.acapture(receive_frames, at.reader, self._seed + 1)
            nursery.cancel_scope.cancel()
        if heard is None:
            raise trio.TooSlowError("the other side does not end")
        n, longest_s = heard.unwrap()
        self._note(n)
        self._tally.longest_s = max(self._tally.longest_s, longest_s)

    async def _live(self, gone: trio.Event, scope: trio.CancelScope) -> None:
        """To the end of a tunnel's life, and no longer than it takes to end it."""
        with trio.move_on_after(self._life_s()):
            await self._over.wait()
        gone.set()
        await trio.sleep(SILENCE_S)
        scope.cancel()

    def _life_s(self) -> float:
        """Every other one lives to the end, the rest from BRIEF_S on; where TLS is terminated, which ties it to its process, briefly."""
        if self._tls:
            return BRIEF_S
        longest_s = max(BRIEF_S, self._plan.seconds)
        return math.inf if self._number % 2 == 0 else BRIEF_S * (longest_s / BRIEF_S) ** random.random()


Kind = Callable[[Visit], Coroutine[Any, Any, None]]

KINDS: dict[str, Kind] = {
    "anew": Visit.anew, "kept": Visit.kept, "downloads": Visit.downloads, "uploads": Visit.uploads,
    "websockets": Visit.websockets, "tcp": Visit.tcp, "passthrough": Visit.passthrough,
}
TUNNELS = ("websockets", "websockets tls", "tcp", "passthrough")
