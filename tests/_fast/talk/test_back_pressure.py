"""A fast sender and a slow reader: memory stays within a block for each buffer, whatever is sent, and nothing is lost."""

import pytest

from tests._fast.talk.scene import GET, OK, ended, stage, unchunked

__all__ = ["stage"]

BLOCK = 16384
MUCH = bytes(range(251)) * 20000                 # about 5 MB
CHUNK = b"%x\r\n" % len(MUCH) + MUCH + b"\r\n0\r\n\r\n"
SMALL_CHUNKS = b"".join(b"%x\r\n" % 1004 + MUCH[i:i + 1004] + b"\r\n" for i in range(0, 1004 * 1000, 1004)) + b"0\r\n\r\n"
MIDDLING = b"".join(b"%x\r\n" % 16000 + MUCH[i:i + 16000] + b"\r\n" for i in range(0, 16000 * 100, 16000)) + b"0\r\n\r\n"

LENGTH = b"Content-Length: %d\r\n\r\n" % len(MUCH)
TE = b"Transfer-Encoding: chunked\r\n\r\n"
BODIES = {
    "length": (LENGTH, MUCH), "one chunk": (TE, CHUNK), "small chunks": (TE, SMALL_CHUNKS), "chunks of nearly a block": (TE, MIDDLING),
}
WAYS = pytest.mark.parametrize("pipes", [False, True], ids=["copied", "piped"])
ALL = pytest.mark.parametrize("name", BODIES)


def payload(framing: bytes, data: bytes) -> bytes:
    body = data.partition(b"\r\n\r\n")[2]
    return unchunked(body)[0] if framing == TE else body


@ALL
@WAYS
def test_an_answer_to_a_slow_client(stage, name, pipes):
    framing, body = BODIES[name]
    play = stage(pipes=pipes)
    client = play.client(GET)
    client.more(0)
    play.server.send(b"HTTP/1.1 200 OK\r\n" + framing + body)
    assert play.blocks_out <= 2
    assert play.server.unread >= len(body) - 2 * BLOCK - (65536 if pipes else 0)
    for n in (1, 10, 1000, 16383, 16385, 70000):
        client.more(n)
        assert play.blocks_out <= 2
    client.more(len(body) + 100000)
    assert payload(framing, client.take()) == payload(framing, b"\r\n\r\n" + body)
    assert (ended(play), play.blocks_out, client.state) == ([(200, "--")], 0, "idle")


@ALL
@WAYS
def test_a_body_to_a_slow_endpoint(stage, name, pipes):
    framing, body = BODIES[name]
    play = stage(pipes=pipes)
    client = play.client(b"POST / HTTP/1.1\r\nHost: a.test\r\n" + framing)
    server = client.back
    head = server.take()
    server.more(0)
    client.send(body)
    assert play.blocks_out <= 2
    assert client.unread >= len(body) - 2 * BLOCK - (65536 if pipes else 0)
    for n in (1, 10, 1000, 16383, 16385, 70000):
        server.more(n)
        assert play.blocks_out <= 2
    server.more(len(body) + 100000)
    assert payload(framing, head + server.take()) == payload(framing, b"\r\n\r\n" + body)
    server.send(OK)
    assert (ended(play), play.blocks_out, client.state) == ([(200, "--")], 0, "idle")


@WAYS
def test_both_at_once(stage, pipes):
    play = stage(pipes=pipes)
    client = play.client(b"POST / HTTP/1.1\r\nHost: a.test\r\n" + LENGTH)
    server = client.back
    server.take()
    client.more(0)
    server.more(0)
    client.send(MUCH)
    server.send(b"HTTP/1.1 200 OK\r\n" + LENGTH + MUCH)
    assert play.blocks_out <= 4
    while client.state == "answer":
        server.more(50000)
        client.more(50000)
        assert play.blocks_out <= 4
    assert server.take() == MUCH
    assert client.take().partition(b"\r\n\r\n")[2] == MUCH
    assert ended(play) == [(200, "--")]


def test_a_client_that_pipelines_and_does_not_read(stage):
    play = stage()
    client = play.client()
    client.more(0)
    client.send(GET.replace(b"a.test", b"b.test") * 5000)
    assert play.blocks_out <= 2
    assert len(play.log) == 1
    assert client.unread > 5000 * len(GET) - 2 * BLOCK
    client.more(1 << 30)
    assert len(play.log) == 5000
    assert client.take().count(b"HTTP/1.1 503 ") == 5000


def test_interim_answers_without_an_end_wait_for_a_slow_client(stage):
    play = stage()
    client = play.client(GET)
    client.more(0)
    hint = b"HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n"
    play.server.send(hint * 5000 + OK)
    assert play.blocks_out <= 2
    assert play.server.unread > len(hint) * 5000 - 3 * BLOCK
    client.more(1 << 30)
    assert client.take().count(b" 103 ") == 5000
    assert ended(play) == [(200, "--")]


def test_interim_answers_and_an_end_behind_them(stage):
    """The final head is here, but waits for room: that is no endpoint that left without an answer."""
    play = stage(buffer=4096, head_bytes=3000)
    client = play.client(GET)
    client.more(0)
    hint = b"HTTP/1.1 103 Early Hints\r\nLink: " + b"x" * 2500 + b"\r\n\r\n"
    last = b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\nX: " + b"y" * 2000 + b"\r\n\r\nhi"
    play.server.send(hint).send(last).fin()
    assert play.log == []
    client.more(1 << 20)
    assert client.take().endswith(b"hi")
    assert ended(play) == [(200, "--")]


def test_a_thousand_idle_clients_hold_no_block(stage):
    play = stage()
    clients = [play.client(GET) for _ in range(1000)]
    for client in clients:
        client.back.send(OK)
    assert play.blocks_out == 0
    assert len(play.servers) <= 1000


def test_waiting_for_an_answer_holds_no_block(stage):
    play = stage()
    play.client(GET)
    assert play.blocks_out == 0
    play.client(b"", tcp=True)
    assert play.blocks_out == 0
