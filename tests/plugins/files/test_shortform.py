"""The short form: what it means, and what is told about it where it is wrong."""

import json
from hashlib import md5
from typing import Any

import pytest
from edged_plugins.files.content import read_text
from edged_plugins.files.shortform import Defaults, schema

from edged.control.sound import flaw
from edged.hooks import Algorithm, Balance, Cookie, Endpoint, Forwarded, HeaderAction, Problem, Route, Timeouts


def read(text: str, defaults: Defaults | None = None) -> tuple[tuple[Route, ...], list[str]]:
    content = read_text(text.encode(), "f.yaml", defaults or Defaults())
    assert all(flaw(route) is None for route in content.routes)
    return content.routes, [str(problem) for problem in content.problems]


def the(route: str, **more: Any) -> Route:
    routes, problems = read(f"routes:\n- {route}\n", **more)
    assert problems == []
    (one,) = routes
    return one


def wrong(route: str) -> list[str]:
    """The problems of a route that is written in one line, the second of its file."""
    routes, problems = read(f"routes:\n- {route}\n- {{host: fine.example.com, to: []}}\n")
    assert [one.key for one in routes] == ["fine.example.com"]
    assert all(problem.startswith("f.yaml:2: routes[0]") for problem in problems)
    return [problem.removeprefix("f.yaml:2: routes[0]").removeprefix(".") for problem in problems]


def test_the_least() -> None:
    one = the("{host: Www.Example.com, to: ['127.0.0.1:80']}")
    assert (one.key, one.host, one.path, one.created_s, one.wildcard) == ("www.example.com", "www.example.com", "", 0.0, False)
    assert one.backend.name == "www.example.com"
    assert one.backend.endpoints == (Endpoint("127.0.0.1", 80, "127.0.0.1:80"),)
    assert (one.cookie, one.forwarded, one.origin.line, str(one.origin)) == (None, Forwarded.APPEND, 2, "f.yaml:2")


def test_names() -> None:
    assert the("{host: a.com, path: /x, to: []}").key == "a.com/x"
    assert the("{host: '*', to: []}").key == "*"
    assert the("{host: a.com, name: Shop, to: []}").key == "Shop"
    one = the("{name: postgres, to: ['10.0.0.1:5432']}")
    assert (one.key, one.host) == ("postgres", "")


def test_wildcards() -> None:
    one = the("{host: '*.Example.com', to: []}")
    assert (one.host, one.wildcard) == ("*.example.com", True)


@pytest.mark.parametrize(("written", "expected"), [
    ("'127.0.0.1:80'", Endpoint("127.0.0.1", 80, "127.0.0.1:80")),
    ("'[2001:db8::1]:80'", Endpoint("2001:db8::1", 80, "[2001:db8::1]:80")),
    ("'unix:/run/app.sock'", Endpoint("/run/app.sock", 0, "unix:/run/app.sock")),
    ("{address: '127.0.0.1:80', weight: 0, maxconn: 5, backup: true, name: one}", Endpoint("127.0.0.1", 80, "one", 0, "", 5, True)),
])
def test_endpoints(written: str, expected: Endpoint) -> None:
    assert the(f"{{host: a.com, to: [{written}]}}").backend.endpoints == (expected,)


def test_an_endpoint_given_twice_is_one() -> None:
    assert len(the("{host: a.com, to: ['127.0.0.1:80', {address: '127.0.0.1:80', weight: 5}]}").backend.endpoints) == 1


def test_stickiness() -> None:
    one = the("{host: a.com, cookie: SERVER, to: ['127.0.0.1:80', {address: '127.0.0.1:81', cookie: b}]}")
    assert one.cookie == Cookie("SERVER")
    assert [endpoint.cookie for endpoint in one.backend.endpoints] == [md5(b"ept:a.com::127.0.0.1:80").hexdigest(), "b"]
    one = the("{host: a.com, to: [{address: '127.0.0.1:81', cookie: b}]}")
    assert one.cookie == Cookie(md5(b" a.com").hexdigest())


