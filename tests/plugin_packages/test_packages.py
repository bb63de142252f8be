"""Plugins of others: built, installed, found, served, and fenced."""

import subprocess
import sys
from collections.abc import Callable
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path

import pytest
import trio

from edged.hooks.manager import GROUP, load_plugins
from tests.control.conftest import stage
from tests.control.given import until
from tests.control.house import House
from tests.plugin_packages.build import NAMES, environment, installed

__all__ = ["stage"]                              # a fixture


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return installed(tmp_path_factory.mktemp("plugins"), *NAMES)


def check(site: Path, settings: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-P", "-m", "edged", "check", "--config", str(settings)]
    return subprocess.run(command, env=environment(site), capture_output=True, text=True, timeout=60, check=False)


def test_a_plugin_of_somebody_else_is_found_and_reads_its_settings(site: Path, tmp_path: Path) -> None:
    settings = tmp_path / "edged.toml"
    text = '[[listener]]\naddress = "127.0.0.1:0"\nmode = "tcp"\nroute = "shop.example.com"\n[sources.list]\n'
    settings.write_text(text + 'routes = ["shop.example.com 127.0.0.1:8080", "a_b 127.0.0.1:1"]\n')
    done = check(site, settings)
    # Its sound route serves the listener; the other is refused; the source that raises says so.
    assert done.returncode == 1, done.stderr
    assert 'list: host: "a_b" is no part of a DNS name' in done.stdout
    assert "there is no route" not in done.stdout
    settings.write_text(text + "routes = 5\n")
    done = check(site, settings)
    assert done.returncode == 1
    assert done.stdout == f"{settings}:6: sources.list.routes: write a list of texts\n"


def test_each_is_listed_by_its_name(site: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(site)
    assert {entry.name for entry in entry_points(group=GROUP)} >= set(NAMES)


@pytest.fixture
def offered(site: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., list[object]]:
    """offered(settings): the sources of the four packages."""
    monkeypatch.syspath_prepend(site)

    def sources(settings: dict[str, object]) -> list[object]:
        plugins = load_plugins(EntryPoint(name, f"edged_test_{name}", GROUP) for name in NAMES)
        monkeypatch.setattr("edged.control.process.load_plugins", lambda: plugins)
        return [one.source for one in plugins.sources(settings)]

    return sources


def test_one_that_raises_blocks_or_floods_is_named_and_all_else_goes_on(
    offered: Callable[..., list[object]], stage: Callable[..., None], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    when = tmp_path / "now"
    sources = offered({"list": {"routes": ["shop.example.com 127.0.0.1:8080"]}, "blocks": {"when": str(when), "for_s": 2.0}})

    async def story(house: House, nursery: trio.Nursery) -> None:
        worker = await house.worker(nursery)
        await house.wait_ready()
        await until(lambda: worker.routes and sorted(worker.routes) == ["blocks", "floods", "raises", "shop.example.com"])
        when.touch()
        await until(lambda: "blocked" in worker.routes)
        await until(lambda: "floods:" in caplog.text)
        assert sorted(worker.routes) == ["blocked", "floods", "raises", "shop.example.com"]

    stage(sources, story)
    assert "source raises: plugin test failed: RuntimeError: this plugin raises by design" in caplog.text
    assert "plugin blocks blocks control for " in caplog.text
    assert "source floods floods: " in caplog.text
