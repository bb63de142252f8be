"""Endpoints out of the ordinary, in a process of their own: what each does is said by the path it is asked for.

Prints the ports once it listens, as JSON; ends with its standard input."""

import contextlib
import hashlib
import json
import random
import socket
import sys
import threading
from collections.abc import Callable
from pathlib import Path

sys.path.append(str(Path(__file__).resolve().parent.parent.parent))

from tests.scenarios.harness.stream import Message, Stream, chunked

ROOT = Path(__file__).resolve().parent.parent.parent
WAIT_S = 900.0                                   # kept connections are the engine's to close
HELLO = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello"
GARBAGE = [
    b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nhello", b"\0\r\n\r\n", b"HTTP/1.1 200 OK\r\nA: " + b"x" * 40000,
    b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n", b"HTTP/1.1 200 OK\r\n" + b"A: b\r\n" * 300 + b"\r\n",
    b"HTTP/1.1 100 Continue\r\n\r\n" * 20, HELLO + HELLO, HELLO[:-2], b"HTTP/1.1 101 Switching Protocols\r\n\r\nwhat?",
    b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nfffffffffffffffff\r\n",
    *(kept.read_bytes() for kept in sorted(ROOT.glob("tests/corpus/fuzz/response/*"))),
]


def answer(body: bytes, more: str = "") -> bytes:
    return f"HTTP/1.1 200 OK\r\nContent-Length: {len(body)}\r\n{more}\r\n".encode() + body


def tells(peer: Stream, request: Message) -> None:
    told = answer(f"{len(request.body)} {hashlib.sha256(request.body).hexdigest()}".encode())
    peer.send(told[: told.index(b"\r\n\r\n") + 4] if request.method == "HEAD" else told)


def chunks(peer: Stream, request: Message) -> None:
    piece = b"z" * random.choice([1, 100, 4096, 70000])
    head = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: X-End\r\n\r\n"
    whole = head + chunked(*[piece] * random.randint(1, 12), trailers="X-End: yes\r\n")
    cut = random.randrange(len(whole))
    peer.send(whole[:cut])
    peer.send(whole[cut:])


def big(peer: Stream, request: Message) -> None:
    peer.send(answer(b"b" * int(request.target.rpartition("/")[2])))


def until_close(peer: Stream, request: Message) -> None:
    peer.send(b"HTTP/1.0 200 OK\r\n\r\n" + b"o" * random.choice([0, 10, 100000]))
    raise EOFError


def closes_after(peer: Stream, request: Message) -> None:
    """An idle connection ends, maybe at the moment of its next use."""
    peer.send(HELLO)
    raise EOFError


def interim(peer: Stream, request: Message) -> None:
    peer.send(b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n" + HELLO)


def empty(peer: Stream, request: Message) -> None:
    peer.send(random.choice([b"HTTP/1.1 204 No Content\r\n\r\n", b'HTTP/1.1 304 Not Modified\r\nETag: "e"\r\nContent-Length: 100\r\n\r\n']))


def upgrade(peer: Stream, request: Message) -> None:
    accept = b"Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n"
    peer.send(b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n" + accept + b"\r\n")
    echo(peer)
    raise EOFError


KINDS: dict[str, Callable[[Stream, Message], None]] = {
    "chunks": chunks, "big": big, "old": until_close, "closes": closes_after, "interim": interim, "empty": empty, "upgrade": upgrade,
}


def odd(peer: Stream) -> None:
    while True:
        head = peer.head()
        kind = head.target.split("/")[1].partition("?")[0]
        if kind == "early":                      # answers before it has read the body, and reads no more
            peer.send(answer(b"enough", "Connection: close\r\n"))
            peer.half_close()
            peer.until_gone()
            return
        if head.get("expect"):
            peer.send(b"HTTP/1.1 100 Continue\r\n\r\n")
        if "chunked" in (head.get("transfer-encoding") or ""):
            head.body, head.trailers = peer.chunks()
        else:
            head.body = peer.take(int(head.get("content-length") or 0))
        KINDS.get(kind, tells)(peer, head)


def echo(peer: Stream) -> None:
    while got := peer.sock.recv(65536):
        peer.send(got)


def rude(peer: Stream) -> None:
    match random.randrange(8):
        case 0:
            peer.reset()
        case 1:
            pass
        case 2:
            peer.send(HELLO)                     # nobody has asked
        case 3:
            peer.head()
            peer.reset()
        case 4:
            peer.head()
            peer.send(HELLO[: random.randrange(len(HELLO))])
            peer.reset()
        case 5:
            peer.head()
            peer.send(answer(b"r" * 300000)[: random.randrange(300000)])
        case 6:
            peer.sock.recv(10)
            peer.send(random.choice(GARBAGE))
            peer.half_close()
            peer.until_gone()
        case 7:
            peer.head()
            peer.send(HELLO)
            peer.sock.recv(1)
            peer.reset()                         # at the moment of reuse


def serve(listener: socket.socket, script: Callable[[Stream], None]) -> None:
    def play(sock: socket.socket) -> None:
        with contextlib.suppress(OSError, EOFError), sock:
            peer = Stream(sock)
            sock.settimeout(WAIT_S)
            script(peer)

    while True:
        sock, _ = listener.accept()
        threading.Thread(target=play, args=(sock,), daemon=True).start()


def main() -> None:
    ports: dict[str, list[int]] = {"odd": [], "echo": [], "rude": [], "refusing": []}
    for name, script in (("odd", odd), ("odd", odd), ("echo", echo), ("rude", rude), ("rude", rude)):
        listener = socket.create_server(("127.0.0.1", 0), backlog=1024)
        ports[name].append(listener.getsockname()[1])
        threading.Thread(target=serve, args=(listener, script), daemon=True).start()
    bound = socket.socket()                      # bound and not listening: whoever comes is refused
    bound.bind(("127.0.0.1", 0))
    ports["refusing"].append(bound.getsockname()[1])
    print(json.dumps(ports), flush=True)
    sys.stdin.read()


if __name__ == "__main__":
    main()
