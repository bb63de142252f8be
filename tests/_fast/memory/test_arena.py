"""The arena: shape, slots, standing and numbers, as control and workers share them."""

import os
import threading
from collections.abc import Iterator

import pytest

from edged._fast.memory.arena import Arena, arena_bytes
from tests.doors import arena_doors as doors

KIB = 1024


@pytest.fixture
def file() -> Iterator[int]:
    fd = os.memfd_create("arena")
    yield fd
    os.close(fd)


def used_bytes(fd: int) -> int:
    return os.fstat(fd).st_blocks * 512


def test_structs_are_what_the_header_says() -> None:
    assert doors.sizes() == {"standing": 32, "cell": 192, "listener": 64, "tally": 192, "header": 72}


def test_stripes_begin_on_pages_and_cells_on_cache_lines(file: int) -> None:
    arena = Arena(file, 100, 3)
    for stripe in range(3):
        places = doors.places(arena, stripe)
        assert places["tally"] % 4096 == 0
        assert places["cells"] % 64 == places["listener 0"] % 64 == 0
    assert doors.places(arena, 2)["cells"] + 100 * 192 <= arena.bytes == arena_bytes(100, 3)


def test_a_large_arena_takes_next_to_nothing_until_it_is_used(file: int) -> None:
    arena = Arena(file)
    assert arena.bytes > 500 * KIB * KIB
    assert used_bytes(file) <= 16 * KIB
    arena.claim_slot(1)
    arena.open_stripe(7)
    arena.reset_gauges(7)
    assert used_bytes(file) <= 64 * KIB


def test_who_comes_second_finds_the_shape_of_the_first(file: int) -> None:
    Arena(file, 500, 4)
    second = Arena(file, 9000, 60)
    assert (second.slots, second.stripes) == (500, 4)


def test_the_descriptor_may_be_closed() -> None:
    fd = os.memfd_create("arena")
    arena = Arena(fd, 100, 2)
    os.close(fd)
    arena.open_stripe(1)
    arena.reset_gauges(1)
    assert arena.claim_slot(9) == 1


