"""The PID file: there while the daemon serves, whatever was there before; never that of another one that lives."""

import os
import stat
import subprocess
import sys

import pytest

from edged.errors import StartError
from edged.supervisor.pidfile import PidFile

ORIGIN = "edged.toml:7"


@pytest.fixture
def make(tmp_path):
    made = []

    def go(path=tmp_path / "edged.pid"):
        made.append(PidFile(str(path), ORIGIN))
        return made[-1]

    yield go
    for one in made:
        one.remove()


@pytest.fixture
def other(tmp_path):
    """Another process has the file."""
    script = (
        "import sys\nfrom edged.supervisor.pidfile import PidFile\n"
        "one = PidFile(sys.argv[1], 'other.toml:1')\none.place()\nprint('placed', flush=True)\nsys.stdin.read()\n"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", script, str(tmp_path / "edged.pid")], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert process.stdout.readline() == "placed\n"
    yield process
    process.kill()
    process.communicate()


def test_it_is_there_only_while_all_serve(make, tmp_path):
    one = make()
    assert not (tmp_path / "edged.pid").exists()
    before = os.umask(0o077)
    one.place()
    os.umask(before)
    assert (tmp_path / "edged.pid").read_text() == f"{os.getpid()}\n"
    assert stat.S_IMODE((tmp_path / "edged.pid").stat().st_mode) == 0o644
    one.remove()
    one.remove()
    assert os.listdir(tmp_path) == []


def test_where_none_is_wanted_none_is_made(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    one = PidFile("", ORIGIN)
    one.place()
    one.remove()
    assert os.listdir(tmp_path) == []


def test_a_start_that_fails_leaves_nothing(make, tmp_path):
    make().remove()
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize("stale", ["4194303\n", f"{os.getppid()}\n", ""])
def test_a_stale_one_is_replaced(make, tmp_path, stale):
    """Its process is gone, or another has got the number, or the disk was full when it was written."""
    (tmp_path / "edged.pid").write_text(stale)
    make().place()
    assert (tmp_path / "edged.pid").read_text() == f"{os.getpid()}\n"


def test_that_of_one_that_lives_is_an_error_that_names_it(make, other, tmp_path):
    with pytest.raises(StartError) as caught:
        make()
    assert str(caught.value) == f"{ORIGIN}: run.pid_file: {tmp_path}/edged.pid: another edged runs, process {other.pid}"
    other.kill()
    other.wait()
    make().place()
    assert (tmp_path / "edged.pid").read_text() == f"{os.getpid()}\n"


def test_one_that_came_meanwhile_is_an_error_too(make, tmp_path, request):
    one = make()
    other = request.getfixturevalue("other")
    with pytest.raises(StartError, match=f"another edged runs, process {other.pid}"):
        one.place()
    one.remove()
    assert os.listdir(tmp_path) == ["edged.pid"]


def test_what_is_no_pid_file_is_left_alone(make, tmp_path):
    (tmp_path / "edged.pid").write_text("precious")
    with pytest.raises(StartError, match="this is no PID file, and is left alone"):
        make()
    assert (tmp_path / "edged.pid").read_text() == "precious"


def test_a_file_that_took_our_place_is_not_removed(make, tmp_path):
    one = make()
    one.place()
    (tmp_path / "edged.pid").unlink()
    (tmp_path / "edged.pid").write_text("1\n")
    one.remove()
    assert (tmp_path / "edged.pid").read_text() == "1\n"


def test_the_same_process_takes_its_own_place_again(make, tmp_path):
    """As after a change to another program: the lock went with the descriptor, the number is the same."""
    make().place()
    make().place()
    assert (tmp_path / "edged.pid").read_text() == f"{os.getpid()}\n"


@pytest.mark.parametrize(("path", "why"), [("none/edged.pid", "No such file or directory"), (".", "Is a directory")])
def test_where_it_cannot_be_is_told_at_once(make, tmp_path, path, why):
    with pytest.raises(StartError, match=rf"^{ORIGIN}: run\.pid_file: .*: {why}$"):
        make(tmp_path / path)


FULL = """
import resource, signal, sys
from edged.errors import StartError
from edged.supervisor.pidfile import PidFile
resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))
try:
    PidFile(sys.argv[1], "edged.toml:7")
except StartError as why:
    print(why)
"""


def test_a_disk_without_room_is_told(tmp_path):
    """A limit on the size of files stands in for the end of the disk."""
    done = subprocess.run([sys.executable, "-c", FULL, str(tmp_path / "edged.pid")], capture_output=True, text=True, check=True)
    assert done.stdout == f"{ORIGIN}: run.pid_file: {tmp_path}/edged.pid: File too large\n"
    assert os.listdir(tmp_path) == []
