"""A daemon and its service manager: what it is told, when it is given signs of life, and the sockets that go to and fro."""

import contextlib
import json
import os
import re
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from tests.fakes.daemon import PATIENCE_S, ROOT, Daemon, gone, wait_for
from tests.fakes.manager import Manager

PATIENCE = {"WATCHDOG_USEC": "1200000"}


def settings(address="127.0.0.1:0", workers=2, more=""):
    return f'[[listener]]\nname = "web"\naddress = "{address}"\n{more}[worker]\ncount = {workers}\n'


@pytest.fixture
def manager(tmp_path):
    one = Manager(tmp_path / "notify")
    yield one
    one.close()


@pytest.fixture
def start(tmp_path, manager):
    """start(settings, given, **environ): under the service manager, always in the same directories."""
    daemons = []
    (tmp_path / "it").mkdir()

    def go(text=None, given=(), **environ):
        told = {"NOTIFY_SOCKET": manager.address, "FDSTORE": "64"} | environ
        daemons.append(Daemon(tmp_path / "it", text or settings(), told, given))
        return daemons[-1]

    yield go
    for daemon in daemons:
        if daemon.process.poll() is None:
            children = list(daemon.children().values())
            daemon.process.kill()
            daemon.process.wait()
            for pid in children:
                wait_for(lambda pid=pid: gone(pid))


@pytest.fixture
def unit():
    """A socket as a socket unit makes it."""
    made = []

    def go(where=("127.0.0.1", 0)):
        sock = socket.socket()
        made.append(sock)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        sock.bind(where)
        sock.listen()
        return sock

    yield go
    for sock in made:
        sock.close()


def address_of(sock):
    host, port = sock.getsockname()
    return f"{host}:{port}"


def client(port):
    return socket.create_connection(("127.0.0.1", port), timeout=PATIENCE_S)


def answer(sock):
    """What a fake worker says, before it closes."""
    with sock:
        return sock.makefile().read()


def kill(daemon):
    """The supervisor and all its children, at once, as a service manager does it."""
    children = daemon.children()
    daemon.process.kill()
    for pid in children.values():
        with contextlib.suppress(ProcessLookupError):    # gone by itself, as its supervisor is
            os.kill(pid, signal.SIGKILL)
    daemon.process.wait()


# what it is told


def test_a_whole_life(start, manager):
    daemon = start()
    assert manager.until("READY=1")
    assert manager.told[-1] == ["READY=1", f"MAINPID={daemon.process.pid}", "STATUS=serving: generation 1"]
    daemon.send(signal.SIGHUP)
    assert re.fullmatch(r"MONOTONIC_USEC=\d+", manager.until("MONOTONIC_USEC="))
    assert manager.told[-1][0] == "RELOADING=1"
    manager.until("READY=1")
    assert manager.told[-1][-1] == "STATUS=serving: generation 2"
    daemon.send(signal.SIGTERM)
    manager.until("STOPPING=1")
    extended_usec = int(manager.told[-1][1].removeprefix("EXTEND_TIMEOUT_USEC="))
    assert 30_000_000 < extended_usec < 60_000_000
    assert daemon.process.wait(PATIENCE_S) == 0
    assert not any(line.startswith("READY") for message in manager.all() for line in message)


def test_an_end_takes_as_long_as_what_takes_longest(start, manager, tmp_path):
    run = f'[run]\ndrain_delay = "10s"\ndrain_timeout = "20s"\ntunnel_drain_timeout = "10m"\nstate_dir = "{tmp_path}/s"\n'
    daemon = start(settings() + run + f'runtime_dir = "{tmp_path}/r"\n').ready()
    daemon.send(signal.SIGTERM)
    manager.until("STOPPING=1")
    extended_s = int(manager.told[-1][1].removeprefix("EXTEND_TIMEOUT_USEC=")) / 1e6
    assert 610 < extended_s < 640
    assert daemon.end() == 1


def test_a_reload_that_fails_is_over_too(start, manager):
    daemon = start().ready()
    manager.until("READY=1")
    daemon.config.unlink()
    daemon.send(signal.SIGHUP)
    manager.until("RELOADING=1")
    manager.until("READY=1")
    assert manager.told[-1][-1] == "STATUS=serving: generation 1"
    daemon.said(rf"error: {daemon.config}: cannot be read: No such file or directory")
    assert daemon.ask()


# signs of life


