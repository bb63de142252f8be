"""The source: keeps what every file held when it could last be read, and publishes all of it whenever some of it changed."""

import os
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from itertools import chain
from operator import attrgetter

import trio

from edged.hooks import Object, Origin, Problem, Publish, Route, Snapshot, SourceError
from edged.hooks.watch import Change, Watch, ways

from .beside import Signature, signature
from .child import digest, read_apart
from .content import Content, read_text
from .inventory import Inventory, take_inventory
from .objects import PackedBody
from .read import Unreadable, read_bytes
from .shortform import Defaults

__all__ = ["FilesSource"]

_APART_FROM_BYTES = 256 * 1024                   # so much at once is read by a child
_GRACE_S = 0.2                                   # an editor may move a file away before it writes the new one
_LOOKS_MOST = 5

@dataclass(slots=True)
class _Held:
    """A file as it could last be read, and what is wrong with it now."""

    signature: Signature = ()
    mark: bytes = b""                            # digest of its text
    content: Content = field(default_factory=Content)
    unreadable: Problem | None = None


class FilesSource:
    """All files of some paths. A file that cannot be read keeps its last content; one that is gone has none."""

    def __init__(self, paths: list[str], defaults: Defaults, *, filter_addresses: bool = False) -> None:
        """`paths`: files or folders, absolute; there need be nothing at them yet."""
        self.name = "files"
        self.filter_addresses = filter_addresses
        self._paths = list(dict.fromkeys(paths))
        self._defaults = defaults
        self._held: dict[str, _Held] = {}
        self._gone_s: dict[str, float] = {}      # held, but not there; since when
        self._inventory = Inventory()
        self._beside: dict[str, set[str]] = {}   # entry as watched of a file that routes name: the files of these routes
        self._published: Snapshot | None = None

    async def run(self, publish: Publish) -> None:
        self._published = None
        with Watch() as watch:
            change = Change()
            change.lost = True
            while True:
                blind = await self._look(watch, change)
                await self._tell(publish)
                if blind is not None:
                    raise SourceError(f"changes of the files go unnoticed: {blind}")
                change = Change()
                with trio.move_on_after(self._patience_s()):
                    change = await watch.changes()

    def _patience_s(self) -> float:
        """How long to wait for a change: until a file that is gone has been gone for long enough."""
        return max(0.0, min(self._gone_s.values()) + _GRACE_S - trio.current_time()) if self._gone_s else float("inf")

    async def _tell(self, publish: Publish) -> None:
        held = [self._held[path] for path in self._order() if path in self._held]
        contents = [one.content for one in held]
        snapshot = Snapshot(
            tuple(chain.from_iterable(map(attrgetter("routes"), contents))),
            tuple(chain.from_iterable(map(attrgetter("objects"), contents))),
            (
                *chain.from_iterable(map(attrgetter("problems"), contents)),
                *(one.unreadable for one in held if one.unreadable is not None),
                *(Problem(Origin(path), "", "there is no such file or folder; it is waited for") for path in self._inventory.missing),
            ),
        )
        if snapshot != self._published:
            self._published = snapshot
            await publish(snapshot)

    def _order(self) -> Iterable[str]:
        """All files in order; one that has just gone keeps its place, so that nothing else changes with it."""
        if not self._gone_s:
            return self._inventory.files
        ranks = {path: rank for rank, path in enumerate(self._paths)}
        every = self._gone_s.keys() | self._inventory.files.keys()
        return sorted(every, key=lambda path: (ranks.get(path, ranks.get(os.path.dirname(path), -1)), path))

    # ---- looking

    async def _look(self, watch: Watch, change: Change) -> str | None:
        """Bring what is held up to date; answers why changes will go unnoticed, if they will."""
        told, again, everything = self._told(change)
        blind = None
        if again or everything:
            blind = self._watch_all(watch)
        if everything:
            unfinished = {path for entry in change.pending - change.names for path in self._inventory.meant(entry)}
            told |= {path for path in self._inventory.files if self._held.get(path, _Held()).signature != signature(path)} - unfinished
            told |= {path for path, held in self._held.items() if not _is_as_it_was(held)}
        self._miss(again or everything)
        for _ in range(_LOOKS_MOST):
            await self._read(self._sorted(path for path in told if path in self._inventory.files))
            entries = self._entries_beside()
            if entries == self._beside:
                break
            self._beside = entries               # they name other files than before: those may have changed before they were watched
            blind = self._watch_all(watch)
            told = {path for path, held in self._held.items() if not _is_as_it_was(held)}
        return blind

    def _told(self, change: Change) -> tuple[set[str], bool, bool]:
        """The files that are to be read; whether there may be others than before; and whether any of them may have changed."""
        told: set[str] = set()
        again, everything = False, change.lost
        for entry in change.names | change.pending:
            meant = self._inventory.meant(entry)
            everything = everything or entry in self._inventory.turns
            if entry not in change.names and not _complete(entry):
                again = again or any(path in self._held for path in meant)       # not gone any more; it is read when it is closed
            else:
                told.update(meant)
                told |= self._beside.get(entry, set())
                again = again or any(path not in self._inventory.files or not os.path.exists(path) for path in meant)
        return told, again, everything

    def _miss(self, inventory_is_new: bool) -> None:
        """Note the files that are not there any more, and let go of those that have been gone for long enough."""
        now_s = trio.current_time()
        if inventory_is_new:
            gone = self._held.keys() - self._inventory.files.keys()
            self._gone_s = {path: self._gone_s.get(path, now_s) for path in gone}
        for path in [path for path, since_s in self._gone_s.items() if now_s >= since_s + _GRACE_S]:
            del self._gone_s[path], self._held[path]

    def _sorted(self, paths: Iterable[str]) -> list[str]:
        """In the order of the inventory."""
        some = set(paths)
        return list(some) if len(some) < 2 else [path for path in self._inventory.files if path in some]

    def _watch_all(self, watch: Watch) -> str | None:
        """Take inventory and watch all that it needs; again, until nothing new had to be watched: no change slips in between."""
        for _ in range(_LOOKS_MOST):
            self._inventory = take_inventory(self._paths)
            try:
                if not watch.keep(self._inventory.folders | set(map(os.path.dirname, self._beside))):
                    break
            except OSError as why:
                return f"inotify: {why.strerror}; fs.inotify.max_user_watches may be too low"
        return None

    def _entries_beside(self) -> dict[str, set[str]]:
        """Every entry on the way to a file that routes name, and the files of these routes."""
        entries: dict[str, set[str]] = {}
        for path, held in self._held.items():
            for other, _ in held.content.beside:
                for folder, name in ways(other):
                    entries.setdefault(os.path.join(folder, name), set()).add(path)
        return entries

    # ---- reading

    async def _read(self, paths: Iterable[str]) -> None:
        found = {path: signature(path) for path in paths}
        if sum(one[2] for one in found.values() if one) > _APART_FROM_BYTES:
            await read_apart(list(found), self._defaults, lambda path, mark, content: self._take(path, found[path], mark, content))
            return
        for path in found:
            await trio.lowlevel.checkpoint()
            mark = b""
            content: Content | Unreadable | None
            try:
                text = read_bytes(path)
                mark = digest(text)
                held = self._held.get(path)
                content = held.content if held and held.mark == mark and _is_as_it_was(held) else read_text(text, path, self._defaults)
            except FileNotFoundError:
                content = None
            except Unreadable as why:
                content = why
            self._take(path, found[path], mark, content)

    def _take(self, path: str, found: Signature, mark: bytes, content: Content | Unreadable | None) -> None:
        """Hold what was read of a file; what did not change stays the same object."""
        if content is None:                      # gone again: the next look sees that it is
            return
        held = self._held.setdefault(path, _Held())
        held.signature = found
        if isinstance(content, Unreadable):
            held.unreadable = Problem(Origin(path, content.line), "", content.message)
            return
        held.unreadable = None
        if content is not held.content and (mark != held.mark or content != held.content):
            held.content = _reusing(held.content, content)
        held.mark = mark


def _is_as_it_was(held: "_Held") -> bool:
    """Whether no file that its routes name has changed."""
    return all(signature(path) == was for path, was in held.content.beside)


def _complete(entry: str) -> bool:
    """Whether a name that was just created is all there: a link is, a file that is being written is not."""
    try:
        return os.path.islink(entry) or os.stat(entry).st_nlink > 1
    except OSError:
        return False


def _reusing(old: Content, new: Content) -> Content:
    """The new content, made of the old one's objects where these are equal."""
    objects = {(told.origin.line, _packed(told)): told for told in old.objects}
    return replace(
        new,
        routes=_with_kept(old, new),
        objects=tuple(objects.get((told.origin.line, _packed(told)), told) for told in new.objects),
    )


def _with_kept(old: Content, new: Content) -> tuple[Route, ...]:
    """The new routes, and those old ones that should stay, in their places."""
    routes = list(new.routes)
    before = {route.key: route for route in old.routes} if new.kept else {}
    for at, key in reversed(new.kept):
        if key in before:
            routes.insert(at, before[key])
    return tuple(routes)


def _packed(told: Object) -> bytes:
    return told.body.packed if isinstance(told.body, PackedBody) else b""
