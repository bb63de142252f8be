"""Route objects and what is served for them: openshift-routes.md 1, 3, 8, 9, 10."""

from hashlib import md5
from typing import Any

import pytest
from edged_plugins.openshift.kind import RouteKind

from edged.control.intake import Intake
from edged.control.kinds import Translator
from edged.control.sound import flaw
from edged.hooks import (
    Algorithm,
    Balance,
    Cookie,
    Forwarded,
    HeaderAction,
    Insecure,
    Object,
    Origin,
    Route,
    Snapshot,
    Termination,
    Timeouts,
    Translation,
)
from edged.hooks.manager import OfferedKind
from tests.control.given import endpoints, thing

H, R = "haproxy.router.openshift.io/", "router.openshift.io/"


class Cluster:
    """Objects, and the translation of its Routes."""

    def __init__(self, router: dict[str, Any] | None = None, defaults: dict[str, Any] | None = None) -> None:
        self.kind = RouteKind(router or {}, defaults or {})
        self.intake = Intake({"cluster": False})
        self.translator = Translator([OfferedKind("openshift", self.kind)])

    def has(self, *objects: Object) -> Translation:
        self.intake.put("cluster", Snapshot(objects=objects))
        (translation,) = self.translator.update(self.intake)
        assert [flaw(route) for route in translation.routes] == [None] * len(translation.routes)
        return translation


def a_route(name: str = "web", *, annotations: dict[str, str] | None = None, meta: dict[str, Any] | None = None, **spec: Any) -> Object:
    spec = {"host": "www.example.com", "to": {"kind": "Service", "name": "web"}, **spec}
    return thing(
        "Route", name, apiVersion="route.openshift.io/v1", metadata={"annotations": annotations or {}, **(meta or {})},
        spec={key: value for key, value in spec.items() if value is not None},
    )


def served(*objects: Object, router: dict[str, Any] | None = None, defaults: dict[str, Any] | None = None) -> Route:
    translation = Cluster(router, defaults).has(*objects)
    assert translation.problems == ()
    assert translation.verdicts == ()
    (route,) = translation.routes
    return route


def test_a_plain_route() -> None:
    route = served(a_route(meta={"uid": "u1", "creationTimestamp": "1970-01-01T00:01:00Z"}, path="/x"), endpoints("web", "10.0.0.1"))
    assert (route.key, route.host, route.path, route.namespace, route.uid, route.created_s) == (
        "ns/web", "www.example.com", "/x", "ns", "u1", 60.0,
    )
    assert (route.termination, route.insecure, route.forwarded, route.rewrite) == (Termination.NONE, Insecure.NONE, Forwarded.APPEND, None)
    assert route.backend.name == "be_http:ns:web"
    assert [(one.address, one.port, one.weight) for one in route.backend.endpoints] == [("10.0.0.1", 8080, 1)]
    assert route.backend.balance == Balance(Algorithm.RANDOM)
    assert route.cookie == Cookie(md5(b" ns:web").hexdigest())


def test_the_legacy_api_is_the_same() -> None:
    old = a_route()
    assert served(Object({**old.body, "apiVersion": "v1"}, old.origin)).host == "www.example.com"


def test_without_a_creation_time_it_is_as_old_as_can_be() -> None:
    assert served(a_route()).created_s == 0.0
    written = ["yesterday", "2026-01-01T00:00:00"]
    translation = Cluster().has(*(a_route(f"r{at}", meta={"creationTimestamp": time}) for at, time in enumerate(written)))
    assert translation.routes == ()
    assert [problem.key for problem in translation.problems] == ["metadata.creationTimestamp"] * 2


