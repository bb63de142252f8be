"""Tunnels outlive reloads: they go to the new workers with every byte, and the old ones leave at once."""

import os
import signal
import threading
import time

import pytest

from tests.scenarios.harness.accessline import http_line, tcp_line
from tests.scenarios.harness.backend import echoes, over_tls
from tests.scenarios.harness.client import Client, secured
from tests.scenarios.harness.content import MIB, content
from tests.scenarios.harness.objects import certificate_of, document, exposed
from tests.scenarios.harness.processes import children, descriptors, name_of
from tests.scenarios.harness.settings import BASE, TLS, toml
from tests.scenarios.harness.tls import client_context, server_context
from tests.scenarios.harness.until import until

COME_S = 90.0                                    # for a generation, on a machine that is busy
LEAVE_S = 8.0                                    # for a worker that has nothing but tunnels: a few tenths, where nothing else is at work
PIECE = 200_000
UPGRADE = b"GET /chat HTTP/1.1\r\nHost: ws.test\r\nConnection: Upgrade\r\nUpgrade: echo/1\r\n\r\n"
SWITCHED = b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: echo/1\r\n\r\n"


def switches(peer):
    peer.request()
    peer.send(SWITCHED)
    echoes(peer)


def echoes_inside_tls(peer):
    while data := peer.tls.recv():
        peer.send(data)
    peer.half_close()


@pytest.fixture
def edged(daemon, backend, authority, tmp_path):
    """A tcp listener, and one that ends TLS; WebSockets, plain and within TLS; a passthrough route."""
    bundle = tmp_path / "default.pem"
    bundle.write_text(authority.issue("default", ["db.test"]).bundle)
    shown = certificate_of(authority.issue("of ws", ["ws.test"]))
    context = server_context(authority.issue("endpoint", ["raw.test"]), tmp_path)
    made = daemon(
        {
            "listener": [
                *TLS["listener"], {"name": "db", "address": "127.0.0.1:0", "mode": "tcp", "route": "db"},
                {"name": "safe-db", "address": "127.0.0.1:0", "mode": "tcp", "route": "db", "tls": True},
            ],
            "tls": {"default_certificate": str(bundle)}, "worker": {"count": 2}, "run": {"drain_timeout": "120s"},
        },
        document(
            *exposed("ws", "ws.test", backend(switches).address, tls={
                "termination": "edge", "insecureEdgeTerminationPolicy": "Allow", **shown,
            }),
            *exposed("raw", "raw.test", backend(over_tls(context, echoes_inside_tls)).address, tls={"termination": "passthrough"}),
        ),
    )
    made.change_routes([{"name": "db", "to": [backend(echoes).address]}], "db.yaml")
    return made


def upgraded(client):
    client.send(UPGRADE)
    assert client.answer().status == 101
    return client


def movable(edged, authority):
    """One of each kind that moves."""
    return {
        "tcp": edged.connect("db"),
        "websocket": upgraded(edged.connect()),
        "passthrough": secured(edged.connect("tls"), "raw.test", client_context(authority)),
    }


def reload(edged, number):
    edged.process.send_signal(signal.SIGHUP)
    edged.until_said(rf"generation {number} serves", COME_S)


def workers(edged):
    return [pid for pid in children(edged.pid) if name_of(pid).startswith(("edged worker", "edged leaving"))]


def until_moved(edged, n):
    """Generation 2 has so many tunnels: its workers count in stripes of their own."""
    arena = edged.arena
    until(lambda: sum(arena.read_tally(stripe)["tunnels"] for stripe in range(2, arena.stripes)) == n, COME_S)


def echo(client, piece=b"to and fro"):
    client.send(piece)
    assert client.take(len(piece)) == piece


class Talk:
    """Something is said and echoed without a pause, and every byte of it looked at."""

    def __init__(self, client):
        self.sent = 0
        self.wrong = None
        self._client = client
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._talk)
        self._thread.start()

    def _talk(self):
        whole = content(MIB)
        try:
            while not self._over.is_set():
                at = self.sent % (MIB - PIECE)
                echo(self._client, whole[at:at + PIECE])
                self.sent += PIECE
        except (OSError, EOFError, AssertionError) as why:
            self.wrong = why

    def go_on(self):
        before = self.sent
        until(lambda: self.sent > before or self.wrong, what="it goes on")

    def stop(self):
        self._over.set()
        self._thread.join()
        assert self.wrong is None, repr(self.wrong)


