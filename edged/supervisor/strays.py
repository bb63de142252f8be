"""Children that nobody knows any more: of a program that could not say what it left."""

import contextlib
import os
import signal
from collections.abc import Sequence
from pathlib import Path

import trio

__all__ = ["children_of_this_process", "see_off"]


def children_of_this_process() -> list[int]:
    return [int(pid) for task in Path("/proc/self/task").iterdir() for pid in (task / "children").read_text().split()]


async def see_off(pids: Sequence[int], timeout_s: float) -> None:
    """Wait for their ends: without a supervisor they end what they have, and leave. Those that do not are killed."""
    async with trio.open_nursery() as nursery:
        for pid in pids:
            nursery.start_soon(_see_off, pid, timeout_s)


async def _see_off(pid: int, timeout_s: float) -> None:
    pidfd = os.pidfd_open(pid)
    try:
        with trio.move_on_after(timeout_s):
            await trio.lowlevel.wait_readable(pidfd)
        with contextlib.suppress(ProcessLookupError):
            signal.pidfd_send_signal(pidfd, signal.SIGKILL)
        await trio.lowlevel.wait_readable(pidfd)
        os.waitpid(pid, 0)                       # noqa: ASYNC222 - it has ended
    finally:
        os.close(pidfd)
