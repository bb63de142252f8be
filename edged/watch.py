"""Tells when files may have changed: inotify, through the C library.

Watched are folders, never files: so a file that is replaced, renamed or put in place of a deleted one stays in view, and so
does what a symbolic link on the way leads to (as in a mounted ConfigMap, whose `..data` is swapped).
"""

import ctypes
import errno
import os
import struct
from collections.abc import Iterator

import trio

__all__ = ["Change", "Watch", "ways"]

_ATTRIB, _CLOSE_WRITE, _MOVED_FROM, _MOVED_TO, _CREATE, _DELETE, _DELETE_SELF, _MOVE_SELF = 4, 8, 0x40, 0x80, 0x100, 0x200, 0x400, 0x800
_UNMOUNT, _OVERFLOW, _IGNORED, _ONLYDIR = 0x2000, 0x4000, 0x8000, 0x01000000
_MASK = _ATTRIB | _CLOSE_WRITE | _MOVED_FROM | _MOVED_TO | _CREATE | _DELETE | _DELETE_SELF | _MOVE_SELF | _ONLYDIR
_EVENT = struct.Struct("iIII")
_LINKS_MOST = 40                                 # as the kernel


class Change:
    """What happened since the last look. `names` are paths of entries in watched folders."""

    __slots__ = ("lost", "names", "pending")

    def __init__(self) -> None:
        self.names: set[str] = set()
        self.pending: set[str] = set()           # created, but whoever writes them has not closed them yet
        self.lost = False                        # look at everything: events were lost, or a folder itself went


class Watch:
    """One inotify descriptor, from the first `keep` on. Use as a context manager."""

    def __init__(self) -> None:
        self._libc = ctypes.CDLL(None, use_errno=True)
        self._fd = -1
        self._folders: dict[int, str] = {}       # watch descriptor: path
        self._numbers: dict[str, int] = {}

    def __enter__(self) -> "Watch":
        return self

    def __exit__(self, *_: object) -> None:
        if self._fd >= 0:
            os.close(self._fd)

    def _call(self, name: str, *arguments: object) -> int:
        answer: int = getattr(self._libc, name)(*arguments)
        if answer < 0:
            number = ctypes.get_errno()
            raise OSError(number, os.strerror(number))
        return answer

    def keep(self, folders: set[str]) -> set[str]:
        """Watch exactly these; answers those that are new. One that does not exist is left out. Raises OSError if there can be no
        more watches, or none at all: then nothing is seen to change, and the next call tries again."""
        if self._fd < 0:
            self._fd = self._call("inotify_init1", ctypes.c_int(os.O_NONBLOCK | os.O_CLOEXEC))
        for gone in self._numbers.keys() - folders:
            self._forget(self._numbers[gone])
        new = set()
        for folder in folders:
            try:
                path = ctypes.c_char_p(os.fsencode(folder))
                number = self._call("inotify_add_watch", ctypes.c_int(self._fd), path, ctypes.c_uint32(_MASK))
            except OSError as why:
                if why.errno in (errno.ENOENT, errno.ENOTDIR, errno.EACCES, errno.ELOOP):
                    continue
                raise
            if self._numbers.get(folder) != number:
                new.add(folder)
                if folder in self._numbers:      # another folder has taken its name
                    self._forget(self._numbers[folder])
            self._folders[number] = folder
            self._numbers[folder] = number
        return new

    def _forget(self, number: int) -> None:
        folder = self._folders.pop(number, None)
        if folder is not None and self._numbers.get(folder) == number:
            del self._numbers[folder]
        try:
            self._call("inotify_rm_watch", ctypes.c_int(self._fd), ctypes.c_int(number))
        except OSError as why:
            if why.errno != errno.EINVAL:        # the kernel has dropped it already
                raise

    async def changes(self) -> Change:
        """Wait until something happened, and tell all that has."""
        while True:
            change = self.changes_nowait()
            if change.names or change.pending or change.lost:
                await trio.lowlevel.checkpoint()
                return change
            if self._fd < 0:
                await trio.sleep_forever()
            await trio.lowlevel.wait_readable(self._fd)

    def changes_nowait(self) -> Change:
        change = Change()
        while self._fd >= 0:
            try:
                events = os.read(self._fd, 65536)
            except BlockingIOError:
                return change
            at = 0
            while at < len(events):
                number, mask, _, length = _EVENT.unpack_from(events, at)
                at += _EVENT.size
                name = os.fsdecode(events[at:at + length].rstrip(b"\0"))
                at += length
                self._note(change, number, mask, name)
        return change

    def _note(self, change: Change, number: int, mask: int, name: str) -> None:
        folder = self._folders.get(number)
        if mask & _OVERFLOW:
            change.lost = True
        elif folder is None:
            return                               # of a watch that was given up meanwhile
        elif mask & (_DELETE_SELF | _MOVE_SELF | _UNMOUNT | _IGNORED):
            change.lost = True
            self._forget(number)                 # it is gone, or still watched by a name that is no longer its own
        elif name:
            path = os.path.join(folder, name)
            if mask & _CREATE:
                change.pending.add(path)
            else:
                change.names.add(path)


def ways(path: str) -> Iterator[tuple[str, str]]:
    """Folder and name of every entry on the way to an absolute path that decides what it leads to: of each symbolic link, of
    the end, and of the first that does not exist."""
    steps = [step for step in path.split("/") if step]
    at, links = "/", 0
    while steps:
        step = steps.pop(0)
        if step == ".":
            continue
        if step == "..":
            at = os.path.dirname(at)
            continue
        entry = os.path.join(at, step)
        try:
            target = os.readlink(entry)
        except OSError as why:
            if why.errno != errno.EINVAL or not steps:           # not there, or the end
                yield at, step
            if why.errno != errno.EINVAL:
                return
            at = entry
            continue
        yield at, step
        links += 1
        if links > _LINKS_MOST:
            return
        steps = [part for part in target.split("/") if part] + steps
        if target.startswith("/"):
            at = "/"
