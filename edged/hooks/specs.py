"""Every hook, and all that a plugin may import. API version 1.

Hooks are found through the entry-point group `edged.plugins`; each entry names a module whose functions are marked with
`hookimpl`. All hooks are called in the control process, never in one that carries traffic.
"""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import pluggy

from edged.model.backend import Backend, Endpoint
from edged.model.policy import (
    Algorithm, Balance, Cookie, Forwarded, HeaderAction, Insecure, Termination, Timeouts,
)
from edged.model.route import Origin, Route
from edged.model.state import Problem, Verdict

__all__ = [
    "API_VERSION", "Algorithm", "Backend", "Balance", "Cookie", "Endpoint", "Forwarded", "HeaderAction", "Insecure", "Kind", "Object",
    "Objects", "Origin", "Problem", "Publish", "Route", "SettingsError", "Snapshot", "Source", "SourceError", "Termination",
    "Timeouts", "Translation", "Verdict", "hookimpl",
]

API_VERSION = 1

hookspec = pluggy.HookspecMarker("edged")
hookimpl = pluggy.HookimplMarker("edged")


class SettingsError(Exception):
    """A plugin's table of the settings file is wrong. `key` is the path within that table; it stops the start."""

    def __init__(self, key: str, message: str) -> None:
        super().__init__(f"{key}: {message}")
        self.key = key
        self.message = message


class SourceError(Exception):
    """A source cannot go on; it is started again after a pause, and its last snapshot stays in force."""


@dataclass(frozen=True, slots=True)
class Object:
    """One object as it was written: a mapping with `kind`, and where it stands."""

    body: Mapping[str, Any]
    origin: Origin
    lines: Mapping[str, int] = field(default_factory=dict, compare=False)    # "spec.host" -> line, where the source knows


@dataclass(frozen=True, slots=True)
class Snapshot:
    """All that one source gives at one moment. `routes` are ready for the model; `objects` still need a kind."""

    routes: tuple[Route, ...] = ()
    objects: tuple[Object, ...] = ()
    problems: tuple[Problem, ...] = ()


Publish = Callable[[Snapshot], Awaitable[None]]


class Source(Protocol):
    """Something that gives routes. Its newest snapshot replaces the one before."""

    name: str

    async def run(self, publish: Publish) -> None:
        """Call `publish` with a full snapshot at start and whenever it changed. Run until cancelled; raise SourceError to be
        started again later. Return only if there is nothing more to come: the last snapshot then stays."""


@dataclass(frozen=True, slots=True)
class Translation:
    """What a kind made of the objects: routes, and what was wrong with the others."""

    routes: tuple[Route, ...] = ()
    problems: tuple[Problem, ...] = ()
    verdicts: tuple[Verdict, ...] = ()


Objects = Mapping[str, Sequence[Object]]         # by kind name, over all sources, oldest source first


class Kind(Protocol):
    """A translator of one sort of object to routes, whatever source brought it."""

    name: str                    # the object's `kind`: "Route"
    needs: tuple[str, ...]       # other kinds it reads: ("Service", "Endpoints", "EndpointSlice")

    def translate(self, objects: Objects) -> Translation:
        """All objects of `name` (and `needs`) to routes. Called with everything at each change; must not block and must
        treat objects as hostile: a bad one becomes a Problem, never an exception."""


@hookspec
def edged_sources(settings: Mapping[str, Any]) -> Sequence[Source]:  # type: ignore[empty-body]
    """Offer sources of routes. Called once, in the control process, before the first worker starts.

    `settings` is the plugin's own table of the settings file (`[sources.NAME]` under key NAME, for all plugins; paths in it are
    already relative to the settings file through `settings["__dir__"]`). Return () to stay out; raise SettingsError to stop the
    start. Each source is then run in a task of its own. Since API 1."""


@hookspec
def edged_kinds(settings: Mapping[str, Any]) -> Sequence[Kind]:  # type: ignore[empty-body]
    """Offer translators of objects. Called once, in the control process, before any source runs. `settings` as above. Since API 1."""


@hookspec
def edged_sinks(settings: Mapping[str, Any]) -> Sequence[object]:  # type: ignore[empty-body]
    """Offer sinks: what is kept in step with our routes. Called once, in the control process. Since API 1."""


@hookspec
def edged_ctl_commands() -> Mapping[str, Callable[..., Any]]:  # type: ignore[empty-body]
    """Offer verbs of `edged ctl`. Called once, in the control process. Since API 1."""
