"""Heads rewritten in C: divide by TIMES."""

import pytest

from edged.model.policy import Cookie, Forwarded, HeaderAction
from tests._fast.route.sites import build, route
from tests.doors import edit_doors

TIMES = 1000
REQUEST = (
    b"GET /news/2024/03/why-the-river-rises.html?from=front HTTP/1.1\r\nHost: www.example.org\r\n"
    b"User-Agent: Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0\r\n"
    b"Accept: text/html,application/xhtml+xml,*/*;q=0.8\r\nAccept-Language: en-GB,en;q=0.5\r\nAccept-Encoding: gzip, deflate, br\r\n"
    b"Referer: https://www.example.org/news\r\nCookie: session=0123456789abcdef\r\nConnection: keep-alive\r\n"
    b"Upgrade-Insecure-Requests: 1\r\nCache-Control: max-age=0\r\n\r\n"
)
RESPONSE = (
    b"HTTP/1.1 200 OK\r\nServer: nginx\r\nDate: Tue, 05 Mar 2024 10:11:12 GMT\r\nContent-Type: text/html; charset=utf-8\r\n"
    b"Content-Length: 1024\r\nConnection: keep-alive\r\nCache-Control: public, max-age=60\r\nETag: \"65e6f3c0-2b1\"\r\n"
    b"Vary: Accept-Encoding\r\n\r\n"
)
STICKY = Cookie("0123456789abcdef0123456789abcdef")
RECIPES = {
    "plain": {"forwarded": Forwarded.NEVER},
    "forwarded": {},
    "sticky": {"cookie": STICKY},
    "everything": {
        "cookie": STICKY, "path": "/news", "rewrite": "/inner", "hsts": "max-age=31536000", "forwarded": Forwarded.REPLACE,
        "request_headers": (HeaderAction("X-Team", "news"), HeaderAction("Referer")), "response_headers": (HeaderAction("Server"),),
    },
}


@pytest.mark.parametrize("recipe", RECIPES)
def test_request(benchmark, recipe):
    benchmark.group = f"{TIMES} requests of 10 fields"
    assert benchmark(edit_doors.request_many, build([route("www.example.org", **RECIPES[recipe])]), REQUEST, TIMES) > 300


@pytest.mark.parametrize(("recipe", "cookie"), [("plain", b""), ("sticky", b"v" * 32), ("everything", b"")])
def test_response(benchmark, recipe, cookie):
    benchmark.group = f"{TIMES} responses of 8 fields"
    assert benchmark(edit_doors.response_many, build([route("www.example.org", **RECIPES[recipe])]), RESPONSE, cookie, TIMES) > 200
