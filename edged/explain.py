"""`edged explain URL`: which route answers, by the very table that the workers would have; which others match; which lost, and why."""

import os
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from urllib.parse import SplitResult, urlsplit

from edged._fast.memory.arena import Arena
from edged._fast.route.table import TableBuilder, open_table
from edged.control import check
from edged.control.certificates import Picture, shown_for, tls_name
from edged.control.expiry import expires_s
from edged.control.slots import Slots
from edged.errors import EdgedError
from edged.model.backend import Endpoint
from edged.model.policy import Forwarded, Insecure, Termination
from edged.model.route import Route
from edged.model.state import State
from edged.settings import Settings

__all__ = ["explain"]

NEXT_MOST = 5                                    # routes that are named as next in line


@dataclass(frozen=True, slots=True)
class Request:
    """What of a URL decides: the Host header and path as a client would send them."""

    host: str
    path: str
    tls: bool
    name: str                                    # that a client asks for in its ClientHello; "": none, as for an address


class Explainer:
    """Looks routes up as a worker does."""

    def __init__(self) -> None:
        fd = os.memfd_create("edged-explain", os.MFD_CLOEXEC)
        try:
            self._slots = Slots(Arena(fd))
        finally:
            os.close(fd)
        self._builder = TableBuilder()

    def find(self, state: State, request: Request) -> tuple[Route | None, bool]:
        """The route that answers; or none, and whether the answer is a redirect to https. With TLS, one that takes the connection
        untouched comes before all others."""
        self._slots.follow(state.routes, state.version)
        fd = self._builder.build(state, self._slots)
        try:
            table = open_table(fd)
            key, redirect = (table.lookup_sni(request.name.encode()) if request.tls and request.name else None), False
            if key is None:
                key, redirect = table.lookup(request.host.encode(), request.path.encode(), not request.tls)
        finally:
            os.close(fd)
        return next((route for route in state.routes if route.key == key), None), redirect


def explain(settings: Settings, url: str) -> int:
    """Print the story of a URL; answers 0 if something answers it, else 1. Raises EdgedError if it is no URL."""
    request = _request(url)
    operator, problems = check.operator(settings)
    admission, others = check.admission(settings, operator)
    explainer = Explainer()
    winner, redirect = explainer.find(admission.state, request)
    for line in _told(winner, redirect, request):
        print(line)
    if request.tls:
        for line in _tls_told(settings, winner, request, check.picture(settings, operator, admission.state), admission.state):
            print(f"  {line}")
    for other in _next_in_line(explainer, admission.state, winner, request):
        print(f"next in line: {_named(other)}")
    for verdict in admission.state.verdicts:
        if not verdict.admitted and (request.host in verdict.message or (winner is not None and winner.key in verdict.message)):
            print(f"lost: {verdict.route} ({verdict.origin}): {verdict.message}")
    count = len(problems) + len(others) + len(admission.problems)
    if count:
        print(f"note: {count} {'object has a problem' if count == 1 else 'objects have problems'}; edged check names them")
    return 0 if winner is not None or redirect else 1


def _request(url: str) -> Request:
    try:
        parts: SplitResult = urlsplit(url if "://" in url else f"http://{url}")
        host, port = (parts.hostname or "").lower(), parts.port
    except ValueError as why:
        raise EdgedError(f"{url}: this is no URL: {why}") from None
    if parts.scheme not in ("http", "https", "ws", "wss") or not host:
        raise EdgedError(f"{url}: write a URL such as http://www.example.com/path")
    name = "" if ":" in host or host.replace(".", "").isdigit() else host
    if ":" in host:
        host = f"[{host}]"
    return Request(f"{host}:{port}" if port else host, parts.path or "/", parts.scheme in ("https", "wss"), name)


def _told(winner: Route | None, redirect: bool, request: Request) -> Iterator[str]:
    if redirect:
        yield f"{request.host}{request.path}: answered by a redirect to https"
    elif winner is None:
        yield f"{request.host}{request.path}: no route matches; clients get the page for status 503, or 404 if one is set"
    if winner is None:
        return
    yield f"{request.host}{request.path}: {_named(winner)}"
    yield f"  backend {winner.backend.name}, balance {winner.backend.balance.algorithm}"
    for endpoint in winner.backend.endpoints:
        yield f"  endpoint {_endpoint(endpoint)}"
    if not winner.backend.endpoints:
        yield "  it has no endpoints: clients get the page for status 503"
    if winner.forwarded is not Forwarded.APPEND:
        yield f"  forwarded headers: {winner.forwarded}"
    if winner.insecure is not Insecure.NONE:
        yield f"  without TLS: {winner.insecure}"


def _tls_told(settings: Settings, winner: Route | None, request: Request, picture: Picture, state: State) -> Iterator[str]:
    """Where TLS ends, and what is shown there."""
    if not any(listener.tls for listener in settings.listeners):
        yield "no listener speaks TLS"
    if winner is not None and winner.termination is Termination.PASSTHROUGH:
        yield "TLS passes through untouched: the endpoint shows its own certificate"
        return
    if winner is not None and (trust := winner.backend.trust) is not None:
        believed = f"certified by one of {len(trust.authorities)} authorities" if trust.verify else "not verified"
        names = sorted({endpoint.server_name for endpoint in winner.backend.endpoints}) if winner.backend.check_name else []
        yield f"TLS to the endpoints, which are {believed}" + (f" as {', '.join(names)}" if names else "")
    name, certificate = shown_for(picture, request.name)
    if not name and request.name and settings.tls.strict_sni:
        yield f"no certificate is for {request.name}: with [tls] strict_sni, the handshake is refused"
    elif certificate is None:
        yield "certificate: the self-signed one that is made when edged starts, as no default is configured"
    else:
        bringing = [route for route in state.routes if tls_name(route) == name and route.certificate == certificate] if name else []
        where = f"route {bringing[-1].key} ({bringing[-1].origin})" if bringing else str(certificate.origin)
        until = datetime.fromtimestamp(expires_s(certificate), UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        yield f"certificate: {f'that for {name}' if name else 'the default one'}, from {where}, valid until {until}"


def _named(route: Route) -> str:
    host = "any host" if route.host == "*" else f"*.{route.host.partition('.')[2]}" if route.wildcard else route.host
    return f"route {route.key} ({route.origin}), {host}{route.path}"


def _endpoint(endpoint: Endpoint) -> str:
    where = endpoint.address if not endpoint.port else f"{endpoint.address}:{endpoint.port}"
    marks = [f"weight {endpoint.weight}"] * (endpoint.weight != 1) + ["backup"] * endpoint.backup
    return " ".join([where, *marks])


def _next_in_line(explainer: Explainer, state: State, winner: Route | None, request: Request) -> Iterator[Route]:
    """Routes that would answer if those before them were not there."""
    version = state.version
    for _ in range(NEXT_MOST):
        if winner is None:
            return
        version += 1
        state = replace(state, version=version, routes=tuple(route for route in state.routes if route.key != winner.key))
        winner, _ = explainer.find(state, request)
        if winner is not None:
            yield winner
