"""The program that is installed now: how it is started, and what it says of itself before anything is left to it."""

import logging
import os
import re
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import msgpack
import trio

from edged.supervisor.legacy import ANEW, VARIABLE, write_legacy

__all__ = ["Program", "Trial", "TrialFailed", "become", "begin_anew", "trial"]

log = logging.getLogger("edged.supervisor")

TRIAL_MOST_S = 60.0

_PLACE = re.compile(r'^  File "(.+)", line (\d+)', re.MULTILINE)


class TrialFailed(Exception):
    """The program cannot take over; each problem is a line."""

    def __init__(self, *problems: str) -> None:
        super().__init__("\n".join(problems))
        self.problems = problems


@dataclass(frozen=True, slots=True)
class Trial:
    """What a program says of itself once all of it could be imported."""

    version: str
    formats: tuple[int, ...]                     # of what a supervisor leaves behind, that it goes on from
    arena_layout: int
    problems: tuple[str, ...]                    # with the settings


@dataclass(frozen=True, slots=True)
class Program:
    """`words` start it; `arguments` are those of this process."""

    words: tuple[str, ...]
    arguments: tuple[str, ...]

    @classmethod
    def of_this_process(cls) -> "Program":
        """As it was started: by the script that was named, which may name another interpreter by now, or else by the interpreter."""
        arguments = tuple(sys.argv[1:])
        if _is_script(sys.argv[0]):
            return cls((sys.argv[0],), arguments)
        words = sys.orig_argv[1 : len(sys.orig_argv) - len(arguments)]
        return cls((sys.executable, *words), arguments)


def _is_script(path: str) -> bool:
    try:
        with open(path, "rb") as file:
            return os.access(path, os.X_OK) and file.read(2) == b"#!"
    except OSError:
        return False


async def trial(words: Sequence[str], settings_path: str) -> Trial:
    """Start the program to see whether it comes up, and reads the settings; raises TrialFailed."""
    command = [*words, "wing", "trial", settings_path]
    with trio.move_on_after(TRIAL_MOST_S):
        try:
            done = await trio.run_process(command, stdin=subprocess.DEVNULL, capture_stdout=True, capture_stderr=True, check=False)
        except (OSError, subprocess.SubprocessError) as why:
            raise TrialFailed(f"{words[0]}: the program that is installed now cannot be started: {why}") from None
        if done.returncode != 0:
            said = done.stderr.decode(errors="replace")
            for line in said.splitlines():
                log.error("the program that is installed now: %s", line)
            raise TrialFailed(f"the program that is installed now does not come up, status {done.returncode}: {_gist(said)}")
        try:
            told = msgpack.unpackb(done.stdout, strict_map_key=True)
            return Trial(str(told["version"]), tuple(told["formats"]), int(told["arena_layout"]), tuple(map(str, told["problems"])))
        except (ValueError, KeyError, TypeError, msgpack.exceptions.UnpackException) as why:
            raise TrialFailed(f"the program that is installed now is not understood: {why!r}") from None
    raise TrialFailed(f"the program that is installed now does not come up within {TRIAL_MOST_S:g} s")


def _gist(said: str) -> str:
    """The end of a traceback: where, and what."""
    places = _PLACE.findall(said)
    last = said.rstrip().rpartition("\n")[2] or "it said nothing"
    return f"{places[-1][0]}:{places[-1][1]}: {last}" if places else last


def become(program: Program, left: Mapping[str, Any]) -> str:
    """Become another program, which goes on from what is left; answers why that is impossible."""
    legacy_fd = write_legacy(left)
    fds = [legacy_fd, *left["fds"]]
    for fd in fds:
        os.set_inheritable(fd, True)
    try:
        os.execve(program.words[0], [*program.words, *program.arguments], os.environ | {VARIABLE: str(legacy_fd)})
    except OSError as why:
        os.close(legacy_fd)
        return f"{program.words[0]} cannot be executed: {why.strerror}"


def begin_anew() -> str:
    """Start this program once more, with the descriptors that may be inherited and nothing else; answers why that is impossible."""
    signal.pthread_sigmask(signal.SIG_BLOCK, (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGUSR1, signal.SIGUSR2))
    program = Program.of_this_process()
    try:
        os.execve(program.words[0], [*program.words, *program.arguments], os.environ | {VARIABLE: ANEW})
    except OSError as why:
        return f"{program.words[0]} cannot be executed: {why.strerror}"
