"""Tunnels go from one engine to another: every byte of them, wherever it was, and everything that is known of them."""

import contextlib
import gc
import os
import resource
import select
import socket
import struct
import threading
import time

import pytest
from tests.doors.bundle_doors import AGREED, HELLO, LAYOUT, REFUSED, TAKEN, TUNNEL, UNKNOWN

from tests._fast.run.houses import (
    SWITCHED,
    TCP,
    UPGRADE,
    WEB,
    WORD,
    Between,
    Street,
    bytes_of,
    stuffed,
    taken,
    taken_until,
    until,
    wires,
)

KINDS = pytest.mark.parametrize("kind", [TCP, WEB], ids=["tcp", "websocket"])
HOST = "127.0.0.1"
SILENT_S = 2.0                                   # as handoff.pyx has it


@pytest.fixture
def street():
    made = Street()
    yield made
    made.close()


@pytest.fixture
def pair(street):
    """(old, new): the old one accepts, and new ones get their tunnels by hand_over_to."""
    return street.house(0), street.house(1, listens=())


def echo(one, other, bytes_=b"to and fro"):
    one.sendall(bytes_)
    assert taken(other, len(bytes_)) == bytes_
    other.sendall(bytes_[::-1])
    assert taken(one, len(bytes_)) == bytes_[::-1]


def moved(old, new, n=1):
    until(lambda: old.tunnels() == 0 and new.tunnels() == n, "all tunnels are moved")


@KINDS
def test_a_tunnel_goes_on_where_it_was(street, pair, kind):
    old, new = pair
    client, server = street.tunnel(kind)
    echo(client, server)
    port = client.getsockname()[1]
    old.hand_over_to(new)
    moved(old, new)
    echo(client, server)
    assert (old.engine.handed_over, new.engine.taken_over) == (1, 1)
    assert street.served() == (1, 1)
    assert old.spoken() == []
    client.close()
    assert server.recv(1) == b""
    server.close()
    until(lambda: street.served() == (0, 0) and new.is_empty())
    assert old.is_empty()
    (line,) = new.spoken()
    assert line.startswith(f"{HOST}:{port} [")
    assert ("GET /chat" in line) == (kind == WEB)
    assert ("101" in line) == (kind == WEB)
    totals = street.arena.totals()
    assert bytes_of(line) == totals["bytes_out"] == 20 + (0 if kind == TCP else len(SWITCHED))


def test_a_tunnel_that_is_established_later_goes_as_well(street, pair):
    old, new = pair
    old.hand_over_to(new)
    pairs = [street.tunnel() for _ in range(3)]
    moved(old, new, 3)
    for client, server in pairs:
        echo(client, server)


@KINDS
def test_over_many_generations(street, kind):
    houses = [street.house(0), *(street.house(n, listens=()) for n in range(1, 13))]
    client, server = street.tunnel(kind)
    for turn in range(12):
        old, new = houses[turn:turn + 2]
        echo(client, server, b"x" * (1 + turn * 1000))
        old.hand_over_to(new)
        moved(old, new)
    client.close()
    assert server.recv(1) == b""
    server.close()
    until(lambda: all(house.is_empty() for house in houses))
    assert [len(house.spoken()) for house in houses] == [0] * 12 + [1]
    sent = sum(1 + turn * 1000 for turn in range(12))
    assert street.arena.totals()["bytes_in"] == sent + (0 if kind == TCP else len(UPGRADE))


