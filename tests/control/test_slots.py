"""Slots of the arena: claimed by name, freed only when nobody can use them any more."""

import os
from collections.abc import Iterator

import pytest

from edged._fast.memory.arena import Arena
from edged.control.slots import Slots, slot_key
from edged.hooks import Backend
from tests.control.given import endpoint, route


@pytest.fixture
def arena_fd() -> Iterator[int]:
    fd = os.memfd_create("arena")
    yield fd
    os.close(fd)


@pytest.fixture
def arena(arena_fd: int) -> Arena:
    return Arena(arena_fd, 64, 1)


def named(arena: Arena) -> set[int]:
    return set(arena.slots_by_key())


def test_backends_and_endpoints_have_slots_of_their_own(arena: Arena) -> None:
    slots = Slots(arena)
    slots.follow((route("a", to=["10.0.0.1:1", "10.0.0.2:1"]),), 1)
    found = {slots[name] for name in slots}
    assert len(found) == len(slots) == 3
    assert slots["a", "10.0.0.1:1"] == slots["a", "10.0.0.1:1"]


def test_weight_and_limit_stand_in_the_arena(arena: Arena) -> None:
    slots = Slots(arena)
    slots.follow((route("a", to=[endpoint("10.0.0.1:1", weight=7, maxconn=9)]),), 1)
    standing = arena.standing(slots["a", "10.0.0.1:1"])
    assert (standing["weight"], standing["maxconn"], standing["standing"]) == (7, 9, 0)
    slots.follow((route("a", to=[endpoint("10.0.0.1:1", weight=3)]),), 2)
    standing = arena.standing(slots["a", "10.0.0.1:1"])
    assert (standing["weight"], standing["maxconn"]) == (3, 0)


def test_a_slot_is_freed_when_every_worker_has_a_table_without_it(arena: Arena) -> None:
    slots = Slots(arena)
    slots.follow((route("a", to=["10.0.0.1:1"]), route("b", "b", to=["10.0.0.1:1"])), 1)
    slots.follow((route("a", to=["10.0.0.2:1"]),), 2)
    assert slots.release(1) == 0
    assert slot_key("b", "") in named(arena)
    assert slots.release(2) == 3                 # a's old endpoint, b and b's endpoint
    assert named(arena) == {slot_key("a", ""), slot_key("a", "10.0.0.2:1")}
    assert slots.release(9) == 0


def test_what_came_back_before_it_was_freed_stays(arena: Arena) -> None:
    slots = Slots(arena)
    one, other = route("a", to=["10.0.0.1:1"]), route("a", to=["10.0.0.2:1"])
    slots.follow((one,), 1)
    kept = slots["a", "10.0.0.1:1"]
    slots.follow((other,), 2)
    slots.follow((one,), 3)
    slots.release(3)
    assert arena.slots_by_key()[slot_key("a", "10.0.0.1:1")] == kept
    assert slot_key("a", "10.0.0.2:1") not in named(arena)


def test_a_backend_that_two_routes_share_stays_while_one_of_them_does(arena: Arena) -> None:
    slots = Slots(arena)
    shared = Backend("shared", (endpoint("10.0.0.1:1"),))
    first, second = route("a", backend=shared), route("b", "b", backend=shared)
    slots.follow((first, second), 1)
    slots.follow((second,), 2)
    assert slots.release(2) == 0
    assert slot_key("shared", "10.0.0.1:1") in named(arena)


def test_after_a_restart_slots_are_the_same_and_what_nobody_names_is_freed(arena: Arena, arena_fd: int) -> None:
    before = Slots(arena)
    stays, leaves = route("a", to=["10.0.0.1:1"]), route("b", "b", to=["10.0.0.1:1"])
    before.follow((stays, leaves), 1)
    kept = before["a", "10.0.0.1:1"]
    again = Arena(arena_fd)
    slots = Slots(again)
    slots.follow((stays,), 2)
    assert slots["a", "10.0.0.1:1"] == kept
    assert slots.release(1) == 0
    assert slots.release(2) == 2
    assert named(again) == {slot_key("a", ""), slot_key("a", "10.0.0.1:1")}


def test_a_full_arena_says_so(arena: Arena) -> None:
    slots = Slots(arena)
    with pytest.raises(MemoryError):
        slots.follow((route("a", to=[f"10.0.0.{n}:1" for n in range(100)]),), 1)


def test_keys_tell_backend_and_endpoint_apart() -> None:
    assert len({slot_key("a", "b"), slot_key("ab", ""), slot_key("", "ab"), slot_key("a", "")}) == 4
