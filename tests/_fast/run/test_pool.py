"""Idle channels to endpoints: who is taken, who must go, who is looked after."""

import pytest
from tests.doors.run_doors import Shelves


def test_the_one_used_last_is_taken_first():
    pool = Shelves()
    a, b, c = (pool.put(pool.connect()) for _ in range(3))
    assert pool.pooled == 3
    assert [pool.take(), pool.take(), pool.take(), pool.take()] == [c, b, a, None]
    assert pool.pooled == 0


def test_each_endpoint_has_its_own():
    pool = Shelves()
    a, b = pool.put(pool.connect(1)), pool.put(pool.connect(2))
    assert pool.take(3) is None
    assert (pool.take(2), pool.take(1)) == (b, a)


def test_beyond_the_limit_the_oldest_is_closed():
    pool = Shelves(most=2)
    a, b, c = (pool.put(pool.connect()) for _ in range(3))
    assert (a.open, b.open, c.open, pool.pooled) == (False, True, True, 2)
    assert (pool.take(), pool.take(), pool.take()) == (c, b, None)


def test_beyond_the_limit_for_all_one_of_another_endpoint_is_closed():
    pool = Shelves(most=4, in_all=3)
    idles = [pool.put(pool.connect(slot)) for slot in (1, 2, 3, 4, 5)]
    assert pool.pooled == 3
    assert [idle.open for idle in idles].count(False) == 2
    assert idles[-1].open


def test_none_may_be_kept():
    pool = Shelves(most=0)
    a = pool.put(pool.connect())
    assert (a.open, pool.pooled, pool.take()) == (False, 0, None)


def test_a_slot_that_was_given_to_another_endpoint():
    pool = Shelves()
    old = [pool.put(pool.connect(1, leads_to=1)) for _ in range(2)]
    new = pool.put(pool.connect(1, leads_to=2))
    assert pool.take(1, leads_to=2) is new
    assert pool.take(1, leads_to=2) is None
    assert [idle.open for idle in old] == [False, False]
    assert pool.pooled == 0


@pytest.mark.parametrize("which", [0, 1, 2])
def test_one_in_the_middle_can_go(which):
    pool = Shelves()
    idles = [pool.put(pool.connect()) for _ in range(3)]
    pool.discard(idles[which])
    del idles[which]
    assert [pool.take(), pool.take(), pool.take()] == [*reversed(idles), None]


def test_the_purge_closes_half_of_what_was_not_needed():
    pool = Shelves(most=10)
    idles = [pool.put(pool.connect()) for _ in range(8)]
    pool.purge()                                 # they came in this span: nobody knows yet
    assert pool.pooled == 8
    pool.purge()
    assert pool.pooled == 4
    assert [idle.open for idle in idles] == [False] * 4 + [True] * 4
    pool.purge()
    pool.purge()
    pool.purge()
    assert (pool.pooled, pool.listed()) == (0, [])


def test_the_purge_closes_so_many_in_one_turn_and_goes_on_in_the_next():
    pool = Shelves(most=200)
    for slot in (1, 2):
        for _ in range(150):
            pool.put(pool.connect(slot))
    assert not pool.purge()
    left = []
    while pool.purge():
        left.append(pool.pooled)
    assert left == [236, 172]
    assert pool.pooled == 150
    assert sorted(pool.listed()) == [1, 2]


def test_the_purge_spares_what_was_in_use():
    pool = Shelves(most=10)
    for _ in range(8):
        pool.put(pool.connect())
    pool.purge()
    taken = [pool.take() for _ in range(6)]      # two were always idle
    for idle in taken:
        pool.put(idle)
    pool.purge()
    assert pool.pooled == 7


def test_the_purge_looks_at_all_shelves_in_use():
    pool = Shelves()
    for slot in (3, 1, 2):
        pool.put(pool.connect(slot))
    pool.take(1)
    assert sorted(pool.listed()) == [1, 2, 3]
    pool.purge()
    assert sorted(pool.listed()) == [2, 3]
    pool.put(pool.connect(1))
    assert sorted(pool.listed()) == [1, 2, 3]


def test_the_oldest_gives_its_descriptor():
    pool = Shelves()
    assert pool.oldest() is None
    a = pool.put(pool.connect(1))
    pool.put(pool.connect(1))
    assert pool.oldest() is a
    pool.take(1)
    pool.take(1)
    assert pool.oldest() is None


def test_a_channel_that_is_not_quiet_is_not_fit_to_be_parked():
    pool = Shelves()
    idle = pool.connect()
    assert idle.quiet()
