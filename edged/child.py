"""How a child of the supervisor begins: it leaves signals alone, is told its settings over the wire, and gives up rights."""

import gc
import logging
import os
import signal
from collections.abc import Awaitable, Callable, Iterator

import trio

from edged.errors import EdgedError
from edged.logs import lines_to_stderr
from edged.prctl import hide_memory, name_process
from edged.rights import give_up_all
from edged.settings import Settings
from edged.wire import Wire, WireError

__all__ = ["RULED_BY_WIRE", "Wing", "run_child"]

log = logging.getLogger("edged.child")

Wing = Callable[[Settings, Wire, int, int], Awaitable[None]]     # settings, wire to the supervisor, descriptor and stripe of the arena

# A service manager or a terminal signals every process of a service: only the supervisor answers, and tells its children over
# the wire. It starts them with these blocked, so that none can strike before they are ignored.
RULED_BY_WIRE = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGUSR1, signal.SIGUSR2)


def run_child(name: str, wire_fd: int, wing: Wing) -> int:
    """Run a wing until it returns; answers the exit status. `name` is for logs and process lists."""
    for number in RULED_BY_WIRE:
        signal.signal(number, signal.SIG_IGN)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, RULED_BY_WIRE)
    os.set_inheritable(wire_fd, False)
    give_up_all()
    lines_to_stderr(f"edged {name}")
    name_process(f"edged {name}")
    gc.freeze()                                  # what was imported for it is never looked at again
    gc.enable()
    status = 0
    try:
        trio.run(_begin, wire_fd, wing)
    except* EdgedError as group:
        for why in _each(group):
            for line in str(why).splitlines():
                log.error("%s", line)
        status = 1
    return status


def _each(group: BaseExceptionGroup[EdgedError]) -> Iterator[EdgedError]:
    for why in group.exceptions:
        if isinstance(why, BaseExceptionGroup):
            yield from _each(why)
        else:
            yield why


async def _begin(wire_fd: int, wing: Wing) -> None:
    wire = Wire.from_fd(wire_fd)
    message, fds = await wire.receive()
    if message["type"] != "settings" or len(fds) != 1:
        raise WireError(f"the first message is {message['type']!r}: settings and the arena were expected")
    settings = Settings.from_wire(message["settings"])
    if not settings.run.core_dumps:
        hide_memory()
    await wing(settings, wire, fds[0], message["stripe"])
