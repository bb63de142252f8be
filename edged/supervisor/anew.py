"""The settings file as a fresh interpreter reads it: new code judges it, and this process stays as small as it was."""

import logging
import subprocess
import sys

import trio

from edged.anew import settings_told
from edged.settings import Settings

__all__ = ["read_anew"]

log = logging.getLogger("edged.supervisor")

READ_MOST_S = 30.0


def command(path: str) -> list[str]:
    return [sys.executable, "-P", "-m", "edged", "wing", "settings", path]


async def read_anew(path: str) -> Settings | tuple[str, ...]:
    """The settings, or the problems with them, each as file:line: key: message."""
    with trio.move_on_after(READ_MOST_S):
        try:
            done = await trio.run_process(command(path), stdin=subprocess.DEVNULL, capture_stdout=True, capture_stderr=True, check=False)
        except (OSError, subprocess.SubprocessError) as why:
            return (f"{path}: no process can be started to read it: {why}",)
        said = done.stderr.decode(errors="replace").splitlines()
        if done.returncode != 0:
            return (f"{path}: the program that reads it left with status {done.returncode}: {said[-1] if said else 'it said nothing'}",)
        try:
            return settings_told(done.stdout)
        except ValueError as why:
            return (f"{path}: the program that reads it is not understood: {why}",)
    return (f"{path}: it cannot be read within {READ_MOST_S:g} s",)