def pump(source, to, n, wrong):
    """n bytes from one socket to another, every one of them looked at."""
    piece = bytes(range(251)) * 1045             # no power of two: what is lost or doubled shifts all that follows
    sender = threading.Thread(target=lambda: [source.sendall(piece) for _ in range(n // len(piece))])
    sender.start()
    for at in range(n // len(piece)):
        if taken(to, len(piece)) != piece:
            wrong.append(at)
            break
    sender.join()


@KINDS
@pytest.mark.parametrize("splice", [False, True], ids=["buffers", "pipes"])
def test_busy_tunnels_lose_no_byte(street, kind, splice):
    """Three engines that give each other all they get: it goes round and round."""
    houses = [street.house(0, splice=splice), *(street.house(n, listens=(), splice=splice) for n in (1, 2))]
    n, wrong = 192 << 20, []
    client, server = street.tunnel(kind)
    pumps = [threading.Thread(target=pump, args=(*way, n, wrong)) for way in ((client, server), (server, client))]
    for one in pumps:
        one.start()
    for one, other in ((0, 1), (1, 2), (2, 0)):
        houses[one].hand_over_to(houses[other])
    for one in pumps:
        one.join()
    assert not wrong
    assert min(house.engine.taken_over for house in houses) > 20
    echo(client, server)
    client.close()
    server.close()
    until(lambda: all(house.is_empty() for house in houses))
    (line,) = [line for house in houses for line in house.spoken()]
    whole = n // 262_295 * 262_295
    assert bytes_of(line) == whole + 10 + (0 if kind == TCP else len(SWITCHED))
    assert street.arena.totals()["bytes_in"] == whole + 10 + (0 if kind == TCP else len(UPGRADE))


def noting(*captures, n_request, n_response):
    return {
        "captures": [(side, name, most) for side, name, most in captures], "n_request": n_request, "n_response": n_response,
        "cookies": False, "id_pieces": (), "id_header": "",
    }


def test_what_was_noted_of_heads_goes_by_its_name(street):
    """The next generation captures other fields, in another order, and longer or shorter."""
    old = street.house(0, notes=noting(
        ("request", "host", 20), ("request", "upgrade", 20), ("response", "upgrade", 20), n_request=2, n_response=1,
    ))
    client, server = street.tunnel(WEB)
    new = street.house(1, listens=(), notes=noting(
        ("request", "upgrade", 20), ("request", "user-agent", 20), ("request", "host", 3), ("response", "server", 9),
        n_request=3, n_response=1,
    ))
    old.hand_over_to(new)
    moved(old, new)
    client.close()
    server.close()
    until(new.is_empty)
    (line,) = new.spoken()
    assert "{echo/1||a.t} {}" in line


def test_a_generation_that_notes_nothing_and_one_that_does_not_log(street):
    old = street.house(0, notes=noting(("request", "host", 20), n_request=1, n_response=0))
    bare, silent, last = street.house(1, listens=()), street.house(2, listens=(), log_format="off"), street.house(3, listens=())
    client, server = street.tunnel(WEB)
    other = street.tunnel(WEB)
    old.hand_over_to(bare)
    moved(old, bare, 2)
    client.close()
    server.close()
    (line,) = until(bare.spoken)
    assert "GET /chat" in line
    bare.hand_over_to(silent)
    moved(bare, silent)
    silent.hand_over_to(last)
    moved(silent, last)
    for one in other:
        one.close()
    until(last.is_empty)
    assert last.spoken() == []                   # rather than a line that knows nothing


def filled(street, kind, splice):
    """A tunnel whose every place is full in both directions, in the house `old`; what each side has sent."""
    old = street.house(0, splice=splice)
    client, server = street.tunnel(kind)
    if splice:                                   # a busy tunnel goes through pipes
        for one, other in ((client, server), (server, client)):
            threading.Thread(target=one.sendall, args=(bytes(4 << 20),)).start()
            taken(other, 4 << 20)
    return old, client, server, stuffed(client, 1), stuffed(server, 2)


@KINDS
@pytest.mark.parametrize("splice", [False, True], ids=["buffers", "pipes"])
def test_bytes_that_wait_go_along_in_order(street, kind, splice):
    old, client, server, up, down = filled(street, kind, splice)
    ours, theirs = wires()
    old.hand_over(ours)
    between = Between(theirs)
    hello = between.agree()
    _, data, fds = between.tunnel()
    assert len(fds) == (6 if splice else 2)
    assert len(data) < 2000 if splice else len(data) > 30_000
    new = street.house(1, listens=())
    ours, theirs = wires()
    new.take_over(theirs)
    further = Between(ours)
    further.pass_on(hello)
    assert further.hear()[1] == AGREED
    further.pass_on(data, fds)
    for fd in fds:
        os.close(fd)
    assert further.hear()[1:3] == (TAKEN, 1)
    between.say(TAKEN, 1)
    moved(old, new)
    assert old.open_files()["pipe"] <= 2 * 64    # spare ones at most
    assert taken(server, len(up)) == up
    assert taken(client, len(down)) == down
    echo(client, server)
    client.close()
    server.close()
    until(new.is_empty)
    between.close()
    further.close()


@pytest.mark.parametrize("first", ["client", "endpoint"])
@pytest.mark.parametrize("splice", [False, True], ids=["buffers", "pipes"])
def test_a_direction_that_has_ended_stays_so(street, pair, first, splice):
    old, new = pair
    client, server = street.tunnel()
    one, other = (client, server) if first == "client" else (server, client)
    echo(client, server)
    sent = stuffed(one, 3)
    one.shutdown(socket.SHUT_WR)
    old.hand_over_to(new)
    moved(old, new)
    assert taken(other, len(sent)) == sent
    assert other.recv(1) == b""
    echoed = stuffed(other, 4)
    new.hand_over_to(third := street.house(2, listens=()))
    moved(new, third)
    assert taken(one, len(echoed)) == echoed
    other.close()
    assert one.recv(1) == b""
    one.close()
    until(third.is_empty)
    assert len(third.spoken()) == 1


def test_a_direction_whose_end_has_been_passed_on(street, pair):
    old, new = pair
    client, server = street.tunnel()
    client.sendall(b"the last word")
    client.shutdown(socket.SHUT_WR)
    assert taken(server, 13) == b"the last word"
    assert server.recv(1) == b""
    old.hand_over_to(new)
    moved(old, new)
    server.sendall(b"an answer")
    assert taken(client, 9) == b"an answer"
    server.close()
    assert client.recv(1) == b""
    client.close()
    until(new.is_empty)
    (line,) = new.spoken()
    assert " -- " in line


def test_a_peer_that_is_gone_is_noticed_by_the_next_one(street, pair):
    old, new = pair
    client, server = street.tunnel()
    ours, theirs = wires()
    old.hand_over(ours)
    between = Between(theirs)
    hello = between.agree()
    _, data, fds = between.tunnel()
    client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    client.close()                               # a reset, while nobody looks
    ours, theirs = wires()
    new.take_over(theirs)
    further = Between(ours)
    further.pass_on(hello)
    assert further.hear()[1] == AGREED
    further.pass_on(data, fds)
    for fd in fds:
        os.close(fd)
    assert further.hear()[1] == TAKEN
    between.say(TAKEN, 1)
    assert server.recv(1) == b""
    server.close()
    until(lambda: new.is_empty() and old.is_empty())
    (line,) = new.spoken()
    assert " CD " in line
    between.close()
    further.close()


def test_silence_counts_on(street):
    """A tunnel that is silent for too long ends when it would have ended."""
    old, new = street.house(0, timeouts={"tunnel_ms": 3000}), street.house(1, listens=(), timeouts={"tunnel_ms": 3000})
    client, server = street.tunnel()
    echo(client, server)
    began_s = time.monotonic()
    until(lambda: time.monotonic() > began_s + 2.0)
    old.hand_over_to(new)
    moved(old, new)
    with pytest.raises(ConnectionResetError):
        client.recv(1)
    assert 2.9 < time.monotonic() - began_s < 4.9
    (line,) = until(new.spoken)
    assert " cD " in line
    server.close()


def test_names_limits_and_places_are_those_it_began_with(street):
    """A listener that the next generation does not have, and a limit that counts on."""
    old = street.house(0)
    client, server = street.tunnel()
    new = street.house(1, listens=(WEB,))
    old.hand_over_to(new)
    moved(old, new)
    assert new.tally()["connections"] == 1
    assert street.arena.listener_totals(TCP)["current"] == 0
    client.close()
    server.close()
    until(new.is_empty)
    (line,) = new.spoken()
    assert " tcp be/one " in line


def test_where_slots_mean_something_else(street):
    """After an upgrade that had to begin another arena: it counts there as somebody's, and nobody's count is touched."""
    old = street.house(0)
    client, server = street.tunnel()
    elsewhere = Street()
    new = elsewhere.house(0, listens=())
    old.hand_over_to(new)
    moved(old, new)
    echo(client, server)
    assert street.served() == elsewhere.served() == (0, 0)
    client.close()
    server.close()
    until(new.is_empty)
    assert elsewhere.arena.cell_totals(0)["served"] == 0
    assert len(new.spoken()) == 1
    elsewhere.close()


def test_more_than_it_would_accept(street):
    old, new = street.house(0), street.house(1, listens=(), max_connections=1)
    pairs = [street.tunnel() for _ in range(5)]
    old.hand_over_to(new)
    moved(old, new, 5)
    assert until(lambda: new.engine.accept_paused)
    for client, server in pairs:
        echo(client, server)


def test_whoever_drains_has_nothing_left_at_once(street, pair):
    old, new = pair
    pairs = [street.tunnel() for _ in range(20)]
    old.close_doors()
    began_s = time.monotonic()
    old.engine.drain()
    old.hand_over_to(new)
    until(lambda: old.engine.idle)
    assert time.monotonic() - began_s < 3.0      # a few milliseconds, on a machine that has them
    for client, server in pairs:
        echo(client, server)


def test_a_drain_without_anybody_to_give_to_waits(street):
    old = street.house(0)
    client, server = street.tunnel()
    old.close_doors()
    old.engine.drain()
    old.settle()
    echo(client, server)
    assert not old.engine.idle
    client.close()
    server.close()
    until(lambda: old.engine.idle)


def test_whoever_drains_takes_nothing(street, pair):
    old, new = pair
    client, server = street.tunnel()
    new.engine.drain()
    new.settle()
    old.hand_over_to(new)
    echo(client, server)
    assert old.tunnels() == 1
    old.hand_over_to(third := street.house(2, listens=()))
    moved(old, third)
    echo(client, server)


def test_http_exchanges_stay(street, pair):
    old, new = pair
    with socket.create_connection(street.doors[WEB].getsockname()) as client:
        client.sendall(b"GET / HTTP/1.1\r\nHost: a.test\r\n\r\n")
        server, _ = street.endpoint.accept()
        taken_until(server, b"\r\n\r\n")
        tunnel = street.tunnel()
        old.hand_over_to(new)
        until(lambda: new.tunnels() == 1)
        server.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi")
        assert taken_until(client, b"hi").startswith(b"HTTP/1.1 200 ")
        echo(*tunnel)
    server.close()
    assert old.engine.handed_over == 1


# --- who fails ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("taken_by_it", [0, 1, 5])
def test_a_taker_that_dies_has_only_what_it_has_taken(street, pair, taken_by_it):
    old, new = pair
    pairs = [street.tunnel() for _ in range(5)]
    for number, (client, _) in enumerate(pairs):
        client.sendall(b"%d" % number)
    for number, (_, server) in enumerate(pairs):
        assert server.recv(1) == b"%d" % number
    ours, theirs = wires()
    old.hand_over(ours)
    between = Between(theirs)
    between.agree()
    held = []
    for number in range(1, 6):
        heard, _, fds = between.tunnel()
        assert heard == number
        held.append(fds)
    for number in range(1, taken_by_it + 1):
        between.say(TAKEN, number)
    between.close()                              # it dies; what it has said still counts
    until(lambda: old.tunnels() == 5 - taken_by_it)
    assert old.engine.handed_over == taken_by_it
    for fds in held:
        for fd in fds:
            os.close(fd)
    whole = 0
    for client, server in pairs:
        with contextlib.suppress(OSError, AssertionError):
            echo(client, server)
            whole += 1
    assert whole == 5 - taken_by_it              # those that it had taken went with it
    assert old.spoken() == []
    old.hand_over_to(new)                        # and those that came back can go again
    moved(old, new, 5 - taken_by_it)


def test_a_taker_of_another_layout(street, pair):
    old, new = pair
    client, server = street.tunnel()
    ours, theirs = wires()
    old.hand_over(ours)
    between = Between(theirs)
    assert between.hear()[:2] == (LAYOUT, HELLO)
    between.say(UNKNOWN, layout=LAYOUT + 1)
    assert between.hear() is None
    between.close()
    echo(client, server)
    assert old.tunnels() == 1
    (notice,) = until(old.engine.take_notices)
    assert "does not know how" in notice
    old.hand_over_to(new)                        # the one after it may know it
    moved(old, new)


@pytest.mark.parametrize("hello", [
    struct.pack("=HHIQQ", LAYOUT + 1, HELLO, 24, 1, 2), struct.pack("=HHIQQQ", LAYOUT, HELLO, 32, 1, 2, 3), WORD.pack(LAYOUT, HELLO, 16, 1),
])
def test_a_giver_of_another_layout(street, hello):
    new = street.house(0)
    ours, theirs = wires()
    new.take_over(theirs)
    between = Between(ours)
    between.pass_on(hello)
    assert between.hear()[1] == UNKNOWN
    assert between.hear() is None
    between.close()


@pytest.mark.parametrize("said", [
    b"", b"x", b"\0" * 15, bytes(16), WORD.pack(LAYOUT, TUNNEL, 16, 1), WORD.pack(LAYOUT, TAKEN, 16, 1), b"\xff" * 5000,
])
@pytest.mark.parametrize("to", ["taker", "giver"])
def test_nonsense_breaks_the_wire_and_nothing_else(street, said, to):
    house = street.house(0)
    client, server = street.tunnel()
    ours, theirs = wires()
    (house.take_over if to == "taker" else house.hand_over)(theirs)
    between = Between(ours)
    if to == "giver":
        between.hear()
    with contextlib.suppress(BrokenPipeError):
        between.pass_on(said, [between.sock.fileno()] * 3)
    assert between.hear() is None
    between.close()
    echo(client, server)
    assert house.tunnels() == 1
    until(lambda: house.open_files()["socket"] == 4)


def test_a_wire_that_is_full(street, pair):
    """A taker that does not read: some tunnels are on their way, and come back when it says nothing; the others never stop."""
    old, new = pair
    pairs = [street.tunnel() for _ in range(300)]
    ours, theirs = wires()
    old.hand_over(ours)
    between = Between(theirs)
    between.agree()
    between.tunnel()
    for client, _ in pairs:
        client.sendall(b"?")
    began_s = time.monotonic()
    until(lambda: sum(bool(select.select([server], [], [], 0)[0]) for _, server in pairs) >= 300 - 128)
    assert time.monotonic() - began_s < SILENT_S
    for client, server in pairs:
        assert server.recv(1) == b"?"
        echo(client, server)
    assert time.monotonic() - began_s < SILENT_S + 2.0
    assert old.tunnels() == 300
    between.close()
    old.hand_over_to(new)
    moved(old, new, 300)
    for client, server in pairs:
        echo(client, server)


def test_what_is_refused_stays(street):
    """Its bytes do not fit into the smaller buffers of the next generation."""
    old, new = street.house(0, splice=False), street.house(1, listens=(), buffer_bytes=4096)
    client, server = street.tunnel()
    other = street.tunnel()
    up, down = stuffed(client, 1), stuffed(server, 2)
    old.hand_over_to(new)
    until(lambda: new.tunnels() == 1)
    (notice,) = until(old.engine.take_notices)
    assert "does not take it" in notice
    assert (old.tunnels(), new.tunnels()) == (1, 1)
    new.stop()
    old.hand_over_to(third := street.house(2, listens=()))
    moved(old, third)
    assert taken(server, len(up)) == up
    assert taken(client, len(down)) == down
    echo(client, server)
    assert other[0].recv(1) == b""               # it went with the one that took it


def test_a_taker_without_descriptors(street, pair):
    old, new = pair
    pairs = [street.tunnel() for _ in range(40)]
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    most = max(map(int, os.listdir(f"/proc/self/task/{new.thread.native_id}/fd"))) + 12
    ours, theirs = wires()
    old.engine.hand_over(ours.fileno())
    new.engine.take_over(theirs.fileno())
    new.settle()
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, hard))
    try:
        until(lambda: old.tunnels() + new.tunnels() == 40 and new.tunnels() >= 1)
        until(lambda: old.engine.handed_over == new.engine.taken_over)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    ours.close()
    theirs.close()
    for client, server in pairs:
        echo(client, server)


def test_the_end_of_the_giver_cuts_what_it_still_has(street, pair):
    old, _ = pair
    client, server = street.tunnel()
    ours, theirs = wires()
    old.hand_over(ours)
    between = Between(theirs)
    between.agree()
    _, _, fds = between.tunnel()
    old.stop()
    assert between.hear() is None                # too late to take it
    with pytest.raises(BrokenPipeError):
        between.say(TAKEN, 1)
    for fd in fds:
        os.close(fd)
    between.close()
    assert client.recv(1) == b""
    (line,) = old.spoken()
    assert " KD " in line
    server.close()


# --- many --------------------------------------------------------------------------------------------------------------


@pytest.fixture
def descriptors():
    """How many there may be: as many as the system lets us have, up to what ten thousand tunnels need."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, 24_000), hard))
    yield min(hard, 24_000)
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def test_thousands(street, descriptors, pair):
    """Nothing is left of them with the giver, and they cost the taker what they cost the giver."""
    n = min(10_000, (descriptors - 300) // 2)
    old, new = pair
    files = old.open_files(), new.open_files()
    pairs = [street.tunnel() for _ in range(n)]
    until(lambda: old.tunnels() == n)
    held = old.open_files()
    began_s = time.monotonic()
    old.hand_over_to(new)
    moved(old, new, n)
    took_s = time.monotonic() - began_s
    print(f"{n} tunnels in {took_s * 1000:.0f} ms")
    assert old.open_files() == {**files[0], "socket": files[0]["socket"] + 1}        # the wire
    assert new.open_files()["socket"] - files[1]["socket"] == 1 + held["socket"] - files[0]["socket"]
    assert old.is_empty()
    assert street.served() == (n, n)
    for client, server in pairs[:: n // 50 + 1]:
        echo(client, server)
    for client, server in pairs:
        client.close()
        server.close()
    until(new.is_empty)
    assert new.open_files()["socket"] == files[1]["socket"] + 1
    assert len(new.spoken()) + new.engine.ring.dropped == n


# --- hostile bundles ---------------------------------------------------------------------------------------------------


class Strange:
    """The test as a giver, with a bundle that an engine made; each goes with sockets of its own."""

    def __init__(self, street):
        old = street.house(0)
        client, server = street.tunnel(WEB)
        client.sendall(b"said ")
        ours, theirs = wires()
        old.hand_over(ours)
        between = Between(theirs)
        self.hello = between.agree()
        _, self.bundle, fds = between.tunnel()
        for fd in fds:
            os.close(fd)
        between.say(TAKEN, 1)
        between.close()
        client.close()
        server.close()
        old.stop()
        self.new = street.house(1)
        self.number = 0
        self.between = None

    def offer(self, bundle, n_fds=2):
        """Answers what the taker says to it: TAKEN, REFUSED, or None where it says no more."""
        if self.between is None:
            ours, theirs = wires()
            self.new.take_over(theirs)
            self.between = Between(ours)
            self.between.pass_on(self.hello)
            assert self.between.hear()[1] == AGREED
            self.number = 0
        ends = [end for _ in range((n_fds + 1) // 2) for end in socket.socketpair()]
        for end in ends:
            end.setblocking(False)
        self.number += 1
        bundle = bundle[:8] + struct.pack("=Q", self.number) + bundle[16:] if len(bundle) >= 16 else bundle
        self.between.pass_on(bundle, [ends[2 * i % len(ends)].fileno() for i in range(n_fds)])
        heard = self.between.hear()
        for end in ends:
            end.close()
        if heard is None:
            self.between.close()
            self.between = None
            return None
        assert heard[2] == self.number
        return heard[1]


@pytest.fixture
def strange(street):
    made = Strange(street)
    yield made
    until(made.new.is_empty)
    if made.between is not None:
        made.between.close()
    until(lambda: made.new.open_files()["socket"] == 2, "only its doors are open")
    client, server = street.tunnel()
    echo(client, server)


def test_a_bundle_as_it_should_be(strange):
    assert strange.offer(strange.bundle) == TAKEN


@pytest.mark.parametrize("n_fds", [0, 1, 3, 4, 6, 8])
def test_too_few_descriptors_or_too_many(strange, n_fds):
    assert strange.offer(strange.bundle, n_fds) == REFUSED


def test_a_bundle_cut_at_every_byte(strange):
    for n in range(1, len(strange.bundle)):
        cut = strange.bundle[:n]
        assert strange.offer(cut) == (None if n < WORD.size else REFUSED)
        if n >= WORD.size:                       # and one that is as long as it says
            assert strange.offer(cut[:4] + struct.pack("=I", n) + cut[8:]) == REFUSED


def test_a_bundle_with_more_behind_it(strange):
    longer = strange.bundle + b"!"
    assert strange.offer(longer) == REFUSED
    assert strange.offer(longer[:4] + struct.pack("=I", len(longer)) + longer[8:]) == REFUSED


@pytest.mark.parametrize("mask", [0x01, 0x80, 0xFF])
def test_a_bundle_with_every_byte_changed(strange, mask):
    """What is not refused is a tunnel like any other, and ends with its sockets."""
    said = set()
    for at in range(16, len(strange.bundle)):
        changed = bytearray(strange.bundle)
        changed[at] ^= mask
        said.add(strange.offer(bytes(changed)))
    assert said <= {TAKEN, REFUSED}
    assert REFUSED in said


def test_what_is_no_socket(strange):
    strange.offer(strange.bundle)
    out, into = os.pipe()
    strange.number += 1
    bundle = strange.bundle[:8] + struct.pack("=Q", strange.number) + strange.bundle[16:]
    strange.between.pass_on(bundle, [out, into])
    assert strange.between.hear()[1] == REFUSED
    os.close(out)
    os.close(into)
    with socket.create_server(("127.0.0.1", 0)) as listening:
        strange.number += 1
        bundle = strange.bundle[:8] + struct.pack("=Q", strange.number) + strange.bundle[16:]
        strange.between.pass_on(bundle, [listening.fileno()] * 2)
        assert strange.between.hear()[1] == REFUSED


def test_engines_are_freed_with_all_they_had(street):
    """Wires that are open when an engine ends end with it."""
    gc.collect()
    before = len(os.listdir("/proc/self/fd"))
    old, new = street.house(0, listens=()), street.house(1, listens=())
    old.hand_over_to(new)
    ours, theirs = wires()
    new.take_over(theirs)
    old.stop()
    new.stop()
    assert ours.recv(1) == b""
    ours.close()
    del old, new
    street.houses.clear()
    gc.collect()
    assert len(os.listdir("/proc/self/fd")) == before
