"""Every hook, and all that a plugin may import. API version 1.

Hooks are found through the entry-point group `edged.plugins`; each entry names a module whose functions are marked with
`hookimpl`. All hooks are called in the control process, never in one that carries traffic.
"""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import pluggy

from edged.hooks.certificates import BadCertificate, checked_certificate, checked_trust
from edged.model.backend import Backend, Endpoint
from edged.model.certificate import Certificate, Trust
from edged.model.origin import Origin, Problem
from edged.model.pack import pack_routes, unpack_routes
from edged.model.policy import Algorithm, Balance, Cookie, Forwarded, HeaderAction, Insecure, Termination, Timeouts
from edged.model.route import Route
from edged.model.state import Verdict

__all__ = [
    "API_VERSION", "Algorithm", "Backend", "BadCertificate", "Balance", "Certificate", "Cookie", "Endpoint", "Forwarded", "HeaderAction",
    "Insecure", "Kind", "Object", "Objects", "Origin", "Problem", "Publish", "Route", "Services", "SettingsError", "Snapshot", "Source",
    "SourceError", "Termination", "Timeouts", "Translation", "Trust", "Verdict", "checked_certificate", "checked_trust", "hookimpl",
    "pack_routes", "unpack_routes",
]

API_VERSION = 1

hookspec = pluggy.HookspecMarker("edged")
hookimpl = pluggy.HookimplMarker("edged")


class SettingsError(Exception):
    """What the settings file has for a plugin is wrong. `key` is the path within `[sources]`, such as "files.paths"; it stops the start."""

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
    """Something that gives routes. Its newest snapshot replaces the one before.

    Where it gives objects, the endpoints that they name are filtered (openshift-routes.md 2.3: no loopback, link-local or
    metadata addresses), unless it has an attribute `filter_addresses` that is False. Objects and routes that did not change
    should be the very same ones as in the snapshot before: they then cost next to nothing."""

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


Objects = Mapping[str, Sequence[Object]]         # by kind name, over all sources, oldest source first; the same sequence until it changed


class Services(Protocol):
    """What the objects of kind Service, Endpoints and EndpointSlice come to, over all sources (openshift-routes.md 8.1 to 8.4), and
    the operator's word on who certifies them (7.6)."""

    changed: frozenset[tuple[str, str]] | None   # namespace and name of those that may differ since this kind was last asked; None: any
    trust: Trust | None                          # whom their endpoints are believed if a route does not say; None: nobody is asked for

    def endpoints(self, namespace: str, service: str, port: str | None) -> tuple[Endpoint, ...]:
        """The ready endpoints of a service, each with weight 1: those whose port has this name or number, with None all."""


class Kind(Protocol):
    """A translator of one sort of object to routes, whatever source brought it."""

    name: str                    # the object's `kind`: "Route"
    needs: tuple[str, ...]       # other kinds whose change matters to it: ("Service", "Endpoints", "EndpointSlice")

    def translate(self, objects: Objects, services: Services) -> Translation:
        """All objects of `name` (and `needs`) to routes. Called with everything at each change of one of these; must not block
        and must treat objects as hostile: a bad one becomes a Problem, never an exception. Answer the routes that did not change
        as the very same objects. If it raises, its last translation stays in force, and it is next told that any service may
        have changed.

        A kind may have an `async def prepare(self, objects)` as well: it is awaited before `translate` is called for other objects,
        and is the place for what takes long, such as checking thousands of certificates, with a checkpoint now and then."""


@hookspec
def edged_sources(settings: Mapping[str, Any]) -> Sequence[Source]:  # type: ignore[empty-body]
    """Offer sources of routes. Called once, in the control process, before the first worker starts.

    `settings` holds the `[sources]` table of the settings file: `[sources.NAME]` is `settings["NAME"]`; paths in it are relative
    to `settings["__dir__"]`, the folder of that file, and `settings["router"]` has the `ROUTER_*` variables that are set. Return ()
    to stay out; raise SettingsError with a key such as "NAME.paths" to stop the start. Each source is then run in a task of its
    own. Since API 1."""


@hookspec
def edged_kinds(settings: Mapping[str, Any]) -> Sequence[Kind]:  # type: ignore[empty-body]
    """Offer translators of objects. Called once, in the control process, before any source runs. `settings` as above. Since API 1."""


@hookspec
def edged_sinks(settings: Mapping[str, Any]) -> Sequence[object]:  # type: ignore[empty-body]
    """Offer sinks: what is kept in step with our routes. Called once, in the control process. Since API 1."""


@hookspec
def edged_ctl_commands() -> Mapping[str, Callable[..., Any]]:  # type: ignore[empty-body]
    """Offer verbs of `edged ctl`. Called once, in the control process. Since API 1."""
