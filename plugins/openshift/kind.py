"""Routes of a cluster, translated. A route is made anew only when its object changed, or a service that it names."""

import random
from collections.abc import Iterator, Mapping, Sequence, Set
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from typing import Any, NamedTuple

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
from .material import Material, Secured, Unfit, secret_named
from .pace import Pace
from .secrets import Secrets
from .validate import TERMINATIONS, fields_of, wrongs
from .weights import endpoint_weights

__all__ = ["RouteKind"]

_PREFIX = {
    Termination.NONE: "be_http", Termination.EDGE: "be_edge_http", Termination.REENCRYPT: "be_secure", Termination.PASSTHROUGH: "be_tcp",
}
_TERMINATION = {str(word): word for word in Termination}
_INSECURE = {"Allow": Insecure.ALLOW, "Redirect": Insecure.REDIRECT}
_WEIGHT = 100                                    # of a service that is given none

Unit = tuple[str, str]                           # namespace and name of a service, or of a secret


class _Basis(NamedTuple):
    """What a route is made of: two objects that were good together."""

    object: Object
    secret: Object | None


class _Read(NamedTuple):
    """A Route whose shape is right, read once."""

    object: Object
    meta: Mapping[str, Any]
    spec: Mapping[str, Any]
    key: str
    host: str
    wildcard: bool
    created_s: float
    secret: Unit | None


@dataclass(slots=True)
class _Made:
    """What became of one object."""

    object: Object
    route: Route | None = None
    units: tuple[Unit, ...] = ()                 # the services that it names
    problems: tuple[Problem, ...] = ()
    verdict: Verdict | None = None
    basis: _Basis | None = None                  # of the route: an older object, if the certificate of this one is bad
    secret: Unit | None = None                   # that it names
    marks: tuple[bytes, ...] = ()                # of its certificates, by which they are kept


