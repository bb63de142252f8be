"""Which endpoints a service has: the objects of kind Service, Endpoints and EndpointSlice of all sources, read when a kind asks."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from hashlib import md5
from sys import intern
from typing import Any, NamedTuple

from edged.control.addresses import Address, allowed, literal
from edged.hooks import Endpoint, Object

__all__ = ["KINDS", "ServiceIndex"]

KINDS = frozenset({"Service", "Endpoints", "EndpointSlice"})

_SLICE_OF = "kubernetes.io/service-name"
_IDLED = "idling.alpha.openshift.io/idled-at"

Key = tuple[str, str]                            # namespace and name of a service


class _Told(NamedTuple):
    """One object, and whether its addresses are filtered."""

    object: Object
    filtered: bool


@dataclass(slots=True)
class _Service:
    """All that is told of one service: the objects of each kind."""

    Service: tuple[_Told, ...] = ()
    Endpoints: tuple[_Told, ...] = ()
    EndpointSlice: tuple[_Told, ...] = ()


class _Ready(NamedTuple):
    """One address and port that takes traffic."""

    address: str
    port: int
    port_name: str
    pod: str


_NOTHING = _Service()


class ServiceIndex:
    """Objects by the service they speak of. Nothing is resolved before it is asked for, and nothing resolved is kept: the
    kinds keep what they made of it."""

    def __init__(self, *, endpoints_only: bool = False) -> None:
        """`endpoints_only`: ROUTER_WATCH_ENDPOINTS (openshift-routes.md 8.1); otherwise Endpoints count where no slice exists."""
        self._endpoints_only = endpoints_only
        self._services: dict[Key, _Service] = {}
        self._changed: set[Key] = set()

    def learn(self, kind: str, told: Object, filtered: bool) -> None:
        key = _service_of(kind, told)
        if key is not None:
            service = self._services.setdefault(key, _Service())
            setattr(service, kind, (*getattr(service, kind), _Told(told, filtered)))
            self._changed.add(key)

    def forget(self, kind: str, told: Object) -> None:
        key = _service_of(kind, told)
        service = self._services.get(key) if key is not None else None
        if key is not None and service is not None:
            setattr(service, kind, tuple(one for one in getattr(service, kind) if one.object is not told))
            if not (service.Service or service.Endpoints or service.EndpointSlice):
                del self._services[key]
            self._changed.add(key)

    def take_changed(self) -> frozenset[Key]:
        """The services that may differ since the last call."""
        changed = frozenset(self._changed)
        self._changed.clear()
        return changed

    def endpoints(self, namespace: str, service: str, port: str | None) -> tuple[Endpoint, ...]:
        """Ready endpoints in the order of openshift-routes.md 8.1, of the ports that `port` matches (8.2), without duplicates (8.3)."""
        found: dict[str, Endpoint] = {}
        told = self._services.get((namespace, service), _NOTHING)
        for ready in self._ready(told) or _waking(told):
            if port is None or port in (ready.port_name, str(ready.port)):
                target = f"pod:{ready.pod}" if ready.pod else "ept"
                identity = f"{target}:{service}:{ready.port_name}:{ready.address}:{ready.port}"
                if identity not in found:
                    cookie = md5(identity.encode(), usedforsecurity=False).hexdigest()
                    found[identity] = Endpoint(ready.address, ready.port, identity, 1, cookie)
        return tuple(found.values())

    def _ready(self, service: _Service) -> list[_Ready]:
        if service.EndpointSlice and not self._endpoints_only:
            ordered = sorted(service.EndpointSlice, key=lambda told: _text(_map(told.object.body.get("metadata")).get("name")))
            return [ready for told in ordered for ready in _of_slice(told)]
        return [ready for told in service.Endpoints for ready in _of_endpoints(told)]


def _waking(service: _Service) -> list[_Ready]:
    """Of an idled service, its own address: a connection there wakes the pods (openshift-routes.md 8.4)."""
    if not service.Service or not any(map(_idled, (*service.Service, *service.Endpoints))):
        return []
    spec = _map(service.Service[0].object.body.get("spec"))
    address = literal(_text(spec.get("clusterIP")))
    if address is None:                          # headless, or nonsense
        return []
    return [_Ready(address.text, number, name, "") for number, name in _ports(spec.get("ports"))]


def _service_of(kind: str, told: Object) -> Key | None:
    """The service that an object speaks of, or None if it does not say."""
    meta = _map(told.body.get("metadata"))
    name = _map(meta.get("labels")).get(_SLICE_OF) if kind == "EndpointSlice" else meta.get("name")
    namespace = meta.get("namespace")
    if type(name) is str and type(namespace) is str and name:
        return intern(namespace), name
    return None


def _of_endpoints(told: _Told) -> Iterator[_Ready]:
    for subset in _maps(told.object.body.get("subsets")):
        ports = sorted(_ports(subset.get("ports")))
        for address, pod in _addresses((one.get("ip"), one) for one in _maps(subset.get("addresses"))):
            if not told.filtered or allowed(address):
                yield from (_Ready(address, number, name, pod) for number, name in ports)


def _of_slice(told: _Told) -> Iterator[_Ready]:
    body = told.object.body
    if body.get("addressType") not in ("IPv4", "IPv6"):
        return
    ports = sorted(_ports(body.get("ports")))
    ready = (one for one in _maps(body.get("endpoints")) if _map(one.get("conditions")).get("ready") in (True, None))
    for address, pod in _addresses((ip, one) for one in ready for ip in _list(one.get("addresses"))):
        if not told.filtered or allowed(address):
            yield from (_Ready(address, number, name, pod) for number, name in ports)


def _addresses(given: Iterable[tuple[Any, Mapping[str, Any]]]) -> Iterator[tuple[str, str]]:
    """Address and pod, by IP bytes, then host name."""
    found: list[tuple[Address, str, str]] = []
    for ip, one in given:
        address = literal(_text(ip))
        if address is not None:
            target = _map(one.get("targetRef"))
            pod = _text(target.get("name")) if target.get("kind") == "Pod" else ""
            found.append((address, _text(one.get("hostname")), pod))
    found.sort()
    return ((address.text, pod) for address, _, pod in found)


def _ports(given: Any) -> Iterator[tuple[int, str]]:
    """TCP ports and their names."""
    for port in _maps(given):
        number = port.get("port")
        if isinstance(number, int) and not isinstance(number, bool) and 0 < number < 65536 and port.get("protocol") in ("TCP", "", None):
            yield number, _text(port.get("name"))


def _idled(told: _Told) -> bool:
    return _IDLED in _map(_map(told.object.body.get("metadata")).get("annotations"))


def _map(given: Any) -> Mapping[str, Any]:
    return given if isinstance(given, Mapping) else {}


def _list(given: Any) -> list[Any]:
    return given if isinstance(given, list) else []


def _maps(given: Any) -> Iterator[Mapping[str, Any]]:
    return (one for one in _list(given) if isinstance(one, Mapping))


def _text(given: Any) -> str:
    return given if isinstance(given, str) else ""
