"""What keepalived last said of its instances: `edged ctl notify` (high-availability.md B.4)."""

import logging
import time
from collections.abc import Sequence
from typing import Any

from edged.supervisor.ctl import Refused

__all__ = ["Instances"]

log = logging.getLogger("edged.supervisor")

INSTANCES_MOST = 512                             # there are 255 VRRP ids on a segment


class Instances:
    """The present state of each VRRP group and instance, since when, and by which priority."""

    def __init__(self, left: Sequence[dict[str, Any]] = ()) -> None:
        """`left`: what `plain` gave."""
        self._by_name = {(one["kind"], one["name"]): one for one in left}

    def note(self, kind: str, name: str, state: str, priority: int | None) -> None:
        """Raises Refused where there are too many."""
        if (kind, name) not in self._by_name and len(self._by_name) >= INSTANCES_MOST:
            raise Refused("state", f"{INSTANCES_MOST} instances are known already")
        if state == "DELETED":
            self._by_name.pop((kind, name), None)
        else:
            self._by_name[kind, name] = {"kind": kind, "name": name, "state": state, "priority": priority, "at_s": time.monotonic()}
        log.info("VRRP %s %s: %s", kind.lower(), name, state)

    def plain(self) -> list[dict[str, Any]]:
        """For another program in this process."""
        return list(self._by_name.values())

    def told(self) -> list[dict[str, Any]]:
        """For operators."""
        now_s = time.monotonic()
        return [
            {"kind": one["kind"], "name": one["name"], "state": one["state"], "priority": one["priority"],
             "since_s": round(now_s - one["at_s"], 3)}
            for one in self._by_name.values()
        ]
