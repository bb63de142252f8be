"""Every timeout by name: when it runs, what it is not prolonged by, what it answers (http-edge-behaviour.md 7)."""

import pytest

from edged.model.policy import Timeouts
from tests._fast.talk.scene import CHUNKED, FIRST, GET, OK, POST, SWITCH, UPGRADE, ended, site, stage, status_of

__all__ = ["stage"]

BIG = b"HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n"
CHUNKS = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n"
ENDLESS = b"HTTP/1.1 200 OK\r\n\r\nhello"
HALF_POST = b"POST /x HTTP/1.1\r\nHost: a.test\r\nContent-Length: 10\r\n\r\nhello"
EXPECT = b"POST /x HTTP/1.1\r\nHost: a.test\r\nContent-Length: 5\r\nExpect: 100-continue\r\n\r\n"


# ---- before a request -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("said", [b"", b"\r\n", b"G", GET[:-1], POST[:20]])
def test_http_request_a_head_that_does_not_come(stage, said):
    play = stage()
    client = play.client(said)
    play.wait(9999)
    assert (client.take(), client.open) == (b"", True)
    play.wait(1)
    assert status_of(client.take()) == 408
    assert ended(play) == [(408, "cR")]
    play.wait(1000)
    assert client.end == "closed"


def test_http_request_is_not_prolonged_by_dripping(stage):
    play = stage()
    client = play.client()
    for byte in GET[:-1]:
        client.send(bytes([byte]))
        play.wait(9999 // len(GET))
    play.wait(10000 - play.now)
    assert ended(play) == [(408, "cR")]


def test_http_request_begins_with_the_first_byte_of_a_later_request(stage):
    play = stage()
    client = play.client(GET)
    play.server.send(OK)
    play.wait(100000)
    client.send(b"G")
    assert client.due_in == 10000
    play.wait(10000)
    assert ended(play)[-1] == (408, "cR")


def test_probes_can_be_ignored(stage):
    play = stage(ignore_probes=True)
    client = play.client()
    play.wait(10000)
    assert (client.take(), client.end, play.log) == (b"", "closed", [])


def test_a_408_to_nothing_needs_no_line(stage):
    play = stage(dont_log_null=True)
    client = play.client()
    play.wait(10000)
    assert status_of(client.take()) == 408
    assert ended(play) == []


@pytest.mark.parametrize("times", [{"http_request": 0}, {"http_request": 0, "http_keep_alive": 0}])
def test_without_http_request_client_takes_its_place(stage, times):
    play = stage(**times)
    assert [play.client(said).due_in for said in (b"", b"GET")] == [30000, 30000]


@pytest.mark.parametrize(
    ("times", "due"),
    [({}, 300000), ({"http_keep_alive": 7000}, 7000), ({"http_keep_alive": 0}, 10000), ({"http_keep_alive": 0, "http_request": 0}, 30000)],
)
def test_http_keep_alive_closes_without_a_word(stage, times, due):
    play = stage(**times)
    client = play.client(GET)
    play.server.send(OK)
    client.take()
    assert client.due_in == due
    play.wait(due)
    assert (client.take(), client.end) == (b"", "closed")
    assert ended(play) == [(200, "--")]


def test_http_keep_alive_is_not_prolonged_by_empty_lines(stage):
    play = stage(http_keep_alive=1000)
    client = play.client(GET)
    play.server.send(OK)
    for _ in range(10):
        play.wait(100)
        client.send(b"\r\n")
    assert client.end == "closed"


# ---- a request and its answer -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("asked", [GET, POST, CHUNKED])
def test_server_no_answer(stage, asked):
    play = stage()
    client = play.client(asked)
    play.wait(30999)
    assert client.take() == b""
    play.wait(1)
    assert status_of(client.take()) == 504
    assert ended(play) == [(504, "sH")]
    assert not play.server.open
    assert client.state == "idle"
    assert play.cell(FIRST)["response_errors"] == 1


def test_server_begins_when_the_request_is_out(stage):
    play = stage()
    client = play.client(HALF_POST)
    play.wait(20000)
    client.send(b"world")
    assert client.due_in == 31000
    play.wait(31000)
    assert ended(play) == [(504, "sH")]


@pytest.mark.parametrize("asked", [HALF_POST, CHUNKED[:-7], CHUNKED[:-5], CHUNKED[:-2]])
def test_client_a_body_that_does_not_come(stage, asked):
    play = stage()
    client = play.client(asked)
    play.wait(29999)
    assert client.take() == b""
    play.wait(1)
    assert status_of(client.take()) == 408
    assert ended(play) == [(408, "cH")]
    assert not play.server.open


def test_client_is_prolonged_by_what_comes(stage):
    play = stage()
    client = play.client(HALF_POST)
    for byte in b"worl":
        play.wait(29000)
        client.send(bytes([byte]))
    assert client.due_in == 30000


def test_server_an_endpoint_that_does_not_take_the_body(stage):
    play = stage()
    client = play.client(POST[:-5].replace(b"5", b"99999"))
    client.back.more(0)
    client.send(b"x" * 50000)
    play.wait(31000)
    assert ended(play) == [(504, "sH")]


def test_server_an_endpoint_that_owes_a_100(stage):
    play = stage()
    play.client(EXPECT)
    play.wait(31000)
    assert ended(play) == [(504, "sH")]


@pytest.mark.parametrize("late", [b"HTTP/1.1 100 Continue\r\n\r\n", None])
def test_client_behind_a_100_or_with_the_first_byte(stage, late):
    play = stage()
    client = play.client(EXPECT)
    play.wait(1000)
    client.back.send(late) if late else client.send(b"h")
    play.wait(30000)
    assert ended(play) == [(408, "cH")]


@pytest.mark.parametrize(("answer", "end"), [(BIG, "closed"), (CHUNKS, "closed"), (ENDLESS, "reset")])
def test_server_in_the_middle_of_an_answer(stage, answer, end):
    play = stage()
    client = play.client(GET)
    play.server.send(answer)
    play.wait(31000)
    assert ended(play) == [(200, "sD")]
    assert client.end == end


def test_server_in_the_middle_of_an_answer_that_is_decoded(stage):
    """For a client of 1.0 the end of the connection would be the end of the answer: it has to be a reset."""
    play = stage()
    client = play.client(b"GET / HTTP/1.0\r\nHost: a.test\r\n\r\n")
    play.server.send(CHUNKS)
    play.wait(31000)
    assert (client.take().endswith(b"hello"), client.end) == (True, "reset")


@pytest.mark.parametrize("pipes", [False, True])
@pytest.mark.parametrize("body", [BIG + b"x" * 1000000, ENDLESS + b"x" * 100000, CHUNKS + b"1000\r\n" + b"x" * 4096])
def test_client_that_does_not_take_its_answer(stage, body, pipes):
    play = stage(pipes=pipes)
    client = play.client(GET)
    client.more(10)
    play.server.send(body)
    play.wait(29000)
    client.more(1)
    play.wait(29999)
    assert client.open
    play.wait(1)
    assert ended(play) == [(200, "cD")]


def test_server_is_prolonged_by_what_comes(stage):
    play = stage()
    client = play.client(GET)
    play.server.send(BIG)
    for _ in range(5):
        play.wait(30000)
        play.server.send(b"x")
    assert client.due_in == 31000


def test_linger_ends(stage):
    play = stage()
    client = play.client(POST.replace(b"a.test", b"b.test")[:-5])
    assert client.state == "linger"
    for _ in range(9):
        play.wait(100)
        client.send(b"x")
    assert client.open
    play.wait(100)
    assert client.end == "closed"


def test_an_own_answer_that_is_not_taken(stage):
    play = stage()
    client = play.client()
    client.more(0)
    client.send(GET.replace(b"a.test", b"b.test"))
    assert client.due_in == 30000
    play.wait(30000)
    assert client.end == "closed"


# ---- of a route -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("times", "asked", "code"),
    [
        ({"server_ms": 70}, GET, "sH"),
        ({"client_ms": 70}, HALF_POST, "cH"),
    ],
)
def test_a_route_has_its_own_times(stage, times, asked, code):
    play = stage(site("e", timeouts=Timeouts(**times)))
    client = play.client(asked)
    assert client.due_in == 70
    play.wait(70)
    assert [entry[1] for entry in ended(play)] == [code]


