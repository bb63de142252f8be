"""What becomes of requests without TLS to routes that have it: every row of the insecure policy table (openshift-routes.md 7.5), with
5.4 and 6.4. Asked of the daemon, and of HAProxy as the router configures it."""

import json

import pytest

from tests.scenarios.harness.backend import over_tls
from tests.scenarios.harness.objects import document, exposed
from tests.scenarios.harness.settings import TLS
from tests.scenarios.harness.tls import server_context
from tests.scenarios.harness.twin import Twin, Way


def says(name):
    def script(peer):
        while True:
            request = peer.request()
            peer.reply(json.dumps({"name": name, "fields": request.fields}).encode())

    return script


@pytest.fixture(scope="module")
def ways(lasting_backend, authority, tmp_path_factory):
    inside = server_context(authority.issue("endpoint"), tmp_path_factory.mktemp("endpoint"))

    def way(termination, insecure, host="", path=""):
        host = host or f"{termination}-{insecure or 'none'}.test".lower()
        script = says(f"{host}{path}")
        address = lasting_backend(script if termination in ("", "edge") else over_tls(inside, script)).address
        return Way(host, address, termination, insecure, path)

    return [
        *(way(termination, insecure) for termination in ("edge", "reencrypt") for insecure in ("", "Allow", "Redirect")),
        way("passthrough", ""), way("passthrough", "Redirect"),
        way("", "", "mixed.test"), way("edge", "", "mixed.test", "/secret"), way("edge", "Redirect", "mixed.test", "/shop"),
        way("edge", "Allow", "mixed.test", "/shop/window"),
        way("edge", "Redirect", "turned.test"), way("", "", "turned.test", "/health"),
    ]


def objects(ways):
    written = []
    for number, way in enumerate(ways):
        tls = {"termination": way.termination, "insecureEdgeTerminationPolicy": way.insecure} if way.termination else None
        written += exposed(f"way{number:02}", way.host, way.endpoint, path=way.path, tls=tls)
    return document(*written)


@pytest.fixture(scope="module", params=["edged", "haproxy"])
def front(request, ways, lasting_daemon, authority, tmp_path_factory):
    if request.param == "edged":
        yield lasting_daemon(TLS, objects(ways))
        return
    twin = Twin(tmp_path_factory.mktemp("twin") / "haproxy", ways, authority.issue("the default"))
    yield twin
    twin.stop()


def name_of(answer):
    assert answer.status == 200
    return json.loads(answer.body)["name"]


@pytest.mark.parametrize("termination", ["edge", "reencrypt", "passthrough"])
def test_none_is_not_served_without_tls(front, termination):
    assert front.ask(f"{termination}-none.test").status == 503


@pytest.mark.parametrize("termination", ["edge", "reencrypt"])
def test_allow_is_served_by_the_same_backend(front, termination):
    host = f"{termination}-allow.test"
    assert name_of(front.ask(host)) == name_of(front.ask_tls(host)) == host


@pytest.mark.parametrize("termination", ["edge", "reencrypt", "passthrough"])
@pytest.mark.parametrize(("port", "target"), [("", "/"), (":8080", "/a/b?c=d&e=%2f"), (":80", "/x%23y?")])
def test_redirect_leads_to_the_same_place_inside_tls(front, termination, port, target):
    host = f"{termination}-redirect.test"
    answer = front.ask(host + port, target)
    assert answer.status == 302
    assert answer.get("location") == f"https://{host}{target}"
    assert answer.get("cache-control") == "no-cache"
    assert answer.get("content-length") == "0"


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "HEAD", "OPTIONS"])
def test_every_method_is_redirected_by_the_same_status(front, method):
    with front.connect() as client:
        answer = client.ask("/x", "edge-redirect.test", method)
        assert (answer.status, answer.get("location")) == (302, "https://edge-redirect.test/x")


def test_a_connection_goes_on_after_a_redirect(front):
    with front.connect() as client:
        for _ in range(3):
            assert client.ask(host="edge-redirect.test").status == 302
        assert client.ask(host="edge-allow.test").status == 200


@pytest.mark.parametrize("termination", ["edge", "reencrypt", "passthrough"])
@pytest.mark.parametrize("insecure", ["none", "allow", "redirect"])
def test_inside_tls_every_policy_is_served(front, termination, insecure):
    if (termination, insecure) != ("passthrough", "allow"):      # which may not be written
        assert name_of(front.ask_tls(f"{termination}-{insecure}.test")) == f"{termination}-{insecure}.test"


