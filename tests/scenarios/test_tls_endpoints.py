"""TLS towards endpoints: whom they are believed (openshift-routes.md 7.6), and connections that are kept and resumed."""

import json
import ssl

import pytest

from tests.scenarios.harness.authority import Authority
from tests.scenarios.harness.backend import Gate, over_tls, tells_requests
from tests.scenarios.harness.content import MIB, content, sha256
from tests.scenarios.harness.objects import document, exposed, route, service
from tests.scenarios.harness.peers import Program, free_port, nginx, tool
from tests.scenarios.harness.settings import TLS, merged
from tests.scenarios.harness.tls import server_context
from tests.scenarios.harness.until import until

V1_2, V1_3 = ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3
ALLOW = {"termination": "reencrypt", "insecureEdgeTerminationPolicy": "Allow"}


@pytest.fixture(scope="module")
def others():
    return Authority("others")


def speaks_no_tls(peer):
    """As servers do when they are sent a ClientHello."""
    peer.take(1)
    peer.send(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")


@pytest.fixture(scope="module")
def addresses(lasting_backend, authority, others, tmp_path_factory):
    """Endpoints by what they show."""
    shown = {
        "right": authority.issue("right", ["right.shop.svc"]),
        "misnamed": authority.issue("misnamed", ["elsewhere.shop.svc"]),
        "foreign": others.issue("foreign", ["foreign.shop.svc"]),
        "expired": authority.issue("expired", ["expired.shop.svc"], from_day=-10, days=-1),
        "rsa": authority.issue("rsa", ["rsa.shop.svc"], sort="rsa"),
        "forgotten": authority.issue("forgotten", ["forgotten.shop.svc"]),
        "client": authority.issue("client", ["client.shop.svc"], client=True),
    }
    shown["self"] = authority.self_signed("self", ["self.shop.svc"])
    addresses = {}
    for name, one in shown.items():
        folder = tmp_path_factory.mktemp(name)
        context = server_context(one, folder)
        if name == "forgotten":                  # the intermediate, which others show with their own
            (folder / "alone.crt").write_text(one.pem)
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(folder / "alone.crt", folder / "forgotten.key")
        addresses[name] = lasting_backend(over_tls(context)).address
    addresses["plain"] = lasting_backend(speaks_no_tls).address
    return addresses


@pytest.fixture(scope="module", params=["destinationCACertificate", "destination_ca", "nothing"])
def trusting(request, lasting_daemon, addresses, authority, tmp_path_factory):
    """A daemon whose routes say in this way whom endpoints are believed, and the way."""
    tls = dict(ALLOW)
    settings, variables = TLS, {}
    if request.param == "destinationCACertificate":
        tls["destinationCACertificate"] = authority.pem
        # What the route says is stronger.
        variables["DEFAULT_DESTINATION_CA_PATH"] = str(Authority("nobodys").write(tmp_path_factory.mktemp("ca")))
    elif request.param == "destination_ca":
        settings = merged(TLS, {"tls": {"destination_ca": str(authority.write(tmp_path_factory.mktemp("ca")))}})
    edged = lasting_daemon(merged(settings, {"defaults": {"retries": 0}}), document(
        *(one for name, address in addresses.items() for one in exposed(name, f"{name}.test", address, tls=tls))
    ), variables)
    return edged, request.param


@pytest.mark.parametrize(("shown", "believed"), [
    ("right", "destinationCACertificate destination_ca nothing"),
    ("rsa", "destinationCACertificate destination_ca nothing"),
    ("misnamed", "destinationCACertificate nothing"),        # names count only with the authority of the whole cluster
    ("foreign", "nothing"), ("expired", "nothing"), ("self", "nothing"), ("forgotten", "nothing"), ("client", "nothing"),
    ("plain", ""),
])
def test_whom_endpoints_are_believed(trusting, shown, believed):
    edged, way = trusting
    for ask in (edged.ask, edged.ask_tls):
        answer = ask(f"{shown}.test")
        assert answer.status == (200 if way in believed.split() else 503)
    edged.until_idle()


def test_an_endpoint_that_is_not_believed_is_named_with_the_reason(trusting):
    edged, way = trusting
    for name, reason in [("foreign", r"issuer|authority|self-signed"), ("expired", "expired"), ("misnamed", "(?i:name|mismatch)")]:
        if way == "destination_ca" or (way == "destinationCACertificate" and name != "misnamed"):
            # One line a second is said, and no more.
            until(lambda name=name, reason=reason: edged.ask(f"{name}.test") and edged.said(rf"{name}.*no TLS.*{reason}"), what=reason)


def test_the_cluster_s_authority_by_its_variable(daemon, addresses, authority, tmp_path):
    edged = daemon(TLS, document(*(
        one for name in ("right", "misnamed") for one in exposed(name, f"{name}.test", addresses[name], tls=ALLOW)
    )), {"DEFAULT_DESTINATION_CA_PATH": str(authority.write(tmp_path))})
    assert [edged.ask(f"{name}.test").status for name in ("right", "misnamed")] == [200, 503]


def test_names_are_those_of_the_service_that_is_asked(daemon, addresses, authority, tmp_path):
    """Not of the route, nor of its host."""
    edged = daemon(merged(TLS, {"tls": {"destination_ca": str(authority.write(tmp_path))}}), document(
        route("misnamed", "misnamed.shop.svc", "elsewhere", tls=ALLOW), *service("elsewhere", addresses["misnamed"]),
        route("right", "right.test", "wrong", tls=ALLOW), *service("wrong", addresses["right"]),
    ))
    assert [edged.ask(host).status for host in ("misnamed.shop.svc", "right.test")] == [200, 503]


def test_a_route_changes_whom_it_believes(daemon, addresses, authority, others):
    """Connections that were kept under the old faith are not used under the new one."""
    def trusts(one):
        return document(*exposed("right", "right.test", addresses["right"], tls={**ALLOW, "destinationCACertificate": one.pem}))

    edged = daemon(TLS, trusts(authority))
    assert edged.ask("right.test").status == 200
    edged.write_routes(trusts(others))
    until(lambda: edged.ask("right.test").status == 503, what="it is not believed any more")
    edged.write_routes(trusts(authority))
    until(lambda: edged.ask("right.test").status == 200, what="it is believed again")


@pytest.fixture(scope="module")
def relay(lasting_daemon):
    return lasting_daemon({**TLS, "defaults": {"retries": 0}, "timeouts": {"server": "20s"}})


@pytest.fixture
def secret_backend(relay, backend, authority, tmp_path):
    """secret_backend(*scripts) puts endpoints that play these inside TLS behind one.test; `highest` is their newest version."""
    def lead(*scripts, highest=V1_3, **how):
        context = server_context(authority.issue("inside"), tmp_path, highest=highest)
        one = backend(*(over_tls(context, script) for script in scripts or (tells_requests,)))
        tls = {**ALLOW, "destinationCACertificate": authority.pem}
        relay.change_routes(document(*exposed("one", "one.test", one.address, tls=tls, **how)))
        return one

    yield lead
    backend.hang_up()
    relay.until_idle()
    until(lambda: relay.gauges()["pooled"] == 0)


@pytest.mark.parametrize("highest", [V1_2, V1_3])
def test_connections_are_kept_for_the_next_request(relay, secret_backend, highest):
    one = secret_backend(highest=highest)
    told = [json.loads(relay.ask_tls("one.test", f"/{n}").body) for n in range(5)]
    assert [each["target"] for each in told] == [f"/{n}" for n in range(5)]
    assert {each["connection"] for each in told} == {0}
    assert one.peers[0].tls.version == ("TLSv1.3" if highest is V1_3 else "TLSv1.2")


@pytest.mark.parametrize("highest", [V1_2, V1_3])
def test_a_new_connection_resumes_what_was_agreed_before(relay, secret_backend, highest):
    def one_request(peer):
        peer.request()
        peer.reply(b"resumed" if peer.tls.resumed else b"anew", Connection="close")
        peer.half_close()

    secret_backend(one_request, highest=highest)
    assert [relay.ask_tls("one.test").body for _ in range(4)] == [b"anew", b"resumed", b"resumed", b"resumed"]


def test_no_name_is_told_to_endpoints(relay, backend):
    """As the router does it."""
    hellos = []

    def reads_the_hello(peer):
        head = peer.take(5)
        hellos.append(peer.take(int.from_bytes(head[3:5], "big")))

    one = backend(reads_the_hello)
    relay.change_routes(document(*exposed("one", "one.test", one.address, tls=ALLOW)))
    assert relay.ask_tls("one.test").status == 503
    assert hellos
    assert b"one" not in hellos[0]


def test_bodies_of_any_size_both_ways(relay, secret_backend):
    def echoes(peer):
        while True:
            request = peer.request()
            peer.reply(request.body)

    secret_backend(echoes)
    with relay.connect_tls("one.test") as client:
        for size in (0, 1, 16_383, 16_384, 16_385, 1 * MIB, 20 * MIB):
            answer = client.ask("/", "one.test", "PUT", content(size))
            assert (len(answer.body), answer.sha256) == (size, sha256(content(size)))


def test_a_body_until_the_end_of_an_endpoint(relay, secret_backend):
    """close_notify is an end; without it nobody knows whether that was all, and the client is told that it was not."""
    def ends(peer):
        peer.request()
        peer.send(b"HTTP/1.1 200 OK\r\n\r\n" + content(100_000))
        peer.half_close()

    def is_cut(peer):
        peer.request()
        peer.send(b"HTTP/1.1 200 OK\r\n\r\n" + content(100_000))

    secret_backend(ends, is_cut)
    assert relay.ask_tls("one.test").body == content(100_000)
    with relay.connect_tls("one.test") as client:
        client.send(b"GET / HTTP/1.0\r\nHost: one.test\r\n\r\n")
        assert client.head().status == 200
        with pytest.raises((ssl.SSLEOFError, ConnectionResetError)):
            client.rest()


def test_an_endpoint_that_leaves_with_close_notify_is_not_asked_again(relay, secret_backend):
    def one_request(peer):
        peer.request()
        peer.reply(b"first")
        peer.half_close()

    one = secret_backend(one_request)
    for _ in range(3):
        assert relay.ask_tls("one.test").body == b"first"
        until(lambda: relay.gauges()["pooled"] == 0)
    assert len(one.peers) == 3


def test_an_endpoint_that_never_shakes_hands_is_given_up(daemon, backend):
    gate = Gate()
    silent = backend(lambda peer: gate.pass_())
    edged = daemon(merged(TLS, {"defaults": {"retries": 0}, "timeouts": {"connect": "300ms", "tls_handshake": "300ms"}}),
                   document(*exposed("one", "one.test", silent.address, tls=ALLOW)))
    assert edged.ask("one.test").status in (503, 504)
    gate.open()
    edged.until_idle()


@pytest.mark.parametrize("n", [0, 1, 5, 6, 60, 300])
def test_an_endpoint_that_is_gone_in_the_handshake(relay, backend, n):
    """After n bytes of the hello, and with n bytes of rubbish in place of its own."""
    def leaves(peer):
        peer.take(min(n, 100))
        peer.send(bytes(n))

    one = backend(leaves)
    relay.change_routes(document(*exposed("one", "one.test", one.address, tls=ALLOW)))
    assert relay.ask("one.test").status == 503
    relay.until_idle()


def test_another_endpoint_is_tried(daemon, backend, refusing, authority, addresses, tmp_path):
    """One that cannot be reached, or that shakes no hands."""
    edged = daemon(TLS, document(
        route("one", "one.test", "one", tls={**ALLOW, "destinationCACertificate": authority.pem}),
        *service("one", refusing.address, addresses["right"]),
    ))
    assert [edged.ask("one.test").status for _ in range(6)] == [200] * 6


def test_nginx_as_an_endpoint(relay, authority, tmp_path):
    port = free_port()
    chain, key = authority.issue("nginx", ["nginx.test"]).write(tmp_path)
    (tmp_path / "www").mkdir()
    (tmp_path / "www" / "big").write_bytes(content(20 * MIB))
    program = nginx(tmp_path / "nginx", f"""
        listen 127.0.0.1:{port} ssl;
        ssl_certificate {chain}; ssl_certificate_key {key}; root {tmp_path / 'www'};
    """)
    try:
        address = f"127.0.0.1:{port}"
        relay.change_routes(document(*exposed("one", "one.test", address, tls={**ALLOW, "destinationCACertificate": authority.pem})))
        for ask in (relay.ask, relay.ask_tls):
            for _ in range(3):
                assert sha256(ask("one.test", "/big").body) == sha256(content(20 * MIB))
    finally:
        program.stop()


@pytest.mark.parametrize("version", ["-tls1_2", "-tls1_3"])
def test_openssl_as_an_endpoint(relay, authority, tmp_path, version):
    port = free_port()
    one = authority.issue("s_server")
    chain, key = one.write(tmp_path)
    words = [tool("openssl"), "s_server", "-accept", f"127.0.0.1:{port}", "-cert", str(chain), "-cert_chain", str(chain), "-key", str(key)]
    words += [version, "-www"]
    program = Program(words, tmp_path, [("127.0.0.1", port)])
    try:
        address = f"127.0.0.1:{port}"
        relay.change_routes(document(*exposed("one", "one.test", address, tls={**ALLOW, "destinationCACertificate": authority.pem})))
        for _ in range(2):
            assert b"Ciphers supported in s_server binary" in relay.ask_tls("one.test").body
    finally:
        program.stop()
