"""All that the sources gave becomes the state: sound routes, the winners of their claims, and a verdict for each that lost."""

import logging
from collections.abc import Iterable, Iterator, Sequence
from itertools import chain
from operator import is_

from edged.control.claims import Claims
from edged.control.intake import Intake
from edged.control.kinds import Translator
from edged.control.sound import flaw
from edged.control.spans import changed_span
from edged.hooks import Origin, Problem, Route, Translation, Trust, Verdict
from edged.hooks.manager import OfferedKind
from edged.model.listener import Listener, Mode
from edged.model.state import State

__all__ = ["Admission"]

log = logging.getLogger(__name__)


class Admission:
    """Keeps the state. Its cost follows the change: what did not change is the same object in the next state."""

    def __init__(
        self, intake: Intake, kinds: Sequence[OfferedKind], listeners: tuple[Listener, ...], *, ownership: bool = True, version: int = 0
    ) -> None:
        """`version`: the highest that any worker may have seen; states count on from there."""
        self.intake = intake
        self.state = State(version, (), listeners)
        self.problems: tuple[Problem, ...] = ()          # everything that keeps an object, or a part of it, from being served
        self._translator = Translator(kinds)
        self._parts = [_Part() for _ in range(intake.parts + self._translator.parts)]
        self._claims = Claims(ownership=ownership)
        self._barred = False                                     # by the table, since the claims were settled
        self._translations: list[Translation] = []
        self._begun = False

    def believe(self, trust: Trust | None) -> None:
        """Whom endpoints are believed if a route does not say: from the next `update` on."""
        self._translator.believe(trust)

    async def prepare(self) -> None:
        """Do ahead of `update` what takes long, while the loop goes on."""
        await self._translator.prepare(self.intake)

    def update(self) -> bool:
        """Make the next state of what is in the intake; answers whether it differs from the last. The first always does: no
        worker may take it, empty as it is, for what it has already."""
        self._translations = self._translator.update(self.intake)
        offered = (*self.intake.routes(), *(made.routes for made in self._translations))
        for at in self.intake.take_replaced():
            self._parts[at].forget()
        changed = [part.take(routes) for part, routes in zip(self._parts, offered, strict=True)]
        if self._barred or any(changed):
            self._barred = False
            self._claims.update(self._claimants())
        self._tell_problems()
        return self._renew()

    def bar(self, key: str, why: str) -> None:
        """The table has no way to hold this route: leave it out until it changes. The next `update` makes a state without it."""
        for part in self._parts:
            self._barred = part.bar(key, why) or self._barred

    def _claimants(self) -> tuple[Route, ...]:
        """All sound routes, in order of their place."""
        return tuple(chain.from_iterable(part.sound() for part in self._parts))

    def _renew(self) -> bool:
        last = self.state
        verdicts = (*(verdict for made in self._translations for verdict in made.verdicts), *self._claims.verdicts)
        if verdicts != last.verdicts:
            _log_new(last.verdicts, verdicts)
        changed = not self._begun or last.routes is not self._claims.admitted
        self._begun = True
        if changed or verdicts != last.verdicts:
            self.state = State(last.version + changed, self._claims.admitted, last.listeners, verdicts)
        return changed

    def _tell_problems(self) -> None:
        problems = (
            *self.intake.problems(), *(problem for made in self._translations for problem in made.problems),
            *(problem for part in self._parts for problem in part.problems()),
        )
        if problems != self.problems:
            _log_new(self.problems, problems)
            self.problems = problems

    def unread(self) -> list[Problem]:
        """Objects of a kind that no plugin translates."""
        return [
            Problem(told.origin, "kind", f'no plugin knows objects of kind "{told.body.get("kind")}"')
            for told in self._translator.unread(self.intake)
        ]

    def unserved_listeners(self) -> list[Listener]:
        """Listeners of mode tcp whose route does not exist."""
        names = {route.key for route in self.state.routes}
        return [one for one in self.state.listeners if one.mode is Mode.TCP and one.route not in names]


class _Part:
    """What one source or kind offers, and what is wrong with it."""

    def __init__(self) -> None:
        self._offered: tuple[Route, ...] = ()
        self._routes: tuple[Route, ...] = ()                     # the same, with those from before in place of equal ones
        self._flawed: dict[int, tuple[Route, Problem]] = {}      # by id of the route

    def take(self, offered: tuple[Route, ...]) -> bool:
        """Take the newest offer; answers whether it differs from the last. One that makes all routes anew changes nothing."""
        span = changed_span(self._offered, offered)
        if not span:
            return False
        self._offered = offered
        old = self._routes[span.start:span.old_end]
        new = _reusing(old, offered[span.start:span.new_end])
        if len(new) == len(old) and all(map(is_, new, old)):
            return False
        for route in old:
            self._flawed.pop(id(route), None)
        for route in new:
            wrong = flaw(route)
            if wrong is not None:
                self._flawed[id(route)] = route, _problem(route, *wrong)
        self._routes = (*self._routes[:span.start], *new, *self._routes[span.old_end:])
        return True

    def forget(self) -> None:
        """The next offer is taken as it is, so that equal routes need not be kept twice for ever."""
        self._offered, self._routes = (), ()
        self._flawed.clear()

    def sound(self) -> Sequence[Route]:
        if not self._flawed:
            return self._routes
        return [route for route in self._routes if id(route) not in self._flawed]

    def bar(self, key: str, why: str) -> bool:
        """Count the routes of this name as flawed until they change."""
        barred = [route for route in self.sound() if route.key == key]
        self._flawed.update((id(route), (route, Problem(route.origin, "", why, key))) for route in barred)
        return bool(barred)

    def problems(self) -> Iterator[Problem]:
        return (problem for _, problem in self._flawed.values())


def _reusing(old: Sequence[Route], new: Sequence[Route]) -> list[Route]:
    """`new`, made of the objects in `old` as far as these are equal."""
    known = {_name_of(route): route for route in old}
    same = (known.get(_name_of(route)) for route in new)
    return [mine if mine == theirs else theirs for mine, theirs in zip(same, new, strict=True)]


def _name_of(route: object) -> str:
    """A plugin may have given anything in place of a route, or of its name."""
    key = getattr(route, "key", "")
    return key if isinstance(key, str) else ""


def _problem(route: object, field: str, message: str) -> Problem:
    """`route` may be anything."""
    origin = getattr(route, "origin", None)
    return Problem(origin if isinstance(origin, Origin) else Origin("a plugin's snapshot"), field, message, _name_of(route))


def _log_new(old: Iterable[Problem | Verdict], new: Iterable[Problem | Verdict]) -> None:
    """A line for each that was not told before."""
    told = set(old)
    for one in new:
        if one in told:
            continue
        if isinstance(one, Verdict):
            log.warning("%s: route %s is not admitted: %s: %s", one.origin, one.route, one.reason, one.message)
        else:
            log.warning("%s", one)
