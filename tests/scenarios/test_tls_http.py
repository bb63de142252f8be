"""HTTP/1 inside TLS: everything that is said without it, and what is special to it: records, close_notify, back-pressure."""

import contextlib
import json
import socket
import ssl
import threading

import pytest
from websockets.sync.client import connect
from websockets.sync.server import serve

from tests.scenarios.harness.client import request_bytes
from tests.scenarios.harness.content import MIB, content, sha256
from tests.scenarios.harness.objects import certificate_of, document, exposed
from tests.scenarios.harness.settings import TLS
from tests.scenarios.harness.stream import chunked
from tests.scenarios.harness.tls import client_context
from tests.scenarios.harness.until import until

HOST = "one.test"
V1_2, V1_3 = ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3


@pytest.fixture(scope="module")
def edge(lasting_daemon):
    return lasting_daemon({**TLS, "timeouts": {"client": "30s", "server": "30s"}})


@pytest.fixture(scope="module")
def shown(authority):
    return certificate_of(authority.issue("of one", [HOST]))


@pytest.fixture
def behind(edge, backend, shown):
    """behind(*scripts) puts a backend of these behind one.test; answers the daemon."""
    def lead(*scripts, address=""):
        address = address or backend(*scripts).address
        edge.change_routes(document(*exposed("one", HOST, address, tls={"termination": "edge", **shown})))
        return edge

    yield lead
    backend.hang_up()
    edge.until_idle()


@pytest.fixture(params=[V1_2, V1_3], ids=["1.2", "1.3"])
def context(request, authority):
    return client_context(authority, highest=request.param)


def echoes(peer):
    while True:
        request = peer.request()
        peer.reply(request.body)


def test_many_requests_on_one_connection(behind, context):
    edged = behind()
    with edged.connect_tls(HOST, context) as client:
        for n in range(50):
            assert json.loads(client.ask(f"/{n}", HOST).body)["target"] == f"/{n}"


@pytest.mark.parametrize("size", [1, 16_383, 16_384, 16_385, 65_537, 20 * MIB])
@pytest.mark.parametrize("coding", ["length", "chunked"])
def test_bodies_both_ways(behind, context, size, coding):
    edged = behind(echoes)
    with edged.connect_tls(HOST, context) as client:
        if coding == "length":
            client.send(request_bytes("/", HOST, "PUT", content(size)))
        else:
            parts = [content(size)[at:at + 100_003] for at in range(0, size, 100_003)]
            client.send(f"PUT / HTTP/1.1\r\nHost: {HOST}\r\nTransfer-Encoding: chunked\r\n\r\n".encode() + chunked(*parts))
        assert client.answer().sha256 == sha256(content(size))


def test_requests_in_one_record_and_one_in_many(behind, context):
    edged = behind()
    with edged.connect_tls(HOST, context) as client:
        client.send(b"".join(request_bytes(f"/{n}", HOST) for n in range(20)))
        assert [json.loads(client.answer().body)["target"] for _ in range(20)] == [f"/{n}" for n in range(20)]
        for byte in request_bytes("/slow", HOST):
            client.send(bytes([byte]))
        assert json.loads(client.answer().body)["target"] == "/slow"


def test_a_client_that_ends_its_direction_is_still_answered(behind, context):
    """close_notify after the last request: the answer, and then an end in good order."""
    edged = behind()
    with edged.connect_tls(HOST, context) as client:
        client.send(request_bytes("/last", HOST))
        client.half_close()
        assert json.loads(client.answer().body)["target"] == "/last"
        assert client.rest() == b""


def test_every_end_is_told_by_close_notify(behind, context):
    """A client knows then that nothing was cut off; without it, ssl.SSLEOFError would be raised."""
    edged = behind()
    for request in (
        request_bytes("/", HOST, Connection="close"), f"GET / HTTP/1.0\r\nHost: {HOST}\r\n\r\n".encode(), b"rubbish\r\n\r\n",
    ):
        with edged.connect_tls(HOST, context) as client:
            client.send(request)
            assert client.answer().status in (200, 400)
            assert client.rest() == b""


