"""What plugin code raises stops at the fence."""

import pytest
import trio

from edged.hooks import SettingsError, SourceError
from edged.hooks.fence import PluginFailed, fence


@pytest.mark.parametrize("why", [ValueError("x"), KeyError(1), MemoryError(), RecursionError(), SystemExit(0), AssertionError(),
    StopIteration()])
def test_anything_becomes_plugin_failed_with_its_cause(why: BaseException) -> None:
    with pytest.raises(PluginFailed) as caught, fence("p"):
        raise why
    assert caught.value.plugin == "p"
    assert caught.value.__cause__ is why
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("why", [SettingsError("k", "m"), SourceError("away")])
def test_what_plugins_raise_on_purpose_passes(why: Exception) -> None:
    with pytest.raises(type(why)), fence("p"):
        raise why


def test_source_errors_out_of_a_nursery_are_one() -> None:
    with pytest.raises(SourceError, match=r"^a; b$"), fence("p"):
        raise ExceptionGroup("g", [SourceError("a"), ExceptionGroup("h", [SourceError("b")])])
    with pytest.raises(PluginFailed), fence("p"):
        raise ExceptionGroup("g", [SourceError("a"), ValueError("b")])


def test_cancelling_and_interrupts_pass() -> None:
    async def story() -> None:
        with trio.CancelScope() as scope:
            scope.cancel()
            with fence("p"):
                await trio.sleep_forever()
        assert scope.cancelled_caught

    trio.run(story)
    with pytest.raises(KeyboardInterrupt), fence("p"):
        raise KeyboardInterrupt


def test_a_message_of_many_lines_is_told_on_one() -> None:
    with pytest.raises(PluginFailed, match=r"^plugin p failed: ValueError: one two$"), fence("p"):
        raise ValueError("one\ntwo")
