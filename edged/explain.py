"""`edged explain URL`: which route answers, by the very table that the workers would have; which others match; which lost, and why."""

import os
from collections.abc import Iterator
from dataclasses import dataclass, replace
from urllib.parse import SplitResult, urlsplit

from edged._fast.memory.arena import Arena
from edged._fast.route.table import TableBuilder, open_table
from edged.control import check
from edged.control.slots import Slots
from edged.errors import EdgedError
from edged.model.backend import Endpoint
from edged.model.policy import Forwarded, Insecure
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
        """The route that answers; or none, and whether the answer is a redirect to https."""
        self._slots.follow(state.routes, state.version)
        fd = self._builder.build(state, self._slots)
        try:
            key, redirect = open_table(fd).lookup(request.host.encode(), request.path.encode(), not request.tls)
        finally:
            os.close(fd)
        return next((route for route in state.routes if route.key == key), None), redirect


def explain(settings: Settings, url: str) -> int:
    """Print the story of a URL; answers 0 if something answers it, else 1. Raises EdgedError if it is no URL."""
    request = _request(url)
    admission, problems = check.admission(settings)
    explainer = Explainer()
    winner, redirect = explainer.find(admission.state, request)
    for line in _told(winner, redirect, request):
        print(line)
    for other in _next_in_line(explainer, admission.state, winner, request):
        print(f"next in line: {_named(other)}")
    for verdict in admission.state.verdicts:
        if not verdict.admitted and (request.host in verdict.message or (winner is not None and winner.key in verdict.message)):
            print(f"lost: {verdict.route} ({verdict.origin}): {verdict.message}")
    count = len(problems) + len(admission.problems)
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
    if ":" in host:
        host = f"[{host}]"
    return Request(f"{host}:{port}" if port else host, parts.path or "/", parts.scheme in ("https", "wss"))


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
