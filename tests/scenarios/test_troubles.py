"""What a machine can do to a daemon: each trouble has its one line, and traffic goes on where it can."""

import json
import os
import resource
import signal
import stat
import struct
import subprocess
import time
from pathlib import Path

import pytest

from tests.scenarios.harness.client import get
from tests.scenarios.harness.settings import command, environment
from tests.scenarios.harness.until import until

ONE = '[[listener]]\nname = "web"\naddress = "127.0.0.1:0"\n'


def run(tmp_path, text, *, descriptors=0):
    """A start that fails: its one line."""
    (tmp_path / "edged.toml").write_text(text)

    def limit():
        resource.setrlimit(resource.RLIMIT_NOFILE, (descriptors, descriptors))

    done = subprocess.run(
        command("run", "--config", str(tmp_path / "edged.toml")), cwd=tmp_path, env=environment(), capture_output=True, text=True,
        timeout=60, check=False, preexec_fn=limit if descriptors else None,
    )
    lines = [line for line in done.stderr.splitlines() if "warning:" not in line]
    assert done.returncode == 2
    assert len(lines) == 1, done.stderr
    return lines[0]


def places(tmp_path, **other):
    where = {"runtime_dir": f"{tmp_path}/run", "state_dir": f"{tmp_path}/state"} | other
    return "[run]\n" + "".join(f'{key} = "{value}"\n' for key, value in where.items())


def ctl(edged, *words):
    done = subprocess.run(
        command("ctl", *words, "--runtime-dir", str(edged.directory / "run"), "--json"), env=environment(), capture_output=True, text=True,
        check=False,
    )
    return done.returncode, json.loads(done.stdout)


@pytest.fixture
def edged(daemon, backend):
    return daemon({}, [{"host": "*", "to": [backend().address]}])


def serves(edged):
    return get(edged.address()).status == 200


# directories and files


@pytest.mark.parametrize("key", ["runtime_dir", "state_dir"])
def test_a_directory_that_cannot_be_made(tmp_path, key):
    (tmp_path / "file").touch()
    told = run(tmp_path, ONE + places(tmp_path, **{key: f"{tmp_path}/file/here"}))
    assert told.startswith(f"edged: {tmp_path}/edged.toml:")
    assert told.endswith(f"run.{key}: {tmp_path}/file/here: Not a directory")


def test_a_runtime_directory_that_goes_away(edged):
    """Nobody can give orders any more; signals still can."""
    run = edged.directory / "run"
    for name in ("ctl.sock", "health.sock"):
        (run / name).unlink()
    run.rmdir()
    status, told = ctl(edged, "status")
    assert status == 3
    assert "no daemon runs" in told["message"]
    assert serves(edged)
    assert edged.stop() == 0


def test_a_state_directory_that_nobody_may_write_any_more(edged, backend):
    state = edged.directory / "state"
    state.chmod(stat.S_IRUSR | stat.S_IXUSR)
    edged.change_routes([{"host": "*", "to": [backend().address]}])
    edged.until_said(rf"warning: the state cannot be kept in {state}/snapshot.msgpack: Permission denied; a restart begins without it")
    assert serves(edged)
    state.chmod(0o750)


def test_a_route_file_that_nobody_may_read_any_more(edged):
    path = edged.routes_dir / "routes.yaml"
    path.chmod(0)
    edged.until_said(rf"{path}: cannot be read: Permission denied")
    assert serves(edged)
    path.chmod(0o644)


def test_settings_that_were_deleted(edged):
    before = edged.worker_pid()
    edged.config.unlink()
    status, told = ctl(edged, "reload")
    assert status == 1
    assert told["problems"] == [f"{edged.config}: cannot be read: No such file or directory"]
    assert edged.worker_pid() == before
    assert serves(edged)
    os.kill(edged.pid, signal.SIGHUP)
    until(lambda: len(edged.said(rf"error: {edged.config}: cannot be read: No such file or directory")) == 2)
    assert serves(edged)


def test_a_log_on_a_disk_that_is_full(daemon, backend):
    edged = daemon({"log": {"target": "file:/dev/full"}}, [{"host": "*", "to": [backend().address]}])
    assert serves(edged)
    edged.until_said("error: access lines are being lost: .*No space left on device")
    assert serves(edged)


# descriptors


def test_descriptors_that_do_not_even_do_for_a_start(tmp_path):
    told = run(tmp_path, ONE + "[worker]\ncount = 32\n" + places(tmp_path), descriptors=24)
    assert told == (
        'edged: listener "web": 127.0.0.1:0: no descriptor is left: this process may open 24 (LimitNOFILE= of a unit, ulimit -n)'
    )


def test_descriptors_that_do_not_do_for_all_connections(daemon):
    """The limit cannot be raised further than the system permits; a line says what follows."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    most = 2 * hard
    edged = daemon({"worker": {"max_connections": most}})
    raised = resource.prlimit(edged.pid, resource.RLIMIT_NOFILE)[1]
    told = edged.said(rf"warning: a worker may open {hard} descriptors, max_connections wants \d+: accepting will pause earlier")
    assert bool(told) == (raised == hard)
    assert (soft, hard) == resource.getrlimit(resource.RLIMIT_NOFILE)


# time


@pytest.fixture(scope="module")
def clock(tmp_path_factory):
    """A library that tells another time of day, and the file that says how much later it is."""
    folder = tmp_path_factory.mktemp("clock")
    source = Path(__file__).resolve().parents[1] / "fakes/clock.c"
    subprocess.run(["cc", "-shared", "-fPIC", "-O1", "-o", folder / "clock.so", source, "-ldl"], check=True)
    return folder


def test_time_that_goes_backwards(daemon, backend, clock):
    """By a day, as when a machine learns the right time: nothing is late, nothing waits for tomorrow."""
    at = clock / "offset"
    at.write_bytes(struct.pack("q", 0))
    edged = daemon(
        {"timeouts": {"http_keep_alive": "500ms"}}, [{"host": "*", "to": [backend().address]}],
        {"LD_PRELOAD": str(clock / "clock.so"), "EDGED_TEST_CLOCK": str(at)},
    )
    with edged.connect() as kept:
        assert kept.ask().status == 200
        with at.open("r+b") as file:
            file.write(struct.pack("q", -86_400))
        assert kept.ask().status == 200          # a connection from before
        began_s = time.monotonic()
        assert kept.until_gone() == b""          # its idle time ends when it should
        assert 0.3 < time.monotonic() - began_s < 10
    edged.change_routes([{"host": "later.test", "to": [backend().address]}])
    assert get(edged.address(), host="later.test").status == 200
    status, told = ctl(edged, "status")
    assert status == 0
    assert 0 < told["uptime_s"] < 600
    assert ctl(edged, "reload")[0] == 0
    assert get(edged.address(), host="later.test").status == 200
