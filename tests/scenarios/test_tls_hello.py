"""What clients say first on a TLS port: every shape of a ClientHello, and what is none."""

import json
import ssl

import pytest

from tests.scenarios.harness.hello import SSL2_HELLO, hello_message, in_records, named, tls_hello, with_extension
from tests.scenarios.harness.newest import NewestClient, newest_hello
from tests.scenarios.harness.objects import certificate_of, document, exposed
from tests.scenarios.harness.settings import TLS
from tests.scenarios.harness.tls import client_context, client_hello
from tests.scenarios.harness.until import until

HANDSHAKE, ALERT = b"\x16", b"\x15"
V1_2 = ssl.TLSVersion.TLSv1_2


class Raw:
    """A passthrough backend that only keeps what it reads."""

    def __init__(self, backend):
        self.heard = []
        self.backend = backend(self._keep)

    def _keep(self, peer):
        heard = bytearray()
        self.heard.append(heard)
        while (data := peer.sock.recv(65536)):
            heard += data
        peer.send(b"heard")


@pytest.fixture(scope="module")
def raw(lasting_backend):
    return Raw(lasting_backend)


@pytest.fixture(scope="module")
def edged(lasting_daemon, lasting_backend, authority, raw):
    edge = {"termination": "edge", **certificate_of(authority.issue("of edge"))}
    return lasting_daemon(TLS, document(
        *exposed("edge", "edge.test", lasting_backend().address, tls=edge),
        *exposed("raw", "raw.test", raw.backend.address, tls={"termination": "passthrough"}),
    ))


@pytest.fixture(autouse=True)
def settled(edged):
    yield
    edged.until_idle()


# Hellos that lead to a backend: what it hears is what was said.

def pass_through(edged, raw, pieces):
    """Say these pieces, and then no more; answers what the backend has heard."""
    before = len(raw.heard)
    with edged.connect("tls") as client:
        for piece in pieces:
            client.send(piece)
        client.half_close()
        assert client.rest() == b"heard"
    assert len(raw.heard) == before + 1
    return bytes(raw.heard[-1])


@pytest.mark.parametrize("hello", [
    client_hello(server_name="raw.test"), client_hello(client_context(highest=V1_2), "raw.test"), newest_hello("raw.test"),
    tls_hello(b"raw.test"), tls_hello(b"RAW.TEST", grease=True), tls_hello(b"raw.test", more=with_extension(21, bytes(8000))),
    tls_hello(b"raw.test", record_bytes=1), tls_hello(b"raw.test", record_bytes=100),
    in_records(hello_message(named(b"raw.test"), version=0x0301)),
], ids=["python", "1.2", "post-quantum", "by hand", "grease", "8 KiB", "records of one byte", "many records", "1.0"])
def test_a_hello_reaches_its_backend_as_it_was_said(edged, raw, hello):
    assert pass_through(edged, raw, [hello]) == hello
    early = b"\x14\x03\x03\0\1\1" + b"what follows" * 5000
    assert pass_through(edged, raw, [hello + early]) == hello + early


def test_a_hello_cut_at_every_byte_reaches_its_backend(edged, raw):
    hello = tls_hello(b"raw.test", record_bytes=97)
    for cut in range(1, len(hello)):
        assert pass_through(edged, raw, [hello[:cut], hello[cut:]]) == hello


def test_a_hello_byte_by_byte(edged, raw):
    hello = newest_hello("raw.test")
    assert pass_through(edged, raw, [bytes([byte]) for byte in hello]) == hello


# Hellos that are answered here.

def first_answer(edged, *pieces):
    """The sort of the first record that comes back; b"": none came."""
    with edged.connect("tls") as client:
        for piece in pieces:
            client.send(piece)
        try:
            return client.take(1)
        except (EOFError, ConnectionError):
            return b""


@pytest.mark.parametrize("hello", [
    tls_hello(b"edge.test"), tls_hello(b"edge.test", grease=True), tls_hello(None), tls_hello(b"edge.test", record_bytes=1),
    tls_hello(b"unknown.test", more=with_extension(0xFAFA, bytes(4000))), tls_hello(b"edge.test", more=with_extension(21, bytes(14_000))),
    tls_hello(b"192.0.2.1"), tls_hello(b"2001:db8::1"),
], ids=["by hand", "grease", "no name", "records of one byte", "unknown extension", "14 KiB", "an address", "an IPv6 address"])
def test_hellos_that_are_answered(edged, hello):
    assert first_answer(edged, hello) == HANDSHAKE


def test_a_post_quantum_client_is_served(edged):
    with NewestClient(edged.address("tls"), "edge.test") as client:
        client.send(b"GET / HTTP/1.1\r\nHost: edge.test\r\nConnection: close\r\n\r\n")
        assert client.recv().startswith(b"HTTP/1.1 200 ")


