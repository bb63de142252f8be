"""What the plays of these tests have in common: a site, requests and answers, and how to read what came out."""

import re
from collections.abc import Iterator
from typing import Any

import pytest
from tests.doors.talk_doors import Play

from edged._fast.route.table import MappedTable
from edged.model.backend import Backend, Endpoint
from edged.model.listener import Listener, Mode
from edged.model.route import Route
from tests._fast.route.sites import build

GET = b"GET /x HTTP/1.1\r\nHost: a.test\r\n\r\n"
POST = b"POST /x HTTP/1.1\r\nHost: a.test\r\nContent-Length: 5\r\n\r\nhello"
CHUNKED = b"POST /x HTTP/1.1\r\nHost: a.test\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n"
UPGRADE = b"GET /ws HTTP/1.1\r\nHost: a.test\r\nConnection: Upgrade\r\nUpgrade: chat\r\n\r\n"
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi"
SWITCH = b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: chat\r\n\r\n"

BACKEND, FIRST, SECOND, THIRD = 1, 2, 3, 4      # slots of the backend and its endpoints


def endpoints(names: str = "e", **more: Any) -> tuple[Endpoint, ...]:
    return tuple(Endpoint(f"192.0.2.{10 + i}", 80, name, **more) for i, name in enumerate(names.split()))


def site(names: str = "e", *, route: dict[str, Any] | None = None, each: dict[str, Any] | None = None, version: int = 1,
         more: tuple[Route, ...] = (), **backend: Any) -> MappedTable:
    """One backend for a.test and for the tcp listener."""
    be = Backend("be", endpoints(names, **(each or {})), **backend)
    routes = (Route("a", "a.test", "", be, **(route or {})), Route("t", "", "", be), *more)
    return build(routes, version=version, listeners=(Listener(1, "tcp", "127.0.0.1:81", mode=Mode.TCP, route="t"),))


class Stage:
    """Makes plays, and sees to it that nothing is left behind in any of them."""

    def __init__(self) -> None:
        self.plays: list[Play] = []

    def __call__(self, table: MappedTable | None = None, **options: Any) -> Play:
        self.plays.append(Play(table or site(), **options))
        return self.plays[-1]


@pytest.fixture
def stage() -> Iterator[Stage]:
    it = Stage()
    yield it
    for play in it.plays:
        play.finish()


def head_of(data: bytes) -> tuple[str, dict[str, str], bytes]:
    """(first line, fields by lower-case name, what follows) of a message."""
    head, blank, rest = data.partition(b"\r\n\r\n")
    assert blank, data
    first, *lines = head.decode("latin-1").split("\r\n")
    return first, {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}, rest


def status_of(data: bytes) -> int:
    return int(re.match(rb"HTTP/1\.1 (\d{3}) ", data)[1])


def unchunked(data: bytes) -> tuple[bytes, bytes]:
    """(payload, trailer lines) of a whole chunked body."""
    payload = b""
    while True:
        line, _, data = data.partition(b"\r\n")
        size = int(line, 16)
        if size == 0:
            assert data.endswith(b"\r\n")
            return payload, data[:-2]
        payload, end, data = payload + data[:size], data[size:size + 2], data[size + 2:]
        assert end == b"\r\n"


def ended(play: Play) -> list[tuple[int, str]]:
    """(status, first two termination letters) of each exchange that has ended; those without an access line are left out."""
    return [(entry["status"], entry["code"][:2]) for entry in play.log if not entry["silent"]]


__all__ = [
    "BACKEND", "CHUNKED", "FIRST", "GET", "OK", "POST", "SECOND", "SWITCH", "THIRD", "UPGRADE", "Play", "Stage", "ended",
    "endpoints", "head_of", "site", "stage", "status_of", "unchunked",
]