def test_those_who_format_at_once_agree() -> None:
    for _ in range(30):
        fd = os.memfd_create("arena")
        start = threading.Barrier(4)
        shapes: list[tuple[int, int]] = []

        def opened(number: int, fd: int = fd, start: threading.Barrier = start, shapes: list[tuple[int, int]] = shapes) -> None:
            start.wait()
            arena = Arena(fd, 100 + number, 1 + number)
            shapes.append((arena.slots, arena.stripes))

        threads = [threading.Thread(target=opened, args=(number,)) for number in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert len(shapes) == 4
        assert len(set(shapes)) == 1
        os.close(fd)


def test_another_layout_is_refused_and_both_are_named(file: int) -> None:
    doors.spoil_layout(Arena(file, 100, 2), 9)
    with pytest.raises(ValueError, match=r"layout 9.*needs 1"):
        Arena(file)


def test_another_file_is_refused(file: int) -> None:
    os.write(file, b"#!/bin/sh\n" * 1000)
    with pytest.raises(ValueError, match="no arena"):
        Arena(file)


@pytest.mark.parametrize(("slots", "stripes"), [(1, 1), (0, 1), (1 << 25, 1), (10, 0), (10, 65)])
def test_impossible_shapes_are_refused(file: int, slots: int, stripes: int) -> None:
    with pytest.raises(ValueError, match="slots"):
        Arena(file, slots, stripes)


def test_what_cannot_be_mapped_is_an_oserror() -> None:
    read, write = os.pipe()
    with pytest.raises(OSError, match="seek"):
        Arena(write)
    os.close(read)
    os.close(write)


# ---- slots


def test_a_key_has_one_slot_and_keeps_it_over_a_restart(file: int) -> None:
    first = Arena(file, 100, 2)
    assert [first.claim_slot(key) for key in (70, 71, 70)] == [1, 2, 1]
    again = Arena(file)
    assert again.slots_by_key() == {70: 1, 71: 2}
    assert again.claim_slot(71) == 2
    assert again.claim_slot(72) == 3


def test_slot_0_is_nobodys(file: int) -> None:
    arena = Arena(file, 3, 1)
    assert {arena.claim_slot(5), arena.claim_slot(6)} == {1, 2}
    with pytest.raises(MemoryError, match="all 2 slots"):
        arena.claim_slot(7)
    with pytest.raises(ValueError, match="key 0"):
        arena.claim_slot(0)


def test_a_freed_slot_is_claimed_last_and_with_fresh_counters(file: int) -> None:
    arena = Arena(file, 5, 2)
    arena.open_stripe(1)
    a, b, c = (arena.claim_slot(key) for key in (11, 12, 13))
    doors.count_cell(arena, 1, a, served=2, queued=1, sessions=40, answers_2xx=39)
    before = arena.standing(a)["version"]
    arena.free_slot(b)
    arena.free_slot(a)
    assert arena.slots_by_key() == {13: c}
    with pytest.raises(ValueError, match="free already"):
        arena.free_slot(a)
    assert arena.claim_slot(14) == 4                     # never used so far
    assert arena.claim_slot(15) == b                     # freed before a
    assert arena.claim_slot(16) == a
    cell = arena.cell(1, a)
    assert (cell["sessions"], cell["answers"]) == (0, [0] * 6)
    assert (cell["served"], cell["queued"]) == (2, 1)    # exchanges of the old owner still end
    assert arena.standing(a)["version"] > before


def test_a_restarted_control_finds_freed_slots_again(file: int) -> None:
    arena = Arena(file, 4, 1)
    for key in (21, 22, 23):
        arena.claim_slot(key)
    arena.free_slot(2)
    assert Arena(file).claim_slot(24) == 2


# ---- standing


def test_a_claimed_slot_is_up_with_weight_1_and_no_limit(file: int) -> None:
    arena = Arena(file, 10, 1)
    slot = arena.claim_slot(2**64 - 1)
    assert arena.standing(slot) == {"key": 2**64 - 1, "version": 1, "weight": 1, "standing": 0, "percent": 100, "maxconn": 0}


def test_a_standing_changes_only_where_told_and_its_version_rises(file: int) -> None:
    arena = Arena(file, 10, 1)
    slot = arena.claim_slot(3)
    arena.set_standing(slot, weight=256, maxconn=2**32 - 1)
    arena.set_standing(slot, standing=1, percent=0)
    assert arena.standing(slot) == {"key": 3, "version": 3, "weight": 256, "standing": 1, "percent": 0, "maxconn": 2**32 - 1}


@pytest.mark.parametrize("wrong", [{"weight": 257}, {"weight": -1}, {"standing": 4}, {"percent": 101}])
def test_a_wrong_standing_changes_nothing(file: int, wrong: dict[str, int]) -> None:
    arena = Arena(file, 10, 1)
    slot = arena.claim_slot(3)
    with pytest.raises(ValueError, match=str(next(iter(wrong.values())))):
        arena.set_standing(slot, **{"weight": 7, "maxconn": 8, **wrong})
    assert arena.standing(slot)["weight"] == 1
    with pytest.raises(OverflowError):
        arena.set_standing(slot, weight=7, maxconn=-1)
    assert arena.standing(slot)["weight"] == 1


# ---- numbers


def test_numbers_are_summed_over_the_stripes_in_use(file: int) -> None:
    arena = Arena(file, 10, 4)
    slot = arena.claim_slot(3)
    for stripe in (0, 2):
        arena.open_stripe(stripe)
        doors.count_cell(arena, stripe, slot, served=1, sessions=10, answers_2xx=9, client_aborts=1)
        doors.count_tally(arena, stripe, connections=5, requests=100, table_version=8 + stripe)
        doors.count_listener(arena, stripe, 255, current=2, accepted=3)
    doors.count_tally(arena, 1, table_version=9)
    doors.count_tally(arena, 3, connections=1000)        # a stripe nobody opened
    assert arena.read_stripes_in_use() == 3
    assert arena.cell_totals(slot)["sessions"] == 20
    assert arena.cell_totals(slot)["answers"] == [0, 18, 0, 0, 0, 0]
    assert arena.cell(2, slot)["client_aborts"] == 1
    assert arena.totals()["connections"] == 10
    assert arena.totals()["table_version"] == 8          # the oldest that is in force anywhere
    assert arena.read_tally(2)["requests"] == 100
    assert arena.listener_totals(255)["current"] == 4


def test_a_successor_resets_the_gauges_of_its_stripe_alone(file: int) -> None:
    arena = Arena(file, 3000, 2)
    slots = [arena.claim_slot(key) for key in range(1, 2001)]
    for stripe in (0, 1):
        arena.open_stripe(stripe)
        for slot in (slots[0], slots[999], slots[-1]):
            doors.count_cell(arena, stripe, slot, served=3, queued=2, sessions=7)
        doors.count_tally(arena, stripe, connections=4, buffers=9, requests=70)
        doors.count_listener(arena, stripe, 3, current=4, accepted=70)
    arena.reset_gauges(0)
    for slot in (slots[0], slots[999], slots[-1]):
        mine, other = arena.cell(0, slot), arena.cell(1, slot)
        assert (mine["served"], mine["queued"], mine["sessions"]) == (0, 0, 7)
        assert (other["served"], other["queued"]) == (3, 2)
    tally = arena.read_tally(0)
    assert (tally["connections"], tally["buffers"], tally["requests"]) == (0, 0, 70)
    assert (arena.listener_totals(3)["current"], arena.listener_totals(3)["accepted"]) == (4, 140)


def test_places_outside_are_refused(file: int) -> None:
    arena = Arena(file, 10, 2)
    for call in (arena.open_stripe, arena.reset_gauges, arena.read_tally):
        with pytest.raises(IndexError, match="stripe 2 of 2"):
            call(2)
    for call in (arena.standing, arena.free_slot, arena.cell_totals, arena.set_standing):
        with pytest.raises(IndexError, match="slot 10 of 10"):
            call(10)
    with pytest.raises(IndexError, match="listener"):
        arena.listener_totals(256)
