"""What a plugin may hand over as a route, and what not."""

from dataclasses import replace
from typing import Any

import pytest
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from edged.control.sound import flaw
from edged.hooks import Backend, Balance, Certificate, Cookie, Endpoint, HeaderAction, Timeouts, Trust
from tests.control.given import route
from tests.scenarios.harness.authority import Authority, key_of

GOOD = route(
    "ns/web", path="/x", to=["127.0.0.1:80", "2001:db8::1:81"], cookie=Cookie("c"), rewrite="/", hsts="max-age=1",
    request_headers=(HeaderAction("x", "y"), HeaderAction("z")),
)


AUTHORITY = Authority("sound")
ONE = AUTHORITY.issue("one", number=1)
ONE_KEY, OTHER_KEY = (
    key_of("ec", number).private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption()) for number in (1, 2)
)
SHOWN = Certificate.of((ONE.der, AUTHORITY.intermediate.der), ONE_KEY)
TRUST = Trust.of((AUTHORITY.root.der,))


@pytest.mark.parametrize("certificate", [SHOWN, Certificate.of((ONE.der,), ONE_KEY, b"staple"), Certificate(SHOWN.id, (), b"")])
def test_certificates_that_may_be(certificate: Certificate) -> None:
    assert flaw(replace(GOOD, certificate=certificate)) is None


@pytest.mark.parametrize(("certificate", "at"), [
    ("pem", "certificate"), (replace(SHOWN, chain=[b"leaf"]), "certificate"), (replace(SHOWN, key="key"), "certificate"),
    (replace(SHOWN, key=b""), "certificate"), (replace(SHOWN, ocsp=None), "certificate"), (replace(SHOWN, id="0" * 64), "certificate.id"),
    (replace(SHOWN, key=OTHER_KEY), "certificate.id"), (Certificate.of((ONE.der,), OTHER_KEY), "certificate"),
    (Certificate.of((b"leaf",), ONE_KEY), "certificate"), (Certificate.of((ONE.der, b"issuer"), ONE_KEY), "certificate"),
    (Certificate.of((ONE.der + b"more",), ONE_KEY), "certificate"), (Certificate.of((ONE.der,), b"key"), "certificate"),
])
def test_flaws_of_a_certificate(certificate: Any, at: str) -> None:
    found = flaw(replace(GOOD, certificate=certificate))
    assert found is not None
    assert found[0] == at


@pytest.mark.parametrize(("more", "at"), [
    ({"trust": "ca"}, "backend.trust"), ({"trust": replace(TRUST, authorities=["x"])}, "backend.trust"),
    ({"trust": replace(TRUST, authorities=(b"other",))}, "backend.trust.id"), ({"trust": replace(TRUST, verify=False)}, "backend.trust.id"),
    ({"trust": Trust.of(())}, "backend.trust"), ({"trust": Trust.of((b"ca",))}, "backend.trust"),
    ({"trust": TRUST, "check_name": True}, "backend.endpoints"), ({"trust": TRUST, "send_sni": True}, "backend.endpoints"),
    ({"check_name": 1}, "backend.check_name"),
])
def test_flaws_of_a_trust(more: dict[str, Any], at: str) -> None:
    found = flaw(replace(GOOD, backend=replace(GOOD.backend, **more)))
    assert found is not None
    assert found[0] == at


def test_trusts_that_may_be() -> None:
    named = tuple(replace(endpoint, server_name="a.b.svc") for endpoint in GOOD.backend.endpoints)
    for trust in (TRUST, Trust.of(verify=False)):
        assert flaw(replace(GOOD, backend=replace(GOOD.backend, trust=trust))) is None
        assert flaw(replace(GOOD, backend=replace(GOOD.backend, trust=trust, endpoints=named, check_name=True, send_sni=True))) is None


@pytest.mark.parametrize("host", ["*", "", "example.com", "a", "1.2.3.4", "a-b.c"])
def test_hosts_that_may_be(host: str) -> None:
    assert flaw(replace(GOOD, host=host)) is None


