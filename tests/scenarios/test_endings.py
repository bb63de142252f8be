"""How it ends: by each signal, and where it cannot even begin."""

import re
import signal
import socket
import subprocess
import threading
import time

import pytest

from tests.scenarios.harness.backend import Gate
from tests.scenarios.harness.client import Client, get
from tests.scenarios.harness.content import MIB, content, sha256
from tests.scenarios.harness.settings import command, environment
from tests.scenarios.harness.until import until


def test_sigterm_lets_a_slow_download_finish(daemon, backend):
    gate = Gate()

    def sends_slowly(peer):
        peer.request()
        peer.send(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % (8 * MIB))
        peer.send(content(8 * MIB)[: 4 * MIB])
        gate.pass_()
        peer.send(content(8 * MIB)[4 * MIB:])

    edged = daemon({"run": {"drain_timeout": "30s"}, "worker": {"count": 2}}, [{"host": "*", "to": [backend(sends_slowly).address]}])
    address = edged.address()
    with Client(address) as client:
        client.send(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
        client.head()
        gate.wait_for_somebody()
        edged.process.send_signal(signal.SIGTERM)
        edged.until_said("draining")
        until(lambda: _refused(address), what="new connections are refused")
        gate.open()
        assert sha256(client.take(8 * MIB)) == sha256(content(8 * MIB))
        assert client.rest() == b""              # the last answer ends the connection
    assert edged.process.wait(10) == 0


def _refused(address) -> bool:
    try:
        Client(address).close()
    except (ConnectionRefusedError, ConnectionResetError):
        return True
    return False


def test_sigterm_ends_idle_connections_at_once(daemon, backend):
    edged = daemon({"run": {"drain_timeout": "30s"}}, [{"host": "*", "to": [backend().address]}])
    with edged.connect() as client:
        assert client.ask().status == 200
        began_s = time.monotonic()
        edged.process.send_signal(signal.SIGTERM)
        assert client.rest() == b""
        assert edged.process.wait(10) == 0
        assert time.monotonic() - began_s < 8


def test_sigterm_cuts_what_outlives_the_deadline(daemon, backend):
    gate = Gate()

    def never_ends(peer):
        peer.request()
        gate.pass_()

    edged = daemon({"run": {"drain_timeout": "500ms"}}, [{"host": "*", "to": [backend(never_ends).address]}])
    with edged.connect() as client:
        client.send(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
        gate.wait_for_somebody()
        assert edged.stop(within_s=10) == 0
        assert client.until_gone() == b""
    gate.open()


def test_an_answer_that_ends_with_its_connection_is_cut_with_a_reset(daemon, backend):
    """Otherwise what has come of it would look whole."""
    gate = Gate()

    def begins(peer):
        peer.request()
        peer.send(b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\nsome of it")
        gate.pass_()

    edged = daemon({"run": {"drain_timeout": "500ms"}}, [{"host": "*", "to": [backend(begins).address]}])
    with edged.connect() as client:
        client.send(b"GET / HTTP/1.0\r\nHost: a\r\n\r\n")
        client.take_until(b"some of it")
        assert edged.stop(within_s=10) == 0
        with pytest.raises(ConnectionResetError):
            client.rest()
    gate.open()


def test_sigterm_under_load_loses_no_request(daemon, backend):
    """Whoever was let in is answered; whoever was not is refused."""
    edged = daemon({"worker": {"count": 2}, "run": {"drain_timeout": "10s"}}, [{"host": "*", "to": [backend().address]}])
    address, lost, served = edged.address(), [], []

    def visits() -> None:
        while True:
            try:
                client = Client(address)
            except (ConnectionRefusedError, ConnectionResetError):
                return
            with client:
                try:
                    client.ask(Connection="close")
                    served.append(1)
                except (OSError, EOFError) as why:
                    lost.append(why)

    visitors = [threading.Thread(target=visits) for _ in range(6)]
    for visitor in visitors:
        visitor.start()
    until(lambda: len(served) > 200)
    assert edged.stop() == 0
    for visitor in visitors:
        visitor.join()
    assert not lost, lost


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_at_once(daemon, backend, number):
    """By SIGINT, or by a second SIGTERM."""
    gate = Gate()

    def never_ends(peer):
        peer.request()
        gate.pass_()

    edged = daemon({"run": {"drain_timeout": "60s"}}, [{"host": "*", "to": [backend(never_ends).address]}])
    with edged.connect() as client:
        client.send(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
        gate.wait_for_somebody()
        if number == signal.SIGTERM:
            edged.process.send_signal(number)
            edged.until_said("draining")
            edged.expected_status = 1
        began_s = time.monotonic()
        assert edged.stop(number) == edged.expected_status
        assert time.monotonic() - began_s < 8
        assert client.until_gone() == b""
    gate.open()


def test_it_starts_again_where_it_ended(daemon, backend):
    edged = daemon(routes=[{"host": "*", "to": [backend().address]}])
    assert edged.stop() == 0
    edged.start()
    assert get(edged.address()).status == 200


# ---- where it cannot begin


def run(settings: str, tmp_path, *words: str) -> subprocess.CompletedProcess[str]:
    (tmp_path / "edged.toml").write_text(settings)
    whole = command("run", "--config", *(words or [str(tmp_path / "edged.toml")]))
    return subprocess.run(whole, cwd=tmp_path, env=environment(), capture_output=True, text=True, timeout=60, check=False)


def one_line(done: subprocess.CompletedProcess[str]) -> str:
    """What it said, which is one line for the operator and no traceback."""
    assert done.returncode == 2
    assert done.stdout == ""
    lines = [line for line in done.stderr.splitlines() if "warning:" not in line]
    assert len(lines) == 1, done.stderr
    return lines[0]


@pytest.fixture
def places(tmp_path):
    return f'[run]\nruntime_dir = "{tmp_path}/run"\nstate_dir = "{tmp_path}/state"\n'


def test_a_port_that_is_taken(tmp_path, places):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        told = one_line(run(f'[[listener]]\naddress = "127.0.0.1:{port}"\n{places}', tmp_path))
    assert f"127.0.0.1:{port}" in told
    assert "taken by" in told


def test_a_port_that_another_edged_has(tmp_path, places, daemon):
    port = daemon().address()[1]
    assert "taken by" in one_line(run(f'[[listener]]\naddress = "127.0.0.1:{port}"\n{places}', tmp_path))


def test_settings_that_are_not_there(tmp_path):
    assert f"{tmp_path}/none.toml" in one_line(run("", tmp_path, str(tmp_path / "none.toml")))


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ('[[listener]]\naddress = "127.0.0.1:0"\nmod = "tcp"\n', 'edged.toml:3: .*mod.*mode'),
        ('[[listener]]\naddress = "127.0.0.1:99999"\n', "edged.toml:2: "),
        ("[[listener]\n", "edged.toml:1: "),
        ('[[listener]]\naddress = "127.0.0.1:0"\n[timeouts]\nclient = "soon"\n', "edged.toml:4: .*client"),
        ('[[listener]]\naddress = "127.0.0.1:0"\nmode = "tcp"\n', "edged.toml:.*route"),
        ('[[listener]]\naddress = "127.0.0.1:0"\n[sources.files]\npath = ["x"]\n', "files.*path"),
    ],
)
def test_settings_that_are_wrong(tmp_path, places, text, told):
    done = run(text + places, tmp_path)
    assert done.returncode == 2
    assert "Traceback" not in done.stderr
    assert re.search(told, done.stderr), done.stderr
