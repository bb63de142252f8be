"""Bytes both ways: TCP, and HTTP connections that changed their protocol."""

import pytest

from edged.model.policy import Timeouts
from tests._fast.route.sites import build, route
from tests._fast.talk.scene import FIRST, GET, OK, SWITCH, UPGRADE, Stage, ended, head_of, site, stage, status_of

__all__ = ["stage"]

LONG = bytes(range(256)) * 1000
KINDS = pytest.mark.parametrize("kind", ["tcp", "upgrade"])
PIPES = pytest.mark.parametrize("pipes", [False, True], ids=["copied", "piped"])


def tunnel(stage: Stage, kind: str, table=None, **options):
    play = stage(table, **options)
    client = play.client(tcp=True) if kind == "tcp" else play.client(UPGRADE)
    if kind == "upgrade":
        play.server.send(SWITCH)
        assert status_of(client.take()) == 101
        play.server.take()
    assert client.state == "tunnel"
    return play, client, play.server


def results(kind: str, code: str) -> list[tuple[int, str]]:
    return [(101 if kind == "upgrade" else 0, code)]


@PIPES
@KINDS
def test_bytes_pass_both_ways_untouched(stage, kind, pipes):
    play, client, server = tunnel(stage, kind, pipes=pipes)
    for piece in (b"a", b"\r\n\r\n", b"GET / HTTP/1.1\r\n\r\n", LONG, b"\x00"):
        client.send(piece)
        assert server.take() == piece
        server.send(piece)
        assert client.take() == piece
    assert play.tally["tunnels"] == 1


@PIPES
@KINDS
@pytest.mark.parametrize("first", ["client", "server"])
def test_half_close(stage, kind, first, pipes):
    """One ends its direction; what the other one says still arrives; then both are closed in order."""
    play, client, server = tunnel(stage, kind, pipes=pipes)
    one, other = (client, server) if first == "client" else (server, client)
    one.send(LONG).fin()
    assert (other.take(), other.end) == (LONG, "shut")
    other.send(LONG)
    assert (one.take(), one.end) == (LONG, "")
    other.send(b"bye").fin()
    assert one.take() == b"bye"
    assert (client.end, server.end) == ("closed", "closed")
    assert ended(play) == results(kind, "--")


@KINDS
def test_the_end_waits_behind_what_is_on_its_way(stage, kind):
    _play, client, server = tunnel(stage, kind)
    client.more(0)
    server.send(LONG).fin()
    assert client.end == ""
    client.more(len(LONG) - 1)
    assert client.end == ""
    client.more(1)
    assert (client.end, client.take()) == ("shut", LONG)


@PIPES
@KINDS
def test_an_endpoint_that_resets(stage, kind, pipes):
    play, client, server = tunnel(stage, kind, pipes=pipes)
    server.send(LONG).reset()
    assert client.take() == LONG
    assert (client.end, server.end) == ("reset", "closed")
    assert ended(play) == results(kind, "SD")


@PIPES
@KINDS
def test_what_an_endpoint_said_before_its_reset_reaches_a_slow_client(stage, kind, pipes):
    _play, client, server = tunnel(stage, kind, pipes=pipes)
    client.more(0)
    server.crash(LONG)
    assert client.end == ""
    client.more(len(LONG))
    assert (client.take(), client.end) == (LONG, "reset")


@KINDS
def test_a_client_that_resets(stage, kind):
    play, client, server = tunnel(stage, kind)
    client.reset()
    assert (client.end, server.end) == ("closed", "closed")
    assert ended(play) == results(kind, "CD")


@KINDS
def test_an_endpoint_that_has_closed_and_gets_more(stage, kind):
    """It ended both directions: what the client still sends meets a reset."""
    play, client, server = tunnel(stage, kind)
    server.send(b"bye").fin()
    assert client.end == "shut"
    server.reset()
    client.send(b"more")
    assert client.end == "reset"
    assert ended(play) == results(kind, "SD")


@KINDS
@PIPES
def test_a_slow_reader_holds_no_more_than_blocks(stage, kind, pipes):
    play, client, server = tunnel(stage, kind, pipes=pipes)
    client.more(0)
    server.send(LONG * 40)
    assert play.blocks_out <= 4
    assert server.unread >= len(LONG) * 40 - 2 * 65536
    client.more(len(LONG) * 40)
    assert client.take() == LONG * 40
    assert play.blocks_out == 0


# ---- becoming a tunnel ------------------------------------------------------------------------------------------------


def test_what_was_sent_early_is_not_lost(stage):
    play = stage()
    client = play.client(UPGRADE + b"early words of the client")
    assert head_of(play.server.take())[2] == b""
    play.server.send(SWITCH + b"early words of the endpoint")
    assert head_of(client.take())[2] == b"early words of the endpoint"
    assert play.server.take() == b"early words of the client"


