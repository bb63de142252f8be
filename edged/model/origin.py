"""Where things come from."""

from dataclasses import dataclass

__all__ = ["NOWHERE", "Origin"]


@dataclass(frozen=True, slots=True)
class Origin:
    """Where an object was read: a file and line, or the name of a source and line 0."""

    where: str
    line: int = 0

    def __str__(self) -> str:
        return f"{self.where}:{self.line}" if self.line else self.where


NOWHERE = Origin("")
