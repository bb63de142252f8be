import contextlib
import os
import re
import select
import signal
import socket
import stat
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.fakes.daemon import ROOT, gone, wait_for

TWO = '[[listener]]\naddress = "127.0.0.1:0"\nname = "web"\n[worker]\ncount = 2\n'


def listening(port):
    """The sockets that listen on a port, as /proc/PID/fd shows them."""
    rows = [row.split() for row in Path("/proc/net/tcp").read_text().splitlines()[1:]]
    return {f"socket:[{row[9]}]" for row in rows if row[3] == "0A" and row[1].endswith(f":{port:04X}")}


def held_by(pid):
    found = set()
    for fd in Path(f"/proc/{pid}/fd").iterdir():
        with contextlib.suppress(FileNotFoundError):
            found.add(os.readlink(fd))
    return found


def steer(start, *names):
    start.fakes.mkdir(parents=True)
    for name in names:
        (start.fakes / name).touch()


def test_it_starts_serves_from_all_slots_and_drains(start):
    daemon = start(TWO).ready()
    answers = {daemon.ask()[:2] for _ in range(60)}
    assert answers == {("worker-0", 0), ("worker-1", 1)}
    children = daemon.children()
    assert sorted(children) == ["edged control", "edged worker 0", "edged worker 1"]
    assert daemon.end() == 0
    assert all(gone(pid) for pid in children.values())
    told = "\n".join(daemon.lines())
    assert re.search(r'edged: listening on 127\.0\.0\.1:\d+ \(http, "web"\)', told)
    assert "edged: 2 routes" in told
    assert "edged: draining: exchanges have 30 s to end" in told
    assert told.endswith("edged: stopped")


def test_a_killed_worker_is_back_and_meanwhile_another_accepts_for_it(start):
    daemon = start(TWO).ready()
    before = daemon.children()
    daemon.hold("worker-0")
    os.kill(before["edged worker 0"], signal.SIGKILL)
    daemon.said(rf"worker 0 \(process {before['edged worker 0']}\) was ended by SIGKILL; it is started again$")
    answers = {daemon.ask()[:2] for _ in range(60)}
    assert answers == {("worker-1", 0), ("worker-1", 1)}
    daemon.release("worker-0")
    wait_for(lambda: daemon.ask()[0] == "worker-0")
    wait_for(lambda: {daemon.ask()[:2] for _ in range(40)} == {("worker-0", 0), ("worker-1", 1)})
    assert daemon.children()["edged worker 0"] != before["edged worker 0"]
    assert daemon.children()["edged worker 1"] == before["edged worker 1"]
    assert daemon.end() == 0


def test_a_killed_worker_is_back_within_a_second(start):
    daemon = start(TWO).ready()
    before = daemon.children()["edged worker 1"]
    daemon.ask()
    killed_s = time.monotonic()
    os.kill(before, signal.SIGKILL)
    wait_for(lambda: daemon.children().get("edged worker 1", before) != before)
    assert time.monotonic() - killed_s < 1


def test_no_connection_is_lost_when_the_only_worker_dies(start):
    daemon = start('[[listener]]\naddress = "127.0.0.1:0"\n[worker]\ncount = 1\n').ready()
    before = daemon.children()["edged worker 0"]
    daemon.hold("worker-0")
    os.kill(before, signal.SIGKILL)
    daemon.said("was ended by SIGKILL")
    waiting = [socket.create_connection(("127.0.0.1", daemon.port()), timeout=20) for _ in range(20)]
    daemon.release("worker-0")
    for s in waiting:
        with s:
            assert s.recv(100).startswith(b"worker-0 0 ")
    assert daemon.end() == 0


