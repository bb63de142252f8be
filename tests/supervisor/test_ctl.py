"""`edged ctl` and the daemon it speaks to, over the real socket."""

import json
import os
import re
import signal
import socket
import stat
import subprocess
import sys
import time
from pathlib import Path

import msgpack
import pytest

from edged import __version__
from edged.ctl.frames import REQUEST_MOST_BYTES, cut, pack
from tests.fakes.daemon import ROOT, wait_for

ONE = '[[listener]]\naddress = "127.0.0.1:0"\nname = "web"\n[worker]\ncount = 1\n'
STATUS = {"version": 1, "verb": "status", "arguments": {}}


def start_ctl(daemon, *words):
    path = os.pathsep.join([*filter(None, [os.environ.get("PYTHONPATH")]), str(ROOT)])
    return subprocess.Popen(
        [sys.executable, "-m", "edged", "ctl", *words, "--runtime-dir", str(door(daemon).parent)],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=os.environ | {"PYTHONPATH": path},
    )


def ctl(daemon, *words):
    process = start_ctl(daemon, *words)
    out, err = process.communicate(timeout=30)
    return process.returncode, out, err


def door(daemon):
    return daemon.config.parent / "run" / "ctl.sock"


def status(daemon):
    return json.loads(ctl(daemon, "status", "--json")[1])


def speak(daemon, data, *, finish=False):
    """Send bytes; the frames that come back until the daemon closes."""
    with socket.socket(socket.AF_UNIX) as s:
        s.settimeout(20)
        s.connect(str(door(daemon)))
        s.sendall(data)
        if finish:
            s.shutdown(socket.SHUT_WR)
        return list(frames(s))


def frames(s):
    buffer = bytearray()
    while True:
        while (message := cut(buffer, 1 << 24)) is not None:
            yield message
        data = s.recv(65536)
        if not data:
            assert not buffer
            return
        buffer += data


def refused(port):
    try:
        socket.create_connection(("127.0.0.1", port), timeout=0.2).close()
    except ConnectionRefusedError:
        return True
    except TimeoutError:
        pass
    return False


def test_the_status_for_people_and_for_programs(start):
    daemon = start(ONE).ready()
    code, out, err = ctl(daemon, "status")
    assert (code, err) == (0, "")
    assert out.startswith(f"edged {__version__}: serving, up ")
    assert f'listener "web": 127.0.0.1:{daemon.port()} (http)' in out
    assert "last reload: none" in out
    told = status(daemon)
    assert told["ok"]
    assert told["state"] == "serving"
    assert told["pid"] == daemon.process.pid
    assert told["version"] == __version__
    assert told["uptime_s"] > 0
    assert told["listeners"] == [{"name": "web", "address": f"127.0.0.1:{daemon.port()}", "mode": "http"}]
    children = daemon.children()
    assert told["generations"][0]["pids"] == {name.removeprefix("edged "): pid for name, pid in children.items()}


def test_the_daemon_of_a_settings_file_is_found(start):
    daemon = start(ONE).ready()
    done = subprocess.run(
        [sys.executable, "-m", "edged", "ctl", "--config", daemon.config, "status"], capture_output=True, text=True,
        env=os.environ | {"PYTHONPATH": os.pathsep.join([*filter(None, [os.environ.get("PYTHONPATH")]), str(ROOT)])}, timeout=30,
    )
    assert done.returncode == 0, done.stderr
    assert f"process {daemon.process.pid}" in done.stdout


def test_the_socket_is_its_owners_and_goes_with_the_daemon(start):
    daemon = start(ONE).ready()
    assert stat.S_IMODE(door(daemon).stat().st_mode) == 0o600
    assert daemon.end() == 0
    assert not door(daemon).exists()
    code, out, err = ctl(daemon, "status")
    assert (code, out) == (3, "")
    assert err == f"edged: no daemon runs here: there is no {door(daemon)}; is it another --config or --runtime-dir?\n"
    code, out, err = ctl(daemon, "status", "--json")
    assert (code, err) == (3, "")
    assert json.loads(out) == {
        "ok": False, "status": 3, "message": f"no daemon runs here: there is no {door(daemon)}; is it another --config or --runtime-dir?",
    }