@pytest.mark.parametrize("times", [{"server": 0}, {"server": 31000}])
def test_zero_is_for_ever(stage, times):
    play = stage(idle_ok=True, **times)
    client = play.client(GET)
    assert client.due_in == (times["server"] or None)
    play.server.send(OK)


# ---- tunnels ----------------------------------------------------------------------------------------------------------


def tunnel(play, kind):
    if kind == "tcp":
        return play.client(tcp=True)
    client = play.client(UPGRADE)
    play.server.send(SWITCH)
    client.take()
    play.server.take()
    return client


@pytest.mark.parametrize("kind", ["tcp", "upgrade"])
def test_tunnel_both_silent(stage, kind):
    play = stage()
    client = tunnel(play, kind)
    play.wait(1000000)
    client.send(b"x")
    play.wait(1000000)
    client.back.send(b"y")
    assert client.due_in == 3600000
    play.wait(3600000)
    assert ended(play) == [(101 if kind == "upgrade" else 0, "cD")]
    assert client.end == "reset"


@pytest.mark.parametrize("kind", ["tcp", "upgrade"])
def test_server_fin_an_endpoint_that_was_told_the_end(stage, kind):
    play = stage()
    client = tunnel(play, kind)
    client.fin()
    assert client.back.end == "shut"
    for _ in range(5):
        play.wait(1000)
        client.back.send(b"late")
    assert client.take() == b"late" * 5
    assert client.due_in == 1100
    play.wait(1100)
    assert ended(play)[0][1] == "sD"


@pytest.mark.parametrize("kind", ["tcp", "upgrade"])
def test_client_fin_a_client_that_was_told_the_end(stage, kind):
    play = stage()
    client = tunnel(play, kind)
    client.back.fin()
    assert client.end == "shut"
    for _ in range(5):
        play.wait(900)
        client.send(b"late")
    assert client.back.take() == b"late" * 5
    assert client.due_in == 1000
    play.wait(1000)
    assert ended(play)[0][1] == "cD"


# ---- the PROXY header -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("said", [b"", b"PROXY TCP4 192.0"])
def test_proxy_header_in_time(stage, said):
    play = stage()
    client = play.client(said, proxy=True)
    play.wait(4999)
    assert client.open
    play.wait(1)
    assert (client.take(), client.end, play.listener["proxy_refused"]) == (b"", "reset", 1)
