"""Plugins of others, installed into a folder of their own, in a running daemon: what they give is served, and what they do
wrong concerns nobody else."""

import functools
import os
import threading
import time

import pytest

from tests.plugin_packages.build import installed
from tests.scenarios.harness.client import get
from tests.scenarios.harness.settings import environment
from tests.scenarios.harness.until import until

DELAY_MOST_S = 1.0                               # of a request while control is blocked for five seconds


@pytest.fixture(scope="module")
def plugins(tmp_path_factory):
    """plugins(*names): what a daemon needs on its path to find them."""
    @functools.cache
    def path(*names: str) -> dict[str, str]:
        folder = installed(tmp_path_factory.mktemp("plugins"), *names)
        return {"PYTHONPATH": f"{environment()['PYTHONPATH']}{os.pathsep}{folder}"}

    return path


def test_a_source_of_somebody_else_is_served(daemon, backend, plugins):
    one = backend()
    edged = daemon({"sources": {"list": {"routes": [f"listed.test {one.address}"]}}}, variables=plugins("list"))
    assert get(edged.address(), host="listed.test").status == 200
    assert len(one.requests) == 1


@pytest.fixture
def troubled(daemon, backend, plugins, tmp_path):
    """A daemon with three bad plugins beside its files, and the file that lets one of them block."""
    when = tmp_path / "block-now"
    edged = daemon(
        {"sources": {"blocks": {"when": str(when), "for_s": 5.0}}, "worker": {"count": 2}},
        [{"host": "steady.test", "to": [backend().address]}],
        plugins("raises", "blocks", "floods"), allow="raises by design",
    )
    return edged, when


def test_plugins_that_raise_block_or_flood_are_named_and_traffic_is_undisturbed(troubled):
    edged, when = troubled
    assert edged.until_said("raises.*RuntimeError: this plugin raises by design")
    assert edged.until_said("source floods floods")
    took_s: list[float] = []
    failed: list[int] = []
    over = threading.Event()

    def visits() -> None:
        while not over.is_set():
            began_s = time.monotonic()
            status = get(edged.address(), host="steady.test").status
            took_s.append(time.monotonic() - began_s)
            if status != 200:
                failed.append(status)

    visitor = threading.Thread(target=visits)
    visitor.start()
    when.touch()
    told = edged.until_said("plugin blocks blocks control")
    assert "edged_test_blocks" in told           # where it stands
    edged.until_said("plugin blocks let control go on after")
    over.set()
    visitor.join()
    assert not failed
    assert max(took_s) < DELAY_MOST_S


def test_what_others_give_changes_meanwhile(troubled, backend):
    """Files are followed although another source floods."""
    edged, _ = troubled
    new = backend()
    edged.write_routes([{"host": "new.test", "to": [new.address]}])
    until(lambda: get(edged.address(), host="new.test").status == 200)
