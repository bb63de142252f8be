"""The load tool counts what it should: answers, bytes, each sort of error, and every stall."""

import contextlib
import json
import os
import shutil
import socket
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from bench.loads.machine import cpu

ROOT = Path(__file__).resolve().parents[2]
GOOD = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello"


@pytest.fixture(scope="module")
def tools(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("tools")
    compiler = shutil.which("cc") or "gcc"
    for name in ("loadgen", "backend", "brake"):
        source = ROOT / "bench/tools" / f"{name}.c"
        subprocess.run([compiler, "-std=gnu11", "-O1", "-g", "-fsanitize=address,undefined", "-o", folder / name, source], check=True)
    return folder


@pytest.fixture
def backend(tools: Path) -> Iterator[tuple[int, int]]:
    words = [tools / "backend", "--http", "127.0.0.1:0", "--tcp", "127.0.0.1:0"]
    with subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout
        http, tcp = process.stdout.readline().split()
        yield int(http), int(tcp)
        process.communicate(timeout=10)
        assert process.returncode == 0


def load(tools: Path, port: int, *words: str) -> dict:
    command = [tools / "loadgen", "--connect", f"127.0.0.1:{port}", "--seconds", "0.3", "--warm", "0.1", *words]
    done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=True, timeout=60)
    assert done.stdout.splitlines()[0] == "go"
    return json.loads(done.stdout.splitlines()[1])


@contextlib.contextmanager
def server(answer: Callable[[socket.socket], bool]) -> Iterator[int]:
    """A server that answers each request with `answer`; False ends the connection."""
    def converse(connection: socket.socket) -> None:
        with connection, contextlib.suppress(OSError):
            while connection.recv(65536) and answer(connection):
                pass

    def accept() -> None:
        with contextlib.suppress(OSError):
            while True:
                threading.Thread(target=converse, args=(listener.accept()[0],), daemon=True).start()

    with socket.create_server(("127.0.0.1", 0)) as listener:
        threading.Thread(target=accept, daemon=True).start()
        yield listener.getsockname()[1]
        listener.shutdown(socket.SHUT_RDWR)


def faults(got: dict) -> set[str]:
    return {name for name, count in got["errors"].items() if count}


@pytest.mark.parametrize("words", [
    ["--connections", "8"],
    ["--connections", "8", "--each-new"],
    ["--connections", "4", "--path", "/1m"],
    ["--connections", "8", "--host", "h%05d.x", "--hosts", "100", "--host-step", "7"],
    ["--connections", "8", "--rate", "500"],
], ids=lambda words: " ".join(words))
def test_http_is_answered_without_an_error(tools: Path, backend: tuple[int, int], words: list[str]) -> None:
    got = load(tools, backend[0], *words)
    assert got["answers"] > 0
    assert faults(got) == set()
    if "/1m" in words:
        assert got["bytes"] > (got["answers"] - 4) * (1 << 20)


@pytest.mark.parametrize("words", [["--tcp", "64"], ["--tcp", "64", "--each-new"], ["--tcp", "1048576"]], ids=" ".join)
def test_tcp_is_answered_without_an_error(tools: Path, backend: tuple[int, int], words: list[str]) -> None:
    got = load(tools, backend[1], "--connections", "8", *words)
    assert got["answers"] > 0
    assert got["bytes"] >= (got["answers"] - 8) * int(words[1])
    assert faults(got) == set()


def test_an_open_loop_keeps_its_rate(tools: Path, backend: tuple[int, int]) -> None:
    got = load(tools, backend[0], "--connections", "8", "--rate", "200", "--seconds", "1")
    assert 190 <= got["answers"] <= 210


def test_connections_are_held_open(tools: Path, backend: tuple[int, int]) -> None:
    got = load(tools, backend[0], "--connections", "100", "--hold")
    assert (got["held"], got["answers"]) == (100, 100)


@pytest.mark.parametrize(("answer", "fault"), [
    (lambda c: bool(c.sendall(b"HTTP/1.1 503 No\r\nContent-Length: 0\r\n\r\n")), "status"),
    (lambda c: bool(c.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhello")), "closed"),
    (lambda c: bool(c.sendall(b"HTTP/1.1 200 OK\r\n\r\n")), "framing"),
    (lambda c: bool(c.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhello")), "framing"),
    (lambda c: False, "closed"),
], ids=["503", "short body", "no length", "long body", "no answer"])
def test_each_fault_is_counted_by_its_kind(tools: Path, answer: Callable[[socket.socket], bool], fault: str) -> None:
    with server(answer) as port:
        got = load(tools, port, "--connections", "2")
    assert got["answers"] == 0
    assert fault in faults(got)
    assert faults(got) <= {fault, "reset"}       # unread bytes may turn an end into a reset


def test_a_refused_connection_is_counted(tools: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    got = load(tools, port, "--connections", "1", "--rate", "10")
    assert (got["answers"], faults(got)) == (0, {"connect"})


def test_a_stall_is_seen_by_all_requests_that_it_would_have_hit(tools: Path) -> None:
    began = time.monotonic()
    stalled = threading.Event()

    def answer(connection: socket.socket) -> bool:
        if time.monotonic() - began > 0.5 and not stalled.is_set():
            stalled.set()
            time.sleep(0.5)
        connection.sendall(GOOD)
        return True

    with server(answer) as port:
        got = load(tools, port, "--connections", "1", "--rate", "100", "--seconds", "1.5")
    assert stalled.is_set()
    assert got["p99_us"] > 400_000               # some fifty of 150 requests fell due in that half second
    assert got["p50_us"] < 400_000
    assert faults(got) == set()


def test_the_brake_takes_its_share_or_says_why_not(tools: Path) -> None:
    core = max(os.sched_getaffinity(0))
    words = [tools / "brake", "--core", str(core), "--percent", "30"]
    with subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as brake:
        assert brake.stdout
        if brake.stdout.readline() != "ready\n":
            assert "no real-time priority" in brake.communicate(timeout=10)[1]
            assert brake.returncode == 2
            return
        used, began = cpu([brake.pid]), time.monotonic()
        time.sleep(1)                            # the share of a second is what is looked at
        share = (cpu([brake.pid]) - used).total_s / (time.monotonic() - began)
        brake.communicate(timeout=10)
    assert 0.2 < share < 0.4
    assert brake.returncode == 0
