"""Who holds an address that we wanted: read from /proc, for the one line that says why a start failed."""

import ipaddress
import os
import sys
from collections.abc import Iterator
from pathlib import Path

from edged.settings.units import Address

_LISTEN = "0A"                                   # TCP_LISTEN in /proc/net/tcp
_UNIX_LISTENS = 0x10000                          # __SO_ACCEPTCON in /proc/net/unix


def holder(address: Address) -> tuple[int, str]:
    """Process id and name of who listens there; (0, "") if it cannot be found out."""
    inodes = set(_unix_inodes(address.path) if address.path else _tcp_inodes(address))
    wanted = {f"socket:[{inode}]" for inode in inodes}
    for directory in Path("/proc").iterdir() if wanted else ():
        if directory.name.isdigit() and _holds(directory / "fd", wanted):
            try:
                return int(directory.name), (directory / "comm").read_text().strip()
            except OSError:
                continue
    return 0, ""


def _holds(directory: Path, wanted: set[str]) -> bool:
    try:
        descriptors = os.listdir(directory)
    except OSError:                              # gone by now, or not ours to see
        return False
    for descriptor in descriptors:
        try:
            if os.readlink(directory / descriptor) in wanted:
                return True
        except OSError:
            continue
    return False


def _rows(name: str) -> Iterator[list[str]]:
    try:
        text = Path("/proc/net", name).read_text()
    except OSError:
        return
    for row in text.splitlines()[1:]:
        yield row.split()


def _tcp_inodes(address: Address) -> Iterator[str]:
    """Of sockets that listen on our port, at our address or any."""
    ours = ipaddress.ip_address(address.host)
    for name in ("tcp", "tcp6"):
        for row in _rows(name):
            host, _, port = row[1].partition(":")
            theirs = _ip(host)
            if row[3] == _LISTEN and int(port, 16) == address.port and (theirs == ours or theirs.is_unspecified or ours.is_unspecified):
                yield row[9]


def _ip(text: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address:
    """The kernel prints addresses as 32-bit words in the machine's byte order."""
    words = [int(text[at : at + 8], 16).to_bytes(4, sys.byteorder) for at in range(0, len(text), 8)]
    return ipaddress.ip_address(b"".join(words))


def _unix_inodes(path: str) -> Iterator[str]:
    for row in _rows("unix"):
        if len(row) > 7 and int(row[3], 16) & _UNIX_LISTENS and row[7] == path:
            yield row[6]
