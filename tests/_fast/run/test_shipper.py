"""Lines leave: to descriptors, files and syslog; whatever the target does, nothing waits and lines stay whole."""

import contextlib
import errno
import fcntl
import os
import re
import select
import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from edged._fast.memory.ring import Ring
from edged._fast.run import shipper as room
from edged._fast.run.shipper import Shipper
from tests.doors import ring_doors as doors

PIPE_BYTES = 65536


@pytest.fixture
def ring() -> Ring:
    return Ring(1 << 20)


@pytest.fixture
def pipe() -> Iterator[tuple[int, int]]:
    read, write = os.pipe()
    yield read, write
    for fd in (read, write):
        with contextlib.suppress(OSError):
            os.close(fd)


def put(ring: Ring, *lines: bytes) -> None:
    for line in lines:
        assert doors.put(ring, line + b"\n")
    doors.ring_bell(ring)


def numbered(first: int, end: int, length: int = 100) -> list[bytes]:
    return [b"%06d" % number + b"." * (length - 6) for number in range(first, end)]


def read_all(fd: int) -> bytes:
    """What is there now."""
    got = b""
    while select.select([fd], [], [], 0)[0] and (more := os.read(fd, 1 << 20)):
        got += more
    return got


def ship_until(shipper: Shipper, done: object, seconds: float = 20) -> None:
    """As a worker does, until the condition holds."""
    ends = time.monotonic() + seconds
    while not done():                            # type: ignore[operator]
        assert time.monotonic() < ends, f"{shipper.target}: {shipper.trouble!r}, written {shipper.written}, dropped {shipper.dropped}"
        pause = shipper.ship()
        select.select([], [], [], 0.005 if pause is None else pause)


# ---- descriptors and files


def test_lines_go_to_a_pipe_as_they_are(ring: Ring, pipe: tuple[int, int]) -> None:
    shipper = Shipper(ring, "stderr", fd=pipe[1])
    put(ring, b"one", b"two", b"")
    assert shipper.ship() is None
    assert read_all(pipe[0]) == b"one\ntwo\n\n"
    assert (shipper.written, shipper.dropped, shipper.trouble) == (3, 0, "")
    assert not select.select([ring.bell], [], [], 0)[0]


def test_the_flags_of_a_shared_pipe_are_left_alone(ring: Ring, pipe: tuple[int, int]) -> None:
    shipper = Shipper(ring, "stderr", fd=pipe[1])
    put(ring, b"one")
    shipper.ship()
    assert not fcntl.fcntl(pipe[1], fcntl.F_GETFL) & os.O_NONBLOCK
    shipper.close()
    assert os.write(pipe[1], b"still open")


