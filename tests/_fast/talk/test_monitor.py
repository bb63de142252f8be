"""The monitor path: an answer of our own before any route (openshift-routes.md 6.2 and 15.4, high-availability.md B.2)."""

import pytest
from tests.doors.peers import near

from tests._fast.talk.scene import GET, OK, ended, head_of, stage, status_of

__all__ = ["stage"]

PATH = b"/_______internal_router_healthz"


def request(line=b"GET " + PATH, fields=b"Host: nobody.test\r\n", version=b"1.1", body=b""):
    return line + b" HTTP/" + version + b"\r\n" + fields + b"\r\n" + body


ASKED = request()


@pytest.mark.parametrize(
    ("peer", "local", "is_so"),
    [
        ("127.0.0.1:1", "127.0.0.1:80", True), ("127.255.0.9:1", "192.0.2.1:80", True), ("[::1]:1", "[::1]:80", True),
        ("192.0.2.1:1", "192.0.2.1:80", True), ("[2001:db8::7]:1", "[2001:db8::7]:80", True), ("", "", True),
        ("192.0.2.2:80", "192.0.2.1:80", False), ("128.0.0.1:1", "127.0.0.1:80", False), ("[2001:db8::7]:80", "[2001:db8::8]:80", False),
        ("[::2]:1", "[::1]:80", False), ("[7f00::1]:1", "127.0.0.1:80", False), ("[c000:201::]:1", "192.0.2.1:80", False),
        ("192.0.2.1:80", "[c000:201::]:80", False), ("192.0.2.1:1", "", False), ("[::]:1", "", False), ("0.0.0.0:1", "", False),
    ],
)
def test_who_is_on_this_node(peer, local, is_so):
    assert near(peer, local) is is_so


def watched(stage, *data, **options):
    play = stage()
    return play, play.client(b"".join(data), monitored=True, **options)


def test_it_is_answered_without_a_route_or_an_endpoint(stage):
    play, client = watched(stage, ASKED)
    first, fields, body = head_of(client.take())
    assert (first, body) == ("HTTP/1.1 200 OK", b"OK\n")
    assert fields == {"cache-control": "no-store", "content-type": "text/plain", "content-length": "3"}
    assert play.servers == []
    assert client.end == ""


def test_it_counts_as_a_request_without_a_route_and_has_no_line(stage):
    play, _ = watched(stage, ASKED)
    assert (play.tally["requests"], play.tally["answered_here"], play.listener["requests"]) == (1, 1, 1)
    assert (play.listener["bad_requests"], play.table_holders) == (0, [0])
    assert ended(play) == []


@pytest.mark.parametrize(
    "asked",
    [
        request(fields=b"Host: a.test\r\n"), request(fields=b"Host:\r\n"), request(b"GET http://b.test" + PATH, b"Host: b.test\r\n"),
        request(b"GET " + PATH + b"?at=1"), request(fields=b"", version=b"1.0"),
    ],
    ids=["the host of a route", "no host", "absolute", "a query", "HTTP/1.0"],
)
def test_however_it_is_asked_for(stage, asked):
    _, client = watched(stage, asked)
    assert status_of(client.take()) == 200


@pytest.mark.parametrize("path", [PATH[:-1], PATH + b"x", PATH + b"/", b"/x" + PATH, PATH.upper(), b"/%5F" + PATH[2:]])
def test_another_path_is_routed(stage, path):
    play, client = watched(stage, request(b"GET " + path, b"Host: a.test\r\n"))
    assert head_of(play.server.take())[0] == f"GET {path.decode()} HTTP/1.1"
    play.server.send(OK)
    assert status_of(client.take()) == 200


def test_where_it_is_off_the_path_is_routed(stage):
    play = stage()
    client = play.client(request(fields=b"Host: a.test\r\n"))
    assert head_of(play.server.take())[0] == f"GET {PATH.decode()} HTTP/1.1"
    play.server.send(OK)
    client.take()
    assert status_of(play.client(ASKED).take()) == 503


def test_head_has_no_body(stage):
    _, client = watched(stage, request(b"HEAD " + PATH), ASKED)
    first, fields, rest = head_of(client.take())
    assert (first, fields["content-length"]) == ("HTTP/1.1 200 OK", "3")
    assert head_of(rest)[2] == b"OK\n"          # the answer of the next request


@pytest.mark.parametrize("method", [b"POST", b"PUT", b"DELETE", b"OPTIONS", b"TRACE", b"REPORT"])
def test_other_methods_are_told_so_and_never_routed(stage, method):
    play, client = watched(stage, request(method + b" " + PATH, b"Host: a.test\r\n"))
    first, fields, body = head_of(client.take())
    assert (first, body) == ("HTTP/1.1 405 Method Not Allowed", b"")
    assert fields == {"allow": "GET, HEAD", "cache-control": "no-store", "content-length": "0"}
    assert play.servers == ended(play) == []
    assert client.end == ""


def test_the_connection_goes_on_to_a_route_and_back(stage):
    play, client = watched(stage, ASKED, GET, ASKED, GET)
    for _ in range(2):
        assert status_of(client.take()) == 200
        play.server.send(OK)
    assert status_of(client.take()) == 200
    assert [status for status, _ in ended(play)] == [200, 200]       # those of the route


def test_a_client_that_is_to_close_is_told(stage):
    for asked in (request(fields=b"Host: a\r\nConnection: close\r\n"), request(version=b"1.0")):
        _, client = watched(stage, asked)
        assert head_of(client.take())[1]["connection"] == "close"
        client.fin()
        assert client.end == "closed"


def test_an_old_client_that_stays_is_told(stage):
    _, client = watched(stage, request(fields=b"Connection: keep-alive\r\n", version=b"1.0"))
    assert head_of(client.take())[1]["connection"] == "keep-alive"
    assert client.end == ""


def test_a_body_that_nobody_reads_ends_the_connection(stage):
    _, client = watched(stage, request(fields=b"Host: a\r\nContent-Length: 5\r\n", body=b"he"))
    assert head_of(client.take())[1]["connection"] == "close"
    client.fin()


def test_in_a_drain_it_answers_and_closes(stage):
    play, client = watched(stage)
    client.send(ASKED)
    assert "connection" not in head_of(client.take())[1]
    play.drain()
    client.send(ASKED)
    first, fields, _ = head_of(client.take())
    assert (first, fields["connection"]) == ("HTTP/1.1 200 OK", "close")
    client.fin()
    assert client.end == "closed"