@pytest.mark.parametrize(("tls", "termination", "insecure", "prefix"), [
    ({"termination": "edge"}, Termination.EDGE, Insecure.NONE, "be_edge_http"),
    ({}, Termination.EDGE, Insecure.NONE, "be_edge_http"),
    ({"termination": "Edge", "insecureEdgeTerminationPolicy": "Allow"}, Termination.EDGE, Insecure.ALLOW, "be_edge_http"),
    ({"termination": "reencrypt", "insecureEdgeTerminationPolicy": "Redirect"}, Termination.REENCRYPT, Insecure.REDIRECT, "be_secure"),
    ({"termination": "passthrough", "insecureEdgeTerminationPolicy": "None"}, Termination.PASSTHROUGH, Insecure.NONE, "be_tcp"),
])
def test_tls(tls: dict[str, str], termination: Termination, insecure: Insecure, prefix: str) -> None:
    route = served(a_route(tls=tls))
    assert (route.termination, route.insecure, route.backend.name) == (termination, insecure, f"{prefix}:ns:web")


# ---- which endpoints, and their weights


def test_the_target_port() -> None:
    told = [endpoints("web", "10.0.0.1", port=8080, port_name="http"), endpoints("web", "10.0.0.1", port=9090, port_name="admin")]
    for port, expected in [(8080, [8080]), ("8080", [8080]), ("admin", [9090]), (80, []), (None, [8080, 9090])]:
        route = served(a_route(port=None if port is None else {"targetPort": port}), *told)
        assert [one.port for one in route.backend.endpoints] == expected


def test_weights_of_two_services() -> None:
    told = [endpoints("a", "10.0.0.1", "10.0.0.2"), endpoints("b", "10.0.1.1", "10.0.1.2", "10.0.1.3", "10.0.1.4")]
    route = served(a_route(to={"name": "a", "weight": 20}, alternateBackends=[{"name": "b", "weight": 10}]), *told)
    assert [one.weight for one in route.backend.endpoints] == [256, 256, 64, 64, 64, 64]
    assert route.backend.balance.algorithm == Algorithm.ROUNDROBIN


def test_weight_0_stays_for_its_cookies_but_not_in_passthrough() -> None:
    told = [endpoints("a", "10.0.0.1"), endpoints("b", "10.0.1.1")]
    spec: dict[str, Any] = {"to": {"name": "a", "weight": 0}, "alternateBackends": [{"name": "b", "weight": 10}]}
    assert [one.weight for one in served(a_route(**spec), *told).backend.endpoints] == [0, 1]
    route = served(a_route(**spec, tls={"termination": "passthrough"}), *told)
    assert [one.address for one in route.backend.endpoints] == ["10.0.1.1"]


def test_a_service_named_twice_has_the_last_weight() -> None:
    route = served(a_route(to={"name": "a", "weight": 5}, alternateBackends=[{"name": "a", "weight": 0}]), endpoints("a", "10.0.0.1"))
    assert [one.weight for one in route.backend.endpoints] == [0]


def test_shuffled_endpoints_stay_in_their_order() -> None:
    told = endpoints("web", *(f"10.0.0.{n}" for n in range(1, 60)))
    cluster = Cluster({"shuffle_endpoints": True})
    (first,) = cluster.has(a_route(), told).routes
    (again,) = cluster.has(a_route(path="/p"), told).routes
    assert first.backend.endpoints == again.backend.endpoints
    assert list(first.backend.endpoints) != sorted(first.backend.endpoints, key=lambda one: int(one.address.split(".")[3]))


# ---- annotations


@pytest.mark.parametrize(("annotation", "router", "tls", "expected"), [
    ("leastconn", {}, None, Balance(Algorithm.LEASTCONN)),
    ("Leastconn", {}, None, Balance(Algorithm.RANDOM)),
    ("source", {}, None, Balance(Algorithm.SOURCE)),
    ("", {"balance": "roundrobin"}, None, Balance(Algorithm.ROUNDROBIN)),
    ("uri", {"balance": "leastconn"}, None, Balance(Algorithm.LEASTCONN)),
    ("", {"balance": "roundrobin"}, "passthrough", Balance(Algorithm.SOURCE, consistent=True)),
    ("", {"tcp_balance": "leastconn"}, "passthrough", Balance(Algorithm.LEASTCONN)),
    ("source", {"tcp_balance": "leastconn"}, "passthrough", Balance(Algorithm.SOURCE, consistent=True)),
])
def test_balance(annotation: str, router: dict[str, Any], tls: str | None, expected: Balance) -> None:
    told = a_route(annotations={f"{H}balance": annotation}, tls=tls and {"termination": tls})
    assert served(told, router=router).backend.balance == expected


