"""What a cluster's API would refuse, rule by rule: openshift-routes.md 1.7."""

import copy
from typing import Any

import pytest
from edged_plugins.openshift.validate import wrongs

GOOD: dict[str, Any] = {
    "apiVersion": "route.openshift.io/v1", "kind": "Route", "metadata": {"name": "web", "namespace": "shop"},
    "spec": {"host": "www.example.com", "to": {"kind": "Service", "name": "web", "weight": 100}},
}
LONG = "x" * 64
SET = {"type": "Set", "set": {"value": "v"}}


def paths(changes: dict[str, Any]) -> list[str]:
    """Where the problems of the good route with these changes are."""
    body = copy.deepcopy(GOOD)
    for path, value in changes.items():
        at: Any = body
        *inner, last = path.split(".")
        for step in inner:
            at = at.setdefault(step, {})
        if value is ...:
            del at[last]
        else:
            at[last] = value
    return [path for path, _ in wrongs(body)]


def headers(*actions: Any, side: str = "request") -> dict[str, Any]:
    return {"spec.httpHeaders": {"actions": {side: list(actions)}}}


@pytest.mark.parametrize("changes", [
    {}, {"apiVersion": "v1"}, {"metadata.name": LONG}, {"metadata.name": "a.b-c"}, {"spec.host": ...}, {"spec.host": ""},
    {"spec.host": None},
    {"spec.host": f"{LONG}.com", "metadata.annotations": {"route.openshift.io/allow-non-dns-compliant-host": "true"}},
    {"spec.path": "/"}, {"spec.path": "/a?b\"'"}, {"spec.path": ""}, {"spec.to.kind": ""}, {"spec.to.kind": ...}, {"spec.to.weight": 0},
    {"spec.to.weight": 256}, {"spec.to.weight": None}, {"spec.alternateBackends": [{"name": "a"}] * 3}, {"spec.port": {"targetPort": 80}},
    {"spec.port": {"targetPort": "http"}}, {"spec.tls": {}}, {"spec.tls": {"termination": "Edge", "certificate": "x", "key": "y"}},
    {"spec.tls": {"termination": "reencrypt", "destinationCACertificate": "x"}}, {"spec.tls": {"termination": "passthrough"}},
    {"spec.tls": {"termination": "edge", "externalCertificate": {"name": "s"}}}, {"spec.wildcardPolicy": "None"},
    {"spec.wildcardPolicy": ""},
    {"spec.wildcardPolicy": "Subdomain"}, {"spec.subdomain": "a"}, headers(*({"name": f"X{n}", "action": SET} for n in range(20))),
    headers({"name": "X", "action": {"type": "Set", "set": {"value": "a%%b %[req.hdr(X-A),lower,base64]"}}}),
    headers({"name": "X", "action": {"type": "Set", "set": {"value": "%{+Q}[ssl_c_der,base64]"}}}),
    headers({"name": "X", "action": {"type": "Set", "set": {"value": "%[res.hdr(X)]"}}}, side="response"),
    headers({"name": "X", "action": {"type": "Delete"}}, {"name": "x", "action": {"type": "Delete"}}),
])
def test_right(changes: dict[str, Any]) -> None:
    assert paths(changes) == []


