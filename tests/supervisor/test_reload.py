"""Generations, with children that carry no traffic to speak of."""

import contextlib
import os
import re
import signal
import socket
import time
from pathlib import Path

import pytest

from tests.fakes.daemon import gone, wait_for

WEB = '[[listener]]\naddress = "127.0.0.1:0"\nname = "web"\n'
TWO = WEB + "[worker]\ncount = 2\n"


def doors(daemon, port):
    """Inodes of the sockets that listen on a port, of those that the supervisor has."""
    rows = [row.split() for row in Path("/proc/net/tcp").read_text().splitlines()[1:]]
    listening = {f"socket:[{row[9]}]" for row in rows if row[3] == "0A" and row[1].endswith(f":{port:04X}")}
    held = set()
    for fd in Path(f"/proc/{daemon.process.pid}/fd").iterdir():
        with contextlib.suppress(FileNotFoundError):
            held.add(os.readlink(fd))
    return listening & held


def change(daemon, settings):
    tail = daemon.config.read_text().partition("[run]")[2]
    daemon.config.write_text(settings + "[run]" + tail)


def more_run(daemon, line):
    daemon.config.write_text(daemon.config.read_text() + line + "\n")


def reload(daemon, number):
    daemon.send(signal.SIGHUP)
    daemon.said(rf"generation {number} serves")


def slots(daemon, port=None, times=40):
    answers = set()
    for _ in range(times):
        with socket.create_connection(("127.0.0.1", port or daemon.port()), timeout=20) as s:
            name, slot, *_ = s.makefile().read().split()
            answers.add((name, int(slot)))
    return answers


def processes(daemon):
    """All children, of whatever generation."""
    return [int(pid) for pid in Path(f"/proc/{daemon.process.pid}/task/{daemon.process.pid}/children").read_text().split()]


def fail(daemon, name):
    (daemon.fakes / f"fail-{name}").touch()


def test_all_processes_are_others_and_the_sockets_are_the_same(start):
    daemon = start(TWO).ready()
    before, sockets = set(daemon.children().values()), doors(daemon, daemon.port())
    reload(daemon, 2)
    wait_for(lambda: all(gone(pid) for pid in before))
    daemon.said("generation 1 has left: 0 exchanges finished, 0 handed over, 0 cut")
    assert sorted(daemon.children()) == ["edged control", "edged worker 0", "edged worker 1"]
    assert doors(daemon, daemon.port()) == sockets
    assert len(sockets) == 2
    assert slots(daemon) == {("worker-0", 0), ("worker-1", 1)}
    assert daemon.end() == 0


def test_until_the_new_generation_serves_the_old_one_does(start):
    daemon = start(TWO).ready()
    before = {daemon.ask()[2] for _ in range(40)}
    daemon.hold("worker-1")
    daemon.send(signal.SIGHUP)
    wait_for(lambda: len(processes(daemon)) == 6)
    assert {daemon.ask()[2] for _ in range(40)} == before
    daemon.release("worker-1")
    daemon.said("generation 2 serves")
    wait_for(lambda: not before & {daemon.ask()[2] for _ in range(20)})
    assert daemon.end() == 0


def test_settings_that_are_wrong_change_nothing(start):
    daemon = start(TWO).ready()
    before = daemon.children()
    change(daemon, TWO + "cuont = 3\n")
    daemon.send(signal.SIGHUP)
    daemon.said(rf'error: {re.escape(str(daemon.config))}:6: worker\.cuont: .*did you mean "count"')
    daemon.said("nothing has changed: generation 1 goes on as it is")
    assert daemon.children() == before
    change(daemon, TWO)
    reload(daemon, 2)
    assert daemon.end() == 0


@pytest.mark.parametrize("name", ["control", "worker-1"])
def test_a_generation_that_does_not_come_up_changes_nothing(start, name):
    daemon = start(TWO).ready()
    before, sockets = daemon.children(), doors(daemon, daemon.port())
    fail(daemon, name)
    change(daemon, TWO.replace("count = 2", "count = 3"))
    daemon.send(signal.SIGHUP)
    daemon.said(rf"error: {name.replace('-', ' ')} \(process \d+\) left with status 3 before anything was served; its own lines say why")
    daemon.said("nothing has changed: generation 1 goes on as it is")
    wait_for(lambda: daemon.children() == before)
    assert doors(daemon, daemon.port()) == sockets
    daemon.said("fake control: resume")
    (daemon.fakes / f"fail-{name}").unlink()
    reload(daemon, 3)
    assert slots(daemon, times=60) == {("worker-0", 0), ("worker-1", 1), ("worker-2", 2)}
    assert daemon.end() == 0


