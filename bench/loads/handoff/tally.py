"""What was done, and what went wrong, by kind."""

import errno
from dataclasses import asdict, dataclass, field
from typing import Any

import trio

from .numbered import Closed, Garbled

__all__ = ["FAULTS", "Tallies", "Tally", "Unanswered", "name_of"]

EXAMPLES_MOST = 5

FAULTS = ("refused", "reset", "closed", "truncated", "garbled", "status", "stalled", "other")


class Unanswered(Exception):
    """The other side closed where an answer, or its own first word, should have begun."""


def name_of(why: BaseException, begun: bool) -> str:
    """Which of FAULTS it is; `begun`: something of the answer had come."""
    if isinstance(why, Garbled):
        return "garbled"
    if isinstance(why, Unanswered):
        return "closed"
    if isinstance(why, Closed):
        return "truncated"
    if isinstance(why, trio.TooSlowError):
        return "stalled"
    root = why
    while root.__cause__ is not None:
        root = root.__cause__
    if isinstance(root, OSError) and root.errno == errno.ECONNREFUSED:
        return "refused"
    if isinstance(root, OSError) and root.errno in (errno.ECONNRESET, errno.EPIPE):
        return "truncated" if begun else "reset"
    return "truncated" if begun else "other"


@dataclass
class Tally:
    done: int = 0
    bytes: int = 0
    stale: int = 0                               # a kept connection was closed as its next request set out, and that was asked again
    longest_s: float = 0.0                       # that a tunnel was silent
    faults: dict[str, int] = field(default_factory=dict)
    examples: list[str] = field(default_factory=list)

    def fault(self, name: str, why: object) -> None:
        self.faults[name] = self.faults.get(name, 0) + 1
        if len(self.examples) < EXAMPLES_MOST:
            self.examples.append(f"{name}: {why!r}")


class Tallies:
    def __init__(self) -> None:
        self._by_kind: dict[str, Tally] = {}

    def of(self, kind: str) -> Tally:
        return self._by_kind.setdefault(kind, Tally())

    def to_json(self) -> dict[str, Any]:
        return {kind: asdict(tally) for kind, tally in self._by_kind.items()}