def test_an_answer_until_the_end(behind, context):
    """HTTP/1.0 has no other way to say how long it is: the end must be a good one, or none."""
    def ends(peer):
        peer.request()
        peer.send(b"HTTP/1.1 200 OK\r\n\r\n" + content(MIB))

    def is_cut(peer):
        peer.request()
        peer.send(b"HTTP/1.1 200 OK\r\n\r\n" + content(MIB))
        peer.reset()

    edged = behind(ends, is_cut)
    old = f"GET / HTTP/1.0\r\nHost: {HOST}\r\n\r\n".encode()
    with edged.connect_tls(HOST, context) as client:
        client.send(old)
        assert client.answer().sha256 == sha256(content(MIB))
    with edged.connect_tls(HOST, context) as client:
        client.send(old)
        with pytest.raises((ssl.SSLEOFError, ConnectionResetError)):
            client.answer()


def test_a_truncated_upload_is_not_passed_on_as_a_whole_one(behind, context):
    """The connection is cut under the TLS: no close_notify, only FIN."""
    heard = []

    def hears(peer):
        peer.head()
        with contextlib.suppress(ConnectionResetError):
            heard.append(peer.rest())

    edged = behind(hears)
    with edged.connect_tls(HOST, context) as client:
        client.send(f"PUT / HTTP/1.1\r\nHost: {HOST}\r\nTransfer-Encoding: chunked\r\n\r\n".encode() + b"5\r\nhello\r\n")
        client.sock.shutdown(socket.SHUT_WR)
        client.until_gone()
    edged.until_idle()
    assert all(b"0\r\n\r\n" not in body for body in heard)


def test_100_continue(behind, context):
    def asks_for_the_body(peer):
        head = peer.head()
        assert head.get("expect") == "100-continue"
        peer.send(b"HTTP/1.1 100 Continue\r\n\r\n")
        peer.reply(sha256(peer.take(int(head.get("content-length") or 0))).encode())

    edged = behind(asks_for_the_body)
    with edged.connect_tls(HOST, context) as client:
        client.send(f"PUT / HTTP/1.1\r\nHost: {HOST}\r\nExpect: 100-continue\r\nContent-Length: {MIB}\r\n\r\n".encode())
        assert client.answer(interim=True).status == 100
        client.send(content(MIB))
        assert client.answer().body.decode() == sha256(content(MIB))


def test_a_client_that_leaves_at_any_moment(behind, context):
    """Nothing is left of it: the fixture counts."""
    def answers_at_length(peer):
        while True:
            peer.request()
            peer.reply(content(MIB))

    edged = behind(answers_at_length)
    request = request_bytes("/", HOST)
    for leave in ("close", "reset"):
        for n in (0, 1, len(request) - 1, len(request)):
            client = edged.connect_tls(HOST, context)
            client.send(request[:n]) if n else None
            if n == len(request):
                client.take(100)
            getattr(client, leave)()


def test_the_log_names_a_tls_listener_with_a_tilde(behind, context):
    edged = behind()
    with edged.connect_tls(HOST, context) as client:
        assert client.ask("/logged", HOST).status == 200
        assert " tls~ be_edge_http:shop:one/" in edged.line_of(client)


# Large bodies and slow clients

GROWTH_MOST = 2 * MIB


class Meter:
    """How far a sender has come."""

    def __init__(self):
        self.sent = 0

    def send(self, stream, data):
        with contextlib.suppress(OSError):
            for at in range(0, len(data), 65_536):
                stream.send(data[at:at + 65_536])
                self.sent += 65_536

    def until_stuck(self):
        seen = [-1] * 100

        def stuck():
            seen.append(self.sent)
            return self.sent > 0 and len(set(seen[-100:])) == 1

        until(stuck, what="the sender is stuck")