@pytest.mark.parametrize(("annotations", "raw", "expected"), [
    ({}, False, Timeouts()),
    ({"timeout": "5s"}, False, Timeouts(server_ms=5000)),
    ({"timeout": "25d"}, False, Timeouts(server_ms=2147483647)),
    ({"timeout": "1500"}, False, Timeouts(server_ms=1500)),
    ({"timeout": "0"}, False, Timeouts()),
    ({"timeout": "1h30m", "timeout-tunnel": "2m"}, False, Timeouts(tunnel_ms=120_000)),
    ({"timeout": "5s"}, True, Timeouts(tunnel_ms=5000)),
    ({"timeout": "5s", "timeout-tunnel": "1h"}, True, Timeouts(tunnel_ms=3_600_000)),
    ({"timeout": "5s", "timeout-tunnel": "never"}, True, Timeouts(tunnel_ms=5000)),
])
def test_timeouts(annotations: dict[str, str], raw: bool, expected: Timeouts) -> None:
    annotations = {f"{H}{key}": value for key, value in annotations.items()}
    told = a_route(annotations=annotations, tls={"termination": "passthrough"} if raw else None)
    assert served(told).backend.timeouts == expected


@pytest.mark.parametrize(("annotations", "tls", "expected"), [
    ({f"{R}cookie_name": "SID"}, None, Cookie("SID")),
    ({f"{R}cookie_name": "bad name"}, None, Cookie("ROUTER")),
    ({}, None, Cookie("ROUTER")),
    ({f"{H}disable_cookies": "true"}, None, None),
    ({f"{H}disable_cookies": "yes"}, None, Cookie("ROUTER")),
    ({}, {"termination": "edge"}, Cookie("ROUTER", True, "None")),
    ({f"{R}cookie-same-site": "Strict"}, {"termination": "reencrypt"}, Cookie("ROUTER", True, "Strict")),
    ({f"{R}cookie-same-site": "strict"}, {"termination": "edge"}, Cookie("ROUTER", True, "None")),
    ({f"{R}cookie-same-site": "Lax"}, {"termination": "edge", "insecureEdgeTerminationPolicy": "Allow"}, Cookie("ROUTER")),
    ({f"{R}cookie_name": "SID"}, {"termination": "passthrough"}, None),
])
def test_cookies(annotations: dict[str, str], tls: dict[str, str] | None, expected: Cookie | None) -> None:
    assert served(a_route(annotations=annotations, tls=tls), router={"cookie_name": "ROUTER"}).cookie == expected


@pytest.mark.parametrize(("value", "expected"), [("5", 5), ("+5", 5), ("0", 0), ("-1", 0), ("many", 0), ("99999999999", 2147483647)])
def test_connections_of_each_pod(value: str, expected: int) -> None:
    route = served(a_route(annotations={f"{H}pod-concurrent-connections": value}), endpoints("web", "10.0.0.1"))
    assert [one.maxconn for one in route.backend.endpoints] == [expected]


@pytest.mark.parametrize(("annotation", "router", "expected"), [
    ("never", {}, Forwarded.NEVER), ("Never", {}, Forwarded.APPEND), ("if-none", {"forwarded": "replace"}, Forwarded.IF_NONE),
    ("", {"forwarded": "replace"}, Forwarded.REPLACE), ("", {"forwarded": "nonsense"}, Forwarded.APPEND),
])
def test_forwarded(annotation: str, router: dict[str, Any], expected: Forwarded) -> None:
    assert served(a_route(annotations={f"{H}set-forwarded-headers": annotation}), router=router).forwarded is expected


