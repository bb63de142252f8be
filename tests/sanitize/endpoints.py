"""Endpoints out of the ordinary, in a process of their own: what each does is said by the path it is asked for.

  endpoints.py chain.pem key.pem       what those that speak TLS show

Prints the ports once it listens, as JSON; ends with its standard input."""

import contextlib
import hashlib
import json
import random
import socket
import ssl
import sys
import threading
from collections.abc import Callable
from pathlib import Path

sys.path.append(str(Path(__file__).resolve().parent.parent.parent))

from tests.sanitize.cutting import Cut, Twisted
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
    while got := peer.sock.recv(65536) if peer.tls is None else peer.tls.recv():
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


def secure(script: Callable[[Stream], None], context: ssl.SSLContext) -> Callable[[Stream], None]:
    """The same within TLS, with a decent end."""
    def play(peer: Stream) -> None:
        peer.start_tls(context, server_side=True)
        with contextlib.suppress(EOFError):
            script(peer)
        peer.half_close()

    return play


def rude_secure(peer: Stream, context: ssl.SSLContext) -> None:
    """TLS that fails at any step."""
    match random.randrange(8):
        case 0:
            peer.sock.recv(100)
            peer.reset()
        case 1:
            peer.sock.recv(4096)
            peer.send(random.choice([HELLO, b"\x16\x03\x03\x40\x00" + random.randbytes(500), random.randbytes(3000)]))
        case 2:
            peer.sock.recv(4096)
            peer.send(b"\x15\x03\x03\x00\x02\x02" + random.choice([b"\x28", b"\x50", b"\x70"]))     # alerts that refuse
        case 3:
            peer.sock = Cut(peer.sock, random.randrange(2000))           # somewhere in the first flight
            secure(rude, context)(peer)
        case 4:
            peer.sock = Twisted(peer.sock, random.Random(), 1500)
            secure(odd, context)(peer)
        case 5:
            peer.start_tls(context, server_side=True)
            if random.random() < 0.5:
                peer.head()
            peer.sock.sendall(random.choice([b"", random.randbytes(100), b"\x17\x03\x03\x00\x20" + random.randbytes(32)]))
        case 6:
            peer.start_tls(context, server_side=True)
            peer.head()
            peer.send(answer(b"r" * 300000)[: random.randrange(300000)])
            peer.sock.sendall(b"\x17\x03\x03\x40\x00" + random.randbytes(random.randrange(16384)))
        case 7:
            secure(rude, context)(peer)


def serve(listener: socket.socket, script: Callable[[Stream], None]) -> None:
    def play(sock: socket.socket) -> None:
        with contextlib.suppress(OSError, EOFError), sock:
            peer = Stream(sock)
            sock.settimeout(WAIT_S)
            with contextlib.closing(peer):
                script(peer)

    while True:
        sock, _ = listener.accept()
        threading.Thread(target=play, args=(sock,), daemon=True).start()


def up_to(highest: ssl.TLSVersion) -> ssl.SSLContext:
    made = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    made.load_cert_chain(*sys.argv[1:])
    made.maximum_version = highest
    return made


def main() -> None:
    newest, older = up_to(ssl.TLSVersion.TLSv1_3), up_to(ssl.TLSVersion.TLSv1_2)
    scripts: list[tuple[str, Callable[[Stream], None]]] = [
        ("odd", odd), ("odd", odd), ("echo", echo), ("rude", rude), ("rude", rude),
        ("odd tls", secure(odd, newest)), ("odd tls", secure(odd, older)), ("echo tls", secure(echo, newest)),
        ("echo tls", secure(echo, older)), ("rude tls", lambda peer: rude_secure(peer, random.choice([newest, older]))),
    ]
    ports: dict[str, list[int]] = {name: [] for name, _ in scripts}
    for name, script in scripts:
        listener = socket.create_server(("127.0.0.1", 0), backlog=1024)
        ports[name].append(listener.getsockname()[1])
        threading.Thread(target=serve, args=(listener, script), daemon=True).start()
    bound = socket.socket()                      # bound and not listening: whoever comes is refused
    bound.bind(("127.0.0.1", 0))
    ports["refusing"] = [bound.getsockname()[1]]
    print(json.dumps(ports), flush=True)
    sys.stdin.read()


if __name__ == "__main__":
    main()
