"""Handshakes in great numbers, and those that never come to an end: others are served, and nothing of them stays."""

import contextlib
import os
import resource
import socket
import ssl
import subprocess
import sys
import time

import pytest

from tests.scenarios.harness.client import Client, request_bytes
from tests.scenarios.harness.newest import newest_hello
from tests.scenarios.harness.objects import certificate_of, document, exposed
from tests.scenarios.harness.settings import TLS, environment, merged
from tests.scenarios.harness.tls import client_context, client_hello
from tests.scenarios.harness.until import until

HOST = "one.test"
V1_2, V1_3 = ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3

IDLE = 10_000
IDLE_MOST_BYTES = 6 * 1024                       # of a worker's own memory; HAProxy takes 15 KiB
CROWD = 900
LEFT_MOST_BYTES = 1024                           # for each connection that has gone


@pytest.fixture(scope="module")
def objects(lasting_backend, authority):
    tls = {"insecureEdgeTerminationPolicy": "Allow", "termination": "edge", **certificate_of(authority.issue("rsa", [HOST], sort="rsa"))}
    return document(*exposed("one", HOST, lasting_backend().address, tls=tls))


@pytest.fixture(scope="module")
def edged(lasting_daemon, objects):
    return lasting_daemon(TLS, objects)


@pytest.fixture(scope="module")
def hasty(lasting_daemon, objects):
    return lasting_daemon(merged(TLS, {"timeouts": {"tls_handshake": "300ms", "proxy_header": "300ms"}}), objects)


# What never comes to an end

def test_a_client_that_says_nothing_is_ended(hasty):
    clients = [hasty.connect("tls") for _ in range(200)]
    for client in clients:
        assert client.until_gone() == b""
        client.close()
    hasty.until_idle()


@pytest.mark.parametrize("n", [1, 5, 6, 100, -1])
def test_a_client_that_never_ends_its_hello_is_ended(hasty, n):
    with hasty.connect("tls") as client:
        client.send(client_hello(server_name=HOST)[:n])
        client.until_gone()
    hasty.until_idle()


@pytest.mark.parametrize("version", [V1_2, V1_3])
def test_a_client_that_never_answers_a_hello_is_ended(hasty, version):
    with hasty.connect("tls") as client:
        client.send(client_hello(client_context(highest=version), HOST))
        assert client.take(1) == b"\x16"
        client.until_gone()
    hasty.until_idle()


def test_a_slow_client_does_not_extend_its_time(hasty):
    """A byte now and then is no progress worth waiting for."""
    hello = newest_hello(HOST)
    began_s = time.monotonic()
    with hasty.connect("tls") as client, contextlib.suppress(ConnectionError):
        for byte in hello:
            client.send(bytes([byte]))
            if not client.silent_s(0.05):
                break
        client.until_gone()
    assert time.monotonic() - began_s < 5
    hasty.until_idle()


def test_failures_are_counted(hasty):
    before = hasty.arena.totals()["tls_failed"]
    for _ in range(3):
        with hasty.connect("tls") as client:
            client.send(client_hello(server_name=HOST))
            client.until_gone()
    until(lambda: hasty.arena.totals()["tls_failed"] == before + 3, what="each was counted")


# Cut at every byte

class Cut(Exception):
    """So many bytes were sent, and no more."""


class Stopping:
    """A socket that ends after so many bytes have been sent."""

    def __init__(self, sock, most):
        self._sock, self._left = sock, most

    def sendall(self, data):
        self._sock.sendall(data[:self._left])
        self._left -= len(data)
        if self._left <= 0:
            raise Cut

    def __getattr__(self, name):
        return getattr(self._sock, name)


@pytest.mark.parametrize("version", [V1_2, V1_3])
@pytest.mark.parametrize("end", ["close", "reset"])
def test_handshakes_cut_at_every_byte_leave_nothing(edged, version, end):
    """Descriptors, counters, memory: all is as it was."""
    context = client_context(highest=version)

    def cut_at(n):
        client = edged.connect("tls")
        client.sock = Stopping(client.sock, n)
        try:
            client.start_tls(context, server_name=HOST)
        except Cut:
            client.sock = client.sock._sock
            getattr(client, end)()
            return True
        client.close()
        return False

    for n in range(1, 100):                      # what is kept for reuse is there after the first of them
        cut_at(n)
    edged.until_idle()
    sockets, before = edged.sockets(), edged.anonymous_bytes()
    n = 1
    while cut_at(n):
        n += 1
    assert n > 250
    edged.until_idle()
    until(lambda: edged.sockets() <= sockets, what="no socket is left")
    assert edged.anonymous_bytes() - before < 512 * 1024
    assert edged.ask_tls(HOST).status == 200


# In great numbers

FLOOD = """
import socket, ssl, sys, time
host, port, until_s = sys.argv[1], int(sys.argv[2]), time.monotonic() + float(sys.argv[3])
context = ssl.create_default_context()
context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
hello, out = context.wrap_bio(ssl.MemoryBIO(), bio := ssl.MemoryBIO(), server_hostname="one.test"), None
try:
    hello.do_handshake()
except ssl.SSLWantReadError:
    out = bio.read()
done = 0
while time.monotonic() < until_s:
    crowd = []
    for _ in range(50):
        sock = socket.create_connection((host, port))
        sock.sendall(out)
        crowd.append(sock)
    for sock in crowd:
        done += bool(sock.recv(1))
        sock.close()
print(done)
"""


