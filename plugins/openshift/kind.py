"""Routes of a cluster, translated. A route is made anew only when its object changed, or a service that it names."""

import random
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from edged.hooks import (
    Backend,
    Endpoint,
    HeaderAction,
    Insecure,
    Object,
    Objects,
    Origin,
    Problem,
    Route,
    Services,
    Termination,
    Translation,
    Verdict,
)

from .admission import Admission, Refused
from .annotations import Annotations
from .validate import TERMINATIONS, fields_of, wrongs
from .weights import endpoint_weights

__all__ = ["RouteKind"]

_PREFIX = {
    Termination.NONE: "be_http", Termination.EDGE: "be_edge_http", Termination.REENCRYPT: "be_secure", Termination.PASSTHROUGH: "be_tcp",
}
_TERMINATION = {str(word): word for word in Termination}
_INSECURE = {"Allow": Insecure.ALLOW, "Redirect": Insecure.REDIRECT}
_WEIGHT = 100                                    # of a service that is given none

Unit = tuple[str, str]                           # namespace and name of a service


@dataclass(slots=True)
class _Made:
    """What became of one object."""

    object: Object
    route: Route | None = None
    units: tuple[Unit, ...] = ()                 # the services that it names
    problems: tuple[Problem, ...] = ()
    verdict: Verdict | None = None


class RouteKind:
    """The kind Route, of both API versions."""

    name = "Route"
    needs: tuple[str, ...] = ("Service", "Endpoints", "EndpointSlice")

    def __init__(self, router: Mapping[str, Any], defaults: Mapping[str, Any]) -> None:
        """`router` and `defaults`: the tables of these names of the settings, with plain values."""
        self._router = router
        self._defaults = defaults
        self._admission = Admission.of(router)
        self._shuffle = bool(router.get("shuffle_endpoints", False))
        self._seed = random.random()
        self._objects: Sequence[Object] = ()
        self._made: list[_Made] = []
        self._naming: dict[Unit, list[int]] | None = None        # places of the routes that name a service; None: not yet asked for
        self._translation = Translation()

    def translate(self, objects: Objects, services: Services) -> Translation:
        """openshift-routes.md 1.6 to 1.8, 3 and 8.2 to 8.7, for every Route."""
        given, changed = objects["Route"], services.changed
        if given is not self._objects or changed is None:
            made = self._all(given, services)
        elif changed:
            made = self._some(changed, services)
        else:
            made = self._made
        if made is not self._made:
            self._translation = _translation(made)
            self._objects, self._made = given, made
        return self._translation

    def _all(self, given: Sequence[Object], services: Services) -> list[_Made]:
        """For other objects than before, or when any service may have changed."""
        known = {id(one.object): one for one in self._made}
        routes = {one.route.key: one.route for one in self._made if one.route is not None}
        made = []
        self._naming = None
        for told in given:
            one = known.get(id(told))
            if one is None or services.changed is None or not services.changed.isdisjoint(one.units):
                one = self._make(told, services, routes)
            made.append(one)
        return made

    def _some(self, changed: frozenset[Unit], services: Services) -> list[_Made]:
        """For the same objects, some services of which changed; the list that is held if that concerns no route."""
        if self._naming is None:
            self._naming = {}
            for at, one in enumerate(self._made):
                for unit in one.units:
                    self._naming.setdefault(unit, []).append(at)
        stale = {at for unit in changed for at in self._naming.get(unit, ())}
        if not stale:
            return self._made
        made = list(self._made)
        for at in stale:
            before = made[at].route
            made[at] = self._make(made[at].object, services, {} if before is None else {before.key: before})
        return made

    def _make(self, told: Object, services: Services, routes: Mapping[str, Route]) -> _Made:
        """Translate one object. `routes` are those from before, by key: the one of this object is kept if it is still right."""
        problems = tuple(_problem(told, path, message) for path, message in wrongs(told.body))
        if problems:
            return _Made(told, problems=problems)
        try:
            created_s = _created_s(fields_of(told.body["metadata"]))
        except ValueError:
            return _Made(told, problems=(_problem(told, "metadata.creationTimestamp", "is no time such as 2026-01-31T12:00:00Z"),))
        meta, spec = told.body["metadata"], told.body["spec"]
        key = f"{meta['namespace']}/{meta['name']}"
        host = self._admission.host_of(spec, meta["namespace"], meta["name"])
        wildcard = spec.get("wildcardPolicy") == "Subdomain"
        refused = self._admission.refusal(host, wildcard=wildcard)
        if refused is not None:
            return _Made(told, verdict=_verdict(key, refused, told.origin))
        route, units = self._route(meta, spec, key, host, created_s, told, services)
        before = routes.get(key)
        return _Made(told, before if before == route else route, units)

    def _route(
        self, meta: Mapping[str, Any], spec: Mapping[str, Any], key: str, host: str, created_s: float, told: Object, services: Services
    ) -> tuple[Route, tuple[Unit, ...]]:
        termination, insecure = _tls(spec)
        namespace = meta["namespace"]
        asked = Annotations(fields_of(meta.get("annotations")), self._router, termination, insecure)
        weights = _weights(spec)
        name = f"{_PREFIX[termination]}:{namespace}:{meta['name']}"
        endpoints = tuple(_endpoints(
            weights, {unit: services.endpoints(namespace, unit, _port(spec)) for unit in weights},
            asked.maxconn(), raw=termination is Termination.PASSTHROUGH,
        ))
        if self._shuffle:
            endpoints = tuple(random.Random(f"{self._seed}{key}").sample(endpoints, len(endpoints)))
        actions = fields_of(fields_of(spec.get("httpHeaders")).get("actions"))
        route = Route(
            key=key, host=host, path=spec.get("path") or "",
            backend=Backend(
                name, endpoints, asked.balance(sum(weight > 0 for weight in weights.values())), asked.timeouts(),
                retries=self._defaults.get("retries", 3), redispatch=self._defaults.get("redispatch", -1),
            ),
            wildcard=spec.get("wildcardPolicy") == "Subdomain", termination=termination, insecure=insecure, forwarded=asked.forwarded(),
            cookie=asked.cookie(f"{namespace}:{meta['name']}"), rewrite=asked.rewrite(), hsts=asked.hsts(),
            request_headers=_actions(actions.get("request") or ()), response_headers=_actions(actions.get("response") or ()),
            adjust_case=asked.adjust_case(),
            max_body_bytes=self._defaults.get("max_body_bytes", 0),
            namespace=namespace, uid=meta.get("uid") or "", created_s=created_s, origin=told.origin,
        )
        return route, tuple((namespace, unit) for unit in weights)


