"""Versions, ciphers, groups and ALPN (openshift-routes.md 7.4), and what is refused to everybody: renegotiation, early data."""

import re
import ssl

import pytest
from OpenSSL import SSL

from tests.scenarios.harness.client import request_bytes
from tests.scenarios.harness.newest import NewestClient
from tests.scenarios.harness.objects import certificate_of, document, exposed
from tests.scenarios.harness.peers import s_client
from tests.scenarios.harness.settings import TLS, merged
from tests.scenarios.harness.tls import client_context

V1_0, V1_1, V1_2, V1_3 = ssl.TLSVersion.TLSv1, ssl.TLSVersion.TLSv1_1, ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3


@pytest.fixture(scope="module")
def start(lasting_daemon, lasting_backend, authority):
    """start(tls, variables) is a daemon with such settings that serves an EC and an RSA certificate; the same one for the same settings."""
    started = {}
    edge = {"termination": "edge"}
    shared = certificate_of(authority.issue("of both"))

    def go(tls=None, **variables):
        known = repr((tls, variables))
        if known not in started:
            address = lasting_backend().address
            started[known] = lasting_daemon(merged(TLS, {"tls": tls or {}}), document(
                *exposed("ec", "ec.test", address, tls={**edge, **certificate_of(authority.issue("of ec"))}),
                *exposed("rsa", "rsa.test", address, tls={**edge, **certificate_of(authority.issue("of rsa", sort="rsa"))}),
                *exposed("one", "one.test", address, tls={**edge, **shared}),
                *exposed("two", "two.test", address, tls={**edge, **shared}),
                *exposed("bare", "bare.test", address, tls=edge),
            ), variables)
        return started[known]

    return go


def speaks(edged, version, host="ec.test"):
    """Whether a client that knows this version alone is served."""
    try:
        with edged.connect_tls(host, client_context(lowest=version, highest=version)) as client:
            return client.ask(host=host).status == 200
    except ssl.SSLError as why:
        if not re.search("ALERT|UNSUPPORTED", str(why)):
            raise
        return False


@pytest.mark.parametrize(("tls", "variables", "spoken"), [
    ({}, {}, [V1_2, V1_3]),
    ({"min_version": "TLSv1.3"}, {}, [V1_3]),
    ({"ciphers": "old"}, {"SSL_MIN_VERSION": "TLSv1.0", "SSL_MAX_VERSION": "TLSv1.2"}, [V1_0, V1_1, V1_2]),
    ({}, {"SSL_MIN_VERSION": "TLSv1.1", "ROUTER_CIPHERS": "old"}, [V1_1, V1_2, V1_3]),
])
def test_versions(start, tls, variables, spoken):
    edged = start(tls, **variables)
    assert [version for version in (V1_0, V1_1, V1_2, V1_3) if speaks(edged, version)] == spoken


def agreed(edged, host, ciphers):
    """The cipher agreed upon in TLS 1.2 with a client that offers these; None: none."""
    try:
        with edged.connect_tls(host, client_context(highest=V1_2, ciphers=f"{ciphers}:@SECLEVEL=0")) as client:
            assert client.tls is not None
            return client.tls.cipher
    except ssl.SSLError as why:
        if "ALERT" not in str(why):
            raise
        return None


@pytest.mark.parametrize(("host", "cipher", "profiles"), [
    ("ec.test", "ECDHE-ECDSA-AES128-GCM-SHA256", "modern intermediate old"),
    ("ec.test", "ECDHE-ECDSA-AES256-GCM-SHA384", "modern intermediate old"),
    ("ec.test", "ECDHE-ECDSA-CHACHA20-POLY1305", "modern intermediate old"),
    ("rsa.test", "ECDHE-RSA-AES128-GCM-SHA256", "modern intermediate old"),
    ("rsa.test", "ECDHE-RSA-AES256-SHA384", "modern intermediate old"),
    ("rsa.test", "ECDHE-RSA-AES128-SHA", "intermediate old"),
    ("rsa.test", "DHE-RSA-AES128-GCM-SHA256", "intermediate old"),
    ("rsa.test", "AES128-GCM-SHA256", "intermediate old"),
    ("rsa.test", "AES256-SHA", "intermediate old"),
    ("rsa.test", "NULL-SHA256", ""),
    ("rsa.test", "ADH-AES256-GCM-SHA384", ""),
])
@pytest.mark.parametrize("profile", ["modern", "intermediate", "old"])
def test_profiles_of_ciphers(start, host, cipher, profiles, profile):
    edged = start({"ciphers": profile} if profile != "intermediate" else {})
    assert agreed(edged, host, cipher) == (cipher if profile in profiles.split() else None)


