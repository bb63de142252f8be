"""Where two sequences differ, told by identity."""

import random

from edged.control.spans import changed_span


class Thing:
    def __eq__(self, other: object) -> bool:
        raise AssertionError("things are told apart without being compared")

    __hash__ = None  # type: ignore[assignment]


def test_equal_sequences_have_no_span() -> None:
    things = (Thing(), Thing())
    assert not changed_span(things, things)
    assert not changed_span(things, list(things))
    assert not changed_span((), ())


def test_the_span_is_the_shortest() -> None:
    a, b, c, d = Thing(), Thing(), Thing(), Thing()
    assert changed_span((a, b, c), (a, d, c)) == (1, 2, 2)
    assert changed_span((a, c), (a, b, c)) == (1, 1, 2)
    assert changed_span((a, b, c), (a, c)) == (1, 2, 1)
    assert changed_span((), (a,)) == (0, 0, 1)
    assert changed_span((a, a), (a, a, a)) == (2, 2, 3)


def test_replacing_the_span_makes_the_new_sequence() -> None:
    dice = random.Random(1)
    pool = [Thing() for _ in range(4)]
    for _ in range(2000):
        old = [dice.choice(pool) for _ in range(dice.randrange(7))]
        new = [dice.choice(pool) for _ in range(dice.randrange(7))]
        span = changed_span(old, new)
        made = old[:span.start] + new[span.start:span.new_end] + old[span.old_end:]
        assert [*map(id, made)] == [*map(id, new)]
