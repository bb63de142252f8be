"""One request to a running daemon, and what comes back. Plain blocking sockets: a command line waits for nothing else."""

import contextlib
import os
import select
import socket
import struct
from collections.abc import Callable
from enum import IntEnum
from pathlib import Path
from typing import Any, NamedTuple

from edged.ctl.frames import ANSWER_MOST_BYTES, SOCKET_NAME, VERSION, FrameError, connect, cut, pack
from edged.errors import EdgedError

__all__ = ["CtlError", "Exit", "Reply", "ask"]

LEAVE_S = 10.0                                   # between the answer that it stops and the end of its process

_CREDENTIALS = struct.Struct("3i")


class Exit(IntEnum):
    """Statuses of `edged ctl`; a later one is never told where an earlier one holds."""

    DONE = 0                                     # it was done
    FAILED = 1                                   # the daemon tried and could not, or refused
    USAGE = 2                                    # the command line, or the settings file, cannot be understood
    NO_DAEMON = 3                                # no daemon runs there
    DENIED = 4                                   # one runs, and does not take orders from this user
    GONE = 5                                     # it ended before it answered
    STRANGE = 6                                  # what answers speaks otherwise: another version, or no edged


class CtlError(EdgedError):
    """Nothing came of the request; `status` is what the command leaves with."""

    def __init__(self, status: Exit, message: str) -> None:
        super().__init__(message)
        self.status = status


class Reply(NamedTuple):
    ok: bool
    result: dict[str, Any]


def ask(runtime_dir: str, verb: str, arguments: dict[str, Any], progress: Callable[[str], None], *, until_gone: bool = False) -> Reply:
    """Send a request and wait for its end. `until_gone`: for that of the daemon's process, too. Raises CtlError."""
    path = Path(runtime_dir, SOCKET_NAME)
    with contextlib.ExitStack() as opened:
        sock = opened.enter_context(_connect(path))
        process = _watch(sock) if until_gone else -1
        if process >= 0:
            opened.callback(os.close, process)
        with contextlib.suppress(OSError):       # it closed early: what it said before that is worth reading
            sock.sendall(pack({"version": VERSION, "verb": verb, "arguments": arguments}))
        reply = _replies(sock, path, progress)
        if process >= 0 and not select.select([process], [], [], LEAVE_S)[0]:
            raise CtlError(Exit.FAILED, f"the daemon said that it stops, and has not ended after {LEAVE_S:g} s")
    return reply


def _connect(path: Path) -> socket.socket:
    try:
        return connect(path)
    except OSError as why:
        if isinstance(why, PermissionError):
            raise CtlError(Exit.DENIED, f"{path}: permission denied: only root and the daemon's user give orders") from None
        if isinstance(why, (FileNotFoundError, NotADirectoryError)):
            raise CtlError(Exit.NO_DAEMON, f"no daemon runs here: there is no {path}; is it another --config or --runtime-dir?") from None
        if isinstance(why, ConnectionRefusedError):
            raise CtlError(Exit.NO_DAEMON, f"no daemon runs here: {path} was left behind by one that was killed") from None
        raise CtlError(Exit.NO_DAEMON, f"{path}: {why.strerror}") from None


def _watch(sock: socket.socket) -> int:
    """A descriptor that can be read once the daemon's process has ended; -1: it lives where we cannot see it."""
    pid = _CREDENTIALS.unpack(sock.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size))[0]
    try:
        return os.pidfd_open(pid) if pid > 0 else -1
    except OSError:
        return -1


def _replies(sock: socket.socket, path: Path, progress: Callable[[str], None]) -> Reply:
    buffer = bytearray()
    while True:
        try:
            message = cut(buffer, ANSWER_MOST_BYTES)
            if message is None:
                data = sock.recv(65536)
                if not data:
                    raise CtlError(Exit.GONE, "the daemon ended, or closed, before it answered; its own lines say why")
                buffer += data
                continue
        except FrameError as why:
            raise CtlError(Exit.STRANGE, f"{path}: who answers there is no edged: {why}") from None
        except OSError as why:
            raise CtlError(Exit.GONE, f"the daemon ended before it answered: {why.strerror}") from None
        match message:
            case {"type": "progress", "message": str(text)}:
                progress(text)
            case {"type": "done", "ok": bool(ok), "result": dict(result)}:
                return Reply(ok, result)
            case {"type": "refused", "reason": str(reason), "message": str(text)}:
                raise CtlError({"denied": Exit.DENIED, "version": Exit.STRANGE, "verb": Exit.STRANGE}.get(reason, Exit.FAILED), text)
            case _:
                raise CtlError(Exit.STRANGE, f"{path}: the daemon speaks another version: {message.get('version')}, this is {VERSION}")