@pytest.mark.parametrize(("target", "answered"), [
    ("/", "mixed.test"), ("/secret", "mixed.test"), ("/secret/x", "mixed.test"),     # none: as if that route were not there
    ("/shop", 302), ("/shop/x", 302),
    ("/shop/window", "mixed.test/shop/window"), ("/shop/window/x", "mixed.test/shop/window"),     # a longer path calls the redirect off
])
def test_routes_of_one_host_with_several_policies(front, target, answered):
    answer = front.ask("mixed.test", target)
    assert (302 if answer.status == 302 else name_of(answer)) == answered


@pytest.mark.parametrize(("target", "answered"), [("/", 302), ("/health", "turned.test/health"), ("/healthy", 302)])
def test_a_plain_route_with_a_longer_path_calls_a_redirect_off(front, target, answered):
    answer = front.ask("turned.test", target)
    assert (302 if answer.status == 302 else name_of(answer)) == answered


def test_allow_is_invalid_for_passthrough(daemon, backend):
    """And a route that may not be served takes nothing from the others."""
    edged = daemon(TLS, document(
        *exposed("bad", "bad.test", "127.0.0.1:9", tls={"termination": "passthrough", "insecureEdgeTerminationPolicy": "Allow"}),
        *exposed("good", "good.test", backend().address),
    ))
    assert edged.said("shop/bad.*insecureEdgeTerminationPolicy|insecureEdgeTerminationPolicy.*")
    assert edged.ask("good.test").status == 200
    assert edged.ask("bad.test").status == 503


@pytest.mark.parametrize(("fields", "proto"), [({}, "https"), ({"X_Forwarded_Proto": "http"}, "http|https")])
def test_forwarded_fields_tell_of_tls(daemon, backend, fields, proto):
    edged = daemon(TLS, document(
        *exposed("one", "one.test", backend().address, tls={"termination": "edge", "insecureEdgeTerminationPolicy": "Allow"})
    ))
    told = json.loads(edged.ask_tls("one.test", **fields).body)["fields"]
    sent = [value for name, value in told if name == "x-forwarded-proto"]
    assert sent == proto.split("|")
    assert [value for name, value in told if name == "x-forwarded-port"] == [str(edged.address("tls")[1])]
    assert [value for name, value in told if name == "forwarded"] == ["for=127.0.0.1;host=one.test;proto=https"]
    plain = json.loads(edged.ask("one.test").body)["fields"]
    assert [value for name, value in plain if name == "x-forwarded-proto"] == ["http"]


# HSTS (9.3)

HSTS = "haproxy.router.openshift.io/hsts_header"


@pytest.fixture(scope="module")
def strict_transport(lasting_daemon, lasting_backend):
    def endpoint(peer):
        while True:
            peer.request()
            peer.reply(b"", Strict_Transport_Security="max-age=1")

    address = lasting_backend(endpoint).address
    written = []
    for name, tls, value in [
        ("good", {"termination": "edge"}, "max-age=31536000;includeSubDomains;preload"),
        ("bad", {"termination": "edge"}, "max-age=31536000;"),
        ("silent", {"termination": "edge"}, ""),
        ("allowed", {"termination": "edge", "insecureEdgeTerminationPolicy": "Allow"}, "max-age=60"),
        ("turned", {"termination": "edge", "insecureEdgeTerminationPolicy": "Redirect"}, "max-age=60"),
        ("plain", None, "max-age=60"),
        ("empty", {"termination": "edge"}, "max-age=60"),
    ]:
        written += exposed(name, f"{name}.test", address, tls=tls, annotations={HSTS: value} if value else {})
        if name == "empty":
            written.pop()                        # the slice of its endpoints
    return lasting_daemon(TLS, document(*written))


@pytest.mark.parametrize(("name", "sent"), [
    ("good", "max-age=31536000;includeSubDomains;preload"), ("bad", "max-age=1"), ("silent", "max-age=1"), ("allowed", "max-age=60"),
])
def test_hsts_is_sent_in_place_of_the_endpoints_own(strict_transport, name, sent):
    answer = strict_transport.ask_tls(f"{name}.test")
    assert answer.all("strict-transport-security") == [sent]


@pytest.mark.parametrize(("name", "status", "sent"), [("allowed", 200, ["max-age=60"]), ("turned", 302, []), ("plain", 200, ["max-age=1"])])
def test_hsts_without_tls(strict_transport, name, status, sent):
    answer = strict_transport.ask(f"{name}.test")
    assert answer.status == status
    assert answer.all("strict-transport-security") == sent


@pytest.mark.parametrize("host", ["empty.test", "unknown.test"])
def test_hsts_is_not_sent_with_answers_of_our_own(strict_transport, host):
    answer = strict_transport.ask_tls(host)
    assert answer.status == 503
    assert answer.get("strict-transport-security") is None