@pytest.mark.parametrize("name", ["edged control", "edged worker 1"])
def test_who_hangs_stops_the_signs_of_life_and_is_named(start, manager, name):
    daemon = start(**PATIENCE)
    manager.until("WATCHDOG=1")
    pid = daemon.children()[name]
    os.kill(pid, signal.SIGSTOP)
    daemon.said(rf"edged: error: {name.removeprefix('edged ')} \(process {pid}\) does not answer: the service manager gets no sign of life")
    manager.all()
    with pytest.raises(TimeoutError):
        manager.receive(1.2)
    os.kill(pid, signal.SIGCONT)
    manager.until("WATCHDOG=1")
    daemon.said(rf"{name.removeprefix('edged ')} \(process {pid}\) answers again")
    assert daemon.end() == 0


def test_who_is_started_again_does_not_stop_them(start, manager):
    daemon = start(**PATIENCE)
    manager.until("WATCHDOG=1")
    os.kill(daemon.children()["edged worker 0"], signal.SIGKILL)
    daemon.said("worker 0 .* SIGKILL; it is started again")
    for _ in range(6):
        manager.until("WATCHDOG=1")
    assert not any("does not answer" in line for line in daemon.lines())


def test_signs_of_life_go_on_over_a_reload_and_while_exchanges_end(start, manager):
    daemon = start(**PATIENCE)
    manager.until("READY=1")
    daemon.send(signal.SIGHUP)
    manager.until("RELOADING=1")
    manager.until("READY=1")
    manager.until("WATCHDOG=1")
    for slot in range(2):
        daemon.hold(f"drain-worker-{slot}")
    daemon.send(signal.SIGTERM)
    manager.until("STOPPING=1")
    manager.until("WATCHDOG=1")
    for slot in range(2):
        daemon.release(f"drain-worker-{slot}")
    assert daemon.process.wait(PATIENCE_S) == 0


def test_a_watchdog_for_another_process_is_not_fed(start, manager):
    daemon = start(**PATIENCE, WATCHDOG_PID="1").ready()
    assert daemon.end() == 0
    assert not any("WATCHDOG=1" in message for message in manager.all())


# what is kept


def test_every_listening_socket_is_kept_by_its_name(start, manager, tmp_path):
    daemon = start(settings(more=f'[[listener]]\nname = "local"\naddress = "unix:{tmp_path}/s"\n'))
    manager.until("READY=1")
    assert sorted(name for name, _ in manager.stored) == ["local/0", "web/0", "web/1"]
    kept = {name: str(os.fstat(fd).st_ino) for name, fd in manager.stored}
    tcp = [row.split() for row in Path("/proc/net/tcp").read_text().splitlines()[1:]]
    assert {kept["web/0"], kept["web/1"]} == {row[9] for row in tcp if row[1].endswith(f":{daemon.port():04X}") and row[3] == "0A"}
    unix = [row.split() for row in Path("/proc/net/unix").read_text().splitlines()]
    assert [row[6] for row in unix if row[-1] == f"{tmp_path}/s"] == [kept["local/0"]]


def test_without_a_store_nothing_is_sent(start, manager):
    daemon = start(FDSTORE="0")
    manager.until("READY=1")
    assert manager.stored == []
    assert daemon.end() == 0


@pytest.mark.parametrize("how", ["killed", "its supervisor killed", "stopped", "with another number of workers"])
def test_who_comes_while_nobody_runs_is_answered_by_the_next(start, manager, how):
    first = start()
    manager.until("READY=1")
    port = first.port()
    if how == "killed":
        kill(first)
    elif how == "its supervisor killed":
        first.process.kill()
        first.process.wait()
    else:
        assert first.end() == 0
    waiting = [client(port) for _ in range(40)]
    workers = 1 if how.startswith("with") else 2
    second = start(settings(workers=workers), list(manager.stored))
    told = [answer(sock).split() for sock in waiting]
    assert {name for name, *_ in told} == {f"worker-{slot}" for slot in range(workers)}
    assert second.ready().port() == port
    manager.until("READY=1")
    assert sorted(name for name, _ in manager.stored) == ["web/0", "web/1"]
    assert {second.ask()[0] for _ in range(40)} == {f"worker-{slot}" for slot in range(workers)}
    assert second.end() == 0


def test_more_workers_have_more_sockets(start, manager):
    first = start(settings(workers=1))
    manager.until("READY=1")
    port = first.port()
    kill(first)
    second = start(settings(workers=3), list(manager.stored)).ready()
    assert second.port() == port
    assert {second.ask()[:2] for _ in range(80)} == {(f"worker-{slot}", slot) for slot in range(3)}
    assert sorted(name for name, _ in manager.all() and manager.stored) == ["web/0", "web/1", "web/2"]


