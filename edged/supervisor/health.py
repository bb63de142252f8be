"""HTTP for probes: on `runtime_dir`/health.sock, and on the admin address if there is one (high-availability.md B.2).

GET and HEAD of a handful of paths, one request a connection. Nobody who asks, or only holds a connection, keeps others from their answer:
where there are too many, the oldest is cut.
"""

import contextlib
import grp
import logging
import socket
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import h11
import trio

from edged.errors import StartError
from edged.settings import Settings
from edged.settings.units import address
from edged.supervisor.children import Identity
from edged.supervisor.doorway import RuntimeSocket, why_not
from edged.supervisor.probe import probe
from edged.supervisor.readiness import Check, Readiness

__all__ = ["SOCKET_NAME", "Change", "Health"]

log = logging.getLogger("edged.supervisor")

SOCKET_NAME = "health.sock"
MODE = 0o660                                     # and the group of [admin] socket_group
AT_ONCE_MOST = 64                                # on each socket
BACKLOG = 128
TALK_S = 2.0                                     # for a client to ask, and to take its answer
HEAD_MOST_BYTES = 8192
LINGER_MOST_BYTES = 256 * 1024
DESCRIPTORS_S = 1.0                              # between two looks whether there are descriptors again

_PATHS: dict[str, tuple[Callable[[Readiness], list[Check]], int]] = {     # what is asked, and the status if it does not hold
    "/livez": (Readiness.live, 503),
    "/readyz": (Readiness.ready, 503),
    "/startupz": (Readiness.started, 503),
    "/healthz": (Readiness.live, 500),           # as the router of OpenShift has it (openshift-routes.md 15.4)
    "/healthz/ready": (Readiness.ready, 500),
}


@dataclass
class Change:
    """What a reload would have otherwise; whoever does not put it in place closes it."""

    address: str
    admin: socket.socket | None                  # that listens there, if that is somewhere else than before
    owner: tuple[int, int]                       # user and group of the unix socket

    def close(self) -> None:
        if self.admin is not None:
            self.admin.close()


@dataclass(eq=False)
class _Talk:
    """A client, and what it has said by now."""

    stream: trio.SocketStream
    heard: bytes = b""
    is_answered: bool = False                    # or is being
    scope: trio.CancelScope = field(default_factory=trio.CancelScope)


