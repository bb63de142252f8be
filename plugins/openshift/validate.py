"""What the API of a cluster would refuse in a Route (openshift-routes.md 1.7); objects from files have passed no such gate."""

import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from edged.hooks.values import HEADER_NAME, HEADER_VALUES, host_flaw

__all__ = ["API_VERSIONS", "TERMINATIONS", "fields_of", "wrongs"]

API_VERSIONS = ("route.openshift.io/v1", "v1")
TERMINATIONS = {"edge": "edge", "reencrypt": "reencrypt", "passthrough": "passthrough",
                "Edge": "edge", "Reencrypt": "reencrypt", "Passthrough": "passthrough"}

_SUBDOMAIN = re.compile(r"(?=.{1,253}\Z)[a-z0-9](?:[a-z0-9-]*[a-z0-9])?(?:\.[a-z0-9](?:[a-z0-9-]*[a-z0-9])?)*")
_ANY_HOST = "route.openshift.io/allow-non-dns-compliant-host"
_ALTERNATES_MOST = 3
_ACTIONS_MOST = 20
_VALUE_MOST = 16384
_PEM = ("certificate", "key", "caCertificate", "destinationCACertificate", "externalCertificate")
_FORBIDDEN_HEADERS = frozenset({"strict-transport-security", "proxy", "cookie", "set-cookie"})
_POLICIES = {
    "edge": ("None", "Allow", "Redirect"), "reencrypt": ("None", "Allow", "Redirect"), "passthrough": ("None", "Redirect"),
}

Wrong = tuple[str, str]                          # path of the field, and what is wrong with it


def fields_of(given: Any) -> Mapping[str, Any]:
    """A mapping, or an empty one in place of what is none."""
    return given if isinstance(given, Mapping) else {}


def wrongs(body: Mapping[str, Any]) -> Iterator[Wrong]:
    """Everything that is wrong with a Route."""
    if body.get("apiVersion") not in API_VERSIONS:
        yield "apiVersion", f"must be {' or '.join(API_VERSIONS)}"
    meta, spec = fields_of(body.get("metadata")), body.get("spec")
    yield from _meta(meta)
    if not isinstance(spec, Mapping):
        yield "spec", "must be a mapping"
        return
    yield from _shapes(spec)
    yield from _host(spec, fields_of(meta.get("annotations")))
    yield from _path(spec)
    yield from _targets(spec)
    yield from _tls(spec)
    yield from _headers(spec)


def _meta(meta: Mapping[str, Any]) -> Iterator[Wrong]:
    name = meta.get("name")
    if not isinstance(name, str) or not _SUBDOMAIN.fullmatch(name):
        yield "metadata.name", 'must be a DNS name: a-z, 0-9, "-" and "."'
    namespace = meta.get("namespace")
    if not isinstance(namespace, str) or not _SUBDOMAIN.fullmatch(namespace):
        yield "metadata.namespace", 'is needed: a-z, 0-9 and "-"' if namespace is None else 'must be a DNS name: a-z, 0-9 and "-"'
    for field, shape, word in (("uid", str, "a text"), ("creationTimestamp", str, "a time"), ("annotations", Mapping, "a mapping")):
        if meta.get(field) is not None and not isinstance(meta[field], shape):
            yield f"metadata.{field}", f"must be {word}"


def _shapes(spec: Mapping[str, Any]) -> Iterator[Wrong]:
    for field in ("host", "subdomain", "path", "wildcardPolicy"):
        if spec.get(field) is not None and not isinstance(spec[field], str):
            yield f"spec.{field}", "must be a text"
    for field in ("tls", "port", "httpHeaders"):
        if spec.get(field) is not None and not isinstance(spec[field], Mapping):
            yield f"spec.{field}", "must be a mapping"


def _host(spec: Mapping[str, Any], annotations: Mapping[str, Any]) -> Iterator[Wrong]:
    host, subdomain, policy = spec.get("host") or "", spec.get("subdomain") or "", spec.get("wildcardPolicy")
    for field, value in (("host", host), ("subdomain", subdomain)):
        if isinstance(value, str) and value:
            if not _SUBDOMAIN.fullmatch(value):
                yield f"spec.{field}", 'must be a DNS name in lower case, without "*" and without a dot at the end'
            elif annotations.get(_ANY_HOST) != "true" and (wrong := host_flaw(value)):
                yield f"spec.{field}", wrong
    if policy not in (None, "", "None", "Subdomain"):
        yield "spec.wildcardPolicy", "must be None or Subdomain"
    elif policy == "Subdomain" and not host:
        yield "spec.wildcardPolicy", "Subdomain needs a host"


def _path(spec: Mapping[str, Any]) -> Iterator[Wrong]:
    path = spec.get("path") or ""
    if not isinstance(path, str) or not path:
        return
    if not path.startswith("/"):
        yield "spec.path", 'must begin with "/"'
    if "#" in path or any(character.isspace() for character in path):
        yield "spec.path", 'must have no "#" and no blank'
    if TERMINATIONS.get(str(fields_of(spec.get("tls")).get("termination"))) == "passthrough":
        yield "spec.path", "passthrough routes have no path: nobody here can read it"


