"""Routes as msgpack, for the state on disk and between a source and the processes that it starts.

Fields go by position, so PACK_VERSION rises with every change of a class below; what was packed by another version is refused.
Certificates and trusts, which many routes share, stand beside the routes under their ids.
"""

import sys
from collections.abc import Iterable, Iterator, Mapping
from functools import lru_cache
from typing import Any

import msgpack

from .backend import Backend, Endpoint
from .certificate import Certificate, Trust
from .origin import Origin
from .policy import Algorithm, Balance, Cookie, Forwarded, HeaderAction, Insecure, Termination, Timeouts
from .route import Route

__all__ = ["PACK_VERSION", "pack_routes", "unpack_routes"]

PACK_VERSION = 3

_TERMINATION = {str(word): word for word in Termination}
_INSECURE = {str(word): word for word in Insecure}
_FORWARDED = {str(word): word for word in Forwarded}


def pack_routes(routes: Iterable[Route], *, keys: bool = True) -> bytes:
    """Routes in order. Without `keys`, certificates are told by their ids alone: nothing secret is in what comes out."""
    written = list(routes)
    certificates = {route.certificate.id: route.certificate for route in written if route.certificate is not None}
    trusts = {route.backend.trust.id: route.backend.trust for route in written if route.backend.trust is not None}
    packed: bytes = msgpack.packb([
        PACK_VERSION, [_of_route(route) for route in written],
        [_of_certificate(one, keys) for one in certificates.values()],
        [(one.id, one.authorities, one.verify) for one in trusts.values()],
    ])
    return packed


def unpack_routes(packed: bytes) -> tuple[Route, ...]:
    """What `pack_routes` was given. Raises ValueError for anything else."""
    try:
        version, routes, *beside = msgpack.unpackb(packed, use_list=False)
        if version != PACK_VERSION:
            raise ValueError(f"packed by version {version}, this is version {PACK_VERSION}")
        certificates, trusts = beside
        known = {number: Certificate(number, chain, key, ocsp, Origin(*origin)) for number, chain, key, ocsp, origin in certificates}
        return tuple(_routes(routes, known, {one[0]: Trust(*one) for one in trusts}))
    except (msgpack.exceptions.UnpackException, TypeError, KeyError, AttributeError) as why:
        raise ValueError(f"these are no packed routes: {why}") from None


def _of_certificate(certificate: Certificate, keys: bool) -> tuple[Any, ...]:
    origin = (certificate.origin.where, certificate.origin.line)
    if not keys:
        return certificate.id, (), b"", b"", origin
    return certificate.id, certificate.chain, certificate.key, certificate.ocsp, origin


def _of_route(route: Route) -> tuple[Any, ...]:
    cookie, origin = route.cookie, route.origin
    return (
        route.key, route.host, route.path, _of_backend(route.backend), route.wildcard, route.termination, route.insecure,
        route.forwarded, cookie and (cookie.name, cookie.secure, cookie.same_site), route.rewrite, route.hsts,
        [(action.name, action.value) for action in route.request_headers],
        [(action.name, action.value) for action in route.response_headers],
        route.adjust_case, route.max_body_bytes, route.namespace, route.uid, route.created_s, (origin.where, origin.line),
        route.certificate and route.certificate.id,
    )


def _of_backend(backend: Backend) -> tuple[Any, ...]:
    balance, times = backend.balance, backend.timeouts
    return (
        backend.name,
        [(e.address, e.port, e.name, e.weight, e.cookie, e.maxconn, e.backup, e.server_name) for e in backend.endpoints],
        (balance.algorithm, balance.key, balance.consistent, balance.function, balance.avalanche, balance.whole, balance.depth,
         balance.length, balance.draws),
        (times.connect_ms, times.server_ms, times.client_ms, times.queue_ms, times.tunnel_ms, times.server_fin_ms, times.client_fin_ms),
        backend.trust and backend.trust.id,
        backend.send_proxy, backend.retries, backend.redispatch, backend.maxqueue, backend.check_name, backend.send_sni,
    )


def _routes(packed: Iterable[Any], certificates: Mapping[str, Certificate], trusts: Mapping[int, Trust]) -> Iterator[Route]:
    for (key, host, path, backend, wildcard, termination, insecure, forwarded, cookie, rewrite, hsts, request_headers,
         response_headers, adjust_case, max_body_bytes, namespace, uid, created_s, (where, line), certificate) in packed:
        yield Route(
            key, host, sys.intern(path), _backend(key, trusts, *backend), wildcard, _TERMINATION[termination], _INSECURE[insecure],
            _FORWARDED[forwarded], cookie and Cookie(*cookie), rewrite, hsts, _actions(request_headers), _actions(response_headers),
            adjust_case, max_body_bytes, sys.intern(namespace), uid, created_s, Origin(sys.intern(where), line),
            None if certificate is None else certificates[certificate],
        )


def _backend(
    key: str, trusts: Mapping[int, Trust], name: str, endpoints: Any, balance: Any, timeouts: Any, trust: int | None,
    send_proxy: int, retries: int, redispatch: int, maxqueue: int, check_name: bool, send_sni: bool
) -> Backend:
    """`key` of the route: a backend of the same name shares the text, as thousands of them add up."""
    return Backend(
        key if name == key else name, tuple(Endpoint(*e) for e in endpoints), _balance(*balance), _timeouts(*timeouts),
        send_proxy, retries, redispatch, maxqueue, None if trust is None else trusts[trust], check_name, send_sni,
    )


def _actions(packed: Iterable[tuple[str, str | None]]) -> tuple[HeaderAction, ...]:
    return tuple(HeaderAction(name, value) for name, value in packed)


@lru_cache(maxsize=256)
def _balance(algorithm: str, *rest: Any) -> Balance:
    return Balance(Algorithm(algorithm), *rest)


@lru_cache(maxsize=256)
def _timeouts(*times: int | None) -> Timeouts:
    return Timeouts(*times)
