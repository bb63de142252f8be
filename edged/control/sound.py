"""Whether a route is fit to be served, whatever plugin made it. What passes here can neither upset the table nor break out of a
header that is made from it."""

import re
from operator import attrgetter
from socket import AF_INET, AF_INET6, inet_pton
from types import NoneType
from typing import Any

from edged.hooks import (
    Algorithm,
    Backend,
    Balance,
    Certificate,
    Cookie,
    Endpoint,
    Forwarded,
    HeaderAction,
    Insecure,
    Origin,
    Route,
    Termination,
    Timeouts,
    Trust,
)
from edged.hooks.values import COOKIE_NAME, HEADER_NAME, HEADER_VALUES, host_flaw

__all__ = ["flaw"]

_CONTROL = re.compile(r"[\x00-\x20\x7f]")
_SERVER_NAME = re.compile(r"[0-9A-Za-z._-]{0,253}")
_VALUE = re.compile(r"[\t\x20-\x7e\x80-\U0010ffff]*")
_SOCKET_PATH_MOST_BYTES = 107
_MOST_MS = 2_147_483_647

_NO_TIMEOUTS = Timeouts()

_TRUSTS_MOST = 256
_sound_trusts: dict[int, Trust] = {}             # by identity

Flaw = tuple[str, str]                           # path of the field, and what is wrong with it


def flaw(route: Any) -> Flaw | None:
    """The first thing that is wrong with a route; None: it is sound."""
    if not isinstance(route, Route):
        return "", f"{type(route).__name__} is no Route"
    return (
        _ROUTE.flaw(route, "") or _reach_flaw(route) or _backend_flaw(route.backend) or _header_flaw(route)
        or _certificate_flaw(route.certificate) or _trust_flaw(route.backend)
    )


class _Shape:
    """The types that the fields of a class may have. Combinations that were found right once are not looked at again."""

    def __init__(self, **kinds: tuple[type, ...]) -> None:
        self._kinds = kinds
        self._values = attrgetter(*kinds)
        self._right: set[tuple[type, ...]] = set()

    def flaw(self, thing: Any, at: str) -> Flaw | None:
        types = tuple(map(type, self._values(thing)))
        if types in self._right:
            return None
        for (name, kinds), found in zip(self._kinds.items(), types, strict=True):
            if not issubclass(found, kinds) or (found is bool and bool not in kinds):
                return f"{at}{name}", f"{found.__name__} has no place here"
        self._right.add(types)
        return None


_ROUTE = _Shape(
    key=(str,), host=(str,), path=(str,), backend=(Backend,), wildcard=(bool,), termination=(Termination,), insecure=(Insecure,),
    forwarded=(Forwarded,), cookie=(Cookie, NoneType), rewrite=(str, NoneType), hsts=(str,), request_headers=(tuple,),
    response_headers=(tuple,), adjust_case=(bool,), max_body_bytes=(int,), namespace=(str,), uid=(str,), created_s=(float, int),
    origin=(Origin,), certificate=(Certificate, NoneType),
)
_BACKEND = _Shape(
    name=(str,), endpoints=(tuple,), balance=(Balance,), timeouts=(Timeouts,), send_proxy=(int,), retries=(int,), redispatch=(int,),
    maxqueue=(int,), trust=(Trust, NoneType), check_name=(bool,), send_sni=(bool,),
)
_BALANCE = _Shape(
    algorithm=(Algorithm,), key=(str,), consistent=(bool,), function=(str,), avalanche=(bool,), whole=(bool,), depth=(int,),
    length=(int,), draws=(int,),
)
_TIMEOUTS = _Shape(**dict.fromkeys(Timeouts.__dataclass_fields__, (int, NoneType)))
_ENDPOINT = _Shape(
    address=(str,), port=(int,), name=(str,), weight=(int,), cookie=(str,), maxconn=(int,), backup=(bool,), server_name=(str,),
)
_COOKIE = _Shape(name=(str,), secure=(bool,), same_site=(str,))


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
    found = (
        _BACKEND.flaw(backend, "backend.") or _BALANCE.flaw(backend.balance, "backend.balance.")
        or _TIMEOUTS.flaw(backend.timeouts, "backend.timeouts.")
    )
    if found is not None:
        return found
    if not backend.name or _CONTROL.search(backend.name):
        return "backend.name", "a backend needs a name without blanks or control characters"
    balance = backend.balance
    found = (
        _ranged("backend.send_proxy", backend.send_proxy, 0, 2) or _ranged("backend.retries", backend.retries, 0, 65535)
        or _ranged("backend.redispatch", backend.redispatch, -1, 127) or _ranged("backend.maxqueue", backend.maxqueue, 0, 1 << 31)
        or _ranged("backend.balance.depth", balance.depth, 0, 65535) or _ranged("backend.balance.length", balance.length, 0, 65535)
        or _ranged("backend.balance.draws", balance.draws, 1, 255)
    )
    if found is not None:
        return found
    if backend.timeouts != _NO_TIMEOUTS:
        for name in Timeouts.__dataclass_fields__:
            found = _ranged(f"backend.timeouts.{name}", getattr(backend.timeouts, name) or 0, 0, _MOST_MS)
            if found is not None:
                return found
    names: set[str] = set()
    for at, endpoint in enumerate(backend.endpoints):
        found = _endpoint_flaw(endpoint, names)
        if found is not None:
            return f"backend.endpoints[{at}]{found[0]}", found[1]
    return None


