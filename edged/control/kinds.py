"""Objects become routes: each kind is asked when something that it reads has changed, and fenced."""

import logging
from collections.abc import Iterator, Mapping, Sequence

import trio

from edged.control.intake import Intake
from edged.control.resolve import KINDS
from edged.hooks import Endpoint, Object, Translation, Trust
from edged.hooks.fence import PluginFailed, fence
from edged.hooks.manager import OfferedKind

__all__ = ["Translator"]

log = logging.getLogger(__name__)

_PREPARE_MOST_S = 300.0                          # meanwhile all changes wait, those of other plugins too

Key = tuple[str, str]


class _Objects(Mapping[str, Sequence[Object]]):
    """What a kind sees of the objects; gathered by kind only when it looks."""

    def __init__(self, intake: Intake) -> None:
        self._intake = intake

    def __getitem__(self, kind: str) -> Sequence[Object]:
        return self._intake.objects(kind)

    def __iter__(self) -> Iterator[str]:
        return iter(self._intake.kinds())

    def __len__(self) -> int:
        return len(self._intake.kinds())


class _Services:
    """What a kind sees of the services, with what has changed since it was last asked."""

    def __init__(self, intake: Intake, changed: frozenset[Key] | None, trust: Trust | None) -> None:
        self._index = intake.services
        self.changed = changed
        self.trust = trust

    def endpoints(self, namespace: str, service: str, port: str | None) -> tuple[Endpoint, ...]:
        return self._index.endpoints(namespace, service, port)


class _Asked:
    """One kind and its newest translation."""

    def __init__(self, offered: OfferedKind) -> None:
        self.offered = offered
        self.translation = Translation()
        self.changed: frozenset[Key] | None = None       # services it has not been told of; None: any
        self.due = True


class Translator:
    """All kinds, in the order in which they were offered; of two for one kind of object the first is asked."""

    def __init__(self, kinds: Sequence[OfferedKind]) -> None:
        self._trust: Trust | None = None
        self._asked: dict[str, _Asked] = {}
        for offered in kinds:
            if offered.kind.name in self._asked:
                first = self._asked[offered.kind.name].offered.plugin
                log.error("plugin %s: kind %s is translated by plugin %s already", offered.plugin, offered.kind.name, first)
            else:
                self._asked[offered.kind.name] = _Asked(offered)

    @property
    def parts(self) -> int:
        """How many translations there are."""
        return len(self._asked)

    def believe(self, trust: Trust | None) -> None:
        """Whom endpoints are believed if a route does not say."""
        if trust != self._trust:
            self._trust = trust
            for asked in self._asked.values():
                asked.changed, asked.due = None, True

    async def prepare(self, intake: Intake) -> None:
        """Let the kinds that `update` will ask do what takes long, so that the loop goes on meanwhile."""
        dirty = intake.dirty
        for asked in self._asked.values():
            plugin, kind = asked.offered.plugin, asked.offered.kind
            prepare = getattr(kind, "prepare", None)
            if prepare is None or not (asked.due or kind.name in dirty or not dirty.isdisjoint(kind.needs)):
                continue
            with trio.move_on_after(_PREPARE_MOST_S) as limit:
                try:
                    with fence(plugin):
                        await prepare(_Objects(intake))
                except PluginFailed as why:
                    log.error("%s; kind %s is translated all the same", why, kind.name, exc_info=why.__cause__)
            if limit.cancelled_caught:
                log.error("plugin %s: kind %s is not ready after %g s; it is translated all the same", plugin, kind.name, _PREPARE_MOST_S)

    def update(self, intake: Intake) -> list[Translation]:
        """The translations of all kinds, after asking those for which something changed; the same object where nothing did."""
        dirty = intake.take_dirty()
        changed = intake.services.take_changed()
        for asked in self._asked.values():
            kind = asked.offered.kind
            if asked.changed is not None and not KINDS.isdisjoint(kind.needs):
                asked.changed |= changed
            if asked.due or asked.changed or kind.name in dirty or not dirty.isdisjoint(kind.needs):
                self._ask(asked, intake)
        return [asked.translation for asked in self._asked.values()]

    def _ask(self, asked: _Asked, intake: Intake) -> None:
        plugin, kind = asked.offered.plugin, asked.offered.kind
        try:
            with fence(plugin):
                made = kind.translate(_Objects(intake), _Services(intake, asked.changed, self._trust))
                if not isinstance(made, Translation):
                    raise TypeError(f"kind {kind.name} translated to {type(made).__name__}, not to a Translation")
        except PluginFailed as why:
            log.error("%s; the last routes of kind %s stay in force", why, kind.name, exc_info=why.__cause__)
            asked.changed, asked.due = None, True
            return
        asked.translation = made
        asked.changed, asked.due = frozenset(), False

    def unread(self, intake: Intake) -> list[Object]:
        """Objects of a kind that nobody reads."""
        read = {"Namespace", "Secret"} | KINDS | set(self._asked)
        read.update(kind for asked in self._asked.values() for kind in asked.offered.kind.needs)
        return [told for kind in sorted(intake.kinds() - read) for told in intake.objects(kind)]
