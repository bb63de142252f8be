"""One child process: started with nothing but its end of a wire, watched through a pidfd."""

import contextlib
import logging
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Any

import trio

from edged.child import RULED_BY_WIRE
from edged.supervisor.notify import VARIABLES
from edged.wire import Wire, WireClosed, WireError, wire_pair

log = logging.getLogger("edged.supervisor")

# Of the environment: settings have the key in it, which /proc need not show for each child; what the service manager says is for us.
NOT_THEIRS = ("DEFAULT_CERTIFICATE", *VARIABLES)
UNREAD_MOST = 256                                # messages that a child may leave unread before it counts as stuck
LEAVE_S = 5.0                                    # between a closed wire and the end of the process


@dataclass(frozen=True, slots=True)
class Identity:
    """Whom children run as."""

    user_id: int
    group_id: int
    groups: tuple[int, ...]


class Backoff:
    """How long to wait before a child is started again: not at all, unless it keeps dying young."""

    YOUNG_S, FIRST_S, MOST_S = 3.0, 0.25, 30.0

    def __init__(self) -> None:
        self._pause_s = 0.0

    def pause_s(self, lived_s: float) -> float:
        """The pause after a child that lived so long."""
        if lived_s >= self.YOUNG_S:
            self._pause_s = 0.0
        pause_s = self._pause_s
        self._pause_s = min(max(self._pause_s * 2, self.FIRST_S), self.MOST_S)
        return pause_s


class Child:
    """A running child. `tell` never waits; `attend` returns when the process has ended."""

    def __init__(self, wing: str, index: int, identity: Identity | None) -> None:
        self.name = "control" if wing == "control" else f"{wing} {index}"
        self.index = index
        self.started_s = trio.current_time()
        self.asked_s: float | None = None        # when it was sent a ping that it has not answered yet
        self.is_up = False                       # it has said anything
        ours, theirs = wire_pair()
        try:
            self._process = _spawn(wing, index, theirs, identity)
        except (OSError, subprocess.SubprocessError):
            ours.close()
            raise
        finally:
            theirs.close()
        self.pid = self._process.pid
        self._pidfd = os.pidfd_open(self.pid)
        self._wire = Wire(ours)
        self._outbox, self._unsent = trio.open_memory_channel[tuple[dict[str, Any], list[int]]](UNREAD_MOST)

    def tell(self, message: dict[str, Any], fds: Sequence[int] = ()) -> None:
        """Send a message in its turn. The descriptors are duplicated at once: the caller keeps its own."""
        copies = [os.dup(fd) for fd in fds]
        try:
            self._outbox.send_nowait((message, copies))
        except (trio.WouldBlock, trio.BrokenResourceError, trio.ClosedResourceError) as why:
            _close_all(copies)
            if isinstance(why, trio.WouldBlock):
                log.error("%s (process %d) reads nothing any more: killed", self.name, self.pid)
                self.kill()

    async def attend(self, hear: Callable[["Child", dict[str, Any], list[int]], Awaitable[None]]) -> int:
        """Carry messages both ways until the process has ended; answers its return code as subprocess does."""
        try:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(self._speak)
                nursery.start_soon(self._listen, hear)
                await trio.lowlevel.wait_readable(self._pidfd)
                nursery.cancel_scope.cancel()
        finally:
            self._close()
        return self._process.wait()

    async def _speak(self) -> None:
        async for message, fds in self._unsent:
            try:
                await self._wire.send(message, fds)
            except WireClosed:
                return                           # it is ending: `attend` sees that
            finally:
                _close_all(fds)

    async def _listen(self, hear: Callable[["Child", dict[str, Any], list[int]], Awaitable[None]]) -> None:
        try:
            while True:
                message, fds = await self._wire.receive()
                await hear(self, message, fds)
        except WireClosed:
            await trio.sleep(LEAVE_S)
            log.error("%s (process %d) closed its wire and stayed: killed", self.name, self.pid)
        except WireError as why:
            log.error("%s (process %d) sent nonsense: %s: killed", self.name, self.pid, why)
        self.kill()

    def kill(self) -> None:
        with contextlib.suppress(OSError):       # it has ended, or been waited for
            signal.pidfd_send_signal(self._pidfd, signal.SIGKILL)

    def _close(self) -> None:
        if self._process.poll() is None:         # only if this task is being cancelled
            self.kill()
            self._process.wait()
        self._wire.close()
        self._outbox.close()
        while True:
            try:
                _close_all(self._unsent.receive_nowait()[1])
            except (trio.WouldBlock, trio.EndOfChannel, trio.ClosedResourceError):
                break
        self._unsent.close()
        os.close(self._pidfd)
        self._pidfd = -1


def how_it_ended(returncode: int) -> str:
    if returncode >= 0:
        return f"left with status {returncode}"
    return f"was ended by {signal.Signals(-returncode).name}"


def command(wing: str, index: int, wire_fd: int) -> list[str]:
    return [sys.executable, "-P", "-m", "edged", "wing", wing, str(index), str(wire_fd)]


def _spawn(wing: str, index: int, wire_end: socket.socket, identity: Identity | None) -> "subprocess.Popen[bytes]":
    """Signals stay blocked from before the start until the child ignores them."""
    words = command(wing, index, wire_end.fileno())
    environment = {name: value for name, value in os.environ.items() if name not in NOT_THEIRS}
    blocked = signal.pthread_sigmask(signal.SIG_BLOCK, RULED_BY_WIRE)
    try:
        if identity is None:
            return subprocess.Popen(words, stdin=subprocess.DEVNULL, pass_fds=[wire_end.fileno()], env=environment)
        return subprocess.Popen(
            words, stdin=subprocess.DEVNULL, pass_fds=[wire_end.fileno()], env=environment,
            user=identity.user_id, group=identity.group_id, extra_groups=identity.groups,
        )
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, blocked)


def _close_all(fds: Sequence[int]) -> None:
    for fd in fds:
        os.close(fd)
