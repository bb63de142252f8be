"""kill -9 at each step of a reload and an upgrade: whoever is killed, the daemon serves again at once, and nothing is left that stops the
next start.

The steps are those that the daemon itself tells whoever has given the order: a new one is killed in, too."""

import os
import re
import signal
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from edged.ctl.client import CtlError, ask
from tests.scenarios.harness.client import Client, get, request_bytes
from tests.scenarios.harness.content import content, sha256
from tests.scenarios.harness.peers import free_port
from tests.scenarios.harness.processes import alive, children, descendants, listeners, listening, name_of
from tests.scenarios.harness.until import until

SERVES_S = 2.0                                   # after a child is killed, or the daemon is started again
GONE_S = 15.0                                    # for orphans that have nothing to do any more
COME_S = 90.0                                    # for a whole reload, on a machine that is busy
AT_REST = ["edged control", "edged worker 0"]
SLOW_BYTES = 64 * 1024
RELOAD_STEPS = {"reading settings", "generation N comes up: waiting for the first routes", "generation N serves"}
STEPS = {"reload": RELOAD_STEPS, "upgrade": RELOAD_STEPS | {"trying the program that is installed now", "edged N takes over from N"}}


class Slow:
    """A backend's script: all but /slow is answered at once; that takes its time until `finish`."""

    def __init__(self) -> None:
        self._may_end = threading.Event()

    def __call__(self, peer) -> None:
        while True:
            request = peer.request()
            if request.target != "/slow":
                peer.reply(b"here")
                continue
            whole = content(SLOW_BYTES)
            peer.send(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % SLOW_BYTES + whole[: SLOW_BYTES // 2])
            self._may_end.wait()
            peer.send(whole[SLOW_BYTES // 2:])

    def begin(self) -> None:
        self._may_end.clear()

    def finish(self) -> None:
        self._may_end.set()


class Edge:
    """A daemon on addresses that stay the same when it is started anew."""

    def __init__(self, daemon, slow: Slow, backend, directory: Path, order: str) -> None:
        self.order = order
        self._pid_file = directory / "edged.pid"
        web = {"name": "web", "address": f"127.0.0.1:{free_port()}"}
        local = {"name": "local", "address": f"unix:{directory}/local.sock"}
        began_s = time.monotonic()
        self.daemon = daemon(
            {"listener": [web, local], "run": {"drain_timeout": "60s", "pid_file": str(self._pid_file)}},
            [{"host": "*", "to": [backend(slow).address]}],
        )
        self.soon_s = max(SERVES_S, 4 * (time.monotonic() - began_s))        # a machine that is busy is given its time
        until((self.daemon.directory / "state/snapshot.msgpack").exists)
        self._kept = self.files()

    @property
    def runtime_dir(self) -> str:
        return str(self.daemon.settings["run"]["runtime_dir"])

    def files(self) -> set[str]:
        """All that it keeps where it may be found by the next one."""
        return {f"{place}/{name}" for place in ("run", "state") for _, _, names in os.walk(self.daemon.directory / place) for name in names}

    def carry_out(self, at_step: Callable[[str], bool]) -> bool:
        """Give the order and call `at_step` with each step, until it answers True; answers whether it did."""
        disturbed = False

        def progress(text: str) -> None:
            nonlocal disturbed
            disturbed = disturbed or at_step(re.sub(r"\d[\d.]*", "N", text.replace("exchanges", "exchange")))

        try:
            ask(self.runtime_dir, self.order, {"wait": True}, progress)
        except CtlError:
            assert disturbed                     # nobody else ends it
        return disturbed

    def each_step(self, kill: Callable[[str], object], then: Callable[[], None], spare: Callable[[str], object] = len) -> None:
        """The order again and again, disturbed each time in a step in which it was not before, until there is no such step.
        `kill` answers False where there is nobody to kill; `spare` is called in a step that another was disturbed in."""
        covered: set[str] = set()

        def at_step(step: str) -> bool:
            if step in covered:
                spare(step)
                return False
            covered.add(step)
            return kill(step) is not False

        while self.carry_out(at_step):
            then()
        assert covered >= STEPS[self.order]

    def pids(self, state: str, name: str) -> list[int]:
        status = ask(self.runtime_dir, "status", {}, lambda _: None).result
        return [one["pids"][name] for one in status["generations"] if one["state"] == state and name in one["pids"]]

    def serves(self) -> bool:
        try:
            return all(get(self.daemon.address(name)).status == 200 for name in ("web", "local"))
        except (OSError, EOFError):
            return False

    def until_at_rest(self) -> None:
        until(lambda: sorted(name_of(pid) for pid in children(self.daemon.pid)) == AT_REST, COME_S, "only control and a worker are left")

    def start(self) -> None:
        """Again; it serves soon: where the machine is busy, not much later than after an end in order."""
        took_s = self._start()
        if took_s > SERVES_S:
            self.daemon.stop()
            assert took_s < max(SERVES_S, 3 * self._start())
        for _ in range(20):
            assert self.serves()
        self.until_tidy()

    def _start(self) -> float:
        began_s = time.monotonic()
        self.daemon.start()
        until(self.serves, COME_S, "it serves")
        return time.monotonic() - began_s

    def until_tidy(self) -> None:
        """It keeps no more than at first, and says who it is."""
        until(lambda: self._pid_file.read_text().strip() == str(self.daemon.pid))
        until(lambda: self.files() == self._kept, what=f"nothing but {self._kept} is kept")

    def kill(self) -> list[int]:
        """The supervisor; answers its orphans."""
        family = descendants(self.daemon.pid)
        self.daemon.process.kill()
        self.daemon.process.wait()
        return family


@pytest.fixture
def slow():
    one = Slow()
    yield one
    one.finish()


@pytest.fixture(params=STEPS)
def edge(request, daemon, backend, slow, tmp_path):
    return Edge(daemon, slow, backend, tmp_path, request.param)


def gone(family: list[int]) -> bool:
    return not [pid for pid in family if alive(pid)]


@pytest.mark.timeout(600)
@pytest.mark.parametrize("victim", ["serving control", "serving worker 0", "starting control", "starting worker 0", "draining worker 0"])
def test_a_child(edge, slow, victim):
    state, _, name = victim.partition(" ")
    killed: list[str] = []

    def kill(step: str) -> bool:
        pids = edge.pids(state, name)
        for pid in pids:
            os.kill(pid, signal.SIGKILL)
        if pids:
            killed.append(step)
            until(edge.serves, edge.soon_s, f"it serves, after a {victim} was killed at: {step}")
        return bool(pids)

    def then() -> None:
        edge.until_at_rest()
        assert edge.serves()

    slow.finish()
    edge.each_step(kill, then)
    assert killed
    edge.until_tidy()


@pytest.mark.timeout(600)
def test_the_supervisor_and_it_is_started_at_once(edge, slow):
    families: list[list[int]] = []

    def then() -> None:
        edge.start()
        until(lambda: gone(families[-1]), GONE_S, "no orphan is left")
        edge.until_at_rest()

    slow.finish()
    edge.each_step(lambda _: families.append(edge.kill()), then)


@pytest.mark.timeout(600)
def test_the_supervisor_and_nobody_starts_it(edge, slow):
    """What clients are being told is told to its end; then nobody is left, and nobody listens."""
    def begin() -> Client:
        slow.begin()
        client = Client(edge.daemon.address())
        client.send(request_bytes("/slow"))
        until(lambda: edge.daemon.gauges()["exchanges"] == 1)
        return client

    def kill(_: str) -> None:
        nonlocal family, doors
        doors = listeners([edge.daemon.pid, *descendants(edge.daemon.pid)])
        family = edge.kill()

    def then() -> None:
        nonlocal client
        until(lambda: not doors & listening(), GONE_S, "nobody listens")
        slow.finish()
        assert client.answer().sha256 == sha256(content(SLOW_BYTES))
        client.close()
        until(lambda: gone(family), GONE_S, "no orphan is left")
        edge.start()
        client = begin()

    family: list[int] = []
    doors: set[str] = set()
    client = begin()
    edge.each_step(kill, then, lambda step: slow.finish() if "drains" in step else None)
    assert client.answer().sha256 == sha256(content(SLOW_BYTES))
