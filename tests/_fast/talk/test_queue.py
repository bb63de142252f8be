"""Endpoints that have their fill: who waits where, who is next, and for how long (http-edge-behaviour.md 8)."""

import pytest

from edged.model.backend import Backend, Endpoint
from edged.model.policy import Algorithm, Balance, Cookie, Timeouts
from edged.model.route import Route
from tests._fast.route.sites import build
from tests._fast.talk.scene import BACKEND, FIRST, GET, OK, SECOND, Stage, ended, head_of, site, stage, status_of

__all__ = ["stage"]

DOWN, DRAINING = 1, 2
ONE_EACH = {"maxconn": 1}


def get(path: bytes, cookie: bytes = b"") -> bytes:
    return b"GET " + path + b" HTTP/1.1\r\nHost: a.test\r\n" + (b"Cookie: st=" + cookie + b"\r\n" if cookie else b"") + b"\r\n"


def asked_for(wire) -> str:
    return head_of(wire.take())[0].split()[1]


def sticky(names: str = "a b", **backend):
    """Endpoints that take one exchange each, chosen by cookie."""
    be = Backend("be", tuple(Endpoint(f"192.0.2.{10 + i}", 80, name, cookie=name, maxconn=1) for i, name in enumerate(names.split())),
                 **backend)
    return build([Route("a", "a.test", "", be, cookie=Cookie("st"))])


def test_first_come_first_served(stage):
    play = stage(site(each=ONE_EACH))
    clients = [play.client(get(b"/%d" % i)) for i in range(5)]
    assert [client.state for client in clients] == ["ask"] + ["queue"] * 4
    assert play.cell(BACKEND)["queued"] == 4
    for i, client in enumerate(clients):
        assert asked_for(client.back) == f"/{i}"
        client.back.send(OK)
        assert status_of(client.take()) == 200
    assert [entry["ahead"] for entry in play.log] == [(0, 0), (0, 0), (0, 1), (0, 2), (0, 3)]
    assert len(play.servers) == 1


@pytest.mark.parametrize("maxconn", [1, 2, 3])
def test_never_more_at_once_than_the_limit(stage, maxconn):
    play = stage(site(each={"maxconn": maxconn}))
    clients = [play.client(GET) for _ in range(6)]
    most = 0
    while any(client.back for client in clients):
        most = max(most, play.cell(FIRST)["served"])
        next(client.back for client in clients if client.back).send(OK)
    assert most == maxconn
    assert [status for status, _ in ended(play)] == [200] * 6


def test_who_comes_back_goes_behind_those_who_wait(stage):
    play = stage(site(each=ONE_EACH))
    greedy = play.client(get(b"/1") + get(b"/3"))
    patient = play.client(get(b"/2"))
    greedy.back.send(OK)
    assert greedy.state == "queue"
    assert patient.back.take().count(b"GET /2 ") == 1
    patient.back.send(OK)
    assert asked_for(greedy.back) == "/3"
    greedy.back.send(OK)


def test_any_endpoint_that_becomes_free_will_do(stage):
    play = stage(site("a b", each=ONE_EACH))
    first, second, third = (play.client(GET) for _ in range(3))
    assert third.state == "queue"
    where = second.back.endpoint
    second.back.send(OK)
    assert third.back.endpoint == where
    first.back.send(OK)
    third.back.send(OK)


@pytest.mark.parametrize("times", [{}, {"queue_ms": 70}])
def test_waiting_has_an_end(stage, times):
    play = stage(site(each=ONE_EACH, timeouts=Timeouts(**times)))
    busy, late = play.client(GET), play.client(GET)
    assert late.due_in == times.get("queue_ms", 5500)
    play.wait(late.due_in)
    assert status_of(late.take()) == 503
    assert (ended(play), play.log[0]["server"]) == ([(503, "sQ")], None)
    assert late.state == "idle"
    busy.back.send(OK)


