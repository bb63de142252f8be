"""Another program takes over a supervisor that runs, with children that carry no traffic to speak of."""

import fcntl
import json
import os
import signal
import socket
import struct
import sys
from pathlib import Path

import pytest

from edged import __version__
from edged.ctl.frames import cut, pack
from tests.fakes.daemon import ROOT, gone, wait_for
from tests.supervisor.test_ctl import ONE, ctl, door, refused, start_ctl, status
from tests.supervisor.test_reload import change, doors, processes, slots

TWO = ONE.replace("count = 1", "count = 2")
NINE = "import edged\nedged.__version__ = '9'\n"
TRIAL = "import sys\nis_trial = sys.argv[1] == 'wing'\n"


def install(daemon, code):
    (daemon.fakes / "program.py").write_text(code)


def nothing_changed(daemon, before):
    now = status(daemon)
    assert (now["version"], now["generations"][0]["pids"], len(now["generations"])) == (__version__, before["generations"][0]["pids"], 1)
    assert now["state"] == before["state"]


def test_the_process_and_its_sockets_stay_and_all_else_is_new(start):
    daemon = start(TWO).ready()
    before, sockets, old = status(daemon), doors(daemon, daemon.port()), set(daemon.children().values())
    install(daemon, NINE)
    code, out, err = ctl(daemon, "upgrade", "--wait")
    assert code == 0, err
    assert out.startswith(f"edged 9 has taken over from {__version__}; generation 2 serves after ")
    assert out.endswith("of generation 1: 0 exchanges finished, 0 handed over, 0 cut\n")
    told = err.splitlines()
    assert told[:4] == [
        "edged: trying the program that is installed now", f"edged: edged 9 takes over from {__version__}", "edged: reading settings",
        "edged: generation 2 comes up: waiting for the first routes",
    ]
    after = status(daemon)
    assert (after["pid"], after["version"], after["state"]) == (before["pid"], "9", "serving")
    assert after["uptime_s"] > before["uptime_s"]
    assert [one["number"] for one in after["generations"]] == [2]
    assert doors(daemon, daemon.port()) == sockets
    assert all(gone(pid) for pid in old)
    assert slots(daemon) == {("worker-0", 0), ("worker-1", 1)}
    assert daemon.end() == 0
    assert not door(daemon).exists()


def test_a_signal_asks_for_it_too(start):
    daemon = start(ONE).ready()
    install(daemon, NINE)
    daemon.send(signal.SIGUSR2)
    daemon.said(f"edged 9 has taken over from {__version__}")
    daemon.said("generation 2 serves")
    assert daemon.end() == 0


@pytest.mark.parametrize(
    ("code", "told"),
    [
        ("def f(:\n", "program.py:1: SyntaxError"),
        ("import edged.no_such_room\n", "program.py:1: ModuleNotFoundError: No module named 'edged.no_such_room'"),
        ("import edged.supervisor.legacy as one\none.FORMATS = (7,)\n", "knows what format 7 leaves, not 3 of"),
        ("print('hello')\nraise SystemExit\n", "the program that is installed now is not understood"),
        ("import os\nos.abort()\n", "does not come up, status -6"),
    ],
)
def test_a_program_that_does_not_come_up_changes_nothing(start, code, told):
    daemon = start(ONE).ready()
    before = status(daemon)
    install(daemon, code)
    status_, out, err = ctl(daemon, "upgrade")
    assert (status_, out) == (1, "")
    assert told in err
    assert err.endswith(f"nothing has changed: edged {__version__} goes on\n")
    nothing_changed(daemon, before)
    install(daemon, NINE)
    assert ctl(daemon, "upgrade")[0] == 0
    assert daemon.end() == 0


def test_settings_with_an_error_change_nothing(start):
    daemon = start(ONE).ready()
    before = status(daemon)
    change(daemon, ONE + "colour = 1\n")
    install(daemon, NINE)
    code, _, err = ctl(daemon, "upgrade")
    assert code == 1
    assert f"{daemon.config}:6: worker.colour: unknown key" in err
    nothing_changed(daemon, before)


# ---- the arena


def arena(daemon, layout):
    """Give the arena a layout, as the first control or worker does."""
    for name in os.listdir(f"/proc/{daemon.process.pid}/fd"):
        path = f"/proc/{daemon.process.pid}/fd/{name}"
        if os.readlink(path).startswith("/memfd:edged-arena"):
            with open(path, "r+b") as file:
                file.write(struct.pack("=Q", 0xED6A << 48 | layout << 40 | 64 << 32 | 65536))


def layout(number):
    return f"import edged._fast.memory.arena as one\none.LAYOUT = {number}\n"