def test_a_killed_daemons_socket_is_no_obstacle(start):
    daemon = start(ONE).ready()
    orphans = daemon.children().values()
    daemon.process.kill()
    daemon.process.wait()
    for pid in orphans:
        os.kill(pid, signal.SIGKILL)
    assert door(daemon).exists()
    assert ctl(daemon, "status")[0] == 3
    again = start(ONE.replace("count = 1", "count = 1\n[run]\nruntime_dir = " + json.dumps(str(door(daemon).parent)))).ready()
    assert ctl(daemon, "status")[0] == 0
    assert again.end() == 0


def test_two_daemons_do_not_share_a_runtime_directory(start):
    first = start(ONE).ready()
    second = start(ONE + "[run]\nruntime_dir = " + json.dumps(str(door(first).parent)))
    assert second.process.wait(20) == 2
    assert f"run.runtime_dir: {door(first)}: another daemon answers there" in "\n".join(second.lines())
    assert ctl(first, "status")[0] == 0


def test_another_user_gets_no_word_in(start):
    daemon = start(ONE).ready()
    door(daemon).chmod(0o666)
    for directory in [door(daemon).parent, *door(daemon).parent.parents][:-2]:
        directory.chmod(directory.stat().st_mode | 0o011)
    program = (
        "import os, socket, sys; os.chdir(sys.argv[1]); os.setgroups([]); os.setgid(65534); os.setuid(65534)\n"
        "s = socket.socket(socket.AF_UNIX); s.connect('ctl.sock')\n"
        "try: s.sendall(bytes.fromhex(sys.argv[2]))\n"
        "except BrokenPipeError: pass\n"          # refused before a word was said
        "sys.stdout.buffer.write(s.recv(1000))"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, door(daemon).parent, pack({**STATUS, "verb": "stop"}).hex()],
        stdout=subprocess.PIPE, check=True, timeout=20,
    )
    answer = cut(bytearray(done.stdout), 1000)
    assert (answer["type"], answer["reason"]) == ("refused", "denied")
    daemon.said(r"warning: edged ctl: user 65534 \(process \d+\) is refused")
    assert status(daemon)["state"] == "serving"


@pytest.mark.parametrize(
    ("request_", "reason", "message"),
    [
        ({"version": 1, "verb": "sing", "arguments": {}}, "verb", "the daemon knows no 'sing'; it knows status, reload"),
        ({"version": 1, "arguments": {}}, "verb", "the daemon knows no 'None'"),
        ({"version": 2, "verb": "status"}, "version", "the daemon speaks version 1 of this, the command '2'"),
        ({}, "version", "the daemon speaks version 1 of this, the command 'None'"),
        ({"version": 1, "verb": "log_level", "arguments": {"level": "loud"}}, "arguments", "log level: level: one of debug"),
        ({"version": 1, "verb": ["status"]}, "verb", "the daemon knows no"),
    ],
)
def test_what_it_does_not_understand_is_refused(start, request_, reason, message):
    daemon = start(ONE).ready()
    [answer] = speak(daemon, pack(request_))
    assert (answer["type"], answer["version"], answer["reason"]) == ("refused", 1, reason)
    assert answer["message"].startswith(message)


def test_broken_frames_harm_nobody(start):
    daemon = start(ONE).ready()
    whole = pack(STATUS)
    for n in range(len(whole)):
        assert speak(daemon, whole[:n], finish=True) == []
    for nonsense in (b"\xff" * 100, (REQUEST_MOST_BYTES + 1).to_bytes(4, "big"), b"\0\0\0\1\xc1", b"\0\0\0\0", b"\0\0\0\1\x01"):
        [answer] = speak(daemon, nonsense)
        assert (answer["type"], answer["reason"]) == ("refused", "request")
    [answer] = speak(daemon, pack(STATUS) + b"more")
    assert answer["type"] == "done"
    assert status(daemon)["state"] == "serving"


