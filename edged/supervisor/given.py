"""Sockets that the service manager gave us at the start: those of socket units, and those that it kept for us in its store.

What is in the store is ours, made by a daemon before this one: its names are NAME/SLOT. Those of socket units are lent: the service
manager accepts on them while we do not run, so they are never shut nor filtered, and their addresses are its own affair.
"""

import contextlib
import logging
import os
import socket
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from edged.errors import StartError
from edged.model.listener import Listener
from edged.settings.units import Address, address
from edged.supervisor.notify import forget, store, store_most

__all__ = ["Given", "Store", "Taken", "is_lent", "note_lent"]

log = logging.getLogger("edged.supervisor")

_LENT = "EDGED_LENT"                             # inodes: whatever program runs in this process, those are not its own


@dataclass(frozen=True, slots=True)
class _One:
    """A socket that was given."""

    listener: str                                # its name, as far as the socket's own tells it
    slot: int                                    # -1: of a socket unit
    stored: str                                  # the name in the store
    sock: socket.socket
    address: Address


@dataclass(frozen=True, slots=True)
class Taken:
    """The sockets that a listener has got; `lent`: of a socket unit."""

    sockets: Sequence[socket.socket]
    address: Address
    lent: bool


class Given:
    """Each socket goes to at most one listener: that of its name, or else of its address."""

    def __init__(self, sockets: Iterable[tuple[str, socket.socket]], listeners: Iterable[Listener]) -> None:
        self.let_go: set[int] = set()            # ports of sockets that were kept for us, and which nobody takes
        self._names = {listener.name for listener in listeners}
        self._left: list[_One] = []
        for name, sock in sockets:
            if why := _unfit(sock):
                log.warning('socket "%s" of the service manager %s: closed', name, why)
                sock.close()
            else:
                self._left.append(_one(name, sock))

    @property
    def names(self) -> dict[int, str]:
        """Of those that came from the store and are not closed, by inode."""
        return {_inode(one.sock): one.stored for one in self._left if one.slot >= 0}

    def deal(self, listeners: Iterable[Listener]) -> dict[int, Taken]:
        """Who gets what, by the numbers of listeners; what is left is closed. Raises StartError if a socket does not fit its name."""
        taken = {listener.number: self.take(listener, address(listener.address)) for listener in listeners}
        self.close()
        return {number: sockets for number, sockets in taken.items() if sockets is not None}

    def take(self, listener: Listener, wanted: Address) -> Taken | None:
        """The sockets for a listener; None: it is to be bound. Raises StartError if one of its name does not fit."""
        named = [one for one in self._left if one.listener == listener.name]
        lent = [one for one in named if one.slot < 0]
        for one in lent:
            if not _fits(one, listener, wanted):
                raise StartError(
                    f'listener "{listener.name}": the socket unit of that name listens on {_told(one)}, the settings say '
                    f"{wanted}{' with v6only' if listener.v6only else ''}"
                )
        found = lent or sorted((one for one in named if _fits(one, listener, wanted)), key=lambda one: one.slot)
        if not found:
            unnamed = [one for one in self._left if one.listener not in self._names and one.address == wanted]
            lent = [one for one in unnamed if one.slot < 0]
            found = [one for one in lent or unnamed if _fits(one, listener, wanted)]
        if not found:
            return None
        together = [one for one in found if one.address == found[0].address]
        for one in together:
            self._left.remove(one)
        return Taken([one.sock for one in together], found[0].address, lent=bool(lent))

    def close(self) -> None:
        """Close what no listener took."""
        for one in self._left:
            if one.slot < 0:
                log.warning('the service manager listens on %s, "%s", no listener of the settings does: closed', _told(one), one.listener)
            else:
                log.info("no longer listening on %s: it was kept over the restart, and the settings name it no more", one.address)
                forget(one.stored)
                self.let_go.add(one.address.port)
                with contextlib.suppress(OSError):       # nobody is to be let in by the copy that goes later
                    one.sock.shutdown(socket.SHUT_RDWR)
            one.sock.close()
        self._left = []


class Store:
    """What the service manager keeps for us: each listening socket of ours, by a name that tells its listener and slot."""

    def __init__(self, names: dict[int, str]) -> None:
        """`names`: of what is there already, by inode."""
        self._names = names
        self._most = store_most()
        self._told = False

    @property
    def names(self) -> dict[int, str]:
        """Of what is there, by inode."""
        return self._names

    @property
    def is_there(self) -> bool:
        return self._most > 0

    def keep(self, listeners: Iterable[tuple[str, Sequence[socket.socket]]]) -> None:
        """Have these kept, by names of listeners and in the order of slots, and nothing else."""
        if not self._most:
            return
        wanted = {_inode(sock): (f"{_written(name)}/{slot}", sock) for name, sockets in listeners for slot, sock in enumerate(sockets)}
        for inode, name in list(self._names.items()):
            if inode not in wanted or wanted[inode][0] != name:
                forget(name)                     # it stays open here, if it is wanted by another name
                del self._names[inode]
        for inode, (name, sock) in wanted.items():
            if inode not in self._names and len(self._names) < self._most:
                store(name, [sock.fileno()])
                self._names[inode] = name
        if len(self._names) < len(wanted) and not self._told:
            self._told = True
            log.warning("the service manager keeps %d of %d sockets: FileDescriptorStoreMax is too low", self._most, len(wanted))


def note_lent(sockets: Iterable[socket.socket]) -> None:
    """For a program after us in this process that understands nothing else of what we leave to it."""
    os.environ[_LENT] = " ".join(str(_inode(sock)) for sock in sockets)


def is_lent(sock: socket.socket) -> bool:
    """Whether it was noted, by this program or one before it in this process."""
    return str(_inode(sock)) in os.environ.get(_LENT, "").split()


def _one(name: str, sock: socket.socket) -> _One:
    listener, slash, slot = name.rpartition("/")
    where = sock.getsockname()
    address = Address(path=where) if isinstance(where, str) else Address(where[0], where[1])
    if slash and slot.isascii() and slot.isdecimal():
        return _One(listener.replace("%", ":"), int(slot), name, sock, address)
    return _One(name, -1, "", sock, address)


def _written(listener: str) -> str:
    """A listener's name where a colon is no letter. No name has a percent sign."""
    return listener.replace(":", "%")


def _unfit(sock: socket.socket) -> str:
    """Why a socket can be no listener's; empty if it can."""
    if sock.type != socket.SOCK_STREAM or sock.family not in (socket.AF_INET, socket.AF_INET6, socket.AF_UNIX):
        return "is no stream socket"
    where = sock.getsockname()
    if sock.family == socket.AF_UNIX and not (isinstance(where, str) and where.startswith("/")):
        return "has no path"
    if sock.family != socket.AF_UNIX and not where[1]:
        return "has no port"
    try:
        sock.getpeername()
    except OSError:
        return ""
    return "is connected"


def _fits(one: _One, listener: Listener, wanted: Address) -> bool:
    """Port 0 wants any. A unix socket whose file has gone is reached by nobody."""
    if wanted.path:
        return one.address == wanted and os.path.exists(wanted.path)
    if one.address.path or one.address.host != wanted.host or wanted.port not in (0, one.address.port):
        return False
    return wanted.host != "::" or _v6only(one) == listener.v6only


def _v6only(one: _One) -> bool:
    return bool(one.sock.getsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY))


def _told(one: _One) -> str:
    return f"{one.address}{' with v6only' if one.sock.family == socket.AF_INET6 and _v6only(one) else ''}"


def _inode(sock: socket.socket) -> int:
    return os.fstat(sock.fileno()).st_ino
