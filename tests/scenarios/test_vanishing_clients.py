"""Clients that leave at any moment: nothing of them may stay behind. `site` looks for what is open still."""

import contextlib

import pytest

from tests.scenarios.harness.accessline import http_line
from tests.scenarios.harness.backend import Gate, answer_bytes
from tests.scenarios.harness.content import MIB
from tests.scenarios.harness.until import until

ENDS = ["close", "reset", "half_close"]


def leave(client, how: str) -> None:
    getattr(client, how)()


@pytest.fixture
def held():
    """A gate that stays shut until the test is over."""
    gate = Gate()
    yield gate
    gate.open()


@pytest.mark.parametrize("how", ["close", "reset"])
@pytest.mark.parametrize("form", ["get", "post", "chunked"])
def test_after_each_byte_of_the_request(site, how, form):
    shop = site()
    whole = {
        "get": shop.request("/gone"),
        "post": shop.request("/gone", "POST", b"a body"),
        "chunked": f"POST /gone HTTP/1.1\r\nHost: {shop.host}\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nbody\r\n0\r\nX: y\r\n\r\n".encode(),
    }[form]
    for n in range(len(whole) + 1):
        with contextlib.suppress(OSError), shop.daemon.connect() as client:
            client.send(whole[:n])
            leave(client, how)
    shop.daemon.until_idle()
    assert shop.ask("/still-here").status == 200


@pytest.mark.parametrize("how", ENDS)
def test_in_the_middle_of_the_head(site, how):
    shop = site()
    client = shop.connect()
    client.send(shop.request()[:-10])
    until(lambda: shop.daemon.gauges()["connections"] == 1)
    leave(client, how)
    line = http_line(shop.line(client))
    assert (line.status, line.code, line.request) == (400, "CR--", "<BADREQ>")
    if how == "half_close":
        assert client.answer().status == 400


@pytest.mark.parametrize("how", ENDS)
def test_in_the_middle_of_the_body(site, how):
    shop = site()
    client = shop.connect()
    client.send(shop.request("/", "POST", b"x" * 1000)[:-500])
    until(lambda: shop.backend.peers)
    leave(client, how)
    line = http_line(shop.line(client))
    assert line.code in ("CH--", "CD--", "CR--")
    until(lambda: shop.backend.peers[0].over.is_set(), what="the endpoint is told")
    assert shop.backend.requests == []


@pytest.mark.parametrize("how", ENDS)
def test_in_the_queue(site, how, backend, held):
    def holds(peer):
        peer.request()
        held.pass_()
        peer.reply(b"done")

    one = backend(holds)
    shop = site(to=[{"address": one.address, "maxconn": 1}])
    first, second = shop.connect(), shop.connect()
    first.send(shop.request("/first"))
    held.wait_for_somebody()
    second.send(shop.request("/second"))
    until(lambda: shop.daemon.gauges()["queued"] == 1)
    leave(second, how)
    if how == "reset":                           # an orderly end may be one direction's only: such a client still waits
        line = http_line(shop.line(second))
        assert (line.status, line.code) == (-1, "CQ--")
        assert shop.daemon.gauges()["queued"] == 0
    held.open()
    assert first.answer().body == b"done"
    if how == "half_close":
        assert second.answer().body == b"done"
    first.close()
    second.close()
    shop.daemon.until_idle()
    assert len(one.requests) == (1 if how == "reset" else 2)


@pytest.mark.parametrize("how", ["close", "reset"])
def test_while_the_endpoint_is_connected_to(site, refusing, how):
    shop = site(to=[refusing.address], retries=2)        # it waits a second between attempts
    client = shop.connect()
    client.send(shop.request())
    until(lambda: shop.daemon.gauges()["exchanges"])
    leave(client, how)
    line = http_line(shop.line(client))
    assert line.code == ("CC--" if how == "reset" else "SC--")
    shop.daemon.until_idle()


@pytest.mark.parametrize("how", ["close", "reset"])
def test_while_the_answer_is_awaited(site, how, held):
    def waits(peer):
        peer.request()
        held.pass_()
        peer.reply(b"too late")

    shop = site(waits)
    client = shop.connect()
    client.send(shop.request())
    held.wait_for_somebody()
    leave(client, how)
    if how == "reset":
        assert http_line(shop.line(client)).code == "CH--"
    held.open()
    shop.daemon.until_idle()


@pytest.mark.parametrize("how", ["close", "reset"])
@pytest.mark.parametrize("coding", ["length", "chunked"])
def test_while_the_answer_comes(site, how, coding):
    def sends_much(peer):
        peer.request()
        if coding == "length":
            peer.send(b"HTTP/1.1 200 OK\r\nContent-Length: 100000000\r\n\r\n")
        else:
            peer.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5f5e100\r\n")
        peer.send(b"x" * 100_000_000)

    shop = site(sends_much)
    client = shop.connect()
    client.send(shop.request())
    client.take(3 * MIB)
    leave(client, how)
    line = http_line(shop.line(client))
    assert (line.status, line.code) == (200, "CD--")
    until(lambda: shop.backend.peers[0].over.is_set(), what="the endpoint is told")


def test_after_each_byte_of_the_answer(site):
    whole = answer_bytes(b"y" * 30)

    def answers(peer):
        while True:
            peer.request()
            peer.send(whole)

    shop = site(answers)
    for n in range(len(whole)):
        with shop.daemon.connect() as client:
            client.send(shop.request())
            client.take(n)
            client.reset() if n % 2 else client.close()
    shop.daemon.until_idle()


@pytest.mark.parametrize("how", ["close", "reset"])
def test_in_a_tunnel(site, how):
    def upgrades(peer):
        peer.request()
        peer.send(b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: x\r\n\r\n")
        peer.until_gone()

    shop = site(upgrades)
    client = shop.connect()
    client.send(f"GET / HTTP/1.1\r\nHost: {shop.host}\r\nConnection: Upgrade\r\nUpgrade: x\r\n\r\n".encode())
    assert client.answer().status == 101
    leave(client, how)
    until(lambda: shop.backend.peers[0].over.is_set(), what="the endpoint is told")


def test_hundreds_at_once_at_every_stage(site):
    shop = site()
    whole = shop.request("/gone", "POST", b"b" * 5000)
    for wave in range(3):
        clients = [shop.daemon.connect() for _ in range(150)]
        for n, client in enumerate(clients):
            client.send(whole[: n * len(whole) // 150])
        for n, client in enumerate(clients):
            leave(client, ENDS[(n + wave) % 2])
    shop.daemon.until_idle()
    assert shop.ask("/still-here").status == 200


def test_abort_on_close_drops_those_who_left_in_the_queue(daemon, backend, held):
    def holds(peer):
        peer.request()
        held.pass_()
        peer.reply(b"done")

    one = backend(holds)
    edged = daemon({"defaults": {"abort_on_close": True}}, [{"host": "*", "to": [{"address": one.address, "maxconn": 1}]}])
    with edged.connect() as first, edged.connect() as second:
        first.send(b"GET /first HTTP/1.1\r\nHost: a\r\n\r\n")
        held.wait_for_somebody()
        second.send(b"GET /second HTTP/1.1\r\nHost: a\r\n\r\n")
        until(lambda: edged.gauges()["queued"] == 1)
        second.half_close()
        assert http_line(edged.line_of(second)).code == "CQ--"
        held.open()
        assert first.answer().body == b"done"
    assert len(one.requests) == 1
