"""Response heads, by http-edge-behaviour.md 3: what is read, and what makes a 502."""

import pytest

from edged._fast.parse.head import HeadError, read_response
from tests.doors import head_doors


def head(line=b"HTTP/1.1 200 OK", fields=b""):
    return line + b"\r\n" + fields + b"\r\n"


def fault(data, **limits):
    facts = head_doors.response(data, **limits)
    assert facts == head_doors.response(data, at_start=True, **limits)
    assert facts is not None, "asked for more"
    with pytest.raises(HeadError):
        read_response(data, **limits)
    return facts["fault"]


def test_a_response_is_taken_apart():
    data = head(fields=b"Content-Length: 5\r\nSet-Cookie: a=b\r\nSet-Cookie: c=d\r\n")
    assert read_response(data + b"hello") == {
        "status": 200, "reason": b"OK", "minor": 1, "flags": {"length"}, "length": 5, "size": len(data), "hop": [],
        "fields": [(b"Content-Length", b"5"), (b"Set-Cookie", b"a=b"), (b"Set-Cookie", b"c=d")],
    }


@pytest.mark.parametrize(("line", "status", "reason", "minor"), [
    (b"HTTP/1.1 200 OK", 200, b"OK", 1), (b"HTTP/1.0 200 OK", 200, b"OK", 0), (b"HTTP/1.9 200 OK", 200, b"OK", 1),
    (b"HTTP/1.1 204", 204, b"", 1),
    (b"HTTP/1.1 204 ", 204, b"", 1), (b"HTTP/1.1  404  Not  Found ", 404, b"Not  Found", 1), (b"HTTP/1.1\t500\tx", 500, b"x", 1),
    (b"HTTP/1.1 100 Continue", 100, b"Continue", 1), (b"HTTP/1.1 999 \xe4\tb", 999, b"\xe4\tb", 1),
])
def test_status_lines(line, status, reason, minor):
    got = read_response(head(line))
    assert (got["status"], got["reason"], got["minor"]) == (status, reason, minor)


def test_empty_lines_before_and_line_ends_of_lf_alone():
    assert read_response(b"\r\n\nHTTP/1.1 200 OK\nX: y\n\n")["fields"] == [(b"X", b"y")]
    assert read_response(b"HTTP/1.1 200\n\n")["status"] == 200


@pytest.mark.parametrize("line", [
    b"HTTP/1.1 20", b"HTTP/1.1 2000", b"HTTP/1.1 000", b"HTTP/1.1 099", b"HTTP/1.1 20x OK", b"HTTP/1.1 2 0 OK", b"HTTP/1.1 -20 OK",
    b"HTTP/1.1 200OK", b"HTTP/1.1", b"HTTP/1.1 OK", b"HTTP/1.1200 OK xxxxxx", b"HTTP/2.0 200 OK", b"HTTP/0.9 200 OK", b"HTTP/1 200 OK",
    b"HTTP/1.10 200 OK", b"ICY 200 OK xxxx", b" HTTP/1.1 200 OK", b"http/1.1 200 OK", b"<html>no head here", b"HTTP/1.1 200 O\x00K",
    b"HTTP/1.1 200 O\rK", b"HTTP/1.1 200 O\x7fK", b"HTTP/1.1 200\x0b", b"HTTP/1.1            ", b"HTTP/1.1            1",
])
def test_other_status_lines(line):
    assert fault(head(line)) == 502


@pytest.mark.parametrize("fields", [
    b"X : y\r\n", b": y\r\n", b"X\r\n", b" X: y\r\n", b"X: a\x00b\r\n", b"X: a\rb\r\n", b"X\x80: y\r\n",
    b"Content-Length: 5\r\nContent-Length: 6\r\n",
    b"Content-Length: x\r\n", b"Content-Length: \r\n", b"Content-Length: 9223372036854775808\r\n", b"Content-Length: 5\r\n 6\r\n",
    b"Transfer-Encoding: gzip\r\n", b"Transfer-Encoding: chunked, chunked\r\n", b"Transfer-Encoding: gzip, chunked\r\n",
    b"Transfer-Encoding: identity\r\n", b"Transfer-Encoding: \r\n", b"Transfer-Encoding:\r\n chunked\r\n", b"Content-Length : 5\r\n",
])
def test_field_faults(fields):
    assert fault(head(fields=fields)) == 502


def test_chunked_on_http_1_0_is_a_fault():
    assert fault(head(b"HTTP/1.0 200 OK", b"Transfer-Encoding: chunked\r\n")) == 502


def test_a_length_beside_chunked_is_overruled_and_the_connection_ends():
    got = read_response(head(fields=b"Content-Length: 5\r\nConnection: keep-alive\r\nTransfer-Encoding: chunked\r\n"))
    assert (got["flags"], got["length"], got["hop"]) == ({"chunked", "close"}, None, [b"Content-Length"])


def test_limits():
    data = head(fields=b"X: y\r\n" * 5)
    assert head_doors.response(data, head_bytes=len(data), fields=5)
    assert fault(data, fields=4) == 502
    assert fault(data, head_bytes=len(data) - 1) == 502
    assert fault(b"HTTP/1.1 200 " + b"x" * 300, head_bytes=300) == 502
    assert head_doors.response(data[:-1], head_bytes=len(data)) is None


@pytest.mark.parametrize("value", [
    b"NTLM", b"Negotiate", b"negotiate abc==", b"Basic realm=\"x\", NTLM", b"Basic\r\nWWW-Authenticate: NTLM",
])
def test_schemes_that_bind_a_connection_to_its_client(value):
    assert "private_auth" in read_response(head(b"HTTP/1.1 401 No", b"WWW-Authenticate: " + value + b"\r\n"))["flags"]


@pytest.mark.parametrize("value", [b"Basic realm=\"NTLM\"", b"Bearer", b"NTLMx", b"", b"Digest nonce=\"x\""])
def test_schemes_that_do_not(value):
    assert read_response(head(b"HTTP/1.1 401 No", b"WWW-Authenticate: " + value + b"\r\n"))["flags"] == set()


def test_switching_protocols():
    fields = b"Connection: Upgrade\r\nUpgrade: websocket\r\n"
    assert read_response(head(b"HTTP/1.1 101 Switching Protocols", fields))["flags"] == {"upgrade", "websocket"}
    assert read_response(head(b"HTTP/1.1 200 OK", b"Connection: Upgrade\r\nUpgrade: h2,h2c\r\n"))["flags"] == set()


def test_persistence_and_named_fields():
    got = read_response(head(fields=b"Connection: close, X\r\nX: 1\r\nKeep-Alive: timeout=5\r\n"))
    assert (got["flags"], got["hop"]) == ({"close", "connection_names"}, [b"X"])
