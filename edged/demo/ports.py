"""Who has a port."""

import contextlib
import os
from pathlib import Path

__all__ = ["holder"]

LISTENING = "0A"


def holder(port: int) -> str:
    """Name and number of a process that listens on a TCP port of this machine; "" where that cannot be seen."""
    wanted = {f"socket:[{inode}]" for inode in listening(port)}
    for process in Path("/proc").iterdir():
        if not wanted or not process.name.isdigit():
            continue
        with contextlib.suppress(OSError):       # gone, or not ours to look into
            for descriptor in (process / "fd").iterdir():
                if os.readlink(descriptor) in wanted:
                    return f"{(process / 'comm').read_text().strip()} (process {process.name})"
    return ""


def listening(port: int) -> set[str]:
    """Inodes of the sockets that listen on it."""
    found = set()
    for table in ("/proc/net/tcp", "/proc/net/tcp6"):
        with contextlib.suppress(OSError):
            for line in Path(table).read_text().splitlines()[1:]:
                words = line.split()
                if words[3] == LISTENING and int(words[1].rpartition(":")[2], 16) == port:
                    found.add(words[9])
    return found
