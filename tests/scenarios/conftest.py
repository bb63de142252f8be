"""The whole daemon, real sockets, real peers."""

import itertools
import re
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from tests.scenarios.harness.authority import Authority
from tests.scenarios.harness.backend import Backend, Refusing, Script
from tests.scenarios.harness.daemon import Daemon, Routes
from tests.scenarios.harness.site import Site
from tests.scenarios.harness.until import until

SPARE_PIPE_ENDS = 2 * 64 + 4                     # what a worker keeps for the next bodies, and what its main thread has


class Daemons:
    """daemon(settings, routes) starts one. Afterwards it ends with status 0 and leaves nothing behind."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._running: list[Daemon] = []

    def __call__(
        self, settings: Mapping[str, Any] | None = None, routes: Routes = (), variables: Mapping[str, str] | None = None, *,
        allow: str = "$^",
    ) -> Daemon:
        """`allow`: tracebacks that stderr may show; otherwise there must be none."""
        started = Daemon(self._directory / f"daemon-{len(self._running)}", settings, routes, variables)
        started.allowed = allow
        self._running.append(started)
        return started

    def end(self) -> None:
        while self._running:
            _end(self._running.pop())


@pytest.fixture
def daemon(tmp_path: Path) -> Iterator[Daemons]:
    daemons = Daemons(tmp_path)
    yield daemons
    daemons.end()


@pytest.fixture(scope="module")
def lasting_daemon(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Daemons]:
    """The same for all tests of a module."""
    daemons = Daemons(tmp_path_factory.mktemp("lasting"))
    yield daemons
    daemons.end()


class Shared:
    """The daemon that many tests share; another one after a test that has left it in disorder."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._numbers = itertools.count()
        self._daemon: Daemon | None = None

    def get(self) -> Daemon:
        if self._daemon is None:
            self._daemon = Daemon(self._directory / f"{next(self._numbers)}")
        return self._daemon

    def end(self) -> None:
        ending, self._daemon = self._daemon, None
        if ending is not None:
            _end(ending)


@pytest.fixture(scope="session")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shared]:
    one = Shared(tmp_path_factory.mktemp("shared"))
    yield one
    one.end()


@pytest.fixture
def edge(shared: Shared) -> Daemon:
    """A daemon with default settings that many tests share. Use `site` to have a host of your own there."""
    return shared.get()


def _end(daemon: Daemon) -> None:
    try:
        status = daemon.stop()
    finally:
        print(f"--- stderr of {daemon.directory}\n{daemon.stderr}")
    assert status == daemon.expected_status
    tracebacks = [text for text in re.findall(r"Traceback.*?\n(?=\S)", daemon.stderr, re.DOTALL) if not re.search(daemon.allowed, text)]
    assert not tracebacks


class Backends:
    """backend(*scripts) starts one."""

    def __init__(self) -> None:
        self._running: list[Backend] = []

    def __call__(self, *scripts: Script, **options: Any) -> Backend:
        self._running.append(Backend(*scripts, **options))
        return self._running[-1]

    def hang_up(self) -> None:
        for one in self._running:
            one.hang_up()

    def end(self) -> None:
        for one in self._running:
            one.stop()


def _backends() -> Iterator[Backends]:
    backends = Backends()
    yield backends
    backends.end()


backend = pytest.fixture(_backends)
lasting_backend = pytest.fixture(_backends, scope="module")


@pytest.fixture
def refusing() -> Iterator[Refusing]:
    """An address that refuses connections."""
    one = Refusing()
    yield one
    one.stop()


@pytest.fixture(scope="session")
def authority() -> Authority:
    """Whom clients and endpoints trust."""
    return Authority()


_numbers = itertools.count(1)


@pytest.fixture
def site(edge: Daemon, shared: Shared, backend: Backends) -> Iterator[Callable[..., Site]]:
    """site(*scripts, **route) puts a backend of these scripts behind a host of its own on the shared daemon.

    Afterwards the daemon has nothing open any more, and no more sockets than before."""
    sites: list[Site] = []
    routes: list[dict[str, Any]] = []
    sockets = edge.sockets()

    def make(*scripts: Script, to: Any = None, **route: Any) -> Site:
        host = f"site{next(_numbers)}.test"
        backends = [] if to is not None else [backend(*scripts)]
        sites.append(Site(edge, host, backends))
        endpoints = [one.address for one in backends] if to is None else to
        routes.append({"host": host, "to": endpoints, **route})
        edge.change_routes(routes)               # those of the test before go with that
        return sites[-1]

    yield make
    try:
        for one in sites:
            one.close()
        backend.hang_up()
        edge.until_idle()
        until(lambda: edge.gauges()["pooled"] == 0, what="no idle connection is left")
        until(lambda: edge.sockets() <= sockets, what=f"no more than {sockets} sockets are open")
        assert edge.pipes() <= SPARE_PIPE_ENDS
    except (AssertionError, OSError):
        shared.end()
        raise


@pytest.fixture
def pipe(relay: Daemon, backend: Backends) -> Iterator[Callable[..., Daemon]]:
    """pipe(*scripts) puts a backend of these scripts behind the tcp listener of a test file's own daemon, its fixture `relay`."""

    def lead(*scripts: Script, to: Any = None, **route: Any) -> Daemon:
        relay.change_routes([{"name": "db", "to": to or [backend(*scripts).address], **route}])
        return relay

    yield lead
    relay.until_idle()