def test_when_the_helper_dies_too_the_slots_are_lent_on(start):
    daemon = start('[[listener]]\naddress = "127.0.0.1:0"\n[worker]\ncount = 3\n').ready()
    children = daemon.children()
    for worker in (0, 1):
        daemon.hold(f"worker-{worker}")
        os.kill(children[f"edged worker {worker}"], signal.SIGKILL)
        daemon.said(rf"worker {worker} .* SIGKILL")
    assert {daemon.ask()[:2] for _ in range(60)} == {("worker-2", 0), ("worker-2", 1), ("worker-2", 2)}
    daemon.release("worker-1")
    daemon.release("worker-0")
    wait_for(lambda: {daemon.ask()[:2] for _ in range(60)} == {("worker-0", 0), ("worker-1", 1), ("worker-2", 2)})
    assert daemon.end() == 0


def test_a_new_control_is_introduced_to_every_worker(start):
    daemon = start(TWO).ready()
    first = daemon.children()["edged control"]
    wait_for(lambda: {daemon.ask()[3] for _ in range(20)} == {first})
    os.kill(first, signal.SIGKILL)
    second = wait_for(lambda: {daemon.ask()[3] for _ in range(20)} - {first})
    wait_for(lambda: {daemon.ask()[3] for _ in range(20)} == second)
    os.kill(daemon.children()["edged worker 0"], signal.SIGKILL)
    daemon.said("worker 0 .* SIGKILL")
    wait_for(lambda: ("worker-0", second.copy().pop()) in {daemon.ask()[::3] for _ in range(20)})
    assert daemon.end() == 0


def test_deaths_leak_no_descriptors(start):
    daemon = start(TWO).ready()

    def descriptors():
        return len(os.listdir(f"/proc/{daemon.process.pid}/fd"))

    before = wait_for(lambda: {daemon.ask()[0] for _ in range(20)} == {"worker-0", "worker-1"}) and descriptors()
    for name in ("edged worker 0", "edged control", "edged worker 1"):
        pid = daemon.children()[name]
        os.kill(pid, signal.SIGKILL)
        wait_for(lambda name=name, pid=pid: daemon.children().get(name, pid) != pid)
        wait_for(lambda: {daemon.ask()[0] for _ in range(20)} == {"worker-0", "worker-1"})
    wait_for(lambda: descriptors() == before)
    assert daemon.end() == 0


def test_children_hold_no_sockets_but_their_own(start):
    daemon = start(TWO).ready()
    wait_for(lambda: {daemon.ask()[0] for _ in range(20)} == {"worker-0", "worker-1"})
    children = daemon.children()
    doors = listening(daemon.port())
    assert len(doors) == 2
    assert doors <= held_by(daemon.process.pid)
    assert not doors & held_by(children["edged control"])
    own = [doors & held_by(children[f"edged worker {worker}"]) for worker in (0, 1)]
    assert [len(one) for one in own] == [1, 1]
    assert own[0] != own[1]
    assert daemon.end() == 0


def test_children_cannot_gain_rights(start):
    daemon = start(TWO).ready()
    for pid in daemon.children().values():
        assert "NoNewPrivs:\t1" in Path(f"/proc/{pid}/status").read_text()
    assert daemon.end() == 0


def test_it_is_ready_only_when_all_serve(start):
    steer(start, "hold-worker-1")
    daemon = start(TWO)
    daemon.said("2 routes")
    with contextlib.ExitStack() as stack:
        # So many that some are in the queue of the worker that does not serve yet.
        clients = [stack.enter_context(socket.create_connection(("127.0.0.1", daemon.port()), timeout=20)) for _ in range(32)]
        first = select.select(clients, [], [], 20)[0][0].recv(100)
        assert first.startswith(b"worker-0 0 ")
        assert not any("ready in" in line for line in daemon.lines())
        daemon.release("worker-1")
        daemon.ready()
        rest = {client.recv(100)[:11] for client in clients}
    assert {b"worker-0 0 ", b"worker-1 1 "} <= rest
    assert daemon.end() == 0


