"""A child is killed: traffic goes on, and it is back within a second."""

import os
import signal
import subprocess
import sys
import threading
import time

import pytest

from tests.scenarios.harness.client import Client, get
from tests.scenarios.harness.processes import alive, descendants
from tests.scenarios.harness.settings import environment
from tests.scenarios.harness.until import until

BACK_S = 1.0


def patience_s() -> float:
    """A second; on a machine that is busy with other things, twice what it takes to start any such process."""
    began_s = time.monotonic()
    subprocess.run([sys.executable, "-P", "-c", "import edged.control.process"], env=environment(), check=True)
    return max(BACK_S, 2 * (time.monotonic() - began_s))


class Visitors:
    """Clients that come anew for each request, without a pause, and tell what went wrong."""

    def __init__(self, edged, count: int = 2) -> None:
        self.served = 0
        self.refused: list[OSError] = []
        self.failed: list[str] = []
        self._over = threading.Event()
        self._threads = [threading.Thread(target=self._visit, args=(edged.address(),)) for _ in range(count)]
        for thread in self._threads:
            thread.start()
        until(lambda: self.served > 50)

    def _visit(self, address) -> None:
        while not self._over.is_set():
            try:
                client = Client(address)
            except OSError as why:
                self.refused.append(why)
                continue
            try:
                if client.ask(Connection="close").status == 200:
                    self.served += 1
                else:
                    self.failed.append("status")
            except (OSError, EOFError) as why:
                self.failed.append(str(why))
            finally:
                client.close()

    def go_on(self, requests: int) -> None:
        goal = self.served + requests
        until(lambda: self.served > goal)

    def leave(self) -> None:
        self._over.set()
        for thread in self._threads:
            thread.join()


@pytest.fixture
def edged(daemon, backend):
    return daemon({"worker": {"count": 2}}, [{"host": "*", "to": [backend().address]}])


def kill(edged, pid: int, find) -> float:
    """Kill a child; answers after how many seconds another was in its place."""
    os.kill(pid, signal.SIGKILL)
    at_s = time.monotonic()
    until(lambda: find() not in (0, pid))
    return time.monotonic() - at_s


def test_a_worker(edged):
    visitors = Visitors(edged)
    back_most_s = patience_s()
    victim = edged.worker_pid(1)
    back_s = kill(edged, victim, lambda: edged.worker_pid(1))
    edged.until_said(rf"worker 1 \(process {victim}\) was ended by SIGKILL; it is started again")
    until(lambda: edged.arena.read_tally(1)["connections"] >= 0 and edged.arena.read_tally(1)["table_version"] > 0)
    visitors.go_on(500)
    visitors.leave()
    assert back_s < back_most_s
    assert not visitors.refused                  # its doors stayed open
    # Only what was in the victim's hands was cut, one exchange of each visitor at most.
    assert len(visitors.failed) <= 2, visitors.failed
    edged.until_idle()


def test_a_worker_again_and_again(edged):
    visitors = Visitors(edged)
    for round_ in range(3):
        index = round_ % 2
        kill(edged, edged.worker_pid(index), lambda index=index: edged.worker_pid(index))
        visitors.go_on(200)
        until(lambda: edged.sockets(0) and edged.sockets(1))
    visitors.leave()
    assert not visitors.refused
    edged.until_idle()


def test_the_gauges_of_a_killed_worker_are_put_right(edged):
    idle = [edged.connect() for _ in range(40)]
    for client in idle:
        assert client.ask().status == 200
    assert edged.gauges()["connections"] == 40
    for index in range(2):
        kill(edged, edged.worker_pid(index), lambda index=index: edged.worker_pid(index))
        until(lambda: get(edged.address()).status == 200)
    edged.until_idle()
    for client in idle:
        client.close()


def test_control(edged):
    visitors = Visitors(edged)
    back_most_s = patience_s()
    victim = edged.control_pid()
    back_s = kill(edged, victim, edged.control_pid)
    edged.until_said(rf"control \(process {victim}\) was ended by SIGKILL; it is started again")
    visitors.go_on(500)
    visitors.leave()
    assert back_s < back_most_s
    assert not visitors.refused
    assert not visitors.failed                   # nobody noticed


def test_a_new_control_takes_new_routes(edged, backend):
    other = backend(lambda peer: [peer.request(), peer.reply(b"other", Connection="close")])
    kill(edged, edged.control_pid(), edged.control_pid)
    edged.write_routes([{"host": "*", "to": [other.address]}])
    until(lambda: all(get(edged.address()).body == b"other" for _ in range(8)))


def test_a_worker_started_while_control_is_away_serves_when_it_is_back(edged):
    os.kill(edged.control_pid(), signal.SIGKILL)
    os.kill(edged.worker_pid(0), signal.SIGKILL)
    until(lambda: edged.control_pid() and edged.worker_pid(0))
    until(lambda: edged.arena.read_tally(0)["turns"] > 0)
    for _ in range(20):
        assert get(edged.address()).status == 200


def test_all_of_them_at_once(edged):
    for pid in (edged.control_pid(), edged.worker_pid(0), edged.worker_pid(1)):
        os.kill(pid, signal.SIGKILL)
    assert get(edged.address()).status == 200    # it waits in the queue of the listening socket
    edged.until_idle()


def test_children_do_not_outlive_the_supervisor(daemon, backend):
    edged = daemon({"worker": {"count": 2}}, [{"host": "*", "to": [backend().address]}])
    family = descendants(edged.pid)
    edged.process.kill()
    until(lambda: not [pid for pid in family if alive(pid)], what="all children have left")
    edged.expected_status = -signal.SIGKILL