def test_hsts_is_for_terminated_tls_only() -> None:
    told = {f"{H}hsts_header": "max-age=31536000;includeSubDomains"}
    assert served(a_route(annotations=told)).hsts == ""
    assert served(a_route(annotations=told, tls={"termination": "edge"})).hsts == "max-age=31536000;includeSubDomains"
    assert served(a_route(annotations=told, tls={"termination": "passthrough"})).hsts == ""
    assert served(a_route(annotations={f"{H}hsts_header": "max-age"}, tls={"termination": "edge"})).hsts == ""


def test_rewrite_is_for_what_can_be_read_only() -> None:
    told = {f"{H}rewrite-target": "/r"}
    assert served(a_route(annotations=told)).rewrite == "/r"
    assert served(a_route(annotations=told, tls={"termination": "passthrough"})).rewrite is None
    assert served(a_route(annotations={f"{H}rewrite-target": "r"})).rewrite is None


def test_annotations_that_are_no_texts_count_as_absent() -> None:
    assert served(a_route(annotations={f"{H}timeout": 5, f"{H}balance": None, f"{R}cookie_name": ["x"]})).backend.timeouts == Timeouts()  # type: ignore[dict-item]


def test_defaults_of_the_settings() -> None:
    route = served(a_route(), defaults={"retries": 1, "redispatch": 0, "max_body_bytes": 5, "balance": "first"})
    assert (route.backend.retries, route.backend.redispatch, route.max_body_bytes) == (1, 0, 5)
    assert route.backend.balance.algorithm == Algorithm.RANDOM


# ---- headers


def test_header_actions_in_order_and_their_values_as_they_are_written() -> None:
    actions = {
        "request": [{"name": "X-A", "action": {"type": "Set", "set": {"value": "100%%"}}}, {"name": "X-B", "action": {"type": "Delete"}}],
        "response": [{"name": "Server", "action": {"type": "Delete"}}],
    }
    route = served(a_route(httpHeaders={"actions": actions}))
    assert route.request_headers == (HeaderAction("X-A", "100%%"), HeaderAction("X-B"))
    assert route.response_headers == (HeaderAction("Server"),)


def test_the_spelling_of_names_is_adjusted_only_where_the_annotation_says_so() -> None:
    assert served(a_route(annotations={f"{H}h1-adjust-case": "true"})).adjust_case
    assert not served(a_route(annotations={f"{H}h1-adjust-case": "yes"})).adjust_case
    assert not served(a_route()).adjust_case


# ---- hosts


@pytest.mark.parametrize(("spec", "router", "expected"), [
    ({"host": None, "subdomain": "shop"}, {"domain": "apps.example.com"}, "shop.apps.example.com"),
    ({"host": "a.com", "subdomain": "shop"}, {"domain": "apps.example.com"}, "a.com"),
    ({"host": None}, {"subdomain": "${name}-${namespace}.apps.com"}, "web-ns.apps.com"),
    ({"host": None}, {"subdomain": "'$name-$namespace.apps.com'"}, "web-ns.apps.com"),
    ({"host": "a.com"}, {"subdomain": "${name}.apps.com"}, "a.com"),
    ({"host": "a.com"}, {"subdomain": "${name}.apps.com", "override_hostname": True}, "web.apps.com"),
    ({"host": "x.a.com"}, {"subdomain": "${name}.apps.com", "override_domains": ("a.com",)}, "web.apps.com"),
    ({"host": "xa.com"}, {"subdomain": "${name}.apps.com", "override_domains": ("a.com",)}, "xa.com"),
    ({"host": "a.com"}, {"subdomain": "${nmae}.apps.com", "override_hostname": True}, "a.com"),
])
def test_host_substitution(spec: dict[str, Any], router: dict[str, Any], expected: str) -> None:
    assert served(a_route(**spec), router=router).host == expected


