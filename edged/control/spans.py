"""Where two versions of a long sequence differ. What is equal is the very same object in both, so this runs at C speed."""

from collections.abc import Sequence
from itertools import compress, count
from operator import is_not
from typing import Any, NamedTuple

__all__ = ["Span", "changed_span"]


class Span(NamedTuple):
    """old[start:old_end] became new[start:new_end]; all before and after is the same."""

    start: int
    old_end: int
    new_end: int

    def __bool__(self) -> bool:
        return self.start < max(self.old_end, self.new_end)


def changed_span(old: Sequence[Any], new: Sequence[Any]) -> Span:
    """The shortest span that holds every difference, by identity."""
    shorter = min(len(old), len(new))
    if old is new:
        return Span(shorter, shorter, shorter)
    start = next(compress(count(), map(is_not, old, new)), shorter)
    tail = next(compress(count(), map(is_not, reversed(old), reversed(new))), shorter)
    tail = min(tail, shorter - start)
    return Span(start, len(old) - tail, len(new) - tail)