def _targets(spec: Mapping[str, Any]) -> Iterator[Wrong]:
    yield from _target("spec.to", spec.get("to"))
    alternates = spec.get("alternateBackends")
    if alternates is not None and not isinstance(alternates, list):
        yield "spec.alternateBackends", "must be a list"
    elif alternates:
        if len(alternates) > _ALTERNATES_MOST:
            yield "spec.alternateBackends", f"at most {_ALTERNATES_MOST} are possible"
        for at, target in enumerate(alternates):
            yield from _target(f"spec.alternateBackends[{at}]", target)
    port = spec.get("port")
    if isinstance(port, Mapping):
        number = port.get("targetPort")
        if isinstance(number, bool) or not isinstance(number, int | str) or number in (0, ""):
            yield "spec.port.targetPort", "must be a number or a name of a port"


def _target(at: str, target: Any) -> Iterator[Wrong]:
    if not isinstance(target, Mapping):
        yield at, "must be a mapping with a name"
        return
    if not isinstance(target.get("name"), str) or not target["name"]:
        yield f"{at}.name", "must name a service"
    if target.get("kind") not in (None, "", "Service"):
        yield f"{at}.kind", "must be Service"
    weight = target.get("weight")
    if weight is not None and (isinstance(weight, bool) or not isinstance(weight, int) or not 0 <= weight <= 256):
        yield f"{at}.weight", "must be 0 to 256"


def _tls(spec: Mapping[str, Any]) -> Iterator[Wrong]:
    """openshift-routes.md 1.3."""
    tls = spec.get("tls")
    if not isinstance(tls, Mapping):
        return
    given = {field for field in _PEM if tls.get(field)}
    written = tls.get("termination") or ("" if "destinationCACertificate" in given else "edge")
    termination = TERMINATIONS.get(written) if isinstance(written, str) else None
    if termination is None:
        yield "spec.tls.termination", "must be edge, reencrypt or passthrough"
        return
    forbidden = {"edge": {"destinationCACertificate"}, "reencrypt": set(), "passthrough": set(_PEM)}[termination]
    for field in sorted(given & forbidden):
        yield f"spec.tls.{field}", f"has no place in {'an edge' if termination == 'edge' else 'a passthrough'} route"
    for field in sorted(given - {"externalCertificate"}):
        if not isinstance(tls[field], str):
            yield f"spec.tls.{field}", "must be a text"
    if {"certificate", "externalCertificate"} <= given:
        yield "spec.tls.externalCertificate", "cannot go with certificate"
    if "externalCertificate" in given and not isinstance(fields_of(tls["externalCertificate"]).get("name"), str):
        yield "spec.tls.externalCertificate", "must name a secret"
    policy = tls.get("insecureEdgeTerminationPolicy")
    if policy not in (None, "", *_POLICIES[termination]):
        yield "spec.tls.insecureEdgeTerminationPolicy", f"must be one of {', '.join(_POLICIES[termination])}"


def _headers(spec: Mapping[str, Any]) -> Iterator[Wrong]:
    """openshift-routes.md 1.4."""
    actions = fields_of(fields_of(spec.get("httpHeaders")).get("actions"))
    for side in ("request", "response"):
        listed, at = actions.get(side), f"spec.httpHeaders.actions.{side}"
        if listed is None:
            continue
        if not isinstance(listed, list):
            yield at, "must be a list"
            continue
        if listed and TERMINATIONS.get(str(fields_of(spec.get("tls")).get("termination"))) == "passthrough":
            yield at, "passthrough routes have no headers: nobody here can read them"
        if len(listed) > _ACTIONS_MOST:
            yield at, f"at most {_ACTIONS_MOST} are possible"
        seen: set[str] = set()
        for number, entry in enumerate(listed):
            yield from _action(f"{at}[{number}]", entry, HEADER_VALUES[side].fullmatch, seen)


def _action(at: str, entry: Any, is_value: Callable[[str], Any], seen: set[str]) -> Iterator[Wrong]:
    name, action = fields_of(entry).get("name"), fields_of(fields_of(entry).get("action"))
    if not isinstance(name, str) or not HEADER_NAME.fullmatch(name):
        yield f"{at}.name", "must be the name of a header"
    elif name.lower() in _FORBIDDEN_HEADERS:
        yield f"{at}.name", f"{name} cannot be changed by a route"
    elif name in seen:
        yield f"{at}.name", f"{name} is here twice"
    else:
        seen.add(name)
    kind, value = action.get("type"), fields_of(action.get("set")).get("value")
    if kind not in ("Set", "Delete"):
        yield f"{at}.action.type", "must be Set or Delete"
    elif kind == "Delete" and action.get("set") is not None:
        yield f"{at}.action.set", "has no place in Delete"
    elif kind == "Set" and not (isinstance(value, str) and 0 < len(value) <= _VALUE_MOST and "\t" not in value and is_value(value)):
        yield f"{at}.action.set.value", "must be a text; a percent sign is written %%, and stands for more only in %[...]"