def _translation(made: Sequence[_Made]) -> Translation:
    return Translation(
        tuple([one.route for one in made if one.route is not None]),
        tuple(problem for one in made if one.problems for problem in one.problems),
        tuple(one.verdict for one in made if one.verdict is not None),
    )


def _tls(spec: Mapping[str, Any]) -> tuple[Termination, Insecure]:
    tls = spec.get("tls")
    if not isinstance(tls, Mapping):
        return Termination.NONE, Insecure.NONE
    termination = _TERMINATION[TERMINATIONS[tls.get("termination") or "edge"]]
    return termination, _INSECURE.get(tls.get("insecureEdgeTerminationPolicy") or "", Insecure.NONE)


def _weights(spec: Mapping[str, Any]) -> dict[str, int]:
    """The services of a route; where one is named twice, the last weight counts."""
    weights: dict[str, int] = {}
    for target in (spec["to"], *(spec.get("alternateBackends") or ())):
        weight = target.get("weight")
        weights[target["name"]] = _WEIGHT if weight is None else weight
    return weights


def _port(spec: Mapping[str, Any]) -> str | None:
    port = spec.get("port")
    return None if port is None else str(port["targetPort"])


def _endpoints(weights: Mapping[str, int], found: Mapping[str, tuple[Endpoint, ...]], maxconn: int, *, raw: bool) -> Iterator[Endpoint]:
    """Endpoints with their weights; those of weight 0 stay for clients whose cookie names them, so passthrough has none."""
    shares = endpoint_weights(weights, {unit: len(endpoints) for unit, endpoints in found.items()})
    for unit, weight in shares.items():
        if raw and weight == 0:
            continue
        for one in found[unit]:
            yield one if weight == 1 and not maxconn else Endpoint(one.address, one.port, one.name, weight, one.cookie, maxconn)


def _actions(listed: Sequence[Mapping[str, Any]]) -> tuple[HeaderAction, ...]:
    return tuple(
        HeaderAction(entry["name"], entry["action"]["set"]["value"] if entry["action"]["type"] == "Set" else None) for entry in listed
    )


def _created_s(meta: Mapping[str, Any]) -> float:
    """Seconds since the epoch; 0 for an object that was never created in a cluster. Raises ValueError."""
    written = meta.get("creationTimestamp")
    if not written:
        return 0.0
    created = datetime.fromisoformat(written)
    if created.tzinfo is None:
        raise ValueError("a time needs a zone")
    return created.timestamp()


def _problem(told: Object, path: str, message: str) -> Problem:
    meta = fields_of(told.body.get("metadata"))
    name = "/".join(str(meta[part]) for part in ("namespace", "name") if meta.get(part))
    return Problem(Origin(told.origin.where, _line(told, path)), path, f"Route {name}: {message}", name)


def _line(told: Object, path: str) -> int:
    """The line of a field, or of the nearest one around it."""
    while path:
        if path in told.lines:
            return told.lines[path]
        path = path[: max(path.rfind("."), path.rfind("["), 0)]
    return told.origin.line


def _verdict(key: str, refused: Refused, origin: Origin) -> Verdict:
    return Verdict(key, False, refused.reason, refused.message, origin)
