"""The command line. It picks the wing: a process imports only what it runs."""

import functools
import gc
import os
import sys
from collections.abc import Sequence

from edged.errors import EdgedError

__all__ = ["main"]


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command and answer its exit status."""
    words = list(sys.argv[1:] if arguments is None else arguments)
    if words[:1] == ["wing"]:                    # how the supervisor starts its children
        return _wing(words[1:])
    if (asked := _check_words(words)) is not None:           # every second, by keepalived
        from edged.ctl.check import main as is_ready

        return is_ready(asked)
    try:
        if words[:1] == ["demo"]:                # it knows its own options
            from edged.demo.site import main as demo

            return demo(words[1:])
        from edged.commands import parser

        options = parser().parse_args(words)
        status = int(options.command(options))
        sys.stdout.flush()
        return status
    except EdgedError as why:
        for line in str(why).splitlines():
            print(f"edged: {line}", file=sys.stderr)
        return 2
    except BrokenPipeError:                      # whoever read our output has read enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1


def _check_words(words: list[str]) -> list[str] | None:
    """What follows `edged ctl check`, and what stands between the two; None: it is another command."""
    if words[:1] != ["ctl"] or "check" not in words[1:4]:
        return None
    at = words.index("check")
    return words[1:at] + words[at + 1 :] if at == 1 or words[1].startswith("--config") else None


def _wing(words: Sequence[str]) -> int:
    """A child of the supervisor: `wing worker 3 FD` or `wing control 0 FD`, FD being its end of the wire; or what looks at
    the settings and at this program for it: `wing settings FILE`, `wing trial FILE`."""
    gc.disable()                                 # what is imported stays: nobody need look for garbage in it
    if words[0] == "settings":
        from edged.anew import tell_settings

        return tell_settings(words[1])
    if words[0] == "trial":
        from edged.trial import tell_trial

        return tell_trial(words[1])
    from edged.child import run_child

    wing, index, fd = words[0], int(words[1]), int(words[2])
    if wing == "control":
        from edged.control.process import control_main

        return run_child("control", fd, control_main)
    from edged.worker.process import worker_main

    return run_child(f"worker {index}", fd, functools.partial(worker_main, index))
