"""Clients out of the ordinary. The polite ones must get what they ask for, the rude ones only must do no harm.

Each function is one visit, made over and over by several threads, each with dice of its own. Half of those that can come over TLS do
so; what is peculiar to TLS is in tests/sanitize/shaking.py."""

import contextlib
import random
import ssl
import struct
import threading
from collections.abc import Callable

from tests.sanitize import shaking
from tests.sanitize.site import HTTP, PROXIED, TCP_ECHO, TCP_RUDE
from tests.sanitize.visiting import Dice, Listening, body_of, end, is_status, is_told, kept, leave, to
from tests.scenarios.harness.client import Client, request_bytes
from tests.scenarios.harness.stream import chunked

__all__ = ["Crowd"]

MALFORMED = [
    b"GET / HTTP/1.1\r\n\r\n", b"GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", b"CONNECT a:1 HTTP/1.1\r\nHost: a\r\n\r\n", b"\0" * 100,
    b"TRACE / HTTP/1.1\r\nHost: a\r\n\r\n", b"GET /" + b"a" * 20000, b"GET / HTTP/1.1\r\nHost: a\r\n" + b"A: b\r\n" * 500 + b"\r\n",
    b"POST / HTTP/1.1\r\nHost: odd.test\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", b"GET / HTTP/2.0\r\n\r\n",
    b"POST / HTTP/1.1\r\nHost: odd.test\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhelloXX", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    b"POST / HTTP/1.1\r\nHost: odd.test\r\nContent-Length: -1\r\n\r\n", b"\r\n" * 1000, b"GET / HTTP/1.1\r\nHost: a\r\nA: " + b"b" * 30000,
    b"POST / HTTP/1.1\r\nHost: odd.test\r\nTransfer-Encoding: chunked\r\n\r\n" + b"1" * 40 + b"\r\n", b"GET http://odd.test/\r\n\r\n",
]


class Inputs:
    """What the fuzzer of the parsers has kept, and what we think of ourselves."""

    def __init__(self) -> None:
        self.requests = MALFORMED + kept("request")
        self.bodies = kept("chunked") or MALFORMED
        self.headers = kept("proxyline") or MALFORMED


INPUTS = Inputs()


def upgrade(host: str) -> bytes:
    key = "dGhlIHNhbXBsZSBub25jZQ=="             # and its answer: RFC 6455, 1.3
    return request_bytes(
        "/upgrade", host, Connection="Upgrade", Upgrade="websocket", Sec_WebSocket_Version="13", Sec_WebSocket_Key=key
    )


def odd(dice: Dice) -> str:
    """Endpoints that do as the path says; those of the other name are spoken to within TLS."""
    return dice.choice(["odd.test", "again.test"])


def leaving(dice: Dice) -> str:
    return dice.choice(["leaving.test", "leaving-again.test"])


def rude(dice: Dice) -> str:
    return dice.choice(["rude.test", "rude-again.test"])


# polite


def pipelined(listening: Listening, dice: Dice) -> None:
    n = dice.randint(2, 64)
    with to(listening, HTTP, dice) as client:
        client.send(b"".join(request_bytes(f"/{i}", dice.choice(["odd.test", "bulk.test", "again.test"])) for i in range(n)))
        for _ in range(n):
            is_status(client.answer(), 200)


def by_length(listening: Listening, dice: Dice) -> None:
    with to(listening, HTTP, dice) as client:
        for _ in range(dice.randint(1, 10)):
            body = body_of(dice)
            target, host = dice.choice([("/post", odd(dice)), ("/sticky/post", "odd.test"), ("/rewritten/post", "odd.test")])
            is_told(client.ask(target, host, "POST", body), body)


def in_chunks(listening: Listening, dice: Dice) -> None:
    with to(listening, HTTP, dice) as client:
        for _ in range(dice.randint(1, 10)):
            parts = [dice.randbytes(dice.choice([1, 10, 5000, 40000])) for _ in range(dice.randint(1, 6))]
            host = odd(dice).encode()
            head = b"POST /in-chunks HTTP/1.1\r\nHost: %b\r\nTransfer-Encoding: chunked\r\nTrailer: X-T\r\n\r\n" % host
            whole = head + chunked(*parts, trailers="X-T: 1\r\n")
            cut = dice.randrange(len(whole))
            client.send(whole[:cut])
            client.send(whole[cut:])
            is_told(client.answer(), b"".join(parts))


