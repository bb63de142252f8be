"""The hand-off load sees what is lost, and what grows."""

import os
import re
import socket
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace

import pytest
import trio
import trio.testing

from bench.loads.certificates import Authority, Certificates
from bench.loads.handoff import table
from bench.loads.handoff.load import Counts
from bench.loads.handoff.numbered import PERIOD, READ_BYTES, Closed, Garbled, Reader, check, end_frame, frame, numbered, receive_frames
from bench.loads.handoff.play import Result, steps
from bench.loads.handoff.program import Guests
from bench.loads.handoff.visits import Doors, Plan
from bench.loads.handoff.watch import DESCRIPTORS_LEAST, KIB_LEAST, Stand, descriptors_of, grown, lasting_sockets


def test_streams_are_cut_anywhere() -> None:
    whole = numbered(5, PERIOD - 100, 1000)
    assert whole == b"".join(numbered(5, PERIOD - 100 + at, 10) for at in range(0, 1000, 10))
    check(5, PERIOD - 100, whole)


@pytest.mark.parametrize("harm", [
    lambda data: data[:7] + data[8:], lambda data: data[:7] + data[7:8] + data[7:], lambda data: data[64:] + data[:64],
    lambda data: data[:-1] + bytes([data[-1] ^ 1]),
], ids=["lost", "doubled", "moved", "changed"])
def test_each_byte_counts(harm: Callable[[bytes], bytes]) -> None:
    with pytest.raises(Garbled):
        check(9, 0, harm(numbered(9, 0, READ_BYTES)))


async def received(*pieces: bytes) -> tuple[int, float]:
    ours, theirs = trio.testing.memory_stream_one_way_pair()
    for piece in pieces:
        await ours.send_all(piece)
    await ours.aclose()
    return await receive_frames(Reader(theirs), 3)


def test_a_tunnel_ends_by_its_last_frame() -> None:
    assert trio.run(received, frame(3, 0, 100), frame(3, 100, 50), end_frame(150))[0] == 150


@pytest.mark.parametrize(("pieces", "wrong"), [
    ([frame(3, 0, 100)], Closed), ([frame(3, 0, 100)[:50]], Closed), ([frame(3, 1, 100), end_frame(100)], Garbled),
    ([frame(3, 0, 100), end_frame(200)], Garbled), ([b"\xff" * 200], Garbled),
], ids=["no end", "half a frame", "a byte missing", "a frame missing", "noise"])
def test_any_other_end_is_a_loss(pieces: list[bytes], wrong: type[Exception]) -> None:
    with pytest.raises(wrong):
        trio.run(received, *pieces)


def test_upgrades_are_spread_over_reloads() -> None:
    todo = steps(100, 10)
    assert (len(todo), sum(todo)) == (110, 10)
    assert [number for number, upgrade in enumerate(todo, 1) if upgrade] == list(range(11, 111, 11))
    assert steps(3, 0) == [False] * 3


STAND = Stand(10, 3, 400, 90_000.0, 18_000.0)


def test_what_a_load_explains_is_no_growth() -> None:
    least = replace(STAND, descriptors=400 + DESCRIPTORS_LEAST, kib=90_000 + KIB_LEAST)
    assert grown(STAND, replace(least, reloads=12)) == []


@pytest.mark.parametrize("more", [
    {"processes": 4}, {"descriptors": 400 + 10}, {"kib": 90_000.0 + 90 * 41}, {"parent_kib": 18_000.0 + 1100},
], ids=lambda more: next(iter(more)))
def test_growth_is_told(more: dict[str, float]) -> None:
    assert len(grown(STAND, replace(STAND, reloads=100, **more))) == 1


def test_connections_are_no_lasting_descriptors() -> None:
    before = descriptors_of(os.getpid(), lasting_sockets())
    with socket.create_server(("127.0.0.1", 0)) as door, socket.create_connection(door.getsockname()) as client, door.accept()[0], \
            socket.socketpair()[0]:
        assert client.fileno() > 0
        assert descriptors_of(os.getpid(), lasting_sockets()) == before + 2