@pytest.mark.parametrize(("changes", "where"), [
    ({"apiVersion": "v2"}, ["apiVersion"]), ({"apiVersion": ...}, ["apiVersion"]),
    ({"metadata": None}, ["metadata.name", "metadata.namespace"]), ({"metadata.name": "A"}, ["metadata.name"]),
    ({"metadata.name": ".."}, ["metadata.name"]), ({"metadata.name": "a/b"}, ["metadata.name"]),
    ({"metadata.name": "a%b"}, ["metadata.name"]),
    ({"metadata.name": "x" * 254}, ["metadata.name"]), ({"metadata.namespace": ...}, ["metadata.namespace"]),
    ({"metadata.namespace": 5}, ["metadata.namespace"]), ({"metadata.uid": 5}, ["metadata.uid"]),
    ({"metadata.annotations": []}, ["metadata.annotations"]), ({"metadata.creationTimestamp": 5}, ["metadata.creationTimestamp"]),
    ({"spec": None}, ["spec"]), ({"spec": []}, ["spec"]),
    ({"spec.host": "A.com"}, ["spec.host"]), ({"spec.host": "a.com."}, ["spec.host"]), ({"spec.host": "*.a.com"}, ["spec.host"]),
    ({"spec.host": "a_b.com"}, ["spec.host"]), ({"spec.host": f"{LONG}.com"}, ["spec.host"]), ({"spec.host": 5}, ["spec.host"]),
    ({"spec.host": "a.com\n"}, ["spec.host"]),
    ({"spec.subdomain": "A"}, ["spec.subdomain"]), ({"spec.subdomain": LONG}, ["spec.subdomain"]),
    ({"spec.wildcardPolicy": "All"}, ["spec.wildcardPolicy"]),
    ({"spec.wildcardPolicy": "Subdomain", "spec.host": ...}, ["spec.wildcardPolicy"]),
    ({"spec.path": "a"}, ["spec.path"]), ({"spec.path": "/a#"}, ["spec.path"]), ({"spec.path": "/a b"}, ["spec.path"]),
    ({"spec.path": "a b"}, ["spec.path", "spec.path"]), ({"spec.path": "/a", "spec.tls": {"termination": "passthrough"}}, ["spec.path"]),
    ({"spec.path": ["/"]}, ["spec.path"]),
    ({"spec.to": ...}, ["spec.to"]), ({"spec.to": []}, ["spec.to"]), ({"spec.to.name": ""}, ["spec.to.name"]),
    ({"spec.to.name": 5}, ["spec.to.name"]),
    ({"spec.to.kind": "Pod"}, ["spec.to.kind"]), ({"spec.to.weight": 257}, ["spec.to.weight"]),
    ({"spec.to.weight": -1}, ["spec.to.weight"]),
    ({"spec.to.weight": "5"}, ["spec.to.weight"]), ({"spec.to.weight": True}, ["spec.to.weight"]),
    ({"spec.alternateBackends": [{"name": "a"}] * 4}, ["spec.alternateBackends"]),
    ({"spec.alternateBackends": "a"}, ["spec.alternateBackends"]),
    ({"spec.alternateBackends": [{"name": "a"}, {"weight": 1}]}, ["spec.alternateBackends[1].name"]),
    ({"spec.alternateBackends": [None]}, ["spec.alternateBackends[0]"]),
    ({"spec.port": {"targetPort": 0}}, ["spec.port.targetPort"]), ({"spec.port": {"targetPort": ""}}, ["spec.port.targetPort"]),
    ({"spec.port": {}}, ["spec.port.targetPort"]), ({"spec.port": {"targetPort": False}}, ["spec.port.targetPort"]),
    ({"spec.port": 80}, ["spec.port"]),
    ({"spec.tls": {"termination": "none"}}, ["spec.tls.termination"]), ({"spec.tls": {"termination": 5}}, ["spec.tls.termination"]),
    ({"spec.tls": {"destinationCACertificate": "x"}}, ["spec.tls.termination"]), ({"spec.tls": "edge"}, ["spec.tls"]),
    ({"spec.tls": {"termination": "edge", "destinationCACertificate": "x"}}, ["spec.tls.destinationCACertificate"]),
    ({"spec.tls": {"termination": "passthrough", "certificate": "x", "key": "y"}}, ["spec.tls.certificate", "spec.tls.key"]),
    ({"spec.tls": {"certificate": "x", "externalCertificate": {"name": "s"}}}, ["spec.tls.externalCertificate"]),
    ({"spec.tls": {"externalCertificate": "s"}}, ["spec.tls.externalCertificate"]),
    ({"spec.tls": {"certificate": 5}}, ["spec.tls.certificate"]),
    ({"spec.tls": {"termination": "edge", "insecureEdgeTerminationPolicy": "allow"}}, ["spec.tls.insecureEdgeTerminationPolicy"]),
    ({"spec.tls": {"termination": "passthrough", "insecureEdgeTerminationPolicy": "Allow"}}, ["spec.tls.insecureEdgeTerminationPolicy"]),
    ({"spec.tls": {"insecureEdgeTerminationPolicy": []}}, ["spec.tls.insecureEdgeTerminationPolicy"]),
    (headers(*({"name": f"X{n}", "action": SET} for n in range(21))), ["spec.httpHeaders.actions.request"]),
    (headers({"name": "X", "action": SET}, {"name": "X", "action": SET}), ["spec.httpHeaders.actions.request[1].name"]),
    ({"spec.tls": {"termination": "passthrough"}, **headers({"name": "X", "action": SET})}, ["spec.httpHeaders.actions.request"]),
    (headers(5), ["spec.httpHeaders.actions.request[0].name", "spec.httpHeaders.actions.request[0].action.type"]),
    ({"spec.httpHeaders": {"actions": {"request": {}}}}, ["spec.httpHeaders.actions.request"]),
    ({"spec.httpHeaders": 5}, ["spec.httpHeaders"]),
])
def test_wrong(changes: dict[str, Any], where: list[str]) -> None:
    assert paths(changes) == where


@pytest.mark.parametrize("name", ["", "a b", "a:b", "ä", "x" * 256, 5, None, "Proxy", "cookie", "SET-COOKIE", "Strict-Transport-Security"])
def test_headers_that_cannot_be_changed(name: Any) -> None:
    assert paths(headers({"name": name, "action": SET})) == ["spec.httpHeaders.actions.request[0].name"]


@pytest.mark.parametrize(("action", "where"), [
    ({"type": "set", "set": {"value": "v"}}, "type"), ({}, "type"), (None, "type"), ({"type": "Delete", "set": {"value": "v"}}, "set"),
    *(({"type": "Set", "set": {"value": value}}, "set.value") for value in [
        "", "5%", "%[", "%[req.hdr(a b)]", "%[res.hdr(X)]", "%[req.hdr(X),upper]", "%[env(PATH)]", "a\r\nb", "\x00", "x" * 16385, 5, None,
        "%{Z}[ssl_c_der]",
    ]),
    ({"type": "Set"}, "set.value"),
])
def test_actions_that_are_none(action: Any, where: str) -> None:
    assert paths(headers({"name": "X", "action": action})) == [f"spec.httpHeaders.actions.request[0].action.{where}"]
