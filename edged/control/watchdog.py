"""Names the plugin that blocks the control process.

A task of the loop moves a hand on; a thread looks at it. When the hand has stood still for too long, the frames of the main
thread tell whose code is running."""

import logging
import sys
import threading
import time
from collections.abc import Callable
from types import FrameType

import trio

__all__ = ["Watchdog"]

log = logging.getLogger(__name__)

_LOOK_EVERY_S = 0.25


class Watchdog:
    """`owner_of` answers the plugin that a module belongs to, or None."""

    def __init__(self, owner_of: Callable[[str], str | None], *, patience_s: float = 1.0) -> None:
        self._owner_of = owner_of
        self._patience_s = patience_s
        self._thread_id = threading.get_ident()
        self._moved_s = time.monotonic()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="edged watchdog", daemon=True)

    def __enter__(self) -> "Watchdog":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()

    async def run(self) -> None:
        """Move the hand for ever."""
        while True:
            self._moved_s = time.monotonic()
            await trio.sleep(_LOOK_EVERY_S)

    def _watch(self) -> None:
        named_at_s, culprit = 0.0, ""            # when the hand last moved in the block that was named, and who it was
        while not self._stop.wait(_LOOK_EVERY_S):
            moved_s = self._moved_s
            stood_s = time.monotonic() - moved_s
            if culprit and moved_s != named_at_s:
                log.warning("%s let control go on after %.1f s", culprit, moved_s - named_at_s)
                culprit = ""
            if stood_s > self._patience_s and not culprit:
                named_at_s, culprit = moved_s, self._blame(stood_s)

    def _blame(self, stood_s: float) -> str:
        """Log who holds up the loop, and answer its name."""
        frame = sys._current_frames().get(self._thread_id)
        plugin, at = self._guilty(frame)
        culprit = f"plugin {plugin}" if plugin else "edged itself"
        level = logging.ERROR if plugin else logging.WARNING
        log.log(level, "%s blocks control for %.1f s by now, at %s; traffic is not affected", culprit, stood_s, at)
        return culprit

    def _guilty(self, frame: FrameType | None) -> tuple[str | None, str]:
        """The innermost plugin on the stack and where it is, else where edged is."""
        innermost = frame
        while frame is not None:
            plugin = self._owner_of(frame.f_globals.get("__name__", ""))
            if plugin is not None:
                return plugin, _place(frame)
            frame = frame.f_back
        return None, _place(innermost)


def _place(frame: FrameType | None) -> str:
    if frame is None:
        return "an unknown place"
    return f"{frame.f_code.co_filename}:{frame.f_lineno} ({frame.f_code.co_name})"
