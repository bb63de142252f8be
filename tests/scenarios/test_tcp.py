"""TCP listeners: bytes as they are, and each direction's end on its own."""

import contextlib
import threading

import pytest

from tests.scenarios.harness.backend import Gate, echoes
from tests.scenarios.harness.content import MIB, content, sha256
from tests.scenarios.harness.peers import Program, free_port, tool
from tests.scenarios.harness.until import until


@pytest.fixture(scope="module")
def relay(lasting_daemon):
    return lasting_daemon({"listener": [{"name": "tcp", "address": "127.0.0.1:0", "mode": "tcp", "route": "db"}]})


def test_echo(pipe):
    edged = pipe(echoes)
    with edged.connect("tcp") as client:
        for message in (b"\0", b"hello\r\n\r\n", b"GET / HTTP/1.1\r\n\r\n", content(100_000)):
            client.send(message)
            assert client.take(len(message)) == message
        assert edged.gauges()["tunnels"] == 1
    edged.until_idle()


def test_the_endpoint_may_speak_first(pipe):
    def greets(peer):
        peer.send(b"220 welcome\r\n")
        peer.until_gone()

    with pipe(greets).connect("tcp") as client:
        assert client.take_until(b"\n") == b"220 welcome\r\n"


def test_a_client_that_has_said_all_still_hears(pipe):
    def answers_after_the_end(peer):
        data = peer.rest()
        peer.send(b"got " + sha256(data).encode())

    with pipe(answers_after_the_end).connect("tcp") as client:
        client.send(content(MIB))
        client.half_close()
        assert client.rest() == b"got " + sha256(content(MIB)).encode()


def test_socat_at_the_other_end(pipe, tmp_path):
    """It answers when its program has read to the end: both directions have to end each on its own."""
    port = free_port()
    words = [tool("socat"), "-t20", f"TCP-LISTEN:{port},fork,reuseaddr,bind=127.0.0.1", "EXEC:sha256sum"]
    socat = Program(words, tmp_path, [("127.0.0.1", port)])
    try:
        edged = pipe(to=[f"127.0.0.1:{port}"], timeouts={"server-fin": "20s"})
        for size in (0, 1, 5 * MIB):
            with edged.connect("tcp") as client:
                client.send(content(size))
                client.half_close()
                assert client.rest().decode().split()[0] == sha256(content(size))
    finally:
        socat.stop()


def test_an_endpoint_that_has_said_all_still_hears(pipe):
    heard = []

    def listens_after_the_end(peer):
        peer.send(b"all I have to say")
        peer.half_close()
        heard.append(peer.rest())

    edged = pipe(listens_after_the_end, timeouts={"client-fin": "20s"})
    with edged.connect("tcp") as client:
        assert client.rest() == b"all I have to say"
        client.send(content(MIB))
        client.half_close()
        until(lambda: heard)
    assert sha256(heard[0]) == sha256(content(MIB))


def test_bulk_both_ways_at_once(pipe):
    size = 60 * MIB

    def both_ways(peer):
        sender = threading.Thread(target=peer.send, args=(content(size),))
        sender.start()
        got = peer.take(size)
        sender.join()
        peer.send(sha256(got).encode())

    with pipe(both_ways).connect("tcp") as client:
        sender = threading.Thread(target=client.send, args=(content(size),))
        sender.start()
        assert sha256(client.take(size)) == sha256(content(size))
        sender.join()
        assert client.take(64).decode() == sha256(content(size))


def test_small_exchanges_and_large_ones_go_on_beside_each_other(pipe):
    """A large move is made when the smaller work is done: neither may keep the other waiting for ever."""
    size, together = 24 * MIB, 4
    arrived = []

    def serves(peer):
        if peer.take(1) == b"L":
            peer.send(content(size))
        else:
            peer.send(b"!")
            echoes(peer)

    def downloads(client):
        client.send(b"L")
        arrived.append(sha256(client.take(size)))

    edged = pipe(serves)
    with contextlib.ExitStack() as open_now:
        small, *large = [open_now.enter_context(edged.connect("tcp")) for _ in range(1 + together)]
        small.send(b"S")
        assert small.take(1) == b"!"
        threads = [threading.Thread(target=downloads, args=(client,)) for client in large]
        for thread in threads:
            thread.start()
        rounds = 0
        while rounds < 100 or any(thread.is_alive() for thread in threads):
            small.send(b"%064d" % rounds)
            assert small.take(64) == b"%064d" % rounds
            rounds += 1
        for thread in threads:
            thread.join()
    assert arrived == [sha256(content(size))] * together


