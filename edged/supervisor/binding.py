"""One listener's sockets: how they are bound, tuned, kept from new clients, and taken away."""

import contextlib
import ctypes
import errno
import os
import socket
import stat
import struct
from collections.abc import Sequence
from dataclasses import dataclass

from edged.model.listener import Listener
from edged.settings.units import Address

__all__ = [
    "Bound", "bind_tcp", "bind_unix", "clear_stale", "file_of", "is_shut_out", "more", "remove", "shut_out", "spread_over",
    "spread_over_all", "tune",
]

_IP_FREEBIND = 15                                # not in the socket module
_IPV6_FREEBIND = 78
_SO_BINDTOIFINDEX = 62
_NOWHERE = 0x7FFFFFFF                            # the number of no interface
_SO_ATTACH_REUSEPORT_CBPF = 51
_SO_DETACH_REUSEPORT_BPF = 68
_RANDOM = 0xFFFFF000 + 56                        # SKF_AD_OFF + SKF_AD_RANDOM


@dataclass(frozen=True, slots=True)
class Bound:
    """One listener's sockets: by slot for TCP, a single one for a unix socket; those of a socket unit as they came."""

    listener: Listener
    address: Address                             # with the port that was really bound
    sockets: Sequence[socket.socket]
    file: tuple[int, int] = (0, 0)               # unix: device and inode, so that only our own file is removed
    lent: bool = False                           # the service manager accepts there when we do not: it is neither shut nor changed


def bind_tcp(listener: Listener, wanted: Address, slots: int, *, probe: bool = True) -> Bound:
    """`probe`: nobody may have the port, as far as we know."""
    if wanted.port and probe:
        # With SO_REUSEPORT alone we would silently share the port with another edged of the same user.
        with _tcp_socket(listener, wanted) as trial:
            trial.bind((wanted.host, wanted.port))
    sockets = more(listener, wanted, slots)
    return Bound(listener, Address(wanted.host, sockets[0].getsockname()[1]), sockets)


def more(listener: Listener, wanted: Address, count: int) -> list[socket.socket]:
    """So many sockets bound to one port."""
    sockets: list[socket.socket] = []
    port = wanted.port
    try:
        for _ in range(count):
            sock = _tcp_socket(listener, wanted)
            sockets.append(sock)
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
            sock.bind((wanted.host, port))
            port = sock.getsockname()[1]
    except OSError:
        for sock in sockets:
            sock.close()
        raise
    return sockets


def _tcp_socket(listener: Listener, wanted: Address) -> socket.socket:
    """What is set here is inherited by every accepted connection."""
    sock = socket.socket(wanted.family, socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    tune(sock, listener)
    if wanted.family == socket.AF_INET6:
        sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, listener.v6only)
    if listener.freebind:
        level, option = (socket.IPPROTO_IPV6, _IPV6_FREEBIND) if wanted.family == socket.AF_INET6 else (socket.IPPROTO_IP, _IP_FREEBIND)
        sock.setsockopt(level, option, 1)
    return sock


def tune(sock: socket.socket, listener: Listener) -> None:
    """What may change while it listens."""
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, listener.keepalive)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, listener.nodelay)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_DEFER_ACCEPT, listener.defer_accept_s)


def spread_over(sock: socket.socket, count: int) -> None:
    """Of all the sockets that share this one's port, let new connections go to the first `count` only, evenly: none is lost at
    those that are to be closed. They are in the order in which they began to listen, which is that of the slots."""
    steps = ((0x20, 0, 0, _RANDOM), (0x94, 0, 0, count), (0x16, 0, 0, 0))            # a random number, modulo count, is the answer
    program = ctypes.create_string_buffer(b"".join(struct.pack("HBBI", *step) for step in steps))
    sock.setsockopt(socket.SOL_SOCKET, _SO_ATTACH_REUSEPORT_CBPF, struct.pack("HP", len(steps), ctypes.addressof(program)))


def spread_over_all(sock: socket.socket) -> None:
    """Undo `spread_over`."""
    with contextlib.suppress(FileNotFoundError):
        sock.setsockopt(socket.SOL_SOCKET, _SO_DETACH_REUSEPORT_BPF, 0)


def shut_out(sock: socket.socket) -> None:
    """Take a listening socket away from all interfaces: what would begin a connection is refused; what is in its queue stays, and
    handshakes that have begun may end. Anybody may do so once; only CAP_NET_RAW undoes it."""
    with contextlib.suppress(PermissionError):           # it is done already, or this is a kernel before 5.7
        sock.setsockopt(socket.SOL_SOCKET, _SO_BINDTOIFINDEX, _NOWHERE)


def is_shut_out(sock: socket.socket) -> bool:
    return sock.getsockopt(socket.SOL_SOCKET, _SO_BINDTOIFINDEX) == _NOWHERE


def bind_unix(listener: Listener, wanted: Address, group_id: int) -> Bound:
    clear_stale(wanted.path)
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
    try:
        sock.bind(wanted.path)
        os.chmod(wanted.path, listener.permissions)      # nobody can connect before listen()
        os.chown(wanted.path, -1, group_id)
        return Bound(listener, wanted, [sock], file_of(wanted.path))
    except OSError:
        sock.close()
        raise


def file_of(path: str) -> tuple[int, int]:
    found = os.stat(path)
    return found.st_dev, found.st_ino


def clear_stale(path: str) -> None:
    """Remove the file that a crash left behind: a socket on which nobody answers."""
    try:
        mode = os.stat(path).st_mode
    except FileNotFoundError:
        return
    if not stat.S_ISSOCK(mode):
        raise OSError(errno.EEXIST, "something that is no socket has this name")
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_NONBLOCK) as probe:
        try:
            probe.connect(path)
        except ConnectionRefusedError:
            os.unlink(path)
            return
        except BlockingIOError:                  # its backlog is full: somebody listens
            pass
    raise OSError(errno.EADDRINUSE, "taken")


def remove(path: str, file: tuple[int, int]) -> None:
    try:
        found = os.lstat(path)
        if (found.st_dev, found.st_ino) == file:
            os.unlink(path)
    except FileNotFoundError:
        pass
