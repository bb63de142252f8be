"""Endpoints that cannot be reached: retries, pauses, redispatch (http-edge-behaviour.md 6); and kept connections that turn out to be
closed (5, 18.7)."""

import pytest

from edged.model.policy import Algorithm, Balance, Timeouts
from tests._fast.talk.scene import FIRST, GET, OK, POST, SECOND, ended, head_of, site, stage, status_of

__all__ = ["stage"]

DOWN = 1
HALF_S = Timeouts(connect_ms=500)


def test_a_refused_connection_is_tried_again_after_a_pause(stage):
    play = stage(site("e", timeouts=HALF_S))
    play.dials = ["refused"]
    client = play.client(GET)
    assert (client.state, client.due_in) == ("pause", 500)
    play.wait(499)
    assert play.servers == []
    play.wait(1)
    play.server.send(OK)
    assert status_of(client.take()) == 200
    assert (play.log[0]["retries"], play.log[0]["redispatched"], play.log[0]["code"]) == (1, False, "----")
    assert (play.cell(FIRST)["connect_errors"], play.cell(FIRST)["retries"]) == (1, 1)


@pytest.mark.parametrize(("connect_ms", "until_ms"), [(500, 1500), (1000, 3000), (5000, 3000)])
def test_after_all_retries_it_is_a_503(stage, connect_ms, until_ms):
    play = stage(site("e", timeouts=Timeouts(connect_ms=connect_ms)))
    play.dials = ["refused"] * 4
    client = play.client(GET)
    play.wait(until_ms - 1)
    assert play.log == []
    play.wait(1)
    assert ended(play) == [(503, "SC")]
    assert play.log[0]["retries"] == 3
    assert client.state == "idle"


@pytest.mark.parametrize("retries", [0, 1, 5])
def test_retries_are_counted_after_the_first_attempt(stage, retries):
    play = stage(site("e", retries=retries, timeouts=HALF_S))
    play.dials = ["refused"] * (retries + 1)
    play.client(GET)
    play.wait(500 * retries)
    assert ended(play) == [(503, "SC")]
    assert play.cell(FIRST)["connect_errors"] == retries + 1


def test_a_connection_that_times_out_is_tried_again_at_once(stage):
    play = stage(site("e", timeouts=HALF_S))
    play.dials = ["pending"] * 4
    client = play.client(GET)
    for attempt in range(1, 5):
        assert len(play.servers) == attempt
        assert client.due_in == 500
        play.wait(500)
        assert play.servers[attempt - 1].end == "closed"
    assert ended(play) == [(503, "sC")]
    assert play.now == 2000


def test_a_pending_connection_that_is_refused(stage):
    play = stage(site("e", retries=0))
    play.dials = ["pending"]
    play.client(GET)
    play.server.refuse()
    assert ended(play) == [(503, "SC")]


def test_a_pending_connection_carries_the_request_when_it_stands(stage):
    play = stage()
    play.dials = ["pending"]
    client = play.client(POST)
    play.wait(1000)
    assert (client.state, play.server.take()) == ("dial", b"")
    play.server.connect().send(OK)
    assert play.server.take().endswith(b"hello")
    assert play.log[0]["times"][:3] == [0, 0, 1000]


# ---- redispatch -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("algorithm", [Algorithm.ROUNDROBIN, Algorithm.STATIC_RR, Algorithm.LEASTCONN, Algorithm.RANDOM, Algorithm.FIRST])
def test_where_no_hash_decides_another_endpoint_is_tried_at_once(stage, algorithm):
    play = stage(site("a b", balance=Balance(algorithm=algorithm)))
    play.dials = ["refused"]
    play.client(GET)
    failed = SECOND if play.server.endpoint == "a" else FIRST
    assert play.now == 0
    assert play.cell(failed)["redispatches"] == 1
    play.server.send(OK)
    assert (play.log[0]["retries"], play.log[0]["redispatched"]) == (1, True)


def test_three_dead_endpoints_are_found_dead_at_once(stage):
    play = stage(site("a b c"))
    play.dials = ["refused"] * 4
    play.client(GET)
    assert ended(play) == [(503, "SC")]
    assert play.now == 0
    assert (play.log[0]["retries"], play.log[0]["redispatched"]) == (3, True)


def test_a_hash_stays_until_the_last_retry(stage):
    play = stage(site("a b", balance=Balance(algorithm=Algorithm.SOURCE), timeouts=HALF_S))
    play.dials = ["refused"] * 3
    client = play.client(GET)
    play.wait(999)
    assert client.state == "pause"
    play.wait(1)
    assert play.log == []
    assert (play.server.endpoint, play.cell(FIRST)["sessions"] + play.cell(SECOND)["sessions"]) == (play.servers[0].endpoint, 2)
    play.server.send(OK)
    assert play.log[0]["redispatched"]


@pytest.mark.parametrize(("redispatch", "tried"), [(0, "aaaa"), (1, "abab"), (2, "aabb"), (3, "aaab"), (-1, "aaab")])
def test_every_nth_retry_moves_on(stage, redispatch, tried):
    play = stage(site("a b", balance=Balance(algorithm=Algorithm.SOURCE), redispatch=redispatch, timeouts=HALF_S))
    play.dials = ["pending"] * 4
    play.client(GET, peer="192.0.2.8:1")
    play.wait(2000)
    order = "".join(server.endpoint for server in play.servers)
    assert order in (tried, tried.translate(str.maketrans("ab", "ba")))


