"""Heads that come in pieces: cut anywhere, dripping, with all that was seen before."""

import pytest

from tests.doors import head_doors

REQUESTS = [
    b"GET /a?b HTTP/1.1\r\nHost: a.example\r\nUser-Agent: somebody/1.0 (with a longer text)\r\nAccept: */*\r\n\r\n",
    b"\r\n\r\nPOST /upload HTTP/1.1\nHost: a\nContent-Length: 5\nX-Folded: a\n b\n\n",
    b"GET http://a.example/ HTTP/1.1\r\nHost: a.example:80\r\nConnection: X-A, close\r\nX-A: b\r\n\r\n",
    b"PRI * HTTP/2.0\r\n\r\n",
]
RESPONSES = [
    b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 5\r\nServer: s\r\n\r\n",
    b"\nHTTP/1.0 404\nX: y\n\n",
    b"HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n",
]
ALL = [(head_doors.request, data) for data in REQUESTS] + [(head_doors.response, data) for data in RESPONSES]


@pytest.mark.parametrize(("parse", "data"), ALL)
def test_a_head_cut_anywhere_asks_for_more(parse, data):
    for cut in range(len(data)):
        assert parse(data[:cut]) is None, data[:cut]
        assert parse(data[:cut], at_start=True) is None
    assert "fault" not in parse(data)


@pytest.mark.parametrize(("parse", "data"), ALL)
def test_what_was_seen_before_changes_nothing(parse, data):
    whole = parse(data + b"body")
    for seen in range(len(data)):
        assert parse(data + b"body", seen) == whole
        assert parse(data, seen) == whole
        for cut in range(seen + 1, len(data)):
            assert parse(data[:cut], seen) is None, (seen, cut)


@pytest.mark.parametrize("data", REQUESTS)
def test_a_head_that_drips_in_is_done_with_its_last_byte(data):
    assert head_doors.drip_request(data + b"body") == (head_doors.request(data + b"body"), len(data))


@pytest.mark.parametrize("start", [b"\x16\x03\x01", b"GET\x00", b"GET /\xff", b"GET / HTTP/1.1\r\n x\r\n", b"GET / HTTP/1.1\r\nA\x00"])
def test_a_fault_in_a_head_that_drips_in_is_found_before_its_end(start):
    """At the latest when the head has doubled since the faulty byte."""
    facts, n = head_doors.drip_request(start + b"x" * 200)
    assert facts["fault"] == 400
    assert n <= 2 * len(start)


def test_a_dripping_head_costs_little_more_than_one_that_comes_at_once():
    """Without `seen` this would be 10^10 steps and run for seconds."""
    data = b"GET / HTTP/1.1\r\nHost: a\r\nX: " + b"y" * 200_000 + b"\r\n\r\n"
    assert head_doors.drip_request(data)[1] == len(data)


@pytest.mark.parametrize("n", range(1, 80))
def test_no_byte_behind_the_data_is_read(n):
    """Ends of all lengths right before the unreadable page: in a method, a target, a name, a value."""
    for start in (b"", b"GET /", b"GET / HTTP/1.1\r\n", b"GET / HTTP/1.1\r\nX: ", b"GET / HTTP/1.1\r\nX: y\r"):
        head_doors.request(start + b"x" * n)
        head_doors.response(start.replace(b"GET / HTTP/1.1", b"HTTP/1.1 200 OK") + b"x" * n)
        head_doors.request(b"\r\n" * n)
        head_doors.request(b"\n" * n + b"\r")