def test_a_slow_reader_of_a_large_answer_slows_the_endpoint(behind, context):
    size = 60 * MIB
    meter = Meter()

    def sends(peer):
        peer.request()
        peer.send(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % size)
        meter.send(peer, content(size))

    edged = behind(sends)
    before = edged.anonymous_bytes()
    with edged.connect_tls(HOST, context, receive_bytes=8192) as client:
        client.send(request_bytes("/", HOST))
        client.head()
        meter.until_stuck()
        assert meter.sent < size / 2
        grown = edged.anonymous_bytes() - before
        assert sha256(client.take(size)) == sha256(content(size))
        most = max(grown, edged.anonymous_bytes() - before)
    print(f"a download of 60 MiB: {grown / 1024:.0f} KiB more while stuck, {most / 1024:.0f} KiB at most")
    assert most < GROWTH_MOST


def test_a_slow_endpoint_slows_a_large_upload(behind, context):
    size = 60 * MIB
    meter = Meter()
    go = threading.Event()

    def reads_late(peer):
        peer.head()
        assert go.wait(60)
        peer.reply(sha256(peer.take(size)).encode())

    edged = behind(reads_late)
    before = edged.anonymous_bytes()
    with edged.connect_tls(HOST, context) as client:
        client.send(f"PUT / HTTP/1.1\r\nHost: {HOST}\r\nContent-Length: {size}\r\n\r\n".encode())
        sender = threading.Thread(target=meter.send, args=(client, content(size)))
        sender.start()
        meter.until_stuck()
        assert meter.sent < size / 2
        grown = edged.anonymous_bytes() - before
        go.set()
        sender.join()
        assert client.answer().body.decode() == sha256(content(size))
    assert grown < GROWTH_MOST


def test_a_hundred_slow_readers(behind, authority):
    body = content(20 * MIB)

    def sends(peer):
        peer.request()
        peer.send(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(body))
        peer.send(body)

    edged = behind(sends)
    before = edged.anonymous_bytes()
    clients = [edged.connect_tls(HOST, receive_bytes=8192) for _ in range(100)]
    for client in clients:
        client.send(request_bytes("/", HOST))
        client.head()
    grown = edged.anonymous_bytes() - before
    print(f"100 slow readers inside TLS: {grown / 1024 / 100:.1f} KiB each")
    assert grown < 100 * 128 * 1024
    for client in clients:
        client.close()


# WebSockets

def _echo(ws):
    for message in ws:
        ws.send(message)


@pytest.fixture
def chat(behind, context):
    """A WebSocket server behind one.test; answers what connects to it."""
    with serve(_echo, "127.0.0.1", 0, max_size=None) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        edged = behind(address=f"127.0.0.1:{server.socket.getsockname()[1]}")
        yield lambda: connect(f"wss://{HOST}/", sock=socket.create_connection(edged.address("tls")), ssl=context, max_size=None, proxy=None)
        server.shutdown()
        thread.join()


def test_websocket_messages(chat):
    with chat() as ws:
        for message in ("text", "", b"binary", b"\0" * 126, "ü" * 70_000):
            ws.send(message)
            assert ws.recv() == message
        ws.send(content(10 * MIB))
        assert ws.recv() == content(10 * MIB)
        assert ws.ping().wait(10)


def test_the_proxy_protocol_comes_before_the_hello(daemon, backend, shown):
    settings = {"listener": [{"name": "tls", "address": "127.0.0.1:0", "mode": "https", "accept_proxy": "required"}]}
    edged = daemon(settings, document(*exposed("one", HOST, backend().address, tls={"termination": "edge", **shown})))
    with edged.connect("tls") as client:
        client.send(b"PROXY TCP4 192.0.2.7 192.0.2.8 4242 443\r\n")
        client.start_tls(client_context(), server_name=HOST)
        fields = dict(json.loads(client.ask(host=HOST).body)["fields"])
        assert (fields["x-forwarded-for"], fields["x-forwarded-port"]) == ("192.0.2.7", "443")
    with edged.connect("tls") as client, pytest.raises((ssl.SSLError, ConnectionError)):
        client.start_tls(client_context(), server_name=HOST)