def test_without_redispatch_nothing_moves_on(stage):
    play = stage(site("a b", redispatch=0))
    play.dials = ["refused"] * 4
    play.client(GET)
    play.wait(3000)
    assert ended(play) == [(503, "SC")]
    assert not play.log[0]["redispatched"]
    assert {play.cell(FIRST)["connect_errors"], play.cell(SECOND)["connect_errors"]} == {0, 4}


def test_an_endpoint_that_went_down_meanwhile_is_left(stage):
    play = stage(site("a b", balance=Balance(algorithm=Algorithm.SOURCE)))
    play.dials = ["pending"]
    play.client(GET)
    first = play.server.endpoint
    play.arena.set_standing(FIRST if first == "a" else SECOND, standing=DOWN)
    play.server.refuse()
    assert (play.now, len(play.servers)) == (0, 2)
    assert play.server.endpoint != first
    play.server.send(OK)


def test_the_last_one_to_go_down_leaves_a_503(stage):
    play = stage()
    play.dials = ["pending"]
    play.client(GET)
    play.arena.set_standing(FIRST, standing=DOWN)
    play.server.refuse()
    assert ended(play) == [(503, "SC")]


def test_tcp_is_tried_again_too(stage):
    play = stage(site("a b"))
    play.dials = ["refused", "refused"]
    client = play.client(b"hello", tcp=True)
    assert play.server.take() == b"hello"
    client.reset()
    assert play.log[0]["retries"] == 2


def test_tcp_that_reaches_nobody_is_closed(stage):
    play = stage(site("a", retries=0))
    play.dials = ["refused"]
    client = play.client(b"hello", tcp=True)
    assert client.end == "reset"
    assert ended(play) == [(0, "SC")]


# ---- kept connections that are not there any more ---------------------------------------------------------------------


def reused(stage, request, *, first=True, reuse="always", table=None):
    """A request on a connection that has carried one before; `first`: it is its client's first."""
    play = stage(table, reuse=reuse)
    warm = play.client(GET)
    play.server.send(OK)
    warm.take()
    play.server.take()
    if first:
        warm.fin()
        return play, play.client(request), play.servers[0]
    return play, warm.send(request), play.servers[0]


def leave(server, how):
    server.reset() if how == "reset" else server.fin()


@pytest.mark.parametrize("how", ["fin", "reset"])
@pytest.mark.parametrize("method", [b"GET", b"HEAD", b"OPTIONS", b"DELETE"])
@pytest.mark.parametrize("first", [True, False])
def test_what_may_be_repeated_is_repeated_once(stage, how, method, first):
    play, client, server = reused(stage, GET.replace(b"GET", method), first=first)
    asked = server.take()
    leave(server, how)
    assert len(play.servers) == 2
    assert play.server.take() == asked
    play.server.send(OK)
    assert status_of(client.take()) == 200
    assert ended(play)[-1] == (200, "--")
    assert play.log[-1]["retries"] == 0


def test_it_is_repeated_only_once(stage):
    play, client, server = reused(stage, GET)
    server.fin()
    play.server.fin()
    assert len(play.servers) == 2
    assert status_of(client.take()) == 502
    assert ended(play)[-1] == (502, "SH")


def test_it_is_not_repeated_on_another_kept_connection(stage):
    play = stage()
    clients = [play.client(GET) for _ in range(3)]
    for client in clients:
        client.back.send(OK)
    again = play.client(GET)
    again.back.fin()
    assert len(play.servers) == 4
    play.server.send(OK)
    assert status_of(again.take()) == 200


@pytest.mark.parametrize("how", ["fin", "reset"])
def test_what_may_not_be_repeated_is_left_to_a_client_that_knows(stage, how):
    play, client, server = reused(stage, POST, first=False)
    leave(server, how)
    assert (client.take(), client.end) == (b"", "closed")
    assert ended(play) == [(200, "--")]
    assert play.log[-1]["silent"]


def test_a_clients_first_request_that_may_not_be_repeated_is_a_502(stage):
    play, client, server = reused(stage, POST, first=True)
    server.fin()
    assert status_of(client.take()) == 502
    assert ended(play)[-1] == (502, "SH")


@pytest.mark.parametrize("said", [b"HTTP/1.1 200 OK\r\nContent", b"H", b"HTTP/1.1 103 Early Hints\r\n\r\n"])
def test_what_has_begun_to_be_answered_is_not_repeated(stage, said):
    play, client, server = reused(stage, GET)
    server.send(said)
    server.fin()
    assert len(play.servers) == 1
    assert b"HTTP/1.1 502 " in client.take()
    assert ended(play)[-1] == (502, "SH")


def test_on_a_fresh_connection_nothing_is_repeated(stage):
    play = stage()
    client = play.client(GET)
    play.server.fin()
    assert len(play.servers) == 1
    assert status_of(client.take()) == 502
    assert ended(play) == [(502, "SH")]


def test_a_repeated_request_that_reaches_nobody(stage):
    play, client, server = reused(stage, GET, table=site("e", retries=0))
    play.dials = ["refused"]
    server.fin()
    assert status_of(client.take()) == 503
    assert ended(play)[-1] == (503, "SC")


def test_the_request_behind_a_repeated_one_is_not_lost(stage):
    play, client, server = reused(stage, GET + GET.replace(b"/x", b"/y"))
    server.fin()
    play.server.send(OK)
    assert head_of(client.back.take())[0].startswith("GET /x ")
    client.back.send(OK)
    assert client.take().count(b"200 OK") == 2
