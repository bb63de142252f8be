"""Readiness: what probes, balancers and keepalived are told, on the unix socket, at the admin address, and by `edged ctl check`."""

import grp
import json
import os
import re
import signal
import socket
import stat
import subprocess
import sys
import threading

import pytest

from tests.fakes.daemon import ROOT, wait_for

ONE = '[[listener]]\naddress = "127.0.0.1:0"\nname = "web"\n[worker]\ncount = 1\n'
ADMIN = ONE + '[admin]\naddress = "127.0.0.1:{}"\n'


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def door(daemon):
    return daemon.config.parent / "run" / "health.sock"


def connect(where):
    s = socket.socket(socket.AF_INET if isinstance(where, int) else socket.AF_UNIX)
    s.connect(("127.0.0.1", where) if isinstance(where, int) else str(where))
    s.settimeout(20)
    return s


def say(where, data):
    """What comes back until the end."""
    with connect(where) as s:
        s.sendall(data)
        return s.makefile("rb").read()


def get(where, path, method="GET"):
    """Status, headers and body of an answer."""
    head, _, body = say(where, f"{method} {path} HTTP/1.1\r\nHost: x\r\n\r\n".encode()).partition(b"\r\n\r\n")
    first, *lines = head.decode().split("\r\n")
    headers = {name.lower(): value for name, value in (line.split(": ", 1) for line in lines)}
    assert headers["cache-control"] == "no-store"
    return int(first.split()[1]), headers, body.decode()


def ask(daemon, path):
    status, _, body = get(door(daemon), path)
    return status, body


def check(*words, program=("-m", "edged"), **options):
    path = os.pathsep.join([*filter(None, [os.environ.get("PYTHONPATH")]), str(ROOT)])
    done = subprocess.run(
        [sys.executable, *program, "ctl", "check", *words], capture_output=True, text=True, timeout=30,
        env=os.environ | {"PYTHONPATH": path}, **options,
    )
    return done.returncode, done.stdout, done.stderr


def check_it(daemon, *words):
    return check("--runtime-dir", str(door(daemon).parent), *words)


def ctl(daemon, *words):
    path = os.pathsep.join([*filter(None, [os.environ.get("PYTHONPATH")]), str(ROOT)])
    return subprocess.Popen(
        [sys.executable, "-m", "edged", "ctl", *words, "--runtime-dir", str(door(daemon).parent)],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=os.environ | {"PYTHONPATH": path},
    )


def ended(process):
    out, err = process.communicate(timeout=60)
    assert process.returncode == 0, err
    return out


READY = ["[+]in-service ok", "[+]has-synced ok", "[+]listening ok", "[+]accepting ok", "readyz check passed", ""]


def test_one_that_serves_says_so(start):
    daemon = start(ONE).ready()
    assert ask(daemon, "/readyz") == (200, "ok\n")
    assert ask(daemon, "/readyz?verbose") == (200, "\n".join(READY))
    assert ask(daemon, "/livez?verbose") == (200, "[+]supervisor ok\n[+]children ok\nlivez check passed\n")
    assert ask(daemon, "/startupz?verbose") == (200, "[+]has-synced ok\nstartupz check passed\n")
    assert ask(daemon, "/healthz") == (200, "ok\n")
    assert ask(daemon, "/healthz/ready") == (200, "ok\n")
    assert json.loads(ended(ctl(daemon, "status", "--json")))["not_ready"] == []


def test_http_as_it_is_spoken(start):
    daemon = start(ONE).ready()
    status, headers, body = get(door(daemon), "/readyz", "HEAD")
    assert (status, headers["content-length"], headers["connection"], body) == (200, "3", "close", "")
    status, headers, body = get(door(daemon), "/readyz", "POST")
    assert (status, headers["allow"], body) == (405, "GET, HEAD", "GET and HEAD are answered here\n")
    status, _, body = get(door(daemon), "/metrics")
    assert (status, body) == (404, "there are /livez, /readyz, /startupz, /healthz, /healthz/ready; each takes ?verbose\n")
    assert say(door(daemon), b"GET /livez HTTP/1.0\r\n\r\n").startswith(b"HTTP/1.1 200 ")
    assert say(door(daemon), b"nonsense\r\n\r\n").startswith(b"HTTP/1.1 400 ")
    assert say(door(daemon), b"GET /" + b"x" * 20000 + b" HTTP/1.1\r\n\r\n").startswith(b"HTTP/1.1 431 ")
    with connect(door(daemon)) as s:
        s.sendall(b"GET /livez HT")
    request = b"GET /livez HTTP/1.1\r\nHost: x\r\n\r\n"
    for n in range(len(request)):
        with connect(door(daemon)) as s:
            s.sendall(request[:n])
            s.shutdown(socket.SHUT_WR)
            assert s.recv(1000)[:12] in (b"", b"HTTP/1.1 400")
    assert ask(daemon, "/livez")[0] == 200


