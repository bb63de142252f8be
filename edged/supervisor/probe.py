"""A real request through our own listeners: does a client get an answer? (`edged ctl check --deep`, high-availability.md B.3)

An answer of the engine itself is asked for, so that no endpoint is troubled and none can make this daemon look bad: the monitor path where
a listener has it, otherwise a method that is never forwarded. A TLS listener is sent what is no TLS, which a worker ends with an alert.
"""

import contextlib
from collections.abc import Sequence

import trio

from edged.model.listener import AcceptProxy, Mode
from edged.settings.units import Address
from edged.supervisor.binding import Bound

__all__ = ["probe"]

PROBE_S = 0.8                                    # for all of it; checks have a second
MONITOR_PATH = "/_______internal_router_healthz"

_HERE = {"0.0.0.0": "127.0.0.1", "::": "::1"}


async def probe(doors: Sequence[Bound]) -> str:
    """Why no listener answers; "" as soon as one does. Addresses may be there that this host has not, such as virtual ones: one is
    enough. Without any of mode http or https there is nothing that could be asked."""
    asked = [door for door in doors if door.listener.mode is not Mode.TCP]
    failures: list[str] = []
    answered = not asked

    async def one(door: Bound, scope: trio.CancelScope) -> None:
        nonlocal answered
        try:
            why = await _ask(door)
        except OSError as error:
            why = error.strerror or type(error).__name__
        if why:
            failures.append(f'listener "{door.listener.name}": {why}')
        else:
            answered = True
            scope.cancel()

    with trio.move_on_after(PROBE_S):
        async with trio.open_nursery() as nursery:
            for door in asked:
                nursery.start_soon(one, door, nursery.cancel_scope)
    return "" if answered else failures[0] if failures else f"no listener answers within {PROBE_S:g} s"


async def _ask(door: Bound) -> str:
    """What is wrong with the answer of one listener; where we are nobody that it speaks to, its end is enough."""
    listener = door.listener
    words, wanted = ("GET " + MONITOR_PATH, b"200") if listener.monitor != "off" else ("TRACE /", b"405")
    request = f"{words} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
    spoken_to = not listener.tls and (listener.accept_proxy is AcceptProxy.OFF or not listener.trusted)
    if listener.accept_proxy is not AcceptProxy.OFF:
        request = "PROXY UNKNOWN\r\n" + request
    answer = b""
    with contextlib.suppress(trio.BrokenResourceError, ConnectionResetError):        # it was cut off
        async with await _connect(door.address) as stream:
            await stream.send_all(request.encode())
            while b"\n" not in answer and (data := await stream.receive_some(4096)):
                answer += data
    if not spoken_to:
        return ""                                # an alert, a refusal, the end: any of them comes from a worker
    return "" if answer.split(b" ", 2)[1:2] == [wanted] else f"it answers {answer[:40]!r}"


async def _connect(where: Address) -> trio.SocketStream:
    if where.path:
        return await trio.open_unix_socket(where.path)
    with contextlib.ExitStack() as undo:
        sock = undo.enter_context(trio.socket.socket(where.family, trio.socket.SOCK_STREAM))
        await sock.connect((_HERE.get(where.host, where.host), where.port))
        undo.pop_all()
    return trio.SocketStream(sock)