def test_with_bind_after_sync_connections_are_refused_until_the_first_routes(start, tmp_path):
    steer(start, "hold-control")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    daemon = start(
        f'[[listener]]\naddress = "127.0.0.1:{port}"\n[worker]\ncount = 1\n'
        f'[run]\nbind_after_sync = true\nstate_dir = "{tmp_path}/s"\nruntime_dir = "{tmp_path}/r"\n'
    )
    wait_for(lambda: "edged worker 0" in daemon.children())
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", port), timeout=5)
    daemon.release("control")
    daemon.ready()
    assert daemon.ask()[0] == "worker-0"
    assert daemon.end() == 0


@pytest.mark.parametrize("name", ["control", "worker-1"])
def test_a_child_that_leaves_before_anything_is_served_ends_the_start(start, name):
    steer(start, f"fail-{name}")
    daemon = start(TWO)
    assert daemon.process.wait(20) == 2
    assert re.fullmatch(
        rf"edged: {name.replace('-', ' ')} \(process \d+\) left with status 3 before anything was served; its own lines say why",
        daemon.lines()[-1],
    )


def test_sigint_ends_at_once(start):
    daemon = start(TWO).ready()
    children = daemon.children()
    assert daemon.end(signal.SIGINT) == 0
    assert all(gone(pid) for pid in children.values())


def test_whoever_does_not_leave_is_killed(start, tmp_path):
    steer(start, "deaf")
    daemon = start(TWO + f'[run]\ndrain_timeout = "200ms"\nstate_dir = "{tmp_path}/s"\nruntime_dir = "{tmp_path}/r"\n').ready()
    children = daemon.children()
    assert daemon.end() == 0
    assert all(gone(pid) for pid in children.values())


@pytest.mark.parametrize("second", [signal.SIGTERM, signal.SIGINT])
def test_a_second_signal_cuts_everything(start, second):
    steer(start, "deaf")
    daemon = start(TWO).ready()
    children = daemon.children()
    daemon.send(signal.SIGTERM)
    daemon.said("draining")
    assert daemon.end(second) == 1
    assert all(gone(pid) for pid in children.values())


def test_during_the_drain_delay_everything_goes_on(start, tmp_path):
    daemon = start(TWO + f'[run]\ndrain_delay = "1h"\nstate_dir = "{tmp_path}/s"\nruntime_dir = "{tmp_path}/r"\n').ready()
    daemon.send(signal.SIGTERM)
    daemon.said("serving for another 3600 s")
    pid = daemon.children()["edged worker 0"]
    os.kill(pid, signal.SIGKILL)
    wait_for(lambda: daemon.children().get("edged worker 0", pid) != pid)
    wait_for(lambda: daemon.ask()[0] == "worker-0")
    assert daemon.end() == 1


def test_while_draining_nobody_can_connect(start):
    steer(start, "deaf")
    daemon = start(TWO).ready()
    port = daemon.port()
    for child in daemon.children().values():
        os.kill(child, signal.SIGSTOP)           # only their copies keep the doors open now
    daemon.send(signal.SIGTERM)
    daemon.said("draining")
    assert len(listening(port)) == 2
    assert not listening(port) & held_by(daemon.process.pid)
    assert daemon.end() == 1


TLS = '[[listener]]\naddress = "127.0.0.1:0"\nmode = "https"\n'


def test_every_worker_is_told_the_same_secret_of_tickets_whenever_it_starts(start):
    daemon = start(TLS + "[worker]\ncount = 2\n").ready()
    first, second = (daemon.said(rf"fake worker-{worker}: tickets (\d+ \w{{64}})$")[1] for worker in (0, 1))
    os.kill(daemon.children()["edged worker 0"], signal.SIGKILL)
    third = wait_for(lambda: [line for line in daemon.lines() if "fake worker-0: tickets" in line][1:])[0].partition("tickets ")[2]
    assert first == second == third
    assert daemon.end() == 0


