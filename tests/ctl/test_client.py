"""The client beside daemons that answer otherwise than ours does."""

import contextlib
import socket
import subprocess
import sys
import threading

import pytest

from edged.ctl.client import CtlError, Exit, Reply, ask
from edged.ctl.frames import SOCKET_NAME, cut, pack


@pytest.fixture
def daemon(tmp_path):
    """Answers one request with these bytes, and closes."""
    opened = []

    def go(answer):
        sock = socket.socket(socket.AF_UNIX)
        sock.bind(str(tmp_path / SOCKET_NAME))
        sock.listen()

        def attend():
            with sock.accept()[0] as s:
                buffer = bytearray()
                while (request := cut(buffer, 10_000)) is None:
                    buffer += s.recv(1000)
                opened.append(request)
                with contextlib.suppress(BrokenPipeError):
                    s.sendall(answer)

        thread = threading.Thread(target=attend)
        thread.start()
        opened.extend([sock, thread])
        return str(tmp_path), opened

    yield go
    if opened:
        opened[0].close()
        opened[1].join()


DONE = pack({"type": "done", "version": 1, "ok": True, "result": {"message": "fine"}})
PROGRESS = pack({"type": "progress", "version": 1, "message": "half way"})


def test_progress_comes_before_the_end(daemon):
    where, seen = daemon(PROGRESS + PROGRESS + DONE)
    told = []
    assert ask(where, "reload", {"a": 1}, told.append) == Reply(True, {"message": "fine"})
    assert told == ["half way"] * 2
    assert seen[2] == {"version": 1, "verb": "reload", "arguments": {"a": 1}}


@pytest.mark.parametrize("n", [0, 3, 4, len(DONE) - 1])
def test_a_daemon_that_ends_before_it_answered(daemon, n):
    where, _ = daemon(PROGRESS + DONE[:n])
    with pytest.raises(CtlError, match="before it answered") as caught:
        ask(where, "reload", {}, lambda line: None)
    assert caught.value.status is Exit.GONE


@pytest.mark.parametrize(
    ("answer", "status", "told"),
    [
        (b"HTTP/1.1 400 Bad Request\r\n\r\n", Exit.STRANGE, "no edged"),
        (pack({"type": "finished", "version": 7}), Exit.STRANGE, "another version: 7, this is 1"),
        (pack({"type": "refused", "reason": "denied", "message": "not you"}), Exit.DENIED, "not you"),
        (pack({"type": "refused", "reason": "version", "message": "old"}), Exit.STRANGE, "old"),
        (pack({"type": "refused", "reason": "verb", "message": "what"}), Exit.STRANGE, "what"),
        (pack({"type": "refused", "reason": "state", "message": "not now"}), Exit.FAILED, "not now"),
    ],
)
def test_what_a_daemon_refuses_is_told_apart(daemon, answer, status, told):
    where, _ = daemon(answer)
    with pytest.raises(CtlError, match=told) as caught:
        ask(where, "status", {}, lambda line: None)
    assert caught.value.status is status


def test_no_directory_and_no_socket_mean_no_daemon(tmp_path):
    for where in (tmp_path / "none", tmp_path):
        with pytest.raises(CtlError, match="no daemon runs here: there is no ") as caught:
            ask(str(where), "status", {}, lambda line: None)
        assert caught.value.status is Exit.NO_DAEMON


def test_a_socket_that_was_left_behind_means_no_daemon(tmp_path):
    with socket.socket(socket.AF_UNIX) as sock:
        sock.bind(str(tmp_path / SOCKET_NAME))
    with pytest.raises(CtlError, match="was left behind by one that was killed") as caught:
        ask(str(tmp_path), "status", {}, lambda line: None)
    assert caught.value.status is Exit.NO_DAEMON


def test_a_stop_waits_for_the_end_of_the_process(tmp_path):
    program = (
        "import socket, sys, time; from edged.ctl.frames import pack\n"
        "s = socket.socket(socket.AF_UNIX); s.bind(sys.argv[1]); s.listen(); print('up', flush=True)\n"
        "c = s.accept()[0]; c.recv(1000); c.sendall(pack({'type': 'done', 'ok': True, 'result': {}})); c.close(); time.sleep(0.3)\n"
    )
    with subprocess.Popen([sys.executable, "-c", program, tmp_path / SOCKET_NAME], stdout=subprocess.PIPE) as process:
        process.stdout.readline()
        ask(str(tmp_path), "stop", {}, lambda line: None, until_gone=True)
        assert process.wait(0.5) == 0