def test_all_arrives_where_the_end_follows_at_once(pipe):
    """Of large pieces the last may still be in the pipe when the end is seen, and nothing more comes that would remind the engine of it."""
    sizes = [size + more for size in (MIB // 4, MIB, 2 * MIB, 5 * MIB) for more in (-1, 0, 1)]
    arrived = {}

    def sends_and_ends(peer):
        size = int(peer.take(8))
        peer.send(content(size))
        peer.close()

    def downloads(client, size):
        client.send(b"%08d" % size)
        arrived[size] = sha256(client.rest())

    edged = pipe(sends_and_ends)
    for together in (1, len(sizes)):
        arrived.clear()
        with contextlib.ExitStack() as open_now:
            clients = [open_now.enter_context(edged.connect("tcp")) for _ in sizes]
            threads = [threading.Thread(target=downloads, args=pair) for pair in zip(clients, sizes, strict=True)]
            for first in range(0, len(threads), together):
                for thread in threads[first:first + together]:
                    thread.start()
                for thread in threads[first:first + together]:
                    thread.join()
        assert arrived == {size: sha256(content(size)) for size in sizes}


def test_a_reset_goes_through_both_ways(pipe):
    ended = []

    def waits(peer):
        try:
            peer.take(1_000_000)
        except (ConnectionResetError, EOFError) as why:
            ended.append(type(why))

    def resets(peer):
        peer.take(1)
        peer.reset()

    edged = pipe(waits, resets)
    with edged.connect("tcp") as client:
        client.send(b"x")
        until(lambda: edged.gauges()["tunnels"] == 1)
        client.reset()
    until(lambda: ended)
    with edged.connect("tcp") as client:
        client.send(b"x")
        assert client.until_gone() == b""
    edged.until_idle()


def test_an_endpoint_that_refuses_resets_the_connection(pipe, refusing):
    """An orderly end would look as if it had answered nothing."""
    edged = pipe(to=[refusing.address], retries=0)
    seen = len(edged.lines())
    with pytest.raises(ConnectionResetError), edged.connect("tcp") as client:
        client.take(1)
    until(lambda: edged.lines()[seen:])
    assert " SC " in edged.lines()[seen]


def test_a_client_that_never_ends_is_cut_off_after_its_endpoint_has(pipe):
    def says_all(peer):
        peer.take(1)
        peer.send(b"all")

    edged = pipe(says_all, timeouts={"client-fin": "200ms", "server-fin": "20s"})
    with edged.connect("tcp") as client:
        client.send(b"x")
        assert client.rest() == b"all"
        assert " cD " in edged.line_of(client)


def test_an_endpoint_that_never_ends_is_cut_off_after_its_client_has(pipe):
    gate = Gate()

    def stays(peer):
        peer.rest()
        gate.pass_()

    edged = pipe(stays, timeouts={"server-fin": "200ms", "client-fin": "20s"})
    with edged.connect("tcp") as client:
        client.send(b"x")
        client.half_close()
        assert client.until_gone() == b""
        assert " sD " in edged.line_of(client)
    gate.open()


def test_another_endpoint_is_tried(pipe, refusing, backend):
    edged = pipe(to=[refusing.address, backend(echoes).address])
    for _ in range(4):
        with edged.connect("tcp") as client:
            client.send(b"anybody?")
            assert client.take(8) == b"anybody?"


def test_a_silent_tunnel_ends(pipe):
    edged = pipe(echoes, timeouts={"tunnel": "300ms"})
    with edged.connect("tcp") as client:
        client.send(b"x")
        assert client.take(1) == b"x"
        assert client.until_gone() == b""
    assert any(code in edged.line_of(client) for code in (" cD ", " sD "))


def test_a_tunnel_that_is_used_goes_on(pipe):
    edged = pipe(echoes, timeouts={"tunnel": "400ms"})
    with edged.connect("tcp") as client:
        for _ in range(8):
            assert client.silent_s(0.1)
            client.send(b"x")
            assert client.take(1) == b"x"


def test_one_line_is_logged_for_each_connection(pipe):
    gate = Gate()

    def answers(peer):
        peer.take(5)
        gate.pass_()
        peer.send(b"four")

    edged = pipe(answers)
    with edged.connect("tcp") as client:
        client.send(b"hello")
        gate.open()
        assert client.rest() == b"four"
        client.half_close()
        line = edged.line_of(client)
    assert " tcp " in line
    assert " -- " in line


def test_a_listener_whose_route_is_missing_closes_and_says_so(daemon):
    edged = daemon({"listener": [{"name": "tcp", "address": "127.0.0.1:0", "mode": "tcp", "route": "nobody"}]})
    edged.until_said("listener tcp: there is no route nobody")
    with contextlib.suppress(ConnectionResetError), edged.connect("tcp") as client:
        assert client.until_gone() == b""
