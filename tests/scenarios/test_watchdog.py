"""A real worker that hangs, its engine with it, gets no sign of life to the service manager."""

import os
import signal

import pytest

from tests.fakes.manager import Manager
from tests.scenarios.harness.until import until


@pytest.fixture
def manager(tmp_path):
    one = Manager(tmp_path / "notify")
    yield one
    one.close()


def test_a_worker_that_hangs(daemon, manager):
    edged = daemon({"worker": {"count": 2}}, variables={"NOTIFY_SOCKET": manager.address, "WATCHDOG_USEC": "4000000"})
    manager.until("WATCHDOG=1")
    hung = edged.worker_pid(1)
    os.kill(hung, signal.SIGSTOP)
    until(lambda: edged.said(rf"worker 1 \(process {hung}\) does not answer"))
    manager.all()
    with pytest.raises(TimeoutError):
        manager.receive(2.0)                     # two turns
    os.kill(hung, signal.SIGCONT)
    manager.until("WATCHDOG=1")
    assert not edged.said(r"control .* does not answer|worker 0 .* does not answer")