def answers_in_chunks(listening: Listening, dice: Dice) -> None:
    with to(listening, HTTP, dice) as client:
        for _ in range(dice.randint(1, 10)):
            answer = client.ask("/chunks", odd(dice))
            assert set(answer.body) == {ord("z")}
            assert answer.trailers == [("x-end", "yes")]


def big(listening: Listening, dice: Dice) -> None:
    with to(listening, HTTP, dice) as client:
        for _ in range(dice.randint(1, 4)):
            n = dice.randint(65536, 1 << 20)
            assert len(client.ask(f"/big/{n}", odd(dice)).body) == n


def small_steps(listening: Listening, dice: Dice) -> None:
    """A reader with little room, so that everything between it and the endpoint fills up."""
    with to(listening, HTTP, dice, receive_bytes=4096) as client:
        assert len(client.ask("/big/300000", odd(dice)).body) == 300000


def old(listening: Listening, dice: Dice) -> None:
    with to(listening, HTTP, dice) as client:
        client.send(b"GET /a HTTP/1.0\r\nHost: odd.test\r\n\r\n")
        is_told(client.answer(), b"")
        assert client.rest() == b""
    with to(listening, HTTP, dice) as client:
        assert set(client.ask("/old", leaving(dice)).body) <= {ord("o")}


def endings(listening: Listening, dice: Dice) -> None:
    with to(listening, HTTP, dice) as client:
        assert client.ask("/interim", odd(dice)).body == b"hello"
        is_status(client.ask("/empty", odd(dice)), 204, 304)
        is_status(client.ask("/head", odd(dice), "HEAD"), 200)
        is_told(client.ask("/expects", odd(dice), "POST", b"x" * 10, Expect="100-continue"), b"x" * 10)
        assert client.ask("/closes", leaving(dice)).body == b"hello"


def error_pages(listening: Listening, dice: Dice) -> None:
    kind = dice.choice(["text/html", "application/json", "*/*"])
    with to(listening, HTTP, dice) as client:
        is_status(client.ask("/", "nobody.test", Accept=kind), 503)
    with to(listening, HTTP, dice) as client:
        is_status(client.ask("/small", "odd.test", "POST", b"x" * 2000, Accept=kind), 413)
    with to(listening, HTTP, dice) as client:
        is_status(client.ask("/", dice.choice(["refusing.test", "untrusted.test"]), Accept=kind), 503)


def proxied(listening: Listening, dice: Dice) -> None:
    one = b"PROXY TCP4 192.0.2.1 192.0.2.2 1234 80\r\n"
    two = b"\r\n\r\n\0\r\nQUIT\n\x21\x11" + struct.pack("!H4s4sHH", 12, b"\xc0\0\x02\x01", b"\xc0\0\x02\x02", 1234, 80)
    with to(listening, PROXIED, dice) as client:
        client.send(dice.choice([one, two]))
        is_status(client.ask("/", "bulk.test"), 200)


def upgraded(listening: Listening, dice: Dice) -> None:
    with to(listening, HTTP, dice) as client:
        client.send(upgrade(odd(dice)))
        is_status(client.answer(), 101)
        for _ in range(dice.randint(0, 8)):
            said = dice.randbytes(dice.choice([1, 100, 60000]))
            client.send(said)
            assert client.take(len(said)) == said


def tunnelled(listening: Listening, dice: Dice) -> None:
    with Client(("127.0.0.1", listening[TCP_ECHO])) as client:
        said = dice.randbytes(dice.choice([1, 1000, 500000]))

        def send() -> None:
            with contextlib.suppress(OSError):   # what did not arrive is missed below
                client.send(said)
                client.half_close()

        sender = threading.Thread(target=send, daemon=True)
        sender.start()
        assert client.rest().endswith(said)      # a PROXY header may come first
        sender.join()


# rude


def malformed(listening: Listening, dice: Dice) -> None:
    with to(listening, HTTP, dice) as client:
        client.send(dice.choice(INPUTS.requests))
        end(client)
    with to(listening, HTTP, dice) as client:
        client.send(b"POST / HTTP/1.1\r\nHost: odd.test\r\nTransfer-Encoding: chunked\r\n\r\n" + dice.choice(INPUTS.bodies))
        end(client)
    with to(listening, PROXIED, dice) as client:
        client.send(dice.choice(INPUTS.headers))
        end(client)


