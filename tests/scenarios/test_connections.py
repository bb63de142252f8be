"""How long client connections live, and how many requests they carry."""

import json

import pytest

from tests.scenarios.harness.stream import chunked


def test_fifty_pipelined_requests_are_answered_in_order(site):
    shop = site()
    client = shop.connect()
    client.send(b"".join(shop.request(f"/{n}") for n in range(50)))
    assert [json.loads(client.answer().body)["target"] for _ in range(50)] == [f"/{n}" for n in range(50)]


def test_pipelined_requests_with_bodies_are_told_apart(site):
    shop = site()
    client = shop.connect()
    client.send(b"".join(shop.request(f"/{n}", "POST", b"x" * n * 977) for n in range(20)))
    told = [json.loads(client.answer().body) for _ in range(20)]
    assert [(one["target"], one["length"]) for one in told] == [(f"/{n}", n * 977) for n in range(20)]


def test_a_connection_of_http_1_1_stays_open(site):
    shop = site()
    client = shop.connect()
    for n in range(10):
        answer = client.ask(f"/{n}", shop.host)
        assert answer.status == 200
        assert "close" not in (answer.get("connection") or "")


def test_the_client_may_ask_for_the_end(site):
    shop = site()
    client = shop.connect()
    answer = client.ask("/", shop.host, Connection="close")
    assert answer.get("connection") == "close"
    assert client.rest() == b""


def test_http_1_0_ends_after_one_answer(site):
    shop = site()
    client = shop.connect()
    client.send(f"GET / HTTP/1.0\r\nHost: {shop.host}\r\n\r\n".encode())
    assert client.answer().status == 200
    assert client.rest() == b""


def test_http_1_0_with_keep_alive_goes_on(site):
    shop = site()
    client = shop.connect()
    for _ in range(3):
        client.send(f"GET / HTTP/1.0\r\nHost: {shop.host}\r\nConnection: keep-alive\r\n\r\n".encode())
        assert client.answer().get("connection") == "keep-alive"


def test_http_1_0_gets_chunks_decoded_and_no_interim_answer(site):
    def answers(peer):
        peer.request()
        peer.send(b"HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n")
        peer.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + chunked(b"in two ", b"parts"))

    shop = site(answers)
    client = shop.connect()
    client.send(f"GET / HTTP/1.0\r\nHost: {shop.host}\r\n\r\n".encode())
    answer = client.head()
    assert answer.status == 200
    assert answer.get("transfer-encoding") is None
    assert client.rest() == b"in two parts"


def test_an_endpoint_that_closes_does_not_close_the_client(site):
    def answers_once(peer):
        peer.request()
        peer.reply(b"once", Connection="close")

    shop = site(answers_once)
    client = shop.connect()
    for _ in range(5):
        assert client.ask("/", shop.host).body == b"once"
    assert len(shop.backend.peers) == 5


def test_requests_of_a_connection_share_one_to_the_endpoint(site):
    shop = site()
    client = shop.connect()
    assert {json.loads(client.ask("/", shop.host).body)["connection"] for _ in range(10)} == {0}


@pytest.mark.parametrize("named", ["Keep-Alive: timeout=5", "Proxy-Connection: keep-alive", "X-Mine: 1", "TE: gzip"])
def test_what_concerns_one_connection_goes_no_further(site, named):
    shop = site()
    client = shop.connect()
    client.send(f"GET / HTTP/1.1\r\nHost: {shop.host}\r\nConnection: x-mine, te\r\n{named}\r\nX-Other: 2\r\n\r\n".encode())
    names = [name for name, _ in json.loads(client.answer().body)["fields"]]
    assert named.partition(":")[0].lower() not in names
    assert "x-other" in names


def test_a_half_closed_client_gets_its_answer(site):
    shop = site()
    client = shop.connect()
    client.send(shop.request("/last"))
    client.half_close()
    assert json.loads(client.answer().body)["target"] == "/last"
    assert client.rest() == b""