def test_silent_clients_do_not_keep_others_out(start):
    daemon = start(ONE).ready()
    silent = []
    for _ in range(10):
        silent.append(socket.socket(socket.AF_UNIX))
        silent[-1].connect(str(door(daemon)))
    assert ctl(daemon, "status")[0] == 0
    for s in silent:
        s.close()


def test_a_stop_returns_when_the_process_is_gone(start):
    daemon = start(ONE).ready()
    code, out, err = ctl(daemon, "stop")
    assert (code, out) == (0, "stopped\n")
    assert err == "edged: stopping: exchanges may end first\n"
    daemon.said("draining: exchanges have 30 s to end")
    assert daemon.process.wait(1) == 0


def test_a_stop_at_once_cuts_a_slow_one_short(start):
    daemon = start(ONE).ready()
    daemon.hold("drain-worker-0")
    slow = start_ctl(daemon, "stop")
    wait_for(lambda: status(daemon)["state"] == "stopping")
    assert ctl(daemon, "stop", "--now")[0] == 0
    assert daemon.process.wait(1) == 0
    assert slow.wait(10) == 0
    slow.communicate()


def test_a_client_that_goes_does_not_undo_what_it_asked_for(start):
    daemon = start(ONE).ready()
    with socket.socket(socket.AF_UNIX) as s:
        s.connect(str(door(daemon)))
        s.sendall(pack({**STATUS, "verb": "drain"}))
    wait_for(lambda: status(daemon)["state"] == "drained")


def test_a_daemon_that_ends_meanwhile_is_told_apart(start):
    daemon = start(ONE).ready()
    daemon.hold("drain-worker-0")
    waiting = start_ctl(daemon, "drain")
    wait_for(lambda: status(daemon)["state"] == "draining")
    orphans = list(daemon.children().values())
    daemon.process.kill()
    _, err = waiting.communicate(timeout=20)
    assert waiting.returncode == 5
    assert "before it answered" in err
    for pid in orphans:
        os.kill(pid, signal.SIGKILL)


def test_drained_it_refuses_and_undrained_it_serves(start):
    daemon = start(ONE).ready()
    port, before = daemon.port(), daemon.children()
    code, out, err = ctl(daemon, "drain", "--delay", "0")
    assert (code, out) == (0, "drained: connections are refused until edged ctl undrain\n")
    assert "draining: exchanges have 30 s to end" in err
    assert status(daemon)["state"] == "drained"
    assert refused(port)
    assert daemon.children() == {"edged control": before["edged control"]}
    assert ctl(daemon, "drain")[:2] == (0, "it was drained already\n")
    assert ctl(daemon, "undrain")[:2] == (0, "it serves\n")
    assert daemon.ask()[:2] == ("worker-0", 0)
    assert daemon.children()["edged control"] == before["edged control"]
    assert status(daemon)["state"] == "serving"
    assert ctl(daemon, "undrain")[:2] == (0, "it serves already\n")
    assert daemon.end() == 0


def test_a_unix_listener_is_drained_too(start, tmp_path):
    path = tmp_path / "u"
    daemon = start(ONE + f'[[listener]]\naddress = "unix:{path}"\n').ready()
    assert ctl(daemon, "drain")[0] == 0
    assert not path.exists()
    assert ctl(daemon, "undrain")[0] == 0
    with socket.socket(socket.AF_UNIX) as s:
        s.connect(str(path))
        assert s.recv(100).startswith(b"worker-0 0 ")
    assert daemon.end() == 0
    assert not path.exists()


def test_a_drained_daemon_can_be_stopped(start):
    daemon = start(ONE).ready()
    assert ctl(daemon, "drain")[0] == 0
    assert daemon.end() == 0


