"""Clients and endpoints that do anything at any moment, by the dice of a seed that the test's name tells: the worker lives,
nothing is left open, and every answer that came whole was the right one."""

import contextlib
import random
import threading

import pytest

from tests.scenarios.harness.backend import Peer, answer_bytes, over_tls
from tests.scenarios.harness.client import request_bytes
from tests.scenarios.harness.settings import TLS
from tests.scenarios.harness.stream import chunked
from tests.scenarios.harness.tls import server_context
from tests.scenarios.harness.until import until

CLIENTS, ROUNDS = 24, 15


class Dice:
    """Decisions of one side, the same ones for the same seed and thread."""

    def __init__(self, *seed: object) -> None:
        self._random = random.Random(repr(seed))

    def often(self) -> bool:
        return self._random.random() < 0.8

    def seldom(self) -> bool:
        return self._random.random() < 0.06

    def body(self) -> bytes:
        return self._random.randbytes(self._random.choice([0, 1, 100, 5_000, 40_000, 300_000]))

    def pieces(self, data: bytes) -> list[bytes]:
        """In one, or cut anywhere."""
        cuts = sorted(self._random.randrange(len(data) + 1) for _ in range(self._random.choice([0, 0, 1, 3])))
        return [data[a:b] for a, b in zip([0, *cuts], [*cuts, len(data)], strict=True)]

    def leave(self, stream) -> None:
        self._random.choice([stream.close, stream.reset, stream.half_close])()

    def choose(self, *what):
        return self._random.choice(what)


def chunks_of(dice: Dice, body: bytes) -> bytes:
    return chunked(*(piece for piece in dice.pieces(body) if piece), trailers=dice.choose("", "X-T: 1\r\n"))


def capricious(seed: int):
    """A backend's script: echoes bodies in any framing, unless it loses its temper."""
    def script(peer: Peer) -> None:
        dice = Dice(seed, "endpoint", peer.number)
        while True:
            if dice.seldom():
                peer.send(dice.choose(b"", b"HTTP/1.1 408 Request Timeout\r\nContent-Length: 0\r\n\r\n", b"\0"))
                return dice.leave(peer)
            if dice.seldom():
                peer.head()
                peer.send(answer_bytes(b"early", "413 Payload Too Large"))
                return dice.leave(peer)
            request = peer.request()
            whole = dice.choose(
                answer_bytes(request.body),
                b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + chunks_of(dice, request.body),
                b"HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n" + answer_bytes(request.body),
            )
            if dice.seldom():
                whole = whole[: len(whole) // 2]
                peer.send(whole)
                return dice.leave(peer)
            for piece in dice.pieces(whole):
                peer.send(piece)
            if dice.seldom():
                peer.send(b"more than was announced")
                return dice.leave(peer)

    return script


def visit(connect, host: str, seed: int, number: int, right: list[int], wrong: list[str]) -> None:
    dice = Dice(seed, "client", number)
    for _ in range(ROUNDS):
        with contextlib.suppress(OSError, EOFError), connect() as client:
            while dice.often():
                body = dice.body()
                if dice.often():
                    whole = request_bytes("/", host, "PUT", body)
                else:
                    head = f"PUT / HTTP/1.1\r\nHost: {host}\r\nTransfer-Encoding: chunked\r\n\r\n".encode()
                    whole = head + chunks_of(dice, body)
                if dice.seldom():
                    client.send(whole[: len(whole) * 2 // 3])
                    dice.leave(client)
                    client.until_gone()
                    break
                for piece in dice.pieces(whole):
                    client.send(piece)
                if dice.seldom():
                    client.take(20)
                    dice.leave(client)
                    break
                answer = client.answer()
                if answer.status == 200 and answer.body == body:
                    right.append(number)
                elif answer.status == 200:
                    wrong.append(f"client {number}: {len(answer.body)} bytes in place of {len(body)}")
                if answer.status not in (200, 400, 408, 413, 502, 503):
                    wrong.append(f"client {number}: {answer.first}")


@pytest.mark.parametrize("reuse", ["safe", "always", "never"])
@pytest.mark.parametrize("seed", range(2))
def test_chaos(daemon, backend, seed, reuse):
    edged = daemon({"defaults": {"http_reuse": reuse}, "timeouts": {"client": "3s", "server": "3s"}})
    endpoints = [{"address": backend(capricious(seed)).address}, {"address": backend(capricious(seed + 100)).address, "maxconn": 5}]
    edged.change_routes([{"host": "*", "to": endpoints}])
    everybody_visits(edged, backend, seed, edged.connect)


@pytest.mark.parametrize("encrypted", ["clients", "endpoints", "both"])
@pytest.mark.parametrize("seed", range(2))
def test_chaos_inside_tls(daemon, backend, authority, tmp_path, seed, encrypted):
    """Clients and endpoints leave now with a goodbye, now without one, in the middle of a record or after it."""
    edged = daemon({**TLS, "timeouts": {"client": "3s", "server": "3s", "proxy_header": "3s"}})
    script, more = capricious(seed), {}
    if encrypted != "clients":
        script = over_tls(server_context(authority.issue("inside"), tmp_path), script)
        more = {"to_tls": {"ca": authority.pem}}
    edged.change_routes([{"host": "*", "to": [backend(script).address], "tls": {"insecure": "allow"}, **more}])
    connect = edged.connect if encrypted == "endpoints" else edged.connect_tls
    everybody_visits(edged, backend, seed, connect)


def everybody_visits(edged, backend, seed, connect):
    worker = edged.worker_pid()
    right: list[int] = []
    wrong: list[str] = []
    clients = [threading.Thread(target=visit, args=(connect, "any.test", seed, number, right, wrong)) for number in range(CLIENTS)]
    for client in clients:
        client.start()
    for client in clients:
        client.join()
    assert not wrong
    assert len(right) > CLIENTS                  # it was no mere shouting
    print(f"{len(right)} answers were right")
    edged.until_idle()
    backend.hang_up()
    until(lambda: edged.gauges()["pooled"] == 0)
    assert edged.worker_pid() == worker          # the same process all the time
    assert not edged.said("was ended by")
