"""WebSockets: real clients and servers from the websockets library on both ends."""

import socket
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
from websockets.exceptions import ConnectionClosedError, InvalidStatus
from websockets.sync.client import connect
from websockets.sync.server import serve

from tests.scenarios.harness.content import MIB, content


def _echo(ws):
    for message in ws:
        if message == "close":
            ws.close(4001, "as you wish")
            return
        ws.send(message)


def _connect(shop):
    return connect(f"ws://{shop.host}/", sock=socket.create_connection(shop.daemon.address()), max_size=None, proxy=None)


@pytest.fixture
def chat(site):
    """A WebSocket server behind a host of its own; answers what connects to it."""
    with serve(_echo, "127.0.0.1", 0, max_size=None) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        shop = site(to=[f"127.0.0.1:{server.socket.getsockname()[1]}"])
        yield lambda: _connect(shop)
        server.shutdown()
        thread.join()


def test_messages_go_both_ways(chat):
    with chat() as ws:
        for message in ("text", "", b"binary", b"\0" * 126, "ü" * 70_000):
            ws.send(message)
            assert ws.recv() == message


def test_large_messages(chat):
    with chat() as ws:
        ws.send(content(20 * MIB))
        assert ws.recv() == content(20 * MIB)


def test_fragments(chat):
    with chat() as ws:
        ws.send(iter(["in ", "three ", "parts"]))
        assert ws.recv() == "in three parts"


def test_pings_are_answered_by_the_other_end(chat):
    with chat() as ws:
        assert ws.ping().wait(10)


def test_the_closing_code_passes(chat):
    with chat() as ws:
        ws.send("close")
        with pytest.raises(ConnectionClosedError) as closed:
            ws.recv()
        assert (closed.value.rcvd.code, closed.value.rcvd.reason) == (4001, "as you wish")


def test_fifty_at_once(chat):
    def talks(n: int) -> bool:
        with chat() as ws:
            for i in range(20):
                ws.send(f"{n}-{i}")
                assert ws.recv() == f"{n}-{i}"
        return True

    with ThreadPoolExecutor(50) as threads:
        assert all(threads.map(talks, range(50)))


def test_tunnels_are_counted(chat, edge):
    before = edge.gauges()["tunnels"]
    with chat() as ws:
        ws.send("x")
        ws.recv()
        assert edge.gauges()["tunnels"] == before + 1
    edge.until_idle()


def test_a_server_that_refuses_the_upgrade_is_believed(site):
    shop = site()
    with pytest.raises(InvalidStatus) as refused:
        _connect(shop)
    assert refused.value.response.status_code == 200


def test_another_protocol_may_be_upgraded_to(site):
    def speaks(peer):
        request = peer.request()
        assert (request.get("upgrade"), request.get("connection")) == ("echo/1", "upgrade")
        peer.send(b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: echo/1\r\n\r\n")
        peer.send(peer.take(5))
        peer.until_gone()

    shop = site(speaks)
    client = shop.connect()
    client.send(f"GET / HTTP/1.1\r\nHost: {shop.host}\r\nConnection: Upgrade\r\nUpgrade: echo/1\r\n\r\nearly".encode())
    assert client.answer().status == 101
    assert client.take(5) == b"early"


def test_nobody_is_switched_to_what_it_did_not_ask_for(site):
    def switches(peer):
        peer.request()
        peer.send(b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: other\r\n\r\n")
        peer.until_gone()

    assert site(switches).ask().status == 502