def test_those_who_hold_connections_keep_nobody_out(start):
    daemon = start(ONE).ready()
    silent = [connect(door(daemon)) for _ in range(200)]
    assert ask(daemon, "/readyz") == (200, "ok\n")
    for s in silent:
        with s:
            assert s.recv(100) == b""            # none is kept longer than a request may take


def test_the_socket_is_its_owners_and_its_groups(start):
    daemon = start(ONE).ready()
    assert stat.S_IMODE(door(daemon).stat().st_mode) == 0o660
    assert stat.S_IMODE(door(daemon).parent.stat().st_mode) == 0o755
    assert daemon.end() == 0
    assert not door(daemon).exists()


def test_the_group_that_may_ask_is_chosen_and_changes_with_a_reload(start):
    """Of those that we may give files to: as root any, otherwise our own."""
    mine = {os.getegid(), *os.getgroups()}
    groups = [one for one in grp.getgrall() if os.geteuid() == 0 or one.gr_gid in mine]
    first, second = groups[0], groups[-1]
    daemon = start(ONE + f'[admin]\nsocket_group = "{first.gr_name}"\n').ready()
    assert door(daemon).stat().st_gid == first.gr_gid
    daemon.config.write_text(daemon.config.read_text().replace(f'"{first.gr_name}"', f'"{second.gr_name}"'))
    ended(ctl(daemon, "reload"))
    assert door(daemon).stat().st_gid == second.gr_gid
    daemon.config.write_text(daemon.config.read_text().replace(f'"{second.gr_name}"', '"nobody-knows-it"'))
    process = ctl(daemon, "reload")
    _, err = process.communicate(timeout=60)
    assert process.returncode == 1
    assert re.search(r'edged.toml:\d+: admin.socket_group: there is no group "nobody-knows-it"', err)


def test_not_ready_before_the_first_routes_and_the_first_worker(start):
    start.fakes.mkdir(parents=True)
    (start.fakes / "hold-control").touch()
    daemon = start(ONE)
    daemon.said("listening on")
    assert ask(daemon, "/livez")[0] == 200
    status, body = ask(daemon, "/readyz")
    assert status == 503
    assert body.splitlines()[:2] == ["[-]in-service failed: it is starting", "[-]has-synced failed: the first routes are not in yet"]
    assert body.splitlines()[-1] == "readyz check failed"
    assert ask(daemon, "/startupz") == (503, "[-]has-synced failed: the first routes are not in yet\nstartupz check failed\n")
    assert ask(daemon, "/healthz/ready")[0] == 500
    assert check_it(daemon)[0] == 1
    daemon.release("control")
    daemon.ready()
    assert ask(daemon, "/startupz")[0] == 200
    assert check_it(daemon) == (0, "ready\n", "")


def test_readiness_falls_first_in_a_drain_and_comes_back(start):
    daemon = start(ONE).ready()
    draining = ctl(daemon, "drain", "--delay", "60s")
    wait_for(lambda: ask(daemon, "/readyz")[0] == 503)
    assert ask(daemon, "/readyz")[1] == "[-]in-service failed: it is being drained\nreadyz check failed\n"
    assert daemon.ask()                          # it serves on meanwhile
    assert ask(daemon, "/livez")[0] == ask(daemon, "/healthz")[0] == 200
    assert check_it(daemon) == (1, "not ready: in-service failed: it is being drained\n", "")
    ended(ctl(daemon, "undrain"))
    assert ask(daemon, "/readyz") == (200, "ok\n")
    draining.communicate(timeout=60)
    ended(ctl(daemon, "drain", "--delay", "0"))
    status, body = ask(daemon, "/readyz")
    assert status == 503
    assert body.splitlines() == [
        "[-]in-service failed: it is drained", "[-]listening failed: the listeners are closed", "[-]accepting failed: no worker accepts",
        "readyz check failed",
    ]
    ended(ctl(daemon, "undrain"))
    assert ask(daemon, "/readyz") == (200, "ok\n")


