"""Files that are there whole or not at all."""

import os
from pathlib import Path

__all__ = ["replace_file"]


def replace_file(path: Path, body: bytes, mode: int = 0o600) -> None:
    """Put a new file in place of the old one, on disk when this returns; the folder must exist. Raises OSError, and then the old one
    is there as it was."""
    new = path.with_name(f".{path.name}.new")
    new.unlink(missing_ok=True)                  # somebody who was killed here left it
    fd = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, mode)
    try:
        with open(fd, "wb") as file:
            os.fchmod(fd, mode)                  # whatever the umask takes away
            file.write(body)
            file.flush()
            os.fsync(fd)
        new.replace(path)
    except OSError:
        new.unlink(missing_ok=True)
        raise
