"""Settings read in a process of their own, and told on its standard output: for a reload, where new code has to judge them."""

import sys
from collections.abc import Mapping
from typing import Any

import msgpack

from edged.errors import StartError
from edged.prctl import hide_memory
from edged.settings.load import load
from edged.settings.settings import Settings

__all__ = ["settings_told", "tell_settings"]


def tell_settings(path: str) -> int:
    """Write the settings, or the problems with them, as msgpack; answers the exit status."""
    hide_memory()                                # they may hold keys
    told: dict[str, Any]
    try:
        told = {"settings": load(path).to_wire()}
    except StartError as why:
        told = {"problems": str(why).splitlines()}
    sys.stdout.buffer.write(msgpack.packb(told))
    sys.stdout.buffer.flush()
    return 0


def settings_told(told: bytes) -> Settings | tuple[str, ...]:
    """What `tell_settings` wrote: settings, or problems. Raises ValueError for anything else."""
    try:
        body = msgpack.unpackb(told, strict_map_key=True)
        if not isinstance(body, Mapping):
            raise ValueError("no map")
        if "problems" in body:
            return tuple(map(str, body["problems"]))
        return Settings.from_wire(body["settings"])
    except (KeyError, TypeError, msgpack.exceptions.UnpackException) as why:
        raise ValueError(f"these are no settings: {why!r}") from None
