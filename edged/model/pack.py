"""Routes as msgpack, for the state on disk and between a source and the processes that it starts.

Fields go by position, so PACK_VERSION rises with every change of a class below; what was packed by another version is refused.
"""

import sys
from collections.abc import Iterable, Iterator
from functools import lru_cache
from typing import Any

import msgpack

from .backend import Backend, Endpoint
from .policy import Algorithm, Balance, Cookie, Forwarded, HeaderAction, Insecure, Termination, Timeouts
from .route import Origin, Route

__all__ = ["PACK_VERSION", "pack_routes", "unpack_routes"]

PACK_VERSION = 2

_TERMINATION = {str(word): word for word in Termination}
_INSECURE = {str(word): word for word in Insecure}
_FORWARDED = {str(word): word for word in Forwarded}


def pack_routes(routes: Iterable[Route]) -> bytes:
    """Routes in order."""
    packed: bytes = msgpack.packb([PACK_VERSION, [_of_route(route) for route in routes]])
    return packed


def unpack_routes(packed: bytes) -> tuple[Route, ...]:
    """What `pack_routes` was given. Raises ValueError for anything else."""
    try:
        version, routes = msgpack.unpackb(packed, use_list=False)
        if version != PACK_VERSION:
            raise ValueError(f"packed by version {version}, this is version {PACK_VERSION}")
        return tuple(_routes(routes))
    except (msgpack.exceptions.UnpackException, TypeError, KeyError, AttributeError) as why:
        raise ValueError(f"these are no packed routes: {why}") from None


def _of_route(route: Route) -> tuple[Any, ...]:
    cookie, origin = route.cookie, route.origin
    return (
        route.key, route.host, route.path, _of_backend(route.backend), route.wildcard, route.termination, route.insecure,
        route.forwarded, cookie and (cookie.name, cookie.secure, cookie.same_site), route.rewrite, route.hsts,
        [(action.name, action.value) for action in route.request_headers],
        [(action.name, action.value) for action in route.response_headers],
        route.adjust_case, route.max_body_bytes, route.namespace, route.uid, route.created_s, (origin.where, origin.line),
    )


def _of_backend(backend: Backend) -> tuple[Any, ...]:
    balance, times = backend.balance, backend.timeouts
    return (
        backend.name,
        [(e.address, e.port, e.name, e.weight, e.cookie, e.maxconn, e.backup) for e in backend.endpoints],
        (balance.algorithm, balance.key, balance.consistent, balance.function, balance.avalanche, balance.whole, balance.depth,
         balance.length, balance.draws),
        (times.connect_ms, times.server_ms, times.client_ms, times.queue_ms, times.tunnel_ms, times.server_fin_ms, times.client_fin_ms),
        backend.send_proxy, backend.retries, backend.redispatch, backend.maxqueue,
    )


def _routes(packed: Iterable[Any]) -> Iterator[Route]:
    for (key, host, path, backend, wildcard, termination, insecure, forwarded, cookie, rewrite, hsts, request_headers,
         response_headers, adjust_case, max_body_bytes, namespace, uid, created_s, (where, line)) in packed:
        yield Route(
            key, host, sys.intern(path), _backend(key, *backend), wildcard, _TERMINATION[termination], _INSECURE[insecure],
            _FORWARDED[forwarded], cookie and Cookie(*cookie), rewrite, hsts, _actions(request_headers), _actions(response_headers),
            adjust_case, max_body_bytes, sys.intern(namespace), uid, created_s, Origin(sys.intern(where), line),
        )


def _backend(key: str, name: str, endpoints: Any, balance: Any, timeouts: Any, *rest: int) -> Backend:
    """`key` of the route: a backend of the same name shares the text, as thousands of them add up."""
    return Backend(key if name == key else name, tuple(Endpoint(*e) for e in endpoints), _balance(*balance), _timeouts(*timeouts), *rest)


def _actions(packed: Iterable[tuple[str, str | None]]) -> tuple[HeaderAction, ...]:
    return tuple(HeaderAction(name, value) for name, value in packed)


@lru_cache(maxsize=256)
def _balance(algorithm: str, *rest: Any) -> Balance:
    return Balance(Algorithm(algorithm), *rest)


@lru_cache(maxsize=256)
def _timeouts(*times: int | None) -> Timeouts:
    return Timeouts(*times)
