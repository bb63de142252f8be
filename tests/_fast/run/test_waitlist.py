"""Queues for a place: first come first served, and counted where the balance looks."""

import itertools

import pytest
from tests.doors.run_doors import Queues


def test_first_come_first_served():
    queues = Queues()
    for name in "abc":
        queues.add(queues.waiter(name, backend=5))
    assert (queues.names(5), queues.waiting) == (["a", "b", "c"], 3)


def test_those_who_wait_for_one_endpoint_wait_apart():
    queues = Queues()
    for name, bound in (("a", 0), ("b", 7), ("c", 7), ("d", 0)):
        queues.add(queues.waiter(name, backend=5, bound=bound))
    assert (queues.names(5), queues.names(7)) == (["a", "d"], ["b", "c"])
    assert sorted(queues.listed_queues()) == [5, 7]


@pytest.mark.parametrize("order", list(itertools.permutations("abc")))
def test_they_leave_in_any_order(order):
    queues = Queues()
    waiters = {name: queues.waiter(name) for name in "abc"}
    left = list("abc")
    for waiter in waiters.values():
        queues.add(waiter)
    for name in order:
        queues.remove(waiters[name])
        queues.remove(waiters[name])             # who is in no queue is let be
        left.remove(name)
        assert (queues.names(1), queues.waiting) == (left, len(left))


def test_who_comes_back_is_the_last():
    queues = Queues()
    a, b = queues.waiter("a"), queues.waiter("b")
    queues.add(a)
    queues.add(b)
    queues.remove(a)
    queues.add(a)
    assert queues.names(1) == ["b", "a"]
    assert queues.listed_queues() == [1]