def test_who_leaves_the_queue_leaves_no_trace(stage):
    play = stage(site(each=ONE_EACH))
    clients = [play.client(get(b"/%d" % i)) for i in range(4)]
    clients[2].reset()
    assert ended(play) == [(0, "CQ")]
    for i in (0, 1, 3):
        assert asked_for(clients[i].back) == f"/{i}"
        clients[i].back.send(OK)


@pytest.mark.parametrize(("abort_on_close", "state"), [(False, "queue"), (True, "closed")])
def test_a_client_that_half_closes_in_the_queue(stage, abort_on_close, state):
    play = stage(site(each=ONE_EACH), abort_on_close=abort_on_close)
    busy, waiting = play.client(GET), play.client(GET)
    waiting.fin()
    assert waiting.state == state
    busy.back.send(OK)
    if not abort_on_close:
        waiting.back.send(OK)
    assert ended(play)[:1] == ([(0, "CQ")] if abort_on_close else [(200, "--")])


# ---- bound to one endpoint --------------------------------------------------------------------------------------------


def test_a_cookie_waits_for_its_endpoint_though_another_is_free(stage):
    play = stage(sticky())
    busy, bound = play.client(get(b"/1", b"a")), play.client(get(b"/2", b"a"))
    assert (bound.state, play.cell(FIRST)["queued"], play.cell(BACKEND)["queued"]) == ("queue", 1, 0)
    other = play.client(get(b"/3"))
    assert other.back.endpoint == "b"
    busy.back.send(OK)
    assert bound.back.endpoint == "a"
    bound.back.send(OK)
    other.back.send(OK)
    assert [entry["code"][2] for entry in play.log] == ["V", "V", "N"]


def test_who_waits_for_one_endpoint_is_logged_with_it(stage):
    play = stage(sticky())
    busy = play.client(get(b"/1", b"a"))
    play.client(get(b"/2", b"a"))
    play.wait(5500)
    assert (ended(play), play.log[0]["server"]) == ([(503, "sQ")], "a")
    busy.back.send(OK)


def test_a_hash_waits_for_its_endpoint(stage):
    play = stage(site("a b", each=ONE_EACH, balance=Balance(algorithm=Algorithm.SOURCE)))
    busy, bound = play.client(GET), play.client(GET)
    assert bound.state == "queue"
    assert play.cell(BACKEND)["queued"] == 0
    busy.back.send(OK)
    bound.back.send(OK)
    assert play.log[0]["server"] == play.log[1]["server"]


def test_an_endpoint_that_goes_down_lets_those_who_wait_for_it_go_elsewhere(stage):
    play = stage(sticky())
    busy, bound = play.client(get(b"/1", b"a")), play.client(get(b"/2", b"a"))
    play.arena.set_standing(FIRST, standing=DOWN)
    play.client(get(b"/3")).back.send(OK)        # any turn will do
    assert bound.back.endpoint == "b"
    bound.back.send(OK)
    busy.back.send(OK)
    assert [entry["code"][2] for entry in play.log] == ["N", "D", "V"]


def test_an_endpoint_that_drains_still_takes_those_whose_cookie_names_it(stage):
    play = stage(sticky())
    busy, bound = play.client(get(b"/1", b"a")), play.client(get(b"/2", b"a"))
    play.arena.set_standing(FIRST, standing=DRAINING)
    busy.back.send(OK)
    assert bound.back.endpoint == "a"
    bound.back.send(OK)


def test_a_full_queue_of_one_endpoint_sends_on_to_another(stage):
    play = stage(sticky(maxqueue=1))
    busy, bound, third = (play.client(get(b"/%d" % i, b"a")) for i in range(3))
    assert (bound.state, third.back.endpoint) == ("queue", "b")
    for client in (busy, bound, third):
        client.back.send(OK)


def test_a_full_queue_of_the_only_endpoint(stage):
    play = stage(sticky("a", maxqueue=1))
    busy, bound, third = (play.client(get(b"/%d" % i, b"a")) for i in range(3))
    assert third.state == "queue"                # of the backend, which has no limit
    for client in (busy, bound, third):
        client.back.send(OK)
    assert [status for status, _ in ended(play)] == [200] * 3


