"""A real browser, headless Chromium, visits sites over HTTPS and trusts the tests' own authority: run by `make browser`.

Not a part of `make test`: a browser is a large thing to install, and not every distribution packages one."""

import base64
import hashlib
import os
import re
import subprocess
import sys

import pytest

from tests.scenarios.conftest import Backends, Daemons
from tests.scenarios.harness.authority import Authority
from tests.scenarios.harness.backend import over_tls
from tests.scenarios.harness.objects import certificate_of, document, exposed
from tests.scenarios.harness.peers import free_port, tool
from tests.scenarios.harness.settings import environment
from tests.scenarios.harness.tls import server_context
from tests.scenarios.harness.until import until

PAGE = b"<!doctype html><title>site</title><link rel=stylesheet href=/style.css><p id=told>nothing</p><script src=/script.js></script>"
SCRIPT = b"""
const parts = ['https://www.site.test', 'https://api.site.test', 'https://raw.site.test'].map(origin =>
    fetch(origin + ':' + location.port + '/part').then(answer => answer.text(), why => 'failed'));
const chat = new Promise((heard, failed) => {
    const socket = new WebSocket('wss://www.site.test:' + location.port + '/chat');
    socket.onopen = () => heard('and a socket');
    socket.onerror = () => heard('no socket');
});
Promise.all([...parts, chat]).then(all => document.getElementById('told').textContent = all.join(', '));
"""
END_S = 60


@pytest.fixture
def daemon(tmp_path):
    daemons = Daemons(tmp_path)
    yield daemons
    daemons.end()


@pytest.fixture
def backend():
    backends = Backends()
    yield backends
    backends.end()


@pytest.fixture
def browse(tmp_path):
    """browse(url, trusted) is what a browser shows, after its scripts have run, and what it complains of."""
    home = tmp_path / "home"
    store = home / ".pki" / "nssdb"

    def visit(url, trusted):
        store.mkdir(parents=True)
        words = [tool("certutil"), "-d", f"sql:{store}"]
        subprocess.run([*words, "-N", "--empty-password"], check=True)
        subprocess.run([*words, "-A", "-n", "tests", "-t", "C,,", "-i", trusted], check=True)
        told = subprocess.run([
            chromium(), "--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", f"--user-data-dir={home}/profile",
            "--no-proxy-server", "--host-resolver-rules=MAP *.test 127.0.0.1, MAP *.localhost 127.0.0.1",
            "--virtual-time-budget=8000", "--dump-dom", url,
        ], env={**os.environ, "HOME": str(home)}, capture_output=True, text=True, timeout=END_S, check=False)
        return told.stdout, re.findall(r"net::(ERR_\w+)", told.stderr)

    return visit


def chromium():
    """Where it is; distributions name it differently."""
    for name in ("chromium", "chromium-browser", "google-chrome"):
        try:
            return tool(name)
        except AssertionError:
            continue
    return tool("chromium")


def says(part):
    answers = {"/": (PAGE, "text/html"), "/script.js": (SCRIPT, "text/javascript"), "/style.css": (b"p { color: green }", "text/css")}

    def script(peer):
        while True:
            request = peer.request()
            if request.target == "/chat":
                peer.send(switched(request))
                peer.until_gone()
                return
            body, kind = answers.get(request.target, (part.encode(), "text/plain"))
            peer.reply(body, Content_Type=kind, Access_Control_Allow_Origin="*")

    return script


def switched(request):
    word = base64.b64encode(hashlib.sha1(f"{request.get('sec-websocket-key')}258EAFA5-E914-47DA-95CA-C5AB0DC85B11".encode()).digest())
    return b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: " + word + b"\r\n\r\n"


@pytest.fixture
def port(daemon, backend, authority, tmp_path):
    """Of a TLS listener before three sites: ended here, encrypted again, passed through."""
    inside = server_context(authority.issue("raw", ["raw.site.test"]), tmp_path / "raw")
    edged = daemon({"listener": [{"name": "tls", "address": "127.0.0.1:0", "mode": "https"}]}, document(
        *exposed("www", "www.site.test", backend(says("edge")).address, tls={
            "termination": "edge", **certificate_of(authority.issue("www", ["www.site.test"])),
        }),
        *exposed("api", "api.site.test", backend(over_tls(inside, says("re-encrypted"))).address, tls={
            "termination": "reencrypt", "destinationCACertificate": authority.pem,
            **certificate_of(authority.issue("api", ["api.site.test"], sort="rsa")),
        }),
        *exposed("raw", "raw.site.test", backend(over_tls(inside, says("passed through"))).address, tls={"termination": "passthrough"}),
    ))
    return edged.address("tls")[1]


@pytest.fixture
def authority():
    return Authority("tests")


@pytest.fixture
def trusted(authority, tmp_path):
    return authority.write(tmp_path)


def test_a_site_with_parts_from_three_hosts(browse, port, trusted):
    shown, complaints = browse(f"https://www.site.test:{port}/", trusted)
    assert "edge, re-encrypted, passed through, and a socket" in shown, (shown, complaints)
    assert not [one for one in complaints if "CERT" in one or "SSL" in one]


def test_a_host_without_a_certificate_of_its_own_is_refused_by_the_browser(browse, port, trusted):
    shown, complaints = browse(f"https://other.site.test:{port}/", trusted)
    assert "edge" not in shown
    assert {"ERR_CERT_COMMON_NAME_INVALID", "ERR_CERT_AUTHORITY_INVALID"} & set(complaints)


def test_the_demo(browse, tmp_path):
    """By the authority that it names; its page opens a WebSocket by itself."""
    http, https, tcp = free_port(), free_port(), free_port()
    output = tmp_path / "output"
    words = [sys.executable, "-P", "-m", "edged", "demo", f"--http-port={http}", f"--https-port={https}", f"--tcp-port={tcp}"]
    with output.open("wb") as file:
        demo = subprocess.Popen(words, env=environment(), stdout=file, stderr=file)
    try:
        until(lambda: "Below: the access log" in output.read_text(), 60, "the demo is ready")
        folder = re.findall(r"^Its settings are (.*)/edged.toml$", output.read_text(), re.MULTILINE)[0]
        shown, complaints = browse(f"https://live.localhost:{https}/", f"{folder}/ca.pem")
        assert 'id="state">open<' in shown, (shown, complaints)
    finally:
        demo.terminate()
        demo.wait()