def test_a_pipe_that_nobody_reads_costs_lines_but_no_time(ring: Ring, pipe: tuple[int, int], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(room, "PATIENCE_S", 0.2)
    shipper = Shipper(ring, "stderr", fd=pipe[1])
    lines = numbered(0, 2000)
    put(ring, *lines)
    begun = time.monotonic()
    assert shipper.ship() == room.RETRY_S        # what did not go waits for a moment
    assert time.monotonic() - begun < 1
    assert 0 < shipper.written < 2000
    assert shipper.dropped == 0
    ship_until(shipper, lambda: shipper.dropped > 0)
    assert shipper.written + shipper.dropped == 2000
    assert shipper.trouble == "the target takes no lines"
    put(ring, *numbered(2000, 2010))
    shipper.ship()
    assert shipper.dropped == 2010 - shipper.written             # it is known to be stuck: no more patience
    first = read_all(pipe[0])
    put(ring, b"after")
    assert shipper.ship() is None
    got = (first + read_all(pipe[0])).splitlines()
    assert got == [*lines[:shipper.written - 1], b"after"]       # whole lines only, in order
    assert shipper.trouble == ""


def test_a_short_refusal_costs_nothing(ring: Ring, pipe: tuple[int, int]) -> None:
    shipper = Shipper(ring, "stderr", fd=pipe[1])
    lines = numbered(0, 3000)
    put(ring, *lines)
    got = b""
    while shipper.written < 3000:
        shipper.ship()
        got += os.read(pipe[0], 1 << 20)
    got += read_all(pipe[0])
    assert got.splitlines() == lines
    assert shipper.dropped == 0


def test_writers_of_one_pipe_never_mix_their_lines(pipe: tuple[int, int]) -> None:
    rings = [Ring(1 << 20) for _ in range(3)]
    shippers = [Shipper(ring, "stderr", fd=pipe[1]) for ring in rings]
    per_ring = 2000
    for letter, ring in zip(b"abc", rings, strict=True):
        put(ring, *(bytes([letter]) * (1 + number * 7 % 300) for number in range(per_ring)))

    def work(shipper: Shipper) -> None:
        while shipper.written < per_ring:
            shipper.ship()
            select.select([], [pipe[1]], [], 1)

    threads = [threading.Thread(target=work, args=(shipper,)) for shipper in shippers]
    for thread in threads:
        thread.start()
    got = b""
    while got.count(b"\n") < 3 * per_ring:
        got += os.read(pipe[0], 1 << 16)
    for thread in threads:
        thread.join()
    lines = got.splitlines()
    assert len(lines) == 3 * per_ring
    assert all(len(set(line)) == 1 for line in lines)


def test_a_socket_as_stderr_is_not_waited_for(ring: Ring) -> None:
    near, far = socket.socketpair()
    with near, far:
        shipper = Shipper(ring, "stderr", fd=near.fileno())
        lines = numbered(0, 9000)
        put(ring, *lines)
        assert shipper.ship() == room.RETRY_S
        assert near.getblocking()
        got = b""
        while shipper.written < 9000:
            got += far.recv(1 << 20)
            shipper.ship()
        got += read_all(far.fileno())
        assert got.splitlines() == lines


def test_a_torn_line_is_completed_first(ring: Ring) -> None:
    """A stream that takes half a line: the other half comes before anything else."""
    near, far = socket.socketpair()
    with near, far:
        near.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4608)
        shipper = Shipper(ring, "stderr", fd=near.fileno())
        sizes = [1 + number * 37 % 4000 for number in range(240)]
        lines = [b"%04d" % number + b"x" * size for number, size in enumerate(sizes)]
        put(ring, *lines)
        got = b""
        while shipper.written < len(lines):
            shipper.ship()
            got += far.recv(777)
        got += read_all(far.fileno())
        assert got.splitlines() == lines


def test_a_reader_that_went_away(ring: Ring, pipe: tuple[int, int]) -> None:
    shipper = Shipper(ring, "stderr", fd=pipe[1])
    os.close(pipe[0])
    put(ring, b"one", b"two")
    assert shipper.ship() is None
    assert (shipper.written, shipper.dropped) == (0, 2)
    assert shipper.trouble == os.strerror(errno.EPIPE)


def test_a_closed_stderr(ring: Ring) -> None:
    fd = os.open("/dev/null", os.O_WRONLY)
    os.close(fd)
    shipper = Shipper(ring, "stderr", fd=fd)
    put(ring, b"one")
    assert shipper.ship() is None
    assert shipper.dropped == 1
    assert shipper.trouble


def test_a_file_is_appended_to_and_reopened(ring: Ring, tmp_path: Path) -> None:
    log = tmp_path / "access.log"
    log.write_text("before\n")
    shipper = Shipper(ring, f"file:{log}")
    put(ring, *numbered(0, 5000))
    ship_until(shipper, lambda: shipper.written == 5000)
    assert log.read_bytes() == b"before\n" + b"".join(line + b"\n" for line in numbered(0, 5000))
    log.rename(tmp_path / "old")
    put(ring, b"to the old one")
    shipper.ship()
    shipper.reopen()
    put(ring, b"to the new one")
    shipper.ship()
    assert (tmp_path / "old").read_bytes().endswith(b"\nto the old one\n")
    assert log.read_bytes() == b"to the new one\n"
    assert log.stat().st_mode & 0o777 == 0o640 & ~current_umask()