def _listen_at(settings: Settings) -> socket.socket | None:
    """A socket that listens at the admin address; None: there is none. Raises StartError."""
    if not settings.admin.address:
        return None
    wanted = address(settings.admin.address)
    sock = socket.socket(wanted.family, socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
    try:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        sock.bind((wanted.host, wanted.port))
        sock.listen(BACKLOG)
    except OSError as why:
        sock.close()
        raise StartError(str(settings.problem("admin.address", f"{wanted}: {why.strerror}"))) from None
    return sock


class Health:
    """Bound from the start to the end of the daemon; only the admin address may change with a reload."""

    def __init__(self) -> None:
        self._door: RuntimeSocket | None = None
        self._owner = (-1, -1)
        self._admin: socket.socket | None = None
        self._address = ""                       # as the settings have it
        self._admin_scope = trio.CancelScope()
        self._nursery: trio.Nursery | None = None
        self._readiness: Readiness
        self._leaving = False
        self._unanswered: list[_Talk] = []       # whom another program in this process is to answer, or was left to

    @classmethod
    def opened(cls, settings: Settings, identity: Identity | None) -> "Health":
        """`identity`: of the children; the unix socket is theirs. Raises StartError."""
        one = cls()
        try:
            one._owner = _owner(settings, identity)
            one._open_door(settings)
            one._address, one._admin = settings.admin.address, _listen_at(settings)
        except StartError:
            one.close()
            raise
        return one

    def _open_door(self, settings: Settings) -> None:
        path, chosen = Path(settings.run.runtime_dir, SOCKET_NAME), settings.admin.socket_group
        try:
            self._door = RuntimeSocket(settings.run.runtime_dir, SOCKET_NAME, MODE, BACKLOG, *self._owner)
        except OSError as why:
            if chosen:
                message = f'{path} cannot be given to group "{chosen}": {why_not(why)}'
                raise StartError(str(settings.problem("admin.socket_group", message))) from None
            log.warning("edged ctl check will not reach this daemon: %s: %s", path, why_not(why))

    @classmethod
    def taken_over(cls, left: Mapping[str, Any], runtime_dir: str) -> "Health":
        """What `leave_behind` gave."""
        one = cls()
        one._door = RuntimeSocket.taken_over(left["door"], runtime_dir, SOCKET_NAME)
        one._owner, one._address = (left["owner"][0], left["owner"][1]), left["address"]
        one._admin = socket.socket(fileno=left["admin"]) if left["admin"] >= 0 else None
        for fd, heard in left["talks"]:
            one._unanswered.append(_Talk(trio.SocketStream(trio.socket.from_stdlib_socket(socket.socket(fileno=fd))), heard))
        return one

    def spare(self) -> None:
        """Keep connections of whom was not answered; once `serve` has been cancelled, `leave_behind` comes next."""
        self._leaving = True

    def leave_behind(self) -> dict[str, Any]:
        """What another program in this process goes on from, once `serve` has been cancelled. "fds" are the descriptors in it."""
        door: dict[str, Any] = {"socket": -1, "file": (0, 0)} if self._door is None else self._door.leave_behind()
        admin = -1 if self._admin is None else self._admin.detach()
        self._admin = None
        talks = [(talk.stream.socket.detach(), talk.heard) for talk in self._unanswered]
        fds = [fd for fd in (door["socket"], admin, *(talk[0] for talk in talks)) if fd >= 0]
        return {"door": door, "owner": self._owner, "address": self._address, "admin": admin, "talks": talks, "fds": fds}

    def close(self) -> None:
        if self._door is not None:
            self._door.close()
        if self._admin is not None:
            self._admin.close()
            self._admin = None

    async def serve(self, readiness: Readiness) -> None:
        """Answer until cancelled."""
        self._readiness = readiness
        async with trio.open_nursery() as nursery:
            self._nursery = nursery
            if self._door is not None and self._door.socket is not None:
                nursery.start_soon(self._accept, self._door.socket, trio.CancelScope())
            self._start_admin()
            for talk in self._unanswered:
                nursery.start_soon(self._talk, talk, {})
            self._unanswered = []
            await trio.sleep_forever()

    def prepare(self, settings: Settings, identity: Identity | None) -> Change:
        """What new settings ask for; nothing changes yet. Raises StartError."""
        owner, where = _owner(settings, identity), settings.admin.address
        return Change(where, _listen_at(settings) if where != self._address else None, owner)

    def put(self, change: Change) -> None:
        """In place from now on."""
        if self._door is not None and change.owner != self._owner:
            try:
                self._door.give_to(*change.owner)
            except OSError as why:
                log.warning("%s stays whose it was: %s", SOCKET_NAME, why.strerror)
        self._owner = change.owner
        if change.address != self._address:
            self._admin_scope.cancel()
            self._admin_scope = trio.CancelScope()
            if self._admin is not None:
                self._admin.close()
            self._address, self._admin = change.address, change.admin
            self._start_admin()

    def _start_admin(self) -> None:
        if self._nursery is not None and self._admin is not None:
            host, port = self._admin.getsockname()[:2]
            log.info("health is told at http://%s:%d/readyz", f"[{host}]" if ":" in host else host, port)
            self._nursery.start_soon(self._accept, self._admin, self._admin_scope)

    async def _accept(self, listening: socket.socket, scope: trio.CancelScope) -> None:
        talks: dict[_Talk, None] = {}            # in the order in which they came
        with scope, trio.socket.from_stdlib_socket(listening.dup()) as listener:
            async with trio.open_nursery() as nursery:
                while True:
                    try:
                        sock, _ = await listener.accept()
                    except OSError as why:
                        log.warning("health: nobody can be let in: %s", why.strerror)
                        await trio.sleep(DESCRIPTORS_S)
                        continue
                    if len(talks) >= AT_ONCE_MOST:
                        oldest = next(iter(talks))
                        oldest.scope.cancel()
                        del talks[oldest]
                    talk = _Talk(trio.SocketStream(sock))
                    talks[talk] = None
                    nursery.start_soon(self._talk, talk, talks)

    async def _talk(self, talk: _Talk, others: dict[_Talk, None]) -> None:
        over = False
        talk.scope.deadline = trio.current_time() + TALK_S
        try:
            with contextlib.suppress(trio.BrokenResourceError), talk.scope:
                connection = h11.Connection(h11.SERVER, max_incomplete_event_size=HEAD_MOST_BYTES)
                try:
                    request = await _request(talk, connection)
                except h11.RemoteProtocolError as why:
                    if connection.our_state in (h11.IDLE, h11.SEND_RESPONSE):
                        await _answer(talk, connection, why.error_status_hint, f"{why}\n")
                else:
                    if request is not None:
                        await self._respond(talk, connection, request)
                await _linger(talk.stream)
            over = True
        finally:
            others.pop(talk, None)
            if self._leaving and not over and not talk.is_answered:
                self._unanswered.append(talk)
            else:
                talk.stream.socket.close()

    async def _respond(self, talk: _Talk, connection: h11.Connection, request: h11.Request) -> None:
        whole = request.method != b"HEAD"
        path, _, query = request.target.decode("ascii", "replace").partition("?")
        words = {word.partition("=")[0] for word in query.split("&")}
        if path not in _PATHS:
            await _answer(talk, connection, 404, f"there are {', '.join(_PATHS)}; each takes ?verbose\n", whole=whole)
        elif request.method not in (b"GET", b"HEAD"):
            await _answer(talk, connection, 405, "GET and HEAD are answered here\n", (("Allow", "GET, HEAD"),))
        else:
            of, otherwise = _PATHS[path]
            checks = of(self._readiness)
            if "deep" in words and of is Readiness.ready:
                checks.append(Check("traffic", await probe(self._readiness.listeners())))
            ok = all(check.ok for check in checks)
            body = _told(path.lstrip("/"), checks, ok=ok, verbose="verbose" in words)
            await _answer(talk, connection, 200 if ok else otherwise, body, whole=whole)


def _owner(settings: Settings, identity: Identity | None) -> tuple[int, int]:
    """User and group of the unix socket; -1: those of this process. Raises StartError."""
    user_id, group_id = (identity.user_id, identity.group_id) if identity else (-1, -1)
    if chosen := settings.admin.socket_group:
        try:
            group_id = grp.getgrnam(chosen).gr_gid
        except KeyError:
            raise StartError(str(settings.problem("admin.socket_group", f'there is no group "{chosen}"'))) from None
    return user_id, group_id


def _told(name: str, checks: list[Check], *, ok: bool, verbose: bool) -> str:
    """The body: a line for each check that failed, or, if all are wanted, for each."""
    if ok and not verbose:
        return "ok\n"
    lines = [f"[+]{check.name} ok" if check.ok else f"[-]{check.name} failed: {check.why}" for check in checks if verbose or not check.ok]
    return "\n".join([*lines, f"{name} check {'passed' if ok else 'failed'}", ""])


async def _request(talk: _Talk, connection: h11.Connection) -> h11.Request | None:
    """The head of a request; None: the client went. A body is of no interest."""
    if talk.heard:
        connection.receive_data(talk.heard)
    while True:
        event = connection.next_event()
        if isinstance(event, h11.Request):
            return event
        if event is not h11.NEED_DATA:
            return None
        data = await talk.stream.receive_some(HEAD_MOST_BYTES)
        talk.heard += data
        connection.receive_data(data)


async def _linger(stream: trio.SocketStream) -> None:
    """Until the client has read all: what it still sends would make the kernel throw our answer away."""
    await stream.send_eof()
    left = LINGER_MOST_BYTES
    while left > 0 and (data := await stream.receive_some(HEAD_MOST_BYTES)):
        left -= len(data)


async def _answer(
    talk: _Talk, connection: h11.Connection, status: int, text: str, more: tuple[tuple[str, str], ...] = (), *,
    whole: bool = True,
) -> None:
    """`whole`: the body is wanted, too."""
    body = text.encode()
    headers = [
        ("Content-Type", "text/plain; charset=utf-8"), ("Content-Length", str(len(body))), ("Cache-Control", "no-store"),
        ("Connection", "close"), *more,
    ]
    events = [h11.Response(status_code=status, headers=headers), *[h11.Data(data=body)] * whole, h11.EndOfMessage()]
    data = b"".join(connection.send(event) or b"" for event in events)
    talk.is_answered = True
    with trio.move_on_after(TALK_S, shield=True):            # not half of it
        await talk.stream.send_all(data)