def test_tunnels_carry_bytes_over_three_reloads(edged, authority):
    clients = movable(edged, authority)
    quiet = movable(edged, authority)
    talks = {name: Talk(client) for name, client in clients.items()}
    for number in (2, 3, 4):
        for talk in talks.values():
            talk.go_on()
        before = workers(edged)
        reload(edged, number)
        until(lambda gone=before: not set(gone) & set(workers(edged)), LEAVE_S, "the old workers have left")
        edged.until_said(rf"generation {number - 1} has left: 0 exchanges finished, 6 handed over, 0 cut")
    for talk in talks.values():
        talk.go_on()
        talk.stop()
    for client in quiet.values():
        echo(client)
    assert not edged.lines()
    for client in (*clients.values(), *quiet.values()):
        client.half_close()
        client.until_gone()
        client.close()
    edged.until_idle()
    assert tcp_line(edged.line_of(clients["tcp"])).bytes == talks["tcp"].sent
    line = http_line(edged.line_of(clients["websocket"]))
    assert (line.bytes, line.status, line.request) == (talks["websocket"].sent + len(SWITCHED), 101, "GET /chat HTTP/1.1")
    passed = tcp_line(edged.line_of(clients["passthrough"]))
    assert passed.bytes > talks["passthrough"].sent          # and its handshake
    until(lambda: len(edged.lines()) == 6)
    assert tcp_line(edged.line_of(quiet["tcp"])).bytes == len(b"to and fro")


def test_a_client_that_has_said_all_before_and_hears_it_after(edged):
    client = edged.connect("db", receive_bytes=4096)
    said = content(24 * MIB)                     # more than fits on the way there and back

    def says():
        client.send(said)
        client.half_close()

    saying = threading.Thread(target=says)
    saying.start()
    reload(edged, 2)
    edged.until_said("generation 1 has left: 0 exchanges finished, 1 handed over, 0 cut", COME_S)
    assert client.rest() == said
    saying.join()
    client.close()


def test_tunnels_whose_tls_ends_here_stay(edged, authority):
    """With the old worker, until they end."""
    context = client_context(authority)
    staying = [secured(edged.connect("safe-db"), "db.test", context), upgraded(secured(edged.connect("tls"), "ws.test", context))]
    going = movable(edged, authority)
    before = workers(edged)
    reload(edged, 2)
    for client in (*staying, *going.values()):
        echo(client)
    until_moved(edged, 3)
    left = [pid for pid in before if pid in workers(edged)]
    assert 1 <= len(left) <= 2
    for client in staying:
        echo(client)
        client.close()
    until(lambda: not set(left) & set(workers(edged)), COME_S)
    edged.until_said("generation 1 has left: 2 exchanges finished, 3 handed over, 0 cut")
    for client in going.values():
        echo(client)
        client.close()


def test_a_new_worker_that_is_killed_takes_along_what_it_had(edged, authority):
    """And nothing else: those that stayed with the older one go on."""
    staying = secured(edged.connect("safe-db"), "db.test", client_context(authority))
    going = edged.connect("db")
    before = workers(edged)
    reload(edged, 2)
    until_moved(edged, 1)
    echo(going)
    echo(staying)
    for pid in set(workers(edged)) - set(before):
        os.kill(pid, signal.SIGKILL)
    going.until_gone()
    echo(staying)
    staying.close()
    edged.until_said("generation 1 has left", COME_S)


@pytest.mark.parametrize("count", [1, 3])
def test_fewer_workers_and_more(edged, authority, count):
    clients = [movable(edged, authority) for _ in range(4)]
    edged.settings["worker"]["count"] = count
    edged.config.write_text(toml(edged.settings))
    before = workers(edged)
    reload(edged, 2)
    until(lambda: not set(before) & set(workers(edged)), LEAVE_S)
    for client in (one for some in clients for one in some.values()):
        echo(client)
        client.close()


def test_a_thousand_tunnels(daemon, backend):
    """How long they stand still is told; nothing is left of them afterwards."""
    edged = daemon(
        {"listener": [*BASE["listener"], {"name": "db", "address": "127.0.0.1:0", "mode": "tcp", "route": "db"}],
         "run": {"drain_timeout": "60s"}},
        [{"name": "db", "to": [backend(echoes, backlog=2048).address]}],
    )
    clients = [Client(edged.address("db")) for _ in range(1000)]
    for client in clients:
        echo(client)
    before = descriptors(edged.worker_pid()).total()
    (old,) = workers(edged)
    slowest_s, over = 0.0, threading.Event()

    def watches():
        nonlocal slowest_s
        while not over.is_set():
            for client in clients[::100]:
                began_s = time.monotonic()
                echo(client)
                slowest_s = max(slowest_s, time.monotonic() - began_s)

    watching = threading.Thread(target=watches)
    watching.start()
    reload(edged, 2)
    began_s = time.monotonic()
    until(lambda: old not in workers(edged), LEAVE_S)
    print(f"the old worker had left {time.monotonic() - began_s:.3f} s after the new one served; slowest echo {slowest_s * 1000:.1f} ms")
    over.set()
    watching.join()
    edged.until_said("generation 1 has left: 0 exchanges finished, 1000 handed over, 0 cut")
    for client in clients:
        echo(client)
    assert abs(descriptors(edged.worker_pid()).total() - before) <= 4
    for client in clients:
        client.close()
    edged.until_idle()
    until(lambda: len(edged.lines()) == 1000)
