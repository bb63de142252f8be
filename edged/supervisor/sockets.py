"""The listening sockets. The supervisor binds them once and keeps them, so that no child's death closes a door.

For each TCP listener there is one SO_REUSEPORT socket for each worker slot: the kernel spreads connections over them evenly.
A unix listener has one socket that all workers share, as SO_REUSEPORT does not spread those. The sockets of a socket unit are dealt out
to the slots as they are: with fewer than slots, some workers share one.
"""

import contextlib
import errno
import logging
import os
import resource
import socket
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from edged.errors import StartError
from edged.model.listener import Listener
from edged.settings.units import Address, address
from edged.supervisor import binding
from edged.supervisor.binding import Bound
from edged.supervisor.given import Given, Taken
from edged.supervisor.holder import holder

log = logging.getLogger("edged.supervisor")


class Sockets:
    """All listening sockets of one generation's settings. Those that the generation `before` has too are the very same.

    Raises StartError, and then holds none that `before` has not."""

    def __init__(
        self, listeners: Sequence[Listener], slots: int, group_id: int = -1, before: "Sockets | None" = None, given: Given | None = None,
        *, kept: bool = False,
    ) -> None:
        """`given`: by the service manager, at a start; what no listener takes of that is closed. `kept`: it keeps what we leave, for a
        daemon after us."""
        self.bound: list[Bound] = []
        self.open = False                        # clients may come
        self._slots = slots
        self._group_id = group_id
        self._before = before.bound if before else []
        self._kept: bool = before._kept if before else kept
        self._given = given
        taken = given.deal(listeners) if given else {}
        for listener in listeners:
            try:
                wanted = address(listener.address)
                self._refuse_overlap(listener, wanted)
                adopted = taken.get(listener.number)
                self.bound.append(self._adopt(listener, adopted) if adopted else self._bind(listener, wanted))
            except StartError:
                self.close_but(before)
                raise
            except OSError as why:
                message = self._explain(wanted, why)
                self.close_but(before)
                raise StartError(f'listener "{listener.name}": {wanted}: {message}') from None

    @classmethod
    def of(cls, bound: Sequence[Bound], slots: int = 1, group_id: int = -1, *, is_open: bool = True, kept: bool = False) -> "Sockets":
        """Sockets that are bound already."""
        sockets = cls((), slots, group_id, kept=kept)
        sockets.bound, sockets.open = list(bound), is_open
        return sockets

    def leave_behind(self) -> dict[str, Any]:
        """What `taken_over` goes on from, in this process or the program that takes its place; this object holds none any more.
        "fds" are the descriptors in it."""
        left, fds = [], []
        for bound in self.bound:
            here = [sock.detach() for sock in bound.sockets]
            fds += [fd for fd in here if fd >= 0]
            known = {"number": bound.listener.number, "address": str(bound.address), "file": bound.file, "lent": bound.lent}
            left.append(known | {"fds": here})
        self.bound = []
        return {"bound": left, "open": self.open, "slots": self._slots, "group_id": self._group_id, "kept": self._kept, "fds": fds}

    @classmethod
    def taken_over(cls, left: Mapping[str, Any], listeners: Sequence[Listener]) -> "Sockets":
        by_number = {listener.number: listener for listener in listeners}
        bound = [
            Bound(
                by_number[one["number"]], address(one["address"]), [_taken_over(fd) for fd in one["fds"]], tuple(one["file"]), one["lent"]
            )
            for one in left["bound"]
        ]
        return cls.of(bound, left["slots"], left["group_id"], is_open=left["open"], kept=left["kept"])

    def _bind(self, listener: Listener, wanted: Address) -> Bound:
        known = next((bound for bound in self._before if _same_door(bound, listener, wanted)), None)
        if known is None:
            if wanted.path:
                return binding.bind_unix(listener, wanted, self._group_id)
            shared = any(bound.address.port == wanted.port for bound in self._before)
            let_go = self._given is not None and wanted.port in self._given.let_go
            return binding.bind_tcp(listener, wanted, self._slots, probe=not shared and not let_go)
        if wanted.path or known.lent:
            return replace(known, listener=listener)
        return Bound(listener, known.address, self._one_each(listener, known.address, known.sockets[: self._slots]))

    def _adopt(self, listener: Listener, taken: Taken) -> Bound:
        """Sockets of the service manager. Those that a daemon before us has left are ours; each may have connections in its queue, so
        none is closed, though there are fewer slots now."""
        if taken.lent or taken.address.path:
            file = binding.file_of(taken.address.path) if taken.address.path else (0, 0)
            return Bound(listener, taken.address, taken.sockets, file, taken.lent)
        open_ones = [sock for sock in taken.sockets if not binding.is_shut_out(sock)]
        whole = self._one_each(listener, taken.address, open_ones)
        for sock in taken.sockets:
            if sock not in open_ones:
                sock.close()                     # it has kept the port until here
        return Bound(listener, taken.address, whole)

    def _one_each(self, listener: Listener, where: Address, sockets: Sequence[socket.socket]) -> list[socket.socket]:
        """At least a socket for each slot: these, and new ones."""
        return [*sockets, *binding.more(listener, where, self._slots - len(sockets))]

    def listen(self) -> None:
        """Let clients come to those that are new; what may change about the others is changed."""
        held = _descriptors(self._before)
        for bound in self.bound:
            added = [sock for sock in bound.sockets if sock.fileno() not in held]
            if added and not bound.address.path:
                binding.spread_over_all(bound.sockets[0])
            for sock in bound.sockets:
                if not bound.address.path:
                    binding.tune(sock, bound.listener)
                elif not bound.lent:
                    os.chmod(bound.address.path, bound.listener.permissions)
                    os.chown(bound.address.path, -1, self._group_id)
                if not bound.lent:
                    sock.listen(bound.listener.backlog)
        self._before = []
        self.open = True

    def tell_news(self, before: "Sockets | None") -> None:
        """Say where it listens that it did not before, and where no longer; a listener of another mode or name is both."""
        known = before.bound if before else []
        listening = "listening on" if self.open else "to listen on"
        for bound in _without(known, self.bound):
            log.info('no longer listening on %s (%s, "%s")', bound.address, bound.listener.mode, bound.listener.name)
        for bound in _without(self.bound, known):
            log.info('%s %s (%s, "%s")', listening, bound.address, bound.listener.mode, bound.listener.name)

    def leave_to(self, after: "Sockets") -> None:
        """A generation with the sockets `after` is in place now: close our copies of what it has not, once nobody is let in there any
        more. What waits there is for our workers to take."""
        kept = _descriptors(after.bound)
        ending = []
        for bound in self.bound:
            staying = [sock for sock in bound.sockets if sock.fileno() in kept]
            if len(staying) == len(bound.sockets):
                continue
            ending.append(bound)
            if staying and after.open:
                binding.spread_over(staying[0], len(staying))
        self._close(ending, kept, turn_away=True)

    def ends(self, slot: int, after: "Sockets") -> list[int]:
        """Numbers of the listeners whose socket of a slot is not among `after`."""
        kept = _descriptors(after.bound)
        return [bound.listener.number for bound in self.bound if any(sock.fileno() not in kept for sock in self._dealt(bound, slot))]

    def close_but(self, others: "Sockets | None") -> None:
        """Close what others have not."""
        self._close(self.bound, _descriptors(others.bound if others else []))
        self.bound = []

    def of_slot(self, slot: int) -> list[tuple[int, int]]:
        """Listener number and descriptor of each TCP listener's socket for one slot."""
        tcp = [bound for bound in self.bound if not bound.address.path]
        return [(bound.listener.number, sock.fileno()) for bound in tcp for sock in self._dealt(bound, slot)]

    def shared(self) -> list[tuple[int, int]]:
        """The same for the sockets that every worker has."""
        return [(bound.listener.number, bound.sockets[0].fileno()) for bound in self.bound if bound.address.path]

    def _dealt(self, bound: Bound, slot: int) -> Sequence[socket.socket]:
        """The sockets of a listener that the worker of a slot accepts on."""
        return bound.sockets[slot :: self._slots] or [bound.sockets[slot % len(bound.sockets)]]

    def ours(self) -> list[tuple[str, Sequence[socket.socket]]]:
        """For whoever keeps them: names of listeners, and their sockets in the order of slots."""
        mine = [bound for bound in self.bound if not bound.lent]
        return [(bound.listener.name, [sock for sock in bound.sockets if sock.fileno() >= 0]) for bound in mine]

    def turn_away(self) -> None:
        """Let nobody into the queues any more, whoever still holds the sockets: what is in them can then be emptied, and nothing
        is cut off when they are closed. New attempts are refused. It is for good: `welcome` makes other sockets."""
        for bound in self.bound:
            for sock in bound.sockets:
                if not bound.address.path and not bound.lent:
                    binding.shut_out(sock)

    def refuse(self) -> None:
        """Refuse connections, while nobody else holds the sockets. The addresses stay ours; `welcome` opens them again. Who comes to a
        socket of a socket unit waits there."""
        self.open = False
        for bound in self.bound:
            if bound.lent:
                continue
            for sock in bound.sockets:
                if bound.address.path:
                    sock.close()
                else:
                    with contextlib.suppress(OSError):   # ENOTCONN: it did not listen yet
                        sock.shutdown(socket.SHUT_RDWR)
            if bound.address.path:
                binding.remove(bound.address.path, bound.file)

    def welcome(self) -> None:
        """Undo `turn_away` and `refuse`: listen again. Raises OSError."""
        for number, bound in enumerate(self.bound):
            if bound.address.path and bound.sockets[0].fileno() < 0:
                self.bound[number] = binding.bind_unix(bound.listener, bound.address, self._group_id)
            elif not bound.address.path and not bound.lent:
                self.bound[number] = replace(bound, sockets=self._one_each(bound.listener, bound.address, ()))
                for sock in bound.sockets:
                    sock.close()
        self.listen()

    def leave(self) -> None:
        """The end: close our copies, once nobody is let in any more. What the service manager keeps stays open: who comes from now on
        waits there for the next daemon."""
        if not self._kept:
            self.turn_away()
        self.close()

    def close(self) -> None:
        """Close our copies, and remove the files of unix sockets, unless they are kept. May be called again."""
        for bound in self.bound:
            for sock in bound.sockets:
                sock.close()
            if bound.address.path and not bound.lent and not self._kept:
                binding.remove(bound.address.path, bound.file)
        self.bound = []

    def _close(self, doors: Sequence[Bound], kept: set[int], *, turn_away: bool = False) -> None:
        for bound in doors:
            going = [sock for sock in bound.sockets if sock.fileno() not in kept]
            for sock in going:
                if turn_away and not bound.address.path and not bound.lent and len(going) == len(bound.sockets):
                    binding.shut_out(sock)
                sock.close()
            if going and bound.address.path and not bound.lent:
                binding.remove(bound.address.path, bound.file)

    def _explain(self, wanted: Address, why: OSError) -> str:
        if why.errno == errno.EADDRINUSE:
            return self._taken(wanted)
        if why.errno == errno.EACCES and not wanted.path:
            return "permission denied: a port below 1024 needs root, CAP_NET_BIND_SERVICE, or a lower net.ipv4.ip_unprivileged_port_start"
        if why.errno == errno.EMFILE:
            most = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
            return f"no descriptor is left: this process may open {most} (LimitNOFILE= of a unit, ulimit -n)"
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


def _taken_over(fd: int) -> socket.socket:
    if fd >= 0:
        return socket.socket(fileno=fd)
    closed = socket.socket(socket.AF_UNIX)       # of a unix listener that is drained
    closed.close()
    return closed


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


def _same_door(bound: Bound, listener: Listener, wanted: Address) -> bool:
    """Whether a socket that is bound already is what a listener wants. Which port it was given, only its name tells."""
    if wanted.path:
        return bound.address.path == wanted.path
    before = address(bound.listener.address)
    same = before == wanted and bound.listener.v6only == listener.v6only
    return same and (wanted.port != 0 or bound.listener.name == listener.name)


def _descriptors(doors: Sequence[Bound]) -> set[int]:
    return {sock.fileno() for bound in doors for sock in bound.sockets}


def _without(these: Sequence[Bound], those: Sequence[Bound]) -> list[Bound]:
    known = {(bound.listener.name, bound.listener.mode, bound.address) for bound in those}
    return [bound for bound in these if (bound.listener.name, bound.listener.mode, bound.address) not in known]
