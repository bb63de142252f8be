"""How long who has in a drain: idle clients a second, exchanges and tunnels each their own time, by whichever way it comes about."""

import json
import signal
import subprocess
import time

import pytest

from tests.scenarios.harness.accessline import http_line, tcp_line
from tests.scenarios.harness.backend import Gate, echoes
from tests.scenarios.harness.client import request_bytes, secured
from tests.scenarios.harness.settings import TLS, command, environment, merged, toml
from tests.scenarios.harness.tls import client_context
from tests.scenarios.harness.until import until

COME_S = 90.0                                    # for a generation, on a machine that is busy
UPGRADE = b"GET /chat HTTP/1.1\r\nHost: ws.test\r\nConnection: Upgrade\r\nUpgrade: echo/1\r\n\r\n"
SWITCHED = b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: echo/1\r\n\r\n"


def switches(peer):
    peer.request()
    peer.send(SWITCHED)
    echoes(peer)


@pytest.fixture
def drain(request):
    """drain(daemon): by the way that is asked for; `drain.way` names it."""
    orders = []

    def go(edged):
        if go.way == "ctl":
            words = command("ctl", "drain", "--runtime-dir", str(edged.directory / "run"))
            orders.append(subprocess.Popen(words, env=environment(), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL))
        else:
            edged.process.send_signal(signal.SIGHUP if go.way == "reload" else signal.SIGTERM)

    go.way = request.param
    yield go
    for order in orders:                         # the daemon has ended by now
        order.wait(20)


WAYS = pytest.mark.parametrize("drain", ["sigterm", "ctl", "reload"], indirect=True)
OF_ALL = pytest.mark.parametrize("drain", ["sigterm", "ctl"], indirect=True)


def begun(edged):
    edged.until_said("draining: |generation 2 serves", COME_S)


def over(edged, drain):
    """A second SIGTERM would be another story."""
    if drain.way == "sigterm":
        assert edged.process.wait(COME_S) == 0


@pytest.fixture
def made(daemon, backend):
    """made(run, *scripts): an HTTP and an HTTPS listener whose host web.test has these scripts and ws.test takes upgrades, and a
    listener of mode tcp."""

    def make(run, *scripts):
        listeners = [*TLS["listener"], {"name": "db", "address": "127.0.0.1:0", "mode": "tcp", "route": "db"}]
        return daemon({"listener": listeners, "run": run}, [
            {"host": "web.test", "to": [backend(*scripts).address], "tls": {"insecure": "allow"}},
            {"host": "ws.test", "to": [backend(switches).address], "tls": {"insecure": "allow"}},
            {"name": "db", "to": [backend(echoes).address]},
        ])

    return make


def inside_tls(edged):
    return secured(edged.connect("tls"), "ws.test", client_context())


def upgraded(client):
    client.send(UPGRADE)
    assert client.answer().status == 101
    return client


def tunnels(edged):
    return {"tcp": edged.connect("db"), "websocket": upgraded(edged.connect()), "websocket in tls": upgraded(inside_tls(edged))}


def echo(client, piece=b"to and fro"):
    client.send(piece)
    assert client.take(len(piece)) == piece


@WAYS
def test_idle_clients_have_a_second(drain, made):
    edged = made({"drain_timeout": "60s"})
    with edged.connect() as idle, inside_tls(edged) as safe, edged.connect() as fresh:
        for client in (idle, safe):
            assert client.ask(host="web.test").status == 200
        until(lambda: edged.gauges()["connections"] == 3)
        began_s = time.monotonic()
        drain(edged)
        begun(edged)
        assert (idle.rest(), safe.rest()) == (b"", b"")
        assert time.monotonic() - began_s >= 1
        answer = fresh.ask(host="web.test")      # it never asked before
        assert (answer.status, answer.get("connection")) == (200, "close")
        assert fresh.rest() == b""
    over(edged, drain)


@WAYS
def test_who_asks_within_that_second_is_answered(drain, made):
    edged = made({"drain_timeout": "60s"})
    with edged.connect() as client:
        client.ask(host="web.test")
        drain(edged)
        while (answer := client.ask(host="web.test")).get("connection") != "close":
            assert answer.status == 200
        assert answer.status == 200
        assert client.rest() == b""
    over(edged, drain)