def test_a_unix_socket_is_kept_with_its_file(start, manager, tmp_path):
    text = settings(f"unix:{tmp_path}/s")
    first = start(text)
    manager.until("READY=1")
    assert first.end() == 0
    waiting = socket.socket(socket.AF_UNIX)
    waiting.settimeout(PATIENCE_S)
    waiting.connect(str(tmp_path / "s"))
    second = start(text, list(manager.stored))
    assert answer(waiting).startswith("worker-")
    assert second.ready().end() == 0


def test_what_a_reload_adds_and_takes_away_is_kept_and_forgotten(start, manager):
    daemon = start()
    manager.until("READY=1")
    daemon.config.write_text(daemon.config.read_text().replace('name = "web"', 'name = "site"').replace("count = 2", "count = 1"))
    daemon.send(signal.SIGHUP)
    manager.until("RELOADING=1")
    manager.until("READY=1")
    assert [name for name, _ in manager.stored] == ["site/0"]


def test_settings_that_name_an_address_no_more_let_it_go(start, manager, tmp_path):
    first = start()
    manager.until("READY=1")
    port = first.port()
    kill(first)
    second = start(settings(f"unix:{tmp_path}/s"), list(manager.stored))
    manager.until("READY=1")
    second.said(rf"no longer listening on 127\.0\.0\.1:{port}: it was kept over the restart")
    assert [name for name, _ in manager.stored] == ["web/0"]
    with pytest.raises(ConnectionRefusedError):
        client(port)


def test_a_drained_daemon_that_dies_leaves_an_address_that_can_be_taken(start, manager):
    first = start()
    manager.until("READY=1")
    port = first.port()
    assert ctl(first, "drain")["ok"]
    with pytest.raises(ConnectionRefusedError):
        client(port)
    kill(first)
    second = start(None, list(manager.stored)).ready()
    assert second.port() == port
    assert {second.ask()[0] for _ in range(40)} == {"worker-0", "worker-1"}


# sockets of units