def arenas(daemon):
    """Inodes of those that the supervisor has, with the number of descriptors."""
    found = {}
    for name in os.listdir(f"/proc/{daemon.process.pid}/fd"):
        path = f"/proc/{daemon.process.pid}/fd/{name}"
        if os.readlink(path).startswith("/memfd:edged-arena"):
            found[os.stat(path).st_ino] = found.get(os.stat(path).st_ino, 0) + 1
    return found


def test_the_same_layout_keeps_the_arena(start):
    daemon = start(ONE).ready()
    arena(daemon, 3)
    before = arenas(daemon)
    install(daemon, NINE + layout(3))
    assert ctl(daemon, "upgrade", "--wait")[0] == 0
    assert arenas(daemon) == before
    assert not any("counters" in line for line in daemon.lines())


def test_a_newer_layout_gets_another_arena(start):
    daemon = start(ONE).ready()
    arena(daemon, 3)
    before = arenas(daemon)
    install(daemon, NINE + layout(4))
    assert ctl(daemon, "upgrade", "--wait")[0] == 0
    daemon.said("warning: this program lays the arena out anew: all counters begin at zero")
    assert set(wait_for(lambda: len(found := arenas(daemon)) == 1 and found)).isdisjoint(before)
    assert daemon.end() == 0


def test_an_older_layout_needs_a_restart(start):
    daemon = start(ONE).ready()
    before = status(daemon)
    arena(daemon, 3)
    install(daemon, NINE + layout(2))
    code, _, err = ctl(daemon, "upgrade")
    assert code == 1
    assert "edged 9 needs arena layout 2, which is older than 3: it needs a restart" in err
    nothing_changed(daemon, before)


# ---- what goes wrong later


def test_a_reload_that_fails_afterwards_leaves_the_children_to_the_new_program(start):
    daemon = start(ONE).ready()
    old = daemon.children()
    install(daemon, NINE)
    (daemon.fakes / "fail-control").touch()
    code, _, err = ctl(daemon, "upgrade")
    assert code == 1
    assert "left with status 3 before anything was served" in err
    assert err.endswith(
        f"edged 9 has taken over from {__version__}, but its reload failed; nothing has changed: generation 1 goes on as it is\n"
    )
    assert daemon.children() == old
    assert status(daemon)["version"] == "9"
    (daemon.fakes / "fail-control").unlink()
    os.kill(old["edged worker 0"], signal.SIGKILL)
    daemon.said(r"worker 0 \(process \d+\) was ended by SIGKILL; it is started again")
    wait_for(lambda: daemon.ask()[2] == daemon.children().get("edged worker 0") != old["edged worker 0"])
    assert ctl(daemon, "reload")[0] == 0
    assert daemon.end() == 0


def test_a_program_that_cannot_be_executed_after_its_trial_changes_nothing(start):
    daemon = start(ONE).ready()
    before = status(daemon)
    script = daemon.fakes / "program.sh"
    script.write_text(f'#!/bin/sh\nrm "$0"\nexec {sys.executable} {ROOT}/tests/fakes/supervised.py "$@"\n')
    script.chmod(0o755)
    code, out, err = ctl(daemon, "upgrade")
    assert (code, out) == (1, "")
    assert err.splitlines()[-2:] == [
        f"{script} cannot be executed: No such file or directory", f"nothing has changed: edged {__version__} goes on",
    ]
    nothing_changed(daemon, before)
    assert daemon.ask()[0] == "worker-0"
    install(daemon, NINE)
    assert ctl(daemon, "upgrade", "--wait")[0] == 0
    assert daemon.end() == 0


def test_the_script_that_started_it_may_lead_elsewhere_by_now(start):
    daemon = start(ONE).ready()
    script = daemon.fakes / "program.sh"
    script.write_text(f'#!/bin/sh\nOF_THE_SCRIPT=yes exec {sys.executable} {ROOT}/tests/fakes/supervised.py "$@"\n')
    script.chmod(0o755)
    assert ctl(daemon, "upgrade", "--wait")[0] == 0
    assert b"OF_THE_SCRIPT=yes" in Path(f"/proc/{daemon.process.pid}/environ").read_bytes()
    assert daemon.end() == 0


