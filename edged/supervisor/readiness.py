"""Whether this daemon lives, has started, and should be sent clients: what balancers, keepalived and probes ask (high-availability.md B.2).

Nothing here waits: every answer is made of what the supervisor knows at this moment, so that an answer says nothing about the load.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

import trio

from edged.supervisor.binding import Bound

if TYPE_CHECKING:
    from edged.supervisor.process import Supervisor

__all__ = ["Check", "Readiness"]

_OUT_OF_SERVICE = {
    "starting": "it is starting", "draining": "it is being drained", "drained": "it is drained", "stopping": "it is stopping",
}


class Check(NamedTuple):
    """One condition of an answer."""

    name: str
    why: str = ""                                # it does not hold; "": it does

    @property
    def ok(self) -> bool:
        return not self.why


class Readiness:
    """The conditions, each with its own name in the answer."""

    def __init__(self, supervisor: "Supervisor") -> None:
        self._supervisor = supervisor

    def live(self) -> list[Check]:
        """Of /livez: a restart would help if one fails."""
        stuck = self._supervisor.stuck(trio.current_time())
        return [Check("supervisor"), Check("children", f"{', '.join(stuck)} does not answer" if stuck else "")]

    def started(self) -> list[Check]:
        """Of /startupz: once they hold, they do for good."""
        return [self._synced()]

    def ready(self) -> list[Check]:
        """Of /readyz: clients should come. A drain, or an end, begins with a failure here."""
        supervisor = self._supervisor
        present = supervisor.present
        checks = [
            Check("in-service", _OUT_OF_SERVICE.get(supervisor.standing, "")),
            self._synced(),
            Check("listening", "" if supervisor.sockets.open else "the listeners are closed"),
            Check("accepting", "" if present.accepts else "no worker accepts"),
        ]
        if present.settings.admin.ready_needs_route:
            checks.append(Check("routes", "" if present.routes else "there is no route"))
        return checks

    def listeners(self) -> Sequence[Bound]:
        """Through which a real request may come."""
        return self._supervisor.sockets.bound

    def _synced(self) -> Check:
        known = self._supervisor.ready.is_set() or self._supervisor.present.routes_are_known
        return Check("has-synced", "" if known else "the first routes are not in yet")