def current_umask() -> int:
    mask = os.umask(0o022)
    os.umask(mask)
    return mask


def test_a_failed_reopen_goes_on_with_the_old_file(ring: Ring, tmp_path: Path) -> None:
    log = tmp_path / "logs" / "access.log"
    log.parent.mkdir()
    shipper = Shipper(ring, f"file:{log}")
    log.parent.rename(tmp_path / "elsewhere")
    with pytest.raises(FileNotFoundError):
        shipper.reopen()
    put(ring, b"one")
    shipper.ship()
    assert (tmp_path / "elsewhere" / "access.log").read_bytes() == b"one\n"


def test_a_full_disk_costs_lines(ring: Ring) -> None:
    shipper = Shipper(ring, "file:/dev/full")
    put(ring, b"one", b"two", b"three")
    assert shipper.ship() is None
    assert (shipper.written, shipper.dropped) == (0, 3)
    assert shipper.trouble == os.strerror(errno.ENOSPC)


def test_lines_that_the_ring_dropped_count_too(ring: Ring, pipe: tuple[int, int]) -> None:
    small = Ring(16384)
    shipper = Shipper(small, "stderr", fd=pipe[1])
    refused = sum(not doors.put(small, b"x" * 100) for _ in range(1000))
    shipper.ship()
    assert refused > 0
    assert (shipper.written, shipper.dropped) == (1000 - refused, refused)


def test_a_flood_does_not_keep_the_caller_for_ever(tmp_path: Path) -> None:
    ring = Ring(64 << 20)
    shipper = Shipper(ring, f"file:{tmp_path / 'log'}")
    for _ in range(600_000):
        doors.put(ring, b"x" * 20)
    assert shipper.ship() == 0.0
    assert 0 < shipper.written < 600_000
    assert select.select([ring.bell], [], [], 0)[0]              # who waits for the bell is called again
    ship_until(shipper, lambda: shipper.written == 600_000)


@pytest.mark.parametrize("target", ["", "stdout", "file:", "file:relative", "syslog:", "syslog:host", "syslog:host:0", "syslog:host:x",
                                    "syslog::514", "syslog:h:65536", "tcp:h:1"])
def test_targets_that_cannot_be_read_are_refused(ring: Ring, target: str) -> None:
    with pytest.raises(ValueError, match=re.escape(repr(target.removeprefix("syslog:"))) + "|cannot go to"):
        Shipper(ring, target)


def test_words_that_syslog_does_not_know_are_refused(ring: Ring) -> None:
    for wrong in ({"facility": "local8"}, {"severity": "loud"}, {"rfc": "822"}):
        with pytest.raises(ValueError, match=next(iter(wrong.values()))):
            Shipper(ring, "syslog:/dev/log", **wrong)            # type: ignore[arg-type]


# ---- syslog


@pytest.fixture
def server() -> Iterator[socket.socket]:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as udp:
        udp.bind(("127.0.0.1", 0))
        udp.settimeout(20)
        yield udp


def udp_target(server: socket.socket) -> str:
    return "syslog:{}:{}".format(*server.getsockname())


OLD = re.compile(rb"^<(\d+)>([A-Z][a-z]{2} [ \d]\d \d\d:\d\d:\d\d) (?:(\S+) )?(\S+)\[(\d+)\]: (.*)$", re.S)
NEW = re.compile(rb"^<(\d+)>1 (\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z) (\S+) (\S+) (\d+) - - (.*)$", re.S)


def test_rfc_3164_over_udp(ring: Ring, server: socket.socket) -> None:
    shipper = Shipper(ring, udp_target(server), facility="local3", severity="notice", tag="edge 1", hostname="node-1.example.com")
    put(ring, b"first line", b"second")
    assert shipper.ship() is None
    match = OLD.match(server.recv(2000))
    assert match
    assert match.groups()[0] == b"157"           # 19 * 8 + 5
    assert match.groups()[2:] == (b"node-1.example.com", b"edge_1", str(os.getpid()).encode(), b"first line")
    assert server.recv(2000).endswith(b": second")
    assert shipper.written == 2


