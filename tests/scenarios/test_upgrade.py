"""Upgrades of a whole installation under load: the process stays the same, nothing is lost, and what does not come up changes nothing."""

import os
import re
import shutil
import signal
from pathlib import Path

import pytest

import edged as installed
from edged.ctl.client import ask
from tests.scenarios.harness.client import get
from tests.scenarios.harness.objects import certificate_of, document, exposed
from tests.scenarios.harness.processes import anonymous_bytes, children, descriptors, listeners, name_of
from tests.scenarios.harness.settings import TLS
from tests.scenarios.harness.tls import client_context
from tests.scenarios.harness.until import until
from tests.scenarios.harness.visitors import Visitors, usual_visits

COME_S = 90.0                                    # for a generation, on a machine that is busy
HOST = "one.test"
GROWTH_MOST_BYTES = 4 * 1024 * 1024


class Installations:
    """Copies of the program under test, and a link to the one that is installed now."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self.current = directory / "current"
        directory.mkdir()

    def install(self, version: str, change=lambda tree: None) -> None:
        tree = self._directory / version
        source, stale = Path(installed.__file__).parent, shutil.ignore_patterns("__pycache__")
        shutil.copytree(source, tree / "edged", copy_function=os.link, ignore=stale)
        rewrite(tree / "edged/__init__.py", lambda text: re.sub(r'__version__ = ".*"', f'__version__ = "{version}"', text))
        change(tree / "edged")
        self.point(version)

    def point(self, version: str) -> None:
        link = self._directory / "next"
        link.symlink_to(self._directory / version)
        link.rename(self.current)


def rewrite(path: Path, change) -> None:
    """The copy alone: it is a link to the file that is copied."""
    text = change(path.read_text())
    path.unlink()
    path.write_text(text)


@pytest.fixture
def programs(tmp_path):
    made = Installations(tmp_path / "programs")
    made.install("1.0")
    return made


def upgrade(edged, *, wait=True):
    told = []
    reply = ask(str(edged.directory / "run"), "upgrade", {"wait": wait}, told.append)
    return reply, told


def status(edged):
    return ask(str(edged.directory / "run"), "status", {}, lambda line: None).result


@pytest.mark.timeout(600)
def test_upgrades_under_load_lose_nothing(daemon, backend, authority, programs):
    shown = certificate_of(authority.issue("of one", [HOST]))
    tls = {"termination": "edge", "insecureEdgeTerminationPolicy": "Allow", **shown}
    routes = document(*exposed("one", HOST, backend().address, tls=tls))
    settings = {**TLS, "worker": {"count": 2}, "run": {"drain_timeout": "60s"}}
    edged = daemon(settings, routes, variables={"PYTHONPATH": str(programs.current)})
    assert status(edged)["version"] == "1.0"
    pid, sockets = edged.pid, listeners([edged.pid])
    visitors = Visitors(*usual_visits(edged, client_context(authority), HOST))
    sizes = []
    for version in ("2.0", "2.1", "2.2", "3.0"):
        programs.install(version)
        reply, told = upgrade(edged)
        assert reply.ok, reply.result
        assert told[0] == "trying the program that is installed now"
        assert reply.result["cut"] == 0
        now = status(edged)
        assert (now["version"], now["pid"], now["state"]) == (version, pid, "serving")
        visitors.go_on()
        sizes.append((anonymous_bytes(pid), descriptors(pid).total()))
    visitors.leave()
    assert not visitors.wrong
    assert listeners([pid]) == sockets
    assert sorted(name_of(child) for child in children(pid)) == ["edged control", "edged worker 0", "edged worker 1"]
    edged.until_idle()
    assert edged.arena.totals()["requests"] >= sum(visitors.served.values())      # counters go on
    assert sizes[-1][0] - sizes[0][0] < GROWTH_MOST_BYTES
    assert sizes[-1][1] <= sizes[0][1] + 2       # a wire may be on its way


@pytest.fixture
def edged(daemon, backend, programs):
    return daemon({"worker": {"count": 2}}, [{"host": "*", "to": [backend().address]}], variables={"PYTHONPATH": str(programs.current)})


@pytest.mark.parametrize("room", ["worker/bridge.py", "supervisor/process.py", "control/publish.py"])
@pytest.mark.parametrize(
    ("code", "told"), [("def broken(:", "SyntaxError: invalid syntax"), ("import no_such_room", "ModuleNotFoundError: No module named")]
)
def test_a_broken_installation_changes_nothing(edged, programs, room, code, told):
    edged.allowed = "^Traceback"                 # of the trial
    before = children(edged.pid)
    programs.install("2.0", lambda tree: rewrite(tree / room, lambda text: f"{text}\n{code}\n"))
    reply, _ = upgrade(edged)
    assert not reply.ok
    assert re.search(rf"does not come up, status 1: \S+/{room}:\d+: {told}", reply.result["problems"][0])
    assert reply.result["message"] == "nothing has changed: edged 1.0 goes on"
    assert children(edged.pid) == before
    assert get(edged.address()).status == 200
    programs.point("1.0")
    assert upgrade(edged)[0].ok
    assert get(edged.address()).status == 200


def test_a_signal_asks_for_it_and_statistics_go_on(edged, programs):
    for _ in range(5):
        assert get(edged.address()).status == 200
    programs.install("2.0")
    edged.process.send_signal(signal.SIGUSR2)
    edged.until_said(r"edged 2\.0 has taken over from 1\.0", COME_S)
    edged.until_said(r"generation 1 has left", COME_S)
    assert get(edged.address()).status == 200
    until(lambda: edged.arena.totals()["requests"] == 6)
    assert status(edged)["version"] == "2.0"


def test_what_is_not_understood_is_begun_anew_and_serves(edged, programs):
    def forgets(text):
        return text + "\nimport sys\nif 'wing' not in sys.argv:\n    FORMATS = (7,)\n"

    programs.install("2.0", lambda tree: rewrite(tree / "supervisor/legacy.py", forgets))
    before = set(children(edged.pid))
    edged.process.send_signal(signal.SIGUSR2)
    edged.until_said("what it left has format 3, this program knows 7; all begins anew, over the sockets that listen", COME_S)
    until(lambda: len(edged.said("ready in")) == 2, COME_S)
    until(lambda: not before & set(children(edged.pid)), COME_S)
    assert get(edged.address()).status == 200
    assert status(edged)["version"] == "2.0"
    assert status(edged)["pid"] == edged.pid
