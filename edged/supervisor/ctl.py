"""The control socket: `runtime_dir`/ctl.sock, and who answers there. Root and the daemon's user may ask; nobody else gets a word in.

One request a connection, each in a task of its own: what was asked for is done to its end, whether or not the client stays to
hear of it. Clients that wait while another program takes over this process are answered by that one: it reads their requests as if
they had just come.
"""

import contextlib
import logging
import os
import socket
import struct
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Protocol

import trio

from edged.ctl.frames import REQUEST_MOST_BYTES, SOCKET_NAME, VERSION, FrameError, cut, pack
from edged.ctl.verbs import VERBS, complaint
from edged.errors import EdgedError, StartError
from edged.supervisor.doorway import RuntimeSocket, why_not

__all__ = ["Ctl", "Outcome", "Refused", "Steered", "Tell"]

log = logging.getLogger("edged.supervisor")

AT_ONCE_MOST = 16                                # further clients wait at the door
REQUEST_S = 10.0                                 # for a client to say what it wants
SEND_S = 5.0                                     # for it to take what it is told
DESCRIPTORS_S = 1.0                              # between two looks whether there are descriptors again
TOLD_MOST = 64                                   # lines of progress that a slow client may owe; further ones are dropped

_CREDENTIALS = struct.Struct("3i")

Tell = Callable[[str], None]                     # a line of progress


class Refused(EdgedError):
    """A request that is not, or cannot be, carried out; nothing has changed."""

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.reason = reason


@dataclass(frozen=True, slots=True)
class Outcome:
    """Of a reload or an upgrade."""

    ok: bool
    problems: tuple[str, ...] = ()               # file:line: key: message
    generation: int = 1                          # which one serves now
    finished: int = 0                            # exchanges of the one before that have ended well since it drains
    handed_over: int = 0                         # that went on in the new one
    cut: int = 0                                 # that its deadline, or its death, has ended
    left: int = 0                                # that run still
    took_ms: float = 0.0                         # until the new generation served, or nothing came of it
    message: str = ""                            # for the operator: one line


class Steered(Protocol):
    """What is asked of the supervisor. Methods that take `tell` may take long, and say how they get on."""

    def status(self) -> dict[str, Any]: ...
    async def reload(self, tell: Tell, *, wait: bool) -> Outcome: ...
    async def upgrade(self, tell: Tell, *, wait: bool) -> Outcome: ...
    async def arrival(self, tell: Tell, *, wait: bool) -> Outcome: ...       # of the upgrade by which this program took over
    def stop(self, *, now: bool) -> None: ...
    async def wait_over(self) -> None: ...
    async def drain(self, tell: Tell, delay_ms: int | None, *, persist: bool) -> str: ...
    async def undrain(self, tell: Tell) -> str: ...
    def log_level(self, level: str) -> None: ...
    def notify(self, kind: str, name: str, state: str, priority: int | None) -> None: ...


@dataclass(eq=False)
class _Talk:
    """A client, and what it has said by now."""

    stream: trio.SocketStream
    request: bytes = b""
    is_amid: bool = False                        # a frame to it is on its way
    is_left: bool = False                        # by the program that was here before