def test_rfc_5424_over_udp(ring: Ring, server: socket.socket) -> None:
    shipper = Shipper(ring, udp_target(server), rfc="5424", hostname="ü n")
    put(ring, b"a line")
    shipper.ship()
    match = NEW.match(server.recv(2000))
    assert match
    assert match.groups()[0] == b"142"           # local1.info
    assert match.groups()[2:] == (b"__n", b"edged", str(os.getpid()).encode(), b"a line")


def test_over_the_network_the_host_is_named(ring: Ring, server: socket.socket) -> None:
    put(ring, b"x")
    Shipper(ring, udp_target(server)).ship()
    match = OLD.match(server.recv(2000))
    assert match
    assert match[3].decode() == socket.gethostname()


def test_a_message_is_cut_at_its_most(ring: Ring, server: socket.socket) -> None:
    shipper = Shipper(ring, udp_target(server), max_length=200)
    put(ring, b"x" * 3000, b"y")
    shipper.ship()
    assert len(server.recv(5000)) == 200
    assert server.recv(5000).endswith(b": y")
    tiny = Shipper(ring, udp_target(server), max_length=10, hostname="long." * 60)
    put(ring, b"x")
    tiny.ship()
    assert len(server.recv(5000)) == 10


def test_many_datagrams_keep_their_order(ring: Ring, server: socket.socket) -> None:
    shipper = Shipper(ring, udp_target(server))
    for first in range(0, 1000, 100):
        put(ring, *numbered(first, first + 100))
        shipper.ship()
        assert [server.recv(2000)[-100:] for _ in range(100)] == numbered(first, first + 100)
    assert (shipper.written, shipper.dropped) == (1000, 0)


def test_a_server_that_is_away_costs_lines_until_it_is_back(ring: Ring, server: socket.socket) -> None:
    target = udp_target(server)
    address = server.getsockname()
    server.close()
    shipper = Shipper(ring, target)

    def refused() -> bool:
        put(ring, b"lost")
        return shipper.trouble == os.strerror(errno.ECONNREFUSED)

    ship_until(shipper, refused)
    assert shipper.dropped > 0
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as again:
        again.bind(address)

        def heard() -> bool:
            put(ring, b"found")
            return bool(select.select([again], [], [], 0)[0])

        ship_until(shipper, heard)
        assert again.recv(2000).endswith((b": found", b": lost"))


def test_a_name_is_looked_up_without_waiting(ring: Ring, server: socket.socket) -> None:
    begun = time.monotonic()
    shipper = Shipper(ring, f"syslog:localhost:{server.getsockname()[1]}")
    unknown = Shipper(Ring(16384), "syslog:no-such-host.invalid:514")
    assert unknown.ship() is None
    assert time.monotonic() - begun < 2

    def heard() -> bool:
        put(ring, b"x")
        return bool(select.select([server], [], [], 0)[0])

    if socket.getaddrinfo("localhost", 0)[0][0] == socket.AF_INET:
        ship_until(shipper, heard)


@pytest.mark.parametrize("kind", [socket.SOCK_DGRAM, socket.SOCK_STREAM])
@pytest.mark.parametrize("rfc", ["3164", "5424"])
def test_a_local_daemon(ring: Ring, tmp_path: Path, kind: int, rfc: str) -> None:
    path = str(tmp_path / "log")
    with socket.socket(socket.AF_UNIX, kind) as daemon:
        daemon.bind(path)
        daemon.settimeout(20)
        if kind == socket.SOCK_STREAM:
            daemon.listen()
        shipper = Shipper(ring, f"syslog:{path}", rfc=rfc)
        put(ring, b"one", b"two")
        assert shipper.ship() is None
        assert shipper.written == 2
        if kind == socket.SOCK_STREAM:
            peer, _ = daemon.accept()
            with peer:
                messages = peer.recv(5000).splitlines()          # parted by line ends
        else:
            messages = [daemon.recv(5000), daemon.recv(5000)]
    for message, text in zip(messages, (b"one", b"two"), strict=True):
        match = (OLD if rfc == "3164" else NEW).match(message)
        assert match
        assert match[3] == (None if rfc == "3164" else b"-")     # daemons expect no host from their own machine
        assert match[6] == text


