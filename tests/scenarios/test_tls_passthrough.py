"""Passthrough routes: the connection belongs to client and endpoint, and edged only carries it."""

import ssl

import pytest

from tests.scenarios.harness.authority import Authority
from tests.scenarios.harness.backend import over_tls
from tests.scenarios.harness.content import MIB, content, sha256
from tests.scenarios.harness.objects import document, exposed, route, service
from tests.scenarios.harness.settings import TLS
from tests.scenarios.harness.tls import client_context, client_hello, server_context
from tests.scenarios.harness.until import until

PASS = {"termination": "passthrough"}
V1_2, V1_3 = ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3


@pytest.fixture(scope="module")
def relay(lasting_daemon):
    return lasting_daemon(TLS)


@pytest.fixture(scope="module")
def clients():
    return Authority("clients")


@pytest.fixture
def behind(relay, backend, authority, clients, tmp_path):
    """behind(*scripts) puts a backend of these, inside TLS of its own, behind raw.test; answers the daemon."""
    def lead(*scripts, **how):
        context = server_context(authority.issue("endpoint", ["raw.test"]), tmp_path, **how)
        address = backend(*(over_tls(context, script) for script in scripts)).address
        relay.change_routes(document(*exposed("raw", "raw.test", address, tls=PASS)))
        return relay

    yield lead
    relay.until_idle()


def echoes(peer):
    while (data := peer.tls.recv()):
        peer.send(data)
    peer.half_close()


@pytest.mark.parametrize("version", [V1_2, V1_3])
def test_the_client_verifies_the_endpoint_itself(behind, authority, version):
    edged = behind(echoes)
    with edged.connect_tls("raw.test", client_context(authority, highest=version)) as client:
        client.send(b"hello")
        assert client.take(5) == b"hello"
        assert edged.gauges()["tunnels"] == 1
        client.half_close()
        assert client.rest() == b""


def test_certificates_of_clients_go_through(behind, clients, authority, tmp_path):
    def tells(peer):
        peer.send(peer.tls.shown.encode() + b"\n")
        peer.until_gone()

    edged = behind(tells, clients=clients)
    me = client_context(authority, identity=clients.issue("somebody", client=True), folder=tmp_path / "me")
    with edged.connect_tls("raw.test", me) as client:
        assert client.take_until(b"\n") == b"somebody\n"


def test_bulk_both_ways(behind):
    edged = behind(echoes)
    with edged.connect_tls("raw.test") as client:
        for _ in range(10):
            client.send(content(MIB))
            assert sha256(client.take(MIB)) == sha256(content(MIB))
    assert edged.arena.totals()["spliced"] > 0


def test_sessions_are_resumed_by_the_endpoint(behind):
    def tells(peer):
        peer.send(b"resumed\n" if peer.tls.resumed else b"anew...\n")
        peer.until_gone()

    edged = behind(tells)
    context = client_context()
    session = None
    for expected in (b"anew...\n", b"resumed\n"):
        with edged.connect_tls("raw.test", context, session=session) as client:
            assert client.take(8) == expected
            session = client.tls.session


def test_either_end_may_end_first(relay, backend):
    """The end of one direction is an end of that direction alone."""
    def hears_to_the_end(peer):
        peer.send(sha256(peer.rest()).encode())

    def says_all_first(peer):
        first = peer.take(10)
        peer.send(b"all I have to say")
        peer.half_close()
        heard.append(sha256(first + peer.rest()))

    heard = []
    hello = client_hello(server_name="raw.test")
    said = hello + content(MIB)
    one = backend(hears_to_the_end, says_all_first)
    relay.change_routes(document(*exposed("raw", "raw.test", one.address, tls=PASS)))
    with relay.connect("tls") as client:
        client.send(said)
        client.half_close()
        assert client.rest().decode() == sha256(said)
    with relay.connect("tls") as client:
        client.send(hello)
        assert client.rest() == b"all I have to say"
        client.send(content(MIB))
        client.half_close()
        until(lambda: heard)
    assert heard == [sha256(said)]
    relay.until_idle()


def test_a_reset_goes_through(relay, backend):
    def resets(peer):
        peer.take(1)
        peer.reset()

    relay.change_routes(document(*exposed("raw", "raw.test", backend(resets).address, tls=PASS)))
    with relay.connect("tls") as client:
        client.send(client_hello(server_name="raw.test"))
        assert client.until_gone() == b""
    relay.until_idle()


@pytest.mark.parametrize("endpoint", ["none", "refusing"])
def test_without_an_endpoint_the_connection_is_closed(relay, refusing, endpoint):
    addresses = [refusing.address] if endpoint == "refusing" else []
    relay.change_routes(document(route("raw", "raw.test", "raw", tls=PASS), *service("raw", *addresses)))
    with relay.connect("tls") as client:
        client.send(client_hello(server_name="raw.test"))
        assert client.until_gone() == b""
    relay.until_idle()


def test_another_endpoint_gets_the_whole_hello(relay, backend, refusing, authority, tmp_path):
    one = backend(over_tls(server_context(authority.issue("endpoint"), tmp_path), echoes))
    relay.change_routes(document(route("raw", "raw.test", "raw", tls=PASS), *service("raw", refusing.address, one.address)))
    for _ in range(4):
        assert relay.shown("raw.test") == "endpoint"
    relay.until_idle()


def test_a_route_that_goes_leaves_its_connections(behind):
    edged = behind(echoes)
    with edged.connect_tls("raw.test") as client:
        client.send(b"before")
        assert client.take(6) == b"before"
        edged.change_routes([])
        client.send(b"after")
        assert client.take(5) == b"after"
    assert edged.shown("raw.test") != "endpoint"


def test_an_access_line_as_of_a_tcp_connection(behind):
    edged = behind(echoes)
    with edged.connect_tls("raw.test") as client:
        client.send(b"x")
        assert client.take(1) == b"x"
        client.half_close()
        client.rest()
    line = edged.line_of(client)
    assert " be_tcp:shop:raw/" in line
    assert " -- " in line