class RouteKind:
    """The kind Route, of both API versions."""

    name = "Route"
    needs: tuple[str, ...] = ("Service", "Endpoints", "EndpointSlice", "Secret")

    def __init__(self, router: Mapping[str, Any], defaults: Mapping[str, Any]) -> None:
        """`router` and `defaults`: the tables of these names of the settings, with plain values."""
        self._router = router
        self._defaults = defaults
        self._admission = Admission.of(router)
        self._material = Material(extended=router.get("extended_validation", True))
        self._shuffle = bool(router.get("shuffle_endpoints", False))
        self._seed = random.random()
        self._objects: Sequence[Object] = ()
        self._made: list[_Made] = []
        self._naming: dict[Unit, list[int]] | None = None        # places of the routes that name a service; None: not yet asked for
        self._secrets = Secrets()
        self._translation = Translation()

    async def prepare(self, objects: Objects) -> None:
        """Check the certificates of routes that are new, as thousands of them take seconds."""
        secrets, changed = self._secrets.after(objects["Secret"])
        if objects["Route"] is self._objects and not changed:
            return
        known = {id(one.object) for one in self._made if one.secret not in changed}
        new = [told for told in objects["Route"] if id(told) not in known]
        pace = Pace("certificates of routes", len(new))
        for told in new:
            self._check(told, secrets)
            await pace.step()

    def _check(self, told: Object, secrets: Secrets) -> None:
        """As `_make` will ask for it."""
        spec, meta = fields_of(told.body.get("spec")), fields_of(told.body.get("metadata"))
        if not fields_of(spec.get("tls")) or any(True for _ in wrongs(told.body)):
            return
        with suppress(Unfit):                    # told when the route is made
            self._material.secured(spec, _tls(spec)[0], secrets.get(secret_named(spec, meta["namespace"])), told.origin)

    def translate(self, objects: Objects, services: Services) -> Translation:
        """openshift-routes.md 1.6 to 1.8, 2.2, 3 and 8.2 to 8.7, for every Route."""
        given, changed = objects["Route"], services.changed
        secrets = self._secrets.take(objects["Secret"])
        self._material.take_marks()
        if given is not self._objects or changed is None:
            made = self._all(given, changed, secrets, services)
        elif changed or secrets:
            made = self._some(changed, secrets, services)
        else:
            made = self._made
        if made is not self._made:
            self._translation = _translation(made)
            self._objects, self._made = given, made
            self._material.keep(one.marks for one in made)
        return self._translation

    def _all(self, given: Sequence[Object], changed: frozenset[Unit] | None, secrets: Set[Unit], services: Services) -> list[_Made]:
        """For other objects than before, or when any service may have changed."""
        known = {id(one.object): one for one in self._made}
        before = {one.route.key: one for one in self._made if one.route is not None}
        made = []
        self._naming = None
        for told in given:
            one = known.get(id(told))
            if one is None or changed is None or one.secret in secrets or not changed.isdisjoint(one.units):
                one = self._make(told, services, before)
            made.append(one)
        return made

    def _some(self, changed: frozenset[Unit], secrets: Set[Unit], services: Services) -> list[_Made]:
        """For the same objects, some services or secrets of which changed; the list that is held if that concerns no route."""
        if self._naming is None:
            self._naming = {}
            for at, one in enumerate(self._made):
                for unit in one.units:
                    self._naming.setdefault(unit, []).append(at)
        stale = {at for unit in changed for at in self._naming.get(unit, ())}
        if secrets:
            stale.update(at for at, one in enumerate(self._made) if one.secret in secrets)
        if not stale:
            return self._made
        made = list(self._made)
        for at in stale:
            before = made[at].route
            made[at] = self._make(made[at].object, services, {} if before is None else {before.key: made[at]})
        if secrets:                              # with another basis, a route may name other services
            self._naming = None
        return made

    def _make(self, told: Object, services: Services, before: Mapping[str, _Made]) -> _Made:
        """Translate one object. `before`: what was made, by the key of its route: a route that is still right is kept, and so is the
        basis of one whose newest certificate is bad."""
        read = self._read(told)
        if isinstance(read, _Made):
            return read
        old = before.get(read.key)
        basis, verdict = _Basis(told, self._secrets.get(read.secret)), None
        try:
            secured = self._secured(read, basis, services)
        except Unfit as why:
            verdict = Verdict(read.key, False, why.reason, why.message, Origin(told.origin.where, _line(told, why.field)))
            before_it = self._standing(told, old, services) if why.stays else None
            if before_it is None:
                return _Made(told, verdict=verdict, secret=read.secret, marks=self._material.take_marks())
            read, basis, secured = before_it
        route, units = self._route(read, secured, services)
        if old is not None and old.route == route:
            route = old.route
        return _Made(
            told, route, units, verdict=verdict, basis=basis, secret=secret_named(told.body["spec"], route.namespace),
            marks=self._material.take_marks(),
        )

    def _standing(self, told: Object, old: _Made | None, services: Services) -> tuple[_Read, _Basis, Secured] | None:
        """What was in force before for an object, if there is such, and it is still good."""
        if old is None or old.basis is None or _uid(old.basis.object) != _uid(told):
            return None
        read = self._read(old.basis.object)
        if isinstance(read, _Made):
            return None
        try:
            return read, old.basis, self._secured(read, old.basis, services)
        except Unfit:
            return None

    def _read(self, told: Object) -> _Read | _Made:
        """The object, or what becomes of one that is not served whatever certificate it has."""
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
        return _Read(told, meta, spec, key, host, wildcard, created_s, secret_named(spec, meta["namespace"]))

    def _secured(self, read: _Read, basis: _Basis, services: Services) -> Secured:
        return self._material.secured(read.spec, _tls(read.spec)[0], basis.secret, basis.object.origin, services.trust)

    def _route(self, read: _Read, secured: Secured, services: Services) -> tuple[Route, tuple[Unit, ...]]:
        meta, spec = read.meta, read.spec
        termination, insecure = _tls(spec)
        namespace = meta["namespace"]
        asked = Annotations(fields_of(meta.get("annotations")), self._router, termination, insecure)
        weights = _weights(spec)
        name = f"{_PREFIX[termination]}:{namespace}:{meta['name']}"
        endpoints = tuple(_endpoints(
            weights, {unit: services.endpoints(namespace, unit, _port(spec)) for unit in weights},
            asked.maxconn(), raw=termination is Termination.PASSTHROUGH, service_of=namespace if secured.check_name else "",
        ))
        if self._shuffle:
            endpoints = tuple(random.Random(f"{self._seed}{read.key}").sample(endpoints, len(endpoints)))
        actions = fields_of(fields_of(spec.get("httpHeaders")).get("actions"))
        route = Route(
            key=read.key, host=read.host, path=spec.get("path") or "",
            backend=Backend(
                name, endpoints, asked.balance(sum(weight > 0 for weight in weights.values())), asked.timeouts(),
                retries=self._defaults.get("retries", 3), redispatch=self._defaults.get("redispatch", -1),
                trust=secured.trust, check_name=secured.check_name, send_sni=secured.check_name,
            ),
            wildcard=read.wildcard, termination=termination, insecure=insecure, forwarded=asked.forwarded(),
            cookie=asked.cookie(f"{namespace}:{meta['name']}"), rewrite=asked.rewrite(), hsts=asked.hsts(),
            request_headers=_actions(actions.get("request") or ()), response_headers=_actions(actions.get("response") or ()),
            adjust_case=asked.adjust_case(),
            max_body_bytes=self._defaults.get("max_body_bytes", 0),
            namespace=namespace, uid=meta.get("uid") or "", created_s=read.created_s, origin=read.object.origin,
            certificate=secured.certificate,
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


def _endpoints(
    weights: Mapping[str, int], found: Mapping[str, tuple[Endpoint, ...]], maxconn: int, *, raw: bool, service_of: str
) -> Iterator[Endpoint]:
    """Endpoints with their weights; those of weight 0 stay for clients whose cookie names them, so passthrough has none.
    `service_of`: a namespace, if their certificates are to name the services in it (openshift-routes.md 7.6)."""
    shares = endpoint_weights(weights, {unit: len(endpoints) for unit, endpoints in found.items()})
    for unit, weight in shares.items():
        if raw and weight == 0:
            continue
        name = f"{unit}.{service_of}.svc" if service_of else ""
        for one in found[unit]:
            if weight == 1 and not maxconn and not name:
                yield one
            else:
                yield Endpoint(one.address, one.port, one.name, weight, one.cookie, maxconn, server_name=name)


def _uid(told: Object) -> str:
    """Two objects of one name are the same one as long as this is."""
    return str(fields_of(told.body.get("metadata")).get("uid") or "")


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
