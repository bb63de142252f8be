"""The whole daemon, real sockets, real peers."""

import itertools
import re
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from tests.scenarios.harness.backend import Backend, Refusing, Script
from tests.scenarios.harness.daemon import Daemon, Routes
from tests.scenarios.harness.site import Site
from tests.scenarios.harness.until import until


@pytest.fixture
def daemon(tmp_path: Path) -> Iterator[Callable[..., Daemon]]:
    """daemon(settings, routes) starts one. Afterwards it ends with status 0 and leaves nothing behind."""
    running: list[Daemon] = []

    def start(settings: Mapping[str, Any] | None = None, routes: Routes = (), *, allow: str = "$^") -> Daemon:
        started = Daemon(tmp_path / f"daemon-{len(running)}", settings, routes)
        started.allowed = allow
        running.append(started)
        return started

    yield start
    for one in running:
        _end(one)


@pytest.fixture(scope="session")
def edge(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Daemon]:
    """One that many tests share. Use `site` to have a host of your own there."""
    shared = Daemon(tmp_path_factory.mktemp("edge") / "daemon")
    yield shared
    _end(shared)


def _end(daemon: Daemon) -> None:
    try:
        status = daemon.stop()
    finally:
        print(f"--- stderr of {daemon.directory}\n{daemon.stderr}")
    assert status == 0
    tracebacks = [text for text in re.findall(r"Traceback.*?\n(?=\S)", daemon.stderr, re.DOTALL) if not re.search(daemon.allowed, text)]
    assert not tracebacks


@pytest.fixture
def backend() -> Iterator[Callable[..., Backend]]:
    """backend(*scripts) starts one."""
    running: list[Backend] = []

    def start(*scripts: Script, **options: Any) -> Backend:
        running.append(Backend(*scripts, **options))
        return running[-1]

    yield start
    for one in running:
        one.stop()


@pytest.fixture
def refusing() -> Iterator[Refusing]:
    """An address that refuses connections."""
    one = Refusing()
    yield one
    one.stop()


_numbers = itertools.count(1)


@pytest.fixture
def site(edge: Daemon, backend: Callable[..., Backend]) -> Iterator[Callable[..., Site]]:
    """site(*scripts, **route) puts a backend of these scripts behind a host of its own on the shared daemon.

    Afterwards the daemon has nothing open any more, and no more descriptors than before."""
    sites: list[Site] = []
    files: list[Path] = []
    edge.until_idle()
    descriptors = edge.descriptors()

    def make(*scripts: Script, to: Any = None, **route: Any) -> Site:
        host = f"site{next(_numbers)}.test"
        backends = [] if to is not None else [backend(*scripts)]
        made = Site(edge, host, backends)
        endpoints = [one.address for one in backends] if to is None else to
        edge.change_routes([{"host": host, "to": endpoints, **route}], f"{host}.yaml")
        files.append(edge.routes_dir / f"{host}.yaml")
        sites.append(made)
        return made

    yield make
    for one in sites:
        one.close()
        for each in one.backends:
            each.hang_up()
    edge.until_idle()
    before = edge.table_versions()
    for file in files:
        file.unlink()
    if files:
        edge.until_newer_table(before)
    until(lambda: edge.gauges()["pooled"] == 0, what="no idle connection is left")
    until(lambda: edge.descriptors() <= descriptors, what=f"no more than {descriptors} descriptors are open")