class Ctl:
    """Bound and answered to from `open` to `close`. Raises StartError if somebody else answers there already."""

    def __init__(self, runtime_dir: str, user_id: int | None, *, chosen: str = "", left: Mapping[str, Any] | None = None) -> None:
        """`user_id`: whom workers run as, if that is somebody else. `chosen`: where the directory is written in the settings; if it is
        nowhere, a daemon without a control socket is better than none. `left`: what `leave_behind` gave."""
        self._allowed = {0, os.geteuid()} | ({user_id} if user_id is not None else set())
        self._door: RuntimeSocket | None = None
        self._talks: set[_Talk] = set()
        self._leaving = False
        if left is not None:
            self._door = RuntimeSocket.taken_over(left, runtime_dir, SOCKET_NAME)
            self._take_over(left["talks"])
            return
        try:
            self._door = RuntimeSocket(runtime_dir, SOCKET_NAME, 0o600, AT_ONCE_MOST, -1 if user_id is None else user_id)
        except OSError as why:
            message = f"{Path(runtime_dir, SOCKET_NAME)}: {why_not(why)}"
            if chosen:
                raise StartError(f"{chosen}: run.runtime_dir: {message}") from None
            log.warning("edged ctl will not reach this daemon: %s", message)

    def close(self) -> None:
        """Close, and remove our own file. May be called again."""
        if self._door is not None:
            self._door.close()

    def allow(self, user_id: int | None) -> None:
        """Children run as somebody else now."""
        self._allowed = {0, os.geteuid()} | ({user_id} if user_id is not None else set())
        if self._door is not None:
            with contextlib.suppress(OSError):   # where it is gone, nobody finds it anyway
                self._door.give_to(os.geteuid() if user_id is None else user_id)

    def _take_over(self, talks: Sequence[tuple[int, bytes]]) -> None:
        for fd, request in talks:
            stream = trio.SocketStream(trio.socket.from_stdlib_socket(socket.socket(fileno=fd)))
            self._talks.add(_Talk(stream, request, is_left=True))

    def spare(self) -> None:
        """Carry nothing out any more, and keep connections; once `serve` has been cancelled, `leave_behind` comes next."""
        self._leaving = True

    def leave_behind(self) -> dict[str, Any]:
        """What another program in this process goes on from. "fds" are the descriptors in it."""
        door: dict[str, Any] = {"socket": -1, "file": (0, 0)} if self._door is None else self._door.leave_behind()
        talks = [(talk.stream.socket.detach(), talk.request) for talk in self._talks]
        return door | {"talks": talks, "fds": [*[door["socket"]] * (door["socket"] >= 0), *(talk[0] for talk in talks)]}

    async def serve(self, steered: Steered) -> None:
        """Answer until cancelled."""
        if self._door is None or self._door.socket is None:
            return
        room = trio.Semaphore(AT_ONCE_MOST)
        listener = trio.socket.from_stdlib_socket(self._door.socket.dup())
        with listener:
            async with trio.open_nursery() as nursery:
                for talk in self._talks.copy():
                    await room.acquire()
                    nursery.start_soon(self._attend, steered, talk, room)
                while True:
                    await room.acquire()
                    try:
                        sock, _ = await listener.accept()
                    except OSError as why:
                        room.release()
                        log.warning("edged ctl: nobody can be let in: %s", why.strerror)
                        await trio.sleep(DESCRIPTORS_S)
                        continue
                    nursery.start_soon(self._attend, steered, _Talk(trio.SocketStream(sock)), room)

    async def _attend(self, steered: Steered, talk: "_Talk", room: trio.Semaphore) -> None:
        self._talks.add(talk)
        over = False
        try:
            try:
                answer = await self._answer(steered, talk)
            except Refused as why:
                answer = {"type": "refused", "reason": why.reason, "message": str(why)}
            except trio.BrokenResourceError:     # it went without a word
                answer = {}
            with trio.CancelScope(shield=True), trio.move_on_after(SEND_S), contextlib.suppress(trio.BrokenResourceError):
                await _send(talk.stream, answer)
            over = True
        finally:
            if over or talk.is_amid or not self._leaving:        # nobody can go on in the middle of a frame
                self._talks.discard(talk)
                talk.stream.socket.close()
            room.release()

    async def _answer(self, steered: Steered, talk: "_Talk") -> dict[str, Any]:
        stream = talk.stream
        pid, uid, _ = _CREDENTIALS.unpack(stream.socket.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size))
        if uid not in self._allowed:
            log.warning("edged ctl: user %d (process %d) is refused", uid, pid)
            raise Refused("denied", f"user {uid} may not give orders to this daemon")
        with trio.move_on_after(REQUEST_S) as waiting:
            request = await _receive(talk)
        if waiting.cancelled_caught:
            raise Refused("request", f"no request came within {REQUEST_S:g} s")
        verb, arguments = _understood(request)
        if self._leaving:
            await trio.sleep_forever()           # whoever takes over does it
        tell, told = trio.open_memory_channel[str](TOLD_MOST)

        def say(line: str) -> None:
            with contextlib.suppress(trio.WouldBlock):
                tell.send_nowait(line)

        refused: Refused | None = None
        result: dict[str, Any] = {}
        async with trio.open_nursery() as nursery:
            nursery.start_soon(_pass_on, told, talk)
            with tell:
                try:
                    do = _arrival if talk.is_left and verb in ("upgrade", "reload") else ANSWERS[verb]
                    result = await do(steered, arguments, say)
                except Refused as why:
                    refused = why
            nursery.cancel_scope.shield = True   # who asked for the end hears of it
            nursery.cancel_scope.deadline = trio.current_time() + SEND_S
        if refused is not None:
            raise refused
        ok = bool(result.pop("ok", True))
        return {"type": "done", "ok": ok, "result": result}


