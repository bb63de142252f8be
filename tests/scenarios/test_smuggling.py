"""Requests that two parsers might read as two different things: each is refused, and no endpoint sees a byte of it."""

import json

import pytest

from tests.scenarios.harness.backend import answer_bytes

BODY = "0\r\n\r\nGET /smuggled HTTP/1.1\r\nHost: x\r\n\r\n"

ATTEMPTS = {
    "length and coding": ("Content-Length: 5\r\nTransfer-Encoding: chunked", BODY),
    "coding and length": ("Transfer-Encoding: chunked\r\nContent-Length: 5", BODY),
    "two lengths": ("Content-Length: 5\r\nContent-Length: 6", "hello!"),
    "two lengths in a list": ("Content-Length: 5, 6", "hello!"),
    "length with a sign": ("Content-Length: +5", "hello"),
    "negative length": ("Content-Length: -1", ""),
    "hexadecimal length": ("Content-Length: 0x5", "hello"),
    "length beyond 63 bits": ("Content-Length: 18446744073709551616", "x"),
    "empty length": ("Content-Length: ", "x"),
    "length with a blank inside": ("Content-Length: 1 0", "hello"),
    "chunked twice": ("Transfer-Encoding: chunked, chunked", BODY),
    "chunked not last": ("Transfer-Encoding: chunked, gzip", BODY),
    "identity": ("Transfer-Encoding: identity", BODY),
    "unknown coding": ("Transfer-Encoding: xchunked", BODY),
    "coding in quotes": ('Transfer-Encoding: "chunked"', BODY),
    "coding with a form feed": ("Transfer-Encoding: \x0cchunked", BODY),
    "two coding fields": ("Transfer-Encoding: chunked\r\nTransfer-Encoding: identity", BODY),
    "blank before the colon": ("Transfer-Encoding : chunked", BODY),
    "tab before the colon": ("Content-Length\t: 5", "hello"),
    "a name with a blank": ("Content Length: 5", "hello"),
    "a lone carriage return": ("X-A: b\rTransfer-Encoding: chunked", BODY),
    "a null byte in a value": ("X-A: b\0c", ""),
    "two hosts": ("Host: other.test", ""),
    "chunked on HTTP/1.0": ("HTTP/1.0", BODY),
}


@pytest.mark.parametrize("attempt", ATTEMPTS)
def test_an_ambiguous_request_reaches_nobody(site, attempt):
    shop = site()
    fields, body = ATTEMPTS[attempt]
    version = "HTTP/1.1"
    if fields == "HTTP/1.0":
        fields, version = "Transfer-Encoding: chunked\r\nContent-Length: 3", "HTTP/1.0"
    client = shop.connect()
    client.send(f"POST /first {version}\r\nHost: {shop.host}\r\n{fields}\r\n\r\n{body}".encode("latin-1"))
    answer = client.answer()
    assert answer.status in (400, 422)
    assert client.until_gone() == b""            # what follows is not read as a request
    assert not shop.backend.peers


CHUNKS = {
    "no size": "\r\nhello\r\n0\r\n\r\n",
    "a size with a sign": "+5\r\nhello\r\n0\r\n\r\n",
    "a size with 0x": "0x5\r\nhello\r\n0\r\n\r\n",
    "a size beyond 64 bits": "10000000000000005\r\nhello\r\n0\r\n\r\n",
    "line feed alone after the size": "5\nhello\r\n0\r\n\r\n",
    "line feed alone after the data": "5\r\nhello\n0\r\n\r\n",
    "data longer than its size": "5\r\nhello!\r\n0\r\n\r\n",
    "a null in an extension": "5;a=\0\r\nhello\r\n0\r\n\r\n",
    "a bad trailer": "5\r\nhello\r\n0\r\nX-A : b\r\n\r\n",
}


@pytest.mark.parametrize("fault", CHUNKS)
def test_a_bad_chunk_ends_the_request_for_both_sides(site, fault):
    """The endpoint may have seen its beginning; it must never see its end, nor anything after it."""
    shop = site()
    client = shop.connect()
    client.send(
        f"POST /first HTTP/1.1\r\nHost: {shop.host}\r\nTransfer-Encoding: chunked\r\n\r\n{CHUNKS[fault]}"
        f"GET /smuggled HTTP/1.1\r\nHost: {shop.host}\r\n\r\n".encode()
    )
    answer = client.answer()
    assert answer.status == 400
    assert client.until_gone() == b""
    client.close()
    shop.daemon.until_idle()
    assert shop.backend.requests == []


def test_a_folded_line_is_one_value_and_no_field_of_its_own(site):
    shop = site()
    client = shop.connect()
    client.send(f"GET / HTTP/1.1\r\nHost: {shop.host}\r\nX-A: b\r\n Content-Length: 5\r\n\r\n".encode())
    fields = json.loads(client.answer().body)["fields"]
    assert ["x-a", "b Content-Length: 5"] in [[name, " ".join(value.split())] for name, value in fields]
    assert "content-length" not in dict(fields)


def test_an_absolute_target_must_name_the_host_of_the_field(site):
    shop = site()
    client = shop.connect()
    client.send(f"GET http://other.test/ HTTP/1.1\r\nHost: {shop.host}\r\n\r\n".encode())
    assert client.answer().status == 400
    assert not shop.backend.peers


def test_a_request_without_host_is_refused(site):
    shop = site()
    client = shop.connect()
    client.send(b"GET / HTTP/1.1\r\n\r\n")
    assert client.answer().status == 400
    assert not shop.backend.peers


def test_ambiguous_answers_never_reach_a_second_client(site):
    """An endpoint that answers with both length and coding is refused, and its connection not used again."""
    def ambiguous(peer):
        peer.request()
        peer.send(b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\nContent-Length: 4\r\n\r\nabcd" + answer_bytes(b"poison"))
        peer.until_gone()

    shop = site(ambiguous)
    for _ in range(3):
        assert shop.ask().status == 502
    assert len(shop.backend.peers) == 3
