"""Messages and descriptors between the supervisor, control and the workers, over a pair of stream sockets.

A message is a msgpack map behind its length; its descriptors travel with its first byte. Both directions survive being
cancelled: a message that was begun is finished by the next call, so the peer always sees whole messages.
"""

import array
import os
import socket
import struct
from collections.abc import Sequence
from typing import Any

import msgpack
import trio

from edged.errors import EdgedError

__all__ = ["DESCRIPTORS_MOST", "MESSAGE_MOST_BYTES", "Wire", "WireClosed", "WireError", "wire_pair"]

MESSAGE_MOST_BYTES = 16 * 1024 * 1024
DESCRIPTORS_MOST = 64                            # well below the kernel's 253

_LENGTH = struct.Struct("!I")
_DESCRIPTOR_BYTES = array.array("i").itemsize


class WireError(EdgedError):
    """The peer broke the rules of the wire, or a message that it would refuse was to be sent."""


class WireClosed(WireError):
    """The peer is gone, or this end was closed."""


def wire_pair() -> tuple[socket.socket, socket.socket]:
    """Two connected ends, neither inherited by children unless passed on purpose."""
    return socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)


class Wire:
    """One end. Owns its socket; any number of tasks may send, one at a time may receive."""

    def __init__(self, sock: socket.socket) -> None:
        self._socket = trio.socket.from_stdlib_socket(sock)
        self._sending = trio.Lock()
        self.begun = 0                           # messages of which the first byte, and so the descriptors, are on their way
        self._unsent = b""                       # the rest of the last of them
        self._received = bytearray()             # of the message that is being received
        self._received_fds: list[int] = []
        self._receiving = trio.Lock()

    @classmethod
    def from_fd(cls, fd: int) -> "Wire":
        """Take over a descriptor that was inherited or received."""
        return cls(socket.socket(fileno=fd))

    async def send(self, message: dict[str, Any], fds: Sequence[int] = ()) -> None:
        """Send a message. The descriptors are duplicated by the kernel: the caller still owns them. Raises WireClosed.

        If cancelled before the first byte, nothing was sent; if later, the next call sends the rest first.
        """
        body = msgpack.packb(message)
        if len(body) > MESSAGE_MOST_BYTES or len(fds) > DESCRIPTORS_MOST:
            raise WireError(f"message {message.get('type')!r} is too large: {len(body)} bytes, {len(fds)} descriptors")
        async with self._sending:
            await self._flush()
            rights = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", fds).tobytes())] if fds else []
            data = _LENGTH.pack(len(body)) + body
            try:
                sent = await self._socket.sendmsg([data], rights)
            except OSError as why:
                raise WireClosed(f"the other end is gone: {why.strerror}") from None
            except trio.ClosedResourceError:
                raise WireClosed("this end is closed") from None
            self.begun += 1
            self._unsent = data[sent:]
            await self._flush()

    async def _flush(self) -> None:
        while self._unsent:
            try:
                sent = await self._socket.send(self._unsent)
            except OSError as why:
                raise WireClosed(f"the other end is gone: {why.strerror}") from None
            except trio.ClosedResourceError:
                raise WireClosed("this end is closed") from None
            self._unsent = self._unsent[sent:]

    async def receive(self) -> tuple[dict[str, Any], list[int]]:
        """The next message and its descriptors, which belong to the caller from now on (close-on-exec is set).

        Raises WireClosed at the end, WireError for what is no message; after either, the wire is of no more use. If
        cancelled, nothing is lost: the next call goes on where this one stopped.
        """
        async with self._receiving:
            await self._fill(_LENGTH.size)
            (length,) = _LENGTH.unpack_from(self._received)
            if length > MESSAGE_MOST_BYTES:
                raise WireError(f"a message of {length} bytes was announced")
            await self._fill(_LENGTH.size + length)
            body = bytes(self._received[_LENGTH.size:])
            fds = self._received_fds
            self._received = bytearray()
            self._received_fds = []
        try:
            return _message(body), fds
        except WireError:
            _close_all(fds)
            raise

    async def _fill(self, length: int) -> None:
        """Receive until the current message has `length` bytes, never reading beyond it: descriptors stay with their message."""
        room = socket.CMSG_SPACE(DESCRIPTORS_MOST * _DESCRIPTOR_BYTES)
        while len(self._received) < length:
            try:
                data, rights, flags, _ = await self._socket.recvmsg(
                    min(length - len(self._received), 65536), room, socket.MSG_CMSG_CLOEXEC
                )
            except OSError as why:
                raise WireClosed(f"the other end is gone: {why.strerror}") from None
            except trio.ClosedResourceError:
                raise WireClosed("this end is closed") from None
            for level, kind, block in rights:
                if level == socket.SOL_SOCKET and kind == socket.SCM_RIGHTS:
                    whole = len(block) - len(block) % _DESCRIPTOR_BYTES
                    self._received_fds.extend(array.array("i", block[:whole]))
            if flags & socket.MSG_CTRUNC or len(self._received_fds) > DESCRIPTORS_MOST:
                raise WireError("more descriptors came than a message may carry, or than this process may open")
            if not data:
                raise WireClosed("the other end is closed")
            self._received += data

    def leave_behind(self) -> dict[str, Any]:
        """What `taken_over` goes on from, in this process or the program that takes its place; this object is of no more use.
        "fds" are the descriptors in it. Nobody may be sending or receiving."""
        fd, received_fds = self._socket.detach(), self._received_fds
        self._received_fds = []
        parts = {"socket": fd, "unsent": self._unsent, "received": bytes(self._received), "received_fds": received_fds}
        return parts | {"fds": [fd, *received_fds]}

    @classmethod
    def taken_over(cls, left: dict[str, Any]) -> "Wire":
        wire = cls.from_fd(left["socket"])
        wire._unsent, wire._received, wire._received_fds = left["unsent"], bytearray(left["received"]), list(left["received_fds"])
        return wire

    def close(self) -> None:
        """Close this end, and the descriptors of a message that came in part. May be called again."""
        self._socket.close()
        _close_all(self._received_fds)
        self._received_fds = []


def _message(body: bytes) -> dict[str, Any]:
    try:
        message = msgpack.unpackb(body, raw=False, strict_map_key=True)
    except (ValueError, msgpack.exceptions.UnpackException) as why:
        raise WireError(f"what came is no message: {why}") from None
    if not isinstance(message, dict) or not isinstance(message.get("type"), str):
        raise WireError("what came is no message: a map with a type was expected")
    return message


def _close_all(fds: Sequence[int]) -> None:
    for fd in fds:
        os.close(fd)
