"""A daemon that is configured by the router's variables alone, as in its container (openshift-routes.md 11)."""

import json
import re
import socket

import pytest

from tests.scenarios.harness.client import get

LOOPBACK = "127.0.0.1"
VARIABLES = {
    "ROUTER_LOG_LEVEL": "info",
    "ROUTER_HTTP_REQUEST_HEADERS": "X-Edge:one+%25%5Breq.hdr%28X-Shop%29%2Clower%5D:Set,X-Debug:Delete",
    "ROUTER_HTTP_RESPONSE_HEADERS": "Server:Delete,X-Frame-Options:DENY:Set",
    "ROUTER_CAPTURE_HTTP_REQUEST_HEADERS": "Host:32,X-Shop:3",
    "ROUTER_CAPTURE_HTTP_RESPONSE_HEADERS": "Content-Type:64",
    "ROUTER_CAPTURE_HTTP_COOKIE": "SESSION=:16",
    "ROUTER_UNIQUE_ID_FORMAT": "%{+X}o %ci:%cp_%fi:%fp_%Ts_%rt:%pid",
    "ROUTER_UNIQUE_ID_HEADER_NAME": "X-Request-Id",
    "ROUTER_H1_CASE_ADJUST": "Content-Length,X-FORWARDED-FOR",
}
OWN = '"%ci %ST %{+Q}r %hr %hs %CC %ID <%[req.hdr(X-Deep)]> %b/%s %B"'
ID = r"7F000001:[0-9A-F]{4}_7F000001:[0-9A-F]{4}_[0-9A-F]{8}_[0-9A-F]{4}:[0-9A-F]+"


@pytest.fixture
def syslog():
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.bind((LOOPBACK, 0))
        sock.settimeout(20)
        yield sock


@pytest.fixture
def start(daemon, backend, syslog):
    """A daemon whose settings file names nothing but listeners and places."""

    def go(*scripts, route=None, **variables):
        port = syslog.getsockname()[1]
        routes = [{"host": "shop.test", "to": [backend(*scripts).address], **(route or {})}]
        return daemon({"log": None}, routes, {"ROUTER_SYSLOG_ADDRESS": f"{LOOPBACK}:{port}", **VARIABLES, **variables})

    return go


def ask(running, **fields):
    return get(running.address(), "/cart?x=1", host="shop.test", **fields)


def seen(answer, name):
    """The values of a field that the endpoint was sent."""
    return [value for given, value in json.loads(answer.body)["fields"] if given == name]


def tells_names(peer):
    """Answers with the names of the fields as they were spelled."""
    lines = peer.request().raw_head.split(b"\r\n")[1:]
    peer.reply(b" ".join(line.partition(b":")[0] for line in lines))


def test_actions_on_headers_and_ids(start):
    running = start()
    answer = ask(running, X_Shop="Berlin", X_Debug="1", x_request_id="forged")
    assert seen(answer, "x-edge") == ["one berlin"]
    assert seen(answer, "x-debug") == []
    (unique,) = seen(answer, "x-request-id")
    assert re.fullmatch(ID, unique)
    assert answer.get("x-frame-options") == "DENY"
    assert get(running.address(), host="nobody.test").get("x-frame-options") is None


@pytest.mark.parametrize(("route", "name"), [({"h1_adjust_case": True}, b"X-FORWARDED-FOR"), ({}, b"x-forwarded-for")])
def test_names_are_spelled_as_wanted(start, route, name):
    running = start(tells_names, route=route)
    answer = ask(running)
    assert name in answer.body.split()
    assert b"\r\nContent-Length: " in answer.raw_head
    assert b"\r\nContent-Length: " in get(running.address(), host="nobody.test").raw_head


def test_lines_with_captures(start, syslog):
    running = start()
    ask(running, X_Shop="Berlin", Cookie="a=b; SESSION=12345")
    line = syslog.recv(4096).decode()
    assert re.search(r' 200 \d+ SESSION=12345 - .* \{shop\.test\|Ber\} \{application/json\} "GET /cart\?x=1 HTTP/1\.1"$', line)


def test_lines_of_a_format_of_one_s_own(start, syslog):
    running = start(ROUTER_SYSLOG_FORMAT=OWN)
    answer = ask(running, X_Shop="Berlin", X_Deep='a"b')
    line = syslog.recv(4096).decode()
    (unique,) = seen(answer, "x-request-id")
    told = rf'127\.0\.0\.1 200 "GET /cart\?x=1 HTTP/1\.1" \{{shop\.test\|Ber\}} \{{application/json\}} - {re.escape(unique)} <a#22b> '
    assert re.search(told + r"shop\.test/127\.0\.0\.1:\d+ \d+$", line)


def test_requests_on_one_connection_have_ids_of_their_own(start):
    running = start()
    with running.connect() as client:
        ids = [seen(client.ask(host="shop.test"), "x-request-id")[0] for _ in range(3)]
    assert len(set(ids)) == 3
    assert len({one.split("_")[0] for one in ids}) == 1


def test_normal_requests_are_not_logged_at_the_default_level(start, syslog):
    running = start(ROUTER_LOG_LEVEL="")
    ask(running)
    assert running.stop() == 0
    syslog.setblocking(False)
    with pytest.raises(BlockingIOError):
        syslog.recv(4096)
