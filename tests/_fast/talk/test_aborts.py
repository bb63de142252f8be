"""Clients and endpoints that leave, at every stage: who is told what, and what the log says (http-edge-behaviour.md 9, 10)."""

import pytest

from tests._fast.talk.scene import CHUNKED, FIRST, GET, OK, POST, Stage, ended, head_of, site, stage, status_of

__all__ = ["stage"]

HALF_POST = b"POST /x HTTP/1.1\r\nHost: a.test\r\nContent-Length: 10\r\n\r\nhello"
HALF_OK = b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhello"
CHUNKS = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n"
ENDLESS = b"HTTP/1.1 200 OK\r\n\r\nhello"


# ---- clients ----------------------------------------------------------------------------------------------------------


def at_stage(stage: Stage, where: str, **options):
    """A client whose exchange has come so far."""
    play = stage(site(each={"maxconn": 1} if where == "queue" else {}), **options)
    if where == "queue":
        play.client(GET)
    play.dials = {"dial": ["pending"], "pause": ["refused"]}.get(where, [])
    client = play.client({"head": GET[:10], "body": HALF_POST, "chunks": CHUNKED[:-7]}.get(where, GET))
    if where == "answer":
        play.server.send(HALF_OK)
        client.take()
    return play, client


RESET = {"head": "CR", "queue": "CQ", "dial": "CC", "pause": "CC", "body": "CH", "chunks": "CH", "ask": "CH", "answer": "CD"}


@pytest.mark.parametrize("where", ["head", "queue", "dial", "pause", "body", "chunks", "ask", "answer"])
def test_a_client_that_resets(stage, where):
    play, client = at_stage(stage, where)
    server = client.back
    client.reset()
    assert client.end == "closed"
    assert [code for _, code in ended(play)] == [RESET[where]]
    assert server is None or not server.open


@pytest.mark.parametrize(
    ("where", "result"),
    [
        ("head", (400, "CR")),
        ("body", (400, "CH")),
        ("chunks", (400, "CH")),
    ],
)
def test_a_client_that_ends_before_its_request_is_complete(stage, where, result):
    play, client = at_stage(stage, where)
    client.fin()
    assert ended(play) == [result]
    assert status_of(client.take()) == 400
    assert client.end == "closed"


@pytest.mark.parametrize("where", ["queue", "dial", "pause", "ask", "answer"])
def test_a_client_that_half_closes_gets_its_answer(stage, where):
    play, client = at_stage(stage, where)
    client.fin()
    assert client.open
    if where == "queue":
        play.servers[0].send(OK)
    if where == "dial":
        play.server.connect()
    play.wait(1000)
    client.back.send(b"world" if where == "answer" else OK)
    assert client.take().endswith(b"world" if where == "answer" else b"hi")
    assert client.end == "closed"
    assert ended(play)[-1] == (200, "--")


@pytest.mark.parametrize(
    ("where", "result", "told"),
    [("queue", (0, "CQ"), b""), ("dial", (0, "CC"), b""), ("pause", (0, "CC"), b""), ("ask", (400, "CH"), b"HTTP/1.1 400 ")],
)
def test_abort_on_close(stage, where, result, told):
    play, client = at_stage(stage, where, abort_on_close=True)
    server = client.back
    client.fin()
    assert ended(play) == [result]
    assert client.take()[:13] == told
    assert client.end == "closed"
    assert server is None or not server.open


def test_abort_on_close_notices_what_stands_behind_a_pipelined_request(stage):
    play = stage(abort_on_close=True)
    client = play.client(GET + GET)
    client.fin()
    assert ended(play) == [(400, "CH")]


def test_abort_on_close_lets_an_answer_end(stage):
    _play, client = at_stage(stage, "answer", abort_on_close=True)
    client.fin()
    client.back.send(b"world")
    assert client.take() == b"world"


def test_a_client_that_never_says_a_word(stage):
    play = stage()
    client = play.client().fin()
    assert (client.take(), client.end, ended(play)) == (b"", "closed", [(400, "CR")])


@pytest.mark.parametrize("option", ["dont_log_null", "ignore_probes"])
def test_it_need_not_be_logged(stage, option):
    play = stage(**{option: True})
    client = play.client().fin()
    assert (client.end, ended(play)) == ("closed", [])


def test_a_client_that_leaves_between_requests(stage):
    play = stage()
    client = play.client(GET)
    play.server.send(OK)
    client.fin()
    assert (client.end, ended(play)) == ("closed", [(200, "--")])


def test_the_last_request_before_the_end_is_served(stage):
    play = stage()
    client = play.client()
    client.send(GET + GET).fin()
    for _ in range(2):
        client.back.send(OK)
    assert client.take().count(b"200 OK") == 2
    assert client.end == "closed"


def test_a_client_that_gives_up_its_body_still_gets_the_answer_that_has_begun(stage):
    play = stage()
    client = play.client(HALF_POST)
    server = client.back
    server.send(HALF_OK)
    client.fin()
    assert server.end == "shut"
    server.send(b"world")
    assert client.take().endswith(b"helloworld")
    assert client.end == "closed"
    assert not server.open
    assert ended(play) == [(200, "--")]
    assert play.cell(FIRST)["client_aborts"] == 1


