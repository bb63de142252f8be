"""Deadlines: never early, hardly late, however far away, however often they move."""

import random

import pytest
from tests.doors.run_doors import Clock

LATE_MS = 16                                     # two ticks
ROUND_MS = 4096 * 8
START = 123_456_789

DELAYS = [1, 2, 7, 8, 9, 15, 16, 17, 100, 1000, 10_000, ROUND_MS - 9, ROUND_MS - 8, ROUND_MS - 1, ROUND_MS, ROUND_MS + 1, ROUND_MS + 8,
          2 * ROUND_MS, 300_000, 3_600_000]


@pytest.mark.parametrize("delay", DELAYS)
@pytest.mark.parametrize("start", [0, 7, START, ROUND_MS - 8, ROUND_MS])
def test_a_deadline_is_met(start, delay):
    clock = Clock(start)
    timer = clock.plan("a", start + delay)
    (found,) = clock.until(start + delay + 1000)
    assert found[0] == "a"
    assert start + delay <= found[1] <= start + delay + LATE_MS
    assert not timer.planned


@pytest.mark.parametrize("delay", DELAYS)
def test_a_deadline_behind_a_long_sleep_is_met_at_once(delay):
    clock = Clock(START)
    clock.plan("a", START + delay)
    assert clock.at(START + delay + 5 * ROUND_MS) == ["a"]
    assert clock.at(START + delay + 6 * ROUND_MS) == []


def test_a_deadline_far_beyond_one_round_stays_away_while_time_goes_on():
    """It passes the wheel's slots many times, and must leave each one."""
    clock = Clock(START)
    clock.plan("idle", START + 300_000)
    for now in range(START, START + 300_000, 500):
        assert clock.at(now) == []
    assert clock.at(START + 300_000 + LATE_MS) == ["idle"]


def test_moving_away_costs_nothing():
    clock = Clock(START)
    timer = clock.plan("a", START + 1000)
    planned = timer.planned_ms
    for later in range(1000, 50_000, 777):
        assert clock.plan("a", START + later).planned_ms == planned
    (found,) = clock.until(START + 60_000)
    assert START + later <= found[1] <= START + later + LATE_MS


def test_moving_near_is_heeded():
    clock = Clock(START)
    clock.plan("a", START + 3_600_000)
    clock.at(START + 5000)
    clock.plan("a", START + 6000)
    (found,) = clock.until(START + 10_000)
    assert START + 6000 <= found[1] <= START + 6000 + 3 * 8


def test_zero_is_never():
    clock = Clock(START)
    clock.plan("a", START + 100)
    assert not clock.plan("a", 0).planned
    assert not clock.plan("b", 0).planned
    assert clock.until(START + 10 * ROUND_MS, most=100_000) == []


def test_a_dropped_one_stays_away_and_can_come_again():
    clock = Clock(START)
    clock.plan("a", START + 100)
    clock.drop("a")
    clock.drop("a")
    assert clock.at(START + 1000) == []
    clock.plan("a", START + 1100)
    assert clock.at(START + 1200) == ["a"]


def test_what_is_over_already_comes_at_once():
    clock = Clock(START)
    clock.plan("a", START - 5000)
    assert clock.wait_ms() <= 8
    assert clock.until(START + 8)[0][0] == "a"


def test_many_at_the_same_moment():
    clock = Clock(START)
    for i in range(500):
        clock.plan(i, START + 100)
    for i in range(0, 500, 3):
        clock.drop(i)
    assert sorted(clock.at(START + 120)) == [i for i in range(500) if i % 3]


def test_how_long_to_sleep():
    clock = Clock(START)
    assert clock.wait_ms(777) == 777
    clock.plan("a", START + 500)
    assert 500 <= clock.wait_ms(10_000) <= 500 + LATE_MS
    assert clock.wait_ms(100) == 100
    clock.plan("b", START + 20)
    assert 20 <= clock.wait_ms(10_000) <= 20 + LATE_MS
    clock.drop("b")
    assert 500 <= clock.wait_ms(10_000) <= 500 + LATE_MS


@pytest.mark.parametrize("start", range(0, 64 * 8 * 2, 8 * 9))
def test_how_long_to_sleep_wherever_the_hand_stands(start):
    for delay in (8, 64 * 8, 65 * 8, ROUND_MS // 2, ROUND_MS - 16):
        clock = Clock(start)
        clock.plan("a", start + delay)
        assert delay <= clock.wait_ms(10 * ROUND_MS) <= delay + LATE_MS


@pytest.mark.parametrize("seed", range(20))
def test_any_mixture_of_moves(seed):
    """Beside a list that is searched through: each is met in its time, and none but them."""
    rng = random.Random(seed)
    clock = Clock(START)
    due: dict[int, int] = {}
    for _ in range(2000):
        action, name = rng.random(), rng.randrange(60)
        if action < 0.6:
            due[name] = clock.now + int(10 ** rng.uniform(0, 5.5))
            clock.plan(name, due[name])
        elif action < 0.7 and name in due:
            clock.drop(name)
            del due[name]
        else:
            for met in clock.at(clock.now + int(10 ** rng.uniform(0, 5))):
                assert due.pop(met) <= clock.now
            assert not [name for name, moment in due.items() if moment < clock.now - 3 * 8]
    assert {name for name, timer in clock.timers.items() if timer.planned} == set(due)
