"""What probes are told of the whole daemon, and what a check that goes through its listeners finds out."""

import grp
import os
import signal
import socket
import stat
import subprocess

import pytest

from tests.scenarios.harness.settings import TLS, command, environment
from tests.scenarios.harness.until import until

ROUTE = {"host": "*", "to": ["127.0.0.1:9"]}
NOBODY = 65534


def ask(edged, path="/readyz"):
    """Status and body, as a program of the shell gets them."""
    door = str(edged.directory / "run/health.sock")
    words = ["curl", "-s", "-m", "5", "-w", "\n%{http_code}", "--unix-socket", door, f"http://edged{path}"]
    body, _, status = subprocess.run(words, capture_output=True, text=True, check=True).stdout.rpartition("\n")
    return int(status), body


def check(edged, *words, **options):
    done = subprocess.run(
        command("ctl", "check", "--runtime-dir", str(edged.directory / "run"), *words), env=environment(), capture_output=True, text=True,
        **options,
    )
    assert (done.returncode in (0, 1), done.stderr) == (True, "")
    return done.returncode, done.stdout


def test_ready_only_while_there_is_a_route(daemon):
    edged = daemon({"admin": {"ready_needs_route": True}})
    assert ask(edged) == (503, "[-]routes failed: there is no route\nreadyz check failed\n")
    edged.write_routes([ROUTE])
    until(lambda: ask(edged) == (200, "ok\n"), what="it is ready")
    edged.write_routes([])
    until(lambda: ask(edged)[0] == 503, what="it is not ready any more")
    assert ask(edged, "/livez") == ask(edged, "/startupz") == (200, "ok\n")


def test_a_worker_that_hangs_is_not_live(daemon):
    edged = daemon()
    assert check(edged, "--deep", "--timeout", "5s") == (0, "ready\n")
    hung = edged.worker_pid(0)
    os.kill(hung, signal.SIGSTOP)
    try:
        assert check(edged) == (0, "ready\n")
        status, told = check(edged, "--deep", "--timeout", "5s")
        assert (status, told) == (1, "not ready: traffic failed: no listener answers within 0.8 s\n")
        until(lambda: ask(edged, "/livez")[0] == 503, 30, "the worker is missed")
        assert ask(edged, "/healthz") == (500, "[-]children failed: worker 0 does not answer\nhealthz check failed\n")
    finally:
        os.kill(hung, signal.SIGCONT)
    until(lambda: ask(edged, "/livez") == (200, "ok\n"), what="the worker answers again")


@pytest.mark.parametrize(
    "listener",
    [
        {"address": "127.0.0.1:0", "accept_proxy": "required"},
        {"address": "127.0.0.1:0", "accept_proxy": "required", "trusted": ["192.0.2.0/24"]},
        {"address": "127.0.0.1:0", "accept_proxy": "trusted-only", "trusted": ["192.0.2.0/24"]},
        {"address": "0.0.0.0:0"},
        {"address": "[::]:0"},
        {"address": "unix:@/web.sock"},
    ],
    ids=["proxy", "proxy of others", "proxy of others or none", "IPv4 wildcard", "IPv6 wildcard", "unix"],
)
def test_a_request_through_each_kind_of_listener(daemon, tmp_path, listener):
    where = {"name": "web", **listener, "address": listener["address"].replace("@", str(tmp_path))}
    edged = daemon({"listener": [where]}, [ROUTE])
    assert check(edged, "--deep", "--timeout", "5s") == (0, "ready\n")


def test_a_request_through_a_tls_listener(daemon):
    assert check(daemon({"listener": [TLS["listener"][1]]}), "--deep", "--timeout", "5s") == (0, "ready\n")


def test_one_listener_that_answers_is_enough(daemon):
    away = {"name": "vip", "address": "192.0.2.7:8080", "freebind": True}
    edged = daemon({"listener": [away, {"name": "web", "address": "127.0.0.1:0"}]})
    assert check(edged, "--deep", "--timeout", "5s") == (0, "ready\n")
    edged.stop()
    edged = daemon({"listener": [away]})
    assert check(edged) == (0, "ready\n")
    status, told = check(edged, "--deep", "--timeout", "5s")
    assert status == 1
    assert told.startswith("not ready: traffic failed: ")


def test_the_chosen_group_may_ask_and_no_other(daemon):
    """Tried by root as somebody else; anybody can see to whom the kernel would open."""
    chosen = grp.getgrgid(NOBODY if os.geteuid() == 0 else os.getegid())
    edged = daemon({"admin": {"socket_group": chosen.gr_name}})
    door = edged.directory / "run/health.sock"
    assert (stat.S_IMODE(door.stat().st_mode), door.stat().st_gid) == (0o660, chosen.gr_gid)
    if os.geteuid() == 0:
        for directory in [edged.directory, *edged.directory.parents][:-2]:
            directory.chmod(directory.stat().st_mode | 0o011)
        assert asked_by(NOBODY, chosen.gr_gid, door) == (0, "200")
        assert asked_by(NOBODY, 1, door)[0] == 7 # of curl: failed to connect


def asked_by(user, group, door):
    words = ["curl", "-s", "-o", "/dev/null", "-w", "%{http_code}", "--unix-socket", str(door), "http://edged/readyz"]
    done = subprocess.run(words, capture_output=True, text=True, user=user, group=group, extra_groups=[])
    return done.returncode, done.stdout


def test_what_a_killed_daemon_left_is_no_obstacle(daemon):
    edged = daemon()
    edged.expected_status = -signal.SIGKILL
    edged.process.kill()
    edged.process.wait()
    assert (edged.directory / "run/health.sock").exists()
    assert check(edged)[0] == 1
    edged.stop()
    edged.start()
    assert check(edged) == (0, "ready\n")
    edged.expected_status = 0


def test_ten_thousand_that_ask_leave_nothing_behind(daemon):
    edged = daemon()
    before = len(os.listdir(f"/proc/{edged.pid}/fd"))
    for _ in range(10_000):
        with socket.socket(socket.AF_UNIX) as s:
            s.connect(str(edged.directory / "run/health.sock"))
            s.sendall(b"GET /readyz HTTP/1.0\r\n\r\n")
            assert s.recv(12) == b"HTTP/1.1 200"
    until(lambda: len(os.listdir(f"/proc/{edged.pid}/fd")) == before, what="all connections are gone")