@pytest.mark.parametrize("settings", [TWO, TLS + "[tls]\nsession_tickets = false\n"])
def test_without_tickets_nobody_is_told_a_secret(start, settings):
    daemon = start(settings).ready()
    assert daemon.ask()
    assert daemon.end() == 0
    assert not any("tickets" in line for line in daemon.lines())


def test_each_supervisor_makes_a_secret_of_its_own(start):
    seen = {start(TLS).said(r"fake worker-0: tickets \d+ (\w{64})$")[1] for _ in range(2)}
    assert len(seen) == 2


WHAT_CAN_BE_READ = """
import ctypes, sys
from edged.settings.load import read
from edged.supervisor import process
process.trio.run = lambda run: ctypes.CDLL(None).prctl(3, 0, 0, 0, 0)            # PR_GET_DUMPABLE
sys.exit(process.supervise(read(sys.argv[1], {})[0]))
"""


@pytest.mark.parametrize(("words", "readable"), [("", 0), ("core_dumps = true\n", 1)])
def test_its_memory_is_hidden_as_it_holds_secrets(tmp_path, words, readable):
    path = tmp_path / "edged.toml"
    path.write_text(TLS + f'[run]\nstate_dir = "{tmp_path}/s"\nruntime_dir = "{tmp_path}/r"\n{words}')
    run = subprocess.run([sys.executable, "-c", WHAT_CAN_BE_READ, str(path)], cwd=ROOT, capture_output=True, text=True)
    assert (run.returncode, "Traceback" in run.stderr) == (readable, False)


def test_signals_are_passed_on(start):
    daemon = start(TWO).ready()
    daemon.send(signal.SIGUSR1)
    daemon.said("fake worker-0: reopen_logs")
    daemon.said("fake worker-1: reopen_logs")
    assert daemon.end() == 0


def test_children_leave_signals_to_the_supervisor(start):
    daemon = start(TWO).ready()
    before = daemon.children()
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGUSR1):
        for pid in before.values():
            os.kill(pid, number)
    assert daemon.ask()
    assert daemon.children() == before
    assert daemon.end() == 0


def test_orphans_leave(start):
    daemon = start(TWO).ready()
    children = daemon.children()
    daemon.end(signal.SIGKILL)
    for pid in children.values():
        wait_for(lambda pid=pid: gone(pid))


def test_unix_sockets_are_shared_and_removed(start, tmp_path):
    path = tmp_path / "web.sock"
    daemon = start(f'[[listener]]\naddress = "unix:{path}"\npermissions = 0o600\n[worker]\ncount = 2\n').ready()
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    pid = daemon.children()["edged worker 0"]
    daemon.hold("worker-0")
    os.kill(pid, signal.SIGKILL)
    with socket.socket(socket.AF_UNIX) as s:
        s.settimeout(20)
        s.connect(str(path))
        assert s.recv(100).startswith(b"worker-1 ")
    daemon.release("worker-0")
    assert daemon.end() == 0
    assert not path.exists()


def test_a_taken_port_is_told_in_one_line(start):
    with socket.socket() as holder:
        holder.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        holder.bind(("127.0.0.1", 0))
        holder.listen()
        address = f"127.0.0.1:{holder.getsockname()[1]}"
        daemon = start(f'[[listener]]\nname = "web"\naddress = "{address}"\n')
        assert daemon.process.wait(20) == 2
    comm = Path("/proc/self/comm").read_text().strip()
    assert daemon.lines()[-1] == f'edged: listener "web": {address}: taken by {comm} (process {os.getpid()})'


def test_a_user_that_is_none_is_told(start, tmp_path):
    daemon = start(TWO + f'[run]\nuser = "no-such-user"\nstate_dir = "{tmp_path}/s"\nruntime_dir = "{tmp_path}/r"\n')
    assert daemon.process.wait(20) == 2
    assert daemon.lines()[-1] == f'edged: {daemon.config}:7: run.user: there is no user "no-such-user"'
