"""Which number a listener has. Counters in the arena are found by it, so a listener of the same name keeps it over reloads."""

from collections.abc import Mapping
from dataclasses import replace
from types import MappingProxyType

from edged.settings import Settings

__all__ = ["ListenerNumbers"]

NUMBERS_MOST = 256                               # as many as a stripe of the arena has room for


class ListenerNumbers:
    """Names and their numbers, of all listeners that there have been. The one that was given up longest ago is given anew when there
    is no other, and its counters with it."""

    def __init__(self, by_name: Mapping[str, int] = MappingProxyType({})) -> None:
        self._by_name = dict(by_name)            # those that were used last, last

    @property
    def by_name(self) -> Mapping[str, int]:
        return self._by_name

    def number(self, settings: Settings) -> Settings:
        """The same settings, each listener with the number of its name."""
        wanted = {listener.name for listener in settings.listeners}
        numbered = []
        for listener in settings.listeners:
            number = self._by_name.pop(listener.name, None)
            self._by_name[listener.name] = self._free(wanted) if number is None else number
            numbered.append(replace(listener, number=self._by_name[listener.name]))
        return replace(settings, listeners=tuple(numbered))

    def _free(self, wanted: set[str]) -> int:
        taken = set(self._by_name.values())
        free = next((number for number in range(NUMBERS_MOST) if number not in taken), None)
        if free is None:
            free = self._by_name.pop(next(name for name in self._by_name if name not in wanted))
        return free
