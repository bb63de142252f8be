"""Heads: a request as browsers send it, and its peer in the same run, llhttp through httptools.

Each pair does the same from Python: one call for one request, without looking at any field. The `in_c` rows show what a head costs
where no Python is: divide by HEADS.
"""

import pytest
from httptools import HttpRequestParser, HttpResponseParser

from tests.doors import head_doors

HEADS = 1000
SMALL = b"GET / HTTP/1.1\r\nHost: www.example.org\r\n\r\n"
BROWSER = (
    b"GET /news/2024/03/why-the-river-rises.html?from=front HTTP/1.1\r\nHost: www.example.org\r\n"
    b"User-Agent: Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0\r\n"
    b"Accept: text/html,application/xhtml+xml,*/*;q=0.8\r\nAccept-Language: en-GB,en;q=0.5\r\nAccept-Encoding: gzip, deflate, br\r\n"
    b"Referer: https://www.example.org/news\r\nCookie: session=0123456789abcdef\r\nConnection: keep-alive\r\n"
    b"Upgrade-Insecure-Requests: 1\r\nCache-Control: max-age=0\r\n\r\n"
)
RESPONSE = (
    b"HTTP/1.1 200 OK\r\nServer: nginx\r\nDate: Tue, 05 Mar 2024 10:11:12 GMT\r\nContent-Type: text/html; charset=utf-8\r\n"
    b"Content-Length: 0\r\nConnection: keep-alive\r\nCache-Control: public, max-age=60\r\nETag: \"65e6f3c0-2b1\"\r\n"
    b"Vary: Accept-Encoding\r\n\r\n"
)
REQUESTS = [pytest.param(SMALL, id="1-field"), pytest.param(BROWSER, id="10-fields")]


class Deaf:
    """No callback: httptools then only parses."""


@pytest.mark.parametrize("data", REQUESTS)
def test_request(benchmark, data):
    benchmark.group = f"request of {len(data)} bytes"
    assert benchmark(head_doors.parse_request, data) == 1


@pytest.mark.parametrize("data", REQUESTS)
def test_request_httptools(benchmark, data):
    """One parser for all, as a kept-alive connection has it: its start is not counted."""
    benchmark.group = f"request of {len(data)} bytes"
    benchmark(HttpRequestParser(Deaf()).feed_data, data)


@pytest.mark.parametrize("data", REQUESTS)
def test_request_in_c(benchmark, data):
    benchmark.group = f"{HEADS} requests in C"
    assert benchmark(head_doors.parse_request, data, HEADS) == 1


def test_response(benchmark):
    benchmark.group = f"response of {len(RESPONSE)} bytes"
    assert benchmark(head_doors.parse_response, RESPONSE) == 1


def test_response_httptools(benchmark):
    benchmark.group = f"response of {len(RESPONSE)} bytes"
    benchmark(HttpResponseParser(Deaf()).feed_data, RESPONSE)


def test_response_in_c(benchmark):
    benchmark.group = f"{HEADS} responses in C"
    assert benchmark(head_doors.parse_response, RESPONSE, HEADS) == 1
