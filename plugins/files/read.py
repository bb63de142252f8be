"""Bytes of a file, whatever lies at its name."""

import os
import stat

__all__ = ["FILE_MOST_BYTES", "Unreadable", "read_bytes"]

FILE_MOST_BYTES = 64 * 1024 * 1024


class Unreadable(Exception):
    """Nothing of a file can be used now; what it held before should stay. The text is a problem of the file."""

    def __init__(self, line: int, message: str) -> None:
        super().__init__(message)
        self.line = line
        self.message = message


def read_bytes(path: str, most_bytes: int = FILE_MOST_BYTES) -> bytes:
    """What a regular file holds, without waiting for anything else that may have its name. Raises Unreadable, FileNotFoundError."""
    try:
        fd = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC)
        with open(fd, "rb") as file:
            if not stat.S_ISREG(os.fstat(fd).st_mode):
                raise Unreadable(0, "this is no file")
            text = file.read(most_bytes + 1)
    except FileNotFoundError:
        raise
    except OSError as why:
        raise Unreadable(0, f"cannot be read: {why.strerror}") from None
    if len(text) > most_bytes:
        raise Unreadable(0, f"the file is larger than {most_bytes >> 20} MiB")
    return text
