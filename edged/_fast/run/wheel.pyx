"""Deadlines. See wheel.pxd."""

from libc.stdint cimport uint32_t, uint64_t
from libc.string cimport memset

from edged._fast.run.core cimport TICK_BITS, WHEEL_SLOTS, Link

cdef extern from * nogil:
    int first_bit "__builtin_ctzll"(unsigned long long bits)


cdef void wheel_open(Wheel* wheel, int64_t now_ms) noexcept nogil:
    cdef int i
    memset(wheel, 0, sizeof(Wheel))
    for i in range(WHEEL_SLOTS):
        wheel.slots[i].next = <Deadline*>&wheel.slots[i]
        wheel.slots[i].prev = <Deadline*>&wheel.slots[i]
    wheel.tick = now_ms >> TICK_BITS


cdef void link(Wheel* wheel, Deadline* d) noexcept nogil:
    cdef int64_t tick = (d.due_ms >> TICK_BITS) + 1           # never early
    cdef uint32_t at
    cdef Link* slot
    if tick < wheel.tick:
        tick = wheel.tick
    elif tick > wheel.tick + WHEEL_SLOTS - 1:
        tick = wheel.tick + WHEEL_SLOTS - 1                   # beyond one round: look again then
    d.planned_ms = tick << TICK_BITS
    at = <uint32_t>(tick & (WHEEL_SLOTS - 1))
    slot = &wheel.slots[at]
    d.next = <Deadline*>slot
    d.prev = slot.prev
    slot.prev.next = d
    slot.prev = d
    wheel.used[at >> 6] |= <uint64_t>1 << (at & 63)


cdef void wheel_drop(Wheel* wheel, Deadline* d) noexcept nogil:
    cdef uint32_t at
    if d.next == NULL:
        return
    d.prev.next = d.next
    d.next.prev = d.prev
    if d.next == d.prev:                                      # the slot alone may be left
        at = <uint32_t>(d.planned_ms >> TICK_BITS & (WHEEL_SLOTS - 1))
        if wheel.slots[at].next == <Deadline*>&wheel.slots[at]:
            wheel.used[at >> 6] &= ~(<uint64_t>1 << (at & 63))
    d.next = NULL


cdef void wheel_link(Wheel* wheel, Deadline* d) noexcept nogil:
    wheel_drop(wheel, d)
    if d.due_ms != 0:
        link(wheel, d)


cdef Deadline* wheel_due(Wheel* wheel, int64_t now_ms) noexcept nogil:
    cdef int64_t now_tick = now_ms >> TICK_BITS
    cdef Link* slot
    cdef Deadline* d
    while wheel.tick <= now_tick:
        slot = &wheel.slots[wheel.tick & (WHEEL_SLOTS - 1)]
        while slot.next != <Deadline*>slot:
            d = slot.next
            wheel_drop(wheel, d)
            if d.due_ms == 0:
                continue
            if d.due_ms <= now_ms:
                return d
            link(wheel, d)                                    # at most a round less one slot away: never back into this one
        if now_tick - wheel.tick > WHEEL_SLOTS:               # asleep for more than a round: each slot once is enough
            wheel.tick = now_tick - WHEEL_SLOTS
        wheel.tick += 1
    return NULL


cdef int64_t wheel_wait_ms(const Wheel* wheel, int64_t now_ms, int64_t most_ms) noexcept nogil:
    cdef uint32_t start = <uint32_t>(wheel.tick & (WHEEL_SLOTS - 1)), word = start >> 6, i, at
    cdef uint64_t bits = wheel.used[word] & ~<uint64_t>0 << (start & 63)
    cdef int64_t wait
    for i in range(65):
        if bits:
            at = (word << 6) + <uint32_t>first_bit(bits)
            wait = ((wheel.tick + ((at - start) & (WHEEL_SLOTS - 1))) << TICK_BITS) - now_ms
            return 0 if wait < 0 else min(wait, most_ms)
        word = (word + 1) & 63
        bits = wheel.used[word]
        if i == 63:
            bits &= (<uint64_t>1 << (start & 63)) - 1         # what lies before the start in its own word
    return most_ms
