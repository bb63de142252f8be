"""The little servers behind the demo. Each is real, and says who it is and what it was asked."""

import functools
import importlib.resources
import socket
import ssl
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

import trio

from edged.demo import websocket

__all__ = ["BACKENDS", "Backend", "Request", "refusing_socket", "serve"]

HEAD_MOST = 16 * 1024
IDLE_S = 60


@dataclass(frozen=True)
class Request:
    """A request as a backend sees it: after edged."""

    method: str
    target: str
    headers: list[tuple[str, str]]
    body: bytes = b""

    def header(self, name: str) -> str:
        """The first value; "" without one."""
        return next((value for key, value in self.headers if key.lower() == name), "")


Answer = Callable[[str, trio.abc.Stream, Request], Awaitable[bool]]      # True: the connection may be used again


@dataclass(frozen=True)
class Backend:
    """One endpoint of the demo. `answer` is None for one that speaks TCP only."""

    name: str
    answer: Answer | None = field(repr=False)
    over_tls: bool = False


async def send(stream: trio.abc.Stream, status: str, body: bytes, kind: str = "text/plain; charset=utf-8") -> bool:
    head = f"HTTP/1.1 {status}\r\nContent-Type: {kind}\r\nContent-Length: {len(body)}\r\n\r\n"
    await stream.send_all(head.encode() + body)
    return True


async def tell(name: str, stream: trio.abc.Stream, request: Request) -> bool:
    """Name the endpoint, and repeat what was asked."""
    lines = [f"{name} answers {request.method} {request.target} for {request.header('host')}"]
    if request.body:
        lines.append(f"with {len(request.body)} bytes of body")
    lines += [f"  {key}: {value}" for key, value in request.headers if key.lower() != "host"]
    return await send(stream, "200 OK", ("\n".join(lines) + "\n").encode())


async def page(name: str, stream: trio.abc.Stream, request: Request) -> bool:
    """A page that talks to the WebSocket echo, for browsers."""
    text = importlib.resources.files("edged.demo").joinpath("live.html").read_text(encoding="utf-8")
    return await send(stream, "200 OK", text.replace("{name}", name).encode(), "text/html; charset=utf-8")


async def echo(name: str, stream: trio.abc.Stream, request: Request) -> bool:
    """Every WebSocket message comes back."""
    key = request.header("sec-websocket-key")
    if request.header("upgrade").lower() != "websocket" or not key:
        return await send(stream, "426 Upgrade Required", f"{name} speaks WebSocket here\n".encode())
    await websocket.echo(stream, key)
    return False


async def slow(name: str, stream: trio.abc.Stream, request: Request) -> bool:
    await trio.sleep(2)
    return await tell(f"{name}, two seconds later,", stream, request)


async def silent(name: str, stream: trio.abc.Stream, request: Request) -> bool:
    """Never answers: edged gives up first."""
    await trio.sleep(IDLE_S)
    return False


async def garbage(name: str, stream: trio.abc.Stream, request: Request) -> bool:
    await stream.send_all(b"this is no answer in HTTP\r\n\r\n")
    return False


async def failing(name: str, stream: trio.abc.Stream, request: Request) -> bool:
    return await send(stream, "503 Service Unavailable", f"{name} itself says 503\n".encode())


BACKENDS = (
    Backend("shop-1", tell), Backend("shop-2", tell), Backend("cart-1", tell), Backend("cart-2", tell),
    Backend("api-v1", tell), Backend("api-v2", tell), Backend("live-page", page), Backend("live-echo", echo),
    Backend("slow-1", slow), Backend("silent-1", silent), Backend("garbage-1", garbage), Backend("failing-1", failing),
    Backend("welcome", tell), Backend("tcp-echo", None), Backend("vault-1", tell, over_tls=True),
)


async def serve(backend: Backend, listener: trio.SocketListener, tls: ssl.SSLContext) -> None:
    """Serve until cancelled; `tls` is for those that speak it."""
    handler = echo_bytes if backend.answer is None else functools.partial(converse, backend.name, backend.answer)
    if backend.over_tls:
        await trio.serve_listeners(handler, [trio.SSLListener(listener, tls, https_compatible=True)])
    else:
        await trio.serve_listeners(handler, [listener])


async def converse(name: str, answer: Answer, stream: trio.abc.Stream) -> None:
    """Requests of one connection, one after the other."""
    unread = bytearray()
    try:
        while True:
            with trio.move_on_after(IDLE_S):
                request = await read_request(stream, unread)
                if request is not None and await answer(name, stream, request):
                    continue
            return
    except (trio.BrokenResourceError, trio.ClosedResourceError):
        return                                   # the other side left in the middle of it


async def read_request(stream: trio.abc.Stream, unread: bytearray) -> Request | None:
    """The next request; None when there is none, or it is not one. What follows it stays in `unread`."""
    while (end := unread.find(b"\r\n\r\n")) < 0:
        if len(unread) > HEAD_MOST or not await more(stream, unread):
            return None
    lines = unread[:end].decode("latin-1").split("\r\n")
    del unread[:end + 4]
    words = lines[0].split(" ")
    if len(words) != 3:
        return None
    fields = [(key, value.strip()) for key, _, value in (line.partition(":") for line in lines[1:])]
    request = Request(words[0], words[1], fields)
    if request.header("transfer-encoding"):
        body = await read_chunks(stream, unread)
    else:
        length = request.header("content-length") or "0"
        body = await take(stream, unread, int(length)) if length.isdecimal() else None
    return None if body is None else Request(words[0], words[1], fields, body)


async def read_chunks(stream: trio.abc.Stream, unread: bytearray) -> bytes | None:
    body = b""
    while True:
        while (end := unread.find(b"\r\n")) < 0:
            if len(unread) > HEAD_MOST or not await more(stream, unread):
                return None
        try:
            size = int(unread[:end].split(b";")[0], 16)
        except ValueError:
            return None
        del unread[:end + 2]
        chunk = await take(stream, unread, size + 2)
        if chunk is None or size == 0:
            return None if chunk is None else body
        body += chunk[:-2]


async def take(stream: trio.abc.Stream, unread: bytearray, count: int) -> bytes | None:
    while len(unread) < count:
        if not await more(stream, unread):
            return None
    taken = bytes(unread[:count])
    del unread[:count]
    return taken


async def more(stream: trio.abc.Stream, unread: bytearray) -> bool:
    data = await stream.receive_some()
    unread += data
    return bool(data)


async def echo_bytes(stream: trio.abc.Stream) -> None:
    """TCP: what comes in goes back."""
    try:
        async for data in stream:
            await stream.send_all(data)
    except (trio.BrokenResourceError, trio.ClosedResourceError):
        return


def refusing_socket() -> socket.socket:
    """An address that refuses every connection: bound, so that nobody else takes it, but not listening."""
    bound = socket.socket()
    bound.bind(("127.0.0.1", 0))
    return bound