def test_everything_else() -> None:
    one = the(
        "{host: a.com, path: /p, to: [], send_proxy: v2, timeouts: {connect: 300ms, server: 30s, client: 5, queue: 1m, tunnel: 1h,"
        " server-fin: 1s, client-fin: 2s}, balance: leastconn, retries: 0, redispatch: 2, maxqueue: 7, forwarded: if-none, rewrite: /r,"
        " hsts: max-age=1, request_headers: {set: {X-A: 'b'}, delete: [X-B]}, response_headers: {delete: [Server]}, max_body: 10m}"
    )
    assert one.backend.send_proxy == 2
    assert one.backend.timeouts == Timeouts(300, 30_000, 5, 60_000, 3_600_000, 1000, 2000)
    assert one.backend.balance == Balance(Algorithm.LEASTCONN)
    assert (one.backend.retries, one.backend.redispatch, one.backend.maxqueue) == (0, 2, 7)
    assert (one.forwarded, one.rewrite, one.hsts, one.max_body_bytes) == (Forwarded.IF_NONE, "/r", "max-age=1", 10 * 1024 * 1024)
    assert one.request_headers == (HeaderAction("X-B"), HeaderAction("X-A", "b"))
    assert one.response_headers == (HeaderAction("Server"),)


def test_values_of_headers_that_are_evaluated() -> None:
    one = the(
        "{host: a.com, to: [], h1_adjust_case: true, request_headers: {set: {X-A: '%{+Q}[req.hdr(X-B),lower,base64] %%'}},"
        " response_headers: {set: {X-C: '%[res.hdr(Server)]', X-D: '%[ssl_c_der]'}}}"
    )
    assert one.request_headers == (HeaderAction("X-A", "%{+Q}[req.hdr(X-B),lower,base64] %%"),)
    assert one.response_headers == (HeaderAction("X-C", "%[res.hdr(Server)]"), HeaderAction("X-D", "%[ssl_c_der]"))
    assert one.adjust_case


@pytest.mark.parametrize(("side", "value"), [
    ("request", "5%"), ("request", "%[res.hdr(X)]"), ("request", "%[req.hdr(X),upper]"), ("response", "%[req.hdr(X)]"),
    ("response", "%{Z}[ssl_c_der]"),
])
def test_values_of_headers_that_cannot_be_evaluated(side: str, value: str) -> None:
    (found,) = wrong(f"{{host: a.com, to: [], {side}_headers: {{set: {{X: '{value}'}}}}}}")
    assert found.startswith(f"{side}_headers.set.X: ")
    assert "percent sign is written %%" in found


@pytest.mark.parametrize(("written", "expected"), [
    ("source", Balance(Algorithm.SOURCE)),
    ("{algorithm: uri, hash: consistent, function: djb2, avalanche: true, whole: true, depth: 2, length: 9}",
     Balance(Algorithm.URI, "", True, "djb2", True, True, 2, 9)),
    ("{algorithm: hdr, key: X-User}", Balance(Algorithm.HDR, "X-User")),
    ("{algorithm: random, draws: 3}", Balance(Algorithm.RANDOM, draws=3)),
])
def test_balance(written: str, expected: Balance) -> None:
    assert the(f"{{host: a.com, to: [], balance: {written}}}").backend.balance == expected


def test_defaults_fill_what_is_left_out() -> None:
    one = the("{host: a.com, to: []}", defaults=Defaults("first", 1, 0, "never", 99))
    assert (one.backend.balance.algorithm, one.backend.retries, one.backend.redispatch) == (Algorithm.FIRST, 1, 0)
    assert (one.forwarded, one.max_body_bytes) == (Forwarded.NEVER, 99)