@pytest.mark.parametrize(("spec", "router", "reason", "message"), [
    ({}, {"denied_domains": ("example.com",)}, "RouteNotAdmitted", "denied"),
    ({}, {"denied_domains": ("example.com",), "allowed_domains": ("example.com",)}, "RouteNotAdmitted", "denied"),
    ({}, {"allowed_domains": ("other.com",)}, "RouteNotAdmitted", "allowed"),
    ({"wildcardPolicy": "Subdomain"}, {}, "RouteNotAdmitted", "wildcard"),
    ({"host": None}, {}, "NoHostValue", "no host"),
    ({"host": None}, {"allowed_domains": ("other.com",)}, "NoHostValue", "no host"),
    ({"host": None, "meta": {"name": "n" * 60}}, {"subdomain": "${name}-${namespace}x.com"}, "InvalidHost", "DNS"),
])
def test_refusals(spec: dict[str, Any], router: dict[str, Any], reason: str, message: str) -> None:
    translation = Cluster(router).has(a_route(**spec))
    assert translation.routes == ()
    (verdict,) = translation.verdicts
    assert (verdict.admitted, verdict.reason) == (False, reason)
    assert message in verdict.message


def test_wildcards_where_they_are_allowed() -> None:
    route = served(a_route(wildcardPolicy="Subdomain"), router={"allow_wildcard_routes": True})
    assert (route.host, route.wildcard) == ("www.example.com", True)


# ---- what did not change


def test_what_did_not_change_is_not_made_again() -> None:
    cluster = Cluster()
    one, two = a_route("one", to={"name": "a"}), a_route("two", to={"name": "b"}, alternateBackends=[{"name": "c"}])
    told = {name: endpoints(name, "10.0.0.1") for name in "abc"}
    first = cluster.has(one, two, *told.values())
    assert cluster.has(one, two, *told.values()) is first
    same = cluster.has(one, two, told["a"], told["b"], endpoints("c", "10.0.0.1"))
    assert [made is before for made, before in zip(same.routes, first.routes, strict=True)] == [True, True]
    other = cluster.has(one, two, told["a"], told["b"], endpoints("c", "10.0.0.2"))
    assert [made is before for made, before in zip(other.routes, first.routes, strict=True)] == [True, False]
    assert [end.address for end in other.routes[1].backend.endpoints] == ["10.0.0.1", "10.0.0.2"]
    again = cluster.has(a_route("one", to={"name": "a"}), two, told["a"], told["b"], endpoints("c", "10.0.0.2"))
    assert again.routes[0] is first.routes[0]
    fewer = cluster.has(two, told["a"], told["b"], endpoints("c", "10.0.0.2"))
    assert fewer.routes == other.routes[1:]


def test_a_service_of_another_namespace_is_another() -> None:
    cluster = Cluster()
    route = a_route()
    first = cluster.has(route, endpoints("web", "10.0.0.1"))
    elsewhere = thing("Endpoints", "web", namespace="other", subsets=[{"addresses": [{"ip": "10.9.9.9"}], "ports": [{"port": 1}]}])
    assert cluster.has(route, endpoints("web", "10.0.0.1"), elsewhere).routes[0] is first.routes[0]


def test_problems_have_the_line_of_the_field_or_of_what_is_around_it() -> None:
    told = a_route(path="x", port={})
    lines = {"spec": 4, "spec.path": 6, "metadata": 2}
    translation = Cluster().has(Object(told.body, Origin("f.yaml", 1), lines))
    assert [(str(problem.origin), problem.key, problem.object) for problem in translation.problems] == [
        ("f.yaml:6", "spec.path", "ns/web"), ("f.yaml:4", "spec.port.targetPort", "ns/web"),
    ]
