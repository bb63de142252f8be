"""Finds plugins, and asks each for what it offers. A plugin that fails is named and left out; the others are served."""

import inspect
import logging
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from importlib.metadata import EntryPoint, entry_points
from typing import Any

import pluggy

from edged.hooks import specs
from edged.hooks.fence import PluginFailed, fence
from edged.hooks.specs import API_VERSION, Kind, Source

__all__ = ["GROUP", "OfferedKind", "OfferedSource", "Plugins", "load_plugins"]

GROUP = "edged.plugins"

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class OfferedSource:
    plugin: str
    source: Source


@dataclass(frozen=True, slots=True)
class OfferedKind:
    plugin: str
    kind: Kind


@dataclass
class Plugins:
    """The plugins that could be loaded. `problems` has a line for each that failed, now or later, already logged."""

    manager: pluggy.PluginManager
    modules: dict[str, str] = field(default_factory=dict)        # name of a module: the plugin it belongs to, with all below it
    problems: list[str] = field(default_factory=list)

    def sources(self, settings: Mapping[str, Any]) -> list[OfferedSource]:
        """All sources, in order of plugin. Raises SettingsError."""
        offers: dict[str, OfferedSource] = {}
        for plugin, source in self._offered("edged_sources", settings=settings):
            wrong = _lacks(source, name=str, run=Callable)
            if wrong is None and source.name in offers:
                wrong = f"plugin {offers[source.name].plugin} has a source of this name already"
            if wrong is None and not inspect.iscoroutinefunction(source.run):
                wrong = "its run is no coroutine function"
            if wrong is not None:
                self.blame(plugin, f"source {getattr(source, 'name', source)!r}: {wrong}")
                continue
            self.modules.setdefault(type(source).__module__, plugin)
            offers[source.name] = OfferedSource(plugin, source)
        return list(offers.values())

    def kinds(self, settings: Mapping[str, Any]) -> list[OfferedKind]:
        """All kinds, in order of plugin. Raises SettingsError."""
        offers = []
        for plugin, kind in self._offered("edged_kinds", settings=settings):
            wrong = _lacks(kind, name=str, needs=tuple, translate=Callable)
            if wrong is not None:
                self.blame(plugin, f"kind {getattr(kind, 'name', kind)!r}: {wrong}")
                continue
            self.modules.setdefault(type(kind).__module__, plugin)
            offers.append(OfferedKind(plugin, kind))
        return offers

    def owner_of(self, module: str) -> str | None:
        """The plugin that a module belongs to."""
        while module:
            if module in self.modules:
                return self.modules[module]
            module = module.rpartition(".")[0]
        return None

    def blame(self, plugin: str, message: str) -> None:
        self.problems.append(f"plugin {plugin}: {message}")
        log.error("plugin %s: %s", plugin, message)

    def _offered(self, hook: str, **given: Any) -> Iterator[tuple[str, Any]]:
        for implementation in getattr(self.manager.hook, hook).get_hookimpls():
            plugin = implementation.plugin_name
            try:
                with fence(plugin):
                    offered = list(implementation.function(*(given[name] for name in implementation.argnames)))
            except PluginFailed as why:
                self.blame(plugin, f"{hook}: {why}")
                log.debug("plugin %s", plugin, exc_info=why)
                continue
            for item in offered:
                yield plugin, item


def load_plugins(found: Iterable[EntryPoint] | None = None) -> Plugins:
    """All plugins of the entry-point group, or those given, in order of name; our own come first, so that none can take their place."""
    plugins = Plugins(pluggy.PluginManager("edged"))
    plugins.manager.add_hookspecs(specs)
    for entry in sorted(entry_points(group=GROUP) if found is None else found, key=_rank):
        if plugins.manager.has_plugin(entry.name):
            if getattr(plugins.manager.get_plugin(entry.name), "__name__", "") != entry.module:
                plugins.blame(entry.name, f"{entry.value} has the name of another plugin")
            continue
        try:
            with fence(entry.name):
                _register(plugins, entry)
        except PluginFailed as why:
            plugins.manager.set_blocked(entry.name)
            plugins.blame(entry.name, f"cannot be loaded: {why}")
            log.debug("plugin %s", entry.name, exc_info=why)
    return plugins


def _rank(entry: EntryPoint) -> tuple[bool, str]:
    return not entry.value.startswith("edged_plugins."), entry.name


def _register(plugins: Plugins, entry: EntryPoint) -> None:
    """Load one plugin and check that its hooks are ours; raises whatever is wrong with it."""
    plugins.modules[entry.module] = entry.name
    module = entry.load()
    wanted = getattr(module, "EDGED_API", API_VERSION)
    if wanted != API_VERSION:
        raise ImportError(f"it needs plugin API {wanted}, this is API {API_VERSION}")
    plugins.manager.register(module, name=entry.name)
    known: Sequence[pluggy.HookCaller] = plugins.manager.get_hookcallers(module) or ()
    if not known:
        raise ImportError("it implements no hook")
    for caller in known:
        if caller.spec is None:
            plugins.manager.unregister(module)
            raise ImportError(f"there is no hook {caller.name}")


def _lacks(offered: Any, **wanted: Any) -> str | None:
    """What an offered object has not, or of another type."""
    for name, kind in wanted.items():
        value = getattr(offered, name, None)
        if not (callable(value) if kind is Callable else isinstance(value, kind)):
            return f"it has no proper {name}"
    return None
