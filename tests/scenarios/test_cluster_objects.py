"""The very objects of a cluster, from a file."""

import json

import pytest

from tests.scenarios.harness.client import get
from tests.scenarios.harness.until import until

ROUTE = """\
apiVersion: {version}
kind: Route
metadata: {{name: {name}, namespace: shop, uid: "{name}", creationTimestamp: "{created}"}}
spec:
  host: {host}
  path: "{path}"
  to: {{kind: Service, name: {service}, weight: 100}}
  port: {{targetPort: web}}
"""

SERVICE = """\
apiVersion: v1
kind: Service
metadata: {{name: {name}, namespace: shop}}
spec:
  clusterIP: 10.1.2.3
  ports: [{{name: web, port: 80, targetPort: 8080, protocol: TCP}}]
"""

ENDPOINTS = """\
apiVersion: v1
kind: Endpoints
metadata: {{name: {name}, namespace: shop}}
subsets:
- addresses: [{{ip: 127.0.0.1, targetRef: {{kind: Pod, name: pod-1, namespace: shop}}}}]
  ports: [{{name: web, port: {port}, protocol: TCP}}]
"""

SLICE = """\
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: {{name: {name}-x7, namespace: shop, labels: {{kubernetes.io/service-name: {name}}}}}
addressType: IPv4
endpoints:
- addresses: [127.0.0.1]
  conditions: {{ready: true}}
  targetRef: {{kind: Pod, name: pod-1, namespace: shop}}
ports: [{{name: web, port: {port}, protocol: TCP}}]
"""


def route(
    name: str, host: str, service: str, *, path: str = "", version: str = "route.openshift.io/v1", created: str = "2024-01-01T00:00:00Z"
) -> str:
    return ROUTE.format(name=name, host=host, service=service, path=path, version=version, created=created)


def several(*documents: str) -> str:
    return "---\n".join(documents)


@pytest.mark.parametrize("version", ["route.openshift.io/v1", "v1"])
@pytest.mark.parametrize(("endpoints", "settings"), [(SLICE, {}), (ENDPOINTS, {"router": {"watch_endpoints": True}})])
def test_a_route_its_service_and_its_endpoints(daemon, backend, version, endpoints, settings):
    port = backend().address.rpartition(":")[2]
    edged = daemon(settings, several(
        route("cart", "www.shop.test", "cart", version=version), SERVICE.format(name="cart"), endpoints.format(name="cart", port=port)
    ))
    told = json.loads(get(edged.address(), "/cart", "www.shop.test").body)
    assert told["target"] == "/cart"
    assert "be_http:shop:cart/" in edged.line('"GET /cart ')


def test_endpoints_come_and_go(daemon, backend):
    first, second = backend(), backend()
    objects = several(route("cart", "www.shop.test", "cart"), SERVICE.format(name="cart"))
    edged = daemon(routes=objects)
    assert get(edged.address(), host="www.shop.test").status == 503
    for one in (first, second):
        edged.change_routes(SLICE.format(name="cart", port=one.address.rpartition(":")[2]), "slice.yaml")
        assert get(edged.address(), host="www.shop.test").status == 200
        assert len(one.peers) == 1


def test_the_oldest_route_keeps_its_host(daemon, backend):
    ports = {name: backend().address.rpartition(":")[2] for name in ("young", "old")}
    edged = daemon(routes=several(
        route("young", "www.shop.test", "young", created="2024-05-01T00:00:00Z"),
        route("old", "www.shop.test", "old", created="2023-05-01T00:00:00Z"),
        *(SERVICE.format(name=name) for name in ports), *(SLICE.format(name=name, port=port) for name, port in ports.items()),
    ))
    assert get(edged.address(), host="www.shop.test").status == 200
    assert "be_http:shop:old/" in edged.line('"GET / ')
    assert edged.said("shop/young.*not admitted.*HostAlreadyClaimed")


def test_a_tcp_listener_leads_to_an_object(daemon, backend):
    port = backend().address.rpartition(":")[2]
    edged = daemon(
        {"listener": [{"name": "tcp", "address": "127.0.0.1:0", "mode": "tcp", "route": "shop/cart"}]},
        several(route("cart", "www.shop.test", "cart"), SERVICE.format(name="cart"), SLICE.format(name="cart", port=port)),
    )
    assert get(edged.address("tcp"), "/raw").status == 200


def test_objects_and_the_short_form_share_a_file(daemon, backend):
    one = backend()
    edged = daemon(routes=several(
        json.dumps({"routes": [{"host": "short.test", "to": [one.address]}]}) + "\n",
        route("cart", "www.shop.test", "cart"), SERVICE.format(name="cart"), SLICE.format(name="cart", port=one.address.rpartition(":")[2]),
    ))
    for host in ("short.test", "www.shop.test"):
        assert get(edged.address(), host=host).status == 200


def test_the_filter_of_addresses_is_a_setting(daemon, backend):
    """Sources of a cluster never lead to loopback; files may, unless told otherwise."""
    port = backend().address.rpartition(":")[2]
    objects = several(route("cart", "www.shop.test", "cart"), SERVICE.format(name="cart"), SLICE.format(name="cart", port=port))
    edged = daemon({"sources": {"files": {"paths": ["routes.d"], "filter_addresses": True}}}, objects)
    assert get(edged.address(), host="www.shop.test").status == 503


def test_a_route_is_withdrawn_with_its_object(daemon, backend):
    port = backend().address.rpartition(":")[2]
    services = several(SERVICE.format(name="cart"), SLICE.format(name="cart", port=port))
    edged = daemon(routes=several(route("cart", "www.shop.test", "cart"), services))
    assert get(edged.address(), host="www.shop.test").status == 200
    edged.write_routes(services)
    until(lambda: get(edged.address(), host="www.shop.test").status == 503)