def test_an_address_that_is_taken_changes_nothing(start):
    daemon = start(TWO).ready()
    before = daemon.children()
    with socket.create_server(("127.0.0.1", 0)) as holder:
        address = f"127.0.0.1:{holder.getsockname()[1]}"
        change(daemon, TWO + f'[[listener]]\nname = "more"\naddress = "{address}"\n')
        daemon.send(signal.SIGHUP)
        daemon.said(rf'error: listener "more": {address}: taken by ')
        daemon.said("nothing has changed")
    assert daemon.children() == before
    assert daemon.end() == 0


def test_listeners_come_and_go(start):
    daemon = start(TWO).ready()
    change(daemon, TWO + '[[listener]]\nname = "more"\naddress = "127.0.0.1:0"\n')
    reload(daemon, 2)
    port = int(daemon.said(r'listening on 127\.0\.0\.1:(\d+) \(http, "more"\)')[1])
    assert slots(daemon, port) == slots(daemon) == {("worker-0", 0), ("worker-1", 1)}
    change(daemon, TWO)
    reload(daemon, 3)
    daemon.said(rf'no longer listening on 127\.0\.0\.1:{port} \(http, "more"\)')
    daemon.said("generation 2 has left")
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", port), timeout=5)
    assert slots(daemon) == {("worker-0", 0), ("worker-1", 1)}
    assert daemon.end() == 0


def test_there_may_be_more_workers_and_fewer(start):
    daemon = start(TWO).ready()
    for number, count in enumerate((4, 1, 3), 2):
        change(daemon, TWO.replace("count = 2", f"count = {count}"))
        reload(daemon, number)
        daemon.said(f"generation {number - 1} has left")
        assert len(doors(daemon, daemon.port())) == count
        assert slots(daemon, times=100) == {(f"worker-{slot}", slot) for slot in range(count)}
    assert daemon.end() == 0


def test_reloads_that_are_asked_for_during_a_reload_are_one(start):
    daemon = start(TWO).ready()
    daemon.hold("control")
    daemon.send(signal.SIGHUP)
    wait_for(lambda: len(processes(daemon)) == 6)
    for asked in range(2, 5):
        daemon.send(signal.SIGHUP)
        wait_for(lambda asked=asked: len([line for line in daemon.lines() if "SIGHUP" in line]) == asked)
    daemon.release("control")
    daemon.said("generation 3 serves")
    daemon.said("generation 2 has left")
    assert not any("generation 4" in line for line in daemon.lines())
    assert daemon.end() == 0


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_an_end_during_a_reload_ends_both_generations(start, number):
    daemon = start(TWO).ready()
    daemon.hold("worker-1")
    daemon.send(signal.SIGHUP)
    pids = wait_for(lambda: len(found := processes(daemon)) == 6 and found)
    assert daemon.end(number) == 0
    assert all(gone(pid) for pid in pids)
    assert any("nothing was read again: the daemon is stopping" in line for line in daemon.lines())


def test_of_too_many_that_drain_the_oldest_is_ended(start):
    daemon = start(TWO).ready()
    more_run(daemon, "generations_most = 2")
    (daemon.fakes / "deaf").touch()
    first = daemon.children()["edged worker 0"]
    for number in (2, 3):
        reload(daemon, number)
    assert not gone(first)
    reload(daemon, 4)
    daemon.said("generation 1 is ended: more than 2 would drain")
    daemon.said("generation 1 has left")
    assert gone(first)
    assert daemon.end(signal.SIGINT) == 0


def test_the_deadline_ends_what_drains(start):
    daemon = start(TWO).ready()
    more_run(daemon, 'drain_timeout = "200ms"')
    (daemon.fakes / "deaf").touch()
    before = daemon.children()
    reload(daemon, 2)
    daemon.said("generation 1 has left")
    assert all(gone(pid) for pid in before.values())
    assert daemon.end(signal.SIGINT) == 0


@pytest.mark.parametrize(("exchanges", "tunnels"), [("50ms", "400ms"), ("400ms", "50ms")])
def test_the_deadline_is_the_longer_one(start, exchanges, tunnels):
    daemon = start(TWO).ready()
    more_run(daemon, f'drain_timeout = "{exchanges}"\ntunnel_drain_timeout = "{tunnels}"')
    (daemon.fakes / "deaf").touch()
    reload(daemon, 2)
    began_s = time.monotonic()                   # or a moment after it
    daemon.said(f"fake worker-1: drains: {exchanges[:-2]} ms, tunnels {tunnels[:-2]} ms")
    daemon.said("generation 1 has left")
    assert time.monotonic() - began_s > 0.3
    assert daemon.end(signal.SIGINT) == 0