def test_a_list_of_ones_own(start):
    edged = start({"ciphers": "ECDHE-RSA-AES256-GCM-SHA384:ECDHE-ECDSA-AES256-GCM-SHA384", "ciphersuites": "TLS_CHACHA20_POLY1305_SHA256"})
    assert agreed(edged, "rsa.test", "ALL") == "ECDHE-RSA-AES256-GCM-SHA384"
    assert agreed(edged, "rsa.test", "ECDHE-RSA-AES128-GCM-SHA256") is None
    with edged.connect_tls("ec.test") as client:
        assert client.tls.cipher == "TLS_CHACHA20_POLY1305_SHA256"


def openssl(edged, *words, stdin=b""):
    return s_client(edged.address("tls"), "-servername", "ec.test", *words, stdin=stdin)


def shakes_hands(edged, *words):
    return "no peer certificate available" not in openssl(edged, *words)


def test_groups(start):
    edged = start({"curves": "P-384:P-256"})
    assert shakes_hands(edged, "-groups", "P-384")
    assert shakes_hands(edged, "-groups", "X25519:P-256")
    assert not shakes_hands(edged, "-groups", "X25519")


def test_groups_that_are_known_by_default(start):
    edged = start()
    for group in ("X25519", "P-256", "P-384"):
        assert shakes_hands(edged, "-groups", group)
    with NewestClient(edged.address("tls"), "ec.test") as client:
        assert client.group == "X25519MLKEM768"
        client.send(request_bytes("/", "ec.test", Connection="close"))
        assert client.recv().startswith(b"HTTP/1.1 200 ")


@pytest.mark.parametrize(("host", "offered", "chosen"), [
    ("ec.test", ["h2", "http/1.1"], "http/1.1"), ("ec.test", ["http/1.1"], "http/1.1"), ("ec.test", [], None),
    ("ec.test", ["http/1.0", "acme-tls/1"], None),
    ("one.test", ["h2", "http/1.1"], None), ("two.test", ["h2", "http/1.1"], None),      # one certificate, two routes
    ("bare.test", ["h2", "http/1.1"], None), ("unknown.test", ["h2", "http/1.1"], None), (None, ["h2", "http/1.1"], None),
])
def test_alpn(start, host, offered, chosen):
    """It goes with the certificate of one route; browsers would take one connection for several hosts."""
    with start().connect_tls(host, client_context(alpn=offered)) as client:
        assert client.tls.alpn == chosen
        assert client.ask(host=host or "ec.test").status == (503 if host == "unknown.test" else 200)


def test_http_2_is_not_announced(start):
    for host in ("ec.test", "rsa.test"):
        with start().connect_tls(host, client_context(alpn=["h2"])) as client:
            assert client.tls.alpn is None


def test_renegotiation_is_refused(start):
    edged = start()
    with NewestClient(edged.address("tls"), "ec.test", version=SSL.TLS1_2_VERSION, renegotiates=True) as client:
        client.send(request_bytes("/", "ec.test"))
        assert client.recv().startswith(b"HTTP/1.1 200 ")
        assert not client.renegotiate()
    edged.until_idle()


def test_early_data_is_not_taken(start, tmp_path):
    """It could be played again by anybody."""
    edged = start()
    session, early = tmp_path / "session", tmp_path / "early"
    early.write_bytes(request_bytes("/early", "ec.test"))
    asks = request_bytes("/first", "ec.test", Connection="close")
    told = openssl(edged, "-tls1_3", "-sess_out", str(session), "-ign_eof", stdin=asks)
    assert session.exists(), told
    assert "Max Early Data: 0" in told
    told = openssl(edged, "-tls1_3", "-sess_in", str(session), "-early_data", str(early), "-ign_eof", stdin=asks)
    assert "Early data was not sent" in told
    assert not [line for line in edged.lines() if "/early" in line]


def test_compression_is_off(start):
    assert re.search("Compression: NONE", openssl(start(), "-tls1_2", "-comp"))
