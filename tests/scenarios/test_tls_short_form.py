"""TLS in the short form of route files: what a host shows, where it ends, and how endpoints are spoken to, for HTTP and for TCP."""

import contextlib
import json
import ssl

import pytest

from tests.scenarios.harness.authority import Authority
from tests.scenarios.harness.backend import over_tls, tells_requests
from tests.scenarios.harness.content import MIB, content, sha256
from tests.scenarios.harness.settings import TLS, merged
from tests.scenarios.harness.tls import client_context, server_context
from tests.scenarios.harness.until import until

HOST = "one.test"


@pytest.fixture(scope="module")
def edged(lasting_daemon):
    return lasting_daemon(merged(TLS, {"defaults": {"retries": 0}}))


@pytest.fixture
def shown(authority):
    return authority.issue("of one", [HOST])


def test_a_certificate_from_files_beside_the_route_file(edged, backend, authority, shown):
    """They are watched: a new one is shown without a word to the route."""
    folder = edged.routes_dir / "certificates"
    shown.write(folder, "one")
    tls = {"certificate": "certificates/one.crt", "key": "certificates/one.key", "insecure": "redirect"}
    edged.change_routes([{"host": HOST, "to": [backend().address], "tls": tls}])
    with edged.connect_tls(HOST, client_context(authority)) as client:
        assert client.tls.shown == "of one"
        assert client.ask(host=HOST).status == 200
    assert edged.ask(HOST).status == 302
    renewed = authority.issue("renewed", [HOST], number=1)
    (folder / "bundle.pem").write_text(renewed.bundle)
    edged.write_routes([{"host": HOST, "to": [backend().address], "tls": {"certificate": "certificates/bundle.pem"}}])
    until(lambda: edged.shown(HOST) == "renewed", what="the bundle is shown")
    (folder / "new").write_text(authority.issue("renewed again", [HOST]).bundle)
    (folder / "new").rename(folder / "bundle.pem")
    until(lambda: edged.shown(HOST) == "renewed again", what="the bundle was read again")


def test_a_certificate_as_text(edged, backend, authority, shown):
    tls = {"certificate": shown.pem, "key": shown.key_pem, "ca": shown.between_pem}
    edged.change_routes([{"host": HOST, "to": [backend().address], "tls": tls}])
    until(lambda: edged.shown(HOST, client_context(authority)) == "of one")
    assert edged.ask(HOST).status == 503


@pytest.mark.parametrize(("insecure", "status"), [("none", 503), ("allow", 200), ("redirect", 302)])
def test_clients_without_tls(edged, backend, insecure, status):
    edged.change_routes([{"host": HOST, "to": [backend().address], "tls": {"insecure": insecure}}])
    assert edged.ask(HOST).status == status
    assert edged.ask_tls(HOST).status == 200


def test_passthrough(edged, backend, authority, tmp_path):
    one = backend(over_tls(server_context(authority.issue("endpoint", [HOST]), tmp_path)))
    edged.change_routes([{"host": HOST, "to": [one.address], "tls": {"termination": "passthrough"}}])
    with edged.connect_tls(HOST, client_context(authority)) as client:
        assert client.tls.shown == "endpoint"
        assert client.ask(host=HOST).status == 200


@pytest.fixture
def endpoint(backend, authority, tmp_path):
    """endpoint(name, script) is the address of one that shows a certificate for this name, and tells which it was asked for."""
    asked = []

    def make(name, script=tells_requests, by=authority):
        context = server_context(by.issue(name, [name]), tmp_path)
        context.sni_callback = lambda sock, server_name, context: asked.append(server_name)
        return backend(over_tls(context, script)).address

    make.asked = asked
    return make


@pytest.mark.parametrize(("name", "how", "status", "sent"), [
    ("app.test", {}, 200, None),                                         # certified by whom we trust, for whatever name
    ("app.test", {"name": "app.test"}, 200, "app.test"),
    ("app.test", {"name": "app.test", "sni": False}, 200, None),
    ("app.test", {"name": "other.test"}, 503, "other.test"),
    ("app.test", {"name": "other.test", "verify": False}, 200, "other.test"),
])
def test_endpoints_are_verified(edged, endpoint, authority, name, how, status, sent):
    trusted = {"ca": authority.pem} if how.get("verify", True) else {}
    edged.change_routes([{"host": HOST, "to": [endpoint(name)], "to_tls": {**trusted, **how}}])
    assert edged.ask(HOST).status == status
    assert endpoint.asked[-1:] == [sent]