def test_a_daemon_that_is_stopped_while_it_drains_ends_with_its_workers(start):
    daemon = start(ONE).ready()
    daemon.hold("drain-worker-0")
    waiting = start_ctl(daemon, "drain")
    daemon.said("fake worker-0: drains")
    daemon.send(signal.SIGTERM)
    wait_for(lambda: sum("draining: exchanges have" in line for line in daemon.lines()) == 2)
    began_s = time.monotonic()
    daemon.release("drain-worker-0")
    assert daemon.process.wait(60) == 0
    assert time.monotonic() - began_s < 20       # of 30 that it might have taken
    _, err = waiting.communicate(timeout=20)
    assert (waiting.returncode, "it was not drained: it is stopping by another order" in err) == (1, True)


def test_undrain_during_the_pause_calls_the_drain_off(start):
    daemon = start(ONE).ready()
    before = daemon.children()
    waiting = start_ctl(daemon, "drain", "--delay", "1h")
    wait_for(lambda: status(daemon)["state"] == "draining")
    assert daemon.ask()[0] == "worker-0"
    assert ctl(daemon, "drain")[0] == 1
    assert ctl(daemon, "undrain")[:2] == (0, "it serves\n")
    _, err = waiting.communicate(timeout=20)
    assert waiting.returncode == 1
    assert "it was not drained: it is serving by another order" in err
    assert daemon.children() == before


def test_undrain_while_exchanges_end_starts_workers_again_after_them(start):
    daemon = start(ONE.replace("count = 1", "count = 2")).ready()
    daemon.hold("drain-worker-0")
    waiting = start_ctl(daemon, "drain")
    wait_for(lambda: "edged worker 1" not in daemon.children())
    again = start_ctl(daemon, "undrain")
    wait_for(lambda: "edged worker 1" in daemon.children())
    wait_for(lambda: {daemon.ask()[:2] for _ in range(20)} == {("worker-1", 0), ("worker-1", 1)})
    daemon.release("drain-worker-0")
    out, err = again.communicate(timeout=20)
    assert (again.returncode, out) == (0, "it serves\n")
    assert "are started again when their exchanges have ended" in err
    assert waiting.wait(20) == 1
    waiting.communicate()
    wait_for(lambda: {daemon.ask()[:2] for _ in range(20)} == {("worker-0", 0), ("worker-1", 1)})


def test_what_does_not_end_in_time_is_cut(start):
    directory = ONE + '[run]\ndrain_timeout = "50ms"\nruntime_dir = "{0}/run"\nstate_dir = "{0}/state"\n'
    daemon = start(directory.format(start.fakes.parent)).ready()
    (daemon.fakes / "deaf").touch()
    code, _, err = ctl(daemon, "drain")
    assert code == 0
    assert "1 of 1 workers have exchanges to end" in err
    assert "what is still open is cut" in err
    assert sorted(daemon.children()) == ["edged control"]
    (daemon.fakes / "deaf").unlink()
    assert ctl(daemon, "undrain")[0] == 0


def test_a_drain_tells_both_times_and_waits_for_the_longer(start):
    place = start.fakes.parent
    times = 'drain_timeout = "300ms"\ntunnel_drain_timeout = "2s"\n'
    daemon = start(ONE + f'[run]\n{times}runtime_dir = "{place}/run"\nstate_dir = "{place}/state"\n').ready()
    (daemon.fakes / "deaf").touch()
    began_s = time.monotonic()
    code, _, err = ctl(daemon, "drain")
    assert (code, time.monotonic() - began_s >= 2) == (0, True)
    daemon.said("fake worker-0: drains: 300 ms, tunnels 2000 ms")
    assert "draining: exchanges have 0.3 s to end, tunnels 2 s" in err
    assert "what is still open is cut" in err


