"""Endpoints and backends have places in the arena: theirs by name, so that counters and standings outlive every table, and this
process too."""

from collections.abc import Iterable, Iterator, Mapping
from hashlib import blake2b
from typing import NamedTuple, Protocol

from edged.control.spans import changed_span
from edged.hooks import Backend, Route

__all__ = ["ArenaSlots", "Slots", "slot_key"]


class ArenaSlots(Protocol):
    """What of the arena is needed here."""

    slots: int

    def slots_by_key(self) -> dict[int, int]: ...
    def claim_slot(self, key: int) -> int: ...
    def free_slot(self, slot: int) -> None: ...
    def set_standing(self, slot: int, *, weight: int | None = None, maxconn: int | None = None) -> None: ...


class Slots(Mapping[tuple[str, str], int]):
    """Slot by name of backend and endpoint; "" instead of an endpoint is the backend as a whole. Asking claims.

    The arena remembers who has which, so nothing is kept here but what waits to be freed. A slot is freed when no route
    names it any more and no worker uses a table that does."""

    def __init__(self, arena: ArenaSlots) -> None:
        self._arena = arena
        self._before = set(arena.slots_by_key())                 # what an earlier life of this process had; empty after the first table
        self._routes: tuple[Route, ...] = ()                     # of the newest table
        self._leaving: list[_Leaving] = []

    def __getitem__(self, name: tuple[str, str]) -> int:
        return self._arena.claim_slot(slot_key(*name))

    def __iter__(self) -> Iterator[tuple[str, str]]:
        for route in self._routes:
            yield route.backend.name, ""
            yield from ((route.backend.name, endpoint.name) for endpoint in route.backend.endpoints)

    def __len__(self) -> int:
        return sum(1 for _ in self)

    def follow(self, routes: tuple[Route, ...], version: int) -> None:
        """`routes` are those of the table to be published next, `version` its version: claim and set what is new in it, note
        what it leaves behind. Raises MemoryError if the arena is full."""
        span = changed_span(self._routes, routes)
        come = [route.backend for route in routes[span.start:span.new_end]]
        gone = [route.backend for route in self._routes[span.start:span.old_end]]
        try:
            self._claim(come)
        except MemoryError:
            self._undo(come)
            raise
        if self._before:                         # nobody may name these any more
            self._leaving.append(_Leaving(version, None, self._before))
            self._before = set()
        if gone:
            self._leaving.append(_Leaving(version, {backend.name for backend in gone}, _keys(gone)))
        self._routes = routes

    def _claim(self, backends: Iterable[Backend]) -> None:
        for backend in backends:
            self._arena.claim_slot(slot_key(backend.name, ""))
            for endpoint in backend.endpoints:
                slot = self[backend.name, endpoint.name]
                self._arena.set_standing(slot, weight=endpoint.weight, maxconn=endpoint.maxconn)

    def _undo(self, backends: Iterable[Backend]) -> None:
        """There was not room for all: give back what some of them got, and no table names."""
        used = self._before.union(*(one.keys for one in self._leaving)) | _keys(route.backend for route in self._routes)
        self._free(_keys(backends) - used)

    def _free(self, keys: Iterable[int]) -> int:
        known = self._arena.slots_by_key()
        freed = [known[key] for key in keys if key in known]
        for slot in freed:
            self._arena.free_slot(slot)
        return len(freed)

    def release(self, version: int) -> int:
        """Every worker has this table or a newer one in force: free what it does not name. Answers how many slots were freed."""
        due = [one for one in self._leaving if one.since <= version]
        if not due:
            return 0
        self._leaving = [one for one in self._leaving if one.since > version]
        keys = set().union(*(one.keys for one in due))
        named = None if any(one.backends is None for one in due) else set().union(*(one.backends or () for one in due))
        keys -= _keys(route.backend for route in self._routes if named is None or route.backend.name in named)
        return self._free(keys)


class _Leaving(NamedTuple):
    """Slots that a table left behind, unless a later one names them again."""

    since: int                                   # version of that table
    backends: set[str] | None                    # the names in question; None: any
    keys: set[int]


def slot_key(backend: str, endpoint: str) -> int:
    """The name of a slot, as the arena keeps it: never 0."""
    digest = blake2b(f"{backend}\0{endpoint}".encode(errors="surrogatepass"), digest_size=8).digest()
    return int.from_bytes(digest, "little") or 1


def _keys(backends: Iterable[Backend]) -> set[int]:
    keys: set[int] = set()
    for backend in backends:
        keys.add(slot_key(backend.name, ""))
        keys.update(slot_key(backend.name, endpoint.name) for endpoint in backend.endpoints)
    return keys
