"""What becomes of the exchanges of workers that drain, as these tell it."""

from collections.abc import Mapping, Set
from dataclasses import dataclass
from typing import NamedTuple

__all__ = ["Ends", "Told"]


class Told(NamedTuple):
    """By one worker, last."""

    open: int
    finished: int
    handed_over: int
    cut: int = 0


@dataclass(frozen=True, slots=True)
class Ends:
    """Of all workers, tunnels among them."""

    finished: int = 0
    handed_over: int = 0
    cut: int = 0
    left: int = 0                                # they run still

    def __str__(self) -> str:
        told = f"{self.finished} exchange{'' if self.finished == 1 else 's'} finished, {self.handed_over} handed over, {self.cut} cut"
        return f"{told}, {self.left} left" if self.left else told

    @classmethod
    def of(cls, told: Mapping[int, Told], here: Set[int]) -> "Ends":
        """`told`: by process; `here`: processes that run. What one left open when it ended is cut as well."""
        return cls(
            finished=sum(one.finished for one in told.values()),
            handed_over=sum(one.handed_over for one in told.values()),
            cut=sum(one.cut + (0 if pid in here else one.open) for pid, one in told.items()),
            left=sum(one.open for pid, one in told.items() if pid in here),
        )