def test_wildcards_may_be_written_with_a_star() -> None:
    assert flaw(replace(GOOD, host="*.example.com", wildcard=True)) is None
    assert flaw(replace(GOOD, host="x.example.com", wildcard=True)) is None


def test_unix_sockets_need_no_port() -> None:
    assert flaw(replace(GOOD, backend=Backend("b", (Endpoint("/run/app", 0, "app"),)))) is None


@pytest.mark.parametrize(("field", "value", "at"), [
    ("key", "", "key"), ("key", "a b", "key"), ("key", 5, "key"), ("host", "a_b", "host"), ("host", "A.com", "host"),
    ("host", "a..b", "host"),
    ("host", "*.a.com", "host"), ("host", "a" * 64, "host"), ("host", ".".join(["a" * 60] * 5), "host"), ("host", None, "host"),
    ("path", "x", "path"), ("path", "/a b", "path"), ("path", "/a\n", "path"), ("path", "/?", "path"), ("backend", None, "backend"),
    ("wildcard", "yes", "wildcard"), ("cookie", Cookie("a=b"), "cookie.name"), ("cookie", Cookie("a", False, "x"), "cookie.same_site"),
    ("rewrite", "x", "rewrite"), ("rewrite", "/\r\nEvil: 1", "rewrite"), ("hsts", "a\nb", "hsts"), ("max_body_bytes", -1, "max_body_bytes"),
    ("request_headers", (HeaderAction("a b", "x"),), "request_headers[0]"), ("request_headers", ("x",), "request_headers[0]"),
    ("request_headers", (HeaderAction("a", "5%"),), "request_headers[0]"),
    ("response_headers", (HeaderAction("a", "%[req.hdr(x)]"),), "response_headers[0]"),
    ("response_headers", (HeaderAction("a", "x\r\ny"),), "response_headers[0]"), ("origin", "x", "origin"), ("created_s", "1", "created_s"),
])
def test_flaws_of_a_route(field: str, value: Any, at: str) -> None:
    found = flaw(replace(GOOD, **{field: value}))
    assert found is not None
    assert found[0] == at


@pytest.mark.parametrize(("field", "value"), [
    ("name", ""), ("name", "a\nb"), ("endpoints", None), ("balance", "x"), ("balance", Balance(depth=-1)),
    ("timeouts", Timeouts(server_ms=-5)),
    ("timeouts", Timeouts(server_ms=1 << 31)), ("send_proxy", 3), ("retries", -1), ("redispatch", 200), ("maxqueue", "1"),
])
def test_flaws_of_a_backend(field: str, value: Any) -> None:
    found = flaw(replace(GOOD, backend=replace(GOOD.backend, **{field: value})))
    assert found is not None
    assert found[0].startswith(f"backend.{field}")


@pytest.mark.parametrize(("field", "value"), [
    ("address", "localhost"), ("address", "fe80::1%eth0"), ("address", "/" + "x" * 120), ("address", None), ("port", 0), ("port", 65536),
    ("name", ""), ("name", "a b"), ("weight", 257), ("weight", -1), ("cookie", "a;b"), ("maxconn", -1), ("backup", 1),
])
def test_flaws_of_an_endpoint(field: str, value: Any) -> None:
    one = replace(GOOD.backend.endpoints[0], **{field: value})
    found = flaw(replace(GOOD, backend=replace(GOOD.backend, endpoints=(GOOD.backend.endpoints[1], one))))
    assert found is not None
    assert found[0] == f"backend.endpoints[1].{field}"


def test_two_endpoints_of_one_name() -> None:
    found = flaw(replace(GOOD, backend=replace(GOOD.backend, endpoints=GOOD.backend.endpoints[:1] * 2)))
    assert found == ("backend.endpoints[1].name", "there are two endpoints 127.0.0.1:80")


@pytest.mark.parametrize("thing", [None, 5, "route", object(), GOOD.backend])
def test_what_is_no_route_at_all(thing: Any) -> None:
    assert flaw(thing) is not None


def test_a_sound_route() -> None:
    assert flaw(GOOD) is None