@OF_ALL
def test_tunnels_may_have_longer_than_exchanges(drain, made):
    gate = Gate()

    def never_ends(peer):
        peer.request()
        gate.pass_()

    edged = made({"drain_timeout": "300ms", "tunnel_drain_timeout": "6s"}, never_ends)
    with edged.connect() as busy, edged.connect() as fresh:
        open_ones = tunnels(edged)
        busy.send(request_bytes("/", "web.test"))
        gate.wait_for_somebody()
        until(lambda: edged.gauges()["connections"] == 5)
        began_s = time.monotonic()
        drain(edged)
        assert busy.until_gone() == fresh.until_gone() == b""
        assert 0.3 <= time.monotonic() - began_s < 6
        for client in open_ones.values():
            echo(client)
        for client in open_ones.values():
            assert client.until_gone() == b""
            client.close()
        assert time.monotonic() - began_s >= 6
        cut = http_line(edged.line_of(busy))
        assert (cut.status, cut.code) == (-1, "KD--")
        assert tcp_line(edged.line_of(open_ones["tcp"])).code == "KD"
    gate.open()
    over(edged, drain)


@WAYS
def test_tunnels_may_have_less_time_than_exchanges(drain, made):
    gate = Gate()

    def waits(peer):
        peer.request()
        gate.pass_()
        peer.reply(b"late")

    edged = made({"drain_timeout": "60s", "tunnel_drain_timeout": "400ms"}, waits)
    with edged.connect() as busy:
        open_ones = tunnels(edged)
        busy.send(request_bytes("/", "web.test"))
        gate.wait_for_somebody()
        began_s = time.monotonic()
        drain(edged)
        assert open_ones["websocket in tls"].until_gone() == b""
        assert time.monotonic() - began_s >= 0.4
        for name in ("tcp", "websocket"):
            if drain.way == "reload":
                echo(open_ones[name])            # they have moved
            else:
                assert open_ones[name].until_gone() == b""
        gate.open()
        assert busy.answer().body == b"late"
        assert busy.rest() == b""
        if drain.way == "reload":
            edged.until_said("generation 1 has left: 1 exchange finished, 2 handed over, 1 cut", COME_S)
        for client in open_ones.values():
            client.close()
    over(edged, drain)


def test_what_becomes_a_tunnel_when_their_time_is_over_is_cut(made):
    gate = Gate()

    def switches_late(peer):
        peer.request()
        gate.pass_()
        peer.send(SWITCHED)
        peer.until_gone()

    edged = made({"drain_timeout": "60s", "tunnel_drain_timeout": "100ms"}, switches_late)
    with edged.connect() as late, upgraded(edged.connect()) as early:
        late.send(UPGRADE.replace(b"ws.test", b"web.test"))
        gate.wait_for_somebody()
        edged.process.send_signal(signal.SIGTERM)
        assert early.until_gone() == b""
        gate.open()
        assert late.answer().status == 101
        assert late.until_gone() == b""
        assert edged.process.wait(20) == 0


def test_a_reload_counts_what_is_cut_before_its_end(made):
    """Tunnels that stay outlast exchanges, and are counted when they end by themselves."""
    gate = Gate()

    def never_ends(peer):
        peer.request()
        gate.pass_()

    edged = made({"drain_timeout": "60s"}, never_ends)
    with edged.connect() as busy, upgraded(inside_tls(edged)) as stays:
        busy.send(request_bytes("/", "web.test"))
        gate.wait_for_somebody()
        edged.config.write_text(toml(merged(edged.settings, {"run": {"drain_timeout": "200ms", "tunnel_drain_timeout": "60s"}})))
        edged.process.send_signal(signal.SIGHUP) # the new settings tell how long
        assert busy.until_gone() == b""
        echo(stays)
        told = until(lambda: [one for one in [_last_reload(edged)] if one and one["cut"]])[0]
        assert (told["finished"], told["handed_over"], told["cut"], told["left"]) == (0, 0, 1, 1)
        stays.half_close()
        assert stays.rest() == b""
        edged.until_said("generation 1 has left: 1 exchange finished, 0 handed over, 1 cut", COME_S)
    gate.open()


def _last_reload(edged):
    told = subprocess.run(
        command("ctl", "status", "--json", "--runtime-dir", str(edged.directory / "run")), env=environment(), capture_output=True,
        check=True,
    ).stdout
    return json.loads(told)["last_reload"]
