"""All admitted routes at one moment, and the verdicts that led there."""

from dataclasses import dataclass, field

from .listener import Listener
from .route import Origin, Route


@dataclass(frozen=True, slots=True)
class Problem:
    """Something wrong with one object, for its owner: it never stops the others."""

    origin: Origin
    key: str                     # path of the field ("routes[3].to[0].weight"), or ""
    message: str
    object: str = ""             # namespace/name of the object refused, if it has one

    def __str__(self) -> str:
        return f"{self.origin}: {self.key}: {self.message}" if self.key else f"{self.origin}: {self.message}"


@dataclass(frozen=True, slots=True)
class Verdict:
    """Admitted, or refused and why. `reason` is a word of openshift-routes.md 14.1."""

    route: str                   # key of the route
    admitted: bool
    reason: str = ""
    message: str = ""
    origin: Origin = Origin("")
    source: str = ""


@dataclass(frozen=True, slots=True)
class State:
    """What is served. Routes are in order of claim: oldest first, then by file order."""

    version: int
    routes: tuple[Route, ...] = ()
    listeners: tuple[Listener, ...] = ()
    verdicts: tuple[Verdict, ...] = field(default=(), compare=False)