def _endpoint_flaw(endpoint: Any, names: set[str]) -> Flaw | None:
    if not isinstance(endpoint, Endpoint):
        return "", f"{type(endpoint).__name__} is no Endpoint"
    found = _ENDPOINT.flaw(endpoint, ".")
    if found is not None:
        return found
    if endpoint.address.startswith("/"):
        if "\0" in endpoint.address or len(endpoint.address.encode()) > _SOCKET_PATH_MOST_BYTES:
            return ".address", f"the path of a unix socket has at most {_SOCKET_PATH_MOST_BYTES} bytes"
    elif not _is_ip(endpoint.address):
        return ".address", f'"{endpoint.address}" is no IP address'
    elif endpoint.port == 0:
        return ".port", "an IP address needs a port"
    if not endpoint.name or _CONTROL.search(endpoint.name):
        return ".name", "an endpoint needs a name without blanks or control characters"
    if endpoint.name in names:
        return ".name", f"there are two endpoints {endpoint.name}"
    names.add(endpoint.name)
    if endpoint.cookie and not COOKIE_NAME.fullmatch(endpoint.cookie):
        return ".cookie", "the value of a cookie has only letters, digits, _ and -"
    if not _SERVER_NAME.fullmatch(endpoint.server_name):
        return ".server_name", "this is no name of a server"
    return (
        _ranged(".port", endpoint.port, 0, 65535) or _ranged(".weight", endpoint.weight, 0, 256)
        or _ranged(".maxconn", endpoint.maxconn, 0, 1 << 31)
    )


def _certificate_flaw(certificate: Certificate | None) -> Flaw | None:
    """What the id stands for must be what is there, as everything else goes by the id."""
    if certificate is None:
        return None
    chain, key, ocsp = certificate.chain, certificate.key, certificate.ocsp
    if not isinstance(chain, tuple) or not all(isinstance(one, bytes) for one in (*chain, key, ocsp)) or bool(chain) != bool(key):
        return "certificate", "its chain, key and OCSP answer are bytes"
    if not chain:
        return None
    if Certificate.of(chain, key, ocsp).id != certificate.id:
        return "certificate.id", "is not that of this certificate"
    # And OpenSSL with it: control of a site without certificates does without.
    from edged.tls.trial import certificate_fault

    wrong = certificate_fault(certificate)
    return ("certificate", wrong) if wrong else None


def _trust_flaw(backend: Backend) -> Flaw | None:
    trust = backend.trust
    if trust is None:
        return None
    return _authorities_flaw(trust) or _server_names_flaw(backend)


def _authorities_flaw(trust: Trust) -> Flaw | None:
    """Thousands of routes may have the same ones, and they may be many: they are looked at once."""
    if _sound_trusts.get(id(trust)) is trust:
        return None
    if not isinstance(trust.authorities, tuple) or not all(isinstance(one, bytes) and one for one in trust.authorities):
        return "backend.trust", "its authorities are bytes"
    if not isinstance(trust.verify, bool) or Trust.of(trust.authorities, trust.verify).id != trust.id:
        return "backend.trust.id", "is not that of this trust"
    if trust.verify and not trust.authorities:
        return "backend.trust", "nobody certifies an endpoint if there are no authorities"
    from edged.tls.trial import trust_fault

    if wrong := trust_fault(trust):
        return "backend.trust", wrong
    if len(_sound_trusts) >= _TRUSTS_MOST:
        _sound_trusts.clear()
    _sound_trusts[id(trust)] = trust
    return None


def _server_names_flaw(backend: Backend) -> Flaw | None:
    if (backend.check_name or backend.send_sni) and not all(endpoint.server_name for endpoint in backend.endpoints):
        return "backend.endpoints", "an endpoint needs a server_name where that is checked or sent"
    return None


def _header_flaw(route: Route) -> Flaw | None:
    """Everything that becomes part of a head."""
    if route.cookie is not None and (found := _COOKIE.flaw(route.cookie, "cookie.")):
        return found
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
            if action.value is None:
                continue
            if not isinstance(action.value, str) or not _VALUE.fullmatch(action.value):
                return f"{field}[{at}]", "control characters have no place in a header"
            if "%" in action.value and not HEADER_VALUES[field.removesuffix("_headers")].fullmatch(action.value):
                return f"{field}[{at}]", "a percent sign is written %%, and stands for more only in %[...]"
    return None


def _ranged(name: str, value: int, least: int, most: int) -> Flaw | None:
    return None if least <= value <= most else (name, f"{value} is out of range: {least} to {most}")


def _is_ip(text: str) -> bool:
    try:
        inet_pton(AF_INET6 if ":" in text else AF_INET, text)
    except (OSError, ValueError):                # ValueError: a NUL
        return False
    return True
