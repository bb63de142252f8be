"""Which connection to an endpoint carries which request (option http-reuse; http-edge-behaviour.md 5), and which belong to one
client alone."""

import pytest

from edged.model.backend import Backend
from edged.model.route import Route
from tests._fast.talk.scene import FIRST, GET, OK, POST, SECOND, Stage, endpoints, head_of, site, stage

__all__ = ["stage"]

PUT = POST.replace(b"POST", b"PUT")
NTLM = b"HTTP/1.1 401 Unauthorized\r\nWWW-Authenticate: NTLM\r\nContent-Length: 0\r\n\r\n"


def parked(stage: Stage, reuse: str, **options):
    """A play with one idle connection that anybody may have, and no client."""
    play = stage(reuse=reuse, **options)
    client = play.client(GET)
    play.server.send(OK)
    client.fin()
    return play


REUSED = [
    # reuse, the first request of its client, a later one
    ("never", GET, False, False), ("never", POST, False, False),
    ("safe", GET, True, True), ("safe", POST, False, True), ("safe", PUT, False, True),
    ("aggressive", GET, True, True), ("aggressive", POST, False, True),
    ("always", GET, True, True), ("always", POST, True, True),
]


@pytest.mark.parametrize(("reuse", "request_", "first", "later"), REUSED)
def test_who_may_take_an_idle_connection(stage, reuse, request_, first, later):
    play = parked(stage, reuse)
    client = play.client(request_)
    assert (len(play.servers) == 1) == first
    client.back.send(OK)
    assert play.cell(FIRST)["reused"] == first
    play = parked(stage, reuse)
    client = play.client(GET.replace(b"a.test", b"b.test"))
    client.send(request_)
    assert (len(play.servers) == 1) == later
    client.back.send(OK)


def test_never_keeps_one_connection_for_each_client(stage):
    play = stage(reuse="never")
    one, two = play.client(GET), play.client(GET)
    for client in (one, two, one, two):
        if not client.back:
            client.send(GET)
        client.back.send(OK)
    assert len(play.servers) == 2
    one.fin()
    assert [server.open for server in play.servers] == [False, True]


def test_a_connection_that_authenticated_belongs_to_its_client(stage):
    play = stage(reuse="always")
    client = play.client(GET)
    play.server.send(NTLM)
    other = play.client(GET)
    assert len(play.servers) == 2
    other.back.send(OK)
    client.send(GET)
    assert client.back is play.servers[0]
    client.back.send(OK)
    assert len(play.servers) == 2
    client.fin()
    assert not play.servers[0].open


def test_it_is_given_up_where_another_endpoint_is_chosen(stage):
    play = stage(site("a b"), reuse="never")
    client = play.client(GET)
    play.server.send(OK)
    client.send(GET)
    assert [server.endpoint for server in play.servers] == ["a", "b"]
    assert not play.servers[0].open
    play.server.send(OK)


@pytest.mark.parametrize("reuse", ["never", "always"])
@pytest.mark.parametrize("said", [b"", b"HTTP/1.1 408 Request Timeout\r\n\r\n"], ids=["its end", "something unasked"])
def test_an_idle_connection_that_speaks_up_is_dropped(stage, reuse, said):
    play = stage(reuse=reuse)
    client = play.client(GET)
    play.server.send(OK)
    play.server.send(said) if said else play.server.fin()
    assert not play.servers[0].open
    client.send(GET)
    assert len(play.servers) == 2
    play.server.send(OK)


def test_endpoints_have_their_own_connections(stage):
    play = stage(site("a b"), reuse="always")
    client = play.client(GET)
    for _ in range(4):
        client.back.send(OK)
        client.send(GET)
    client.back.send(OK)
    assert [server.endpoint for server in play.servers] == ["a", "b"]
    assert (play.cell(FIRST)["connects"], play.cell(SECOND)["connects"]) == (1, 1)


def test_backends_do_not_share(stage):
    other = Route("o", "o.test", "", Backend("other", endpoints()))
    play = stage(site(more=(other,)), reuse="always")
    client = play.client(GET)
    play.server.send(OK)
    client.send(GET.replace(b"a.test", b"o.test"))
    assert len(play.servers) == 2
    play.server.send(OK)


def test_the_one_used_last_is_taken_first(stage):
    play = stage(reuse="always")
    clients = [play.client(GET) for _ in range(3)]
    for i in (2, 0, 1):
        clients[i].back.send(OK)
    assert play.client(GET).back is play.servers[1]


# ---- send_proxy: a connection speaks for one client -------------------------------------------------------------------


@pytest.mark.parametrize("version", [1, 2])
def test_a_proxy_header_goes_first_and_once(stage, version):
    play = stage(site("e", send_proxy=version), reuse="always")
    client = play.client(GET, peer="192.0.2.7:40000", local="198.51.100.9:80")
    sent = play.server.take()
    assert sent.startswith(b"PROXY TCP4 192.0.2.7 198.51.100.9 40000 80\r\nGET " if version == 1 else b"\r\n\r\n\0\r\nQUIT\n\x21\x11")
    play.server.send(OK)
    client.send(GET)
    assert play.server.take().startswith(b"GET ")
    play.server.send(OK)
    other = play.client(GET, peer="[2001:db8::1]:5")
    assert len(play.servers) == 2
    if version == 1:
        assert play.server.take().startswith(b"PROXY TCP6 2001:db8::1 ::ffff:198.51.100.9 5 80\r\n")
    other.back.send(OK)
    other.fin()
    assert not play.servers[1].open
    assert play.servers[0].open


def test_a_proxy_header_goes_before_tcp(stage):
    play = stage(site("e", send_proxy=1))
    play.client(b"hello", tcp=True)
    assert play.server.take() == b"PROXY TCP4 192.0.2.7 198.51.100.9 40000 80\r\nhello"


def test_a_proxy_header_goes_again_on_each_attempt(stage):
    play = stage(site("e", send_proxy=1))
    play.dials = ["pending", "pending"]
    play.client(GET)
    play.wait(5000)
    play.server.connect()
    assert play.server.take().count(b"PROXY ") == 1
    play.server.send(OK)


def test_forwarded_headers_name_the_client(stage):
    play = stage()
    play.client(GET, peer="[2001:db8::7]:1234", local="198.51.100.9:8080")
    fields = head_of(play.server.take())[1]
    assert fields["x-forwarded-for"] == "2001:db8::7"
    assert fields["x-forwarded-port"] == "8080"
    assert "[2001:db8::7]" in fields["forwarded"]


def test_forwarded_headers_follow_the_client_not_the_memory(stage):
    """Fronts are used again: what was known of one client must not be told of the next."""
    play = stage()
    for i in range(5):
        client = play.client(GET, peer=f"192.0.2.{i}:1")
        assert head_of(client.back.take())[1]["x-forwarded-for"] == f"192.0.2.{i}"
        client.back.send(OK)
        client.fin()