@pytest.mark.parametrize(("written", "told"), [
    ("{host: a_b, to: []}", 'host: "a_b" is not of the right form: write "www.example.com", "*.example.com" or "*"'),
    ("{host: a.*.com, to: []}", "host: "),
    ("{host: 5, to: []}", "host: must be a text, not 5"),
    ("{to: []}", ": a route needs a host, or a name for a tcp listener to ask for"),
    ("{host: a.com}", ": to is missing"),
    ("{host: a.com, to: '127.0.0.1:80'}", 'to: must be a list, not "127.0.0.1:80"'),
    ("{host: a.com, to: [127.0.0.1]}", 'to[0]: "127.0.0.1" has no port'),
    ("{host: a.com, to: ['127.0.0.1:0']}", 'to[0]: an endpoint needs a port: write "10.0.0.1:8080"'),
    ("{host: a.com, to: ['::1:80']}", 'to[0]: "::1:80": brackets belong around an IPv6 address'),
    ("{host: a.com, to: ['app.local:80']}", 'to[0]: "app.local:80": "app.local" is no IP address'),
    ("{host: a.com, to: ['127.0.0.1:99999']}", "to[0]: "),
    ("{host: a.com, to: ['unix:app.sock']}", "to[0]: "),
    ("{host: a.com, to: [{weight: 5}]}", "to[0]: address is missing"),
    ("{host: a.com, to: [{address: '127.0.0.1:80', weight: 257}]}", "to[0].weight: must be at most 256"),
    ("{host: a.com, to: [{address: '127.0.0.1:80', weight: -1}]}", "to[0].weight: must be at least 0"),
    ("{host: a.com, to: [{address: '127.0.0.1:80', wieght: 1}]}", 'to[0].wieght: unknown key; did you mean "weight"?'),
    ("{host: a.com, to: [], tiemouts: {}}", 'tiemouts: unknown key; did you mean "timeouts"?'),
    ("{host: a.com, to: [], zzz: {}}", "zzz: unknown key; known are host, name, path, to,"),
    ("{host: a.com, to: [], timeouts: {sever: 1s}}", 'timeouts.sever: unknown key; did you mean "server"?'),
    ("{host: a.com, to: [], timeouts: {server: 1h30m}}", 'timeouts.server: "1h30m" is no time'),
    ("{host: a.com, to: [], timeouts: {server: 0}}", "timeouts.server: must be at least 1"),
    ("{host: a.com, to: [], timeouts: {server: 1.5}}", "timeouts.server: must be a text or a whole number, not 1.5"),
    ("{host: a.com, to: [], balance: roundrobbin}", "balance: must be one of roundrobin, "),
    ("{host: a.com, to: [], balance: hdr}", "balance: must be one of"),
    ("{host: a.com, to: [], balance: {algorithm: hdr}}", "balance.key: is missing: hdr needs the name to look for"),
    ("{host: a.com, to: [], balance: {hash: map}}", "balance: algorithm is missing"),
    ("{host: a.com, to: [], send_proxy: v3}", "send_proxy: must be one of v1, v2"),
    ("{host: a.com, to: [], path: shop}", 'path: "shop" is not of the right form: it starts with "/"'),
    ("{host: a.com, to: [], path: '/a b'}", "path: "),
    ("{host: a.com, to: [], name: 'a b'}", "name: "),
    ("{host: a.com, to: [], name: ''}", "name: must not be empty"),
    ("{host: a.com, to: [], cookie: 'a;b'}", "cookie: "),
    ("{host: a.com, to: [], hsts: forever}", "hsts: must be"),
    ("{host: a.com, to: [], rewrite: x}", "rewrite: "),
    ("{host: a.com, to: [], max_body: 10x}", 'max_body: "10x" is no size'),
    ("{host: a.com, to: [], max_body: 2048g}", "max_body: is too large"),
    ("{host: a.com, to: [], max_body: true}", "max_body: must be a whole number or a text, not true"),
    ("{host: a.com, to: [], request_headers: {set: {'a b': x}}}", "request_headers.set: this is no name of a header"),
    ("{host: a.com, to: [], request_headers: {set: {X: 5}}}", "request_headers.set.X: must be a text, not 5"),
    ('{host: a.com, to: [], response_headers: {set: {X.Y: "a\\r\\nb"}}}', "response_headers.set.X.Y: "),
    ("{host: a.com, to: [], retries: 1000}", "retries: must be at most 100"),
    ("just a text", ': must be a mapping, not "just a text"'),
    ("[]", ": must be a mapping, not a list"),
    ("~", ": must be a mapping, not null"),
])
def test_what_is_wrong_is_told_with_its_path(written: str, told: str) -> None:
    (problem,) = wrong(written)
    assert problem.startswith(told)


