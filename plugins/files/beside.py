"""Files that routes name: certificates, keys and authorities, given by paths that start from the file of routes."""

import os

from .read import Unreadable, read_bytes

__all__ = ["Beside", "Signature", "signature"]

_PEM_MOST_BYTES = 4 * 1024 * 1024

Signature = tuple[int, ...]


def signature(path: str) -> Signature:
    """Differs whenever a file was written, replaced or given other rights; () if there is none."""
    try:
        found = os.stat(path)
    except OSError:
        return ()
    return found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns


class Beside:
    """Reads them, and remembers which and how they were."""

    def __init__(self, where: str) -> None:
        """`where`: the file of routes."""
        self.signatures: dict[str, Signature] = {}       # by absolute path, each from before it was read
        self._folder = os.path.dirname(os.path.abspath(where))
        self._texts: dict[str, str] = {}

    def text(self, written: str) -> tuple[str, str]:
        """PEM, and the file that it is of: "" where it is written in the route itself. Raises Unreadable."""
        if "-----BEGIN" in written:
            return written, ""
        if "\0" in written or "\n" in written:
            raise Unreadable(0, "this is neither PEM nor the name of a file")
        path = os.path.normpath(os.path.join(self._folder, written))
        if path not in self._texts:
            self.signatures[path] = signature(path)
            self._texts[path] = _read(path)
        return self._texts[path], path


def _read(path: str) -> str:
    try:
        raw = read_bytes(path, most_bytes=_PEM_MOST_BYTES)
    except FileNotFoundError:
        raise Unreadable(0, f"there is no file {path}") from None
    except Unreadable as why:
        raise Unreadable(0, f"{path}: {why.message}") from None
    return raw.decode("utf-8", "replace")
