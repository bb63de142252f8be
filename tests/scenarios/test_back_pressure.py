"""A fast sender and a slow reader: what lies between them is bounded, whatever is sent."""

import threading

import pytest

from tests.scenarios.harness.content import MIB, content, sha256
from tests.scenarios.harness.stream import chunked
from tests.scenarios.harness.until import PATIENCE_S, until

SIZE = 100 * MIB
GROWTH_MOST = 1 * MIB                            # of a worker's own memory; two buffers of 16 KiB and a pipe are what it needs


class Meter:
    """How far a sender has come."""

    def __init__(self) -> None:
        self.sent = 0

    def send(self, stream, data: bytes) -> None:
        for at in range(0, len(data), 65_536):
            stream.send(data[at:at + 65_536])
            self.sent += 65_536

    def until_stuck(self) -> None:
        """The sender can get rid of nothing more."""
        seen = [-1] * 100                        # looks in a row that must be equal
        def stuck() -> bool:
            seen.append(self.sent)
            return self.sent > 0 and len(set(seen[-100:])) == 1

        until(stuck, PATIENCE_S, "the sender is stuck")


def body_of(coding: str) -> tuple[bytes, bytes]:
    """A field that frames a body, and the body in that framing."""
    if coding == "length":
        return b"Content-Length: %d" % SIZE, content(SIZE)
    return b"Transfer-Encoding: chunked", chunked(*(content(SIZE)[at:at + MIB] for at in range(0, SIZE, MIB)))


@pytest.fixture(params=[True, False], ids=["splice", "copy"], scope="module")
def edged(request, lasting_daemon):
    return lasting_daemon({"worker": {"splice": request.param}, "timeouts": {"client": "60s", "server": "60s"}})


@pytest.mark.parametrize("coding", ["length", "chunked"])
def test_a_download(edged, backend, coding):
    meter = Meter()
    field, body = body_of(coding)

    def sends(peer):
        peer.request()
        peer.send(b"HTTP/1.1 200 OK\r\n" + field + b"\r\n\r\n")
        meter.send(peer, body)

    edged.change_routes([{"host": "*", "to": [backend(sends).address]}])
    before = edged.anonymous_bytes()
    with edged.connect(receive_bytes=8192) as client:
        client.send(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
        client.head()
        meter.until_stuck()
        assert meter.sent < SIZE / 2
        grown = edged.anonymous_bytes() - before
        got = client.chunks()[0] if coding == "chunked" else client.take(SIZE)
        assert sha256(got) == sha256(content(SIZE))
        most = max(grown, edged.anonymous_bytes() - before)
    print(f"a download of 100 MiB, {coding}: {grown / 1024:.0f} KiB more while stuck, {most / 1024:.0f} KiB at most")
    assert most < GROWTH_MOST
    edged.until_idle()


@pytest.mark.parametrize("coding", ["length", "chunked"])
def test_an_upload(edged, backend, coding):
    meter = Meter()
    field, body = body_of(coding)
    go = threading.Event()

    def reads_late(peer):
        head = peer.head()
        assert go.wait(60)
        got = peer.chunks()[0] if coding == "chunked" else peer.take(int(head.get("content-length") or 0))
        peer.reply(sha256(got).encode())

    edged.change_routes([{"host": "*", "to": [backend(reads_late).address]}])
    before = edged.anonymous_bytes()
    with edged.connect() as client:
        client.send(b"PUT / HTTP/1.1\r\nHost: a\r\n" + field + b"\r\n\r\n")
        sender = threading.Thread(target=meter.send, args=(client, body))
        sender.start()
        meter.until_stuck()
        assert meter.sent < SIZE / 2
        grown = edged.anonymous_bytes() - before
        go.set()
        sender.join()
        assert client.answer().body.decode() == sha256(content(SIZE))
        most = max(grown, edged.anonymous_bytes() - before)
    print(f"an upload of 100 MiB, {coding}: {grown / 1024:.0f} KiB more while stuck, {most / 1024:.0f} KiB at most")
    assert most < GROWTH_MOST
    edged.until_idle()


def test_a_hundred_slow_readers(edged, backend):
    """What each costs is bounded too."""
    body = content(20 * MIB)                     # more than the kernel's buffers hold

    def sends(peer):
        peer.request()
        peer.send(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(body))
        peer.send(body)

    edged.change_routes([{"host": "*", "to": [backend(sends).address]}])
    before = edged.anonymous_bytes()
    clients = [edged.connect(receive_bytes=8192) for _ in range(100)]
    for client in clients:
        client.send(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
        client.head()
    grown = edged.anonymous_bytes() - before
    print(f"100 slow readers: {grown / 1024 / 100:.1f} KiB each")
    assert grown < 100 * 40 * 1024
    for client in clients:
        client.close()
    edged.until_idle()