def test_a_reload_tells_how_it_gets_on(start):
    daemon = start(ONE).ready()
    code, out, err = ctl(daemon, "reload")
    assert (code, err.splitlines()) == (0, [
        "edged: reading settings",
        "edged: generation 2 comes up: waiting for the first routes",
        *["edged: generation 2 comes up: waiting for the workers"] * ("workers" in err),
        "edged: generation 2 serves",
    ])
    assert re.fullmatch(r"generation 2 serves after \d+ ms; of generation 1: 0 exchanges finished, 0 handed over, 0 cut\n", out)
    last = status(daemon)["last_reload"]
    assert last["ok"]
    assert last["ago_s"] >= 0
    assert "s ago: done" in ctl(daemon, "status")[1]


def test_a_reload_waits_for_the_end_if_that_is_wanted(start):
    daemon = start(ONE).ready()
    (daemon.fakes / "open-worker-0").write_text("3")
    daemon.hold("drain-worker-0")
    code, out, _ = ctl(daemon, "reload")
    assert code == 0
    assert out.endswith("of generation 1: 0 exchanges finished, 0 handed over, 0 cut, 3 left\n")
    (daemon.fakes / "open-worker-0").write_text("2")
    waiting = start_ctl(daemon, "reload", "--wait", "--json")
    assert "edged: generation 2 drains: 2 exchanges left\n" in iter(waiting.stderr.readline, "")
    [first] = [one for one in status(daemon)["generations"] if one["number"] == 1]
    os.kill(first["pids"]["worker 0"], signal.SIGKILL)
    daemon.said("generation 1 has left: 0 exchanges finished, 0 handed over, 3 cut")
    assert waiting.poll() is None
    daemon.release("drain-worker-0")
    answer = json.loads(waiting.communicate(timeout=20)[0])
    assert {key: answer[key] for key in ("ok", "generation", "finished", "handed_over", "cut", "left")} == {
        "ok": True, "generation": 3, "finished": 2, "handed_over": 0, "cut": 0, "left": 0,
    }
    assert answer["problems"] == []
    assert answer["took_ms"] > 0


@pytest.mark.parametrize(
    ("settings", "told"), [(ONE + "colour = 1\n", "edged.toml:6: worker.colour: unknown key"), ("[[", "edged.toml:1: ")]
)
def test_settings_with_an_error_change_nothing(start, settings, told):
    daemon = start(ONE).ready()
    good, before = daemon.config.read_text(), daemon.children()
    daemon.config.write_text(settings)
    code, out, err = ctl(daemon, "reload")
    assert (code, out) == (1, "")
    assert told in err
    if settings != "[[":                         # where the command can tell where the daemon is
        assert err.endswith("nothing has changed: generation 1 goes on as it is\n")
        assert not status(daemon)["last_reload"]["ok"]
    daemon.config.write_text(good)
    assert daemon.children() == before
    assert ctl(daemon, "reload")[0] == 0


def test_a_directory_that_is_in_use_is_no_matter_of_a_reload(start):
    daemon = start(ONE).ready()
    daemon.config.write_text(daemon.config.read_text().replace("/run\"", "/elsewhere\""))
    code, _, err = ctl(daemon, "reload")
    assert code == 1
    assert f"{daemon.config}:8: run.runtime_dir: {door(daemon).parent} is in use until a restart\n" in err
    assert not (daemon.config.parent / "elsewhere").exists()


def test_a_level_is_that_of_generations_to_come_too(start):
    daemon = start(ONE).ready()
    ctl(daemon, "log", "level", "debug")
    assert ctl(daemon, "reload", "--wait")[0] == 0
    wait_for(lambda: sum("log level debug" in line for line in daemon.lines()) == 4)


# ---- drained, and reloaded


