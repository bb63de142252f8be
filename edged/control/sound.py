"""Whether a route is fit to be served, whatever plugin made it. What passes here can neither upset the table nor break out of a
header that is made from it."""

import re
from collections.abc import Iterable
from ipaddress import ip_address
from typing import Any

from edged.hooks import Backend, Balance, Cookie, Endpoint, HeaderAction, Origin, Route, Timeouts
from edged.hooks.values import COOKIE_NAME, HEADER_NAME, host_flaw

__all__ = ["flaw"]

_CONTROL = re.compile(r"[\x00-\x20\x7f]")
_VALUE = re.compile(r"[\t\x20-\x7e\x80-\U0010ffff]*")
_SOCKET_PATH_MOST_BYTES = 107
_MOST_MS = 2_147_483_647

Flaw = tuple[str, str]                           # path of the field, and what is wrong with it


def flaw(route: Any) -> Flaw | None:
    """The first thing that is wrong with a route; None: it is sound."""
    if not isinstance(route, Route):
        return "", f"{type(route).__name__} is no Route"
    return (
        _first(_typed(route, name, kinds, "") for name, kinds in _ROUTE)
        or _reach_flaw(route)
        or _backend_flaw(route.backend)
        or _header_flaw(route)
    )


_ROUTE: list[tuple[str, tuple[type, ...]]] = [
    ("key", (str,)), ("host", (str,)), ("path", (str,)), ("backend", (Backend,)), ("wildcard", (bool,)),
    ("cookie", (Cookie, type(None))), ("rewrite", (str, type(None))), ("hsts", (str,)), ("request_headers", (tuple,)),
    ("response_headers", (tuple,)), ("max_body_bytes", (int,)), ("namespace", (str,)), ("uid", (str,)), ("created_s", (float, int)),
    ("origin", (Origin,)), ("termination", (str,)), ("insecure", (str,)), ("forwarded", (str,)),
]
_BACKEND: list[tuple[str, tuple[type, ...]]] = [
    ("name", (str,)), ("endpoints", (tuple,)), ("balance", (Balance,)), ("timeouts", (Timeouts,)), ("send_proxy", (int,)),
    ("retries", (int,)), ("redispatch", (int,)), ("maxqueue", (int,)),
]
_ENDPOINT: list[tuple[str, tuple[type, ...]]] = [
    ("address", (str,)), ("port", (int,)), ("name", (str,)), ("weight", (int,)), ("cookie", (str,)), ("maxconn", (int,)),
    ("backup", (bool,)),
]


def _typed(thing: Any, name: str, kinds: tuple[type, ...], at: str) -> Flaw | None:
    value = getattr(thing, name)
    if isinstance(value, kinds):
        return None
    return f"{at}{name}", f"{type(value).__name__} has no place here"


def _first(flaws: Iterable[Flaw | None]) -> Flaw | None:
    return next((found for found in flaws if found is not None), None)


def _reach_flaw(route: Route) -> Flaw | None:
    """Name, host and path."""
    if not route.key or _CONTROL.search(route.key):
        return "key", "a route needs a name without blanks or control characters"
    host = route.host.removeprefix("*.") if route.wildcard else route.host
    wrong = host_flaw(host) if host not in ("", "*") else None
    if wrong is not None:
        return "host", wrong
    if route.wildcard and not host:
        return "host", "a wildcard needs a host"
    if route.path and (not route.path.startswith("/") or _CONTROL.search(route.path) or "#" in route.path or "?" in route.path):
        return "path", 'a path starts with "/" and has no blank, "#" or "?"'
    if not 0 <= route.max_body_bytes < 1 << 63:
        return "max_body_bytes", "out of range"
    return None


