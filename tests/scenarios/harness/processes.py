"""What /proc tells about a process that may be gone by now."""

import os
import re
from collections import Counter
from pathlib import Path

__all__ = ["alive", "anonymous_bytes", "children", "descendants", "descriptors", "name_of"]


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
    sorts: Counter[str] = Counter()
    for fd in os.listdir(f"/proc/{pid}/fd"):
        try:
            sorts[re.split(r":|\[", os.readlink(f"/proc/{pid}/fd/{fd}"), maxsplit=1)[0]] += 1
        except FileNotFoundError:                # closed in the meantime
            pass
    return sorts


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
