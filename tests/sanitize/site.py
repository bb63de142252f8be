"""The site of the run under sanitizers: what is served, and how it changes with each version."""

import random
from dataclasses import replace

from edged.model.backend import Backend, Endpoint
from edged.model.listener import Listener, Mode
from edged.model.policy import Algorithm, Balance, Cookie, HeaderAction
from edged.model.route import Route
from edged.model.state import State

__all__ = ["HTTP", "PROXIED", "TCP", "TCP_ECHO", "TCP_RUDE", "Ports", "site"]

HTTP, PROXIED, TCP, TCP_ECHO, TCP_RUDE = range(5)       # numbers of the listeners

Ports = dict[str, list[int]]                     # of the endpoints: "bulk", "tcp", "odd", "echo", "rude", "refusing"

_HOST = HeaderAction("X-Host", "%[req.hdr(host)]")
_BALANCES = [
    Balance(), Balance(Algorithm.LEASTCONN), Balance(Algorithm.RANDOM), Balance(Algorithm.SOURCE), Balance(Algorithm.FIRST),
    Balance(Algorithm.URI, consistent=True), Balance(Algorithm.HDR, key="user-agent"), Balance(Algorithm.STATIC_RR),
]


def site(version: int, ports: Ports) -> State:
    """Always the same for one version. Whoever asks politely is answered in every version, by one endpoint or another."""
    dice = random.Random(version)
    odd = _backend("be_http:odd", ports["odd"])
    rude = _backend("be_http:rude", [*ports["rude"], *ports["refusing"]], retries=dice.randint(0, 2), redispatch=1)
    routes = [
        Route("bulk", "bulk.test", "", _changing("be_http:bulk", ports["bulk"], dice), response_headers=_headers(dice)),
        Route("queue", "queue.test", "", _backend("be_http:queue", ports["bulk"][:2], maxconn=4)),
        Route("odd", "odd.test", "", odd),
        # Where connections may end at the moment of their next use, what cannot be repeated may fail: apart from those that must not.
        Route("leaving", "leaving.test", "", _backend("be_http:leaving", ports["odd"])),
        Route("sticky", "odd.test", "/sticky", _sticky(odd), cookie=Cookie("STICKY")),
        Route("rewritten", "odd.test", "/rewritten", odd, rewrite="/", request_headers=_headers(dice, _HOST)),
        Route("small", "odd.test", "/small", odd, max_body_bytes=1000),
        Route("rude", "rude.test", "", rude),
        Route("refusing", "refusing.test", "", _backend("be_http:refusing", ports["refusing"], retries=0)),
        Route("tcp", "", "", _changing("be_tcp:tcp", ports["tcp"], dice)),
        Route("echo", "", "", _backend("be_tcp:echo", ports["echo"], send_proxy=dice.randint(0, 2))),
        Route("rude-tcp", "", "", _backend("be_tcp:rude", [*ports["rude"], *ports["refusing"]])),
    ]
    routes += [_passing(version + i, ports, dice) for i in range(dice.randint(0, 12))]
    return State(version, tuple(routes), (
        Listener(HTTP, "web", "127.0.0.1:0"), Listener(PROXIED, "proxied", "127.0.0.1:0"),
        Listener(TCP, "tcp", "127.0.0.1:0", mode=Mode.TCP, route="tcp"),
        Listener(TCP_ECHO, "echo", "127.0.0.1:0", mode=Mode.TCP, route="echo"),
        Listener(TCP_RUDE, "rude", "127.0.0.1:0", mode=Mode.TCP, route="rude-tcp"),
    ))


def _backend(name: str, ports: list[int], maxconn: int = 0, **more: int) -> Backend:
    return Backend(name, tuple(Endpoint("127.0.0.1", port, f"ep:{port}", maxconn=maxconn) for port in ports), **more)


def _changing(name: str, ports: list[int], dice: random.Random) -> Backend:
    """Some of the endpoints, at addresses and weights of the hour; each address is another endpoint, with a slot of its own."""
    chosen = [ports[0], *(port for port in ports[1:] if dice.random() < 0.6)]
    dice.shuffle(chosen)
    endpoints = tuple(
        Endpoint(f"127.0.0.{dice.randint(1, 3)}", port, f"ep:{port}:{dice.randint(0, 9)}", weight=dice.randint(1, 20)) for port in chosen
    )
    return Backend(name, endpoints, balance=dice.choice(_BALANCES))


def _sticky(backend: Backend) -> Backend:
    endpoints = tuple(replace(endpoint, cookie=f"c{endpoint.port}") for endpoint in backend.endpoints)
    return replace(backend, name="be_http:sticky", endpoints=endpoints)


def _headers(dice: random.Random, *more: HeaderAction) -> tuple[HeaderAction, ...]:
    every = [HeaderAction("X-Set", "100%%"), HeaderAction("X-More", "y" * 200), HeaderAction("X-Gone"), HeaderAction("Server"), *more]
    return tuple(action for action in every if dice.random() < 0.5)


def _passing(number: int, ports: Ports, dice: random.Random) -> Route:
    """A route that nobody asks for and that is gone soon: hosts, paths and slots come and go."""
    name = f"passing-{number % 500}"
    backend = _backend(f"be_http:{name}", dice.sample(ports["bulk"], 2))
    return Route(name, f"one.{name}.test", dice.choice(["", "/a", "/a/b"]), backend, wildcard=dice.random() < 0.2)
