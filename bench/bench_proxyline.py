"""PROXY headers, read and written."""

import socket

import pytest

from tests.doors import proxyline_doors

TIMES = 1000
V4 = (bytes([192, 0, 2, 7]), 51234), (bytes([198, 51, 100, 9]), 443)
V6 = tuple((socket.inet_pton(socket.AF_INET6, text), port) for text, port in (("2001:db8::7", 51234), ("2001:db8::9", 443)))
HEADERS = {
    "v1-tcp4": proxyline_doors.write(1, *V4), "v1-tcp6": proxyline_doors.write(1, *V6), "v2-tcp4": proxyline_doors.write(2, *V4),
    "v2-tcp6": proxyline_doors.write(2, *V6), "v2-authority-crc": proxyline_doors.write(2, *V4, tlvs=[(2, b"www.example.org")], seal=True),
}


@pytest.mark.parametrize("data", [pytest.param(data, id=name) for name, data in HEADERS.items()])
def test_read(benchmark, data):
    benchmark.group = f"{TIMES} headers read in C"
    assert benchmark(proxyline_doors.parse_line, data, TIMES) == 1


@pytest.mark.parametrize("version", [1, 2])
@pytest.mark.parametrize("addresses", [pytest.param(V4, id="tcp4"), pytest.param(V6, id="tcp6")])
def test_write(benchmark, version, addresses):
    benchmark.group = f"{TIMES} headers written in C"
    assert benchmark(proxyline_doors.write_line, version, *addresses, TIMES) > 20
