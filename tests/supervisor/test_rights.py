"""Whom the processes of a daemon run as, and what they may: as the kernel shows it."""

import os
import pwd
import shutil
import signal
import stat
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from edged.rights import KEPT_BY_SUPERVISOR
from tests.fakes.daemon import ROOT, Daemon

NONE = "0" * 16
IS_ROOT = os.geteuid() == 0


def status(pid):
    return dict(line.split(":\t", 1) for line in Path(f"/proc/{pid}/status").read_text().splitlines() if ":\t" in line)


def somebody():
    """Whom children can run as here: nobody, if that user may read this very program; root at least; or whoever we are."""
    if not IS_ROOT:
        return pwd.getpwuid(os.geteuid())
    nobody = pwd.getpwnam("nobody")
    try:
        subprocess.run(
            [sys.executable, "-P", "-c", "import edged.cli"], cwd="/", user=nobody.pw_uid, group=nobody.pw_gid, extra_groups=[],
            env=os.environ | {"PYTHONPATH": str(ROOT)}, capture_output=True, check=True,
        )
    except (subprocess.CalledProcessError, PermissionError):
        return pwd.getpwnam("root")
    return nobody


@pytest.fixture(scope="module")
def user():
    return somebody()


@pytest.fixture
def directory():
    """One that every user can reach."""
    path = Path(tempfile.mkdtemp(prefix="edged-rights-"))
    path.chmod(0o755)
    yield path
    shutil.rmtree(path)


@pytest.fixture
def daemon(directory, user):
    run = f'[run]\nuser = "{user.pw_name}"\nruntime_dir = "{directory}/run"\nstate_dir = "{directory}/state"\n'
    one = Daemon(directory, '[[listener]]\naddress = "127.0.0.1:0"\n[worker]\ncount = 2\n' + run, {})
    yield one.ready()
    if one.process.poll() is None:
        one.end()


def test_children_run_as_the_user_with_its_groups(daemon, user):
    children = daemon.children()
    assert len(children) == 3
    for pid in children.values():
        told = status(pid)
        assert told["Uid"].split() == [str(user.pw_uid)] * 4
        assert told["Gid"].split() == [str(user.pw_gid)] * 4
        expected = os.getgrouplist(user.pw_name, user.pw_gid) if IS_ROOT else os.getgroups()
        assert sorted(map(int, told["Groups"].split())) == sorted(expected)


def test_the_supervisor_keeps_what_a_reload_needs(daemon):
    told = status(daemon.process.pid)
    here = int(status(os.getpid())["CapPrm"], 16)
    kept = f"{sum(1 << capability for capability in KEPT_BY_SUPERVISOR) & here:016x}"
    assert [told[name] for name in ("CapInh", "CapPrm", "CapEff")] == [kept] * 3
    assert told["NoNewPrivs"] == "1"
    assert told["CapBnd"] == NONE or not IS_ROOT
    assert told["Uid"].split() == [str(os.geteuid())] * 4


def test_children_have_no_capability_and_gain_none(daemon):
    for pid in daemon.children().values():
        told = status(pid)
        assert [told[name] for name in ("CapInh", "CapPrm", "CapEff", "CapAmb")] == [NONE] * 4
        assert told["NoNewPrivs"] == "1"
        assert told["CapBnd"] == NONE or not IS_ROOT


def test_a_reload_binds_and_starts_with_what_is_left(daemon, user):
    """A new listener, new processes as the same user, and the old ones ended."""
    before = daemon.children()
    daemon.config.write_text(daemon.config.read_text() + '[[listener]]\nname = "more"\naddress = "127.0.0.1:0"\n')
    daemon.send(signal.SIGHUP)
    daemon.said(r'listening on 127\.0\.0\.1:\d+ \(http, "more"\)')
    daemon.said("generation 1 has left")
    after = daemon.children()
    assert set(after.values()).isdisjoint(before.values())
    for pid in after.values():
        assert status(pid)["Uid"].split() == [str(user.pw_uid)] * 4
        assert status(pid)["CapEff"] == NONE


def test_whoever_is_root_already_needs_to_be_no_other_user(directory):
    """And children of a root that stays root have no capability either."""
    places = f'[run]\nruntime_dir = "{directory}/run"\nstate_dir = "{directory}/state"\n'
    one = Daemon(directory, '[[listener]]\naddress = "127.0.0.1:0"\n[worker]\ncount = 1\n' + places, {}).ready()
    for pid in one.children().values():
        assert [status(pid)[name] for name in ("CapPrm", "CapEff")] == [NONE] * 2
        assert status(pid)["Uid"].split() == [str(os.geteuid())] * 4
    assert one.end() == 0


def test_it_serves_and_leaves_nothing_in_its_directories(daemon, directory, user):
    assert daemon.ask()
    assert [stat.S_IMODE((directory / name).stat().st_mode) for name in ("run", "state")] == [0o755, 0o750]
    assert ((directory / "run").stat().st_uid, (directory / "state").stat().st_uid) == (user.pw_uid, user.pw_uid)
    assert (directory / "run/ctl.sock").stat().st_uid == user.pw_uid
    assert daemon.end() == 0
    assert os.listdir(directory / "run") == []
