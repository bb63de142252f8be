"""What /proc tells about a process that may be gone by now."""

import contextlib
import os
import re
from collections import Counter
from collections.abc import Iterable
from pathlib import Path

__all__ = ["alive", "anonymous_bytes", "children", "descendants", "descriptor_tables", "descriptors", "listeners", "listening", "name_of"]


def children(pid: int) -> list[int]:
    return [int(word) for word in _read(f"/proc/{pid}/task/{pid}/children").split()]


def descendants(pid: int) -> list[int]:
    return [found for child in children(pid) for found in (child, *descendants(child))]


def alive(pid: int) -> bool:
    stat = _read(f"/proc/{pid}/stat")
    return bool(stat) and stat.rpartition(")")[2].split()[0] != "Z"


def name_of(pid: int) -> str:
    return _read(f"/proc/{pid}/comm").strip()


def descriptors(pid: int) -> Counter[str]:
    """What it has open, by sort: "socket", "pipe", ..."""
    return Counter(re.split(r":|\[", link, maxsplit=1)[0] for table in descriptor_tables(pid) for link in table.values())


def listeners(pids: Iterable[int]) -> set[str]:
    """The TCP sockets on which they listen, by inode: a port alone does not tell whose it is, as it may be given to another at once."""
    held = {link for pid in pids if alive(pid) for table in descriptor_tables(pid) for link in table.values()}
    return {inode for inode in listening() if f"socket:[{inode}]" in held}


def listening() -> set[str]:
    """Every TCP socket of this network namespace that listens, by inode."""
    rows = [row.split() for file in ("tcp", "tcp6") for row in _read(f"/proc/net/{file}").splitlines()[1:]]
    return {row[9] for row in rows if row[3] == "0A"}


def descriptor_tables(pid: int) -> list[dict[int, str]]:
    """Each table that its threads have: that of the process first, and then, in a worker, that of the engine."""
    tables: list[dict[int, str]] = []
    for thread in sorted(os.listdir(f"/proc/{pid}/task"), key=int):
        table = _table(f"/proc/{pid}/task/{thread}/fd")
        if table and table not in tables:
            tables.append(table)
    return tables


def _table(directory: str) -> dict[int, str]:
    table = {}
    with contextlib.suppress(FileNotFoundError):              # the thread has ended in the meantime
        for fd in os.listdir(directory):
            with contextlib.suppress(FileNotFoundError):      # closed in the meantime
                table[int(fd)] = os.readlink(f"{directory}/{fd}")
    return table


def anonymous_bytes(pid: int) -> int:
    """Memory of its own: what is shared or mapped from files is not counted."""
    anon = re.search(r"^RssAnon:\s+(\d+) kB", _read(f"/proc/{pid}/status"), re.MULTILINE)
    assert anon, f"process {pid} is gone"
    return int(anon[1]) * 1024


def _read(path: str) -> str:
    try:
        return Path(path).read_text()
    except (FileNotFoundError, ProcessLookupError):
        return ""
