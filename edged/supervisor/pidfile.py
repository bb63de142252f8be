"""The PID file, for those who manage services by one. Whose it is, a lock tells: it goes with the process, however that ends."""

import contextlib
import fcntl
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from edged.errors import StartError

__all__ = ["PidFile"]

_TEXT_MOST_BYTES = 32                            # of what we write ourselves


class PidFile:
    """Made beside its place at the start, so that what is in the way is told before anything is bound; put there when all serve."""

    def __init__(self, path: str, origin: str) -> None:
        """`path` "": there is none. `origin`: where the settings name it. Raises StartError."""
        self._path = Path(path)
        self._origin = origin
        self._new = Path(f"{path}.{os.getpid()}")
        self._fd = -1
        self._placed = False
        if not path:
            return
        self._refuse_if_taken()
        try:
            self._fd = os.open(self._new, os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC, 0o644)
            os.fchmod(self._fd, 0o644)           # whatever the umask is: others are to read it
            os.write(self._fd, f"{os.getpid()}\n".encode())
            fcntl.flock(self._fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as why:
            self.remove()
            raise self._error(f"{self._path}: {why.strerror}") from None

    def leave_behind(self) -> dict[str, Any]:
        """What `taken_over` goes on from: in the same process, as its number is told. "fds" are the descriptors in it."""
        fd, self._fd = self._fd, -1
        return {"path": str(self._path) if fd >= 0 else "", "fd": fd, "placed": self._placed, "fds": [fd] * (fd >= 0)}

    @classmethod
    def taken_over(cls, left: Mapping[str, Any], origin: str) -> "PidFile":
        made = cls("", origin)
        made._path, made._fd, made._placed = Path(left["path"]), left["fd"], left["placed"]
        return made

    def place(self) -> None:
        """All serve: the file is there from one moment to the next, in place of a stale one. Raises StartError."""
        if self._fd < 0:
            return
        self._refuse_if_taken()
        try:
            self._new.replace(self._path)
        except OSError as why:
            raise self._error(f"{self._path}: {why.strerror}") from None
        self._placed = True

    def remove(self) -> None:
        """The end. A file that has taken our place stays. May be called again."""
        if self._fd < 0:
            return
        path = self._path if self._placed else self._new
        with contextlib.suppress(OSError):       # a directory that cannot be written any more: the lock goes, so the file is stale
            found, ours = os.lstat(path), os.fstat(self._fd)
            if (found.st_dev, found.st_ino) == (ours.st_dev, ours.st_ino):
                path.unlink()
        os.close(self._fd)
        self._fd = -1

    def _refuse_if_taken(self) -> None:
        try:
            with self._path.open("rb") as file:
                told = file.read(_TEXT_MOST_BYTES).strip()
                if told and not told.isdigit():
                    raise self._error(f"{self._path}: this is no PID file, and is left alone")
                if told and int(told) != os.getpid():
                    fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except FileNotFoundError:
            pass
        except BlockingIOError:
            raise self._error(f"{self._path}: another edged runs, process {int(told)}") from None
        except OSError as why:
            raise self._error(f"{self._path}: {why.strerror}") from None

    def _error(self, message: str) -> StartError:
        return StartError(f"{self._origin}: run.pid_file: {message}")
