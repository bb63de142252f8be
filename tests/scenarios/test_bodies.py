"""Bodies in every framing, both ways, byte for byte."""

import json

import pytest

from tests.scenarios.harness.backend import Gate, answer_bytes
from tests.scenarios.harness.content import MIB, content, sha256
from tests.scenarios.harness.stream import chunked


def test_a_chunked_request_keeps_its_trailers(site):
    shop = site()
    client = shop.connect()
    body = content(300_000)
    client.send(f"POST /up HTTP/1.1\r\nHost: {shop.host}\r\nTransfer-Encoding: chunked\r\nTrailer: x-sum\r\n\r\n".encode())
    client.send(chunked(body[:1], body[1:70_000], body[70_000:], trailers="X-Sum: 42\r\nX-More: yes\r\n"))
    told = json.loads(client.answer().body)
    assert told["sha256"] == sha256(body)
    assert told["trailers"] == [["x-sum", "42"], ["x-more", "yes"]]
    assert client.ask("/next", shop.host).status == 200


def test_a_chunked_answer_keeps_its_trailers(site):
    body = content(300_000)

    def answers(peer):
        while True:
            peer.request()
            peer.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: X-Sum\r\n\r\n")
            peer.send(chunked(body[:5], body[5:], trailers="X-Sum: 42\r\n"))

    shop = site(answers)
    client = shop.connect()
    for _ in range(3):
        answer = client.ask("/", shop.host)
        assert sha256(answer.body) == sha256(body)
        assert answer.trailers == [("x-sum", "42")]


def test_chunks_pass_as_they_come(site):
    """Nobody waits for the end of a stream of events."""
    gate = Gate()

    def trickles(peer):
        peer.request()
        peer.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nfirst\r\n")
        gate.pass_()
        peer.send(b"6\r\nsecond\r\n0\r\n\r\n")

    shop = site(trickles)
    client = shop.connect()
    client.send(shop.request())
    client.head()
    assert client.take_until(b"first\r\n").endswith(b"first\r\n")
    gate.open()
    assert b"second" in client.take_until(b"0\r\n\r\n")


def test_an_answer_sent_byte_by_byte_arrives_whole(site):
    whole = answer_bytes(b"a body that dribbles", X_Long="v" * 300)

    def dribbles(peer):
        peer.request()
        for at in range(len(whole)):
            peer.send(whole[at:at + 1])

    shop = site(dribbles)
    assert shop.ask().body == b"a body that dribbles"


def test_a_request_sent_byte_by_byte_arrives_whole(site):
    shop = site()
    client = shop.connect()
    for byte in shop.request("/slow", "POST", b"a body that dribbles"):
        client.send(bytes([byte]))
    told = json.loads(client.answer().body)
    assert (told["target"], told["sha256"]) == ("/slow", sha256(b"a body that dribbles"))


def test_the_100_of_the_endpoint_reaches_the_client_before_it_sends(site):
    def says_continue(peer):
        head = peer.head()
        peer.send(b"HTTP/1.1 100 Continue\r\n\r\n")
        peer.reply(peer.take(int(head.get("content-length") or 0)))

    shop = site(says_continue)
    client = shop.connect()
    client.send(f"POST / HTTP/1.1\r\nHost: {shop.host}\r\nContent-Length: 5\r\nExpect: 100-continue\r\n\r\n".encode())
    assert client.answer(interim=True).status == 100
    client.send(b"hello")
    assert client.answer().body == b"hello"


def test_early_hints_pass(site):
    def hints(peer):
        peer.request()
        peer.send(b"HTTP/1.1 103 Early Hints\r\nLink: </a.css>\r\n\r\n")
        peer.reply(b"page")

    shop = site(hints)
    client = shop.connect()
    client.send(shop.request())
    assert client.answer(interim=True).get("link") == "</a.css>"
    assert client.answer().body == b"page"


def test_a_refusal_before_the_body_is_sent_reaches_the_client(site):
    def refuses(peer):
        peer.head()
        peer.reply(b"too large", "413 Payload Too Large", Connection="close")

    shop = site(refuses)
    client = shop.connect()
    client.send(f"PUT / HTTP/1.1\r\nHost: {shop.host}\r\nContent-Length: 10000000\r\n\r\n".encode())
    answer = client.answer()
    assert (answer.status, answer.body) == (413, b"too large")


@pytest.mark.parametrize("status", ["204 No Content", "304 Not Modified"])
def test_answers_without_a_body_leave_the_connection_usable(site, status):
    def answers(peer):
        while True:
            peer.request()
            peer.send(f"HTTP/1.1 {status}\r\nETag: x\r\n\r\n".encode())

    shop = site(answers)
    client = shop.connect()
    for _ in range(3):
        assert client.ask("/", shop.host).status == int(status[:3])


def test_the_answer_to_head_has_a_length_and_no_body(site):
    def answers(peer):
        while True:
            request = peer.request()
            peer.send(answer_bytes(b"x" * 1000)[: -1000 if request.method == "HEAD" else None])

    shop = site(answers)
    client = shop.connect()
    for _ in range(3):
        assert client.ask("/", shop.host, method="HEAD").get("content-length") == "1000"
        assert client.ask("/", shop.host).body == b"x" * 1000


def test_large_bodies_of_all_sizes_leave_the_connection_usable(site):
    """They go through a pipe, piece by piece; what follows must find both connections as after a small one."""
    sizes = [size + more for size in (MIB // 4, MIB, 2 * MIB) for more in (-1, 0, 1, 70_000)]

    def answers(peer):
        while True:
            size = int(peer.request().target[1:])
            peer.send(answer_bytes(content(size)))

    shop = site(answers)
    clients = [shop.connect() for _ in range(4)]
    for size in sizes:
        for client in clients:
            client.send(f"GET /{size} HTTP/1.1\r\nHost: {shop.host}\r\n\r\n".encode())
        for client in clients:
            assert sha256(client.answer().body) == sha256(content(size))


def test_bytes_after_an_answer_reach_nobody(site):
    """A second answer glued to the first is dropped, and its connection is not used again."""
    def glues(peer):
        peer.request()
        peer.send(answer_bytes(b"mine") + answer_bytes(b"of nobody"))
        peer.until_gone()

    shop = site(glues)
    client = shop.connect()
    for _ in range(3):
        assert client.ask("/", shop.host).body == b"mine"
    assert len(shop.backend.peers) == 3


def test_a_body_larger_than_the_limit_is_refused(site):
    shop = site(max_body=1000)
    client = shop.connect()
    client.send(f"POST / HTTP/1.1\r\nHost: {shop.host}\r\nContent-Length: 1001\r\n\r\n".encode())
    assert client.answer().status == 413
    assert not shop.backend.peers
    assert shop.ask("/", method="POST", body=b"x" * 1000).status == 200     # type: ignore[arg-type]
