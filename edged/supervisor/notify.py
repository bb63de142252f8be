"""Word to and from the service manager: sd_notify(3), its watchdog, and the descriptors that it keeps for us and gives us."""

import array
import logging
import os
import socket
import time
from collections.abc import Mapping, MutableMapping, Sequence

__all__ = ["VARIABLES", "forget", "given_sockets", "notify", "reloading", "store", "store_most", "watchdog_s"]

log = logging.getLogger("edged.supervisor")

VARIABLES = (                                    # what it tells us of is meant for no child
    "NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID", "FDSTORE", "LISTEN_FDS", "LISTEN_PID", "LISTEN_PIDFDID", "LISTEN_FDNAMES",
)

_SEND_S = 1.0                                    # for its queue to have room
_FIRST_FD = 3                                    # SD_LISTEN_FDS_START
_DESCRIPTORS_MOST = 250                          # of one message; the kernel takes 253


def notify(*lines: str, fds: Sequence[int] = ()) -> None:
    """Send lines such as "READY=1" to $NOTIFY_SOCKET, if there is one."""
    address = os.environ.get("NOTIFY_SOCKET", "")
    if not address.startswith(("/", "@")):
        return
    rights = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", fds).tobytes())] if fds else []
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
            sock.settimeout(_SEND_S)
            sock.sendmsg(["\n".join(lines).encode()], rights, 0, f"\0{address[1:]}" if address.startswith("@") else address)
    except OSError as why:                       # a timeout is one too
        log.warning("the service manager cannot be told %s: %s", lines[0], why.strerror or "it does not listen")


def reloading() -> None:
    """A reload begins; READY=1 ends it. The time tells the service manager which of its orders this answers."""
    notify("RELOADING=1", f"MONOTONIC_USEC={time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000}")


def watchdog_s(environ: Mapping[str, str] = os.environ) -> float:
    """How long the service manager waits for a sign of life before it ends us; 0: for ever."""
    usec, pid = environ.get("WATCHDOG_USEC", ""), environ.get("WATCHDOG_PID", "")
    if not _is_number(usec) or (pid and pid != str(os.getpid())):
        return 0.0
    return int(usec) / 1e6


def store_most(environ: Mapping[str, str] = os.environ) -> int:
    """How many descriptors the service manager keeps for us. systemd says so since version 254; for an older one its unit does."""
    number = environ.get("FDSTORE", "")
    return int(number) if _is_number(number) and environ.get("NOTIFY_SOCKET") else 0


def store(name: str, fds: Sequence[int]) -> None:
    """Have the service manager keep descriptors, and give them to whoever is started after us. It need not look whether they are
    hung up: a socket that does not listen for a while is kept too."""
    for at in range(0, len(fds), _DESCRIPTORS_MOST):
        notify("FDSTORE=1", f"FDNAME={name}", "FDPOLL=0", fds=fds[at : at + _DESCRIPTORS_MOST])


def forget(name: str) -> None:
    """Have it close what it keeps by this name."""
    notify("FDSTOREREMOVE=1", f"FDNAME={name}")


def given_sockets(environ: MutableMapping[str, str] = os.environ) -> list[tuple[str, socket.socket]]:
    """The sockets that we were started with, each with its name. They are ours from now on; what is none is closed."""
    count, pid, names = (environ.pop(name, "") for name in ("LISTEN_FDS", "LISTEN_PID", "LISTEN_FDNAMES"))
    environ.pop("LISTEN_PIDFDID", None)
    if pid != str(os.getpid()) or not _is_number(count):
        return []
    called = names.split(":")
    given = []
    for number in range(int(count)):
        name = called[number] if number < len(called) else ""
        try:
            sock = _socket_of(_FIRST_FD + number)
        except OSError as why:
            log.warning('descriptor %d of the service manager, "%s", is no socket: %s', _FIRST_FD + number, name, why.strerror)
        else:
            given.append((name, sock))
    return given


def _socket_of(fd: int) -> socket.socket:
    """The socket of a descriptor, which is closed if it has none. Raises OSError."""
    os.set_inheritable(fd, False)
    try:
        sock = socket.socket(fileno=fd)
    except OSError:
        os.close(fd)
        raise
    sock.setblocking(False)
    return sock


def _is_number(text: str) -> bool:
    return text.isascii() and text.isdecimal()
