"""Lists of revoked certificates that the authorities of clients publish (openshift-routes.md 7.8): nobody is let in before they are
fetched, and they are fetched again before the next ones are due."""

import ssl
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import ExtendedKeyUsageOID

from tests.scenarios.harness.authority import Certified, key_of
from tests.scenarios.harness.objects import document, exposed
from tests.scenarios.harness.tls import client_context
from tests.scenarios.harness.until import until
from tests.tls import lists
from tests.tls.odd import made

AUTHORITY_KEY, CLIENT_KEY = key_of("ec", 7), key_of("ec", 8)
HOUR_S = 3600.0


class Point:
    """A distribution point. Before something is published, who asks has to wait."""

    def __init__(self):
        self.asked = 0
        self.there = threading.Event()
        self.published = b""
        point = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self):
                point.asked += 1
                point.there.wait(30)
                self.send_response(200)
                self.send_header("Content-Length", str(len(point.published)))
                self.end_headers()
                self.wfile.write(point.published)

            def log_message(self, *_):
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}/staff.crl"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def publish(self, *revoked, life_s=24 * HOUR_S):
        serials = [one.certificate.serial_number for one in revoked]
        now_s = time.time()
        self.published = lists.crl("staff", AUTHORITY_KEY, *serials, made_s=now_s - 1, next_s=now_s + life_s)
        self.there.set()


@pytest.fixture
def point():
    point = Point()
    yield point
    point.there.set()
    point.server.shutdown()
    point.server.server_close()


def issue(name):
    usage = x509.ExtendedKeyUsage([ExtendedKeyUsageOID.CLIENT_AUTH]), False
    return Certified(made(name, CLIENT_KEY, "staff", AUTHORITY_KEY, extensions=[usage]), CLIENT_KEY)


@pytest.fixture
def edged(daemon, backend, point, tmp_path):
    path = tmp_path / "staff.pem"
    path.write_bytes(lists.authority("staff", AUTHORITY_KEY, point.url).public_bytes(Encoding.PEM))
    listener = {"name": "tls", "address": "127.0.0.1:0", "mode": "https", "client_auth": "required", "client_ca": str(path)}
    return daemon({"listener": [listener]}, document(*exposed("one", "one.test", backend().address, tls={"termination": "edge"})))


@pytest.fixture
def enters(edged, tmp_path):
    def enters(who):
        try:
            with edged.connect_tls("one.test", client_context(identity=who, folder=tmp_path), name="tls") as client:
                return client.ask(host="one.test").status == 200
        except (ssl.SSLError, ConnectionError, EOFError):
            return False

    return enters


def test_nobody_is_let_in_before_the_lists_are_fetched_and_then_all_but_the_revoked(edged, point, enters):
    ann, eve = issue("ann"), issue("eve")
    until(lambda: point.asked, what="edged asks for the list")
    assert not enters(ann)
    point.publish(eve)
    until(lambda: enters(ann), what="ann is let in")
    assert not enters(eve)
    assert point.asked == 1


def test_lists_are_fetched_again_before_the_next_one_is_due(edged, point, enters):
    ann, eve = issue("ann"), issue("eve")
    point.publish(life_s=8)
    until(lambda: enters(ann) and enters(eve), what="both are let in")
    assert point.asked == 1
    point.publish(eve)
    until(lambda: not enters(eve), what="eve is refused")
    assert enters(ann)
    assert point.asked == 2
