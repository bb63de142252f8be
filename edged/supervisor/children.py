"""One child process: started with nothing but its end of a wire, watched through a pidfd."""

import contextlib
import logging
import os
import signal
import socket
import subprocess
import sys
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Any

import trio

from edged.child import RULED_BY_WIRE
from edged.supervisor.notify import VARIABLES
from edged.wire import Wire, WireClosed, WireError, wire_pair

log = logging.getLogger("edged.supervisor")

# Of the environment: settings have the key in it, which /proc need not show for each child; what the service manager says is for us.
NOT_THEIRS = ("DEFAULT_CERTIFICATE", "EDGED_LENT", *VARIABLES)
UNREAD_MOST = 256                                # messages that a child may leave unread before it counts as stuck
LEAVE_S = 5.0                                    # between a closed wire and the end of the process
LAST_WORDS_S = 1.0                               # to hear what a process has said before it ended


@dataclass(frozen=True, slots=True)
class Identity:
    """Whom children run as."""

    user_id: int
    group_id: int
    groups: tuple[int, ...]

    def plain(self) -> list[Any]:
        return [self.user_id, self.group_id, list(self.groups)]


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


class _Inherited:
    """A child that another program started in this very process: all that is known of it is its number."""

    def __init__(self, pid: int) -> None:
        self.pid = pid
        self._returncode: int | None = None

    def poll(self) -> int | None:
        return self._look(os.WNOHANG)

    def wait(self) -> int:
        returncode = self._look(0)
        assert returncode is not None
        return returncode

    def _look(self, options: int) -> int | None:
        if self._returncode is None:
            pid, status = os.waitpid(self.pid, options)
            if pid:
                self._returncode = os.waitstatus_to_exitcode(status)
        return self._returncode


class Child:
    """A running child. `tell` never waits; `attend` returns when the process has ended."""

    def __init__(self, wing: str, index: int, process: "subprocess.Popen[bytes] | _Inherited", wire: Wire, age_s: float = 0.0) -> None:
        self.wing = wing
        self.name = "control" if wing == "control" else f"{wing} {index}"
        self.index = index
        self.started_s = trio.current_time() - age_s
        self.asked_s: float | None = None        # when it was sent a ping that it has not answered yet
        self.is_up = False                       # it has said anything
        self.pid = process.pid
        self._process = process
        self._pidfd = os.pidfd_open(self.pid)
        self._wire = wire
        self._unsent: deque[tuple[dict[str, Any], list[int]]] = deque()
        self._news = trio.Event()                # set when there is something to send
        self._spared = False

    @classmethod
    def start(cls, wing: str, index: int, identity: Identity | None) -> "Child":
        """Start a process; raises OSError, subprocess.SubprocessError."""
        ours, theirs = wire_pair()
        try:
            process = _spawn(wing, index, theirs, identity)
        except (OSError, subprocess.SubprocessError):
            ours.close()
            raise
        finally:
            theirs.close()
        return cls(wing, index, process, Wire(ours))

    def tell(self, message: dict[str, Any], fds: Sequence[int] = ()) -> None:
        """Send a message in its turn. The descriptors are duplicated at once: the caller keeps its own."""
        if self._pidfd < 0:
            return
        if len(self._unsent) >= UNREAD_MOST:
            log.error("%s (process %d) reads nothing any more: killed", self.name, self.pid)
            self.kill()
            return
        self._unsent.append((message, [os.dup(fd) for fd in fds]))
        self._news.set()

    async def attend(self, hear: Callable[["Child", dict[str, Any], list[int]], Awaitable[None]]) -> int:
        """Carry messages both ways until the process has ended; answers its return code as subprocess does. If it is cancelled, the
        process is killed, unless it was spared."""
        ended, all_heard = False, trio.Event()
        try:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(self._speak)
                nursery.start_soon(self._listen, hear, all_heard)
                await trio.lowlevel.wait_readable(self._pidfd)
                ended = True
                with trio.move_on_after(LAST_WORDS_S):
                    await all_heard.wait()
                nursery.cancel_scope.cancel()
        finally:
            if ended or not self._spared:
                self._close()
        return self._process.wait()

    async def _speak(self) -> None:
        while True:
            while not self._unsent:
                self._news = trio.Event()
                await self._news.wait()
            message, fds = self._unsent[0]
            begun = self._wire.begun
            try:
                await self._wire.send(message, fds)
            except WireClosed:
                return                           # it is ending: `attend` sees that
            finally:
                if self._wire.begun > begun:     # the wire sends the rest, whoever is cancelled
                    self._unsent.popleft()
                    _close_all(fds)

    async def _listen(self, hear: Callable[["Child", dict[str, Any], list[int]], Awaitable[None]], all_heard: trio.Event) -> None:
        try:
            while True:
                message, fds = await self._wire.receive()
                await hear(self, message, fds)
        except WireClosed:
            all_heard.set()
            await trio.sleep(LEAVE_S)
            log.error("%s (process %d) closed its wire and stayed: killed", self.name, self.pid)
        except WireError as why:
            all_heard.set()
            log.error("%s (process %d) sent nonsense: %s: killed", self.name, self.pid, why)
        self.kill()

    def kill(self) -> None:
        with contextlib.suppress(OSError):       # it has ended, or been waited for
            signal.pidfd_send_signal(self._pidfd, signal.SIGKILL)

    def spare(self) -> None:
        """From now on it outlives who attends it; `leave_behind` comes next."""
        self._spared = True

    def leave_behind(self) -> dict[str, Any]:
        """What `taken_over` goes on from, once nobody attends it any more; see Wire."""
        os.close(self._pidfd)
        self._pidfd = -1
        wire, unsent = self._wire.leave_behind(), list(self._unsent)
        age_s = trio.current_time() - self.started_s
        fds = [*wire["fds"], *(fd for _, fds in unsent for fd in fds)]
        return {"wing": self.wing, "index": self.index, "pid": self.pid, "age_s": age_s, "wire": wire, "unsent": unsent, "fds": fds}

    @classmethod
    def taken_over(cls, left: dict[str, Any]) -> "Child":
        """Raises OSError if there is no such process."""
        child = cls(left["wing"], left["index"], _Inherited(left["pid"]), Wire.taken_over(left["wire"]), left["age_s"])
        child._unsent.extend((message, list(fds)) for message, fds in left["unsent"])
        return child

    def _close(self) -> None:
        if self._process.poll() is None:         # only if this task is being cancelled
            self.kill()
            self._process.wait()
        self._wire.close()
        for _, fds in self._unsent:
            _close_all(fds)
        self._unsent.clear()
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
