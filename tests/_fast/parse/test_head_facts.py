"""What the fields of a request say together: framing, persistence, upgrades, and what must not travel on."""

import pytest

from edged._fast.parse.head import read_request
from tests.doors import head_doors


def ask(fields, line=b"POST / HTTP/1.1"):
    return read_request(line + b"\r\nHost: a\r\n" + fields + b"\r\n")


def flags(fields, line=b"POST / HTTP/1.1"):
    return ask(fields, line)["flags"]


@pytest.mark.parametrize(("value", "length", "sent_on"), [
    (b"0", 0, b"0"), (b"5", 5, b"5"), (b"005", 5, b"5"), (b"000", 0, b"0"), (b"5, 5", 5, b"5"), (b"5,5 ,05", 5, b"5"),
    (b"9223372036854775807", 2**63 - 1, b"9223372036854775807"), (b"0" * 50 + b"7", 7, b"7"),
])
def test_lengths(value, length, sent_on):
    got = ask(b"Content-Length: " + value + b"\r\n")
    assert (got["length"], got["fields"][1][1], got["flags"]) == (length, sent_on, {"length"})


def test_equal_lengths_become_one():
    got = ask(b"Content-Length: 5\r\nX: y\r\ncontent-length: 05\r\n")
    assert (got["length"], got["hop"]) == (5, [b"content-length"])


def test_chunked():
    assert ask(b"Transfer-Encoding: chunked\r\n")["flags"] == {"chunked"}
    assert ask(b"Transfer-Encoding: \t CHUNKED \t\r\n")["length"] is None


@pytest.mark.parametrize(("value", "expected"), [
    (b"close", {"close"}), (b"Close", {"close"}), (b"keep-alive", {"keep_alive"}), (b"Keep-Alive", {"keep_alive"}),
    (b"keep-alive, close", {"close"}), (b"close\r\nConnection: keep-alive", {"close"}), (b"", set()), (b",, ,close,", {"close"}),
    (b"closed", set()), (b"upgrade", set()), (b"keep-alive\r\n , close", {"close", "folded"}), (b"x\tclose", set()),
])
def test_persistence(value, expected):
    assert flags(b"Connection: " + value + b"\r\n") == expected


def test_fields_that_connection_names_must_not_travel_on():
    got = ask(b"Connection: X-A, close , x-b,X-C\r\nX-A: 1\r\nX-B: 2\r\nx-a: 3\r\nX-D: 4\r\n")
    assert got["hop"] == [b"X-A", b"X-B", b"x-a"]
    assert got["flags"] == {"connection_names", "close"}


def test_framing_travels_on_whatever_connection_names():
    got = ask(b"Connection: Host, Content-Length, X\r\nContent-Length: 5\r\n")
    assert (got["hop"], got["length"], got["flags"]) == ([], 5, {"length"})
    assert ask(b"Connection: transfer-encoding\r\nTransfer-Encoding: chunked\r\n")["hop"] == []


def test_names_that_differ_by_a_fold_of_one_bit_are_different():
    assert ask(b"Connection: x^\r\nx~: 1\r\nx^: 2\r\nX^: 3\r\n")["hop"] == [b"x^", b"X^"]


WEBSOCKET = b"Connection: keep-alive, Upgrade\r\nUpgrade: websocket\r\n"
KEY = b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"


def test_upgrades():
    assert flags(WEBSOCKET + KEY) == {"upgrade", "websocket", "keep_alive"}
    assert flags(b"Connection: upgrade\r\nUpgrade: foo/2\r\n") == {"upgrade"}
    assert flags(b"Connection: upgrade\r\nUpgrade: foo, WebSocket\r\n" + KEY) == {"upgrade", "websocket"}
    assert flags(b"Upgrade: websocket\r\n") == set()                                  # not asked for
    assert flags(b"Connection: upgrade\r\n") == set()                                 # to nothing
    assert flags(b"Connection: upgrade\r\nUpgrade: \r\n") == set()
    assert flags(WEBSOCKET, b"GET / HTTP/1.0") == {"keep_alive"}                      # RFC 9110 7.8


@pytest.mark.parametrize("value", [b"h2c", b"H2C", b"websocket, h2c", b"h2c,websocket", b"h2c/1", b"foo\r\nUpgrade: h2c"])
def test_h2c_is_never_an_upgrade(value):
    assert "upgrade" not in flags(b"Connection: upgrade, HTTP2-Settings\r\nUpgrade: " + value + b"\r\nHTTP2-Settings: x\r\n")


def test_expectations_and_te():
    assert flags(b"Expect: 100-Continue\r\n") == {"expect_continue"}
    assert flags(b"Expect: 100-continue\r\n", b"POST / HTTP/1.0") == set()
    assert flags(b"Expect: something\r\n") == set()
    assert flags(b"TE: gzip;q=0.5, Trailers\r\n") == {"trailers_ok"}
    assert flags(b"TE: trailersx\r\n") == set()


@pytest.mark.parametrize("method", [b"GET", b"HEAD", b"DELETE"])
def test_bodies_where_http_1_0_has_none(method):
    line = method + b" / HTTP/1.0"
    facts = head_doors.request(line + b"\r\nContent-Length: 5\r\n\r\n")
    assert facts["fault"] == 413
    assert ask(b"Content-Length: 0\r\n", line)["length"] == 0
    assert ask(b"Content-Length: 5\r\n", method + b" / HTTP/1.1")["length"] == 5
    assert ask(b"Content-Length: 5\r\n", b"POST / HTTP/1.0")["length"] == 5
