"""All admitted routes at one moment, and the verdicts that led there."""

from dataclasses import dataclass, field

from .listener import Listener
from .origin import NOWHERE, Origin
from .route import Route


@dataclass(frozen=True, slots=True)
class Verdict:
    """Admitted, or refused and why. `reason` is a word of openshift-routes.md 14.1."""

    route: str                   # key of the route
    admitted: bool
    reason: str = ""
    message: str = ""
    origin: Origin = NOWHERE
    source: str = ""


@dataclass(frozen=True, slots=True)
class State:
    """What is served. Routes are in order of claim: oldest first, then by file order."""

    version: int
    routes: tuple[Route, ...] = ()
    listeners: tuple[Listener, ...] = ()
    verdicts: tuple[Verdict, ...] = field(default=(), compare=False)
