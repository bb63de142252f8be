"""What a program that is to take over from a running one says of itself: `edged wing trial FILE`."""

import sys

import msgpack

from edged import __version__
from edged.errors import StartError
from edged.prctl import hide_memory

__all__ = ["tell_trial"]


def tell_trial(settings_path: str) -> int:
    """Import all that will run, read the settings, and write what the running one has to know, as msgpack; answers the exit status."""
    hide_memory()
    from edged._fast.memory.arena import LAYOUT
    from edged._fast.run import engine
    from edged.control import process as control
    from edged.hooks.manager import load_plugins
    from edged.settings.load import load
    from edged.supervisor import process as supervisor
    from edged.supervisor.legacy import FORMATS
    from edged.worker import process as worker

    del engine, control, supervisor, worker      # that they are there is all
    load_plugins()
    problems: list[str] = []
    try:
        load(settings_path)
    except StartError as why:
        problems = str(why).splitlines()
    told = {"version": __version__, "formats": FORMATS, "arena_layout": LAYOUT, "problems": problems}
    sys.stdout.buffer.write(msgpack.packb(told))
    sys.stdout.buffer.flush()
    return 0
