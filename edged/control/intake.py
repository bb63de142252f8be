"""What the sources have given: the newest snapshot of each, its objects by kind, its routes and problems."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import compress, repeat
from operator import eq
from sys import intern

from edged.control.resolve import KINDS, ServiceIndex
from edged.control.spans import changed_span
from edged.hooks import Object, Problem, Route, Snapshot

__all__ = ["Intake"]


@dataclass(slots=True)
class _Shelf:
    """What one source has given."""

    filtered: bool
    snapshot: Snapshot | None = None
    kinds: list[str] = field(default_factory=list)       # of each object, in order
    recalled: tuple[Route, ...] = ()                     # of an earlier life, until the source speaks


class Intake:
    """Sources in the order in which they are named; that order decides between equal claims."""

    def __init__(self, sources: Mapping[str, bool], *, endpoints_only: bool = False) -> None:
        """Names of the sources, and whether the addresses of their endpoints are filtered."""
        self.services = ServiceIndex(endpoints_only=endpoints_only)
        self._shelves = {name: _Shelf(filtered) for name, filtered in sources.items()}
        self._by_kind: dict[str, tuple[Object, ...]] = {}
        self._dirty: set[str] = set()
        self._replaced: list[int] = []           # parts that were recalled until now

    @property
    def parts(self) -> int:
        """How many `routes` there are."""
        return len(self._shelves)

    def put(self, source: str, snapshot: Snapshot) -> None:
        """Replace what a source has given. What is the same object as before costs next to nothing.

        Raises TypeError, with nothing changed, for what is no snapshot."""
        if not isinstance(snapshot, Snapshot):
            raise TypeError(f"{type(snapshot).__name__} was published, not a Snapshot")
        shelf = self._shelves[source]
        old: Sequence[Object] = shelf.snapshot.objects if shelf.snapshot else ()
        span = changed_span(old, snapshot.objects)
        kinds = [_kind_of(told) for told in snapshot.objects[span.start:span.new_end]]
        for told, kind in zip(old[span.start:span.old_end], shelf.kinds[span.start:span.old_end], strict=True):
            self._dirty.add(kind)
            if kind in KINDS:
                self.services.forget(kind, told)
        for told, kind in zip(snapshot.objects[span.start:span.new_end], kinds, strict=True):
            self._dirty.add(kind)
            if kind in KINDS:
                self.services.learn(kind, told, shelf.filtered)
        for kind in self._dirty:
            self._by_kind.pop(kind, None)
        shelf.kinds[span.start:span.old_end] = kinds
        shelf.snapshot = snapshot
        if shelf.recalled:
            shelf.recalled = ()
            self._replaced.append(list(self._shelves).index(source))

    def recall(self, source: str, routes: tuple[Route, ...]) -> None:
        """Routes that a source gave in an earlier life of this process: they hold until it speaks."""
        shelf = self._shelves.get(source)
        if shelf is not None and shelf.snapshot is None:
            shelf.recalled = routes

    def silent(self) -> list[str]:
        """Sources that have given nothing yet."""
        return [name for name, shelf in self._shelves.items() if shelf.snapshot is None]

    def take_dirty(self) -> frozenset[str]:
        """The kinds of which an object came, went or changed since the last call."""
        dirty = self.dirty
        self._dirty.clear()
        return dirty

    @property
    def dirty(self) -> frozenset[str]:
        """What `take_dirty` will answer."""
        return frozenset(self._dirty)

    def objects(self, kind: str) -> tuple[Object, ...]:
        """All objects of a kind, the same tuple until one changed."""
        if kind not in self._by_kind:
            self._by_kind[kind] = tuple(
                told for shelf in self._shelves.values() if shelf.snapshot
                for told in compress(shelf.snapshot.objects, map(eq, shelf.kinds, repeat(kind)))
            )
        return self._by_kind[kind]

    def kinds(self) -> set[str]:
        """Every kind of which there is an object."""
        return {kind for shelf in self._shelves.values() for kind in shelf.kinds}

    def routes(self) -> Iterator[tuple[Route, ...]]:
        """The ready routes of each source."""
        for shelf in self._shelves.values():
            yield shelf.recalled if shelf.snapshot is None else shelf.snapshot.routes

    def take_replaced(self) -> list[int]:
        """Which parts of `routes` were recalled, and are now the source's own, since the last call."""
        replaced, self._replaced = self._replaced, []
        return replaced

    def problems(self) -> Iterator[Problem]:
        for shelf in self._shelves.values():
            if shelf.snapshot is not None:
                yield from shelf.snapshot.problems

    def sources_by_place(self) -> dict[str, str]:
        """Where things stand (`Origin.where`), to the source that read them there."""
        places: dict[str, str] = {}
        for name, shelf in self._shelves.items():
            if shelf.snapshot is None:
                places.update((route.origin.where, name) for route in shelf.recalled)
            else:
                places.update((route.origin.where, name) for route in shelf.snapshot.routes)
                places.update((told.origin.where, name) for told in shelf.snapshot.objects)
        return places


def _kind_of(told: Object) -> str:
    if not isinstance(told, Object):
        raise TypeError(f"{type(told).__name__} was published among objects")
    kind = told.body.get("kind")
    return intern(kind) if type(kind) is str else ""