def test_a_flood_of_handshakes_does_not_starve_who_is_there(edged):
    """Who has a connection is answered in time, while as many handshakes as the machine can do are asked for."""
    host, port = edged.address("tls")
    words = [sys.executable, "-P", "-c", FLOOD, host, str(port), "4"]
    floods = [subprocess.Popen(words, env=environment(), stdout=subprocess.PIPE, text=True) for _ in range(2)]
    took_s = []
    try:
        with edged.connect_tls(HOST) as inside, edged.connect() as outside:
            while any(flood.poll() is None for flood in floods):
                for client in (inside, outside):
                    began_s = time.monotonic()
                    assert client.ask(host=HOST).status == 200
                    took_s.append(time.monotonic() - began_s)
    finally:
        done = sum(int(flood.communicate(timeout=30)[0]) for flood in floods)
    took_s.sort()
    print(f"{done} handshakes begun; {len(took_s)} answers meanwhile, {took_s[len(took_s) // 2] * 1000:.1f} ms in the middle, "
          f"{took_s[int(len(took_s) * 0.99)] * 1000:.1f} ms for all but one of a hundred, {took_s[-1] * 1000:.1f} ms at most")
    assert done > 500
    assert len(took_s) > 200
    assert took_s[int(len(took_s) * 0.99)] < 0.25
    edged.until_idle()


def test_ten_thousand_idle_connections_cost_little_and_leave_nothing(daemon, objects):
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    context = client_context()
    clients: list[Client] = []
    try:
        edged = daemon(merged(TLS, {
            "worker": {"max_connections": 19_000, "count": 2}, "timeouts": {"http_keep_alive": "10m", "client": "10m"},
        }), objects)
        warm = [edged.connect_tls(HOST, context) for _ in range(100)]
        for client in warm:
            assert client.ask(host=HOST).status == 200
            client.close()
        edged.until_idle()
        sockets = [edged.sockets(index) for index in range(2)]
        before = sum(edged.anonymous_bytes(index) for index in range(2))
        session = None
        for n in range(IDLE):                   # most resume: it is the connections that are measured here, not the handshakes
            client = Client(edged.address("tls"), source=f"127.0.0.{1 + n % 3}")
            client.start_tls(context, server_name=HOST, session=session)
            client.send(request_bytes("/", HOST))
            assert client.answer().status == 200
            session = session or client.tls.session
            client.tls = Held(client.tls)        # our own half of the memory is not needed any more
            clients.append(client)
        until(lambda: edged.gauges()["connections"] == IDLE)
        until(lambda: edged.gauges()["exchanges"] == 0)
        assert edged.gauges()["buffers"] == 0    # who has nothing in hand holds no block
        grown = sum(edged.anonymous_bytes(index) for index in range(2)) - before
        print(f"{IDLE} idle TLS connections: {grown / IDLE:.0f} bytes each of the workers' memory")
        assert grown / IDLE < IDLE_MOST_BYTES
        assert edged.ask_tls(HOST).status == 200
    finally:
        for client in clients:
            client.close()
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    edged.until_idle(60)
    until(lambda: all(edged.sockets(index) <= sockets[index] for index in range(2)), what="no socket is left")
    assert len(os.listdir("/proc/self/fd")) < 500
    until(lambda: sum(edged.anonymous_bytes(index) for index in range(2)) - before < IDLE * LEFT_MOST_BYTES, what="memory has gone back")
    print(f"{(sum(edged.anonymous_bytes(index) for index in range(2)) - before) / IDLE:.0f} bytes each when they have gone")


def test_what_a_crowd_needs_goes_back_when_it_has_gone(daemon, objects):
    """Of TLS 1.2 OpenSSL keeps what a connection needs as long as it is there: 19 KiB each."""
    edged = daemon(merged(TLS, {"worker": {"count": 1}, "timeouts": {"http_keep_alive": "10m", "client": "10m"}}), objects)
    context = client_context(highest=V1_2)
    with edged.connect_tls(HOST, context) as first:
        assert first.ask(host=HOST).status == 200
        session = first.tls.session
    edged.until_idle()
    before = edged.anonymous_bytes()
    crowd = [edged.connect_tls(HOST, context, session=session) for _ in range(CROWD)]
    grown = edged.anonymous_bytes() - before
    assert grown > CROWD * 12 * 1024
    for client in crowd:
        client.close()
    edged.until_idle()
    until(lambda: edged.anonymous_bytes() - before < CROWD * LEFT_MOST_BYTES, what="memory has gone back")
    print(f"{CROWD} connections of TLS 1.2: {grown // 1024} KiB, and {(edged.anonymous_bytes() - before) // 1024} when they have gone")
    assert edged.ask_tls(HOST).status == 200


class Held:
    """In place of a TLS layer whose part is played."""

    def __init__(self, tls):
        del tls


def test_who_connects_and_leaves_at_once(edged):
    """Scanners and health checks: no handshake is begun, none is a failure."""
    before = edged.arena.totals()["tls_failed"]
    for _ in range(500):
        socket.create_connection(edged.address("tls")).close()
    edged.until_idle()
    assert edged.ask_tls(HOST).status == 200
    assert edged.arena.totals()["tls_failed"] == before
