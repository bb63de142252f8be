"""TLS on tcp listeners: it ends here, and what is inside is relayed; each direction's end is an end of its own."""

import contextlib
import ssl
import threading

import pytest

from tests.scenarios.harness.backend import echoes
from tests.scenarios.harness.content import MIB, content, sha256
from tests.scenarios.harness.peers import Program, free_port, tool
from tests.scenarios.harness.tls import client_context
from tests.scenarios.harness.until import until

V1_2, V1_3 = ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3


@pytest.fixture(scope="module")
def relay(lasting_daemon, authority, tmp_path_factory):
    path = tmp_path_factory.mktemp("default") / "default.pem"
    path.write_text(authority.issue("database", ["db.test"]).bundle)
    return lasting_daemon({
        "listener": [{"name": "tls", "address": "127.0.0.1:0", "mode": "tcp", "route": "db", "tls": True}],
        "tls": {"default_certificate": str(path)}, "timeouts": {"client_fin": "20s", "server_fin": "20s"},
    })


@pytest.fixture(params=[V1_2, V1_3], ids=["1.2", "1.3"])
def context(request, authority):
    return client_context(authority, highest=request.param)


def test_echo(pipe, context):
    edged = pipe(echoes)
    with edged.connect_tls("db.test", context) as client:
        for message in (b"\0", b"hello\r\n\r\n", b"GET / HTTP/1.1\r\n\r\n", content(100_000)):
            client.send(message)
            assert client.take(len(message)) == message
        assert edged.gauges()["tunnels"] == 1


def test_the_endpoint_may_speak_first(pipe, context):
    def greets(peer):
        peer.send(b"220 welcome\r\n")
        peer.until_gone()

    with pipe(greets).connect_tls("db.test", context) as client:
        assert client.take_until(b"\n") == b"220 welcome\r\n"


def test_a_client_that_has_said_all_still_hears(pipe, context):
    def answers_after_the_end(peer):
        peer.send(b"got " + sha256(peer.rest()).encode())

    with pipe(answers_after_the_end).connect_tls("db.test", context) as client:
        client.send(content(MIB))
        client.half_close()
        assert client.rest() == b"got " + sha256(content(MIB)).encode()


def test_an_endpoint_that_has_said_all_still_hears(pipe, context):
    heard = []

    def listens_after_the_end(peer):
        peer.send(b"all I have to say")
        peer.half_close()
        heard.append(peer.rest())

    with pipe(listens_after_the_end).connect_tls("db.test", context) as client:
        assert client.rest() == b"all I have to say"
        client.send(content(MIB))
        client.half_close()
        until(lambda: heard)
    assert sha256(heard[0]) == sha256(content(MIB))


def test_bulk_both_ways_at_once(pipe, context):
    size = 30 * MIB

    def both_ways(peer):
        sender = threading.Thread(target=peer.send, args=(content(size),))
        sender.start()
        got = peer.take(size)
        sender.join()
        peer.send(sha256(got).encode())

    # One after the other on the client's side: its TLS is no object for two threads. The endpoint does both at once.
    with pipe(both_ways).connect_tls("db.test", context) as client:
        got = bytearray()
        for at in range(0, size, MIB):
            client.send(content(size)[at:at + MIB])
            got += client.take(MIB)
        assert sha256(bytes(got)) == sha256(content(size))
        assert client.take(64).decode() == sha256(content(size))


def test_a_client_that_ends_without_close_notify_has_ended(pipe, context):
    """Many do, and a reset could take from the endpoint what it has not read yet."""
    ended = []

    def waits(peer):
        ended.append(peer.rest())

    with pipe(waits).connect_tls("db.test", context) as client:
        client.send(b"half of it")
        client.sock.shutdown(1)
        client.until_gone()
    until(lambda: ended)
    assert ended == [b"half of it"]


def test_an_endpoint_that_resets_is_no_end_either(pipe, context):
    def resets(peer):
        peer.take(1)
        peer.reset()

    with pipe(resets).connect_tls("db.test", context) as client:
        client.send(b"x")
        with pytest.raises((ssl.SSLEOFError, ConnectionResetError)):
            client.rest()


def test_an_endpoint_that_refuses_ends_the_connection(pipe, context, refusing):
    edged = pipe(to=[refusing.address], retries=0)
    with contextlib.suppress(OSError), edged.connect_tls("db.test", context) as client:
        assert client.until_gone() == b""


def test_socat_at_the_other_end(pipe, context, tmp_path):
    port = free_port()
    words = [tool("socat"), "-t20", f"TCP-LISTEN:{port},fork,reuseaddr,bind=127.0.0.1", "EXEC:sha256sum"]
    socat = Program(words, tmp_path, [("127.0.0.1", port)])
    try:
        edged = pipe(to=[f"127.0.0.1:{port}"])
        for size in (0, 1, 5 * MIB):
            with edged.connect_tls("db.test", context) as client:
                client.send(content(size))
                client.half_close()
                assert client.rest().decode().split()[0] == sha256(content(size))
    finally:
        socat.stop()


def test_what_is_no_tls_never_reaches_the_endpoint(pipe, backend):
    one = backend(echoes)
    edged = pipe(to=[one.address])
    with edged.connect("tls") as client:
        client.send(b"SELECT 1;\r\n" * 100)
        client.until_gone()
    edged.until_idle()
    assert not one.peers