def ctl(daemon, *words):
    done = subprocess.run(
        [sys.executable, "-P", "-m", "edged", "ctl", "--config", str(daemon.config), *words, "--json"], capture_output=True, text=True,
        env=os.environ | {"PYTHONPATH": os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")])}, check=False,
    )
    return json.loads(done.stdout)


@pytest.mark.parametrize("name", ["web", "edged.socket"])
def test_who_came_before_the_start_and_after_the_end_is_answered(start, unit, manager, name):
    """By the name of a listener, or by its address."""
    sock = unit()
    text, port = settings(address_of(sock)), sock.getsockname()[1]
    waiting = client(port)
    first = start(text, [(name, sock.fileno())])
    assert answer(waiting).startswith("worker-")
    manager.until("READY=1")
    assert manager.stored == []                  # its unit keeps it
    assert first.end() == 0
    waiting = client(port)
    second = start(text, [(name, sock.fileno())])
    assert answer(waiting).startswith("worker-")
    assert second.ready().end() == 0


@pytest.mark.parametrize("count", [1, 2, 3, 5])
def test_every_socket_of_a_unit_is_accepted_on(start, unit, count):
    """There may be as many as workers, fewer or more: none is left alone."""
    socks = [unit()]
    socks += [unit(socks[0].getsockname()) for _ in range(count - 1)]
    port = socks[0].getsockname()[1]
    waiting = [client(port) for _ in range(60)]
    daemon = start(settings(address_of(socks[0])), [("web", sock.fileno()) for sock in socks])
    assert all(answer(sock).startswith("worker-") for sock in waiting)
    daemon.ready().send(signal.SIGHUP)
    daemon.said("reloaded in")
    assert all(daemon.ask() for _ in range(40))
    assert daemon.end() == 0


def test_a_drain_does_not_shut_what_is_lent(start, unit):
    sock = unit()
    daemon = start(settings(address_of(sock)), [("web", sock.fileno())]).ready()
    assert ctl(daemon, "drain")["ok"]
    with client(sock.getsockname()[1]) as waiting:
        assert ctl(daemon, "undrain")["ok"]
        assert answer(waiting).startswith("worker-")
    assert daemon.end() == 0


def test_a_socket_that_does_not_fit_its_name_is_an_error(start, unit):
    sock = unit()
    daemon = start(settings("127.0.0.1:1"), [("web", sock.fileno())])
    assert daemon.process.wait(PATIENCE_S) == 2
    assert daemon.lines()[-1] == (
        f'edged: listener "web": the socket unit of that name listens on {address_of(sock)}, the settings say 127.0.0.1:1'
    )


def test_a_socket_that_nobody_wants_is_closed_with_a_warning(start, unit):
    sock = unit()
    where, fd = address_of(sock), os.dup(sock.fileno())
    sock.close()
    daemon = start(None, [("other", fd)])
    os.close(fd)
    daemon.said(rf'warning: the service manager listens on {where}, "other", no listener of the settings does: closed')
    daemon.ready()
    with pytest.raises(ConnectionRefusedError):
        client(int(where.rpartition(":")[2]))


# the PID file


def test_the_pid_file_is_there_while_it_serves(start, tmp_path):
    path = tmp_path / "edged.pid"
    path.write_text("4194303\n")
    run = f'[run]\npid_file = "{path}"\nruntime_dir = "{tmp_path}/run"\nstate_dir = "{tmp_path}/state"\n'
    daemon = start(settings() + run)
    wait_for(lambda: path.read_text() == f"{daemon.process.pid}\n")
    assert any("ready in" in line for line in daemon.ready().lines())
    other = Path(str(daemon.config)).with_name("other")
    other.mkdir()
    second = Daemon(other, settings() + run.replace("/run", "/run2").replace("/state", "/state2"), {})
    assert second.process.wait(PATIENCE_S) == 2
    assert second.lines()[-1] == (
        f"edged: {second.config}:7: run.pid_file: {path}: another edged runs, process {daemon.process.pid}"
    )
    assert path.read_text() == f"{daemon.process.pid}\n"
    assert daemon.end() == 0
    assert not path.exists()


def test_a_killed_one_leaves_a_stale_file_that_stops_nobody(start, tmp_path):
    run = f'[run]\npid_file = "{tmp_path}/edged.pid"\nruntime_dir = "{tmp_path}/run"\nstate_dir = "{tmp_path}/state"\n'
    first = start(settings() + run).ready()
    kill(first)
    assert (tmp_path / "edged.pid").exists()
    second = start(settings() + run).ready()
    assert (tmp_path / "edged.pid").read_text() == f"{second.process.pid}\n"
    assert second.end() == 0


def test_a_reload_does_not_move_it(start, tmp_path):
    daemon = start().ready()
    daemon.config.write_text(daemon.config.read_text() + f'pid_file = "{tmp_path}/edged.pid"\n')
    daemon.send(signal.SIGHUP)
    daemon.said(r"edged\.toml:\d+: run\.pid_file: none is in use until a restart")
    assert daemon.ask()


# an upgrade


def test_a_program_that_begins_anew_shuts_nothing_that_is_lent(start, manager, unit, tmp_path):
    """It understands nothing of what was left to it, but the listening sockets, and whose they are."""
    sock = unit()
    daemon = start(settings(address_of(sock)), [("web", sock.fileno())]).ready()
    code = "import sys\nif sys.argv[1] != 'wing':\n    import edged.supervisor.legacy as one\n    one.FORMATS = (7,)\n"
    (daemon.fakes / "program.py").write_text(code)
    daemon.send(signal.SIGUSR2)
    wait_for(lambda: sum("ready in" in line for line in daemon.lines()) == 2)
    assert answer(client(sock.getsockname()[1])).startswith("worker-")
    assert daemon.end() == 0
    client(sock.getsockname()[1]).close()        # who comes now waits for the next daemon


def test_an_upgrade_keeps_all_that_the_service_manager_has(start, manager, unit, tmp_path):
    """Process id and file, the store, the socket of a unit, signs of life, and the few rights."""
    sock = unit()
    path = tmp_path / "edged.pid"
    lent = f'[[listener]]\nname = "lent"\naddress = "{address_of(sock)}"\n'
    run = f'[run]\npid_file = "{path}"\nruntime_dir = "{tmp_path}/run"\nstate_dir = "{tmp_path}/state"\n'
    daemon = start(settings(more=lent) + run, [("lent", sock.fileno())], WATCHDOG_USEC="8000000").ready()
    manager.until("READY=1")
    stored = manager.stored.copy()
    rights = re.findall("Cap.*", Path(f"/proc/{daemon.process.pid}/status").read_text())
    assert ctl(daemon, "upgrade", "--wait")["ok"]
    manager.until("RELOADING=1")
    manager.until("READY=1")
    manager.until("WATCHDOG=1")
    assert [name for name, _ in stored] == ["web/0", "web/1"]
    assert manager.stored == stored
    assert re.findall("Cap.*", Path(f"/proc/{daemon.process.pid}/status").read_text()) == rights
    assert path.read_text() == f"{daemon.process.pid}\n"
    waiting = client(sock.getsockname()[1])
    assert answer(waiting).startswith("worker-")
    assert daemon.end() == 0
    assert not path.exists()
    for port in (sock.getsockname()[1], daemon.port()):          # who comes now waits for the next daemon
        client(port).close()