class Trickle:
    """A socket whose bytes are sent in pieces of so many."""

    def __init__(self, sock, size):
        self._sock, self._size = sock, size

    def sendall(self, data):
        for at in range(0, len(data), self._size):
            self._sock.sendall(data[at:at + self._size])

    def __getattr__(self, name):
        return getattr(self._sock, name)


@pytest.mark.parametrize("version", [V1_2, ssl.TLSVersion.TLSv1_3])
@pytest.mark.parametrize("size", [1, 7, 100])
def test_a_whole_conversation_in_small_segments(edged, version, size):
    with edged.connect("tls") as client:
        client.sock = Trickle(client.sock, size)
        client.start_tls(client_context(highest=version), server_name="edge.test")
        assert client.tls.shown == "of edge"
        assert json.loads(client.ask("/slow", "edge.test").body)["target"] == "/slow"


# What is no hello.

GARBAGE = {
    "http": b"GET / HTTP/1.1\r\nHost: edge.test\r\n\r\n", "http 1.0": b"POST / HTTP/1.0\r\n\r\n",
    "http 2": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    "ssh": b"SSH-2.0-OpenSSH_9.9\r\n", "ssl 2": SSL2_HELLO, "zeros": bytes(300), "ones": b"\xff" * 300, "one byte": b"\x16",
    "empty records": b"\x16\x03\x01\0\0" * 50, "data": b"\x17\x03\x03\0\x05hello", "alert": b"\x15\x03\x01\0\2\2\x28",
    "change cipher": b"\x14\x03\x01\0\1\1", "a huge record": b"\x16\x03\x01\xff\xff" + b"\x01" * 300,
    "another message": b"\x16\x03\x01\0\4\x02\0\0\0", "an empty hello": b"\x16\x03\x01\0\4\x01\0\0\0",
    "a proxy header": b"PROXY TCP4 1.2.3.4 5.6.7.8 1 2\r\n", "all but the last byte": in_records(hello_message(named(b"raw.test")))[:-1],
}


@pytest.mark.parametrize("sort", GARBAGE)
def test_garbage_gets_an_orderly_end(edged, raw, sort):
    """An alert or nothing, and no reset of what was read; nothing reaches a backend, and others are served."""
    heard = len(raw.heard)
    with edged.connect("tls") as client:
        client.send(GARBAGE[sort])
        client.half_close()
        answer = client.until_gone()
    assert answer[:1] in (b"", ALERT)
    assert not answer.startswith(b"HTTP/")
    assert len(raw.heard) == heard
    assert edged.ask_tls("edge.test").status == 200


def test_plain_http_on_a_tls_port_is_counted(edged):
    def count():
        return edged.arena.totals()["tls_absent"]

    before = count()
    for first in (b"GET / HTTP/1.1\r\nHost: edge.test\r\n\r\n", SSL2_HELLO, b"\xff" * 100):
        with edged.connect("tls") as client:
            client.send(first)
            client.until_gone()
    until(lambda: count() == before + 3, what="each was counted")


MALFORMED = {
    "no name in the list": with_extension(0, b"\0\0"), "an empty name": named(b""), "a name that is too long": named(b"a" * 300),
    "a zero byte": named(b"edge.test\0evil.test"), "a list that is longer than it is": with_extension(0, b"\xff\xff\0\0\4edge"),
    "two names": with_extension(0, b"\0\x18\0\0\x09edge.test\0\0\x09edge.test"), "twice": named(b"edge.test") + named(b"raw.test"),
    "blanks": named(b"raw .test"), "a slash": named(b"../raw.test"), "high bytes": named(b"r\xc3\xa4w.test"),
}


@pytest.mark.parametrize("flaw", MALFORMED)
def test_names_that_are_malformed(edged, raw, flaw):
    """Either an alert, or the default certificate; never another's backend."""
    heard = len(raw.heard)
    hello = tls_hello(None, more=MALFORMED[flaw])
    assert first_answer(edged, hello) in (HANDSHAKE, ALERT)
    assert len(raw.heard) == heard
    assert edged.ask_tls("edge.test").status == 200


def test_every_byte_of_a_hello_is_changed(edged):
    """Whatever that makes of it: an answer or an end, and the next client is served."""
    hello = tls_hello(b"edge.test")
    for at in range(len(hello)):
        with edged.connect("tls") as client:
            client.send(hello[:at] + bytes([hello[at] ^ 0x55]) + hello[at + 1:])
            client.half_close()
            client.until_gone()
    assert edged.ask_tls("edge.test").status == 200


def test_a_hello_without_end(edged):
    """It is not kept without bound."""
    before = edged.anonymous_bytes()
    with edged.connect("tls") as client:
        try:
            client.send(b"\x16\x03\x01\x40\x00\x01\xff\xff\xff")
            for _ in range(200):
                client.send(bytes(16_384 - 4) + b"\x16\x03\x01\x40\x00")
        except ConnectionError:
            pass
        assert client.until_gone()[:1] in (b"", ALERT)
    assert edged.anonymous_bytes() - before < 1 << 20