@pytest.mark.parametrize("kind", [socket.SOCK_DGRAM, socket.SOCK_STREAM])
def test_a_local_daemon_that_is_restarted(ring: Ring, tmp_path: Path, kind: int) -> None:
    path = tmp_path / "log"
    shipper = Shipper(ring, f"syslog:{path}")
    put(ring, b"nobody listens")
    assert shipper.ship() is None
    assert shipper.dropped == 1
    for _ in range(2):
        with socket.socket(socket.AF_UNIX, kind) as daemon:
            daemon.bind(str(path))
            if kind == socket.SOCK_STREAM:
                daemon.listen()
            before = shipper.written

            def written(before: int = before) -> bool:
                put(ring, b"line")
                return shipper.written > before

            ship_until(shipper, written)
        path.unlink()

        def lost(dropped: int = shipper.dropped) -> bool:
            put(ring, b"line")
            return shipper.dropped > dropped

        ship_until(shipper, lost)
        assert shipper.trouble


def test_attempts_to_connect_are_bounded(ring: Ring, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    attempts = 0
    connect = socket.socket

    def counted(*args: int) -> socket.socket:
        nonlocal attempts
        attempts += 1
        return connect(*args)

    monkeypatch.setattr(socket, "socket", counted)
    shipper = Shipper(ring, f"syslog:{tmp_path / 'nobody'}")
    for _ in range(2000):
        put(ring, b"x")
        assert shipper.ship() is None
    assert attempts <= 5
    assert shipper.dropped == 2000


def test_a_busy_daemon_gets_the_lines_when_it_takes_them(ring: Ring, tmp_path: Path) -> None:
    path = str(tmp_path / "log")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as daemon:
        daemon.bind(path)
        shipper = Shipper(ring, f"syslog:{path}")
        lines = numbered(0, 400)
        put(ring, *lines)
        assert shipper.ship() == room.RETRY_S
        got: list[bytes] = []

        def all_read() -> bool:
            while select.select([daemon], [], [], 0)[0]:
                got.append(daemon.recv(2000)[-100:])
            return len(got) == 400

        ship_until(shipper, all_read)
        assert got == lines
        assert shipper.dropped == 0


def test_after_close_nothing_is_sent(ring: Ring, server: socket.socket) -> None:
    shipper = Shipper(ring, udp_target(server))
    shipper.close()
    put(ring, b"x")
    assert shipper.ship() is None
    assert shipper.dropped == 1
    assert not select.select([server], [], [], 0)[0]


def test_a_pipe_of_another_user_is_asked_before_each_write(ring: Ring, pipe: tuple[int, int], monkeypatch: pytest.MonkeyPatch) -> None:
    """Where it may not be opened anew: it stays blocking, and still nothing waits."""
    really_open = os.open

    def refused(path: str, flags: int, *rest: int) -> int:
        if path.startswith("/proc/self/fd/"):
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))
        return really_open(path, flags, *rest)

    monkeypatch.setattr(os, "open", refused)
    shipper = Shipper(ring, "stderr", fd=pipe[1])
    lines = numbered(0, 3000)
    put(ring, *lines)
    assert shipper.ship() == room.RETRY_S
    assert shipper.written >= PIPE_BYTES // 101 - 41             # up to the last piece that fitted
    got = b""
    while shipper.written < 3000:
        got += os.read(pipe[0], 1 << 20)
        shipper.ship()
    assert (got + read_all(pipe[0])).splitlines() == lines
