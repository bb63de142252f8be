"""Where things come from, and what is wrong there."""

from dataclasses import dataclass

__all__ = ["NOWHERE", "Origin", "Problem"]


@dataclass(frozen=True, slots=True)
class Origin:
    """Where an object was read: a file and line, or the name of a source and line 0."""

    where: str
    line: int = 0

    def __str__(self) -> str:
        return f"{self.where}:{self.line}" if self.line else self.where


NOWHERE = Origin("")


@dataclass(frozen=True, slots=True)
class Problem:
    """Something wrong with one object, for its owner: it never stops the others."""

    origin: Origin
    key: str                     # path of the field ("routes[3].to[0].weight"), or ""
    message: str
    object: str = ""             # namespace/name of the object refused, if it has one

    def __str__(self) -> str:
        return f"{self.origin}: {self.key}: {self.message}" if self.key else f"{self.origin}: {self.message}"
