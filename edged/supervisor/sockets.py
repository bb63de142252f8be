"""The listening sockets. The supervisor binds them once and keeps them, so that no child's death closes a door.

For each TCP listener there is one SO_REUSEPORT socket for each worker slot: the kernel spreads connections over them evenly.
A unix listener has one socket that all workers share, as SO_REUSEPORT does not spread those.
"""

import contextlib
import ctypes
import errno
import os
import socket
import stat
import struct
from collections.abc import Sequence
from dataclasses import dataclass

from edged.errors import StartError
from edged.model.listener import Listener
from edged.settings.units import Address, address
from edged.supervisor.holder import holder

_IP_FREEBIND = 15                                # not in the socket module
_IPV6_FREEBIND = 78
_SO_ATTACH_FILTER = 26
_SO_DETACH_FILTER = 27
_FILTER = (                                      # classic BPF over the TCP header: code, jump if true, if false, constant
    (0x30, 0, 0, 13),                            # the byte of flags
    (0x54, 0, 0, 0x12),                          # its bits SYN and ACK
    (0x15, 0, 1, 0x02),                          # SYN alone:
    (0x06, 0, 0, 0),                             # drop
    (0x06, 0, 0, 0xFFFFFFFF),                    # keep
)


@dataclass(frozen=True, slots=True)
class Bound:
    """One listener's sockets: by slot for TCP, a single one for a unix socket."""

    listener: Listener
    address: Address                             # with the port that was really bound
    sockets: Sequence[socket.socket]
    file: tuple[int, int] = (0, 0)               # unix: device and inode, so that only our own file is removed


class Sockets:
    """All listening sockets of the settings. Raises StartError, and then holds none."""

    def __init__(self, listeners: Sequence[Listener], slots: int, group_id: int = -1) -> None:
        self.bound: list[Bound] = []
        self._group_id = group_id
        for listener in listeners:
            try:
                wanted = address(listener.address)
                self._refuse_overlap(listener, wanted)
                self.bound.append(_bind_unix(listener, wanted, group_id) if wanted.path else _bind_tcp(listener, wanted, slots))
            except StartError:
                self.close()
                raise
            except OSError as why:
                message = self._explain(wanted, why)
                self.close()
                raise StartError(f'listener "{listener.name}": {wanted}: {message}') from None

    def listen(self) -> None:
        for bound in self.bound:
            for sock in bound.sockets:
                sock.listen(bound.listener.backlog)

    def of_slot(self, slot: int) -> list[tuple[int, int]]:
        """Listener number and descriptor of each TCP listener's socket for one slot."""
        return [(bound.listener.number, bound.sockets[slot].fileno()) for bound in self.bound if not bound.address.path]

    def shared(self) -> list[tuple[int, int]]:
        """The same for the sockets that every worker has."""
        return [(bound.listener.number, bound.sockets[0].fileno()) for bound in self.bound if bound.address.path]

    def turn_away(self) -> None:
        """Let nobody into the queues any more, whoever still holds the sockets: what is in them can then be emptied, and nothing
        is cut off when they are closed. New attempts go unanswered until then, and are refused when they are repeated."""
        for bound in self.bound:
            for sock in bound.sockets:
                if not bound.address.path:
                    _drop_first_packets(sock)

    def refuse(self) -> None:
        """Refuse connections, while nobody else holds the sockets. The addresses stay ours; `welcome` opens them again."""
        for bound in self.bound:
            for sock in bound.sockets:
                if bound.address.path:
                    sock.close()
                else:
                    with contextlib.suppress(OSError):   # ENOTCONN: it did not listen yet
                        sock.shutdown(socket.SHUT_RDWR)
            if bound.address.path:
                _remove(bound.address.path, bound.file)

    def welcome(self) -> None:
        """Undo `turn_away` and `refuse`: listen again. Raises OSError."""
        for number, bound in enumerate(self.bound):
            if bound.address.path and bound.sockets[0].fileno() < 0:
                self.bound[number] = _bind_unix(bound.listener, bound.address, self._group_id)
            elif not bound.address.path:
                for sock in bound.sockets:
                    _let_first_packets_in(sock)
                    _bind_again(sock, bound.address)
        self.listen()

    def close(self) -> None:
        """Close our copies, and remove the files of unix sockets. May be called again."""
        for bound in self.bound:
            for sock in bound.sockets:
                sock.close()
            if bound.address.path:
                _remove(bound.address.path, bound.file)
        self.bound = []

    def _explain(self, wanted: Address, why: OSError) -> str:
        if why.errno == errno.EADDRINUSE:
            return self._taken(wanted)
        if why.errno == errno.EACCES and not wanted.path:
            return "permission denied: a port below 1024 needs root, CAP_NET_BIND_SERVICE, or a lower net.ipv4.ip_unprivileged_port_start"
        if why.errno == errno.EADDRNOTAVAIL:
            return "no interface has this address; freebind = true lets it come later"
        return why.strerror or str(why)

    def _refuse_overlap(self, listener: Listener, wanted: Address) -> None:
        """SO_REUSEPORT would let two listeners of ours share a port, and each would get half of the other's connections."""
        for bound in self.bound:
            if _overlap(bound.listener, bound.address, listener, wanted):
                raise StartError(f'listener "{listener.name}": {wanted}: taken by listener "{bound.listener.name}", {bound.address}')

    def _taken(self, wanted: Address) -> str:
        pid, name = holder(wanted)
        if pid == os.getpid():
            return "taken by this process"
        return f"taken by {name} (process {pid})" if pid else "taken by another process"


