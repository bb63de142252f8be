import contextlib
import os
import signal

import pytest

from tests.fakes.daemon import Daemon


@pytest.fixture
def start(tmp_path):
    """Starts supervisors; whatever is left of them at the end is killed."""
    daemons = []

    def go(settings='[[listener]]\naddress = "127.0.0.1:0"\n[worker]\ncount = 2\n', **environ):
        directory = tmp_path / str(len(daemons))
        directory.mkdir(exist_ok=True)
        daemons.append(Daemon(directory, settings, environ))
        return daemons[-1]

    go.fakes = tmp_path / "0" / "fakes"          # of the first one, to steer its children before they start
    yield go
    for daemon in daemons:
        orphans = []
        if daemon.process.poll() is None:
            orphans = list(daemon.children().values())
            daemon.process.kill()
            daemon.process.wait()
        for pid in orphans:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
