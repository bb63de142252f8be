"""Word to the service manager (sd_notify): ready, reloading, stopping."""

import logging
import os
import socket
import time

log = logging.getLogger("edged.supervisor")


def notify(*lines: str) -> None:
    """Send lines such as "READY=1" to $NOTIFY_SOCKET, if there is one. Never waits."""
    address = os.environ.get("NOTIFY_SOCKET", "")
    if not address.startswith(("/", "@")):
        return
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK) as sock:
            sock.sendto("\n".join(lines).encode(), "\0" + address[1:] if address.startswith("@") else address)
    except OSError as why:
        log.warning("the service manager cannot be told %s: %s", lines[0], why.strerror)


def reloading() -> None:
    """A reload begins; READY=1 ends it. By the time, the service manager knows which of its orders this answers."""
    notify("RELOADING=1", f"MONOTONIC_USEC={time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000}")
