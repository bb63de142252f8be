"""Programs that others wrote, as clients over TLS: curl, openssl's s_client, h2load or wrk."""

import json

import pytest

from tests.scenarios.harness.content import MIB, content, sha256
from tests.scenarios.harness.objects import certificate_of, document, exposed
from tests.scenarios.harness.peers import curl, load, s_client
from tests.scenarios.harness.settings import TLS

HOST = "one.test"


@pytest.fixture(scope="module")
def edged(lasting_daemon, lasting_backend, authority):
    def endpoint(peer):
        while True:
            request = peer.request()
            if request.target == "/big":
                peer.reply(content(20 * MIB))
            else:
                peer.reply(json.dumps({"target": request.target, "sha256": request.sha256}).encode())

    address = lasting_backend(endpoint).address
    tls = {"termination": "edge", "insecureEdgeTerminationPolicy": "Redirect"}
    return lasting_daemon(TLS, document(
        *exposed("one", HOST, address, tls={**tls, **certificate_of(authority.issue("ec", [HOST]))}),
        *exposed("two", "two.test", address, tls={**tls, **certificate_of(authority.issue("rsa", ["two.test"], sort="rsa"))}),
    ))


@pytest.fixture
def fetch(edged, authority, tmp_path):
    """fetch(*words, path, host) lets curl ask; it verifies the certificate and the name in it."""
    ca = authority.write(tmp_path)
    port, plain = edged.address("tls")[1], edged.address("web")[1]

    def ask(*words, path="/", host=HOST, scheme="https"):
        where = [f"{name}:{asked}:127.0.0.1:{found}" for name in (HOST, "two.test") for asked, found in ((443, port), (80, plain))]
        there = [word for one in where for word in ("--connect-to", one)]
        return curl("--cacert", str(ca), *there, *words, f"{scheme}://{host}{path}")

    return ask


@pytest.mark.parametrize("host", [HOST, "two.test"])
@pytest.mark.parametrize("version", ["1.2", "1.3"])
def test_curl_verifies_us(fetch, host, version):
    assert json.loads(fetch(f"--tlsv{version}", "--tls-max", version, path="/x?y", host=host))["target"] == "/x?y"


def test_curl_carries_bodies(fetch, tmp_path):
    body = tmp_path / "body"
    body.write_bytes(content(20 * MIB))
    for coding in ([], ["-H", "Transfer-Encoding: chunked"]):
        assert json.loads(fetch("-T", str(body), *coding))["sha256"] == sha256(content(20 * MIB))
    assert sha256(fetch(path="/big")) == sha256(content(20 * MIB))


def test_curl_asks_often_on_one_connection(fetch):
    told = fetch("-w", "%{num_connects}\n", "-o", "/dev/null", *["-o", "/dev/null"] * 9, path="/[0-9]")
    assert told.decode().split() == ["1"] + ["0"] * 9


def test_curl_follows_a_redirect_into_tls(fetch):
    assert json.loads(fetch("-L", scheme="http", path="/turned"))["target"] == "/turned"


def test_curl_is_told_not_to_speak_http_2(fetch):
    assert fetch("--http2", "-w", "%{http_version}", "-o", "/dev/null") == b"1.1"


@pytest.mark.parametrize("version", ["-tls1_2", "-tls1_3"])
def test_openssl_verifies_us(edged, authority, tmp_path, version):
    request = f"GET /openssl HTTP/1.1\r\nHost: {HOST}\r\nConnection: close\r\n\r\n".encode()
    words = ["-servername", HOST, "-CAfile", str(authority.write(tmp_path)), "-verify_return_error", "-verify_hostname", HOST, "-ign_eof"]
    told = s_client(edged.address("tls"), version, *words, stdin=request)
    assert "Verify return code: 0 (ok)" in told
    assert '"target": "/openssl"' in told


def test_the_chain_is_shown_without_its_root(edged):
    told = s_client(edged.address("tls"), "-servername", HOST, "-showcerts")
    assert told.count("BEGIN CERTIFICATE") == 2


@pytest.mark.parametrize("host", [HOST, "two.test"])
def test_load_without_an_error(edged, host):
    """A new connection for some, a kept one for most: whatever the program does, nothing fails."""
    url = "https://{}:{}/".format(*edged.address("tls"))
    assert load(url, connections=32, seconds=2, host=host) > 100
    edged.until_idle()