def test_endpoints_of_somebody_else(edged, endpoint):
    stranger = Authority("stranger")
    edged.change_routes([{"host": HOST, "to": [endpoint("app.test", by=stranger)], "to_tls": {"ca": Authority("trusted").pem}}])
    assert edged.ask(HOST).status == 503
    edged.change_routes([{"host": HOST, "to": [endpoint("app.test", by=stranger)], "to_tls": {"verify": False}}])
    assert edged.ask(HOST).status == 200


def test_each_endpoint_has_its_own_name(edged, endpoint, authority):
    edged.change_routes([{"host": HOST, "to": [
        {"address": endpoint("a.test"), "server_name": "a.test"}, {"address": endpoint("b.test"), "server_name": "b.test"},
    ], "to_tls": {"ca": authority.pem, "name": "unused.test"}}])
    assert [edged.ask(HOST).status for _ in range(4)] == [200] * 4
    assert set(endpoint.asked) == {"a.test", "b.test"}


def test_reencrypt(edged, endpoint, authority, shown):
    edged.change_routes([{
        "host": HOST, "to": [endpoint("app.test")], "tls": {"certificate": shown.bundle},
        "to_tls": {"ca": authority.pem, "name": "app.test"},
    }])
    until(lambda: edged.shown(HOST) == "of one")
    fields = dict(json.loads(edged.ask_tls(HOST).body)["fields"])
    assert fields["x-forwarded-proto"] == "https"


# TCP

def echoes(peer):
    while (data := peer.tls.recv() if peer.tls else peer.sock.recv(65536)):
        peer.send(data)
    peer.half_close()


@pytest.fixture(scope="module")
def relay(lasting_daemon, authority, tmp_path_factory):
    path = tmp_path_factory.mktemp("default") / "default.pem"
    path.write_text(authority.issue("default", ["db.test"]).bundle)
    return lasting_daemon({"listener": [
        {"name": "plain", "address": "127.0.0.1:0", "mode": "tcp", "route": "db"},
        {"name": "tls", "address": "127.0.0.1:0", "mode": "tcp", "route": "db", "tls": True},
    ], "tls": {"default_certificate": str(path)}})


@pytest.mark.parametrize("listener", ["plain", "tls"])
def test_tls_to_a_tcp_endpoint(relay, endpoint, authority, listener):
    """Whatever the client speaks; the end of each direction is told by close_notify."""
    to_tls = {"ca": authority.pem, "name": "db.test"}
    relay.change_routes([{"name": "db", "to": [endpoint("db.test", echoes)], "to_tls": to_tls}])
    connect = relay.connect if listener == "plain" else relay.connect_tls
    with connect(name=listener) as client:
        client.send(content(5 * MIB)[:100_000])
        assert client.take(100_000) == content(5 * MIB)[:100_000]
        for at in range(0, 5 * MIB, MIB):
            client.send(content(5 * MIB)[at:at + MIB])
            assert sha256(client.take(MIB)) == sha256(content(5 * MIB)[at:at + MIB])
        client.half_close()
        assert client.rest() == b""
    relay.until_idle()


@pytest.mark.parametrize("listener", ["plain", "tls"])
def test_a_tcp_endpoint_that_is_not_believed(relay, endpoint, authority, listener):
    to_tls = {"ca": authority.pem, "name": "other.test"}
    relay.change_routes([{"name": "db", "to": [endpoint("db.test", echoes)], "to_tls": to_tls, "retries": 0}])
    connect = relay.connect if listener == "plain" else relay.connect_tls
    # The connection may be over before `connect` has returned.
    with contextlib.suppress(ConnectionError, ssl.SSLEOFError), connect(name=listener) as client:
        client.send(b"secret")
        assert client.rest() == b""
    relay.until_idle()


def test_an_endpoint_that_speaks_first_inside_tls(relay, endpoint, authority):
    def greets(peer):
        peer.send(b"220 welcome\r\n")
        peer.until_gone()

    relay.change_routes([{"name": "db", "to": [endpoint("db.test", greets)], "to_tls": {"ca": authority.pem}}])
    with relay.connect("plain") as client:
        assert client.take_until(b"\n") == b"220 welcome\r\n"
    relay.until_idle()


def test_an_endpoint_that_ends_without_close_notify_has_ended(relay, endpoint, authority):
    """As with clients: only a protocol that knows how much is to come can tell."""
    def ends(peer):
        peer.send(b"all of it")

    relay.change_routes([{"name": "db", "to": [endpoint("db.test", ends)], "to_tls": {"ca": authority.pem}}])
    with relay.connect("plain") as client:
        assert client.rest() == b"all of it"
    relay.until_idle()
