import gc
import os
import re
import signal
import sys

import msgpack
import pytest
import trio
import trio.lowlevel
import trio.testing

from edged import wire
from edged.supervisor import children
from edged.supervisor.children import UNREAD_MOST, Backoff, Child, Identity, how_it_ended

DEAF = "import sys, socket, time; socket.socket(fileno=int(sys.argv[1])); time.sleep(600)"


@pytest.fixture
def runs(monkeypatch):
    """Lets children run a piece of Python; its first argument is the wire's descriptor."""

    def go(code):
        monkeypatch.setattr(children, "command", lambda wing, index, fd: [sys.executable, "-c", code, str(fd)])

    return go


async def nobody_hears(child, message, fds):
    raise AssertionError(message)


def test_a_child_that_is_killed_now_and_then_is_back_at_once():
    backoff = Backoff()
    assert [backoff.pause_s(60) for _ in range(5)] == [0.0] * 5


def test_a_child_that_keeps_dying_young_is_tried_ever_more_slowly():
    backoff = Backoff()
    assert [backoff.pause_s(0.1) for _ in range(10)] == [0.0, 0.25, 0.5, 1.0, 2.0, 4.0, 8.0, 16.0, 30.0, 30.0]
    assert backoff.pause_s(11) == 0.0
    assert backoff.pause_s(0.1) == 0.25


@pytest.mark.parametrize(
    ("code", "end"),
    [("raise SystemExit(7)", "left with status 7"), ("import os; os.abort()", "was ended by SIGABRT")],
)
def test_the_end_of_a_child_is_told(runs, code, end):
    runs(code)

    async def main():
        return await Child.start("worker", 0, None).attend(nobody_hears)

    before = os.listdir("/proc/self/fd")
    assert how_it_ended(trio.run(main)) == end
    assert os.listdir("/proc/self/fd") == before


LAST_WORDS = """
import os, struct, sys
for number in range(100):
    body = b"\\x82\\xa4type\\xa4news\\xa6number" + bytes([number])
    os.write(int(sys.argv[1]), struct.pack(sys.argv[2], len(body)) + body)
"""


def test_what_a_child_says_before_it_ends_is_heard_to_the_last_word(runs, monkeypatch):
    runs(LAST_WORDS.replace("sys.argv[2]", repr(wire._LENGTH.format)))
    heard = []

    async def hear(child, message, fds):
        heard.append(message["number"])

    async def main():
        child = Child.start("worker", 0, None)
        os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)  # noqa: ASYNC222 - its end and its words are noticed at the same moment
        return await child.attend(hear)

    assert trio.run(main) == 0
    assert heard == list(range(100))


def test_a_child_that_reads_nothing_is_killed(runs):
    runs(DEAF)

    async def main():
        child = Child.start("worker", 3, None)
        async with trio.open_nursery() as nursery:
            ended = []
            nursery.start_soon(lambda: keep(child, ended))
            while not ended:
                child.tell({"type": "load", "bytes": bytes(100_000)}, [0])
                await trio.lowlevel.checkpoint()
        return ended[0]

    async def keep(child, ended):
        ended.append(await child.attend(nobody_hears))

    before = os.listdir("/proc/self/fd")
    assert trio.run(main) == -signal.SIGKILL
    assert UNREAD_MOST < 1000
    assert os.listdir("/proc/self/fd") == before


def test_a_child_that_sends_nonsense_is_killed(runs):
    runs("import sys, os, time; os.write(int(sys.argv[1]), b'\\xff' * 8); time.sleep(600)")

    async def main():
        return await Child.start("control", 0, None).attend(nobody_hears)

    assert trio.run(main) == -signal.SIGKILL


def test_a_child_that_closes_its_wire_and_stays_is_killed(runs, monkeypatch):
    monkeypatch.setattr(children, "LEAVE_S", 0.01)
    runs("import sys, os, time; os.close(int(sys.argv[1])); time.sleep(600)")

    async def main():
        return await Child.start("control", 0, None).attend(nobody_hears)

    assert trio.run(main) == -signal.SIGKILL


def test_a_child_does_not_outlive_the_one_who_attends_it(runs):
    runs(DEAF)

    async def main():
        child = Child.start("worker", 0, None)
        with trio.move_on_after(0.01):
            await child.attend(nobody_hears)
        return child.pid

    pid = trio.run(main)
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)


def test_a_child_that_cannot_be_started_leaks_nothing(monkeypatch):
    monkeypatch.setattr(children, "command", lambda wing, index, fd: ["/does/not/exist"])

    async def main():
        with pytest.raises(FileNotFoundError):
            Child.start("worker", 0, None)

    gc.collect()                                 # what earlier tests left is not our concern
    before = len(os.listdir("/proc/self/fd"))
    trio.run(main)
    assert len(os.listdir("/proc/self/fd")) == before


