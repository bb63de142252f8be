"""Peers that never come to an end, or do everything in the smallest pieces: bounded memory, and others are served meanwhile."""

import contextlib
import json
import select
import threading

import pytest

from tests.scenarios.harness.backend import Gate, answer_bytes
from tests.scenarios.harness.content import content, sha256
from tests.scenarios.harness.until import until

GROWTH_MOST = 2 * 1024 * 1024                    # the ring of access lines alone may take half of it


@pytest.fixture
def bounded(site):
    """bounded(*scripts): a site; afterwards its worker has taken hardly more memory, and still serves."""
    made = []

    def make(*scripts):
        shop = site(*scripts)
        made.append((shop, shop.daemon.anonymous_bytes()))
        return shop

    yield make
    for shop, before in made:
        assert shop.daemon.anonymous_bytes() - before < GROWTH_MOST


def flood(client, data: bytes) -> None:
    """Send it again and again until there is an answer, or the other side has had enough."""
    with contextlib.suppress(OSError):
        while not select.select([client.sock], [], [], 0)[0]:
            client.send(data)


def test_requests_without_end_whose_answers_nobody_reads(bounded):
    """The client is read no further than its answers can go."""
    shop = bounded()
    client = shop.connect(receive_bytes=4096)
    asked = 20_000
    sender = threading.Thread(target=client.send, args=(shop.request("/again") * asked,))
    sender.start()
    for _ in range(20):
        assert shop.ask("/another").status == 200
    for _ in range(asked):
        assert client.answer().status == 200
    sender.join()


def test_a_head_without_end(bounded):
    shop = bounded()
    client = shop.connect()
    client.send(shop.request()[:-2])
    flood(client, b"X-More: " + b"v" * 1000 + b"\r\n")
    assert client.answer().status == 431
    assert not shop.backend.peers


def test_a_target_without_end(bounded):
    shop = bounded()
    client = shop.connect()
    client.send(b"GET /")
    flood(client, b"x" * 1000)
    assert client.answer().status == 414


def test_empty_lines_without_end(bounded):
    """They are skipped; that is no reason to hold them, nor to wait for ever."""
    shop = bounded()
    client = shop.connect()
    for _ in range(200):
        client.send(b"\r\n" * 500)
    client.send(shop.request("/after-all"))
    assert json.loads(client.answer().body)["target"] == "/after-all"


@pytest.mark.parametrize("endless", [b"1;" + b"e" * 1000, b"0" * 1000, b"0\r\nX: " + b"v" * 1000, b"0\r\n" + b"X: y\r\n" * 200])
def test_chunked_bodies_that_never_get_to_the_point(bounded, endless):
    shop = bounded()
    client = shop.connect()
    client.send(f"POST / HTTP/1.1\r\nHost: {shop.host}\r\nTransfer-Encoding: chunked\r\n\r\n".encode() + endless)
    flood(client, b"X: y\r\n" * 200 if endless.endswith(b"\n") else endless[-1:] * 1000)
    assert client.answer().status in (400, 431)
    assert shop.backend.requests == []


def test_a_body_in_chunks_of_one_byte(bounded):
    shop = bounded()
    body = content(60_000)
    client = shop.connect()
    client.send(f"POST / HTTP/1.1\r\nHost: {shop.host}\r\nTransfer-Encoding: chunked\r\n\r\n".encode())
    client.send(b"".join(b"1\r\n%c\r\n" % byte for byte in body) + b"0\r\n\r\n")
    assert json.loads(client.answer().body)["sha256"] == sha256(body)


def test_interim_answers_without_end(bounded):
    """They reach the client as long as it reads; when it leaves, they are over."""
    def never_comes_to_the_point(peer):
        peer.request()
        while True:
            peer.send(b"HTTP/1.1 103 Early Hints\r\nLink: </a.css>\r\n\r\n" * 20)

    shop = bounded(never_comes_to_the_point)
    client = shop.connect()
    client.send(shop.request())
    for _ in range(1000):
        assert client.answer(interim=True).status == 103
    client.close()
    until(lambda: shop.backend.peers[0].over.is_set(), what="the endpoint is told")


def test_an_answer_whose_trailers_never_end(bounded):
    def never_ends(peer):
        peer.request()
        peer.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nx\r\n0\r\n")
        with contextlib.suppress(OSError):
            while True:
                peer.send(b"X-More: " + b"v" * 1000 + b"\r\n")

    shop = bounded(never_ends)
    client = shop.connect()
    client.send(shop.request())
    assert len(client.until_gone()) < 100_000


def test_what_an_endpoint_says_unasked_is_nobodys_answer(bounded):
    gate = Gate()

    def speaks_unasked(peer):
        peer.request()
        peer.reply(b"asked for")
        gate.pass_()
        peer.send(answer_bytes(b"poison"))
        peer.until_gone()

    shop = bounded(speaks_unasked)
    assert shop.ask().body == b"asked for"
    until(lambda: shop.daemon.gauges()["pooled"] == 1)
    gate.open()
    until(lambda: shop.daemon.gauges()["pooled"] == 0)
    assert shop.ask().body == b"asked for"
    assert len(shop.backend.peers) == 2


def test_many_connections_that_say_nothing(bounded):
    shop = bounded()
    silent = [shop.connect() for _ in range(500)]
    assert shop.ask().status == 200
    for client in silent:
        client.reset()