def test_the_handshake_at_any_cut(stage):
    for cut in range(1, len(SWITCH) + 3):
        play = stage()
        client = play.client(UPGRADE)
        data = SWITCH + b"abc"
        play.server.send(data[:cut]).send(data[cut:])
        first, fields, rest = head_of(client.take())
        assert (first, fields["upgrade"], fields["connection"].lower(), rest) == (
            "HTTP/1.1 101 Switching Protocols", "chat", "upgrade", b"abc"), cut


def test_interim_answers_before_the_switch(stage):
    play = stage()
    client = play.client(UPGRADE)
    play.server.send(b"HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n" + SWITCH + b"abc")
    got = client.take()
    assert got.startswith(b"HTTP/1.1 103 ")
    assert got.endswith(b"\r\n\r\nabc")
    assert client.state == "tunnel"


def test_an_upgrade_that_is_declined_is_an_exchange_like_others(stage):
    play = stage()
    client = play.client(UPGRADE + GET)
    for _ in range(2):
        play.server.send(OK)
    assert ended(play) == [(200, "--"), (200, "--")]
    assert client.state == "idle"
    assert play.server.open


def test_an_upgrade_that_nobody_asked_for(stage):
    play = stage()
    client = play.client(GET)
    play.server.send(SWITCH)
    assert status_of(client.take()) == 502


def test_a_client_of_1_0_cannot_upgrade(stage):
    play = stage()
    client = play.client(UPGRADE.replace(b"HTTP/1.1", b"HTTP/1.0"))
    assert "upgrade" not in head_of(play.server.take())[1]
    play.server.send(SWITCH)
    assert status_of(client.take()) == 502


@pytest.mark.parametrize("framing", [b"Content-Length: 10\r\n\r\nhello", b"Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n"])
def test_a_switch_before_the_request_is_complete(stage, framing):
    play = stage()
    client = play.client(UPGRADE[:-2] + framing)
    play.server.send(SWITCH)
    assert ended(play) == [(502, "PH")]
    assert status_of(client.take()) == 502


def test_a_switch_behind_a_body(stage):
    play = stage()
    client = play.client(UPGRADE[:-2] + b"Content-Length: 5\r\n\r\nhello" + b"early")
    play.server.send(SWITCH)
    assert play.server.take().endswith(b"helloearly")
    assert status_of(client.take()) == 101


def test_h2c_is_not_passed_on(stage):
    play = stage()
    play.client(b"GET / HTTP/1.1\r\nHost: a.test\r\nConnection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: x\r\n\r\n")
    fields = head_of(play.server.take())[1]
    assert not {"upgrade", "http2-settings", "connection"} & set(fields)


def test_a_tunnel_is_not_kept(stage):
    play, client, server = tunnel(stage, "upgrade")
    client.fin()
    server.fin()
    play.client(GET)
    assert len(play.servers) == 2


# ---- tcp --------------------------------------------------------------------------------------------------------------


def test_tcp_dials_before_a_word_is_said(stage):
    play = stage()
    client = play.client(tcp=True)
    play.server.send(b"220 welcome\r\n")
    assert client.take() == b"220 welcome\r\n"


def test_tcp_words_of_a_client_that_ended_before_the_connection_stood(stage):
    play = stage()
    play.dials = ["pending"]
    client = play.client(b"hello", tcp=True).fin()
    play.server.connect()
    assert (play.server.take(), play.server.end) == (b"hello", "shut")
    play.server.send(b"thanks").fin()
    assert (client.take(), client.end) == (b"thanks", "closed")


def test_tcp_without_a_route_is_closed(stage):
    play = stage(build([route("a.test")]))
    client = play.client(b"hello", tcp=True)
    assert (client.open, ended(play)) == (False, [(0, "SC")])


def test_tcp_never_shares_a_connection(stage):
    play = stage(reuse="always")
    play.client(GET)
    play.server.send(OK)
    play.client(b"hello", tcp=True)
    assert len(play.servers) == 2


def test_a_route_has_its_own_tunnel_time(stage):
    _play, client, _server = tunnel(stage, "tcp", site("e", timeouts=Timeouts(tunnel_ms=50)))
    assert client.due_in == 50


# ---- tables come and go -----------------------------------------------------------------------------------------------


@KINDS
def test_a_tunnel_can_let_its_table_go(stage, kind):
    play, client, server = tunnel(stage, kind, site("e", timeouts=Timeouts(client_fin_ms=777)))
    play.use_table(site("e", version=2))
    assert play.table_holders == [1, 0]
    assert play.detach(client)
    assert not play.detach(client)
    assert play.table_holders == [0, 0]
    server.send(b"words").fin()
    assert client.take() == b"words"
    assert client.due_in == 777
    client.fin()
    assert play.log[0]["server"] == "e"


def test_an_exchange_ends_by_the_table_it_began_with(stage):
    play = stage(site("old"))
    client = play.client(GET)
    play.use_table(site("new", version=2))
    assert not play.detach(client)
    play.server.send(OK)
    assert (play.log[0]["server"], play.table_holders) == ("old", [0, 0])
    client.send(GET)
    assert play.table_holders == [0, 1]
    client.back.send(OK)
    assert play.cell(FIRST)["served"] == 0
