"""Unix sockets of our own in [run] runtime_dir, where operators and their tools ask."""

import contextlib
import errno
import os
import socket
from collections.abc import Mapping
from typing import Any

from edged.ctl.frames import Doorway
from edged.supervisor.binding import clear_stale

__all__ = ["RuntimeSocket", "why_not"]


class RuntimeSocket:
    """One that listens under `name`, with its file's mode; raises OSError, EADDRINUSE if somebody else answers there already."""

    def __init__(self, directory: str, name: str, mode: int, backlog: int, user_id: int = -1, group_id: int = -1) -> None:
        """Whose file it is: -1, that of this process."""
        self._doorway: Doorway | None = Doorway(directory, name)
        self.socket: socket.socket | None = None
        self._file = (0, 0)
        sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
        try:
            clear_stale(self._doorway.address)
            sock.bind(self._doorway.address)
            found = os.stat(self._doorway.address)
            self._file = found.st_dev, found.st_ino
            os.chmod(self._doorway.address, mode)            # nobody can connect before listen()
            self.give_to(user_id, group_id)
            sock.listen(backlog)
        except OSError:
            sock.close()
            self.close()
            raise
        self.socket = sock

    @classmethod
    def taken_over(cls, left: Mapping[str, Any], directory: str, name: str) -> "RuntimeSocket":
        """What `leave_behind` gave."""
        one = cls.__new__(cls)
        one._file = left["file"][0], left["file"][1]
        one.socket = socket.socket(fileno=left["socket"]) if left["socket"] >= 0 else None
        one._doorway = None
        with contextlib.suppress(OSError):       # without the directory there is nothing to remove, either
            one._doorway = Doorway(directory, name)
        return one

    def leave_behind(self) -> dict[str, Any]:
        """What another program in this process goes on from: a descriptor and the file's identity. This object holds nothing then."""
        fd = -1 if self.socket is None else self.socket.detach()
        self.socket = None
        if self._doorway is not None:
            self._doorway.close()
            self._doorway = None
        return {"socket": fd, "file": self._file}

    def give_to(self, user_id: int = -1, group_id: int = -1) -> None:
        """Change whose file it is; raises OSError."""
        if self._doorway is not None and (user_id, group_id) != (-1, -1):
            os.chown(self._doorway.address, user_id, group_id)

    def close(self) -> None:
        """Close, and remove the file if it is still ours. May be called again."""
        if self.socket is not None:
            self.socket.close()
            self.socket = None
        if self._doorway is not None:
            with contextlib.suppress(FileNotFoundError):
                found = os.lstat(self._doorway.address)
                if (found.st_dev, found.st_ino) == self._file:
                    os.unlink(self._doorway.address)
            self._doorway.close()
            self._doorway = None


def why_not(error: OSError) -> str:
    """For the line that says that it could not be."""
    return "another daemon answers there" if error.errno == errno.EADDRINUSE else error.strerror or "it cannot be"