def _understood(request: Mapping[str, Any]) -> tuple[str, dict[str, Any]]:
    """The verb and its arguments; raises Refused."""
    if request.get("version") != VERSION:
        raise Refused("version", f"the daemon speaks version {VERSION} of this, the command {str(request.get('version'))[:20]!r}")
    name = request.get("verb")
    if not isinstance(name, str) or name not in VERBS:
        raise Refused("verb", f"the daemon knows no {str(name)[:40]!r}; it knows {', '.join(VERBS)}")
    arguments = request.get("arguments", {})
    if why := complaint(VERBS[name], arguments):
        raise Refused("arguments", why)
    return name, arguments


async def _receive(talk: _Talk) -> dict[str, Any]:
    try:
        while (request := cut(bytearray(talk.request), REQUEST_MOST_BYTES)) is None:
            data = await talk.stream.receive_some(65536)
            if not data:
                raise trio.BrokenResourceError
            talk.request += data
    except FrameError as why:
        raise Refused("request", str(why)) from None
    return request


async def _send(stream: trio.SocketStream, message: Mapping[str, Any]) -> None:
    if message:
        await stream.send_all(pack({"version": VERSION, **message}))


async def _pass_on(told: "trio.MemoryReceiveChannel[str]", talk: _Talk) -> None:
    """Progress for whoever still listens; whoever does not is no reason to stop what was begun."""
    deaf = False
    async for line in told:
        if not deaf:
            talk.is_amid = True
            with trio.CancelScope(shield=True), trio.move_on_after(SEND_S) as sending:
                try:
                    await _send(talk.stream, {"type": "progress", "message": line})
                    talk.is_amid = False
                except trio.BrokenResourceError:
                    deaf = True
            deaf = deaf or sending.cancelled_caught


# the verbs

async def _status(steered: Steered, arguments: dict[str, Any], tell: Tell) -> dict[str, Any]:
    return steered.status()


async def _reload(steered: Steered, arguments: dict[str, Any], tell: Tell) -> dict[str, Any]:
    return asdict(await steered.reload(tell, wait=arguments.get("wait", False)))


async def _upgrade(steered: Steered, arguments: dict[str, Any], tell: Tell) -> dict[str, Any]:
    return asdict(await steered.upgrade(tell, wait=arguments.get("wait", False)))


async def _arrival(steered: Steered, arguments: dict[str, Any], tell: Tell) -> dict[str, Any]:
    """An upgrade that another program was asked for, or the reload that is part of it."""
    return asdict(await steered.arrival(tell, wait=arguments.get("wait", False)))


async def _stop(steered: Steered, arguments: dict[str, Any], tell: Tell) -> dict[str, Any]:
    now = arguments.get("now", False)
    tell("everything is cut" if now else "stopping: exchanges may end first")
    steered.stop(now=now)
    await steered.wait_over()
    return {"message": "stopped"}


async def _drain(steered: Steered, arguments: dict[str, Any], tell: Tell) -> dict[str, Any]:
    return {"message": await steered.drain(tell, arguments.get("delay_ms"), persist=arguments.get("persist", False))}


async def _undrain(steered: Steered, arguments: dict[str, Any], tell: Tell) -> dict[str, Any]:
    return {"message": await steered.undrain(tell)}


async def _log_level(steered: Steered, arguments: dict[str, Any], tell: Tell) -> dict[str, Any]:
    steered.log_level(arguments["level"])
    return {"message": f"lines from {arguments['level']} upwards are logged"}


async def _notify(steered: Steered, arguments: dict[str, Any], tell: Tell) -> dict[str, Any]:
    steered.notify(arguments["kind"], arguments["name"], arguments["state"], arguments.get("priority"))
    return {"message": ""}


ANSWERS: dict[str, Callable[[Steered, dict[str, Any], Tell], Awaitable[dict[str, Any]]]] = {
    "status": _status, "reload": _reload, "upgrade": _upgrade, "stop": _stop, "drain": _drain, "undrain": _undrain, "log_level": _log_level,
    "notify": _notify,
}