def test_what_workers_cut_is_added_to_what_they_leave_open(start):
    daemon = start(TWO).ready()
    for name, text in (("open-worker-0", "3"), ("cut-worker-0", "2"), ("cut-worker-1", "5")):
        (daemon.fakes / name).write_text(text)
    daemon.hold("drain-worker-0")
    first = daemon.children()["edged worker 0"]
    reload(daemon, 2)
    daemon.said("fake worker-0: has told")
    os.kill(first, signal.SIGKILL)
    daemon.said("generation 1 has left: 0 exchanges finished, 0 handed over, 10 cut")
    assert daemon.end(signal.SIGINT) == 0


def test_control_is_told_what_there_is_beside_it(start):
    daemon = start(TWO).ready()
    reload(daemon, 2)
    daemon.said("generation 1 has left")
    daemon.said("fake control: others {'control': False, 'workers': False}")
    told = [line.partition("others ")[2] for line in daemon.lines() if "fake control: others" in line]
    assert told[0] == "{'control': True, 'workers': True}"
    assert daemon.end() == 0


def test_a_control_that_dies_during_a_reload_waits_for_its_outcome(start):
    daemon = start(TWO).ready()
    first = daemon.children()["edged control"]
    daemon.hold("worker-1")
    daemon.send(signal.SIGHUP)
    wait_for(lambda: len(processes(daemon)) == 6)
    os.kill(first, signal.SIGKILL)
    daemon.said(rf"control \(process {first}\) was ended by SIGKILL")
    daemon.release("worker-1")
    daemon.said("generation 2 serves")
    daemon.said("generation 1 has left")
    assert len(daemon.children()) == 3
    assert daemon.end() == 0


def test_each_worker_has_a_stripe_of_its_own(start):
    daemon = start(TWO).ready()
    (daemon.fakes / "deaf").touch()              # so that all are there at once
    for number in (2, 3):
        reload(daemon, number)
    stripes = wait_for(lambda: (found := [line.split()[-1] for line in daemon.lines() if "stripe" in line])[5:] and found)
    assert sorted(stripes) == ["0", "1", "2", "3", "4", "5"]
    assert daemon.end(signal.SIGINT) == 0


def test_reloads_leave_nothing_behind(start):
    daemon = start(TWO).ready()
    reload(daemon, 2)
    daemon.said("generation 1 has left")

    def descriptors():
        return len(os.listdir(f"/proc/{daemon.process.pid}/fd"))

    before = descriptors()
    for number in range(3, 6):
        reload(daemon, number)
        daemon.said(f"generation {number - 1} has left")
    wait_for(lambda: descriptors() == before)
    assert len(daemon.children()) == 3
    assert daemon.end() == 0


def takers(daemon, giver):
    """Names and process ids of those who were to take the tunnels of a worker, one after another."""
    return re.findall(rf"fake (worker-\d) \((\d+)\): takes the tunnels of worker-\d \({giver}\)", "\n".join(daemon.lines()))


def workers(daemon):
    return {name: pid for name, pid in daemon.children().items() if "worker" in name}


def test_tunnels_go_to_the_worker_of_the_same_slot(start):
    daemon = start(TWO).ready()
    old = workers(daemon)
    reload(daemon, 2)
    wait_for(lambda: all(gone(pid) for pid in old.values()))
    for slot in (0, 1):
        ((name, pid),) = takers(daemon, old[f"edged worker {slot}"])
        assert name == f"worker-{slot}"
        assert int(pid) == workers(daemon)[f"edged worker {slot}"]
    assert daemon.end() == 0


def test_tunnels_go_to_fewer_workers(start):
    daemon = start(TWO).ready()
    old = workers(daemon)
    change(daemon, WEB + "[worker]\ncount = 1\n")
    reload(daemon, 2)
    wait_for(lambda: all(gone(pid) for pid in old.values()))
    assert [name for pid in old.values() for name, _ in takers(daemon, pid)] == ["worker-0", "worker-0"]
    assert daemon.end() == 0


def test_tunnels_that_stayed_may_go_at_the_next_reload(start):
    daemon = start(WEB + "[worker]\ncount = 1\n").ready()
    daemon.hold("drain-worker-0")
    old = workers(daemon)["edged worker 0"]
    reload(daemon, 2)
    wait_for(lambda: len(takers(daemon, old)) == 1)
    reload(daemon, 3)
    wait_for(lambda: len(takers(daemon, old)) == 2)
    assert len({pid for _, pid in takers(daemon, old)}) == 2
    daemon.release("drain-worker-0")
    assert daemon.end() == 0


def test_a_worker_that_is_started_again_takes_what_is_left(start):
    daemon = start(WEB + "[worker]\ncount = 1\n").ready()
    daemon.hold("drain-worker-0")
    old = workers(daemon)["edged worker 0"]
    reload(daemon, 2)
    ((_, taker),) = wait_for(lambda: takers(daemon, old))
    os.kill(int(taker), signal.SIGKILL)
    wait_for(lambda: len(takers(daemon, old)) == 2)
    daemon.release("drain-worker-0")
    assert daemon.end() == 0
