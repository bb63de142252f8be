"""Waiting for a condition, never for time to pass."""

import time
from collections.abc import Callable
from typing import TypeVar

__all__ = ["PATIENCE_S", "until"]

T = TypeVar("T")

PATIENCE_S = 15.0                                # for whatever is expected to happen at once on a machine that is busy
_LOOK_S = 0.004


def until(predicate: Callable[[], T], within_s: float = PATIENCE_S, what: str = "") -> T:
    """Wait until `predicate` answers something true, and answer that. `what` is awaited, for the message."""
    deadline_s = time.monotonic() + within_s
    while not (found := predicate()):
        if time.monotonic() > deadline_s:
            raise AssertionError(f"not within {within_s:g} s: {what or predicate.__doc__ or 'the condition that is waited for'}")
        time.sleep(_LOOK_S)
    return found