@pytest.mark.parametrize(
    ("code", "told"),
    [
        ("import edged.supervisor.legacy as one\nif not is_trial: one.FORMATS = (7,)\n", "what it left has format 3, this program knows 7"),
        ("import edged.supervisor.sockets as one\ndel one.Sockets.taken_over\n", "what it left is not understood: AttributeError"),
        ("import edged.supervisor.generation as one\ndel one.Generation.taken_over\n", "what it left is not understood: AttributeError"),
    ],
)
def test_what_is_not_understood_is_begun_anew_over_the_same_sockets(start, code, told):
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    fixed = f'[[listener]]\naddress = "127.0.0.1:{port}"\nname = "web"\n[worker]\ncount = 2\n'
    daemon = start(fixed).ready()
    old, sockets = set(daemon.children().values()), doors(daemon, port)
    install(daemon, NINE + TRIAL + code)
    status_, _, err = ctl(daemon, "upgrade")
    assert status_ == 5, err
    daemon.said(rf"error: {told}.*; all begins anew, over the sockets that listen")
    wait_for(lambda: sum("ready in" in line for line in daemon.lines()) == 2)
    assert status(daemon)["version"] == "9"
    assert doors(daemon, port) == sockets
    wait_for(lambda: all(gone(pid) for pid in old))
    wait_for(lambda: not old & set(processes(daemon)))
    assert slots(daemon, port) == {("worker-0", 0), ("worker-1", 1)}
    assert status(daemon)["pid"] == daemon.process.pid
    assert daemon.end() == 0


# ---- with other orders


def test_a_drained_daemon_stays_drained(start):
    daemon = start(ONE).ready()
    assert ctl(daemon, "drain")[0] == 0
    install(daemon, NINE)
    assert ctl(daemon, "upgrade")[0] == 0
    told = status(daemon)
    assert (told["version"], told["state"]) == ("9", "drained")
    assert refused(daemon.port())
    assert ctl(daemon, "undrain")[0] == 0
    assert daemon.ask()[0] == "worker-0"
    assert daemon.end() == 0


def test_a_drain_that_goes_on_is_no_time_for_it(start):
    daemon = start(ONE).ready()
    draining = start_ctl(daemon, "drain", "--delay", "1h")
    wait_for(lambda: status(daemon)["state"] == "draining")
    code, _, err = ctl(daemon, "upgrade")
    assert code == 1
    assert "the daemon is draining: only one that serves, or is drained, can be upgraded" in err
    assert ctl(daemon, "undrain")[0] == 0
    draining.communicate(timeout=20)


def test_a_generation_that_drains_goes_on_draining(start):
    daemon = start(ONE).ready()
    (daemon.fakes / "open-worker-0").write_text("3")
    (daemon.fakes / "cut-worker-0").write_text("1")
    daemon.hold("drain-worker-0")
    assert ctl(daemon, "reload")[0] == 0
    waiting = start_ctl(daemon, "reload", "--wait", "--json")
    assert any("3 exchanges left" in line for line in iter(waiting.stderr.readline, ""))
    install(daemon, NINE)
    code, out, _ = ctl(daemon, "upgrade")
    assert code == 0
    assert out.endswith("of generation 3: 0 exchanges finished, 0 handed over, 1 cut, 3 left\n")
    told = status(daemon)["generations"]
    assert [(one["number"], one["state"]) for one in told] == [*((number, "draining") for number in (1, 2, 3)), (4, "serving")]
    daemon.release("drain-worker-0")
    for number in (1, 2, 3):
        daemon.said(f"generation {number} has left: 3 exchanges finished, 0 handed over, 1 cut")
    answer = json.loads(waiting.communicate(timeout=20)[0])      # it was part of the reload of the upgrade
    assert (answer["ok"], answer["generation"], answer["finished"]) == (True, 4, 3)
    assert daemon.end() == 0


def test_upgrades_at_the_same_time_are_one(start):
    daemon = start(ONE).ready()
    daemon.hold("control")
    install(daemon, NINE)
    asked = [start_ctl(daemon, "upgrade") for _ in range(3)]
    daemon.said("edged 9 has taken over")
    asked.append(start_ctl(daemon, "upgrade"))
    wait_for(lambda: len(status(daemon)["generations"]) == 2)
    daemon.release("control")
    assert all("has taken over" in out for out in end_well(*asked))
    assert sum("has taken over" in line for line in daemon.lines()) == 1
    assert status(daemon)["generations"][0]["number"] == 2


def end_well(*processes):
    """What each has said."""
    said = []
    for process in processes:
        out, err = process.communicate(timeout=20)
        assert process.returncode == 0, err
        said.append(out)
    return said


def test_an_upgrade_during_a_reload_comes_after_it(start):
    daemon = start(ONE).ready()
    daemon.hold("control")
    reloading = start_ctl(daemon, "reload")
    wait_for(lambda: len(status(daemon)["generations"]) == 2)
    install(daemon, NINE)
    upgrading = start_ctl(daemon, "upgrade")
    assert upgrading.stderr.readline() == "edged: waiting for the order before this one\n"
    daemon.release("control")
    end_well(reloading, upgrading)
    assert status(daemon)["version"] == "9"
    daemon.said("generation 3 serves")
    assert daemon.end() == 0