def test_readiness_falls_first_at_an_end(start):
    here = start.fakes.parent
    daemon = start(ONE + f'[run]\ndrain_delay = "60s"\nruntime_dir = "{here}/run"\nstate_dir = "{here}"\n').ready()
    daemon.send(signal.SIGTERM)
    wait_for(lambda: ask(daemon, "/readyz")[0] == 503)
    assert ask(daemon, "/readyz")[1] == "[-]in-service failed: it is stopping\nreadyz check failed\n"
    assert daemon.ask()
    daemon.send(signal.SIGTERM)
    assert daemon.process.wait(20) == 1


def test_a_reload_never_shows(start):
    daemon = start(ONE).ready()
    reloading = ctl(daemon, "reload")
    while reloading.poll() is None:
        assert ask(daemon, "/readyz?verbose") == (200, "\n".join(READY))
    ended(reloading)


def test_an_upgrade_never_shows(start):
    """Whoever asks while programs change is answered by either, be the request half said by then."""
    daemon = start(ONE).ready()
    others, over = [], threading.Event()

    def visits():
        while not over.is_set():
            with connect(door(daemon)) as s:
                s.sendall(b"GET /readyz HT")
                s.sendall(b"TP/1.1\r\nHost: x\r\n\r\n")
                answer = s.makefile("rb").read()
                if not answer.startswith(b"HTTP/1.1 200 "):
                    others.append(answer)

    visitors = [threading.Thread(target=visits) for _ in range(3)]
    for visitor in visitors:
        visitor.start()
    try:
        for _ in range(3):
            ended(ctl(daemon, "upgrade"))
    finally:
        over.set()
        for visitor in visitors:
            visitor.join()
    assert others == []


def test_no_worker_means_not_ready(start):
    daemon = start(ONE).ready()
    daemon.hold("worker-0")
    os.kill(daemon.children()["edged worker 0"], signal.SIGKILL)
    wait_for(lambda: ask(daemon, "/readyz") == (503, "[-]accepting failed: no worker accepts\nreadyz check failed\n"))
    daemon.release("worker-0")
    wait_for(lambda: ask(daemon, "/readyz") == (200, "ok\n"))


def test_the_admin_address(start):
    port = free_port()
    daemon = start(ADMIN.format(port)).ready()
    daemon.said(rf"health is told at http://127.0.0.1:{port}/readyz")
    assert get(port, "/readyz")[0] == get(port, "/healthz")[0] == 200
    assert check("--url", f"http://127.0.0.1:{port}") == (0, "ready\n", "")
    assert daemon.end() == 0
    assert check("--url", f"http://127.0.0.1:{port}") == (1, f"not ready: http://127.0.0.1:{port}: Connection refused\n", "")


def test_the_admin_address_changes_with_a_reload(start):
    first, second = free_port(), free_port()
    daemon = start(ADMIN.format(first)).ready()
    daemon.config.write_text(daemon.config.read_text().replace(str(first), str(second)))
    ended(ctl(daemon, "reload"))
    assert get(second, "/readyz")[0] == 200
    with pytest.raises(ConnectionRefusedError):
        connect(first)
    with socket.create_server(("127.0.0.1", first)):
        daemon.config.write_text(daemon.config.read_text().replace(str(second), str(first)))
        process = ctl(daemon, "reload")
        _, err = process.communicate(timeout=60)
        assert process.returncode == 1
        assert re.search(rf"edged.toml:\d+: admin.address: 127.0.0.1:{first}: Address already in use", err)
        assert get(second, "/readyz")[0] == 200


def test_an_admin_address_that_is_taken_stops_the_start(start):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        daemon = start(ADMIN.format(port))
        assert daemon.process.wait(20) == 2
        assert re.search(rf"edged.toml:\d+: admin.address: 127.0.0.1:{port}: Address already in use", "\n".join(daemon.lines()))
    assert not door(daemon).exists()