def test_the_table_tells_every_loss_in_its_column() -> None:
    good = Result("edged 1", "told", [5.0], [], [STAND, STAND], {"uploads": Counts(7, {})}, settled_processes=3)
    bad = replace(good, version="other 2", counts={"uploads": Counts(6, {"reset": 2}, examples=("reset: why",))}, went_back=1)
    assert (good.is_well, bad.is_well, bad.lost) == (True, False, 2)
    text = "\n".join(table.lines([good, bad]))
    assert "slow uploads, HTTP 7 6; LOST 2 reset" in re.sub(" +", " ", text)
    assert "other 2: uploads: reset: why" in text
    assert "other 2: the counter of requests went back 1 times" in text


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    return Certificates.make(tmp_path_factory.mktemp("certificates") / "made", Authority(), ["localhost"], ["rsa.localhost"], ["localhost"])


@pytest.fixture
def guests(certificates: Certificates) -> Iterator[Guests]:
    one = Guests(certificates.backend)
    yield one
    one.leave()
    assert one.process.returncode == 0


def plan(guests: Guests, clients: dict[str, int], **other: int) -> Plan:
    """At the servers themselves, but for the ports that are given."""
    ports = {"http": guests.ports["http"], "tcp": guests.ports["tcp"], "through_port": guests.ports["through"], **other}
    return Plan(Doors(https=1, host="localhost", through="localhost", **ports), clients, body_bytes=20_000)


EACH = ["anew", "kept", "uploads", "downloads", "websockets", "tcp", "passthrough"]


def test_nothing_is_lost_where_there_is_no_proxy(guests: Guests) -> None:
    guests.begin(plan(guests, dict.fromkeys(EACH, 2)))
    counts = guests.end()
    assert {kind for kind, one in counts.items() if one["done"]} == set(EACH)
    assert not [one for one in counts.values() if one["faults"]]


def test_what_nobody_takes_is_refused(guests: Guests) -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    guests.begin(plan(guests, dict.fromkeys(["anew", "websockets", "tcp"], 1), http=port, tcp=port))
    counts = guests.end()
    assert {kind: set(one["faults"]) for kind, one in counts.items()} == {kind: {"refused"} for kind in ["anew", "websockets", "tcp"]}


class Cutting:
    """Carries so many bytes of each connection to the client, and then closes it."""

    def __init__(self, to: int, bytes_most: int) -> None:
        self.has_cut = threading.Event()
        self._to, self._most = to, bytes_most
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        while True:
            threading.Thread(target=self._carry, args=(self._listener.accept()[0],), daemon=True).start()

    def _carry(self, client: socket.socket) -> None:
        with client, socket.create_connection(("127.0.0.1", self._to)) as server:
            threading.Thread(target=self._pump, args=(client, server, 1 << 40), daemon=True).start()
            self._pump(server, client, self._most)
            for end in (client, server):
                end.shutdown(socket.SHUT_RDWR)
            self.has_cut.set()

    def _pump(self, source: socket.socket, sink: socket.socket, left: int) -> None:
        try:
            while left and (data := source.recv(min(left, 65536))):
                sink.sendall(data)
                left -= len(data)
        except OSError:
            pass


@pytest.mark.parametrize("kind", ["downloads", "websockets", "tcp", "passthrough"])
def test_what_is_cut_is_told(guests: Guests, kind: str) -> None:
    service = {"tcp": "tcp", "passthrough": "through"}.get(kind, "http")
    door = Cutting(guests.ports[service], 5000)
    guests.begin(plan(guests, {kind: 1}, **{"through_port" if service == "through" else service: door.port}))
    assert door.has_cut.wait(10)
    counts = guests.end()[kind]
    assert set(counts["faults"]) <= {"truncated", "reset"}
    assert counts["faults"]


