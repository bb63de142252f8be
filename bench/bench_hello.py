"""ClientHellos: in one record, divided over records, and with a large key share."""

import pytest

from tests.doors import hello_doors

TIMES = 1000


def vector(data, length_bytes):
    return len(data).to_bytes(length_bytes, "big") + data


def hello(key_share, record):
    name = b"\0\0" + vector(vector(b"\0" + vector(b"www.example.org", 2), 2), 2)
    alpn = b"\0\x10" + vector(vector(b"\x02h2\x08http/1.1", 2), 2)
    versions = b"\0\x2b" + vector(vector(b"\x0a\x0a\x03\x04\x03\x03", 1), 2)
    others = b"".join(number.to_bytes(2, "big") + vector(bytes(8), 2) for number in (0x0A0A, 5, 10, 11, 13, 23, 35, 45))
    share = b"\0\x33" + vector(bytes(key_share), 2)
    body = b"\x03\x03" + bytes(32) + vector(bytes(32), 1) + vector(bytes(32), 2) + vector(b"\0",
    1) + vector(others + share + alpn + versions + name, 2)
    message = b"\x01" + vector(body, 3)
    return b"".join(b"\x16\x03\x01" + vector(message[i:i + record], 2) for i in range(0, len(message), record))


@pytest.mark.parametrize("data", [
    pytest.param(hello(38, 16384), id="one-record"), pytest.param(hello(1220, 16384), id="large-key-share"),
    pytest.param(hello(38, 100), id="divided"),
])
def test_hello(benchmark, data):
    benchmark.group = f"{TIMES} hellos in C"
    assert benchmark(hello_doors.parse_hello, data, TIMES) == 1