def _overlap(one: Listener, its: Address, other: Listener, wanted: Address) -> bool:
    """Whether a connection could be meant for both."""
    if wanted.path or its.path:
        return wanted.path == its.path
    if wanted.port != its.port or wanted.port == 0:
        return False
    same_host = wanted.host == its.host or not {wanted.host, its.host}.isdisjoint({"0.0.0.0", "::"})
    return same_host and not _families(one, its).isdisjoint(_families(other, wanted))


def _families(listener: Listener, where: Address) -> set[socket.AddressFamily]:
    return {where.family} if where.host != "::" or listener.v6only else {socket.AF_INET, socket.AF_INET6}


def _bind_tcp(listener: Listener, wanted: Address, slots: int) -> Bound:
    if wanted.port:
        # With SO_REUSEPORT alone we would silently share the port with another edged of the same user.
        with _tcp_socket(listener, wanted) as probe:
            probe.bind((wanted.host, wanted.port))
    sockets: list[socket.socket] = []
    port = wanted.port
    try:
        for _ in range(slots):
            sock = _tcp_socket(listener, wanted)
            sockets.append(sock)
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
            sock.bind((wanted.host, port))
            port = sock.getsockname()[1]
    except OSError:
        for sock in sockets:
            sock.close()
        raise
    return Bound(listener, Address(wanted.host, port), sockets)


def _tcp_socket(listener: Listener, wanted: Address) -> socket.socket:
    """What is set here is inherited by every accepted connection."""
    sock = socket.socket(wanted.family, socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, listener.keepalive)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, listener.nodelay)
    if listener.defer_accept_s:
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_DEFER_ACCEPT, listener.defer_accept_s)
    if wanted.family == socket.AF_INET6:
        sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, listener.v6only)
    if listener.freebind:
        level, option = (socket.IPPROTO_IPV6, _IPV6_FREEBIND) if wanted.family == socket.AF_INET6 else (socket.IPPROTO_IP, _IP_FREEBIND)
        sock.setsockopt(level, option, 1)
    return sock


def _drop_first_packets(sock: socket.socket) -> None:
    """Attach a packet filter that drops what would begin a connection; handshakes that have begun may end."""
    program = ctypes.create_string_buffer(b"".join(struct.pack("HBBI", *step) for step in _FILTER))
    sock.setsockopt(socket.SOL_SOCKET, _SO_ATTACH_FILTER, struct.pack("HP", len(_FILTER), ctypes.addressof(program)))


def _bind_again(sock: socket.socket, where: Address) -> None:
    """A port that the kernel chose is let go by a shutdown, one that was asked for is not."""
    try:
        sock.bind((where.host, where.port))
    except OSError as why:
        if why.errno != errno.EINVAL:            # it is bound
            raise


def _let_first_packets_in(sock: socket.socket) -> None:
    with contextlib.suppress(FileNotFoundError):         # there was no filter
        sock.setsockopt(socket.SOL_SOCKET, _SO_DETACH_FILTER, 0)


def _bind_unix(listener: Listener, wanted: Address, group_id: int) -> Bound:
    clear_stale(wanted.path)
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
    try:
        sock.bind(wanted.path)
        os.chmod(wanted.path, listener.permissions)      # nobody can connect before listen()
        os.chown(wanted.path, -1, group_id)
        found = os.stat(wanted.path)
    except OSError:
        sock.close()
        raise
    return Bound(listener, wanted, [sock], (found.st_dev, found.st_ino))


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


def _remove(path: str, file: tuple[int, int]) -> None:
    try:
        found = os.lstat(path)
        if (found.st_dev, found.st_ino) == file:
            os.unlink(path)
    except FileNotFoundError:
        pass
