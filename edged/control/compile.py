"""The state becomes a table, whenever what is served has changed."""

import logging
import os
from dataclasses import dataclass

from edged._fast.route.table import TableBuilder, TableError
from edged.control.admit import Admission
from edged.control.slots import ArenaSlots, Slots
from edged.settings.headers import header_actions
from edged.settings.tables import DefaultTable

__all__ = ["Compiler", "PublishedTable"]

log = logging.getLogger(__name__)


@dataclass(slots=True)
class PublishedTable:
    """A sealed table file. Owns its descriptor: closed when the table is no longer the newest."""

    version: int
    fd: int

    def close(self) -> None:
        if self.fd >= 0:
            os.close(self.fd)
            self.fd = -1


class Compiler:
    """Makes tables of an admission's state, and keeps the arena's slots in step with them."""

    def __init__(self, admission: Admission, arena: ArenaSlots, defaults: DefaultTable) -> None:
        self._admission = admission
        self._builder = TableBuilder(
            header_actions(defaults.request_headers), header_actions(defaults.response_headers), not defaults.strip_client_certificate
        )
        self.slots = Slots(arena)

    def table(self) -> PublishedTable | None:
        """The table of the present state; None if there is no room for it: the one before then stays in force."""
        while True:
            state = self._admission.state
            try:
                self.slots.follow(state.routes, state.version)
                return PublishedTable(state.version, self._builder.build(state, self.slots))
            except TableError as why:
                log.error("route %s cannot be served: %s", why.key, why)
                self._admission.bar(why.key, str(why))
                self._admission.update()
            except (MemoryError, OSError) as why:
                log.error("no table can be made of %d routes, the last one stays in force: %s", len(state.routes), why)
                return None
