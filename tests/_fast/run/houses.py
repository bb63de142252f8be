"""Engines in threads of their own over one arena, as workers of several generations are, and what leads between them."""

import array
import contextlib
import os
import re
import select
import socket
import struct
import threading
import time
from pathlib import Path

from tests.doors.bundle_doors import AGREED, LAYOUT, TUNNEL

from edged._fast.memory.arena import Arena
from edged._fast.route.table import TableBuilder, open_table
from edged._fast.run.engine import Engine
from edged.model.backend import Backend, Endpoint
from edged.model.listener import Listener, Mode
from edged.model.policy import Insecure, Termination
from edged.model.route import Route
from edged.model.state import State

PATIENCE_S = 15.0
CONFIG = {
    "max_connections": 20_000, "buffer_bytes": 16384, "max_header_bytes": 15360, "max_target_bytes": 8192, "max_headers": 101,
    "max_body_bytes": 0, "splice": True, "http_reuse": "always", "abort_on_close": True, "pool_idle": 64, "dont_log_null": False,
    "error_files": {}, "log_format": "http", "log_ring_bytes": 1 << 20,
}
TIMEOUTS = {
    "client_ms": 8000, "server_ms": 8000, "connect_ms": 5000, "http_request_ms": 8000, "http_keep_alive_ms": 8000, "queue_ms": 10000,
    "tunnel_ms": 60_000, "client_fin_ms": 8000, "server_fin_ms": 8000, "proxy_header_ms": 8000, "tls_handshake_ms": 8000,
}
TCP, WEB = 0, 1
UPGRADE = b"GET /chat HTTP/1.1\r\nHost: a.test\r\nConnection: Upgrade\r\nUpgrade: echo/1\r\n\r\n"
SWITCHED = b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: echo/1\r\n\r\n"
SLOTS = {("be", ""): 1, ("be", "one"): 2}
WORD = struct.Struct("=HHIQ")                    # layout, kind, bytes, number


def until(predicate, what="", within_s=PATIENCE_S):
    deadline_s = time.monotonic() + within_s
    while not (found := predicate()):
        assert time.monotonic() < deadline_s, f"not within {within_s:g} s: {what or 'the condition that is waited for'}"
        time.sleep(0.002)
    return found


def door():
    bound = socket.create_server(("127.0.0.1", 0), backlog=4096)
    bound.setblocking(False)
    return bound


class Street:
    """What houses have in common: the arena, the doors, the endpoint, and a table."""

    def __init__(self, **policy):
        fd = os.memfd_create("arena")
        self.arena = Arena(fd, slots=64, stripes=16)
        os.close(fd)
        self.arena.claim_slot(1)
        self.arena.claim_slot(2)
        self.doors = {TCP: door(), WEB: door()}
        self.endpoint = socket.create_server(("127.0.0.1", 0), backlog=4096)
        self.endpoint.settimeout(PATIENCE_S)
        self.houses = []
        self.policy = policy

    def table(self):
        backend = Backend("be", (Endpoint("127.0.0.1", self.endpoint.getsockname()[1], "one"),), **self.policy)
        routes = (
            Route("tcp", "", "", backend),
            Route("all", "*", "", backend, termination=Termination.EDGE, insecure=Insecure.ALLOW),
        )
        listeners = (Listener(TCP, "tcp", "127.0.0.1:0", mode=Mode.TCP, route="tcp"), Listener(WEB, "web", "127.0.0.1:0"))
        fd = TableBuilder().build(State(1, routes, listeners), SLOTS)
        try:
            return open_table(fd)
        finally:
            os.close(fd)

    def house(self, stripe, *, listens=(TCP, WEB), **config):
        made = House(self, stripe, listens, config)
        self.houses.append(made)
        return made

    def tunnel(self, kind=TCP):
        """(client, endpoint): two sockets with a tunnel between them; whoever of the houses took it."""
        client = socket.create_connection(self.doors[kind].getsockname())
        if kind == WEB:
            client.sendall(UPGRADE)
        server, _ = self.endpoint.accept()
        for one in (client, server):
            one.settimeout(PATIENCE_S)
        if kind == WEB:
            assert taken_until(server, b"\r\n\r\n").startswith(b"GET /chat ")
            server.sendall(SWITCHED)
            assert taken_until(client, b"\r\n\r\n").startswith(b"HTTP/1.1 101 ")
        return client, server

    def served(self):
        """Tunnels that count at the backend and at the endpoint, over all houses."""
        return tuple(self.arena.cell_totals(slot)["served"] for slot in (1, 2))

    def close(self):
        for house in self.houses:
            house.stop()
        for one in (*self.doors.values(), self.endpoint):
            one.close()


