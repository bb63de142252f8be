"""An address that we accept on, and what is spoken there."""

from dataclasses import dataclass
from enum import StrEnum


class Mode(StrEnum):
    HTTP = "http"
    HTTPS = "https"
    TCP = "tcp"


class AcceptProxy(StrEnum):
    """PROXY protocol from clients (high-availability.md D.1)."""

    OFF = "off"
    REQUIRED = "required"
    TRUSTED_ONLY = "trusted-only"


@dataclass(frozen=True, slots=True)
class Listener:
    """`number` is its place in the settings; the engine and the table name it by that."""

    number: int
    name: str
    address: str                 # "127.0.0.1:8080", "[::]:80", "unix:/path"
    mode: Mode = Mode.HTTP
    accept_proxy: AcceptProxy = AcceptProxy.OFF
    trusted: tuple[str, ...] = ()    # networks whose PROXY header is believed; () with accept_proxy on: everybody
    route: str = ""              # tcp: key of the route that all connections take
    backlog: int = 4096
    defer_accept_s: int = 0      # TCP_DEFER_ACCEPT; 0: off
    keepalive: bool = False      # SO_KEEPALIVE
    nodelay: bool = True         # TCP_NODELAY
    v6only: bool = False
    freebind: bool = False       # IP_FREEBIND: the address may come later
    permissions: int = 0o660     # of a unix socket's file
    monitor: str = "off"         # off, local, all: whose requests of the monitor path are answered by the engine
    tls: bool = False            # TLS ends here: always with https; with tcp it is then relayed
    client_auth: str = "none"    # none, optional, required: the client's certificate
    client_ca: str = ""          # file of the authorities that clients are certified by
    client_crl: str = ""         # file of what they revoked; "": nothing is
    client_filter: str = ""      # regular expression that the client's subject must match; "": any
