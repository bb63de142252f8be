"""What a supervisor leaves to the program that takes its place in the same process: one sealed memory file, and open descriptors.

The file begins with the number of its format. A program goes on from a format that it knows, and from nothing else: see
edged(8) for what it does then.
"""

import contextlib
import fcntl
import os
import socket
import stat
from collections.abc import Mapping, Sequence
from typing import Any

import msgpack

from edged.errors import EdgedError
from edged.model.listener import Listener
from edged.settings.units import Address
from edged.supervisor.binding import Bound
from edged.supervisor.given import is_lent
from edged.supervisor.notify import store_most
from edged.supervisor.sockets import Sockets

__all__ = ["ANEW", "FORMATS", "VARIABLE", "LegacyError", "found_sockets", "inherited", "read_legacy", "write_legacy"]

FORMATS = (2, 3)                                 # the last is the one that is written; it stands for the messages to children as well
VARIABLE = "EDGED_LEGACY"                        # names the memory file's descriptor; children never see it
ANEW = "none"                                    # in its place: nothing but listening sockets

_NAME = "edged-legacy"
_SEALS = fcntl.F_SEAL_SEAL | fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW | fcntl.F_SEAL_WRITE


class LegacyError(EdgedError):
    """What was left cannot be gone on from."""


def write_legacy(body: Mapping[str, Any]) -> int:
    """A descriptor that survives an exec."""
    fd = os.memfd_create(_NAME, os.MFD_ALLOW_SEALING)
    with open(fd, "wb", closefd=False) as file:
        file.write(msgpack.packb({"format": FORMATS[-1], "body": body}))
    fcntl.fcntl(fd, fcntl.F_ADD_SEALS, _SEALS)
    return fd


def inherited() -> int | Sockets | None:
    """The descriptor of what was left to this process, or only the sockets that listen; None: it was started as any other."""
    written = os.environ.pop(VARIABLE, "")
    if written == ANEW:
        return found_sockets()
    if not written.isdecimal():
        return None
    with contextlib.suppress(OSError):
        if os.readlink(f"/proc/self/fd/{written}").startswith(f"/memfd:{_NAME}"):
            return int(written)
    return None


def read_legacy(fd: int) -> dict[str, Any]:
    """What was left, once: the descriptor is closed. Raises LegacyError."""
    try:
        with open(fd, "rb") as file:
            file.seek(0)
            left = msgpack.unpackb(file.read(), strict_map_key=False)
        known, body = left["format"], left["body"]
    except (OSError, ValueError, KeyError, TypeError, msgpack.exceptions.UnpackException) as why:
        raise LegacyError(f"what it left cannot be read: {why!r}") from None
    if known not in FORMATS:
        raise LegacyError(f"what it left has format {known}, this program knows {', '.join(map(str, FORMATS))}")
    if not isinstance(body, dict):
        raise LegacyError("what it left is no map")
    return body


def found_sockets() -> Sockets:
    """For a program that does not know what was left: of the descriptors that it was given, those that listen, by address. All others
    beyond the standard ones are closed."""
    found: dict[Address, list[socket.socket]] = {}
    for name in sorted(os.listdir("/proc/self/fd"), key=int):
        fd = int(name)
        if fd <= 2:
            continue
        with contextlib.suppress(OSError):       # that of the listing itself
            if not os.get_inheritable(fd):
                continue                         # it is this program's own
            sock = _listening(fd)
            if sock is None:
                os.close(fd)
            else:
                os.set_inheritable(fd, False)
                found.setdefault(_where(sock), []).append(sock)
    bound = [_bound(number, where, sockets) for number, (where, sockets) in enumerate(found.items())]
    return Sockets.of(bound, kept=store_most() > 0)


def _listening(fd: int) -> socket.socket | None:
    """The socket, if it accepts, and a path of the file system has led there if it is a unix socket."""
    if not stat.S_ISSOCK(os.fstat(fd).st_mode):
        return None
    sock = socket.socket(fileno=fd)
    name = sock.getsockname() if sock.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN) else ""
    if isinstance(name, tuple) or (name and os.path.isabs(name) and not name.startswith("/proc/")):
        return sock
    sock.detach()
    return None


def _where(sock: socket.socket) -> Address:
    name = sock.getsockname()
    return Address(path=name) if isinstance(name, str) else Address(name[0], name[1])


def _bound(number: int, where: Address, sockets: Sequence[socket.socket]) -> Bound:
    v6only = where.family == socket.AF_INET6 and bool(sockets[0].getsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY))
    listener = Listener(number, f"found-{number}", str(where), v6only=v6only)
    lent = is_lent(sockets[0])
    if not where.path:
        return Bound(listener, where, sockets, lent=lent)
    try:
        status = os.stat(where.path)
    except OSError:
        return Bound(listener, where, sockets, lent=lent)
    return Bound(listener, where, sockets, (status.st_dev, status.st_ino), lent)
