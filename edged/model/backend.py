"""A named group of endpoints and how to choose in it."""

from dataclasses import dataclass

from .certificate import Trust
from .policy import Balance, Timeouts


@dataclass(frozen=True, slots=True)
class Endpoint:
    """One address and port. `name` is its identity within the backend and its name in logs (openshift-routes.md 8.3)."""

    address: str                 # IPv4 or IPv6 literal without brackets, or an absolute path: a unix socket
    port: int                    # 0 for a unix socket
    name: str
    weight: int = 1              # 0..256; 0: only for requests whose cookie names it
    cookie: str = ""             # value of the sticky cookie that leads here
    maxconn: int = 0             # exchanges at once over all workers; 0: no limit
    backup: bool = False
    server_name: str = ""        # what its certificate is to name where the backend checks that, and the SNI it is sent


@dataclass(frozen=True, slots=True)
class Backend:
    """Endpoints in the order that decides ties, and what holds towards all of them."""

    name: str                    # as in logs: be_http:<namespace>:<route>
    endpoints: tuple[Endpoint, ...] = ()
    balance: Balance = Balance()
    timeouts: Timeouts = Timeouts()
    send_proxy: int = 0          # PROXY protocol towards the endpoints: 0 off, 1, 2
    retries: int = 3             # after the first attempt (http-edge-behaviour.md 6)
    redispatch: int = -1         # option redispatch: -1 on the last retry, n > 0 each n-th, 0 off
    maxqueue: int = 0            # requests bound to one endpoint by persistence that may wait; 0: no limit
    trust: Trust | None = None   # TLS to the endpoints; None: plain
    check_name: bool = False     # the endpoint's certificate must name its `server_name`
    send_sni: bool = False       # `server_name` as SNI