def test_a_cookie_for_an_endpoint_that_is_down(stage):
    play = stage(sticky())
    play.arena.set_standing(FIRST, standing=DOWN)
    client = play.client(get(b"/", b"a"))
    assert client.back.endpoint == "b"
    client.back.send(OK)
    assert play.log[0]["code"] == "--DI"


def test_of_two_queues_the_older_one_wins(stage):
    play = stage(sticky("a"))
    busy = play.client(get(b"/0", b"a"))
    clients = []
    for i, cookie in enumerate([b"", b"a", b"", b"", b"a"], 1):
        play.wait(1)
        clients.append(play.client(get(b"/%d" % i, cookie)))
    assert (play.cell(FIRST)["queued"], play.cell(BACKEND)["queued"]) == (2, 3)
    assert asked_for(busy.back) == "/0"
    busy.back.send(OK)
    for i, client in enumerate(clients, 1):
        assert asked_for(client.back) == f"/{i}"
        client.back.send(OK)


def test_who_waits_for_any_endpoint_gets_none_that_is_not_for_all(stage):
    play = stage(sticky("a"))
    busy, anybody = play.client(get(b"/1", b"a")), play.client(get(b"/2"))
    play.wait(1)
    bound = play.client(get(b"/3", b"a"))
    play.arena.set_standing(FIRST, standing=DRAINING)
    busy.back.send(OK)
    assert ended(play)[-1] == (503, "SC")
    assert anybody.take().startswith(b"HTTP/1.1 503 ")
    bound.back.send(OK)


# ---- places that must come back ---------------------------------------------------------------------------------------


def freed_by(stage: Stage, ending: str):
    """One who waits gets the place of one whose exchange ends in some way."""
    play = stage(site(each=ONE_EACH, retries=0))
    play.dials = ["pending"] if ending in ("refused", "connect timeout") else []
    busy, waiting = play.client(GET), play.client(GET)
    assert waiting.state == "queue"
    if ending == "refused":
        play.server.refuse()
    elif ending == "connect timeout":
        play.wait(5000)
    elif ending == "the client resets":
        busy.reset()
    elif ending == "the endpoint resets":
        busy.back.reset()
    elif ending == "nonsense":
        busy.back.send(b"nonsense\r\n\r\n")
    else:
        busy.back.send(OK)
    assert waiting.state == "ask"
    waiting.back.send(OK)


@pytest.mark.parametrize(
    "ending", ["an answer", "refused", "connect timeout", "the client resets", "the endpoint resets", "nonsense"],
)
def test_a_place_comes_back_however_an_exchange_ends(stage, ending):
    freed_by(stage, ending)


def test_a_retry_keeps_its_place(stage):
    play = stage(site(each=ONE_EACH))
    play.dials = ["refused"]
    trying, waiting = play.client(GET), play.client(GET)
    assert (trying.state, waiting.state, play.cell(FIRST)["served"]) == ("pause", "queue", 1)
    play.wait(1000)
    trying.back.send(OK)
    waiting.back.send(OK)


def test_an_endpoint_that_fails_while_the_other_is_full_is_tried_again(stage):
    play = stage(site("a b", each=ONE_EACH))
    busy = play.client(GET)
    play.dials = ["refused"]
    unlucky = play.client(GET)
    assert unlucky.state == "pause"
    play.wait(1000)
    assert unlucky.back.endpoint != busy.back.endpoint
    for client in (busy, unlucky):
        client.back.send(OK)


def test_tcp_waits_too(stage):
    play = stage(site(each=ONE_EACH))
    busy, waiting = play.client(b"1", tcp=True), play.client(b"2", tcp=True)
    assert waiting.state == "queue"
    busy.fin()
    busy.back.fin()
    assert waiting.back.take() == b"2"
    assert play.cell(SECOND)["served"] == 0