def test_a_check_answers_nothing_but_0_and_1_in_one_line(start, tmp_path):
    daemon = start(ONE).ready()
    assert check("--config", str(daemon.config)) == (0, "ready\n", "")
    assert check("--socket", str(door(daemon)), "--json") == (0, '{"ready": true, "why": []}\n', "")
    code, out, err = check_it(daemon, "-v")
    assert (code, out, err) == (0, "ready\n", "\n".join(READY[:-1]) + "\n")
    missing = tmp_path / "nowhere" / "health.sock"
    told = f"not ready: no daemon answers at {missing}: No such file or directory\n"
    assert check("--socket", str(missing)) == (1, told, "")
    for words in (["--sing"], ["--timeout", "soon"], ["--socket", "a", "--url", "b"], ["--url", "ftp://x"], ["--config", "/nowhere"]):
        code, out, err = check(*words)
        assert (code, out.count("\n"), err) == (1, 1, "")
        assert out.startswith("not ready: ")


def test_a_check_waits_no_longer_than_it_was_told(start, tmp_path):
    with socket.socket(socket.AF_UNIX) as deaf:
        deaf.bind(str(tmp_path / "health.sock"))
        deaf.listen()
        assert check("--runtime-dir", str(tmp_path), "--timeout", "50ms") == (1, "not ready: no answer within 0.05 s\n", "")


def test_drained_by_an_order_that_outlasts_a_restart(start):
    daemon = start(ONE).ready()
    ended(ctl(daemon, "drain", "--delay", "0", "--persist"))
    marker = daemon.config.parent / "state" / "out-of-service"
    assert marker.exists()
    assert daemon.end() == 0
    again = start(ONE + f'[run]\nstate_dir = "{marker.parent}"\nruntime_dir = "{door(daemon).parent}"\n').ready()
    again.said("drained, as .*/state/out-of-service says: connections are refused until edged ctl undrain")
    assert ask(daemon, "/readyz")[0] == 503
    assert ask(daemon, "/startupz")[0] == ask(daemon, "/livez")[0] == 200
    told = json.loads(ended(ctl(daemon, "status", "--json")))
    assert told["state"] == "drained"
    port = int(told["listeners"][0]["address"].rpartition(":")[2])
    with pytest.raises(ConnectionRefusedError):
        connect(port)
    ended(ctl(daemon, "undrain"))
    assert not marker.exists()
    connect(port).close()
    assert ask(daemon, "/readyz") == (200, "ok\n")
    assert again.end() == 0


def test_a_drain_that_cannot_be_kept_is_refused(start):
    daemon = start(ONE).ready()
    state = daemon.config.parent / "state"
    state.rename(state.with_name("moved"))
    state.write_text("no directory any more")
    process = ctl(daemon, "drain", "--persist")
    _, err = process.communicate(timeout=60)
    assert process.returncode == 1
    assert f"it serves on: {state}/out-of-service cannot be written: Not a directory" in err
    assert ask(daemon, "/readyz") == (200, "ok\n")


def test_what_keepalived_says_is_remembered(start):
    daemon = start(ONE).ready()
    assert ended(ctl(daemon, "notify", "INSTANCE", "VI_1", "BACKUP", "100")) == ""
    ended(ctl(daemon, "notify", "INSTANCE", "VI_1", "MASTER", "150"))
    ended(ctl(daemon, "notify", "GROUP", "G", "FAULT"))
    told = json.loads(ended(ctl(daemon, "status", "--json")))["vrrp"]
    assert [(one["kind"], one["name"], one["state"], one["priority"]) for one in told] == [
        ("INSTANCE", "VI_1", "MASTER", 150), ("GROUP", "G", "FAULT", None),
    ]
    assert re.search(r"VRRP instance VI_1: MASTER for [0-9.]+ s, priority 150", ended(ctl(daemon, "status")))
    for words in (("INSTANCE", "VI_1", "ASLEEP"), ("PERSON", "VI_1", "MASTER"), ("INSTANCE", "V\x1b[2J", "MASTER")):
        process = ctl(daemon, "notify", *words)
        process.communicate(timeout=60)
        assert process.returncode == 1
    ended(ctl(daemon, "notify", "GROUP", "G", "DELETED"))
    assert len(json.loads(ended(ctl(daemon, "status", "--json")))["vrrp"]) == 1
