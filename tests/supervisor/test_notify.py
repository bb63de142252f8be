"""What the service manager is told, over a real socket, and what it tells us."""

import fcntl
import os
import socket
import subprocess
import sys
import time
import uuid

import pytest

from edged.supervisor import notify as room
from edged.supervisor.notify import forget, given_sockets, notify, reloading, store, store_most, watchdog_s
from tests.fakes.manager import Manager


@pytest.fixture(params=["path", "abstract"])
def manager(request, tmp_path, monkeypatch):
    one = Manager(tmp_path / "notify" if request.param == "path" else f"@edged-{uuid.uuid4()}")
    monkeypatch.setenv("NOTIFY_SOCKET", one.address)
    yield one
    one.close()


def test_lines_are_one_message(manager):
    notify("READY=1", "MAINPID=17", "STATUS=serving, as ever")
    assert manager.receive() == ["READY=1", "MAINPID=17", "STATUS=serving, as ever"]
    assert manager.all() == []


def test_a_reload_tells_the_time_of_the_monotonic_clock(manager):
    before = time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000
    reloading()
    first, second = manager.receive()
    assert first == "RELOADING=1"
    assert before <= int(second.removeprefix("MONOTONIC_USEC=")) <= time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000


def test_descriptors_are_kept_by_name_and_forgotten(manager):
    with socket.socket() as one, socket.socket() as two:
        store("web/0", [one.fileno(), two.fileno()])
        assert manager.receive() == ["FDSTORE=1", "FDNAME=web/0", "FDPOLL=0"]
        assert [name for name, _ in manager.stored] == ["web/0"] * 2
        assert [os.fstat(fd).st_ino for _, fd in manager.stored] == [os.fstat(sock.fileno()).st_ino for sock in (one, two)]
    forget("web/0")
    assert manager.receive() == ["FDSTOREREMOVE=1", "FDNAME=web/0"]
    assert manager.stored == []


def test_more_descriptors_than_a_message_carries_are_several_messages(manager):
    with socket.socket() as one:
        store("many", [one.fileno()] * 251)
    manager.receive()
    assert len(manager.stored) == 250
    manager.receive()
    assert len(manager.stored) == 251


def test_nobody_is_told_anything_where_nobody_asks(monkeypatch, caplog):
    monkeypatch.delenv("NOTIFY_SOCKET", raising=False)
    notify("READY=1")
    monkeypatch.setenv("NOTIFY_SOCKET", "vsock:2:1234")
    notify("READY=1")
    assert caplog.text == ""


def test_a_manager_that_is_gone_harms_nothing(monkeypatch, caplog, tmp_path):
    monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "none"))
    notify("READY=1")
    assert "the service manager cannot be told READY=1: No such file or directory" in caplog.text


def test_a_manager_that_reads_nothing_holds_nobody_up_for_long(manager, monkeypatch, caplog):
    monkeypatch.setattr(room, "_SEND_S", 0.05)
    began_s = time.monotonic()
    while not caplog.records:
        notify("WATCHDOG=1")
        assert time.monotonic() - began_s < 20
    assert "the service manager cannot be told WATCHDOG=1" in caplog.text


@pytest.mark.parametrize(
    ("environ", "seconds"),
    [
        ({}, 0.0),
        ({"WATCHDOG_USEC": "30000000"}, 30.0),
        ({"WATCHDOG_USEC": "1500000", "WATCHDOG_PID": str(os.getpid())}, 1.5),
        ({"WATCHDOG_USEC": "1500000", "WATCHDOG_PID": "1"}, 0.0),
        ({"WATCHDOG_USEC": "soon"}, 0.0),
        ({"WATCHDOG_USEC": "-1"}, 0.0),
    ],
)
def test_how_long_the_watchdog_waits(environ, seconds):
    assert watchdog_s(environ) == seconds


@pytest.mark.parametrize(
    ("environ", "most"),
    [({}, 0), ({"FDSTORE": "64", "NOTIFY_SOCKET": "/n"}, 64), ({"FDSTORE": "64"}, 0), ({"FDSTORE": "many", "NOTIFY_SOCKET": "/n"}, 0)],
)
def test_how_much_is_kept_for_us(environ, most):
    assert store_most(environ) == most


# The descriptors of a service manager begin at 3: a process of its own is given them.
GIVEN = """
import os, sys
from edged.supervisor.notify import given_sockets
os.environ["LISTEN_PID"] = str(os.getpid())
for name, sock in given_sockets():
    print(name, sock.fileno(), sock.getsockname()[1], os.get_inheritable(sock.fileno()), sock.getblocking())
print(sorted(name for name in os.environ if name.startswith("LISTEN_")))
"""


def started_with(fds, environ):
    """Whoever runs GIVEN has these descriptors from 3 on."""
    def put():
        copies = [fcntl.fcntl(fd, fcntl.F_DUPFD, 900) for fd in fds]
        for number, fd in enumerate(copies):
            os.dup2(fd, 3 + number)

    done = subprocess.run(
        [sys.executable, "-c", GIVEN], preexec_fn=put, pass_fds=range(3, 3 + len(fds)), env=os.environ | environ, capture_output=True,
        text=True, check=True,
    )
    return done.stdout.splitlines(), done.stderr


def test_given_sockets_have_their_names_and_are_no_childs():
    with socket.create_server(("127.0.0.1", 0)) as one, socket.create_server(("127.0.0.1", 0)) as two:
        lines, _ = started_with([one.fileno(), two.fileno()], {"LISTEN_FDS": "2", "LISTEN_FDNAMES": "web:site/1", "LISTEN_PIDFDID": "9"})
        ports = [one.getsockname()[1], two.getsockname()[1]]
    assert lines == [f"web 3 {ports[0]} False False", f"site/1 4 {ports[1]} False False", "[]"]


def test_a_given_descriptor_without_a_name_or_that_is_no_socket():
    with socket.create_server(("127.0.0.1", 0)) as one, open("/dev/null") as no_socket:
        lines, stderr = started_with([no_socket.fileno(), one.fileno()], {"LISTEN_FDS": "2", "LISTEN_FDNAMES": "odd"})
        assert lines == [f" 4 {one.getsockname()[1]} False False", "[]"]
    assert 'descriptor 3 of the service manager, "odd", is no socket: Socket operation on non-socket' in stderr


@pytest.mark.parametrize("environ", [
    {"LISTEN_FDS": "1", "LISTEN_PID": "1"}, {"LISTEN_FDS": "x", "LISTEN_PID": str(os.getpid())}, {"LISTEN_FDS": "1"}, {},
])
def test_what_is_meant_for_another_process_is_left_alone(environ):
    assert given_sockets(environ) == []
    assert environ == {}