def test_a_child_runs_as_whom_it_should(monkeypatch, capfd):
    """Root becomes somebody else; anybody else can only stay who he is."""
    user = 65534 if os.geteuid() == 0 else os.geteuid()
    groups = (65534,) if os.geteuid() == 0 else tuple(os.getgroups())
    identity = Identity(user, 65534, groups) if os.geteuid() == 0 else None
    monkeypatch.setattr(children, "command", lambda wing, index, fd: ["/bin/cat", "/proc/self/status"])

    async def main():
        return await Child.start("worker", 0, identity).attend(nobody_hears)

    monkeypatch.setattr(children, "LEAVE_S", 20.0)
    assert trio.run(main) == 0
    status = capfd.readouterr().out
    assert re.search(rf"Uid:\t{user}\t{user}\t{user}\t{user}\n", status)
    assert {int(group) for group in re.search(r"Groups:\t(.*)", status)[1].split()} == set(groups)


def test_keys_of_the_environment_do_not_go_on(monkeypatch, capfd):
    monkeypatch.setenv("DEFAULT_CERTIFICATE", "a private key")
    monkeypatch.setenv("ROUTER_DOMAIN", "apps.test")
    monkeypatch.setenv("NOTIFY_SOCKET", "/run/systemd/notify")
    monkeypatch.setenv("WATCHDOG_USEC", "30000000")
    monkeypatch.setattr(children, "command", lambda wing, index, fd: ["/usr/bin/env"])

    async def main():
        return await Child.start("worker", 0, None).attend(nobody_hears)

    monkeypatch.setattr(children, "LEAVE_S", 20.0)
    assert trio.run(main) == 0
    told = capfd.readouterr().out
    assert "ROUTER_DOMAIN=apps.test" in told
    assert "a private key" not in told
    assert not re.search("NOTIFY_SOCKET|WATCHDOG", told)


def test_signals_are_blocked_until_the_child_ignores_them(monkeypatch, capfd):
    monkeypatch.setattr(children, "command", lambda wing, index, fd: ["/bin/cat", "/proc/self/status"])

    async def main():
        return await Child.start("worker", 0, None).attend(nobody_hears)

    assert trio.run(main) == 0
    blocked = int(re.search(r"SigBlk:\t(\w+)", capfd.readouterr().out)[1], 16)
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGUSR1):
        assert blocked >> (number - 1) & 1
    assert signal.pthread_sigmask(signal.SIG_BLOCK, []) == set()


async def until(true):
    with trio.fail_after(20):
        while not true():  # noqa: ASYNC110 - nobody tells
            await trio.sleep(0.005)


ECHO = """
import os, sys, trio
from edged.wire import Wire, WireClosed

async def main():
    wire = Wire.from_fd(int(sys.argv[1]))
    try:
        while True:
            message, fds = await wire.receive()
            await wire.send({"type": "echo", "n": message["n"], "bytes": len(message["load"]), "fds": len(fds)})
            for fd in fds:
                os.close(fd)
    except WireClosed:
        pass

trio.run(main)
"""


def test_a_child_that_is_spared_goes_on_with_whoever_takes_it_over(runs):
    """It is stopped in the middle of a message, with others behind it: none is lost, torn or told twice."""
    runs(ECHO)
    heard = []

    async def hear(child, message, fds):
        heard.append((message["n"], message["bytes"], message["fds"]))

    async def attended(child, play):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(child.attend, hear)
            await play()
            nursery.cancel_scope.cancel()

    async def main():
        child = Child.start("worker", 2, None)

        async def tell_while_it_is_stopped():
            child.tell({"type": "load", "n": 0, "load": b""})
            await until(lambda: len(heard) == 1)
            os.kill(child.pid, signal.SIGSTOP)
            for n in range(1, 5):
                child.tell({"type": "load", "n": n, "load": bytes(1_000_000)}, [0])
            await trio.testing.wait_all_tasks_blocked(0.05)
            child.spare()

        await attended(child, tell_while_it_is_stopped)
        left = child.leave_behind()
        assert left["wire"]["unsent"]
        assert len(left["unsent"]) == 3
        assert len(left["fds"]) == 1 + 3
        again = Child.taken_over(msgpack.unpackb(msgpack.packb(left), strict_map_key=False))
        assert (again.name, again.pid) == (child.name, child.pid)
        os.kill(again.pid, signal.SIGCONT)
        await attended(again, lambda: until(lambda: len(heard) == 5))

    before = os.listdir("/proc/self/fd")
    trio.run(main)
    assert heard == [(0, 0, 0), *((n, 1_000_000, 1) for n in range(1, 5))]
    assert os.listdir("/proc/self/fd") == before


def test_what_came_in_part_is_heard_by_whoever_takes_over(runs):
    runs("import socket, sys, time\ns = socket.socket(fileno=int(sys.argv[1]))\ns.sendall(b'\\0\\0\\0\\x0b\\x81\\xa4ty')\n"
         "s.recv(1)\ns.sendall(b'pe\\xa4ping')\ntime.sleep(600)\n")
    heard = []

    async def hear(child, message, fds):
        heard.append(message)

    async def main():
        child = Child.start("worker", 2, None)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(child.attend, hear)
            await until(lambda: child._wire._received[4:])
            child.spare()
            nursery.cancel_scope.cancel()
        again = Child.taken_over(child.leave_behind())
        again.tell({"type": "go"})
        async with trio.open_nursery() as nursery:
            nursery.start_soon(again.attend, hear)
            await until(lambda: heard)
            nursery.cancel_scope.cancel()

    trio.run(main)
    assert heard == [{"type": "ping"}]
