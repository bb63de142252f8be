"""Objects of a cluster as a route file holds them."""

import base64
import json
from collections.abc import Mapping
from typing import Any

from tests.scenarios.harness.authority import Certified

__all__ = ["certificate_of", "document", "exposed", "route", "secret", "service"]

NAMESPACE = "shop"


def document(*objects: Mapping[str, Any]) -> str:
    """The text of a file that holds them all."""
    return "".join(f"---\n{json.dumps(one)}\n" for one in objects)


def route(
    name: str, host: str, to: str, *, path: str = "", tls: Mapping[str, Any] | None = None, wildcard: bool = False,
    annotations: Mapping[str, str] | None = None,
) -> dict[str, Any]:
    """A Route to the service `to`. `tls` is its spec.tls; a key that is None is left out."""
    spec: dict[str, Any] = {"host": host, "to": {"kind": "Service", "name": to, "weight": 100}, "port": {"targetPort": "web"}}
    if path:
        spec["path"] = path
    if wildcard:
        spec["wildcardPolicy"] = "Subdomain"
    if tls is not None:
        spec["tls"] = {key: value for key, value in tls.items() if value is not None}
    meta = _meta(name, creationTimestamp="2024-01-01T00:00:00Z", annotations=dict(annotations or {}))
    return {"apiVersion": "route.openshift.io/v1", "kind": "Route", "metadata": meta, "spec": spec}


def service(name: str, *addresses: str) -> list[dict[str, Any]]:
    """A Service and the slice of its endpoints, "127.0.0.1:PORT" each."""
    ports = [{"name": "web", "port": 80, "targetPort": 8080, "protocol": "TCP"}]
    objects: list[dict[str, Any]] = [{
        "apiVersion": "v1", "kind": "Service", "metadata": _meta(name), "spec": {"clusterIP": "10.1.2.3", "ports": ports},
    }]
    for number, address in enumerate(addresses):
        host, _, port = address.rpartition(":")
        objects.append({
            "apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice", "addressType": "IPv4",
            "metadata": _meta(f"{name}-{number}", labels={"kubernetes.io/service-name": name}),
            "endpoints": [{"addresses": [host], "conditions": {"ready": True}}],
            "ports": [{"name": "web", "port": int(port), "protocol": "TCP"}],
        })
    return objects


def exposed(name: str, host: str, address: str, **how: Any) -> list[dict[str, Any]]:
    """A Route with a Service of its own that leads to this address; `how` as for `route`."""
    return [route(name, host, name, **how), *service(name, address)]


def certificate_of(one: Certified) -> dict[str, str]:
    """The keys of spec.tls that show this certificate."""
    return {"certificate": one.chain_pem, "key": one.key_pem}


def secret(name: str, one: Certified, key: str = "") -> dict[str, Any]:
    """A TLS Secret; `key`: of another certificate."""
    data = {"tls.crt": _coded(one.chain_pem), "tls.key": _coded(key or one.key_pem)}
    return {"apiVersion": "v1", "kind": "Secret", "metadata": _meta(name), "type": "kubernetes.io/tls", "data": data}


def _meta(name: str, **more: Any) -> dict[str, Any]:
    return {"name": name, "namespace": NAMESPACE, "uid": name, **more}


def _coded(text: str) -> str:
    return base64.b64encode(text.encode()).decode()
