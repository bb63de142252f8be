"""The load tool counts what it should: answers, bytes, each sort of error, and every stall."""

import contextlib
import json
import os
import shutil
import socket
import ssl
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from bench.loads.certificates import Authority, Certificates
from bench.loads.machine import cpu
from bench.loads.site import Ports

ROOT = Path(__file__).resolve().parents[2]
GOOD = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello"


@pytest.fixture(scope="module")
def tools(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("tools")
    compiler = shutil.which("cc") or "gcc"
    for name in ("loadgen", "backend", "brake"):
        source = ROOT / "bench/tools" / f"{name}.c"
        flags = ["-std=gnu11", "-O1", "-g", "-fsanitize=address,undefined"]
        subprocess.run([compiler, *flags, "-o", folder / name, source, "-lssl", "-lcrypto"], check=True)
    return folder


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    return Certificates.make(tmp_path_factory.mktemp("certificates") / "made", Authority(), ["localhost"], ["rsa.localhost"], ["localhost"])


@pytest.fixture
def backend(tools: Path, certificates: Certificates) -> Iterator[Ports]:
    services = [word for service in ("http", "tcp", "https", "hello") for word in (f"--{service}", "127.0.0.1:0")]
    words = [tools / "backend", "--certificate", certificates.backend, *services]
    with subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout
        yield Ports(*map(int, process.stdout.readline().split()))
        process.communicate(timeout=10)
        assert process.returncode == 0


def load(tools: Path, port: int, *words: str) -> dict:
    command = [tools / "loadgen", "--connect", f"127.0.0.1:{port}", "--seconds", "0.3", "--warm", "0.1", *words]
    done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=True, timeout=60)
    assert done.stdout.splitlines()[0] == "go"
    return json.loads(done.stdout.splitlines()[1])


@contextlib.contextmanager
def server(answer: Callable[[socket.socket], bool], peek: bool = False) -> Iterator[int]:
    """A server that answers each request with `answer`, which still finds it there if it is only peeked at; False ends the connection."""
    def converse(connection: socket.socket) -> None:
        with connection, contextlib.suppress(OSError):
            while connection.recv(65536, socket.MSG_PEEK if peek else 0) and answer(connection):
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
def test_http_is_answered_without_an_error(tools: Path, backend: Ports, words: list[str]) -> None:
    got = load(tools, backend.http, *words)
    assert got["answers"] > 0
    assert faults(got) == set()
    if "/1m" in words:
        assert got["bytes"] > (got["answers"] - 4) * (1 << 20)


@pytest.mark.parametrize("words", [["--tcp", "64"], ["--tcp", "64", "--each-new"], ["--tcp", "1048576"]], ids=" ".join)
def test_tcp_is_answered_without_an_error(tools: Path, backend: Ports, words: list[str]) -> None:
    got = load(tools, backend.tcp, "--connections", "8", *words)
    assert got["answers"] > 0
    assert got["bytes"] >= (got["answers"] - 8) * int(words[1])
    assert faults(got) == set()


@pytest.mark.parametrize("words", [["--tls"], ["--tls", "--path", "/1m"], ["--tls", "--rate", "500"]], ids=" ".join)
def test_kept_tls_is_answered_without_another_handshake(tools: Path, backend: Ports, words: list[str]) -> None:
    got = load(tools, backend.https, "--connections", "4", *words)
    assert got["answers"] > 0
    assert faults(got) == set()
    assert got["handshakes"] <= 4            # those that the warm-up has left
    if "/1m" in words:
        assert got["bytes"] > (got["answers"] - 4) * (1 << 20)


@pytest.mark.parametrize("word", ["--tls", "--resume"])
def test_each_new_tls_connection_is_resumed_as_was_asked(tools: Path, backend: Ports, word: str) -> None:
    got = load(tools, backend.https, "--connections", "4", "--each-new", word)
    assert got["answers"] > 0
    assert faults(got) == set()
    assert got["resumed"] == (got["handshakes"] if word == "--resume" else 0)
    assert abs(got["handshakes"] - got["answers"]) <= 4


@pytest.mark.parametrize("key", ["ecdsa", "rsa"])
def test_tls_offers_the_name_and_what_is_measured(tools: Path, certificates: Certificates, key: str) -> None:
    names: list[str | None] = []
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(getattr(certificates, key))
    context.set_alpn_protocols(["http/1.1"])
    context.sni_callback = lambda _, name, __: names.append(name)
    spoken: list[tuple] = []

    def answer(connection: socket.socket) -> bool:
        with context.wrap_socket(connection, server_side=True) as tls:
            while tls.recv(65536):
                spoken.append((tls.version(), tls.cipher()[0], tls.selected_alpn_protocol()))
                tls.sendall(GOOD)
        return False

    with server(answer, peek=True) as port:
        got = load(tools, port, "--connections", "2", "--tls", "--host", "shop.localhost")
    assert faults(got) == set()
    assert set(names) == {"shop.localhost"}
    assert set(spoken) == {("TLSv1.3", "TLS_AES_128_GCM_SHA256", "http/1.1")}


