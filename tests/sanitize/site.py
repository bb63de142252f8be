"""The site of the run under sanitizers: what is served, and how it changes with each version."""

import random
from dataclasses import replace

from edged.model.backend import Backend, Endpoint
from edged.model.certificate import Trust
from edged.model.listener import AcceptProxy, Listener, Mode
from edged.model.policy import Algorithm, Balance, Cookie, HeaderAction, Insecure, Termination
from edged.model.route import Route
from edged.model.state import State

__all__ = [
    "ANY", "ASKING", "HTTP", "HTTPS", "LISTENERS", "OURS", "PROXIED", "STRANGERS", "TCP", "TCP_ECHO", "TCP_RUDE", "TLS_ECHO",
    "Ports", "site",
]

HTTP, PROXIED, TCP, TCP_ECHO, TCP_RUDE, HTTPS, ASKING, TLS_ECHO = range(8)       # numbers of the listeners
OURS, ANY, STRANGERS, UNKNOWN = range(1, 5)      # trusts: by the tests' authority, whatever is shown, by another authority; no such trust

# Of the endpoints: "bulk", "tcp", "odd", "echo", "rude", "refusing"; within TLS: "bulk tls", "odd tls", "echo tls", "rude tls".
Ports = dict[str, list[int]]

LISTENERS = (
    Listener(HTTP, "web", "127.0.0.1:0"),
    Listener(PROXIED, "proxied", "127.0.0.1:0", accept_proxy=AcceptProxy.REQUIRED),
    Listener(TCP, "tcp", "127.0.0.1:0", mode=Mode.TCP, route="tcp"),
    Listener(TCP_ECHO, "echo", "127.0.0.1:0", mode=Mode.TCP, route="echo"),
    Listener(TCP_RUDE, "rude", "127.0.0.1:0", mode=Mode.TCP, route="rude-tcp"),
    Listener(HTTPS, "secure", "127.0.0.1:0", mode=Mode.HTTPS, tls=True),
    Listener(                                    # who shows no certificate that fits is let in and refused
        ASKING, "asking", "127.0.0.1:0", mode=Mode.HTTPS, tls=True, accept_proxy=AcceptProxy.REQUIRED, client_auth="optional",
        client_filter="CN=welcome",
    ),
    Listener(TLS_ECHO, "secure echo", "127.0.0.1:0", mode=Mode.TCP, tls=True, route="echo"),
)

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
    listeners = [
        replace(listener, route="echo-again") if listener.number == TLS_ECHO and dice.random() < 0.5 else listener for listener in LISTENERS
    ]
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
    served_on_both = [replace(route, termination=Termination.EDGE, insecure=Insecure.ALLOW) if route.host else route for route in routes]
    return State(version, (*served_on_both, *_again(ports, dice), *_through(ports)), tuple(listeners))


def _again(ports: Ports, dice: random.Random) -> list[Route]:
    """To endpoints that speak TLS, or should."""
    odd = _trusting(_backend("be_secure:odd", ports["odd tls"]), OURS, dice)
    rude = _backend("be_secure:rude", [*ports["rude tls"], *ports["rude"], *ports["refusing"]], retries=dice.randint(0, 2), redispatch=1)
    untrusted = _backend("be_secure:untrusted", ports["bulk tls"], retries=dice.randint(0, 1))
    return [
        _reencrypted("bulk-again", _trusting(_changing("be_secure:bulk", ports["bulk tls"], dice), ANY, dice)),
        _reencrypted("again", odd),
        _reencrypted("leaving-again", replace(odd, name="be_secure:leaving")),
        _reencrypted("rude-again", _trusting(rude, ANY, dice)),
        _reencrypted("untrusted", _trusting(untrusted, dice.choice([STRANGERS, UNKNOWN]), dice)),
        Route("echo-again", "", "", _trusting(_backend("be_tcp:echo-again", ports["echo tls"], send_proxy=0), OURS, dice)),
    ]


def _through(ports: Ports) -> list[Route]:
    return [
        Route("through", "through.test", "", _backend("be_tcp:through", ports["odd tls"]), termination=Termination.PASSTHROUGH),
        Route("rude-through", "rude-through.test", "", _backend("be_tcp:rude-through", [*ports["rude tls"], *ports["refusing"]]),
              termination=Termination.PASSTHROUGH),
    ]


def _reencrypted(key: str, backend: Backend) -> Route:
    return Route(key, f"{key}.test", "", backend, termination=Termination.REENCRYPT, insecure=Insecure.ALLOW)


def _trusting(backend: Backend, trust: int, dice: random.Random) -> Backend:
    endpoints = tuple(replace(endpoint, server_name="endpoint.test") for endpoint in backend.endpoints)
    return replace(
        backend, endpoints=endpoints, trust=Trust(trust, (), trust != ANY), check_name=trust != ANY and dice.random() < 0.5,
        send_sni=dice.random() < 0.5,
    )


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
