"""The ring: whole records, in order, from a writer that never waits."""

import select
import threading

import pytest

from edged._fast.memory.ring import Ring
from tests.doors import ring_doors as doors


def rings(ring: Ring) -> bool:
    return bool(select.select([ring.bell], [], [], 0)[0])


def test_records_come_out_whole_and_in_order() -> None:
    ring = Ring(1)
    assert ring.bytes == 16384
    records = [b"", b"a", b"seven b", b"eight by", b"nine byte", b"x" * 4096]
    assert all(doors.put(ring, record) for record in records)
    assert ring.take() == records
    assert ring.take() == []


def test_a_size_is_rounded_up_to_a_power_of_two() -> None:
    assert Ring(16385).bytes == 32768
    with pytest.raises(ValueError, match="at most"):
        Ring(1 << 31)


def test_a_full_ring_drops_and_counts_and_goes_on_when_there_is_room() -> None:
    ring = Ring(16384)
    taken = 0
    while doors.put(ring, b"%08d" % taken + b"." * 92):
        taken += 1
    assert taken == 16384 // 104
    assert ring.dropped == 1
    assert not doors.put(ring, b"." * 100)
    assert ring.dropped == 2
    assert [int(record[:8]) for record in ring.take()] == list(range(taken))
    assert doors.put(ring, b"again")
    assert ring.take() == [b"again"]


def test_a_record_that_can_never_fit_is_dropped() -> None:
    ring = Ring(16384)
    assert not doors.put(ring, b"." * 16384)
    assert not doors.put(ring, b"", room=0xFFFFFFFF)
    assert ring.take() == []


@pytest.mark.parametrize("size", [1, 100, 1000, 4000])
def test_records_never_run_over_the_end(size: int) -> None:
    ring = Ring(16384)
    for number in range(2000):
        record = (b"%d." % number) * (size // 4) + b"!"
        assert doors.put(ring, record, room=max(len(record), 4096 if size < 4000 else 0))
        if number % 3 == 2 or len(record) > 4000:
            assert ring.take()[-1] == record
    ring.take()


def test_only_what_was_used_of_the_room_is_kept() -> None:
    ring = Ring(16384)
    for number in range(100):
        assert doors.put(ring, b"%d" % number, room=4096)
    assert ring.take() == [b"%d" % number for number in range(100)]


def test_the_bell_rings_once_for_a_reader_who_sleeps() -> None:
    ring = Ring(16384)
    doors.ring_bell(ring)
    assert not rings(ring)                       # nothing was written
    doors.put(ring, b"a")
    assert not rings(ring)                       # only at the end of the turn
    doors.ring_bell(ring)
    assert rings(ring)
    assert ring.take() == [b"a"]
    assert not rings(ring)
    doors.ring_bell(ring)
    assert not rings(ring)
    doors.put(ring, b"b")
    doors.ring_bell(ring)
    assert rings(ring)
    doors.put(ring, b"c")
    doors.ring_bell(ring)
    assert ring.take() == [b"b", b"c"]
    assert not rings(ring)


def test_a_writer_thread_without_the_gil_loses_nothing_that_found_room() -> None:
    ring = Ring(16384)
    count, most = 200_000, 300
    writer = threading.Thread(target=doors.flood, args=(ring, count, most))
    writer.start()
    number = 0
    while number < count:
        assert select.select([ring.bell], [], [], 30)[0], "the bell did not ring for what was written"
        for record in ring.take():
            assert int.from_bytes(record[:8], "little") == number
            assert record[8:] == bytes((number + i) & 255 for i in range(8, 8 + number % most))
            number += 1
    writer.join()
    assert ring.take() == []