def twisted(listening: Listening, dice: Dice) -> None:
    """A request that was right until a few of its bytes were changed."""
    raw = bytearray(request_bytes("/", "odd.test", "POST", b"body", Accept="*/*", Connection="keep-alive", Cookie="STICKY=c1; a=b"))
    for _ in range(dice.randint(1, 4)):
        raw[dice.randrange(len(raw))] = dice.randrange(256)
    with to(listening, HTTP, dice) as client:
        client.send(bytes(raw))
        end(client)


def vanishes_asking(listening: Listening, dice: Dice) -> None:
    target = dice.choice(["/", "/early", "/chunks", "/big/500000"])
    whole = request_bytes(target, dice.choice([leaving(dice), "queue.test", rude(dice)]), "POST", body_of(dice))
    with to(listening, HTTP, dice) as client:
        client.send(whole[: dice.randrange(len(whole))])
        leave(client, dice)


def vanishes_reading(listening: Listening, dice: Dice) -> None:
    with to(listening, HTTP, dice) as client:
        target = dice.choice(["/big/1000000", "/chunks", "/old", "/upgrade", "/"])
        host = dice.choice([leaving(dice), rude(dice)])
        client.send(upgrade(host) if target == "/upgrade" else request_bytes(target, host))
        client.sock.recv(dice.choice([1, 1000, 100000]))
        leave(client, dice)


def vanishes_piped(listening: Listening, dice: Dice) -> None:
    with to(listening, HTTP, dice) as client:
        hosts = dice.choices(["odd.test", "bulk.test", "again.test", rude(dice), "nobody.test"], k=40)
        client.send(b"".join(request_bytes("/", host) for host in hosts))
        if dice.random() < 0.7:
            client.sock.recv(1000)
        leave(client, dice)


def early(listening: Listening, dice: Dice) -> None:
    with to(listening, HTTP, dice) as client:
        client.send(request_bytes("/early", leaving(dice), "POST", b"e" * 400000, Connection="close"))
        client.until_gone()


def rudely_served(listening: Listening, dice: Dice) -> None:
    with to(listening, HTTP, dice) as client:
        for _ in range(10):
            client.ask("/", rude(dice), dice.choice(["GET", "POST"]), b"x" * dice.choice([1, 100000]))


def rudely_tunnelled(listening: Listening, dice: Dice) -> None:
    with to(listening, dice.choice([TCP_RUDE, TCP_ECHO]), dice) as client:
        client.send(dice.randbytes(dice.choice([1, 64, 200000])))
        leave(client, dice)


POLITE = [
    pipelined, pipelined, by_length, in_chunks, answers_in_chunks, big, small_steps, old, endings, error_pages, proxied, upgraded,
    tunnelled, *shaking.POLITE,
]
RUDE = [
    malformed, twisted, vanishes_asking, vanishes_reading, vanishes_piped, early, rudely_served, rudely_tunnelled, *shaking.RUDE,
]


class Crowd:
    """Several threads of clients, until they are stopped."""

    def __init__(self, listening: Listening, threads: int, seed: int) -> None:
        self.findings: list[str] = []
        self.visits: dict[str, int] = {visit.__name__: 0 for visit in [*POLITE, *RUDE]}
        self._stop = threading.Event()
        self._lock = threading.Lock()
        self._threads = [
            threading.Thread(target=self._come, args=(listening, random.Random(seed * 1000 + i)), daemon=True) for i in range(threads)
        ]
        for thread in self._threads:
            thread.start()

    def stop(self, within_s: float) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join(within_s)
            if thread.is_alive():
                self.findings.append(f"{thread.name} does not end")

    def _come(self, listening: Listening, dice: Dice) -> None:
        while not self._stop.is_set() and len(self.findings) < 20:
            visit = dice.choice(dice.choice([POLITE, RUDE]))
            self._pay(visit, listening, dice)
            with self._lock:
                self.visits[visit.__name__] += 1

    def _pay(self, visit: Callable[[Listening, Dice], None], listening: Listening, dice: Dice) -> None:
        allowed = (ConnectionError, EOFError, ssl.SSLError) if visit in RUDE else ()
        try:
            visit(listening, dice)
        except allowed:
            pass
        except (OSError, EOFError, AssertionError, ValueError) as why:
            self.findings.append(f"{visit.__name__}: {type(why).__name__}: {why}")