def _backend_flaw(backend: Backend) -> Flaw | None:
    found = _first(_typed(backend, name, kinds, "backend.") for name, kinds in _BACKEND)
    if found is not None:
        return found
    if not backend.name or _CONTROL.search(backend.name):
        return "backend.name", "a backend needs a name without blanks or control characters"
    numbers: list[tuple[str, int, int, int]] = [
        ("send_proxy", backend.send_proxy, 0, 2), ("retries", backend.retries, 0, 65535), ("redispatch", backend.redispatch, -1, 127),
        ("maxqueue", backend.maxqueue, 0, 1 << 31), ("balance.depth", backend.balance.depth, 0, 65535),
        ("balance.length", backend.balance.length, 0, 65535), ("balance.draws", backend.balance.draws, 1, 255),
    ]
    times = backend.timeouts
    for name in Timeouts.__dataclass_fields__:
        value = getattr(times, name)
        if value is not None:
            numbers.append((f"timeouts.{name}", value, 0, _MOST_MS))
    found = _first(_ranged(f"backend.{name}", value, least, most) for name, value, least, most in numbers)
    if found is not None:
        return found
    names: set[str] = set()
    for at, endpoint in enumerate(backend.endpoints):
        found = _endpoint_flaw(f"backend.endpoints[{at}].", endpoint, names)
        if found is not None:
            return found
    return None


def _endpoint_flaw(at: str, endpoint: Any, names: set[str]) -> Flaw | None:
    if not isinstance(endpoint, Endpoint):
        return at.rstrip("."), f"{type(endpoint).__name__} is no Endpoint"
    found = _first(_typed(endpoint, name, kinds, at) for name, kinds in _ENDPOINT)
    if found is not None:
        return found
    if endpoint.address.startswith("/"):
        if "\0" in endpoint.address or len(endpoint.address.encode()) > _SOCKET_PATH_MOST_BYTES:
            return f"{at}address", f"the path of a unix socket has at most {_SOCKET_PATH_MOST_BYTES} bytes"
    elif not _is_ip(endpoint.address):
        return f"{at}address", f'"{endpoint.address}" is no IP address'
    elif endpoint.port == 0:
        return f"{at}port", "an IP address needs a port"
    if not endpoint.name or _CONTROL.search(endpoint.name):
        return f"{at}name", "an endpoint needs a name without blanks or control characters"
    if endpoint.name in names:
        return f"{at}name", f"there are two endpoints {endpoint.name}"
    names.add(endpoint.name)
    if endpoint.cookie and not COOKIE_NAME.fullmatch(endpoint.cookie):
        return f"{at}cookie", "the value of a cookie has only letters, digits, _ and -"
    return (
        _ranged(f"{at}port", endpoint.port, 0, 65535) or _ranged(f"{at}weight", endpoint.weight, 0, 256)
        or _ranged(f"{at}maxconn", endpoint.maxconn, 0, 1 << 31)
    )


def _header_flaw(route: Route) -> Flaw | None:
    """Everything that becomes part of a head."""
    if route.cookie is not None and not COOKIE_NAME.fullmatch(route.cookie.name):
        return "cookie.name", "the name of a cookie has only letters, digits, _ and -"
    if route.cookie is not None and route.cookie.same_site not in ("", "Lax", "Strict", "None"):
        return "cookie.same_site", "is none of Lax, Strict, None"
    if not _VALUE.fullmatch(route.hsts):
        return "hsts", "control characters have no place in a header"
    if route.rewrite is not None and (not route.rewrite.startswith("/") or "\r" in route.rewrite or "\n" in route.rewrite):
        return "rewrite", 'starts with "/" and has no line break'
    for field in ("request_headers", "response_headers"):
        for at, action in enumerate(getattr(route, field)):
            if not isinstance(action, HeaderAction) or not isinstance(action.name, str) or not HEADER_NAME.fullmatch(action.name):
                return f"{field}[{at}]", "this is no name of a header"
            if action.value is not None and not (isinstance(action.value, str) and _VALUE.fullmatch(action.value)):
                return f"{field}[{at}]", "control characters have no place in a header"
    return None


def _ranged(name: str, value: Any, least: int, most: int) -> Flaw | None:
    if isinstance(value, int) and least <= value <= most:
        return None
    return name, f"{value} is out of range: {least} to {most}"


def _is_ip(text: str) -> bool:
    try:
        ip_address(text)
    except ValueError:
        return False
    return "%" not in text
