"""What is answered here: refusals and redirects, in which form, and whether the connection stays."""

import json

import pytest

from edged.model.backend import Backend
from edged.model.policy import Insecure, Termination
from edged.model.route import Route
from tests._fast.talk.scene import CHUNKED, FIRST, GET, OK, POST, Stage, ended, endpoints, head_of, site, stage, status_of

__all__ = ["stage"]


def request(line: bytes, fields: bytes = b"Host: a.test\r\n") -> bytes:
    return line + b" HTTP/1.1\r\n" + fields + b"\r\n"


REFUSED = [
    ("CONNECT", request(b"CONNECT a.test:443", b"Host: a.test:443\r\n"), 405, "PR", True),
    ("TRACE", request(b"TRACE /"), 405, "PR", True),
    ("a host nobody claims", request(b"GET /", b"Host: b.test\r\n"), 503, "SC", True),
    ("no Host", request(b"GET /", b""), 400, "PR", False),
    ("two Hosts", request(b"GET /", b"Host: a.test\r\nHost: a.test\r\n"), 400, "PR", False),
    ("a blank before the colon", request(b"GET /", b"Host: a.test\r\nX : 1\r\n"), 400, "PR", False),
    ("length and chunks", request(b"POST /", b"Host: a.test\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n"), 400, "PR", False),
    ("another coding", request(b"POST /", b"Host: a.test\r\nTransfer-Encoding: gzip, chunked\r\n"), 422, "PR", False),
    ("two lengths", request(b"POST /", b"Host: a.test\r\nContent-Length: 3\r\nContent-Length: 4\r\n"), 400, "PR", False),
    ("a long target", request(b"GET /" + b"x" * 9000), 414, "PR", False),
    ("a long head", request(b"GET /", b"Host: a.test\r\nX: " + b"x" * 16000 + b"\r\n"), 431, "PR", False),
    ("many fields", request(b"GET /", b"Host: a.test\r\n" + b"x: 1\r\n" * 101), 431, "PR", False),
    ("the preface of HTTP/2", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 505, "PR", False),
    ("HTTP/2.0", b"GET / HTTP/2.0\r\nHost: a.test\r\n\r\n", 505, "PR", False),
    ("HTTP/0.9", b"GET /\r\n\r\n", 400, "PR", False),
    ("a TLS hello", b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", 400, "PR", False),
    ("a websocket without its key", request(b"GET /", b"Host: a.test\r\nConnection: upgrade\r\nUpgrade: websocket\r\n"), 400, "PR", False),
    ("a body on a GET of 1.0", b"GET / HTTP/1.0\r\nContent-Length: 3\r\n\r\nabc", 413, "PR", False),
]


@pytest.mark.parametrize(("data", "status", "code", "stays"), [pytest.param(*entry[1:], id=entry[0]) for entry in REFUSED])
def test_a_refusal(stage, data, status, code, stays):
    play = stage()
    client = play.client(data)
    first, fields, body = head_of(client.take())
    assert first.startswith(f"HTTP/1.1 {status} ")
    assert int(fields["content-length"]) == len(body) > 0
    assert fields["cache-control"] == "no-cache"
    assert fields.get("connection") == (None if stays else "close")
    assert ended(play) == [(status, code)]
    assert play.servers == []
    assert (client.state == "idle") == stays
    if stays:
        client.send(GET)
        play.server.send(OK)
        assert status_of(client.take()) == 200
    else:
        client.fin()
        assert client.end == "closed"


@pytest.mark.parametrize("entry", [entry for entry in REFUSED if len(entry[1]) < 200], ids=lambda entry: entry[0])
def test_a_refusal_is_the_same_however_the_bytes_come(stage, entry):
    for cut in range(1, len(entry[1])):
        play = stage()
        client = play.client(entry[1][:cut])
        client.send(entry[1][cut:])
        assert status_of(client.take()) == entry[2], cut
        assert ended(play) == [(entry[2], entry[3])]


def test_without_a_table_there_is_an_answer(stage):
    play = stage(site())
    play.use_table(None)
    client = play.client(GET)
    assert ended(play) == [(503, "SC")]
    play.use_table(site())
    client.send(GET)
    play.server.send(OK)
    assert [status for status, _ in ended(play)] == [503, 200]


def test_an_operators_page_for_404_changes_what_no_route_is_answered_with(stage):
    play = stage(no_route_status=True)
    assert status_of(play.client(request(b"GET /", b"Host: b.test\r\n")).take()) == 404


def test_no_endpoint_at_all(stage):
    play = stage(site(""))
    client = play.client(GET)
    assert ended(play) == [(503, "SC")]
    assert play.log[0]["server"] is None
    assert client.state == "idle"


@pytest.mark.parametrize("standing", [1, 3], ids=["down", "maintenance"])
def test_no_endpoint_that_is_up(stage, standing):
    play = stage()
    play.arena.set_standing(FIRST, standing=standing)
    play.client(GET)
    assert ended(play) == [(503, "SC")]


def test_head_gets_no_page(stage):
    play = stage()
    client = play.client(request(b"HEAD /", b"Host: b.test\r\n"))
    _first, fields, body = head_of(client.take())
    assert (int(fields["content-length"]) > 0, body) == (True, b"")
    assert client.state == "idle"


@pytest.mark.parametrize(("keep", "word"), [(b"", "close"), (b"Connection: keep-alive\r\n", "keep-alive")])
def test_a_client_of_1_0_and_its_connection(stage, keep, word):
    play = stage()
    client = play.client(b"GET / HTTP/1.0\r\nHost: b.test\r\n" + keep + b"\r\n")
    assert head_of(client.take())[1]["connection"] == word
    assert (client.state == "idle") == (word == "keep-alive")


def test_a_refusal_before_the_body_was_read_closes(stage):
    play = stage()
    client = play.client(request(b"POST /", b"Host: b.test\r\nContent-Length: 5\r\n"))
    assert head_of(client.take())[1]["connection"] == "close"
    assert client.state == "linger"
    client.send(b"hello" + GET)
    assert len(ended(play)) == 1


# ---- bodies that are too large ----------------------------------------------------------------------------------------


LARGE_CHUNK = b"POST / HTTP/1.1\r\nHost: a.test\r\nTransfer-Encoding: chunked\r\n\r\n%x\r\n"


@pytest.mark.parametrize(("length", "status"), [(5, 200), (6, 413)])
def test_a_body_with_a_length_is_refused_at_once(stage, length, status):
    play = stage(max_body=5)
    client = play.client(request(b"POST /", b"Host: a.test\r\nContent-Length: %d\r\n" % length))
    assert len(play.servers) == (status == 200)
    if status == 200:
        client.send(b"hello")
        play.server.send(OK)
    assert ended(play) == [(status, "--" if status == 200 else "PR")]


@pytest.mark.parametrize("size", [6, 100, 16384, 1 << 40])
def test_a_chunk_that_would_go_beyond_is_refused_before_any_of_it_goes_on(stage, size):
    play = stage(max_body=5)
    client = play.client(LARGE_CHUNK[:-4])
    client.send(b"%x\r\n" % size + b"x" * 100)
    assert play.server.take().endswith(b"\r\n\r\n")
    assert not play.server.open
    assert status_of(client.take()) == 413
    assert ended(play) == [(413, "PR")]


def test_chunks_that_together_go_beyond(stage):
    play = stage(max_body=5)
    client = play.client(LARGE_CHUNK % 3 + b"abc\r\n2\r\nde\r\n")
    assert b"de" in play.server.take()
    client.send(b"1\r\nf\r\n0\r\n\r\n")
    assert ended(play) == [(413, "PR")]
    assert status_of(client.take()) == 413


def test_chunks_that_just_fit(stage):
    play = stage(max_body=5)
    play.client(CHUNKED)
    play.server.send(OK)
    assert ended(play) == [(200, "--")]


def test_a_routes_own_limit_comes_before_the_general_one(stage):
    play = stage(site(route={"max_body_bytes": 100}), max_body=3)
    play.client(POST)
    play.server.send(OK)
    assert ended(play) == [(200, "--")]


# ---- a body that is wrong ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("body", [b"zz\r\n", b"5\nhello", b"5\r\nhelloX\n", b"-1\r\n", b"0\r\nbad trailer\r\n\r\n", b"100000000000000\r\n"])
def test_a_broken_chunk_is_a_400_and_cuts_the_endpoint_off(stage, body):
    play = stage()
    client = play.client(LARGE_CHUNK[:-4] + body)
    assert status_of(client.take()) == 400
    assert ended(play) == [(400, "PR")]
    assert not play.server.open
    assert client.state == "linger"


def test_a_broken_chunk_after_the_answer_began_cuts_both_off(stage):
    play = stage()
    client = play.client(LARGE_CHUNK % 5 + b"hello\r\n")
    play.server.send(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n01234")
    client.take()
    client.send(b"zz\r\n")
    assert ended(play) == [(200, "PR")]
    assert (client.take(), client.end) == (b"", "closed")


def test_trailers_have_a_limit(stage):
    play = stage(buffer=4096, head_bytes=3000)
    client = play.client(LARGE_CHUNK % 1 + b"x\r\n0\r\n" + b"x: " + b"y" * 5000)
    assert status_of(client.take()) == 400


# ---- pages and redirects ----------------------------------------------------------------------------------------------


def json_of(client) -> dict:
    _, fields, body = head_of(client.take())
    assert fields["content-type"].startswith("application/")
    return json.loads(body)


JSON_GET = request(b"GET /", b"Host: a.test\r\nAccept: application/json\r\n")


def test_every_cause_is_told_as_json_to_those_who_ask_for_it(stage):
    play = stage(site(""))
    assert json_of(play.client(JSON_GET))["status"] == 503
    play = stage(site("e", retries=0))
    play.dials = ["refused"]
    assert json_of(play.client(JSON_GET))["status"] == 503
    play = stage()
    client = play.client(JSON_GET)
    play.server.fin()
    assert json_of(client)["status"] == 502
    client.send(JSON_GET)
    play.server.send(b"nonsense\r\n\r\n")
    assert json_of(client)["status"] == 502
    client.send(JSON_GET)
    play.wait(31000)
    assert json_of(client)["status"] == 504


def test_others_get_a_page(stage):
    play = stage(site(""))
    _, fields, body = head_of(play.client(GET).take())
    assert fields["content-type"].startswith("text/html")
    assert b"<h1>" in body


def redirecting(stage: Stage, **options):
    secure = Route("s", "s.test", "", Backend("secure", endpoints()), termination=Termination.EDGE, insecure=Insecure.REDIRECT)
    everywhere = Route("e", "*", "", Backend("any", endpoints()), termination=Termination.EDGE, insecure=Insecure.REDIRECT)
    return stage(site(more=(secure, everywhere)), **options)


@pytest.mark.parametrize(
    ("data", "location"),
    [
        (b"GET /a?b=c HTTP/1.1\r\nHost: s.test\r\n\r\n", "https://s.test/a?b=c"),
        (b"GET /a HTTP/1.1\r\nHost: S.Test:80\r\n\r\n", "https://s.test/a"),
        (b"GET http://s.test/a?b HTTP/1.1\r\nHost: s.test\r\n\r\n", "https://s.test/a?b"),
        (b"GET http://s.test HTTP/1.1\r\nHost: s.test\r\n\r\n", "https://s.test/"),
    ],
)
def test_a_redirect_to_https(stage, data, location):
    play = redirecting(stage)
    client = play.client(data)
    first, fields, _ = head_of(client.take())
    assert (first, fields["location"]) == ("HTTP/1.1 302 Found", location)
    assert ended(play) == [(302, "LR")]
    assert client.state == "idle"


def test_a_redirect_closes_where_a_body_would_follow(stage):
    play = redirecting(stage)
    client = play.client(b"POST /a HTTP/1.1\r\nHost: s.test\r\nContent-Length: 5\r\n\r\n")
    assert head_of(client.take())[1]["connection"] == "close"
    assert client.state == "linger"


def test_a_redirect_needs_a_host(stage):
    play = redirecting(stage)
    assert status_of(play.client(b"GET / HTTP/1.0\r\n\r\n").take()) == 400


# ---- drain ------------------------------------------------------------------------------------------------------------


def test_while_draining_empty_lines_are_nothing_asked_for(stage):
    play = redirecting(stage)
    client = play.client(GET)
    play.server.send(OK)
    client.take()
    play.drain()
    for _ in range(9):
        play.wait(100)
        client.send(b"\r\n")
    play.wait(99)
    assert client.end == ""
    play.wait(1)
    assert client.end == "closed"


def test_while_draining_who_becomes_idle_has_a_second_as_well(stage):
    play = redirecting(stage)
    client = play.client(GET)
    play.server.send(OK[:-1])                    # the head is out: it cannot tell the client to close
    play.drain()
    play.wait(5000)
    play.server.send(OK[-1:])
    assert "connection" not in head_of(client.take())[1]
    play.wait(999)
    assert client.end == ""
    play.wait(1)
    assert client.end == "closed"


def test_while_draining_idle_ones_leave_and_all_others_are_told_to(stage):
    play = redirecting(stage)
    idle, fresh, busy, late, silent = (play.client() for _ in range(5))
    for client in (idle, busy, late, silent):
        client.send(GET)
        play.server.send(OK)
        client.take()
    busy.send(GET)
    play.drain()
    play.wait(999)
    assert idle.end == silent.end == ""          # a request may be on its way
    late.send(GET)
    late.back.send(OK)
    assert head_of(late.take())[1]["connection"] == "close"
    play.wait(1)
    assert idle.end == silent.end == "closed"
    busy.back.send(OK)
    assert head_of(busy.take())[1]["connection"] == "close"
    fresh.send(GET)
    fresh.back.send(OK)
    assert head_of(fresh.take())[1]["connection"] == "close"
    for data in (request(b"TRACE /"), b"GET / HTTP/1.1\r\nHost: s.test\r\n\r\n"):
        assert head_of(play.client(data).take())[1]["connection"] == "close"