def test_a_drained_daemon_that_is_reloaded_stays_drained(start):
    daemon = start(ONE).ready()
    port = daemon.port()
    assert ctl(daemon, "drain")[0] == 0
    daemon.config.write_text(ONE.replace("count = 1", "count = 2") + "[run]" + daemon.config.read_text().partition("[run]")[2])
    code, _out, err = ctl(daemon, "reload", "--wait")
    assert code == 0, err
    assert "generation 2 is there, drained as before" in err
    told = status(daemon)
    assert told["state"] == "drained"
    assert [(one["number"], one["state"]) for one in told["generations"]] == [(2, "drained")]
    wait_for(lambda: sorted(daemon.children()) == ["edged control"])
    assert refused(port)
    assert ctl(daemon, "undrain")[:2] == (0, "it serves\n")
    wait_for(lambda: {daemon.ask()[:2] for _ in range(20)} == {("worker-0", 0), ("worker-1", 1)})
    assert ctl(daemon, "reload")[0] == 0
    assert daemon.ask()[0].startswith("worker")
    assert daemon.end() == 0


def test_a_drained_daemons_listeners_may_change(start, tmp_path):
    kept, gone_, new = tmp_path / "kept", tmp_path / "gone", tmp_path / "new"
    run = f'[run]\nstate_dir = "{start.fakes.parent}/state"\nruntime_dir = "{start.fakes.parent}/run"\n'

    def listeners(*paths):
        return "".join(f'[[listener]]\naddress = "unix:{path}"\n' for path in paths)

    daemon = start(ONE + listeners(kept, gone_) + run).ready()
    assert ctl(daemon, "drain")[0] == 0
    daemon.config.write_text(ONE + listeners(kept, new) + run)
    assert ctl(daemon, "reload")[0] == 0
    with socket.socket(socket.AF_UNIX) as s, pytest.raises(ConnectionRefusedError):
        s.connect(str(new))
    assert ctl(daemon, "undrain")[0] == 0
    for path in (kept, new):
        with socket.socket(socket.AF_UNIX) as s:
            s.connect(str(path))
            assert s.recv(100).startswith(b"worker-0 0 ")
    assert not gone_.exists()
    assert daemon.ask()[0] == "worker-0"
    assert daemon.end() == 0
    assert not kept.exists()
    assert not new.exists()


def test_a_reload_that_fails_leaves_a_drained_daemon_drained(start):
    daemon = start(ONE).ready()
    assert ctl(daemon, "drain")[0] == 0
    (daemon.fakes / "fail-worker-0").touch()
    code, _, err = ctl(daemon, "reload")
    assert code == 1
    assert "worker 0 (process" in err
    assert status(daemon)["state"] == "drained"
    (daemon.fakes / "fail-worker-0").unlink()
    assert ctl(daemon, "undrain")[0] == 0
    assert daemon.ask()[0] == "worker-0"


def test_a_drain_during_a_reload_drains_the_new_generation(start):
    daemon = start(ONE).ready()
    daemon.hold("control")
    reloading = start_ctl(daemon, "reload")
    wait_for(lambda: len(status(daemon)["generations"]) == 2)
    draining = start_ctl(daemon, "drain")
    assert draining.stderr.readline() == "edged: draining as soon as the reload has ended\n"
    assert daemon.ask()[0] == "worker-0"
    daemon.release("control")
    assert reloading.wait(20) == draining.wait(20) == 0
    told = status(daemon)
    assert [(one["number"], one["state"]) for one in told["generations"]] == [(2, "drained")]
    for process in (reloading, draining):
        process.communicate()


def test_an_undrain_during_a_reload_comes_after_it(start):
    daemon = start(ONE).ready()
    assert ctl(daemon, "drain")[0] == 0
    daemon.hold("control")
    reloading = start_ctl(daemon, "reload")
    wait_for(lambda: len(status(daemon)["generations"]) == 2)
    back = start_ctl(daemon, "undrain")
    assert back.stderr.readline() == "edged: it serves as soon as the reload has ended\n"
    daemon.release("control")
    assert reloading.wait(20) == back.wait(20) == 0
    told = status(daemon)
    assert [(one["number"], one["state"]) for one in told["generations"]] == [(2, "serving")]
    assert daemon.ask()[0] == "worker-0"
    for process in (reloading, back):
        process.communicate()


