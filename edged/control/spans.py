"""Where two versions of a long sequence differ. What is equal is the very same object in both, so this runs at C speed."""

from collections.abc import Sequence
from itertools import compress, count, repeat
from operator import is_, is_not
from typing import Any, NamedTuple, TypeVar

__all__ = ["Span", "changed_span", "replaced"]

T = TypeVar("T")

_FEW = 4


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


def replaced(items: tuple[T, ...], swaps: Sequence[tuple[T, T]]) -> tuple[T, ...]:
    """The same items with some replaced: pairs of an old one, told by identity, and the new one."""
    if len(swaps) > _FEW:
        new_of = {id(old): new for old, new in swaps}
        return tuple([new_of.get(id(item), item) for item in items])
    made = list(items)
    for old, new in swaps:
        at = next(compress(count(), map(is_, items, repeat(old))), None)
        if at is not None:
            made[at] = new
    return tuple(made)
