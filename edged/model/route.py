"""A rule: host and path, or SNI, or port, to a backend, with its policies."""

from dataclasses import dataclass

from .backend import Backend
from .certificate import Certificate
from .origin import NOWHERE, Origin
from .policy import Cookie, Forwarded, HeaderAction, Insecure, Termination

__all__ = ["Route"]


@dataclass(frozen=True, slots=True)
class Route:
    """One route as it is served. `key` ("namespace/name", or the name of the short form) is unique within a state."""

    key: str
    host: str                    # lower case; "*": any host that no other route claims; "" : reachable only by name, from a tcp listener
    path: str
    backend: Backend
    wildcard: bool = False       # host x.D claims every one-label host below D (openshift-routes.md 5.2)
    termination: Termination = Termination.NONE
    insecure: Insecure = Insecure.NONE
    forwarded: Forwarded = Forwarded.APPEND
    cookie: Cookie | None = None
    rewrite: str | None = None   # rewrite-target, already made safe (openshift-routes.md 9.4)
    hsts: str = ""
    request_headers: tuple[HeaderAction, ...] = ()
    response_headers: tuple[HeaderAction, ...] = ()
    adjust_case: bool = False    # names of request headers are spelled for the endpoint as the operator wants (openshift-routes.md 9.2)
    max_body_bytes: int = 0      # larger request bodies are refused with 413; 0: no limit
    namespace: str = ""
    uid: str = ""
    created_s: float = 0.0       # creationTimestamp, seconds since the epoch: the older claim wins
    origin: Origin = NOWHERE
    certificate: Certificate | None = None   # shown for the host; None: that of the directory, or the default one