class House:
    def __init__(self, street, stripe, listens, config):
        self.street = street
        self.stripe = stripe
        street.arena.open_stripe(stripe)
        timeouts = {**TIMEOUTS, **config.pop("timeouts", {})}
        self.engine = Engine(street.arena, stripe, {**CONFIG, **config, "timeouts": timeouts})
        for number in listens:
            name, mode = ("tcp", "tcp") if number == TCP else ("web", "http")
            self.engine.add_listener(number, street.doors[number].fileno(), name, mode, "off", [], 80 + number, None)
        self.engine.use_table(street.table())
        self.thread = threading.Thread(target=self.engine.run, name=f"engine {stripe}", daemon=True)
        self.thread.start()
        self.lines = []
        self.settle()
        self.listening = list(listens)

    def settle(self):
        until(lambda: self.engine.orders_left == 0, "the engine obeys")

    def close_doors(self):
        for number in self.listening:
            self.engine.remove_listener(self.street.doors[number].fileno())
        self.listening = []
        self.settle()

    def hand_over(self, sock):
        self.engine.hand_over(sock.fileno())
        self.settle()
        sock.close()

    def take_over(self, sock):
        self.engine.take_over(sock.fileno())
        self.settle()
        sock.close()

    def hand_over_to(self, other):
        ours, theirs = wires()
        self.hand_over(ours)
        other.take_over(theirs)

    def tally(self):
        return self.street.arena.read_tally(self.stripe)

    def tunnels(self):
        return self.tally()["tunnels"]

    def spoken(self):
        """Access lines so far."""
        self.lines += [line.decode() for line in self.engine.ring.take()]
        return self.lines

    def open_files(self):
        """Of the engine's own table, by kind."""
        kinds = {"socket": 0, "pipe": 0, "anon_inode": 0}
        for link in Path(f"/proc/self/task/{self.thread.native_id}/fd").iterdir():
            with contextlib.suppress(FileNotFoundError):
                kind = os.readlink(link).split(":")[0]
                kinds[kind] = kinds.get(kind, 0) + 1
        return kinds

    def is_empty(self):
        tally = self.tally()
        return not any(tally[name] for name in ("connections", "exchanges", "tunnels", "buffers"))

    def stop(self):
        if not self.thread.is_alive():
            return
        self.engine.stop()
        self.thread.join(PATIENCE_S)
        assert not self.thread.is_alive()
        self.spoken()


def wires():
    """Both ends of what leads from one engine to another."""
    return socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)


def taken_until(sock, mark):
    got = b""
    while not got.endswith(mark):
        got += sock.recv(1)
    return got


def taken(sock, n):
    got = bytearray()
    while len(got) < n:
        piece = sock.recv(min(1 << 20, n - len(got)))
        assert piece, f"it ended after {len(got)} bytes of {n}"
        got += piece
    return bytes(got)


def stuffed(sock, seed):
    """Send until nothing more is taken; answers what was sent."""
    sock.setblocking(False)
    sent = bytearray()
    piece = bytes((seed + at * 7 + (at >> 8)) & 0xFF for at in range(65536))
    idle_s = 0.0
    while idle_s < 0.25:                         # what is in the way moves on until all of it is full
        try:
            at = len(sent) % len(piece)
            sent += piece[at:at + sock.send(piece[at:])]
            idle_s = 0.0
        except BlockingIOError:
            if not select.select([], [sock], [], 0.05)[1]:
                idle_s += 0.05
    sock.settimeout(PATIENCE_S)
    return bytes(sent)


def bytes_of(line):
    """Bytes to the client that an access line tells."""
    found = re.search(r"(?:be/one \S+ )(?:101 )?(\d+) ", line)
    assert found, line
    return int(found[1])


class Between:
    """The test at one end of a wire: it says what a giver or a taker says, or passes on what it hears."""

    def __init__(self, sock):
        self.sock = sock
        sock.settimeout(PATIENCE_S)

    def hear(self):
        """(layout, kind, number, whole message, descriptors); None at the end."""
        data, rights, _, _ = self.sock.recvmsg(1 << 20, socket.CMSG_SPACE(64))
        fds = [fd for _, _, block in rights for fd in array.array("i", block)]
        if not data:
            return None
        layout, kind, length, number = WORD.unpack_from(data)
        assert length == len(data)
        return layout, kind, number, data, fds

    def say(self, kind, number=0, layout=LAYOUT):
        self.sock.send(WORD.pack(layout, kind, WORD.size, number))

    def pass_on(self, data, fds=()):
        rights = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", fds).tobytes())] if fds else []
        self.sock.sendmsg([data], rights)

    def agree(self):
        """As a taker: the giver's greeting is fine."""
        heard = self.hear()
        self.say(AGREED)
        return heard[3]

    def tunnel(self):
        """As a taker: the next tunnel: number, bundle, descriptors."""
        _, kind, number, data, fds = self.hear()
        assert kind == TUNNEL
        return number, data, fds

    def close(self):
        self.sock.close()
