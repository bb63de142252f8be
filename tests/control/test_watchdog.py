"""Who blocks control is named, while it does."""

import re
import threading
import time

import pytest
import trio
import trio.lowlevel

from edged.control.watchdog import Watchdog
from tests.control.given import play, until


def block(until: threading.Event) -> None:
    """As a plugin that waits without awaiting."""
    until.wait(20)


class Released(threading.Thread):
    """Ends the block as soon as the watchdog has spoken."""

    def __init__(self, caplog: pytest.LogCaptureFixture, word: str) -> None:
        super().__init__()
        self.caplog, self.word, self.event = caplog, word, threading.Event()

    def run(self) -> None:
        while self.word not in self.caplog.text and not self.event.is_set():
            time.sleep(0.01)
        self.event.set()


def blocked(caplog: pytest.LogCaptureFixture, owner: str | None) -> str:
    """What is logged when a task blocks whose module belongs to `owner`."""

    async def story() -> None:
        released = Released(caplog, "blocks control")
        with Watchdog(lambda module: owner if module == __name__ else None, patience_s=0.3) as watchdog:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(watchdog.run)
                await trio.lowlevel.checkpoint()
                released.start()
                block(released.event)
                await until(lambda: "go on" in caplog.text)
                nursery.cancel_scope.cancel()
        released.join()

    play(story)
    return caplog.text


def test_the_plugin_on_the_stack_is_named_with_its_place(caplog: pytest.LogCaptureFixture) -> None:
    text = blocked(caplog, "slowpoke")
    assert re.search(r"plugin slowpoke blocks control for 0\.\d s by now, at .*test_watchdog\.py:\d+ \(block\)", text)
    assert re.search(r"plugin slowpoke let control go on after \d+\.\d s", text)
    assert text.count("blocks control") == 1


def test_where_no_plugin_is_on_the_stack_it_is_edged_itself(caplog: pytest.LogCaptureFixture) -> None:
    assert "edged itself blocks control" in blocked(caplog, None)


def test_a_loop_that_turns_is_not_blamed(caplog: pytest.LogCaptureFixture) -> None:
    async def story() -> None:
        with Watchdog(lambda _: None, patience_s=0.6) as watchdog, trio.move_on_after(1.5):
            await watchdog.run()

    play(story)
    assert "blocks" not in caplog.text