def test_a_session_that_is_not_taken_up_again_is_counted(tools: Path, certificates: Certificates) -> None:
    def answer(connection: socket.socket) -> bool:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)        # a new one has new keys for its tickets
        context.load_cert_chain(certificates.ecdsa)
        with context.wrap_socket(connection, server_side=True) as tls:
            tls.recv(65536)
            tls.sendall(GOOD)
        return False

    with server(answer, peek=True) as port:
        got = load(tools, port, "--connections", "2", "--resume", "--each-new")
    assert (got["resumed"], faults(got)) == (0, {"resumption"})


def test_a_refused_handshake_is_counted(tools: Path) -> None:
    with server(lambda c: bool(c.sendall(b"\x15\x03\x03\0\2\2\x28"))) as port:
        got = load(tools, port, "--connections", "2", "--tls")
    assert (got["answers"], faults(got)) == (0, {"handshake"})


@pytest.mark.parametrize("words", [["--tcp", "64"], ["--tcp", "64", "--each-new"], ["--tcp", "1048576"]], ids=" ".join)
def test_messages_follow_a_hello(tools: Path, backend: Ports, words: list[str]) -> None:
    got = load(tools, backend.hello, "--connections", "8", "--hello", *words)
    assert got["answers"] > 0
    assert faults(got) == set()


def test_a_hello_names_the_host(tools: Path) -> None:
    seen: list[bytes] = []

    def answer(connection: socket.socket) -> bool:
        seen.append(connection.recv(65536))
        return False

    with server(answer, peek=True) as port:
        load(tools, port, "--connections", "1", "--hello", "--tcp", "64", "--host", "shop.localhost")
    assert seen[0][:2] == b"\x16\x03"
    assert b"\0\0\x0eshop.localhost" in seen[0]


def test_an_open_loop_keeps_its_rate(tools: Path, backend: Ports) -> None:
    got = load(tools, backend.http, "--connections", "8", "--rate", "200", "--seconds", "1")
    assert 190 <= got["answers"] <= 210


@pytest.mark.parametrize("tls", [False, True], ids=["plain", "TLS"])
def test_connections_are_held_open(tools: Path, backend: Ports, tls: bool) -> None:
    got = load(tools, backend.https if tls else backend.http, "--connections", "100", "--hold", *(["--tls"] if tls else []))
    assert (got["held"], got["answers"]) == (100, 100)


def test_silent_connections_are_held_open(tools: Path, backend: Ports) -> None:
    got = load(tools, backend.https, "--connections", "100", "--hold", "--silent", "--tls")
    assert (got["held"], got["answers"], got["handshakes"]) == (100, 0, 0)


@pytest.mark.parametrize(("answer", "fault"), [
    (lambda c: bool(c.sendall(b"HTTP/1.1 503 No\r\nContent-Length: 0\r\n\r\n")), "status"),
    (lambda c: bool(c.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhello")), "truncated"),
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
    assert (got["answers"], faults(got)) == (0, {"refused"})


LAST = GOOD.replace(b"\r\n", b"\r\nConnection: close\r\n", 1)


def test_new_connections_come_at_their_rate(tools: Path, backend: Ports) -> None:
    got = load(tools, backend.http, "--connections", "100", "--each-new", "--rate", "200", "--seconds", "1")
    assert 190 <= got["answers"] <= 210
    assert faults(got) == set()


@pytest.mark.parametrize("words", [[], ["--rate", "200"]], ids=["closed loop", "open loop"])
def test_a_connection_is_left_when_its_server_says_that_it_closes(tools: Path, words: list[str]) -> None:
    turns: list[int] = []

    def answer(connection: socket.socket) -> bool:
        turns.append(1)
        connection.sendall(LAST if len(turns) % 3 == 0 else GOOD)
        return len(turns) % 3 != 0

    with server(answer) as port:
        got = load(tools, port, "--connections", "1", *words)
    assert got["answers"] > 6
    assert faults(got) == set()


def drops_the_third() -> Callable[[socket.socket], bool]:
    """Each connection is closed, without a word, when its third request is there."""
    asked: dict[int, int] = {}

    def answer(connection: socket.socket) -> bool:
        asked[connection.fileno()] = asked.get(connection.fileno(), 0) + 1
        if asked[connection.fileno()] == 3:
            del asked[connection.fileno()]
            return False
        connection.sendall(GOOD)
        return True

    return answer


@pytest.mark.parametrize("words", [[], ["--rate", "200"]], ids=["closed loop", "open loop"])
def test_a_request_that_a_kept_connection_did_not_take_is_asked_again(tools: Path, words: list[str]) -> None:
    with server(drops_the_third()) as port:
        got = load(tools, port, "--connections", "1", "--again", *words)
    assert got["answers"] > 6
    assert got["stale"] > 2
    assert faults(got) == set()


def test_without_leave_to_ask_again_it_is_a_fault(tools: Path) -> None:
    with server(drops_the_third()) as port:
        got = load(tools, port, "--connections", "1")
    assert faults(got) == {"closed"}


def test_a_window_may_last_until_its_input_ends(tools: Path, backend: Ports) -> None:
    where = ["--connect", f"127.0.0.1:{backend.http}", "--connections", "2", "--rate", "100"]
    with subprocess.Popen([tools / "loadgen", *where, "--until-end", "--warm", "0.1"],
                          stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as running:
        assert running.stdout
        assert running.stdout.readline() == "go\n"
        time.sleep(0.5)                          # a window of this length is what is asked for
        got = json.loads(running.communicate(timeout=10)[0])
    assert 0.4 < got["seconds"] < 5
    assert got["answers"] > 20


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
