"""What becomes of the exchanges of workers that drain."""

from collections.abc import Container, Mapping
from dataclasses import dataclass

__all__ = ["Ends", "Told"]

Told = tuple[int, int, int]                      # exchanges open, finished, handed over


@dataclass(frozen=True, slots=True)
class Ends:
    """How the exchanges of workers that drain have ended, tunnels among them."""

    finished: int = 0
    handed_over: int = 0
    cut: int = 0
    left: int = 0                                # they run still

    @classmethod
    def of(cls, told: Mapping[int, Told], here: Container[int]) -> "Ends":
        """Of what each process, by its number, has told last. `here`: those that have not ended."""
        return cls(
            finished=sum(finished for _, finished, _ in told.values()),
            handed_over=sum(handed_over for _, _, handed_over in told.values()),
            cut=sum(open_ for pid, (open_, _, _) in told.items() if pid not in here),
            left=sum(open_ for pid, (open_, _, _) in told.items() if pid in here),
        )

    def __str__(self) -> str:
        told = f"{self.finished} exchange{'' if self.finished == 1 else 's'} finished, {self.handed_over} handed over, {self.cut} cut"
        return f"{told}, {self.left} left" if self.left else told