# ---- endpoints --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("how", ["fin", "reset"])
@pytest.mark.parametrize(
    "said", [b"", b"H", b"HTTP/1.1 200 OK\r\n", b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n", b"HTTP/1.1 100 Continue\r\n\r\n"],
)
@pytest.mark.parametrize("asked", [GET, POST, HALF_POST], ids=["get", "post", "half a post"])
def test_an_endpoint_that_leaves_before_its_head_is_complete(stage, asked, said, how):
    play = stage()
    client = play.client(asked)
    play.server.send(said)
    play.server.fin() if how == "fin" else play.server.reset()
    assert ended(play) == [(502, "SH")]
    assert b"HTTP/1.1 502 " in client.take()
    assert (client.state == "idle") == (asked != HALF_POST)
    assert play.cell(FIRST)["response_errors"] == 1


@pytest.mark.parametrize(
    "nonsense",
    [
        b"hello\r\n\r\n", b"HTTP/1.1 20 OK\r\n\r\n", b"HTTP/1.1 000 OK\r\n\r\n", b"HTTP/1.1 099 OK\r\n\r\n", b"HTTP/1.1 2000 OK\r\n\r\n",
        b"HTTP/2.0 200 OK\r\n\r\n", b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n", b"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nX : 1\r\n\r\n", b"HTTP/1.1 200 OK\r\nX: " + b"x" * 17000 + b"\r\n\r\n",
        b"HTTP/1.1 200 OK\r\n" + b"x: 1\r\n" * 102 + b"\r\n", b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: chat\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
    ],
)
def test_an_endpoint_that_answers_nonsense(stage, nonsense):
    play = stage()
    client = play.client(GET)
    play.server.send(nonsense)
    assert ended(play) == [(502, "PH")]
    assert (status_of(client.take()), client.state) == (502, "idle")
    assert not play.server.open
    assert play.cell(FIRST)["response_errors"] == 1


@pytest.mark.parametrize("how", ["fin", "reset"])
@pytest.mark.parametrize(("answer", "end"), [(HALF_OK, "closed"), (CHUNKS, "closed"), (CHUNKS[:-2], "closed")])
def test_an_endpoint_that_breaks_off_its_answer(stage, answer, end, how):
    play = stage()
    client = play.client(GET)
    play.server.send(answer)
    play.server.fin() if how == "fin" else play.server.reset()
    assert ended(play) == [(200, "SD")]
    assert b"hello" in client.take()
    assert client.end == end


def test_an_endpoint_that_resets_in_an_answer_without_length(stage):
    play = stage()
    client = play.client(GET)
    play.server.send(ENDLESS).reset()
    assert (ended(play), client.end) == ([(200, "SD")], "reset")


def test_a_chunk_that_breaks_later_cuts_the_client_off(stage):
    play = stage()
    client = play.client(GET)
    play.server.send(CHUNKS).send(b"zz\r\n")
    assert (ended(play), client.end) == ([(200, "SD")], "closed")
    assert not client.take().endswith(b"0\r\n\r\n")


@pytest.mark.parametrize("answer", [CHUNKS, HALF_OK, ENDLESS])
@pytest.mark.parametrize("pipes", [False, True])
def test_what_came_before_a_break_still_reaches_a_slow_client(stage, answer, pipes):
    play = stage(pipes=pipes)
    client = play.client(GET)
    client.more(3)
    play.server.crash(answer)
    while client.open:
        before = len(client.got)
        client.more(1)
        assert len(client.got) == before + 1 or not client.open
    assert client.take().partition(b"\r\n\r\n")[2].strip().endswith(b"hello")
    assert ended(play) == [(200, "SD")]


@pytest.mark.parametrize("pipes", [False, True])
@pytest.mark.parametrize("tail", [b"", b"x" * 40000], ids=["short", "long"])
def test_an_early_answer_is_not_lost_to_the_reset_behind_it(stage, pipes, tail):
    """The endpoint has had enough, says so, and closes with bytes of the request unread."""
    play = stage(pipes=pipes)
    client = play.client(b"POST /x HTTP/1.1\r\nHost: a.test\r\nContent-Length: 1000000\r\n\r\n")
    server = client.back
    server.more(0)
    client.send(b"x" * 50000)
    server.crash(b"HTTP/1.1 413 Content Too Large\r\nContent-Length: %d\r\n\r\n" % (3 + len(tail)) + b"no!" + tail)
    client.send(b"x" * 50000)
    first, _, body = head_of(client.take())
    assert (first, body) == ("HTTP/1.1 413 Content Too Large", b"no!" + tail)
    assert ended(play) == [(413, "--")]
    assert (client.state, server.open) == ("linger", False)


def test_a_reset_without_an_answer_while_the_body_goes_out(stage):
    play = stage()
    client = play.client(HALF_POST)
    client.back.crash(b"")
    client.send(b"world")
    assert ended(play) == [(502, "SH")]
    assert status_of(client.take()) == 502


def test_an_endpoint_that_ends_its_direction_while_the_body_goes_out(stage):
    play = stage()
    client = play.client(HALF_POST)
    client.back.send(HALF_OK.replace(b"10", b"5")).fin()
    assert client.take().endswith(b"hello")
    assert ended(play) == [(200, "--")]
    assert client.state == "linger"


def test_without_an_answer_the_next_request_is_served_all_the_same(stage):
    play = stage()
    client = play.client(GET + GET)
    play.server.fin()
    play.server.send(OK)
    assert ended(play) == [(502, "SH"), (200, "--")]
    assert client.state == "idle"
