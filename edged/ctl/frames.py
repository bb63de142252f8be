"""What goes over the control socket: a msgpack map behind its length, four bytes, the most significant first.

A client sends one request, {"version", "verb", "arguments"}, and is sent any number of {"type": "progress", "message"} and then one
{"type": "done", "ok", "result"} or {"type": "refused", "reason", "message"}; after that the daemon closes. Every answer bears the
daemon's version of this, so that either side can say which of the two is older.
"""

import contextlib
import os
import socket
import struct
from pathlib import Path
from typing import Any

import msgpack

from edged.errors import EdgedError

__all__ = [
    "ANSWER_MOST_BYTES", "REQUEST_MOST_BYTES", "RUNTIME_DIR", "SOCKET_NAME", "VERSION", "Doorway", "FrameError", "connect", "cut", "pack",
]

VERSION = 1
RUNTIME_DIR = "/run/edged"                       # where [run] runtime_dir says no other
SOCKET_NAME = "ctl.sock"                         # in there
REQUEST_MOST_BYTES = 64 * 1024
ANSWER_MOST_BYTES = 16 * 1024 * 1024

_LENGTH = struct.Struct("!I")


class FrameError(EdgedError):
    """What came is no frame."""


def pack(message: dict[str, Any]) -> bytes:
    body: bytes = msgpack.packb(message)
    return _LENGTH.pack(len(body)) + body


def cut(buffer: bytearray, most_bytes: int) -> dict[str, Any] | None:
    """Take the first frame out of what was received; None while it is incomplete. Raises FrameError, as soon as it can be known."""
    if len(buffer) < _LENGTH.size:
        return None
    (length,) = _LENGTH.unpack_from(buffer)
    if length > most_bytes:
        raise FrameError(f"a frame of {length} bytes was announced, {most_bytes} are the most")
    if len(buffer) < _LENGTH.size + length:
        return None
    body = bytes(buffer[_LENGTH.size : _LENGTH.size + length])
    del buffer[: _LENGTH.size + length]
    try:
        message = msgpack.unpackb(body, raw=False, strict_map_key=True)
    except (ValueError, msgpack.exceptions.UnpackException) as why:
        raise FrameError(f"what came is no frame: {str(why) or type(why).__name__}") from None
    if not isinstance(message, dict):
        raise FrameError("what came is no frame: a map was expected")
    return message


class Doorway:
    """The directory of a unix socket, held open: its name may be longer than the address of a unix socket can be."""

    def __init__(self, directory: str | Path, name: str = SOCKET_NAME) -> None:
        """Raises OSError."""
        self.fd = os.open(directory, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
        self._name = name

    @property
    def address(self) -> str:
        return f"/proc/self/fd/{self.fd}/{self._name}"

    def close(self) -> None:
        os.close(self.fd)


def connect(path: Path, timeout_s: float | None = None) -> socket.socket:
    """A connection to the unix socket of that name. Raises OSError."""
    with contextlib.ExitStack() as undo:
        sock = undo.enter_context(socket.socket(socket.AF_UNIX))
        sock.settimeout(timeout_s)
        doorway = Doorway(path.parent, path.name)
        try:
            sock.connect(doorway.address)
        finally:
            doorway.close()
        undo.pop_all()
    return sock