def test_a_reload_during_an_upgrade_is_part_of_it(start):
    daemon = start(ONE).ready()
    held = "import os, pathlib, time\nwhile is_trial and pathlib.Path(os.environ['FAKES'], 'hold-trial').exists(): time.sleep(0.01)\n"
    install(daemon, NINE + TRIAL + held)
    daemon.hold("trial")
    upgrading = start_ctl(daemon, "upgrade")
    assert upgrading.stderr.readline() == "edged: trying the program that is installed now\n"
    reloading = start_ctl(daemon, "reload")
    assert reloading.stderr.readline() == "edged: waiting for the order before this one\n"
    daemon.release("trial")
    end_well(upgrading, reloading)
    assert status(daemon)["version"] == "9"
    assert status(daemon)["generations"][0]["number"] == 2
    assert daemon.end() == 0


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_an_end_during_the_trial_gives_it_up(start, number):
    daemon = start(ONE).ready()
    install(daemon, NINE + TRIAL + "import time\nwhile is_trial: time.sleep(0.01)\n")
    upgrading = start_ctl(daemon, "upgrade")
    assert upgrading.stderr.readline() == "edged: trying the program that is installed now\n"
    assert daemon.end(number) == 0
    upgrading.communicate(timeout=20)
    assert upgrading.returncode in (1, 5)


def test_an_end_while_programs_change_is_the_new_ones_to_carry_out(start):
    daemon = start(ONE).ready()
    held = "import os, pathlib, time\nwhile not is_trial and pathlib.Path(os.environ['FAKES'], 'hold-start').exists(): time.sleep(0.01)\n"
    install(daemon, NINE + TRIAL + "print('here', file=sys.stderr, flush=True)\n" + held)
    daemon.hold("start")
    upgrading = start_ctl(daemon, "upgrade")
    wait_for(lambda: sum(line == "here" for line in daemon.lines()) == 1)        # what the trial says is not shown
    daemon.send(signal.SIGTERM)
    assert daemon.process.poll() is None
    daemon.release("start")
    assert daemon.process.wait(20) == 0
    daemon.said("edged 9 has taken over")
    daemon.said("draining: exchanges have 30 s to end")
    upgrading.communicate(timeout=20)
    assert upgrading.returncode == 1
    assert not door(daemon).exists()


def test_clients_that_wait_are_answered_by_the_new_program(start):
    daemon = start(ONE).ready()
    with socket.socket(socket.AF_UNIX) as s:
        s.settimeout(20)
        s.connect(str(door(daemon)))
        whole = pack({"version": 1, "verb": "status", "arguments": {}})
        s.sendall(whole[:9])
        install(daemon, NINE)
        assert ctl(daemon, "upgrade")[0] == 0
        s.sendall(whole[9:])
        buffer = bytearray()
        while (answer := cut(buffer, 1 << 20)) is None:
            buffer += s.recv(65536)
    assert answer["result"]["version"] == "9"


def test_a_chosen_level_stays(start):
    daemon = start(ONE).ready()
    ctl(daemon, "log", "level", "warning")
    install(daemon, NINE)
    assert ctl(daemon, "upgrade", "--wait")[0] == 0
    assert not any("has taken over" in line for line in daemon.lines())
    wait_for(lambda: sum("log level warning" in line for line in daemon.lines()) == 4)


def test_upgrades_leave_nothing_behind(start):
    daemon = start(ONE).ready()
    install(daemon, NINE)

    def descriptors():
        return len(os.listdir(f"/proc/{daemon.process.pid}/fd"))

    assert ctl(daemon, "upgrade", "--wait")[0] == 0
    before = descriptors()
    for _ in range(3):
        assert ctl(daemon, "upgrade", "--wait")[0] == 0
    wait_for(lambda: descriptors() == before)
    assert len(processes(daemon)) == 2
    assert b"EDGED_LEGACY" not in Path(f"/proc/{processes(daemon)[0]}/environ").read_bytes()
    assert daemon.end() == 0


def test_the_pid_file_stays_with_its_lock(start):
    file = start.fakes.parent / "pid"
    run = f'[run]\npid_file = "{file}"\nstate_dir = "{start.fakes.parent}/state"\nruntime_dir = "{start.fakes.parent}/run"\n'
    daemon = start(ONE + run).ready()
    inode = file.stat().st_ino
    install(daemon, NINE)
    assert ctl(daemon, "upgrade", "--wait")[0] == 0
    assert (file.stat().st_ino, file.read_text()) == (inode, f"{daemon.process.pid}\n")
    with file.open() as ours, pytest.raises(BlockingIOError):
        fcntl.flock(ours, fcntl.LOCK_SH | fcntl.LOCK_NB)
    assert daemon.end() == 0
    assert not file.exists()