def test_a_reload_during_the_pause_of_a_drain_comes_at_once(start):
    daemon = start(ONE).ready()
    draining = start_ctl(daemon, "drain", "--delay", "1h")
    wait_for(lambda: status(daemon)["state"] == "draining")
    assert ctl(daemon, "reload", "--wait")[0] == 0
    assert [(one["number"], one["state"]) for one in status(daemon)["generations"]] == [(2, "draining")]
    assert daemon.ask()[0] == "worker-0"
    assert ctl(daemon, "undrain")[0] == 0
    assert draining.wait(20) == 1
    draining.communicate()


def test_a_reload_during_a_drain_comes_after_it(start):
    daemon = start(ONE).ready()
    daemon.hold("drain-worker-0")
    draining = start_ctl(daemon, "drain")
    wait_for(lambda: any("draining: exchanges have" in line for line in daemon.lines()))
    reloading = start_ctl(daemon, "reload")
    assert reloading.stderr.readline() == "edged: waiting for the order before this one\n"
    daemon.release("drain-worker-0")
    assert draining.wait(20) == reloading.wait(20) == 0
    assert [(one["number"], one["state"]) for one in status(daemon)["generations"]] == [(2, "drained")]
    for process in (draining, reloading):
        process.communicate()


@pytest.mark.parametrize("words", [("stop",), ("stop", "--now")])
def test_a_stop_during_a_reload_gives_it_up(start, words):
    daemon = start(ONE).ready()
    daemon.hold("control")
    reloading = start_ctl(daemon, "reload")
    wait_for(lambda: len(status(daemon)["generations"]) == 2)
    assert ctl(daemon, *words)[0] == 0
    assert daemon.process.wait(1) == 0
    _, err = reloading.communicate(timeout=20)
    assert reloading.returncode == 1
    assert err.endswith("nothing was read again: the daemon is stopping\n")


def test_settings_that_are_gone_change_nothing(start):
    daemon = start(ONE).ready()
    daemon.config.unlink()
    code, _, err = ctl(daemon, "reload")
    assert code == 1
    assert f"{daemon.config}: cannot be read: No such file or directory" in err


def test_a_level_reaches_every_process_and_those_to_come(start):
    daemon = start(ONE).ready()
    assert ctl(daemon, "log", "level", "warning") == (0, "lines from warning upwards are logged\n", "")
    daemon.said("fake control: log level warning")
    daemon.said("fake worker-0: log level warning")
    os.kill(daemon.children()["edged control"], signal.SIGKILL)
    wait_for(lambda: sum("fake control: log level warning" in line for line in daemon.lines()) == 2)
    ctl(daemon, "reload")
    assert not any("edged: reloaded" in line for line in daemon.lines())
    ctl(daemon, "log", "level", "info")
    ctl(daemon, "reload")
    daemon.said("edged: reloaded")


@pytest.mark.parametrize("words", [(), ("sing",), ("log", "level", "loud"), ("drain", "--delay", "soon"), ("status", "--now")])
def test_a_command_line_that_means_nothing(start, words):
    done = subprocess.run([sys.executable, "-m", "edged", "ctl", *words], capture_output=True, text=True, cwd=ROOT, timeout=30)
    assert done.returncode == 2
    assert done.stderr.startswith("usage: edged")


def test_no_descriptor_is_left_behind(start):
    daemon = start(ONE).ready()
    ctl(daemon, "status")
    count = len(list(Path(f"/proc/{daemon.process.pid}/fd").iterdir()))
    for _ in range(20):
        speak(daemon, pack(STATUS))
        speak(daemon, msgpack.packb(1), finish=True)
    wait_for(lambda: len(list(Path(f"/proc/{daemon.process.pid}/fd").iterdir())) == count)
