"""How times, sizes, truths and addresses are written, in the file and in the environment. Everything raises ValueError."""

import ipaddress
import re
import socket
from dataclasses import dataclass

MOST_MS = 2_147_483_647                          # longest time that the reference takes (openshift-routes.md 12)

_TIME_UNITS = re.compile(r"([1-9][0-9]*)(us|ms|s|m|h|d)?", re.ASCII)
_UNIT_US = {"us": 1, "ms": 1000, "s": 1_000_000, "m": 60_000_000, "h": 3_600_000_000, "d": 86_400_000_000}
_GO_PART = re.compile(r"([0-9]+(?:\.[0-9]*)?|\.[0-9]+)(ns|us|µs|μs|ms|s|m|h)", re.ASCII)
_GO_UNIT_NS = {"ns": 1, "us": 1e3, "µs": 1e3, "μs": 1e3, "ms": 1e6, "s": 1e9, "m": 6e10, "h": 3.6e12}
_SIZE = re.compile(r"([0-9]+)(k|m|g)?", re.ASCII | re.IGNORECASE)
_SIZE_UNIT = {"": 1, "k": 1024, "m": 1024**2, "g": 1024**3}


def time_units_ms(text: str) -> int:
    """openshift-routes.md 12: "30s", "1500" (milliseconds); parts of a millisecond are rounded up. Not clipped."""
    match = _TIME_UNITS.fullmatch(text)
    if match is None:
        raise ValueError(f'"{text}" is no time: write digits and a unit of us, ms, s, m, h, d, such as "30s"')
    return -(-int(match[1]) * _UNIT_US[match[2] or "ms"] // 1000)


def clipped_time_ms(text: str) -> int:
    """As `time_units_ms`, at most 2147483647 ms."""
    return min(time_units_ms(text), MOST_MS)


def go_duration_ms(text: str) -> int:
    """A Go duration: "300ms", "1.5h", "2h45m"; the unit is mandatory except for "0"."""
    if text == "0":
        return 0
    at, total_ns = 0, 0.0
    while at < len(text):
        match = _GO_PART.match(text, at)
        if match is None:
            break
        total_ns += float(match[1]) * _GO_UNIT_NS[match[2]]
        at = match.end()
    if not text or at != len(text):
        raise ValueError(f'"{text}" is no duration: write numbers with a unit, such as "1.5h" or "2m30s"')
    return min(-int(-total_ns // 1e6), MOST_MS)


def size_bytes(text: str) -> int:
    """A number of bytes, or of k, m, g (powers of 1024)."""
    match = _SIZE.fullmatch(text)
    if match is None:
        raise ValueError(f'"{text}" is no size: write a number of bytes, or one with k, m or g such as "16k"')
    return int(match[1]) * _SIZE_UNIT[(match[2] or "").lower()]


def truth(text: str) -> bool:
    """The reference's Bool: these words are true, everything else is false (openshift-routes.md 10)."""
    return text in {"1", "t", "T", "true", "TRUE", "True"}


def items(text: str) -> tuple[str, ...]:
    """Comma separated, trimmed, empty ones dropped."""
    return tuple(item for item in (part.strip() for part in text.split(",")) if item)


def whole_number(text: str) -> int:
    """Decimal digits with an optional sign."""
    if not re.fullmatch(r"[+-]?[0-9]{1,18}", text, re.ASCII):
        raise ValueError(f'"{text}" is no whole number')
    return int(text)


@dataclass(frozen=True, slots=True)
class Address:
    """Where a listener listens. `path` is set for a unix socket, `host` and `port` otherwise."""

    host: str = ""
    port: int = 0
    path: str = ""

    @property
    def family(self) -> socket.AddressFamily:
        if self.path:
            return socket.AF_UNIX
        return socket.AF_INET6 if ":" in self.host else socket.AF_INET

    def __str__(self) -> str:
        if self.path:
            return f"unix:{self.path}"
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


_ADDRESS_HELP = 'write "127.0.0.1:8080", "[::]:80" or "unix:/path"'
_UNIX_PATH_MOST_BYTES = 107                      # of sockaddr_un, less the closing NUL


def address(text: str) -> Address:
    """An IP address and port, or a unix socket; names are not looked up, so that a start never depends on DNS."""
    if text.startswith("unix:"):
        path = text.removeprefix("unix:")
        if not path.startswith("/") or "\0" in path:
            raise ValueError(f'"{text}": the path of a unix socket starts with "/"')
        if len(path.encode()) > _UNIX_PATH_MOST_BYTES:
            raise ValueError(f'"{text}": the path of a unix socket has at most {_UNIX_PATH_MOST_BYTES} bytes')
        return Address(path=path)
    host, colon, port_text = text.rpartition(":")
    if not colon or not re.fullmatch(r"[0-9]{1,5}", port_text, re.ASCII):
        raise ValueError(f'"{text}" has no port: {_ADDRESS_HELP}')
    port = int(port_text)
    if port > 65535:
        raise ValueError(f'"{text}": a port is at most 65535')
    bracketed = host.startswith("[") and host.endswith("]")
    try:
        ip = ipaddress.ip_address(host[1:-1] if bracketed else host)
    except ValueError:
        raise ValueError(f'"{text}": "{host}" is no IP address: {_ADDRESS_HELP}') from None
    if bracketed != (ip.version == 6):
        raise ValueError(f'"{text}": brackets belong around an IPv6 address, and only there: {_ADDRESS_HELP}')
    return Address(host=host[1:-1] if bracketed else host, port=port)


def network(text: str) -> str:
    """An address or network, in canonical form: "10.0.0.0/8"."""
    try:
        return str(ipaddress.ip_network(text, strict=True))
    except ValueError:
        try:
            wanted = ipaddress.ip_network(text, strict=False)
        except ValueError:
            raise ValueError(f'"{text}" is no network: write "10.0.0.0/8" or one address') from None
        raise ValueError(f'"{text}" has bits set beyond its prefix: write "{wanted}"') from None


def time_text(ms: int) -> str:
    """The shortest way to write a time."""
    for unit, per_ms in (("d", 86_400_000), ("h", 3_600_000), ("m", 60_000), ("s", 1000)):
        if ms and ms % per_ms == 0:
            return f"{ms // per_ms}{unit}"
    return f"{ms}ms"