def test_everything_that_is_wrong_is_told() -> None:
    assert [problem.split(":")[0] for problem in wrong(
        "{host: a_b, to: [x, '127.0.0.1:80', {address: '127.0.0.1:81', weight: 999}], path: x, foo: 1, timeouts: {server: x}}"
    )] == ["host", "path", "to[0]", "to[2].weight", "timeouts.server", "foo"]


def test_lines_and_names_in_problems() -> None:
    text = b"---\na: 1\n---\nroutes:\n- host: x.com\n  to:\n  - '127.0.0.1:80'\n  - address: y\n    weight: 1\n"
    content = read_text(text, "f", Defaults())
    assert [(problem.origin.line, problem.key, problem.object) for problem in content.problems] == [
        (2, "", ""), (8, "routes[0].to[1].address", "x.com"),
    ]


def test_a_key_given_twice_refuses_its_route_only() -> None:
    routes, problems = read(
        "routes:\n- host: a.com\n  host: b.com\n  to: []\n"
        "- {host: c.com, to: [{address: '1.1.1.1:1', weight: 1, weight: 2}]}\n- {host: d.com, to: []}\n"
    )
    assert [one.key for one in routes] == ["d.com"]
    assert problems == ["f.yaml:3: routes[0].host: this key is here twice", "f.yaml:5: routes[1].to[0].weight: this key is here twice"]


@pytest.mark.parametrize(("text", "told"), [
    ("routes: 5", "f.yaml:1: routes: must be a list"),
    ("route: []", 'f.yaml:1: a document needs "routes:" or "kind:"; this one has route'),
    ("[]", 'f.yaml:1: a document is a mapping, with "routes:" or with "kind:"'),
    ("text", 'f.yaml:1: a document is a mapping, with "routes:" or with "kind:"'),
    ("routes: []\nversion: 1", "f.yaml:2: version: unknown key; known are routes"),
    ("routes: []\nroutes: []", "f.yaml:2: routes: this key is here twice"),
    ("routes: {}", "f.yaml:1: routes: must be a list"),
])
def test_documents_that_are_none(text: str, told: str) -> None:
    assert read(text) == ((), [told])


def test_no_routes_at_all_are_fine() -> None:
    assert read("routes:\n") == read("routes: []\n") == ((), [])


def test_an_alias_may_be_shared_by_routes() -> None:
    routes, problems = read("routes:\n- {host: a.com, to: &to ['127.0.0.1:80']}\n- {host: b.com, to: *to}\n")
    assert (len(routes), problems) == (2, [])


def test_the_schema_is_one_that_editors_understand() -> None:
    whole = schema()
    assert whole["$schema"] == "http://json-schema.org/draft-07/schema#"
    described = json.dumps(whole)
    assert "definitions" in described

    def undescribed(node: Any, at: str) -> list[str]:
        found = []
        for name, inner in node.get("properties", {}).items():
            found += undescribed(inner, f"{at}.{name}")
            if "description" not in inner and "$ref" not in inner:
                found.append(f"{at}.{name}")
        return found

    assert [path for name, node in whole["definitions"].items() for path in undescribed(node, name)] == []


def test_problems_are_problems() -> None:
    assert all(isinstance(one, Problem) for one in read_text(b"routes: [5]", "f", Defaults()).problems)
