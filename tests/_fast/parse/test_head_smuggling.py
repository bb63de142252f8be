"""Requests that two parsers could read as two different things: each is refused before anything is sent on."""

import pytest

from tests.doors import head_doors

POST = b"POST / HTTP/1.1\r\nHost: a\r\n"
OLD = b"POST / HTTP/1.0\r\nHost: a\r\n"
TUNNEL = b"GET / HTTP/1.1\r\nHost: a\r\nConnection: upgrade\r\nUpgrade: websocket\r\n"
NASTY = [
    # Content-Length and Transfer-Encoding together, in any order and spelling
    (400, POST + b"Content-Length: 6\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\nX"),
    (400, POST + b"Transfer-Encoding: chunked\r\nContent-Length: 4\r\n\r\n5c\r\n"),
    (400, POST + b"transfer-encoding: CHUNKED\r\ncontent-length: 0\r\n\r\n"),
    (400, POST + b"Content-Length: 6\r\nX: y\r\nTransfer-Encoding:chunked\r\n\r\n"),
    # Transfer-Encoding that someone might overlook
    (400, POST + b"Transfer-Encoding : chunked\r\n\r\n"),
    (400, POST + b"Transfer-Encoding\t: chunked\r\n\r\n"),
    (400, POST + b" Transfer-Encoding: chunked\r\n\r\n".replace(b" T", b"T", 1).replace(b":", b"\x0b:")),
    (400, POST + b"Transfer-Encoding: \x0bchunked\r\n\r\n"),
    (400, POST + b"Transfer-Encoding: chunked\x0b\r\n\r\n"),
    (400, POST + b"Transfer-Encoding: \x00chunked\r\n\r\n"),
    (400, POST + b"Transfer-Encoding:\r\n chunked\r\n\r\n"),
    (400, POST + b"Transfer-Encoding:\n chunked\r\nContent-Length: 5\r\n\r\n"),
    (400, POST + b"Transfer-Encoding: xchunked\r\n\r\n"),
    (400, POST + b"Transfer-Encoding: chunkedx\r\n\r\n"),
    (400, POST + b"Transfer-Encoding: \"chunked\"\r\n\r\n"),
    (400, POST + b"Transfer-Encoding: 'chunked'\r\n\r\n"),
    (400, POST + b"Transfer-Encoding: chunked;q=1\r\n\r\n"),
    (400, POST + b"Transfer-Encoding: identity\r\n\r\n"),
    (400, POST + b"Transfer-Encoding: gzip\r\n\r\n"),
    (400, POST + b"Transfer-Encoding: cow\r\n\r\n"),
    (400, POST + b"Transfer-Encoding: \r\n\r\n"),
    (400, POST + b"Transfer-Encoding:\r\n\r\n"),
    (400, POST + b"Transfer-Encoding: ,\r\n\r\n"),
    (400, POST + b"Transfer-Encoding: chunked,\r\n\r\n"),
    (400, POST + b"Transfer-Encoding: ,chunked\r\n\r\n"),
    (400, POST + b"Transfer-Encoding: chunked, chunked\r\n\r\n"),
    (400, POST + b"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n"),
    (400, POST + b"Transfer-Encoding: chunked, gzip\r\n\r\n"),
    (400, POST + b"Transfer-Encoding: chunked, identity\r\n\r\n"),
    (400, POST + b"Transfer-Encoding: chunked\r\nTransfer-Encoding: cow\r\n\r\n"),
    (400, POST + b"Transfer-Encoding: chunked\r\nTransfer-Encoding: \r\n\r\n"),
    (400, POST + b"Transfer-Encoding: chunk\xc3\xa9d\r\n\r\n"),
    (400, POST + b"Transfer-Encoding: chun\r\n ked\r\n\r\n"),
    (422, POST + b"Transfer-Encoding: gzip, chunked\r\n\r\n"),
    (422, POST + b"Transfer-Encoding: identity, chunked\r\n\r\n"),
    (422, POST + b"Transfer-Encoding: gzip\r\nTransfer-Encoding: chunked\r\n\r\n"),
    (400, OLD + b"Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n"),
    (400, OLD + b"Transfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n"),
    # Content-Length that someone might read otherwise
    (400, POST + b"Content-Length: 5\r\nContent-Length: 6\r\n\r\n"),
    (400, POST + b"Content-Length: 5, 6\r\n\r\n"),
    (400, POST + b"Content-Length: 5\r\nContent-Length: 5, 6\r\n\r\n"),
    (400, POST + b"Content-Length: 5,\r\n\r\n"),
    (400, POST + b"Content-Length: ,5\r\n\r\n"),
    (400, POST + b"Content-Length: +5\r\n\r\n"),
    (400, POST + b"Content-Length: -5\r\n\r\n"),
    (400, POST + b"Content-Length: 0x5\r\n\r\n"),
    (400, POST + b"Content-Length: 5_0\r\n\r\n"),
    (400, POST + b"Content-Length: 5 0\r\n\r\n"),
    (400, POST + b"Content-Length: 5.0\r\n\r\n"),
    (400, POST + b"Content-Length: 5e1\r\n\r\n"),
    (400, POST + b"Content-Length: 5;\r\n\r\n"),
    (400, POST + b"Content-Length: \xd9\xa5\r\n\r\n"),
    (400, POST + b"Content-Length: \r\n\r\n"),
    (400, POST + b"Content-Length:\r\n 5\r\n\r\n"),
    (400, POST + b"Content-Length: 1\r\n 0\r\n\r\n"),
    (400, POST + b"Content-Length: 9223372036854775808\r\n\r\n"),
    (400, POST + b"Content-Length: 18446744073709551616\r\n\r\n"),
    (400, POST + b"Content-Length: 18446744073709551621\r\n\r\n"),
    (400, POST + b"Content-Length: 99999999999999999999999999999999\r\n\r\n"),
    (400, POST + b"Content-Length : 5\r\n\r\n"),
    (400, POST + b"Content\x00-Length: 5\r\n\r\n"),
    (400, POST + b"Content-Length: 5\x00\r\n\r\n"),
    # lines that do not end where they seem to
    (400, POST + b"X: y\rTransfer-Encoding: chunked\r\n\r\n"),
    (400, POST + b"X: y\r\rContent-Length: 5\r\n\r\n"),
    (400, POST + b"X: y\r\n\rContent-Length: 5\r\n\r\n"),
    (400, POST + b"X: y\x00\r\nContent-Length: 5\r\n\r\n"),
    (400, b"POST / HTTP/1.1\r\n Host: b\r\nHost: a\r\n\r\n"),
    (400, b"POST / HTTP/1.1\r\n\tX: y\r\nHost: a\r\n\r\n"),
    (400, b"POST / HTTP/1.1\r\n\x0bHost: a\r\n\r\n"),
    (400, b"POST / HTTP/1.1\rHost: a\r\n\r\n"),
    (400, b"GET / HTTP/1.1 GET /b HTTP/1.1\r\nHost: a\r\n\r\n"),
    (400, b"GET /\x0bHTTP/1.1 HTTP/1.1\r\nHost: a\r\n\r\n"),
    (400, b"GET /a\r\n\r\nGET /b HTTP/1.1\r\nHost: a\r\n\r\n"),
    (400, b"\r\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n"),
    # who is asked
    (400, b"GET / HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n"),
    (400, b"GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n"),
    (400, b"GET / HTTP/1.1\r\nHost: a, b\r\n\r\n"),
    (400, b"GET / HTTP/1.1\r\nHost: a\r\n\tb\r\n\r\n"),
    (400, b"GET / HTTP/1.1\r\nHost : a\r\n\r\n"),
    (400, b"GET / HTTP/1.1\r\nHost: a@b\r\n\r\n"),
    (400, b"GET http://b/ HTTP/1.1\r\nHost: a\r\n\r\n"),
    (400, b"GET http://a@b/ HTTP/1.1\r\nHost: b\r\n\r\n"),
    (400, b"GET @a/ HTTP/1.1\r\nHost: a\r\n\r\n"),
    # upgrades that would open a tunnel past us
    (400, TUNNEL + b"\r\n"),
    (400, TUNNEL + b"Sec-WebSocket-Key: short\r\n\r\n"),
    (400, TUNNEL + b"Sec-WebSocket-Key: " + b"x" * 25 + b"\r\n\r\n"),
    (400, TUNNEL + (b"Sec-WebSocket-Key: " + b"x" * 24 + b"\r\n") * 2 + b"\r\n"),
    (400, TUNNEL + b"Sec-WebSocket-Key: 0123456789\r\n 0123456789a\r\n\r\n"),
    # work without end
    (400, POST + b"Connection: " + b"a," * 65 + b"\r\n\r\n"),
    (400, POST + b"Connection: a\r\n" * 65 + b"\r\n"),
]


def test_the_table_is_a_table():
    assert len({data for _, data in NASTY}) == len(NASTY) >= 80


@pytest.mark.parametrize(("status", "data"), NASTY)
def test_a_nasty_request_is_refused(status, data):
    facts = head_doors.request(data)
    assert facts["fault"] == status
    assert facts["why"]


@pytest.mark.parametrize("data", [data for _, data in NASTY])
def test_a_nasty_request_is_not_accepted_in_pieces_either(data):
    for seen in range(len(data)):
        for cut in (seen + 1, len(data)):
            facts = head_doors.request(data[:cut], seen)
            assert facts is None or "fault" in facts
