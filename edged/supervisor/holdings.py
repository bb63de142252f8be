"""What a supervisor has before the first generation: made at a start, or left by the program that was in this process before."""

import contextlib
import os
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from edged.settings import Settings
from edged.supervisor.children import Identity
from edged.supervisor.ctl import Ctl
from edged.supervisor.given import Given, Store, note_lent
from edged.supervisor.health import Health
from edged.supervisor.identity import child_identity, identity_of, make_directories, raise_descriptor_limit
from edged.supervisor.legacy import LegacyError
from edged.supervisor.notify import given_sockets
from edged.supervisor.numbers import ListenerNumbers
from edged.supervisor.pidfile import PidFile
from edged.supervisor.secrets import fitting_tickets
from edged.supervisor.sockets import Sockets
from edged.supervisor.strays import children_of_this_process
from edged.tls.tickets import Ratchet

__all__ = ["NOT_UNDERSTOOD", "Holdings"]

NOT_UNDERSTOOD = (KeyError, TypeError, ValueError, IndexError, AttributeError, OSError)      # of what another program has left


@dataclass
class Holdings:
    """All of it is open; whoever has it closes it."""

    settings: Settings
    started_s: float
    numbers: ListenerNumbers
    identity: Identity | None
    pid_file: PidFile
    ctl: Ctl
    health: Health
    store: Store
    sockets: Sockets
    tickets: Ratchet | None
    arena_fd: int
    level: str = ""                              # of log lines, if an operator chose one
    strays: Sequence[int] = ()                   # children that nobody knows
    left: Mapping[str, Any] | None = None        # what else there was, if it was left
    why_not: str = ""                            # by this very program, as another one could not take over

    @classmethod
    def fresh(cls, settings: Settings, found: Sockets | None = None) -> "Holdings":
        """Binds what was not `found`. Raises StartError."""
        numbers, started_s = ListenerNumbers(), time.monotonic()
        settings = numbers.number(settings)
        identity = child_identity(settings)
        raise_descriptor_limit(settings)
        make_directories(settings, identity)
        with contextlib.ExitStack() as undo:
            pid_file = PidFile(settings.run.pid_file, str(settings.origin("run.pid_file")))
            undo.callback(pid_file.remove)
            ctl = _open_ctl(settings, identity)
            undo.callback(ctl.close)
            health = Health.opened(settings, identity)
            undo.callback(health.close)
            given = Given(given_sockets(), settings.listeners)
            store = Store(given.names)
            group_id = identity.group_id if identity else -1
            sockets = Sockets(settings.listeners, settings.worker.count, group_id, found, given, kept=store.is_there)
            note_lent(sock for bound in sockets.bound if bound.lent for sock in bound.sockets)
            undo.pop_all()
        strays: Sequence[int] = ()
        if found is not None:
            found.close_but(sockets)
            strays = children_of_this_process()
        tickets, arena_fd = fitting_tickets(settings, None), os.memfd_create("edged-arena", os.MFD_CLOEXEC)
        return cls(settings, started_s, numbers, identity, pid_file, ctl, health, store, sockets, tickets, arena_fd, strays=strays)

    @classmethod
    def taken_over(cls, left: Mapping[str, Any], why_not: str = "") -> "Holdings":
        """What `Supervisor.successor` was given. Raises LegacyError."""
        try:
            settings = Settings.from_wire(left["present"]["settings"])
            identity = identity_of(left["present"]["identity"])
            made = cls(
                settings, float(left["started_s"]), ListenerNumbers(left["numbers"]), identity,
                PidFile.taken_over(left["pid_file"], str(settings.origin("run.pid_file"))),
                Ctl(settings.run.runtime_dir, identity.user_id if identity else None, left=left["ctl"]),
                Health.taken_over(left["health"], settings.run.runtime_dir),
                Store(dict(left["store"])), Sockets.taken_over(left["sockets"], settings.listeners),
                left["tickets"] and Ratchet(*left["tickets"]), int(left["arena"]), str(left["level"]), left=left, why_not=why_not,
            )
            for fd in left["fds"]:
                os.set_inheritable(fd, False)
        except NOT_UNDERSTOOD as why:
            raise LegacyError(f"what it left is not understood: {why!r}") from None
        return made


def _open_ctl(settings: Settings, identity: Identity | None) -> Ctl:
    """The control socket in the runtime directory; raises StartError if one was chosen where it cannot be."""
    chosen = str(settings.origin("run.runtime_dir")) if "run.runtime_dir" in settings.lines else ""
    return Ctl(settings.run.runtime_dir, identity.user_id if identity else None, chosen=chosen)
