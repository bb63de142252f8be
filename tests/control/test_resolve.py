"""The endpoints of a service: openshift-routes.md 8.1 to 8.4."""

from hashlib import md5
from typing import Any

import pytest

from edged.control.resolve import KINDS, ServiceIndex
from edged.hooks import Object
from tests.control.given import endpoints, thing


def index(*objects: Object, filtered: bool = False, **more: Any) -> ServiceIndex:
    made = ServiceIndex(**more)
    for one in objects:
        made.learn(one.body["kind"], one, filtered)
    return made


def found(made: ServiceIndex, port: str | None = None, service: str = "web") -> list[str]:
    return [f"{one.address}:{one.port}" for one in made.endpoints("ns", service, port)]


def slice_of(name: str, *addresses: str, ready: Any = None, kind: str = "IPv4", label: str | None = "web", ports: Any = None) -> Object:
    labels = {} if label is None else {"kubernetes.io/service-name": label}
    conditions = {} if ready is None else {"conditions": {"ready": ready}}
    return thing(
        "EndpointSlice", name, metadata={"labels": labels}, addressType=kind, ports=ports or [{"name": "http", "port": 8080}],
        endpoints=[{"addresses": [ip], **conditions} for ip in addresses],
    )


def service(**spec: Any) -> Object:
    annotations = {"idling.alpha.openshift.io/idled-at": "2026-01-01T00:00:00Z"}
    return thing("Service", "web", metadata={"annotations": annotations}, spec={"clusterIP": "172.30.0.1", **spec})


def test_addresses_are_in_order_of_their_bytes_and_ports_of_their_numbers() -> None:
    told = thing("Endpoints", "web", subsets=[{
        "addresses": [{"ip": "10.0.0.10"}, {"ip": "10.0.0.9"}],
        "ports": [{"name": "b", "port": 9090}, {"name": "a", "port": 8080}],
    }])
    assert found(index(told)) == ["10.0.0.9:8080", "10.0.0.9:9090", "10.0.0.10:8080", "10.0.0.10:9090"]


def test_not_ready_addresses_and_udp_ports_take_no_traffic() -> None:
    told = thing("Endpoints", "web", subsets=[{
        "addresses": [{"ip": "10.0.0.1"}], "notReadyAddresses": [{"ip": "10.0.0.2"}],
        "ports": [{"name": "dns", "port": 53, "protocol": "UDP"}, {"name": "http", "port": 80, "protocol": "TCP"}],
    }])
    assert found(index(told)) == ["10.0.0.1:80"]


def test_the_target_port_matches_by_name_or_by_number() -> None:
    made = index(endpoints("web", "10.0.0.1", port=8080, port_name="http"), endpoints("web", "10.0.0.1", port=9090, port_name="admin"))
    assert found(made, "http") == ["10.0.0.1:8080"]
    assert found(made, "9090") == ["10.0.0.1:9090"]
    assert found(made, "80") == []
    assert found(made) == ["10.0.0.1:8080", "10.0.0.1:9090"]


def test_identities_and_cookies() -> None:
    told = thing("Endpoints", "web", subsets=[{
        "addresses": [{"ip": "10.0.0.1", "targetRef": {"kind": "Pod", "name": "web-1"}}, {"ip": "2001:db8::1"}],
        "ports": [{"name": "http", "port": 8080}],
    }])
    pod, other = index(told).endpoints("ns", "web", None)
    assert (pod.name, other.name) == ("pod:web-1:web:http:10.0.0.1:8080", "ept:web:http:2001:db8::1:8080")
    assert pod.cookie == md5(pod.name.encode()).hexdigest()
    assert (pod.weight, pod.maxconn) == (1, 0)


def test_duplicates_are_dropped() -> None:
    assert found(index(endpoints("web", "10.0.0.1", "10.0.0.1"), endpoints("web", "10.0.0.1"))) == ["10.0.0.1:8080"]


def test_slices_are_joined_in_order_of_name_and_count_before_endpoints() -> None:
    made = index(slice_of("b", "10.0.0.1"), slice_of("a", "10.0.0.2"), endpoints("web", "10.9.9.9"))
    assert found(made) == ["10.0.0.2:8080", "10.0.0.1:8080"]
    assert found(index(slice_of("a", "10.0.0.2"), endpoints("web", "10.9.9.9"), endpoints_only=True)) == ["10.9.9.9:8080"]


def test_of_slices_only_ready_addresses_of_ip_types_with_a_label_count() -> None:
    assert found(index(slice_of("a", "10.0.0.1", ready=True), slice_of("b", "10.0.0.2", ready=False))) == ["10.0.0.1:8080"]
    assert found(index(slice_of("a", "example.com", kind="FQDN"))) == []
    assert found(index(slice_of("a", "10.0.0.1", label=None), endpoints("web", "10.9.9.9"))) == ["10.9.9.9:8080"]


def test_losing_a_slice_leaves_the_others_and_losing_all_leaves_nothing() -> None:
    one, two = slice_of("a", "10.0.0.1"), slice_of("b", "10.0.0.2")
    made = index(one, two)
    made.forget("EndpointSlice", one)
    assert found(made) == ["10.0.0.2:8080"]
    made.forget("EndpointSlice", two)
    assert found(made) == []


def test_changes_are_told_once() -> None:
    made = index(endpoints("web", "10.0.0.1"), service())
    assert made.take_changed() == {("ns", "web")}
    assert made.take_changed() == frozenset()


def test_an_idled_service_is_reached_by_its_own_address() -> None:
    ports = [{"name": "http", "port": 80}, {"name": "udp", "port": 53, "protocol": "UDP"}]
    assert found(index(service(ports=ports))) == ["172.30.0.1:80"]
    assert found(index(service(ports=ports), endpoints("web", "10.0.0.1"))) == ["10.0.0.1:8080"]
    assert found(index(service(ports=ports, clusterIP="None"))) == []
    assert found(index(thing("Service", "web", spec={"clusterIP": "172.30.0.1", "ports": ports}))) == []


def test_the_filter_is_the_source_s_affair() -> None:
    told = endpoints("web", "127.0.0.1", "10.0.0.1")
    assert found(index(told, filtered=True)) == ["10.0.0.1:8080"]
    assert found(index(told)) == ["10.0.0.1:8080", "127.0.0.1:8080"]
    assert found(index(slice_of("a", "169.254.169.254", "10.0.0.1"), filtered=True)) == ["10.0.0.1:8080"]


NONSENSE: list[Any] = [None, 5, "text", [], {}, [None], [5], [{}], [{"ip": None}], {"a": []}, True]


@pytest.mark.parametrize("nonsense", NONSENSE, ids=repr)
@pytest.mark.parametrize("field", ["metadata", "subsets", "endpoints", "ports", "addressType", "spec", "addresses"])
def test_nonsense_is_no_endpoint_and_no_error(field: str, nonsense: Any) -> None:
    for kind in KINDS:
        told = thing(
            kind, "web", metadata={"labels": {"kubernetes.io/service-name": "web"}}, addressType="IPv4",
            subsets=[{"addresses": [{"ip": "10.0.0.1"}], "ports": [{"port": 1}]}],
            endpoints=[{"addresses": ["10.0.0.1"]}], ports=[{"port": 1}], spec={},
        )
        body: Any = dict(told.body)
        body[field] = nonsense
        if field in ("ports", "addresses"):
            body["subsets"] = [{**body["subsets"][0], field: nonsense}]
        made = index(Object(body, told.origin))
        assert isinstance(made.endpoints("ns", "web", None), tuple)
