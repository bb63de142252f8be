"""What a route or backend asks beyond host, path and endpoints. Times are in milliseconds; None means the listener's default."""

from dataclasses import dataclass
from enum import StrEnum


@dataclass(frozen=True, slots=True)
class Timeouts:
    """HAProxy's timeouts that a route may set for itself (http-edge-behaviour.md 7); None: the value of `[timeouts]`."""

    connect_ms: int | None = None
    server_ms: int | None = None
    client_ms: int | None = None
    queue_ms: int | None = None
    tunnel_ms: int | None = None
    server_fin_ms: int | None = None
    client_fin_ms: int | None = None


class Algorithm(StrEnum):
    """HAProxy's words (http-edge-behaviour.md 12)."""

    ROUNDROBIN = "roundrobin"
    STATIC_RR = "static-rr"
    LEASTCONN = "leastconn"
    SOURCE = "source"
    URI = "uri"
    URL_PARAM = "url_param"
    HDR = "hdr"
    RANDOM = "random"
    FIRST = "first"


@dataclass(frozen=True, slots=True)
class Balance:
    """How one endpoint of a backend is chosen."""

    algorithm: Algorithm = Algorithm.ROUNDROBIN
    key: str = ""                # name of the header or URL parameter for `hdr` and `url_param`
    consistent: bool = False     # hash-type consistent instead of map-based
    function: str = ""           # sdbm, djb2, wt6, crc32, none; "" is HAProxy's default for the hash type
    avalanche: bool = False
    whole: bool = False          # uri: the query belongs to the key
    depth: int = 0               # uri: stop before this slash; 0: no bound
    length: int = 0              # uri: only so many characters; 0: all
    draws: int = 2               # random


class Forwarded(StrEnum):
    """What becomes of X-Forwarded-* and Forwarded (openshift-routes.md 9.1)."""

    APPEND = "append"
    REPLACE = "replace"
    IF_NONE = "if-none"
    NEVER = "never"


class Insecure(StrEnum):
    """insecureEdgeTerminationPolicy (openshift-routes.md 7.5)."""

    NONE = "None"
    ALLOW = "Allow"
    REDIRECT = "Redirect"


class Termination(StrEnum):
    """Where TLS ends (openshift-routes.md 7.1); NONE is a plain route."""

    NONE = "none"
    EDGE = "edge"
    REENCRYPT = "reencrypt"
    PASSTHROUGH = "passthrough"


@dataclass(frozen=True, slots=True)
class Cookie:
    """An inserted sticky cookie (openshift-routes.md 8.7); its value is the endpoint's `cookie`."""

    name: str
    secure: bool = False
    same_site: str = ""          # "", Lax, Strict, None


@dataclass(frozen=True, slots=True)
class HeaderAction:
    """Set (value given) or delete (value None) a header (openshift-routes.md 1.4); list order is the order of application.

    In a value, `%%` is one percent sign, and `%[req.hdr(NAME)]` (in answers `%[res.hdr(NAME)]`) is evaluated for each head."""

    name: str
    value: str | None = None
